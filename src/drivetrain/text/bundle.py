"""A bundle of a classifier of texts as the one who uses it sees it: open it, predict with it, prove it.

Nothing here needs the training stack. Whatever a bundle says is checked before it is used, and nothing
in it is run: the tokenizer is made of plain values, each looked at; the model is built without memory
first, and its tensors are held against that before any are read; every id that the tokenizer can give is
one that the model has a vector for.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from drivetrain import store
from drivetrain.bundle import manifest as manifests, opening, reading
from drivetrain.bundle.fields import Fields
from drivetrain.bundle.golden import GoldenItem, check_items
from drivetrain.bundle.manifest import Manifest
from drivetrain.bundle.verify import Verified, verify as verify_bundle
from drivetrain.errors import BundleError, ConfigError, DataError
from drivetrain.models.device import threads
from drivetrain.text.base import Tokenizer
from drivetrain.text.bundling.guard import TextGuard, unknown_share
from drivetrain.text.bundling.network import (
    KINDS,
    create,
    made_up_texts,
    num_features_of,
    num_words_of,
    ports,
)  # fmt: skip
from drivetrain.text.bundling.predictor import TextPredictor
from drivetrain.text.goal import Goal
from drivetrain.text.tokenizer import tokenizer_from_json
from drivetrain.text.vocab import SPECIAL_PIECES, SPECIAL_WORDS

ENGINES = ("torch",)
TEXTS = "golden/texts.json"
"""The golden examples of a bundle of texts."""
PATTERN = "pattern_"
"""Begins the names of what was calculated for the made-up texts."""
MOST_TOKENIZER_BYTES = 64 << 20
MOST_GOLDEN_LETTERS = 1 << 22
"""Of all golden texts together."""
MOST_LEN = 1 << 30


def load(folder: store.StrPath, *, engine: str = "torch") -> Any:
    """The `TextPredictor` of a bundle, or the `TextModel` of a run folder; nothing in it is executed.

    Args:
        engine: what calculates: `torch`.
    Raises: RunError: there is no model in it, or it is damaged, or not of texts. BundleError: it is not
        sound. ConfigError: no such engine.
    """
    if os.path.lexists(Path(folder) / manifests.NAME):
        return open_bundle(folder, engine=engine)
    _check_engine(engine)
    from drivetrain.text import model  # runs are the training stack's

    return model.load(folder)


def open_bundle(folder: store.StrPath, *, engine: str = "torch") -> TextPredictor:
    """The predictor of a bundle.

    Raises: BundleError: it is not sound, or not of texts. ConfigError: no such engine.
    """
    folder = Path(folder)
    return _predictor(folder, opening.open_manifest(folder), engine)


def verify(folder: store.StrPath, *, engine: str = "torch", sha256: str | None = None) -> Verified:
    """Prove a bundle: every file by its SHA-256, and its answers by its golden and made-up texts.

    Args:
        folder: of the bundle.
        engine: what calculates: `torch`.
        sha256: of `bundle.json`, as `export` gave it; with it the bundle must be that very one.
    Raises: BundleError: it is not sound. ConfigError: no such engine.
    """

    def recompute(
        folder: Path, manifest: Manifest, items: tuple[GoldenItem, ...]
    ) -> Mapping[str, Tensor]:
        predictor = _predictor(folder, manifest, engine)
        found = outputs(predictor, pattern_texts(predictor.tokenizer), PATTERN)
        if not items:
            return found
        check_items(folder, items, TEXTS, what="texts")
        return found | outputs(predictor, _golden(folder, manifest, len(items)))

    return verify_bundle(folder, recompute, engine=engine, sha256=sha256)


def outputs(predictor: TextPredictor, texts: Sequence[str], prefix: str = "") -> dict[str, Tensor]:
    """All that a bundle answers for texts, by name; of a guard its judgement too."""
    ids = predictor.ids(texts)
    logits, features = predictor.calculated(ids)
    unk_id = predictor.tokenizer.unk_id
    found = {
        "logits": logits,
        "features": features,
        "tokens": torch.from_numpy(ids.lengths()),
        "unknown": torch.tensor([unknown_share(one, unk_id) for one in ids], dtype=torch.float64),
        "ids": torch.from_numpy(ids.ids.astype(np.int64)),
    }
    if predictor.guard is not None:
        with threads(predictor.num_threads):
            judged = predictor.guard.judge(logits, features)
        found |= {
            "probs": judged.probs,
            "sets": judged.sets,
            "domain_score": judged.domain_score,
            "in_domain": judged.in_domain,
        }
    return {f"{prefix}{name}": value for name, value in found.items()}


def pattern_texts(tokenizer: Tokenizer) -> list[str]:
    """The made-up texts of a tokenizer."""
    is_word = tokenizer.kind in ("word", "transformer")
    special = len(SPECIAL_WORDS if tokenizer.kind == "word" else SPECIAL_PIECES)
    return made_up_texts(tokenizer.vocab.words, special, joined_by=" " if is_word else "")


# --- opening ----------------------------------------------------------------------------------------


def _predictor(folder: Path, manifest: Manifest, engine: str) -> TextPredictor:
    where = str(folder / manifests.NAME)
    if manifest.application != "text":
        raise BundleError(f"{folder} is not a bundle of texts.")
    _check_engine(engine)
    max_len, goal = _preprocessing(manifest, where)
    tokenizer = _tokenizer(folder, manifest)
    model = _model(folder, manifest, where, goal, num_words=len(tokenizer.vocab))
    count, width = len(manifest.classes), num_features_of(model)
    opening.check_signature(manifest, ports(goal.kind, count, width, num_words_of(model)), where)
    guard = _guard(folder, manifest, width)
    if guard is not None and goal.kind != "class":
        raise BundleError(
            f"{folder} has a guard, which is for one class a text. Take it anew from where it came from."
        )
    return TextPredictor(
        tokenizer,
        model,
        manifest.classes,
        max_len=max_len,
        num_threads=opening.num_threads(manifest),
        guard=guard,
        goal=goal,
    )


def _check_engine(engine: str) -> None:
    if engine not in ENGINES:
        raise ConfigError(
            f"A model of texts has no {engine} form: texts have any length, and a recurrent model reads "
            "them piece by piece. Use --engine torch."
        )


def preprocessing_of(goal: Goal, max_len: int | None) -> dict[str, Any]:
    """The entry `preprocessing`; of a bundle for one class a text it has no word about that."""
    if goal.kind == "class":
        return {"max_len": max_len}
    if goal.kind == "labels":
        return {"max_len": max_len, "goal": {"kind": "labels"}}
    told = {"kind": "number", "mean": goal.mean, "scale": goal.scale}
    return {"max_len": max_len, "goal": told}


def _preprocessing(manifest: Manifest, where: str) -> tuple[int | None, Goal]:
    """Ids that are read of a text, and what is predicted of it."""
    fields = Fields(manifest.preprocessing, f"{where}, `preprocessing`,")
    given = fields.take("max_len")
    goal = Goal("", "class", manifest.classes)
    if "goal" in manifest.preprocessing:
        inner = Fields(fields.take("goal"), f"{where}, `preprocessing.goal`,")
        kind = inner.word("kind", ("labels", "number"))
        goal = Goal("", kind, manifest.classes)
        if kind == "number":
            mean = inner.number("mean", -1e300, 1e300)
            goal = Goal("", kind, mean=mean, scale=inner.number("scale", 1e-300, 1e300))
        inner.end()
    fields.end()
    if bool(manifest.classes) != (goal.kind != "number"):
        fields.refuse("and `classes` do not fit together")
    if given is not None:
        given = Fields({"max_len": given}, where).whole("max_len", 1, MOST_LEN)
    return given, goal


def _tokenizer(folder: Path, manifest: Manifest) -> Tokenizer:
    """The tokenizer, made of what its file says, each value of which is looked at."""
    path = folder / manifests.TOKENIZER
    if manifest.files[manifests.TOKENIZER].bytes > MOST_TOKENIZER_BYTES:
        raise BundleError(
            f"{path} has more than the {MOST_TOKENIZER_BYTES} bytes allowed. "
            "Take it anew from where it came from."
        )
    opening.check_file(folder, manifests.TOKENIZER, manifest)
    record = reading.read_json(path, limit=MOST_TOKENIZER_BYTES, max_letters=MOST_TOKENIZER_BYTES)
    try:
        return tokenizer_from_json(record)
    except (BundleError, DataError, ConfigError) as error:
        raise BundleError(
            f"{path} cannot be used: {error} Take it anew from where it came from."
        ) from error


def _model(folder: Path, manifest: Manifest, where: str, goal: Goal, *, num_words: int) -> Any:
    """The model with its weights; they fit it, or no memory is taken for either."""
    fields = Fields(manifest.architecture, f"{where}, `architecture`,")
    name = fields.word("name", tuple(KINDS))
    description = fields.take("description")
    fields.end()
    count = len(manifest.classes)
    try:
        expected = KINDS[name][1](description)
        has_one = bool(description["squeeze"])
        if description["num_outputs"] != goal.num_outputs or has_one != (goal.kind == "number"):
            what = "one number" if not count else f"a score for each of {count} classes"
            fields.refuse(f"is not of a model with {what}")
        tensors = opening.read_weights(folder, manifest, expected)
        model = create({"name": name, "description": description})
    except ConfigError as error:
        raise BundleError(
            f"{where}, `architecture`, cannot be used: {error} Take it anew from where it came from."
        ) from error
    if num_words > num_words_of(model):
        raise BundleError(
            f"{folder} has a tokenizer of {num_words} words and a model of {num_words_of(model)}. "
            "Take it anew from where it came from."
        )
    model.load_state_dict(tensors)
    return model.eval()


def _guard(folder: Path, manifest: Manifest, num_features: int) -> TextGuard | None:
    if manifests.GUARD not in manifest.files:
        return None
    described = opening.parse_listed(folder, manifests.GUARD, manifest)
    tensors = reading.read_tensors(
        folder / manifests.GUARD_TENSORS,
        sha256=manifest.files[manifests.GUARD_TENSORS].sha256,
        require_finite=True,
        limit=1 << 30,
    )
    found = TextGuard.from_parts(described, tensors)
    if found.guard.num_features != num_features:
        raise BundleError(
            f"{folder / manifests.GUARD} is of a model with {found.guard.num_features} features, this "
            f"one has {num_features}. Take it anew from where it came from."
        )
    return found


def _golden(folder: Path, manifest: Manifest, count: int) -> list[str]:
    """The golden texts."""
    path = folder / TEXTS
    opening.check_file(folder, TEXTS, manifest)
    fields = Fields(reading.read_json(path, max_letters=MOST_GOLDEN_LETTERS), str(path))
    texts = fields.take("texts")
    fields.end()
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        fields.refuse("does not hold a list of texts")
    if len(texts) != count:
        fields.refuse(f"does not hold the {count} texts that golden.json names")
    if sum(map(len, texts)) > MOST_GOLDEN_LETTERS:
        fields.refuse(f"holds more than the {MOST_GOLDEN_LETTERS} letters allowed")
    return texts
