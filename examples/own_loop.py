"""The seven steps of learning as seven functions, in a loop of your own.

`examples/learner.py` does the same through a Learner; both end with the same weights to the last bit.

    python examples/own_loop.py FOLDER      # a folder with one sub-folder a class
"""

from __future__ import annotations

import sys

import torch
from torch import Tensor, nn

from drivetrain import losses, optim, store, vision
from drivetrain.data.loaders import Loaders
from drivetrain.models import create_model
from drivetrain.randomness import set_generators

EPOCHS, LR, SEED, BATCH_SIZE = 2, 1e-2, 42, 32


def initialise(num_classes: int) -> nn.Module:
    """Step 1: start from parameters that are random, and the same for the same seed."""
    built = create_model("resnet_tiny", num_classes=num_classes, pretrained=False, seed=SEED)
    return built.model.to(memory_format=torch.channels_last)


def predict(model: nn.Module, inputs: Tensor) -> Tensor:
    """Step 2: the model's scores for a batch."""
    return model(inputs)


def measure(preds: Tensor, targets: Tensor) -> Tensor:
    """Step 3: how wrong the scores are, as one number."""
    return losses.cross_entropy(preds, targets)


def gradient(loss: Tensor) -> None:
    """Step 4: how the loss would change with each parameter."""
    loss.backward()


def step(optimizer: torch.optim.Optimizer, progress: float) -> None:
    """Step 5: move each parameter against its gradient, at the schedule's rate."""
    for group in optimizer.param_groups:
        group["lr"] = LR * optim.one_cycle(progress)
        group["betas"] = (optim.one_cycle_momentum(progress), group["betas"][1])
    optimizer.step()
    optimizer.zero_grad()


def repeat(model: nn.Module, loaders: Loaders) -> None:
    """Step 6: go back to step 2, batch after batch, epoch after epoch."""
    layers = model.layer_groups()
    rates = optim.spread_lrs(LR, len(layers))
    optimizer = optim.adamw(optim.param_groups(layers, lrs=rates, weight_decay=0.01))
    done, total = 0, EPOCHS * len(loaders.train)
    for epoch in range(EPOCHS):
        loaders.train.set_epoch(epoch)
        model.train()
        for inputs, targets in loaders.train:
            set_generators(SEED, "step", done)  # what dropout draws depends on the step alone
            preds = predict(model, inputs)
            loss = measure(preds, targets)
            gradient(loss)
            step(optimizer, done / total)
            done += 1


def stop(model: nn.Module, loaders: Loaders) -> float:
    """Step 7: stop, and measure on pictures that it has not learnt from."""
    model.eval()
    right = count = 0
    with torch.inference_mode():
        for inputs, targets in loaders.valid:
            right += int((predict(model, inputs).argmax(dim=1) == targets).sum())
            count += len(targets)
    return right / count


STEPS = (initialise, predict, measure, gradient, step, repeat, stop)


def main(folder: str) -> dict[str, object]:
    """Train on the pictures of `folder`; the accuracy and the weights' hash."""
    torch.set_num_threads(1)
    for number, function in enumerate(STEPS, start=1):
        print(f"{number}. {function.__name__}: {function.__doc__.partition(': ')[2]}")
    data = vision.from_folder(folder, seed=SEED)
    loaders = data.loaders(mean=(0.5,) * 3, std=(0.5,) * 3, batch_size=BATCH_SIZE)
    model = initialise(len(data.classes))
    repeat(model, loaders)
    return {
        "accuracy": stop(model, loaders),
        "weights_sha256": store.weights_sha256(model.state_dict()),
    }


if __name__ == "__main__":
    print(main(sys.argv[1]))
