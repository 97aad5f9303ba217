"""Every picture, at forty columns of long names: labelled, inside its frame, no label over another."""

from __future__ import annotations

import functools
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from drivetrain.data.frame import Factor, Frame
from drivetrain.interpret.columns import columns_to_drop
from drivetrain.interpret.comparison import compare_importance
from drivetrain.interpret.confidence import tree_confidence
from drivetrain.interpret.curves import _bulk
from drivetrain.interpret.domain import out_of_domain
from drivetrain.interpret.importance import permutation_importance
from drivetrain.interpret.outliers import outlier_report, with_and_without
from drivetrain.interpret.partial import partial_dependence
from drivetrain.interpret.partial_2d import partial_dependence_2d
from drivetrain.interpret.redundancy import redundant_columns, without_each
from drivetrain.interpret.waterfall import waterfall
from tests.interpret.models import mixed, of_mixed, r2

NAMES = [f"a column with quite a long name, in $ and % ({i})" for i in range(45)]


def wide(seed: int = 0, rows: int = 60) -> Frame:
    matrix = np.random.default_rng(seed).normal(size=(rows, 45))
    matrix[:, 1] = np.exp(matrix[:, 0])
    matrix[0] = 40.0
    return Frame.from_matrix(matrix, NAMES)


def weighted(frame: Frame) -> np.ndarray:
    return frame.matrix(NAMES) @ np.arange(45.0)


def three_classes(frame: Frame) -> np.ndarray:
    powers = np.exp(
        np.stack([frame.numbers(NAMES[0]), np.zeros(len(frame)), frame.numbers(NAMES[3])], axis=1)
    )
    return powers / powers.sum(axis=1, keepdims=True)


def many_words() -> Frame:
    words = [f"quite a long category, number {i % 40}" for i in range(400)]
    return Frame({NAMES[0]: Factor.of(words), NAMES[1]: np.arange(400.0) % 7})


@functools.cache
def importance():
    frame = wide()
    return permutation_importance(weighted, frame, weighted(frame), r2, repeats=1)


def comparison():
    return compare_importance(dict(zip(NAMES, np.arange(45.0)[::-1], strict=True)), importance())


def drop_report():
    return columns_to_drop(lambda n: (1 / len(n) ** 2, 0.01), dict.fromkeys(NAMES, 0.0))


def of_words(frame: Frame) -> np.ndarray:
    return frame.factor(NAMES[0]).codes + frame.numbers(NAMES[1])


def no_forest(X, y, seed):
    return lambda rows: rows[:, 0], np.arange(45.0)


PICTURES = {
    "importance": lambda: importance().plot(),
    "comparison": lambda: comparison().plot(),
    "curve": lambda: partial_dependence(weighted, wide(), NAMES[0], num_points=10).plot(),
    "curve of classes": lambda: partial_dependence(three_classes, wide(), NAMES[0], num_points=9).plot(),
    "curve of one class": lambda: partial_dependence(
        three_classes, wide(), NAMES[0], outputs=("no", "perhaps $", "yes")
    ).centred().plot(output=1),
    "curve of numbers, some missing": lambda: partial_dependence(of_mixed, mixed(), "age").plot(),
    "curve of dates": lambda: partial_dependence(of_mixed, mixed(), "day").plot(),
    "categories": lambda: partial_dependence(of_words, many_words(), NAMES[0]).plot(),
    "surface": lambda: partial_dependence_2d(
        of_words, many_words(), NAMES[0], NAMES[1], num_points=40
    ).plot(),
    "surface of dates": lambda: partial_dependence_2d(of_mixed, mixed(), "day", "kind").plot(),
    "dendrogram": lambda: redundant_columns(wide()).plot(),
    "without each": lambda: without_each(lambda n: (len(n[0]), 0.5), NAMES).plot(),
    "columns to drop": lambda: drop_report().plot(),
    "domain": lambda: out_of_domain(wide(), wide(1), grow=no_forest).plot(),
    "domain without a forest": lambda: out_of_domain(wide(), wide(1), with_forest=False).plot(),
    "outliers": lambda: outlier_report(wide()).plot(),
    "without outliers": lambda: with_and_without(
        lambda kept: (kept.sum(), 1.0), outlier_report(wide()), most=40
    ).plot(),
    "no outliers": lambda: outlier_report(Frame({"x": np.zeros(3)})).plot(),
    "waterfall": lambda: waterfall(
        0.0, np.arange(45.0) - 20, (np.arange(45.0) - 20).sum(), NAMES, shown=NAMES
    ).plot(most=40),
    "waterfall of nothing": lambda: waterfall(0.0, [0.0], 0.0, ["a"]).plot(),
    "confidence": lambda: tree_confidence(
        np.random.default_rng(0).normal(size=(9, 80)), targets=np.zeros(80)
    ).plot(),
}  # fmt: skip


@pytest.mark.parametrize("name", PICTURES)
def test_picture_is_labelled_and_nothing_lies_over_another(name):
    figure = PICTURES[name]()
    figure.draw_without_rendering()
    said = [] if figure._supxlabel is None else [figure._supxlabel]
    for axes in figure.axes:
        assert axes.get_xlabel() or axes.get_ylabel()
        upward, along = labels(axes.yaxis), labels(axes.xaxis)
        assert apart([(box.y0, box.y1) for box in map(extent, upward)])
        if along and along[0].get_rotation() == 0:
            assert apart([(box.x0, box.x1) for box in map(extent, along)])
        said += [*upward, *along, axes.xaxis.label, axes.yaxis.label, *axes.texts]
    page = figure.bbox
    for text in said:
        box = extent(text)
        inside = page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1
        assert inside or not text.get_text(), text.get_text()
    assert figure.get_facecolor() == (1.0, 1.0, 1.0, 1.0)


def labels(axis) -> list[Any]:
    """Of the ticks that are in view."""
    low, high = sorted(axis.get_view_interval())
    ticks = zip(axis.get_majorticklocs(), axis.get_major_ticks(), strict=False)
    shown = [
        t.label1 if t.label1.get_visible() else t.label2 for at, t in ticks if low <= at <= high
    ]
    return [text for text in shown if text.get_visible() and text.get_text()]


def extent(text):
    return text.get_window_extent()


def apart(ends: list[tuple[float, float]]) -> bool:
    return all(after[0] >= before[1] - 1 for before, after in pairwise(sorted(ends)))


def test_forty_columns_are_shown_and_the_rest_is_counted():
    figure = importance().plot()
    assert len(figure.axes[0].get_yticks()) == 40
    assert figure._supxlabel.get_text().startswith("5 less important columns are not shown.")


def test_code_far_from_all_other_values_does_not_press_the_curve_together():
    assert _bulk(np.array([1000.0, 1990, 1995, 2000, 2005])) == (1, 5)
    assert _bulk(np.array([0.0, 1, 2, 3, 99])) == (0, 4)
    assert _bulk(np.arange(9.0)) == (0, 9)
    assert _bulk(np.array([0.0, 100, 101])) == (0, 3)  # of three, none is aside
    year = np.r_[np.full(20, 1000.0), np.arange(1990.0, 2010)]
    figure = partial_dependence(lambda f: f.numbers("year"), Frame({"year": year}), "year").plot()
    assert figure.axes[0].get_xlim()[0] > 1980
    assert figure._supxlabel.get_text().startswith(
        "Not in the picture, far from the rest: 1000 (20 rows)."
    )
