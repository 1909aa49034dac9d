"""Options of `pareto`."""

from dataclasses import dataclass
from pathlib import Path

from tf_tokenrl.options.checking import Options


@dataclass(frozen=True)
class ParetoOptions(Options):
    """Which runs, and what is wanted of them.

    Attributes:
        runs: folders of finished runs.
        maximize: metrics of `results.json` or columns of `log.csv` of which
            more is better.
        minimize: those of which less is better.
        out: HTML file for a picture of the first two; by default the table is
            only printed.
    """

    runs: tuple[Path, ...] = ()
    maximize: tuple[str, ...] = ("reward",)
    minimize: tuple[str, ...] = ("kl",)
    out: Path | None = None
