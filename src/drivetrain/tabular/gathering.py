"""From a file or a data frame to a table that models can learn from.

    data = from_csv("adult.csv", "salary")
    print(data.schema)           # each column's kind, with the reason
    print(data.choices)          # what was decided for you, and how to decide otherwise

The order matters: rows without a target are set aside, then the rows are split, and only then is
anything learnt, from the training rows alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from drivetrain._registry import did_you_mean
from drivetrain.clean.patch import Patch, Setting
from drivetrain.data.frame import Frame
from drivetrain.data.items import Quarantined
from drivetrain.data.tables.reading import DEFAULT_MISSING, TableSource, open_table
from drivetrain.errors import ConfigError, DataError
from drivetrain.tabular.chosen import add_choices, add_streamed
from drivetrain.tabular.columns.dates import tells_time
from drivetrain.tabular.columns.kinds import Schema, infer_schema, parse_frame
from drivetrain.tabular.data import USED, TabularData
from drivetrain.tabular.patching import patched
from drivetrain.tabular.preprocess import learn
from drivetrain.tabular.rows import Reader
from drivetrain.tabular.sealing import SealedRows, check_test, seal_file, seal_share
from drivetrain.tabular.setting_aside import with_target, without_new_classes
from drivetrain.tabular.splitting import group_codes, split_table, time_column, times_of
from drivetrain.tabular.streaming.first import SAMPLE_ROWS, First, Report, look
from drivetrain.tabular.streaming.rule import early_rule
from drivetrain.tabular.streaming.streamed import follow
from drivetrain.tabular.streaming.whether import why_streamed
from drivetrain.tabular.target import find_target
from drivetrain.train.choice import Choices
from drivetrain.train.split_seed import say_split_seed

FEWEST_SAMPLED = 10
"""Rows of a sample."""


def from_csv(
    path: str | os.PathLike[str], target: str | Sequence[str], **options: Any
) -> TabularData:
    """A CSV file; see `gather` for the options.

    Args:
        path: of the file.
        target: the column to predict, or several.
        options: of `gather`.
    """
    return gather(path, target, **options)


def from_parquet(
    path: str | os.PathLike[str], target: str | Sequence[str], **options: Any
) -> TabularData:
    """A Parquet file; see `gather` for the options.

    Args:
        path: of the file.
        target: the column to predict, or several.
        options: of `gather`.
    """
    return gather(path, target, **options)


def from_frame(frame: Any, target: str | Sequence[str], **options: Any) -> TabularData:
    """A data frame of pandas, polars or Arrow, or a dict of columns; see `gather` for the options.

    Args:
        frame: the rows.
        target: the column to predict, or several.
        options: of `gather`.
    """
    return gather(frame, target, **options)


def gather(
    source: Any,
    target: str | Sequence[str],
    *,
    kinds: Mapping[str, str] | None = None,
    drop: Sequence[str] = (),
    target_kind: str | None = None,
    log_target: bool = False,
    valid: float | str | Sequence[int] = 0.2,
    test: float | str | os.PathLike[str] | None = None,
    patch: Setting | Sequence[Setting] | None = None,
    split: str | None = None,
    because: str | None = None,
    time: str | None = None,
    groups: str | None = None,
    fill: str = "median",
    constant: float = 0.0,
    scale: str = "standard",
    unseen: str = "missing",
    log: Sequence[str] = (),
    levels: Mapping[str, Sequence[str]] | None = None,
    rare: int | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    missing: Sequence[str] = DEFAULT_MISSING,
    seed: int = 42,
    split_seed: int | None = None,
    stream: bool | None = None,
    sample_rows: int = SAMPLE_ROWS,
    report: Report | None = None,
) -> TabularData:
    """Read a table and make it ready to learn from; what is not given is chosen, and said.

    Args:
        source: a CSV or Parquet file; a frame of pandas, polars or Arrow; a dict of columns.
        target: the column to predict; several columns of numbers are predicted together.
        kinds: column -> `number`, `category`, `date`, `text`, `id`, `constant`, where the inferred kind
            is not right.
        drop: columns to leave out, such as those known only after the target is.
        target_kind: `class` or `number`.
        log_target: learn log(1 + y) of a number.
        valid: share of the rows that validate; or a date, from which on they do; or their positions,
            counted from 0.
        test: share of the rows that is sealed for a test, drawn as validation is, of what then remains;
            or a file of such rows. They are in no part and in no statistics; see `tabular.sealing`.
        patch: changes of labels that `drivetrain clean` wrote, of one or several people, made
            before validation is drawn; the file and what is sealed stay as they are.
        split: `stratified`, `random`, `time` or `group`. By default rows with a date are split by time,
            and others stratified by class.
        because: why a table with dates is to be split otherwise; recorded with the run.
        time: the column to split by in time, where there are several dates, or it is a number.
        groups: a column whose equal values stay on one side.
        fill, constant, scale, unseen, log, levels, rare: see `preprocess.learn`.
        delimiter, encoding, missing: see `reading.open_table`.
        seed: of the split, of the order of batches, and of models that draw.
        split_seed: of the split alone; by default as `seed`. See `train.split_seed`.
        stream: read a file batch by batch, so that it may be larger than memory; see
            `tabular.streaming`. By default where it would take more than a quarter of the memory that
            is free.
        sample_rows: of a streamed file, the rows of the sample from which kinds, fill values and scales
            are learnt, and which models other than the net are fitted and measured on.
        report: is told how far reading is.

    Returns: the table with its split, and what was learnt of its training rows.
    Raises: DataError: the table cannot be used. ConfigError: an option is wrong.
    """
    names = (target,) if isinstance(target, str) else tuple(target)
    options = {
        "kinds": dict(kinds or {}),
        "drop": list(drop),
        "target_kind": target_kind,
        "log_target": log_target,
        "valid": valid if isinstance(valid, float | int | str) else [int(v) for v in valid],
        "split": split,
        "because": because,
        "time": time,
        "groups": groups,
        "fill": fill,
        "constant": constant,
        "scale": scale,
        "unseen": unseen,
        "log": list(log),
        "levels": {name: list(order) for name, order in (levels or {}).items()},
        "rare": rare,
        "delimiter": delimiter,
        "encoding": encoding,
        "missing": list(missing),
        "seed": seed,
    }
    if split_seed is not None:
        options["split_seed"] = split_seed
    why = why_streamed(source, stream)
    opened = open_table(source, delimiter=delimiter, encoding=encoding, missing=missing)
    options |= {"stream": None if why is None else True, "sample_rows": sample_rows}
    if test is not None:
        check_test(test, valid, is_streamed=why is not None)
        options["test"] = test if isinstance(test, int | float) else _absolute(test)
    choices = Choices()
    if why is None:
        read = _read_whole(opened, names, options, patch, choices, report)
    else:
        if patch is not None:
            raise DataError(
                f"{source} is read batch by batch, and a patch needs it in memory. Read it so: "
                "--set stream=false"
            )
        read = _read_in_batches(opened, names, options, report)
    frame, quarantined = read.frame, [*opened.report.quarantined, *read.without]
    sealed = _sealed(read, names, options, choices)
    schema, features = read.schema, read.features
    found = split_table(frame, names, schema, features, options, choices)
    say_split_seed(split_seed, found.method, choices)
    by = time_column(schema, features, options)
    streamed = None
    if read.first is not None:
        streamed = follow(
            opened,
            read.first,
            found,
            frame=frame,
            schema=schema,
            names=read.names,
            target=names,
            by=by,
            options=options,
            report=report,
        )
        found = streamed.split(frame, schema)
    rows = np.array(found.train, dtype=np.int64)
    if streamed is None:
        goal = find_target(frame, names, kind=target_kind, is_log=log_target, rows=rows)
    else:
        goal = streamed.target(frame, names, rows, schema, kind=target_kind, is_log=log_target)
    targets = goal.values(frame)
    if goal.kind == "class" and (targets < 0).any():
        frame, found, targets = without_new_classes(frame, found, targets, goal, quarantined)
        rows = np.array(found.train, dtype=np.int64)
    dates = {
        name: tells_time(times_of(frame, name)[rows])
        for name in features
        if schema[name].kind == "date"
    }
    reader = Reader(schema, features, dates, tuple(missing))
    used = reader.expand(frame.select(features))
    train = used.take(rows)
    learnt = learn(
        train,
        fill=fill,
        constant=constant,
        scale=scale,
        unseen=unseen,
        log=log,
        levels=levels,
        rare=rare,
    )
    notes = read.notes
    if streamed is not None and why is not None:
        learnt = streamed.learnt(learnt, schema, dates, options)
        quarantined = streamed.set_aside(opened.report, names)
        sampled = len(streamed.first.ids)
        notes = [f"In a sample of {sampled:,} rows: {note}" for note in notes]
        streamed.notes = notes
        add_streamed(choices, why, streamed.first.rows, sampled)
        read.first = None
        streamed.forget()
    add_choices(choices, schema, goal, features, options, train)
    return TabularData(
        source=opened.report.source,
        recipe={"source": _absolute(source), "target": list(names), **options},
        report=opened.report,
        schema=schema,
        reader=reader,
        frame=used,
        target=goal,
        targets=targets,
        split=found,
        preprocess=learnt,
        quarantined=quarantined,
        notes=[*opened.report.notes, *notes],
        seed=seed,
        choices=choices,
        times=times_of(frame, by) if found.method == "time" and by is not None else None,
        groups=group_codes(frame[groups]) if found.method == "group" and groups else None,
        stream=streamed,
        sealed=sealed,
    )


def gather_again(recipe: Mapping[str, Any], *, report: Report | None = None) -> TabularData:
    """The table that a recipe describes.

    Raises: DataError: it came from memory, so that it cannot be read again; or as `gather`.
    """
    options = dict(recipe)
    source, target = options.pop("source"), options.pop("target")
    options["stream"] = bool(options.get("stream"))  # what memory is free here changes nothing
    if not isinstance(source, str):
        raise DataError(
            "This run was trained on a data frame, which only the program that made it has. Give it as a "
            "file to go on in another process."
        )
    return gather(source, target, report=report, **options)


# --- reading --------------------------------------------------------------------------------------


@dataclass
class _Read:
    """A table as it was read, or a sample of it, in columns of their kinds."""

    schema: Schema
    features: tuple[str, ...]
    """Columns that models see."""
    names: list[str]
    """Those that are read: features, targets, and what splits."""
    frame: Frame
    """The rows that have a target."""
    without: list[Quarantined]
    """Those that have none."""
    notes: list[str]
    """On cells that could not be read."""
    sealed: SealedRows | None = None
    """A share of the rows, for a test."""
    first: First | None = None
    """Of a streamed table, what the pass over it found."""


def _read_whole(
    opened: TableSource,
    target: Sequence[str],
    options: dict[str, Any],
    patch: Setting | Sequence[Setting] | None,
    choices: Choices,
    report: Report | None,
) -> _Read:
    """The rows that are not sealed, as a patch leaves them; it is added to the options."""
    table = opened.read()
    _check_names(table.column_names, target, options)
    ids, sealed = opened.row_ids, None
    share = options.get("test")
    if isinstance(share, int | float):
        sealed, table, ids = _without_sealed(table, ids, target, float(share), options)
    if patch is not None:
        changes = Patch.of_setting(patch)
        table, ids, applied = patched(table, ids, target, changes)
        options["patch"] = changes.to_json()
        reason = " ".join(applied.notes())
        choices.add("patch", len(changes), reason=reason, change="train without --patch")
    schema = infer_schema(table, kinds=options["kinds"], target=target)
    read = _parsed(table, ids, schema, target, options)
    read.sealed = sealed
    if report is not None:
        report("rows read", len(ids), len(ids))
    _check_features(read, opened, target)
    return read


def _read_in_batches(
    opened: TableSource,
    target: Sequence[str],
    options: Mapping[str, Any],
    report: Report | None,
) -> _Read:
    """A sample of the rows, and what one pass over all of them found."""
    sample_rows = options["sample_rows"]
    if sample_rows < FEWEST_SAMPLED:
        raise ConfigError(f"`sample_rows` must be at least {FEWEST_SAMPLED}. Got {sample_rows}.")
    _check_names(opened.names, target, options)
    first = look(opened, target, early_rule(options), sample_rows=sample_rows, report=report)
    schema = infer_schema(first.table, kinds=options["kinds"], target=target, cells=first.cells())
    read = _parsed(first.table, first.ids, schema, target, options)
    read.first = first
    _check_features(read, opened, target)
    return read


def _parsed(
    table: Any, ids: np.ndarray, schema: Schema, target: Sequence[str], options: Mapping[str, Any]
) -> _Read:
    """The columns that are used, parsed by their kinds."""
    helpers = [options[name] for name in ("time", "groups") if options[name] is not None]
    left_out = {*target, *options["drop"], options["groups"]}
    features = tuple(c.name for c in schema.columns if c.kind in USED and c.name not in left_out)
    names = [c.name for c in schema.columns if c.name in {*features, *target, *helpers}]
    frame, notes = parse_frame(table, schema, names=names, row_ids=ids)
    without: list[Quarantined] = []
    frame = with_target(frame, target, without)
    return _Read(schema, features, names, frame, without, notes)


def _check_features(read: _Read, opened: TableSource, target: Sequence[str]) -> None:
    if not read.features:
        raise DataError(
            f"{opened.report.source} has no column to predict '{target[0]}' from: all others are ids, "
            "texts, constant or dropped. Say what they are: kinds={'COLUMN': 'category'}."
        )


# --- rows for a test ------------------------------------------------------------------------------


def _sealed(
    read: _Read, target: Sequence[str], options: Mapping[str, Any], choices: Choices
) -> SealedRows | None:
    """The rows that are sealed: a share of those that were read, or a file of their own."""
    sealed, own = read.sealed, options.get("test")
    if isinstance(own, str):
        words = {name: options[name] for name in ("delimiter", "encoding", "missing")}
        sealed = seal_file(own, target, **words)
    if sealed is not None:
        choices.add(
            "test",
            sealed.seal.count,
            reason=f"{sealed.seal.how}: no part of training or of validation; drivetrain test opens them",
            change="--test SHARE or --test FILE",
        )
    return sealed


def _without_sealed(
    table: Any,
    ids: np.ndarray,
    target: Sequence[str],
    share: float,
    options: Mapping[str, Any],
) -> tuple[SealedRows, Any, np.ndarray]:
    """A share of the rows, drawn as validation is; and the table without them."""
    schema = infer_schema(table, kinds=options["kinds"], target=target)
    read = _parsed(table, ids, schema, target, options)
    asked = {**options, "valid": share}
    found = split_table(read.frame, target, schema, read.features, asked, Choices())
    chosen = read.frame.ids[np.array(found.valid, dtype=np.int64)]
    return seal_share(table, ids, found, chosen, share)


# --- names ----------------------------------------------------------------------------------------


def _absolute(source: Any) -> str | None:
    if isinstance(source, str | os.PathLike):
        return os.path.abspath(os.path.expanduser(os.fspath(source)))
    return None


def _of_a_row(names: Sequence[str]) -> str:
    """What to say of columns that are called as numbers are, as in a file without a header."""
    if not any(re.fullmatch(r"-?\d+([.,]\d+)?", name) for name in names):
        return ""
    return " That is the first line: where it is a row already, put a line of names before it."


def _check_names(known: Sequence[str], target: Sequence[str], options: Mapping[str, Any]) -> None:
    """Raises: DataError: a column is not there. ConfigError: one is asked for twice."""
    drop, time, groups = options["drop"], options["time"], options["groups"]
    for what, names in (
        ("target", target),
        ("drop", drop),
        ("time", [time] if time is not None else []),
        ("groups", [groups] if groups is not None else []),
    ):
        for name in names:
            if name not in known:
                raise DataError(
                    f"`{what}`: there is no column '{name}'.{did_you_mean(name, known)} There are: "
                    f"{', '.join(known[:40])}.{_of_a_row(known)}"
                )
    both = [name for name in target if name in drop]
    if both:
        raise ConfigError(f"'{both[0]}' is the target and is to be dropped: give it once.")
    if len(set(target)) != len(target) or not target:
        raise ConfigError("`target` names a column, or several different ones.")
