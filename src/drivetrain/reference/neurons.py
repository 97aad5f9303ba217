"""One neuron, a layer of them, what makes a net more than a line, and the two ends of a sigmoid.

Letters: I inputs, O outputs (hidden units, where more layers follow), B items; W is (O, I) as in torch,
a row for each neuron; b is (O,). Twin of `nn.Linear`, `torch.relu`, `torch.sigmoid`, `nn.sigmoid_range`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

# --- neurons ------------------------------------------------------------------------------------------


def neuron(inputs: Sequence[float], weights: Sequence[float], bias: float) -> float:
    """Each input times its own weight, all of it added up, and the bias.

    >>> neuron([1, 2, 3], [0.5, -1, 0.25], 2)
    1.25
    """
    total = bias
    for x, w in zip(inputs, weights, strict=True):
        total += x * w
    return total


def dense(x: np.ndarray, W: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(B, I) -> (B, O): every neuron sees every input. A product of matrices does the loops."""
    return x @ W.T + b


def num_parameters(*widths: int) -> int:
    """Of dense layers from each width to the next: a weight an input and one bias, for each neuron.

    >>> num_parameters(784, 30, 1)  # 784 · 30 + 30 + 30 · 1 + 1
    23581
    """
    return sum((inputs + 1) * outputs for inputs, outputs in pairwise(widths))


# --- what stands between layers -----------------------------------------------------------------------


def relu(x: np.ndarray) -> np.ndarray:
    """What is below 0 becomes 0: a line with a kink."""
    return np.where(x > 0, x, 0.0)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + e^-x), between 0 and 1. Both forms are the same; each is used where e^… is small."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small))


def sigmoid_slope(x: np.ndarray) -> np.ndarray:
    """s (1 - s): a quarter in the middle, and next to nothing at both ends."""
    return sigmoid(x) * (1 - sigmoid(x))


def sigmoid_range(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """The sigmoid from low to high: a rating cannot leave its scale.

    >>> float(sigmoid_range(np.array(0.0), 0, 5.5))
    2.75
    """
    return low + (high - low) * sigmoid(x)


# --- why something has to stand between ---------------------------------------------------------------


def collapsed(
    W1: np.ndarray, b1: np.ndarray, W2: np.ndarray, b2: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The one layer that two in a row are: W2 (W1 x + b1) + b2 = (W2 W1) x + (W2 b1 + b2)."""
    return W2 @ W1, W2 @ b1 + b2


XOR_INPUTS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
XOR_TARGETS = np.array([[0.0], [1.0], [1.0], [0.0]])
"""1 where one of the two inputs is 1, but not both."""


def corner_gap(outputs: np.ndarray) -> float:
    """Outputs (4, 1) at the four corners: first plus last, less the two between.

    It is 0 for every linear layer: w·0 + w·1 on both sides, and the bias twice. XOR asks for -2. So no
    linear layer can do it, whatever its weights.
    """
    return float(outputs[0, 0] + outputs[3, 0] - outputs[1, 0] - outputs[2, 0])


def best_linear_xor() -> tuple[np.ndarray, np.ndarray]:
    """W (1, 2) and b (1,) of least squared error: it says 0.5 to everything, right for none."""
    with_one = np.hstack([XOR_INPUTS, np.ones((4, 1))])
    solved = np.linalg.lstsq(with_one, XOR_TARGETS, rcond=None)[0]
    return solved[:2].T, solved[2]


def xor_net(x: np.ndarray) -> np.ndarray:
    """Two layers with a ReLU between, weights chosen by hand: relu(p + q) - 2 relu(p + q - 1).

    The first hidden unit counts the ones; the second wakes at two of them and takes both back.
    """
    hidden = relu(dense(x, np.array([[1.0, 1.0], [1.0, 1.0]]), np.array([0.0, -1.0])))
    return dense(hidden, np.array([[1.0, -2.0]]), np.array([0.0]))
