"""The Learner: model, loaders, loss and optimizer, and the calls that train them.

Every call that trains is planned as stages in the journal first and then carried out by
`drivetrain.train.loop.fit`, which is the whole loop; there is no other.

    >>> from drivetrain.data.loaders import BatchLoader, TensorData
    >>> x = torch.linspace(-1, 1, 64).unsqueeze(1)
    >>> train = BatchLoader(TensorData(x, 3 * x + 1), batch_size=16, shuffle=True)
    >>> learner = Learner(nn.Linear(1, 1), Loaders(train, train), "mse", progress=False)
    >>> learner.fit_one_cycle(30, lr=0.3)
    >>> learner.history[-1]["valid_loss"] < 0.01
    True
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from drivetrain import losses, optim, store
from drivetrain.data.loaders import Loaders
from drivetrain.errors import ConfigError, RunError
from drivetrain.metrics import metric as metric_by_name
from drivetrain.models.device import default_device, threads
from drivetrain.optim.groups import Rate, rates_table
from drivetrain.randomness import preserved, seeded
from drivetrain.train import fits, journal, keeping, loop, optimizing, saving, sealed
from drivetrain.train.application import Application
from drivetrain.train.batches import bare, to_device
from drivetrain.train.callback import Callback
from drivetrain.train.callbacks.first_batch import CheckFirstBatch
from drivetrain.train.callbacks.optimizer_mode import OptimizerMode
from drivetrain.train.history import History
from drivetrain.train.journal import Stage
from drivetrain.train.lr_find import RateFinder, RateSearch, undone
from drivetrain.train.memory import MemoryReport, dry_run
from drivetrain.train.modules import (
    LayerGroup,
    as_module,
    freeze_groups,
    have_statistics,
    layer_groups_of,
)
from drivetrain.train.parts import (
    as_callbacks,
    as_loaders,
    as_loss,
    as_optimizer,
    callback_records,
    makes,
)
from drivetrain.train.predictions import Predictions
from drivetrain.train.run import Run, read_model
from drivetrain.train.state import FitState, LossFn


class Learner:
    """Model + loaders + loss + optimizer, and the loop that trains them.

    Args:
        model: an `nn.Module`, or any callable that answers `parameters()`; or what makes one, a class
            or a function without arguments (`functools.partial` fills them in): its random weights
            then follow from the seed, and the training can be ejected.
        loaders: `Loaders`, a tuple (train, valid), or one re-iterable of batches to train on; or what
            makes them.
        loss_fn: `(preds, targets) -> scalar`, or a name from `losses.LOSSES`; None chooses by the
            targets of the first batch.
        optimizer: a name from `optim.OPTIMIZERS`; or what is called with torch parameter groups for each
            fit, such as `torch.optim.SGD` or a `functools.partial` of it; or an optimizer instance, used
            as it is. None: `optim.adamw`.
        metrics: names from `metrics.METRICS`, or objects with `reset`, `update`, `compute`.
        callbacks: objects, or names from `train.callbacks.CALLBACKS`; used in every fit, after the
            built-in ones of the same order.
        lr: learning rate of calls that give none.
        weight_decay: for all parameters but norms and biases.
        seed: of everything random in training.
        device: where to train; by default CUDA, MPS or CPU, what there is.
        num_threads: torch threads while training and evaluating; None leaves them.
        progress: show a bar (or lines) and the history's rows on stderr.
        out: folder of a new run, where checkpoints, log and model are written.
        application: what knows the inputs as people have them; the applications' factories give it.
    Raises: UnknownNameError: no such loss or metric. ConfigError: `model` cannot be trained.
        RunError: `out` holds something already.
    """

    def __init__(
        self,
        model: nn.Module | Callable[..., Any],
        loaders: Loaders | tuple[Iterable[Any], ...] | Iterable[Any],
        loss_fn: LossFn | str | Mapping[str, Any] | None = None,
        optimizer: Optimizer | optimizing.OptimizerFactory | str | None = None,
        *,
        metrics: Sequence[Any] = (),
        callbacks: Sequence[Callback | str | Mapping[str, Any]] = (),
        lr: float = 1e-3,
        weight_decay: float = 0.01,
        seed: int = 42,
        device: torch.device | str | None = None,
        num_threads: int | None = None,
        progress: bool = True,
        out: store.StrPath | None = None,
        application: Application | None = None,
    ) -> None:
        self.device = default_device() if device is None else torch.device(device)
        self.makes_model, self.makes_loaders = makes(model), makes(loaders)
        """What makes model and loaders, where that was given: a script can make them again."""
        if self.makes_model is not None:
            with seeded(seed, "init", "model"):
                model = self.makes_model()
        if self.makes_loaders is not None:
            with seeded(seed, "init", "loaders"):
                loaders = self.makes_loaders()
        self.model = as_module(model).to(self.device)
        self.loaders = as_loaders(loaders)
        self.loss_fn = as_loss(loss_fn, self.loaders)
        self.optimizer = as_optimizer(optimizer)
        self.metrics = [metric_by_name(m) for m in metrics]
        self.callbacks = as_callbacks(callbacks)
        self.lr = lr
        self.weight_decay = weight_decay
        self.seed = seed
        self.num_threads = num_threads
        self.progress = progress
        self.application = application
        self.history = History()
        self.journal: list[Stage] = []
        self.run: Run | None = None
        self.seconds = 0.0
        """Spent in fits so far."""
        self.kept: keeping.Kept | None = None
        """Where a fit that was stopped goes on; None where there is nothing to go on with."""
        self._began: float | None = None
        self.given: list[tuple[Stage, list[Callback]]] = []
        """The callbacks that each stage was given in this process."""
        self._given: list[Callback] | None = None
        """The callbacks of the last call that trains."""
        if out is not None:
            self.start_run(Run.create(out))

    # --- training ---------------------------------------------------------------------------------

    def fit(
        self,
        epochs: int,
        lr: Rate | None = None,
        *,
        schedule: Any = None,
        callbacks: Sequence[Callback | str | Mapping[str, Any]] = (),
    ) -> None:
        """Train for `epochs`, at a constant rate or under a schedule.

        Args:
            epochs: passes over the training items, at least 1.
            lr: one rate; or `slice(low, high)` or a list, for layer groups from the input to the head.
            schedule: what multiplies the rates: a name of `optim.SCHEDULES`, a record such as
                `{"name": "flat_cosine", "pct_start": 0.5}`, or a list of them, one a layer group.
            callbacks: for this call only.
        Raises: InputError: `epochs` or `lr` is out of range. UnknownNameError, ConfigError: no such
            schedule or option. ShapeError: outputs, targets and loss do not fit together.
        """
        lrs = fits.rates_of(self, lr)
        by = optim.as_schedule_record(schedule, len(lrs))
        stage = Stage("fit", f"fit({epochs})", epochs=epochs, lrs=lrs, schedule=by)
        stage.weight_decay = self.weight_decay
        self._plan(stage)
        with self._fits(callbacks) as states:
            for state in states:
                loop.fit(state)

    def fit_one_cycle(
        self,
        epochs: int,
        lr: Rate | None = None,
        *,
        pct_start: float = 0.25,
        div: float = 25.0,
        div_final: float = 1e5,
        callbacks: Sequence[Callback | str | Mapping[str, Any]] = (),
    ) -> None:
        """Train for `epochs` under the 1cycle policy (Smith & Topin 2017, arXiv:1708.07120).

        The rate rises from `lr / div` to `lr` in the first `pct_start` of the steps and falls to
        `lr / div_final`; the momentum goes .95, .85, .95. Errors as in `fit`.
        """
        self._plan(
            journal.one_cycle_stage(
                epochs,
                fits.rates_of(self, lr),
                weight_decay=self.weight_decay,
                pct_start=pct_start,
                div=div,
                div_final=div_final,
            )
        )
        with self._fits(callbacks) as states:
            for state in states:
                loop.fit(state)

    def fine_tune(
        self,
        epochs: int,
        lr: float = 2e-3,
        *,
        freeze_epochs: int = 1,
        spread: float = 100.0,
        keep_frozen: int = 0,
        keep_statistics: bool = True,
        callbacks: Sequence[Callback | str | Mapping[str, Any]] = (),
    ) -> None:
        """Train a pretrained model: the new head alone first, then all of it.

        The body's batchnorms keep the running statistics they came with: a few steps of a small data set
        would make worse ones (docs/decisions/0005-statistics-stay.md has the figures).

        Args:
            epochs: of the second part.
            lr: peak rate of the head in the first part; in the second part the head has half of it.
            freeze_epochs: of the first part.
            spread: in the second part the first layers' rate is the head's divided by this.
            keep_frozen: layer groups nearest to the input that stay frozen in the second part.
            keep_statistics: False lets batchnorms learn new running statistics in the second part; a
                body that has none yet always learns them.
            callbacks: for this call only.
        Raises: as `fit`.
        """
        groups = self.layer_groups
        self._plan(
            *journal.fine_tune_stages(
                epochs,
                lr,
                head_lrs=fits.rates_of(self, float(lr)),
                body_lrs=fits.rates_of(self, slice(lr / 2 / spread, lr / 2)),
                freeze_epochs=freeze_epochs,
                frozen_groups=len(groups) - 1,
                keep_frozen=keep_frozen,
                keep_statistics=keep_statistics and have_statistics(groups[:-1]),
                weight_decay=self.weight_decay,
            )
        )
        with self._fits(callbacks) as states:
            for state in states:
                loop.fit(state)

    def freeze(self, groups: int | None = None) -> None:
        """Stop training the first `groups` layer groups; by default all but the last, the head."""
        count = len(self.layer_groups)
        self._plan(Stage("freeze", "freeze", frozen_groups=count - 1 if groups is None else groups))
        self._freeze_planned()

    def unfreeze(self) -> None:
        """Train all layers again."""
        self._plan(Stage("freeze", "unfreeze", frozen_groups=0))
        self._freeze_planned()

    def train(self, epochs: int | None = None) -> None:
        """Train as the application thinks best for this model and these items.

        Args:
            epochs: rounds over the training items; by default what the application chooses.

        Raises: ConfigError: this Learner has no application; call `fit` or `fit_one_cycle`.
        """
        self._need_application("train").train(self, epochs)

    def resume(
        self, *, callbacks: Sequence[Callback | str | Mapping[str, Any]] | None = None
    ) -> None:
        """Carry out what the journal has open, from where it was stopped, to the same bits.

        Args:
            callbacks: the same that the call which was stopped had been given. None takes them again;
                in a new process it makes them from the journal, which knows those that have a name.
        Raises: RunError: an error ended it, and there is no checkpoint to go back to; or it was given a
            callback that only its script has.
        """
        begun = (journal.RUNNING, journal.STOPPED)
        broken = any(stage.status in begun for stage in self.journal)
        if broken and self.kept is None:
            if self.run is None:
                raise RunError(
                    "An error ended the last fit in the middle of a step, and without a run folder there "
                    "is no checkpoint to go back to. Train anew; `out=` keeps checkpoints."
                )
            self.open_run(self.run)
        if callbacks is None:
            callbacks = self._given
        if callbacks is None:
            callbacks = keeping.callbacks_of(self.journal)
        with self._fits(callbacks) as states:
            for state in states:
                loop.fit(state)

    def lr_find(
        self, *, start: float = 1e-7, end: float = 10.0, num_steps: int = 100
    ) -> RateSearch:
        """Try rates from `start` to `end`, one a step, and say which would be good.

        Weights, running statistics and every later draw are as if it had not been called.

        Args:
            start: the lowest rate.
            end: the highest rate.
            num_steps: rates that are tried, by equal ratios.

        Returns: a `RateSearch`: print it for all suggestions, `.plot()` it; `.suggestion` is the usual.
        """
        finder = RateFinder(start=start, end=end, num_steps=num_steps)
        stage = Stage(
            "fit", "lr_find", lrs=fits.rates_of(self, start), weight_decay=self.weight_decay
        )
        batches = loop.length(self.loaders.train)
        with undone(self.model, self.optimizer), threads(self.num_threads):
            loop.fit(
                FitState(
                    model=self.model,
                    loaders=Loaders(self.loaders.train),
                    loss_fn=self.loss_fn,
                    optimizer=fits.optimizer_of(self, stage),
                    epochs=-(-num_steps // batches) + 1 if batches else num_steps,
                    callbacks=[finder, CheckFirstBatch(), OptimizerMode()],
                    seed=self.seed,
                    device=self.device,
                )
            )
        return finder.found()

    @property
    def layer_groups(self) -> list[LayerGroup]:
        """The model's layer groups, from the input to the head; one where the model names none."""
        return layer_groups_of(self.model)

    def rates(self, lr: Rate | None = None) -> str:
        """A table of the layer groups: layers, parameters, learning rate, and what is trained."""
        return rates_table(self.layer_groups, lrs=fits.rates_of(self, lr))

    # --- looking ----------------------------------------------------------------------------------

    def evaluate(self, source: Any = None, *, keep: bool = False) -> Any:
        """Loss and metrics: on the validation items, on a loader, or on labelled data from elsewhere.

        Args:
            source: None for the validation loader; a loader of batches; with an application also what it
                reads, such as a folder.
            keep: keep all outputs and targets of a loader in the evaluation as well.
        Returns: a `loop.Evaluation`, or with an application's source a dict.
        """
        if isinstance(source, str | os.PathLike):
            return self._need_application("evaluate on a path").evaluate(self, source)
        loader = self.loaders.valid if source is None else source
        if loader is None:
            raise ConfigError("There are no validation items. Give a loader: `evaluate(loader)`.")
        with threads(self.num_threads), preserved():
            return loop.evaluate(
                self.model,
                loader,
                self.loss_fn,
                metrics=self.metrics,
                device=self.device,
                keep=keep,
            )

    def test(self) -> sealed.TestResult:
        """Open the items that were sealed for a test, and write down that they were looked at.

        No loader gives them out: this is the only way to them. See `train.sealed`.
        Raises: ConfigError: nothing was sealed. DataError: the items have changed since. StorageError:
            the look cannot be written down; then nothing is said either.
        """
        with threads(self.num_threads), preserved():
            return sealed.test(self)

    def predictions(
        self, loader: Iterable[Any] | None = None, *, found: loop.Evaluation | None = None
    ) -> Predictions:
        """The record of one evaluation, item by item.

        Args:
            loader: by default that of validation.
            found: what evaluating it gave with `keep=True`, which saves another pass.
        Raises: ConfigError: there are no validation items. Else whatever the model or the data raises.
        """
        source = self.loaders.valid if loader is None else loader
        if source is None:
            raise ConfigError(
                "There are no validation items. Give a loader: `predictions(loader)`."
            )
        if found is None:
            with threads(self.num_threads), preserved():
                found = loop.evaluate(
                    self.model, source, self.loss_fn, device=self.device, keep=True
                )
        assert found.preds is not None and found.targets is not None, "an empty loader"
        ids = getattr(getattr(source, "data", None), "ids", None)
        record = Predictions(
            ids=ids or [str(index) for index in range(found.count)],
            targets=found.targets,
            outputs=found.preds,
            losses=losses.per_item(self.loss_fn, found.preds, found.targets),
            classes=self.application.classes if self.application is not None else (),
        )
        split = getattr(self.application, "split_predictions", None)
        return record if split is None else split(record)

    def predict(self, source: Any) -> Any:
        """The prediction for one input: as the application reads it, else for a batch of tensors.

        Without an application `source` is what the model is called with, a tensor or a tuple of them,
        and the model's outputs are returned.
        """
        if self.application is not None:
            return self.application.predict(self, source)
        self.model.eval()
        args = source if isinstance(source, tuple) else (source,)
        with torch.inference_mode(), threads(self.num_threads), preserved():
            return bare(self.model(*to_device(args, self.device)))

    def memory(self, *, batch_size: int | None = None) -> MemoryReport:
        """Train one batch and undo it: its peak memory, and the largest batch that fits; printable.

        Args:
            batch_size: of the batch that is tried; by default the loader's.

        Returns: the bytes, and the largest batch that fits; print it.
        """
        return dry_run(self, batch_size=batch_size)

    def result(self) -> dict[str, Any]:
        """What came out, as the command line prints it with `--json`."""
        base: dict[str, Any] = {
            "run": str(self.run.folder) if self.run else None,
            "epochs": sum(stage.epochs_done for stage in self.journal),
            "seconds": round(self.seconds, 3),
            "weights_sha256": store.weights_sha256(self.model.state_dict()),
        }
        if self.application is not None:
            with threads(self.num_threads):
                return self.application.results(self) | base
        row = self.history[-1] if self.history else {}
        keep = {"valid_loss", *(m.name for m in self.metrics)}
        return {"metrics": {"valid": {k: v for k, v in row.items() if k in keep}}} | base

    @property
    def choices(self) -> Any:
        """What the application decided for the person, with reasons; printable."""
        return self._need_application("choices").choices

    # --- keeping ----------------------------------------------------------------------------------

    def start_run(self, run: Run) -> None:
        """Write every later epoch into `run`."""
        self.run = run
        if self.application is not None:
            self.application.begin_run(run)
        self._write_run()

    def save(self, folder: store.StrPath) -> None:
        """Write a run folder: what was trained and how, and the model that predicts.

        Raises: RunError: the folder holds something already. StorageError: the disk refused.
        """
        run = Run.create(folder)
        try:
            if self.application is not None:
                self.application.begin_run(run)
            for row in self.history:
                run.log(row)
            keeping.save_into(self, run)
        finally:
            run.release()

    def export(self, folder: store.StrPath, **options: Any) -> Any:
        """Write a bundle: a folder that predicts, and proves itself.

        Args:
            options: of the application's `export`, such as `golden=8`, `guard=True`, `script=True`.
        Returns: what verifying the bundle found.
        Raises: ConfigError: this Learner has no application. BundleError: the bundle does not prove
            itself. StorageError: the disk refused.
        """
        return self._need_application("export").export(self, folder, **options)

    def eject(self, path: store.StrPath, *, level: str = "all") -> Path:
        """Write what was done as one plain PyTorch script, which gives the same weights to the last bit.

        Args:
            path: of the script, such as `train_birds.py`; `python train_birds.py --data … --out …`
                runs it.
            level: `all` imports nothing from Drivetrain; `data` takes model, loss and optimizer from it,
                `loop` the data too.
        Raises: EjectError: something of it has no plain form, such as a lambda, or nothing was trained.
        """
        import drivetrain  # its public face, which stands above all layers

        return drivetrain.eject.write(self, path, level=level)

    def load(self, folder: store.StrPath) -> None:
        """Take the weights from a run folder or a model folder.

        Raises: RunError: there are none, they are damaged, or they are another model's.
        """
        tensors, _ = read_model(folder)
        saving.load_weights(self.model, tensors, what=str(folder))

    def open_run(self, run: Run | store.StrPath) -> None:
        """Stand where a cut run stopped: its journal, history and newest whole checkpoint.

        `resume` then goes on. The Learner must be built as the run's was.

        Args:
            run: the run, or its folder.
        Raises: RunError: no checkpoint is whole, or they are of another model.
        """
        keeping.restore(self, run if isinstance(run, Run) else Run.open(run))

    def seconds_so_far(self) -> float:
        """Spent in fits, the one that is running included."""
        running = 0.0 if self._began is None else time.perf_counter() - self._began
        return self.seconds + running

    # --- how it is done ---------------------------------------------------------------------------

    def _plan(self, *stages: Stage) -> None:
        """Check and append stages; what an error left open before is closed and stays on record."""
        for stage in stages:
            if stage.kind == "fit" and stage.epochs < 1:
                raise ConfigError(f"`epochs` must be at least 1. Got {stage.epochs}.")
            if not 0 <= stage.frozen_groups <= len(self.layer_groups):
                raise ConfigError(
                    f"The model has {len(self.layer_groups)} layer groups. "
                    f"Got {stage.frozen_groups} to freeze."
                )
        for stage in self.journal:
            if stage.is_open:
                is_broken = stage.status == journal.RUNNING and self.kept is None
                stage.status = journal.BROKEN if is_broken else journal.INTERRUPTED
        self.kept = None
        self.journal.extend(stages)
        self._write_run()

    @contextmanager
    def _fits(
        self, callbacks: Sequence[Callback | str | Mapping[str, Any]]
    ) -> Iterator[Iterator[FitState]]:
        """The fits still to do, one after the other, while the run's folder and the threads are ours.

        The caller hands each to `loop.fit`, so that it stands right under `fit` in the stack.
        """
        run, given = self.run, as_callbacks(callbacks)
        self._given = given
        for stage in self.journal:
            if stage.is_open:
                stage.callbacks = callback_records(given)
                self.given.append((stage, given))
        if run is not None:
            run.acquire()
            run.checkpoints.sweep()
        try:
            with threads(self.num_threads), closing(self._open_fits(given)) as states:
                yield states
        finally:
            self._began = None
            if run is not None:
                run.release()

    def _open_fits(self, callbacks: Sequence[Callback]) -> Generator[FitState]:
        """For each stage still to do: prepare it, hand its state to the caller's loop, close it."""
        open_stages = [stage for stage in self.journal if stage.is_open]
        is_first = True
        for stage in open_stages:
            if stage.kind == "freeze":
                freeze_groups(self.layer_groups, stage.frozen_groups)
                stage.status = journal.DONE
                continue
            state = fits.state_of(self, stage, callbacks)
            if is_first and self.run is not None:
                keeping.check_space(self, state.optimizer)
                if (
                    not stage.steps_done
                ):  # whatever was done to the weights before this call is in it
                    keeping.checkpoint(self, stage, state)
            is_first = False
            stage.status = journal.RUNNING
            self._began = time.perf_counter()
            yield state
            self.seconds, self._began = self.seconds_so_far(), None
            if state.interrupted is not None:
                stage.status = journal.STOPPED
                self._write_run()
                raise fits.stopped(self, stage, state.interrupted)
            stage.epochs_done, stage.steps_done = state.epochs_done, state.step
            stage.batches_done, stage.pending = 0, False
            whole = state.epochs_done == stage.epochs
            stage.status = journal.DONE if whole else journal.CANCELLED
            self._write_run()
        if self.run is not None and open_stages:
            keeping.save_into(self, self.run)

    def _freeze_planned(self) -> None:
        with self._fits(()) as states:
            for _ in states:
                raise AssertionError("a freeze trains nothing")

    def _write_run(self) -> None:
        if self.run is not None:
            self.run.write(keeping.record_of(self))

    def _need_application(self, what: str) -> Application:
        if self.application is None:
            raise ConfigError(
                f"`{what}` needs an application. This Learner was made from a model and loaders: "
                "use `fit`, `evaluate(loader)` and `predict(tensor)`."
            )
        return self.application

    def __repr__(self) -> str:
        name = getattr(self.model, "name", type(self.model).__name__)
        return f"Learner({name}, {sum(s.epochs_done for s in self.journal)} epochs done)"
