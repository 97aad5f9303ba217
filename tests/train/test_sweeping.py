"""train/sweeping.py: the order, the front, and what is said of noise."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, strategies as st

from drivetrain.errors import RunError
from drivetrain.train.paired import SHARE, Errors, errors_of
from drivetrain.train.sweeping import DONE, FAILED, WAITING, Board, Row, board, pareto

POINTS = st.lists(
    st.tuples(*[st.integers(0, 6)] * 3), min_size=1, max_size=40
)  # few values, so that there are ties


def dominates(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    return all(a <= b for a, b in zip(one, other, strict=True)) and one != other


@pytest.mark.row(106)
@given(POINTS)
def test_no_member_of_the_front_is_dominated_and_every_outsider_is_by_a_member(
    points: list[tuple[int, ...]],
) -> None:
    on_front = pareto(points)
    members = [point for point, is_on in zip(points, on_front, strict=True) if is_on]
    assert members
    for point, is_on in zip(points, on_front, strict=True):
        assert any(dominates(other, point) for other in members) != is_on
    assert all(not dominates(a, b) for a in members for b in members)


@given(POINTS, st.randoms(use_true_random=False))
def test_the_front_does_not_depend_on_the_order(
    points: list[tuple[int, ...]], random: object
) -> None:
    shuffled = list(points)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    found = dict(zip(points, pareto(points), strict=True))
    assert found == dict(zip(shuffled, pareto(shuffled), strict=True))


def wrong(count: int, *, of: int = 1000, moved: int = 0) -> Errors:
    """So many wrong answers, the first of which lie at the place `moved`."""
    values = np.zeros(of)
    values[moved : moved + count] = 1
    return errors_of(SHARE, [f"{place:05d}" for place in range(of)], values)


def row(name: str, error: float, seconds: float = 1.0, peak: int = 1) -> Row:
    return Row(name, DONE, metric="error_rate", error=error, seconds=seconds, peak_bytes=peak)


def made() -> Board:
    errors = {"best": wrong(50), "close": wrong(52), "far": wrong(90)}
    rows = [
        Row("dead", FAILED, note="The memory is full."),
        row("far", 0.09, seconds=0.5),
        row("best", 0.05, seconds=9, peak=7),
        Row("later", WAITING),
        row("close", 0.052, seconds=9, peak=8),
    ]
    return board(rows, errors)


@pytest.mark.row(106)
def test_rows_stand_by_error_then_the_failed_then_those_that_wait() -> None:
    found = made()
    assert [one.name for one in found.rows] == ["best", "close", "far", "dead", "later"]
    assert found.best is not None and found.best.name == "best"
    # `close` errs more, takes as long and needs more memory
    assert [one.name for one in found.front] == ["far", "best"]
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["front"] == ["far", "best"]


@pytest.mark.row(106)
def test_who_cannot_be_told_from_the_best_is_as_good() -> None:
    found = made()
    assert [one.name for one in found.as_good] == ["close"]
    assert found.confidence == pytest.approx(1 - 0.05 / 3)  # of three there are three pairs
    far = found.rows[2].behind
    assert far is not None and far.low > 0 and far.value == pytest.approx(0.04)
    assert found.flattery is not None and found.flattery >= 0


@pytest.mark.row(106)
def test_of_equal_models_none_is_called_worse_more_often_than_is_promised() -> None:
    generator = np.random.default_rng(5)
    ids = [f"{place:03d}" for place in range(300)]
    called, rounds = 0, 150
    for _ in range(rounds):
        hard = 0.7 * generator.random(300)  # all models meet the same hard items
        errors = {}
        for name in "abcdef":
            is_wrong = hard + 0.3 * generator.random(300) < 0.25
            errors[name] = errors_of(SHARE, ids, is_wrong.astype(float))
        found = board([row(name, one.error) for name, one in errors.items()], errors)
        called += len(found.as_good) < 5
    assert called / rounds <= 0.05


def test_the_same_errors_on_other_items_are_not_compared() -> None:
    strange = errors_of(SHARE, ["x", "y"], np.array([0.0, 1.0]))
    found = board([row("a", 0.05), row("b", 0.5)], {"a": wrong(50), "b": strange})
    assert [(one.name, one.state) for one in found.rows] == [("a", DONE), ("b", FAILED)]
    assert found.rows[1].note == "It was measured on other items, or by another error."
    assert found.flattery is None


def test_a_number_that_is_not_known_beats_nobody() -> None:
    bare = Row("bare", DONE, metric="error_rate", error=0.1)
    found = board([bare, row("a", 0.1)], {})
    assert [(one.name, one.is_on_front) for one in found.done] == [("bare", False), ("a", True)]
    assert not found.as_good


def test_an_empty_board_has_no_best() -> None:
    found = board([Row("dead", FAILED)], {})
    assert found.best is None and found.done == () and found.flattery is None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"name": "a"}, "This is no row of a sweep: "),
        ({"name": "a", "state": "fine"}, "This is no row of a sweep: a state or a number in it is"),
        ({"name": "a", "state": "done"}, "This is no row of a sweep: it is done and has no error."),
        ({"name": "a", "state": "done", "error": "0.1"}, "a state or a number in it is none."),
        ({"name": "a", "state": "done", "error": 1, "rules": {"x": 1}}, "its rules are none."),
    ],
)
def test_what_is_no_row_is_refused(value: dict[str, object], message: str) -> None:
    with pytest.raises(RunError) as caught:
        Row.from_json(value)
    assert message in str(caught.value)


def test_a_row_comes_back_as_it_was() -> None:
    before = row("a", 0.1)
    assert Row.from_json(before.to_json() | {"more": 1}) == before
