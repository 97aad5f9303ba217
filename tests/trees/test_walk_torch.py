"""The walk in torch answers as numpy's, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from drivetrain.errors import ShapeError
from drivetrain.trees.walk_torch import TorchTrees
from tests.trees.families import FAMILIES, ROWS, asked, grown

ASKED = asked()


@pytest.mark.parametrize("name", FAMILIES)
def test_torch_walks_as_numpy_does(name):
    trees = grown(name).ensemble
    module = TorchTrees(trees)
    for rows in (ASKED, np.nan_to_num(ASKED), ASKED[:1], ASKED[:0]):
        inputs = torch.from_numpy(rows)
        np.testing.assert_array_equal(module(inputs).numpy(), trees.outputs(rows), strict=True)
        np.testing.assert_array_equal(module.predict(inputs).numpy(), trees.predict(rows))


def test_blocks_do_not_show():
    trees = FAMILIES["forest, 4 classes"].grown(ROWS, num_trees=3).ensemble
    rows = np.tile(ASKED, (26, 1))  # more than one block
    found = TorchTrees(trees)(torch.from_numpy(rows)).numpy()
    np.testing.assert_array_equal(found, np.tile(trees.outputs(ASKED), (26, 1)))
    np.testing.assert_array_equal(trees.outputs(rows), found)


def test_rows_of_float32_are_walked_as_they_are():
    trees = grown("lightgbm, numbers").ensemble
    rows = ASKED.astype(np.float32)
    np.testing.assert_array_equal(
        TorchTrees(trees)(torch.from_numpy(rows)).numpy(), trees.outputs(rows)
    )


def test_it_has_no_parameters_and_saves_none():
    module = TorchTrees(grown("tree, numbers").ensemble)
    assert not list(module.parameters())
    assert not module.state_dict()


def test_other_columns_are_refused():
    module = TorchTrees(grown("tree, numbers").ensemble)
    with pytest.raises(
        ShapeError, match=r"^`TorchTrees` got inputs of shape \(2, 4\), expected \(N, 5\)\.$"
    ):
        module(torch.zeros(2, 4))
