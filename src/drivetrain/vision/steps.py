"""What becomes of one picture on its way to a model: found, labelled, split, opened, resized, varied."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from drivetrain.data.steps import Step, Steps, place_of, split_reason
from drivetrain.vision.augment import Augment, AugmentSettings
from drivetrain.vision.data import VisionData
from drivetrain.vision.decode import load_upright, open_picture
from drivetrain.vision.normalise import Normalise
from drivetrain.vision.targets import labels_of

HALF = (0.5, 0.5, 0.5)


def steps(
    data: VisionData,
    item: int | str = 0,
    *,
    mean: Sequence[float] = HALF,
    std: Sequence[float] = HALF,
    augment: AugmentSettings | None = None,
    epoch: int = 0,
) -> Steps:
    """Each step of one picture, with its value: the file, the label, the part, pixels, the model's input.

    Args:
        data: the pictures.
        item: its place among `data.items`, or its id.
        mean: a number a channel, that the model was trained with; also `std`.
        std: a number a channel.
        augment: how strongly training pictures are varied; None for the defaults.
        epoch: whose variation is shown.

    Returns: the steps; print them. A sealed picture is not opened: its steps end with its part.
    Raises: ConfigError, UnknownNameError: there is no such item. PictureError: the file has changed.
    """
    at = place_of(item, [one.id for one in data.items], what="pictures")
    one = data.items[at]
    part = next(name for name in ("train", "valid", "test") if at in getattr(data.split, name))
    labels = labels_of(one)
    found = [
        Step("item", one.path, data.task.found_by),
        Step("label", labels[0] if len(labels) == 1 else labels, data.task.labelled_by),
        Step("part", part, split_reason(data)),
    ]
    if part == "test":
        return Steps(one.id, (*found, Step("opened", "no", "it is sealed until the test")))
    image = load_upright(one.path)
    found.append(
        Step("opened", f"{image.height} x {image.width} pixels", "height x width, upright")
    )
    pixels = torch.as_tensor(open_picture(one.path, size=data.size, resize=data.resize))
    height, width = data.size
    found.append(Step("resized", pixels, f"to {height} x {width} by {data.resize}"))
    members = getattr(data.split, part)
    row = torch.tensor([list(members).index(at)])
    pictures = data.pictures(part)
    batch = pictures.__getitems__(row)
    found.append(Step("target", batch[1][0], "the label's place among the classes, from 0"))
    if part == "train":
        settings = AugmentSettings() if augment is None else augment
        vary = Augment(settings, pictures.ids, mean=mean, std=std, seed=data.seed)
        said = f"as in epoch {epoch}, then minus `mean`, through `std`"
        found.append(Step("varied", vary(batch, row, epoch)[0][0], said))
    normal = Normalise(mean, std)(batch, row, epoch)[0]
    found.append(Step("normalised", normal[0], "minus `mean`, through `std`: as validation has it"))
    found.append(Step("input", tuple(normal.shape), "what a model is given: a batch of one"))
    return Steps(one.id, tuple(found))
