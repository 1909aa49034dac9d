"""Options of `query`."""

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from tf_tokenrl.options.checking import (
    Amount,
    Count,
    NotNegative,
    Options,
    Positive,
    Share,
)


@dataclass(frozen=True)
class QueryOptions(Options):
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
    temperature: NotNegative = 0.0
    seed: int = 0
    top_k: Amount = 0
    top_p: Share = 1.0
    max_new_tokens: Amount = 0
    batch_size: Count = 32
    timeout: Positive = 60.0
    tls: bool = False
    authority: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    server_name: str | None = None
    json: bool = False
