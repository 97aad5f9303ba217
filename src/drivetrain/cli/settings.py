"""The settings of `drivetrain train`: names, kinds and limits, checked before any picture is opened.

`--set key=value` reads the value as JSON where it is JSON (`0.1`, `false`, `{"rotate": 20}`), else as the
word that it is; nothing is ever evaluated.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import click

from drivetrain._registry import did_you_mean


class _Either(click.ParamType):
    """The first kind that takes the value."""

    def __init__(self, name: str, *kinds: type) -> None:
        self.name = name
        self.kinds = kinds

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The value itself, when it is of one of the kinds; `[a, b]`, whose quotes a shell took."""
        if isinstance(value, str) and str not in self.kinds and list in self.kinds:
            value = _listed(value)
        if isinstance(value, self.kinds):
            return value
        return self.fail(f"{value!r} is not {self.name}.", param, ctx)


def _whole(*, low: int) -> click.IntRange:
    kind = click.IntRange(min=low)
    kind.name = "whole number"  # click says "integer range", in its messages too
    return kind


def _number(**limits: Any) -> click.FloatRange:
    kind = click.FloatRange(**limits)
    kind.name = "number"
    return kind


class _ShareOrDate(click.ParamType):
    """A share of the rows, or a date from which on they validate."""

    name = "share"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | str:
        """The share as a number; a date as it is written."""
        text = str(value).strip()
        if re.match(r"\d{4}-\d\d", text):
            return text
        try:
            share = float(text)
        except ValueError:
            share = 0.0
        if not 0 < share < 1:
            return self.fail(
                f"{text!r} is not a share between 0 and 1 such as 0.2, nor a date such as 2012-04-01.",
                param,
                ctx,
            )
        return share


class _ShareOrPath(click.ParamType):
    """A share of the items, or where items of their own lie."""

    name = "share or file"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | str:
        """The share as a number; a path as it is written."""
        text = str(value).strip()
        try:
            share = float(text)
        except ValueError:
            return text
        if not 0 < share < 1:
            return self.fail(
                f"{text!r} is not a share between 0 and 1 such as 0.2, nor a file.", param, ctx
            )
        return share


TEST = _ShareOrPath()
SEED = _whole(low=0)
_COUNT = _whole(low=1)
_SHARE = _number(min=0, max=1, min_open=True, max_open=True)
_WORD = _Either("a text", str)
_ABOVE_0 = _number(min=0, min_open=True)

DATA: dict[str, click.ParamType] = {
    "size": _COUNT,
    "resize": click.Choice(["crop", "squish", "pad"]),
    "valid": _SHARE,
    "test": TEST,
    "patch": _WORD,
    "split_seed": SEED,
    "num_workers": _whole(low=0),
    "cache_bytes": _whole(low=0),
}
"""Settings of the data, whatever the source."""

CSV: dict[str, click.ParamType] = {
    "path_column": _WORD,
    "label_column": _WORD,
    "part_column": _WORD,
    "targets": _Either('a list of columns such as ["disease", "variety"]', list),
    "folder": _WORD,
}
"""Settings of a CSV source."""

NAMES: dict[str, click.ParamType] = {"pattern": _WORD}
"""Settings of a source whose file names hold the labels."""

LEARNER: dict[str, click.ParamType] = {
    "model": _WORD,
    "pretrained": _Either("true, false, or the path of a safetensors file", bool, str),
    "augment": _Either('true, false, or an object such as {"rotate": 20}', bool, dict),
    "loss_fn": _WORD,
    "optimizer": _WORD,
    "batch_size": _COUNT,
    "lr": _ABOVE_0,
    "weight_decay": _number(min=0),
    "dropout": _number(min=0, max=1, max_open=True),
    "num_threads": _COUNT,
    "epochs": _COUNT,
    "minutes": _ABOVE_0,
    "fraction": _number(min=0, max=1, min_open=True),
    "target_weights": _Either('an object such as {"variety": 0.5}', dict),
}
"""Settings of the model and its training."""

TABLE_SPLITS = ("stratified", "random", "time", "group")
TABLE: dict[str, click.ParamType] = {
    "valid": _ShareOrDate(),
    "test": TEST,
    "patch": _WORD,
    "split": click.Choice(TABLE_SPLITS),
    "split_seed": SEED,
    "because": _WORD,
    "time": _WORD,
    "groups": _WORD,
    "target_kind": click.Choice(["class", "number"]),
    "log_target": _Either("true or false", bool),
    "fill": click.Choice(["median", "mode", "constant"]),
    "constant": _number(),
    "scale": click.Choice(["standard", "max"]),
    "unseen": click.Choice(["missing", "mode", "error"]),
    "log": _Either("a list of columns", list),
    "levels": _Either('an object such as {"size": ["S", "M", "L"]}', dict),
    "rare": _COUNT,
    "delimiter": _WORD,
    "encoding": _WORD,
    "stream": _Either("true or false", bool),
    "sample_rows": _COUNT,
}
"""Settings of a table, whatever is trained on it."""

NET: dict[str, click.ParamType] = {
    "layers": _Either("a list such as [200, 100]", list),
    "y_range": _Either("a pair such as [0, 10], or false", list, bool),
    "embedding_dropout": _number(min=0, max=1, max_open=True),
    **{
        name: LEARNER[name]
        for name in (
            *("loss_fn", "optimizer", "batch_size", "lr", "weight_decay", "dropout"),
            *("num_threads", "epochs"),
        )
    },
}
"""Settings of a net for tables and its training."""

TREES: dict[str, click.ParamType] = {
    "num_trees": _COUNT,
    "min_samples_leaf": _COUNT,
    "max_leaf_nodes": _COUNT,
    "max_depth": _COUNT,
    "max_features": _Either("a share of the columns, or 'sqrt'", float, str),
    "max_samples": _Either("a share or a number of rows", float, int),
    "learning_rate": _ABOVE_0,
    "num_leaves": _COUNT,
    "library": click.Choice(["lightgbm", "scikit-learn"]),
    "penalty": _ABOVE_0,
}
"""Settings of trees, forests, boosting and linear models."""

PICTURES: dict[str, click.ParamType] = {**DATA, **CSV, **NAMES, **LEARNER}
TABLES: dict[str, click.ParamType] = {
    **TABLE,
    **NET,
    **TREES,
    "label_column": _WORD,
    "model": _WORD,
    "minutes": _ABOVE_0,
}

TEXT_DATA: dict[str, click.ParamType] = {
    "text_columns": _Either("a column, or a list of them", str, list, tuple),
    "compose": _WORD,
    "target_kind": click.Choice(["class", "number", "labels"]),
    "separator": _WORD,
    "valid": _ShareOrDate(),
    "test": TEST,
    "patch": _WORD,
    "split": TABLE["split"],
    "split_seed": SEED,
    "group": _WORD,
    "time": _WORD,
    "split_column": _WORD,
    "tokens": _Either('word, char, bpe, unigram, or an object such as {"kind": "bpe"}', str, dict),
    "delimiter": _WORD,
    "encoding": _WORD,
}
"""Settings of texts, whatever is trained on them."""

TEXT_LEARNER: dict[str, click.ParamType] = {
    "encoder": _WORD,
    "max_len": _COUNT,
    "seq_len": _COUNT,
    "drop_mult": _number(min=0),
    "sizes": _Either('an object such as {"embedding_dim": 100}', dict),
    **{
        name: LEARNER[name]
        for name in (
            *("loss_fn", "optimizer", "batch_size", "lr", "weight_decay"),
            *("num_threads", "epochs"),
        )
    },
}
"""Settings of a model of texts and its training."""

TEXTS: dict[str, click.ParamType] = {**TEXT_DATA, **TEXT_LEARNER}

RATING_SPLITS = ("random", "time", "last", "cold_users", "cold_items")
RATING_DATA: dict[str, click.ParamType] = {
    "user": _WORD,
    "item": _WORD,
    "rating": _WORD,
    "time": _WORD,
    "titles": _WORD,
    "user_facts": _WORD,
    "item_facts": _WORD,
    "split": click.Choice(RATING_SPLITS),
    "split_seed": SEED,
    "valid": _ShareOrDate(),
    "test": TEST,
    "rating_range": _Either("a pair such as [1, 5]", list),
    "duplicates": click.Choice(["last", "first", "mean"]),
    "delimiter": _WORD,
    "encoding": _WORD,
}
"""Settings of ratings, whatever is trained on them."""

RATING_LEARNER: dict[str, click.ParamType] = {
    "num_factors": _COUNT,
    "batch_norm": _Either("true or false", bool),
    **{name: NET[name] for name in ("layers", "y_range")},
    **{
        name: LEARNER[name]
        for name in (
            *("loss_fn", "optimizer", "batch_size", "lr", "weight_decay", "dropout"),
            *("num_threads", "epochs"),
        )
    },
}
"""Settings of a model of ratings and its training."""

RATINGS: dict[str, click.ParamType] = {**RATING_DATA, **RATING_LEARNER}
SPLITS = click.Choice(
    [*TABLE_SPLITS, *(name for name in RATING_SPLITS if name not in TABLE_SPLITS)]
)
"""Of a table or of ratings; each then takes its own."""
SETTINGS: dict[str, click.ParamType] = {
    **TABLES,
    **PICTURES,
    **TEXTS,
    **RATINGS,
    "valid": TABLE["valid"],
    "test": TEST,
    "split": SPLITS,
}


class Duration(click.ParamType):
    """`90s`, `2m`, `1.5h`, as minutes."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The minutes."""
        found = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*(s|m|min|h)", str(value).strip().lower())
        minutes = 0.0 if found is None else float(found[1]) * _MINUTES[found[2]]
        if minutes <= 0:
            return self.fail(
                f"{value!r} is not a time such as 90s, 2m or 1.5h, above 0.", param, ctx
            )
        return minutes


_MINUTES = {"s": 1 / 60, "m": 1.0, "min": 1.0, "h": 60.0}


def parse(pairs: tuple[str, ...]) -> dict[str, Any]:
    """`("size=128", "pretrained=false")` -> `{"size": 128, "pretrained": False}`.

    Raises: UsageError: a pair is none, names no setting, is given twice, or its value is out of range.
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        key = key.strip().replace("-", "_")
        if not equals or not key:
            raise click.UsageError(
                f"--set takes key=value, such as --set batch_size=32. Got '{pair}'."
            )
        if key not in SETTINGS:
            known = ", ".join(sorted(SETTINGS))
            raise click.UsageError(
                f"There is no setting '{key}'.{did_you_mean(key, SETTINGS)} Known: {known}."
            )
        if key in found:
            raise click.UsageError(f"--set {key} is given twice.")
        found[key] = _converted(key, text)
    return found


class CallbackRecord(click.ParamType):
    """`ema`, or `mixup:alpha=0.2` with options after a colon, as the record of a callback."""

    name = "callback"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, Any]:
        """`{"name": "mixup", "alpha": 0.2}`; whether there is such a callback is asked later."""
        name, _, options = str(value).partition(":")
        found: dict[str, Any] = {"name": name.strip().replace("-", "_")}
        for pair in options.split(",") if options else []:
            key, equals, text = pair.partition("=")
            if not equals or not key.strip():
                return self.fail(
                    f"{value!r} is not a callback such as ema or mixup:alpha=0.2.", param, ctx
                )
            found[key.strip().replace("-", "_")] = _plain(text)
        return found


def merge(options: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Options that were given, together with `--set`.

    Raises: UsageError: one is given both ways.
    """
    given = {name: value for name, value in options.items() if value is not None}
    for name in given:
        if name in settings:
            raise click.UsageError(f"'{name}' is given twice: by --set and by its own option.")
    return {**given, **settings}


def take(given: Mapping[str, Any], *tables: Mapping[str, click.ParamType]) -> dict[str, Any]:
    """Those of the settings that are in one of the tables."""
    return {name: value for name, value in given.items() if any(name in table for table in tables)}


def _converted(key: str, text: str) -> Any:
    value = _plain(text)
    kind = SETTINGS[key]
    try:
        # click's numbers read text, and would take true for 1
        return kind.convert(value if isinstance(kind, _Either) else text, None, None)
    except click.BadParameter as error:
        raise click.UsageError(f"--set {key}: {error.message}") from None


def _listed(text: str) -> Any:
    inner = text.strip()
    if not (inner.startswith("[") and inner.endswith("]")):
        return text
    return [_plain(word.strip()) for word in inner[1:-1].split(",")]


def _plain(text: str) -> Any:
    """A value as JSON, or the word that it is."""
    try:
        return json.loads(text)
    except ValueError:
        return text
