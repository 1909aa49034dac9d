"""The script that writes a run's report."""

import pytest

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.pipelines.report import ReportOptions, main


def test_says_where_the_report_is(tmp_path, capsys):
    (tmp_path / "log.csv").write_text("step,reward\n1,0.5\n2,0.6\n")
    path = main(ReportOptions(run=tmp_path))
    assert path == tmp_path / "report.html"
    assert path.exists()
    assert capsys.readouterr().out == f"Report: {path}\n"


def test_run_that_is_not_there_is_named(tmp_path):
    with pytest.raises(TokenRLError, match="nowhere"):
        main(ReportOptions(run=tmp_path / "nowhere"))
    assert not (tmp_path / "nowhere").exists()
