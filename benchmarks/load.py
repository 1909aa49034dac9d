"""`python -m benchmarks.load`: many clients while versions come and go.

Two new versions are put beside the first one, and the last is taken away
again. Every answer is compared with what its version says to that prompt
alone, in a batch of one. Then memory is watched: while prompts are made of
words never seen before, and while versions are swapped.
"""

import asyncio
import dataclasses
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import command, serving
from benchmarks.options import Work

_FLAGS = (
    "--enable_batching",
    "--file_system_poll_wait_seconds=1",
    "--grpc_max_threads=256",  # by default 64 calls at once, and no more
)
_NAME = "benchmark"
_TOLERANCE = 1e-4  # nats


@dataclass(frozen=True)
class Load(Work):
    """Clients ask without a pause, each one prompt at a time.

    Attributes:
        layers: of the model.
        heads: of its attention.
        width: of its hidden states.
        vocabulary: number of tokens.
        batch: prompts that the server may join.
        prompt: tokens of the longest prompt.
        new: tokens of the longest answer.
        clients: who ask at the same time.
        seconds: how long they do.
        questions: different prompts and seeds.
        words: different words in prompts, once the load is over.
        swaps: versions that are loaded one after another in the end.
    """

    layers: int = 2
    heads: int = 4
    width: int = 128
    vocabulary: int = 4096
    batch: int = 32
    new: int = 16
    clients: int = 64
    seconds: float = 300.0
    questions: int = 50
    words: int = 100_000
    swaps: int = 50


@dataclass(frozen=True)
class Question:
    """A prompt and how its answer is drawn."""

    prompt: str
    seed: int
    max_new_tokens: int


@dataclass
class Seen:
    """What one client saw."""

    versions: list[int] = dataclasses.field(default_factory=list)
    seconds: list[float] = dataclasses.field(default_factory=list)
    failures: list[str] = dataclasses.field(default_factory=list)
    wrong: int = 0


def measure(work: Load) -> dict:
    """Ask all the time, change the versions meanwhile, and count."""
    from tf_tokenrl.parity.served import serving as server_of

    questions = _questions(work)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        staged, base = folder / "staged", folder / _NAME
        expected = _export(work, staged, questions)
        _put(staged / "1", base / "1")
        file = folder / "batching.config"
        file.write_text(serving.batching(work.batch, 2000))
        flags = (*_FLAGS, f"--batching_parameters_file={file}")
        with server_of(base / "1", *flags) as server:
            seen, seconds = asyncio.run(
                _load(work, server.address, questions, expected, staged, base)
            )
            memory = _say_new_words(work, server)
            memory |= _swap(work, server, staged / "1", base)
    return {**command.described(work), **_report(seen, seconds), **memory}


def _questions(work: Load) -> list[Question]:
    from benchmarks import words

    draw = np.random.default_rng(0)
    lengths = draw.integers(0, work.prompt, work.questions)
    limits = draw.integers(1, work.new + 1, work.questions)
    return [
        Question(
            words.prompts(1, int(length), work.vocabulary, seed)[0],
            seed,
            int(limit),
        )
        for seed, (length, limit) in enumerate(
            zip(lengths, limits, strict=True)
        )
    ]


def _export(
    work: Load, staged: Path, questions: list[Question]
) -> dict[int, list]:
    """Three versions that answer differently, and their answers."""
    from benchmarks import subjects

    policy = subjects.policy(work)
    weights = policy.get_weights()
    expected = {}
    for version in (1, 2, 3):
        policy.set_weights([w * (1 + 0.1 * version) for w in weights])
        policy.export(staged / str(version))
        ask = serving.in_process(staged / str(version))
        expected[version] = [
            ask(q.prompt, q.seed, q.max_new_tokens) for q in questions
        ]
    return expected


def _put(version: Path, place: Path) -> None:
    """A copy that is there all at once."""
    place.parent.mkdir(exist_ok=True)
    unfinished = place.with_name(f"unfinished-{place.name}")
    shutil.copytree(version, unfinished)
    os.replace(unfinished, place)


async def _load(
    work: Load, address: str, questions, expected, staged: Path, base: Path
) -> tuple[list[Seen], float]:
    """All clients at once, and the versions that change meanwhile."""
    seen = [Seen() for _ in range(work.clients)]
    over = asyncio.Event()
    start = time.monotonic()
    clients = [
        _ask_on(address, questions, expected, over, number, each)
        for number, each in enumerate(seen)
    ]
    await asyncio.gather(*clients, _change(work, address, staged, base, over))
    return seen, time.monotonic() - start


async def _ask_on(
    address: str, questions, expected, over, turn: int, seen: Seen
) -> None:
    from tf_tokenrl.client import AsyncClient, ServingError

    async with AsyncClient(address, _NAME) as client:
        while not over.is_set():
            turn += 1
            index = turn * 7 % len(questions)
            question = questions[index]
            began = time.perf_counter()
            try:
                reply = await client.generate(
                    question.prompt,
                    seed=question.seed,
                    temperature=1.0,
                    max_new_tokens=question.max_new_tokens,
                )
            except ServingError as error:
                seen.failures.append(str(error))
                continue
            seen.seconds.append(time.perf_counter() - began)
            seen.versions.append(reply.version)
            seen.wrong += not _same(reply, expected[reply.version][index])


async def _change(
    work: Load, address: str, staged: Path, base: Path, over: asyncio.Event
) -> None:
    """Versions 2 and 3, and back to 2, each for a quarter of the time."""
    from tf_tokenrl.client import AsyncClient

    async with AsyncClient(address, _NAME) as client:
        for version in (1, 2, 3, 2):
            if version > 1 and not (base / str(version)).exists():
                place = staged / str(version), base / str(version)
                await asyncio.to_thread(_put, *place)
            elif version == 2:
                os.replace(base / "3", base / "withdrawn")
            while not _serves_only(await client.status(), version):
                await asyncio.sleep(0.05)
            await asyncio.sleep(work.seconds / 4)
    over.set()


def _same(reply, expected: tuple[tuple, np.ndarray]) -> bool:
    ids, log_probs = expected
    if reply.token_ids != ids:
        return False
    return np.allclose(reply.log_probs, log_probs, rtol=0, atol=_TOLERANCE)


def _say_new_words(work: Load, server) -> dict:
    """Full batches of prompts without a word that was said before."""
    from tf_tokenrl.client import Client

    words = [f"x{number}" for number in range(work.words)]
    prompts = [
        " ".join(words[start : start + work.prompt])
        for start in range(0, work.words, work.prompt)
    ]
    resident = [_resident_mb(server.process)]
    with Client(server.address, _NAME) as client:
        for start in range(0, len(prompts), work.batch):
            batch = prompts[start : start + work.batch]
            client.generate(batch, max_new_tokens=1)
            resident.append(_resident_mb(server.process))
    return {
        "words": len(words),
        "memory_mb_before_words": resident[0],
        "memory_mb_after_words": resident[-1],
        "memory_mb_after_half_the_words": resident[len(resident) // 2],
    }


def _swap(work: Load, server, version: Path, base: Path) -> dict:
    """Load one version after another; the server's memory before and after."""
    from tf_tokenrl.client import Client

    before = _resident_mb(server.process)
    after = [before]
    last = 2
    with Client(server.address, _NAME) as client:
        for number in range(10, 10 + work.swaps):
            _put(version, base / str(number))
            while not _serves_only(client.status(), number):
                time.sleep(0.05)
            client.generate("w5 w6", max_new_tokens=2)
            shutil.rmtree(base / str(last))
            last = number
            after.append(_resident_mb(server.process))
    return {
        "swaps": work.swaps,
        "memory_mb_before_swaps": before,
        "memory_mb_after_swaps": after[-1],
        "memory_mb_at_each_tenth": after[::10],
    }


def _serves_only(versions, number: int) -> bool:
    """`number` answers, and every other version has been unloaded."""
    states = {each.version: each.state for each in versions}
    others = {state for n, state in states.items() if n != number}
    return states.get(number) == "AVAILABLE" and others <= {"END"}


def _resident_mb(process: int) -> float:
    """The memory of a process, in units of 2**20 bytes; 0 where unknown."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


def _report(seen: list[Seen], seconds: float) -> dict:
    times = sorted(second for each in seen for second in each.seconds)
    failures = [text for each in seen for text in each.failures]
    report = {
        "requests": len(times),
        "requests_per_second": round(len(times) / seconds, 1),
        "failed": len(failures),
        "wrong_answers": sum(each.wrong for each in seen),
        "versions_seen": sorted({v for e in seen for v in e.versions}),
        "backward_steps": sum(backward(each.versions) for each in seen),
        "latency_p50_seconds": round(statistics.median(times), 4),
        "latency_p99_seconds": round(times[int(0.99 * len(times))], 4),
        "latency_max_seconds": round(times[-1], 4),
    }
    return report | ({"first_failure": failures[0]} if failures else {})


def backward(versions: Sequence[int]) -> int:
    """Steps to a lower version, apart from one from 3 to 2, the rollback."""
    pairs = zip(versions, versions[1:], strict=False)
    steps = [pair for pair in pairs if pair[1] < pair[0]]
    return len(steps) - (steps[:1] == [(3, 2)])


def main(arguments: Sequence[str] | None = None) -> dict:
    """See `command.run`."""
    return command.run("load", Load, measure, arguments)


if __name__ == "__main__":
    main()
