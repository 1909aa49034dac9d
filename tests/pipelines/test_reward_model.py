"""Preferences to a judge, and the judge as a reward and on a server."""

import json
import re

import numpy as np
import pytest

from tests.support import tiny
from tf_tokenrl import cli, rewards
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example
from tf_tokenrl.pipelines.reward_model import RewardModelOptions, main
from tf_tokenrl.policies import storage


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Who names a file is preferred; two pairs are equal."""
    folder = tmp_path_factory.mktemp("preferences")
    rng = np.random.default_rng(0)
    for split, count in (("train", 40), ("validation", 12)):
        rows = []
        for index in range(count):
            words = [str(w) for w in rng.choice(tiny.WORDS, 3)]
            row = {
                "prompt": f"{split} {index}",
                "chosen": " ".join([*words, "file"]),
                "rejected": " ".join([*words, "number"]),
            }
            rows.append(
                row | ({"rejected": row["chosen"]} if index < 2 else {})
            )
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{split}.jsonl").write_text(text)
    return folder


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    policy = tiny.policy("gru", max_prompt_tokens=24)
    return storage.save(policy, tmp_path_factory.mktemp("start") / "p.keras")


def flags(data, start, out, *more):
    return [
        "reward-model",
        f"--data={data}",
        f"--start={start}",
        f"--out={out}",
        "--learning-rate=0.02",
        "--epochs=4",
        "--batch-size=8",
        *more,
    ]


def test_a_judge_is_trained_exported_and_rewards(data, start, tmp_path, capsys):
    model = tmp_path / "savedmodels" / "judge"
    cli.run(flags(data, start, tmp_path / "run", f"--model={model}"))
    told = capsys.readouterr().out
    # A tenth of the training rows is the test split, which is not there.
    assert re.search(r"2 of \d+ pairs are equal", told)
    assert "confidence" in told
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["accuracy"] >= 0.9 and results["validation_rows"] == 10
    assert sum(b["pairs"] for b in results["reliability"]) == 10
    judge = rewards.get("reward_model", path=str(model / "1"))
    policy = storage.load(tmp_path / "run" / "policy.keras")
    lines = (data / "validation.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines][2:]
    scores = []
    for side in ("chosen", "rejected"):
        examples = [Example(row["prompt"]) for row in rows]
        pairs = policy.encode_pairs(
            [row["prompt"] for row in rows], [row[side] for row in rows]
        )
        responses = policy.decode(pairs)
        given = judge.score_batch(examples, responses)
        last = pairs.mask.sum(-1) - 1
        values = policy.score(pairs).values.numpy()
        trained = values[np.arange(len(rows)), last]
        np.testing.assert_allclose(given, trained, atol=1e-4)
        scores += given
    assert np.mean(scores) == pytest.approx(0, abs=1e-4)
    assert np.std(scores) == pytest.approx(1, abs=1e-4)


@pytest.mark.slow
def test_an_ensemble_has_members_that_differ(data, start, tmp_path):
    model = tmp_path / "judge"
    cli.run(flags(data, start, tmp_path, f"--model={model}", "--members=2"))
    example = Example("validation 3")
    policy = storage.load(tmp_path / "member-0" / "policy.keras")
    (response,) = policy.decode(policy.encode_pairs(["a"], ["open a file"]))
    one, two = (
        rewards.get("reward_model", path=str(model / n)).score(
            example, response
        )
        for n in "12"
    )
    assert one != two
    both = rewards.get(
        "reward_model",
        path=[str(model / "1"), str(model / "2")],
        disagreement=0.5,
    )
    wanted = (one + two) / 2 - 0.5 * abs(one - two) / 2
    assert both.score(example, response) == pytest.approx(wanted, abs=1e-5)


def test_what_trains_no_judge_is_refused(data, start):
    with pytest.raises(TokenRLError, match="Dpo trains no judge"):
        main(RewardModelOptions(str(data), start, objective="dpo"))


def test_a_missing_field_is_named(data, start, tmp_path):
    options = RewardModelOptions(
        str(data), start, tmp_path, objective="pointwise"
    )
    with pytest.raises(TokenRLError, match='no field "answer"; it has chosen'):
        main(options)
