"""ProgressiveResizing: sizes rise to the whole picture, in training only, and the history says them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import drivetrain as dt
from drivetrain.errors import ConfigError, ShapeError
from drivetrain.train import loop
from drivetrain.train.callbacks.cutmix import CutMix
from drivetrain.train.callbacks.progressive_resizing import ProgressiveResizing
from drivetrain.train.state import FitState
from tests.train.callbacks.cutting import (
    assert_same,
    cut_and_resumed,
    fit_state,
    history,
    pictures,
)


class Sizes(nn.Module):
    """A net that notes the sizes it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(1, 3)
        self.seen: list[tuple[bool, tuple[int, ...]]] = []
        self.last: Tensor = torch.empty(0)

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append((self.training, tuple(x.shape[-2:])))
        self.last = x
        return self.linear(x.mean(dim=(2, 3)))


def sizes(side: Any, epochs: int, **options: Any) -> tuple[list[Any], list[Any]]:
    """What training saw in each epoch, and the history's column."""
    height, width = side if isinstance(side, tuple) else (side, side)
    loader = dt.BatchLoader(
        dt.TensorData(torch.zeros(8, 1, height, width), torch.arange(8) % 3), batch_size=8
    )
    model = Sizes()
    state = fit_state(
        ProgressiveResizing(**options),
        model=model,
        loaders=dt.Loaders(loader, loader),
        epochs=epochs,
        scheduled=False,
        make_optimizer=lambda m: torch.optim.SGD(m.parameters(), 0.1),
    )
    loop.fit(state)
    assert {shape for training, shape in model.seen if not training} == {(height, width)}
    return [shape for training, shape in model.seen if training], [
        row["size"] for row in history(state)
    ]


def test_sizes_rise_in_steps_and_end_whole() -> None:
    seen, column = sizes(224, 8)
    assert column == [128, 128, 160, 160, 192, 192, 224, 224]
    assert seen == [(side, side) for side in column]


def test_until_and_start_and_step() -> None:
    assert sizes(64, 4, start=0.25, until=1.0, step=16)[1] == [16, 32, 48, 64]
    assert sizes(64, 4, start=0.25, until=0.25, step=16)[1] == [16, 64, 64, 64]
    assert sizes(100, 3, start=0.1, step=32)[1] == [32, 64, 100]
    assert sizes(64, 1)[1] == [64]


def test_both_sides_shrink_by_the_same_share() -> None:
    seen, column = sizes((128, 64), 2, start=0.5, step=16)
    assert (seen, column) == ([(64, 32), (128, 64)], [64, 128])


def test_pixels_are_those_of_an_antialiased_bilinear_interpolation() -> None:
    inputs, targets = pictures()
    callback, model = ProgressiveResizing(step=2), Sizes()
    state = fit_state(callback, model=model, loaders=dt.Loaders([(inputs, targets)]), epochs=2)
    state.batch = (inputs, targets)
    callback.before_batch(state)
    whole = F.interpolate(inputs, size=(6, 6), mode="bilinear", antialias=True)
    assert torch.equal(state.batch[0], whole)
    assert state.batch[1] is targets


def test_all_pictures_of_a_dict_shrink_and_the_rest_stays() -> None:
    callback = ProgressiveResizing(step=2)
    state = fit_state(callback, epochs=2)
    age = torch.zeros(4, 1)
    state.batch = {"a": torch.zeros(4, 1, 8, 8), "b": torch.zeros(4, 3, 16, 8), "age": age,
                   "labels": torch.zeros(4)}  # fmt: skip
    callback.before_batch(state)
    assert state.batch["a"].shape == (4, 1, 4, 4)
    assert state.batch["b"].shape == (4, 3, 8, 4)
    assert state.batch["age"] is age


@pytest.mark.parametrize("moment", [("batch", 3), ("batch", 5), ("batch", 12), ("epoch", 1)])
def test_a_cut_fit_goes_on_to_the_same_bits(moment: Any) -> None:
    def build() -> FitState:
        return fit_state(ProgressiveResizing(0.4, until=1.0, step=4), CutMix())

    whole = build()
    loop.fit(whole)
    assert [row["size"] for row in history(whole)] == [4, 8, 12]
    assert_same(cut_and_resumed(build, moment), whole)


def test_pictures_are_learnt() -> None:
    state = fit_state(ProgressiveResizing(step=4), epochs=6)
    loop.fit(state)
    assert history(state)[-1]["accuracy"] > 0.9


def test_inputs_that_are_no_pictures_are_refused() -> None:
    state = fit_state(
        ProgressiveResizing(), loaders=dt.Loaders([(torch.zeros(4, 2), torch.zeros(4))])
    )
    with pytest.raises(ShapeError) as caught:
        loop.fit(state)
    assert str(caught.value) == (
        "`ProgressiveResizing` got inputs of shape (4, 2), expected pictures as floats of shape "
        "(B, C, height, width). Leave it out for this model."
    )


def test_targets_for_each_pixel_are_refused() -> None:
    batch = torch.zeros(4, 1, 8, 8), torch.zeros(4, 8, 8, dtype=torch.int64)
    with pytest.raises(ShapeError) as caught:
        loop.fit(fit_state(ProgressiveResizing(), loaders=dt.Loaders([batch])))
    assert str(caught.value) == (
        "`ProgressiveResizing` got targets of shape (4, 8, 8), one for each pixel: they would have to be "
        "shrunk as well. Leave it out for this model."
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"start": 0}, "`start` above 0 and below 1. Got 0."),
        ({"start": 1.0}, "`start` above 0 and below 1. Got 1.0."),
        ({"until": 0}, "`until` above 0. Got 0."),
        ({"until": 1.5}, "`until` of at most 1. Got 1.5."),
        ({"step": 0}, "`step` as a whole number of 1 or more. Got 0."),
    ],
)
def test_arguments_out_of_range_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ProgressiveResizing(**options)
    assert str(caught.value) == f"`ProgressiveResizing` needs {words}"
