"""Which runs of a sweep no other run beats."""

import json

import numpy as np
import pytest

from tf_tokenrl import cli
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.report import pareto


@pytest.fixture
def sweep(tmp_path):
    """Runs a to d: rouge and length, from an evaluation or from the log."""

    def run(name, rouge, length, results=None):
        folder = tmp_path / name
        folder.mkdir()
        rows = [f"{step},{rouge},{length}" for step in range(1, 20)]
        rows += [f"20,{rouge + 0.2},{length}", f"21,{rouge},{length}"]
        log = "\n".join(["step,rewards/rouge,length", *rows])
        (folder / "log.csv").write_text(log)
        if results is not None:
            (folder / "results.json").write_text(json.dumps(results))
        return folder

    return [
        run("a", 0.2, 10),
        run("b", 0.4, 20),
        run("c", 0.3, 25),
        run("d", 0.4, 20, {"after": {"rouge_l": {"mean": 0.7}}}),
        run("<e>", 0.1, 9, {"rouge_l": {"mean": 0.8, "low": 0, "high": 1}}),
    ]


def dominates(a, b):
    return all(x >= y for x, y in zip(a, b, strict=True)) and a != b


@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_the_front_is_what_nothing_dominates(objectives):
    gains = np.random.default_rng(0).integers(0, 6, (30, objectives))
    rows = [tuple(row) for row in gains.tolist()]
    wanted = [not any(dominates(a, b) for a in rows) for b in rows]
    assert pareto.front(gains).tolist() == wanted
    assert any(wanted) and not all(wanted)


def test_runs_are_compared_by_the_end_of_their_logs(sweep):
    points = pareto.compare(sweep, ["rewards/rouge"], ["length"])
    assert [p.name for p in points if p.best] == ["a", "b", "d", "<e>"]
    # The last tenth of 21 steps are two.
    assert points[0].values == {
        "rewards/rouge": pytest.approx(0.3),
        "length": 10,
    }


def test_evaluations_go_before_logs(sweep):
    points = pareto.compare(sweep[3:], ["rouge_l"], ["length"])
    assert [p.values["rouge_l"] for p in points] == [0.7, 0.8]
    assert [p.best for p in points] == [False, True]


def test_what_a_run_lacks_is_named(sweep):
    with pytest.raises(TokenRLError, match='/a".*"rouge_l".*length'):
        pareto.compare(sweep, ["rouge_l"], [])
    with pytest.raises(TokenRLError, match="--maximize"):
        pareto.compare(sweep, [], [])
    with pytest.raises(TokenRLError, match="--runs"):
        pareto.compare([], ["reward"], [])
    with pytest.raises(TokenRLError, match="two objectives"):
        points = pareto.compare(sweep, ["length"], [])
        pareto.draw(points, sweep[0] / "x.html")


def test_the_command_prints_a_table_and_draws(sweep, capsys, tmp_path):
    out = tmp_path / "deep" / "pareto.html"
    cli.run(
        ["pareto", "--runs", *map(str, sweep), "--out", str(out)]
        + ["--maximize", "rewards/rouge", "--minimize", "length"]
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["run", "rewards/rouge", "length", "front"]
    assert lines[1].split() == ["a", "0.300", "10.0", "yes"]
    assert lines[3].split() == ["c", "0.400", "25.0"]
    page = out.read_text("utf-8")
    assert "<e>" not in page and "Plotly.newPlot" in page
