"""The least time the work can take on a machine with two ceilings.

    seconds = max(bytes / bytes per second, flops / flops per second)

for each part of the work, and parts add up. Counted is what no program can
leave out: one sampling step reads all weights and the keys and values that
are there; one token passes each weight once going forward and twice going
back; Adam reads weights, gradients and two moments and writes all but the
gradients. Softmax, norms, activations and everything between are left out,
so 1.0 is out of reach.

Source: Williams, Waterman and Patterson (2009), "Roofline: An Insightful
Visual Performance Model for Multicore Architectures".
"""

from benchmarks.machine import Machine
from benchmarks.options import Work

_OPTIMIZER_PASSES = 7  # 4 read, 3 written


def sampling(work: Work, machine: Machine, prompts: int | None = None) -> float:
    """Seconds of reading prompts and sampling `work.batch` answers.

    Args:
        work: the sizes.
        machine: the ceilings.
        prompts: how many differ; by default every answer has its own.
    """
    rows = work.batch if prompts is None else prompts
    flops = forward_flops(work, rows, work.prompt, rows)
    seconds = flops / machine.flops_per_second
    for step in range(1, work.new):
        seconds += step_seconds(work, machine, work.prompt + step)
    return seconds


def step_seconds(work: Work, machine: Machine, context: int) -> float:
    """Seconds of one token for each of `work.batch` answers.

    Args:
        work: the sizes.
        machine: the ceilings.
        context: tokens that are there, the one read included.
    """
    cached = 2 * work.layers * work.width * context * work.batch
    moved = (parameters(work) + cached) * _bytes(work)
    flops = 2 * work.batch * parameters(work)
    flops += 4 * work.layers * work.width * context * work.batch
    return max(
        moved / machine.bytes_per_second, flops / machine.flops_per_second
    )


def scoring(work: Work, machine: Machine, prompts: int | None = None) -> float:
    """Seconds of the log-probs of `work.batch` given answers.

    Args:
        work: the sizes.
        machine: the ceilings.
        prompts: how many differ; by default every answer has its own.
    """
    return _answers_flops(work, prompts) / machine.flops_per_second


def update(work: Work, machine: Machine, prompts: int | None = None) -> float:
    """Seconds of one gradient step on `work.batch` answers, see `scoring`."""
    moved = _OPTIMIZER_PASSES * parameters(work) * _bytes(work)
    passes = 3 * _answers_flops(work, prompts) / machine.flops_per_second
    return passes + moved / machine.bytes_per_second


def forward_flops(work: Work, rows: int, length: int, chosen: int) -> float:
    """Of `rows` texts of `length` tokens, `chosen` of all with logits."""
    body = 2 * 12 * work.layers * work.width**2 * rows * length
    # Each token looks back, on average over half the text, and at itself.
    seen = rows * length * (length + 1) / 2
    attention = 4 * work.layers * work.width * seen
    return body + attention + 2 * work.width * work.vocabulary * chosen


def parameters(work: Work) -> int:
    """Weights that one token meets; those of the positions do not count."""
    return work.width * (12 * work.layers * work.width + work.vocabulary)


def _answers_flops(work: Work, prompts: int | None) -> float:
    """Of prompts, once each, and answers; their last tokens are not read."""
    rows = work.batch if prompts is None else prompts
    read = work.new - 1
    body = 2 * 12 * work.layers * work.width**2 * work.batch * read
    seen = work.batch * read * (work.prompt + (read + 1) / 2)
    attention = 4 * work.layers * work.width * seen
    logits = 2 * work.width * work.vocabulary * work.batch * work.new
    return forward_flops(work, rows, work.prompt, 0) + body + attention + logits


def _bytes(work: Work) -> int:
    return 2 if work.dtype == "bfloat16" else 4
