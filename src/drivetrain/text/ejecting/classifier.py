"""Classifiers and scorers of texts, for the script of their run: reading, tokens, batches, the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drivetrain.eject.choices import groups_do_not_matter
from drivetrain.eject.form import TUPLE, Form
from drivetrain.eject.lift import Lifter
from drivetrain.eject.measure import validation
from drivetrain.eject.modules import Import
from drivetrain.eject.parts import Part
from drivetrain.eject.seeds import order_seed
from drivetrain.errors import EjectError
from drivetrain.text.ejecting.batches import write_batches
from drivetrain.text.ejecting.documents import write_model
from drivetrain.text.ejecting.draft import Draft
from drivetrain.text.ejecting.learning import write_tokens
from drivetrain.text.ejecting.loading import write_load, write_part
from drivetrain.text.ejecting.reading import reading_of
from drivetrain.text.ejecting.shallow import write_created, write_loaders
from drivetrain.text.ejecting.transformer import tokenizer_written, write_fine_tuned

if TYPE_CHECKING:
    from drivetrain.text.application import TextApplication
    from drivetrain.train.learner import Learner

FORM = Form(
    "tokens, lengths, targets",
    "",
    "tokens, lengths",
    "part",
    TUPLE.each,
    "[tokens, lengths]",
    "len(targets)",
)
"""A batch of texts."""


def eject_part(application: TextApplication, learner: Learner, lifter: Lifter, level: str) -> Part:
    """The part of a script that is about texts.

    Raises: EjectError: the texts came from memory, or something of the run has no plain form.
    """
    draft = Draft(application, learner, lifter)
    said_of_seed = "of the split, and of the order of batches"
    draft.seed = order_seed(draft.data.seed, learner.seed, draft.setting, said_of_seed)
    is_transformer = application.network == "transformer"
    if is_transformer and level != "all":
        raise EjectError(
            "A run that began with a pretrained encoder is ejected whole. Use --level all."
        )
    lifter.unasked |= {"TokenArray.__iter__", "TokenArray.__len__"}
    is_written_out = level != "loop"
    if draft.goal.classes:
        draft.setting("CLASSES", draft.goal.classes, "in the order of the scores")
    if is_written_out:
        _write_texts(draft, is_transformer=is_transformer)
    else:
        write_loaders(draft)
    if level != "all":
        write_created(draft)
    elif is_transformer:
        write_fine_tuned(draft)
    else:
        write_model(draft)
    found = validation(
        learner,
        lifter,
        "valid_batches(valid)" if is_written_out else "valid",
        kind="Part" if is_written_out else "Iterable",
        form=FORM,
    )
    draft.written += found.written
    given = ["train", "valid"] if is_written_out else ["loaders"]
    measured = f"evaluate(model, {'valid' if is_written_out else 'loaders.valid'})"
    return Part(
        title=_title(draft, is_transformer=is_transformer),
        settings=draft.settings,
        written=draft.written,
        load=_load(level, is_transformer=is_transformer),
        fit_arguments=", ".join(["model", *given]),
        batches="train_batches(train, epoch)" if is_written_out else "loaders.train.batches(epoch)",
        num_batches=len(learner.loaders.train),  # pyright: ignore[reportArgumentType]
        validate=measured,
        layer_groups="[[model]]" if groups_do_not_matter(learner) else "model.layer_groups()",
        result=found.result,
        measure=measured,
        data_help=draft.help,
        form=FORM,
        beside=draft.beside,
        note=draft.note,
        parameters=[(name, "Part" if is_written_out else "Loaders") for name in given],
    )


def _write_texts(draft: Draft, *, is_transformer: bool) -> None:
    """All that the script says of texts and tokens."""
    reading = reading_of(draft.data, draft.lifter)
    draft.help, draft.note = reading.help, reading.note
    draft.beside |= reading.beside
    for one in reading.settings:
        draft.setting(one.name, one.value, one.reason)
    draft.written += reading.written
    if is_transformer:
        written, settings = tokenizer_written(draft.data.tokenizer, draft.lifter)  # pyright: ignore[reportArgumentType]
        draft.settings += settings
        draft.written += written
    else:
        write_tokens(draft)
    write_part(draft)
    write_load(draft, reading.extra, is_transformer=is_transformer)
    write_batches(draft)
    for one in (
        *(Import("typing", "NamedTuple"), Import("torch", "Tensor"), Import("torch")),
        *(Import("numpy", "", "np"), Import("collections.abc", "Iterator")),
    ):
        draft.lifter.add_import(one)


def _load(level: str, *, is_transformer: bool) -> str:
    """Statements of `main` that make what training needs."""
    if level == "loop":
        return "loaders = load(arguments.data)\nmodel = make_model()"
    if is_transformer:
        return "train, valid = load(arguments.data)\nmodel = make_model()"
    given = "words" if level == "all" else ""
    first = "train, valid, words" if level == "all" else "train, valid, _"
    return f"{first} = load(arguments.data)\nmodel = make_model({given})"


def _title(draft: Draft, *, is_transformer: bool) -> str:
    description = draft.application.description
    if is_transformer:
        kind = description["config"]["model_type"]
        return f"Fine-tune a pretrained encoder ({kind}) to {_purpose(draft)}"
    kind = description["encoder"]["kind"]
    what = {"lstm": "an LSTM", "gru": "a GRU", "decoder": "a small causal transformer"}
    return f"Train {what.get(kind, 'a recurrent net')} to {_purpose(draft)}"


def _purpose(draft: Draft) -> str:
    classes = draft.goal.classes
    if not classes:
        return f"predict {draft.goal.name} from texts"
    some = ", ".join(classes[:3]) + (", …" if len(classes) > 3 else "")
    what = "tell texts apart" if draft.goal.kind == "class" else "give texts labels"
    return f"{what}: {some}"
