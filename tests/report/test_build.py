"""The page as text: what is on it, and what happens when parts lack."""

import json
import re
import shutil

import pytest

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.report import write_report


@pytest.fixture
def own_run(run, tmp_path):
    """A copy of the run that a test may change."""
    return shutil.copytree(run, tmp_path / "headline")


def words(path) -> str:
    """What stands on the page between its tags, scripts left out."""
    page = path.read_text(encoding="utf-8")
    page = re.sub(r"<(script|style)\b.*?</\1>", " ", page, flags=re.S)
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())


def test_verdict_names_both_scores_and_the_longer_training(run, tmp_path):
    text = words(write_report(run, tmp_path / "page.html"))
    assert "raised rouge_l from 0.213 to 0.255" in text
    assert "intervals are apart" in text
    assert "longer instead gave 0.221" in text


def test_plotly_is_inlined_once(run, tmp_path):
    page = write_report(run, tmp_path / "page.html").read_text("utf-8")
    assert page.count("* plotly.js v") == 1
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=.http", page)


def test_log_alone_is_enough(run, tmp_path):
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(run / "log.csv", alone)
    path = write_report(alone)
    assert path == alone / "report.html"
    text = words(path)
    assert "Curves" in text
    for part in ("Test scores", "Sample answers", "Time", "Options"):
        assert part not in text


@pytest.mark.parametrize("part", ["before", "supervised_longer", "after"])
def test_missing_scores_are_left_out(own_run, part):
    results = json.loads((own_run / "results.json").read_text())
    del results[part]
    (own_run / "results.json").write_text(json.dumps(results))
    text = words(write_report(own_run))
    assert "Test scores" in text
    assert ("from 0.213 to 0.255" in text) == (part == "supervised_longer")


@pytest.mark.parametrize("log", [None, "", "step,reward\n"])
def test_run_without_a_step_is_refused(tmp_path, log):
    if log is not None:
        (tmp_path / "log.csv").write_text(log)
    with pytest.raises(TokenRLError, match=f"{tmp_path.name}.*train"):
        write_report(tmp_path)
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("log.csv", "step,reward\n1,high\n", "high"),
        ("results.json", "{", "not valid JSON"),
        ("samples.json", "{}", "not a JSON list"),
        ("samples.json", '[{"tokens": ["a"], "kl": [1, 2]}]', '2 "kl"'),
    ],
)
def test_damaged_file_is_named_and_old_report_kept(
    own_run, file, content, message
):
    report = write_report(own_run)
    before = report.read_bytes()
    (own_run / file).write_text(content)
    with pytest.raises(TokenRLError, match=message) as error:
        write_report(own_run)
    assert file in str(error.value)
    assert report.read_bytes() == before
    assert [p.name for p in own_run.glob("report*")] == ["report.html"]


def test_out_may_be_a_folder_or_lie_in_a_new_one(run, tmp_path):
    assert write_report(run, tmp_path) == tmp_path / "report.html"
    new = tmp_path / "a" / "b.html"
    assert write_report(run, new) == new
    assert new.exists()


def test_steps_without_a_finite_value_are_counted(tmp_path):
    (tmp_path / "log.csv").write_text(
        "step,reward,kl\n1,0.5,nan\n2,nan,nan\n3,0.6,inf\n"
    )
    text = words(write_report(tmp_path))
    assert "Reward" in text
    assert "1 steps without a finite value" in text
    assert "3 steps without a finite value" in text
