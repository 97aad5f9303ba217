"""`nn.shapes`: modules with the shapes of the ones that are drawn, and no numbers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from drivetrain.models.language import create_language_model, language_description
from drivetrain.models.resnet import resnet_tiny
from drivetrain.models.tabular import TabularNet
from drivetrain.nn.shapes import shapes_only
from drivetrain.randomness import seeded

MAKES: dict[str, Callable[[], nn.Module]] = {
    "of pictures": lambda: resnet_tiny(3),
    "of tables": lambda: TabularNet([3, 7], 2, 1),
    "of texts": lambda: create_language_model(language_description("decoder", 50, embedding_dim=8)),
}


@pytest.mark.parametrize("make", MAKES.values(), ids=list(MAKES))
def test_every_shape_is_that_of_the_module_with_numbers(make: Callable[[], nn.Module]) -> None:
    with shapes_only():
        empty = make()
    with seeded(0, "test"):
        drawn = make()
    assert all(t.is_meta for t in [*empty.parameters(), *empty.buffers()])
    assert {name: (t.dtype, t.shape) for name, t in empty.state_dict().items()} == {
        name: (t.dtype, t.shape) for name, t in drawn.state_dict().items()
    }


def test_a_block_draws_nothing_into_what_has_no_numbers() -> None:
    with seeded(0, "test"):
        with shapes_only():
            empty = torch.empty(3)
            assert nn.init.normal_(empty) is empty and empty.normal_() is empty
            number = torch.zeros(3, device="cpu")
            assert number.normal_(5.0, 1e-6).sum() > 14
        assert torch.zeros(3).normal_(5.0, 1e-6).sum() > 14
        assert nn.init.normal_(torch.zeros(3), 5.0, 1e-6).sum() > 14
