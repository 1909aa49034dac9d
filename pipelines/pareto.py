"""Compare the runs of a sweep by several objectives."""

from tf_tokenrl.options.pareto import ParetoOptions
from tf_tokenrl.report import pareto


def main(options: ParetoOptions) -> list[pareto.Point]:
    """Print what each run reached and which ones no other run beats."""
    points = pareto.compare(options.runs, options.maximize, options.minimize)
    print(pareto.table(points))
    if options.out is not None:
        print(f"Picture: {pareto.draw(points, options.out)}")
    return points
