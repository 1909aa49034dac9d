"""How requests are joined: a file of batching parameters, checked."""

import dataclasses
import os
from collections.abc import Sequence

from google.protobuf.message import Message

from tf_tokenrl.serving.status import invalid


@dataclasses.dataclass(frozen=True)
class Options:
    """The real server's parameters, with its defaults.

    Attributes:
        max_batch_size: rows of one request, and of a batch unless splitting.
        batch_timeout_micros: how long a batch that is not full waits for
            more, in microseconds.
        max_enqueued_batches: batches that may wait; then requests are
            refused.
        num_batch_threads: batches that run side by side.
        thread_pool_name: only a name.
        allowed_batch_sizes: sizes to pad up to; none allows all.
        pad_variable_length_inputs: pad inputs of unequal shapes, with the
            first value of each.
        enable_large_batch_splitting: let a request be run in parts.
        max_execution_batch_size: rows of a batch when splitting.

    Raises:
        StatusError: sizes contradict each other.
    """

    max_batch_size: int = 1000
    batch_timeout_micros: int = 0
    max_enqueued_batches: int = 10
    num_batch_threads: int = dataclasses.field(
        default_factory=lambda: os.cpu_count() or 1
    )
    thread_pool_name: str = "batch_threads"
    allowed_batch_sizes: Sequence[int] = ()
    pad_variable_length_inputs: bool = False
    enable_large_batch_splitting: bool = False
    max_execution_batch_size: int = 0

    def __post_init__(self):
        for name in (
            "max_batch_size",
            "max_enqueued_batches",
            "num_batch_threads",
        ):
            if getattr(self, name) < 1:
                raise invalid(
                    f"{name} must be positive; was {getattr(self, name)}"
                )
        if self.batch_timeout_micros < 0:
            raise invalid(
                "batch_timeout_micros must be non-negative; was "
                f"{self.batch_timeout_micros}"
            )
        if not 0 < self.execution_size <= self.max_batch_size:
            raise invalid(
                "max_batch_size must be greater than or equal to "
                f"max_execution_batch_size; was {self.max_batch_size} and "
                f"{self.execution_size}"
            )
        self._check_sizes()

    @classmethod
    def of(cls, parameters: Message) -> "Options":
        """Those of a BatchingParameters message.

        Raises:
            StatusError: see the class.
        """
        values = {}
        for field, value in parameters.ListFields():
            if field.message_type is not None:
                value = value.value
            elif field.name == "allowed_batch_sizes":
                value = tuple(value)
            values[field.name] = value
        return cls(**values)

    @property
    def execution_size(self) -> int:
        """The most rows of a batch."""
        if self.enable_large_batch_splitting and self.max_execution_batch_size:
            return self.max_execution_batch_size
        return self.max_batch_size

    def padded(self, size: int) -> int:
        """The number of rows to run for so many rows."""
        return next((s for s in self.allowed_batch_sizes if s >= size), size)

    def _check_sizes(self) -> None:
        sizes = list(self.allowed_batch_sizes)
        if not sizes:
            return
        if sizes != sorted(set(sizes)) or sizes[0] < 1:
            raise invalid(
                "allowed_batch_sizes entries must be monotonically increasing"
            )
        if sizes[-1] != self.execution_size:
            text = (
                "be equal to max_execution_batch_size"
                if self.enable_large_batch_splitting
                else "match max_batch_size"
            )
            raise invalid(
                f"Last entry in allowed_batch_sizes must {text}; last entry "
                f"was {sizes[-1]}; expected {self.execution_size}"
            )
