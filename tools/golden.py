"""Golden numbers: what the library computes today, so that a change that moves them is seen.

    python tools/golden.py      compute all anew, print what moved, write tests/golden/numbers.json

`make test` compares. A refactor must not move a number; a commit that does says why. Each entry keeps
the tolerance it is compared with and the versions it was computed with: processors and torch versions
differ in the last digits, and training carries those along.
"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

FILE = Path(__file__).resolve().parent.parent / "tests" / "golden" / "numbers.json"
SEED = 42


def training_losses() -> list[float]:
    """Train and valid loss of three epochs of 1cycle on a small net: the loop as a whole."""
    import numpy as np
    from torch import nn

    import drivetrain as dt
    from drivetrain.randomness import seeded, uniforms

    inputs = 2 * uniforms(np.arange(96, dtype=np.uint64), 4, seed=SEED, purpose="golden") - 1
    targets = (inputs.sum(dim=1) > 0).long() + (inputs[:, 0] > 0.5).long()
    train = dt.BatchLoader(dt.TensorData(inputs[:70], targets[:70]), batch_size=16, shuffle=True)
    valid = dt.BatchLoader(dt.TensorData(inputs[70:], targets[70:]), batch_size=16)
    with seeded(SEED, "golden"):
        model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 3))
    loaders = dt.Loaders(train, valid)
    learner = dt.Learner(model, loaders, "cross_entropy", lr=0.02, seed=SEED, progress=False)
    learner.fit_one_cycle(3)
    return [row[name] for row in learner.history for name in ("train_loss", "valid_loss")]


def model_scores() -> list[float]:
    """Scores of a new `resnet_tiny` for one picture: architecture, initialisation, derived draws."""
    import torch

    from drivetrain.models import create_model

    model = create_model("resnet_tiny", num_classes=4, pretrained=False, seed=SEED).model.eval()
    picture = torch.linspace(-1, 1, 3 * 16 * 16).view(1, 3, 16, 16)
    with torch.no_grad():
        return model(picture)[0].tolist()


def augmented_means() -> list[float]:
    """Mean and spread of three augmented pictures: the draws, the geometry and the light."""
    import torch

    from drivetrain.vision.augment import Augment, AugmentSettings

    transform = Augment(
        AugmentSettings(), ["a", "b", "c"], mean=(0.5,) * 3, std=(0.25,) * 3, seed=SEED
    )
    ramp = torch.arange(3 * 3 * 12 * 12).remainder(251).to(torch.uint8).view(3, 3, 12, 12)
    pictures, _ = transform((ramp, torch.zeros(3)), torch.arange(3), 0)
    return [*pictures.mean(dim=(1, 2, 3)).tolist(), *pictures.std(dim=(1, 2, 3)).tolist()]


def schedule_values() -> list[float]:
    """Rate and momentum of 1cycle at elevenths of a training."""
    from drivetrain.optim import one_cycle, one_cycle_momentum

    steps = [step / 11 for step in range(12)]
    return [*map(one_cycle, steps), *map(one_cycle_momentum, steps)]


GOLDEN: dict[str, tuple[Callable[[], list[float]], float]] = {
    "training_losses": (training_losses, 1e-3),
    "model_scores": (model_scores, 1e-4),
    "augmented_means": (augmented_means, 1e-5),
    "schedule_values": (schedule_values, 1e-12),
}
"""Name -> (what computes it, relative tolerance)."""


def read() -> dict[str, Any]:
    """The numbers as they are kept; empty before the first time."""
    return json.loads(FILE.read_text("utf-8")) if FILE.exists() else {}


def record(compute: Callable[[], list[float]], tolerance: float) -> dict[str, Any]:
    """One entry, computed now."""
    import numpy
    import torch

    versions = {"torch": torch.__version__, "numpy": numpy.__version__}
    return {
        "values": compute(),
        "tolerance": tolerance,
        "seed": SEED,
        "versions": versions | {"python": platform.python_version()},
    }


def moved(old: list[float], new: list[float], tolerance: float) -> list[str]:
    """A line for each number that is not what it was."""
    if len(old) != len(new):
        return [f"  {len(old)} numbers became {len(new)}"]
    return [
        f"  [{index}] {before:.9g} -> {after:.9g}"
        for index, (before, after) in enumerate(zip(old, new, strict=True))
        if not abs(after - before) <= tolerance * max(abs(before), abs(after))
    ]


def main() -> int:
    """Compute, print what moved, write."""
    kept, fresh = read(), {}
    for name, (compute, tolerance) in GOLDEN.items():
        fresh[name] = record(compute, tolerance)
        old = kept.get(name)
        lines = ["  new"] if old is None else moved(old["values"], fresh[name]["values"], tolerance)
        if old is not None and not lines:
            fresh[name] = old  # the last digits of another machine are no news
        print(name, *(lines or ["  as it was"]), sep="\n")
    for name in kept.keys() - fresh.keys():
        print(name, "  gone", sep="\n")
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(json.dumps(fresh, indent=1) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
