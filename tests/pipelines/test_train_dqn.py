"""`train --algorithm dqn`: one command, from a policy to a served answer."""

import csv
import json
import os
import subprocess
import sys

import pytest

from tests.support import toy
from tf_tokenrl import cli
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.parity.served import record, served_equals_trainer
from tf_tokenrl.policies import storage

ALGORITHM = "dqn(epsilon=0.3, updates=1, minibatch_size=8)"
REWARD = "'tests.support.toy:Count'(token=20)"
CLOCK = ("seconds", "tokens_per_second")


@pytest.fixture(scope="module")
def flags(data, policy_file):
    return [
        f"--policy={policy_file}",
        f"--data={data}",
        f"--reward={REWARD}",
        "--batch-size=4",
        "--learning-rate=0.001",
        "--final-learning-rate=0.001",
        "--sample-answers=2",
    ]


def run(command, *arguments):
    """`tf-tokenrl` in a process of its own."""
    code = "from tf_tokenrl.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, command, *arguments],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done


def rows(out):
    with open(out / "log.csv", newline="") as file:
        found = list(csv.DictReader(file))
    return [{k: v for k, v in row.items() if k not in CLOCK} for row in found]


@pytest.mark.slow
@pytest.mark.skipif(
    sys.version_info >= (3, 12), reason="TF-Agents installs on Python 3.11"
)
def test_learn_stop_go_on_export_and_answer(flags, data, tmp_path):
    straight, parts = tmp_path / "straight", tmp_path / "parts"
    dqn = f"--algorithm={ALGORITHM}"
    done = run("train", *flags, dqn, f"--out={straight}", "--steps=4")
    assert "Warning" not in done.stderr and "Gym" not in done.stderr
    run("train", *flags, dqn, f"--out={parts}", "--steps=2")
    config = f"--config={parts / 'options.json'}"
    run("train", config, "--resume", "--steps=4")
    assert rows(parts) == rows(straight)
    assert {"td_error", "value", "epsilon", "replay"} < rows(parts)[0].keys()
    shown = json.loads((parts / "samples.json").read_text())
    assert len(shown) == 2
    policy = f"--policy={parts / 'policy.keras'}"
    run("evaluate", policy, f"--data={data}", "--limit=4")
    model = tmp_path / "model" / "1"
    run("export", policy, f"--model={model.parent}")
    learned = storage.load(parts / "policy.keras")
    found = served_equals_trainer(record(learned, toy.EXAMPLES), model)
    assert found["equal"] and found["prompts"] == len(toy.EXAMPLES)


def test_in_a_process_of_keras_3_the_remedy_is_named(
    flags, tmp_path, monkeypatch
):
    """Here `tf.keras` is taken; and from Python 3.12 on it is not enough."""
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "")
    with pytest.raises(TokenRLError, match="TF-Agents"):
        cli.run(["train", *flags, "--algorithm=dqn", f"--out={tmp_path}"])
