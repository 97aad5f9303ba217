"""Ratings made ready to learn from: read, cleaned, split, and counted in codes.

    data = from_csv("ratings.csv", titles="films.csv")
    print(data)                  # how many users, items and ratings, and what was set aside
    print(data.choices)          # what was decided for you, and how to decide otherwise

The order matters: rows that cannot be used are set aside, the rest is split, and only then are users and
items counted: from the training ratings alone, so that one who stands in none of them is unknown.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from drivetrain import store
from drivetrain._registry import did_you_mean
from drivetrain.collab.table.columns import USUAL, Columns, find_columns
from drivetrain.collab.table.ids import Ids
from drivetrain.collab.table.rows import DUPLICATES, Report, Rows, as_text, read_rows
from drivetrain.collab.table.splits import PARTS, REASONS, SPLITS, parts_given, parts_of
from drivetrain.collab.table.titles import read_titles
from drivetrain.data.items import Quarantined
from drivetrain.data.loaders import BatchLoader, Loaders, TensorData
from drivetrain.data.ratings import RatingTable
from drivetrain.data.split_ratings import TRAIN, VALID
from drivetrain.data.tables.reading import DEFAULT_MISSING, TableSource, open_table
from drivetrain.data.task import Task
from drivetrain.errors import ConfigError, DataError
from drivetrain.train.choice import Choices
from drivetrain.train.split_seed import say_split_seed, seed_of

if TYPE_CHECKING:
    from drivetrain.collab.newcomers.facts import Facts

LISTED = 1_000_000
"""Ratings up to which a run writes down the part of each; of more it has the rule and the seed."""
VALID_BATCH_SIZE = 16_384


class RowNames(Sequence[str]):
    """Names of rows, made when asked: `row 1` is the first after the header."""

    def __init__(self, positions: np.ndarray) -> None:
        self.positions = positions

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [f"row {n + 1}" for n in self.positions[index].tolist()]
        return f"row {int(self.positions[index]) + 1}"


class RatingData(TensorData):
    """Pairs of codes (N, 2) and ratings (N,) that know the names of their rows."""

    def __init__(self, table: RatingTable, ids: Sequence[str]) -> None:
        super().__init__(*table.tensors())
        self.ids = ids


@dataclass
class CollabData:
    """Ratings that are read and split. Made by `from_csv` and its like."""

    source: str
    """Where they came from: a path, or `The data frame`."""
    recipe: dict[str, Any]
    """How they were made, plain JSON: `gather_again` makes them anew from a file."""
    columns: Columns
    """Which column is what."""
    table: RatingTable
    """All ratings that are used; a user or an item that no training rating has is 0."""
    parts: np.ndarray
    """(N,) int8: the part of each, see `splits.PARTS`."""
    positions: np.ndarray
    """(N,) int64, where each stands in the source, counted from 0."""
    users: Ids
    """Names of the users by code."""
    items: Ids
    """Names of the items by code."""
    titles: tuple[str, ...]
    """(I,) what items are called; their id where nothing else is known."""
    split: str
    """One of `splits.SPLITS`, or `given`."""
    sha256: str
    """Of the source's content."""
    quarantined: list[Quarantined]
    """Rows that could not be used, with the reason; the first of them."""
    num_set_aside: int
    """Rows that are not used; `quarantined` names the first of them."""
    notes: list[str]
    """Sentences on what was found."""
    seed: int
    """Of the split."""
    choices: Choices = field(default_factory=Choices)
    """What was chosen, with reasons."""
    user_facts: Facts | None = None
    """What is known of the users, where facts were given."""
    item_facts: Facts | None = None
    """What is known of the items, where facts were given."""

    @property
    def is_implicit(self) -> bool:
        """Whether rows say that something happened, and not how good it was."""
        return self.columns.rating is None

    def rows(self, part: str) -> np.ndarray:
        """(n,) int64, which ratings are of a part: `train`, `valid` or `test`."""
        return np.flatnonzero(self.parts == PARTS[part])

    def part(self, part: str) -> RatingTable:
        """The ratings of a part."""
        return self.table.take(self.rows(part))

    def pairs(self, part: str) -> RatingTable:
        """The same without their times, which take as much memory as all else."""
        return replace(self.table, times=None).take(self.rows(part))

    def counts(self) -> dict[str, int]:
        """Ratings of each part, and rows set aside."""
        found = {part: int((self.parts == code).sum()) for part, code in PARTS.items()}
        return {**found, "quarantined": self.num_set_aside}

    def rating_range(self) -> tuple[float, float]:
        """The lowest and the highest training rating."""
        ratings = self.table.ratings[self.parts == TRAIN]
        return float(ratings.min()), float(ratings.max())

    def loaders(self, *, batch_size: int = 64) -> Loaders:
        """Batches (pairs (B, 2), ratings (B,)): training ratings shuffled each epoch, then validation.

        Args:
            batch_size: ratings a batch.
        """
        found = {
            part: RatingData(self.pairs(part), RowNames(self.positions[self.rows(part)]))
            for part in ("train", "valid")
        }
        return Loaders(
            # a batch of one has no spread, which batchnorm needs in training
            BatchLoader(
                found["train"], batch_size=batch_size, shuffle=True, min_batch=2, seed=self.seed
            ),
            BatchLoader(found["valid"], batch_size=max(batch_size, VALID_BATCH_SIZE)),
        )

    def split_record(self) -> dict[str, Any]:
        """`{method, train, valid, test}` by the names of rows; the rule where there are very many."""
        if len(self.table) > LISTED and self.split != "given":
            names = ("split", "valid", "test", "seed", "split_seed")
            rule = {name: self.recipe[name] for name in names if name in self.recipe}
            return {"method": self.split, "rule": rule, "items": self.counts()}
        names = {p: list(RowNames(self.positions[self.rows(p)])) for p in PARTS}
        return {"method": self.split, **names}

    def fingerprint(self) -> str:
        """SHA-256 over the source's content and how it was split: equal where the data is."""
        digest = hashlib.sha256(self.sha256.encode())
        digest.update(self.parts.tobytes() + self.positions.tobytes())
        return digest.hexdigest()

    @property
    def task(self) -> Task:
        """The problem, as a record."""
        target = self.columns.rating or "what happened"
        return Task(
            application="collab",
            inputs="user and item",
            target="number",
            source=self.source,
            found_by=f"the columns {self.columns.user} and {self.columns.item}",
            labelled_by=f"the column {target}" if self.columns.rating else "each row is an event",
            split_by=self.split,
        )

    def density(self) -> float:
        """Share of all pairs of user and item that have a rating."""
        return len(self.table) / max(1, (len(self.users) - 1) * (len(self.items) - 1))

    def __str__(self) -> str:
        counts = self.counts()
        what = "events" if self.is_implicit else "ratings"
        return (
            f"{self.source}: {counts['train']:,} {what} to train, {counts['valid']:,} to validate"
            + (f", {counts['test']:,} sealed for a test" if counts["test"] else "")
            + f"; {len(self.users) - 1:,} users, {len(self.items) - 1:,} items, "
            f"{self.density():.2%} of the pairs"
        )


def from_csv(path: store.StrPath, **options: Any) -> CollabData:
    """Ratings in a CSV file; see `gather` for the options.

    Args:
        path: of the file.
        options: those of `gather`.
    """
    return gather(path, **options)


def from_table(table: Any, **options: Any) -> CollabData:
    """Ratings in a Parquet file or a frame of pandas, polars or Arrow; see `gather`.

    Args:
        table: the file or the frame.
        options: those of `gather`.
    """
    return gather(table, **options)


def gather(
    source: Any,
    *,
    user: str | None = None,
    item: str | None = None,
    rating: str | None = None,
    time: str | None = None,
    implicit: bool | None = None,
    titles: Any = None,
    user_facts: Any = None,
    item_facts: Any = None,
    names: Sequence[str] | None = None,
    split: str | None = None,
    valid: float | Sequence[int] = 0.2,
    test: float = 0.0,
    rating_range: Sequence[float] | None = None,
    duplicates: str = "last",
    delimiter: str | None = None,
    encoding: str | None = None,
    missing: Sequence[str] = DEFAULT_MISSING,
    seed: int = 42,
    split_seed: int | None = None,
    report: Report | None = None,
) -> CollabData:
    """Read ratings and make them ready to learn from; what is not given is chosen, and said.

    Args:
        source: a CSV or Parquet file; a frame of pandas, polars or Arrow; a dict of columns.
        user, item, rating, time: names of the columns; by default found by their names. Without a column
            of ratings each row is an event.
        implicit: True: leave the ratings aside, each row is an event.
        titles: what items are called; see `titles.read_titles`. A string may also be a column of the
            source.
        user_facts, item_facts: tables of what is known of users or items; or mappings of `source` and
            options of `newcomers.facts.read_facts`: `{"source": "u.user", "names": […]}`.
        names: of the columns of a file without a header; by default such a file of three or four columns
            of numbers holds user, item, rating, time.
        split: one of `splits.SPLITS`; by default `random`.
        valid: share of the ratings that validate; or their rows, counted from 0.
        test: share that is sealed for a test.
        rating_range: (lowest, highest) that a rating may be; others are set aside.
        duplicates: what counts where a user rated an item several times: `last`, `first`, `mean`, or
            `all` of them.
        delimiter, encoding, missing: see `data.tables.reading.open_table`.
        seed: of the split, and of the order of batches.
        split_seed: of the split alone; by default as `seed`. See `train.split_seed`.
        report: is told how far reading is.

    Returns: the ratings with their split.
    Raises: DataError: the ratings cannot be used. ConfigError: an option is wrong.
    """
    limits = _range(rating_range)
    if duplicates not in DUPLICATES:
        raise ConfigError(
            f"`duplicates` is one of {', '.join(DUPLICATES)}.{did_you_mean(duplicates, DUPLICATES)} "
            f"Got '{duplicates}'."
        )
    if split is not None and split not in SPLITS:
        raise ConfigError(
            f"There is no split '{split}'.{did_you_mean(split, SPLITS)} Known: {', '.join(SPLITS)}."
        )
    if isinstance(test, bool) or not isinstance(test, int | float):
        raise ConfigError(
            f"`test` of ratings is a share of them, such as 0.1: ratings of a file of their own may be "
            f"of users whom training has not. Measure those by `evaluate`. Got {test!r}."
        )
    given = None if isinstance(valid, float | int) else [int(row) for row in valid]
    if given is not None and (split is not None or test):
        raise ConfigError(
            "`valid` names the rows that validate: `split` and `test` are settled by it."
        )
    choices = Choices()
    opened, is_bare = open_ratings(source, names, delimiter, encoding, missing)
    asked = {"user": user, "item": item, "rating": rating, "time": time}
    columns = find_columns(opened.names, asked)
    aside = columns.rating if implicit else None
    if implicit:
        if rating is not None:
            raise ConfigError("`rating` and `implicit` exclude each other: events have no rating.")
        columns = Columns(columns.user, columns.item, None, columns.time, columns.reason)
    rows = read_rows(opened, columns, rating_range=limits, duplicates=duplicates, report=report)
    if given is None:
        method = choices.choose(
            "split",
            split,
            usual="random",
            reason=REASONS["random"],
            change="--split " + "|".join(SPLITS),
        )
        assert isinstance(valid, float | int), "looked at above"
        parts = parts_of(
            method,
            rows.users,
            rows.items,
            rows.times,
            valid=valid,
            test=test,
            seed=seed_of(seed, split_seed),
        )
    else:
        method = choices.add("split", "given", reason="as asked, row by row", change="valid=0.2")
        parts = parts_given(rows.positions, given)
    say_split_seed(split_seed, method, choices)
    table, users, items = _coded(rows, parts)
    notes = [*opened.report.notes, *rows.notes, *_unseen(table, parts)]
    if is_bare:
        notes.insert(0, f"The file has no header: its columns are {', '.join(opened.names)}.")
    if aside is not None:
        notes.append(
            f"The ratings in '{aside}' are left aside: each row says that something happened."
        )
    _say_columns(choices, columns)
    data = CollabData(
        source=opened.source,
        recipe={
            "source": _absolute(source),
            "titles": _absolute(titles),
            "user_facts": _facts_again(user_facts),
            "item_facts": _facts_again(item_facts),
            **asked,
            "implicit": implicit,
            "names": None if names is None else list(names),
            "split": split,
            "valid": valid if given is None else given,
            "test": test,
            "rating_range": None if limits is None else list(limits),
            "duplicates": duplicates,
            "delimiter": delimiter,
            "encoding": encoding,
            "missing": list(missing),
            "seed": seed,
            **({} if split_seed is None else {"split_seed": split_seed}),
        },
        columns=columns,
        table=table,
        parts=parts,
        positions=rows.positions,
        users=users,
        items=items,
        titles=items.names,
        split=method,
        sha256=opened.report.sha256,
        quarantined=rows.quarantined,
        num_set_aside=rows.num_set_aside,
        notes=notes,
        seed=seed,
        choices=choices,
    )
    _with_titles(data, opened, titles)
    _with_facts(data, user_facts, item_facts)
    return data


def gather_again(recipe: Mapping[str, Any], *, report: Report | None = None) -> CollabData:
    """The ratings that a recipe describes.

    Raises: DataError: they came from memory, so that they cannot be read again; or as `gather`.
    """
    options = dict(recipe)
    source = options.pop("source")
    if not isinstance(source, str):
        raise DataError(
            "This run was trained on a data frame, which only the program that made it has. Give it as a "
            "file to go on in another process."
        )
    return gather(source, report=report, **options)


def open_ratings(
    source: Any,
    names: Sequence[str] | None,
    delimiter: str | None,
    encoding: str | None,
    missing: Sequence[str],
) -> tuple[TableSource, bool]:
    """The table, and whether it has no header: then its columns are named as is usual."""
    options: dict[str, Any] = {"delimiter": delimiter, "encoding": encoding, "missing": missing}
    opened = open_table(source, names=names, **options)
    if names is None and opened.is_bare and len(opened.names) in (3, 4):
        return open_table(source, names=USUAL[: len(opened.names)], **options), True
    return opened, False


def _coded(rows: Rows, parts: np.ndarray) -> tuple[RatingTable, Ids, Ids]:
    """The ratings in codes that training knows, from 1; 0 for what it does not."""
    is_train = parts == TRAIN
    found = []
    for codes, names in ((rows.users, rows.user_names), (rows.items, rows.item_names)):
        known = np.bincount(codes[is_train], minlength=len(names)) > 0
        places = np.where(known, np.cumsum(known), 0).astype(np.int32)
        kept = Ids([names[k] for k in np.flatnonzero(known).tolist()])
        found.append((places[codes], kept))
    (users, user_ids), (items, item_ids) = found
    table = RatingTable(users, items, rows.ratings, rows.times, len(user_ids), len(item_ids))
    return table, user_ids, item_ids


def _unseen(table: RatingTable, parts: np.ndarray) -> list[str]:
    """What of the validation ratings training does not know."""
    found = []
    is_valid = parts == VALID
    for what, codes in (("user", table.users), ("item", table.items)):
        count = int((codes[is_valid] == 0).sum())
        if count:
            found.append(
                f"{count:,} of the {int(is_valid.sum()):,} validation ratings are of {what}s that "
                "training does not have."
            )
    return found


def _with_titles(data: CollabData, opened: TableSource, titles: Any) -> None:
    if titles is None:
        return
    if isinstance(titles, str) and titles in opened.names:
        both = opened.only([data.columns.item, titles]).read()
        names = both.column(data.columns.item), both.column(titles)
        keys = as_text(names[0].combine_chunks()).to_pylist()
        titles = {
            key: str(said)
            for key, said in zip(keys, names[1].to_pylist(), strict=True)
            if key is not None and said is not None
        }
    data.titles, notes = read_titles(titles, data.items)
    data.notes += notes


def _with_facts(data: CollabData, user_facts: Any, item_facts: Any) -> None:
    if user_facts is None and item_facts is None:
        return
    from drivetrain.collab.newcomers.facts import read_facts

    for side, given, ids in (
        ("user", user_facts, data.users),
        ("item", item_facts, data.items),
    ):
        if given is not None:
            how = dict(given) if _tells_how(given) else {"source": given}
            found = read_facts(how.pop("source"), ids, **how)
            setattr(data, f"{side}_facts", found)


def _tells_how(given: Any) -> bool:
    """Whether facts come with options of reading them: a mapping with a `source`."""
    return isinstance(given, Mapping) and "source" in given


def _say_columns(choices: Choices, columns: Columns) -> None:
    roles = {"user": columns.user, "item": columns.item, "rating": columns.rating}
    said = ", ".join(f"{role} '{name}'" for role, name in roles.items() if name is not None)
    choices.add(
        "columns",
        said,
        reason=columns.reason
        + ("" if columns.rating else "; there is no rating, so each row is an event"),
        change="--user COLUMN --item COLUMN --rating COLUMN --time COLUMN",
    )


def _range(value: Sequence[float] | None) -> tuple[float, float] | None:
    if value is None:
        return None
    try:
        low, high = (float(end) for end in value)
    except (TypeError, ValueError):
        low = high = 0.0
    if not low < high:
        raise ConfigError(f"`rating_range` is (lowest, highest). Got {value!r}.")
    return low, high


def _absolute(source: Any) -> Any:
    """A path made absolute, a mapping as it is; None for what only this process has."""
    if isinstance(source, str | os.PathLike):
        path = Path(os.fspath(source)).expanduser()
        return str(path.resolve()) if path.exists() else os.fspath(source)
    return dict(source) if isinstance(source, Mapping) and _is_plain(source) else None


def _facts_again(given: Any) -> Any:
    """As `_absolute`, the options kept."""
    if not _tells_how(given):
        return _absolute(given)
    source = _absolute(given["source"])
    options = {key: list(v) if isinstance(v, tuple) else v for key, v in given.items()}
    return None if source is None else {**options, "source": source}


def _is_plain(source: Mapping[Any, Any]) -> bool:
    return all(isinstance(k, str) and isinstance(v, str) for k, v in source.items())
