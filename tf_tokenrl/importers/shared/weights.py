"""Named tensors of a file, each read once into the variable it belongs to."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from tf_tokenrl.errors import TokenRLError

_BESIDE = 1.2  # all weights, and the one tensor that is being read


class Weights:
    """What KerasHub's converters take for the weights of a folder.

    Tensors are read one by one, so that no more than one of them is in memory
    beside the model, and an account is kept of what was read and written.

    Args:
        source: the file or folder, for messages.
        names: of all its tensors, without a common prefix such as "model.".
        read: gives the tensor of a name.
    """

    def __init__(
        self,
        source: Any,
        names: Iterable[str],
        read: Callable[[str], np.ndarray],
    ):
        self.source = source
        self._names = set(names)
        self._read = read
        self._used: set[str] = set()
        self._filled: set[int] = set()

    def find(self, name: str) -> str | None:
        """The full name of a tensor, whatever stands before it."""
        if name in self._names:
            return name
        ends = [n for n in self._names if n.endswith(f".{name}")]
        return min(ends, key=len) if ends else None

    def get_tensor(self, name: str) -> np.ndarray:
        """A tensor in float32.

        Raises:
            TokenRLError: there is no such tensor.
        """
        full = self.find(name)
        if full is None:
            raise TokenRLError(
                f'"{self.source}" lacks the tensor {name}: it is not complete, '
                "or not of the architecture that it names."
            )
        self._used.add(full)
        tensor = np.asarray(self._read(full), np.float32)
        return tensor.view(_Float32)

    def port_weight(
        self, keras_variable: Any, hf_weight_key: str, hook_fn: Any = None
    ) -> None:
        """Fill a variable; the arguments are called as KerasHub calls them.

        Raises:
            TokenRLError: the tensor has another size.
        """
        tensor = self.get_tensor(hf_weight_key)
        shape = tuple(keras_variable.shape)
        if hook_fn is not None:
            try:
                tensor = hook_fn(tensor, list(shape))
            except ValueError:
                raise self._wrong_shape(hf_weight_key, tensor, shape) from None
        if tuple(tensor.shape) != shape:
            raise self._wrong_shape(hf_weight_key, tensor, shape)
        keras_variable.assign(np.asarray(tensor))
        self._filled.add(id(keras_variable))

    def check_memory(self, numbers: int) -> None:
        """Make sure that the model fits, before anything is read.

        Args:
            numbers: how many weights there are, of four bytes each.

        Raises:
            TokenRLError: less memory is free than they take.
        """
        needed, free = 4 * numbers * _BESIDE, _free_memory()
        if free is not None and needed > free:
            raise TokenRLError(
                f'Loading "{self.source}" takes about {needed / 1e9:.1f} GB of '
                f"memory, and {free / 1e9:.1f} GB are free: end other "
                "programs, or take a smaller model."
            )

    def check(self, model: Any, needless: str) -> None:
        """Make sure that nothing was left out on either side.

        Args:
            model: whose variables must all be filled.
            needless: a regular expression; tensors whose names it matches
                may stay unread.

        Raises:
            TokenRLError: a tensor that nobody read, or a variable that
                nobody filled.
        """
        empty = [v.path for v in model.weights if id(v) not in self._filled]
        if empty:
            raise TokenRLError(
                f'"{self.source}" fills all of the model but '
                f"{_some(empty)}: it is not complete."
            )
        left = sorted(
            name
            for name in self._names - self._used
            if not re.fullmatch(needless, name)
        )
        if left:
            raise TokenRLError(
                f'"{self.source}" has tensors that this model has no place '
                f"for ({_some(left)}): it is of another architecture."
            )

    def _wrong_shape(self, name: str, tensor, shape) -> TokenRLError:
        return TokenRLError(
            f'The tensor {name} of "{self.source}" has the shape '
            f"{list(tensor.shape)}, which does not fit {list(shape)}: the "
            "configuration and the weights are of different models."
        )


def _free_memory() -> int | None:
    """Bytes of memory that are free; None where Linux does not say."""
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if "MemAvailable" in line]
    return 1024 * int(found[0]) if found else None


class _Float32(np.ndarray):
    """An array that stays as precise as it is.

    KerasHub's converter of Mistral casts what it reads to float16.
    """

    def astype(self, dtype, *args, **kwargs):  # noqa: D102
        if np.dtype(dtype) == np.float16:
            return self
        return super().astype(dtype, *args, **kwargs)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
