"""Rows of TensorFlow Datasets, as plain strings and lists of strings."""

import contextlib
import difflib
import io
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core.download import downloader

import tf_tokenrl.datasets.docstrings  # noqa: F401  registers "docstrings"
from tf_tokenrl.errors import TokenRLError

_RETRIES = 3


def open_tfds(name: str) -> tfds.core.DatasetBuilder:
    """The builder of a data set, prepared (and cached) first where need be.

    Args:
        name: "data_set" or "data_set/config".

    Raises:
        TokenRLError: there is no such data set, or it cannot be prepared.
    """
    try:
        builder = tfds.builder(name, **_format(name))
    except tfds.core.registered.DatasetNotFoundError as error:
        raise _unknown(name) from error
    except (ValueError, KeyError) as error:
        raise TokenRLError(
            f'TensorFlow Datasets cannot open "{name}" ({_line(error)}); give '
            '"tfds:NAME" or "tfds:NAME/CONFIG".'
        ) from error
    quiet = _quiet() if _is_ours(name) else contextlib.nullcontext()
    try:
        with quiet, _few_retries():
            builder.download_and_prepare()
    except Exception as error:  # whatever the code of a data set raises
        raise TokenRLError(
            f'TensorFlow Datasets cannot prepare "{name}" in '
            f'"{builder.data_dir}" ({_line(error)}); TFDS_DATA_DIR can name '
            "another folder, and a .jsonl file can stand in for the data set."
        ) from error
    return builder


def read_tfds(builder: tfds.core.DatasetBuilder, split: str) -> list[dict]:
    """The rows of one split: plain lists and texts, classes by their names."""
    try:
        rows = builder.as_data_source(split)
    except NotImplementedError:  # a format without random access
        rows = tfds.as_numpy(builder.as_dataset(split=split))
    features = builder.info.features
    return [_named(features, _plain(row)) for row in rows]


def _unknown(name: str) -> TokenRLError:
    known = tfds.list_builders(with_community_datasets=False)
    close = ", ".join(difflib.get_close_matches(name, known))
    hint = f"Did you mean {close}?" if close else "Check its spelling."
    return TokenRLError(
        f'TensorFlow Datasets has no data set "{name}". {hint} '
        "tfds.list_builders() lists them all."
    )


def _is_ours(name: str) -> bool:
    return name.partition("/")[0] == "docstrings"


def _format(name: str) -> dict:
    """Ours is written so that reading it needs no TensorFlow.

    Note: the data source of TFDS 4.9.10 loses rows of Parquet files.
    """
    if _is_ours(name) and find_spec("array_record"):
        return {"file_format": "array_record"}
    return {}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No news of a download where there is none."""
    tfds.disable_progress_bar()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        tfds.enable_progress_bar()


@contextlib.contextmanager
def _few_retries() -> Iterator[None]:
    """Give up a download after seconds: offline, TFDS retries for minutes.

    It waits 0.2 s, then twice as long each time; ten retries are 204 s, three
    are 1.4 s, enough for a connection that was reset.
    """
    before = downloader.MAX_RETRIES
    downloader.MAX_RETRIES = min(before, _RETRIES)
    try:
        yield
    finally:
        downloader.MAX_RETRIES = before


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return value


def _named(features: Any, row: dict) -> dict:
    """The row with the names of its classes; -1 stands for none in TFDS."""

    def name(feature, value):
        if isinstance(feature, tfds.features.Sequence) and type(value) is list:
            return [name(feature.feature, inner) for inner in value]
        if not isinstance(feature, tfds.features.ClassLabel):
            return value
        return feature.int2str(value) if value >= 0 else None

    return {key: name(features[key], value) for key, value in row.items()}


def _line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines()]
    return next(filter(None, lines), type(error).__name__)[:200]
