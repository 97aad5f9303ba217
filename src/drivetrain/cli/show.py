"""`drivetrain show`: any number of a run worked out; and the arithmetic of shapes, without a run."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drivetrain._registry import did_you_mean
from drivetrain.cli import common
from drivetrain.errors import DrivetrainError, RunError

if TYPE_CHECKING:
    from drivetrain.train.learner import Learner

OF_A_RUN: dict[str, tuple[str, frozenset[str]]] = {
    "layers": ("the table of its layers: sizes, parameters, multiplications", frozenset()),
    "layer": ("one number that a layer gives: layer NAME", frozenset({"item", "at"})),
    "loss": ("the loss of an item; without --item, of a batch", frozenset({"item", "at"})),
    "metric": ("a metric over the validation items: metric NAME", frozenset()),
    "step": (
        "one weight through a training step",
        frozenset({"weight", "at", "number"}),
    ),
}
"""What can be shown of a run -> in words, and the options that it takes."""
WITHOUT: dict[str, tuple[str, frozenset[str]]] = {
    "broadcast": ("how shapes fit together: broadcast 64,28,28 28,28", frozenset()),
    "conv": (
        "the size that a convolution gives: conv 28",
        frozenset({"kernel", "pad", "stride", "dilation", "layers", "out_channels"}),
    ),
    "matmul": ("the shape of a matrix product: matmul 64,784 784,30", frozenset()),
    "describe": ("what nested lists are: describe '[[1, 2], [3, 4]]'", frozenset()),
}
"""What needs no run, likewise."""
LISTED = 12


@click.command(short_help="Work out any number of a run: layer, loss, metric, step.")
@click.argument("words", metavar="RUN [WHAT] [NAME]", nargs=-1)
@click.option("--item", metavar="ITEM", help="A validation item: its number from 0, or its id.")
@click.option("--at", metavar="I,J,…", help="Which number: 0,5,5 is channel 0, row 5, column 5.")
@click.option("--weight", metavar="NAME", help="Of step: the weight to follow, such as 0.weight.")
@click.option(
    "--number", type=click.IntRange(min=1), help="Of step: a later one of the fit, from 1."
)
@click.option(
    "--kernel", metavar="K", help="Of conv: the kernel's size. Default 3; 3,5 for two axes."
)
@click.option("--pad", metavar="P", help="Of conv: zeros put at each side.")
@click.option("--stride", metavar="S", help="Of conv: how far the kernel moves.")
@click.option("--dilation", metavar="D", help="Of conv: the distance of the rows under the kernel.")
@click.option("--layers", type=click.IntRange(min=1), help="Of conv: so many of them in a row.")
@click.option("--out-channels", type=click.IntRange(min=1), help="Of conv: output channels.")
@click.option("--full", is_flag=True, help="Show all numbers of large arrays, not their beginning.")
@common.options(
    out="Also write it to this file: a page where it ends in .html, else the JSON document.",
    short_out=True,
)
def command(
    words: tuple[str, ...],
    full: bool,
    as_json: bool,
    seed: int | None,
    out: Path | None,
    **given: Any,
) -> None:
    """Work out a number of RUN: the formula, the numbers put in, each step, the result, and whether the
    run has the same. Without WHAT, say what can be shown of it.

    \b
    layers       the table of its layers
    layer NAME   one number that a layer gives, for a validation item
    loss         the loss of a validation item, or the mean of a batch of them
    metric NAME  a metric over all validation items
    step         one weight through a training step: forward, loss, gradient, update

    What needs no run stands alone: broadcast, conv, matmul, describe. A shape is written 64,28,28, or in
    quotes as "(64,28,28)", since a shell has its own use for brackets.

    \b
    drivetrain show runs/2026-01-31-photos
    drivetrain show runs/2026-01-31-photos layer layers.0 --item 3 --at 0,5,5
    drivetrain show runs/2026-01-31-photos step --weight 0.weight --at 3,5 --out step.html
    drivetrain show broadcast 64,28,28 28,28
    drivetrain show conv 28 --kernel 3 --pad 1 --stride 2 --layers 5
    """
    options = {name: value for name, value in given.items() if value is not None}
    if not words:
        raise click.UsageError(
            f"Missing argument 'RUN': a run's folder, or one of {', '.join(WITHOUT)}."
        )
    if words[0] in WITHOUT:
        _refuse_others(words[0], WITHOUT[words[0]][1], options)
        shown = _SHAPES[words[0]](words[1:], options)
    else:
        run, what, names = _read(words)
        _refuse_others(what, OF_A_RUN[what][1] if what else frozenset(), options)
        shown = _of_run(run, what, names, options)
    _tell(shown, full=full, as_json=as_json, out=out)


def _tell(shown: Any, *, full: bool, as_json: bool, out: Path | None) -> None:
    from drivetrain import show

    width = min(96, shutil.get_terminal_size().columns) if sys.stdout.isatty() else 96
    document = shown.to_json()
    is_page = out is not None and out.suffix.lower() in (".html", ".htm")
    if out is not None and is_page:
        with common.stdout_kept():
            show.write(shown, out, full=full)
    text = "" if as_json else show.text(shown, full=full, width=max(60, width))
    common.answer(document, text, as_json=as_json, copy=None if is_page else out)


# --- reading the words ----------------------------------------------------------------------------


def _read(words: tuple[str, ...]) -> tuple[Path, str, tuple[str, ...]]:
    """Run, what is to be shown of it, and further names."""
    run, rest = words[0], words[1:]
    if run in OF_A_RUN and not Path(run).exists():
        folder = next((word for word in rest if Path(word).is_dir()), "RUN")
        more = [word for word in rest if word != folder]
        raise click.UsageError(
            f"The run comes first: drivetrain show {' '.join([folder, run, *more])}."
        )
    if not rest:
        return Path(run), "", ()
    what = rest[0]
    if what not in OF_A_RUN:
        if what in WITHOUT:
            raise click.UsageError(
                f"'{what}' needs no run: drivetrain show {' '.join([what, *rest[1:]])}."
            )
        raise click.UsageError(
            f"There is no '{what}' to show of a run.{did_you_mean(what, OF_A_RUN)} "
            f"Known: {', '.join(OF_A_RUN)}."
        )
    names = rest[1:]
    most = 1 if what in ("layer", "metric") else 0
    if len(names) > most:
        raise click.UsageError(
            f"'{what}' takes {'one name' if most else 'no name'}. Got {' '.join(names)}."
        )
    return Path(run), what, names


def _refuse_others(what: str, taken: frozenset[str], options: Mapping[str, Any]) -> None:
    known = {**OF_A_RUN, **WITHOUT}
    for name in options:
        if name not in taken:
            owners = [one for one, (_, names) in known.items() if name in names]
            raise click.UsageError(
                f"--{name.replace('_', '-')} is for {' and '.join(owners)}, not for "
                f"{what or 'a run alone'}."
            )


def numbers(text: str, what: str) -> tuple[int, ...]:
    """Whole numbers as a person writes them: `64,28,28`, `(64, 28, 28)`, `64x28x28`, `(3,)`.

    >>> numbers("(64, 28, 28)", "a shape"), numbers("3,", "a shape")
    ((64, 28, 28), (3,))
    """
    inside = text.strip().removeprefix("(").removesuffix(")").strip()
    parts = [part for part in re.split(r"\s*[,x×]\s*", inside) if part]
    if not all(re.fullmatch(r"\d{1,15}", part) for part in parts) or (inside and not parts):
        raise click.UsageError(f"{what} is whole numbers such as 64,28,28. Got '{text}'.")
    return tuple(int(part) for part in parts)


# --- shapes ---------------------------------------------------------------------------------------


def _broadcast(words: tuple[str, ...], _: Mapping[str, Any]) -> Any:
    from drivetrain import show

    return show.broadcast(*_shapes("broadcast", words))


def _matmul(words: tuple[str, ...], _: Mapping[str, Any]) -> Any:
    from drivetrain import show

    return show.matmul(*_shapes("matmul", words))


def _shapes(what: str, words: tuple[str, ...]) -> list[tuple[int, ...]]:
    if len(words) < 2:
        raise click.UsageError(f"'{what}' needs two shapes or more, such as 64,28,28 28,28.")
    return [numbers(word, "A shape") for word in words]


def _conv(words: tuple[str, ...], options: Mapping[str, Any]) -> Any:
    from drivetrain import show

    if len(words) != 1:
        raise click.UsageError(
            "'conv' needs one size, such as 28 or 64,1,28,28; the rest are options: conv 28 --kernel 3."
        )
    size = numbers(words[0], "A size")
    pairs = {
        name: numbers(options[option], f"--{option}")
        for option, name in (
            ("kernel", "kernel_size"),
            ("pad", "padding"),
            ("stride", "stride"),
            ("dilation", "dilation"),
        )
        if option in options
    }
    settings: dict[str, Any] = {k: v[0] if len(v) == 1 else v for k, v in pairs.items()}
    settings |= {name: options[name] for name in ("layers", "out_channels") if name in options}
    return show.conv(size, settings.pop("kernel_size", 3), **settings)


def _describe(words: tuple[str, ...], _: Mapping[str, Any]) -> Any:
    from drivetrain import show

    if len(words) != 1:
        raise click.UsageError("'describe' needs one list, in quotes: describe '[[1, 2], [3, 4]]'.")
    try:
        value = json.loads(words[0])
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, list):
        raise click.UsageError(f"'describe' needs nested lists as JSON has them. Got '{words[0]}'.")
    return show.describe(value)


_SHAPES: dict[str, Callable[[tuple[str, ...], Mapping[str, Any]], Any]] = {
    "broadcast": _broadcast,
    "conv": _conv,
    "matmul": _matmul,
    "describe": _describe,
}


# --- runs -----------------------------------------------------------------------------------------


def _of_run(run: Path, what: str, names: tuple[str, ...], options: Mapping[str, Any]) -> Any:
    from drivetrain import show

    at = numbers(options["at"], "--at") if "at" in options else None
    with common.stdout_kept():
        application, learner = reopened(run)
        if what == "layers":
            return show.layers(learner)
        if what == "layer":
            return _layer(learner, names, options.get("item", "0"), at)
        if what == "loss":
            return show.loss(learner, item=options.get("item"), at=at or ())
        if what == "metric":
            return show.metric(learner, *names)
        if what == "step":
            weight = options.get("weight")
            if weight is None:
                raise click.UsageError(f"'step' needs --weight. {_weights_of(learner)}")
            return show.step(learner, weight=weight, at=at, number=options.get("number", 1))
        return _overview(run, application, learner)


def reopened(run: Path) -> tuple[str, Learner]:
    """The application of a run, and its Learner as it ended."""
    from drivetrain import collab, tabular, text as texts, vision

    found = common.application_of(run)
    homes: dict[str, Any] = {"tabular": tabular, "text": texts, "collab": collab}
    try:
        with common.counter() as count:
            return found, homes.get(found, vision).reopen(run, progress=False, report=count)
    except RunError as error:
        if _has_no_steps(run):
            error.add_note(
                "It was not trained step by step, so it has no layers, loss or steps to show. Ask it why "
                f"with: drivetrain explain {shlex.quote(str(run))}"
            )
        raise


def _has_no_steps(run: Path) -> bool:
    """Whether it is a whole run of trees, of a linear model or of ALS: these keep no journal."""
    from drivetrain import store

    try:
        record = store.read_json(run / "run.json")
    except DrivetrainError:
        return False
    return isinstance(record, dict) and "results" in record and not record.get("journal")


def _layer(learner: Learner, names: tuple[str, ...], item: str, at: tuple[int, ...] | None) -> Any:
    from drivetrain import show
    from drivetrain.show.items import valid_item
    from drivetrain.train.batches import call_of

    found = valid_item(learner, item)
    args, named, _ = call_of(found.alone())
    inputs = named or args
    if not names:
        listed = _few(list(show.names(learner, inputs)))
        raise click.UsageError(f"'layer' needs a name. There are: {listed}.")
    shown = show.layer(learner, inputs, names[0], item=0, at=at)
    name = "" if found.name == str(found.index) else f" ({found.name})"
    title = f"{shown.title.replace('[item 0', '[of the item')}: item {found.index}{name}"
    return dataclasses.replace(shown, title=title)


def _weights_of(learner: Learner) -> str:
    names = [name for name, one in learner.model.named_parameters() if one.requires_grad]
    more = "" if len(names) <= LISTED else f" … ({len(names)})"
    return f"It has: {', '.join(names[:LISTED])}{more}."


def _overview(run: Path, application: str, learner: Learner) -> Any:
    """What there is to show of a run, and how to ask for it."""
    from drivetrain import losses, show
    from drivetrain.losses.table import loss_name, unwrapped
    from drivetrain.show.items import count_of, ids_of, valid_item
    from drivetrain.train.batches import call_of

    weights = [
        (name, list(one.shape))
        for name, one in learner.model.named_parameters()
        if one.requires_grad
    ]
    layers: list[str] = []
    items = 0
    ids = ids_of(learner.loaders.valid)
    if learner.loaders.valid is not None:
        args, named, _ = call_of(valid_item(learner, 0).alone())
        layers = list(show.names(learner, named or args))
        items = count_of(learner.loaders.valid)
    rows = [
        ("layers", _few(layers)),
        ("weights", _few([f"{name} {tuple(shape)}" for name, shape in weights])),
        ("loss", loss_name(unwrapped(learner.loss_fn)[0])),
        ("metrics", _few([one.name for one in learner.metrics])),
        ("items", f"{items:,} to validate on" + (f", such as '{ids[0]}'" if ids else "")),
    ]
    weight = weights[0][0] if weights else "NAME"
    name = layers[-1] if layers else "NAME"
    asked = [
        "layers",
        f"layer {name} --item 0",
        "loss --item 0",
        *(f"metric {shlex.quote(one.name)}" for one in learner.metrics[:1]),
        f"step --weight {weight}",
    ]
    notes = [f"drivetrain show {shlex.quote(str(run))} {words}" for words in asked]
    values = {
        "run": str(run),
        "application": application,
        "layers": layers,
        "weights": [{"name": name, "shape": shape} for name, shape in weights],
        "loss": losses.loss_record(learner.loss_fn)["name"],
        "metrics": [one.name for one in learner.metrics],
        "items": items,
        "commands": notes,
    }
    return show.Answer(
        f"{run}: what can be shown", ("of it", "there is"), tuple(rows), tuple(notes), values
    )


def _few(names: list[str]) -> str:
    if not names:
        return "none"
    more = f" … ({len(names)})" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more
