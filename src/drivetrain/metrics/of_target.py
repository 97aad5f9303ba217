"""A metric of one target, where a model answers several questions of an item.

>>> import torch
>>> from drivetrain.metrics import metric
>>> found = OfTarget(metric("accuracy"), "variety", place=1, start=2, stop=5)
>>> scores = torch.tensor([[0.0, 1.0, 5.0, 0.0, 0.0], [0.0, 1.0, 5.0, 0.0, 0.0]])
>>> found.update(scores, torch.tensor([[0, 0], [0, 2]]))
>>> found.name, found.compute()
('variety accuracy', 0.5)
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from drivetrain.metrics import Metric, interval_of, record_of


class OfTarget:
    """Hands a metric the scores and the targets that are of one target.

    Args:
        metric: of classes.
        target: the target's name; the column of the history is `<target> <metric>`.
        place: the target's column in (B, T) targets.
        start: its first column in (B, C_1 + … + C_T) scores; `stop`: the one after its last.
    """

    def __init__(self, metric: Metric, target: str, *, place: int, start: int, stop: int) -> None:
        self.metric = metric
        self.target = target
        self.place, self.start, self.stop = place, start, stop
        self.name = f"{target} {metric.name}"
        self.higher_is_better = metric.higher_is_better

    def reset(self) -> None:
        """Forget all items."""
        self.metric.reset()

    def update(self, preds: Tensor, targets: Tensor) -> None:
        """Count a batch in: (B, C_1 + … + C_T) scores, (B, T) targets."""
        self.metric.update(*self.own(preds, targets))

    def own(self, preds: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The scores (B, C_t) and the targets (B,) that are of this target."""
        return preds[:, self.start : self.stop], targets[:, self.place]

    def compute(self) -> float:
        """The metric's value."""
        return self.metric.compute()

    def interval(self, confidence: float = 0.95) -> tuple[float, float] | None:
        """The metric's interval, where it has one."""
        return interval_of(self.metric, confidence)

    def record(self) -> dict[str, Any]:
        """Plain JSON: which metric it is, and of which target."""
        return {"name": self.name, "target": self.target, "metric": record_of(self.metric)}
