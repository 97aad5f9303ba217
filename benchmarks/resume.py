"""Resuming: the same job killed and resumed in Drivetrain, Lightning, HF Trainer and fastai.

Each trainer trains the job unbroken, which is the reference. Then it is killed, by a signal that no
Python code survives, and a fresh process resumes it with the trainer's own means, set up as its own
documentation says (`resume_sides.py`). Compared is what the whole came to: the steps that are in the
final weights, and the final weights themselves. Seconds are not measured.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from measure import ROOT, Goal, Result, finish
from resume_sides import EPOCHS, ITEMS, SAVE_EVERY, STEPS, STEPS_AN_EPOCH, drop_newest
from torch import Tensor

TRAINERS = {
    "drivetrain": "Drivetrain",
    "hf": "HF Trainer",
    "lightning_stateful": "Lightning, StatefulDataLoader",
    "lightning_steps": "Lightning, DataLoader",
    "lightning_epochs": "Lightning, saved at epoch ends",
    "fastai": "fastai",
}

AGAIN = "not killed, run again"
IN_EPOCH = {"at": "step", "step": 2 * STEPS_AN_EPOCH + 20}
EPOCH_END = 3 * STEPS_AN_EPOCH
TRIALS: dict[str, dict[str, Any]] = {
    AGAIN: {},
    "in an epoch": {"kill": IN_EPOCH},
    "in validation": {"kill": {"at": "valid", "step": EPOCH_END}},
    "in a save": {"kill": {"at": "write", "step": EPOCH_END}},
    "in an epoch; then 2 workers": {"kill": IN_EPOCH, "num_workers": 2},
    "in an epoch; noisy items": {"kill": IN_EPOCH, "noise": 0.1},
}
"""What is done to each trainer: where it is killed, and what the two processes are given besides."""

PROCESSES = 2
"""At a time, of one thread each."""

LIGHTNING = f"every_n_train_steps={SAVE_EVERY}"
HOW = f"""{ITEMS:,} items in memory, {EPOCHS} epochs of {STEPS_AN_EPOCH} steps; a small net with batchnorm
and dropout, the same first weights; AdamW, 1cycle (HF Trainer: cosine with warm-up); one torch thread.
Killed: after step {IN_EPOCH["step"]} by SIGKILL (in an epoch); half way through the validation after step
{EPOCH_END} by SIGKILL; by the kernel in the first file that then grows beyond 150 kB (in a save). A fresh
process resumes. "Then 2 workers": no loader workers before the kill, 2 after it. "Noisy items": each
training item gets a fresh normal draw, as an augmentation does; compared with an unbroken run that does
the same. Shown against the unbroken run: the largest difference of any weight or running statistic; the
validation loss of the final weights; the optimizer's state; steps made again; and of the steps that are
in the final weights: those missing, items an epoch had twice or more / not at all, steps on other items,
steps at another rate. Log: epochs without a row of validation loss / rows too many, in the files as they
lie. Pickle: what resuming unpickled; restricted is torch's `weights_only`. † the newest checkpoint could
not be read and resuming failed; it was deleted by hand and resumed again.

How each is set up. Drivetrain: `Learner(out=…, callbacks=[Checkpoint(steps={SAVE_EVERY})])`, then
`open_run` and `resume`; noise from `randomness.uniforms`, by seed, epoch and item. HF Trainer:
`save_steps={SAVE_EVERY}`, `full_determinism=True`, `ignore_data_skip` False as it comes, then
`train(resume_from_checkpoint=True)`; it validates by steps too, which loses no row of the log. Lightning:
`seed_everything(workers=True)`, `deterministic=True`, CSVLogger (a folder each process, read together),
`ModelCheckpoint(save_last=True)`, then `fit(ckpt_path="last")`; saved with `{LIGHTNING}` and torchdata's
StatefulDataLoader or torch's DataLoader (of which Lightning warns when it resumes), or at the end of each
epoch. The StatefulDataLoader refuses the state of a loader that had no workers, where it has some; and
where the last checkpoint is that of an epoch's last step, as in validation here, it is restored as
exhausted and the next epoch has no step. fastai:
`set_seed(reproducible=True)`, `SaveModelCallback(every_epoch=True, with_opt=True)`, `CSVLogger`, then
`load` and `fit_one_cycle(start_epoch=…)`. Outside Drivetrain noise is `torch.randn` in `__getitem__`."""


# --- comparing -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """One step that the optimizer made."""

    step: int
    """In the trainer's own counting, from 0."""
    lr: float
    items: tuple[int, ...]


@dataclass(frozen=True)
class Outcome:
    """What a training came to."""

    steps: Sequence[Step]
    """Those that are in the final weights, in order."""
    tensors: Mapping[str, Tensor]
    """`model.<name>` and `optimizer.<parameter>.<entry>`."""
    valid_loss: float
    log: Sequence[tuple[int, float | None]]
    """(epoch, validation loss) of each row of the trainer's log."""
    pickle: str = "no"


@dataclass(frozen=True)
class Loss:
    """What a resumed training lost, against the unbroken one; nothing, where all is 0 and true."""

    weights: float
    """Largest difference of any weight or running statistic; 0 only where all bits are equal."""
    valid_loss: float
    optimizer_is_equal: bool
    redone: int
    """Steps that the killed process had made and that were made again."""
    missing: int
    """Steps that were never made."""
    twice: int
    """Readings of an item in an epoch beyond the first, over all epochs."""
    never: int
    """Items that an epoch did not have, over all epochs."""
    batches: int
    """Steps on other items than in the unbroken run; their order within a batch counts."""
    rates: int
    """Steps at another rate."""
    rows_lost: int
    rows_double: int
    pickle: str = "no"
    by_hand: list[str] = field(default_factory=list)
    """Checkpoints that had to be deleted before it could be resumed."""

    def total(self) -> float:
        """All but the weights, the steps redone and the pickle, added up; 0 is nothing lost."""
        counted = (self.missing, self.twice, self.never, self.batches, self.rates)
        rows = self.rows_lost + self.rows_double
        return sum(counted) + rows + (not self.optimizer_is_equal) + len(self.by_hand)


@dataclass(frozen=True)
class Failure:
    """A training that did not resume, although its checkpoint was whole."""

    reason: str

    @property
    def weights(self) -> float:
        """As far off as can be."""
        return float("inf")

    def total(self) -> float:
        """All is lost."""
        return float("inf")


def kept(first: Sequence[Step], resumed: Sequence[Step]) -> list[Step]:
    """The steps that are in the final weights: of the killed process those before the resumed begin."""
    start = resumed[0].step if resumed else len(first)
    return [one for one in first if one.step < start] + list(resumed)


def compare(unbroken: Outcome, found: Outcome, *, made: int, by_hand: Sequence[str] = ()) -> Loss:
    """What `found` lost against `unbroken`.

    Args:
        made: steps that all its processes made together.
        by_hand: checkpoints that had to be deleted.
    """
    expected = {one.step: one for one in unbroken.steps}
    steps = {one.step: one for one in found.steps}
    twice, never = readings(found.steps)
    rows = Counter(epoch for epoch, _ in found.log)
    told = {epoch for epoch, loss in found.log if loss is not None}
    pairs = [(one, expected[number]) for number, one in steps.items() if number in expected]
    return Loss(
        weights=difference(unbroken.tensors, found.tensors, "model."),
        valid_loss=found.valid_loss - unbroken.valid_loss,
        optimizer_is_equal=difference(unbroken.tensors, found.tensors, "optimizer.") == 0,
        redone=made - len(found.steps),
        missing=len(expected.keys() - steps.keys()),
        twice=twice,
        never=never,
        batches=sum(ours.items != theirs.items for ours, theirs in pairs),
        rates=sum(ours.lr != theirs.lr for ours, theirs in pairs),
        rows_lost=len(set(range(EPOCHS)) - told),
        rows_double=sum(count - 1 for count in rows.values()),
        pickle=found.pickle,
        by_hand=list(by_hand),
    )


def readings(steps: Iterable[Step]) -> tuple[int, int]:
    """Items read twice or more, and items not read, over all epochs."""
    twice = never = 0
    by_epoch = itertools.groupby(steps, key=lambda one: one.step // STEPS_AN_EPOCH)
    for _, group in by_epoch:
        counts = Counter(item for one in group for item in one.items)
        twice += sum(count - 1 for count in counts.values())
        never += ITEMS - len(counts)
    return twice, never


def difference(a: Mapping[str, Tensor], b: Mapping[str, Tensor], prefix: str) -> float:
    """The largest difference between tensors of the same name; 0 only where all are equal.

    Counters, which are integers, are no part of a difference, but where they alone differ it is infinite,
    as it is for a tensor that only one side has, of another shape, or with NaN.
    """
    largest, counts_differ = 0.0, False
    for name in {name for name in (*a, *b) if name.startswith(prefix)}:
        if name not in a or name not in b or a[name].shape != b[name].shape:
            return float("inf")
        if torch.equal(a[name], b[name]):
            continue
        if not a[name].is_floating_point():
            counts_differ = True
            continue
        here = (a[name].double() - b[name].double()).abs()
        if not here.isfinite().all():
            return float("inf")
        largest = max(largest, float(here.max()))
    return float("inf") if counts_differ and not largest else largest


# --- running ---------------------------------------------------------------------------------------


def try_trainer(side: str, folder: Path, trials: Iterable[str]) -> dict[str, Loss | Failure]:
    """All trials of one trainer, one after another."""
    unbroken: dict[float, Outcome] = {}
    found: dict[str, Loss | Failure] = {}
    for number, name in enumerate(trials):
        trial = TRIALS[name]
        noise = {key: value for key, value in trial.items() if key == "noise"}
        key = noise.get("noise", 0.0)
        if key not in unbroken:
            here = folder / f"{side}-unbroken-{key}"
            start(side, here, attempt="first", **noise)
            unbroken[key] = read(here, read_steps(here, "first"))
        found[name] = try_once(side, folder / f"{side}-{number}", trial, noise, unbroken[key])
        print(f"{TRAINERS[side]}, {name}: {found[name]}", file=sys.stderr, flush=True)
    return found


def try_once(
    side: str, folder: Path, trial: dict[str, Any], noise: dict[str, Any], unbroken: Outcome
) -> Loss | Failure:
    """Train, be killed, resume, and compare."""
    kill = trial.get("kill")
    if kill is None:
        start(side, folder, attempt="first", **noise)
        steps = read_steps(folder, "first")
        return compare(unbroken, read(folder, steps), made=len(steps))
    code = start(side, folder, attempt="first", kill=kill, **noise)
    wanted = signal.SIGXFSZ if kill["at"] == "write" else signal.SIGKILL
    if code != -wanted:
        raise RuntimeError(f"{side} should have died of {wanted.name}; it ended with {code}.")
    more = {key: value for key, value in trial.items() if key != "kill"}
    by_hand: list[str] = []
    while start(side, folder, attempt=f"resumed-{len(by_hand)}", resume=True, **more) != 0:
        if kill["at"] != "write" or len(by_hand) == 2:
            return Failure(reason_in((folder / f"resumed-{len(by_hand)}.txt").read_text()))
        by_hand.append(drop_newest(side, folder))
    first, resumed = read_steps(folder, "first"), read_steps(folder, f"resumed-{len(by_hand)}")
    whole = kept(first, resumed)
    return compare(unbroken, read(folder, whole), made=len(first) + len(resumed), by_hand=by_hand)


def start(side: str, folder: Path, *, attempt: str, **options: Any) -> int:
    """Run one process of a side to its end; the exit code, negative for a signal."""
    folder.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {
        "PYTHONPATH": os.environ.get("PYTHONPATH") or str(ROOT / "src"),
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
    }
    command = [sys.executable, str(Path(__file__).parent / "resume_sides.py"), side, str(folder)]
    with (folder / f"{attempt}.txt").open("w") as output:
        done = subprocess.run(
            [*command, json.dumps({"attempt": attempt, **options})],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=600,
        )
    if done.returncode > 0 and "resume" not in options:
        raise RuntimeError(f"{side} failed: {(folder / f'{attempt}.txt').read_text()}")
    return done.returncode


def reason_in(output: str) -> str:
    """The first error that a process wrote, which is the cause of those after it."""
    after = output.partition("Traceback (most recent call last):")[2].splitlines()
    lines = [line for line in after if line and not line.startswith((" ", "["))]
    name, colon, message = (lines[0] if lines else "unknown").partition(":")
    return f"{name.rpartition('.')[2]}{colon}{message}"


def read(folder: Path, steps: Sequence[Step]) -> Outcome:
    """What a finished process left in its folder."""
    from safetensors.torch import load_file

    record = json.loads((folder / "outcome.json").read_text())
    log = [(epoch, loss) for epoch, loss in record["log"]]
    tensors = load_file(folder / "final.safetensors")
    return Outcome(steps, tensors, record["valid_loss"], log, record["pickle"])


def read_steps(folder: Path, attempt: str) -> list[Step]:
    """The steps that a process wrote down."""
    path = folder / f"steps-{attempt}.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [Step(row["step"], row["lr"], tuple(row["items"])) for row in rows]


# --- reporting -------------------------------------------------------------------------------------

COLUMNS = [
    *("trainer", "killed", "weights differ by", "valid loss by", "optimizer", "steps redone"),
    *(
        "items twice / never",
        "batches changed",
        "rates changed",
        "log rows lost / double",
        "pickle",
    ),
]


def cells(loss: Loss | Failure) -> list[str]:
    """A row of the table, from the third column on."""
    if isinstance(loss, Failure):
        return [f"**not resumed**: {loss.reason.partition(':')[0]}", *["-"] * (len(COLUMNS) - 3)]
    weights = "**equal**" if loss.weights == 0 else f"{loss.weights:.2g}"
    return [
        weights + (" †" if loss.by_hand else ""),
        f"{loss.valid_loss:+.4f}" if loss.valid_loss else "0",
        "equal" if loss.optimizer_is_equal else "differs",
        f"{loss.redone}" + (f", {loss.missing} missing" if loss.missing else ""),
        f"{loss.twice:,} / {loss.never:,}",
        f"{loss.batches}",
        f"{loss.rates}",
        f"{loss.rows_lost} / {loss.rows_double}",
        loss.pickle,
    ]


def measure(options: argparse.Namespace) -> Result:
    """All trainers, two processes at a time."""
    trials = list(TRIALS)[:2] if options.quick else list(TRIALS)
    with (
        tempfile.TemporaryDirectory(prefix="drivetrain-resume-") as folder,
        ThreadPoolExecutor(PROCESSES) as pool,
    ):
        waiting = {side: pool.submit(try_trainer, side, Path(folder), trials) for side in TRAINERS}
        found = {side: future.result() for side, future in waiting.items()}
    ours = [loss for name, loss in found["drivetrain"].items() if name != AGAIN]
    return Result(
        case="resume",
        title="Killed and resumed: what each trainer loses",
        columns=COLUMNS,
        rows=[
            [TRAINERS[side], name, *cells(loss)]
            for side, losses in found.items()
            for name, loss in losses.items()
        ],
        how=HOW.replace("\n\n", "\0").replace("\n", " ").replace("\0", "\n\n"),
        goals=[
            Goal(
                f"Drivetrain, largest difference of a weight after {len(ours)} kills",
                max(loss.weights for loss in ours),
                0.0,
            ),
            Goal(
                "Drivetrain, items twice or never, batches or rates changed, log rows lost or double",
                sum(loss.total() for loss in ours),
                0.0,
            ),
        ],
        raw={
            "losses": {
                side: {name: asdict(loss) for name, loss in losses.items()}
                for side, losses in found.items()
            },
            "steps": STEPS,
        },
    )


if __name__ == "__main__":
    finish(measure, __doc__)
