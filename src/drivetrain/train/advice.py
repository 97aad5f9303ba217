"""What to try next: the course's order, and where on it a run stands.

    1 overfit       first get the training data right: a model that cannot will do no better on others
    2 data          then more of it
    3 augment       then more made of it
    4 architecture  then a model that generalises better
    5 regularise    then weight decay and dropout
    6 smaller       a smaller model last

The first is asked of the losses of training and validation, the others of what the run was made with: the
first that is still open is the next experiment. One change at a time, with the same split; whether it
helped is said by the intervals (`drivetrain diff`), and better by several seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from drivetrain import store
from drivetrain.errors import RunError
from drivetrain.train.run import Run, check_form

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

_MARKS = {"tried": "x", "here": ">", "open": " ", "no": "-"}

MODELS = ("resnet_tiny", "resnet18", "resnet34", "resnet50")
"""From small to large."""

_FORM: Mapping[str, Any] = {"task": {"application": str}, "settings": dict, "results": dict}


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

    def to_json(self) -> dict[str, Any]:
        """All of it, plain."""
        return {
            "rung": self.rung,
            "number": RUNGS.index(self.rung) + 1,
            "evidence": list(self.evidence),
            "experiment": self.experiment,
            "option": self.option,
            "states": dict(self.states),
        }

    def __str__(self) -> str:
        lines = [
            f"{_MARKS[self.states[rung]]} {number} {WORDS[rung]}"
            for number, rung in enumerate(RUNGS, start=1)
        ]
        lines += ["", *self.evidence, "", f"Next: {self.experiment}"]
        if self.option:
            lines.append(f"  drivetrain train ... {self.option}")
        return "\n".join(lines)


def advise(folder: store.StrPath) -> Advice:
    """Say where a run stands on the ladder and what to try.

    Args:
        folder: a run of a model that was trained in epochs.

    Raises: RunError: it is no run, has no epochs on record, or no validation loss.
    """
    run = Run.open(folder)
    record = run.read()
    check_form(record, _FORM, run.folder / "run.json")
    rows = [row for row in run.read_log() if _is_number(row.get("train_loss"))]
    if not rows or not _is_number(rows[-1].get("valid_loss")):
        raise RunError(
            f"{folder} has no losses of training and validation to read from: advice is for models that "
            "are trained in epochs."
        )
    evidence, is_overfitted = _read(rows)
    asked = {rung: _asked(rung, record) for rung in RUNGS[1:]}
    states = {rung: state for rung, (_, state) in asked.items()}
    if is_overfitted:
        evidence = (*evidence, *(told for told, _ in asked.values() if told))
        rung = next((rung for rung, state in states.items() if state == "open"), "smaller")
        experiment, option = _experiment(rung, record)
    else:
        rung = "overfit"
        experiment, option = _more(rows, record)
    states = {"overfit": "tried", **states, rung: "here"}
    return Advice(rung, evidence, experiment, option, states)


def _read(rows: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, ...], bool]:
    """What the losses say, and whether the training data are fitted better than others."""
    train, valid = float(rows[-1]["train_loss"]), float(rows[-1]["valid_loss"])
    losses = [float(row["valid_loss"]) for row in rows if _is_number(row.get("valid_loss"))]
    lowest = min(losses)
    best = losses.index(lowest) + 1
    gap = (valid - train) / abs(valid) if valid else 0.0
    told = [
        f"After {len(rows)} epochs the loss is {train:.4g} on training items and {valid:.4g} on "
        + (
            f"validation items, higher by {gap:.0%} of it."
            if gap > 0
            else "validation items, lower: augmentation and dropout make training the harder task."
        )
    ]
    rises = valid > lowest + RISE * abs(lowest)
    if rises:
        told.append(f"Validation was best after epoch {best} ({lowest:.4g}) and has risen since.")
    is_overfitted = gap > GAP or (rises and gap > 0)
    told.append(
        "The training data are fitted better than others: it overfits, which is where to begin."
        if is_overfitted
        else "The training data are not fitted better than others: it does not overfit yet."
    )
    return tuple(told), is_overfitted


def _more(rows: Sequence[Mapping[str, Any]], record: Mapping[str, Any]) -> tuple[str, str]:
    """What helps to fit the training data."""
    losses = [float(row["train_loss"]) for row in rows]
    falls = len(losses) < 2 or losses[-1] < losses[-2] - FALL * abs(losses[-2])
    if falls:
        epochs = 2 * len(rows)
        return f"the training loss still falls, so train twice as long ({epochs} epochs).", (
            f"--epochs {epochs}"
        )
    larger = _beside(record, 1)
    if larger:
        return f"the training loss has settled, so take a larger model ({larger}).", (
            f"--model {larger}"
        )
    return (
        "the training loss has settled: find a higher learning rate (lr_find), or take a larger model."
    ), ""


def _asked(rung: str, record: Mapping[str, Any]) -> tuple[str, str]:
    """What the record says of a rung in a sentence, and its state."""
    settings = record["settings"]
    is_vision = record["task"]["application"] == "vision"
    if rung == "data":
        share = settings.get("fraction", 1.0)
        if _is_number(share) and share < 1:
            return f"It was trained on {share:.0%} of the training items.", "open"
        items = record["results"].get("items", {}).get("train")
        count = f"all {items:,}" if isinstance(items, int) else "all"
        return f"It saw {count} training items: more help most, where there are any.", "tried"
    if rung == "augment" and is_vision:
        return ("", "tried") if settings.get("augment") else ("No picture was varied.", "open")
    if rung == "architecture" and is_vision:
        if record.get("model", {}).get("pretrained"):
            return "", "tried"
        return "The model began with random weights.", "open"
    if rung == "regularise":
        decay = settings.get("weight_decay")
        if not _is_number(decay):
            return "", "open"
        return f"Weight decay is {decay:g}.", "tried" if decay >= STRONG else "open"
    return "", "open" if rung == "smaller" else "no"


def _experiment(rung: str, record: Mapping[str, Any]) -> tuple[str, str]:
    if rung == "data":
        return "train on all of the training items.", "--set fraction=1.0"
    if rung == "augment":
        return "vary the pictures in training.", "--set augment=true"
    if rung == "architecture":
        return "take a model that was trained on many pictures.", "--model tf_efficientnet_lite0"
    if rung == "regularise":
        decay = record["settings"].get("weight_decay")
        stronger = 3 * decay if _is_number(decay) and decay > 0 else 0.05
        return f"weight decay of {stronger:g}.", f"--set weight_decay={stronger:g}"
    smaller = _beside(record, -1)
    if smaller:
        return f"all else was tried, so take a smaller model ({smaller}).", f"--model {smaller}"
    factors = record.get("model", {}).get("num_factors")
    if isinstance(factors, int) and factors > 1:
        return f"all else was tried, so take half as many factors ({factors // 2}).", (
            f"--set num_factors={factors // 2}"
        )
    return "all else was tried, so take a smaller model.", ""


def _beside(record: Mapping[str, Any], step: int) -> str:
    """The next larger or smaller model of a known ladder; empty where there is none."""
    name = record.get("model", {}).get("name")
    if name not in MODELS:
        return ""
    place = MODELS.index(name) + step
    return MODELS[place] if 0 <= place < len(MODELS) else ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
