"""What a SavedModel must offer to stream: two signatures.

`stream_begin` takes what `serving_default` takes, one entry per row: `prompt`
string, `seed` int64, `temperature` and `top_p` float32, `max_new_tokens` and
`top_k` int32. It gives a state, what it has written already (see below),
`prompt_tokens` int32 `[B]` and `truncated` bool `[B]`.

`stream_advance` takes a state and `steps` int32 `[B]`, all equal. It gives
the state after at most so many more tokens, and of these tokens:

    texts string `[B, K]`     the whole answer so far, after each of them
    token_ids int32 `[B, K]`, log_probs and values float32 `[B, K]`
    counts int32 `[B]`        how many of the K columns count
    ended bool `[B]`          the answer is complete
    stopped bool `[B]`        by a stop token, not by its limit

A state is every input of `stream_advance` but `steps`; both signatures give
outputs of the same names. Its first axis is the rows, which do not depend on
each other. Two states are joined row after row; where their other axes
differ, the shorter is padded with zeros at its beginning. A row that goes on
never changes the text it has told, except that U+FFFD at its end may become
the character that was not complete.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import grpc
import numpy as np

from tf_tokenrl.serving.models.servable import Servable
from tf_tokenrl.serving.request_context import RequestContext
from tf_tokenrl.serving.status import StatusError, invalid

BEGIN, ADVANCE = "stream_begin", "stream_advance"
_STEPS = "steps"
# Each is looked for after each token, while all other answers wait.
_MOST_STOPS, _LONGEST_STOP = 16, 1024

State = dict[str, np.ndarray]


class GenerationRequest(NamedTuple):
    """One answer that is wanted; see the inputs of `serving_default`.

    Attributes:
        stop: texts that end the answer and are not part of it.
        whole_prompt: refuse a prompt that the model would cut.
    """

    prompt: bytes
    seed: int = 0
    temperature: float = 0.0
    max_new_tokens: int = 0
    top_k: int = 0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    whole_prompt: bool = False

    def check(self, longest_prompt: int) -> None:
        """Refuse what has no meaning, before it can harm other rows.

        Args:
            longest_prompt: bytes.

        Raises:
            StatusError: INVALID_ARGUMENT.
        """
        if not math.isfinite(self.temperature):
            raise invalid(f"temperature must be finite: {self.temperature}")
        if not 0 <= self.top_p <= 1:  # which NaN is not either
            raise invalid(f"top_p must be from 0 to 1: {self.top_p}")
        if len(self.prompt) > longest_prompt:
            raise PromptTooLong(
                f"The prompt has {len(self.prompt)} bytes, and this server "
                f"reads {longest_prompt} at most: shorten it."
            )
        if len(self.stop) > _MOST_STOPS:
            raise invalid(f"At most {_MOST_STOPS} stop texts are looked for.")
        if max(map(len, self.stop), default=0) > _LONGEST_STOP:
            raise invalid(
                f"A stop text may have {_LONGEST_STOP} characters at most."
            )


class PromptTooLong(StatusError):
    """INVALID_ARGUMENT, for a prompt that would be cut."""

    def __init__(self, text: str):
        super().__init__(grpc.StatusCode.INVALID_ARGUMENT, text)


class DecodedChunk(NamedTuple):
    """What was written, `[B, K]` and `[B]`; see the module."""

    texts: np.ndarray
    token_ids: np.ndarray
    log_probs: np.ndarray
    values: np.ndarray
    counts: np.ndarray
    ended: np.ndarray
    stopped: np.ndarray


class Begun(NamedTuple):
    """Answers that have begun, and what is known of their prompts, `[B]`."""

    state: State
    chunk: DecodedChunk
    prompt_tokens: np.ndarray
    truncated: np.ndarray


class Generator:
    """A servable seen through the two signatures.

    Raises:
        StatusError: FAILED_PRECONDITION, the servable cannot stream.
    """

    def __init__(self, servable: Servable):
        missing = {BEGIN, ADVANCE} - set(servable.signatures)
        if missing:
            raise StatusError(
                grpc.StatusCode.FAILED_PRECONDITION,
                "This model cannot stream: it has no signature "
                f"{' and no '.join(sorted(missing))}.",
            )
        self._servable = servable.alone  # batches are what a loop makes
        inputs = servable.signatures[ADVANCE].inputs
        self._state = sorted(set(inputs) - {_STEPS})

    def begin(self, requests: Sequence[GenerationRequest]) -> Begun:
        """Read the prompts.

        Raises:
            StatusError: the runtime's own.
        """
        prompts = np.array([request.prompt for request in requests], object)
        inputs = {
            "prompt": prompts,
            "seed": np.array([request.seed for request in requests], np.int64),
            "temperature": _floats(request.temperature for request in requests),
            "max_new_tokens": _ints(
                request.max_new_tokens for request in requests
            ),
            "top_k": _ints(request.top_k for request in requests),
            "top_p": _floats(request.top_p for request in requests),
        }
        found = self._run(BEGIN, inputs, "prompt_tokens", "truncated")
        state, chunk = self._split(found)
        return Begun(state, chunk, found["prompt_tokens"], found["truncated"])

    def advance(self, state: State, steps: int) -> tuple[State, DecodedChunk]:
        """Write at most `steps` more tokens of each row.

        Raises:
            StatusError: the runtime's own.
        """
        rows = row_count(state)
        inputs = state | {_STEPS: np.full([rows], steps, np.int32)}
        return self._split(self._run(ADVANCE, inputs))

    def _run(
        self, name: str, inputs: Mapping[str, np.ndarray], *more: str
    ) -> dict[str, np.ndarray]:
        signature = self._servable.signatures[name]
        asked = (*self._state, *DecodedChunk._fields, *more)
        arrays = self._servable.run(
            {signature.inputs[n].name: a for n, a in inputs.items()},
            [signature.outputs[n].name for n in asked],
            RequestContext(alone=True),  # its rows are a batch already
        )
        return dict(zip(asked, arrays, strict=True))

    def _split(
        self, found: dict[str, np.ndarray]
    ) -> tuple[State, DecodedChunk]:
        state = {name: found[name] for name in self._state}
        return state, DecodedChunk(
            *(found[name] for name in DecodedChunk._fields)
        )


def row_count(state: State) -> int:
    """How many answers a state holds."""
    return len(next(iter(state.values())))


def take(state: State, rows: Sequence[int]) -> State:
    """The state of some rows, in the order given."""
    if list(rows) == list(range(row_count(state))):
        return state
    return {name: array[list(rows)] for name, array in state.items()}


def join(first: State, second: State) -> State:
    """The rows of two states, one after the other."""
    joined = {}
    for name, array in first.items():
        other = second[name]
        longest = np.maximum(array.shape[1:], other.shape[1:])
        joined[name] = np.concatenate(
            [_padded(array, longest), _padded(other, longest)]
        )
    return joined


def _padded(array: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    missing = np.subtract(sizes, array.shape[1:])
    if not missing.any():
        return array
    return np.pad(array, [(0, 0), *((int(n), 0) for n in missing)])


def _floats(values) -> np.ndarray:
    return np.array(list(values), np.float32)


def _ints(values) -> np.ndarray:
    return np.array(list(values), np.int32)
