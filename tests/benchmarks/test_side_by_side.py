import sys

import pytest

from benchmarks import side_by_side
from benchmarks.options import Learning, Work, flags
from tf_tokenrl.errors import TokenRLError

SCRIPT = """
import json, pathlib, sys
count = pathlib.Path(__file__).with_suffix(".count")
runs = int(count.read_text()) if count.exists() else 0
count.write_text(str(runs + 1))
print("a word before")
print(json.dumps({
    "seconds_per_iteration": [6.0, 2.0, 100.0][runs],
    "sampled_tokens_per_second": 50.0,
    "peak_memory_mb": 300.0,
    "arguments": sys.argv[1:],
}))
"""
OURS = {
    "seconds_per_iteration": 2.0,
    "sampled_tokens_per_second": 100.0,
    "peak_memory_mb": 100.0,
    "compile_seconds": 9.0,
}


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "peer.py"
    path.write_text(SCRIPT)
    return path


@pytest.fixture
def ours(monkeypatch):
    """The project's own process is measured elsewhere."""
    run = side_by_side._run

    def instead(command):
        return OURS if "-m" in command else run(command)

    monkeypatch.setattr(side_by_side, "_run", instead)


def compare(script, **options):
    work = Learning(peer=sys.executable, **options)
    return side_by_side.compare("iteration", work, script)


def test_medians_are_compared_so_that_more_is_better(script, ours):
    report = compare(script, rounds=3)
    assert report["peer"]["seconds_per_iteration"] == 6.0
    assert report["ratios"] == {
        "seconds_per_iteration": 3.0,
        "sampled_tokens_per_second": 2.0,
        "peak_memory_mb": 3.0,
    }
    assert len(report["runs"]["peer"]) == len(report["runs"]["project"]) == 3


def test_the_peer_gets_the_work_and_nothing_else(script, ours):
    report = compare(script, rounds=1, dtype="mixed_bfloat16", batch=4)
    given = report["runs"]["peer"][0]["arguments"]
    given = dict(zip(given[::2], given[1::2], strict=True))
    assert given["--dtype"] == "bfloat16"
    assert given["--batch"] == "4"
    assert given["--algorithm"] == "rloo"
    assert not {"--peer", "--json", "--rounds"} & set(given)


def test_a_peer_that_fails_is_named(tmp_path, ours):
    path = tmp_path / "broken.py"
    path.write_text("raise SystemExit('no torch here')")
    with pytest.raises(TokenRLError, match=r"broken\.py.*no torch here"):
        compare(path)


def test_flags_say_the_work_again():
    assert flags(Work(batch=3))[-8:-6] == ["--batch", "3"]


def test_a_peer_is_not_told_what_it_does_not_know():
    work = Learning(accumulation=2)
    assert "--accumulation" in flags(work)
    assert "--accumulation" not in flags(work, peer=True)
