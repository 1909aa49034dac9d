"""Compare the runs of a sweep by several objectives."""

from dataclasses import dataclass
from pathlib import Path

from tf_tokenrl.report import pareto


@dataclass(frozen=True)
class ParetoOptions:
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


def main(options: ParetoOptions) -> list[pareto.Point]:
    """Print what each run reached and which ones no other run beats."""
    points = pareto.compare(options.runs, options.maximize, options.minimize)
    print(pareto.table(points))
    if options.out is not None:
        print(f"Picture: {pareto.draw(points, options.out)}")
    return points
