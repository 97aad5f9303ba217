"""The picture of items: names that can be read."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from drivetrain.collab.factors import Factors
from drivetrain.collab.looking.reading import ItemMap, map_items
from drivetrain.collab.looking.show import item_map_figure
from drivetrain.errors import ConfigError


def crowded(count: int = 90) -> ItemMap:
    """Items in a small cloud, so that names would lie on one another."""
    draw = np.random.default_rng(0)
    items = np.vstack([np.zeros((1, 3)), draw.normal(size=(count, 3))]).astype(np.float32)
    factors = Factors(np.zeros((2, 3), "f"), items, np.zeros(2, "f"), np.zeros(count + 1, "f"))
    titles = tuple(f"$ome film, number {i}" for i in range(count + 1))
    return map_items(factors, titles, counts=np.arange(count + 1)[::-1].copy(), most=80)


@pytest.mark.row(127)
def test_names_stand_apart_and_within_the_picture() -> None:
    found = crowded()
    figure = item_map_figure(found, labels=40)
    figure.canvas.draw()
    axes = figure.axes[0]
    boxes = [text.get_window_extent() for text in axes.texts]
    assert 25 <= len(boxes) <= 40
    for one, other in combinations(boxes, 2):
        assert not one.overlaps(other)
    window = axes.get_window_extent()
    for box in boxes:
        assert window.x0 <= box.x0 <= box.x1 <= window.x1
        assert window.y0 <= box.y0 <= box.y1 <= window.y1
    said = figure.get_supxlabel()
    missed = 40 - len(boxes)
    assert said.startswith("80 items; 10 with fewer ratings left out")
    assert (f"{missed} name" in said) == bool(missed)


def test_the_ends_of_the_axes_are_named_first() -> None:
    found = crowded()
    figure = item_map_figure(found, labels=8)
    shown = {text.get_text() for text in figure.axes[0].texts}
    ends = {
        str(end[0].code) for axis in found.axes for end in (axis.highest, axis.lowest)
    }  # fmt: skip
    assert ends <= {name.rsplit(" ", 1)[-1] for name in shown}
    assert all(r"\$" in name for name in shown)  # no formula begins there
    assert "Axis 1" in figure.axes[0].get_xlabel()
    assert len(item_map_figure(found, labels=0).axes[0].texts) == 0
    with pytest.raises(ConfigError) as caught:
        item_map_figure(found, labels=-1)
    assert str(caught.value) == "`labels` is a whole number from 0 up. Got -1."
