"""Does the served model answer as the trained one does? Measured."""

import contextlib
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from tf_tokenrl import evaluation
from tf_tokenrl.client import Client, Reply
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example
from tf_tokenrl.models.policy import Policy

_READY = re.compile(r"Running gRPC ModelServer at (\S+) ")
_TOLERANCE = 1e-4  # nats


@contextlib.contextmanager
def serving(savedmodel: str | Path) -> Iterator[str]:
    """A server process of its own for one model; yields its address.

    Args:
        savedmodel: `<name>/<version>`.

    Raises:
        TokenRLError: the server does not start.
    """
    base = Path(savedmodel).resolve().parent
    command = [sys.executable, "-m", "tf_tokenrl.serving", "--port=0"]
    command += [f"--model_name={base.name}", f"--model_base_path={base}"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout and process.stderr  # both are pipes
    try:
        ready = _READY.match(process.stdout.readline())
        if not ready:
            process.kill()
            lines = process.stderr.read().strip().split("\n")
            raise TokenRLError(f"The server did not start: {lines[-1]}")
        yield ready.group(1)
    finally:
        process.terminate()
        process.communicate()


def served_equals_trainer(
    policy: Policy,
    savedmodel: str | Path,
    examples: Sequence[Example],
    batch_size: int = 50,
) -> dict:
    """Ask both the same prompts greedily and compare token for token.

    Returns:
        `prompts` and `identical_answers`, counts; `largest_log_prob_gap` in
        nats, between what the server returns and what the policy's training
        pass says of the same tokens; `equal`, whether all answers are the
        same and the gap is at most 1e-4.
    """
    answers = evaluation.answer(policy, examples)
    scores = policy.score(answers.rollout, temperature=1.0).log_probs.numpy()
    prompts = [example.prompt for example in examples]
    name = Path(savedmodel).parent.name
    replies: list[Reply] = []
    with serving(savedmodel) as address, Client(address, name) as client:
        for start in range(0, len(prompts), batch_size):
            replies += client.generate(prompts[start : start + batch_size])
    same, gap = 0, 0.0
    rows = zip(
        replies, answers.responses, scores, answers.rollout.mask, strict=True
    )
    for reply, response, log_probs, mask in rows:
        if reply.token_ids != response.token_ids:
            continue
        same += 1
        difference = np.abs(np.array(reply.log_probs) - log_probs[mask])
        gap = max(gap, float(difference.max(initial=0.0)))
    return {
        "prompts": len(prompts),
        "identical_answers": same,
        "largest_log_prob_gap": gap,
        "equal": same == len(prompts) and gap <= _TOLERANCE,
    }
