"""What a training or a measurement found, as text for people."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from drivetrain.cli import common, layout

MOST_SHOWN = 5
"""So many files that were set aside are named; the rest is in the run's quarantine.jsonl."""

_NAMES = {
    "accuracy": "accuracy",
    "error_rate": "error rate",
    "loss": "loss",
    "majority_class": "majority class",
    "nearest_mean_image": "nearest mean image",
}


def found(learner: Any) -> str:
    """What was found in the source and what was chosen, before training."""
    data = learner.application.data
    counts = data.counts()
    sealed = f", {counts['test']:,} sealed for a test" if counts["test"] else ""
    rows = [
        ("Source", str(data.source)),
        *_classes(data),
        ("Labels", data.task.labelled_by),
        ("Pictures", f"{counts['train']:,} to train, {counts['valid']:,} to validate{sealed}"),
    ]
    parts = [layout.table(rows)]
    aside = [entry.to_json() for entry in data.quarantined]
    if aside:
        parts.append(set_aside(aside, where=learner.run.folder / "quarantine.jsonl"))
    parts.append(f"Chosen for you ({common.how_to_change(learner.run.folder)})")
    parts.append(f"{learner.choices.text(layout.line())}\n")
    return "\n".join(parts)


def set_aside(entries: Sequence[Mapping[str, str]], *, where: object = "") -> str:
    """The files that were not used, with their reasons."""
    shown = entries[:MOST_SHOWN]
    lines = [f"{len(entries):,} set aside:"]
    lines.append(layout.table([(e["id"], e["detail"]) for e in shown], indent=2))
    if len(entries) > len(shown):
        lines.append(
            f"  … and {len(entries) - len(shown):,} more" + (f", in {where}" if where else "")
        )
    return "\n".join(lines)


def result(document: Mapping[str, Any]) -> str:
    """The result of a training beside its baselines, where the run is, and what to type next."""
    valid, items = document["metrics"]["valid"], document["items"]
    targets = document.get("targets")
    run = shlex.quote(document["run"])  # so that the commands below can be typed as they stand
    lines = [f"Result on {items['valid']:,} validation pictures"]
    lines.append(
        _compared(valid, document["interval"], document["baselines"])
        if targets is None
        else _each_compared(valid, targets)
    )
    epochs = "epoch" if document["epochs"] == 1 else "epochs"
    spent = f"{document['epochs']} {epochs} in {layout.duration(document['seconds'])}"
    lines += [
        "",
        f"{spent}. The run is in {document['run']}",
        "Next",
        f"  drivetrain predict {run} PICTURE...",
        f"  drivetrain evaluate {run} --on {'FOLDER' if targets is None else 'TABLE'}",
        f"  drivetrain report {run}",
    ]
    return "\n".join(lines)


def measured(document: Mapping[str, Any]) -> str:
    """The result of an evaluation."""
    lines = [f"Result on {document['items']:,} pictures of {document['source']}"]
    targets = document.get("targets")
    lines.append(
        _compared(document["metrics"], document["interval"], document.get("baselines", {}))
        if targets is None
        else _each_compared(document["metrics"], targets)
    )
    if document["trained_on"]:
        lines.append(
            f"{document['trained_on']:,} of them trained the model: on new pictures it will do worse."
        )
    if document["quarantined"]:
        lines.append(set_aside(document["quarantined"]))
    return "\n".join(lines)


def with_tta(document: Mapping[str, Any]) -> str:
    """The result with test-time augmentation beside the plain one."""
    told = document["tta"]
    copies = "1 varied copy" if told["copies"] == 1 else f"{told['copies']} varied copies"
    rows = [("", "plain", "with", "")]
    for name, value in document["metrics"].items():
        rows.append(
            (
                _NAMES.get(name) or name.replace("_", " "),
                layout.number(value),
                layout.number(told["metrics"][name]),
                "",
            )
        )
    if "targets" in told:
        said = "\n".join(
            _apart(f"{name}: its error minus the plain one", one["difference"])
            for name, one in told["targets"].items()
        )
    else:
        said = _apart("Its error minus the plain one", told["difference"])
    return (
        f"With test-time augmentation: {copies} of each picture, and {told['beta']:g} of the plain "
        f"answer\n{layout.table(rows, indent=2)}\n{said}"
    )


def _apart(what: str, apart: Mapping[str, Any]) -> str:
    """A difference of two errors with its interval, and whether it may be chance."""
    said = f"{what}: {apart['error_rate']:+.3f}"
    if apart["interval"] is not None:
        low, high = apart["interval"]
        said += f", 95% interval {low:+.3f} to {high:+.3f}"
        said += ": this may be chance." if low <= 0 <= high else "."
    return said


def _compared(
    metrics: Mapping[str, float], interval: Sequence[float], baselines: Mapping[str, Any]
) -> str:
    """Accuracy with its interval, the baselines' under it, then the other figures."""
    rows = [("accuracy", layout.number(metrics["accuracy"]), _between(interval))]
    rows += _baselines(baselines)
    for name, value in metrics.items():
        if name != "accuracy":
            rows.append((_NAMES.get(name) or name, layout.number(value), ""))
    return layout.table(rows, indent=2)


def _each_compared(metrics: Mapping[str, float], targets: Mapping[str, Any]) -> str:
    """The same of several targets, one after the other, and the loss of all."""
    rows = []
    for target, record in targets.items():
        name = f"{target} accuracy"
        rows.append((name, layout.number(record["accuracy"]), _between(record["interval"])))
        rows += _baselines(record["baselines"])
        for column, value in metrics.items():
            own = [one for one in targets if column.startswith(f"{one} ")]
            if column != name and own and max(own, key=len) == target:
                rows.append((column.replace("_", " "), layout.number(value), ""))
    rows.append(("loss of all", layout.number(metrics["loss"]), ""))
    return layout.table(rows, indent=2)


def _baselines(baselines: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    rows = []
    for name, record in baselines.items():
        label = f"  {_NAMES.get(name, name)}"
        if "class" in record:
            label += f" ({record['class']})"
        rows.append((label, layout.number(record["accuracy"]), _between(record["interval"])))
    return rows


def _classes(data: Any) -> list[tuple[str, str]]:
    if data.targets is None:
        return [("Classes", layout.shorten(data.classes))]
    pairs = zip(data.targets.names, data.targets.classes, strict=True)
    return [(f"Target {name}", layout.shorten(classes)) for name, classes in pairs]


def _between(interval: Sequence[float]) -> str:
    low, high = interval
    return f"95% interval {layout.number(low)} to {layout.number(high)}"
