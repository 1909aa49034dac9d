"""Answers as they are written, by the model's own signatures.

Any server that runs the export can be asked, the stock TensorFlow Serving
too: `stream_begin` and `stream_advance` are calls of Predict, and the state
of the answer travels with them.
"""

import codecs
from collections.abc import AsyncIterator, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np

from tf_tokenrl.client import reading
from tf_tokenrl.client.async_client import AsyncClient
from tf_tokenrl.client.calls import Calls
from tf_tokenrl.client.errors import FailedPrecondition, InvalidArgument

BEGIN, ADVANCE = "stream_begin", "stream_advance"
_TOLD = {"texts", "token_ids", "log_probs", "values", "counts", "ended"}
_TOLD |= {"stopped", "prompt_tokens", "truncated"}
_DTYPES = {
    "seed": np.int64,
    "temperature": np.float32,
    "max_new_tokens": np.int32,
    "top_k": np.int32,
    "top_p": np.float32,
}
_DEFAULTS = {"seed": 0, "temperature": 0.0, "max_new_tokens": 0, "top_k": 0}


class Token(NamedTuple):
    """One token of an answer.

    Attributes:
        id: the sampled id.
        log_prob: in nats.
        value: of the state before, in units of the return.
        end: how many characters of the answer there are with it; -1 where
            the model does not say.
    """

    id: int
    log_prob: float
    value: float
    end: int


class Step(NamedTuple):
    """An answer so far.

    Attributes:
        text: the whole of it; the last character may not be complete.
        tokens: those that are new.
        finish: "" while it goes on, else "stop" or "length".
        version: of the model, the same in all steps of an answer.
        truncated: the prompt was cut.
    """

    text: str
    tokens: tuple[Token, ...]
    finish: Literal["", "stop", "length"]
    version: int
    truncated: bool


async def steps(
    client: AsyncClient,
    prompt: str,
    label: str | None = None,
    tokens: int = 4,
    **options: float,
) -> AsyncIterator[Step]:
    """One answer, step by step.

    A model without the two signatures answers in one step.

    Args:
        client: to whom; its own version and label do not count here.
        prompt: the text.
        label: which version; the newest by default. The steps after the
            first stay with the version that began.
        tokens: of each step after the first.
        options: `seed`, `temperature`, `top_k`, `top_p`, `max_new_tokens` as
            for `Client.generate`.

    Raises:
        ServingError: the server refused or failed.
    """
    calls = Calls(client.model, label=label)
    inputs: dict[str, Any] = {"prompt": np.array([prompt], object)}
    for name, value in (_DEFAULTS | {"top_p": 1.0} | options).items():
        inputs[name] = np.array([value], _DTYPES[name])
    try:
        version, found = await _run(client, calls, BEGIN, inputs)
    except (FailedPrecondition, InvalidArgument) as error:
        if f'"{BEGIN}"' not in str(error):  # there is such a signature
            raise
        yield await _whole(client, calls, prompt, options)
        return
    calls = Calls(client.model, version=version)
    truncated = bool(found["truncated"][0])
    answer = _Answer()
    while True:
        step = answer.step(found, version, truncated)
        yield step
        if step.finish:
            return
        state = {n: a for n, a in found.items() if n not in _TOLD}
        state["steps"] = np.array([tokens], np.int32)
        version, found = await _run(client, calls, ADVANCE, state)


async def _run(
    client: AsyncClient, calls: Calls, signature: str, inputs: Mapping
) -> tuple[int, dict[str, np.ndarray]]:
    def read(response):
        return response.model_spec.version.value, reading.arrays(response)

    return await client._ask(calls.predict(inputs, signature, read=read), None)


async def _whole(
    client: AsyncClient, calls: Calls, prompt: str, options: Mapping[str, Any]
) -> Step:
    reply = await client._ask(calls.generate(prompt, **options), None)
    columns = reply.token_ids, reply.log_probs, reply.values
    return Step(
        reply.text,
        tuple(Token(*numbers, -1) for numbers in zip(*columns, strict=True)),
        "stop" if reply.stopped else "length",
        reply.version,
        reply.truncated,
    )


class _Answer:
    """Counts the characters that each token completes."""

    def __init__(self):
        self._end = 0

    def step(
        self, found: Mapping[str, np.ndarray], version: int, truncated: bool
    ) -> Step:
        count = int(found["counts"][0])
        ended = bool(found["ended"][0])
        texts = [bytes(text) for text in found["texts"][0, :count]]
        columns = (found[n][0] for n in ("token_ids", "log_probs", "values"))
        numbers = zip(*(c[:count].tolist() for c in columns), strict=True)
        tokens = []
        for place, (text, known) in enumerate(zip(texts, numbers, strict=True)):
            final = ended and place == count - 1
            self._end = max(self._end, len(_settled(text, final)))
            token_id, log_prob, value = known
            tokens.append(Token(token_id, log_prob, value, self._end))
        stopped = bool(found["stopped"][0])
        finish: Literal["", "stop", "length"] = ""
        if ended:
            finish = "stop" if stopped else "length"
        so_far = _settled(texts[-1] if texts else b"", ended)
        return Step(so_far, tuple(tokens), finish, version, truncated)


def _settled(data: bytes, final: bool) -> str:
    """The characters that more bytes will not change."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(data, final)
    return text if final else text.rstrip("\ufffd")
