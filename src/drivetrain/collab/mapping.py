"""A map of the items, or of the users, of a run of ratings: by their vectors."""

from __future__ import annotations

import numpy as np

from drivetrain import store
from drivetrain.collab.data import Report
from drivetrain.collab.model import CollabModel, load
from drivetrain.errors import ConfigError, DataError
from drivetrain.interpret.map_items import MapItems, steps
from drivetrain.interpret.text import number

SIDES = ("items", "users")


def map_items(
    folder: store.StrPath, *, of: str = "items", report: Report | None = None
) -> MapItems:
    """The vectors of a finished run.

    Args:
        folder: of a run.
        of: `items` or `users`.
        report: nothing is read that takes long.

    Raises: RunError: no finished run of ratings there. ConfigError: `of` is neither. DataError: its model
        is more than a dot product.
    """
    return mapped(load(folder), of)


def mapped(model: CollabModel, of: str = "items") -> MapItems:
    """Those of a model, in colours by mean rating; where nothing is rated, by how often they came."""
    if of not in SIDES:
        raise ConfigError(f"`of` must be {' or '.join(SIDES)}. Got {of!r}.")
    factors = model.factors
    if factors is None:
        raise DataError(
            f"The model '{model.name}' is more than a dot product, and has no vectors that can be read "
            "by themselves. Train with: --model dot_bias"
        )
    seen = model.history
    if of == "items":
        vectors, names = factors.items[1:], [str(title) for title in model.titles[1:]]
        counts = seen.popularity[1:]
        means = np.where(counts > 0, model.item_mean[1:], np.nan)
    else:
        vectors, names = (
            factors.users[1:],
            [str(model.users.names[c]) for c in range(1, len(model.users))],
        )
        counts = np.diff(seen.items.offsets)[1:]
        users = np.repeat(np.arange(len(seen.items.offsets) - 1), np.diff(seen.items.offsets))
        sums = np.bincount(users, weights=seen.ratings, minlength=len(seen.items.offsets) - 1)[1:]
        means = np.divide(sums, counts, out=np.full(len(counts), np.nan), where=counts > 0)
    what = "mean rating" if model.of_ratings else "times"
    groups, codes = steps(means if model.of_ratings else counts.astype(np.float64))
    kind = "ratings" if model.of_ratings else "events"
    details = [
        f"{count:,} {kind}"
        + ("" if np.isnan(mean) or not model.of_ratings else f", mean {number(float(mean))}")
        for count, mean in zip(counts.tolist(), means.tolist(), strict=True)
    ]
    notes = [
        f"Colours: {what}." if model.of_ratings else "Colours: how often they came in training."
    ]
    thin = int((counts < 5).sum())
    if thin:
        notes.append(
            f"{thin:,} of them have fewer than 5 {kind}: their vectors were hardly learnt."
        )
    many = "1 number" if vectors.shape[1] == 1 else f"{vectors.shape[1]} numbers"
    return MapItems(
        vectors=vectors,
        names=names,
        what=f"The vectors of {of}: {many} each, as training found them.",
        noun=of,
        groups=groups,
        codes=codes,
        group_of=what,
        is_ordered=True,
        details=details,
        notes=notes,
    )
