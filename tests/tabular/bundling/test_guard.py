"""What the guard of a table promises, and whether it is kept: coverage, alarms, and what it sees."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import drivetrain as dt
from drivetrain.data.frame import Factor, Frame
from drivetrain.tabular.bundling.guard import Seen, TableGuard, fit_table_guard
from drivetrain.tabular.bundling.guard_rows import (
    MOST_DUMMIES,
    kind_codes,
    places_of,
    strange_in_row,
)
from drivetrain.tabular.data import TabularData
from drivetrain.tabular.estimators import Prepared
from drivetrain.tabular.models import TabularModel
from drivetrain.tabular.preprocess import learn
from tests.tabular.tables import passengers, real


def prices(count: int, seed: int) -> dict[str, list[Any]]:
    """The larger a house, the less its price is certain; a few have no known year."""
    draw = np.random.default_rng(seed)
    size = draw.gamma(4.0, 30.0, count)
    place = draw.choice(["centre", "north", "south"], count)
    year = draw.integers(1900, 2020, count).astype(float)
    price = 2 * size + 50 * (place == "centre") + size * draw.normal(0, 0.4, count)
    years = [None if gone else y for y, gone in zip(year, draw.random(count) < 0.1, strict=True)]
    return {
        "size": size.tolist(),
        "place": place.tolist(),
        "year": years,
        "price": price.tolist(),
    }


def guarded(model: TabularModel, rows: np.ndarray, **options: Any) -> TableGuard:
    """The guard of a model, fitted on some of its validation rows."""
    data = model.data
    assert data is not None
    frame, targets = data.part("valid")
    return fit_table_guard(
        model.estimator,
        Seen(model.preprocess, model.reader.dates),
        model.target,
        train=data.part("train")[0],
        valid=frame.take(rows),
        targets=targets[rows],
        **options,
    )


def kept(model: TabularModel, guard: TableGuard, rows: np.ndarray) -> dict[str, np.ndarray]:
    """For other validation rows: whether the truth is in its set or interval, and whether in domain."""
    data = model.data
    assert data is not None
    frame, targets = data.part("valid")
    frame, targets = frame.take(rows), targets[rows]
    prepared = Prepared(model.preprocess, frame)
    outputs = model.estimator.predict(prepared)
    spread = None if guard.spread_floor is None else model.estimator.spread(prepared)
    judged = guard.judge(outputs, spread, frame, Seen(model.preprocess, model.reader.dates))
    if judged.sets is not None:
        right = judged.sets[np.arange(len(rows)), targets]
        width = judged.sets.sum(axis=1)
    else:
        assert judged.low is not None and judged.high is not None
        right = (judged.low <= targets) & (targets <= judged.high)
        width = judged.high - judged.low
    return {"right": right, "width": width, "outputs": outputs, "in_domain": judged.in_domain}


def shares(model: TabularModel, splits: int, fitted: int, **options: Any) -> dict[str, list[float]]:
    """Over many ways of parting the validation rows: how often truths, and rows, are within."""
    assert model.data is not None
    count = len(model.data.split.valid)
    found: dict[str, list[float]] = {"right": [], "in_domain": [], "width": []}
    for seed in range(splits):
        order = np.random.default_rng(seed).permutation(count)
        guard = guarded(model, order[:fitted], seed=seed, **options)
        judged = kept(model, guard, order[fitted:])
        for name, values in found.items():
            values.append(float(judged[name].mean()))
    return found


# --- promises that are kept -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def forest() -> TabularModel:
    """A forest of house prices with 600 validation rows. Not to be changed."""
    data = dt.tabular.gather(prices(1_200, 0), "price", valid=0.5)
    return dt.tabular.fit(data, model="forest", num_threads=1, settings={"num_trees": 12})


@pytest.fixture(scope="module")
def linear() -> TabularModel:
    """A linear model that tells classes, with 600 validation rows. Not to be changed."""
    data = dt.tabular.gather(passengers(1_200), "lives", valid=0.5)
    return dt.tabular.fit(data, model="linear", num_threads=1)


@pytest.mark.parametrize("coverage", [0.8, 0.95])
def test_intervals_hold_the_truth_as_often_as_they_say(
    forest: TabularModel, coverage: float
) -> None:
    found = shares(forest, 25, 200, coverage=coverage)
    assert coverage - 0.012 < np.mean(found["right"]) < coverage + 0.02


def test_sets_hold_the_truth_at_least_as_often_as_they_say(linear: TabularModel) -> None:
    found = shares(linear, 25, 200, coverage=0.95)
    assert 0.94 < np.mean(found["right"]) < 0.975
    assert 1 < np.mean(found["width"]) < 1.9


@pytest.mark.row(18)
def test_false_alarms_are_as_many_as_they_say(forest: TabularModel, linear: TabularModel) -> None:
    for model in (forest, linear):
        found = shares(model, 15, 200, false_alarm=0.1)
        assert 0.88 < np.mean(found["in_domain"]) < 0.93


def test_an_interval_is_wider_where_the_trees_differ_and_so_where_the_truth_is_less_sure(
    forest: TabularModel,
) -> None:
    assert forest.data is not None
    order = np.random.default_rng(0).permutation(600)
    guard = guarded(forest, order[:300])
    assert guard.spread_floor is not None
    judged = kept(forest, guard, order[300:])
    by_size = np.array_split(np.argsort(judged["outputs"]), 3)
    widths = [float(judged["width"][part].mean()) for part in by_size]
    assert widths[0] < widths[1] < widths[2]
    assert all(judged["right"][part].mean() > 0.8 for part in by_size)
    flat = guarded(forest, order[:300])
    flat = TableGuard(None, None, flat.intervals, None, flat.domain, flat.reference)
    assert "Intervals of ± " in flat.told(forest.target)
    assert "wider where the parts of the model differ" in guard.told(forest.target)


def test_with_too_few_rows_it_promises_nothing_and_says_so() -> None:
    data = dt.tabular.gather(prices(40, 0), "price", valid=[0, 1, 2, 3, 4])
    model = dt.tabular.fit(data, model="linear", num_threads=1)
    guard = guarded(model, np.arange(5))
    assert "5 validation items are too few to promise 90%; it takes 9." in guard.told(model.target)
    judged = kept(model, guard, np.arange(5))
    assert judged["right"].all() and np.isinf(judged["width"]).all() and judged["in_domain"].all()


@pytest.mark.slow
@pytest.mark.row(19)
def test_no_alarm_in_95_of_100_tables_of_the_same_source() -> None:
    """Drawn anew each time: the validation rows that are kept, and the table that is compared."""
    alarms = 0
    for seed in range(100):
        data = dt.tabular.gather(passengers(400, seed=seed), "lives", valid=0.5)
        frame, _ = data.part("valid")
        seen = Seen(data.preprocess, data.reader.dates)
        reference = reference_of(data, frame)
        new, _ = data.reader.read(passengers(100, seed=1_000 + seed))
        numbers, kinds = seen.compared(new)
        alarms += reference.test(numbers | kinds).drifted
    assert alarms <= 2


def reference_of(data: TabularData, frame: Frame) -> Any:
    from drivetrain.bundle.columns import fit_columns

    seen = Seen(data.preprocess, data.reader.dates)
    numbers, kinds = seen.compared(frame)
    return fit_columns(numbers, {name: (codes, seen.kinds[name]) for name, codes in kinds.items()})


# --- foreign rows ---------------------------------------------------------------------------------


@pytest.mark.row(18)
def test_foreign_rows_are_flagged(linear: TabularModel) -> None:
    """Columns that hang together torn apart; numbers far out; each by a guard of 5% false alarms."""
    draw = np.random.default_rng(0)
    size = draw.normal(100, 30, 2_000)
    columns = {"size": size, "rooms": size / 25 + draw.normal(0, 0.2, 2_000), "price": 3 * size}
    source = {name: values.tolist() for name, values in columns.items()}
    data = dt.tabular.gather(source, "price", valid=0.5)
    model = dt.tabular.fit(data, model="linear", num_threads=1)
    guard, seen = guarded(model, np.arange(1_000)), Seen(model.preprocess, {})

    def flagged(**changed: np.ndarray) -> float:
        frame = data.part("valid")[0].select(["size", "rooms"])
        for name, values in changed.items():
            frame = frame.with_column(name, values)
        return float((~guard.domain.is_inside(guard.domain_score(frame, seen))).double().mean())

    valid = data.part("valid")[0]
    assert flagged() <= 0.05
    assert flagged(rooms=draw.permutation(valid.numbers("rooms"))) > 0.6
    assert flagged(size=valid.numbers("size") + 400) == 1
    assert flagged(size=np.full(1_000, np.nan)) > 0.5
    assert flagged(size=np.full(1_000, 1e300)) == 1


def test_no_row_travels_in_the_guard(forest: TabularModel) -> None:
    assert forest.data is not None
    guard = guarded(forest, np.arange(300))
    seen = Seen(forest.preprocess, forest.reader.dates)
    from drivetrain.bundle.domain import coordinates

    for part in ("train", "valid"):
        places = seen.places(forest.data.part(part)[0])
        kept_places = coordinates(places, guard.domain.basis.double()).float()
        gaps = (guard.domain.references[:, None] - kept_places[None]).abs().amax(dim=2)
        assert float(gaps.min()) > 1e-4
    assert len(guard.domain.references) <= 600 / 10


# --- what it sees of rows -------------------------------------------------------------------------


def test_places_are_standardised_numbers_flags_and_levels() -> None:
    frame = Frame(
        {
            "a": np.array([1.0, 3.0, np.nan]),
            "w": Factor.of(["x", "y", None]),
            "many": Factor.of([f"m{n}" for n in range(3)]),
        }
    )
    known = learn(frame, rare=1)
    seen = Seen(known, {})
    assert seen.places(frame).tolist() == [
        [pytest.approx(-1.2247449), 0, 1, 0, 1, 0, 0],
        [pytest.approx(1.2247449), 0, 0, 1, 0, 1, 0],
        [pytest.approx(0), 1, 0, 0, 0, 0, 1],
    ]
    assert seen.num_places == 7
    far = frame.with_column("a", np.array([1e308, -1e308, 0.0]))
    assert seen.places(far)[:2, 0].tolist() == [1e6, -1e6]


def test_of_a_category_with_many_levels_it_sees_whether_one_is_known() -> None:
    words = [f"w{n}" for n in range(MOST_DUMMIES + 1)]
    frame = Frame({"w": Factor.of(words)})
    known = learn(frame, rare=1)
    asked = {"w": Factor.of(["w0", "new", None])}
    assert places_of(asked, known.categories, known.numbers).tolist() == [[1], [0], [0]]
    assert Seen(known, {}).num_places == 1
    assert kind_codes(asked["w"], ("w0", "w1")).tolist() == [1, 3, 0]


def test_what_is_new_in_a_row_is_told_by_column() -> None:
    frame = Frame(
        {
            "a": np.array([1.0, 2.0]),
            "b": np.array([1.0, np.nan]),
            "w": Factor.of(["x", "y"]),
        }
    )
    seen = Seen(learn(frame, rare=1), {})
    rows = Frame(
        {
            "a": np.array([1.5, 9.0, np.nan]),
            "b": np.array([np.nan, -5.0, 1.0]),
            "w": Factor.of(["x", "z", None]),
        }
    )
    new = seen.strange(rows)
    nothing = {"outside": [], "unseen": [], "missing": []}
    assert strange_in_row(new, 0) == nothing
    assert strange_in_row(new, 1) == nothing | {"outside": ["a", "b"], "unseen": ["w"]}
    assert strange_in_row(new, 2) == nothing | {"missing": ["a"]}
    assert seen.strange(frame) == []


# --- real tables ----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", ["boosting", "forest", "linear"])
def test_sets_of_the_census_hold_the_truth(name: str) -> None:
    data = dt.tabular.gather(real("adult/adult.csv"), "salary")
    settings = {"num_trees": 30} if name != "linear" else None
    model = dt.tabular.fit(data, model=name, num_threads=2, settings=settings)
    found = shares(model, 20, 1_500, coverage=0.95)
    assert 0.945 < np.mean(found["right"]) < 0.957
    assert 0.945 < np.mean(found["in_domain"]) < 0.956


@pytest.mark.slow
@pytest.mark.parametrize("is_log", [False, True])
def test_intervals_of_bicycle_rentals_hold_the_truth(is_log: bool) -> None:
    data = dt.tabular.gather(
        real("bike_sharing/hour.csv"),
        "cnt",
        drop=["casual", "registered", "instant"],
        split="random",
        because="the promise is about rows of the same source",
        log_target=is_log,
    )
    model = dt.tabular.fit(data, model="forest", num_threads=2, settings={"num_trees": 30})
    found = shares(model, 20, 1_000, coverage=0.9)
    assert 0.893 < np.mean(found["right"]) < 0.908
    order = np.random.default_rng(0).permutation(len(data.split.valid))
    judged = kept(model, guarded(model, order[:1_000]), order[1_000:])
    quarters = np.array_split(np.argsort(judged["outputs"]), 4)
    assert all(judged["right"][part].mean() > 0.78 for part in quarters)


@pytest.mark.slow
@pytest.mark.row(19)
@pytest.mark.parametrize("size", [50, 500, 3_000])
def test_no_alarm_in_95_of_100_batches_of_the_census_and_a_change_is_named(size: int) -> None:
    """Rows that are neither among those kept nor in another batch's reference."""
    data = dt.tabular.gather(real("adult/adult.csv"), "salary")
    seen = Seen(data.preprocess, data.reader.dates)
    frame = data.frame
    alarms = named = 0
    for seed in range(100):
        order = np.random.default_rng(seed).permutation(len(frame))
        reference = reference_of(data, frame.take(order[:4_000]))
        batch = frame.take(order[4_000 : 4_000 + size])
        numbers, kinds = seen.compared(batch)
        alarms += reference.test(numbers | kinds).drifted
        older = batch.with_column("age", batch.numbers("age") * 1.15)
        numbers, kinds = seen.compared(older)
        report = reference.test(numbers | kinds)
        named += report.drifted and report.most_moved[0].feature == "age"
    assert alarms <= 3
    assert named >= (95 if size >= 500 else 15)
