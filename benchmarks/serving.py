"""`python -m benchmarks.serving`: what serving costs, and what batching gives.

A server in a process of its own, asked over gRPC on the loopback interface;
the same SavedModel run in this process is what it is held against.
"""

import asyncio
import contextlib
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import command
from benchmarks.options import Work

PEER_SCRIPT = "fastapi_serving.py"


@dataclass(frozen=True)
class Serving(Work):
    """Clients ask a server for answers, each one prompt at a time.

    Attributes:
        layers: of the model.
        heads: of its attention.
        width: of its hidden states.
        vocabulary: number of tokens.
        batch: prompts that the server may join.
        clients: who ask at the same time.
        requests: of each client.
        wait_micros: how long the server waits for a batch to fill.
    """

    layers: int = 4
    heads: int = 4
    width: int = 256
    vocabulary: int = 8192
    batch: int = 32
    iterations: int = 15
    clients: int = 32
    requests: int = 6
    wait_micros: int = 50_000


def measure(work: Serving) -> dict:
    """What a server costs one client, and how many tokens many get of it."""
    from benchmarks import subjects, timing

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        saved = folder / "benchmark" / "1"
        subjects.policy(work).export(saved)
        prompts = subjects.prompts(work, work.clients)
        alone = _unbatched(work, saved, prompts)
        joined = _batched(work, saved, folder, prompts)
        streamed = _streamed(work, saved, prompts)
    best = max(alone["one_client_tokens_per_second"], joined)
    return {
        **command.described(work),
        **alone,
        "served_tokens_per_second": joined,
        "best_tokens_per_second": best,
        "times_one_client": round(
            joined / alone["one_client_tokens_per_second"], 2
        ),
        "times_without_batching": round(
            joined / alone["unbatched_tokens_per_second"], 2
        ),
        **streamed,
        "peak_memory_mb": timing.peak_memory_mb(),
    }


def _unbatched(work: Serving, saved: Path, prompts: list[str]) -> dict:
    from tf_tokenrl.client import Client
    from tf_tokenrl.parity.served import serving

    direct = in_process(saved)
    with (
        serving(saved) as server,
        Client(server.address, "benchmark") as client,
    ):

        def served(prompt: str, seed: int, max_new_tokens: int):
            return client.generate(
                prompt,
                seed=seed,
                temperature=1.0,
                max_new_tokens=max_new_tokens,
            )

        here, there = _in_turn(work, direct, served, prompts, work.new)
        one = _rate(work, server.address, prompts[:1], work.iterations)
        many = _rate(work, server.address, prompts, work.requests)
    return {
        "seconds_per_answer": round(there, 5),
        "seconds_in_process": round(here, 5),
        "overhead": round(there / here - 1, 4),
        "one_client_tokens_per_second": one,
        "unbatched_tokens_per_second": many,
    }


def _batched(
    work: Serving, saved: Path, folder: Path, prompts: list[str]
) -> float:
    from tf_tokenrl.parity.served import serving

    file = folder / "batching.config"
    file.write_text(batching(work.batch, work.wait_micros))
    flags = ("--enable_batching", f"--batching_parameters_file={file}")
    with serving(saved, *flags) as server:
        return _rate(work, server.address, prompts, work.requests)


def _streamed(work: Serving, saved: Path, prompts: list[str]) -> dict:
    """The first token of a stream, beside an answer of one token."""
    from tf_tokenrl.client import Client
    from tf_tokenrl.parity.served import serving

    direct = in_process(saved)
    one, first = [], []
    with (
        serving(saved, "--enable_streaming") as server,
        Client(server.address, "benchmark") as client,
    ):
        for turn in range(work.iterations + 1):
            prompt = prompts[turn % len(prompts)]
            start = time.perf_counter()
            direct(prompt, turn, 1)
            one.append(time.perf_counter() - start)
            start = time.perf_counter()
            pieces = client.stream(
                prompt, seed=turn, temperature=1.0, max_new_tokens=work.new
            )
            next(pieces)
            first.append(time.perf_counter() - start)
            written = sum(len(piece.token_ids) for piece in pieces)
            assert 0 < written < work.new
    here, there = statistics.median(one[1:]), statistics.median(first[1:])
    return {
        "seconds_to_first_token": round(there, 5),
        "seconds_of_one_token": round(here, 5),
        "first_token_over_one_token": round(there / here, 2),
    }


def batching(batch: int, wait_micros: int) -> str:
    """The server's file on joining up to `batch` prompts."""
    return f"""
        max_batch_size {{ value: {batch} }}
        batch_timeout_micros {{ value: {wait_micros} }}
        max_enqueued_batches {{ value: 1000 }}
        num_batch_threads {{ value: 1 }}
    """


def in_process(saved: Path):
    """A call that answers one prompt by the runtime's session, right here.

    Returns:
        From a prompt, a seed and the most new tokens to token ids and
        log-probs, drawn at temperature 1.
    """
    import numpy as np
    import tensorflow as tf

    from tf_tokenrl.serving.models.servable import Servable

    servable = Servable(str(saved), ["serve"], tf.compat.v1.ConfigProto())
    signature = servable.signatures["serving_default"]
    names = list(signature.outputs)
    fetches = [signature.outputs[name].name for name in names]

    def answer(prompt: str, seed: int, max_new_tokens: int):
        given: dict[str, np.ndarray] = {
            "prompt": np.array([prompt], object),
            "seed": np.array([seed], np.int64),
            "temperature": np.ones([1], np.float32),
            "top_k": np.zeros([1], np.int32),
            "top_p": np.ones([1], np.float32),
            "max_new_tokens": np.array([max_new_tokens], np.int32),
        }
        feeds = {signature.inputs[n].name: value for n, value in given.items()}
        found = dict(zip(names, servable.run(feeds, fetches), strict=True))
        length = int(found["lengths"][0])
        ids = tuple(found["token_ids"][0, :length].tolist())
        return ids, found["log_probs"][0, :length]

    return answer


def _in_turn(
    work: Serving, direct, served, prompts: list[str], new: int
) -> tuple[float, float]:
    """Median seconds of an answer here and there, measured alternately."""
    seconds: tuple[list[float], list[float]] = [], []
    for turn in range(work.iterations + 1):
        prompt = prompts[turn % len(prompts)]
        for ask, kept in zip((direct, served), seconds, strict=True):
            start = time.perf_counter()
            ask(prompt, turn, new)
            kept.append(time.perf_counter() - start)
    here, there = (statistics.median(kept[1:]) for kept in seconds)
    return here, there


def _rate(
    work: Serving, address: str, prompts: list[str], requests: int
) -> float:
    """Tokens per second over one client for each prompt."""
    asyncio.run(_drive(work, address, prompts, 1))
    seconds = asyncio.run(_drive(work, address, prompts, requests))
    return round(len(prompts) * requests * work.new / seconds, 1)


async def _drive(
    work: Serving, address: str, prompts: list[str], requests: int
) -> float:
    """Seconds in which all clients have made their requests."""
    from tf_tokenrl.client import AsyncClient

    async def ask(client: AsyncClient, number: int):
        for request in range(requests):
            reply = await client.generate(
                prompts[number],
                seed=number * requests + request,
                temperature=1.0,
                max_new_tokens=work.new,
                timeout=600,
            )
            assert len(reply.token_ids) == work.new

    async with contextlib.AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(AsyncClient(address, "benchmark"))
            for _ in prompts
        ]
        start = time.perf_counter()
        await asyncio.gather(*(ask(c, n) for n, c in enumerate(clients)))
        return time.perf_counter() - start


def main(arguments: Sequence[str] | None = None) -> dict:
    """See `command.run`."""
    return command.run("serving", Serving, measure, arguments, PEER_SCRIPT)


if __name__ == "__main__":
    main()
