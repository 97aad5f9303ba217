"""`drivetrain look`: pictures as a model is given them, before or after training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from drivetrain.cli import common

FILES = (".html", ".htm", ".png")
PARTS = ("resize", "augment", "batch", "channels")
NOT_SHOWN = {
    "mixup": "mixes pictures in pairs",
    "cutmix": "puts parts of pictures into others",
    "progressive_resizing": "begins with smaller pictures",
}
"""Callbacks that change pictures after the loader, which is what is shown."""


@click.command(short_help="Show pictures as a model sees them: resized, varied, in a batch.")
@click.argument("source", metavar="SOURCE_OR_RUN")
@click.option("--resize", is_flag=True, help="A picture under each way to resize: what each loses.")
@click.option(
    "--augment", is_flag=True, help="A picture epoch by epoch, and each change at its ends."
)
@click.option("--batch", is_flag=True, help="A training batch with its labels, and as numbers.")
@click.option("--channels", is_flag=True, help="Of a run: what the channels of a layer look for.")
@click.option(
    "--picture", metavar="NAME", help="The id of a training picture; by default the first one."
)
@click.option(
    "--layer", metavar="NAME", help="Of --channels; by default the first, and two later ones."
)
@click.option(
    "--count",
    type=click.IntRange(min=1, max=64),
    metavar="N",
    help="So many epochs, and pictures of a batch. By default 12, or 6 above 160 pixels a side.",
)
@click.option(
    "--size",
    type=click.IntRange(min=8, max=1024),
    metavar="PIXELS",
    help="Of a folder or a picture: the side. By default as training would choose it; 128.",
)
@common.options(
    out="The file: a page (.html) or a picture (.png); by default look.html.",
    seed="Of what is varied, for a folder or a picture. By default 42; a run has its own.",
    short_out=True,
)
def command(
    source: str,
    resize: bool,
    augment: bool,
    batch: bool,
    channels: bool,
    picture: str | None,
    layer: str | None,
    count: int | None,
    size: int | None,
    as_json: bool,
    seed: int | None,
    out: Path | None,
) -> None:
    """Show the pictures of a run, of a folder or CSV, or one picture file, as a model is given them.

    Without a choice of parts all are shown that there are: of one file the ways to resize and to vary it,
    of a folder also a training batch, of a run also what its channels look for. The pixels are those of
    training, bit for bit.

    With --json: {look, bytes, grids}; each grid has {title, notes, cells}.

    \b
    drivetrain look photos/
    drivetrain look photo.jpg --resize --size 224
    drivetrain look runs/2026-01-31-photos --augment --batch -o look.png
    drivetrain look runs/2026-01-31-photos --channels --layer body.stages.1
    """
    out = Path("look.html") if out is None else out
    if out.suffix.lower() not in FILES:
        raise click.UsageError(f"--out: a file that ends in .html or .png. Got {out}.")
    asked = [
        name
        for name, is_asked in zip(PARTS, (resize, augment, batch, channels), strict=True)
        if is_asked
    ]
    from drivetrain import store

    with common.stdout_kept(), common.counter() as progress:
        title, over, grids = _grids(source, asked, picture, layer, count, size, seed, progress)
        if out.suffix.lower() == ".png":
            from drivetrain.vision.grids import stacked

            store.write_bytes(out, stacked(grids))
        else:
            from drivetrain.vision.look_page import look_page

            store.write_text(out, look_page(title, over, grids))
    document = {
        "look": str(out),
        "bytes": out.stat().st_size,
        "grids": [grid.to_json() for grid in grids],
    }
    lines = [line for grid in grids for line in (grid.title, *grid.notes, *_told(grid), "")]
    lines.append(f"{out} ({out.stat().st_size / 1000:,.0f} kB): open it in a browser.")
    common.answer(document, "\n".join(lines), as_json=as_json)


def _told(grid: Any) -> list[str]:
    """What stands below the cells, where it says something that is not in the notes."""
    if not any(fact.get("method") for fact in grid.facts):
        return []
    return [f"  {cell.title}: {cell.said}" for cell in grid.cells]


def _grids(
    source: str,
    asked: list[str],
    picture: str | None,
    layer: str | None,
    count: int | None,
    size: int | None,
    seed: int | None,
    progress: common.Counter,
) -> tuple[str, str, list[Any]]:
    """Title, a line above it, and the grids that were asked for."""
    path = Path(source).expanduser()
    if layer is not None and asked and "channels" not in asked:
        raise click.UsageError("--layer is of --channels: give it as well.")
    if (path / "run.json").is_file():
        given = {"--size": size, "--seed": seed}
        wrong = [name for name, value in given.items() if value is not None]
        if wrong:
            raise click.UsageError(f"{wrong[0]} is the run's own: it is looked at as it trained.")
        return _of_run(path, asked, picture, layer, count, progress)
    if layer is not None or "channels" in asked:
        raise click.UsageError("--channels needs a run: nothing was learnt yet.")
    path = common.find_source(source)
    if path.is_file() and path.suffix.lower() != ".csv":
        if picture is not None:
            raise click.UsageError(
                "--picture is of a folder or a run: SOURCE is a picture already."
            )
        if "batch" in asked:
            raise click.UsageError("--batch needs a folder or a run: one picture is no batch.")
        return _of_file(path, asked, count, size, seed)
    from drivetrain.vision import learner

    options: dict[str, Any] = {} if size is None else {"size": size}
    found = learner(path, seed=seed, progress=False, announce=False, report=progress, **options)
    over = "Pictures as training would be given them"
    return path.resolve().name, over, _of_learner(found, asked, picture, count)


def _of_run(
    path: Path,
    asked: list[str],
    picture: str | None,
    layer: str | None,
    count: int | None,
    progress: common.Counter,
) -> tuple[str, str, list[Any]]:
    import dataclasses

    from drivetrain.errors import ConfigError
    from drivetrain.vision import channel_grid, reopen
    from drivetrain.vision.channel_grid import telling_layers

    application = common.application_of(path)
    if application != "vision":
        raise ConfigError(f"{path} is of the kind '{application}': only pictures can be looked at.")
    found = reopen(path, callbacks=(), progress=False, report=progress)
    if (path / "model" / "model.json").exists():
        found.load(path)
    grids = _of_learner(found, asked, picture, count)
    names = {entry.get("name") for entry in _callbacks(path)}
    told = [
        f"This run also {NOT_SHOWN[name]} ({name}): not shown."
        for name in NOT_SHOWN
        if name in names
    ]
    grids = [
        dataclasses.replace(grid, notes=(*grid.notes, *told)) if grid.inputs is not None else grid
        for grid in grids
    ]
    if not asked or "channels" in asked:
        layers = telling_layers(found) if layer is None else [layer]
        grids += [channel_grid(found, layer=name) for name in layers]
    return path.resolve().name, "Pictures as this run was given them", grids


def _callbacks(run: Path) -> list[dict[str, Any]]:
    from drivetrain.train.run import Run

    found = Run.open(run).read().get("callbacks")
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def _of_learner(
    learner: Any, asked: list[str], picture: str | None, count: int | None
) -> list[Any]:
    from drivetrain.vision import augmentation_ends, augmentation_grid, batch_grid, resize_grid
    from drivetrain.vision.augment_grid import place_of
    from drivetrain.vision.grids import as_numbers

    data = learner.application.data
    pictures = learner.loaders.train.data
    many = count or (12 if max(data.size) <= 160 else 6)
    grids = []
    if not asked or "resize" in asked:
        place = 0 if picture is None else place_of(pictures.ids, picture)
        grids.append(resize_grid(pictures.paths[place], size=data.size, name=pictures.ids[place]))
    if not asked or "augment" in asked:
        grids.append(augmentation_grid(learner, picture, count=many))
        grids.append(augmentation_ends(learner, picture))
    if not asked or "batch" in asked:
        batch = batch_grid(learner, count=many)
        grids += [batch, as_numbers(batch)]
    return grids


def _of_file(
    path: Path, asked: list[str], count: int | None, size: int | None, seed: int | None
) -> tuple[str, str, list[Any]]:
    from drivetrain.vision import (
        AugmentSettings,
        augmentation_ends,
        augmentation_grid,
        resize_grid,
    )

    side = size or 128
    many = count or (12 if side <= 160 else 6)
    grids = []
    if not asked or "resize" in asked:
        grids.append(resize_grid(path, size=side, name=path.name))
    if not asked or "augment" in asked:
        settings = AugmentSettings()
        options: dict[str, Any] = {"size": side}
        drawn = 42 if seed is None else seed
        grids.append(augmentation_grid(settings, path, count=many, seed=drawn, **options))
        grids.append(augmentation_ends(settings, path, **options))
    return path.name, "A picture as training would be given it", grids
