"""Loop overhead: a 64-32-1 net, batch 64, data in memory, against a hand-written loop and fastai.

The net is so small that nearly all of a step is what surrounds it. All do the same arithmetic: a new
order each epoch, AdamW with the same settings, mean squared error, the mean training loss of the
epoch, and one small validation batch at its end.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import time
from typing import Any

import torch
import torch.nn.functional as F
from measure import Goal, Result, finish, median, ratio, take_turns
from torch import Tensor, nn

import drivetrain as dt
from drivetrain.train.callbacks.progress import Progress

BATCH = 64
STEPS = 400


def measure(options: argparse.Namespace) -> Result:
    """Epochs of each, in turn, on one thread."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(BATCH * STEPS, 64, generator=generator)
    y = x[:, :1] * x[:, 1:2] + 0.1 * x.sum(1, keepdim=True)
    valid = (x[:BATCH].clone(), y[:BATCH].clone())
    variants = {
        "hand-written loop, fused AdamW": HandWritten(x, y, valid, fused=True),
        "hand-written loop, AdamW as it comes": HandWritten(x, y, valid, fused=False),
        "Drivetrain, default callbacks and bar": drivetrain_fit(x, y, valid),
        "fastai 2.8.12, default callbacks and bar": fastai_fit(x, y, valid),
    }
    limit = next(iter(variants))
    times = take_turns(variants, rounds=3 if options.quick else 15, clock=time.process_time)
    rows = [
        [name, f"{median(taken) / STEPS * 1e6:,.0f}", f"{ratio(times, name, limit):.2f}"]
        for name, taken in times.items()
    ]
    ours, fastai = list(variants)[2:]
    return Result(
        case="loop",
        title=f"Loop overhead: 64-32-1 net, batch {BATCH}",
        columns=["program", "us a step (CPU)", "of the hand-written loop"],
        rows=rows,
        how=(
            f"One torch thread, CPU time of the process, epochs of {STEPS} steps in turn, medians; "
            "ratios are medians over rounds. The Learner's optimizer is fused AdamW by default, so the "
            "hand-written loop's is too. Progress bars are on and write to memory."
        ),
        goals=[
            Goal("Drivetrain / hand-written", ratio(times, ours, limit), 1.10),
            Goal("fastai / Drivetrain", ratio(times, fastai, ours), 3.0, is_at_least=True),
        ],
        raw={"seconds_an_epoch": times, "steps": STEPS},
    )


def make_net() -> nn.Module:
    """The same weights each time."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1))


class HandWritten:
    """The loop one writes without any library; a call is an epoch."""

    def __init__(self, x: Tensor, y: Tensor, valid: tuple[Tensor, Tensor], *, fused: bool) -> None:
        self.x, self.y, self.valid = x, y, valid
        self.net = make_net()
        weights = [p for p in self.net.parameters() if p.ndim > 1]
        biases = [p for p in self.net.parameters() if p.ndim == 1]
        groups = [{"params": weights}, {"params": biases, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(
            groups, lr=1e-3, betas=(0.9, 0.99), eps=1e-5, weight_decay=0.01, fused=fused or None
        )

    def __call__(self) -> tuple[float, float]:
        net, optimizer = self.net, self.optimizer
        total = torch.zeros(())
        net.train()
        for indices in torch.randperm(len(self.x)).split(BATCH):
            loss = F.mse_loss(net(self.x[indices]), self.y[indices])
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            total += loss.detach()
        net.eval()
        with torch.inference_mode():
            valid_loss = F.mse_loss(net(self.valid[0]), self.valid[1])
        return total.item() / STEPS, valid_loss.item()


def drivetrain_fit(x: Tensor, y: Tensor, valid: tuple[Tensor, Tensor]) -> Any:
    """A Learner with its default callbacks; the bar is on although this is no terminal."""
    train = dt.BatchLoader(dt.TensorData(x, y), batch_size=BATCH, shuffle=True)
    learner = dt.Learner(
        make_net(),
        dt.Loaders(train, dt.BatchLoader(dt.TensorData(*valid), batch_size=BATCH)),
        F.mse_loss,
        callbacks=[Progress(stream=io.StringIO(), bar=True)],
        progress=False,  # the one above takes its place
    )
    return lambda: learner.fit(1, 1e-3)


def fastai_fit(x: Tensor, y: Tensor, valid: tuple[Tensor, Tensor]) -> Any:
    """fastai's Learner over its own DataLoader, data in memory, Adam with its defaults."""
    import fastai.callback.progress  # noqa: F401 - importing it is what puts the bar among the defaults
    from fastai.data.core import DataLoaders
    from fastai.data.load import DataLoader
    from fastai.learner import Learner
    from torch.utils.data import TensorDataset

    train = DataLoader(TensorDataset(x, y), bs=BATCH, shuffle=True, num_workers=0)
    dls = DataLoaders(train, DataLoader(TensorDataset(*valid), bs=BATCH, num_workers=0))
    learner = Learner(dls, make_net(), loss_func=F.mse_loss)

    def fit() -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            learner.fit(1, 1e-3)

    return fit


if __name__ == "__main__":
    finish(measure, __doc__)
