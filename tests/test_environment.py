import os
import subprocess
import sys

import pytest


def run(*arguments, legacy_keras: str):
    environment = os.environ | {
        "TF_USE_LEGACY_KERAS": legacy_keras,
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.skipif(
    sys.version_info >= (3, 12), reason="TF-Agents installs on Python 3.11"
)
def test_tf_agents_finds_the_environment_valid():
    done = run("-m", "tests.environment_check", legacy_keras="1")
    assert done.returncode == 0, done.stderr


def test_without_tf_agents_or_its_keras_the_remedy_is_named():
    """On Python 3.12 it is not installed; on 3.11 Keras 3 was chosen."""
    code = "import tensorflow\nimport tf_tokenrl.environment"
    done = run("-c", code, legacy_keras="")
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "TokenRLError" in last
    assert "Python 3.11" in last or "TF_USE_LEGACY_KERAS=1" in last
