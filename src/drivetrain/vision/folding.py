"""Pictures predicted out of fold: by a linear model on features that know no labels, or as the run was.

    pool = pool_of(vision.reopen("runs/birds"))
    queue = queue_of(pool, folder=Path("runs/birds/clean"))

The features are those of a pretrained body as it was before any training: the run's own has learnt the
labels, wrong ones too. They are made once for each picture. Where this machine has no pretrained weights,
and of small pictures such as digits, which a body for photos knows little of, colours and edges counted
by hand (`vision.hand_features`) and the pixels themselves take their place. Pictures that are unlike the
others are told by the same features: by their angle, since what a body answers weakly to, such as a blank
picture, lies near the middle of all pictures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from drivetrain.clean.duplicates import NearPairs, same_content
from drivetrain.clean.folds import FoldModel, Pool, Report
from drivetrain.clean.linear import PENALTIES, fit_logistic
from drivetrain.clean.near_pictures import near_pictures
from drivetrain.clean.outliers import Points, Space
from drivetrain.clean.targets import joined_chances
from drivetrain.data.loaders import BatchLoader
from drivetrain.data.split import Split
from drivetrain.models import BuiltModel, create_model
from drivetrain.models.device import threads
from drivetrain.models.weights import find_weights
from drivetrain.randomness import derive, permutation
from drivetrain.train.choice import Choices
from drivetrain.train.keeping import callbacks_from
from drivetrain.train.learner import Learner
from drivetrain.vision.checking import thumbs_of
from drivetrain.vision.cleaning import material_of
from drivetrain.vision.data import VisionData
from drivetrain.vision.decode import decode_array, in_threads
from drivetrain.vision.hand_features import hand_features
from drivetrain.vision.learner import PHOTO_MODEL, learner as make_learner
from drivetrain.vision.normalise import Normalise

SIDE = 160
"""Pixels a side at which a pretrained body looks, at least: at 128 it knows less."""
SMALL_SIDE = 16
"""Pixels a side of small pictures that are features themselves."""
BATCH = 32
SECONDS = 60.0
"""For near duplicates, which take the square of the number of pictures."""
HELD_OUT = 0.1
"""Of the pictures of a fold's training, for the callbacks of the run's own recipe to look at."""


def pool_of(
    learner: Learner,
    *,
    callbacks: Sequence[Mapping[str, Any]] = (),
    report: Report | None = None,
) -> Pool:
    """The pictures of a Learner, to be predicted out of fold; sealed ones are not among them.

    Args:
        learner: of the run.
        callbacks: the records of those that the run was trained with, for its own recipe.
        report: is told how far it is.
    """
    application: Any = learner.application
    data: VisionData = application.data
    members = [*data.split.valid, *data.split.train]  # as they stand in the material
    say = report or _silent
    made = Features.of(data, members, learner, report=say)
    return Pool(
        material_of(learner),
        {
            "quick": lambda: quick_model(data, members, learner, report=say, features=made),
            "own": lambda: own_model(data, members, learner, callbacks),
        },
        lambda: near_of(data, members, report=say),
        space=made.space(),
    )


def near_of(data: VisionData, members: Sequence[int], *, report: Report) -> NearPairs:
    """Pairs of pictures that are nearly the same; none of small ones, which are all alike."""
    if data.are_small or len(members) < 2:
        return same_content([])
    paths = [data.items[at].path for at in members]
    thumbs, _ = thumbs_of(paths, data.num_workers, report)
    return near_pictures(thumbs, seconds=SECONDS)


def quick_model(
    data: VisionData,
    members: Sequence[int],
    learner: Learner,
    *,
    report: Report,
    features: Features | None = None,
) -> FoldModel:
    """Logistic regression on features that have seen no label of the run; one of each target.

    Args:
        members: (N,) the pictures, as positions of `data.items`.
        learner: of the run: its seed, and the name of its model.
        report: is told how far it is.
        features: of the same pictures, where somebody has them.
    """
    made = Features.of(data, members, learner, report=report) if features is None else features
    targets, sizes = _targets(data, members)
    seed = learner.seed

    def answer(fitted: np.ndarray, asked: np.ndarray, fold: int) -> np.ndarray:
        features = made.features
        with threads(learner.num_threads):
            found = [
                fit_logistic(
                    features[fitted],
                    targets[torch.from_numpy(fitted), place],
                    num_classes=size,
                    seed=derive(seed, "clean fold", fold),
                )
                for place, size in enumerate(sizes)
            ]
            return np.concatenate([one.chances(features[asked]) for one in found], axis=1)

    settings = {"seed": seed, "penalties": list(PENALTIES), "resize": data.resize, **made.record()}
    return FoldModel(f"logistic regression on {made.what}", settings, answer)


def own_model(
    data: VisionData,
    members: Sequence[int],
    learner: Learner,
    callbacks: Sequence[Mapping[str, Any]],
) -> FoldModel:
    """The run's own recipe, from the weights that it began with, trained anew for each fold."""
    application: Any = learner.application
    settings, plan = application.settings, application.plan
    name = application.built.description["name"]
    places = np.array(members, dtype=np.int64)

    def answer(fitted: np.ndarray, asked: np.ndarray, fold: int) -> np.ndarray:
        train, held = _held_out(places[fitted], seed=derive(learner.seed, "clean fold", fold))
        split = Split(tuple(train.tolist()), tuple(held.tolist()))
        parts = replace(data, split=split, choices=Choices())  # its choices are not the run's
        found = make_learner(
            parts,
            name,
            metrics=settings["metrics"],
            loss_fn=settings["loss_fn"],
            optimizer=settings["optimizer"],
            pretrained=settings["pretrained"],
            augment=settings["augment"],
            batch_size=settings["batch_size"],
            lr=plan["lr"],
            epochs=plan["epochs"],
            weight_decay=settings["weight_decay"],
            dropout=settings["dropout"],
            target_weights=settings.get("target_weights"),
            seed=learner.seed,
            num_threads=settings["num_threads"],
            callbacks=callbacks_from(callbacks),
            progress=False,
        )
        cast(Any, found.application).plan = plan
        found.train()
        info = application.built.info
        wanted = replace(data, split=Split((), tuple(places[asked].tolist())))
        loader = BatchLoader(
            wanted.pictures("valid"),
            batch_size=settings["batch_size"],
            transform=Normalise(info.mean, info.std),
        )
        said = found.predictions(loader)
        if data.targets is not None:
            return joined_chances([said.of(name).outputs for name in data.targets.names])
        return said.probs.double().numpy()

    recipe = {"settings": settings, "plan": plan, "model": application.built.description}
    return FoldModel(
        f"{name}, trained anew as the run was",
        {**recipe, "callbacks": list(callbacks), "seed": learner.seed, "size": list(data.size)},
        answer,
    )


def _held_out(rows: np.ndarray, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Sorted rows to train on, and some for callbacks that look at validation."""
    order = permutation(len(rows), seed=seed, epoch=0, purpose="held out").numpy()
    count = max(1, round(HELD_OUT * len(rows)))
    return np.sort(rows[order[count:]]), np.sort(rows[order[:count]])


def _pretrained_body(learner: Learner) -> BuiltModel | None:
    """The run's kind of body with its released weights, or that of photos; None where there is none."""
    application: Any = learner.application
    own = application.built.description["name"]
    for name in dict.fromkeys((own, PHOTO_MODEL)):
        if application.built.description["in_channels"] == 3 and find_weights(name) is not None:
            return create_model(name, num_classes=2, pretrained=True, seed=0)
    return None


class Features:
    """Features of pictures, made when they are first asked for: where all is kept, never."""

    def __init__(
        self,
        data: VisionData,
        members: Sequence[int],
        built: BuiltModel | None,
        num_threads: int | None,
        report: Report,
    ) -> None:
        self.data = data
        self.paths = [data.items[at].path for at in members]
        self.built = built
        self.num_threads = num_threads
        self.report = report
        side = max(SIDE, *data.size)
        self.size = data.size if built is None or side == max(data.size) else (side, side)

    @classmethod
    def of(
        cls, data: VisionData, members: Sequence[int], learner: Learner, *, report: Report
    ) -> Features:
        """Those of a pretrained body where there is one, and the pictures are no small ones."""
        built = None if data.are_small else _pretrained_body(learner)
        return cls(data, members, built, learner.num_threads, report)

    def space(self) -> Space:
        """In which pictures are measured that may be unlike the others."""
        what = "what a pretrained body sees" if self.built else "their pixels, colours and edges"
        settings = {"resize": self.data.resize, **self.record()}
        return Space(what, settings, lambda: Points.of(self.features.numpy(), by_angle=True))

    @property
    def what(self) -> str:
        """In words."""
        if self.built is None:
            small = "of small pictures" if self.data.are_small else "no pretrained weights are here"
            return f"pixels, colours and edges ({small})"
        return f"features of the pretrained {self.built.description['name']}"

    def record(self) -> dict[str, Any]:
        """What they depend on."""
        if self.built is None:
            return {"features": "hand", "size": list(self.size)}
        return {
            "features": self.built.description["name"],
            "note": self.built.note,
            "size": list(self.size),
        }

    @cached_property
    def features(self) -> Tensor:
        """(N, F) float32."""
        parts, done = [], 0
        with threads(self.num_threads), torch.inference_mode():
            for pixels in self._batches():
                parts.append(self._of(pixels))
                done += len(pixels)
                self.report("pictures looked at", done, len(self.paths))
        return torch.cat(parts).clone()

    def _of(self, pixels: Tensor) -> Tensor:
        if self.built is None:
            small = F.adaptive_avg_pool2d(pixels.float() / 255, SMALL_SIDE).mean(dim=1)
            return torch.cat([hand_features(pixels), small.flatten(1)], dim=1)
        model = self.built.model.eval()
        inputs = Normalise(self.built.info.mean, self.built.info.std)((pixels,))[0]
        return model.forward_features(inputs).mean(dim=(2, 3))

    def _batches(self) -> Iterator[Tensor]:
        """(B, 3, H, W) uint8."""
        height, width = self.size
        for at in range(0, len(self.paths), BATCH):
            paths = self.paths[at : at + BATCH]
            rows = np.empty((len(paths), height, width, 3), dtype=np.uint8)

            def one(place: int, paths: Any = paths, rows: Any = rows) -> None:
                rows[place] = decode_array(paths[place], size=self.size, resize=self.data.resize)

            for _ in in_threads(one, len(paths), self.data.num_workers):
                pass
            yield torch.from_numpy(rows).permute(0, 3, 1, 2)


def _targets(data: VisionData, members: Sequence[int]) -> tuple[Tensor, tuple[int, ...]]:
    """(N, T) int64 classes of each target, and how many there are of each."""
    items = [data.items[at] for at in members]
    if data.targets is not None:
        return data.targets.codes(items), data.targets.sizes
    number = {name: code for code, name in enumerate(data.classes)}
    codes = torch.tensor([number[item.label] for item in items], dtype=torch.int64)
    return codes[:, None], (len(data.classes),)


def _silent(what: str, done: int, total: int | None = None, /) -> None:
    """Tells nobody."""
