"""What a fitted factorisation says: who is liked, what is alike, what the factors stand for.

Each function takes a `Factors` record and titles, and gives a small frozen record: `str()` of it is a
table to read, `to_json()` the same as plain JSON. Code 0, the unknown one, is in none of them.

    print(item_biases(factors, titles, 5, counts=counts, min_ratings=20))
    print(nearest_items(factors, 50, 5, titles))
    print(factor_ends(factors, titles, 3))

`counts`, (I,) ratings that each item had in training, may be left out everywhere. With it a thin item
can be seen as thin, or be left out by `min_ratings`: an item of three ratings is at the end of a list
by chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from drivetrain.collab.factors import Factors
from drivetrain.errors import ConfigError, DataError, ShapeError
from drivetrain.interpret.components import principal_components
from drivetrain.interpret.text import cut

BLOCK = 1 << 16
"""Vectors that are looked at at once, so that memory stays bounded whatever the catalogue's size."""
DIGITS = 12
"""Decimals of a cosine that count: the rounding of sums is below, so that equal angles are ties."""
THIN = 5
"""Ratings below which a vector says next to nothing."""
ALONE = "alone"
TYPICAL = "typical"
LIKING = (ALONE, TYPICAL)
BY = ("cosine", "distance")
AXES = ("principal", "factors")


@dataclass(frozen=True)
class Entry:
    """One user or item in a list."""

    code: int
    title: str
    value: float
    """What the list is ordered by."""
    num_ratings: int | None
    """It had in training; None where that was not given."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "code": self.code,
            "title": self.title,
            "value": self.value,
            "num_ratings": self.num_ratings,
        }


@dataclass(frozen=True)
class Ends:
    """The two ends of an order."""

    name: str
    """What is ordered, as a heading."""
    highest: tuple[Entry, ...]
    """The highest first."""
    lowest: tuple[Entry, ...]
    """The lowest first."""
    share: float | None = None
    """Of the spread of all vectors that lies along it, in [0, 1]; None for what is no axis."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "name": self.name,
            "share": self.share,
            "highest": [entry.to_json() for entry in self.highest],
            "lowest": [entry.to_json() for entry in self.lowest],
        }

    def __str__(self) -> str:
        share = "" if self.share is None else f", {self.share:.1%} of the spread"
        return "\n".join(
            [
                f"{self.name}{share}",
                *_lines("highest", self.highest),
                *_lines("lowest", self.lowest),
            ]
        )


@dataclass(frozen=True)
class Biases(Ends):
    """Who is liked, and who is not, whatever the taste."""

    left_out: int = 0
    """That had fewer ratings than was asked for."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {**super().to_json(), "left_out": self.left_out}


def item_biases(
    factors: Factors,
    titles: Sequence[str],
    k: int = 10,
    *,
    counts: np.ndarray | None = None,
    min_ratings: int = 0,
    over: str = ALONE,
) -> Biases:
    """Items that are liked whatever the taste, and those that are not.

    Args:
        factors: with biases, unless `over` is "typical".
        titles: (I,) by code.
        k: how many of each.
        counts: (I,) ratings an item had in training.
        min_ratings: an item with fewer is left out.
        over: "alone": the bias, as the course reads it. "typical": the bias and what the mean vector of
            users adds. A model whose vectors do not average to zero puts much of what all users agree
            on there, and the second number has it all.

    Raises: ConfigError: `k`, `min_ratings` or `over` is none of those. ShapeError: `titles` or `counts`
        are not one an item. DataError: the model has no biases, or no item is left.
    """
    values = liking(factors, "item", over)
    return _biases("Items", values, titles, k, counts, min_ratings, over)


def user_biases(
    factors: Factors,
    titles: Sequence[str],
    k: int = 10,
    *,
    counts: np.ndarray | None = None,
    min_ratings: int = 0,
    over: str = ALONE,
) -> Biases:
    """Users who are generous whatever the item, and those who are not; as `item_biases`.

    Args:
        factors: vectors and biases of the users.
        titles: (U,) what to call each, such as the ids' names.
        k: users at each end.
        counts: (U,) ratings a user gave in training.
        min_ratings: a user with fewer is left out.
        over: as `item_biases`.
    """
    values = liking(factors, "user", over)
    return _biases("Users", values, titles, k, counts, min_ratings, over)


def liking(factors: Factors, side: str, over: str = ALONE) -> np.ndarray:
    """(I,) or (U,) float64, the number that `item_biases` and `user_biases` order by.

    Args:
        side: "item" or "user".
        over: as `item_biases`.
    """
    if over not in LIKING:
        raise ConfigError(f"`over` is 'alone' or 'typical'. Got {over!r}.")
    is_item = side == "item"
    own, other = (factors.items, factors.users) if is_item else (factors.users, factors.items)
    bias = (factors.item_bias if is_item else factors.user_bias).astype(np.float64)
    if over == TYPICAL:
        return bias + own.astype(np.float64) @ other[1:].mean(0, dtype=np.float64)
    if not bias.any():
        raise DataError(
            "The model has no biases. Give over='typical' for what the mean vector of the other side "
            "makes of each, or train a model with biases."
        )
    return bias


def _biases(
    what: str,
    values: np.ndarray,
    titles: Sequence[str],
    k: int,
    counts: np.ndarray | None,
    min_ratings: int,
    over: str,
) -> Biases:
    codes = chosen_codes(len(values), titles, counts, min_ratings)
    how = "bias" if over == ALONE else "bias and the other side's mean vector"
    left_out = len(values) - 1 - len(codes)
    name = f"{what} by {how}"
    if left_out:
        name += f"; {left_out:,} with fewer than {min_ratings:,} ratings left out"
    ends = _ends(name, values[codes], codes, titles, counts, k)
    return Biases(ends.name, ends.highest, ends.lowest, left_out=left_out)


# --- a map, and the axes ---------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class ItemMap:
    """Items in the plane, and what stands at the ends of its two axes."""

    codes: np.ndarray
    """(n,) int64 codes, those with most ratings first."""
    titles: tuple[str, ...]
    """(n,)."""
    counts: np.ndarray | None
    """(n,) ratings each had."""
    points: np.ndarray
    """(n, 2) float64."""
    axes: tuple[Ends, Ends]
    """Across, and up."""
    num_left_out: int
    """Items that the picture does not hold."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "items": [
                {"code": int(code), "title": title, "x": float(x), "y": float(y)}
                for code, title, (x, y) in zip(self.codes, self.titles, self.points, strict=True)
            ],
            "axes": [axis.to_json() for axis in self.axes],
            "num_left_out": self.num_left_out,
        }

    def __str__(self) -> str:
        return "\n".join(map(str, self.axes))


def map_items(
    factors: Factors,
    titles: Sequence[str],
    *,
    counts: np.ndarray | None = None,
    min_ratings: int = 0,
    most: int = 1_000,
    k: int = 5,
) -> ItemMap:
    """Items by the two principal components of their vectors. `show.item_map_figure` draws it.

    Args:
        factors: vectors and biases of the items.
        titles: (I,) by code.
        counts: (I,) ratings an item had in training.
        min_ratings: an item with fewer is left out.
        most: items in the picture: those with most ratings. The components are those of their vectors:
            items that were hardly rated have vectors that were hardly learnt.
        k: titles at each end of an axis.

    Raises: as `item_biases`. DataError: fewer than three items are left, or vectors of one number.
    """
    codes = chosen_codes(len(factors.items), titles, counts, min_ratings)
    if counts is not None:
        codes = codes[np.argsort(-counts[codes], kind="stable")]
    left_out = len(factors.items) - 1 - min(len(codes), most)
    codes = codes[:most]
    if len(codes) < 3 or factors.num_factors < 2:
        raise DataError(
            f"A map needs three items and vectors of two numbers. Got {len(codes)} and "
            f"{factors.num_factors}."
        )
    found = principal_components(factors.items[codes], 2)
    axes = [
        _ends(name, found.points[:, i], codes, titles, counts, k, float(found.shares[i]))
        for i, name in enumerate(("Axis 1, to the right", "Axis 2, up"))
    ]
    return ItemMap(
        codes=codes,
        titles=tuple(str(titles[int(code)]) for code in codes),
        counts=None if counts is None else counts[codes],
        points=found.points,
        axes=(axes[0], axes[1]),
        num_left_out=left_out,
    )


def factor_ends(
    factors: Factors,
    titles: Sequence[str],
    k: int = 5,
    *,
    axes: str = "principal",
    most: int = 5,
    counts: np.ndarray | None = None,
    min_ratings: int = 0,
) -> tuple[Ends, ...]:
    """What the factors stand for, by the items at their two ends.

    Args:
        titles: (I,) by code.
        k: items at each end.
        axes: "principal": the principal axes of the items' vectors, in the order of what they explain.
            "factors": the numbers of a vector as they are, in the order of their spread. Turning all
            vectors at once changes no prediction, so that single factors need not mean anything;
            principal axes are the same however a model was turned.
        most: axes.
        counts, min_ratings: as `item_biases`.

    Raises: as `item_biases`. ConfigError: `axes` is neither.
    """
    if axes not in AXES:
        raise ConfigError(f"`axes` is 'principal' or 'factors'. Got {axes!r}.")
    _check_positive(most=most)
    codes = chosen_codes(len(factors.items), titles, counts, min_ratings)
    vectors = factors.items[codes].astype(np.float64)
    if axes == "principal":
        found = principal_components(vectors, min(most, *vectors.shape))
        columns, shares = found.points, found.shares
        names = [f"Axis {i + 1}" for i in range(len(shares))]
    else:
        variances = vectors.var(0)
        order = np.argsort(-variances, kind="stable")[:most]
        total = variances.sum()
        columns, shares = vectors[:, order], variances[order] / (total if total > 0 else 1)
        names = [f"Factor {i}" for i in order]
    return tuple(
        _ends(name, columns[:, i], codes, titles, counts, k, float(shares[i]))
        for i, name in enumerate(names)
    )


# --- nearest items --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Nearest:
    """Items whose vectors are like one item's."""

    item: Entry
    by: str
    """`cosine`, 1 for the same direction; or `distance`, 0 for the same vector."""
    entries: tuple[Entry, ...]
    """The nearest first; of equal ones, the lower code."""
    note: str = ""
    """What has to be known of them; mostly nothing."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "item": self.item.to_json(),
            "by": self.by,
            "entries": [entry.to_json() for entry in self.entries],
            "note": self.note,
        }

    def __str__(self) -> str:
        lines = _lines(f"nearest to {self.item.title} by {self.by}", self.entries)
        return "\n".join([*lines, *([self.note] if self.note else [])])


def nearest_items(
    factors: Factors,
    item: int,
    k: int = 10,
    titles: Sequence[str] | None = None,
    *,
    by: str = "cosine",
    counts: np.ndarray | None = None,
    min_ratings: int = 0,
) -> Nearest:
    """The items that are most like one, itself not among them.

    Args:
        factors: vectors of the items.
        item: its code, 1 to I - 1.
        k: how many; fewer where there are fewer.
        titles: (I,) by code; None: codes stand for them.
        by: "cosine" of the angle between two vectors, whatever their lengths: whom it is liked by. Of a
            vector of zeros with any it is 0. Or "distance", the length of their difference.
        counts, min_ratings: as `item_biases`; the item itself may have fewer.

    Raises: ConfigError: `by` is neither, or there is no such code. As `item_biases`.
    """
    if by not in BY:
        raise ConfigError(f"`by` is 'cosine' or 'distance'. Got {by!r}.")
    total = len(factors.items)
    if isinstance(item, bool) or not isinstance(item, int | np.integer) or not 0 < item < total:
        raise ConfigError(
            f"`item` is the code of an item that training saw, 1 to {total - 1}. Got {item!r}."
        )
    item = int(item)
    names = [str(code) for code in range(total)] if titles is None else titles
    codes = chosen_codes(total, names, counts, min_ratings)
    codes = codes[codes != item]
    measure = cosines if by == "cosine" else distances
    found = measure(factors.items, factors.items[item])[codes]
    order = np.argsort(-found if by == "cosine" else found, kind="stable")[:k]
    note = ""
    if by == "cosine" and not factors.items[item].any():
        note = "Its vector is all zeros, which has no direction: the order is that of the codes."
    own = 1.0 if by == "cosine" and not note else 0.0
    entries = _entries(found, codes, order, names, counts)
    thin = [entry for entry in entries if (entry.num_ratings or 0) < THIN]
    if counts is not None and thin:
        note += (
            f" {len(thin)} of them had fewer than {THIN} ratings: such a vector was hardly learnt."
        )
    return Nearest(
        item=_entry(item, own, names, counts),
        by=by,
        entries=entries,
        note=note.strip(),
    )


def cosines(vectors: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """(N,) float64, the cosine of each of (N, F) with one (F,); 0 where either is all zeros.

    Rounded to 12 decimals, so that of a vector and its double it is 1 and no 0.9999999999999999, and
    that items of one direction are ties.
    """
    one = vector.astype(np.float64)
    largest = np.abs(one).max(initial=0.0)
    one = one / largest if largest > 0 else one  # a square of 1e-200 would be 0
    found = np.zeros(len(vectors))
    for start in range(0, len(vectors), BLOCK):
        part = vectors[start : start + BLOCK].astype(np.float64)
        scale = np.abs(part).max(1, initial=0.0)
        part /= np.where(scale > 0, scale, 1)[:, None]
        lengths = np.sqrt(np.einsum("nf,nf->n", part, part) * (one @ one))
        np.divide(part @ one, lengths, out=found[start : start + BLOCK], where=lengths > 0)
    return np.round(found, DIGITS).clip(-1, 1) + 0.0  # no -0.0


def distances(vectors: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """(N,) float64, the length of the difference of each of (N, F) to one (F,)."""
    one = vector.astype(np.float64)
    found = np.empty(len(vectors))
    for start in range(0, len(vectors), BLOCK):
        found[start : start + BLOCK] = np.linalg.norm(vectors[start : start + BLOCK] - one, axis=1)
    return found


# --- what they share ------------------------------------------------------------------------------


def chosen_codes(
    total: int, titles: Sequence[str], counts: np.ndarray | None, min_ratings: int
) -> np.ndarray:
    """(n,) int64 codes from 1 of those with at least `min_ratings`, after the arguments were checked.

    Args:
        total: how many there are, the unknown one counted.
        titles: (total,).
        counts: (total,) or None.

    Raises: ShapeError, ConfigError, DataError: as `item_biases`.
    """
    if len(titles) != total:
        raise ShapeError(
            f"`titles` must hold one a code, {total} with the unknown one. Got {len(titles)}."
        )
    if counts is not None and np.shape(counts) != (total,):
        raise ShapeError(
            f"`counts` must hold one a code, ({total},) with the unknown one. Got "
            f"{np.shape(counts)}."
        )
    if min_ratings > 0 and counts is None:
        raise ConfigError("`min_ratings` needs `counts`, the ratings that each had in training.")
    codes = np.arange(1, total, dtype=np.int64)
    if counts is not None and min_ratings > 0:
        codes = codes[counts[1:] >= min_ratings]
    if not len(codes):
        least = f" with {min_ratings:,} ratings or more" if min_ratings > 0 else ""
        raise DataError(f"There is none{least}: nothing can be shown.")
    return codes


def _ends(
    name: str,
    values: np.ndarray,
    codes: np.ndarray,
    titles: Sequence[str],
    counts: np.ndarray | None,
    k: int,
    share: float | None = None,
) -> Ends:
    """Both ends of (n,) values; of equal ones the lower code comes first."""
    _check_positive(k=k)
    by_code = np.argsort(codes, kind="stable")
    values, codes = values[by_code], codes[by_code]
    high = np.argsort(-values, kind="stable")[:k]
    low = np.argsort(values, kind="stable")[:k]
    highest = _entries(values, codes, high, titles, counts)
    return Ends(name, highest, _entries(values, codes, low, titles, counts), share)


def _entries(
    values: np.ndarray,
    codes: np.ndarray,
    order: np.ndarray,
    titles: Sequence[str],
    counts: np.ndarray | None,
) -> tuple[Entry, ...]:
    pairs = zip(codes[order].tolist(), values[order].tolist(), strict=True)
    return tuple(_entry(code, value, titles, counts) for code, value in pairs)


def _entry(code: int, value: float, titles: Sequence[str], counts: np.ndarray | None) -> Entry:
    number = None if counts is None else int(counts[code])
    return Entry(code, titles[code], value, number)


def _lines(heading: str, entries: Sequence[Entry]) -> list[str]:
    lines = [f"  {heading}"]
    for entry in entries:
        ratings = "" if entry.num_ratings is None else f"{entry.num_ratings:8,}"
        lines.append(f"    {entry.value:8.3f}{ratings}  {cut(entry.title, 60)}")
    if entries and entries[0].num_ratings is not None:
        lines[0] = f"  {heading + ' (value, ratings)'}"
    return lines


def _check_positive(**counts: int) -> None:
    for name, value in counts.items():
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise ConfigError(f"`{name}` is a whole number from 1 up. Got {value!r}.")
