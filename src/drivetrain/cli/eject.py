"""`drivetrain eject`: a finished run as a plain PyTorch script."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from drivetrain.cli import common

LEVELS = ("all", "data", "loop")


@click.command(short_help="Write a run as a plain script with the same weights.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--level",
    type=click.Choice(LEVELS),
    default="all",
    show_default=True,
    help="How much is written out: everything; loop and data; the loop alone.",
)
@common.options(
    out="The script, such as train_birds.py; one that is there is replaced.", short_out=True
)
def command(run: Path, level: str, as_json: bool, seed: int | None, out: Path | None) -> None:
    """Write RUN as one script that does the same without Drivetrain, to the last bit.

    It is made of the library's own source, with what is known of the run put in. The pictures or the
    table that the run was trained on must still be where they were. A net's script gives the same
    weights, and so does one of factors; one of trees or a linear model, the same predictions.

    \b
    drivetrain eject runs/2026-01-31-photos -o train_photos.py
    python train_photos.py --data photos/ --out again/
    """
    if out is None:
        raise click.UsageError("Missing option '-o': the script's file, such as -o train.py.")

    found = common.application_of(run)
    is_table = found == "tabular"
    if is_table and not _is_of_a_net(run):
        _eject_model(run, out, level=level, as_json=as_json)
        return
    if found == "collab" and _is_fitted(run):
        _eject_fitted(run, out, level=level, as_json=as_json)
        return
    from drivetrain import collab, eject, tabular, text as texts, vision

    homes: dict[str, Any] = {"tabular": tabular, "text": texts, "collab": collab}
    application = homes.get(found, vision)
    with common.stdout_kept(), common.counter() as count:
        learner = application.reopen(run, progress=False, report=count)
        path = eject.write(learner, out, level=level)
    record = learner.run.read() if learner.run is not None else {}
    weights = _said(record, "results", "weights_sha256")
    document = {
        "script": str(path),
        "level": level,
        "lines": _lines(path),
        "weights_sha256": weights,
        "beside": _beside(path),
    }
    text = (
        f"{path}: {document['lines']} lines, level '{level}'.{_also(path)}\n"
        f"{_how_to_run(path, record)}\n"
        f"It ends with weights_sha256 {weights}, as the run did."
    )
    common.answer(document, text, as_json=as_json)


def _eject_model(run: Path, out: Path, *, level: str, as_json: bool) -> None:
    """The script of a model that no Learner trained."""
    from drivetrain.tabular import models
    from drivetrain.tabular.ejecting.found import Found, find_model
    from drivetrain.tabular.ejecting.trees import predictions_sha256, write

    if level != "all":
        raise click.UsageError(
            f"--level {level} is for runs of a net: a model of trees has no training loop. Leave it out."
        )
    with common.stdout_kept():
        found: Found = find_model(run)
        path = write(found, out)
        digest = predictions_sha256(models.load(run), found.data.part("valid")[0])
    document = {
        "script": str(path),
        "model": found.name,
        "lines": _lines(path),
        "predictions_sha256": digest,
        "beside": _beside(path),
    }
    text = (
        f"{path}: {document['lines']} lines, the model '{found.name}'.{_also(path)}\n"
        f"{_how_to_run(path, {'data': found.data.recipe})}\n"
        f"It ends with predictions_sha256 {digest}: what the run's model says of the validation rows."
    )
    common.answer(document, text, as_json=as_json)


def _eject_fitted(run: Path, out: Path, *, level: str, as_json: bool) -> None:
    """The script of factors that were fitted by solving equations in turn."""
    from drivetrain.collab.ejecting.als import find_fitted, write

    if level != "all":
        raise click.UsageError(
            f"--level {level} is for runs that were trained in steps: 'als' has no training loop. Leave "
            "it out."
        )
    with common.stdout_kept():
        fitted = find_fitted(run)
        path = write(fitted, out)
    weights = fitted.weights_sha256
    document = {
        "script": str(path),
        "model": "als",
        "lines": _lines(path),
        "weights_sha256": weights,
        "beside": None,
    }
    text = (
        f"{path}: {document['lines']} lines, the model 'als'.\n"
        f"{_how_to_run(path, {'data': fitted.data.recipe})}\n"
        f"It ends with weights_sha256 {weights}, as the run did."
    )
    common.answer(document, text, as_json=as_json)


def _is_of_a_net(run: Path) -> bool:
    """Whether a run is one that a Learner trained; True where that cannot be read: opening tells why."""
    record = _record(run)
    return record is None or "plan" in record or "settings" not in record


def _is_fitted(run: Path) -> bool:
    """Whether factors of a run were fitted without steps; False where that cannot be read."""
    plan = (_record(run) or {}).get("plan")
    return isinstance(plan, dict) and plan.get("method") == "als"


def _record(run: Path) -> dict[str, Any] | None:
    """`run.json`; None where it cannot be read, which opening the run tells better."""
    from drivetrain import store
    from drivetrain.errors import DrivetrainError

    try:
        record = store.read_json(run / "run.json")
    except DrivetrainError:
        return None
    return record if isinstance(record, dict) else None


def _lines(path: Path) -> int:
    return len(path.read_text("utf-8").splitlines())


def _beside(path: Path) -> str | None:
    """The file that a script reads from its own folder."""
    from drivetrain.eject.corrections import file_beside

    found = file_beside(path)
    return None if found is None else str(found)


def _also(path: Path) -> str:
    """A sentence on what lies beside a script; nothing where nothing does."""
    found = _beside(path)
    return "" if found is None else f" It reads the corrected labels from {found}, beside it."


def _how_to_run(path: Path, record: Any) -> str:
    source = _said(record, "data", "source") or "DATA"
    return f"Run it  python {shlex.quote(str(path))} --data {shlex.quote(source)} --out OUT"


def _said(record: Any, part: str, name: str) -> str | None:
    """A text of a part of a run's record; None where there is none, or something else."""
    inside = record.get(part)
    value = inside.get(name) if isinstance(inside, dict) else None
    return value if isinstance(value, str) and value.isprintable() else None
