"""Runs as members of an ensemble: what each says of its validation items, and of new ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from drivetrain.cli import common
from drivetrain.errors import ConfigError, DataError, RunError


class Member(NamedTuple):
    """A run that was opened with its data."""

    predictions: Any
    """The `Predictions` of its validation items."""
    items: Any
    """`SplitItems`: what it was trained on, and what it validates on."""


def opened(run: Path, report: common.Counter) -> Member:
    """What a run says of its validation items.

    Raises: RunError: no finished run there, or its data is not what it began with. DataError: the data is
        gone. ConfigError: it predicts neither one class nor one number an item.
    """
    record = finished(run)
    application = common.application_of(run)
    if application == "tabular":
        return _rows(run, record, report)
    if application == "text":
        return _texts(run, report)
    if application == "collab":
        return _ratings(run, record, report)
    return _pictures(run, report)


def finished(run: Path) -> Mapping[str, Any]:
    """The record of a run.

    Raises: RunError: it is none, or it is not finished.
    """
    from drivetrain.train.run import Run

    return Run.open(run).read_finished()


def _pictures(run: Path, report: common.Counter) -> Member:
    from drivetrain import vision
    from drivetrain.interpret.same_items import SplitItems

    learner = vision.reopen(run, callbacks=(), progress=False, report=report)
    learner.load(run)
    application: Any = learner.application
    data = application.data
    parts = [
        {data.items[i].id: data.hashes[data.items[i].id] for i in getattr(data.split, part)}
        for part in ("train", "valid")
    ]
    items = SplitItems(*parts, hashed="picture", source=str(data.source))
    return Member(learner.predictions(), items)


def _texts(run: Path, report: common.Counter) -> Member:
    from drivetrain import text
    from drivetrain.clean.queue import text_hash
    from drivetrain.interpret.same_items import SplitItems
    from drivetrain.text.reporting import predictions

    learner = text.reopen(run, callbacks=(), progress=False, report=report)
    learner.load(run)
    application: Any = learner.application
    data = application.data
    if data.goal is None:
        raise ConfigError(
            f"{run} is a language model: it writes texts, and there is nothing to average."
        )
    if data.goal.kind == "labels":
        raise ConfigError(f"{run} predicts several labels a text, and an ensemble is of one class.")
    parts = []
    for part in ("train", "valid"):
        names, texts, _ = data.part(part)
        parts.append({name: text_hash(one) for name, one in zip(names, texts, strict=True)})
    items = SplitItems(
        *parts, hashed=f"text {data.template or ''}".strip(), source=str(data.source)
    )
    return Member(predictions(learner, data.goal), items)


def _rows(run: Path, record: Mapping[str, Any], report: common.Counter) -> Member:
    from drivetrain import tabular
    from drivetrain.interpret.same_items import SplitItems
    from drivetrain.tabular.gathering import gather_again
    from drivetrain.tabular.reporting import predictions
    from drivetrain.train.run import said_as_damage

    with said_as_damage(run / "run.json"):
        data = gather_again(record["data"], report=report)
    if data.fingerprint() != record["fingerprint"]:
        raise RunError(
            f"The table {data.source} is not the one that {run} began with. Put it back, or train anew."
        )
    names = [[data.ids[row] for row in data.rows[part].tolist()] for part in ("train", "valid")]
    # of a file with the same bytes the rows are the same, whatever columns a model uses
    train, valid = ({name: f"{data.report.sha256} {name}" for name in part} for part in names)
    items = SplitItems(train, valid, hashed="row", source=str(data.source))
    return Member(predictions(tabular.load(run), data), items)


def _ratings(run: Path, record: Mapping[str, Any], report: common.Counter) -> Member:
    from drivetrain import collab
    from drivetrain.collab.data import RowNames
    from drivetrain.interpret.same_items import SplitItems
    from drivetrain.train.predictions import Predictions

    if record.get("plan", {}).get("method") == "als":
        raise ConfigError(
            f"{run} is of events: it makes lists, and predicts no ratings to average."
        )
    learner = collab.reopen(run, callbacks=(), progress=False, report=report)
    learner.load(run)
    application: Any = learner.application
    data = application.data
    if data.is_implicit:
        raise ConfigError(
            f"{run} is of events: it makes lists, and predicts no ratings to average."
        )
    found = learner.predictions()
    outputs = found.outputs.reshape(found.targets.shape)
    names = [list(RowNames(data.positions[data.rows(part)])) for part in ("train", "valid")]
    train, valid = ({name: name for name in part} for part in names)
    items = SplitItems(train, valid, hashed=f"rating {data.source}", source=str(data.source))
    return Member(Predictions(found.ids, found.targets, outputs, found.losses), items)


def answers(run: Path, inputs: Sequence[Path]) -> tuple[list[dict[str, Any]], list[str]]:
    """What a run says of new items, as `predict --json` does, and notes on what reading them found.

    Args:
        run: of a model that predicts one class or one number an item.
        inputs: pictures or folders of them; one table; texts.

    Raises: as `predict`.
    """
    application = common.application_of(run)
    if application == "text":
        from drivetrain.cli import texts

        return texts.answers(run, tuple(inputs), ())
    if application == "tabular":
        from drivetrain import tabular

        if len(inputs) != 1:
            raise DataError("Of tables an ensemble answers for one at a time.")
        found = tabular.load(run).predict(inputs[0])
        return [one.to_json() for one in found], [f"{inputs[0]}: {n}" for n in found.notes]
    if application == "collab":
        raise ConfigError(
            f"{run} is of ratings. Predict with each run, and take the mean of the tables."
        )
    from drivetrain import vision
    from drivetrain.cli.predict import picture_files, record_of

    found = vision.load(run).answers(picture_files(tuple(inputs)))
    return [record_of(one) for one in found.predictions], []


def mean_of(
    answers_of: Mapping[str, Sequence[Mapping[str, Any]]],
    weights: Sequence[float] | Mapping[str, Sequence[float]],
) -> Any:
    """The weighted mean of several models' answers for the same inputs, each as `--json` has them.

    An input that a model could not answer for keeps that model's `{input, error}`.

    Args:
        answers_of: by member, two or more.
        weights: a number for each member; they add up to 1. Of several targets also such numbers for each
            target.

    Raises: DataError: the members answer for other inputs, or predict other things.
    """
    (first, start), *_ = answers_of.items()
    by_input = {name: {one["input"]: one for one in found} for name, found in answers_of.items()}
    for name, found in by_input.items():
        apart = sorted(set(found) ^ set(by_input[first]))
        if apart:
            raise DataError(
                f"{first} and {name} do not read the same items of this source: {len(apart):,} are of "
                f"one of the two only, such as {apart[0]}."
            )
    documents = []
    for one in start:
        said = [found[one["input"]] for found in by_input.values()]
        wrong = next((told for told in said if "error" in told), None)
        documents.append(dict(wrong) if wrong else _mean(list(answers_of), said, weights))
    return documents


def _mean(
    names: Sequence[str],
    said: Sequence[Mapping[str, Any]],
    weights: Sequence[float] | Mapping[str, Sequence[float]],
) -> dict[str, Any]:
    start = said[0]
    for name, told in zip(names, said, strict=True):
        if _what(told) != _what(start):
            raise DataError(
                f"{names[0]} and {name} predict other things: {_shown(start)}, and {_shown(told)}."
            )
    if "targets" in start:
        told = {}
        for target in start["targets"]:
            own = weights[target] if isinstance(weights, Mapping) else weights
            label, found = _blend([one["targets"][target] for one in said], own)
            told[target] = {
                "label": label,
                "probability": found[label],
                "probabilities": found,
            }
        return {"input": start["input"], "targets": told}
    assert not isinstance(weights, Mapping), "of one target"
    if "label" in start:
        label, found = _blend(said, weights)
        return {"input": start["input"], "label": label, "probabilities": found}
    if "value" in start and not isinstance(start["value"], list):
        value = sum(w * told["value"] for w, told in zip(weights, said, strict=True))
        return {"input": start["input"], "value": value}
    raise DataError("An ensemble answers with one class or one number an item.")


def _blend(
    said: Sequence[Mapping[str, Any]], weights: Sequence[float]
) -> tuple[str, dict[str, float]]:
    """The label, and the weighted mean of the probabilities."""
    found: dict[str, float] = {
        label: sum(w * t["probabilities"][label] for w, t in zip(weights, said, strict=True))
        for label in said[0]["probabilities"]
    }
    return max(found, key=lambda name: found[name]), found


def _what(told: Mapping[str, Any]) -> Any:
    if "targets" in told:
        return {name: frozenset(one["probabilities"]) for name, one in told["targets"].items()}
    return frozenset(told["probabilities"]) if "label" in told else "value" in told


def _shown(told: Mapping[str, Any]) -> str:
    if "targets" in told:
        return f"the targets {', '.join(told['targets'])}"
    return f"the classes {', '.join(told['probabilities'])}" if "label" in told else "numbers"
