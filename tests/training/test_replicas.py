"""Two devices train as one does; see `replicas_check.py`."""

import os
import subprocess
import sys

import numpy as np
import pytest

from tests.support.processes import replicas_check


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("replicas")
    subprocess.run(
        [sys.executable, "-m", replicas_check.__name__, str(folder)],
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    return {
        file.stem: dict(np.load(file).items()) for file in folder.glob("*.npz")
    }


def same(first, second, prefix, tolerance=0.0):
    names = [name for name in first if name.startswith(prefix)]
    assert names and set(first) == set(second)
    for name in names:
        np.testing.assert_allclose(
            first[name], second[name], rtol=0, atol=tolerance
        )


def test_two_devices_sample_what_one_does(found):
    assert found["one"]["replicas"] == 1 and found["two"]["replicas"] == 2
    same(found["one"], found["two"], "actions")
    same(found["one"], found["two"], "mask")


def test_two_devices_learn_what_one_does(found):
    """Also with rows cut in two parts, layers computed again, and clipped."""
    same(found["one"], found["two"], "weight", 1e-6)
    same(found["one"], found["two"], "gradient_norms", 1e-5)
    assert (found["one"]["gradient_norms"] > 0.05).all()


def test_the_devices_share_of_tokens_differed(found):
    """Else dividing by each device's own count would have passed."""
    lengths = found["two"]["mask_0"].sum(-1)
    assert lengths[:4].sum() != lengths[4:].sum()


def test_devices_never_share_noise(found):
    answers = found["same"]["actions"]
    assert len(answers) == 8
    assert len(np.unique(answers, axis=0)) > 6


def test_a_restored_mirrored_run_goes_on_as_if_never_stopped(found):
    same(found["straight"], found["resumed"], "weight")
