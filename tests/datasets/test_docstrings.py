import pytest

from tf_tokenrl.datasets import docstrings, splits, tfds_source
from tf_tokenrl.datasets.docstrings import Docstrings, Sources
from tf_tokenrl.datasets.harvest import Docstring

NUMBERS = [f"number{letter}" for letter in "abcdefghijklm"]


def row(i: int, name: str = "", summary: str = "", body: str = "") -> Docstring:
    words = " ".join(f"{word}{'x' * i}" for word in NUMBERS)
    return Docstring(
        summary or f"Compute the {'x' * i} of a value.",
        body or f"Returns: {words}",
        "def f(x)",
        "package",
        "function",
        name or f"package.f{i}",
    )


@pytest.fixture
def installed(tmp_path):
    """A folder of forty little modules."""
    folder = tmp_path / "installed"
    folder.mkdir()
    for i in range(40):
        text = (
            f'def f():\n    """{row(i).summary}\n\n    {row(i).body}\n    """\n'
        )
        (folder / f"m{i}.py").write_text(text, "utf-8")
    return folder


def build(installed, tmp_path) -> Docstrings:
    config = Sources(name="little", folders=(installed,))
    builder = Docstrings(
        config=config, data_dir=tmp_path / "tfds", file_format="array_record"
    )
    builder.download_and_prepare()
    return builder


def test_builds_three_splits_of_every_row(installed, tmp_path):
    builder = build(installed, tmp_path)
    assert tuple(builder.info.splits) == splits.SPLITS
    rows = [
        row
        for split in splits.SPLITS
        for row in tfds_source.read_tfds(builder, split)
    ]
    assert {r["name"] for r in rows} == {f"m{i}.f" for i in range(40)}
    assert all(set(r) == set(Docstring._fields) for r in rows)
    (first,) = (r for r in rows if r["name"] == "m0.f")
    assert first["package"] == "m0"
    assert first["signature"] == "def f()"


def test_a_second_build_reads_the_cache(installed, tmp_path):
    first = tfds_source.read_tfds(build(installed, tmp_path), "train")
    for path in installed.iterdir():
        path.unlink()
    again = tfds_source.read_tfds(build(installed, tmp_path), "train")
    assert again == first


def test_relatives_share_a_split():
    rows = [row(i) for i in range(60)]
    namesakes = [
        row(100 + i, summary=r.summary, name=f"other.g{i}")
        for i, r in enumerate(rows)
    ]
    by_split = docstrings.split_rows(rows + namesakes)
    home = {r.name: name for name, rows in by_split.items() for r in rows}
    assert len(home) == 120
    for i in range(60):
        assert home[f"package.f{i}"] == home[f"other.g{i}"]


def test_copies_under_another_name_are_dropped():
    rows = [row(i) for i in range(10)]
    copies = [r._replace(name=f"copy.{r.name}") for r in rows]
    by_split = docstrings.split_rows(rows + copies)
    names = sorted(r.name for rows in by_split.values() for r in rows)
    assert names == sorted(r.name for r in rows)


def test_a_row_keeps_its_split_when_strangers_come_and_go():
    def homes(rows):
        by_split = docstrings.split_rows(rows)
        return {r.name: name for name, rows in by_split.items() for r in rows}

    rows = [row(i) for i in range(40)]
    few = homes(rows[::2])
    assert few.items() <= homes(rows).items()


def test_one_row_of_a_name_stays():
    assert docstrings.distinct([row(1, "a"), row(2, "a"), row(3, "b")]) == [
        row(1, "a"),
        row(3, "b"),
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"summary": "Two words."},
        {"summary": "No end of the sentence"},
        {"summary": "TODO: write the documentation."},
        {"summary": "x = f(y) + 1 - 2 * 3."},
        {"summary": " ".join(["word"] * 30) + "."},
        {"body": "Too short a body."},
        {
            "body": "\n".join(
                f">>> call_number_{i}(argument)" for i in range(20)
            )
        },
        {"body": "To compute the ROOT of a value. " + " ".join(NUMBERS)},
    ],
)
def test_junk_is_no_headline(changes):
    good = row(0, summary="Compute the root of a value.")
    assert docstrings.is_headline(good)
    assert not docstrings.is_headline(good._replace(**changes))


def test_installations_are_told_apart():
    (config,) = Docstrings.BUILDER_CONFIGS
    assert config.name == docstrings.installation()
    assert docstrings.installation().startswith("py3.")
