"""Texts as the cleaning page shows them, and as a patch changes them.

material = material_of(text.reopen("runs/reviews"))
found, applied = patched(read_folder("reviews/"), Patch.read("reviews.patch.json"))
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from drivetrain.clean.patch import Applied, Patch
from drivetrain.clean.queue import Item, Material, text_hash
from drivetrain.clean.targets import ANSWERS, Targets
from drivetrain.data.loaders import BatchLoader
from drivetrain.data.padded import PaddedData
from drivetrain.errors import DataError
from drivetrain.text.goal import several
from drivetrain.train.predictions import Predictions

if TYPE_CHECKING:
    from drivetrain.text.data import TextData
    from drivetrain.text.reading import Texts
    from drivetrain.train.learner import Learner


class ByLength:
    """A data set with its shortest texts first: batches of one length, which padding makes no longer."""

    def __init__(self, data: PaddedData) -> None:
        self.data = data
        self.order = torch.as_tensor(data.lengths).argsort(stable=True)
        """(N,) int64."""
        self.ids = [(data.ids or [])[at] for at in self.order.tolist()] if data.ids else None

    def __len__(self) -> int:
        return len(self.data)

    def __getitems__(self, indices: Tensor) -> Any:
        return self.data.__getitems__(self.order[indices])


def material_of(learner: Learner) -> Material:
    """The training and validation texts of a Learner, and what it says of each when it is asked.

    Sealed ones are not among them. Of texts with several labels each label is a target, yes or no.
    Raises: DataError: the texts have no labels.
    """
    application: Any = learner.application
    data = application.data
    if data.goal is None:
        raise DataError("A language model's texts have no labels that could be wrong.")
    rows = rows_of(data)
    items = []
    for part, places in rows.items():
        for row in places.tolist():
            text, label = data.texts[row], label_of(data.labels[row])
            items.append(Item(text_hash(text), data.ids[row], label, part, text=text))

    def ask() -> Predictions:
        size, longest = application.settings["batch_size"], application.settings.get("max_len")
        found, places = [], []
        for part in rows:
            by_length = ByLength(data.padded(part, max_len=longest))
            found.append(learner.predictions(BatchLoader(by_length, batch_size=size)))
            places.append(torch.from_numpy(data.rows(part))[by_length.order])
        # from the order of asking to that of the items
        wanted = torch.from_numpy(np.concatenate(list(rows.values())))
        asked = torch.cat(places)
        order = torch.argsort(asked)[torch.argsort(torch.argsort(wanted))]
        scores = torch.cat([one.outputs for one in found])[order]
        if are_several:  # the odds of yes to no
            scores = torch.stack([torch.zeros_like(scores), scores], dim=2).flatten(1)
        return Predictions(
            [item.name for item in items],
            targets if are_several else torch.cat([one.targets for one in found])[order],
            scores,
            torch.cat([one.losses for one in found])[order],
            classes,
        )

    classes = data.classes if data.goal.kind == "class" else ()
    every = np.concatenate(list(rows.values()))
    targets = torch.from_numpy(data.targets[every])
    are_several, held = data.goal.kind == "labels", None
    if are_several:
        targets = targets.long()
        said = tuple(tuple(ANSWERS[code] for code in row) for row in targets.tolist())
        held = Targets(data.classes, (ANSWERS,) * len(data.classes), said)
    return Material(tuple(items), targets, classes, ask, Path(str(data.source)), several=held)


def rows_of(data: TextData) -> dict[str, np.ndarray]:
    """Part -> (N,) int64, where its texts stand in the data; parts without texts are left out."""
    return {part: data.rows(part) for part in ("valid", "train") if len(data.rows(part))}


def label_of(label: Any) -> str:
    """A label as a person reads it; several as a list."""
    if isinstance(label, str):
        return label
    if isinstance(label, set | frozenset | list | tuple):
        return ", ".join(sorted(map(str, label)))
    return str(label)


def patched(
    found: Texts,
    patch: Patch,
    sealed: Collection[int] = (),
    *,
    target: str = "",
    separator: str | None = None,
    is_several: bool = False,
) -> tuple[Texts, Applied]:
    """The texts of a source as a patch leaves them; the source, and a test part, stay as they are.

    Args:
        sealed: rows that are of the test as well.
        target: what the labels are of, such as the name of their column.
        separator: what stands between several labels in one cell.
        is_several: a text may have several labels, each of which is a target of the patch.
    """
    parts = found.parts or [None] * len(found.texts)
    before = [label_of(label) for label in found.labels]
    hashes = [
        "" if at in sealed or is_test(part) else text_hash(text)
        for at, (text, part) in enumerate(zip(found.texts, parts, strict=True))
    ]
    if is_several:
        new, applied = _relabelled(found.labels, before, hashes, patch, separator)
    else:
        applied = patch.apply(hashes, before, target)
        new = [
            old if told == word else told
            for old, word, told in zip(found.labels, before, applied.labels, strict=True)
        ]
    kept = [at for at, is_kept in enumerate(applied.kept) if is_kept]
    labels = [new[at] for at in kept]
    return replace(
        found,
        texts=[found.texts[at] for at in kept],
        ids=[found.ids[at] for at in kept],
        labels=labels,
        parts=None if found.parts is None else [parts[at] for at in kept],
        columns={name: [values[at] for at in kept] for name, values in found.columns.items()},
    ), applied


def _relabelled(
    labels: Sequence[Any],
    before: Sequence[str],
    hashes: Sequence[str],
    patch: Patch,
    separator: str | None,
) -> tuple[list[Any], Applied]:
    """The labels of texts that may have several, as a patch leaves them, and what happened."""
    said = [several(label, separator) for label in labels]
    known = {one for some in said for one in some}
    names = [name for name in patch.targets if name in known]
    made = [Patch(patch.changes).apply(hashes, before)]
    sets = [dict.fromkeys(some) for some in said]
    for name in names:
        held = [ANSWERS[name in some] for some in said]
        one = Patch(patch.targets[name]).apply(hashes, held)
        made.append(one)
        for own, old, new in zip(sets, held, one.labels, strict=True):
            if new != old and new == ANSWERS[1]:
                own[name] = None
            elif new != old:
                own.pop(name, None)
    new = [
        label if list(own) == some else (list(own) if separator is None else separator.join(own))
        for label, own, some in zip(labels, sets, said, strict=True)
    ]
    return new, Applied.of_targets(made, [name for name in patch.targets if name not in known])


def is_test(part: str | None) -> bool:
    """Whether a source's own word for a part means the test."""
    return str(part).strip().lower() == "test"
