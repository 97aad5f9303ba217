"""The model card: `README.md`, which the Hugging Face Hub shows, and `config.json`, which it reads.

The card says what a stranger needs before using a model: on what it was trained, how good it is beside
what guessing gives, what it cannot do, whose the weights are, and how to use it.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

KNOWN_LICENCES = frozenset(
    "apache-2.0 mit bsd-2-clause bsd-3-clause cc0-1.0 cc-by-4.0 cc-by-sa-4.0 cc-by-nc-4.0 "
    "cc-by-nc-sa-4.0 gpl-3.0 lgpl-3.0 openrail unknown other".split()
)
"""Of the Hub's identifiers those that weights of pictures' models come with."""


@dataclass(frozen=True)
class Row:
    """One line of the table of results."""

    name: str
    value: float
    """Of the card's `metric`."""
    interval: tuple[float, float] | None
    """95%; None where there is none."""


@dataclass(frozen=True)
class Card:
    """What the card says; texts are plain sentences."""

    title: str
    purpose: str
    """What it does, in a sentence."""
    pipeline: str
    """The Hub's name of the task, such as `image-classification`."""
    classes: Sequence[str]
    data: Sequence[str]
    """On what it was trained and measured."""
    results: Sequence[Row]
    """The model first, then what guessing gives; empty where it was not measured."""
    measured_on: str
    """The items behind the results, as words."""
    metrics: Mapping[str, float]
    """The model's other figures on the same items."""
    limits: Sequence[str]
    licence: str
    """The Hub's identifier, or the words that came with the weights."""
    licence_note: str
    """Whose weights they are."""
    preparation: str
    """How an input as people have it becomes the model's."""
    metric: str = "accuracy"
    """What `results` are in."""
    needs: str = "'drivetrain[predict]'"
    """What pip is to install."""
    golden: Sequence[str] = ()
    """What the examples are; empty where there are none."""
    use: Sequence[str] = ()
    """Further ways to use it, each a paragraph."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Name -> what it is."""


def card_text(card: Card) -> str:
    """The text of `README.md`: front matter, which is YAML, then Markdown."""
    parts = [
        _front_matter(card),
        f"# {_plain(card.title)}",
        _wrap(card.purpose),
        "## Results",
        _results(card),
        "## Data",
        _bullets(card.data),
        "## Known limits",
        _bullets(card.limits),
        "## How to use it",
        _USE.format(needs=card.needs),
        *map(_wrap, card.use),
        "## What an input goes through",
        _wrap(card.preparation),
    ]
    if card.golden:
        parts += ["## Golden examples", *map(_wrap, card.golden)]
    parts += [
        "## Files",
        "| file | what it is |\n|---|---|\n"
        + "\n".join(f"| `{name}` | {what} |" for name, what in card.files.items()),
        "## Licence",
        _wrap(card.licence_note),
    ]
    return "\n\n".join(parts) + "\n"


def config(
    *,
    architecture: Mapping[str, Any],
    classes: Sequence[str],
    model_type: str,
    extra: Mapping[str, Any],
    model_class: str = "PictureModel",
) -> dict[str, Any]:
    """`config.json` as the Hub reads it. Drivetrain itself reads `bundle.json` and never this file."""
    return {
        "architectures": [model_class],
        "model_type": model_type,
        "library_name": "drivetrain",
        "architecture": dict(architecture),
        "num_labels": len(classes),
        "id2label": {str(index): label for index, label in enumerate(classes)},
        "label2id": {label: index for index, label in enumerate(classes)},
        **extra,
    }


_USE = """```console
$ pip install {needs}
$ drivetrain verify THIS_FOLDER
$ drivetrain predict THIS_FOLDER INPUT...
```

`verify` holds every file against its SHA-256 and calculates the golden examples anew; run it once
on each machine before the answers count. Neither command runs any code from the folder."""


def _front_matter(card: Card) -> str:
    """YAML, in which every text is written as JSON writes it: no label can say more than its name."""
    licence = card.licence if card.licence in KNOWN_LICENCES else "other"
    lines = [
        "---",
        "library_name: drivetrain",
        f"pipeline_tag: {card.pipeline}",
        f"license: {licence}",
    ]
    if licence == "other":
        lines.append(f"license_name: {_quoted(card.licence)}")
    lines += ["tags:", "- drivetrain", f"- {card.pipeline}"]
    if card.results:
        lines += [
            "metrics:",
            f"- {card.metric}",
            "model-index:",
            f"- name: {_quoted(card.title)}",
            "  results:",
            "  - task:",
            f"      type: {card.pipeline}",
            "    dataset:",
            f"      name: {_quoted(card.title)}",
            "      type: private",
            "    metrics:",
            f"    - type: {card.metric}",
            f"      value: {_figure(card.results[0].value, 4)}",
        ]
    return "\n".join([*lines, "---"])


def _quoted(text: str) -> str:
    return json.dumps(text)


def _results(card: Card) -> str:
    if not card.results:
        return "It was not measured."
    rows = [f"| | {card.metric} | 95% interval |", "|---|---|---|"]
    for row in card.results:
        between = "" if row.interval is None else " to ".join(map(_figure, row.interval))
        rows.append(f"| {_plain(row.name)} | {_figure(row.value)} | {between} |")
    text = "\n".join(rows) + f"\n\n{_wrap(card.measured_on)}"
    if card.metrics:
        figures = ", ".join(
            f"{name.replace('_', ' ')} {_figure(value)}" for name, value in card.metrics.items()
        )
        text += f" Also: {figures}."
    return text


def _figure(value: float, digits: int = 3) -> str:
    """Three digits after the point, of large numbers fewer: 0.853, 12.31, 4,812."""
    if abs(value) < 10:
        return f"{value:.{digits}f}"
    return f"{value:,.{max(0, digits + 1 - len(str(int(abs(value)))))}f}"


def _bullets(sentences: Sequence[str]) -> str:
    return "\n".join(_filled(one, "- ", "  ") for one in sentences)


def _wrap(text: str) -> str:
    if "```" in text:
        return text
    return _filled(text)


def _filled(text: str, first: str = "", others: str = "") -> str:
    """Lines of 100 letters; a command between two ` stays on one of them."""
    whole = re.sub(r"`[^`]*`", lambda found: found[0].replace(" ", "\0"), _plain(text))
    filled = textwrap.fill(
        whole,
        100,
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return filled.replace("\0", " ")


def _plain(text: str) -> str:
    """Names of classes and folders are anybody's: no HTML, no pictures and no links come of them."""
    for sign in "<>[]|":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())
