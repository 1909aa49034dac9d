"""Options of `recover`."""

from dataclasses import dataclass
from pathlib import Path

from tf_tokenrl.options.checking import Amount, Options


@dataclass(frozen=True)
class RecoverOptions(Options):
    """Which run, and where its policy goes.

    Attributes:
        run: folder of a run of `sft` or `train`.
        out: the policy to write; by default `policy.keras` in that folder.
        steps: finished steps of the checkpoint to take; 0 takes the newest.
        overwrite: replace a policy that is there.
    """

    run: Path = Path("runs/rl")
    out: Path | None = None
    steps: Amount = 0
    overwrite: bool = False
