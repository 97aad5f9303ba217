"""The batches of a script: training pictures in another order each epoch, varied or as they are."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from dataclasses import fields
from itertools import pairwise

from drivetrain.eject.known import Known
from drivetrain.eject.modules import Import
from drivetrain.randomness import permutation
from drivetrain.vision.augment import AugmentSettings, augmented
from drivetrain.vision.ejecting.draft import Draft
from drivetrain.vision.normalise import normalised


def write_batches(draft: Draft) -> None:
    """The functions `train_batches` and `valid_batches`."""
    set_normalisation(draft)
    if draft.is_varied:
        _set_augmentation(draft)
    train = _VARIED if draft.is_varied else _AS_THEY_ARE
    in_memory, on_disk = "part.pixels[indices]", _OPEN_NOW
    draft.write(
        (train + _VALID).format(
            seed=draft.seed,
            chunks=_chunks(draft),
            pixels=on_disk if draft.data.pixels is None else in_memory,
        ),
        "data",
        {"permutation": permutation, "normalised": normalised}
        | ({"augmented": augmented} if draft.is_varied else {}),
    )
    draft.lifter.add_import(Import("collections.abc", "Iterator"))


def set_normalisation(draft: Draft) -> None:
    """The settings MEAN and STD."""
    info = draft.application.built.info
    draft.setting("MEAN", tuple(info.mean), f"of each colour, as {info.name} was made for")
    draft.setting("STD", tuple(info.std))


def _chunks(draft: Draft) -> str:
    """The indices of each batch, an expression; a last batch of one picture joins the one before."""
    count, size = len(draft.data.split.train), draft.application.settings["batch_size"]
    if count > size and count % size == 1:
        return "order.tensor_split(list(range(BATCH_SIZE, len(order) - 1, BATCH_SIZE)))"
    return "order.split(BATCH_SIZE)"


def _set_augmentation(draft: Draft) -> None:
    """A setting for each thing that is varied; of the others the script has nothing."""
    known: dict[str, Known] = {}
    reasons = _field_texts(AugmentSettings)
    for one in fields(AugmentSettings):
        value = getattr(draft.augment, one.name)
        if one.name == "padding" or value == 0:
            known[f"settings.{one.name}"] = Known(value)
            continue
        name = draft.setting(one.name.upper(), value, reasons[one.name].split(", drawn")[0])
        known[f"settings.{one.name}"] = Known(value, name)
    for name in ("augmented", "draw_moves", "draw_lights"):
        draft.known[f"drivetrain.vision.augment:{name}"] = known


def _field_texts(cls: type) -> dict[str, str]:
    """What stands below each field of a record: its first words."""
    found: dict[str, str] = {}
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0].body  # pyright: ignore[reportAttributeAccessIssue]
    for one, text in pairwise(body):
        if isinstance(one, ast.AnnAssign) and isinstance(text, ast.Expr):
            words = str(text.value.value)  # pyright: ignore[reportAttributeAccessIssue]
            words = words[:1].lower() + words[1:]
            found[one.target.id] = re.split(r"[.;](?:\s|$)", words)[0].strip()  # pyright: ignore[reportAttributeAccessIssue]
    return found


_OPEN_NOW = "torch.from_numpy(np.stack([open_picture(part.paths[i]) for i in indices]))"

_VARIED = '''
def train_batches(part: Part, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Inputs (B, 3, height, width) and targets (B,), in another order and varied anew each epoch."""
    order = permutation(len(part.targets), seed={seed}, epoch=epoch)
    for indices in {chunks}:
        pictures = {pixels}.permute(0, 3, 1, 2)
        inputs = augmented(
            pictures,
            part.keys[indices.numpy()],
            settings=SETTINGS,
            mean=MEAN,
            std=STD,
            seed={seed},
            epoch=epoch,
        )
        yield inputs, part.targets[indices]

'''

_AS_THEY_ARE = '''
def train_batches(part: Part, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Inputs (B, 3, height, width) and targets (B,), in another order each epoch."""
    order = permutation(len(part.targets), seed={seed}, epoch=epoch)
    for indices in {chunks}:
        pictures = {pixels}.permute(0, 3, 1, 2)
        yield normalised(pictures, MEAN, STD), part.targets[indices]

'''

_VALID = '''
def valid_batches(part: Part) -> Iterator[tuple[Tensor, Tensor]]:
    """Inputs and targets in their order, as they are."""
    for indices in torch.arange(len(part.targets)).split(BATCH_SIZE):
        pictures = {pixels}.permute(0, 3, 1, 2)
        yield normalised(pictures, MEAN, STD), part.targets[indices]
'''
