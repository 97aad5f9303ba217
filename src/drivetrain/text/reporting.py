"""What a run of texts gives to its report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from drivetrain import store
from drivetrain.data.padded import LengthLoader
from drivetrain.errors import DrivetrainError
from drivetrain.interpret.head_inputs import Caught, head_inputs
from drivetrain.interpret.map_items import MapItems
from drivetrain.interpret.text import number
from drivetrain.models.summary import Summary, summarize
from drivetrain.report.evidence import Amounts, Evidence, Shown
from drivetrain.text.data import Report, TextData
from drivetrain.text.goal import Goal
from drivetrain.text.mapping import mapped, places_in_order
from drivetrain.text.runs import reopen
from drivetrain.train.learner import Learner
from drivetrain.train.loop import Evaluation
from drivetrain.train.predictions import Predictions

SAMPLES = 6


def evidence(folder: store.StrPath, *, report: Report | None = None) -> Evidence:
    """What the report of a run of texts is made of.

    Raises: RunError: no run of texts there, or its texts are not those it began with. DataError: they are
        gone.
    """
    learner = reopen(folder, callbacks=(), progress=False, report=report)
    if (Path(folder) / "model" / "model.json").exists():
        learner.load(folder)
    application: Any = learner.application
    data: TextData = application.data
    names, texts, targets = data.part("train")
    lengths = np.array([len(text.split()) for text in texts], dtype=np.float64)
    common: dict[str, Any] = {
        "noun": "texts",
        "classes": data.classes,
        "amounts": [Amounts("How long they are", lengths, "words", "texts of training")],
    }
    goal = data.goal
    if goal is None or targets is None:
        samples = [Shown(n, "", text=t) for n, t in zip(names, texts[:SAMPLES], strict=False)]
        return Evidence(**common, target="the next word", samples=samples)
    common["samples"] = _samples(names, texts, targets, goal)
    # the loader has the longest first, and the record is in its order
    _, valid_texts, valid_targets = data.part("valid")
    assert valid_targets is not None, "texts with targets"
    order = places_in_order(data, application.settings["max_len"])
    shown_texts = [valid_texts[place] for place in order]
    labels = [_label(valid_targets[place], goal) for place in order]
    with head_inputs(learner.model) as caught:
        found = predictions(learner, goal)
    return Evidence(
        **common,
        counts=_counts(data, goal),
        numbers=goal.shown(targets) if goal.kind == "number" else None,
        target=goal.name,
        predictions=found,
        show=_Show(found.ids, shown_texts, labels),
        facts=facts(shown_texts),
        layers=_layers(learner, application),
        map=_map(caught, found, shown_texts, goal),
    )


def _map(caught: Caught, found: Predictions, texts: Sequence[str], goal: Goal) -> MapItems | None:
    """None of a model that ends in no linear layer."""
    try:
        return mapped(caught, found, texts, goal.name)
    except DrivetrainError:
        return None


def predictions(
    learner: Learner, goal: Goal, part: str = "valid", *, found: Evaluation | None = None
) -> Predictions:
    """The record of the texts of a part, the longest first; numbers in their own unit.

    Args:
        found: what evaluating the part gave with `keep=True`, which saves another pass.
    """
    loader = None
    if part != "valid":
        application: Any = learner.application
        padded = application.data.padded(part, max_len=application.settings["max_len"])
        loader = LengthLoader(padded, batch_size=2 * application.settings["batch_size"])
    record = learner.predictions(loader, found=found)
    if goal.kind != "number":
        return record
    targets = torch.from_numpy(goal.shown(record.targets.cpu().numpy()))
    outputs = torch.from_numpy(goal.shown(record.outputs.cpu().numpy())).reshape(targets.shape)
    return Predictions(record.ids, targets, outputs, (outputs - targets).square())


class _Show:
    """Texts by their positions in the record."""

    def __init__(self, ids: Sequence[str], texts: Sequence[str], labels: Sequence[str]) -> None:
        self.ids, self.texts, self.labels = ids, texts, labels

    def __call__(self, positions: Sequence[int]) -> list[Shown]:
        return [Shown(self.ids[p], self.labels[p], text=self.texts[p]) for p in positions]


def facts(texts: Sequence[str]) -> dict[str, np.ndarray]:
    """What is known of texts without their labels, for the slices: (N,) float64 each."""
    found = {
        "words": [len(text.split()) for text in texts],
        "letters a word": [len(text) / max(1, len(text.split())) for text in texts],
        "share of capitals": [sum(map(str.isupper, text)) / max(1, len(text)) for text in texts],
        "share of digits": [sum(map(str.isdigit, text)) / max(1, len(text)) for text in texts],
        "question marks": [text.count("?") for text in texts],
        "exclamation marks": [text.count("!") for text in texts],
    }
    arrays = {name: np.array(values, dtype=np.float64) for name, values in found.items()}
    return {name: values for name, values in arrays.items() if len(values) and np.ptp(values) > 0}


def _samples(
    names: Sequence[str], texts: Sequence[str], targets: np.ndarray, goal: Goal
) -> list[Shown]:
    """The first texts; of classes the first of each in turn."""
    places = list(range(min(SAMPLES, len(texts))))
    if goal.kind == "class":
        each = max(1, SAMPLES // len(goal.classes))
        found = [
            place
            for code in range(min(len(goal.classes), SAMPLES))
            for place in np.flatnonzero(targets == code)[:each].tolist()
        ]
        places = found or places
    return [Shown(names[p], _label(targets[p], goal), text=texts[p]) for p in places]


def _label(target: Any, goal: Goal) -> str:
    if goal.kind == "class":
        return goal.classes[int(target)] if target >= 0 else ""
    if goal.kind == "labels":
        told = [n for n, is_so in zip(goal.classes, target.tolist(), strict=True) if is_so]
        return ", ".join(told) or "none"
    return number(float(goal.shown(np.array(target))))


def _counts(data: TextData, goal: Goal) -> dict[str, list[int]]:
    if goal.kind == "number":
        return {}
    found = {}
    for part in ("train", "valid"):
        _, _, targets = data.part(part)
        assert targets is not None, "texts with targets"
        if goal.kind == "class":
            counts = np.bincount(targets[targets >= 0], minlength=len(goal.classes))
        else:
            counts = targets.sum(axis=0).astype(np.int64)
        found[part] = counts.tolist()
    return found


def _layers(learner: Learner, application: Any) -> Summary | None:
    """None for a model that cannot be asked about two tokens."""
    tokens = torch.zeros(1, 2, dtype=torch.int64, device=learner.device)
    lengths = torch.tensor([2], device=learner.device)
    loss = application.settings["loss_fn"].get("name")
    try:
        return summarize(learner.model, (tokens, lengths), loss=loss)
    except DrivetrainError:
        return None
