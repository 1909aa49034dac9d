"""Write a checkpoint of a run as a policy: of one that was stopped, or lost."""

import sys
from pathlib import Path

from tf_tokenrl import runs
from tf_tokenrl.callbacks.checkpoint import checkpoints, finished_steps
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.options.recover import RecoverOptions
from tf_tokenrl.policies import storage


def main(options: RecoverOptions) -> Path:
    """Write the policy of the newest checkpoint that can be read.

    Raises:
        TokenRLError: there is none, or a policy would be replaced.
    """
    path = options.out or options.run / runs.POLICY
    if path.exists() and not options.overwrite:
        raise TokenRLError(
            f'"{path}" is there already: give another --out, or replace it by '
            "--overwrite."
        )
    for checkpoint in _asked(options):
        try:
            policy = storage.load(checkpoint)
        except TokenRLError as error:
            print(f"{error} It was passed over.", file=sys.stderr)
            continue
        storage.save(policy, path)
        print(f"Policy after {finished_steps(checkpoint)} steps: {path}")
        return path
    raise TokenRLError(
        f'No checkpoint in "{options.run}" can be read: begin the run again.'
    )


def _asked(options: RecoverOptions) -> list[Path]:
    """The checkpoints that will do, the newest first."""
    found = checkpoints(options.run / "checkpoints")
    if not found:
        raise TokenRLError(
            f'There are no checkpoints in "{options.run}": name the folder '
            "of a run of sft or train by --run."
        )
    if not options.steps:
        return found
    steps = sorted({finished_steps(path) for path in found})
    if options.steps not in steps:
        raise TokenRLError(
            f'"{options.run}" has no checkpoint after {options.steps} steps, '
            f"but after {', '.join(map(str, steps))}."
        )
    return [p for p in found if finished_steps(p) == options.steps]
