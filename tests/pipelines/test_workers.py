"""Two workers on this machine learn what one process does.

One is killed, and both go back together when the run diverges.
"""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest

from tests.support import toy
from tf_tokenrl import cli
from tf_tokenrl.policies import storage

pytestmark = pytest.mark.slow
COMMAND = "from tf_tokenrl.cli import main; main()"


@pytest.fixture(scope="module")
def flags(data, policy_file):
    return [
        "train",
        f"--policy={policy_file}",
        f"--data={data}",
        "--steps=4",
        "--batch-size=8",
        "--checkpoint-every=1",
        "--sample-answers=2",
    ]


KILLED = (
    "--reward='tests.support.toy:Kill9' - 0.1 * kl",
    "--algorithm=ppo(epochs=2)",
)
DIVERGING = ("--reward='tests.support.toy:Burst'", "--algorithm=reinforce")


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for held in sockets:
        held.bind(("localhost", 0))
    ports = [held.getsockname()[1] for held in sockets]
    for held in sockets:
        held.close()
    return ports


def together(flags, out, *more, **environment):
    """Both workers to their end; `(exit status, stderr)` of each."""
    hosts = [f"localhost:{port}" for port in free_ports(2)]
    started = []
    for index in range(2):
        task = {"type": "worker", "index": index}
        config = {"cluster": {"worker": hosts}, "task": task}
        extra = {"TF_CONFIG": json.dumps(config), **environment}
        extra["PYTHONPATH"] = os.pathsep.join(sys.path)
        arguments = [*flags, f"--out={out}", "--strategy=multi_worker", *more]
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", COMMAND, *arguments],
                env=os.environ | extra,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    ended = [process.communicate(timeout=900) for process in started]
    return [
        (process.returncode, errors)
        for process, (_, errors) in zip(started, ended, strict=True)
    ]


def same(one, other, tolerance):
    one, other = (storage.load(path / "policy.keras") for path in (one, other))
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance)


def test_killed_and_resumed_they_learn_what_one_process_does(flags, tmp_path):
    flags = [*flags, *KILLED]
    cli.run([*flags, f"--out={tmp_path / 'one'}"])
    two = tmp_path / "two"
    (status, errors), (killed, _) = together(flags, two, KILL_AT="3")
    assert killed == -9 and status == 1, errors
    line = errors.strip().splitlines()[-1]
    assert line.startswith("tf-tokenrl: Another worker of this run was lost")
    assert line.endswith("with --resume.")
    assert sorted(os.listdir(two / "checkpoints"))[-1] == "step-00000002"
    for status, errors in together(flags, two, "--resume"):
        assert status == 0, errors
    same(tmp_path / "one", two, 1e-6)


def test_when_the_run_diverges_they_go_back_together(
    flags, tmp_path, monkeypatch
):
    monkeypatch.setattr(toy.Burst, "calls", 0)
    flags = [*flags, *DIVERGING]
    one, two = tmp_path / "one", tmp_path / "two"
    cli.run([*flags, f"--out={one}"])
    for status, errors in together(flags, two):
        assert status == 0, errors
        assert "is no finite number. Going back" in errors
    restores = [(path / "log.csv").read_text() for path in (one, two)]
    assert restores[0].count("\n") == restores[1].count("\n")
    same(one, two, 1e-6)
