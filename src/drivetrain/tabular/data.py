"""A table made ready to learn from: read, its columns' kinds inferred, split, and preprocessed.

    data = from_csv("adult.csv", "salary")
    print(data.schema)           # each column's kind, with the reason
    print(data.choices)          # what was decided for you, and how to decide otherwise

The order matters: rows without a target are set aside, then the rows are split, and only then is
anything learnt, from the training rows alone.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from drivetrain.clean.patch import Patch, Setting
from drivetrain.data.frame import Factor, Frame, Values
from drivetrain.data.items import Quarantined
from drivetrain.data.loaders import BatchLoader, Loaders, TensorData
from drivetrain.data.split import Split, group_split, random_split, stratified_codes, time_split
from drivetrain.data.tables.reading import DEFAULT_MISSING, ReadReport, open_table
from drivetrain.data.task import Task
from drivetrain.errors import ConfigError, DataError
from drivetrain.tabular.columns.dates import tells_time
from drivetrain.tabular.columns.kinds import Schema, infer_schema, parse_frame
from drivetrain.tabular.encoding import Positions, encoded
from drivetrain.tabular.patching import patched
from drivetrain.tabular.preprocess import Notes, Preprocess, learn, suggest_logs
from drivetrain.tabular.rows import Reader
from drivetrain.tabular.sealing import SealedRows, check_test, seal_file, seal_share
from drivetrain.tabular.streaming import (
    SAMPLE_ROWS,
    Streamed,
    early_rule,
    follow,
    look,
    why_streamed,
)
from drivetrain.tabular.target import Target, find_target
from drivetrain.train.choice import Choices
from drivetrain.train.memory import size
from drivetrain.train.sealed import Seal

Report = Callable[[str, int, int | None], None]
"""Is told (what is done, how many are done, how many there are)."""

SPLITS = ("stratified", "random", "time", "group", "given")
FEWEST_SAMPLED = 10
"""Rows of a sample."""
USED = ("number", "category", "date")
"""Kinds of columns that models see."""


class RowIds(Sequence[str]):
    """Names of rows, made when asked: `row 1` is the first after the header."""

    def __init__(self, positions: np.ndarray | Positions) -> None:
        self.positions = positions

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [f"row {n + 1}" for n in self.positions[index].tolist()]
        return f"row {int(self.positions[index]) + 1}"


class RowData(TensorData):
    """Rows as tensors, which know their names."""

    def __init__(self, *tensors: Tensor, ids: Sequence[str]) -> None:
        super().__init__(*tensors)
        self.ids = ids


@dataclass
class TabularData:
    """A table that is read, split and preprocessed. Made by `from_csv` and its like."""

    source: str
    """Where it came from: a path, or `a data frame`."""
    recipe: dict[str, Any]
    """How it was made, plain JSON: `gather_again` makes it anew from a file."""
    report: ReadReport
    """What reading found and repaired."""
    schema: Schema
    """Kinds of all columns, with reasons."""
    reader: Reader
    """Brings other rows into the same columns."""
    frame: Frame
    """The rows that are used; columns that models see, dates expanded."""
    target: Target
    """What is predicted, and how it is coded."""
    targets: np.ndarray
    """(N,) int64 classes or float64 numbers; (N, T) float64 for several numbers."""
    split: Split
    """Positions of each part."""
    preprocess: Preprocess
    """Learnt on the training rows."""
    quarantined: list[Quarantined]
    """Rows that were set aside, with the reason."""
    notes: list[str]
    """Sentences on what was found."""
    seed: int
    """Of the split."""
    choices: Choices = field(default_factory=Choices)
    """What was chosen, with reasons."""
    times: np.ndarray | None = None
    """(N,) by which rows are split in time; None where they are not."""
    groups: np.ndarray | None = None
    """(N,) int64, the group of each row; None where rows are not split by group."""
    stream: Streamed | None = None
    """Of a table larger than memory, how all its rows are read: then `frame` and all that goes with it
    is a sample of them, and `loaders` gives all. None for a table that is in memory."""
    sealed: SealedRows | None = field(default=None, repr=False)
    """Rows that stand in no part here, and wait for a test; None where nothing was sealed."""

    @property
    def seal(self) -> Seal | None:
        """What is known of the sealed rows while they are closed; None where there are none."""
        return None if self.sealed is None else self.sealed.seal

    def inner_split(self, *, seed: int, valid: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
        """The training rows split once more, in the manner of the split.

        Args:
            seed: of the draw.
            valid: share to look at.

        Returns: positions within the training part: to fit on, and to look at while fitting.
        """
        rows = self.rows["train"]
        if self.times is not None and self._has_all_classes_early(rows, valid):
            found = time_split(self.times[rows], valid=valid)
        elif self.groups is not None:
            found = group_split(self.groups[rows], valid=valid, seed=seed)
        elif self.target.kind == "class":
            found = stratified_codes(self.targets[rows], valid=valid, seed=seed)
        else:
            found = random_split(len(rows), valid=valid, seed=seed)
        return np.array(found.train, dtype=np.int64), np.array(found.valid, dtype=np.int64)

    def _has_all_classes_early(self, rows: np.ndarray, valid: float) -> bool:
        """Whether the earlier part of a split by time has rows of every class."""
        assert self.times is not None, "asked of a table that is split by time"
        if self.target.kind != "class":
            return True
        early = time_split(self.times[rows], valid=valid).train
        seen = np.unique(self.targets[rows[np.array(early, dtype=np.int64)]])
        return len(seen) == len(self.target.classes)

    @cached_property
    def rows(self) -> dict[str, np.ndarray]:
        """Positions in `frame` of each part's rows, by part."""
        parts = {"train": self.split.train, "valid": self.split.valid, "test": self.split.test}
        return {name: np.array(rows, dtype=np.int64) for name, rows in parts.items()}

    def part(self, name: str) -> tuple[Frame, np.ndarray]:
        """Frame and targets of `train` or `valid`.

        Args:
            name: of the part.
        """
        rows = self.rows[name]
        return self.frame.take(rows), self.targets[rows]

    @cached_property
    def ids(self) -> RowIds:
        """Names of the rows of `frame`."""
        return RowIds(self.frame.ids)

    def tensors(self, part: str) -> tuple[Tensor, Tensor, Tensor]:
        """What a net sees of a part: codes (N, C) int64, numbers (N, D) float32, targets."""
        frame, targets = self.part(part)
        codes, numbers = self.preprocess.net_inputs(frame)
        kept = targets if self.target.kind == "class" else targets.astype(np.float32)
        return torch.from_numpy(codes), torch.from_numpy(numbers), torch.from_numpy(kept)

    def loaders(self, *, batch_size: int = 64) -> Loaders:
        """Batches (codes, numbers, targets): training rows shuffled anew each epoch, then validation.

        Args:
            batch_size: rows a batch.
        """
        made: Mapping[str, Any]
        if self.stream is not None:
            made = self._encoded_rows()
        else:
            made = {
                part: RowData(*self.tensors(part), ids=RowIds(self.frame.ids[self.rows[part]]))
                for part in ("train", "valid")
            }
        return Loaders(
            # a batch of one row has no spread, which batchnorm needs in training
            BatchLoader(
                made["train"], batch_size=batch_size, shuffle=True, min_batch=2, seed=self.seed
            ),
            BatchLoader(made["valid"], batch_size=max(batch_size, 1024)),
        )

    def _encoded_rows(self) -> dict[str, Any]:
        """All rows of each part, from the disk; what writing them found is told with the table."""
        stream = self.stream
        assert stream is not None, "asked of a streamed table"
        found = encoded(self)
        told = found.record
        stream.counts |= told["items"]
        stream.counts["quarantined"] = (
            stream.opened.num_set_aside + told["no_target"] + told["new_class"]
        )
        self.quarantined[:] = [
            *self.report.quarantined,
            *(Quarantined(**entry) for entry in told["set_aside"]),
        ]
        self.notes[:] = [note for note in self.notes if note not in stream.notes]
        stream.notes = told["notes"]
        self.notes += stream.notes
        self.choices.add(
            "rows_on_disk",
            str(found.folder),
            reason=f"all rows as the net sees them, {size(found.bytes)}: used again by whoever trains on "
            "the same, and made anew where they are not there",
            change="XDG_CACHE_HOME=FOLDER",
        )
        rows = {part: found.rows(part) for part in ("train", "valid")}
        for one in rows.values():
            one.ids = RowIds(one.positions)
        return rows

    def target_range(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest of the training targets, (T,) each; of numbers."""
        if self.stream is not None:
            told = encoded(self).record
            return np.array(told["low"]), np.array(told["high"])
        _, targets = self.part("train")
        columns = targets.reshape(len(targets), -1)
        return columns.min(axis=0), columns.max(axis=0)

    @property
    def classes(self) -> tuple[str, ...]:
        """Labels in the order of the scores; empty for numbers."""
        return self.target.classes

    def split_record(self) -> dict[str, Any]:
        """The split by names of rows; of a streamed table that of the sample, and the rule for all."""
        record = self.split.to_json(self.ids)
        if self.stream is not None:
            record |= {"of": "a sample", "rule": self.stream.rule.to_json()}
        if self.sealed is not None:
            own = self.sealed.path
            record |= {"test": list(RowIds(self.sealed.ids))} if own is None else {"test_file": own}
        return record

    def counts(self) -> dict[str, int]:
        """Rows of each part, and those set aside; of a streamed table also those of the sample."""
        if self.stream is not None:
            sampled = {f"sample_{part}": len(self.rows[part]) for part in ("train", "valid")}
            apart = {} if self.sealed is None else {"test": self.sealed.seal.count}
            return {**self.stream.counts, **apart, **sampled}
        return {
            "train": len(self.split.train),
            "valid": len(self.split.valid),
            "test": len(self.split.test) if self.sealed is None else self.sealed.seal.count,
            "quarantined": len(self.quarantined),
        }

    def fingerprint(self) -> str:
        """SHA-256 over the source's content and how it was split."""
        split = hashlib.sha256(self.rows["train"].tobytes() + self.rows["valid"].tobytes())
        apart = [] if self.sealed is None else [self.sealed.seal.fingerprint]
        patch = self.recipe.get("patch")
        changed = [] if patch is None else [json.dumps(patch, sort_keys=True)]
        known = json.dumps([self.report.sha256, split.hexdigest(), *apart, *changed])
        return hashlib.sha256(known.encode()).hexdigest()

    @property
    def task(self) -> Task:
        """The problem, as a record."""
        return Task(
            application="tabular",
            inputs="row",
            target=self.target.kind,
            classes=self.target.classes,
            source=self.source,
            found_by="the rows of a table",
            labelled_by=f"the column {self.target.name}",
            split_by=self.split.method,
        )

    def __str__(self) -> str:
        counts = self.counts()
        return (
            f"{self.source}: {counts['train'] + counts['valid']:,} rows; {counts['train']:,} train, "
            f"{counts['valid']:,} validate"
            + (f", {counts['test']:,} sealed for a test" if counts["test"] else "")
            + f".\n{self.schema}"
        )


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
        seed: of the split.
        stream: read a file batch by batch, so that it may be larger than memory; see `streaming`. By
            default where it would take more than a quarter of the memory that is free.
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
    why = why_streamed(source, stream)
    opened = open_table(source, delimiter=delimiter, encoding=encoding, missing=missing)
    options |= {"stream": None if why is None else True, "sample_rows": sample_rows}
    choices, apart = Choices(), None
    if test is not None:
        check_test(test, valid, is_streamed=why is not None)
        options["test"] = test if isinstance(test, int | float) else _absolute(test)
    if why is None:
        first, table = None, opened.read()
        _check_names(table.column_names, names, drop, time, groups)
        ids = opened.row_ids
        if isinstance(test, int | float):
            apart, table, ids = _without_sealed(table, ids, names, float(test), options)
        if patch is not None:
            changes = Patch.of_setting(patch)
            table, ids, applied = patched(table, ids, names, changes)
            options["patch"] = changes.to_json()
            reason = " ".join(applied.notes())
            choices.add("patch", len(changes), reason=reason, change="train without --patch")
        schema = infer_schema(table, kinds=dict(kinds or {}), target=names)
    else:
        if patch is not None:
            raise DataError(
                f"{source} is read batch by batch, and a patch needs it in memory. Read it so: "
                "--set stream=false"
            )
        if sample_rows < FEWEST_SAMPLED:
            raise ConfigError(
                f"`sample_rows` must be at least {FEWEST_SAMPLED}. Got {sample_rows}."
            )
        _check_names(opened.names, names, drop, time, groups)
        rule = early_rule(options)
        first = look(opened, names, rule, sample_rows=sample_rows, report=report)
        table, ids = first.table, first.ids
        schema = infer_schema(table, kinds=dict(kinds or {}), target=names, cells=first.cells())
    helpers = [name for name in (time, groups) if name is not None]
    left_out = {*names, *drop, *([groups] if groups is not None else [])}
    features = tuple(c.name for c in schema.columns if c.kind in USED and c.name not in left_out)
    wanted = [c.name for c in schema.columns if c.name in {*features, *names, *helpers}]
    frame, notes = parse_frame(table, schema, names=wanted, row_ids=ids)
    del table
    if report is not None and first is None:
        report("rows read", len(frame), len(frame))
    if not features:
        raise DataError(
            f"{opened.report.source} has no column to predict '{names[0]}' from: all others are ids, "
            "texts, constant or dropped. Say what they are: kinds={'COLUMN': 'category'}."
        )
    quarantined = list(opened.report.quarantined)
    frame = _with_target(frame, names, quarantined)
    own = options.get("test")
    if isinstance(own, str):
        words = {"delimiter": delimiter, "encoding": encoding, "missing": missing}
        apart = seal_file(own, names, **words)
    if apart is not None:
        why_sealed = (
            f"{apart.seal.how}: no part of training or of validation; drivetrain test opens them"
        )
        choices.add(
            "test", apart.seal.count, reason=why_sealed, change="--test SHARE or --test FILE"
        )
    found = _split(frame, names, schema, features, options, choices)
    by = time or next((name for name in features if schema[name].kind == "date"), None)
    streamed = None
    if first is not None:
        streamed = follow(
            opened,
            first,
            found,
            frame=frame,
            schema=schema,
            names=wanted,
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
        frame, found, targets = _without_new_classes(frame, found, targets, goal, quarantined)
        rows = np.array(found.train, dtype=np.int64)
    times = _times(frame, by) if found.method == "time" and by is not None else None
    is_grouped = found.method == "group" and groups is not None
    members = _group_codes(frame[groups]) if is_grouped and groups is not None else None
    train = frame.take(rows)
    dates = {
        name: tells_time(_times(train, name)) for name in features if schema[name].kind == "date"
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
    if streamed is not None:
        learnt = streamed.learnt(learnt, schema, dates, options)
        quarantined = streamed.set_aside(opened.report, names)
        streamed.notes = notes = [f"In a sample of {len(ids):,} rows: {note}" for note in notes]
        _add_streamed(choices, why, streamed, len(ids))
        first = None
        streamed.forget()
    _add_choices(choices, schema, goal, features, options, train)
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
        times=times,
        groups=members,
        stream=streamed,
        sealed=apart,
    )


def _without_sealed(
    table: Any,
    ids: np.ndarray,
    names: Sequence[str],
    share: float,
    options: Mapping[str, Any],
) -> tuple[SealedRows, Any, np.ndarray]:
    """The rows that are sealed, and the table without them, as if it had been read so."""
    schema = infer_schema(table, kinds=options["kinds"], target=names)
    left_out = {*names, *options["drop"]}
    helpers = [options[name] for name in ("time", "groups") if options[name] is not None]
    features = [c.name for c in schema.columns if c.kind in USED and c.name not in left_out]
    wanted = [c.name for c in schema.columns if c.name in {*features, *names, *helpers}]
    frame, _ = parse_frame(table, schema, names=wanted, row_ids=ids)
    frame = _with_target(frame, names, [])
    asked = {**options, "valid": share}
    found = _split(frame, names, schema, features, asked, Choices())
    chosen = frame.ids[np.array(found.valid, dtype=np.int64)]
    return seal_share(table, ids, found, chosen, share)


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


def _absolute(source: Any) -> str | None:
    if isinstance(source, str | os.PathLike):
        return os.path.abspath(os.path.expanduser(os.fspath(source)))
    return None


def _check_names(
    known: Sequence[str],
    target: Sequence[str],
    drop: Sequence[str],
    time: str | None,
    groups: str | None,
) -> None:
    from drivetrain._registry import did_you_mean

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
                    f"{', '.join(known[:40])}."
                )
    both = [name for name in target if name in drop]
    if both:
        raise ConfigError(f"'{both[0]}' is the target and is to be dropped: give it once.")
    if len(set(target)) != len(target) or not target:
        raise ConfigError("`target` names a column, or several different ones.")


def _with_target(frame: Frame, names: Sequence[str], quarantined: list[Quarantined]) -> Frame:
    """The rows that have a target; the others are set aside by name."""
    is_missing = np.zeros(len(frame), dtype=bool)
    for name in names:
        values = frame[name]
        if isinstance(values, Factor):
            is_missing |= values.codes < 0
        elif values.dtype.kind == "f":
            is_missing |= np.isnan(values)
    if not is_missing.any() or is_missing.all():  # all missing is said by the target's own check
        return frame
    what = " and ".join(f"'{name}'" for name in names)
    quarantined += [
        Quarantined(name, "no-target", f"The target {what} is missing.")
        for name in RowIds(frame.ids[is_missing])
    ]
    return frame.take(~is_missing)


def _without_new_classes(
    frame: Frame,
    split: Split,
    targets: np.ndarray,
    target: Target,
    quarantined: list[Quarantined],
) -> tuple[Frame, Split, np.ndarray]:
    """Leave out validation rows of a class that training does not have: no model can name it."""
    keep = targets >= 0
    quarantined += [
        Quarantined(
            name, "class-not-in-training", f"No training row has this class of '{target.name}'."
        )
        for name in RowIds(frame.ids[~keep])
    ]
    place = np.cumsum(keep) - 1
    parts = {}
    for part in ("train", "valid", "test"):
        rows = np.array(getattr(split, part), dtype=np.int64)
        parts[part] = tuple(place[rows[keep[rows]]].tolist())
    if not parts["valid"]:
        raise DataError(
            f"No validation row has a class of '{target.name}' that training has. Split otherwise."
        )
    return frame.take(keep), Split(**parts, method=split.method), targets[keep]


def _split(
    frame: Frame,
    names: Sequence[str],
    schema: Schema,
    features: Sequence[str],
    options: Mapping[str, Any],
    choices: Choices,
) -> Split:
    """The split that the table asks for, or that was asked for; recorded as a choice."""
    asked, valid, seed = options["split"], options["valid"], options["seed"]
    dates = [name for name in features if schema[name].kind == "date"]
    time = options["time"] or (dates[0] if dates else None)
    if asked is not None and asked not in SPLITS[:-1]:
        raise ConfigError(f"`split` must be one of {', '.join(SPLITS[:-1])}. Got {asked!r}.")
    change = "--set split=time|stratified|random|group"
    if isinstance(valid, list):
        positions = np.isin(frame.ids, np.array(valid, dtype=np.int64))
        choices.add("split", "given", reason="positions of the rows, as asked", change=change)
        return _checked(positions, "given")
    if isinstance(valid, str):
        if time is None:
            raise ConfigError(
                f"`valid={valid!r}` is a date, and the table has no column of dates. Give a share, such "
                "as 0.2, or `time='COLUMN'`."
            )
        choices.add("split", "time", reason=f"'{time}' from {valid} on validates", change=change)
        return _checked(_times(frame, time) >= _date(valid), "time")
    if not 0 < valid < 1:
        raise ConfigError(f"`valid` is the share for validation, between 0 and 1. Got {valid}.")
    how = asked
    if how is None:
        how = "group" if options["groups"] else "time" if time is not None else None
    if how in ("random", "stratified") and time is not None and not options["because"]:
        raise ConfigError(
            f"The rows have dates ('{time}'), and a model is used on rows that come later: validating on "
            f"rows from among the training ones would flatter it. Split by time, or say why not: "
            f"split='{how}', because='…'."
        )
    if how == "time":
        if time is None:
            raise ConfigError("`split='time'` needs a column of dates, or `time='COLUMN'`.")
        reason = (
            f"the last {valid:.0%} by '{time}' validate: a model is used on rows that come later"
            if asked is None
            else f"as asked, by '{time}'"
        )
        choices.add("split", "time", reason=reason, change="--set split=random --set because='WHY'")
        return time_split(_times(frame, time), valid=valid)
    if how == "group":
        if options["groups"] is None:
            raise ConfigError("`split='group'` needs `groups='COLUMN'`.")
        reason = f"rows of one '{options['groups']}' stay together"
        choices.add("split", "group", reason=reason, change=change)
        return group_split(_group_codes(frame[options["groups"]]), valid=valid, seed=seed)
    because = f"as asked, because {options['because']}" if options["because"] else "as asked"
    target = find_target(frame, names, kind=options["target_kind"], is_log=options["log_target"])
    if how == "random" or target.kind == "number":
        reason = because if how else "the target is a number, and no column is a date"
        choices.add("split", "random", reason=reason, change=change)
        return random_split(len(frame), valid=valid, seed=seed)
    reason = because if how else "the same share of every class, and no column is a date"
    choices.add("split", "stratified", reason=reason, change=change)
    return stratified_codes(target.values(frame), valid=valid, seed=seed)


def _checked(is_valid: np.ndarray, method: str) -> Split:
    """The split of a mask.

    Raises: DataError: a part is empty.
    """
    for what, mask in (("validation", is_valid), ("training", ~is_valid)):
        if not mask.any():
            raise DataError(f"`valid` leaves no row for {what}. Choose another date or other rows.")
    train, valid = np.flatnonzero(~is_valid), np.flatnonzero(is_valid)
    return Split(tuple(train.tolist()), tuple(valid.tolist()), method=method)


def _date(text: str) -> np.datetime64:
    try:
        return np.datetime64(text, "us")
    except ValueError:
        raise ConfigError(
            f"`valid` is a share, a date such as '2012-04-01', or positions. Got {text!r}."
        ) from None


def _times(frame: Frame, name: str) -> np.ndarray:
    values = frame[name]
    if isinstance(values, Factor):
        raise ConfigError(f"`time`: the column '{name}' holds words, not dates or numbers.")
    return values


def _group_codes(values: Values) -> np.ndarray:
    """A number a group; rows without one are a group each."""
    if isinstance(values, Factor):
        codes = values.codes.astype(np.int64)
        is_missing = codes < 0
    else:
        is_missing = np.isnat(values) if values.dtype.kind == "M" else np.isnan(values)
        codes = np.unique(values, return_inverse=True)[1].astype(np.int64)
    found = codes.copy()
    found[is_missing] = len(values) + np.arange(int(is_missing.sum()))
    return found


def _add_choices(
    choices: Choices,
    schema: Schema,
    target: Target,
    features: Sequence[str],
    options: Mapping[str, Any],
    train: Frame,
) -> None:
    what = f"{len(target.classes)} classes" if target.kind == "class" else "number"
    choices.add("target", what, reason=target.reason, change="--set target_kind=class|number")
    kinds = [schema[name].kind for name in features]
    counted = ", ".join(f"{kinds.count(k)} {k}" for k in USED if kinds.count(k))
    unused = [c for c in schema.columns if c.kind not in USED and c.name not in target.names]
    left = "; ".join(f"'{c.name}' is {_article(c.kind)}" for c in unused[:4])
    more = f" and {len(unused) - 4} more" if len(unused) > 4 else ""
    choices.add(
        "columns",
        len(features),
        reason=counted + (f"; left out: {left}{more}" if unused else ""),
        change="--kind COLUMN=category, --drop COLUMN",
    )
    choices.add(
        "fill",
        options["fill"],
        reason="stands for missing numbers; where training has some, a column says which",
        change="--set fill=mode",
    )
    logs = suggest_logs(train)
    suggested = {name: skews for name, skews in logs.items() if name not in options["log"]}
    if suggested:
        name, (before, after) = next(iter(suggested.items()))
        others = f", and {len(suggested) - 1} more" if len(suggested) > 1 else ""
        choices.add(
            "log",
            options["log"] or "none",
            reason=f"'{name}' has a long tail (skew {before:.2f}; of its logarithm {after:.2f}){others}: "
            "a net or a linear model may gain",
            change=f"--set log={json.dumps(list(suggested))}",
        )


def _add_streamed(choices: Choices, why: str | None, stream: Streamed, sampled: int) -> None:
    choices.add(
        "stream",
        True,
        reason=f"{why}: rows are read batch by batch, a net learns from all of them, and whether one "
        "validates is decided of each by itself",
        change="--set stream=false",
    )
    choices.add(
        "sample_rows",
        sampled,
        reason=f"of {stream.first.rows:,}: fill values, scales and all models but the net are learnt "
        "from them, and all are measured there; levels and classes are those of all training rows",
        change="--set sample_rows=N",
    )


def _article(kind: str) -> str:
    return {"id": "an id", "constant": "constant", "text": "text"}[kind]


def notes_of(preprocess: Preprocess, frame: Frame) -> Notes:
    """What a frame brings that training never saw."""
    notes = Notes()
    preprocess.codes(frame, notes)
    preprocess.filled(frame, notes)
    return notes


def report_record(report: ReadReport) -> dict[str, Any]:
    """What reading found, as plain JSON without the rows that were set aside."""
    return {k: v for k, v in asdict(report).items() if k != "quarantined"}
