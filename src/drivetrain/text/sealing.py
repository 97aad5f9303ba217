"""The sealed texts: a folder `test/`, a share drawn as validation is, or texts that lie elsewhere.

They are read when the data is gathered, since a table is one file, and hashed. No word of them reaches a
vocabulary, a goal or a baseline, which are all of the training texts alone, until a test opens them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drivetrain import metrics
from drivetrain.data.split import Split
from drivetrain.errors import ConfigError, DataError
from drivetrain.text.measure import prepared_metrics
from drivetrain.text.reading import Columns, Texts, read_folder, read_table
from drivetrain.train import sealed
from drivetrain.train.sealed import Opened, Seal

if TYPE_CHECKING:
    from drivetrain.text.data import TextData
    from drivetrain.text.model import TextModel


def check_test(test: Any, *, has_parts: bool, labelled: bool) -> None:
    """Raises: ConfigError: texts cannot be sealed so."""
    if not labelled:
        raise ConfigError(
            "`test` is for texts with labels: a language model is measured on `valid`."
        )
    if isinstance(test, str | os.PathLike):
        return
    if isinstance(test, bool) or not isinstance(test, int | float) or not 0 < test < 1:
        raise ConfigError(
            f"`test` is a share of the texts, between 0 and 1, or a file or folder of its own. Got "
            f"{test!r}."
        )
    if has_parts:
        raise ConfigError(
            "The source says itself which texts train, validate and are for a test, so `test` cannot "
            "draw among them. Give it a part test, or `test` as a file of its own."
        )


def split_without(
    found: Texts, sealed_rows: Sequence[int], split: Callable[[Texts], Split]
) -> Split:
    """The split of what is not sealed, with the sealed rows as its test part.

    Args:
        split: of the texts that it is given, by their positions.
    """
    apart = set(sealed_rows)
    rest = [row for row in range(len(found.texts)) if row not in apart]
    open_texts = replace(
        found,
        texts=[found.texts[row] for row in rest],
        ids=[found.ids[row] for row in rest],
        labels=[found.labels[row] for row in rest],
        columns={name: [values[row] for row in rest] for name, values in found.columns.items()},
    )
    inner = split(open_texts)
    train, valid = (tuple(rest[k] for k in part) for part in (inner.train, inner.valid))
    return Split(train, valid, tuple(sorted(apart)), inner.method)


def with_elsewhere(
    found: Texts, split: Split, path: str, columns: Columns | None, **reading: Any
) -> Split:
    """Append texts that lie elsewhere, and give the split that has them as its test part.

    Raises: DataError: there are none.
    """
    if not os.path.exists(path):
        raise DataError(f"`test`: {path} does not exist. Give a share, a file or a folder.")
    if Path(path).is_dir():
        more = read_folder(Path(path), labelled=True)
    elif columns is None:
        raise DataError(f"`test`: {path} is no folder, and the training texts are in one.")
    else:
        more, _ = read_table(
            path, text_columns=list(columns.texts), target=list(columns.target), **reading
        )
    parts = more.parts
    rows = [r for r in range(len(more.texts)) if parts is None or parts[r] == "test"]
    first = len(found.texts)
    found.texts += [more.texts[row] for row in rows]
    found.ids += [os.path.join(path, more.ids[row]) for row in rows]
    found.labels += [more.labels[row] for row in rows]
    return replace(split, test=tuple(range(first, len(found.texts))))


def seal_of(data: TextData) -> Seal | None:
    """What is known of the test part while it is closed; None where there is none."""
    if data.goal is None or not data.split.test:
        return None
    test = data.recipe.get("test")
    how = "the part test of the source"
    if isinstance(test, str):
        how = f"the texts in {os.path.basename(test)}"
    elif test is not None:
        how = f"{test:.4g} of the texts, {data.split.method}"
    return Seal(len(data.split.test), _fingerprint(data), how)


def opened(model: TextModel, data: TextData) -> Opened:
    """Measure a model on the sealed texts."""
    _, texts, targets = data.part("test")
    assert targets is not None, "only texts with targets are sealed"
    outputs = model.outputs(model.tokenizer.encode(texts))
    found, preds, true = prepared_metrics(model.goal, outputs, targets)
    values = {}
    for one in found:
        one.update(preds, true)
        values[one.name] = float(one.compute())
    return Opened(
        values, lambda at: metrics.interval_of(found[0], at), len(texts), _fingerprint(data)
    )


def _fingerprint(data: TextData) -> str:
    """Over texts and labels."""
    _, texts, _ = data.part("test")
    labels = [data.labels[row] for row in data.rows("test").tolist()]
    return sealed.fingerprint(
        json.dumps([text, label], default=sorted) for text, label in zip(texts, labels, strict=True)
    )
