"""report/sweep.py and report/bubbles.py: the page of a sweep."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, strategies as st

from drivetrain.report.bubbles import Bubble, bubble_chart, log_ticks
from drivetrain.report.sweep import conclusions, sweep_page
from drivetrain.train.paired import SHARE, Errors, errors_of
from drivetrain.train.sweeping import DONE, FAILED, WAITING, Board, Row, board
from tests.report.hostile import NAMES


def wrong(count: int) -> Errors:
    values = np.zeros(400)
    values[:count] = 1
    return errors_of(SHARE, [f"{place:03d}" for place in range(400)], values)


def row(name: str, count: int, **more: object) -> Row:
    told = {"seconds": 10.0 + count, "peak_bytes": 800_000_000, "parameters": 12_345, "sealed": 20}
    return Row(
        name, DONE, f"why {name}", f"runs/s/{name}", "error_rate", count / 400, 0.01, 0.3,
        **{**told, **more},  # type: ignore[arg-type]
    )  # fmt: skip


def made(*rows: Row) -> Board:
    counts = {one.name: wrong(round(400 * one.error)) for one in rows if one.error is not None}
    return board(rows, counts)


@pytest.mark.row(106)
def test_the_page_has_the_board_the_chart_and_what_may_be_said() -> None:
    found = made(
        row("small", 60, seconds=2.0),
        row("large", 20),
        row("twin", 21),
        Row("dead", FAILED, "why dead", note="The memory is full."),
        Row("later", WAITING, "why later", note="the time was up"),
    )
    page = sweep_page(found, folder="runs/s", source="photos")
    assert re.findall(r'<section id="(\w+)"', page) == ["board", "trade", "noise", "why", "next"]
    assert page.count('<g class="bubble') == 3 and page.count('<g class="bubble front"') == 2
    assert "large has the lowest error, 0.0500." in page
    assert "As good within noise is twin" in page and "failed: The memory is full." in page
    assert "waiting: the time was up" in page and "drivetrain test runs/s/large" in page
    assert "This page holds items of your data" not in page and "Trained on photos." in page
    assert "<script" not in page and not re.search(r'(src|href)="(?!#|data:)', page)
    assert page.count("<summary>Numbers</summary>") == 2


def test_names_are_text_and_nothing_else() -> None:
    found = made(*(row(name, 20 + 9 * place) for place, name in enumerate(NAMES)))
    page = sweep_page(found, folder=NAMES[0], source=NAMES[1])
    assert "<script>document" not in page and "<img" not in page and "\u202e" not in page


def test_nothing_that_was_measured_is_a_page_too() -> None:
    page = sweep_page(made(Row("dead", FAILED, "why", note="It fell.")), folder="s", source="x")
    assert "No candidate has a result: see why each failed." in page and "It fell." in page


@pytest.mark.row(106)
def test_what_is_said_of_the_best_is_what_the_board_can_bear() -> None:
    def told(*rows: Row) -> str:
        return " ".join(conclusions(made(*rows)))

    alone = told(row("a", 20))
    assert alone == "a has the lowest error, 0.0500."
    assert "All others are worse by more than chance." in told(row("a", 20), row("b", 200))
    quick = told(row("a", 20), row("b", 21, seconds=1.0))
    assert "The quickest to train of these is b (1 s)." in quick
    assert "The sealed test is for that: open it once" in quick
    assert "set one aside with --test 0.2." in told(row("a", 20, sealed=0), row("b", 21))
    beaten = row("a", 20, rules={"majority_class": {"error": 0.02}})
    assert "No model is better than “always the commonest” (0.0200)" in told(beaten)
    bare = board([row("a", 20), row("b", 21)], {})
    assert "Whether others are as good cannot be told" in " ".join(conclusions(bare))


def places(chart: str) -> list[tuple[float, float]]:
    return [
        (float(x), float(y)) for x, y in re.findall(r'<circle cx="([\d.-]+)" cy="([\d.-]+)"', chart)
    ]


@given(
    st.lists(
        st.tuples(st.floats(0, 1e4), st.floats(1e-4, 1e5), st.floats(0, 1e11)),
        min_size=1,
        max_size=12,
    )
)
@example([(2.225073858507203e-309, 1.0, 0.0)])
@example([(5e-324, 1.0, 0.0), (0.0, 1.0, 0.0)])
def test_every_dot_is_on_the_canvas_and_stands_as_its_numbers_do(
    models: list[tuple[float, float, float]],
) -> None:
    # the same memory for all, so that they are drawn in the order in which they are given
    dots = [
        Bubble(number, "m", error, seconds, 1e9, False, "")
        for number, (error, seconds, _) in enumerate(models, 1)
    ]
    found = places(bubble_chart("t", dots, below="b", beside="s"))
    assert len(found) == len(dots)
    assert all(50 <= x <= 384 and 22 <= y <= 272 for x, y in found)
    for (x, y), one in zip(found, dots, strict=True):
        for (x2, y2), two in zip(found, dots, strict=True):
            if one.seconds <= two.seconds:
                assert x <= x2
            if one.error <= two.error:
                assert y >= y2


def test_memory_is_the_area_and_small_dots_lie_above_large_ones() -> None:
    dots = [Bubble(1, "a", 0.1, 1, 4e9, True, ""), Bubble(2, "b", 0.1, 1, 2e9, False, "")]
    chart = bubble_chart("t", [dots[1], dots[0]], below="b", beside="s")
    radii = [float(one) for one in re.findall(r' r="([\d.]+)"', chart)]
    assert radii[0] ** 2 / radii[1] ** 2 == pytest.approx(2, rel=0.02)
    assert bubble_chart("t", [], below="b", beside="s") == ""
    unknown = [replace(one, memory=0.0) for one in dots]
    assert bubble_chart("t", unknown, below="b", beside="s").count('r="7.0"') == 2


def test_the_line_never_rises_with_time() -> None:
    """A model that is on the front for its memory alone lies beside the line, not on it."""
    errors = {35.0: 0.23, 41.0: 0.63, 42.0: 0.22, 54.0: 0.4}
    dots = [
        Bubble(number, "m", error, seconds, 1e9, True, "")
        for number, (seconds, error) in enumerate(errors.items(), 1)
    ]
    chart = bubble_chart("t", dots, below="b", beside="s")
    line = re.search(r'points="([^"]+)"', chart)
    assert line is not None
    corners = [tuple(map(float, one.split(","))) for one in line[1].split()]
    assert corners == [places(chart)[0], places(chart)[2]]


@given(st.floats(1e-6, 1e6), st.floats(1.2, 1e8))
def test_ticks_lie_between_the_ends_and_are_few(low: float, factor: float) -> None:
    ticks = log_ticks(low, low * factor)
    assert 2 <= len(ticks) <= 7 and ticks == sorted(ticks)
    assert low <= ticks[0] and ticks[-1] <= low * factor
