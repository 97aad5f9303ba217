"""Temperature scaling: probabilities that keep what they promise.

A net trained to the end is surer of itself than its hits allow. Dividing all its scores by one number,
the temperature T, mends most of that and changes no prediction. T is the one that makes held-out items
likeliest. Paper: Guo et al. 2017, arXiv:1706.04599, sec. 4.2. Twin: drivetrain.reference.guard.

What differs from the paper: the fit is given one item more, of which every class is equally likely (as
Platt 1999 did for two classes). With thousands of items that is hardly felt; with few, or where no item
is wrong, the plain fit runs to T = 0 and promises certainty, and this one says about N of N + 1.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from drivetrain.bundle.checks import check_logits, check_targets
from drivetrain.bundle.fields import Fields

LOWEST, HIGHEST = 0.01, 100.0
"""Where T is looked for; outside it, scores are all but one class, or all but none."""

_HALVINGS = 100
"""Of the interval of log T; float64 has no more to say after about 60."""


@dataclass(frozen=True)
class Temperature:
    """What scores are divided by, and what that did on the items it was fitted on."""

    value: float
    """T, in [`LOWEST`, `HIGHEST`]: above 1 the model was too sure of itself, below too timid."""
    loss_before: float
    """Mean log loss in nats with T = 1."""
    loss_after: float
    """The same with this T."""
    num_items: int
    """How many it was fitted on."""

    def probs(self, logits: Tensor) -> Tensor:
        """(B, C) scores -> (B, C) float64 probabilities; the order of the classes stays.

        Two scores that differ by less than about 1e-16 may become equal: take the predicted class from
        the scores.
        """
        return calibrated(logits, self.value)

    def to_json(self) -> dict[str, Any]:
        """The fields."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Fields) -> Temperature:
        """Back from `to_json`. Raises: BundleError: anything else."""
        found = cls(
            fields.number("value", LOWEST, HIGHEST),
            fields.number("loss_before", 0, 1e300),
            fields.number("loss_after", 0, 1e300),
            fields.whole("num_items", 1, 2**53),
        )
        fields.end()
        return found


def calibrated(logits: Tensor, temperature: float) -> Tensor:
    """Probabilities that keep what they promise: (B, C) scores -> (B, C) float64."""
    return (logits.double() / temperature).softmax(dim=1)


def fit_temperature(logits: Tensor, targets: Tensor) -> Temperature:
    """The temperature under which held-out items are likeliest.

    The mean log loss is convex in 1/T, so its slope has one zero and bisection finds it whatever the
    scores. Where the model is right on all items, or has no more than a few, see above; where the scores
    say nothing about the targets, T is at its highest; where all scores of an item are equal, T is 1.

    Args:
        logits: (N, C) float, scores of items that the model was not trained on, N 1 or more.
        targets: (N,) int64 class indices.

    Raises: ShapeError, InputError: they are not that.
    """
    scores = check_logits("fit_temperature", logits)
    targets = check_targets("fit_temperature", targets, scores)
    n = len(scores)
    true = scores.gather(1, targets[:, None]).squeeze(1)  # (N,)
    # The item more has every class with weight 1/C, at each of the N items' scores with weight 1/N.
    wanted = (n * true + scores.mean(dim=1)) / (n + 1)  # (N,)

    def slope(temperature: float) -> float:
        """Of the mean log loss along 1/T: expected score less wanted score."""
        expected = ((scores / temperature).softmax(dim=1) * scores).sum(dim=1)
        return float((expected - wanted).mean())

    low, high = LOWEST, HIGHEST
    if bool((scores.amax(dim=1) == scores.amin(dim=1)).all()):
        low = high = 1.0  # any T gives the same
    for _ in range(_HALVINGS):
        middle = (low * high) ** 0.5
        if slope(middle) > 0:
            low = middle  # too sure: a higher T
        else:
            high = middle
    value = min(max((low * high) ** 0.5, LOWEST), HIGHEST)

    def loss(temperature: float) -> float:
        return float(((scores / temperature).logsumexp(dim=1) - true / temperature).mean())

    return Temperature(value, loss(1.0), loss(value), n)
