"""The optimizer's step: chains of named steppers against torch's multi-tensor optimizers.

The parameters are those of a ResNet-18, with gradients that do not change. Nothing but `step()` is timed.
"""

from __future__ import annotations

import argparse
import time

import torch
from measure import Goal, Result, finish, median, ratio, take_turns
from torch import nn

from drivetrain.optim import optimizer

KINDS = {
    "sgd": (torch.optim.SGD, {}, "sgd", {}),
    "momentum": (torch.optim.SGD, {"momentum": 0.9}, "momentum", {"momentum": 0.9}),
    "rmsprop": (torch.optim.RMSprop, {}, "rmsprop", {}),
    "adam": (torch.optim.Adam, {}, "adam", {}),
    "adamw": (torch.optim.AdamW, {"weight_decay": 0.01}, "adamw", {"weight_decay": 0.01}),
    "radam": (torch.optim.RAdam, {}, "radam", {}),
}
FUSED = ("sgd", "momentum", "adam", "adamw")
"""Kinds of which torch has a fused kernel for the CPU."""
LIMIT = 1.1
RATE = 1e-6
"""So small that the weights stay what they are, however often a step is timed."""


def measure(options: argparse.Namespace) -> Result:
    """Steps of each, in turn, on one thread."""
    torch.set_num_threads(1)
    rounds = 3 if options.quick else 31
    rows, goals, raw = [], [], {}
    for kind, (theirs, their_settings, name, settings) in KINDS.items():
        params = parameters()
        # Two by turns, so that each follows the other as often; the fused one is there to be seen.
        variants = {
            "torch": theirs(params, lr=RATE, foreach=True, **their_settings).step,
            "drivetrain": optimizer(name, lr=RATE, **settings)(params).step,
        }
        times = take_turns(variants, rounds=rounds, warm_up=3, clock=time.process_time)
        if kind in FUSED:
            fused = theirs(params, lr=RATE, fused=True, **their_settings).step
            times |= take_turns({"fused": fused}, rounds=rounds, clock=time.process_time)
        raw[kind] = times
        found = ratio(times, "drivetrain", "torch")
        rows.append(
            [
                kind,
                f"{median(times['torch']) * 1e3:.1f}",
                f"{median(times['drivetrain']) * 1e3:.1f}",
                f"{found:.2f}",
                f"{median(times['fused']) * 1e3:.1f}" if "fused" in times else "-",
            ]
        )
        goals.append(Goal(f"{kind}, Drivetrain / torch foreach", found, LIMIT))
    count = sum(param.numel() for param in parameters())
    return Result(
        case="optimizer",
        title=f"Optimizer step: ResNet-18, {len(parameters())} tensors, {count / 1e6:.1f} M weights",
        columns=["optimizer", "torch foreach, ms", "Drivetrain, ms", "ratio", "torch fused, ms"],
        rows=rows,
        how=(
            f"One torch thread, CPU time of `step()`, {rounds} rounds in turn, medians; ratios are "
            "medians over rounds. The weights after it are equal to torch's, which the tests of the "
            "optimizers show. A long chain goes over the tensors in portions that stay in the "
            "processor's cache; torch's multi-tensor form goes over all of them at each operation. One "
            "fused kernel does better than both, so the Learner's default is torch's fused AdamW."
        ),
        goals=goals,
        raw={"seconds_a_step": raw},
    )


def parameters() -> list[nn.Parameter]:
    """A ResNet-18's, with gradients."""
    from torchvision.models import resnet18

    generator = torch.Generator().manual_seed(0)
    params = list(resnet18().parameters())
    for param in params:
        param.grad = torch.randn(param.shape, generator=generator)
    return params


if __name__ == "__main__":
    finish(measure, __doc__)
