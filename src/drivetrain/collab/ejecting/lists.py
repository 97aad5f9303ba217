"""What lists are worth, as a script of a model of events works it out, and whether it can.

`measure_lists` is what such a script calls. It is shorter than `collab.measure`, which takes any
candidates and gives intervals; tests hold the one against the other, to the last bit.

Letters: U users, I items, the unknown one of each counted; K numbers of a vector; B users of a block.
"""

from __future__ import annotations

import numpy as np

from drivetrain.collab import shown
from drivetrain.collab.data import CollabData
from drivetrain.collab.ejecting.data import RowWriter
from drivetrain.collab.lists import MOST_USERS, K
from drivetrain.collab.measure import liked_from
from drivetrain.collab.shown import CELLS
from drivetrain.eject.known import Known
from drivetrain.randomness import permutation

HOME = "drivetrain.collab.ejecting.lists"


def liked_rows(data: CollabData) -> tuple[np.ndarray, float | None]:
    """(V, 2) the validation pairs that count as liked, and from which rating on; of events all are."""
    valid = data.pairs("valid")
    pairs = np.stack([valid.users, valid.items], axis=1)
    if data.is_implicit:
        return pairs, None
    threshold = liked_from(data.pairs("train"))
    return pairs[valid.ratings >= threshold], threshold


def known_of(data: CollabData, *, has_bias: bool) -> dict[str, dict[str, Known]] | None:
    """Which questions of `measure_lists` have one answer in this run; None: nothing is to be found."""
    train = data.pairs("train")
    seen = keys_of(np.stack([train.users, train.items], axis=1), len(data.items))
    wanted = keys_of(liked_rows(data)[0], len(data.items))
    people = np.unique(np.setdiff1d(wanted, seen) // len(data.items))
    if not len(people):
        return None
    return {
        f"{HOME}:measure_lists": {
            "bias is not None": Known(has_bias),
            "len(items) < k": Known(len(data.items) < K),
            "len(people) > most_users": Known(len(people) > MOST_USERS),
        }
    }


def call(arguments: str, rows: RowWriter) -> str:
    """A call of `measure_lists`, as text; `arguments` are the first five."""
    rows.lifter.called_as[f"{shown.__name__}:CELLS"] = "SCORES"
    places = rows.setting("K", K, "places of a list")
    most = rows.setting("MOST_USERS", MOST_USERS, "whose lists are looked at; drawn by the seed")
    return f"measure_lists({arguments}, k={places}, most_users={most}, seed={rows.seed})"


# --- what a script calls --------------------------------------------------------------------------


def keys_of(pairs: np.ndarray, num_items: int) -> np.ndarray:
    """Pairs of a known user and a known item as numbers user * I + item, in order, each once."""
    known = pairs[(pairs > 0).all(axis=1)].astype(np.int64)
    return np.unique(known[:, 0] * num_items + known[:, 1])


def cells(keys: np.ndarray, users: np.ndarray, num_items: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows (places in `users`, which are in order) and columns (items) of the pairs of some users."""
    owners, items = np.divmod(keys, num_items)
    is_asked = np.isin(owners, users)
    return np.searchsorted(users, owners[is_asked]), items[is_asked]


def measure_lists(
    users: np.ndarray,
    items: np.ndarray,
    bias: np.ndarray | None,
    train: np.ndarray,
    valid: np.ndarray,
    *,
    k: int,
    most_users: int,
    seed: int,
) -> dict[str, float]:
    """What lists of the highest scores are worth: means over users who came to something new.

    Args:
        users, items: (U, K) and (I, K) float32 vectors; a score is their product, and the item's bias.
        bias: (I,) float32; None: there is none.
        train, valid: (N, 2) codes of user and item, 0 for unknown. What a user had in training is not
            listed; what they have in validation is to be found.
        k: places of a list.
        most_users: of more than these so many are drawn.
        seed: of that draw.
    """
    num_items = len(items)
    seen = keys_of(train, num_items)
    wanted = np.setdiff1d(keys_of(valid, num_items), seen)
    people = np.unique(wanted // num_items)
    if len(people) > most_users:
        drawn = permutation(len(people), seed=seed, epoch=0, purpose="measured users").numpy()
        people = people[np.sort(drawn[:most_users])]
    size = max(CELLS // num_items, 1)  # users whose scores are in memory at once
    blocks = []
    for some in (people[start : start + size] for start in range(0, len(people), size)):
        scores = users[some] @ items.T  # (B, I)
        if bias is not None:
            scores += bias
        scores[:, 0] = -np.inf
        scores[cells(seen, some, num_items)] = -np.inf
        listed = np.argsort(-scores, axis=1, kind="stable")[:, :k]  # of equals the lower code first
        listed[np.take_along_axis(scores, listed, axis=1) == -np.inf] = 0
        if len(items) < k:
            listed = np.pad(listed, ((0, 0), (0, k - num_items)))
        is_wanted = np.zeros(scores.shape, dtype=bool)
        is_wanted[cells(wanted, some, num_items)] = True
        blocks.append(
            (listed, np.take_along_axis(is_wanted, listed, axis=1), is_wanted.sum(axis=1))
        )
    listed, hits, num_wanted = (np.concatenate(parts) for parts in zip(*blocks, strict=True))

    worth = 1 / np.log2(np.arange(2, k + 2))  # of a hit, by its place
    could_be = np.minimum(num_wanted, k)
    precision = np.cumsum(hits, axis=1) / np.arange(1, k + 1)  # up to each place
    share = np.maximum(np.bincount(train[:, 1], minlength=num_items), 1) / (len(users) - 1)
    surprise = np.where(listed > 0, -np.log2(share)[listed], 0.0)  # in bits
    per_user = {
        "ndcg": hits @ worth / np.append(0.0, np.cumsum(worth))[could_be],
        "recall": hits.sum(axis=1) / num_wanted,
        "precision": hits.sum(axis=1) / k,
        "map": (precision * hits).sum(axis=1) / could_be,
        "mrr": np.where(hits.any(axis=1), 1 / (hits.argmax(axis=1) + 1), 0.0),
        "hit_rate": hits.any(axis=1).astype(np.float64),
        "novelty": surprise.sum(axis=1) / (listed > 0).sum(axis=1),
    }
    means = np.stack(list(per_user.values()), axis=1).sum(axis=0) / len(people)
    found = dict(zip(per_user, means.tolist(), strict=True))
    num_listed = len(np.unique(listed[listed > 0]))
    return found | {"coverage": num_listed / (num_items - 1)}
