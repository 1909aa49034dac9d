"""From a run's folder to one self-contained page."""

import secrets
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from tf_tokenrl import files
from tf_tokenrl.report import heat_map, numbers, scores
from tf_tokenrl.report.curves import curves
from tf_tokenrl.report.read import Run, read_run


def write_report(run: Path, out: Path | None = None) -> Path:
    """Writes the report of a run as one HTML file that needs no network.

    Of the run's files only `log.csv` is required (as `CsvLog` writes it);
    `results.json`, `samples.json`, `options.json` and `versions.json` each
    add their part where they exist. All texts are shown as text, whatever
    markup they hold.

    Args:
        run: the run's folder.
        out: the file, or a folder for it; `<run>/report.html` by default.

    Returns:
        The file written. An older one is replaced only by a whole new one.

    Raises:
        TokenRLError: there is no log, a file of the run is damaged, or the
            report cannot be written.
    """
    out = run if out is None else out
    path = out / "report.html" if out.is_dir() or out == run else out
    return files.write_text(path, render(read_run(run)))


def render(run: Run) -> str:
    """The page of a run."""
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "page"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    first, more = curves(run.log)
    known = heat_map.scales(run.samples)
    samples = [heat_map.sample(row, known) for row in run.samples]
    seconds = run.results.get("seconds") or {}
    return templates.get_template("report.html").render(
        run=run,
        facts=_facts(run, seconds),
        verdict=scores.verdict(run.results),
        stages=scores.STAGES,
        rows=scores.rows(run.results),
        curves=first,
        more_curves=more,
        figures={c["id"]: c["figure"] for c in [*first, *more]},
        scales=known,
        samples=samples,
        tokens=[[t._asdict() for t in s.tokens] for s in samples if s.tokens],
        seconds=seconds,
        longest=max(seconds.values(), default=0.0),
        duration=numbers.duration,
        flat=numbers.flat,
        nonce=secrets.token_urlsafe(16),
        plotly=Markup(get_plotlyjs()),
    )


def _facts(run: Run, seconds: dict[str, float]) -> dict[str, Any]:
    """The few numbers under the title."""
    steps = max(int(c.steps[-1]) for c in run.log.values() if len(c.steps))
    facts = {"Steps": f"{steps:,}"}
    if "tokens_per_second" in run.log:
        speed = float(np.median(run.log["tokens_per_second"].values))
        facts["Tokens per second"] = numbers.plain(speed)
    if seconds:
        facts["Time"] = numbers.duration(sum(seconds.values()))
    return facts
