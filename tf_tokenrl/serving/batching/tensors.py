"""Rows of several requests as one batch, and back."""

from collections.abc import Sequence

import grpc
import numpy as np

from tf_tokenrl.serving.batching.options import Options
from tf_tokenrl.serving.batching.task import Feeds, Task, Values
from tf_tokenrl.serving.status import StatusError, invalid

_HIGHEST_RANK = 6


def check(feeds: Feeds) -> None:
    """Refuse what has no rows, or not equally many.

    Raises:
        StatusError: INVALID_ARGUMENT.
    """
    if not feeds:
        raise invalid("Batching Run() must have at least one input tensor")
    arrays = list(feeds.values())
    for array in arrays:
        if not array.ndim:
            raise invalid(
                "Batching Run() input tensors must have at least one dimension"
            )
        if len(array) != len(arrays[0]):
            raise invalid(
                "Batching Run() input tensors must have equal 0th-dimension "
                "size"
            )


def joined(tasks: Sequence[Task], options: Options) -> Feeds:
    """The rows of all tasks, one after the other, padded to an allowed size.

    Padding rows are the first row of the last task that has rows.

    Raises:
        StatusError: shapes differ and are not padded, or cannot be.
    """
    feeds = {}
    rows = sum(task.size for task in tasks)
    for name in tasks[0].feeds:
        arrays = [task.feeds[name] for task in tasks]
        if options.pad_variable_length_inputs:
            arrays = _padded(arrays)
        if len({array.shape[1:] for array in arrays}) > 1:
            raise _unequal(name)
        missing = options.padded(rows) - rows
        if missing and rows:
            last = [array for array in arrays if len(array)][-1]
            arrays.append(np.repeat(last[:1], missing, axis=0))
        feeds[name] = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
    return feeds


def divided(values: Values, tasks: Sequence[Task], rows: int) -> list[Values]:
    """What belongs to each task.

    Args:
        values: as the batch was answered.
        tasks: in the order in which they were joined.
        rows: of the batch, padding included.

    Raises:
        StatusError: an output has not a row for each row of the inputs.
    """
    for array in values.values():
        if not np.ndim(array):
            raise _failed("Batched output tensor has 0 dimensions")
        if len(array) != rows:
            raise _failed(
                "Batched output tensor's 0th dimension does not equal the sum "
                "of the 0th dimension sizes of the input tensors"
            )
    parts, start = [], 0
    for task in tasks:
        stop = start + task.size
        parts.append({n: values[n][start:stop] for n in task.fetches})
        start = stop
    return parts


def _padded(arrays: list[np.ndarray]) -> list[np.ndarray]:
    """Arrays of equal rank, each as wide as the widest, rows aside."""
    if len({array.ndim for array in arrays}) > 1:
        return arrays
    widths = np.max([array.shape for array in arrays], axis=0)[1:]
    return [_widened(array, (len(array), *widths)) for array in arrays]


def _widened(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if array.shape == shape:
        return array
    if not array.size:
        raise invalid("Got empty tensor in batch of non-empty tensors.")
    if array.ndim > _HIGHEST_RANK:
        raise invalid("Only tensors with rank from 1 to 6 can be padded.")
    wide = np.full(shape, array.flat[0], array.dtype)
    wide[tuple(map(slice, array.shape))] = array
    return wide


def _unequal(name: str) -> StatusError:
    return _failed(
        f"Tensors with name '{name}' from different tasks have different "
        "shapes and padding is turned off. Set pad_variable_length_inputs to "
        "true, or ensure that all tensors with the same name have equal "
        "dimensions starting with the first dim."
    )


def _failed(text: str) -> StatusError:
    return StatusError(grpc.StatusCode.FAILED_PRECONDITION, text)
