"""The card of a bundle of ratings: what a stranger needs to know before using it."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any

from drivetrain.bundle import card as cards, manifest as manifests
from drivetrain.bundle.card import Card, Row
from drivetrain.bundle.golden import Golden
from drivetrain.bundle.manifest import Manifest
from drivetrain.collab.bundling.guard import FEW_RATINGS, KINDS, UNKNOWN, WELL_KNOWN, RatingGuard
from drivetrain.collab.bundling.predictor import CollabPredictor

_OTHERS = {
    "ratings": "For others it answers what a mean user, or a mean item, would get, and says that they "
    "are unknown",
    "events": "To others it recommends what most people had, and says that they are unknown",
}
_SIDES = {
    WELL_KNOWN: "whose user and item have {few} ratings or more",
    FEW_RATINGS: "of which one has fewer",
    UNKNOWN: "with an unknown user or item",
}


def card_of(
    manifest: Manifest,
    record: Mapping[str, Any],
    model: CollabPredictor,
    *,
    title: str,
    golden: Golden,
    has_script: bool,
) -> tuple[str, dict[str, Any]]:
    """`README.md` and `config.json`."""
    results = record["results"]
    figures = _numbers(results.get("metrics", {}).get("valid", {}))
    metric = next((name for name in ("rmse", "ndcg") if name in figures), "loss")
    what = "ratings" if model.of_ratings else "events"
    counts = manifest.training["items"]
    guard, with_history = model.guard, model.has_history
    card = Card(
        title=title,
        purpose=(
            f"Predicts the {model.rating} that a user gives an item, and recommends items."
            if model.of_ratings
            else "Puts items in the order in which a user may want them."
        ),
        pipeline="tabular-regression",
        classes=(),
        data=(
            f"Trained on {manifest.training['data']}: {counts.get('train', 0):,} {what} of "
            f"{len(model.items) - 1:,} items by {len(model.users) - 1:,} users.",
            f"Measured on {counts.get('valid', 0):,} others, split {manifest.training['split_by']}.",
        ),
        results=_rows(results, figures, metric),
        measured_on=f"On {counts.get('valid', 0):,} {what} that did not train.",
        metrics={name: value for name, value in figures.items() if name != metric},
        limits=(
            f"It knows the users and items it was trained on. {_OTHERS[what]}"
            + (
                "."
                if guard is None
                else f": of the {what} measured {guard.usual_unknown:.0%} were such."
            ),
            *([] if guard is None else _guard_says(guard, what)),
            *(_CHOSEN if model.of_ratings else ()),
            "What is recommended is rated more, and what is rated more is recommended: a model that is "
            "trained on its own recommendations narrows.",
            _privacy(with_history, has_guard=guard is not None),
        ),
        licence="unknown",
        licence_note=(
            "The weights come from the ratings named above, whose rights stay with those who gave them."
        ),
        preparation=(
            f"A pair is the text of a `{model.columns['user']}` and of an `{model.columns['item']}`, "
            "each looked up among the names that training saw; a whole number stands for its digits."
        ),
        metric=metric,
        needs="'drivetrain[tabular]'",
        golden=((f"Pairs of the validation {what}, {_ORDER[what]}.",) if golden.items else ()),
        use=_use(manifest, model, has_script),
        files=_files(golden, manifest, has_guard=guard is not None, has_script=has_script),
    )
    config = cards.config(
        architecture=manifest.architecture,
        classes=(),
        model_type="ratings",
        extra={"num_users": len(model.users) - 1, "num_items": len(model.items) - 1},
        model_class="DotProduct" if model.factors is not None else "RatingNet",
    )
    return cards.card_text(card), config


def _guard_says(guard: RatingGuard, what: str) -> list[str]:
    """What the guard found out on the validation ratings."""
    said = [
        f"A pair is called known where user and item have {guard.few} {what} in training or more"
        + (" and the answer lies within them" if guard.intervals else "")
        + f": {1 - guard.false_alarm:.0%} of the {what} measured were."
    ]
    if guard.intervals:
        said[0] += (
            " Who has fewer gets an answer that is mostly that of a mean user, which is told beside it."
        )
        parts = []
        for kind in KINDS:
            one = guard.intervals[kind]
            reach = "the whole scale, for want of such pairs"
            if one.half_width < inf:
                reach = f"± {one.half_width:.2g}, from {one.num_items:,} of them"
            parts.append(f"{_SIDES[kind].format(few=guard.few)}: {reach}")
        said.append(
            f"Intervals hold the true rating in {guard.coverage:.0%} of pairs such as those measured. "
            f"For pairs {'; '.join(parts)}."
        )
    return said


def _use(manifest: Manifest, model: CollabPredictor, has_script: bool) -> list[str]:
    seen = (
        "without what they rated."
        if model.has_history
        else "what they rated is not in this bundle, and has to be left out by name."
    )
    user, item = model.columns["user"], model.columns["item"]
    texts = [
        f"INPUT is a CSV or Parquet file with the columns `{user}` and `{item}`; "
        "`--user USER --item ITEM` asks for one pair. "
        f"`drivetrain recommend THIS_FOLDER USER` lists what a user may like: {seen} In Python:",
        "```python\n"
        "import drivetrain as dt\n\n"
        'model = dt.collab.load("THIS_FOLDER")\n'
        'print(model.predict("pairs.csv"))\n'
        'print(model.recommend("USER", 10))\n'
        "```",
    ]
    if model.guard is not None:
        texts.append(
            "Of the ratings of 20 people and more it also says whether they, taken together, are of "
            "another kind than the validation's were, and in what; `--shift --json` gives p-values."
        )
    if has_script:
        texts.append(
            "Without Drivetrain, with torch, numpy and safetensors alone: `python predict.py PAIRS.csv`, "
            "and `python predict.py --recommend USER`. It answers as Drivetrain does, on the CPU, and is "
            "made to be read. It is code: read it before you run it where the bundle is not your own."
        )
    if manifest.onnx is not None:
        texts.append(
            "Through ONNX Runtime: `drivetrain predict THIS_FOLDER INPUT... --engine onnx`, or with any "
            f"program that reads ONNX: `{manifests.ONNX}` takes `pairs`, codes of users and items, which "
            f"are the places of their names in `{manifests.CATALOGUE}` counted from 1. Its outputs "
            f"differed from torch's by at most {manifest.onnx.largest_difference:.2g} when it was made."
        )
    return texts


def _privacy(with_history: bool, *, has_guard: bool) -> str:
    if with_history:
        return (
            "It holds who rated what, and how, by the names in the ratings: personal data. Export with "
            "`--no-history` where that may not travel."
        )
    return (
        "Who rated what is not in it; the users' names and the vectors learnt of what they rated are, "
        + ("with how many ratings each has, " if has_guard else "")
        + "and say something of it. No validation pair travels with it."
    )


def _numbers(figures: Mapping[str, Any]) -> dict[str, float]:
    return {n: v for n, v in figures.items() if isinstance(v, int | float) and v == v}


def _rows(results: Mapping[str, Any], figures: Mapping[str, float], metric: str) -> list[Row]:
    if metric not in figures:
        return []
    between = results.get("interval")
    rows = [Row("this model", figures[metric], _interval(between))]
    for name, told in (results.get("baselines") or {}).items():
        value = told.get(metric) if isinstance(told, Mapping) else None
        if isinstance(value, int | float):
            rows.append(Row(name.replace("_", " "), value, _interval(told.get("interval"))))
    return rows


def _interval(value: Any) -> tuple[float, float] | None:
    is_pair = isinstance(value, list | tuple) and len(value) == 2
    return (float(value[0]), float(value[1])) if is_pair else None


_CHOSEN = (
    "Ratings are given by people who chose to rate: what is predicted is how those who would rate an "
    "item rate it, not how all would.",
)

_ORDER = {"ratings": "from the lowest rating to the highest", "events": "from all over"}


def _files(
    golden: Golden, manifest: Manifest, *, has_guard: bool, has_script: bool
) -> dict[str, str]:
    files = {
        manifests.NAME: "what the bundle is: model, columns, signature, SHA-256 of every other file",
        manifests.WEIGHTS: "the vectors, and layers",
        manifests.CATALOGUE: "names, titles, how often and how items were rated; perhaps who rated what",
        manifests.CONFIG: "for the Hugging Face Hub; Drivetrain does not read it",
    }
    if has_guard:
        files[f"{manifests.GUARD}`, `{manifests.GUARD_TENSORS}"] = (
            "how sure an answer is, and what pairs are known"
        )
    pairs = "`, `golden/pairs.json" if golden.items else ""
    files[f"{manifests.GOLDEN}`, `{manifests.GOLDEN_TENSORS}{pairs}"] = (
        "examples and the answers they must get"
    )
    if has_script:
        files[manifests.PREDICTOR] = "predicts and recommends without Drivetrain"
    if manifest.onnx is not None:
        files[manifests.ONNX] = "predictions of pairs of codes, for ONNX Runtime"
    return files
