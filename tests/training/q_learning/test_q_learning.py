"""What needs TF-Agents, in a process of its own with Keras 2 chosen."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CASES = sorted(Path(__file__).parent.glob("cases_*.py"))


@pytest.mark.slow
@pytest.mark.skipif(
    sys.version_info >= (3, 12), reason="TF-Agents installs on Python 3.11"
)
@pytest.mark.parametrize("cases", CASES, ids=lambda path: path.stem)
def test_with_tf_agents(cases):
    command = [sys.executable, "-m", "pytest", "-x", str(cases)]
    done = subprocess.run(
        command,
        env=os.environ | {"TF_USE_LEGACY_KERAS": "1"},
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-8000:]
