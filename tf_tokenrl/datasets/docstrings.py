"""TensorFlow Datasets builder `docstrings`: real text, nothing to download.

    import tensorflow_datasets as tfds
    import tf_tokenrl.datasets.docstrings

    dataset = tfds.load("docstrings", split="train")

The configuration is named after the installation, so that a cached build is
never that of other packages.
"""

import contextlib
import gc
import hashlib
import importlib.metadata
import platform
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import tensorflow_datasets as tfds
from tqdm import tqdm

from tf_tokenrl.datasets import harvest, near_copies, splits
from tf_tokenrl.datasets.harvest import Docstring

_FEWEST_SUMMARY_WORDS, _MOST_SUMMARY_WORDS = 3, 25
_FEWEST_BODY_WORDS = 12
_START = 1500  # characters of a body in which these words must come
_PLACEHOLDER = re.compile(r"(?i)\btodo\b|\bfixme\b|^\W*deprecated\b|::")
_DOCTEST = re.compile(r"^[ \t]*(>>>|\.\.\. ).*$", re.MULTILINE)
_WORD = re.compile(r"[A-Za-z]{2,}")


def installation() -> str:
    """A name for what is installed: Python's version and a fingerprint.

    Two installations share a name only if they hold the same packages in the
    same versions, hence the same docstrings.
    """
    folders = [str(folder) for folder in harvest.source_folders()]
    found = importlib.metadata.distributions(path=folders)
    packages = sorted({f"{d.name}=={d.version}" for d in found})
    text = "\n".join([platform.python_version(), *packages])
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"py{platform.python_version()}-{digest[:12]}"


@dataclass
class Sources(tfds.core.BuilderConfig):
    """Which folders of Python sources are read.

    Attributes:
        folders: folders of `sys.path`; empty: those of this installation.
    """

    folders: tuple[Path, ...] = ()


class Docstrings(tfds.core.GeneratorBasedBuilder):
    """One-line summaries and bodies of the docstrings of this installation."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {
        "1.0.0": "Summary, body, signature, package, kind and name; one of "
        "each set of near copies; relatives in one split."
    }
    BUILDER_CONFIGS = [
        Sources(
            name=installation(),
            description="The standard library and every installed package.",
        )
    ]

    # TFDS would look for it with a package that it needs and does not declare.
    code_path = Path(__file__)

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Docstrings of the installed packages and of the "
            "standard library: a one-line summary and the body after it.",
            features=tfds.features.FeaturesDict(
                {field: tfds.features.Text() for field in Docstring._fields}
            ),
            supervised_keys=("body", "summary"),
        )

    def _split_generators(self, dl_manager):
        folders = self.builder_config.folders or harvest.source_folders()
        with _without_garbage_collection():
            rows = distinct(filter(is_headline, collect(folders)))
            by_split = split_rows(rows)
        return {
            name: ((row.name, row._asdict()) for row in rows)
            for name, rows in by_split.items()
        }

    def _generate_examples(self, rows):
        yield from rows


def collect(folders: Iterable[Path]) -> Iterator[Docstring]:
    """Every docstring with a one-line summary and a body, files in order."""
    files = [
        (path, folder)
        for folder in folders
        for path in harvest.source_files(Path(folder))
    ]
    # Without a terminal (disable=None) there is no bar.
    bar = tqdm(files, "Reading docstrings", unit=" files", disable=None)
    for path, folder in bar:
        yield from harvest.read_file(path, folder)


def is_headline(row: Docstring) -> bool:
    """Whether the summary is a sentence that says what the body is about."""
    words = len(row.summary.split())
    prose = _WORD.findall(_DOCTEST.sub("", row.body[:_START]))
    return (
        row.summary.endswith((".", "!", "?"))
        and _FEWEST_SUMMARY_WORDS <= words <= _MOST_SUMMARY_WORDS
        and len(_WORD.findall(row.summary)) * 2 > words
        and not _PLACEHOLDER.search(row.summary)
        and len(prose) >= _FEWEST_BODY_WORDS
        and row.summary.lower() not in row.body.lower()
    )


def distinct(rows: Iterable[Docstring]) -> list[Docstring]:
    """The rows without repeated names; the first of each name stays."""
    by_name: dict[str, Docstring] = {}
    for row in rows:
        by_name.setdefault(row.name, row)
    return list(by_name.values())


def split_rows(rows: list[Docstring]) -> dict[str, list[Docstring]]:
    """Drop near copies and split so that relatives stay together.

    Relatives are rows that are alike and rows with the same summary; the
    split hashes the text and the name of their first member.
    """
    copies = near_copies.find_copies(
        [f"{row.summary} {row.body}" for row in rows]
    )
    links = list(copies.related)
    first: dict[str, int] = {}
    for i in copies.kept:
        j = first.setdefault(splits.loose_form(rows[i].summary), i)
        links.append((j, i))
    group = near_copies.groups(len(rows), links)
    keys: dict[int, str] = {}
    by_split: dict[str, list[Docstring]] = {s: [] for s in splits.SPLITS}
    for i in copies.kept:
        if group[i] not in keys:
            text = splits.loose_form(f"{rows[i].summary} {rows[i].body}")
            keys[group[i]] = f"{text}\n{rows[i].name}"
        by_split[splits.split_of(keys[group[i]])].append(rows[i])
    return by_split


@contextlib.contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Syntax trees hold no cycles; looking for them is slow."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
