"""The part of a script that is about pictures: finding, opening, splitting, varying; and the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drivetrain.eject.choices import groups_do_not_matter
from drivetrain.eject.lift import Lifter
from drivetrain.eject.measure import validation
from drivetrain.eject.parts import Part
from drivetrain.vision.data import VisionData
from drivetrain.vision.ejecting.batches import write_batches
from drivetrain.vision.ejecting.draft import Draft
from drivetrain.vision.ejecting.loaders import write_loaders
from drivetrain.vision.ejecting.loading import write_load, write_part
from drivetrain.vision.ejecting.model import layer_groups, write_created, write_model
from drivetrain.vision.ejecting.opening import write_opening

if TYPE_CHECKING:
    from drivetrain.train.learner import Learner
    from drivetrain.vision.application import VisionApplication


def eject_part(
    application: VisionApplication, learner: Learner, lifter: Lifter, level: str
) -> Part:
    """The part of a script that is about pictures.

    Raises: EjectError: something of the run has no plain form.
    """
    draft = Draft(application, lifter, seed=learner.seed)
    is_written_out = level != "loop"
    _set_classes(draft)
    if is_written_out:
        _write_data(draft)
    else:
        write_loaders(draft)
    if level == "all":
        write_model(draft)
    else:
        write_created(draft)
    groups = "[[model]]" if groups_do_not_matter(learner) else layer_groups(draft, level)
    found = validation(
        learner,
        lifter,
        "valid_batches(valid)" if is_written_out else "valid",
        kind="Part" if is_written_out else "Iterable",
    )
    draft.written += found.written
    given = ["train", "valid"] if is_written_out else ["loaders"]
    measured = f"evaluate(model, {'valid' if is_written_out else 'loaders.valid'})"
    return Part(
        title=_title(draft),
        settings=draft.settings,
        written=draft.written,
        load=f"{', '.join(given)} = load(arguments.data)\nmodel = make_model()",
        fit_arguments=", ".join(["model", *given]),
        batches="train_batches(train, epoch)" if is_written_out else "loaders.train.batches(epoch)",
        num_batches=len(learner.loaders.train),  # pyright: ignore[reportArgumentType]
        validate=measured,
        layer_groups=groups,
        result=found.result,
        measure=measured,
        known=draft.known,
        beside=draft.beside,
        note=draft.note,
        data_help=_data_help(draft.data),
        parameters=[(name, "Part" if is_written_out else "Loaders") for name in given],
    )


def _set_classes(draft: Draft) -> None:
    data = draft.data
    if data.targets is None:
        draft.setting("CLASSES", tuple(data.classes), "in the order of the scores")
    else:
        draft.setting("CLASSES", data.targets.classes, "of each target, in the order of the scores")


def _write_data(draft: Draft) -> None:
    """All that the script says of pictures."""
    height, width = draft.data.size
    draft.setting("HEIGHT", height, f"pixels: {draft.reason('size')}")
    draft.setting("WIDTH", width)
    size = draft.application.settings["batch_size"]
    draft.setting("BATCH_SIZE", size, draft.reason("batch_size"))
    write_part(draft)
    write_opening(draft)
    write_load(draft)
    write_batches(draft)


def _title(draft: Draft) -> str:
    name, data = draft.application.built.description["name"], draft.data
    if data.targets is not None:
        return f"Train {name} to tell {' and '.join(data.targets.names)} of pictures"
    classes = data.classes
    some = ", ".join(classes[:3]) + (", …" if len(classes) > 3 else "")
    return f"Train {name} to tell pictures of {len(classes)} classes apart: {some}"


def _data_help(data: VisionData) -> str:
    if data.recipe["from"] == "names":
        return "folder of the pictures"
    if data.recipe["from"] == "csv":
        return "CSV with the paths of the pictures and their labels"
    if data.split.method == "folders":
        return "folder with train/ and valid/"
    return "folder with a folder a class"
