"""Which model of a table is to be written as a script, and what it was fitted on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drivetrain import store
from drivetrain._registry import lookup
from drivetrain.errors import EjectError
from drivetrain.tabular.data import TabularData
from drivetrain.tabular.estimators import AverageEstimator, Estimator, NetEstimator
from drivetrain.tabular.fitting import FITTERS
from drivetrain.tabular.gathering import gather_again
from drivetrain.tabular.models import TabularModel, load
from drivetrain.train.run import Run, check_form, said_as_damage

if TYPE_CHECKING:
    from drivetrain.tabular.leaderboard import Leaderboard

RECORD: Mapping[str, Any] = {
    "model": {"name": str},
    "settings": dict,
    "fingerprint": str,
    "data": {"target": list, "seed": int},
}
"""What `run.json` has to say for a model without a Learner to be ejected."""


@dataclass(frozen=True)
class Member:
    """One model that is fitted."""

    name: str
    """Of `fitting.FITTERS`."""
    settings: Mapping[str, Any]
    estimator: Estimator


@dataclass(frozen=True)
class Found:
    """A model and what it was fitted on."""

    name: str
    data: TabularData
    members: tuple[Member, ...]
    weights: tuple[float, ...]
    """Of an average; empty for a model by itself."""


def find_model(
    source: TabularModel | Leaderboard | store.StrPath, *, model: str | None = None
) -> Found:
    """The model that is to be written, with its table read again. Arguments and errors: `eject_model`."""
    from drivetrain.tabular.leaderboard import Leaderboard

    if isinstance(source, TabularModel):
        if source.data is None or source.fitted is None:
            raise EjectError(
                "This model was loaded, and does not know what it was fitted on. Eject from its run: "
                "give the folder."
            )
        return _opened(
            source.name,
            source.data,
            source.estimator,
            source.settings(),
            {source.name: source.settings()},
        )
    if isinstance(source, Leaderboard):
        name = model or source.main.name
        settings = {n: one.settings() for n, one in source.models.items()}
        return _opened(name, source.data, source[name].estimator, settings[name], settings)
    return _of_run(Path(source), model)


def _of_run(folder: Path, model: str | None) -> Found:
    from drivetrain.tabular.leaderboard import ALL

    run = Run.open(folder)
    record, path = run.read(), run.folder / "run.json"
    check_form(record, RECORD, path)
    with said_as_damage(path):
        data = gather_again(record["data"])
    if data.fingerprint() != record["fingerprint"]:
        raise EjectError(
            f"The table {data.source} is not the one that {folder} began with. Put it back, or fit anew."
        )
    many = record["settings"].get("models")
    settings = many if isinstance(many, dict) else {record["model"]["name"]: record["settings"]}
    name = model or record["model"]["name"]
    lookup({key: None for key in settings if key in ALL}, name, what="model of this run")
    if not isinstance(settings[name], dict):
        raise EjectError(f"{path} does not say what '{name}' was fitted with. Fit anew.")
    place = run.folder / "models" / name if isinstance(many, dict) else run.folder
    return _opened(name, data, load(place).estimator, settings[name], settings)


def _opened(
    name: str,
    data: TabularData,
    estimator: Estimator,
    settings: Mapping[str, Any],
    known: Mapping[str, Any],
) -> Found:
    if not isinstance(estimator, AverageEstimator):
        return Found(name, data, (_member(name, settings, estimator),), ())
    members = []
    for place, inner in zip(estimator.names, estimator.members, strict=True):
        if isinstance(inner, AverageEstimator) or not isinstance(known.get(place), Mapping):
            raise EjectError(
                f"'{name}' is an average, and what '{place}' in it was fitted with is not on record. "
                "Eject from the leaderboard, or from its run."
            )
        members.append(_member(place, known[place], inner))
    weights = tuple(float(weight) for weight in estimator.weights)
    return Found(name, data, tuple(members), weights)


def _member(name: str, settings: Mapping[str, Any], estimator: Estimator) -> Member:
    if isinstance(estimator, NetEstimator):
        raise EjectError(
            "A net is trained by a loop, and such a script is written from a run of the net by itself: "
            "train it (`--model net`, or `tabular.learner`), and eject that. For an average without it, "
            "leave 'net' out of `models`."
        )
    if name not in FITTERS:
        raise EjectError(f"'{name}' is no model that a script can fit: {', '.join(FITTERS)}.")
    return Member(name, settings, estimator)
