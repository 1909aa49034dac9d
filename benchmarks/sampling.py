"""`python -m benchmarks.sampling`: tokens sampled per second, nothing else.

With `--stop` the answers end at random, and what counts is finished answers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import command
from benchmarks.options import Work

PEER_SCRIPT = "transformers_sampling.py"


@dataclass(frozen=True)
class Sampling(Work):
    """Answers are sampled, `batch` at a time.

    Attributes:
        stop: the probability that an answer ends after a token; 0 gives all
            of them `new` tokens. Lengths are drawn beforehand, the same for
            the peer, and each answer is ended at its own.
        answers: how many are wanted; 0 are as many as `batch`. Where they are
            more, the others wait until rows are done.
    """

    stop: float = 0.0
    answers: int = 0


def measure(work: Sampling) -> dict:
    """Tokens per second of the project's sampler."""
    from benchmarks import machine, roofline, subjects, timing, words

    answers = work.answers or work.batch
    policy = subjects.policy(work)
    lengths = words.lengths(answers, work.stop, work.new)
    sample = _sampler(policy, subjects.prompts(work, answers), lengths, work)
    took = timing.timed(sample, work.iterations)
    peak = timing.peak_memory_mb()
    tokens = int(lengths.sum())
    report = {
        **command.described(work),
        "sampled_tokens_per_second": round(tokens / took.median, 1),
        "seconds_per_answer": round(took.median / answers, 5),
        "peak_memory_mb": peak,
        **took.report(),
    }
    if work.stop:
        return report
    limits = machine.measure(work.dtype)
    least = roofline.sampling(work, limits) * answers / work.batch
    return {
        **report,
        **limits.report(),
        "roofline_seconds": round(least, 4),
        "fraction_of_roofline": round(least / took.median, 3),
    }


def _sampler(policy, prompts: list[str], lengths, work: Sampling):
    """A call that answers all prompts, `work.batch` of them at a time."""
    from tf_tokenrl.training.rollouts.sampler import Sampler

    policy.slots = work.batch
    collect = Sampler(policy, None, seed=0)
    ids, mask = policy.encode(prompts)
    return lambda: collect(ids, mask, 0, {"max_new_tokens": lengths})


def main(arguments: Sequence[str] | None = None) -> dict:
    """See `command.run`."""
    return command.run("sampling", Sampling, measure, arguments, PEER_SCRIPT)


if __name__ == "__main__":
    main()
