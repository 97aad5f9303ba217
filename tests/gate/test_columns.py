"""gate/columns.py: somebody on both sides of a split, and rows that are not in order of time."""

from __future__ import annotations

import numpy as np
import pytest

from drivetrain.data.frame import Factor, Frame
from drivetrain.data.split import Split, group_split, random_split, time_split
from drivetrain.gate.columns import TableWorth, entity_overlap, time_order

PATIENTS, EACH = 160, 6


def patients() -> tuple[Frame, np.ndarray]:
    """Each has a pulse of their own, and an outcome that nothing tells: one can but know them again."""
    draw = np.random.default_rng(1)
    who = np.repeat(np.arange(PATIENTS), EACH)
    pulse = np.repeat(draw.normal(70, 20, PATIENTS), EACH) + draw.normal(0, 0.1, len(who))
    outcome = np.repeat(draw.integers(0, 2, PATIENTS), EACH)
    frame = Frame(
        {
            "patient": Factor.of([f"p{one:03d}" for one in who]),
            "pulse": pulse,
            "ward": Factor.of(draw.choice(["north", "south"], len(who)).tolist()),
        }
    )
    return frame, outcome.astype(np.int64)


def test_somebody_who_is_known_again_is_critical_and_worth_what_grouping_takes_away() -> None:
    frame, outcome = patients()
    split = random_split(len(outcome), valid=0.25, seed=1)
    seen = frame.select(["pulse", "ward"])
    worth = TableWorth(seen, outcome, split, num_classes=2)
    (found,) = entity_overlap(frame, split, worth=worth)
    assert found.key == "entity-overlap:patient" and found.level == "critical"
    assert found.worth is not None and found.worth.is_clear
    assert found.worth.with_it > 0.75 and found.worth.without < 0.65
    assert found.fix == "keep each one's rows together: --set groups=patient."
    assert found.items[0].startswith("p0")


def test_split_by_them_there_is_nothing_to_tell() -> None:
    frame, _ = patients()
    split = group_split(frame.factor("patient").codes, valid=0.25, seed=1)
    assert list(entity_overlap(frame, split)) == []
    mixed = random_split(len(frame), valid=0.25, seed=1)
    assert [one.subject for one in entity_overlap(frame, mixed)] == ["patient"]
    assert list(entity_overlap(frame, mixed, by="patient")) == []
    in_time = Split(mixed.train, mixed.valid, method="time")
    assert list(entity_overlap(frame, in_time)) == [], "who comes again later is meant to"


def test_kinds_of_rows_and_counters_are_nobody() -> None:
    draw = np.random.default_rng(2)
    count = 400
    frame = Frame(
        {
            "id": np.arange(count, dtype=np.float64),
            "colour": Factor.of(draw.choice(["red", "blue", "green"], count).tolist()),
            "height": draw.integers(150, 200, count).astype(np.float64),
            "user_id": draw.integers(0, 90, count).astype(np.float64),
        }
    )
    found = list(entity_overlap(frame, random_split(count, seed=3)))
    assert [one.subject for one in found] == ["user_id"], "whole numbers, by its name"


def test_an_overlap_that_helps_nobody_is_a_note_or_nothing() -> None:
    draw = np.random.default_rng(4)
    count = 400
    frame = Frame(
        {
            "person": Factor.of([f"n{n}" for n in draw.integers(0, 100, count)]),
            "street": Factor.of([f"s{n}" for n in draw.integers(0, 100, count)]),
            "size": draw.random(count),
        }
    )
    targets = (frame.numbers("size") > 0.5).astype(np.int64)
    split = random_split(count, seed=5)
    worth = TableWorth(frame.select(["size"]), targets, split, num_classes=2)
    found = list(entity_overlap(frame, split, worth=worth))
    assert [(one.subject, one.level) for one in found] == [("person", "note")]


def regulars(name: str) -> tuple[Frame, np.ndarray]:
    """80 with five visits each, more or less, and an outcome that is nearly always the same one's."""
    draw = np.random.default_rng(8)
    who = draw.integers(0, 80, 400)
    outcome = np.where(
        draw.random(400) < 0.95, draw.integers(0, 2, 80)[who], draw.integers(0, 2, 400)
    )
    frame = Frame({name: Factor.of([f"n{one}" for one in who]), "size": draw.random(400)})
    return frame, outcome.astype(np.int64)


@pytest.mark.parametrize(
    ("name", "is_seen", "level"),
    [("user", True, "critical"), ("place", True, "warning"), ("place", False, None)],
)
def test_who_comes_a_few_times_is_known_by_name_and_a_kind_of_row_is_no_leak(
    name: str, is_seen: bool, level: str | None
) -> None:
    frame, outcome = regulars(name)
    split = random_split(400, seed=3)
    seen = frame if is_seen else frame.select(["size"])
    worth = TableWorth(seen, outcome, split, num_classes=2)
    found = list(entity_overlap(frame, split, worth=worth))
    assert [one.level for one in found] == ([] if level is None else [level])
    if found:
        (one,) = found
        assert one.worth is not None
        assert one.worth.with_it > 0.8 and one.worth.without < 0.65
        known = {frame.factor(name).values()[at] for at in split.valid}
        assert one.count <= len(known), "such as these, and as many more: names, not rows"


def drifting(count: int = 400) -> tuple[Frame, np.ndarray, np.ndarray]:
    """A number that wanders, which neighbours in time tell: at random, validation is between them."""
    draw = np.random.default_rng(6)
    day = np.datetime64("2021-01-01", "us") + np.arange(count) * np.timedelta64(1, "D")
    value = np.cumsum(draw.normal(0, 1, count))
    return Frame({"day": day, "noise": draw.random(count)}), value, day


def test_rows_with_dates_split_at_random_have_seen_the_future() -> None:
    frame, value, day = drifting()
    split = random_split(len(value), seed=7)
    worth = TableWorth(frame, value, split, num_classes=0)
    (found,) = time_order(day, "day", split, worth=worth)
    assert found.level == "critical" and found.key == "time-order" and found.because is None
    assert found.worth is not None and found.worth.is_clear
    assert found.worth.metric == "mean absolute error"
    assert found.worth.without > 2 * found.worth.with_it
    (told,) = time_order(day, "day", split, because="days are shuffled")
    assert told.because == "days are shuffled" and not told.is_open


@pytest.mark.parametrize("name", ["time", "words", "none", "ordered", "empty"])
def test_in_order_of_time_there_is_nothing_to_tell(name: str) -> None:
    _, _, day = drifting()
    split = random_split(len(day), seed=7)
    times, split = {
        "time": (day, time_split(day)),
        "words": (Factor.of(["a"] * len(day)), split),
        "none": (None, split),
        "ordered": (day, Split(tuple(range(300)), tuple(range(300, 400)))),
        "empty": (np.full(len(day), np.nan), split),
    }[name]
    assert list(time_order(times, "day", split)) == []
