"""Ask a served model: `tf-tokenrl query "Return the length of a list."`."""

import io
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from tf_tokenrl import files
from tf_tokenrl.client import TLS, Client, Reply
from tf_tokenrl.errors import TokenRLError


@dataclass(frozen=True)
class QueryOptions:
    """What to ask, and whom.

    Attributes:
        prompts: the texts to answer; the lines of standard input by default.
        address: "host:port" of a server, or "unix:path"; several, with
            commas, are asked in turn.
        model: the name under which the model is served.
        temperature: 0 always takes the likeliest token.
        seed: the same seed draws the same answer.
        top_k: draw among the k likeliest tokens only; 0 for all.
        top_p: draw among the likeliest tokens that hold this share of the
            probability.
        max_new_tokens: the most tokens to add; 0 for the model's own limit.
        batch_size: prompts sent in one request.
        timeout: seconds that one request may take.
        tls: encrypt the connection; the four below imply it.
        authority: PEM file of who signed the server's certificate; those of
            the system by default.
        certificate: PEM file of this side's certificate, for servers that
            ask for one.
        key: PEM file of its key.
        server_name: the name in the server's certificate, if it is not the
            host.
        json: print one JSON object per answer, with tokens, log-probabilities
            (nats) and values.
    """

    prompts: Positional[tuple[str, ...]] = ()
    address: str = "localhost:8500"
    model: str = "headline"
    temperature: float = 0.0
    seed: int = 0
    top_k: int = 0
    top_p: float = 1.0
    max_new_tokens: int = 0
    batch_size: int = 32
    timeout: float = 60.0
    tls: bool = False
    authority: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    server_name: str | None = None
    json: bool = False


def main(options: QueryOptions) -> None:
    """Print the answers, in the order of the prompts.

    Raises:
        TokenRLError: there is no prompt, or the server does not answer.
    """
    prompts = list(options.prompts) or _lines()
    if not prompts:
        raise TokenRLError(
            "Nothing to ask: give a prompt, or prompts as lines on standard "
            "input."
        )
    if options.batch_size < 1:
        raise TokenRLError("--batch-size must be at least 1.")
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that cannot show a character still shows the answer.
        sys.stdout.reconfigure(errors="backslashreplace")
    cut = 0
    for reply in _replies(prompts, options):
        print(_as_json(reply) if options.json else reply.text, flush=True)
        cut += reply.truncated
    if cut:
        print(
            f"{cut} of {len(prompts)} prompts were longer than the model "
            "reads, and were cut.",
            file=sys.stderr,
        )


def _lines() -> list[str]:
    if sys.stdin.isatty():
        return []
    data = sys.stdin.buffer.read()
    lines = files.lines(data, "The standard input")
    return [line for line in lines if line.strip()]


def _replies(prompts: list[str], options: QueryOptions) -> Iterator[Reply]:
    with Client(
        options.address,
        options.model,
        timeout=options.timeout,
        tls=_tls(options),
    ) as client:
        for start in range(0, len(prompts), options.batch_size):
            yield from client.generate(
                prompts[start : start + options.batch_size],
                seed=options.seed,
                temperature=options.temperature,
                top_k=options.top_k,
                top_p=options.top_p,
                max_new_tokens=options.max_new_tokens,
            )


def _tls(options: QueryOptions) -> TLS | None:
    tls = TLS(
        options.authority,
        options.certificate,
        options.key,
        options.server_name,
    )
    return tls if options.tls or tls != TLS() else None


def _as_json(reply: Reply) -> str:
    return json.dumps(reply._asdict(), ensure_ascii=False)
