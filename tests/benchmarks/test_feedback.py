import json

import pytest

from benchmarks import feedback


@pytest.mark.parametrize("batch", ["7", "500"])
def test_every_row_is_written_and_read(batch, capsys):
    options = ["--answers", "20", "--tokens", "5", "--batch", batch, "--json"]
    figures = feedback.main(options)
    assert json.loads(capsys.readouterr().out) == figures
    assert set(figures) == {
        "append_answers_per_second",
        "append_judgements_per_second",
        "read_answers_per_second",
        "read_per_second",
    }
