"""What `examples/own_loop.py` does, through a Learner: the same weights to the last bit.

python examples/learner.py FOLDER      # a folder with one sub-folder a class
"""

from __future__ import annotations

import sys

import torch

import drivetrain as dt

EPOCHS, LR, SEED, BATCH_SIZE = 2, 1e-2, 42, 32


def main(folder: str) -> dict[str, object]:
    """Train on the pictures of `folder`; the accuracy and the weights' hash."""
    data = dt.vision.from_folder(folder, seed=SEED)
    loaders = data.loaders(mean=(0.5,) * 3, std=(0.5,) * 3, batch_size=BATCH_SIZE)
    built = dt.models.create_model(
        "resnet_tiny", num_classes=len(data.classes), pretrained=False, seed=SEED
    )
    learner = dt.Learner(
        built.model.to(memory_format=torch.channels_last),
        loaders,
        "cross_entropy",
        metrics=["accuracy"],
        seed=SEED,
        num_threads=1,
    )
    learner.fit_one_cycle(EPOCHS, LR)
    result = learner.result()
    return {
        "accuracy": result["metrics"]["valid"]["accuracy"],
        "weights_sha256": result["weights_sha256"],
    }


if __name__ == "__main__":
    print(main(sys.argv[1]))
