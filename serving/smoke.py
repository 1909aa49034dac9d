"""Does a running server answer as the trainer did?

    python serving/smoke.py savedmodels/headline/1.answers.jsonl

Any server of TensorFlow Serving's API can be asked, the stock one or the
embedded one. The record is written by `tf-tokenrl export --prompts` and by
the demo. Prints what was found as one line of JSON; the exit status is 0 if
every answer is the same and no log-prob is off by more than 1e-4 nats.
"""

import argparse
import json
import sys
from pathlib import Path

from tf_tokenrl.client import TLS, Client
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.parity import golden_answers


def main(arguments: list[str]) -> int:
    """Ask and compare; the exit status."""
    options = _parser().parse_args(arguments)
    tls = TLS(
        options.authority,
        options.certificate,
        options.key,
        options.server_name,
    )
    answers = golden_answers.read(options.answers)
    with Client(
        options.address,
        options.model,
        version=options.version,
        timeout=options.timeout,
        tls=tls if options.tls or tls != TLS() else None,
    ) as client:
        client.wait_ready(options.wait)
        found = golden_answers.compare(client, answers, options.batch_size)
    print(json.dumps(found))
    return 0 if found["equal"] else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("answers", type=Path, help="the trainer's answers, JSON lines")
    add("--address", default="localhost:8500", help="host:port or unix:path")
    add("--model", default="headline", help="its name on the server")
    add("--version", type=int, help="the newest by default")
    add("--batch-size", type=int, default=16, help="prompts per request")
    add("--timeout", type=float, default=60.0, help="seconds per request")
    add("--wait", type=float, default=60.0, help="seconds for the server")
    add("--tls", action="store_true", help="encrypt; the four below imply it")
    add("--authority", type=Path, help="PEM of who signed the server's name")
    add("--certificate", type=Path, help="PEM of this side's certificate")
    add("--key", type=Path, help="PEM of this side's key")
    add("--server-name", help="in the certificate, if not the host")
    return parser


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except TokenRLError as error:
        sys.exit(f"smoke.py: {error}")
