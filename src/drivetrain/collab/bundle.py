"""A bundle of a model of ratings as the one who uses it sees it: open it, predict, recommend, prove it.

Nothing here needs the training stack. Whatever a bundle says is checked before it is used, and nothing in
it is run: tensors are held against the description of the model before memory is taken for them, names
are texts of which each stands there once, and what users rated are items that there are. `model.onnx` is
opened where it is asked for, and never by itself.
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
from drivetrain._registry import did_you_mean
from drivetrain.bundle import manifest as manifests, onnx, opening, reading
from drivetrain.bundle.fields import Fields
from drivetrain.bundle.golden import GoldenItem, check_items
from drivetrain.bundle.manifest import Manifest
from drivetrain.bundle.verify import Verified, verify as verify_bundle
from drivetrain.collab.bundling.catalogue import LARGEST, Catalogue, read_catalogue
from drivetrain.collab.bundling.guard import RatingGuard, TrainingCounts
from drivetrain.collab.bundling.network import OnnxNet, ports
from drivetrain.collab.bundling.predictor import CollabPredictor
from drivetrain.collab.model import CollabModel, tells_ratings
from drivetrain.errors import BundleError, ConfigError
from drivetrain.models.factorization import create_factorization, factorization_shapes

PAIRS = "golden/pairs.json"
"""The golden examples of a bundle of ratings."""
PATTERN = "pattern_"
"""Begins the names of what was calculated for the made-up pairs."""
BEST = 5
"""Highest predictions of a user that are compared."""
MOST_CATALOGUE_BYTES = 4 << 30
ENGINES = ("torch", "onnx")


def load(folder: store.StrPath, *, engine: str = "torch") -> CollabModel:
    """The model of a bundle, or of a run; nothing in it is executed.

    Args:
        folder: of the bundle or of the run.
        engine: what calculates the predictions of pairs: `torch`, or of a bundle with a `model.onnx`
            also `onnx`.

    Raises: RunError: there is no model in it, or it is damaged, or not of ratings. BundleError: it is not
        sound, or has no `model.onnx`. ConfigError: no such engine. MissingPackageError: ONNX Runtime is
        not installed.
    """
    if os.path.lexists(Path(folder) / manifests.NAME):
        return open_bundle(folder, engine=engine)
    if _checked(engine) == "onnx":
        raise ConfigError(
            f"{folder} is a run, and runs have no ONNX form. Export it with --onnx, or use --engine "
            "torch."
        )
    from drivetrain.collab import model

    return model.load(folder)


def open_bundle(folder: store.StrPath, *, engine: str = "torch") -> CollabPredictor:
    """The predictor of a bundle.

    Args:
        folder: of the bundle.
        engine: what calculates: `torch`, or `onnx`.

    Raises: as `load`; BundleError also where it is not of ratings.
    """
    folder = Path(folder)
    return _predictor(folder, opening.open_manifest(folder), engine)


def verify(folder: store.StrPath, *, engine: str = "torch", sha256: str | None = None) -> Verified:
    """Prove a bundle: every file by its SHA-256, and its answers by its golden and made-up pairs.

    Args:
        folder: of the bundle.
        engine: what calculates: `torch`, or `onnx`.
        sha256: of `bundle.json`, as `export` gave it; with it the bundle must be that very one.

    Raises: as `load`.
    """

    def recompute(
        folder: Path, manifest: Manifest, items: tuple[GoldenItem, ...]
    ) -> Mapping[str, Tensor]:
        predictor = _predictor(folder, manifest, engine)
        found = pattern_outputs(predictor)
        if not items:
            return found
        check_items(folder, items, PAIRS, what="pairs")
        return found | outputs(predictor, _golden(folder, manifest, len(items)))

    return verify_bundle(folder, recompute, engine=engine, sha256=sha256)


def outputs(
    model: CollabModel, pairs: Sequence[tuple[str, str]], prefix: str = ""
) -> dict[str, Tensor]:
    """All that a model answers for pairs of names: their codes (N, 2), and predictions (N,).

    And of a bundle with a guard: whether the pair is in the domain (N,); of ratings also what a mean user
    gets (N,), and the interval (N, 2).
    """
    users = model.users.codes([user for user, _ in pairs])
    items = model.items.codes([item for _, item in pairs])
    values = model.outputs(users, items)
    found = {"codes": np.stack([users, items], axis=1).astype(np.int64), "predictions": values}
    guard = model.guard if isinstance(model, CollabPredictor) else None
    if guard is not None:
        judged = guard.judge(users, items, values, model.outputs)
        found["in_domain"] = judged.in_domain
        if judged.mean_user is not None and judged.interval is not None:
            found |= {"mean_user": judged.mean_user, "interval": judged.interval}
    return {f"{prefix}{name}": torch.from_numpy(value) for name, value in found.items()}


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


# --- opening --------------------------------------------------------------------------------------


def _checked(engine: str) -> str:
    if engine not in ENGINES:
        raise ConfigError(
            f"There is no engine '{engine}'.{did_you_mean(engine, ENGINES)} Known: {', '.join(ENGINES)}."
        )
    return engine


def _predictor(folder: Path, manifest: Manifest, engine: str) -> CollabPredictor:
    where = str(folder / manifests.NAME)
    if manifest.application != "collab":
        raise BundleError(f"{folder} is not a bundle of ratings.")
    _checked(engine)
    fields = Fields(manifest.preprocessing, f"{where}, `preprocessing`,")
    columns = {name: fields.text(name) for name in ("user", "item")}
    rating = fields.take("rating")
    if rating is not None:
        rating = Fields({"rating": rating}, where).text("rating")
    mean = fields.number("mean", -1e30, 1e30)
    has_history = fields.take("has_history")
    fields.end()
    catalogue = _catalogue(folder, manifest, mean)
    if has_history is not catalogue.has_history:
        fields.refuse("and the catalogue do not say the same of `has_history`")
    name, net = _model(folder, manifest, where, catalogue)
    opening.check_signature(manifest, ports(len(catalogue.users), len(catalogue.items)), where)
    guard = _guard(folder, manifest, catalogue, of_ratings=tells_ratings(name, rating))
    if engine == "onnx":
        net = OnnxNet(onnx.OnnxEngine(folder, manifest), net).eval()
    return CollabPredictor(
        net,
        name,
        users=catalogue.users,
        items=catalogue.items,
        titles=catalogue.titles,
        seen=catalogue.seen,
        columns=columns,
        rating=rating,
        num_threads=opening.num_threads(manifest),
        has_history=catalogue.has_history,
        guard=guard,
    )


def _guard(
    folder: Path, manifest: Manifest, catalogue: Catalogue, *, of_ratings: bool
) -> RatingGuard | None:
    if manifests.GUARD not in manifest.files:
        return None
    tensors = reading.read_tensors(
        folder / manifests.GUARD_TENSORS,
        expected={"user_ratings": (torch.int32, (len(catalogue.users),))},
        sha256=manifest.files[manifests.GUARD_TENSORS].sha256,
    )
    seen = catalogue.seen
    return RatingGuard.from_parts(
        opening.parse_listed(folder, manifests.GUARD, manifest),
        TrainingCounts(tensors["user_ratings"].numpy(), seen.popularity, seen.item_mean),
        of_ratings=of_ratings,
        where=str(folder / manifests.GUARD),
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
        tensors = opening.read_weights(folder, manifest, expected)
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
