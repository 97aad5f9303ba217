"""`drivetrain report`: a run as one HTML file, or as slides."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drivetrain.cli import common, exits, layout

if TYPE_CHECKING:
    from drivetrain.report.record import Record

PAGES = (".html", ".htm")


@click.command(short_help="Write a run as a page: what it reached, where it errs.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--slides", is_flag=True, help="The same as slides: arrow keys, one file, no server.")
@common.options(
    out="The file; by default RUN/report.html, or RUN/slides.html.",
    seed="Changes nothing: the report is of the run as it is.",
    short_out=True,
)
def command(run: Path, slides: bool, as_json: bool, seed: int | None, out: Path | None) -> None:
    """Write RUN as one HTML file that opens anywhere, without a network.

    It says what was asked, shows the data, how training went, the result beside simple rules, where the
    model errs, what to do next, and every choice with its reason. Where the data is no longer there, it
    says what the run alone says.

    \b
    drivetrain report runs/2026-01-31-photos
    drivetrain report runs/2026-01-31-photos --slides -o talk.html
    """
    if out is not None and out.suffix.lower() not in PAGES:
        raise click.UsageError(f"--out: the report is a file that ends in .html. Got {out}.")
    from drivetrain.cli.program import COMMANDS
    from drivetrain.report.build import build
    from drivetrain.report.record import open_record

    record = open_record(run)
    with common.stdout_kept(), common.counter() as count:
        evidence = _evidence(run, record, count)
        found = build(record, evidence, commands=COMMANDS)
    path = found.write(out or run / ("slides.html" if slides else "report.html"), as_slides=slides)
    document = {"report": str(path), "bytes": path.stat().st_size, **found.to_json()}
    lines = [found.head.verdict, ""]
    lines += [layout.table([(fact.name, fact.value, fact.beside) for fact in found.head.facts])]
    if found.advice:
        lines += ["", "Next"]
        lines += [f"  {place}. {one.what}" for place, one in enumerate(found.advice, 1)]
    lines += ["", f"{path} ({path.stat().st_size / 1000:,.0f} kB): open it in a browser."]
    if not slides:
        lines.append(f"As slides: drivetrain report {shlex.quote(str(run))} --slides")
    common.answer(document, "\n".join(lines), as_json=as_json)


def _evidence(run: Path, record: Record, count: common.Counter) -> Any:
    """What the application knows of a run; where its data or model is gone, why."""
    from drivetrain.errors import DataError, RunError
    from drivetrain.report.evidence import Evidence
    from drivetrain.train.run import refuse_own

    application = record.application
    try:
        refuse_own(record.value, run)
        if application == "tabular":
            from drivetrain.tabular.reporting import evidence
        elif application == "text":
            from drivetrain.text.reporting import evidence
        elif application == "collab":
            from drivetrain.collab.reporting import evidence
        else:
            from drivetrain.vision.reporting import evidence
        return evidence(run, report=count)
    except (DataError, RunError) as error:
        exits.print_line(f"{error} The report says what the run alone says.")
        note = (
            f"The data was not looked at again, so that parts of this report are missing. {error}"
        )
        return Evidence(notes=[note])
