import csv
import json

import numpy as np
import pytest

from tests.support import toy
from tf_tokenrl import cli, runs
from tf_tokenrl.pipelines.train import TrainOptions
from tf_tokenrl.policies import storage

pytestmark = pytest.mark.slow
REWARD = (
    "'tests.support.toy:CtrlC'(token=20) - adaptive(0.1, 1.0, horizon=80) * kl"
)
CLOCK = ("seconds", "tokens_per_second")


@pytest.fixture(scope="module")
def flags(data, policy_file):
    return [
        f"--policy={policy_file}",
        f"--data={data}",
        f"--reward={REWARD}",
        "--algorithm=ppo(epochs=2, minibatches=2)",
        "--kl-loss=exact",
        "--kl-weight=linear(0.1, 0.0, steps=3)",
        "--steps=4",
        "--batch-size=8",
        "--early-stopping=50",
        "--sample-answers=2",
    ]


@pytest.fixture(scope="module")
def straight(flags, tmp_path_factory):
    out = tmp_path_factory.mktemp("straight") / "rl"
    cli.run(["train", *flags, f"--out={out}"])
    return out


def rows(out):
    with open(out / "log.csv", newline="") as file:
        found = list(csv.DictReader(file))
    return [{k: v for k, v in row.items() if k not in CLOCK} for row in found]


def numbers(row):
    return {name: float(value) for name, value in row.items() if value}


def assert_same_weights(one, other):
    one, other = storage.load(one), storage.load(other)
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_run_leaves_what_the_report_needs(straight):
    assert [row["step"] for row in rows(straight)] == list("1234")
    assert float(rows(straight)[-1]["learning_rate"]) == 0
    assert abs(float(rows(straight)[0]["kl"])) < 1e-4
    weights = [float(row["kl_weight"]) for row in rows(straight)]
    np.testing.assert_allclose(weights, [0.1, 0.2 / 3, 0.1 / 3, 0], atol=1e-6)
    assert float(rows(straight)[1]["weights/kl"]) == pytest.approx(-0.098)
    samples = json.loads((straight / "samples.json").read_text())
    assert len(samples) == 2 and samples[0]["before"]
    checkpoints = straight / "checkpoints"
    names = sorted(p.name for p in checkpoints.iterdir())
    assert names == ["step-00000000", "step-00000004"]
    assert list((straight / "tensorboard").glob("events.*"))


def test_ctrl_c_and_resume_give_the_run_without_a_stop(
    straight, flags, tmp_path, monkeypatch, capsys
):
    out = tmp_path / "rl"
    arguments = ["tf-tokenrl", "train", *flags, f"--out={out}"]
    monkeypatch.setattr("sys.argv", arguments)
    monkeypatch.setattr(toy.CtrlC, "calls", 0)
    monkeypatch.setenv("CTRL_C_AT", "2")
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 130
    assert "interrupted" in capsys.readouterr().err
    assert [row["step"] for row in rows(out)] == ["1", "2"]
    monkeypatch.delenv("CTRL_C_AT")
    resumed = [f"--config={out / 'options.json'}", "--resume"]
    cli.run(["train", *resumed, "--reward-processes=1"])
    assert "Resumed after 2 steps" in capsys.readouterr().out
    assert rows(out) == rows(straight)
    assert_same_weights(out / "policy.keras", straight / "policy.keras")


def test_gradient_checkpointing_learns_the_same(straight, flags, tmp_path):
    cli.run(["train", *flags, f"--out={tmp_path}", "--gradient-checkpointing"])
    for found, row in zip(rows(tmp_path), rows(straight), strict=True):
        assert numbers(found) == pytest.approx(numbers(row), abs=1e-4)


def test_a_config_file_is_the_flags(straight, flags, tmp_path):
    """The same options, the same folder, the same file; and it overrides."""
    config = straight / "options.json"
    by_flags = cli.parse(TrainOptions, [*flags, f"--out={straight}"], "train")
    by_file = cli.parse(TrainOptions, [f"--config={config}"], "train")
    assert by_flags == by_file
    runs.record(tmp_path, "train", by_file)
    assert (tmp_path / "options.json").read_text() == config.read_text()
    both = cli.parse(TrainOptions, ["--config", str(config), "--seed=3"], "t")
    assert both.seed == 3 and both.reward == REWARD
