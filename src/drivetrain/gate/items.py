"""What is asked of items of any kind: are they there twice, are they labelled alike, can they be read.

Functions of the common answer on duplicates (`clean.duplicates.Duplicates`), of labels, and of counts.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from drivetrain.clean.duplicates import Duplicates
from drivetrain.data.items import Quarantined
from drivetrain.gate.findings import MOST_ITEMS, Finding
from drivetrain.gate.worth import Worth
from drivetrain.interpret import text

MANY_ACROSS = 0.01
"""Share of validation items that training has too, from which on the score is not to be trusted."""
MANY_TORN = 0.005
"""Share of the items that contradict one another, from which on it wants a decision."""
FEWEST_ACROSS = 2
"""Of them that it takes: one is an accident."""
MANY_UNREADABLE = 0.5
"""Share of the items that cannot be used, from which on the others may not stand for all."""
RARE_CLASS = 10
"""Training items of a class, below which it can hardly be learnt."""
MOSTLY = 0.9
"""Share of the items in one class from which on a guess is nearly always right."""
APART = {"valid": "validation", "test": "test", "train": "training"}

WorthOf = Callable[[np.ndarray], Worth | None]
"""Told the positions of copies, measures what they add to the score of a simple model."""


def duplicates_across(
    found: Duplicates, *, what: str, worth: WorthOf | None = None
) -> Iterator[Finding]:
    """Items of validation, and of the test, whose like training has.

    Args:
        found: with parts.
        what: what the items are called, such as `pictures`.
        worth: measures it, for validation.
    """
    for asked in ("valid", "test"):
        copies = found.across("train", asked)
        total = sum(part == asked for part in found.parts)
        if not len(copies):
            continue
        exact = _exact(found, copies)
        yield Finding(
            "duplicates-across",
            "critical" if len(copies) >= max(FEWEST_ACROSS, MANY_ACROSS * total) else "warning",
            f"{len(copies):,} of {total:,} {APART[asked]} {what} ({text.share(len(copies), total)}) are "
            f"in training too: {exact:,} the same, {len(copies) - exact:,} nearly. Their answers are "
            "known before they are asked for.",
            f"train, {asked}",
            "leave them out of training, or of both; or split so that the same ones stay together.",
            "You say that what the model will be used on is repeated like this as well.",
            items=_beside(found, copies),
            count=len(copies),
            subject="" if asked == "valid" else asked,
            worth=worth(copies) if worth is not None and asked == "valid" else None,
        )


def duplicates_within(found: Duplicates, *, what: str) -> Iterator[Finding]:
    """Items that repeat an earlier one of the same part."""
    for part in [name for name in ("train", "valid", "test") if name in found.parts]:
        again = found.within(part)
        total = sum(one == part for one in found.parts)
        if len(again):
            yield Finding(
                "duplicates-within",
                "warning" if len(again) >= MANY_ACROSS * total else "note",
                f"{len(again):,} of {total:,} {APART[part]} {what} ({text.share(len(again), total)}) "
                f"repeat an earlier one: {_exact(found, again):,} the same, "
                f"{len(again) - _exact(found, again):,} nearly. Each counts as often as it is there.",
                part,
                "keep one of each, unless they are there as often as in real life.",
                "You say that they are there as often as in real life.",
                items=_beside(found, again),
                count=len(again),
                subject=part,
            )


def label_conflicts(
    groups: Iterable[Sequence[int]], labels: Sequence[str], ids: Sequence[str], *, what: str
) -> Iterator[Finding]:
    """Items that are the same, or nearly, and have different labels.

    Args:
        groups: positions of items that are one.
        labels: (N,) by position; an empty one is none.
    """
    torn = [one for one in groups if len({labels[at] for at in one if labels[at]}) > 1]
    if not torn:
        return
    count = sum(map(len, torn))
    total = sum(bool(label) for label in labels)
    yield Finding(
        "label-conflict",
        "warning" if count >= MANY_TORN * total else "note",
        f"{count:,} of {total:,} {what} ({text.share(count, total)}) are the same as another, or nearly, "
        f"and labelled differently, in {_groups(len(torn))}: no model can be right on all of them.",
        "labels",
        "look at them and put the labels right, or leave them out.",
        "You say that the same thing may have either label.",
        items=tuple(
            " = ".join(f"{ids[at]} ({labels[at]})" for at in _unlike(group, labels)[:3])
            for group in torn[:MOST_ITEMS]
        ),
        count=len(torn),
    )


def _unlike(group: Sequence[int], labels: Sequence[str]) -> list[int]:
    """The group with one of each label first: the first few are to show that they differ."""
    first = {labels[at]: at for at in reversed(group) if labels[at]}
    ahead = [at for at in group if first.get(labels[at]) == at]
    return [*ahead, *(at for at in group if at not in ahead)]


def unreadable(quarantined: Sequence[Quarantined], total: int, *, what: str) -> Iterator[Finding]:
    """Items that were set aside.

    Args:
        total: items that can be used.
    """
    if not quarantined:
        return
    share = len(quarantined) / (len(quarantined) + total)
    reasons = Counter(entry.reason for entry in quarantined).most_common()
    yield Finding(
        "unreadable",
        "critical" if share >= MANY_UNREADABLE else "warning",
        f"{len(quarantined):,} {what} ({text.share(share, 1)}) cannot be used: "
        f"{text.listed([f'{count:,} {reason}' for reason, count in reasons])}.",
        "source",
        "put them right or take them away; a training sets them aside by name.",
        "You say that those which are left stand for all.",
        items=tuple(f"{entry.id}: {entry.detail}" for entry in quarantined[:MOST_ITEMS]),
        count=len(quarantined),
    )


def imbalance(
    labels: Sequence[str], parts: Sequence[str], *, what: str, target: str = ""
) -> Iterator[Finding]:
    """Classes that are hardly there, or are nearly all, or are not asked about in validation.

    Args:
        labels: (N,); of parts that are sealed they are not looked at.
        parts: (N,) of each.
        target: which of several targets the labels are of.
    """
    of = f" of {target}" if target else ""
    train = Counter(label for label, part in zip(labels, parts, strict=True) if part == "train")
    valid = Counter(label for label, part in zip(labels, parts, strict=True) if part == "valid")
    total = sum(train.values())
    if not total:
        return
    most, count = max(train.items(), key=lambda one: (one[1], one[0]))
    if len(train) > 1 and count >= MOSTLY * total:
        yield Finding(
            "imbalance",
            "warning",
            f"{text.share(count, total)} of the training {what} are {most!r}, so a guess is right that "
            "often.",
            f"class {most}{of}",
            "look at more than accuracy: recall of each class, or the area under a curve.",
            "You say that the score heeds the small classes.",
            count=count,
            subject=f"one class{of}",
        )
    rare = sorted((n, name) for name, n in train.items() if n < RARE_CLASS)
    if rare and total >= RARE_CLASS * len(train):
        yield Finding(
            "imbalance",
            "warning",
            f"{len(rare):,} of {len(train):,} classes{of} have fewer than {RARE_CLASS} training {what}: "
            "hardly enough to learn from.",
            "train",
            "collect more of them, or put small classes together.",
            "You say that these classes matter little.",
            items=tuple(f"{name} ({n})" for n, name in rare[:MOST_ITEMS]),
            count=len(rare),
            subject=f"rare classes{of}",
        )
    absent = sorted(set(train) - set(valid))
    if absent and valid:
        yield Finding(
            "imbalance",
            "warning",
            f"{len(absent):,} of {len(train):,} classes{of} have no validation {what}: how well they "
            "were learnt is not measured.",
            "valid",
            "validate on some of each class.",
            "You say that these classes matter little.",
            items=tuple(absent[:MOST_ITEMS]),
            count=len(absent),
            subject=f"not validated{of}",
        )


def alike_classes(
    labels: Sequence[str], parts: Sequence[str], *, what: str, target: str = ""
) -> Iterator[Finding]:
    """Classes whose names differ by case, blanks or the form of a number alone, such as 'Yes' and 'yes'.

    Args:
        labels: (N,); of parts that are sealed they are not looked at. Empty ones are none.
        parts: (N,) of each.
        what: what the items are called, such as `pictures`.
        target: of which the labels are, where there are several.
    """
    counts = Counter(
        label
        for label, part in zip(labels, parts, strict=True)
        if label and part in ("train", "valid")
    )
    forms: dict[str, list[str]] = {}
    for name in sorted(counts):
        forms.setdefault(_form(name), []).append(name)
    alike = [names for names in forms.values() if len(names) > 1]
    if not alike:
        return
    told = [" and ".join(f"{name!r} ({counts[name]:,})" for name in names) for names in alike]
    which = "1 class has" if len(alike) == 1 else f"{len(alike):,} classes have"
    yield Finding(
        "classes-alike",
        "warning",
        f"{which} several names that differ by how they are written alone: {told[0]} {what}. Each is "
        "learnt as a class of its own.",
        f"labels of {target!r}" if target else "labels",
        "write them alike in the source where they are one class.",
        "You say that they are different classes.",
        items=tuple(told[:MOST_ITEMS]),
        count=sum(map(len, alike)),
        subject=target,
    )


def _form(name: str) -> str:
    """What is left of a name when case, blanks, hyphens and the spelling of numbers do not count."""
    plain = unicodedata.normalize("NFKC", name).strip()
    try:
        return str(float(plain))
    except ValueError:
        pass
    if len(plain) == 1:  # 'a' and 'A' are letters
        return plain
    return re.sub(r"[\s_-]+(?=\w)", " ", plain.casefold())


def _groups(count: int) -> str:
    return "1 group" if count == 1 else f"{count:,} groups"


def _exact(found: Duplicates, positions: np.ndarray) -> int:
    """How many of the items are the same as another, and not only nearly."""
    same = found.found.exact
    named = np.concatenate([found.found.first[same], found.found.second[same]])
    return int(np.isin(positions, named).sum())


def _beside(found: Duplicates, positions: np.ndarray) -> tuple[str, ...]:
    """Names of items, each with one that it repeats: an earlier one of its group."""
    heads = found.group_of
    shown = []
    for at in positions[:MOST_ITEMS].tolist():
        others = np.flatnonzero(heads == heads[at])
        if found.parts and found.parts[at] != "train":  # what matters is the one in training
            others = [o for o in others.tolist() if found.parts[o] == "train"] or others
        other = next(int(o) for o in others if int(o) != at)
        shown.append(f"{found.ids[at]} = {found.ids[other]}")
    return tuple(shown)
