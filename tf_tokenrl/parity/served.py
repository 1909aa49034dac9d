"""Does the served model answer as the trained one does? Measured."""

import contextlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tf_tokenrl import evaluation
from tf_tokenrl.client import Client
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example
from tf_tokenrl.parity import golden_answers
from tf_tokenrl.parity.golden_answers import RecordedAnswer
from tf_tokenrl.policies.base import Policy

_READY = re.compile(r"Running gRPC ModelServer at (\S+) ")


class RunningServer(NamedTuple):
    """A server process: where it listens, and its number."""

    address: str
    process: int


@contextlib.contextmanager
def serving(savedmodel: str | Path, *flags: str) -> Iterator[RunningServer]:
    """A server process of its own for one model.

    Args:
        savedmodel: `<name>/<version>`.
        flags: more flags of the server.

    Raises:
        TokenRLError: the server does not start.
    """
    base = Path(savedmodel).resolve().parent
    command = [sys.executable, "-m", "tf_tokenrl.serving", "--port=0"]
    command += [f"--model_name={base.name}", f"--model_base_path={base}"]
    with tempfile.TemporaryFile("w+") as errors:  # a pipe could fill up
        process = subprocess.Popen(
            [*command, *flags], stdout=subprocess.PIPE, stderr=errors, text=True
        )
        assert process.stdout
        try:
            ready = _READY.match(process.stdout.readline())
            if not ready:
                process.kill()
                process.wait()
                errors.seek(0)
                lines = errors.read().strip().split("\n")
                raise TokenRLError(f"The server did not start: {lines[-1]}")
            yield RunningServer(ready.group(1), process.pid)
        finally:
            process.terminate()
            process.communicate()


def record(policy: Policy, examples: Sequence[Example]) -> list[RecordedAnswer]:
    """The policy's greedy answers.

    The log-probs are what the policy's training pass says of the tokens, not
    what it said while it chose them.
    """
    answers = evaluation.answer(policy, examples)
    scores = policy.score(answers.rollout, temperature=1.0).log_probs.numpy()
    rows = zip(
        examples, answers.responses, scores, answers.rollout.mask, strict=True
    )
    return [
        RecordedAnswer(
            example.prompt,
            response.text,
            response.token_ids,
            tuple(log_probs[mask].tolist()),
        )
        for example, response, log_probs, mask in rows
    ]


def served_equals_trainer(
    answers: Sequence[RecordedAnswer], savedmodel: str | Path
) -> dict:
    """Serve a SavedModel and hold it against recorded answers.

    Returns:
        See `golden_answers.compare`.
    """
    name = Path(savedmodel).parent.name
    with serving(savedmodel) as server, Client(server.address, name) as client:
        return golden_answers.compare(client, answers)
