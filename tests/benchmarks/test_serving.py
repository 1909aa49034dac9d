"""What a server costs and gives, at the smallest size."""

import json

import pytest

from benchmarks import serving

pytestmark = pytest.mark.slow
TINY = "--layers 1 --heads 2 --width 8 --vocabulary 20 --prompt 3 --new 4"


def test_a_report(capsys):
    few = "--clients 3 --requests 2 --iterations 2 --json"
    returned = serving.main([*TINY.split(), *few.split()])
    printed = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert printed == json.loads(json.dumps(returned))
    ratio = printed["seconds_per_answer"] / printed["seconds_in_process"] - 1
    assert printed["overhead"] == pytest.approx(ratio, abs=0.01)
    rates = {k for k in printed if k.endswith("tokens_per_second")}
    assert len(rates) == 4 and all(printed[rate] > 0 for rate in rates)
