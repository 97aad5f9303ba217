"""A pretrained encoder in a script: built by `transformers`, its tokenizer by `tokenizers`."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from drivetrain import store
from drivetrain.eject.known import Known
from drivetrain.eject.lift import Lifter
from drivetrain.eject.modules import Import
from drivetrain.eject.parts import Written
from drivetrain.eject.settings import Setting
from drivetrain.errors import ConfigError, DataError, EjectError
from drivetrain.models import document, pretrained_encoder
from drivetrain.randomness import derive, preserved, seeded
from drivetrain.text.pretrained import find_transformer
from drivetrain.text.transformer_tokenizer import TransformerTokenizer

if TYPE_CHECKING:
    from drivetrain.text.ejecting.draft import Draft

CLASSIFIER = "drivetrain.models.pretrained_encoder:TransformerClassifier"


def tokenizer_written(
    tokenizer: TransformerTokenizer, lifter: Lifter
) -> tuple[list[Written], list[Setting]]:
    """The function `encode(texts, record)`, and its settings.

    Raises: EjectError: pairs are cut otherwise than at their ends.
    """
    if tokenizer.pairs:
        return _pairs_written(tokenizer, lifter)
    frame = tokenizer._single
    before, after = frame.before.tolist(), frame.after.tolist()
    settings = [
        Setting("BEFORE", tuple(before), "the encoder's marks before a text"),
        Setting("AFTER", tuple(after), "and after it"),
    ]
    cut = ""
    if tokenizer.max_len is not None:
        room = tokenizer.max_len - frame.size
        settings.append(Setting("ROOM", room, "tokens of a text that are read, without its marks"))
        cut = "    bodies = [" + _CUT[tokenizer.keep] + " for ids in bodies]\n"
    lifter.constants |= {one.name: one.value for one in settings}
    for one in (
        *(Import("tokenizers"), Import("numpy", "", "np")),
        *(Import("collections.abc", "Sequence"), Import("typing", "Any")),
    ):
        lifter.add_import(one)
    uses = {
        "TokenArray": "drivetrain.data.tokens:TokenArray",
        "offsets_of": "drivetrain.data.tokens:offsets_of",
    }
    return [Written(_ENCODE.format(cut=cut), "tokens", uses)], settings


def _pairs_written(
    tokenizer: TransformerTokenizer, lifter: Lifter
) -> tuple[list[Written], list[Setting]]:
    """The same for texts of which each is two."""
    frame = tokenizer._pair
    marks = ("BEFORE", frame.before), ("BETWEEN", frame.between), ("AFTER", frame.after)
    reasons = {
        "BEFORE": "the encoder's marks before two texts",
        "BETWEEN": "between them",
        "AFTER": "and after them",
    }
    settings = [Setting(name, tuple(ids.tolist()), reasons[name]) for name, ids in marks]
    cut, kept = "", ""
    if tokenizer.max_len is not None:
        if tokenizer.keep != "start":
            raise EjectError(
                f"Pairs of which '{tokenizer.keep}' is kept have no plain form yet. Keep their start."
            )
        settings.append(
            Setting(
                "ROOM", tokenizer.max_len - frame.size, "tokens of two texts, without the marks"
            )
        )
        cut = "    bodies = [shortened_pair(first, second) for first, second in bodies]\n"
        kept = _SHORTENED_PAIR
    lifter.constants |= {one.name: one.value for one in settings}
    for one in (
        *(Import("tokenizers"), Import("numpy", "", "np")),
        *(Import("collections.abc", "Sequence"), Import("typing", "Any")),
    ):
        lifter.add_import(one)
    uses = {
        "TokenArray": "drivetrain.data.tokens:TokenArray",
        "offsets_of": "drivetrain.data.tokens:offsets_of",
    }
    written = [Written(_ENCODE_PAIRS.format(cut=cut), "tokens", uses)]
    return ([Written(kept, "tokens")] if kept else []) + written, settings


_SHORTENED_PAIR = '''
def shortened_pair(first: list[int], second: list[int]) -> tuple[list[int], list[int]]:
    """The starts of two texts that have room together: the longer is cut first, down to half of it."""
    if len(first) + len(second) <= ROOM:
        return first, second
    short = min(len(first), len(second), ROOM // 2)
    if len(first) <= len(second):
        return first[:short], second[: ROOM - short]
    return first[: ROOM - short], second[:short]
'''

_ENCODE_PAIRS = '''
def encode(texts: Sequence[tuple[str, str]], record: dict[str, Any]) -> TokenArray:
    """The ids of each two texts, as the encoder was trained with, between its marks."""
    tokenizer = tokenizers.Tokenizer.from_str(record["tokenizer"])
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.encode_special_tokens = True  # letters of a text are never a mark
    firsts, seconds = (
        tokenizer.encode_batch_fast([pair[k] for pair in texts], add_special_tokens=False)
        for k in (0, 1)
    )
    bodies = [(a.ids, b.ids) for a, b in zip(firsts, seconds, strict=True)]
{cut}    whole = [np.array([*BEFORE, *a, *BETWEEN, *b, *AFTER], np.int32) for a, b in bodies]
    return TokenArray(np.concatenate(whole), offsets_of(np.array([len(ids) for ids in whole])))
'''

_CUT = {
    "start": "ids[:ROOM]",
    "end": "ids[-ROOM:]",
    "both": "ids if len(ids) <= ROOM else [*ids[: (ROOM + 1) // 2], *ids[len(ids) - ROOM // 2 :]]",
}

_ENCODE = '''
def encode(texts: Sequence[str], record: dict[str, Any]) -> TokenArray:
    """The ids of each text, as the encoder was trained with, between its marks."""
    tokenizer = tokenizers.Tokenizer.from_str(record["tokenizer"])
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.encode_special_tokens = True  # letters of a text are never a mark
    found = tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
    bodies = [encoding.ids for encoding in found]
{cut}    whole = [np.array([*BEFORE, *ids, *AFTER], np.int32) for ids in bodies]
    return TokenArray(np.concatenate(whole), offsets_of(np.array([len(ids) for ids in whole])))
'''


def encoder_of_hub(
    lifter: Lifter, description: Mapping[str, Any], *, num_outputs: str, trains: bool = False
) -> tuple[str, dict[str, Any], list[Setting]]:
    """Statements that make `model`, a `TransformerClassifier`, what they use, and their settings.

    Args:
        num_outputs: an expression in the script.
        trains: the encoder begins with the weights in the folder `ENCODER`, and the head at random from
            the seed; else all weights are read afterwards.
    """
    config = description["config"]
    kind, names = pretrained_encoder._config_class(config["model_type"])
    model_class = pretrained_encoder._model_class(kind)
    options = pretrained_encoder.init_options(model_class)
    given = {name: config[name] for name in names if name in config}
    settings = [Setting("CONFIG", given, "what the encoder is made of")]
    lifter.constants["CONFIG"] = given
    pooling = description["pooling"]
    lifter.known[CLASSIFIER] = {
        **{f"self.pooling == '{name}'": Known(pooling == name) for name in ("first", "last")},
        "self.separator_id is not None": Known(description["separator_id"] is not None),
    }
    lifter.known["drivetrain.models.document:DocumentHead"] = {
        "self.squeezes": Known(bool(description["squeeze"]))
    }
    for name in (kind.__name__, model_class.__name__):
        lifter.add_import(Import("transformers", name))
    told = "".join(f", {key}={value!r}" for key, value in options.items())
    made = f"encoder = {model_class.__name__}(config{told})"
    shares = {"dropout": 0.0, "hidden_dropout": 0.0}
    drawn = []
    if trains:
        made = (
            f"encoder = {model_class.__name__}.from_pretrained("
            f"ENCODER, config=config, dtype=torch.float32{told})"
        )
        shares = {name: description[name] for name in shares}
        drawn = ['torch.manual_seed(derive(SEED, "init", "head"))']
    dropped = ", ".join(f"{name}={value!r}" for name, value in shares.items())
    lines = [
        f"config = {kind.__name__}(**CONFIG)",
        "config.use_cache = False",
        made,
        *drawn,
        f"head = DocumentHead(config.hidden_size, {num_outputs}, "
        f"hidden={tuple(description['hidden'])!r}, {dropped})",
        f"model = TransformerClassifier(encoder, head, pooling={pooling!r}, "
        f"separator_id={description['separator_id']!r})",
    ]
    if description["squeeze"]:
        lines[-2] = f"{lines[-2][:-1]}, squeeze=True)"
    uses: dict[str, Any] = {
        "DocumentHead": document.DocumentHead,
        "TransformerClassifier": pretrained_encoder.TransformerClassifier,
    }
    if trains:
        uses["derive"] = derive
    return "\n".join(lines), uses, settings


def beginning_sha256(folder: Path, description: Mapping[str, Any], *, seed: int) -> str:
    """SHA-256 of the weights that the script of a run begins with, made as the script makes them."""
    config = description["config"]
    kind, names = pretrained_encoder._config_class(config["model_type"])
    model_class = pretrained_encoder._model_class(kind)
    made = kind(**{name: config[name] for name in names if name in config})
    made.use_cache = False
    options = pretrained_encoder.init_options(model_class)
    with pretrained_encoder.quiet(), preserved():
        encoder = model_class.from_pretrained(
            str(folder), config=made, dtype=torch.float32, **options
        )
    with seeded(seed, "init", "head"):
        head = document.DocumentHead(
            made.hidden_size,
            description["num_outputs"],
            hidden=description["hidden"],
            dropout=description["dropout"],
            hidden_dropout=description["hidden_dropout"],
            squeeze=description["squeeze"],
        )
    model = pretrained_encoder.TransformerClassifier(
        encoder, head, pooling=description["pooling"], separator_id=description["separator_id"]
    )
    return store.weights_sha256(model.state_dict())


def write_fine_tuned(draft: Draft) -> None:
    """The function `make_model`: the encoder from its folder, and a new head.

    Raises: EjectError: the encoder is not the one that training began with, or is gone.
    """
    settings, description = draft.application.settings, draft.application.description
    try:
        folder = find_transformer(settings["model"]).folder.resolve()
    except (ConfigError, DataError) as error:
        raise EjectError(
            f"The encoder that training began with cannot be opened: {error} Put it back, and eject "
            "again."
        ) from error
    found = beginning_sha256(folder, description, seed=draft.learner.seed)
    if found != settings["initial_sha256"]:
        raise EjectError(
            f"The encoder in {folder} is not the one that training began with. Put that back, and "
            "eject again."
        )
    draft.setting("ENCODER", str(folder), "the folder of the pretrained encoder")
    lines, uses, more = encoder_of_hub(
        draft.lifter, description, num_outputs=draft.outputs, trains=True
    )
    draft.settings += more
    body = textwrap.indent(lines, "    ")
    draft.written.append(Written(_MAKE_FINE_TUNED.format(body=body), "model", uses))
    for one in (Import("torch"), Import("torch", "Tensor"), Import("pathlib", "Path")):
        draft.lifter.add_import(one)


_MAKE_FINE_TUNED = '''
def make_model() -> TransformerClassifier:
    """The pretrained encoder with a new head, whose random weights follow from the seed."""
{body}
    return model
'''
