"""The sealed test part: opened on purpose, and every look at it is counted.

    seal     what is known of the part while it is closed: how many items, and their fingerprint
    open     the application reads and measures it, `Opened`
    look     the look is written down; what is answered depends on how many there were, `TestResult`

A look is a line in two journals that are only ever appended to, before anything is answered: in the run,
`looks.jsonl`, which goes with every copy of it, and in `$XDG_STATE_HOME/drivetrain/looks.jsonl` (else
below `~/.local/state`), which all runs of a person share. Looks belong to the data's fingerprint:
another run, a copied run, or a run that was thrown away counts as much as this one.

**The interval at look k has the confidence 1 - 0.05 / k.** Whoever measures k models on the same items
and keeps the best is flattered; intervals at 1 - a / k hold for all k together with probability 1 - a
at least (Bonferroni's inequality; Dunn 1961, doi:10.1080/01621459.1961.10482090), so also for the best.
That is true of models that were chosen before the looks. Of models that were changed *because of* a
look no interval is sure (Dwork et al. 2015, doi:10.1126/science.aaa9375): then only new items help.
"""

from __future__ import annotations

import datetime
import hashlib
import os
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from torch import Tensor

from drivetrain import store
from drivetrain.errors import ConfigError, DataError, RunError
from drivetrain.train.run import Run, said_as_damage

if TYPE_CHECKING:
    from drivetrain.train.learner import Learner

LOOKS = "looks.jsonl"
"""The journal's name, in a run and in the user's state folder."""

RISK = 0.05
"""How often one of the intervals of all looks may miss."""

SHARES = frozenset({"accuracy", "binary_accuracy", "error_rate", "f1"})
"""Metrics that are read as percentages."""

HOW = (
    "train with --test 0.2 (a share, drawn before anything is learnt), with --test FILE, or with a "
    "folder test/ beside train/."
)

Interval = tuple[float, float]
Model = TypeVar("Model")
Items = TypeVar("Items")


@dataclass(frozen=True)
class Seal:
    """What is known of a test part while it is closed."""

    count: int
    """Items."""
    fingerprint: str
    """SHA-256 of what they hold, labels and all; see `fingerprint`."""
    how: str
    """How they were chosen, in words."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON: `{count, fingerprint, how}`."""
        return {"count": self.count, "fingerprint": self.fingerprint, "how": self.how}

    @classmethod
    def from_json(cls, record: Any, path: Path) -> Seal:
        """The seal that `to_json` gave.

        Raises: RunError: it is something else; `path` is named.
        """
        kinds = {"count": int, "fingerprint": str, "how": str}
        if not isinstance(record, Mapping) or any(
            not isinstance(record.get(name), kind) for name, kind in kinds.items()
        ):
            raise RunError(
                f"{path} cannot be used: its 'sealed' is not what it has to be. Restore it from a copy."
            )
        return cls(record["count"], record["fingerprint"], record["how"])


@dataclass(frozen=True)
class Opened:
    """A test part that was read and measured, before the look is counted."""

    metrics: dict[str, float]
    """By name; the first is the one that counts."""
    interval: Callable[[float], Interval | None]
    """Of the first metric, at a confidence: the metric's own."""
    count: int
    """Items that were measured."""
    fingerprint: str
    """Of all items, as `Seal.fingerprint`."""
    left_out: int = 0
    """Items that cannot be measured: unreadable, or of a class that training does not have."""


@dataclass(frozen=True)
class TestResult:
    """What a look at the sealed items said; printable."""

    __test__ = False  # pytest would take the name for a class of tests

    run: str | None
    """The run's folder; None where the Learner has none."""
    metrics: dict[str, float]
    interval: Interval | None
    """Of the first metric, at `confidence`."""
    confidence: float
    look: int
    """Which look at these items it was, counted from 1, over all runs."""
    runs: tuple[str, ...]
    """Whose looks came before, oldest first."""
    next_interval: Interval | None
    """What the same figures would be worth at the look after this one."""
    next_confidence: float
    items: int
    left_out: int
    fingerprint: str

    @property
    def primary(self) -> str:
        """The metric that counts."""
        return next(iter(self.metrics))

    @property
    def value(self) -> float:
        """Of the first metric."""
        return self.metrics[self.primary]

    @property
    def warning(self) -> str | None:
        """What to think of a look that is not the first; None at the first."""
        if self.look == 1:
            return None
        before = sorted(set(self.runs))
        shown = ", ".join(before[:3]) + (f" and {len(before) - 3} more" if len(before) > 3 else "")
        return (
            f"This was look {self.look} at the same sealed items (before: {shown}). Each look may pick "
            f"what is only luck: the interval is at {_percent(self.confidence)} so that it holds for all "
            f"{self.look} together. If this model was changed because of a look, even that is too "
            "narrow: measure it on new items."
        )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "run": self.run,
            "metrics": {"test": self.metrics},
            "metric": self.primary,
            "interval": None if self.interval is None else list(self.interval),
            "confidence": self.confidence,
            "look": self.look,
            "looks_before": list(self.runs),
            "next_look": {
                "interval": None if self.next_interval is None else list(self.next_interval),
                "confidence": self.next_confidence,
            },
            "items": self.items,
            "left_out": self.left_out,
            "fingerprint": self.fingerprint,
            "warning": self.warning,
        }

    def __str__(self) -> str:
        name = self.primary.replace("_", " ")
        said = _between(self.interval, self.confidence, self.primary)
        lines = [
            f"{name} {_shown(self.value, self.primary)} on {self.items:,} sealed items; {said}"
        ]
        others = [f"{k.replace('_', ' ')} {_shown(v, k)}" for k, v in self.metrics.items()][1:]
        if others:
            lines.append("  also: " + ", ".join(others))
        if self.left_out:
            lines.append(f"  {self.left_out:,} sealed items could not be measured")
        lines.append(
            f"look {self.look} at these items; a look after this one would be given "
            + _between(self.next_interval, self.next_confidence, self.primary)
        )
        if self.warning is not None:
            lines.append(f"warning: {self.warning}")
        return "\n".join(lines)


def fingerprint(items: Iterable[str]) -> str:
    """SHA-256 over the items' own hashes, whatever their order and their names.

    Args:
        items: of each item a text that tells its content and its label.
    """
    digest = hashlib.sha256()
    for one in sorted(hashlib.sha256(i.encode("utf-8", "surrogatepass")).digest() for i in items):
        digest.update(one)
    return digest.hexdigest()


def confidence_at(look: int) -> float:
    """Of the interval at a look, counted from 1: 1 - 0.05 / look.

    >>> [round(confidence_at(k), 4) for k in (1, 2, 10)]
    [0.95, 0.975, 0.995]
    """
    return 1 - RISK / look


def sealed_record(seal: Seal | None) -> dict[str, Any]:
    """What `run.json` says of a test part: nothing where there is none."""
    return {} if seal is None else {"sealed": seal.to_json()}


def test(learner: Learner) -> TestResult:
    """Open the test part of a Learner's data, write the look down, and say what was found.

    Raises: ConfigError: nothing was sealed. DataError: the items are no longer those that were sealed.
        StorageError: the look cannot be written down; then nothing is said either.
    """
    application: Any = learner.application
    opens = getattr(application, "open_sealed", None)
    seal = None if opens is None else application.seal()
    if opens is None or seal is None:
        raise ConfigError(f"Nothing was sealed for a test. To have a test part, {HOW}")
    return look(
        seal,
        lambda: opens(learner),
        run=None if learner.run is None else learner.run.folder,
        weights=store.weights_sha256(learner.model.state_dict()),
    )


def test_run(
    folder: store.StrPath,
    *,
    load: Callable[[store.StrPath], Model],
    gather: Callable[[Mapping[str, Any]], Items],
    measure: Callable[[Model, Items], Opened],
    weights: Callable[[Model], Mapping[str, Tensor]],
) -> TestResult:
    """Open the test part of a finished run, write the look down, and say what was found.

    Args:
        folder: of the run.
        load: its model.
        gather: the items, by their recipe.
        measure: the model on the sealed items.
        weights: of the model.

    Raises: RunError: no run, or nothing was sealed. DataError: the items are gone or have changed.
        StorageError: the look cannot be written down; then nothing is said either.
    """
    run = Run.open(folder)
    seal, record, model = seal_of(run), run.read(), load(folder)
    with said_as_damage(run.folder / "run.json"):
        items = gather(record["data"])
    return look(
        seal,
        lambda: measure(model, items),
        run=run.folder,
        weights=store.weights_sha256(weights(model)),
    )


def seal_of(run: Run) -> Seal:
    """What a run says of its test part.

    Raises: RunError: it has none, or it is not finished.
    """
    said = run.read().get("sealed")
    if said is None:
        raise RunError(f"{run.folder} has no sealed test part. To have one, {HOW}")
    run.read_finished()
    return Seal.from_json(said, run.folder / "run.json")


def look(seal: Seal, opens: Callable[[], Opened], *, run: Path | None, weights: str) -> TestResult:
    """Open a test part, write the look down in both journals, and answer.

    Args:
        seal: what was sealed.
        opens: reads and measures the items.
        run: the run's folder, where there is one.
        weights: SHA-256 of the model that is measured.

    Raises: as `test`.
    """
    opened = opens()
    if opened.fingerprint != seal.fingerprint:
        raise DataError(
            f"The test part is not the one that was sealed: its {seal.count:,} items ({seal.how}) have "
            "changed, gone or been added to. Put them back; a test of other items is `evaluate`."
        )
    line = {
        "id": uuid.uuid4().hex,
        "fingerprint": seal.fingerprint,
        "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "run": None if run is None else str(run.resolve()),
        "weights_sha256": weights,
        "items": opened.count,
    }
    before = _write_down(line, run)
    number = len(before) + 1
    now, later = confidence_at(number), confidence_at(number + 1)
    return TestResult(
        run=None if run is None else str(run),
        metrics=opened.metrics,
        interval=opened.interval(now),
        confidence=now,
        look=number,
        runs=tuple(str(one.get("run") or "a Learner without a run") for one in before),
        next_interval=opened.interval(later),
        next_confidence=later,
        items=opened.count,
        left_out=opened.left_out,
        fingerprint=seal.fingerprint,
    )


def looks(seal: Seal, run: Path | None = None) -> list[dict[str, Any]]:
    """The looks at a test part that are known here, oldest first; nothing is opened.

    Args:
        run: whose own journal is read as well.
    """
    found: dict[str, dict[str, Any]] = {}
    for path in _journals(run):
        for line in store.read_lines(path) if path.exists() else ():
            if line.get("fingerprint") == seal.fingerprint:
                found.setdefault(str(line.get("id")), line)
    return sorted(found.values(), key=lambda line: str(line.get("at")))


def _write_down(line: Mapping[str, Any], run: Path | None) -> list[dict[str, Any]]:
    """Append a look to both journals, and give those before it.

    A run's journal takes along what other runs have looked at so far, for a copy on another machine.
    """
    seal = Seal(0, str(line["fingerprint"]), "")
    for path in _journals(run):  # first written, then read: of two at once one sees the other
        store.append_line(path, line)
    known = looks(seal, run)
    for path in _journals(run):
        there = {str(one.get("id")) for one in store.read_lines(path)}
        for one in known:
            if str(one.get("id")) not in there:
                store.append_line(path, one)
    return [one for one in known if one.get("id") != line["id"]]


def _journals(run: Path | None) -> list[Path]:
    own = [] if run is None else [run / LOOKS]
    return [state_folder() / LOOKS, *own]


def state_folder() -> Path:
    """Where looks of all runs are kept: `$XDG_STATE_HOME/drivetrain`, else below `~/.local/state`."""
    given = os.environ.get("XDG_STATE_HOME", "")
    home = Path(given) if os.path.isabs(given) else Path.home() / ".local" / "state"
    return home / "drivetrain"


def _percent(confidence: float) -> str:
    return f"{100 * confidence:.4g}%"


def _shown(value: float, name: str) -> str:
    return f"{value:.1%}" if name in SHARES else f"{value:.4g}"


def _between(interval: Interval | None, confidence: float, name: str) -> str:
    if interval is None:
        return f"no interval (at {_percent(confidence)})"
    low, high = (_shown(end, name) for end in interval)
    return f"between {low} and {high} at {_percent(confidence)}"
