"""`python -m benchmarks.update`: tokens learned from per second.

One gradient step on given answers: scores, loss, gradient, Adam. Prompt and
answer tokens count; only those of the answer have logits.
"""

from collections.abc import Sequence

from benchmarks import command
from benchmarks.options import Learning

PEER_SCRIPT = "transformers_update.py"


def measure(work: Learning) -> dict:
    """Tokens per second of the project's update."""
    from benchmarks import machine, roofline, subjects, timing

    took = seconds(subjects.trainer(work), work)
    peak = timing.peak_memory_mb()
    tokens = work.batch * (work.prompt + work.new)
    limits = machine.measure(work.dtype)
    least = roofline.update(work, limits)
    return {
        **command.described(work),
        "seconds_per_update": round(took.median, 4),
        "update_tokens_per_second": round(tokens / took.median, 1),
        "peak_memory_mb": peak,
        **took.report(),
        **limits.report(),
        "roofline_seconds": round(least, 4),
        "fraction_of_roofline": round(least / took.median, 3),
    }


def seconds(trainer, work: Learning):
    """`Timing` of updates from a batch of random answers."""
    from benchmarks import timing

    batch = _batch(trainer, work)
    return timing.timed(lambda: trainer.learn(batch, 0), work.iterations)


def _batch(trainer, work: Learning):
    """What `Trainer.collect` would give, without the sampling."""
    import numpy as np

    from tf_tokenrl.flow import Batch, Rollout, Targets

    rng = np.random.default_rng(0)
    shape = (work.batch, work.new)
    ids = rng.integers(4, work.vocabulary, (work.batch, work.prompt), np.int32)
    actions = rng.integers(4, work.vocabulary, shape, np.int32)
    likely = np.full(shape, -np.log(work.vocabulary), np.float32)
    nothing, chosen = np.zeros(shape, np.float32), np.ones(shape, bool)
    asked = np.ones_like(ids, bool)
    rollout = Rollout(ids, asked, actions, chosen, likely, nothing, likely)
    advantages = rng.normal(size=shape).astype(np.float32)
    settings = trainer.exploration.at(0, trainer.policy.temperature)
    if trainer.kl_loss is not None:
        settings["kl_weight"] = np.float32(trainer.kl_loss.weight_at(0))
    targets = Targets(advantages, advantages)
    return Batch(rollout, nothing, targets, None, settings)


def main(arguments: Sequence[str] | None = None) -> dict:
    """See `command.run`."""
    return command.run("update", Learning, measure, arguments, PEER_SCRIPT)


if __name__ == "__main__":
    main()
