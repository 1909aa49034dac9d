"""Two devices learn what one does, by every algorithm."""

import json
import os
import subprocess
import sys

import pytest

from tests.support.processes import variants_check
from tests.support.variants import VARIANTS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def gaps(tmp_path_factory):
    folder = tmp_path_factory.mktemp("variants")
    subprocess.run(
        [sys.executable, "-m", variants_check.__name__, str(folder)],
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    return json.loads((folder / "gaps.json").read_text())


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_two_devices_learn_what_one_does(gaps, name, options):
    """By plain gradient descent, which hides nothing of a gradient."""
    gap, moved = gaps[f"{name}-{options}"]
    assert gap < 1e-6 < 1e-3 < moved
