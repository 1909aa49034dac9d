"""Certificates, made by the very commands of `serving/tls.md`."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

WALKTHROUGH = Path(__file__).parents[2] / "serving" / "tls.md"
COMMANDS = re.findall(
    r"^```sh\n(.*?)^```", WALKTHROUGH.read_text("utf-8"), re.DOTALL | re.M
)


def make(folder: Path) -> Path:
    """Follow the walkthrough in a folder."""
    if not shutil.which("openssl"):
        pytest.skip("there is no openssl")
    subprocess.run(
        ["sh", "-eu", "-c", "\n".join(COMMANDS)],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return folder
