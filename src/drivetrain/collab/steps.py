"""What becomes of one rating on its way to a model: found, split, numbered."""

from __future__ import annotations

import torch

from drivetrain.collab.data import CollabData, RowNames
from drivetrain.data.steps import Step, Steps, place_of, split_reason

NAMES = ("train", "valid", "test")


def steps(data: CollabData, item: int | str = 0) -> Steps:
    """Each step of one rating, with its value: who, what, how good, the part, the model's input.

    Args:
        data: the ratings.
        item: its place among the ratings that are used, or its id.

    Returns: the steps; print them. Of a sealed rating they end with its part.
    Raises: ConfigError, UnknownNameError: there is no such rating.
    """
    names = RowNames(data.positions)
    at = place_of(item, list(names) if isinstance(item, str) else names, what="ratings")
    part = next(name for name in NAMES if at in set(data.rows(name).tolist()))
    found = [Step("item", names[at], data.task.found_by), Step("part", part, split_reason(data))]
    if part == "test":
        return Steps(names[at], (*found, Step("read", "no", "it is sealed until the test")))
    user, thing = int(data.table.users[at]), int(data.table.items[at])
    pair = torch.tensor([[user, thing]])
    found += [
        Step("user", data.users.names[user], data.columns.user),
        Step("what", data.titles[thing], data.columns.item),
        Step("label", data.table.ratings[at], data.task.labelled_by),
        Step("codes", pair[0], "of the user and of the item; 0 for one that training has not"),
        Step("input", tuple(pair.shape), "what a model is given: a batch of one"),
    ]
    return Steps(names[at], tuple(found))
