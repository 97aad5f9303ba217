"""`drivetrain export`: a finished run as a bundle."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from drivetrain.cli import common


@click.command(short_help="Write a run as a bundle: it predicts, and proves itself.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--golden",
    type=click.IntRange(0, 1000),
    metavar="N",
    help="So many validation pictures, rows, texts or pairs travel with the bundle, to prove its answers "
    "by. By default 8, and of ratings without history none.",
)
@click.option(
    "--guard/--no-guard",
    default=True,
    show_default=True,
    help="Fit what says how sure an answer is and whether an input is of a known kind.",
)
@click.option(
    "--script/--no-script",
    default=True,
    show_default=True,
    help="Write predict.py too, which predicts without Drivetrain.",
)
@click.option(
    "--onnx",
    is_flag=True,
    help="Write model.onnx too, and try it against torch; of tables, for nets; not of texts.",
)
@click.option(
    "--history/--no-history",
    default=True,
    show_default=True,
    help="Of ratings: put in who rated what, so that it is not recommended again. It is personal data.",
)
@common.options(out="Folder of the bundle; one that is there is replaced.", short_out=True)
def command(
    run: Path,
    golden: int | None,
    guard: bool,
    script: bool,
    onnx: bool,
    history: bool,
    as_json: bool,
    seed: int | None,
    out: Path | None,
) -> None:
    """Write RUN as a bundle: weights, preprocessing, labels, a model card, and examples with answers.

    The bundle is calculated anew and compared before it gets its name, so it is whole or not there.
    `drivetrain predict` and `drivetrain verify` take it; it is also a folder as the Hugging Face Hub
    wants it.

    \b
    drivetrain export runs/2026-01-31-photos -o photos-bundle
    drivetrain export runs/2026-01-31-photos -o photos-bundle --onnx --golden 0
    """
    if out is None:
        raise click.UsageError("Missing option '-o': the folder of the bundle.")

    from drivetrain import collab, tabular, text, vision

    homes: dict[str, Any] = {"tabular": tabular, "text": text, "collab": collab}
    application = common.application_of(run)
    export = homes.get(application, vision).export
    options: dict[str, Any] = {"guard": guard, "script": script, "onnx": onnx}
    options |= {} if golden is None else {"golden": golden}
    if application == "collab":
        options["with_history"] = history
    elif not history:
        raise click.UsageError("--no-history is for ratings. Leave it out.")
    with common.stdout_kept(), common.counter() as count:
        found = export(run, out, **options, report=count)
    common.answer(found.to_json(), _told(found, out), as_json=as_json)


def _told(found: Any, out: Path) -> str:
    lines = [str(found)]
    inputs, what = {
        "tabular": ("row", "TABLE"),
        "text": ("text", "FILE..."),
        "collab": ("pair of user and item", "TABLE"),
    }.get(found.application, ("picture", "PICTURE..."))
    if found.golden:
        if found.golden > 1:
            inputs = "pairs of user and item" if found.application == "collab" else f"{inputs}s"
        inputs += " travels" if found.golden == 1 else " travel"
        lines.append(
            f"{found.golden} validation {inputs} with it, in {out / 'golden'}: "
            "--golden 0 leaves them out."
        )
    place = shlex.quote(str(out))
    lines += ["Next", f"  drivetrain predict {place} {what}"]
    if found.application == "collab":
        lines.append(f"  drivetrain recommend {place} USER")
    if (out / "predict.py").exists():
        script = shlex.quote(str(out / "predict.py"))
        table = "TABLE.csv" if found.application == "collab" else what
        lines.append(f"  python {script} {table}  # without Drivetrain")
    lines += [
        f"  drivetrain verify {place}",
        f"  read {out / 'README.md'}",
    ]
    return "\n".join(lines)
