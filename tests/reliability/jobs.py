"""The trainings that are cut: pictures, a table, a plain net, each with all that a checkpoint holds."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import drivetrain as dt
from drivetrain import store
from drivetrain.randomness import seeded
from drivetrain.train.callbacks.checkpoint import Checkpoint
from drivetrain.train.run import Run

KINDS = ("mlp", "table", "image")
"""`mini` is one more, of three saves: for tests that run it hundreds of times."""


class Seen(dt.Callback):
    """Notes the items of each step in a file: a line a step, which a kill cannot take back."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def before_batch(self, state: Any) -> None:
        items = hashlib.sha256("|".join(state.item_ids()).encode()).hexdigest()[:16]
        line = f"{state.first_step + state.step} {items}\n".encode()
        descriptor = os.open(self.path, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
        os.write(descriptor, line)
        os.close(descriptor)


class TableNet(nn.Module):
    """Categories as embeddings beside numbers, batchnorm and dropout between two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, 4)
        self.normalise = nn.BatchNorm1d(3)
        self.layers = nn.Sequential(
            nn.Linear(7, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 2)
        )

    def forward(self, category: Tensor, numbers: Tensor) -> Tensor:
        return self.layers(torch.cat([self.embedding(category), self.normalise(numbers)], dim=1))

    def layer_groups(self) -> list[list[nn.Module]]:
        return [[self.embedding, self.normalise], [self.layers]]


def make(kind: str, folder: Path | None, *, workers: int = 0) -> dt.Learner:
    """A Learner of this kind, before training, with a new run in `folder`."""
    callbacks: list[dt.Callback] = [] if kind == "mini" else [Checkpoint(steps=3)]
    if folder is not None:
        callbacks.append(Seen(folder.parent / f"{folder.name}.seen"))
    if kind == "image":
        return dt.vision.learner(
            os.environ["DRIVETRAIN_TEST_PICTURES"],
            metrics=["accuracy"],
            batch_size=16,
            epochs=3,
            progress=False,
            num_threads=1,
            callbacks=callbacks,
            out=folder,
        )
    generator = torch.Generator().manual_seed(0)
    with seeded(1, "job"):
        if kind == "table":
            category = torch.randint(0, 7, (72,), generator=generator)
            values = torch.randn(72, 3, generator=generator)
            tensors = category, values, (category + values[:, 0] > 3).long()
            model: nn.Module = TableNet()
        else:
            points = torch.randn(36 if kind == "mini" else 72, 4, generator=generator)
            tensors = points, (points[:, 0] * points[:, 1] > 0).long()
            model = nn.Sequential(
                nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 2)
            )
    data = dt.TensorData(*tensors)
    train = dt.BatchLoader(data, batch_size=16, shuffle=True, num_workers=workers)
    return dt.Learner(
        model,
        (train, dt.BatchLoader(data, batch_size=32)),
        metrics=["accuracy"],
        callbacks=callbacks,
        progress=False,
        out=folder,
    )


def train(kind: str, folder: Path) -> None:
    """From nothing to a finished run."""
    fit(kind, make(kind, folder))


def fit(kind: str, learner: dt.Learner) -> None:
    """The call that trains a Learner of this kind."""
    if kind == "image":
        learner.train()
    elif kind == "table":
        learner.fine_tune(2, 1e-2)
    else:
        learner.fit_one_cycle(2 if kind == "mini" else 3, 1e-2)


def resume(kind: str, folder: Path, *, workers: int = 0) -> None:
    """From whatever a cut left to a finished run; from nothing where it left none."""
    if not (folder / "run.json").exists():
        for path in sorted(folder.rglob("*"), reverse=True):  # cut before the run was one
            path.rmdir() if path.is_dir() else path.unlink()
        train(kind, folder)
        return
    if kind == "image":
        learner = dt.vision.reopen(folder, callbacks=[Checkpoint(steps=3)], progress=False)
    else:
        learner = make(kind, None, workers=workers)
        learner.open_run(Run.open(folder))
    learner.callbacks.append(Seen(folder.parent / f"{folder.name}.seen"))
    learner.resume() if learner.journal else fit(kind, learner)


def outcome(folder: Path) -> dict[str, Any]:
    """All of a finished run that must be the same to the last bit."""
    run = Run.open(folder)
    record = run.read()
    found = run.checkpoints.load()
    assert found is not None, "a finished run has a checkpoint"
    tensors, position, notes = found
    assert not notes, notes
    model = store.read_tensors(folder / "model" / "model.safetensors")
    return {
        "weights": record["results"]["weights_sha256"],
        "model": store.weights_sha256(model),
        "checkpoint": store.weights_sha256(tensors),
        "journal": [
            {k: v for k, v in stage.items() if k != "status"} for stage in record["journal"]
        ],
        "callbacks": {
            name: {k: v for k, v in values.items() if k != "seconds"}
            for name, values in position["callbacks"].items()
        },
        "log": [{k: v for k, v in row.items() if k != "seconds"} for row in run.read_log()],
    }


def order(folder: Path) -> dict[int, set[str]]:
    """For each step, the items that were seen in it: one entry where a repeated step repeats itself."""
    steps: dict[int, set[str]] = {}
    for line in (folder.parent / f"{folder.name}.seen").read_text().splitlines():
        step, items = line.split()
        steps.setdefault(int(step), set()).add(items)
    return steps


def difference(folder: Path, reference: Path) -> str:
    """What of a finished run is not as in the run that was never cut; empty where nothing is."""
    ours, theirs = outcome(folder), outcome(reference)
    parts = [f"{key}: {ours[key]} != {theirs[key]}" for key in theirs if ours[key] != theirs[key]]
    if order(folder) != order(reference):
        parts.append("sample order")
    return json.dumps(parts) if parts else ""
