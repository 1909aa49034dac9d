"""An adapter alone in a file, which names the base that it belongs to."""

import hashlib
from pathlib import Path

import numpy as np
import safetensors
import tensorflow as tf
from safetensors import numpy as safetensors_numpy

from tf_tokenrl import adapters, files
from tf_tokenrl.adapters import Adapter
from tf_tokenrl.adapters.base import walk
from tf_tokenrl.errors import TokenRLError

_FORMAT = "tf_tokenrl adapter 1"


def save(adapter: Adapter, leaves: dict, path: str | Path) -> None:
    """Write an adapter, whole or not at all.

    Args:
        adapter: its expression and all its numbers are written.
        leaves: of the base, without heads; their hash is written.
        path: of the file, of the format safetensors.

    Raises:
        TokenRLError: it cannot be written.
    """
    # Arrays that are not contiguous would be written in another order.
    arrays = {
        name: np.ascontiguousarray(variable.numpy())
        for name, variable in adapter.numbers().items()
    }
    known = {
        "format": _FORMAT,
        "expression": repr(adapter),
        "base": fingerprint(leaves),
    }
    with files.replacing(path) as partial:
        safetensors_numpy.save_file(arrays, partial, known)


def load(leaves: dict, path: str | Path) -> tuple[Adapter, dict]:
    """Read an adapter.

    Returns:
        An adapter that has no numbers yet, and its numbers by name.

    Raises:
        TokenRLError: there is no such file, or it is of another base.
    """
    try:
        with safetensors.safe_open(str(path), "numpy") as file:
            known = file.metadata() or {}
            names = file.keys()
            arrays = {name: file.get_tensor(name) for name in names}
    except (OSError, safetensors.SafetensorError) as error:
        reason = str(error).strip().split("\n")[0]
        raise TokenRLError(
            f'"{path}" cannot be read as an adapter ({reason}): name a file '
            "that `save_adapter` wrote."
        ) from error
    if known.get("format") != _FORMAT:
        raise TokenRLError(
            f'"{path}" is not an adapter of tf_tokenrl: name a file that '
            "`save_adapter` wrote."
        )
    if known["base"] != fingerprint(leaves):
        raise TokenRLError(
            f'The adapter "{path}" was made for other weights than those of '
            "this policy: load it onto the model that it was trained on."
        )
    return adapters.parse(known["expression"]), arrays


def fill(adapter: Adapter, arrays: dict[str, np.ndarray]) -> None:
    """Give an adapter its numbers, all or none.

    Raises:
        TokenRLError: there are too few or too many of them.
    """
    numbers = adapter.numbers()
    wrong = sorted(set(numbers) ^ set(arrays)) or [
        name for name in numbers if numbers[name].shape != arrays[name].shape
    ]
    if wrong:
        raise TokenRLError(
            f'The adapter\'s file and the model differ in "{wrong[0]}": load '
            "it onto the model that it was trained on."
        )
    for name, variable in numbers.items():
        variable.assign(arrays[name])


def fingerprint(leaves: dict) -> str:
    """A hash of weights by role, the same however the model was built."""
    found = hashlib.sha256()
    for path, entries in sorted(walk(leaves), key=lambda pair: pair[0]):
        for name, leaf in sorted(entries.items()):
            value = tf.cast(leaf.tensor(), tf.float32).numpy()
            found.update(f"{path}.{name}{value.shape}".encode())
            found.update(np.ascontiguousarray(value).tobytes())
    return found.hexdigest()
