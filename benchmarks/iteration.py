"""`python -m benchmarks.iteration`: seconds per iteration of RL, all of it.

Sample, reward, score with the reference, one update: what `Trainer.fit` does.
"""

from collections.abc import Sequence

from benchmarks import command
from benchmarks.options import Learning

PEER_SCRIPT = "trl_iteration.py"
_BATCHES = 64  # of prompts, before they come again


def measure(work: Learning) -> dict:
    """Seconds per iteration of the project's trainer."""
    from benchmarks import machine, roofline, subjects, timing
    from benchmarks.clock import Clock
    from tf_tokenrl.flow import Example

    trainer = subjects.trainer(work)
    prompts = subjects.prompts(work, _BATCHES * work.batch)
    examples = [Example(prompt) for prompt in prompts]
    clock = Clock()
    trainer.fit(examples, work.iterations, work.batch, [clock])
    peak = timing.peak_memory_mb()
    took = timing.Timing(clock.seconds)
    limits = machine.measure(work.dtype)
    asked = work.batch // subjects.SAMPLES
    least = roofline.sampling(work, limits, asked)
    least += roofline.scoring(work, limits, asked)
    least += roofline.update(work, limits, asked)
    return {
        **command.described(work),
        "seconds_per_iteration": round(took.median, 4),
        "new_tokens_per_second": round(work.batch * work.new / took.median, 1),
        "peak_memory_mb": peak,
        **took.report(),
        **limits.report(),
        "roofline_seconds": round(least, 4),
        "fraction_of_roofline": round(least / took.median, 3),
    }


def main(arguments: Sequence[str] | None = None) -> dict:
    """See `command.run`."""
    return command.run("iteration", Learning, measure, arguments, PEER_SCRIPT)


if __name__ == "__main__":
    main()
