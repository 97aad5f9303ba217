"""What to recommend to a user, and why: the items of the highest prediction that they have not rated.

    model = collab.load("runs/films")
    print(recommend(model, "u007", 5))
    recommend_to(model, None, "all.parquet", 10)         # for everybody

Why is told in two ways, and both are of the model itself. A prediction of a factorisation is taken
apart into what the average of all is, what this user adds to every item, what this item gets from
every user, and what is left, which is how well the two fit: taste. Where taste speaks for an item, those
of the user's own are named that are near it, with what the user gave them, and only what they gave as
much as usual or more. Near are items whose vectors point the same way from the mean of all: what all
vectors have in common says how an item is liked, and not by whom. A user whom training did not see gets
what most users rated, and is told so.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from drivetrain import store
from drivetrain._optional import require
from drivetrain.collab.factors import Factors
from drivetrain.collab.looking.reading import cosines
from drivetrain.collab.newcomers.newcomer import Newcomer
from drivetrain.collab.search import CELLS, Found, ItemIndex, blocks, exact_top, top_of
from drivetrain.collab.seen import Seen
from drivetrain.collab.table.ids import Ids, as_id
from drivetrain.errors import ConfigError
from drivetrain.interpret.text import cut, table

NET_CELLS = 1 << 20
"""Pairs that a net is asked about at once: each takes as much memory as its widest layer."""
MOST_NEAR = 2
"""Items of the user's own that are named as a reason."""
LEAST_COSINE = 0.3
"""From which on two items are called near."""
ROW_GROUP = 1 << 16
"""Rows of a row group of a Parquet file."""
Report = Callable[[str, int, int | None], None]


class Fitted(Protocol):
    """What is asked of a model here; a `CollabModel` has it."""

    @property
    def factors(self) -> Factors | None:
        """Its vectors; None where it is a net."""
        ...

    @property
    def net(self) -> nn.Module:
        """Pairs (B, 2) -> predictions (B,)."""
        ...

    @property
    def users(self) -> Ids:
        """Names of the users that training saw."""
        ...

    @property
    def items(self) -> Ids:
        """Names of the items."""
        ...

    @property
    def titles(self) -> Sequence[str]:
        """(I,) for people to read."""
        ...

    @property
    def history(self) -> Seen:
        """The training ratings."""
        ...

    @property
    def rating(self) -> str | None:
        """The column of ratings; None where it learnt from events."""
        ...

    @property
    def of_ratings(self) -> bool:
        """Whether it predicts ratings, and not scores that put items in order."""
        ...


@dataclass(frozen=True)
class Parts:
    """A prediction, taken apart: the four add up to it.

    In the unit of the ratings, one added after the other in this order; before a range is laid over
    them, `user` and `item` are means over all items and all users, so that `taste` is what neither says.
    """

    start: float
    """The average prediction of all users for all items."""
    user: float
    """What this user adds to items on average: generous or strict."""
    item: float
    """What this item gets from users on average: liked or not, whatever the taste."""
    taste: float
    """How well the two fit."""


@dataclass(frozen=True)
class Near:
    """An item that the user rated and that is near the recommended one."""

    item: str
    title: str
    rating: float | None
    """What the user gave it; None where the model learnt from events."""
    cosine: float
    """Of the two items' vectors, counted from the mean of all; at most 1."""


@dataclass(frozen=True)
class Recommendation:
    """One item for a user."""

    rank: int
    """From 1."""
    item: str
    title: str
    value: float
    """The predicted rating, or score; of an unknown user the item's mean rating."""
    num_ratings: int
    """The item had in training."""
    parts: Parts | None = None
    """None for a net, for an unknown user, and where reasons were not asked for."""
    near: tuple[Near, ...] = ()
    """Of the user's own that they liked, the nearest first; none where taste speaks against the item."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self) | {"near": [asdict(one) for one in self.near]}

    @property
    def reason(self) -> str:
        """Why, in half a line."""
        said = []
        if self.parts is not None:
            both = (("liked by all", self.parts.item), ("taste", self.parts.taste))
            said = [f"{what} {value:+.2f}" for what, value in sorted(both, key=lambda p: -p[1])]
        for one in self.near:
            gave = "" if one.rating is None else f" (rated {one.rating:g})"
            said.append(f"near {cut(one.title)}{gave}")
        return ", ".join(said)


@dataclass(frozen=True)
class Recommendations:
    """The items for one user, best first."""

    user: str
    by: str
    """`model`, or `popularity` where the user is unknown."""
    items: tuple[Recommendation, ...]
    notes: tuple[str, ...] = ()
    """What has to be known of them."""
    column: str = "rating"
    """What `value` is."""

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Recommendation]:
        return iter(self.items)

    def __getitem__(self, place: int) -> Recommendation:
        return self.items[place]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "user": self.user,
            "by": self.by,
            "items": [one.to_json() for one in self.items],
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        lines = []
        if self.items:
            rows = [
                (str(one.rank), cut(one.title, 40), f"{one.value:.2f}", self._why(one))
                for one in self.items
            ]
            last = "why" if self.by == "model" else "ratings"
            rows = [row if any(r[3] for r in rows) else row[:3] for row in rows]
            headings = ["", "title", self.column, last][: len(rows[0])]
            lines.append(table(headings, rows, left=4))
        return "\n".join([*lines, *(f"! {note}" for note in self.notes)])

    def _why(self, one: Recommendation) -> str:
        return one.reason if self.by == "model" else f"{one.num_ratings:,}"


def recommend(
    model: Fitted,
    user: Any,
    k: int = 10,
    *,
    exclude_seen: bool = True,
    allow: Iterable[Any] | None = None,
    deny: Iterable[Any] = (),
    reasons: bool = True,
    index: ItemIndex | None = None,
) -> Recommendations:
    """The k items of the highest prediction for a user; fewer where fewer are left.

    Args:
        user: a name as in the ratings. One that training did not see gets the items that were rated most.
            Or somebody new of whom facts or ratings are known; see `newcomer.newcomer`. What they rated
            belongs in `deny`.
        exclude_seen: leave out what the user rated in training.
        allow: names of the only items that may be recommended; None: all.
        deny: names of items that may not.
        reasons: tell why.
        index: of the model's items, for catalogues that are too large to compare all; see `item_index`.

    Raises: ConfigError: `k` below 1; an index or somebody new, and the model is a net.
    """
    _check(model, k, index)
    allowed, notes = _allowed(model, allow, deny)
    if isinstance(user, Newcomer):
        return _for_newcomer(model, user, k, allowed, notes, reasons, index)
    name, code = as_id(user), model.users.code(user)
    if not code:
        notes.insert(0, _unknown(name))
        found = popular(model, k, allowed)
        codes, values = found.codes[0], model.history.item_mean[found.codes[0]]
    else:
        one = np.array([code])
        found = _top(model, one, k, exclude_seen, allowed, index, CELLS)
        codes, values = found.codes[0], _values(model, one, found)[0]
    count = int(found.lengths()[0])
    if count < k:
        notes.append(_fewer(k, count))
    parts: list[Parts | None] = [None] * count
    near: list[tuple[Near, ...]] = [()] * count
    if reasons and code and count:
        if model.factors is not None:
            own = model.factors.users[code], model.factors.user_bias[code]
            parts = [*parts_of(model.factors, *own, codes[:count])]
        near = nearest_liked(model, code, codes[:count])
        against = [part is not None and part.taste <= 0 for part in parts]
        near = [() if no else some for no, some in zip(against, near, strict=True)]
    return Recommendations(
        name,
        "model" if code else "popularity",
        _records(model, codes[:count], values, parts, near),
        tuple(notes),
        _column(model),
    )


def _for_newcomer(
    model: Fitted,
    someone: Newcomer,
    k: int,
    allowed: np.ndarray | None,
    notes: list[str],
    reasons: bool,
    index: ItemIndex | None,
) -> Recommendations:
    """As `recommend`, by the vector of somebody whom training did not see."""
    factors = model.factors
    if factors is None:
        raise ConfigError(
            "Somebody new has a vector, and this model is a net: train a dot product."
        )
    if someone.vector is None:
        found = popular(model, k, allowed)
        values = model.history.item_mean[found.codes[0]]
    else:
        vector = someone.vector[None]
        if index is not None:
            found = index.top(vector, k, allowed=allowed)
        else:
            found = exact_top(vector, factors.items, k, bias=factors.item_bias, allowed=allowed)
        values = someone.scores(factors, model.history.item_mean)[found.codes[0]]
    count = int(found.lengths()[0])
    codes = found.codes[0, :count]
    parts: list[Parts | None] = [None] * count
    if reasons and someone.vector is not None and count:
        parts = [*parts_of(factors, someone.vector, someone.bias, codes)]
    if count < k:
        notes.append(_fewer(k, count))
    return Recommendations(
        "new",
        "popularity" if someone.vector is None else "model",
        _records(model, codes, values, parts, [()] * count),
        (someone.sentence, *notes),
        _column(model),
    )


def _records(
    model: Fitted,
    codes: np.ndarray,
    values: np.ndarray,
    parts: Sequence[Parts | None],
    near: Sequence[tuple[Near, ...]],
) -> tuple[Recommendation, ...]:
    return tuple(
        Recommendation(
            rank=place + 1,
            item=model.items.names[item],
            title=model.titles[int(item)],
            value=float(value),
            num_ratings=int(model.history.popularity[item]),
            parts=parts[place],
            near=near[place],
        )
        for place, (item, value) in enumerate(zip(codes.tolist(), values, strict=False))
    )


def item_index(model: Fitted, **settings: Any) -> ItemIndex:
    """A graph of a model's items to give to `recommend` and `recommend_to`; see `ItemIndex.build`.

    Args:
        model: a model whose predictions are inner products.
        settings: of `ItemIndex.build`.

    Raises: ConfigError: the model is a net: its predictions are no inner products.
    """
    if model.factors is None:
        raise ConfigError(_NO_INDEX)
    return ItemIndex.build(model.factors.items, model.factors.item_bias, **settings)


_NO_INDEX = (
    "An index finds large inner products, and this model is a net: leave `index` out, or train a dot "
    "product."
)


def popular(model: Fitted, k: int, allowed: np.ndarray | None = None) -> Found:
    """The k items that had most ratings in training, of equal ones the lower code, as one row."""
    counts = np.asarray(model.history.popularity, np.float32)[:, None]
    found = exact_top(np.ones((1, 1), np.float32), counts, k, allowed=allowed)
    found.codes[found.scores <= 0] = 0  # rated by nobody
    return found


# --- why ------------------------------------------------------------------------------------------


def parts_of(factors: Factors, vector: np.ndarray, bias: float, items: np.ndarray) -> list[Parts]:
    """The predictions for one user and some items, each taken apart.

    Args:
        vector: (K,) of the user.
        bias: of the user.
        items: (B,) codes.
    """
    middle_user = factors.users[1:].mean(0, dtype=np.float64)
    middle_item = factors.items[1:].mean(0, dtype=np.float64)
    level = factors.user_bias[1:].mean(dtype=np.float64) + factors.item_bias[1:].mean(
        dtype=np.float64
    )
    own = vector.astype(np.float64)
    vectors = factors.items[items].astype(np.float64)
    # means of the raw score: over all pairs, over items for this user, over users for each item
    start = level + middle_user @ middle_item
    of_user = float(bias) - factors.user_bias[1:].mean(dtype=np.float64)
    of_user += (own - middle_user) @ middle_item
    of_item = factors.item_bias[items] - factors.item_bias[1:].mean(dtype=np.float64)
    of_item = of_item + (vectors - middle_item) @ middle_user
    fit = (vectors - middle_item) @ (own - middle_user)
    steps = np.stack([np.full(len(items), start), np.full(len(items), of_user), of_item, fit], 1)
    reached = factors.ranged(steps.cumsum(1))  # (B, 4): the prediction after each step
    added = np.diff(reached, axis=1, prepend=0.0)
    return [Parts(*row) for row in added.tolist()]


def nearest_liked(model: Fitted, user: int, items: np.ndarray) -> list[tuple[Near, ...]]:
    """For each of some items (B,) the user's own that are nearest and that they liked."""
    vectors = _item_vectors(model)
    own, given = model.history.of_user(user)
    if model.rating is not None and len(own):
        liked = given >= given.mean()
        own, given = own[liked], given[liked]
    if vectors is None or not len(own):
        return [()] * len(items)
    middle = vectors[1:].mean(0, dtype=np.float64)
    mine = vectors[own] - middle
    found = []
    for item in items.tolist():
        alike = cosines(mine, vectors[item] - middle)
        alike[own == item] = -1  # where what was rated may be recommended: not for being itself
        order = [p for p in np.lexsort((own, -alike))[:MOST_NEAR] if alike[p] >= LEAST_COSINE]
        found.append(
            tuple(
                Near(
                    model.items.names[int(own[place])],
                    model.titles[int(own[place])],
                    None if model.rating is None else float(given[place]),
                    float(alike[place]),
                )
                for place in order
            )
        )
    return found


def _item_vectors(model: Fitted) -> np.ndarray | None:
    if model.factors is not None:
        return model.factors.items
    vectors = getattr(model.net, "item_factors", None)
    return vectors.weight.detach().cpu().numpy() if isinstance(vectors, nn.Embedding) else None


def _column(model: Fitted) -> str:
    return "rating" if model.of_ratings else "score"


def _unknown(name: str) -> str:
    return (
        f"User '{cut(name)}' rated nothing in training: these are the items that were rated most."
    )


def _fewer(k: int, count: int) -> str:
    are = "is" if count == 1 else "are"
    left = "item" if count == 1 else "items"
    return f"{k:,} were asked for, and {count:,} {left} {are} left." if count else _NOTHING


_NOTHING = "There is nothing left to recommend."


# --- finding them ---------------------------------------------------------------------------------


def _check(model: Fitted, k: int, index: ItemIndex | None) -> None:
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise ConfigError(f"`k` must be 1 or more. Got {k!r}.")
    if index is not None and model.factors is None:
        raise ConfigError(_NO_INDEX)


def _allowed(
    model: Fitted, allow: Iterable[Any] | None, deny: Iterable[Any]
) -> tuple[np.ndarray | None, list[str]]:
    """(I,) bool, None for all; and a note where items are named that training did not see."""
    notes: list[str] = []
    if isinstance(allow, str) or isinstance(deny, str):
        raise ConfigError("`allow` and `deny` are lists of items' names. Got a text.")
    denied = model.items.codes(list(deny))
    if allow is None and not denied.any():
        return None, notes
    if allow is None:
        allowed = np.ones(len(model.items), bool)
    else:
        codes = model.items.codes(list(allow))
        new = int((codes == 0).sum())
        if new:
            were = "1 allowed item was" if new == 1 else f"{new:,} allowed items were"
            notes.append(f"{were} not seen in training, and cannot be recommended.")
        allowed = np.zeros(len(model.items), bool)
        allowed[codes] = True
    allowed[denied] = False
    return allowed, notes


def _top(
    model: Fitted,
    users: np.ndarray,
    k: int,
    exclude_seen: bool,
    allowed: np.ndarray | None,
    index: ItemIndex | None,
    cells: int,
) -> Found:
    """The k best items of each of some known users; `scores` order them and are no predictions."""
    exclude = model.history.items.take(users) if exclude_seen else None
    limits = {"exclude": exclude, "allowed": allowed}
    factors = model.factors
    if factors is None:
        return top_of(
            lambda rows: _net_scores(model, users[rows]),
            len(users),
            len(model.items),
            k,
            cells=min(cells, NET_CELLS),
            **limits,
        )
    vectors = factors.users[users]
    if index is not None:
        return index.top(vectors, k, **limits)
    return exact_top(vectors, factors.items, k, bias=factors.item_bias, cells=cells, **limits)


@torch.no_grad()
def _net_scores(model: Fitted, users: np.ndarray) -> torch.Tensor:
    """(B, I) float32 predictions of a net for all items."""
    total = len(model.items)
    device = next(model.net.parameters()).device
    model.net.eval()
    found = [
        model.net(
            torch.stack(
                [
                    torch.from_numpy(users[rows].astype(np.int64)).repeat_interleave(total),
                    torch.arange(total).repeat(len(rows)),
                ],
                dim=1,
            ).to(device)
        ).view(len(rows), total)
        for rows in blocks(len(users), total, NET_CELLS)
    ]
    return torch.cat(found).float().cpu()


def _values(model: Fitted, users: np.ndarray, found: Found) -> np.ndarray:
    """(B, k) float32 predictions of what was found."""
    if model.factors is None:
        return found.scores
    owners = np.repeat(users, found.codes.shape[1])
    return model.factors.predict(owners, found.codes.ravel()).reshape(found.codes.shape)


# --- for many -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Written:
    """What `recommend_to` wrote."""

    path: str
    users: int
    rows: int
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self) | {"notes": list(self.notes)}


def recommend_to(
    model: Fitted,
    users: Iterable[Any] | None,
    path: store.StrPath,
    k: int = 10,
    *,
    exclude_seen: bool = True,
    allow: Iterable[Any] | None = None,
    deny: Iterable[Any] = (),
    index: ItemIndex | None = None,
    cells: int = CELLS,
    report: Report | None = None,
) -> Written:
    """Write the recommendations for many users: a row for each user and item, best first.

    Columns: user, rank, item, title, rating (or score), by (`model`, or `popularity` for an unknown
    user). It is written block by block, and is there whole or not at all.

    Args:
        model: what predicts.
        users: their names; None: all that training saw.
        path: ends in `.parquet` or `.csv`.
        k: how many items for each user.
        exclude_seen: leave out what the user has rated in training.
        allow: the only items that may be recommended.
        deny: items that may not.
        index: of `item_index`, for a quicker and nearly equal answer.
        cells: predictions that are in memory at once, of 4 bytes each.
        report: is told how many users are done.
        others: as in `recommend`.

    Returns: the path, and how many users and rows were written.
    Raises: as `recommend`. ConfigError: another ending. StorageError: the disk refused.
    """
    _check(model, k, index)
    allowed, notes = _allowed(model, allow, deny)
    if users is None:
        codes, names = np.arange(1, len(model.users), dtype=np.int32), None
    else:
        names = [as_id(name) for name in users]
        codes = model.users.codes(names)
    if not len(codes):
        raise ConfigError("There is no user to recommend to.")
    unknown = int((codes == 0).sum())
    if unknown:
        were = "1 user" if unknown == 1 else f"{unknown:,} users"
        notes.append(f"{were} rated nothing in training: they get the items that were rated most.")
    most_rated = popular(model, k, allowed)
    rows = short = 0
    with table_file(path) as write:
        all_users, all_items, titles = _arrow_names(model)
        for block in blocks(len(codes), len(model.items), cells):
            own = codes[block]
            items = np.repeat(most_rated.codes, len(own), axis=0)  # (B, k)
            values = model.history.item_mean[items].astype(np.float32)
            known = own > 0
            if known.any():
                found = _top(model, own[known], k, exclude_seen, allowed, index, cells)
                items[known], values[known] = found.codes, _values(model, own[known], found)
            is_item = items > 0
            count = is_item.sum(1)
            short += int((count < k).sum())
            rows += int(count.sum())
            owners = np.repeat(np.arange(len(own)), count)
            shown = _taken(all_users, own) if names is None else [names[row] for row in block]
            write(
                {
                    "user": _taken(shown, owners),
                    "rank": np.nonzero(is_item)[1].astype(np.int32) + 1,
                    "item": _taken(all_items, items[is_item]),
                    "title": _taken(titles, items[is_item]),
                    _column(model): values[is_item].astype(np.float32),
                    "by": _taken(["popularity", "model"], known[owners].astype(np.int64)),
                }
            )
            if report is not None:
                report("users answered", int(block[-1]) + 1, len(codes))
    if short:
        has = "1 user has" if short == 1 else f"{short:,} users have"
        notes.append(f"{has} fewer than {k:,} items left.")
    return Written(os.fspath(path), len(codes), rows, tuple(notes))


def _arrow_names(model: Fitted) -> tuple[Any, Any, Any]:
    pa = require("pyarrow", extra="tabular")
    users, items = (
        pa.array(model.users.names, pa.string()),
        pa.array(model.items.names, pa.string()),
    )
    return users, items, pa.array(list(model.titles), pa.string())


def _taken(names: Any, places: np.ndarray) -> Any:
    pa = require("pyarrow", extra="tabular")
    values = pa.array(names, pa.string()) if isinstance(names, list) else names
    return values.take(pa.array(places))


@contextlib.contextmanager
def table_file(path: store.StrPath) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """A CSV or Parquet file that is written piece by piece and is there whole or not at all."""
    pa = require("pyarrow", extra="tabular")
    ending = os.path.splitext(os.fspath(path))[1].lower()
    if ending not in (".csv", ".parquet"):
        raise ConfigError(
            f"Recommendations are written as .csv or .parquet. Got {os.fspath(path)!r}."
        )
    made: list[Any] = []
    with store.streamed(path) as sink:

        def write(columns: Mapping[str, Any]) -> None:
            piece = pa.table(dict(columns))
            if not made:
                made.append(_writer(ending, sink, piece.schema))
            options = {} if ending == ".csv" else {"row_group_size": ROW_GROUP}
            made[0].write_table(piece, **options)

        try:
            yield write
        finally:  # also after an error: a writer that is left open writes when it is forgotten
            for writer in made:
                writer.close()


def _writer(ending: str, sink: Any, schema: Any) -> Any:
    if ending == ".csv":
        csv = require("pyarrow.csv", extra="tabular")
        return csv.CSVWriter(sink, schema, write_options=csv.WriteOptions(quoting_style="needed"))
    return require("pyarrow.parquet", extra="tabular").ParquetWriter(sink, schema)
