"""What was decided for a table, as choices: each with its reason, and how to decide otherwise."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from drivetrain.data.frame import Frame
from drivetrain.tabular.columns.kinds import Schema
from drivetrain.tabular.data import USED
from drivetrain.tabular.preprocess import suggest_logs
from drivetrain.tabular.target import Target
from drivetrain.train.choice import Choices


def add_choices(
    choices: Choices,
    schema: Schema,
    target: Target,
    features: Sequence[str],
    options: Mapping[str, Any],
    train: Frame,
) -> None:
    """What is predicted, from which columns, how gaps are filled, and what a logarithm might help.

    Args:
        choices: to which they are added.
        schema: kinds of all columns.
        target: that is predicted.
        features: columns that models see.
        options: of `gather`.
        train: the training rows, dates expanded.
    """
    what = f"{len(target.classes)} classes" if target.kind == "class" else "number"
    choices.add("target", what, reason=target.reason, change="--set target_kind=class|number")
    kinds = [schema[name].kind for name in features]
    counted = ", ".join(f"{kinds.count(k)} {k}" for k in USED if kinds.count(k))
    unused = [c for c in schema.columns if c.kind not in USED and c.name not in target.names]
    left = "; ".join(f"'{c.name}' is {_article(c.kind)}" for c in unused[:4])
    more = f" and {len(unused) - 4} more" if len(unused) > 4 else ""
    choices.add(
        "columns",
        len(features),
        reason=counted + (f"; left out: {left}{more}" if unused else ""),
        change="--kind COLUMN=category, --drop COLUMN",
    )
    choices.add(
        "fill",
        options["fill"],
        reason="stands for missing numbers; where training has some, a column says which",
        change="--set fill=mode",
    )
    logs = suggest_logs(train)
    suggested = {name: skews for name, skews in logs.items() if name not in options["log"]}
    if suggested:
        name, (before, after) = next(iter(suggested.items()))
        others = f", and {len(suggested) - 1} more" if len(suggested) > 1 else ""
        choices.add(
            "log",
            options["log"] or "none",
            reason=f"'{name}' has a long tail (skew {before:.2f}; of its logarithm {after:.2f}){others}: "
            "a net or a linear model may gain",
            change=f"--set log={json.dumps(list(suggested))}",
        )


def add_streamed(choices: Choices, why: str, rows: int, sampled: int) -> None:
    """That a table is read batch by batch.

    Args:
        choices: to which it is added.
        why: a sentence; see `why_streamed`.
        rows: of the table.
        sampled: those of its sample.
    """
    choices.add(
        "stream",
        True,
        reason=f"{why}: rows are read batch by batch, a net learns from all of them, and whether one "
        "validates is decided of each by itself",
        change="--set stream=false",
    )
    choices.add(
        "sample_rows",
        sampled,
        reason=f"of {rows:,}: fill values, scales and all models but the net are learnt "
        "from them, and all are measured there; levels and classes are those of all training rows",
        change="--set sample_rows=N",
    )


def _article(kind: str) -> str:
    return {"id": "an id", "constant": "constant", "text": "text"}[kind]
