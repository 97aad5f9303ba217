"""Sound folders that the tests spoil: runs of tiny pictures and of a small table, and bundles."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from drivetrain.errors import Interrupted
from drivetrain.train.checkpoints import Checkpoints


@dataclass(frozen=True)
class SoundFolders:
    """What the attacks start from."""

    pictures: Path
    picture: Path
    run: Path
    """Trained to its end; without its checkpoints, which are large."""
    cut: Path
    """Cut after its first epoch, with one checkpoint."""
    bundle: Path
    table: Path
    """A CSV of 120 rows."""
    table_run: Path
    """A run of three small models of it and their average, which predicts."""
    table_bundle: Path
    numbers_bundle: Path
    """Of a forest that predicts a number."""
    text_bundle: Path
    """Of a small recurrent net that tells short texts apart."""


def make(folder: Path) -> SoundFolders:
    """Dark and light pictures of 8 x 8 pixels, a model that tells them apart, and its bundle; and a table
    with a column of every kind, an average of every kind of model, and its bundle.
    """
    from PIL import Image

    from drivetrain import tabular, vision

    pictures = folder / "pictures"
    draw = np.random.default_rng(0)
    for label, level in (("dark", 40), ("light", 200)):
        (pictures / label).mkdir(parents=True)
        for number in range(12):
            noise = level + draw.integers(-30, 30, (8, 8, 3))
            Image.fromarray(noise.astype(np.uint8)).save(pictures / label / f"{number}.png")

    def learner(out: Path):
        return vision.learner(
            str(pictures), "resnet_tiny", size=8, epochs=2, batch_size=8, num_threads=1,
            progress=False, out=out,
        )  # fmt: skip

    learner(folder / "run").train()
    with mock.patch.object(Checkpoints, "save", _save_and_stop), contextlib.suppress(Interrupted):
        learner(folder / "cut").train()
    vision.export(folder / "run", folder / "bundle")
    shutil.rmtree(folder / "run" / "checkpoints")
    picture = pictures / "dark" / "0.png"
    table = make_table(folder / "sales.csv")
    tabular.export(_average(table, folder / "table-run"), folder / "table-bundle", script=False)
    forest = tabular.fit(table, "price", "forest", num_threads=1, settings={"num_trees": 5})
    tabular.export(forest, folder / "numbers-bundle", script=False)
    return SoundFolders(
        pictures,
        picture,
        folder / "run",
        folder / "cut",
        folder / "bundle",
        table,
        folder / "table-run",
        folder / "table-bundle",
        folder / "numbers-bundle",
        make_text_bundle(folder / "text-bundle"),
    )


def make_text_bundle(folder: Path) -> Path:
    """A bundle of a model that tells good reviews from bad ones, and the texts that travel with it."""
    from drivetrain import text

    draw = np.random.default_rng(0)
    words = (["good", "fine", "lovely"], ["bad", "dull", "poor"])
    texts = [
        " ".join(draw.choice([*words[number % 2], "film", "plot", "so", "AND"], 12))
        for number in range(60)
    ]
    labels = [("good", "bad")[number % 2] for number in range(60)]
    learner = text.learner(
        texts, labels=labels, model="gru", sizes={"embedding_dim": 8, "hidden_dim": 8},
        epochs=2, num_threads=1, progress=False,
    )  # fmt: skip
    learner.train()
    learner.export(folder, script=False)
    return folder


def make_table(path: Path) -> Path:
    """Whether a sale was good, by day, weather, shop and price; some prices are missing."""
    draw = np.random.default_rng(0)
    days = np.datetime64("2024-01-01") + np.arange(120)
    lines = ["day,weather,shop,price,good"]
    for day in days:
        weather, shop = draw.choice(["dry", "wet", "snow"]), draw.choice(["north", "south"])
        price = draw.normal(10, 3)
        good = "yes" if price + 2 * (weather == "dry") + draw.normal() < 10 else "no"
        cell = "" if draw.random() < 0.1 else f"{price:.2f}"
        lines.append(f"{day},{weather},{shop},{cell},{good}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _average(table: Path, folder: Path) -> Any:
    """The mean of a forest, boosted trees, a linear model and a net, saved as a run."""
    from drivetrain import tabular
    from drivetrain.tabular.estimators import AverageEstimator
    from drivetrain.tabular.models import TabularModel

    data = tabular.gather(table, "good", seed=1)
    settings = {"forest": {"num_trees": 5}, "boosting": {"num_trees": 5}, "linear": {}}
    models = [
        tabular.fit(data, model=name, num_threads=1, settings=given)
        for name, given in settings.items()
    ]
    learner = tabular.learner(data, layers=[4], epochs=1, progress=False)
    learner.train()
    models.append(learner.application.model(learner))
    parts = [model.estimator for model in models]
    names = [model.name for model in models]
    average = AverageEstimator(parts, names, np.full(len(parts), 1 / len(parts)))
    made = TabularModel(
        "mean_ensemble", average, reader=data.reader, preprocess=data.preprocess, target=data.target,
        data=data,
    )  # fmt: skip
    made.save(folder)
    return made


_save = Checkpoints.save


def _save_and_stop(self: Checkpoints, *args: Any) -> None:
    """Save, and where an epoch is done end the training; one checkpoint is left."""
    if args[0]:
        shutil.rmtree(self.folder)
    _save(self, *args)
    if args[0]:  # epochs done: there is something to remember
        raise Interrupted("Cut by a test.", 2)
