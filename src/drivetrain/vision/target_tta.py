"""What test-time augmentation is worth for a model of several targets, measured target by target."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import Tensor

from drivetrain.train import paired
from drivetrain.train.loop import Evaluation
from drivetrain.vision.pictures import PictureData
from drivetrain.vision.target_results import METRICS, beside_guess, loss_of_predictor, targets_of
from drivetrain.vision.targets import Targets, metrics_of

if TYPE_CHECKING:
    from drivetrain.vision.target_answers import TargetsPredictor


def compared(
    predictor: TargetsPredictor, pictures: PictureData, plain: Tensor, varied: Tensor
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both scores of the same pictures, measured, and for each target the difference of their errors.

    Args:
        predictor: of the model.
        pictures: N, with the class indices (N, T).
        plain: (N, C_1 + … + C_T) scores without test-time augmentation; `varied`: with it.

    Returns: `{metrics, targets}` of both; the second has for each target `difference: {error_rate,
        interval}` too, below 0 where it helps, taken picture by picture.
    """
    targets = targets_of(predictor)
    loss = loss_of_predictor(predictor, targets)
    without, told = (_measured(targets, pictures, one, loss) for one in (plain, varied))
    for place, (name, span) in enumerate(zip(targets.names, targets.spans, strict=True)):
        wrong = [
            paired.errors_of(
                paired.SHARE,
                pictures.ids,
                (scores[:, slice(*span)].argmax(dim=1) != pictures.targets[:, place])
                .double()
                .numpy(),
            )
            for scores in (varied, plain)
        ]
        apart = paired.difference(wrong[0], wrong[1])
        told["targets"][name]["difference"] = {
            "error_rate": wrong[0].error - wrong[1].error,
            "interval": None if apart is None else [apart.low, apart.high],
        }
    return without, told


def _measured(
    targets: Targets, pictures: PictureData, scores: Tensor, loss: Callable[..., Tensor]
) -> dict[str, Any]:
    found = metrics_of(METRICS, targets)
    for one in found:
        one.update(scores, pictures.targets)
    values = {one.name: float(one.compute()) for one in found}
    mean = float(loss(scores, pictures.targets))
    result = Evaluation(mean, len(pictures), values)
    return {
        "metrics": {"loss": mean, **values},
        "targets": beside_guess(targets, pictures, result),
    }
