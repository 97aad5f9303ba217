"""`drivetrain summary`: the model of a run, layer by layer."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from drivetrain.cli import common

if TYPE_CHECKING:
    from drivetrain.models import Summary


@click.command(short_help="Show a model layer by layer: activations and parameters.")
@click.argument("run", type=click.Path(path_type=Path))
@common.options()
def command(run: Path, as_json: bool, seed: int | None, out: Path | None) -> None:
    """Show each layer of RUN's model: what it calculates (activations) and what it learnt (parameters).

    Below the table stands what the first layer takes in, and what the last one and the loss make
    of it.

    \b
    drivetrain summary runs/2026-01-31-photos
    """
    with common.stdout_kept():
        is_of_pictures = common.application_of(run) == "vision"
        summary = _of_pictures(run) if is_of_pictures else _of_run(run)
    totals = ("parameters", "trainable", "activations")
    document = asdict(summary) | {name: getattr(summary, name) for name in totals}
    common.answer(document, str(summary), as_json=as_json, copy=out)


def _of_pictures(run: Path) -> Summary:
    """Of a run, a model folder or a bundle: what is on the pictures changes nothing."""
    import torch

    from drivetrain import vision
    from drivetrain.models import summarize

    predictor = vision.load(run)
    example = torch.zeros(1, 3, *predictor.size, device=predictor.device)
    return summarize(predictor.model, (example,), loss=_loss_of(run / "run.json"))


def _of_run(run: Path) -> Summary:
    """Of any other run, on its first validation item: rows, texts and ratings have many shapes."""
    from drivetrain.cli.show import reopened
    from drivetrain.models import summarize
    from drivetrain.show.items import valid_item
    from drivetrain.train.batches import call_of

    _, learner = reopened(run)
    inputs, named, _ = call_of(valid_item(learner, 0).alone())
    return summarize(learner.model, inputs, named=named or None, loss=_loss_of(run / "run.json"))


def _loss_of(record: Path) -> str | None:
    """The loss's name; None in a model folder that was copied out of its run."""
    from drivetrain import store
    from drivetrain.train.run import check_form

    if not record.exists():
        return None
    value = store.read_json(record)
    check_form(value, {"loss": {"name": str}}, record)
    return value["loss"]["name"]
