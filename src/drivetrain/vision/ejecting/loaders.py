"""The loaders of a script at the level `loop`: the pictures and their batches stay Drivetrain's."""

from __future__ import annotations

from dataclasses import fields

from drivetrain.eject.corrections import as_option
from drivetrain.eject.modules import Import
from drivetrain.vision.augment import AugmentSettings
from drivetrain.vision.ejecting.batches import set_normalisation
from drivetrain.vision.ejecting.draft import Draft
from drivetrain.vision.ejecting.finding import refuse_functions

_MAKERS = {"folder": "from_folder", "names": "from_names", "csv": "from_csv"}
"""By what the run was made from: the function of `vision.data`."""


def write_loaders(draft: Draft) -> None:
    """The function `load`, which answers `Loaders`.

    Raises: EjectError: functions of the user's own found the pictures.
    """
    data, settings = draft.data, draft.application.settings
    refuse_functions(data)
    maker = _MAKERS[data.recipe["from"]]
    options = ", ".join(
        f"{key}={tuple(value) if isinstance(value, list) else value!r}"
        for key, value in data.recipe.items()
        if key not in ("from", "source", "seed", "patch")
    )
    patch = as_option(data.recipe.get("patch"), draft.setting, draft.lifter)
    draft.written += patch.written
    draft.beside |= patch.beside
    draft.note = patch.note
    draft.setting("BATCH_SIZE", settings["batch_size"], draft.reason("batch_size"))
    set_normalisation(draft)
    uses = {
        maker: f"drivetrain.vision.data:{maker}",
        "AugmentSettings": AugmentSettings,
        "Loaders": "drivetrain.data.loaders:Loaders",
    }
    fraction, share = settings.get("fraction", 1.0), ""
    if fraction != 1.0:
        share = f"\n    data = share_of(data, {fraction}, seed=SEED)"
        uses = {"share_of": "drivetrain.vision.budget:share_of", **uses}
    augment = draft.augment
    varied = ", ".join(f"{f.name}={getattr(augment, f.name)!r}" for f in fields(augment))
    text = _LOADERS.format(
        maker=maker, options=options + patch.text, seed=draft.seed, augment=varied, share=share
    )
    draft.write(text, "data", uses)
    draft.lifter.add_import(Import("pathlib", "Path"))


_LOADERS = '''
def load(folder: Path) -> Loaders:
    """The pictures below a folder, split, in batches."""
    data = {maker}(folder, {options}, seed={seed}){share}
    augment = AugmentSettings({augment})
    return data.loaders(mean=MEAN, std=STD, batch_size=BATCH_SIZE, augment=augment)
'''
