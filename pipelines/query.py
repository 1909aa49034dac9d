"""Ask a served model: `tf-tokenrl query "Return the length of a list."`."""

import io
import json
import sys
from collections.abc import Iterator

from tf_tokenrl import files
from tf_tokenrl.client import TLS, Client, Reply
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.options.query import QueryOptions


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
