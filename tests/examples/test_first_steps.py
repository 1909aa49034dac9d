"""The first example does what the README shows."""

import re
import subprocess
import sys

from tests.support import architecture as house

SCRIPT = house.ROOT / "examples" / "first_steps.py"
README = (house.ROOT / "README.md").read_text("utf-8")


def test_it_is_short_and_quoted():
    text = SCRIPT.read_text("utf-8")
    assert len(text.splitlines()) <= 40
    assert f"```python\n{text}```" in README


def test_the_policy_learns():
    done = subprocess.run(
        [sys.executable, SCRIPT], capture_output=True, text=True, cwd=house.ROOT
    )
    assert done.returncode == 0, done.stderr
    said = re.findall(r"(?:before|after): +([\d.]+)", done.stdout)
    before, after = map(float, said)
    assert before < 0.2 and after > 0.8
