import shutil

import numpy as np
import pytest

from tests.support import toy
from tf_tokenrl import cli
from tf_tokenrl.callbacks.checkpoint import Checkpoint
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.pipelines.recover import RecoverOptions, main
from tf_tokenrl.policies import storage
from tf_tokenrl.training.learner import Learner
from tf_tokenrl.training.objectives.likelihood import Likelihood
from tf_tokenrl.training.updates.adam import Adam


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Checkpoints after 1 and 2 steps, and the weights at these steps."""
    folder = tmp_path_factory.mktemp("run")
    learner = Learner(toy.tiny.policy("gru"), Likelihood(), Adam(0.1))
    checkpoint = Checkpoint(learner, folder / "checkpoints", every=1)
    weights = {}
    for epochs in (1, 2):
        learner.fit(toy.EXAMPLES, epochs, 8, callbacks=[checkpoint])
        weights[epochs] = learner.policy.get_weights()
    return folder, weights


def same(path, weights):
    for a, b in zip(storage.load(path).get_weights(), weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_newest_checkpoint_becomes_a_policy(run, tmp_path, capsys):
    folder, weights = run
    flags = [f"--run={folder}", f"--out={tmp_path / 'policy.keras'}"]
    cli.run(["recover", *flags])
    same(tmp_path / "policy.keras", weights[2])
    assert "after 2 steps" in capsys.readouterr().out
    with pytest.raises(TokenRLError, match="already.*--overwrite"):
        cli.run(["recover", *flags])
    cli.run(["recover", *flags, "--overwrite", "--steps=1"])
    same(tmp_path / "policy.keras", weights[1])


def test_a_damaged_checkpoint_is_passed_over(run, tmp_path, capsys):
    folder, weights = run
    shutil.copytree(folder, tmp_path / "run")
    newest = tmp_path / "run" / "checkpoints" / "step-00000002"
    (newest / "policy.json").write_text("{")
    same(main(RecoverOptions(tmp_path / "run")), weights[1])
    assert "passed over" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"steps": 7}, "no checkpoint after 7 steps, but after 1, 2"),
        ({"run": None}, "no checkpoints in"),
    ],
)
def test_what_is_not_there_is_said(run, tmp_path, changes, sentence):
    given = {"run": run[0], "out": tmp_path / "p.keras"} | changes
    given["run"] = given["run"] or tmp_path
    with pytest.raises(TokenRLError, match=sentence):
        main(RecoverOptions(**given))
