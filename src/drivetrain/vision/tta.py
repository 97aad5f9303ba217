"""Test-time augmentation: a picture is asked about as it is, and as varied as training saw pictures.

    record = vision.tta(learner)                     # as learner.predictions(), of plain and varied ones
    vision.tta(learner, copies=8, beta=0.5, seed=1)

What comes out is `beta` of the plain probabilities and 1 - `beta` of the mean over `copies` varied ones,
the rule and the defaults of fastai's `Learner.tta`. Probabilities are averaged, not scores: the mean of
distributions is one, its log loss is at most the mean of theirs (Jensen), and one copy that is sure
and wrong moves it by its share and no further, where in a mean of scores it may outvote all others.

The copies are made by the very settings that trained the model, and a model that was trained without
any is not asked: what it says of turned or darker pictures was never put right
(docs/decisions/0026-test-time-augmentation.md). What a copy draws is a function of the seed, the number
of the copy and the picture's pixels; not of its name, its batch, or its neighbours.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from drivetrain import losses, store
from drivetrain.data.loaders import BatchLoader
from drivetrain.errors import ConfigError, NonFiniteError
from drivetrain.metrics import metric
from drivetrain.models.device import threads
from drivetrain.randomness import derive, item_keys, preserved
from drivetrain.train import paired
from drivetrain.train.learner import Learner
from drivetrain.train.predictions import Predictions
from drivetrain.train.run import Run, check_form, said_as_damage
from drivetrain.vision.augment import AugmentSettings, augmented
from drivetrain.vision.baselines import accuracy_record
from drivetrain.vision.bundle import load
from drivetrain.vision.measure import count_known, labelled_pictures, trained_hashes
from drivetrain.vision.normalise import Normalise
from drivetrain.vision.pictures import PictureData
from drivetrain.vision.predictor import BATCH, Predictor
from drivetrain.vision.target_answers import TargetsPredictor
from drivetrain.vision.target_results import labelled
from drivetrain.vision.target_tta import compared

COPIES, BETA = 4, 0.25
TINY = 1e-300
"""Stands for a probability of 0 where its logarithm is taken."""

UNTRAINED = (
    "{what} was trained without augmentation, so what it says of varied pictures was never put right, "
    "and averaging it in would be a guess. Predict without test-time augmentation, or train with "
    "`augment`."
)


@dataclass(frozen=True, kw_only=True)
class Copies:
    """How pictures are varied when they are asked about. Raises ConfigError for numbers out of range."""

    settings: AugmentSettings
    """As in training."""
    normalise: Normalise
    copies: int = COPIES
    """Varied ones of each picture, 0 or more."""
    beta: float = BETA
    """Weight of the plain probabilities, in [0, 1]."""
    seed: int = 42
    sizes: tuple[int, ...] = ()
    """C_1 … C_T, classes of each of several targets; empty for one."""

    def __post_init__(self) -> None:
        if isinstance(self.copies, bool) or not isinstance(self.copies, int) or self.copies < 0:
            raise ConfigError(
                f"`copies` is a number of varied pictures, 0 or more. Got {self.copies!r}."
            )
        if not 0 <= self.beta <= 1:
            raise ConfigError(
                f"`beta` is the weight of the plain prediction, in [0, 1]. Got {self.beta!r}."
            )

    def scores(
        self, model: Callable[[Tensor], Tensor], pixels: Tensor, device: torch.device | None = None
    ) -> tuple[Tensor, Tensor]:
        """The plain scores of pictures, and scores whose softmax is the blend.

        Where no copy differs from its picture, the two are the same to the last bit.

        Args:
            model: (B, 3, H, W) float32 -> (B, C), in evaluation mode.
            pixels: (B, 3, H, W) uint8.
            device: where the model is.

        Returns: two tensors (B, C) float32, on the CPU.
        """
        plain = model(self.normalise.normalised(pixels).to(device)).cpu()
        log_plain = self._log_probs(plain)  # (B, C) float64
        probs = log_plain.exp()
        apart = torch.zeros_like(probs)
        for pictures in self.varied(pixels):
            # differences are summed and not probabilities: those of equal pictures are 0 exactly
            apart += self._log_probs(model(pictures.to(device)).cpu()).exp() - probs
        blend = probs + apart * ((1 - self.beta) / max(self.copies, 1))
        moved = blend.clamp(min=TINY).log() - probs.clamp(min=TINY).log()
        return plain, (plain.double() + moved).to(plain.dtype)

    def varied(self, pixels: Tensor) -> Iterator[Tensor]:
        """Each copy in turn: (B, 3, H, W) uint8 -> the same shape, float32, normalised."""
        keys = item_keys([_content(one) for one in pixels])
        for number in range(self.copies):
            yield augmented(
                pixels,
                keys,
                settings=self.settings,
                mean=self.normalise.mean,
                std=self.normalise.std,
                seed=derive(self.seed, "tta"),
                epoch=number,
            )

    def _log_probs(self, scores: Tensor) -> Tensor:
        sizes = list(self.sizes) or [scores.shape[1]]
        parts = scores.double().split(sizes, dim=1)
        return torch.cat([part.log_softmax(dim=1) for part in parts], dim=1)


class TtaEngine:
    """Calculates in the place of a Predictor's model: plain and varied pictures, blended.

    Args:
        model: (B, 3, H, W) float32 -> (B, C) scores.
        copies: how pictures are varied.
        device: where the model is.
    """

    def __init__(self, model: nn.Module, copies: Copies, device: torch.device) -> None:
        self.model = model
        self.copies = copies
        self.device = device

    def __call__(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) uint8 -> blended scores (B, C), and no features, (B, 0)."""
        self.model.eval()
        _, scores = self.copies.scores(self.model, pixels, self.device)
        return scores, scores.new_zeros(len(scores), 0)


def tta(
    learner: Learner,
    part: str | PictureData | BatchLoader = "valid",
    *,
    copies: int = COPIES,
    beta: float = BETA,
    seed: int | None = None,
) -> Predictions:
    """The record of pictures that were asked about plain and varied.

    With `copies` 0 or `beta` 1 it is, bit for bit, that of `learner.predictions()`.

    Args:
        learner: of pictures.
        part: `valid` or `train`; or pictures, or a loader of them, whose own transform is not used.
        copies: varied ones of each picture, 0 or more.
        beta: weight of the plain prediction, in [0, 1].
        seed: of the copies; by default the Learner's.

    Returns: as `learner.predictions()`: softmax of its outputs gives the blended probabilities.
    Raises: ConfigError: the model was trained without augmentation, or an argument is out of range; or
        there are no pictures in `part`.
    """
    application = _application(learner)
    settings = AugmentSettings.from_json(application.settings["augment"])
    if copies and changes_nothing(settings):
        raise ConfigError(UNTRAINED.format(what="This model"))
    data = _pictures(application, part)
    info, targets = application.built.info, application.data.targets
    how = Copies(
        settings=settings,
        normalise=Normalise(info.mean, info.std),
        copies=copies,
        beta=beta,
        seed=learner.seed if seed is None else seed,
        sizes=() if targets is None else targets.sizes,
    )
    batch_size = application.settings["batch_size"]  # as validation: sums of other sizes round anew
    with threads(learner.num_threads), preserved():
        _, outputs = _asked(learner.model, data, how, learner.device, batch_size)
    found = Predictions(
        ids=data.ids,
        targets=data.targets,
        outputs=outputs,
        losses=losses.per_item(learner.loss_fn, outputs, data.targets),
        classes=application.classes,
    )
    return application.split_predictions(found)


def load_with_tta(
    folder: store.StrPath, *, copies: int = COPIES, beta: float = BETA, seed: int | None = None
) -> Predictor:
    """The Predictor of a run that answers with test-time augmentation.

    Args:
        folder: of the run.
        copies, beta, seed: as of `tta`.

    Raises: RunError: there is no run, or no model in it. ConfigError: it is a bundle, or it was trained
        without augmentation.
    """
    predictor, how = _of_run(folder, copies=copies, beta=beta, seed=seed)
    predictor.engine = TtaEngine(predictor.model, how, predictor.device)
    return predictor


def evaluate_with_tta(
    folder: store.StrPath,
    source: str | os.PathLike[str],
    *,
    copies: int = COPIES,
    beta: float = BETA,
    seed: int | None = None,
) -> dict[str, Any]:
    """Metrics of a run's model on labelled pictures, plain and with test-time augmentation.

    Args:
        folder: of the run.
        source: a folder or a CSV.
        copies, beta, seed: as of `tta`.

    Returns: what `vision.evaluate` answers, and `tta`: `{copies, beta, metrics, interval, difference:
        {error_rate, interval}}`. The difference is that of the errors with and without, below 0 where it
        helps; its interval is taken picture by picture, None for a single one.
        Of several targets metrics, interval and difference of each are in `targets`.
    Raises: as `load_with_tta`. DataError: nothing there can be measured.
    """
    predictor, how = _of_run(folder, copies=copies, beta=beta, seed=seed)
    if isinstance(predictor, TargetsPredictor):
        _, data, aside = labelled(predictor, source)
    else:
        data, aside = labelled_pictures(predictor, source)
    with threads(predictor.num_threads), preserved():
        plain, varied = _asked(predictor.model, data, how, predictor.device, BATCH)
    if not (plain.isfinite().all() and varied.isfinite().all()):
        raise NonFiniteError(
            f"The model's scores for the pictures in {source} are NaN or infinite: its weights or its "
            "preprocessing are damaged. Restore it from a copy, or train anew."
        )
    common = {
        "items": len(data),
        "quarantined": [entry.to_json() for entry in aside],
        "trained_on": count_known(data, trained_hashes(folder)),
    }
    if isinstance(predictor, TargetsPredictor):
        without, told = compared(predictor, data, plain, varied)
        blended = {"copies": copies, "beta": beta, **told}
        return {"source": str(source), **without, **common, "tta": blended}
    wrong = [
        paired.errors_of(
            paired.SHARE, data.ids, (scores.argmax(dim=1) != data.targets).double().numpy()
        )
        for scores in (varied, plain)
    ]
    apart = paired.difference(wrong[0], wrong[1])
    between = None if apart is None else [apart.low, apart.high]
    return {
        "source": str(source),
        **_measured(plain, data.targets),
        **common,
        "tta": {
            "copies": copies,
            "beta": beta,
            **_measured(varied, data.targets),
            "difference": {
                "error_rate": wrong[0].error - wrong[1].error,
                "interval": between,
            },
        },
    }


def changes_nothing(settings: AugmentSettings) -> bool:
    """Whether these settings leave every picture as it is."""
    s = settings
    moves = s.geometry_p > 0 and (s.rotate > 0 or s.zoom > 1 or s.warp > 0)
    lights = s.lighting_p > 0 and (s.brightness > 0 or s.contrast > 0)
    return not (s.flip > 0 or s.flip_vertical > 0 or moves or lights)


def _asked(
    model: nn.Module, data: PictureData, how: Copies, device: torch.device, batch_size: int
) -> tuple[Tensor, Tensor]:
    """Plain and blended scores (N, C) of all pictures; the model is left in evaluation mode."""
    model.eval()
    found = []
    with torch.inference_mode():
        for pixels, _ in BatchLoader(data, batch_size=batch_size):
            found.append(how.scores(model, pixels, device))
    plain, blended = (torch.cat(parts).clone() for parts in zip(*found, strict=True))
    return plain, blended


def _of_run(
    folder: store.StrPath, *, copies: int, beta: float, seed: int | None
) -> tuple[Predictor, Copies]:
    """The Predictor of a run, and how its pictures are varied."""
    if os.path.lexists(Path(folder) / "bundle.json"):
        raise ConfigError(
            f"{folder} is a bundle, which does not say how its model's pictures were varied. Give the "
            "run that it was made of."
        )
    run = Run.open(folder)
    record, path = run.read(), run.folder / "run.json"
    check_form(record, {"seed": int, "settings": {"augment": dict}}, path)
    with said_as_damage(path):
        settings = AugmentSettings.from_json(record["settings"]["augment"])
    if copies and changes_nothing(settings):
        raise ConfigError(UNTRAINED.format(what=str(folder)))
    predictor = load(folder)
    how = Copies(
        settings=settings,
        normalise=predictor.normalise,
        copies=copies,
        beta=beta,
        seed=record["seed"] if seed is None else seed,
        sizes=tuple(predictor.sizes) if isinstance(predictor, TargetsPredictor) else (),
    )
    return predictor, how


def _application(learner: Learner) -> Any:
    application: Any = learner.application
    if application is None or "augment" not in getattr(application, "settings", {}):
        raise ConfigError(
            "`tta` varies pictures as they were varied in training, and this is no Learner of pictures. "
            "Make one by `vision.learner`."
        )
    return application


def _pictures(application: Any, part: str | PictureData | BatchLoader) -> PictureData:
    data = part.data if isinstance(part, BatchLoader) else part
    if isinstance(data, PictureData):
        return data
    if data not in ("valid", "train"):
        raise ConfigError(
            f"`part` is valid, train, pictures or a loader of them. Got {data!r}. A sealed test part is "
            "opened by `learner.test()` only."
        )
    return application.data.pictures(data)


def _measured(scores: Tensor, targets: Tensor) -> dict[str, Any]:
    """`{metrics: {loss, accuracy, f1}, interval}`."""
    found = {"loss": float(losses.cross_entropy(scores, targets))}
    for name in ("accuracy", "f1"):
        one = metric(name)
        one.update(scores, targets)
        found[name] = float(one.compute())
    correct = round(found["accuracy"] * len(targets))
    return {"metrics": found, "interval": accuracy_record(correct, len(targets))["interval"]}


def _content(picture: Tensor) -> str:
    """A hash of (3, H, W) uint8 pixels."""
    return hashlib.blake2b(picture.contiguous().numpy().tobytes(), digest_size=16).hexdigest()
