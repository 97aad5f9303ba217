"""One process of the resume benchmark: train the job in one trainer, be killed where told, or resume.

    python resume_sides.py SIDE FOLDER '{"attempt": "first", "kill": {"at": "step", "step": 84}}'
    python resume_sides.py SIDE FOLDER '{"attempt": "resumed", "resume": true, "num_workers": 2}'

The job is the same everywhere (`Job`, `make_net`); each function of `SIDES` sets one trainer up as its
own documentation says, and hands every step to a `Witness`, which writes it down and kills the process.
What came out lies in FOLDER: `steps-*.jsonl`, `final.safetensors`, `outcome.json`.
"""

from __future__ import annotations

import csv
import importlib
import json
import os
import random
import resource
import shutil
import signal
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

SEED = 42
ITEMS, VALID_ITEMS, FEATURES, CLASSES = 2048, 512, 32, 10
BATCH, EPOCHS, MAX_LR, WEIGHT_DECAY = 64, 6, 1e-2, 0.01
STEPS_AN_EPOCH = ITEMS // BATCH
STEPS = STEPS_AN_EPOCH * EPOCHS
SAVE_EVERY = 8
"""Steps between checkpoints, where the trainer can save inside an epoch."""

MOST_BYTES = 150_000
"""Where a process that dies while it saves is cut: well inside a checkpoint, well beyond a log."""


# --- the job ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Job:
    """What this process is to do."""

    folder: Path
    """Of this run: the trainer's own files lie in `folder / "run"`."""
    witness: Witness
    resume: bool = False
    """Go on with what lies in the folder, in the trainer's own way."""
    num_workers: int = 0
    noise: float = 0.0
    """Of a normal draw that is added to each training item anew, as an augmentation would be."""

    @property
    def run(self) -> Path:
        """The trainer's own folder."""
        return self.folder / "run"


def make_tensors() -> dict[str, tuple[Tensor, Tensor]]:
    """The items, (N, 32) float32, and their classes, (N,) int64: noisy, so that no trainer is done."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(ITEMS + VALID_ITEMS, FEATURES, generator=generator)
    mixing = torch.randn(FEATURES, CLASSES, generator=generator)
    noise = torch.randn(len(x), CLASSES, generator=generator)
    y = ((x * x.roll(1, dims=1)) @ mixing + 2 * noise).argmax(dim=1)
    return {"train": (x[:ITEMS], y[:ITEMS]), "valid": (x[ITEMS:], y[ITEMS:])}


class Net(nn.Module):
    """Linear, batchnorm, ReLU, dropout, twice; keeps the numbers of the items it was last trained on."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs in (FEATURES, 256):
            layers += [nn.Linear(inputs, 256), nn.BatchNorm1d(256), nn.ReLU(), nn.Dropout(0.2)]
        self.layers = nn.Sequential(*layers, nn.Linear(256, CLASSES))
        self.items: list[int] = []

    def forward(self, x: Tensor, index: Tensor) -> Tensor:
        """Logits (B, 10) of x (B, 32); index (B,) are the items' numbers."""
        if self.training:
            self.items = index.tolist()
        return self.layers(x)


def make_net() -> Net:
    """The same weights in each process."""
    torch.manual_seed(0)
    return Net()


class Items(Dataset[Any]):
    """Items one by one, as `(x, index, y)`; each reading may be reported."""

    def __init__(
        self, part: str, *, noise: float = 0.0, read: Callable[[int], None] | None = None
    ) -> None:
        self.x, self.y = make_tensors()[part]
        self.noise = noise
        self.read = read

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> Any:
        if self.read is not None:
            self.read(1)
        x = self.x[index]
        if self.noise:
            x = x + self.noise * torch.randn(x.shape)
        return x, torch.tensor(index), self.y[index]


class NamedItems(Items):
    """The same with names, as the HF Trainer wants them."""

    def __getitem__(self, index: int) -> Any:
        x, index_, y = super().__getitem__(index)
        return {"x": x, "index": index_, "labels": y}


# --- the witness -----------------------------------------------------------------------------------


class Witness:
    """Writes down each step once the optimizer has made it, and kills the process where told.

    Args:
        path: gets one line a step: step, rate, items. Written at once, so that a kill loses none.
        kill: `{"at": "step" | "valid" | "write", "step": n}`: when n steps are done, at once; in the
            validation that follows, half way; or in the next file that grows beyond `MOST_BYTES`.
    """

    def __init__(self, path: Path, kill: dict[str, Any] | None) -> None:
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.at, self.last = (kill["at"], kill["step"]) if kill else ("", -1)
        self.done = 0
        self.valid_items = 0

    def step(self, step: int, lr: float, items: list[int]) -> None:
        """A step is done; `step` counts from 0, in the trainer's own counting."""
        line = json.dumps({"step": int(step), "lr": float(lr), "items": items})
        os.write(self.file, line.encode() + b"\n")
        self.done = step + 1
        if self.done == self.last and self.at == "step":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.done == self.last and self.at == "write":
            # The kernel kills the process in the write that crosses the limit, with the bytes before it
            # on the disk. Python ignores the signal; undone, nothing of Python runs any more.
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_BYTES, MOST_BYTES))

    def read_valid(self, count: int) -> None:
        """The validation has read `count` items."""
        if self.at == "valid" and self.done == self.last:
            self.valid_items += count
            if self.valid_items > VALID_ITEMS // 2:
                os.kill(os.getpid(), signal.SIGKILL)


class Pickles:
    """What this process unpickled: "no", "restricted" (`weights_only`) or "full"."""

    def __init__(self) -> None:
        self.found = "no"
        load = torch.load

        def counted(*args: Any, **kwargs: Any) -> Any:
            # Not given, `weights_only` is True since torch 2.6.
            if kwargs.get("weights_only") in (None, True):
                self.found = max(self.found, "restricted", key=PICKLES.index)
            else:
                self.found = "full"
            return load(*args, **kwargs)

        torch.load = counted


PICKLES = ("no", "restricted", "full")


@dataclass
class Trained:
    """What a side hands back."""

    net: Net
    optimizer: Any
    """Has `state`, by parameter."""
    log: list[tuple[int, float | None]]
    """(epoch, validation loss) of every row that the trainer's own log on the disk has at the end."""


def write_outcome(job: Job, trained: Trained, pickles: Pickles) -> None:
    """Weights, optimizer state, the validation loss computed here, and the log."""
    from safetensors.torch import save_file

    net, tensors = trained.net, {}
    for name, tensor in net.state_dict().items():
        tensors[f"model.{name}"] = tensor.detach().clone()
    for name, parameter in net.named_parameters():
        for entry, value in trained.optimizer.state.get(parameter, {}).items():
            if isinstance(value, Tensor | int | float):
                tensors[f"optimizer.{name}.{entry}"] = torch.as_tensor(value).detach().clone()
    save_file(tensors, job.folder / "final.safetensors")
    x, y = make_tensors()["valid"]
    net.eval()
    with torch.inference_mode():
        loss = F.cross_entropy(net(x, torch.arange(len(x))), y).item()
    outcome = {"valid_loss": loss, "log": trained.log, "pickle": pickles.found}
    (job.folder / "outcome.json").write_text(json.dumps(outcome))


# --- Drivetrain ------------------------------------------------------------------------------------


def drivetrain(job: Job) -> Trained:
    """A Learner with a run folder and `Checkpoint(steps=…)`; resumed with `open_run` and `resume`."""
    import drivetrain as dt
    from drivetrain.randomness import item_keys, uniforms
    from drivetrain.train.callbacks.checkpoint import Checkpoint
    from drivetrain.train.run import Run

    class Rows(dt.TensorData):
        """Tensors whose reading is reported."""

        def __getitems__(self, indices: Tensor) -> tuple[Tensor, ...]:
            job.witness.read_valid(len(indices))
            return super().__getitems__(indices)

    class Watch(dt.Callback):
        """Reports each step."""

        def after_step(self, state: Any) -> None:
            self.optimizer, self.lr = state.optimizer, state.optimizer.param_groups[0]["lr"]

        def after_batch(self, state: Any) -> None:
            job.witness.step(state.first_step + state.step - 1, self.lr, net.items)

    def add_noise(batch: Any, indices: Tensor, epoch: int) -> Any:
        draws = uniforms(keys[indices.numpy()], FEATURES, seed=SEED, purpose="noise", epoch=epoch)
        normal = torch.special.ndtri(draws.clamp(1e-6, 1 - 1e-6))
        return batch[0] + job.noise * normal, *batch[1:]

    parts = make_tensors()
    (x, y), (valid_x, valid_y) = parts["train"], parts["valid"]
    train = dt.BatchLoader(
        dt.TensorData(x, torch.arange(len(x)), y),
        batch_size=BATCH,
        shuffle=True,
        num_workers=job.num_workers,
        transform=add_noise if job.noise else None,
    )
    keys = item_keys([str(index) for index in range(len(x))])
    valid = dt.BatchLoader(Rows(valid_x, torch.arange(len(valid_x)), valid_y), batch_size=BATCH)
    net, watch = make_net(), Watch()
    learner = dt.Learner(
        net,
        dt.Loaders(train, valid),
        F.cross_entropy,
        callbacks=[watch, Checkpoint(steps=SAVE_EVERY)],
        weight_decay=WEIGHT_DECAY,
        seed=SEED,
        progress=False,
        out=None if job.resume else job.run,
    )
    if job.resume:
        learner.open_run(Run.open(job.run))
        learner.resume()
    else:
        learner.fit_one_cycle(EPOCHS, MAX_LR)
    rows = [json.loads(line) for line in (job.run / "log.jsonl").read_text().splitlines()]
    log = [(row["epoch"], row["valid_loss"]) for row in rows if "valid_loss" in row]
    return Trained(net, watch.optimizer, log)


# --- Lightning -------------------------------------------------------------------------------------


def lightning(job: Job, *, every: int | None, stateful: bool) -> Trained:
    """A LightningModule with ModelCheckpoint(save_last=True); resumed with `fit(ckpt_path="last")`.

    Args:
        every: steps between checkpoints; None saves at the end of each epoch.
        stateful: torchdata's StatefulDataLoader in place of torch's DataLoader.
    """
    import pytorch_lightning as pl
    from pytorch_lightning.callbacks import ModelCheckpoint
    from pytorch_lightning.loggers import CSVLogger

    class Module(pl.LightningModule):
        """The job."""

        def __init__(self) -> None:
            super().__init__()
            self.net = make_net()

        def training_step(self, batch: Any, _: int) -> Tensor:
            return F.cross_entropy(self.net(batch[0], batch[1]), batch[2])

        def validation_step(self, batch: Any, _: int) -> None:
            self.log("valid_loss", F.cross_entropy(self.net(batch[0], batch[1]), batch[2]))

        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.AdamW(self.parameters(), lr=MAX_LR, weight_decay=WEIGHT_DECAY)
            schedule = torch.optim.lr_scheduler.OneCycleLR(
                optimizer, max_lr=MAX_LR, total_steps=STEPS
            )
            return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    class Watch(pl.Callback):
        """Reports each step."""

        def on_before_optimizer_step(self, trainer: Any, module: Any, optimizer: Any) -> None:
            self.lr = optimizer.param_groups[0]["lr"]

        def on_train_batch_end(self, trainer: Any, module: Any, *_: Any) -> None:
            job.witness.step(trainer.global_step - 1, self.lr, module.net.items)

    pl.seed_everything(SEED, workers=True, verbose=False)
    loader: Any = DataLoader
    if stateful:
        loader = importlib.import_module("torchdata.stateful_dataloader").StatefulDataLoader
    module = Module()
    torch.manual_seed(SEED)  # `make_net` set it to its own
    train = loader(
        Items("train", noise=job.noise),
        batch_size=BATCH,
        shuffle=True,
        num_workers=job.num_workers,
    )
    valid = DataLoader(Items("valid", read=job.witness.read_valid), batch_size=BATCH)
    keep = {} if every is None else {"every_n_train_steps": every}
    trainer = pl.Trainer(
        max_epochs=EPOCHS,
        accelerator="cpu",
        devices=1,
        deterministic=True,
        logger=CSVLogger(job.run, name="log"),
        callbacks=[Watch(), ModelCheckpoint(job.run / "checkpoints", save_last=True, **keep)],
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, train, valid, ckpt_path="last" if job.resume else None)
    log: list[tuple[int, float | None]] = []
    for path in sorted((job.run / "log").glob("*/metrics.csv")):  # a folder for each process
        with path.open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if row.get("valid_loss")]
        log += [(int(row["epoch"]), float(row["valid_loss"])) for row in rows]
    return Trained(module.net, trainer.optimizers[0], log)


# --- HF Trainer ------------------------------------------------------------------------------------


def hf(job: Job) -> Trained:
    """transformers.Trainer with `save_steps`; resumed with `train(resume_from_checkpoint=True)`."""
    from transformers import Trainer, TrainerCallback, TrainingArguments

    class Model(nn.Module):
        """The job, with the loss inside."""

        def __init__(self) -> None:
            super().__init__()
            self.net = make_net()

        def forward(self, x: Tensor, index: Tensor, labels: Tensor) -> dict[str, Tensor]:
            logits = self.net(x, index)
            return {"loss": F.cross_entropy(logits, labels), "logits": logits}

    class Watch(TrainerCallback):
        """Reports each step."""

        def on_pre_optimizer_step(self, *_: Any, optimizer: Any, **__: Any) -> None:
            self.lr = optimizer.param_groups[0]["lr"]

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            job.witness.step(state.global_step - 1, self.lr, model.net.items)

    model = Model()
    arguments = TrainingArguments(
        output_dir=str(job.run),
        num_train_epochs=EPOCHS,
        per_device_train_batch_size=BATCH,
        per_device_eval_batch_size=BATCH,
        learning_rate=MAX_LR,
        weight_decay=WEIGHT_DECAY,
        max_grad_norm=0.0,
        lr_scheduler_type="cosine",
        warmup_steps=STEPS // 4,
        save_strategy="steps",
        save_steps=SAVE_EVERY,
        eval_strategy="steps",
        eval_steps=STEPS_AN_EPOCH,
        logging_strategy="epoch",
        seed=SEED,
        full_determinism=True,
        dataloader_num_workers=job.num_workers,
        remove_unused_columns=False,
        prediction_loss_only=True,
        use_cpu=True,
        report_to=[],
        disable_tqdm=True,
    )
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=NamedItems("train", noise=job.noise),
        eval_dataset=NamedItems("valid", read=job.witness.read_valid),
        callbacks=[Watch()],
    )
    trainer.train(resume_from_checkpoint=True if job.resume else None)
    trainer.save_state()
    rows = json.loads((job.run / "trainer_state.json").read_text())["log_history"]
    log = [(round(row["epoch"]) - 1, row["eval_loss"]) for row in rows if "eval_loss" in row]
    return Trained(model.net, trainer.optimizer, log)


# --- fastai ----------------------------------------------------------------------------------------


def fastai(job: Job) -> Trained:
    """A Learner with SaveModelCallback(every_epoch, with_opt); resumed with `load` and `start_epoch`."""
    import fastai.callback.schedule  # noqa: F401 - importing it gives the Learner `fit_one_cycle`
    from fastai.callback.core import Callback
    from fastai.callback.progress import CSVLogger
    from fastai.callback.tracker import SaveModelCallback
    from fastai.data.core import DataLoaders
    from fastai.data.load import DataLoader as FastaiLoader
    from fastai.learner import Learner
    from fastai.losses import CrossEntropyLossFlat
    from fastai.torch_core import set_seed

    class Watch(Callback):
        """Reports each step."""

        order = 1000

        def after_batch(self) -> None:
            if self.training:
                lr = self.opt.hypers[-1]["lr"]
                job.witness.step(self.epoch * STEPS_AN_EPOCH + self.iter, lr, net.items)

    job.run.mkdir(exist_ok=True)
    net = make_net()
    set_seed(SEED, reproducible=True)
    train = FastaiLoader(
        Items("train", noise=job.noise), bs=BATCH, shuffle=True, num_workers=job.num_workers
    )
    valid = FastaiLoader(Items("valid", read=job.witness.read_valid), bs=BATCH)
    learner: Any = Learner(
        DataLoaders(train, valid, path=job.run),
        net,
        loss_func=CrossEntropyLossFlat(),
        path=job.run,
        wd=WEIGHT_DECAY,
    )
    start = 0
    if job.resume:
        names = [path.stem for path in (job.run / "models").glob("model_*.pth")]
        newest = max(names, key=lambda name: int(name.rpartition("_")[2]), default=None)
        if newest is not None:
            learner.load(newest, with_opt=True)
            start = int(newest.rpartition("_")[2]) + 1
    callbacks = [
        Watch(),
        SaveModelCallback(every_epoch=True, with_opt=True),
        CSVLogger(append=job.resume),
    ]
    with learner.no_bar():
        learner.fit_one_cycle(EPOCHS, MAX_LR, cbs=callbacks, start_epoch=start)
    with (job.run / "history.csv").open(newline="") as file:
        rows = [row for row in csv.reader(file) if row and row[0].isdigit()]
    # A skipped epoch leaves a row without losses.
    log = [(int(row[0]), float(row[2]) if len(row) > 3 else None) for row in rows]
    return Trained(net, learner.opt, log)


# --- the sides -------------------------------------------------------------------------------------

SIDES: dict[str, Callable[[Job], Trained]] = {
    "drivetrain": drivetrain,
    "lightning_epochs": lambda job: lightning(job, every=None, stateful=False),
    "lightning_steps": lambda job: lightning(job, every=SAVE_EVERY, stateful=False),
    "lightning_stateful": lambda job: lightning(job, every=SAVE_EVERY, stateful=True),
    "hf": hf,
    "fastai": fastai,
}

NEWEST = {
    "drivetrain": "checkpoints/*",
    "lightning_epochs": "checkpoints/*.ckpt",
    "lightning_steps": "checkpoints/*.ckpt",
    "lightning_stateful": "checkpoints/*.ckpt",
    "hf": "checkpoint-*",
    "fastai": "models/*.pth",
}
"""Where each trainer keeps its checkpoints, for a person who has to delete a damaged one."""


def drop_newest(side: str, folder: Path) -> str:
    """Delete the newest checkpoint, as a person would whose resuming fails; its name."""
    found: Iterable[Path] = (folder / "run").glob(NEWEST[side])
    newest = max(found, key=lambda path: path.stat().st_mtime_ns)
    if newest.is_dir():
        shutil.rmtree(newest)
    else:
        newest.unlink()
    return newest.name


def main(arguments: list[str]) -> None:
    """Run one side; the last argument is JSON: `attempt`, `kill`, `resume`, `num_workers`, `noise`."""
    side, folder, options = arguments[0], Path(arguments[1]), json.loads(arguments[2])
    torch.set_num_threads(1)
    random.seed(0)
    witness = Witness(folder / f"steps-{options['attempt']}.jsonl", options.get("kill"))
    job = Job(
        folder,
        witness,
        resume=options.get("resume", False),
        num_workers=options.get("num_workers", 0),
        noise=options.get("noise", 0.0),
    )
    pickles = Pickles()
    write_outcome(job, SIDES[side](job), pickles)


if __name__ == "__main__":
    main(sys.argv[1:])
