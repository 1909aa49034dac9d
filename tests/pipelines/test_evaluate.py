import json

import pytest

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.pipelines.evaluate import EvaluateOptions, main


def test_each_metric_with_its_interval(data, policy_file, tmp_path, capsys):
    options = EvaluateOptions(
        policy_file, data, limit=10, out=tmp_path / "new" / "figures.json"
    )
    results = main(options)
    names = {"rouge_l", "rouge_1", "rouge_2", "bleu", "bleu_corpus"}
    assert set(results) == names
    for figures in results.values():
        assert 0 <= figures["low"] <= figures["mean"] <= figures["high"] <= 1
    assert json.loads(options.out.read_text()) == results
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in printed] == list(results)
    assert f"{results['rouge_1']['mean']:.4f}" in printed[1]


def test_a_split_that_is_not_there(data, policy_file):
    with pytest.raises(TokenRLError, match="tset"):
        main(EvaluateOptions(policy_file, data, split="tset"))
