"""What a bundle of ratings knows beside weights: names, titles, how items were rated, who rated what.

All of it is tensors: names are UTF-8, end to end, with where each ends. So a million of them are read in
bounded memory, and nothing of a stranger's is parsed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from drivetrain.collab.seen import Seen, _fits
from drivetrain.collab.table.ids import Ids
from drivetrain.data.ratings import Lists
from drivetrain.errors import BundleError, RunError

HISTORY = ("seen_items", "seen_offsets", "seen_ratings")
LARGEST = 1e30
"""Of a mean rating, and of an end of the range of predictions: float32 holds it."""


@dataclass(frozen=True)
class Catalogue:
    """Who and what a model knows."""

    users: Ids
    items: Ids
    titles: tuple[str, ...]
    """(I,)"""
    seen: Seen
    """The training ratings; without them the lists are empty, and only the sums are known."""
    has_history: bool
    """Whether it holds who rated what."""

    def tensors(self) -> dict[str, Tensor]:
        """As it is stored."""
        found: dict[str, Tensor] = {}
        for name, texts in (
            *(("users", self.users.names[1:]), ("items", self.items.names[1:])),
            ("titles", self.titles[1:]),
        ):
            found |= _packed(name, texts)
        found["popularity"] = torch.from_numpy(self.seen.popularity.astype(np.int64))
        found["item_mean"] = torch.from_numpy(self.seen.item_mean.astype(np.float32))
        if self.has_history:
            tensors = self.seen.tensors()
            found |= {name: tensors[name.removeprefix("seen_")] for name in HISTORY}
        return found


def read_catalogue(tensors: Mapping[str, Tensor], *, mean: float, where: str) -> Catalogue:
    """The catalogue that tensors from a file stand for.

    Args:
        mean: of the training ratings.
        where: names the file in messages.

    Raises: BundleError: they are none.
    """
    has_history = any(name in tensors for name in HISTORY)
    wanted = {"popularity", "item_mean", *(HISTORY if has_history else ())}
    for name in ("users", "items", "titles"):
        wanted |= {name, f"{name}_ends"}
    if set(tensors) != wanted:
        raise _unsound(where, "it holds other tensors than a catalogue has")
    names = {name: _unpacked(tensors, name, where) for name in ("users", "items", "titles")}
    try:
        users, items = Ids.from_json(names["users"]), Ids.from_json(names["items"])
    except RunError as error:
        raise _unsound(where, str(error).rstrip(".")) from error
    count = len(items)
    popularity, item_mean = tensors["popularity"].numpy(), tensors["item_mean"].numpy()
    if len(names["titles"]) != count - 1 or not (
        (popularity.dtype, item_mean.dtype) == (np.int64, np.float32)
        and popularity.shape == item_mean.shape == (count,)
        and bool((popularity >= 0).all())
        and bool((np.abs(item_mean) <= LARGEST).all())
    ):
        raise _unsound(where, "it has not a title, a count and a mean for each item")
    if has_history:
        values, offsets, ratings = (tensors[name].numpy() for name in HISTORY)
        if not _fits(values, offsets, ratings, len(users), count):
            raise _unsound(where, "what users rated is not a list of items for each of them")
    else:
        values, offsets = np.zeros(0, np.int32), np.zeros(len(users) + 1, np.int64)
        ratings = np.zeros(0, np.float32)
    seen = Seen(Lists(values, offsets), ratings, count)
    # what would be worked out of the ratings, which may not be there
    vars(seen).update(popularity=popularity, item_mean=item_mean, mean=mean)
    return Catalogue(users, items, ("", *names["titles"]), seen, has_history)


def _packed(name: str, texts: Sequence[str]) -> dict[str, Tensor]:
    parts = [text.encode("utf-8", "replace") for text in texts]
    ends = np.cumsum([len(part) for part in parts], dtype=np.int64)
    data = np.frombuffer(b"".join(parts), dtype=np.uint8).copy()
    return {name: torch.from_numpy(data), f"{name}_ends": torch.from_numpy(ends)}


def _unpacked(tensors: Mapping[str, Tensor], name: str, where: str) -> list[str]:
    data, ends = tensors[name].numpy(), tensors[f"{name}_ends"].numpy()
    sound = data.dtype == np.uint8 and ends.dtype == np.int64 and data.ndim == ends.ndim == 1
    bounds = np.concatenate([[0], ends]) if sound else np.zeros(1, np.int64)
    if not sound or bounds[-1] != len(data) or bool((np.diff(bounds) < 0).any()):
        raise _unsound(where, f"its {name} are no texts")
    whole = data.tobytes()
    pairs = zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
    try:
        return [whole[start:end].decode() for start, end in pairs]
    except UnicodeDecodeError as error:
        raise _unsound(where, f"its {name} are no texts") from error


def _unsound(where: str, why: str) -> BundleError:
    return BundleError(f"{where} cannot be used: {why}. Take it anew from where it came from.")
