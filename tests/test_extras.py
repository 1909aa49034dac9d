"""What is not installed is named with the extra that brings it."""

import subprocess
import sys

import pytest

from tf_tokenrl import extras
from tf_tokenrl.errors import TokenRLError


@pytest.mark.parametrize(
    "module, extra",
    [
        ("tensorflow", "train"),
        ("keras_hub.models", "train"),
        ("rouge_score", "train"),
        ("vaderSentiment.vaderSentiment", "metrics"),
        ("harper", "metrics"),
        ("grpc_health.v1", "serving"),
        ("starlette", "serving"),
        ("plotly", "report"),
        ("sqlalchemy", "feedback"),
        ("numpy", None),
        ("no_such_module", None),
    ],
)
def test_the_extra_of_a_module(module, extra):
    assert extras.extra_of(module) == extra


def test_other_missing_modules_are_left_alone():
    with pytest.raises(ModuleNotFoundError), extras.explaining():
        raise ModuleNotFoundError(name="no_such_module")


def without(module, code):
    """Run code where a module cannot be imported."""
    code = f"import sys; sys.modules[{module!r}] = None; {code}"
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )


def test_python_says_what_to_install():
    wanted = r'install "tf_tokenrl\[train\]"'
    with pytest.raises(TokenRLError, match=wanted), extras.explaining():
        raise ModuleNotFoundError(name="keras")
    done = without("tensorflow", "import tf_tokenrl as rl; rl.Trainer")
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("tf_tokenrl.errors.TokenRLError: This needs the")
    assert 'pip install "tf_tokenrl[train]"' in last


def test_the_command_line_says_what_to_install():
    code = "from tf_tokenrl import cli; sys.argv[1:] = ['report']; cli.main()"
    done = without("plotly", code)
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert 'pip install "tf_tokenrl[report]"' in line
