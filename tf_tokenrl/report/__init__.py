"""A run as one page that people look at."""

from tf_tokenrl.report.build import write_report

__all__ = ["write_report"]
