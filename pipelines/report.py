"""Write the report of a run as one HTML file."""

from dataclasses import dataclass
from pathlib import Path

from tf_tokenrl.report import write_report


@dataclass(frozen=True)
class ReportOptions:
    """What to report.

    Attributes:
        run: the run's folder.
        out: the file to write, or a folder for it; inside the run's folder
            by default.
    """

    run: Path = Path("runs/demo")
    out: Path | None = None


def main(options: ReportOptions) -> Path:
    """Writes the report and says where it is."""
    path = write_report(options.run, options.out)
    print(f"Report: {path}")
    return path
