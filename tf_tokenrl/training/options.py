"""How a trainer goes about its work; what it learns is said elsewhere."""

import dataclasses

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.training import first_batch


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainerOptions:
    """Options of a `Trainer`, fixed once it is made.

        rl.Trainer(policy, ..., options=rl.TrainerOptions(seed=3))

    Attributes:
        seed: of sampling and of the order of data.
        gradient_clip: greatest global norm of the summed gradient; 0 sets no
            limit.
        accumulation: parts in which the rows of a minibatch are computed; the
            gradient is the same, the memory smaller.
        similar_lengths: whether the prompts of a step have similar lengths,
            so that little is padding, see `data_order.stream`.
        overlap: sample one half of a batch while the rewards in Python of the
            other are computed. Answers and rewards are the same (up to the
            rounding of products with half as many rows), and sampling two
            halves takes longer than sampling both at once: it pays where
            `Trainer.reward_share` is large.
        reward_processes: processes that compute rewards written in Python
            while `fit` runs; 0 computes them in this one. A script that uses
            them must not run when it is imported: put it below
            `if __name__ == "__main__":`.
        reward_seconds: how long these processes may be silent before the run
            ends with an error, and its steps saved; 0 waits without end.
        self_check: names of the checks that a fresh run makes on its first
            batch, see `first_batch.check`; an empty set makes none.
        jit: stages that XLA compiles, "scoring" of the reference, "update" or
            both; on a CPU it gains nothing, see `docs/performance.md`.

    Raises:
        TokenRLError: an option is out of range.
    """

    seed: int = 0
    gradient_clip: float = 1.0
    accumulation: int = 1
    similar_lengths: bool = False
    overlap: bool = False
    reward_processes: int = 0
    reward_seconds: float = 0.0
    self_check: frozenset[str] = first_batch.NAMES
    jit: tuple[str, ...] = ()

    def __post_init__(self):
        for name, least in (
            ("gradient_clip", 0),
            ("accumulation", 1),
            ("reward_processes", 0),
            ("reward_seconds", 0),
        ):
            value = getattr(self, name)
            if not least <= value < float("inf"):
                raise TokenRLError(
                    f"{name} is {value}: it must be a number from {least} "
                    "upwards."
                )
        if self.reward_seconds and not self.reward_processes:
            raise TokenRLError(
                "reward_seconds needs reward_processes of 1 or more: what "
                "hangs in this process cannot be ended."
            )
        if unknown := set(self.self_check) - first_batch.NAMES:
            raise TokenRLError(
                f"self_check names {', '.join(sorted(unknown))}, which is not "
                f"among {', '.join(sorted(first_batch.NAMES))}."
            )
