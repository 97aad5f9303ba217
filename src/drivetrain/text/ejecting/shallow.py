"""The shallower levels of a script of texts: the model, or the data too, stay Drivetrain's."""

from __future__ import annotations

import inspect
from typing import Any

from drivetrain.eject.corrections import as_option
from drivetrain.eject.modules import Import
from drivetrain.eject.parts import Written
from drivetrain.eject.share import FRACTION, shared_loaders
from drivetrain.errors import EjectError
from drivetrain.models import document
from drivetrain.text.ejecting.documents import saved_encoder
from drivetrain.text.ejecting.draft import Draft


def write_created(draft: Draft) -> None:
    """The function `make_model`, which calls the library.

    Raises: EjectError: training began with a saved encoder.
    """
    if saved_encoder(draft):
        raise EjectError("A run that began with a saved encoder is ejected whole. Use --level all.")
    draft.setting("MODEL", draft.application.description, "what the model is made of")
    uses = {
        "create_document_classifier": document.create_document_classifier,
        "DocumentClassifier": document.DocumentClassifier,
    }
    draft.written.append(Written(_OUR_MODEL, "model", uses))


def write_loaders(draft: Draft) -> None:
    """The function `load`, which answers `Loaders`."""
    from drivetrain.text.data import gather

    recipe = dict(draft.data.recipe)
    del recipe["source"], recipe["seed"], recipe["from"]
    target = recipe.pop("target")
    patch = as_option(recipe.pop("patch", None), draft.setting, draft.lifter)
    draft.written += patch.written
    draft.beside |= patch.beside
    draft.note = patch.note
    usual = inspect.signature(gather).parameters
    chosen = {
        key: value
        for key, value in recipe.items()
        if value not in (usual[key].default, [], {}, None)
    }
    if target is not None:
        chosen["target"] = target[0] if len(target) == 1 else target
    settings = draft.application.settings
    draft.setting("BATCH_SIZE", settings["batch_size"], draft.reason("batch_size"))
    draft.setting("MOST_TOKENS", settings["max_len"], draft.reason("max_len"))
    options = "".join(f", {key}={value!r}" for key, value in chosen.items()) + patch.text
    uses: dict[str, Any] = {
        "gather": "drivetrain.text.data:gather",
        "Loaders": "drivetrain.data.loaders:Loaders",
    }
    answer = shared_loaders(
        settings.get(FRACTION, 1.0),
        uses,
        draft.setting,
        draft.lifter,
        loaders="data.loaders(batch_size=BATCH_SIZE, max_len=MOST_TOKENS)",
        seed=draft.seed,
    )
    text = _OUR_LOADERS.format(options=options, seed=draft.seed, answer=answer)
    draft.written.append(Written(text, "data", uses))
    draft.lifter.add_import(Import("pathlib", "Path"))


_OUR_MODEL = '''
def make_model() -> DocumentClassifier:
    """The model before training; its random weights follow from the seed."""
    return create_document_classifier(MODEL, seed=SEED)
'''

_OUR_LOADERS = '''
def load(path: Path) -> Loaders:
    """The texts, split and as tokens, in batches."""
    data = gather(path{options}, seed={seed})
    {answer}
'''
