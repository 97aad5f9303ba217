"""The card of a bundle of ratings: what a stranger needs to know before using it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drivetrain.bundle import card as cards, manifest as manifests
from drivetrain.bundle.card import Card, Row
from drivetrain.bundle.golden import Golden
from drivetrain.bundle.manifest import Manifest
from drivetrain.collab.model import CollabModel


def card_of(
    manifest: Manifest,
    record: Mapping[str, Any],
    model: CollabModel,
    *,
    title: str,
    golden: Golden,
    with_history: bool,
) -> tuple[str, dict[str, Any]]:
    """`README.md` and `config.json`."""
    results = record["results"]
    figures = _numbers(results.get("metrics", {}).get("valid", {}))
    metric = next((name for name in ("rmse", "ndcg") if name in figures), "loss")
    what = "events" if model.rating is None else "ratings"
    counts = manifest.training["items"]
    usual = manifest.preprocessing["usual_unknown"]
    card = Card(
        title=title,
        purpose=(
            f"Predicts the {model.rating} that a user gives an item, and recommends items."
            if model.rating is not None
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
            "It knows the users and items it was trained on. For others it answers what a mean user, or "
            "a mean item, would get, and says that they are unknown: of the ratings measured "
            f"{usual:.0%} were such.",
            *(_CHOSEN if model.rating is not None else ()),
            "What is recommended is rated more, and what is rated more is recommended: a model that is "
            "trained on its own recommendations narrows.",
            _privacy(with_history),
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
        golden=(
            ("Pairs of the validation ratings, from the lowest rating to the highest.",)
            if golden.items
            else ()
        ),
        use=(
            "`drivetrain recommend THIS_FOLDER USER` lists what a user may like"
            + (
                ", without what they rated."
                if with_history
                else "; what they rated is not in this bundle, and has to be left out by name."
            ),
        ),
        files=_FILES | ({"golden/pairs.json": "golden pairs"} if golden.items else {}),
    )
    config = cards.config(
        architecture=manifest.architecture,
        classes=(),
        model_type="ratings",
        extra={"num_users": len(model.users) - 1, "num_items": len(model.items) - 1},
        model_class="DotProduct" if model.factors is not None else "RatingNet",
    )
    return cards.card_text(card), config


def _privacy(with_history: bool) -> str:
    if with_history:
        return (
            "It holds who rated what, and how, by the names in the ratings: personal data. Export with "
            "`with_history=False` where that may not travel."
        )
    return (
        "Who rated what is not in it; the users' names and the vectors learnt of what they rated are, "
        "and say something of it. No validation pair travels with it."
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

_FILES = {
    manifests.NAME: "what this bundle is, and the SHA-256 of everything else",
    manifests.WEIGHTS: "the vectors",
    manifests.CATALOGUE: "names, titles, how often and how items were rated; perhaps who rated what",
    manifests.GOLDEN: "golden examples",
    manifests.GOLDEN_TENSORS: "what was calculated for them",
    manifests.CONFIG: "for the Hub",
}
