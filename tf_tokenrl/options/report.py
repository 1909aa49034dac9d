"""Options of `report`."""

from dataclasses import dataclass
from pathlib import Path

from tf_tokenrl.options.checking import Options


@dataclass(frozen=True)
class ReportOptions(Options):
    """What to report.

    Attributes:
        run: the run's folder.
        out: the file to write, or a folder for it; inside the run's folder
            by default.
    """

    run: Path = Path("runs/demo")
    out: Path | None = None
