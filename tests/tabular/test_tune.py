"""A search for settings: nested, the same each time, and honest about whether it helped."""

from __future__ import annotations

import importlib
import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings as hypothesis_settings, strategies as st

from drivetrain.errors import ConfigError, DataError, NonFiniteError, UnknownNameError
from drivetrain.tabular.data import TabularData
from drivetrain.tabular.fitting import FITTERS
from drivetrain.tabular.gathering import gather
from drivetrain.tabular.measure import measure
from drivetrain.tabular.models import load
from drivetrain.tabular.tune import inner_folds, searched, tune
from drivetrain.tabular.tuning.scoring import (
    BLOCKS,
    SCORINGS,
    own_interval,
    paired_gain,
    scoring_of,
    time_blocks,
)
from drivetrain.tabular.tuning.spaces import SPACES
from drivetrain.tabular.tuning.training import settings_of, train
from drivetrain.tabular.tuning.tuned import Tuned
from tests.tabular.tables import passengers, sales

# the package has the function under this name
module = importlib.import_module("drivetrain.tabular.tune")
QUIET: dict[str, Any] = {"minutes": None, "progress": False, "num_threads": 1}


def coins(count: int = 600, seed: int = 0) -> dict[str, list[Any]]:
    """Five columns of noise, and a coin that none of them knows of."""
    draw = np.random.default_rng(seed)
    columns: dict[str, list[Any]] = {f"c{i}": draw.normal(size=count).tolist() for i in range(5)}
    return columns | {"coin": draw.choice(["head", "tail"], count).tolist()}


def wave(count: int = 500) -> dict[str, list[float]]:
    """A smooth function of two columns: of few rows, small leaves and large steps learn it better."""
    x = np.random.default_rng(0).normal(size=(count, 2))
    y = np.sin(3 * x[:, 0]) + x[:, 1]
    return {"a": x[:, 0].tolist(), "b": x[:, 1].tolist(), "y": y.tolist()}


def helped() -> Tuned:
    """Of `wave`, a hundred rows to train."""
    options = {"settings": {"num_trees": 40}, "valid": 0.8, **QUIET}
    return tune(wave(), "y", "boosting", trials=8, **options)


@pytest.mark.row(110)
def test_nets_are_not_searched_by_default_and_trees_are() -> None:
    with pytest.raises(
        ConfigError,
        match=r"^The settings of a net are not searched by default: the usual ones suit most tables, "
        r"`lr_find` finds the rate in seconds, and a search takes a training a trial and a fold\. Tune "
        r"'boosting' or 'forest'; or say nets=True \(--nets\)\.$",
    ):
        tune(passengers(), "lives", "net", **QUIET)
    assert [knob.name for knob in searched("boosting")] == [
        "learning_rate", "num_leaves", "min_samples_leaf",
    ]  # fmt: skip
    assert {"boosting", "boosting_sets", "forest", "extra_trees", "tree", "linear", "net"} == set(
        SPACES
    )


@pytest.mark.row(110)
def test_on_coins_the_best_trial_flatters_and_the_validation_rows_say_so() -> None:
    found = tune(coins(), "coin", "tree", trials=30, valid=0.8, **QUIET)
    best = found.history.best
    assert best.value > 0.55 and best.number > 0, "chance has chosen"
    assert abs(found.tuned.value - 0.5) < 0.06, "and is no skill"
    assert not found.helped and found.recommended is found.default
    assert found.settings == {}
    assert found.verdict.startswith("Tuning did not help. On 480 validation rows: accuracy ")
    assert "which chance alone may make. The default settings are recommended." in found.verdict
    assert found.verdict.endswith(
        f"In the inner folds the best of 30 trials had {best.value:.4f}, but it was chosen there."
    )


@pytest.mark.row(110)
def test_where_there_is_something_to_gain_it_is_found_and_recommended() -> None:
    found = helped()
    assert found.helped and found.recommended is found.tuned
    assert found.tuned.value < 0.8 * found.default.value, "of a root mean squared error"
    low, high = ends_of(found.interval)
    assert 0 < low < found.gain < high
    assert found.gain == pytest.approx(found.default.value - found.tuned.value)
    assert found.settings == found.history.best.settings and found.settings["num_trees"] == 40
    assert found.verdict.startswith("Tuning helped. On 400 validation rows: rmse ")
    assert found.model.measured("valid").value == pytest.approx(found.tuned.value)
    assert found.model.fitted.settings["num_leaves"] == found.settings["num_leaves"]


@pytest.mark.row(110)
def test_the_validation_rows_have_no_say_in_the_search() -> None:
    first = passengers(200)
    valid = list(range(0, 200, 4))
    spoilt: dict[str, list[Any]] = {name: list(values) for name, values in first.items()}
    for row in valid:
        spoilt["lives"][row] = "no" if first["lives"][row] == "yes" else "yes"
        spoilt["age"][row], spoilt["port"][row] = 1e6, "X"
    found = [
        tune(table, "lives", "tree", trials=6, valid=valid, **QUIET) for table in (first, spoilt)
    ]
    trials = [[(t.settings, t.value, t.folds) for t in one.history] for one in found]
    assert trials[0] == trials[1]
    assert found[0].tuned.value > 0.6 > 0.4 > found[1].tuned.value, "but they decide at the end"


def test_the_end_is_reached_once_by_two_models(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []

    def spy(name: str, data: TabularData, settings: Any, **options: Any) -> Any:
        seen.append((len(data.split.train), len(data.split.valid)))
        return train(name, data, settings, **options)

    monkeypatch.setattr(module, "train", spy)
    found = tune(wave(200), "y", "tree", trials=3, folds=4, **QUIET)
    assert seen[:-2] == [(120, 40)] * 16, "four trials, the default one among them, of four folds"
    assert seen[-2:] == [(160, 40)] * 2
    assert found.history.best.number > 0, "else one model is enough"


def test_the_same_seed_gives_the_same_search_and_another_seed_another() -> None:
    data = gather(passengers(), "lives")
    one, same, other = (
        tune(data, model="forest", trials=4, settings={"num_trees": 5}, seed=seed, **QUIET)
        for seed in (3, 3, 4)
    )
    assert [t.settings for t in one.history] == [t.settings for t in same.history]
    assert one.to_json()["default"] == same.to_json()["default"]
    assert one.interval == same.interval and one.verdict == same.verdict
    assert [t.settings for t in one.history] != [t.settings for t in other.history]


def ends_of(interval: tuple[float, float] | None) -> tuple[float, float]:
    assert interval is not None
    return interval


# --- folds ----------------------------------------------------------------------------------------


def parts_of(data: TabularData, count: int = 3) -> tuple[str, list[TabularData]]:
    how, parts = inner_folds(data, count)
    outer = set(data.split.train)
    for part in parts:
        train_rows, valid_rows = set(part.split.train), set(part.split.valid)
        assert train_rows and valid_rows and not train_rows & valid_rows
        assert train_rows | valid_rows <= outer
    return how, parts


def test_folds_of_classes_keep_their_shares_and_validate_each_training_row_once() -> None:
    data = gather(passengers(), "lives")
    how, parts = parts_of(data)
    assert how == "the same share of every class"
    rows = list(itertools.chain(*(part.split.valid for part in parts)))
    assert sorted(rows) == sorted(data.split.train)
    shares = [float(part.part("valid")[1].mean()) for part in parts]
    assert max(shares) - min(shares) < 0.03


def test_folds_of_numbers_are_drawn() -> None:
    table = wave()
    assert parts_of(gather(table, "y"))[0] == "at random"


def test_folds_of_a_split_in_time_go_forward() -> None:
    data = gather(sales(), "takings")
    how, parts = parts_of(data)
    assert how == "rolling origin in time"
    for part in parts:
        assert part.times[list(part.split.train)].max() < part.times[list(part.split.valid)].min()


def test_folds_of_groups_keep_them_whole() -> None:
    table = passengers() | {"family": [i // 6 for i in range(240)]}
    data = gather(table, "lives", groups="family")
    how, parts = parts_of(data)
    assert how == "whole groups"
    for part in parts:
        sides = [set(part.groups[part.rows[side]].tolist()) for side in ("train", "valid")]
        assert not sides[0] & sides[1]


def test_each_fold_learns_its_preprocessing_from_its_training_rows() -> None:
    data = gather(passengers(), "lives", fill="constant", constant=-7.0)
    _, parts = parts_of(data)
    for part in parts:
        ages = part.part("train")[0].numbers("age")
        known = next(column for column in part.preprocess.numbers if column.name == "age")
        assert known.fill == -7 and known.high == np.nanmax(ages)
    assert len({part.preprocess for part in parts}) == 3


def test_a_class_that_a_fold_cannot_learn_is_left_out_of_it() -> None:
    table = sales(200)
    # a new kind comes up late: the early folds do not know it
    table["kind"] = ["x" if i % 2 else "y" for i in range(150)] + ["x", "z"] * 25
    data = gather(table, "kind", valid=0.1)
    _, parts = parts_of(data)
    assert [part.classes for part in parts[:2]] == [("x", "y")] * 2
    for part in parts:
        _, targets = part.part("valid")
        assert targets.min() >= 0 and targets.max() < len(part.classes)
        made = train("tree", part, {})
        assert made.estimator.predict(made.prepared(part.frame)).shape == (200, len(part.classes))
    found = tune(data, model="tree", trials=2, **QUIET)
    assert found.model.target.classes == ("x", "y", "z")


def test_folds_that_can_learn_nothing_are_refused() -> None:
    table = sales(100)
    table["kind"] = ["x"] * 70 + ["y"] * 30
    with pytest.raises(
        DataError,
        match=r"^No fold of 2 trains on two classes of 'kind' and validates on one of them\. Take fewer "
        r"folds, or split otherwise\.$",
    ):
        inner_folds(gather(table, "kind", valid=0.2), 2)


# --- what is searched -----------------------------------------------------------------------------


@pytest.mark.parametrize("model", SPACES)
def test_every_range_is_of_a_setting_and_has_its_reason(model: str) -> None:
    assert len({knob.name for knob in SPACES[model]}) == len(SPACES[model])
    for knob in SPACES[model]:
        assert knob.name in settings_of(model)
        assert len(knob.because) > 20
        for rows in (10, 1000, 1_000_000):
            made = knob.distribution(rows)
            assert knob.low == made.low < made.high <= max(knob.high, knob.low + 1)
            assert made.log is knob.is_log
            assert type(made.low) is type(knob.low)
    made = {knob.name: knob.distribution(160) for knob in SPACES[model]}
    ends = [{name: getattr(one, end) for name, one in made.items()} for end in ("low", "high")]
    if model in FITTERS:
        data = gather(passengers(), "lives")
        for settings in ends:
            quick = {"num_trees": 3} if "num_trees" in settings_of(model) else {}
            assert train(model, data, settings | quick).measured("valid").value > 0.4


def test_what_is_fixed_is_not_searched() -> None:
    fixed = {"num_trees": 3, "min_samples_leaf": 4}
    found = tune(passengers(), "lives", "extra_trees", trials=3, settings=fixed, **QUIET)
    for trial in found.history:
        assert {**trial.settings, **fixed} == trial.settings
    assert all(set(t.settings) == {*fixed, "max_features"} for t in found.history.trials[1:])
    assert found.history.default.settings == fixed


def test_trials_that_are_not_finite_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = itertools.count()

    def breaks(*words: Any, **options: Any) -> Any:
        if next(calls) in (3, 8):  # in trials 1 and 3
            raise NonFiniteError("the loss is not finite")
        return train(*words, **options)

    monkeypatch.setattr(module, "train", breaks)
    found = tune(passengers(), "lives", "tree", trials=3, **QUIET)
    values = [trial.value for trial in found.history]
    assert np.isnan(values).tolist() == [False, True, False, True]
    assert found.history.best.number in (0, 2)
    assert found.to_json()["trials"][1]["value"] is None
    assert found.notes == ["2 trials met numbers that are not finite, and do not count."]
    json.dumps(found.to_json(), allow_nan=False)


@pytest.mark.slow
def test_a_net_is_searched_where_that_is_insisted_on() -> None:
    fixed = {"layers": [8], "epochs": 2}
    found = tune(passengers(), "lives", "net", trials=2, nets=True, settings=fixed, **QUIET)
    assert set(found.history.best.settings) - set(fixed) <= {"lr", "dropout", "weight_decay"}
    assert found.model.fitted.settings["epochs"] == 2
    assert found.default.value > 0.5


# --- time -----------------------------------------------------------------------------------------


def test_without_time_the_default_settings_are_all_there_is() -> None:
    found = tune(passengers(), "lives", "tree", trials=5, minutes=1e-9, progress=False)
    assert len(found.history) == 1 and found.tuned is found.default
    assert (found.gain, found.interval) == (0, (0, 0)) and not found.helped
    assert found.verdict == (
        "The time was up before any other setting was tried. The default settings are recommended; give "
        "more minutes, or fewer folds."
    )
    assert found.notes == [
        "The time was up after 0 of 5 trials: another run may find other settings. Give more minutes, "
        "or fewer trials."
    ]


def test_where_the_time_is_up_it_says_after_how_many(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module._Search, "fits_in", lambda self, ends: len(self.trials) < 4)
    found = tune(passengers(), "lives", "tree", trials=9, num_threads=1)
    assert found.is_cut and len(found.history) == 4
    assert "! The time was up after 3 of 9 trials: another run may find other" in str(found)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("default settings: accuracy 0.")
    assert [line[:12] for line in lines[1:]] == ["trial 1 of 9", "trial 2 of 9", "trial 3 of 9"]


# --- comparing ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCORINGS)
def test_a_scoring_is_the_metric_of_that_name(name: str) -> None:
    scoring = SCORINGS[name]
    is_class = scoring.kind == "class"
    data = gather(passengers() if is_class else sales(), "lives" if is_class else "takings")
    model = train("linear", data, {})
    frame, targets = data.part("valid")
    outputs = model.estimator.predict(model.prepared(frame))
    value = scoring.value(scoring.of_rows(outputs, targets))
    measured = measure(data.target, outputs, targets).metrics
    assert value == pytest.approx(measured[name], rel=1e-6)
    low, high = ends_of(own_interval(scoring, outputs, targets))
    assert low < value < high
    assert scoring_of(data.target, name) is scoring
    assert scoring_of(data.target).name == next(iter(measured))


def test_the_interval_of_a_gain_is_that_of_the_mean_difference() -> None:
    draw = np.random.default_rng(0)
    before = draw.exponential(1, 2000)
    after = before - 0.05 + draw.normal(0, 0.5, 2000)
    gain, span = paired_gain(SCORINGS["mae"], before, after)
    low, high = ends_of(span)
    differences = before - after
    assert gain == pytest.approx(differences.mean())
    half = 1.96 * differences.std(ddof=1) / np.sqrt(2000)
    np.testing.assert_allclose([low, high], [gain - half, gain + half], atol=0.15 * half)
    apart = 1.96 * np.hypot(before.std(), after.std()) / np.sqrt(2000)
    assert high - low < apart, "narrower than without the pairs"


def test_rows_of_a_group_are_drawn_together() -> None:
    draw = np.random.default_rng(1)
    groups = np.repeat(np.arange(40), 50)
    before = np.ones(2000)
    after = before - draw.normal(0, 0.3, 40)[groups] - draw.normal(0, 0.1, 2000)
    gain, span = paired_gain(SCORINGS["mae"], before, after, groups=groups)
    low, high = ends_of(span)
    means = (before - after).reshape(40, 50).mean(axis=1)
    half = 1.96 * means.std(ddof=1) / np.sqrt(40)
    np.testing.assert_allclose([low, high], [gain - half, gain + half], atol=0.2 * half)
    alone = ends_of(paired_gain(SCORINGS["mae"], before, after)[1])
    assert high - low > 4 * (alone[1] - alone[0])
    assert paired_gain(SCORINGS["mae"], before, after, groups=groups * 0)[1] is None


def test_rows_near_in_time_are_drawn_together() -> None:
    times = np.random.default_rng(0).permutation(1000).astype(float)
    blocks = time_blocks(times)
    assert np.bincount(blocks).tolist() == [1000 // BLOCKS] * BLOCKS
    order = np.argsort(times)
    assert (np.diff(blocks[order]) >= 0).all()
    assert time_blocks(np.arange(7.0)).tolist() == [0, 7, 14, 21, 28, 35, 42]


@hypothesis_settings(max_examples=20, deadline=None)
@given(
    st.sampled_from(sorted(SCORINGS)),
    st.lists(st.tuples(st.floats(0, 10), st.floats(0, 10)), min_size=2, max_size=30),
)
def test_a_gain_turned_round_is_a_loss(name: str, pairs: list[tuple[float, float]]) -> None:
    before, after = np.array(pairs).T
    gain, span = paired_gain(SCORINGS[name], before, after)
    back, reverse = paired_gain(SCORINGS[name], after, before)
    (low, high), (lowest, highest) = ends_of(span), ends_of(reverse)
    assert low <= gain <= high
    np.testing.assert_allclose([back, lowest, highest], [-gain, -high, -low], atol=1e-9)
    assert paired_gain(SCORINGS[name], before, before) == (0, (0, 0))


def test_made_worse_is_said_and_the_default_recommended() -> None:
    found = helped()
    worse = replace(found, default=found.tuned, tuned=found.default, interval=(-0.3, -0.2))
    assert not worse.helped and worse.recommended is worse.default
    assert worse.verdict.startswith("Tuning made it worse. On 400 validation rows: rmse ")
    assert "95% interval -0.3000 to -0.2000. The default settings are recommended." in worse.verdict


def test_where_no_trial_beats_the_default_that_is_said() -> None:
    found = tune(passengers(), "lives", "linear", trials=2, metric="log_loss", **QUIET)
    first = replace(found.history, trials=found.history.trials[:1] + found.history.trials[:1])
    same = replace(found, history=first, tuned=found.default)
    assert same.verdict == (
        "Tuning did not help: none of 1 trial did better in the inner folds than the default settings "
        f"(log_loss {first.default.value:.4f}), which are recommended. On 48 validation rows they reach "
        f"{found.default.value:.4f}."
    )


# --- what is kept and shown -----------------------------------------------------------------------


def test_a_run_holds_the_recommended_model_and_the_search(tmp_path: Path) -> None:
    found = helped()
    found.save(tmp_path / "run")
    np.testing.assert_array_equal(
        load(tmp_path / "run").predict(wave()).values, found.model.predict(wave()).values
    )
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    tuning = record["results"]["tuning"]
    assert tuning == json.loads(json.dumps(found.to_json()))
    assert tuning["recommended"] == "tuned" and tuning["settings"] == found.settings
    assert [trial["number"] for trial in tuning["trials"]] == list(range(9))
    assert tuning["folds"] == {"how": "at random", "count": 3}
    assert record["results"]["metrics"]["valid"]["rmse"] == pytest.approx(found.tuned.value)


def test_the_table_marks_the_best_and_the_picture_shows_both_parts() -> None:
    found = helped()
    lines = str(found.history).splitlines()
    assert len(lines) == 10 and lines[0].split()[:2] == ["trial", "rmse"]
    assert [line for line in lines if " * " in line] == [lines[1 + found.history.best.number]]
    assert str(found).splitlines()[0] == (
        "boosting, 8 trials in 3 folds of the training rows (at random)"
    )
    left, right = found.plot().axes
    assert (left.get_xlabel(), left.get_ylabel()) == ("trial", "rmse, inner folds")
    assert right.get_ylabel() == "rmse, validation rows (95%)"
    best_so_far = left.lines[0].get_ydata()
    assert (np.diff(best_so_far) <= 0).all() and best_so_far[-1] == found.history.best.value
    assert found.history.plot().axes[0].get_xlabel() == "trial"


def test_mistakes_are_answered() -> None:
    table = passengers()
    with pytest.raises(
        ConfigError,
        match=r"^'majority' has no settings to tune\. These have: boosting, boosting_sets, forest, ",
    ):
        tune(table, "lives", "majority", **QUIET)
    with pytest.raises(
        UnknownNameError, match=r"^Unknown model 'bosting'\. Did you mean 'boosting"
    ):
        tune(table, "lives", "bosting", **QUIET)
    with pytest.raises(
        UnknownNameError, match=r"^Unknown metric 'rmse'\. Known: accuracy, log_loss"
    ):
        tune(table, "lives", "tree", metric="rmse", **QUIET)
    with pytest.raises(
        ConfigError,
        match=r"^'boosting' has no setting 'num_tree'\. Did you mean 'num_trees'\? It has: library, ",
    ):
        tune(table, "lives", settings={"num_tree": 3}, **QUIET)
    with pytest.raises(
        ConfigError, match=r"^All that is searched of 'linear' is given: penalty\. Leave one out\.$"
    ):
        tune(table, "lives", "linear", settings={"penalty": 3.0}, **QUIET)
    for wrong, sentence in (
        ({"trials": 0}, r"^`trials` must be at least 1\. Got 0\.$"),
        ({"folds": 1}, r"^`folds` must be at least 2\. Got 1\.$"),
        ({"minutes": 0}, r"^`minutes` must be above 0, or None for no limit\. Got 0\.$"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            tune(table, "lives", "tree", **{**QUIET, **wrong})
