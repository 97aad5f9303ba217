"""What the model card of a bundle of pictures says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from drivetrain.bundle import manifest as manifests
from drivetrain.bundle.card import Card, Row, card_text, config
from drivetrain.bundle.golden import Golden
from drivetrain.bundle.guard import Guard
from drivetrain.bundle.manifest import Manifest
from drivetrain.bundle.target_guard import TargetsGuard
from drivetrain.models import model_info

FEW = 20
"""Training pictures of a class, below which the card says so."""
MOST_NAMED = 20
"""Classes that the card names."""

_RESIZED = {
    "crop": "its middle is cut out in the proportions needed and brought to {size}: the ends of its "
    "longer side are not seen",
    "squish": "it is brought to {size}, which changes its proportions",
    "pad": "it is brought to {size} whole, with black borders",
}
_BASELINES = {
    "majority_class": "always the most frequent class",
    "nearest_mean_image": "the class with the nearest mean image",
}


def card_of(
    manifest: Manifest,
    record: Mapping[str, Any],
    *,
    title: str,
    train_counts: Mapping[str, int] | None,
    golden: Golden,
    guard: Guard | TargetsGuard | None,
    has_predictor: bool,
) -> tuple[str, dict[str, Any]]:
    """`README.md` and `config.json`.

    Args:
        record: `run.json`.
        title: of the card.
        train_counts: training pictures of each class, where that is known.
    """
    name = manifest.architecture["name"]
    height, width = manifest.preprocessing["size"]
    results, task = record["results"], record["task"]
    licence, licence_note = _licence(name, bool(record["model"]["pretrained"]))
    metrics = results["metrics"]["valid"]
    card = Card(
        title=title,
        purpose=f"{_purpose(manifest)} The model is {name}, trained with Drivetrain.",
        pipeline="image-classification",
        classes=_labels(manifest),
        data=_data(record),
        results=_rows(results),
        measured_on=(
            f"Measured on the {record['items']['valid']:,} validation pictures, which it did not learn "
            f"from ({task['split_by']}). The intervals are 95% Wilson intervals."
        ),
        metrics={
            name: value for name, value in metrics.items() if name.rsplit(" ", 1)[-1] != "accuracy"
        },
        limits=_limits(manifest, record, train_counts, guard),
        licence=licence,
        licence_note=licence_note,
        preparation=(
            "A picture is turned the right way up and made RGB, transparency over white; "
            + _RESIZED[manifest.preprocessing["resize"]].format(size=f"{height} x {width} pixels")
            + ". The network takes these pixels as they are, 0 to 255, and normalises them itself."
        ),
        golden=_golden(golden, manifest),
        use=_use(manifest, has_predictor),
        files=_files(golden, guard, manifest, has_predictor),
    )
    described = config(
        architecture=manifest.architecture,
        classes=_labels(manifest),
        model_type="drivetrain-vision",
        extra={"image_size": [height, width], "num_channels": 3},
    )
    return card_text(card), described


def _purpose(manifest: Manifest) -> str:
    if not manifest.targets:
        count = len(manifest.classes)
        return f"Says which of {count} classes a picture shows: {_named(manifest.classes)}."
    told = "; ".join(
        f"its {one.name}, one of {len(one.classes)} classes ({_named(one.classes)})"
        for one in manifest.targets
    )
    return f"Says {len(manifest.targets)} things of a picture: {told}."


def _labels(manifest: Manifest) -> tuple[str, ...]:
    """A label for each score; of several targets with the target's name before it."""
    several = tuple(f"{one.name}: {label}" for one in manifest.targets for label in one.classes)
    return several or manifest.classes


def _licence(name: str, is_pretrained: bool) -> tuple[str, str]:
    if not is_pretrained:
        return "unknown", (
            "These weights were trained from random ones, on the pictures named above alone. Whoever "
            "owns them has not chosen a licence yet: choose one before you pass them on."
        )
    info = model_info(name)
    return info.licence, (
        f"Training began with the weights of {name} ({info.pretrained.partition(':')[0]}), whose licence "
        f"is {info.licence}. What was learnt beyond them comes from the pictures named above, whose "
        "rights stay with their owners."
    )


def _data(record: Mapping[str, Any]) -> list[str]:
    task, items = record["task"], record["items"]
    sentences = [
        f"Pictures: {Path(task['source']).name or 'a folder'}; {items['train']:,} to train, "
        f"{items['valid']:,} to validate"
        + (f", {items['test']:,} sealed for a test" if items.get("test") else "")
        + ".",
        f"Labels: {task['labelled_by']}.",
        f"Split: {task['split_by']}.",
    ]
    if items.get("quarantined"):
        sentences.append(f"{items['quarantined']:,} files were set aside and not used.")
    sentences.append(f"Fingerprint of pictures, labels and split: {record['fingerprint']}.")
    return sentences


def _rows(results: Mapping[str, Any]) -> list[Row]:
    if "targets" in results:
        return [
            row for name, own in results["targets"].items() for row in _rows_of_target(name, own)
        ]
    low, high = results["interval"]
    rows = [Row("**this model**", results["metrics"]["valid"]["accuracy"], (low, high))]
    for name, baseline in results.get("baselines", {}).items():
        low, high = baseline["interval"]
        rows.append(Row(_BASELINES.get(name, str(name)), baseline["accuracy"], (low, high)))
    return rows


def _rows_of_target(name: str, own: Mapping[str, Any]) -> list[Row]:
    """Of one of several targets: the model, then what guessing gives."""
    low, high = own["interval"]
    rows = [Row(f"**{name}**: this model", own["accuracy"], (low, high))]
    for rule, baseline in own.get("baselines", {}).items():
        low, high = baseline["interval"]
        said = _BASELINES.get(rule, str(rule))
        rows.append(Row(f"{name}: {said}", baseline["accuracy"], (low, high)))
    return rows


def _limits(
    manifest: Manifest,
    record: Mapping[str, Any],
    train_counts: Mapping[str, int] | None,
    guard: Guard | TargetsGuard | None,
) -> list[str]:
    count = len(manifest.classes)
    knows = f"{count} {'class' if count == 1 else 'classes'} and gives each picture one of them"
    if manifest.targets:
        knows = f"{len(manifest.targets)} targets and gives each picture a class of each"
    sentences = [
        f"It knows {knows}, whatever it shows"
        + (
            ". The guard says when a picture is unlike those it was trained on; what looks alike in its "
            "eyes can pass."
            if guard is not None
            else ". It has no guard, which would say when a picture is unlike those it was trained on."
        ),
        "The figures above hold for pictures like those it was trained and validated on. On others "
        "(another camera, place or season) they are to be measured anew: drivetrain evaluate.",
    ]
    for what, (low, high) in _intervals(record["results"]):
        if high - low > 0.1:
            sentences.append(
                f"Few pictures were there to validate it ({record['items']['valid']:,}): its {what} may "
                f"be anything from {low:.2f} to {high:.2f}."
            )
    few = [label for label, number in (train_counts or {}).items() if number < FEW]
    if few:
        sentences.append(f"Classes with fewer than {FEW} training pictures: {_named(few)}.")
    if guard is not None:
        sentences.append(
            "What the guard promises holds on average over pictures such as the validation pictures, not "
            f"for each class or each picture. {guard.text}"
        )
        sentences.append(
            "The guard keeps the features of training and validation pictures, in guard.safetensors: no "
            "pictures, but numbers that were calculated from them."
        )
    sentences.append(
        "It was not examined for fairness, nor against pictures made to mislead it; it is no ground on "
        "which to decide about a person."
    )
    return sentences


def _intervals(results: Mapping[str, Any]) -> list[tuple[str, tuple[float, float]]]:
    several = results.get("targets")
    if several is None:
        return [("accuracy", tuple(results["interval"]))]
    return [(f"{name} accuracy", tuple(own["interval"])) for name, own in several.items()]


def _golden(golden: Golden, manifest: Manifest) -> list[str]:
    pattern = (
        "`golden.safetensors` holds what the model answers for {what}: `drivetrain verify` calculates it "
        "anew and compares. The pattern is drawn by the program and goes through all the preprocessing."
    )
    if not golden.items:
        return [f"{pattern.format(what='a test pattern')} No picture travels with this bundle."]
    height, width = manifest.preprocessing["size"]
    count = len(golden.items)
    return [
        f"**{count} validation {'picture travels' if count == 1 else 'pictures travel'} with this "
        f"bundle**, in `golden/`, at {height} x {width} pixels: whoever has the bundle sees them. Export "
        "with `--golden 0` where the pictures may not be shared.",
        pattern.format(what="them and for a test pattern"),
    ]


def _use(manifest: Manifest, has_predictor: bool) -> list[str]:
    texts = [
        "In Python:",
        "```python\n"
        "import drivetrain as dt\n\n"
        'predictor = dt.vision.load("THIS_FOLDER")\n'
        'print(predictor.predict("picture.jpg"))\n'
        "```",
    ]
    if has_predictor:
        texts.append(
            f"Without Drivetrain, with {_needed(manifest)} alone: `python predict.py PICTURE...`, "
            "and `--json` for programs. It answers as `drivetrain predict` does, on the CPU, and is made "
            "to be read. It is code: read it before you run it where the bundle is not your own."
        )
    if manifest.onnx is not None:
        texts.append(
            "Through ONNX Runtime: `drivetrain predict THIS_FOLDER INPUT... --engine onnx`, or with any "
            "program that reads ONNX: `model.onnx` takes `pixels` (batch, 3, height, width) uint8 and "
            "gives `logits` and `features`. Its outputs differed from torch's by at most "
            f"{manifest.onnx.largest_difference:.2g} when it was made."
        )
    return texts


def _needed(manifest: Manifest) -> str:
    """The packages that `predict.py` imports."""
    has_timm = "timm" in model_info(manifest.architecture["name"]).builder
    return f"torch, numpy, safetensors{', Pillow and timm' if has_timm else ' and Pillow'}"


def _files(
    golden: Golden,
    guard: Guard | TargetsGuard | None,
    manifest: Manifest,
    has_predictor: bool,
) -> dict[str, str]:
    files = {
        manifests.NAME: "what the bundle is: architecture, preprocessing, labels, signature, SHA-256 of "
        "every other file",
        manifests.WEIGHTS: "the weights",
        manifests.CONFIG: "architecture and labels for the Hugging Face Hub; Drivetrain does not read it",
    }
    if guard is not None:
        files[f"{manifests.GUARD}`, `{manifests.GUARD_TENSORS}"] = (
            "calibration, prediction sets, domain score"
        )
    pictures = "`, `golden/" if golden.items else ""
    files[f"{manifests.GOLDEN}`, `{manifests.GOLDEN_TENSORS}{pictures}"] = (
        "examples and the answers they must get"
    )
    if has_predictor:
        files[manifests.PREDICTOR] = "predicts without Drivetrain"
    if manifest.onnx is not None:
        files[manifests.ONNX] = "the network for ONNX Runtime"
    return files


def _named(labels: Any) -> str:
    names = list(labels)
    if len(names) <= MOST_NAMED:
        return ", ".join(names)
    return f"{', '.join(names[:MOST_NAMED])} and {len(names) - MOST_NAMED} more"
