"""Write the report of a run as one HTML file."""

from pathlib import Path

from tf_tokenrl.options.report import ReportOptions
from tf_tokenrl.report import write_report


def main(options: ReportOptions) -> Path:
    """Writes the report and says where it is."""
    path = write_report(options.run, options.out)
    print(f"Report: {path}")
    return path
