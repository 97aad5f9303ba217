"""A bundle of a model of ratings as the one who uses it sees it: open it, predict, recommend, prove it.

Nothing here needs the training stack. Whatever a bundle says is checked before it is used, and nothing in
it is run: tensors are held against the description of the model before memory is taken for them, names
are texts of which each stands there once, and what users rated are items that there are.
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
from drivetrain.bundle.golden import GoldenItem
from drivetrain.bundle.manifest import Manifest, Port
from drivetrain.bundle.verify import Verified, verify as verify_bundle
from drivetrain.collab.bundling.catalogue import LARGEST, Catalogue, read_catalogue
from drivetrain.collab.bundling.predictor import CollabPredictor
from drivetrain.collab.model import CollabModel
from drivetrain.errors import BundleError, ConfigError
from drivetrain.models.factorization import create_factorization, factorization_shapes

PAIRS = "golden/pairs.json"
"""The golden examples of a bundle of ratings."""
PATTERN = "pattern_"
"""Begins the names of what was calculated for the made-up pairs."""
BEST = 5
"""Highest predictions of a user that are compared."""
MOST_CATALOGUE_BYTES = 4 << 30


def load(folder: store.StrPath, *, engine: str = "torch") -> CollabModel:
    """The model of a bundle, or of a run; nothing in it is executed.

    Raises: RunError: there is no model in it, or it is damaged, or not of ratings. BundleError: it is not
        sound. ConfigError: no such engine.
    """
    if os.path.lexists(Path(folder) / manifests.NAME):
        return open_bundle(folder, engine=engine)
    _check_engine(engine)
    from drivetrain.collab import model

    return model.load(folder)


def open_bundle(folder: store.StrPath, *, engine: str = "torch") -> CollabPredictor:
    """The predictor of a bundle.

    Raises: BundleError: it is not sound, or not of ratings. ConfigError: no such engine.
    """
    folder = Path(folder)
    return _predictor(folder, opening.open_manifest(folder), engine)


def verify(folder: store.StrPath, *, engine: str = "torch", sha256: str | None = None) -> Verified:
    """Prove a bundle: every file by its SHA-256, and its answers by its golden and made-up pairs.

    Args:
        engine: what calculates: `torch`.
        sha256: of `bundle.json`, as `export` gave it; with it the bundle must be that very one.

    Raises: BundleError: it is not sound. ConfigError: no such engine.
    """

    def recompute(
        folder: Path, manifest: Manifest, items: tuple[GoldenItem, ...]
    ) -> Mapping[str, Tensor]:
        predictor = _predictor(folder, manifest, engine)
        found = pattern_outputs(predictor)
        if not items:
            return found
        if {item.file for item in items} != {PAIRS}:
            raise BundleError(f"{folder} has golden examples that are no pairs. Take it anew.")
        return found | outputs(predictor, _golden(folder, manifest, len(items)))

    return verify_bundle(folder, recompute, engine=engine, sha256=sha256)


def outputs(
    model: CollabModel, pairs: Sequence[tuple[str, str]], prefix: str = ""
) -> dict[str, Tensor]:
    """All that a model answers for pairs of names: their codes (N, 2), and predictions (N,)."""
    users = model.users.codes([user for user, _ in pairs])
    items = model.items.codes([item for _, item in pairs])
    codes = torch.from_numpy(np.stack([users, items], axis=1).astype(np.int64))
    return {
        f"{prefix}codes": codes,
        f"{prefix}predictions": torch.from_numpy(model.outputs(users, items)),
    }


def pattern_outputs(model: CollabModel) -> dict[str, Tensor]:
    """What a model answers for made-up pairs: the first, a middle and the last name, and unknown ones.

    And the highest predictions of the same users, which recommending begins with.
    """
    chosen = [
        tuple(dict.fromkeys((0, 1, len(ids) // 2, len(ids) - 1)))
        for ids in (model.users, model.items)
    ]
    users, items = (np.array(codes, np.int32) for codes in chosen)
    pairs = [(model.users.names[user], model.items.names[item]) for user in users for item in items]
    scores = torch.from_numpy(model.scores(users))[:, 1:]
    best = scores.topk(min(BEST, scores.shape[1]), dim=1).values
    return outputs(model, pairs, PATTERN) | {f"{PATTERN}best": best}


def ports(num_users: int, num_items: int) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
    """The inputs and outputs of a bundle of ratings."""
    pairs = Port(
        "pairs",
        "int64",
        ("batch", 2),
        (0.0, float(max(num_users, num_items) - 1)),
        "The codes of a user and an item; 0 is one that training did not see.",
    )
    told = Port("predictions", "float32", ("batch",), None, "The rating, or of events a score.")
    return (pairs,), (told,)


# --- opening --------------------------------------------------------------------------------------


def _check_engine(engine: str) -> None:
    if engine != "torch":
        raise ConfigError(f"A bundle of ratings has no {engine} form. Use --engine torch.")


def _predictor(folder: Path, manifest: Manifest, engine: str) -> CollabPredictor:
    where = str(folder / manifests.NAME)
    if manifest.application != "collab":
        raise BundleError(f"{folder} is not a bundle of ratings.")
    _check_engine(engine)
    fields = Fields(manifest.preprocessing, f"{where}, `preprocessing`,")
    columns = {name: fields.text(name) for name in ("user", "item")}
    rating = fields.take("rating")
    if rating is not None:
        rating = Fields({"rating": rating}, where).text("rating")
    mean = fields.number("mean", -1e30, 1e30)
    usual_unknown = fields.number("usual_unknown", 0, 1)
    has_history = fields.take("has_history")
    fields.end()
    catalogue = _catalogue(folder, manifest, mean)
    if has_history is not catalogue.has_history:
        fields.refuse("and the catalogue do not say the same of `has_history`")
    name, net = _model(folder, manifest, where, catalogue)
    if ports(len(catalogue.users), len(catalogue.items)) != (manifest.inputs, manifest.outputs):
        raise BundleError(
            f"{where} has a `signature` that is not that of its architecture. "
            "Take it anew from where it came from."
        )
    threads = manifest.num_threads
    return CollabPredictor(
        net,
        name,
        users=catalogue.users,
        items=catalogue.items,
        titles=catalogue.titles,
        seen=catalogue.seen,
        columns=columns,
        rating=rating,
        # the number is a stranger's
        num_threads=None if threads is None else min(threads, os.cpu_count() or 1),
        has_history=catalogue.has_history,
        usual_unknown=usual_unknown,
    )


def _catalogue(folder: Path, manifest: Manifest, mean: float) -> Catalogue:
    path = folder / manifests.CATALOGUE
    tensors = reading.read_tensors(
        path,
        sha256=manifest.files[manifests.CATALOGUE].sha256,
        require_finite=True,
        limit=MOST_CATALOGUE_BYTES,
    )
    return read_catalogue(tensors, mean=mean, where=str(path))


def _model(
    folder: Path, manifest: Manifest, where: str, catalogue: Catalogue
) -> tuple[str, torch.nn.Module]:
    """The name of the model, and it with its weights; they fit it, or no memory is taken for either."""
    fields = Fields(manifest.architecture, f"{where}, `architecture`,")
    name, description = fields.text("name", pattern=r"[a-z_]{1,40}"), fields.take("description")
    fields.end()
    try:
        expected = factorization_shapes(description)
        sizes = (description["num_users"], description["num_items"])
        if sizes != (len(catalogue.users), len(catalogue.items)):
            fields.refuse("is not of a model of so many users and items as the catalogue names")
        if max(map(abs, description["y_range"] or (0.0,))) > LARGEST:
            fields.refuse(f"has a `y_range` beyond {LARGEST:g}")
        tensors = reading.read_tensors(
            folder / manifests.WEIGHTS,
            expected=expected,
            sha256=manifest.files[manifests.WEIGHTS].sha256,
            require_finite=True,
        )
        net = create_factorization(description)
    except ConfigError as error:
        raise BundleError(
            f"{where}, `architecture`, cannot be used: {error} Take it anew from where it came from."
        ) from error
    net.load_state_dict(tensors)
    return name, net.eval()


def _golden(folder: Path, manifest: Manifest, count: int) -> list[tuple[str, str]]:
    """The golden pairs."""
    path = folder / PAIRS
    fields = Fields(opening.parse_listed(folder, PAIRS, manifest), str(path))
    pairs: Any = fields.take("pairs")
    fields.end()
    if not isinstance(pairs, list) or len(pairs) != count:
        fields.refuse(f"does not hold the {count} pairs that golden.json names")
    for pair in pairs:
        if not isinstance(pair, list) or [type(name) for name in pair] != [str, str]:
            fields.wrong("pairs", "a user and an item, both texts", pair)
    return [(user, item) for user, item in pairs]
