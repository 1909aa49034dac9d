"""Project and peer in turn, each in a process of its own, and their ratio.

A machine that is shared drifts within minutes: only what was run side by side
can be compared.
"""

import json
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.options import Work, flags
from tf_tokenrl.errors import TokenRLError

ROOT = Path(__file__).parent.parent


def compare(name: str, work: Work, script: Path) -> dict:
    """Run A B A B ... and compare the medians of each figure.

    Args:
        name: of the module in `benchmarks`.
        work: its options; `peer` is the Python of the peer.
        script: of the peer, see `Work.peer_script`.

    Returns:
        `project` and `peer`, the medians over the rounds; `ratios`, how many
        times the project is better: above 1 it is faster or smaller; and
        `runs`, every report.

    Raises:
        TokenRLError: one of them failed, or prints no JSON.
    """
    module = [sys.executable, "-m", f"benchmarks.{name}", "--json"]
    peer = [work.peer, str(Path(script).resolve())]
    commands = {
        "project": [*module, *flags(work)],
        "peer": [*peer, *flags(work, peer=True)],
    }
    runs: dict[str, list[dict]] = {who: [] for who in commands}
    for _ in range(work.rounds):
        for who, command in commands.items():
            runs[who].append(_run(command))
    medians = {who: _medians(reports) for who, reports in runs.items()}
    ratios = {
        key: round(_times_better(key, ours, medians["peer"][key]), 2)
        for key, ours in medians["project"].items()
        if key in medians["peer"]
    }
    return {**medians, "ratios": ratios, "runs": runs}


def _run(command: list[str]) -> dict:
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    lines = [x for x in done.stdout.splitlines() if x.startswith("{")]
    if done.returncode or not lines:
        ended = "\n".join(done.stderr.splitlines()[-5:])
        raise TokenRLError(
            f"`{' '.join(command)}` ended with code {done.returncode} and "
            f"{len(lines)} lines of JSON: run it by itself. It wrote: {ended}"
        )
    return json.loads(lines[-1])


def _medians(reports: list[dict]) -> dict:
    """The median of each figure that all reports have and that is compared."""
    keys = [key for key in reports[0] if _is_figure(key)]
    return {
        key: statistics.median(report[key] for report in reports)
        for key in keys
        if all(key in report for report in reports)
    }


def _is_figure(key: str) -> bool:
    return key.startswith("seconds_per_") or key.endswith(
        ("tokens_per_second", "peak_memory_mb")
    )


def _times_better(key: str, ours: float, theirs: float) -> float:
    return ours / theirs if key.endswith("_per_second") else theirs / ours
