"""Writes examples/ejected: the scripts of short trainings on the samples. `--check` only compares."""

from __future__ import annotations

import sys
from pathlib import Path

from drivetrain import collab, eject, tabular, text, vision
from drivetrain.samples import sample_folder
from drivetrain.train.learner import Learner

FOLDER = Path(__file__).resolve().parent.parent / "examples" / "ejected"


def digits() -> Learner:
    """`drivetrain train digits --epochs 3 --set augment=false`."""
    learner = vision.learner(sample_folder("digits"), augment=False, progress=False)
    learner.train(3)
    return learner


def shapes() -> Learner:
    """Two epochs at a constant rate, their weights averaged."""
    learner = vision.learner(sample_folder("shapes"), augment=False, progress=False)
    learner.fit(2, 1e-2, callbacks=["ema"])
    return learner


def rentals() -> Learner:
    """`drivetrain train rentals --model net --epochs 3`."""
    learner = tabular.learner(data_of("rentals"), "rentals", progress=False)
    learner.train(3)
    return learner


def reviews() -> Learner:
    """A small LSTM that tells reviews that praise from those that blame."""
    learner = text.learner(
        data_of("reviews"),
        sizes={"embedding_dim": 32, "hidden_dim": 32},
        batch_size=32,
        num_threads=1,
        progress=False,
    )
    learner.train(3)
    return learner


def films() -> Learner:
    """`drivetrain train films --epochs 3`."""
    learner = collab.learner(data_of("films"), progress=False)
    learner.train(3)
    return learner


def data_of(name: str) -> Path:
    """What an example is trained on, and its script takes by `--data`."""
    folder = sample_folder(name)
    if name == "films":
        return folder / "ratings.csv"
    return folder / "train.csv" if name in ("rentals", "reviews") else folder


EXAMPLES = {
    "digits": digits,
    "shapes": shapes,
    "rentals": rentals,
    "reviews": reviews,
    "films": films,
}


def texts() -> dict[str, str]:
    """The script of each example, by its name."""
    return {name: eject.source(make(), name=f"{name}.py") for name, make in EXAMPLES.items()}


def main() -> int:
    """Write them, or with `--check` say which differ."""
    wrong = 0
    for name, script in texts().items():
        path = FOLDER / f"{name}.py"
        if path.exists() and path.read_text("utf-8") == script:
            continue
        if "--check" in sys.argv:
            wrong += 1
            print(f"{path} is not what ejecting gives now. Run: make ejected")
            continue
        FOLDER.mkdir(parents=True, exist_ok=True)
        path.write_text(script, "utf-8")
        print(f"{path}: {len(script.splitlines())} lines")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
