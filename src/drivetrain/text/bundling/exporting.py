"""From a classifier of texts to its bundle: calculate the golden answers, fit the guard, write, prove."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from drivetrain import store
from drivetrain.bundle import golden as goldens, manifest as manifests, write
from drivetrain.bundle.golden import Golden, GoldenItem
from drivetrain.bundle.manifest import Manifest
from drivetrain.bundle.verify import Verified
from drivetrain.errors import ConfigError, DrivetrainError, MissingPackageError
from drivetrain.text import bundle
from drivetrain.text.base import Tokenizer
from drivetrain.text.bundling.cards import card_of
from drivetrain.text.bundling.guard import TextGuard, fit_text_guard, unknown_share
from drivetrain.text.bundling.network import create, num_features_of, num_words_of, ports
from drivetrain.text.bundling.predictor import TextPredictor
from drivetrain.text.goal import Goal
from drivetrain.text.tokenizer import tokenizer_from_json
from drivetrain.train.run import versions

GOLDEN = 8
TOLERANCE = 1e-4
"""Of golden outputs on another machine, whose kernels add in another order; on the same one it is 0."""
COVERAGE, FALSE_ALARM = 0.9, 0.05
MOST_KNOWN = 10_000
"""Training texts that the guard looks at; of more, so many that are drawn."""


@dataclass(frozen=True)
class TextPart:
    """Texts with what is predicted of them."""

    texts: Sequence[str]
    targets: Tensor
    """(N,) int64, places in `classes`; (N, C) float32 of 0 and 1; or (N,) float32, as models learn it."""


@dataclass(frozen=True)
class Trained:
    """What a bundle is made of."""

    record: Mapping[str, Any]
    """As `run.json` has it, with `results`."""
    architecture: Mapping[str, Any]
    """`{"name": "document" or "transformer", "description": …}`."""
    weights: Mapping[str, Tensor]
    tokenizer: Tokenizer
    goal: Goal
    """What is predicted."""
    max_len: int | None
    """Ids that the model reads of a text."""
    num_threads: int | None
    seed: int
    train: TextPart | None
    """Where they are needed: for golden examples and the guard."""
    valid: TextPart | None
    licence: str = "unknown"
    """Of weights that it began with."""
    licence_note: str = ""
    """Whose they are; empty where it began with random ones."""


def licence_of(network: str, settings: Mapping[str, Any]) -> tuple[str, str]:
    """The licence of the weights that training began with, and whose they are; of random ones nothing.

    Args:
        network: `document` or `transformer`.
        settings: of the run.
    """
    if network == "transformer":
        from drivetrain.text import pretrained

        name = str(settings["model"])
        try:
            licence = pretrained.licence_of(pretrained.find_transformer(name))
        except DrivetrainError:  # the encoder is no longer there; its weights are in the run
            licence = "unknown"
        return licence, (
            f"Training began with the weights of {Path(name).name}, whose licence is "
            f"{'not known here' if licence in ('unknown', 'not stated') else licence}. What was learnt "
            "beyond them comes from the texts named above, whose rights stay with their owners."
        )
    if settings.get("encoder") is not None:
        return "unknown", (
            f"Training began with the encoder `{Path(settings['encoder']).name}`, which was trained on "
            "other texts: its licence goes along with what was made of it. What was learnt beyond it "
            "comes from the texts named above, whose rights stay with their owners."
        )
    return "unknown", ""


def write_bundle(
    trained: Trained,
    folder: store.StrPath,
    *,
    golden: int = GOLDEN,
    guard: bool = True,
    coverage: float = COVERAGE,
    false_alarm: float = FALSE_ALARM,
    onnx: bool = False,
    script: bool = True,
) -> Verified:
    """Write a bundle: a folder that predicts, and that has proved itself before it gets its name.

    Args:
        folder: where to; a bundle that is there is replaced, anything else is not.
        golden: so many validation texts travel with it, 0 to 1000, to prove its answers by; none where a
            text has several labels, which made-up texts alone prove.
        guard: fit what says how sure an answer is, and whether a text is of a kind the model knows; for
            one class a text alone.
        coverage: share of texts whose true label is to be in the guard's set of labels.
        false_alarm: share of ordinary texts that it may take for strange ones.
        onnx: refused; see `check_options`.
        script: write `predict.py` too, which predicts without Drivetrain; where ruff, which lays it out,
            is not installed, a warning says that it is left out.

    Returns: what verifying it found.
    Raises: ConfigError: an argument is out of range, or something else lies in the place of the bundle.
        BundleError: it does not prove itself. StorageError: the disk refused.
    """
    check_options(folder, golden, onnx=onnx)
    contents = _contents(
        trained,
        title=Path(folder).name,
        num_golden=golden,
        guard={"coverage": coverage, "false_alarm": false_alarm}
        if guard and trained.goal.kind == "class"
        else None,
        with_script=script,
    )
    return write.write(folder, contents, prove=bundle.verify)


def check_options(folder: store.StrPath, golden: int, *, onnx: bool = False) -> None:
    """What can be refused before anything is opened.

    Raises: ConfigError.
    """
    if onnx:
        raise ConfigError(
            "Models of texts have no ONNX form here: texts have any length, and a recurrent model reads "
            "them piece by piece. Export without --onnx; predict.py in the bundle needs no Drivetrain."
        )
    if not 0 <= golden <= manifests.MOST_GOLDEN:
        raise ConfigError(f"`golden` must be 0 to {manifests.MOST_GOLDEN}. Got {golden}.")
    write.check_place(folder)


def _contents(
    trained: Trained,
    *,
    title: str,
    num_golden: int,
    guard: dict[str, float] | None,
    with_script: bool,
) -> write.Contents:
    described = json.loads(store.to_json(dict(trained.architecture)))
    tokenizer = json.loads(store.to_json(trained.tokenizer.to_json()))
    predictor = _predictor(trained, described, tokenizer)
    if guard is not None:
        predictor.guard = _fitted(trained, predictor, guard)
    can_travel = num_golden and trained.goal.kind != "labels"
    golden, files = _golden(predictor, trained.valid if can_travel else None, num_golden)
    model = predictor.model
    goal = trained.goal
    inputs, outputs = ports(
        goal.kind, len(goal.classes), num_features_of(model), num_words_of(model)
    )
    manifest = Manifest(
        application="text",
        architecture=described,
        preprocessing=bundle.preprocessing_of(goal, trained.max_len),
        classes=goal.classes,
        inputs=inputs,
        outputs=outputs,
        num_threads=trained.num_threads,
        tolerance=TOLERANCE,
        training=_told(trained.record),
        versions=_versions(described["name"]),
    )
    source = _script(predictor, manifest) if with_script else None
    card, config = card_of(
        manifest,
        trained.record,
        predictor,
        title=title,
        golden=golden,
        licence=(trained.licence, trained.licence_note),
        has_predictor=source is not None,
    )
    return write.Contents(
        manifest,
        trained.weights,
        config,
        card,
        golden,
        golden_inputs=files,
        tokenizer=tokenizer,
        guard=predictor.guard,
        predictor=source,
    )


def _script(predictor: TextPredictor, manifest: Manifest) -> str | None:
    """`predict.py`; None, and a warning, where it cannot be laid out."""
    from drivetrain.text.ejecting.predictor import predictor_source

    try:
        return predictor_source(predictor, manifest)
    except MissingPackageError as error:
        warnings.warn(f"The bundle gets no {manifests.PREDICTOR}: {error}", stacklevel=5)
        return None


def _predictor(
    trained: Trained, architecture: Mapping[str, Any], tokenizer: Mapping[str, Any]
) -> TextPredictor:
    """The model as the bundle is going to have it: built anew, on the CPU."""
    model = create(architecture)
    model.load_state_dict({name: tensor.cpu() for name, tensor in trained.weights.items()})
    return TextPredictor(
        tokenizer_from_json(tokenizer),
        model.eval(),
        trained.goal.classes,
        max_len=trained.max_len,
        num_threads=trained.num_threads,
        goal=trained.goal,
    )


def _fitted(trained: Trained, predictor: TextPredictor, options: dict[str, float]) -> TextGuard:
    train, valid = trained.train, trained.valid
    assert train is not None and valid is not None, "read, since the guard needs them"
    known = predictor.ids(train.texts)
    chosen = np.arange(len(known))
    if len(known) > MOST_KNOWN:  # the guard keeps fewer than that in any case
        drawn = np.random.default_rng(trained.seed).choice(len(known), MOST_KNOWN, replace=False)
        chosen = np.sort(drawn)
    _, train_features = predictor.calculated(known.take(chosen))
    ids = predictor.ids(valid.texts)
    logits, features = predictor.calculated(ids)
    return fit_text_guard(
        logits,
        valid.targets,
        features,
        train_features=train_features,
        train_targets=train.targets[torch.from_numpy(chosen)],
        train_lengths=known.lengths().tolist(),
        unknown=[unknown_share(one, predictor.tokenizer.unk_id) for one in ids],
        seed=trained.seed,
        **options,
    )


def _golden(
    predictor: TextPredictor, valid: TextPart | None, count: int
) -> tuple[Golden, dict[str, bytes]]:
    """The examples, and the file that they stand in."""
    made_up = bundle.pattern_texts(predictor.tokenizer)
    expected = bundle.outputs(predictor, made_up, bundle.PATTERN)
    if valid is None:
        return Golden((), expected), {}
    fit = [i for i, text in enumerate(valid.texts) if _travels(text)]
    targets = valid.targets.tolist()
    is_number = predictor.goal.kind == "number"
    if is_number:  # from the lowest to the highest
        fit.sort(key=lambda i: targets[i])
        places = np.unique(np.linspace(0, len(fit) - 1, min(count, len(fit))).round().astype(int))
        chosen = [fit[place] for place in places.tolist()]
    else:
        chosen = [fit[i] for i in goldens.chosen([targets[i] for i in fit], count)]
    if not chosen:
        return Golden((), expected), {}
    texts = [valid.texts[i] for i in chosen]
    found = bundle.outputs(predictor, texts)
    if is_number:
        true = predictor.goal.shown(np.array([targets[i] for i in chosen])).tolist()
        items = tuple(GoldenItem(bundle.TEXTS, value=(number,)) for number in true)
        return Golden(items, expected | found), {bundle.TEXTS: store.json_bytes({"texts": texts})}
    said = goldens.predicted(found["logits"], predictor.classes)
    items = tuple(
        GoldenItem(bundle.TEXTS, predictor.classes[targets[i]], label)
        for i, label in zip(chosen, said, strict=True)
    )
    return Golden(items, expected | found), {bundle.TEXTS: store.json_bytes({"texts": texts})}


def _travels(text: str) -> bool:
    """Whether a text may be an example: whole Unicode, and no book."""
    if len(text) > bundle.MOST_GOLDEN_LETTERS // manifests.MOST_GOLDEN:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _told(record: Mapping[str, Any]) -> dict[str, Any]:
    """What `bundle.json` says of the training: no path of the machine it was done on."""
    task, results = record.get("task", {}), record["results"]
    source = task.get("source")
    return {
        "data": Path(source).name if isinstance(source, str) and source else "texts",
        "labelled_by": task.get("labelled_by", ""),
        "split_by": task.get("split_by", ""),
        "items": record.get("items", {}),
        "results": {
            name: results[name] for name in ("metrics", "interval", "baselines") if name in results
        },
        "seed": record.get("seed"),
        "weights_sha256": results.get("weights_sha256"),
        "fingerprint": record.get("fingerprint"),
    }


def _versions(name: str) -> dict[str, str]:
    """Versions that an answer can depend on, of this machine, where the golden outputs are calculated."""
    packages = ("tokenizers", "transformers") if name == "transformer" else ()
    return versions() | {package: metadata.version(package) for package in packages}
