"""The Predictor: a trained model with what it needs to answer for a picture file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from drivetrain import losses
from drivetrain.data.items import Quarantined
from drivetrain.data.loaders import BatchLoader
from drivetrain.errors import DataError, RunError
from drivetrain.metrics import metric
from drivetrain.models import Summary, summarize
from drivetrain.store import file_sha256
from drivetrain.train.device import default_device, threads
from drivetrain.train.loop import evaluate
from drivetrain.train.run import read_model
from drivetrain.train.saving import load_weights
from drivetrain.vision.baselines import accuracy_record
from drivetrain.vision.decode import Source, decode_all, open_picture
from drivetrain.vision.normalise import Normalise
from drivetrain.vision.pictures import PictureData
from drivetrain.vision.sources import Found, find_in_csv, find_in_folder

BATCH = 64

_PREPARED = ("size", "resize", "mean", "std")
"""What a model folder says of how a picture becomes an input."""


@dataclass(frozen=True)
class Prediction:
    """The answer for one picture."""

    input: str
    """The path as given; empty for bytes."""
    label: str
    """The class with the highest probability."""
    probabilities: Mapping[str, float]
    """Probability of each class; they sum to 1."""

    def to_json(self) -> dict[str, Any]:
        """`{input, label, probabilities}`."""
        return {
            "input": self.input,
            "label": self.label,
            "probabilities": dict(self.probabilities),
        }

    def __str__(self) -> str:
        return f"{self.label} ({self.probabilities[self.label]:.1%})"


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
    ) -> None:
        self.device = device or default_device()
        self.model = model.to(self.device)
        self.classes = tuple(classes)
        self.size = size
        self.resize = resize
        self.normalise = Normalise(mean, std)
        self.num_threads = num_threads

    def predict(self, source: Source) -> Prediction:
        """The answer for one picture: a path, or the bytes of a file.

        Raises: PictureError: the picture cannot be used.
        """
        picture = open_picture(source, size=self.size, resize=self.resize)
        name = "" if isinstance(source, bytes) else os.fspath(source)
        return self._answers([name], self._probs(picture[None]))[0]

    def predict_many(
        self, sources: Iterable[str | os.PathLike[str]]
    ) -> list[Prediction | Quarantined]:
        """The answer for each file, in order; a `Quarantined` with the reason where there is none."""
        names = [os.fspath(source) for source in sources]
        found: list[Prediction | Quarantined] = []
        for start in range(0, len(names), BATCH):
            part = names[start : start + BATCH]
            pixels, good, bad = decode_all(part, size=self.size, resize=self.resize)
            answers = iter(self._answers([part[i] for i in good], self._probs(pixels)))
            refused = {entry.id: entry for entry in bad}
            found += [refused[name] if name in refused else next(answers) for name in part]
        return found

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
        path = Path(source)
        found = find_in_csv(path) if path.suffix.lower() == ".csv" else find_in_folder(path)
        items, aside = self._measurable(found)
        pixels, good, bad = decode_all(
            [item.path for item in items],
            size=self.size,
            resize=self.resize,
            num_workers=os.cpu_count() or 1,
            ids=[item.id for item in items],
        )
        if not good:
            raise DataError(
                f"None of the {len(bad)} pictures in {source} can be used. "
                f"The first: {bad[0].id}: {bad[0].detail}"
            )
        kept = [items[index] for index in good]
        number = {name: code for code, name in enumerate(self.classes)}
        targets = torch.tensor([number[item.label] for item in kept])
        data = PictureData(
            [item.path for item in kept], targets, size=self.size, resize=self.resize, pixels=pixels
        )
        loader = BatchLoader(data, batch_size=BATCH, transform=self.normalise)
        with threads(self.num_threads):
            result = evaluate(
                self.model,
                loader,
                losses.cross_entropy,
                metrics=[metric(name) for name in ("accuracy", "f1")],
                device=self.device,
            )
        correct = round(result.metrics["accuracy"] * result.count)
        return {
            "source": str(source),
            "metrics": {"loss": result.loss, **result.metrics},
            "interval": accuracy_record(correct, result.count)["interval"],
            "items": result.count,
            "quarantined": [entry.to_json() for entry in aside + bad],
            "trained_on": _count_known([item.path for item in kept], known or {}),
        }

    def summary(self) -> Summary:
        """The model layer by layer, for one picture: what is learnt and what is calculated."""
        example = torch.zeros(1, 3, *self.size, device=self.device)
        return summarize(self.model, [example], loss="cross_entropy")

    def _measurable(self, found: Found) -> tuple[list[Any], list[Quarantined]]:
        aside = list(found.set_aside)
        items = []
        parts = found.parts or [""] * len(found.items)
        wanted = next(part for part in ("valid", "train", "test", "") if part in parts)
        for item, part in zip(found.items, parts, strict=True):
            if part != wanted:
                continue
            if item.label in self.classes:
                items.append(item)
            else:
                aside.append(
                    Quarantined(
                        item.id, "unknown-class", f"The model does not know {item.label!r}."
                    )
                )
        if not items:
            labels = ", ".join(map(repr, sorted({item.label for item in found.items})[:5]))
            raise DataError(
                f"No picture of {found.source} has a label that the model knows. It has {labels}; "
                f"the model knows {', '.join(map(repr, self.classes[:5]))}."
            )
        return items, aside

    def _probs(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) uint8 -> (B, C) probabilities."""
        if self.model.training:
            self.model.eval()
        with torch.inference_mode(), threads(self.num_threads):
            inputs = self.normalise.normalised(pixels).to(self.device)
            return self.model(inputs).softmax(dim=1).cpu() if len(pixels) else torch.zeros(0, 1)

    def _answers(self, names: Sequence[str], probs: Tensor) -> list[Prediction]:
        return [
            Prediction(
                name, self.classes[row.index(max(row))], dict(zip(self.classes, row, strict=True))
            )
            for name, row in zip(names, probs.tolist(), strict=True)
        ]

    def __repr__(self) -> str:
        return f"Predictor({len(self.classes)} classes, {self.size[0]} x {self.size[1]} pixels)"


def load(folder: str | os.PathLike[str], *, build: Callable[..., nn.Module]) -> Predictor:
    """The Predictor of a run folder or a model folder; nothing in the folder is executed.

    Args:
        build: makes the model from its description.
    Raises: RunError: there is no model, or it is damaged, or of another application.
    """
    tensors, description = read_model(folder)
    if description.get("application") != "vision":
        raise RunError(f"{folder} is not a model for pictures.")
    try:
        described, classes = description["model"], description["classes"]
        prepared = {name: description["preprocessing"][name] for name in _PREPARED}
    except KeyError as error:
        raise _damaged(folder, f"its model.json has no {error}") from error
    scores = described.get("num_classes", len(classes))
    if scores != len(classes):
        raise _damaged(folder, f"it gives {scores} scores for {len(classes)} classes")
    model = build(described)
    load_weights(model, tensors, what=str(folder))
    return Predictor(
        channels_last(model.eval()),
        classes,
        size=tuple(prepared["size"]),
        resize=prepared["resize"],
        mean=prepared["mean"],
        std=prepared["std"],
        num_threads=description.get("num_threads"),
    )


def channels_last(model: nn.Module) -> nn.Module:
    """The model with its convolutions' weights in channels last: pictures come so, and it is faster."""
    return model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # torch's stub lacks it


def _damaged(folder: str | os.PathLike[str], why: str) -> RunError:
    return RunError(f"The model in {folder} cannot be used: {why}. Restore it from a copy.")


def _count_known(paths: Sequence[Path], known: Mapping[str, str]) -> int:
    """How many of the files are, byte for byte, among the known ones."""
    if not known:
        return 0
    hashes = set(known.values())
    return sum(file_sha256(path) in hashes for path in paths)
