"""Options of `export`."""

from dataclasses import dataclass
from pathlib import Path

from tf_tokenrl.options.checking import Amount, Options


@dataclass(frozen=True)
class ExportOptions(Options):
    """What to export, and where to.

    Attributes:
        policy: a policy that `sft` or `train` wrote.
        model: folder of the model; a new version is made in it.
        version: number of the version; 0 takes the next free one.
        prompts: a text file with a prompt on each line; the policy's greedy
            answers to them are kept beside the SavedModel, as
            VERSION.answers.jsonl, for `serving/smoke.py`.
        reward_model: export the policy's value head as a judge of answers,
            which the reward `reward_model` reads; it writes none itself.
    """

    policy: Path = Path("runs/demo/rl/policy.keras")
    model: Path = Path("savedmodels/headline")
    version: Amount = 0
    prompts: Path | None = None
    reward_model: bool = False
