"""Two runs side by side: what was set differently, and what came of it.

A run's record is read, and nothing else: neither model nor data. What follows from another setting
(the weights, the seconds) is not listed as one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from drivetrain import metrics, store
from drivetrain.train.run import Run, check_form, is_own

SECTIONS = (
    *("task", "model", "data", "settings", "plan", "loss", "optimizer", "metrics", "callbacks"),
    *("seed", "num_threads", "device", "versions"),
)
"""Parts of a record that say how it was trained, in the order in which they are told."""

FOLLOWS = frozenset(
    {
        *("settings.initial_sha256", "data.seed", "task.classes"),
        *("settings.loss_fn", "settings.optimizer", "settings.metrics"),
    }
)
"""Entries that follow from others, or say them again."""

_FORM: Mapping[str, Any] = {"task": {"application": str}, "journal": list, "results": dict}


@dataclass(frozen=True)
class Difference:
    """A setting that the two runs have differently."""

    name: str
    """Such as `settings.batch_size`."""
    first: Any
    second: Any
    """Plain JSON; None where a run does not have it."""


@dataclass(frozen=True)
class Result:
    """A metric on the validation items of both."""

    name: str
    first: float | None
    second: float | None
    better: str
    """"first", "second", or "" where they are equal, one is missing, or no direction is known."""


@dataclass(frozen=True)
class RunDiff:
    """What is different between two runs."""

    first: str
    second: str
    same_data: bool
    """The items have the same fingerprint."""
    same_split: bool
    """The same items validate, so that results can be compared."""
    same_weights: bool
    settings: tuple[Difference, ...]
    results: tuple[Result, ...]
    intervals: tuple[tuple[float, float] | None, tuple[float, float] | None]
    """Of the main metric."""
    knows_data: bool = True
    """Whether the records say of what items they are: those of loaders of somebody's own do not."""

    @property
    def verdict(self) -> str:
        """What may be said of the two results."""
        if not self.knows_data:
            return (
                "Nothing is recorded of the items of loaders of your own: compare the results where both "
                "validate on the same ones."
            )
        if not (self.same_data and self.same_split):
            what = "data" if not self.same_data else "split"
            return (
                f"The {what} differ{'' if what == 'data' else 's'}: the results are of other items, and "
                "are not to be compared."
            )
        if self.same_weights:
            return "Both ended with the same weights."
        one, other = self.intervals
        if one is None or other is None:
            return "There is no interval to say whether the difference is more than chance."
        if one[0] <= other[1] and other[0] <= one[1]:
            return "The intervals overlap: the difference may be chance."
        return "The intervals do not overlap: the difference is more than chance."

    def to_json(self) -> dict[str, Any]:
        """All of it, plain."""
        return {
            "first": self.first,
            "second": self.second,
            "same_data": self.same_data,
            "same_split": self.same_split,
            "same_weights": self.same_weights,
            "settings": [vars(one) for one in self.settings],
            "results": [vars(one) for one in self.results],
            "intervals": [None if ends is None else list(ends) for ends in self.intervals],
            "verdict": self.verdict,
        }


def diff_runs(first: store.StrPath, second: store.StrPath) -> RunDiff:
    """Compare two runs by their records.

    Raises: RunError: one of them is no run, or its record is damaged.
    """
    runs = [Run.open(first), Run.open(second)]
    records = [run.read() for run in runs]
    for run, record in zip(runs, records, strict=True):
        left = {"journal"} if "board" in record else {"task"} if is_own(record) else set()
        form = {name: kind for name, kind in _FORM.items() if name not in left}
        check_form(record, form, run.folder / "run.json")
    one, other = records
    knows_data = not any(map(is_own, records))
    splits = [run.read_split() for run in runs] if knows_data else [{}, {}]
    fingerprints = {record.get("fingerprint") for record in records}
    same_data = len(fingerprints) == 1 and None not in fingerprints
    same_split = knows_data and all(
        splits[0].get(part) == splits[1].get(part) for part in ("train", "valid")
    )
    return RunDiff(
        first=str(first),
        second=str(second),
        same_data=same_data,
        same_split=same_split,
        same_weights=_weights(one) is not None and _weights(one) == _weights(other),
        settings=tuple(_settings(one, other)),
        results=tuple(_results(one, other, of_same=(same_data and same_split) or not knows_data)),
        intervals=(_interval(one), _interval(other)),
        knows_data=knows_data,
    )


def _settings(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[Difference]:
    for section in SECTIONS:
        yield from _apart(section, one.get(section), other.get(section))
    yield from _apart("stages", _stages(one), _stages(other))


def _apart(name: str, one: Any, other: Any) -> Iterator[Difference]:
    """The entries in which two values differ, each by its whole name."""
    if name in FOLLOWS or one == other:
        return
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in dict.fromkeys([*one, *other]):
            yield from _apart(f"{name}.{key}", one.get(key), other.get(key))
    else:
        yield Difference(name, one, other)


def _stages(record: Mapping[str, Any]) -> list[str]:
    """The calls that trained, as one would write them."""
    found = []
    for stage in record.get("journal", []):
        rates = stage.get("lrs") or []
        rate = max(rates) if rates else None
        epochs = stage.get("epochs")
        told = [str(part) for part in (epochs, rate) if part is not None]
        found.append(f"{stage.get('call', stage.get('kind'))}({', '.join(told)})")
    return found


def _results(
    one: Mapping[str, Any], other: Mapping[str, Any], *, of_same: bool
) -> Iterator[Result]:
    """Each number of both; which is better is said where they are of the same items, and one loss."""
    found = [_numbers(record["results"].get("metrics", {}).get("valid")) for record in (one, other)]
    for name in dict.fromkeys([*found[0], *found[1]]):
        a, b = found[0].get(name), found[1].get(name)
        comparable = of_same and (name != "loss" or one.get("loss") == other.get("loss"))
        yield Result(name, a, b, _better(name, a, b) if comparable else "")


def _numbers(value: Any) -> dict[str, float]:
    if not isinstance(value, Mapping):
        return {}
    return {name: float(v) for name, v in value.items() if isinstance(v, int | float)}


def _better(name: str, a: float | None, b: float | None) -> str:
    if a is None or b is None or a == b:
        return ""
    if name == "loss":
        rises = False
    elif name in metrics.METRICS:
        rises = bool(getattr(metrics.METRICS[name], "higher_is_better", True))
    else:
        return ""
    return "first" if (a > b) == rises else "second"


def _interval(record: Mapping[str, Any]) -> tuple[float, float] | None:
    ends: Any = record["results"].get("interval")
    if isinstance(ends, Sequence) and len(ends) == 2 and None not in ends:
        return float(ends[0]), float(ends[1])
    return None


def _weights(record: Mapping[str, Any]) -> str | None:
    return record["results"].get("weights_sha256")
