"""Write a policy as a SavedModel that TensorFlow Serving runs."""

from dataclasses import dataclass
from pathlib import Path

from tf_tokenrl.models import storage
from tf_tokenrl.models.export import next_version


@dataclass(frozen=True)
class ExportOptions:
    """What to export, and where to.

    Attributes:
        policy: a policy that `sft` or `train` wrote.
        model: folder of the model; a new version is made in it.
        version: number of the version; 0 takes the next free one.
    """

    policy: Path = Path("runs/demo/rl/policy.keras")
    model: Path = Path("savedmodels/headline")
    version: int = 0


def main(options: ExportOptions) -> Path:
    """Export and say where the SavedModel is."""
    policy = storage.load(options.policy)
    path = next_version(options.model)
    if options.version:
        path = options.model / str(options.version)
    policy.export(path)
    print(f"SavedModel: {path}")
    return path
