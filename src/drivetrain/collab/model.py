"""A trained model of ratings with all that it takes to ask it: names, titles, what was rated before."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from drivetrain import store
from drivetrain.collab.answers import RatingPrediction, RatingPredictions
from drivetrain.collab.data import CollabData
from drivetrain.collab.factors import Factors
from drivetrain.collab.measure import measure_ratings
from drivetrain.collab.seen import Seen, read_seen
from drivetrain.collab.table.columns import find_columns
from drivetrain.collab.table.ids import Ids, as_id
from drivetrain.collab.table.rows import as_text, read_rows
from drivetrain.data.ratings import Lists
from drivetrain.data.tables.reading import open_table
from drivetrain.errors import ConfigError, DataError, RunError
from drivetrain.models.device import threads
from drivetrain.models.factorization import create_factorization, factorization_shapes
from drivetrain.randomness import preserved
from drivetrain.train.run import check_form, read_model, said_as_damage

PAIRS = 1 << 16
"""Pairs that a model is asked about at once."""


ORDERING = ("als", "bpr")
"""Models whose predictions put items in order, and are no ratings even where ratings trained them."""


def tells_ratings(name: str, rating: str | None) -> bool:
    """Whether what a model predicts is a rating.

    Args:
        name: of the model.
        rating: the column of ratings; None where it learnt from events.
    """
    return rating is not None and name not in ORDERING


class CollabModel:
    """A model of ratings.

    Args:
        net: pairs (B, 2) to ratings (B,).
        name: of the model, such as `dot_bias`.
        users, items: names and codes.
        titles: (I,) what items are called.
        seen: the training ratings.
        columns: `{"user", "item"}`: what the columns of a table of pairs are called.
        rating: the column of ratings.
        num_threads: torch threads.
        device: where the model is.
    """

    def __init__(
        self,
        net: nn.Module,
        name: str,
        *,
        users: Ids,
        items: Ids,
        titles: tuple[str, ...],
        seen: Seen,
        columns: Mapping[str, str],
        rating: str | None,
        num_threads: int | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.net = net
        self.name = name
        self.users = users
        self.items = items
        self.titles = titles
        self.history = seen
        self.columns = dict(columns)
        self.rating = rating
        self.num_threads = num_threads
        self.device = torch.device(device)
        self.results: dict[str, Any] = {}
        """What came out, where it was fitted in this process; plain JSON."""

    @property
    def of_ratings(self) -> bool:
        """Whether what it predicts is a rating; else it is a score that puts items in order."""
        return tells_ratings(self.name, self.rating)

    @property
    def factors(self) -> Factors | None:
        """Vectors and biases as they are now; None where the model is more than a dot product."""
        return Factors.of(self.net)

    @property
    def seen(self) -> Lists:
        """U lists of the items each user rated in training."""
        return self.history.items

    @property
    def popularity(self) -> np.ndarray:
        """(I,) int64, ratings an item had in training."""
        return self.history.popularity

    @property
    def mean(self) -> float:
        """Mean training rating."""
        return self.history.mean

    @property
    def item_mean(self) -> np.ndarray:
        """(I,) float32, mean training rating of each item."""
        return self.history.item_mean

    @cached_property
    def by_title(self) -> Mapping[str, int]:
        """Title -> code; of a title that two items have, the one rated more often."""
        order = np.argsort(self.popularity, kind="stable").tolist()
        return {self.titles[code]: code for code in order if code}

    def item_code(self, item: Any) -> int:
        """The code of an item given by its id or its title; 0 if it is unknown."""
        return self.items.code(item) or self.by_title.get(as_id(item), 0)

    # --- asking -----------------------------------------------------------------------------------

    def outputs(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Predicted ratings of pairs.

        Args:
            users, items: (N,) codes, 0 for unknown.

        Returns: (N,) float32.
        """
        pairs = torch.from_numpy(np.stack([users, items], axis=1).astype(np.int32))
        was_training = self.net.training
        self.net.eval()
        try:
            with torch.inference_mode(), threads(self.num_threads), preserved():
                found = [self.net(part.to(self.device)).cpu() for part in pairs.split(PAIRS)]
        finally:
            self.net.train(was_training)
        return torch.cat(found).numpy() if found else np.zeros(0, np.float32)

    def scores(self, users: np.ndarray) -> np.ndarray:
        """Predicted ratings of all items.

        Args:
            users: (B,) codes; ask in blocks.

        Returns: (B, I) float32.
        """
        factors = self.factors
        if factors is not None:
            with threads(self.num_threads):
                return factors.scores(users)
        num_items = len(self.items)
        every = np.tile(np.arange(num_items, dtype=np.int32), len(users))
        return self.outputs(np.repeat(users, num_items), every).reshape(len(users), num_items)

    def predict(self, source: Any, item: Any = None) -> RatingPrediction | RatingPredictions:
        """How a user rates an item, or the ratings of all pairs of a source.

        Args:
            source: the id of a user, with `item`; a mapping with a user and an item; or a table of pairs:
                a path, a frame, a list of mappings.
            item: an id, or a title.

        Raises: DataError: the table lacks a column.
        """
        if item is not None:
            return self._pairs([source], [item], ())[0]
        user_column, item_column = self.columns["user"], self.columns["item"]
        if isinstance(source, Mapping) and not any(
            isinstance(value, list | tuple | np.ndarray) for value in source.values()
        ):
            missing = [name for name in (user_column, item_column) if name not in source]
            if missing:
                raise DataError(
                    f"A pair has a '{user_column}' and an '{item_column}'. Missing: "
                    f"{', '.join(missing)}."
                )
            return self._pairs([source[user_column]], [source[item_column]], ())[0]
        table = open_table(source)
        found = find_columns(
            table.names,
            {
                "user": user_column if user_column in table.names else None,
                "item": item_column if item_column in table.names else None,
                "rating": None,
                "time": None,
            },
        )
        columns = table.only([found.user, found.item]).read()
        users, items = (
            as_text(columns.column(name).combine_chunks()).fill_null("").to_pylist()
            for name in (found.user, found.item)
        )
        return self._pairs(users, items, table.report.notes)

    def _pairs(self, users: list[Any], items: list[Any], notes: Any) -> RatingPredictions:
        user_codes = self.users.codes(users)
        item_codes = self.items.codes(items)
        for row in np.flatnonzero(item_codes == 0).tolist():
            item_codes[row] = self.item_code(items[row])
        told = list(notes)
        for what, codes in (("user", user_codes), ("item", item_codes)):
            count = int((codes == 0).sum())
            if count:
                are = f"1 {what} is" if count == 1 else f"{count:,} {what}s are"
                other = "item" if what == "user" else "user"
                told.append(
                    f"{are} unknown: what is predicted there is that of a mean {what} and of the {other}."
                )
        return RatingPredictions(
            users=tuple(map(as_id, users)),
            items=tuple(map(as_id, items)),
            titles=tuple(
                self.titles[code] or as_id(item)
                for code, item in zip(item_codes.tolist(), items, strict=True)
            ),
            values=self.outputs(user_codes, item_codes),
            is_known=(user_codes > 0) & (item_codes > 0),
            notes=tuple(told),
        )

    def recommend(self, user: Any, k: int = 10, **options: Any) -> Any:
        """What a user may like; see `collab.recommend.recommend` for the options.

        Args:
            user: a name that training saw.
            k: how many items.
        """
        from drivetrain.collab.recommend import recommend

        return recommend(self, user, k, **options)

    def evaluate(self, source: Any) -> dict[str, Any]:
        """Metrics on ratings from elsewhere: `{source, items, metrics, interval, unknown, trained_on,
        notes}`, `trained_on` being how many are pairs that the model learnt from.

        Raises: DataError: there are no ratings in it. ConfigError: the model predicts none.
        """
        if isinstance(source, CollabData):
            raise ConfigError("`evaluate` takes ratings as people have them: a path or a frame.")
        if self.rating is None or not self.of_ratings:
            raise ConfigError(
                f"A model '{self.name}' puts items in order: it predicts no ratings to compare."
            )
        table = open_table(source)
        asked = {**self.columns, "rating": self.rating, "time": None}
        if table.is_bare and len(table.names) in (3, 4):
            table = open_table(
                source, names=[*self.columns.values(), self.rating, "time"][: len(table.names)]
            )
        present = {
            role: name if name is not None and name in table.names else None
            for role, name in asked.items()
        }
        columns = find_columns(table.names, present)
        if columns.rating is None:
            raise DataError(f"{table.source} has no column of ratings to compare with.")
        rows = read_rows(table, columns)
        users = self.users.codes(rows.user_names)[rows.users]
        items = self.items.codes(rows.item_names)[rows.items]
        # people that the model does not know stay different people, each with an interval's say
        owners = np.where(users > 0, users, len(self.users) + rows.users)
        unknown = (users == 0) | (items == 0)
        predicted = self.outputs(users, items)
        measured = measure_ratings(predicted, rows.ratings, owners, is_unknown=unknown).to_json()
        return {
            "source": table.source,
            "items": len(rows),
            "metrics": {name: measured[name]["value"] for name in ("rmse", "mse", "mae")},
            "interval": [measured["rmse"]["low"], measured["rmse"]["high"]],
            "unknown": {"users": int((users == 0).sum()), "items": int((items == 0).sum())},
            "trained_on": self.history.count_of(users, items),
            "notes": [*table.report.notes, *rows.notes],
        }

    def __repr__(self) -> str:
        return f"CollabModel({self.name}, {len(self.users) - 1:,} users, {len(self.items) - 1:,} items)"


def model_of(
    net: nn.Module,
    name: str,
    data: CollabData,
    seen: Seen,
    *,
    num_threads: int | None,
    device: torch.device | str,
) -> CollabModel:
    """The model over the ratings it was trained on."""
    return CollabModel(
        net,
        name,
        users=data.users,
        items=data.items,
        titles=data.titles,
        seen=seen,
        columns={"user": data.columns.user, "item": data.columns.item},
        rating=data.columns.rating,
        num_threads=num_threads,
        device=device,
    )


def scoring(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of what scores pairs: all, or what a model that compares two items has within."""
    within = {name.removeprefix("scores."): tensor for name, tensor in weights.items()}
    return within if all(name.startswith("scores.") for name in weights) else dict(weights)


_FORM: Mapping[str, Any] = {
    "application": str,
    "name": str,
    "model": dict,
    "users": list,
    "items": list,
    "titles": list,
    "columns": {"user": str, "item": str},
    "seen_sha256": str,
    "num_threads": int,
}


def load(run: store.StrPath) -> CollabModel:
    """The model of a finished run, to ask.

    Raises: RunError: there is none, it is damaged, or it is none of ratings.
    """
    weights, record = read_model(run)
    folder = Path(run) / "model" if (Path(run) / "model" / "model.json").exists() else Path(run)
    path = folder / "model.json"
    if record.get("application") != "collab":
        raise RunError(f"{run} is not a run of ratings.")
    check_form(record, _FORM, path)
    with said_as_damage(path):
        users, items = Ids.from_json(record["users"]), Ids.from_json(record["items"])
        titles = ("", *record["titles"])
        if len(titles) != len(items) or not all(isinstance(title, str) for title in titles):
            raise RunError(f"{path} cannot be used: it has not one title for each item.")
        weights = scoring(weights)
        found = {name: (t.dtype, tuple(t.shape)) for name, t in weights.items()}
        sizes = (record["model"].get("num_users"), record["model"].get("num_items"))
        if factorization_shapes(record["model"]) != found or sizes != (len(users), len(items)):
            raise RunError("The weights are of another model than the record describes.")
        net = create_factorization(record["model"])
        net.load_state_dict(weights)
        seen = read_seen(
            folder, num_users=len(users), num_items=len(items), sha256=record["seen_sha256"]
        )
    return CollabModel(
        net.eval(),
        record["name"],
        users=users,
        items=items,
        titles=titles,
        seen=seen,
        columns=record["columns"],
        rating=record.get("rating"),
        num_threads=record["num_threads"],
    )
