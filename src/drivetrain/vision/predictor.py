"""The Predictor: a trained model with what it needs to answer for a picture file.

What only training and measuring need is imported where it is used: a bundle predicts without it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from drivetrain.data.items import Quarantined
from drivetrain.errors import NonFiniteError, RunError
from drivetrain.models import Summary, summarize
from drivetrain.models.device import default_device, threads
from drivetrain.nn.shapes import shapes_only
from drivetrain.vision.answers import LEAST_FOR_SHIFT, Answers, Domain, Guarded, Prediction
from drivetrain.vision.decode import Source, decode_all, open_picture
from drivetrain.vision.described import read_description
from drivetrain.vision.normalise import Normalise

if TYPE_CHECKING:
    from drivetrain.bundle.guard import Guard, Judged, ShiftReport
    from drivetrain.bundle.target_guard import TargetsGuard

BATCH = 64
"""Pictures that are calculated at once; of large ones fewer, see `Predictor.batch_size`."""

PIXELS_AT_ONCE = 2**23
"""64 pictures of 362 x 362: with what the layers make of them this is some gigabytes."""


class Engine(Protocol):
    """What calculates: the network, and how each picture stands in the space of its features."""

    def __call__(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) uint8 -> scores (B, C) and features (B, F), both float32 on the CPU."""
        ...


class Predictor:
    """Answers for pictures: decode, resize, normalise, model, softmax.

    Args:
        model: (B, 3, H, W) float32 -> (B, C) scores.
        classes: C labels in the order of the scores.
        size: (height, width) that pictures are brought to.
        resize: `crop`, `squish` or `pad`.
        mean: a number a channel; also `std`.
        num_threads: torch threads; None leaves them.
        device: where the model runs.
        engine: calculates in the model's place, and gives features too.
        guard: judges scores and features; it needs an engine.
    """

    def __init__(
        self,
        model: nn.Module,
        classes: Sequence[str],
        *,
        size: tuple[int, int],
        resize: str,
        mean: Sequence[float],
        std: Sequence[float],
        num_threads: int | None = None,
        device: torch.device | None = None,
        engine: Engine | None = None,
        guard: Guard | TargetsGuard | None = None,
    ) -> None:
        self.device = device or default_device()
        self.model = model.to(self.device)
        self.classes = tuple(classes)
        self.size = size
        self.resize = resize
        self.normalise = Normalise(mean, std)
        self.num_threads = num_threads
        self.engine = engine
        self.guard = guard
        assert guard is None or engine is not None, "a guard judges features"

    @property
    def batch_size(self) -> int:
        """Pictures that are calculated at once."""
        return batch_size(*self.size)

    def predict(self, source: Source) -> Prediction:
        """The answer for one picture: a path, or the bytes of a file.

        Args:
            source: a path, or the bytes of a file.

        Raises: PictureError: the picture cannot be used.
        """
        picture = open_picture(source, size=self.size, resize=self.resize)
        name = "" if isinstance(source, bytes) else os.fspath(source)
        found, _ = self._answers([name], picture[None])
        return found[0]

    def predict_many(
        self, sources: Iterable[str | os.PathLike[str]]
    ) -> list[Prediction | Quarantined]:
        """The answer for each file, in order; a `Quarantined` with the reason where there is none.

        Args:
            sources: paths.
        """
        return self.answers(sources).predictions

    def answers(self, sources: Iterable[str | os.PathLike[str]]) -> Answers:
        """As `predict_many`, and what the guard says of all of them together.

        Args:
            sources: paths.
        """
        names = [os.fspath(source) for source in sources]
        found: list[Prediction | Quarantined] = []
        kept: list[Tensor] = []
        for start in range(0, len(names), self.batch_size):
            part = names[start : start + self.batch_size]
            pixels, good, bad = decode_all(part, size=self.size, resize=self.resize)
            predictions, features = self._answers([part[i] for i in good], pixels)
            kept += [] if features is None else [features]
            answers, refused = iter(predictions), {entry.id: entry for entry in bad}
            found += [refused[name] if name in refused else next(answers) for name in part]
        return Answers(found, self._shift(kept))

    def evaluate(
        self, source: str | os.PathLike[str], *, known: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Metrics on labelled pictures from elsewhere: class folders, part folders, or a CSV.

        Of a source with parts its `valid` part is measured, else `train`, else `test`. A picture of a
        class that the model does not know is set aside and counted.

        Args:
            source: a folder or a CSV.
            known: SHA-256 of files that trained the model, to be counted among the pictures.
        Returns: `{source, metrics: {accuracy, …}, interval, items, quarantined, trained_on}`.
        Raises: DataError: nothing there can be measured.
        """
        from drivetrain.vision.measure import measured  # brings losses, metrics and the loop

        return measured(self, source, known=known)

    def summary(self) -> Summary:
        """The model layer by layer, for one picture: what is learnt and what is calculated."""
        example = torch.zeros(1, 3, *self.size, device=self.device)
        return summarize(self.model, [example], loss="cross_entropy")

    def _answers(
        self, names: Sequence[str], pixels: Tensor
    ) -> tuple[list[Prediction], Tensor | None]:
        """The answers for pixels (B, 3, H, W) uint8, and the features that a guard's shift test takes."""
        if not names:
            return [], None
        with torch.inference_mode(), threads(self.num_threads):
            if self.engine is None:
                if self.model.training:
                    self.model.eval()
                inputs = self.normalise.normalised(pixels).to(self.device)
                scores, features = self.model(inputs).cpu(), None
            else:
                scores, features = self.engine(pixels)
        self._check(scores, names)
        if self.guard is None or features is None:
            return self._predictions(names, self._probs(scores), None), None
        with threads(self.num_threads):
            judged = self.guard.judge(scores, features)
        return self._predictions(names, judged.probs, self._guarded(self.guard, judged)), features

    def _guarded(self, guard: Guard | TargetsGuard, judged: Judged) -> list[Any]:
        """What the guard says beside each answer, a `Guarded`."""
        return [
            Guarded(labels_in(self.classes, members), guard.coverage, domain)
            for members, domain in zip(judged.sets.tolist(), domains_of(guard, judged), strict=True)
        ]

    def _probs(self, scores: Tensor) -> Tensor:
        return scores.softmax(dim=1)

    def _check(self, scores: Tensor, names: Sequence[str]) -> None:
        """A damaged or foreign model is told by what it answers, and not passed on as a probability."""
        if not scores.isfinite().all():
            bad = int((~scores.isfinite().all(dim=1)).nonzero()[0])
            raise NonFiniteError(
                f"The model's scores for {names[bad] or 'the picture'} are NaN or infinite: its weights "
                "or its preprocessing are damaged. Restore it from a copy, or train anew.",
                items=tuple(name for name in names if name),
            )

    def _predictions(
        self, names: Sequence[str], probs: Tensor, guarded: Sequence[Any] | None
    ) -> list[Prediction]:
        return [
            Prediction(
                name,
                self.classes[row.index(max(row))],
                dict(zip(self.classes, row, strict=True)),
                None if guarded is None else guarded[number],
            )
            for number, (name, row) in enumerate(zip(names, probs.tolist(), strict=True))
        ]

    def _shift(self, features: Sequence[Tensor]) -> ShiftReport | None:
        if self.guard is None or sum(map(len, features)) < LEAST_FOR_SHIFT:
            return None
        return self.guard.shift(torch.cat(list(features)))

    def __repr__(self) -> str:
        return f"Predictor({len(self.classes)} classes, {self.size[0]} x {self.size[1]} pixels)"


def labels_in(classes: Sequence[str], members: Sequence[bool]) -> tuple[str, ...]:
    """The classes of a prediction set."""
    return tuple(label for label, is_in in zip(classes, members, strict=True) if is_in)


def domains_of(guard: Guard | TargetsGuard, judged: Judged) -> list[Domain]:
    """Whether each input is of a kind that the model knows."""
    pairs = zip(judged.domain_score.tolist(), judged.in_domain.tolist(), strict=True)
    return [Domain(score, in_domain, guard.false_alarm) for score, in_domain in pairs]


def batch_size(height: int, width: int) -> int:
    """Pictures of a size that are calculated at once."""
    return max(1, min(BATCH, PIXELS_AT_ONCE // (height * width)))


def load(
    folder: str | os.PathLike[str],
    *,
    build: Callable[..., nn.Module],
    make: Callable[..., Predictor] | None = None,
) -> Predictor:
    """The Predictor of a run folder or a model folder; nothing in the folder is executed.

    Args:
        build: makes the model from its description.
        make: makes the Predictor: `target_answers.predictor_of`, for several targets too; by default of
            one target.
    Raises: RunError: there is no model, or it is damaged, or of another application.
    """
    from drivetrain.train.run import read_model  # runs are the training stack's
    from drivetrain.train.saving import check_fit, load_weights

    tensors, description = read_model(folder)
    if description.get("application") != "vision":
        raise RunError(f"{folder} is not a model for pictures.")
    try:
        found = read_description(description)
    except ValueError as error:
        raise _damaged(folder, str(error)) from error
    with shapes_only():  # no memory: what is described may be a giant
        check_fit(build(found.model), tensors, what=str(folder))
    model = build(found.model)
    load_weights(model, tensors, what=str(folder))
    if make is None and found.targets:
        raise RunError(f"{folder} is of several targets. Open it by `drivetrain.vision.load`.")
    return (make or _of_one)(
        channels_last(model.eval()),
        found.classes,
        found.targets,
        size=found.size,
        resize=found.resize,
        mean=found.mean,
        std=found.std,
        num_threads=found.num_threads,
    )


def _of_one(
    model: nn.Module, classes: Sequence[str], targets: Sequence[Any], **options: Any
) -> Predictor:
    assert not targets, "asked before"
    return Predictor(model, classes, **options)


def channels_last(model: nn.Module) -> nn.Module:
    """The model with its convolutions' weights in channels last: pictures come so, and it is faster."""
    return model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # torch's stub lacks it


def _damaged(folder: str | os.PathLike[str], why: str) -> RunError:
    return RunError(f"The model in {folder} cannot be used: {why}. Restore it from a copy.")
