"""How answers are drawn: numbers that are numbers, checked before they travel.

NaN passes every comparison, and NumPy cuts 1.5 to 1 without a word.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tf_tokenrl.errors import TokenRLError


def checked(
    seed: Any, temperature: Any, top_k: Any, top_p: Any, max_new_tokens: Any
) -> dict[str, np.ndarray]:
    """The options by name, each one value or several.

    Raises:
        TokenRLError: one of them is not a number, or out of its range.
    """
    limit = 0 if max_new_tokens is None else max_new_tokens
    return {
        "seed": _integers("seed", seed, np.int64),
        "temperature": _floats("temperature", temperature),
        "top_k": _integers("top_k", top_k),
        "top_p": _shares("top_p", top_p),
        "max_new_tokens": _integers("max_new_tokens", limit),
    }


def for_each(
    name: str, values: np.ndarray, prompts: Sequence[str]
) -> np.ndarray:
    """The values, or the one for all, as one for each prompt.

    Raises:
        TokenRLError: there are fewer or more.
    """
    if values.shape not in ((), (len(prompts),)):
        raise TokenRLError(
            f"{name} has {values.size} values for {len(prompts)} prompts: "
            "give one for all, or one for each."
        )
    return np.broadcast_to(values, [len(prompts)])


def one(name: str, values: np.ndarray) -> Any:
    """The only value, as Python has it.

    Raises:
        TokenRLError: there are several.
    """
    if values.shape:
        raise TokenRLError(
            f"A stream answers one prompt: give one value as {name}."
        )
    return values.item()


def _floats(name: str, value: Any) -> np.ndarray:
    """One float32 or several."""
    array = _numbers(name, value, "iuf", "a finite number")
    with np.errstate(over="ignore"):  # what is too large is refused below
        array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise _wrong(name, value, "a finite number")
    return array


def _shares(name: str, value: Any) -> np.ndarray:
    """One float32 from 0 to 1, or several."""
    array = _floats(name, value)
    if ((array < 0) | (array > 1)).any():
        raise _wrong(name, value, "a number from 0 to 1")
    return array


def _integers(name: str, value: Any, dtype: type = np.int32) -> np.ndarray:
    """One integer or several."""
    bits = np.iinfo(dtype).bits
    array = _numbers(name, value, "iu", f"an integer of {bits} bits")
    limits = np.iinfo(dtype)
    if ((array < limits.min) | (array > limits.max)).any():
        raise _wrong(name, value, f"an integer of {bits} bits")
    return array.astype(dtype)


def _numbers(name: str, value: Any, kinds: str, wanted: str) -> np.ndarray:
    try:
        array = np.asarray(value)
    except ValueError as error:  # lists of unequal lengths
        raise _wrong(name, value, wanted) from error
    empty = array.size == 0  # which NumPy takes for floats
    if array.dtype.kind not in kinds and not empty:
        raise _wrong(name, value, wanted)
    return array


def _wrong(name: str, value: Any, wanted: str) -> TokenRLError:
    return TokenRLError(f"{name}={value!r} must be {wanted}.")
