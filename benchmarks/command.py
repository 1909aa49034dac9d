"""What the commands share: options in, a report out."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import tyro

from benchmarks import options, side_by_side

PEERS = Path(__file__).parent / "peers"
_Work = TypeVar("_Work", bound=options.Work)


def run(
    name: str,
    kind: type[_Work],
    measure: Callable[[_Work], dict],
    arguments: Sequence[str] | None = None,
    peer_script: str = "",
) -> dict:
    """Measure the project, or project and peer in turn, and print it.

    Args:
        name: of the module in `benchmarks`.
        kind: its options.
        measure: returns the report of the project alone.
        arguments: of the command line; None takes those of this process.
        peer_script: the file in `peers` that does the same work.

    Returns:
        What was printed.
    """
    summary = (kind.__doc__ or "").partition("\n")[0]
    work = tyro.cli(
        kind,
        prog=f"python -m benchmarks.{name}",
        args=arguments,
        description=summary,
    )
    if work.peer:
        script = work.peer_script or PEERS / peer_script
        report = side_by_side.compare(name, work, script)
    else:
        report = measure(work)
    print(json.dumps(report) if work.json else _table(report))
    return report


def described(work: options.Work) -> dict:
    """What stands first in each report: who, and what was to be done."""
    import keras
    import tensorflow as tf

    import tf_tokenrl

    flags = options.flags(work)
    done = {
        flag.removeprefix("--").replace("-", "_"): value
        for flag, value in zip(flags[::2], flags[1::2], strict=True)
    }
    return {
        "project": f"tf_tokenrl {tf_tokenrl.__version__}",
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        **done,
    }


def _table(report: dict, indent: str = "") -> str:
    lines = []
    width = max(map(len, report), default=0)
    for name, value in report.items():
        if isinstance(value, dict):
            lines += [f"{indent}{name}", _table(value, f"{indent}  ")]
        else:
            lines.append(f"{indent}{name:{width}}  {value}")
    return "\n".join(lines)
