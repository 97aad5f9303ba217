"""Pictures as the cleaning page shows them, and as a patch changes them.

material = material_of(vision.reopen("runs/birds"))
found, applied = patched(find_in_folder("photos/"), Patch.read("birds.patch.json"))
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from drivetrain.clean.patch import Applied, Patch
from drivetrain.clean.queue import Item, Material
from drivetrain.clean.targets import Targets
from drivetrain.data.loaders import BatchLoader
from drivetrain.store import file_sha256
from drivetrain.train.predictions import Predictions
from drivetrain.vision.decode import load_upright
from drivetrain.vision.normalise import Normalise
from drivetrain.vision.target_patch import applied_to_targets
from drivetrain.vision.targets import labels_of

if TYPE_CHECKING:
    from drivetrain.train.learner import Learner
    from drivetrain.vision.sources import Found

SIDE = 720
"""Pixels of the longer side at which a picture is shown."""


def material_of(learner: Learner) -> Material:
    """The training and validation pictures of a Learner, and what it says of each when it is asked.

    Sealed pictures are not among them.
    """
    application: Any = learner.application
    data, info = application.data, application.built.info
    items: list[Item] = []
    labels: list[tuple[str, ...]] = []
    paths: dict[str, Path] = {}
    parts = [part for part in ("valid", "train") if len(getattr(data.split, part))]
    for part in parts:
        for member in (data.items[index] for index in getattr(data.split, part)):
            hash_ = data.hashes[member.id]
            items.append(Item(hash_, member.id, member.label, part))
            labels.append(labels_of(member))
            paths.setdefault(hash_, member.path)
    number = {name: code for code, name in enumerate(data.classes)}

    def ask() -> Predictions:
        found = []
        for part in parts:
            loader = BatchLoader(
                data.pictures(part),
                batch_size=application.settings["batch_size"],
                transform=Normalise(info.mean, info.std),
            )
            found.append(learner.predictions(loader))
        return joined(found)

    if data.targets is None:
        several, classes = None, tuple(data.classes)
        codes = torch.tensor([number[item.label] for item in items], dtype=torch.int64)
    else:
        several, classes = Targets(data.targets.names, data.targets.classes, tuple(labels)), ()
        members = [data.items[index] for part in parts for index in getattr(data.split, part)]
        codes = data.targets.codes(members)
    return Material(
        tuple(items),
        codes,
        classes,
        ask,
        Path(data.source),
        picture=lambda hash_: png(paths[hash_]),
        several=several,
    )


def joined(found: Sequence[Predictions]) -> Predictions:
    """Several records of one model as one, which is not taken apart by target."""
    return Predictions(
        [name for one in found for name in one.ids],
        torch.cat([one.targets for one in found]),
        torch.cat([one.outputs for one in found]),
        torch.cat([one.losses for one in found]),
        found[0].classes,
    )


def png(path: Path) -> bytes:
    """A picture as a PNG made anew, upright and no larger than it is shown.

    No byte of the file reaches the browser, whatever it pretends to be.
    Raises: PictureError: the file cannot be used.
    """
    image = load_upright(path)
    image.thumbnail((SIDE, SIDE))
    held = io.BytesIO()
    image.save(held, "PNG", compress_level=1)
    return held.getvalue()


def patched(found: Found, patch: Patch) -> tuple[Found, Applied]:
    """The pictures of a source as a patch leaves them; its files stay as they are.

    Those of a test part are not looked at, and a file that cannot be read is no item of the patch:
    opening it says what is wrong.

    Raises: DataError: there are several targets, and a change is of one nobody can tell.
    """
    parts = [""] * len(found.items) if found.parts is None else found.parts
    hashes = [
        "" if part == "test" else _hash(item.path)
        for item, part in zip(found.items, parts, strict=True)
    ]
    if found.targets:
        labels = [labels_of(item) for item in found.items]
        new, applied = applied_to_targets(patch, hashes, labels, found.targets)
    else:
        target = str(found.recipe.get("label_column") or "")
        applied = patch.apply(hashes, [item.label for item in found.items], target)
        new = [(label,) for label in applied.labels]
    kept = [at for at, is_kept in enumerate(applied.kept) if is_kept]
    items = [replace(found.items[at], label=new[at][0], others=tuple(new[at][1:])) for at in kept]
    return replace(
        found, items=items, parts=None if found.parts is None else [parts[at] for at in kept]
    ), applied


def _hash(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError:
        return ""
