"""What to try next: the course's order, and where on it a run stands.

    1 overfit       first get the training data right: a model that cannot will do no better on others
    2 data          then more of it
    3 augment       then more made of it
    4 architecture  then a model that generalises better
    5 regularise    then weight decay and dropout
    6 smaller       a smaller model last

The first is asked of the losses of training and validation, the others of what the run was made with:
the first that is still open is the next experiment, one change at a time. `drivetrain advise RUN
--run` does it: the run as it was and the run with the change, with the same split and the same seeds
in pairs. What came of it stands in `RUN/advice/tried.jsonl`, and what was tried is not named again.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from drivetrain import store
from drivetrain.errors import RunError
from drivetrain.train.run import Run, check_form, is_own, refuse_own
from drivetrain.train.tried import FOLDER, HELPED, Tried, read_tried

RUNGS = ("overfit", "data", "augment", "architecture", "regularise", "smaller")
"""In the order in which they are tried."""

WORDS = {
    "overfit": "fit the training data first",
    "data": "more data",
    "augment": "augmentation",
    "architecture": "a model that generalises better",
    "regularise": "weight decay and dropout",
    "smaller": "a smaller model",
}

GAP = 0.15
"""By what share of it the validation loss has to be above the training loss to be called overfitted."""
RISE = 0.03
"""By what share above its lowest the validation loss has to end to be called rising."""
STRONG = 0.3
"""Weight decay from which more of it is not what is tried next."""
FALL = 0.01
"""By what share the training loss has to fall in the last epoch to be called falling."""

ALL_TRIED = "all on the ladder was tried: look at the labels (drivetrain clean), or get more data."

_MARKS = {"tried": "x", "here": ">", "open": " ", "no": "-"}

MODELS = ("resnet_tiny", "resnet18", "resnet34", "resnet50")
"""From small to large."""

KNOWING = "tf_efficientnet_lite0"
"""A model whose trained weights come in a package."""

_FORM: Mapping[str, Any] = {"task": {"application": str}, "settings": dict, "results": dict}


@dataclass(frozen=True)
class Experiment:
    """One change."""

    rung: str
    """One of `RUNGS`."""
    what: str
    """What to change, in a sentence."""
    option: str = ""
    """How to say it to `drivetrain train`; empty where it is nothing that an option does."""
    changes: Mapping[str, Any] = field(default_factory=dict)
    """The same for the application's `learner`; empty where nothing can be trained for it."""


@dataclass(frozen=True)
class Advice:
    """Where a run stands, why, and what to try."""

    rung: str
    """One of `RUNGS`."""
    evidence: tuple[str, ...]
    """Sentences with the numbers that it is read from."""
    experiment: str
    """What to change, in a sentence."""
    option: str
    """How to say it to `drivetrain train`; empty where it is nothing that an option does."""
    states: Mapping[str, str]
    """Each rung: "tried", "here", "open", or "no" where data of this kind have no such thing."""
    changes: Mapping[str, Any] = field(default_factory=dict)
    """The change as `drivetrain advise RUN --run` makes it; empty where it can make none."""
    tried: tuple[Tried, ...] = ()
    """What was tried on this run before."""

    def to_json(self) -> dict[str, Any]:
        """All of it, plain."""
        return {
            "rung": self.rung,
            "number": RUNGS.index(self.rung) + 1,
            "evidence": list(self.evidence),
            "experiment": self.experiment,
            "option": self.option,
            "changes": dict(self.changes),
            "states": dict(self.states),
            "tried": [one.to_json() for one in self.tried],
        }

    def __str__(self) -> str:
        return self.text(f"as an option of drivetrain train: {self.option}")

    def text(self, how: str) -> str:
        """The ladder, the evidence, and what to try.

        Args:
            how: a line on how the experiment is said, printed where an option says it.
        """
        lines = [
            f"{_MARKS[self.states[rung]]} {number} {WORDS[rung]}"
            for number, rung in enumerate(RUNGS, start=1)
        ]
        lines += ["", *self.evidence, "", f"Next: {self.experiment}"]
        if self.option:
            lines.append(f"  {how}")
        return "\n".join(lines)


def advise(folder: store.StrPath) -> Advice:
    """Say where a run stands on the ladder and what to try.

    Args:
        folder: a run of a model that was trained in epochs.

    Raises: RunError: it is no run, has no epochs on record, or no validation loss.
    """
    run = Run.open(folder)
    record = run.read()
    refuse_own(record, run.folder)
    check_form(record, _FORM, run.folder / "run.json")
    found = advice_of(record, run.read_log(), read_tried(folder))
    if found is None:
        raise RunError(
            f"{folder} has no losses of training and validation to read from: advice is for models that "
            f"are trained in epochs.{_tuning(record)}"
        )
    return found


def _tuning(record: Mapping[str, Any]) -> str:
    """What looks for better settings of a table's run; empty of others."""
    if record["task"]["application"] != "tabular":
        return ""
    data = _part(record, "data")
    source, target = data.get("source"), data.get("target")
    words = ["drivetrain", "tune", source if isinstance(source, str) else "TABLE"]
    words += [word for one in target or () for word in ("--target", str(one))]
    return f" Of a table, better settings are looked for by: {shlex.join(words)}"


def advice_of(
    record: Mapping[str, Any], log: Iterable[Mapping[str, Any]], tried: Sequence[Tried] = ()
) -> Advice | None:
    """The advice of a run's record; None where it has no losses of training and validation.

    None too where the model is somebody's own, which no option changes.

    Args:
        record: of `run.json`.
        log: a row an epoch.
        tried: what was tried on it.
    """
    rows = [row for row in log if _is_number(row.get("train_loss"))]
    if is_own(record) or not rows or not _is_number(rows[-1].get("valid_loss")):
        return None
    evidence, is_overfitted = _read(rows)
    asked = {rung: _asked(rung, record) for rung in RUNGS[1:]}
    states = {"overfit": "tried", **{rung: state for rung, (_, state) in asked.items()}}
    tried = [one for one in tried if one.rung in RUNGS]
    for one in tried:
        states[one.rung] = "tried"
        said = one.sentence[0].lower() + one.sentence[1:]
        evidence = (*evidence, f"{WORDS[one.rung].capitalize()}, tried by {one.option}: {said}")
        if one.verdict == HELPED:
            where = f"{FOLDER}/{one.folder}/changed-{one.seeds[0]}"
            evidence = (*evidence, f"Go on from there: it has a ladder of its own, in {where}.")
    done = [dict(one.changes) for one in tried]
    first = None
    if not is_overfitted:
        left = [one for one in _more(rows, record) if dict(one.changes) not in done]
        was_tried = any(one.rung == "overfit" for one in tried)
        first = next((one for one in left if one.changes or not was_tried), None)
    if first is None:
        evidence = (*evidence, *(told for told, _ in asked.values() if told))
        above = (rung for rung in RUNGS[1:] if states[rung] == "open")
        rung = next(above, "smaller")
        first = _experiment(rung, record)
        if dict(first.changes) in done or states[rung] == "tried":
            first = Experiment(rung, ALL_TRIED)
    states = {**states, first.rung: "here"}
    return Advice(
        first.rung, evidence, first.what, first.option, states, dict(first.changes), tuple(tried)
    )


def _read(rows: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, ...], bool]:
    """What the losses say, and whether the training data are fitted better than others."""
    train, valid = float(rows[-1]["train_loss"]), float(rows[-1]["valid_loss"])
    losses = [float(row["valid_loss"]) for row in rows if _is_number(row.get("valid_loss"))]
    lowest = min(losses)
    best = next(place for place, row in enumerate(rows, 1) if row.get("valid_loss") == lowest)
    gap = (valid - train) / abs(valid) if valid else 0.0
    told = [
        f"After {_count(len(rows))} the loss is {train:.4g} on training items and {valid:.4g} on "
        + (
            f"validation items, higher by {gap:.0%} of it."
            if gap > 0
            else "validation items, which is no higher: of training items it is the mean of the epoch, "
            "while the weights still moved, with augmentation and dropout where there are any."
        )
    ]
    rises = valid > lowest + RISE * abs(lowest)
    if rises:
        told.append(f"Validation was best after epoch {best} ({lowest:.4g}) and has risen since.")
    is_overfitted = gap > GAP or (rises and gap > 0)
    if is_overfitted:
        said = (
            "The training data are fitted better than others: it overfits, which is where to begin."
        )
    elif gap > 0:
        said = (
            f"The training data are hardly fitted better than others (by {GAP:.0%} it would be called "
            "overfitted): it does not overfit yet."
        )
    else:
        said = "The training data are not fitted better than others: it does not overfit yet."
    told.append(said)
    return tuple(told), is_overfitted


def _more(rows: Sequence[Mapping[str, Any]], record: Mapping[str, Any]) -> list[Experiment]:
    """What helps to fit the training data, the first to be tried first; the last one trains nothing."""
    losses = [float(row["train_loss"]) for row in rows]
    falls = len(losses) < 2 or losses[-1] < losses[-2] - FALL * abs(losses[-2])
    found = []
    if falls:
        epochs = 2 * len(rows)
        seen = "the training loss still falls" if len(losses) > 1 else "one epoch is a beginning"
        what = f"{seen}, so train twice as long ({epochs} epochs)."
        found.append(Experiment("overfit", what, f"--epochs {epochs}", {"epochs": epochs}))
    why = "the training loss still falls" if falls else "the training loss has settled"
    if len(losses) < 2:
        why = "the training data are not fitted yet"
    larger = _beside(record, 1)
    if larger is not None:
        found.append(
            Experiment("overfit", f"{why}, so take a larger model ({larger[0]}).", *larger[1:])
        )
    elif not falls:
        what = f"{why}: find a higher learning rate (lr_find), or take a larger model."
        found.append(Experiment("overfit", what))
    return found


def _asked(rung: str, record: Mapping[str, Any]) -> tuple[str, str]:
    """What the record says of a rung in a sentence, and its state."""
    settings, model = _part(record, "settings"), _part(record, "model")
    is_vision = record["task"]["application"] == "vision"
    if rung == "data":
        share = settings.get("fraction", settings.get("train_fraction", 1.0))
        if _is_number(share) and share < 1:
            return f"It was trained on {share:.0%} of the training items.", "open"
        items = _part(_part(record, "results"), "items").get("train")
        count = f"all {items:,}" if isinstance(items, int) else "all"
        return f"It saw {count} training items: more help most, where there are any.", "tried"
    if rung == "augment" and is_vision:
        varied = _is_varied(settings.get("augment"))
        return ("", "tried") if varied else ("No picture was varied.", "open")
    if rung == "architecture" and is_vision:
        if model.get("pretrained"):
            return "", "tried"
        return "The model began with random weights.", "open"
    if rung == "regularise":
        decay = settings.get("weight_decay")
        if not _is_number(decay):
            return "", "open"
        return f"Weight decay is {decay:g}.", "tried" if decay >= STRONG else "open"
    return "", "open" if rung == "smaller" else "no"


def _experiment(rung: str, record: Mapping[str, Any]) -> Experiment:
    """The experiment of a rung above the first."""
    if rung == "data":
        what = "train on all of the training items."
        if record["task"]["application"] == "vision":
            return Experiment(rung, what, "--set fraction=1.0", {"fraction": 1.0})
        epochs = _part(record, "plan").get("epochs")  # others have a share where a budget cut it
        return Experiment(rung, what, f"--epochs {epochs}", {"fraction": 1.0})
    if rung == "augment":
        what = "vary the pictures in training."
        return Experiment(rung, what, "--set augment=true", {"augment": True})
    if rung == "architecture":
        what = "take a model that was trained on many pictures."
        changes = {"model": KNOWING, "pretrained": True}
        return Experiment(rung, what, f"--model {KNOWING}", changes)
    if rung == "regularise":
        decay = _part(record, "settings").get("weight_decay")
        stronger = float(f"{3 * decay:.3g}") if _is_number(decay) and decay > 0 else 0.05
        option = f"--set weight_decay={stronger:g}"
        return Experiment(
            rung, f"weight decay of {stronger:g}.", option, {"weight_decay": stronger}
        )
    smaller = _beside(record, -1)
    if smaller is not None:
        what = f"all else was tried, so take a smaller model ({smaller[0]})."
        return Experiment(rung, what, *smaller[1:])
    return Experiment(rung, "all else was tried, so take a smaller model.")


def _beside(record: Mapping[str, Any], step: int) -> tuple[str, str, dict[str, Any]] | None:
    """The next larger (1) or smaller (-1) model: its name, option and change; None if unknown."""
    model = _part(record, "model")
    name, factors, layers = (model.get(key) for key in ("name", "num_factors", "layers"))
    if name in MODELS:
        place = MODELS.index(name) + step
        if not 0 <= place < len(MODELS):
            return None
        return MODELS[place], f"--model {MODELS[place]}", {"model": MODELS[place]}
    if isinstance(factors, int) and factors > 1:
        number = 2 * factors if step > 0 else factors // 2
        return f"{number} factors", f"--set num_factors={number}", {"num_factors": number}
    if not isinstance(layers, list) or not all(type(one) is int for one in layers):
        return None
    if record["task"]["application"] == "tabular" and min(layers, default=0) > 1:
        widths = [2 * one if step > 0 else one // 2 for one in layers]
        shown = str(widths).replace(" ", "")
        return f"layers of {shown}", f"--set layers={shown}", {"layers": widths}
    return None


def _count(epochs: int) -> str:
    return "1 epoch" if epochs == 1 else f"{epochs} epochs"


def _is_varied(augment: Any) -> bool:
    """Whether settings of augmentation change a picture; without any, all strengths are 0, zoom is 1."""
    strengths = ("flip", "flip_vertical", "rotate", "warp", "brightness", "contrast")
    told = augment if isinstance(augment, Mapping) else {}
    found = [told.get(name) for name in strengths]
    zoom = told.get("zoom")
    return any(_is_number(one) and one > 0 for one in found) or (_is_number(zoom) and zoom > 1)


def _part(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = record.get(name)
    return found if isinstance(found, Mapping) else {}


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
