"""Tables: every cell is the text that stands there."""

import pytest

from tf_tokenrl.datasets import readers, tables
from tf_tokenrl.errors import TokenRLError


def write(path, text):
    path.write_bytes(text.encode())
    return path


def test_words_that_look_like_no_value_are_words(tmp_path):
    text = "text,label\nnull,NA\nNone,no\nnan,yes\n,yes\n"
    rows = tables.read_csv(write(tmp_path / "x.csv", text))
    assert [row["text"] for row in rows] == ["null", "None", "nan", ""]
    assert rows[0]["label"] == "NA"


def test_quotes_belong_to_csv_alone(tmp_path):
    text = '\ufefftext,n\n"hello, there",1\n"two\nlines",2\n'
    rows = tables.read_csv(write(tmp_path / "x.csv", text))
    assert [dict(row) for row in rows] == [
        {"text": "hello, there", "n": "1"},
        {"text": "two\nlines", "n": "2"},
    ]
    text = 's\tt\na\t1\n"b\t2\nc "x"\t3\nd\t4'
    rows = tables.read_tsv(write(tmp_path / "x.tsv", text))
    assert [row["s"] for row in rows] == ["a", '"b', 'c "x"', "d"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.csv", 'a,b\n1,2\n"3,4\n5,6\n', "begins in line 3 is not CSV"),
        ("x.csv", "a,b\n1,2,3\n", "line 2 has 3 fields .* 2 .a, b."),
        ("x.tsv", "a\tb\n1\n", "line 2 has 1 fields"),
        ("x.csv", "a,b\n", "no rows below its header"),
        ("x.parquet", "no", "not a parquet file"),
    ],
)
def test_mistakes_name_the_line(tmp_path, name, text, message):
    path = write(tmp_path / name, text)
    with pytest.raises(TokenRLError, match=message):
        readers.read(str(path), "train")


@pytest.mark.parametrize("ending", ["parquet", "arrow", "feather"])
def test_arrow_tells_a_null_from_the_word(tmp_path, ending):
    import pyarrow
    import pyarrow.feather
    import pyarrow.parquet

    table = pyarrow.table({"text": ["null", None, "a"], "n": [1, 2, 3]})
    path = tmp_path / f"x.{ending}"
    if ending == "parquet":
        pyarrow.parquet.write_table(table, path)
    elif ending == "feather":
        pyarrow.feather.write_feather(table, path)
    else:
        with pyarrow.ipc.new_stream(str(path), table.schema) as stream:
            stream.write_table(table)
    rows = tables.read_arrow(path)
    assert [row["text"] for row in rows] == ["null", None, "a"]
    assert readers.texts(rows[1], "text", "x") == []
    assert rows[1].place == f'"{path}", row 2'
