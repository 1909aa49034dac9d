"""The whole circle on toy rows, twice."""

import json
from pathlib import Path

import pytest

from tf_tokenrl.pipelines.demo import DemoOptions, main
from tf_tokenrl.policies.from_scratch import ModelOptions

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def options(rows, tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    return DemoOptions(
        out=folder / "run",
        data=str(rows),
        source="text",
        target="title",
        model=ModelOptions("gpt2", layers=1, width=16, heads=2),
        vocabulary_size=320,
        max_prompt_tokens=24,
        max_new_tokens=8,
        epochs=2,
        steps=2,
        batch_size=8,
        savedmodels=folder / "savedmodels" / "headline",
        parity_prompts=12,
    )


def test_the_circle_closes_and_can_be_gone_round_again(options, capsys):
    results = json.loads(main(options).read_text())
    for stage in ("before", "supervised_longer", "after"):
        assert set(results[stage]) == {"rouge_l", "rouge_1", "rouge_2", "bleu"}
        for estimate in results[stage].values():
            assert estimate["low"] <= estimate["mean"] <= estimate["high"]
    assert set(results["seconds"]) == {
        "prepare",
        "supervised",
        "reinforcement",
        "supervised_longer",
        "evaluate",
        "export",
        "serve",
    }
    parity = results["served_equals_trainer"]
    assert parity["equal"] and parity["prompts"] == 12
    assert parity["identical_answers"] == 12
    assert parity["largest_log_prob_gap"] <= 1e-4
    assert Path(results["savedmodel"]) == options.savedmodels / "1"
    page = Path(results["report"]).read_text("utf-8")
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert "reinforced" in capsys.readouterr().out
    again = json.loads(main(options).read_text())
    assert Path(again["savedmodel"]) == options.savedmodels / "2"
    assert again["before"] == results["before"]
    assert again["after"] == results["after"]
