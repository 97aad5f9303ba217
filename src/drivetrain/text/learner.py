"""Classifiers and scorers of texts in one call: reads, chooses, and says what and why.

    learner = learner("reviews.csv", "label")        # or a folder with a folder for each class
    learner.train()
    learner.predict("A film to fall asleep over.")

ULMFiT (Howard & Ruder 2018, arXiv:1801.06146) is `language_learner` on texts of the domain, its
`save_encoder`, and `learner(..., encoder="that folder")`, which is then thawed layer by layer.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from drivetrain import losses, store
from drivetrain._registry import did_you_mean
from drivetrain.data.loaders import Loaders
from drivetrain.data.padded import LengthLoader
from drivetrain.errors import ConfigError, RunError
from drivetrain.metrics import metric as metric_by_name, record_of as metric_record
from drivetrain.models.document import create_document_classifier, document_description
from drivetrain.models.language import PRESETS, RANGE
from drivetrain.text.answers import TextPrediction, TextPredictions
from drivetrain.text.baselines import baselines
from drivetrain.text.checking import warned
from drivetrain.text.data import Report, TextData, gather, gather_again
from drivetrain.text.encoder import SavedEncoder, load_encoder, open_encoder, save_encoder
from drivetrain.text.measure import measure
from drivetrain.text.model import TextModel, load
from drivetrain.text.pretrained import is_transformer, starting_transformer
from drivetrain.text.sealing import opened
from drivetrain.train import sealed
from drivetrain.train.callback import Callback
from drivetrain.train.choice import Choices
from drivetrain.train.factory import chosen_loss, chosen_optimizer
from drivetrain.train.keeping import callbacks_from
from drivetrain.train.learner import Learner
from drivetrain.train.optimizing import OptimizerFactory
from drivetrain.train.parts import optimizer_record
from drivetrain.train.run import Run, check_form, said_as_damage
from drivetrain.train.sealed import Opened, Seal, TestResult, sealed_record

if TYPE_CHECKING:
    from drivetrain.interpret.token_page import Explanation

MODEL = "lstm"
"""What is trained unless something else is asked for."""
MAX_LEN = 400
"""Tokens of a text that a recurrent model reads unless told otherwise."""
STEP = 2.6
"""Each layer group's rate is that of the one above it divided by this, as in the paper."""
METHODS = ("fit_one_cycle", "gradual_unfreeze", "fine_tune")
"""What the plan of a training may call."""


class TextApplication:
    """What a Learner of texts knows beyond tensors. Made by `learner`.

    Args:
        data: the texts.
        network: `document` or `transformer`.
        description: of the model; see `models.document`, `models.pretrained_encoder`.
        settings: what `learner` was told or chose, so that the same Learner can be made again.
        plan: how `train` trains: `{"method", "epochs", "lr"}`.
    """

    def __init__(
        self,
        data: TextData,
        network: str,
        description: dict[str, Any],
        settings: dict[str, Any],
        plan: dict[str, Any],
    ) -> None:
        self.data = data
        self.network = network
        self.description = description
        self.settings = settings
        self.plan = plan
        self._baselines: dict[str, Any] | None = None

    @property
    def choices(self) -> Choices:
        """What was decided for the person."""
        return self.data.choices

    @property
    def classes(self) -> tuple[str, ...]:
        """Labels in the order of the scores; empty for numbers."""
        return self.data.classes

    def record(self) -> dict[str, Any]:
        """The part of `run.json` from which data, model and Learner can be built again."""
        return {
            "task": self.data.task.to_json(),
            "model": {"name": self.settings["model"], "network": self.network, **self.description},
            "data": self.data.recipe,
            "fingerprint": self.data.fingerprint(),
            "settings": self.settings,
            "plan": self.plan,
            "choices": self.choices.to_json(),
            "items": self.data.counts(),
            "notes": self.data.notes,
            **sealed_record(self.data.seal),
        }

    def seal(self) -> Seal | None:
        """What was sealed for a test; see `train.sealed`."""
        return self.data.seal

    def open_sealed(self, learner: Learner) -> Opened:
        """The sealed texts, measured. `Learner.test` counts the look."""
        return opened(self.model(learner), self.data)

    def loaders(self) -> Loaders:
        """The loaders of the texts, as the settings say."""
        return self.data.loaders(
            batch_size=self.settings["batch_size"], max_len=self.settings["max_len"]
        )

    def begin_run(self, run: Run) -> None:
        """Write `split.json` and `quarantine.jsonl`."""
        write_data(run, self.data)

    def model_record(self) -> dict[str, Any]:
        """What `model/model.json` needs to predict."""
        assert self.data.goal is not None, "texts with targets"
        return {
            "application": "text",
            "network": self.network,
            "model": self.description,
            "goal": self.data.goal.to_json(),
            "tokenizer": self.data.tokenizer.to_json(),
            "max_len": self.settings["max_len"],
            "template": self.data.template,
            "num_threads": self.settings["num_threads"],
        }

    def train(self, learner: Learner, epochs: int | None) -> None:
        """As planned: one cycle from random weights; pretrained ones are thawed layer by layer."""
        plan = dict(self.plan)
        method, chosen, lr = plan["method"], plan["epochs"], plan["lr"]
        count = chosen if epochs is None else epochs
        if method == "gradual_unfreeze":
            gradual_unfreeze(learner, count, lr)
        else:
            getattr(learner, method)(count, lr)

    def results(self, learner: Learner) -> dict[str, Any]:
        """The result with its interval, beside the baselines, on the validation texts."""
        found = learner.evaluate()
        goal = self.data.goal
        _, _, targets = self.data.part("valid")
        assert goal is not None and targets is not None, "texts with targets"
        model = self.model(learner)
        measured = measure(goal, model.outputs(self.data.tokens("valid")), targets)
        interval = None if measured.interval is None else list(measured.interval)
        return {
            "task": "text",
            "model": self.settings["model"],
            "metrics": {"valid": {"loss": found.loss, **found.metrics, **measured.metrics}},
            "interval": interval,
            "baselines": self.baselines(),
            "items": self.data.counts(),
        }

    def baselines(self) -> dict[str, Any]:
        """What simple models reach on the validation texts: name -> `{metric, interval}`."""
        if self._baselines is None:
            found = baselines(self.data)
            self._baselines = {name: one.as_baseline() for name, one in found.items()}
        return self._baselines

    def eject_part(self, learner: Learner, lifter: Any, level: str) -> Any:
        """The part of an ejected script that is about texts; see `text.ejecting.classifier`."""
        from drivetrain.text.ejecting.classifier import eject_part

        return eject_part(self, learner, lifter, level)

    def model(self, learner: Learner) -> TextModel:
        """The Learner's model, to ask; it sees what is trained later."""
        assert self.data.goal is not None, "texts with targets"
        return TextModel(
            learner.model,
            self.data.tokenizer,
            self.data.goal,
            max_len=self.settings["max_len"],
            template=self.data.template,
            num_threads=learner.num_threads,
            device=learner.device,
        )

    def predict(self, learner: Learner, source: Any) -> TextPrediction | TextPredictions:
        """The answer for a text, or for all texts of a source; see `TextModel.predict`."""
        return self.model(learner).predict(source)

    def evaluate(self, learner: Learner, source: Any) -> dict[str, Any]:
        """Metrics on labelled texts from elsewhere; see `TextModel.evaluate`."""
        return self.model(learner).evaluate(source)

    def export(self, learner: Learner, folder: store.StrPath, **options: Any) -> Any:
        """A bundle of the Learner's model; see `text.bundling.exporting`."""
        from drivetrain.text.bundling.exporting import (
            TextPart,
            Trained,
            licence_of,
            write_bundle,
        )
        from drivetrain.train.keeping import record_of

        goal = self.data.goal
        if self.data.are_pairs:
            raise ConfigError(
                "A bundle answers for one text, and this model reads two. `save` keeps it."
            )
        assert goal is not None, "texts with targets"
        parts = {}
        for part in ("train", "valid"):
            _, texts, targets = self.data.part(part)
            assert targets is not None, "texts with targets"
            parts[part] = TextPart(texts, torch.from_numpy(targets))
        licence, note = licence_of(self.network, self.settings)
        trained = Trained(
            licence=licence,
            licence_note=note,
            record=record_of(learner) | {"results": learner.result()},
            architecture={"name": self.network, "description": self.description},
            tokenizer=self.data.tokenizer,
            weights=learner.model.state_dict(),
            goal=goal,
            max_len=self.settings["max_len"],
            num_threads=learner.num_threads,
            seed=learner.seed,
            **parts,
        )
        return write_bundle(trained, folder, **options)

    def save_encoder(self, learner: Learner, folder: store.StrPath) -> None:
        """Write the encoder for another stage; see `text.encoder`."""
        if self.network != "document":
            raise ConfigError("The encoder of a transformer is kept by `learner.save`.")
        save_encoder(
            learner.model, self.data.tokenizer, folder, description=self.description["encoder"]
        )


class TextLearner(Learner):
    """A Learner of texts: a Learner that can hand its encoder on."""

    def save_encoder(self, folder: store.StrPath) -> None:
        """Write the encoder and its words into a folder, for `encoder=` of another Learner.

        Raises: ConfigError: the model has no encoder of this kind. StorageError: the disk refused.
        """
        application: Any = self.application
        application.save_encoder(self, folder)

    def explain(self, texts: Sequence[str], **options: Any) -> list[Explanation]:
        """What each word adds to the answers; see `text.explain_texts` for the options.

        Raises: ConfigError: a language model has no answers; else as there.
        """
        application: Any = self.application
        if application.data.goal is None:
            raise ConfigError("A language model writes texts, and has no answers to explain.")
        return application.model(self).explain(texts, **options)

    def freeze_to(self, groups: int) -> None:
        """Train only the last `groups` layer groups, 1 for the head alone."""
        self.freeze(len(self.layer_groups) - groups)

    def gradual_unfreeze(self, epochs: int, lr: float = 1e-2) -> None:
        """Thaw layer by layer; see the function of the same name."""
        gradual_unfreeze(self, epochs, lr)


def unfreezing_steps(groups: int, epochs: int, lr: float) -> list[tuple[int, int, list[float]]]:
    """The steps of gradual unfreezing: (groups that are frozen, epochs, a rate for each group).

    The head alone for an epoch, one group more for an epoch at half the rate, then all for `epochs` at
    a third of it. In each, a group's rate is that of the group above divided by 2.6.

    >>> [(frozen, epochs) for frozen, epochs, _ in unfreezing_steps(4, 3, 1e-2)]
    [(3, 1), (2, 1), (0, 3)]
    """
    stages = [(groups - 1, 1, lr), (groups - 2, 1, lr / 2), (0, epochs, lr / 3)]
    return [
        (frozen, count, [rate / STEP ** (groups - 1 - group) for group in range(groups)])
        for frozen, count, rate in stages
        if frozen > 0 or count == epochs
    ]


def gradual_unfreeze(learner: Learner, epochs: int, lr: float = 1e-2, *, done: int = 0) -> None:
    """Train a pretrained encoder's classifier from the head down, so that it forgets little.

    Paper: Howard & Ruder 2018, sec. 3.3.

    Args:
        learner: of a model with layer groups.
        epochs: of the last step, in which all layers train.
        lr: peak rate of the head in the first step.
        done: stages that the journal has of it already, where a training that was cut goes on.
    """
    steps = unfreezing_steps(len(learner.layer_groups), epochs, lr)
    for number, (frozen, count, lrs) in enumerate(steps):
        if 2 * number + 1 < done:
            continue
        if 2 * number >= done:
            learner.freeze(frozen)
        learner.fit_one_cycle(count, lrs)


def stages_done(learner: Learner, epochs: int, lr: float) -> int | None:
    """Stages of gradual unfreezing that the journal consists of; None where it has others."""
    planned = []
    for frozen, count, lrs in unfreezing_steps(len(learner.layer_groups), epochs, lr):
        planned += [("freeze", frozen, 0, []), ("fit", 0, count, lrs)]
    found = [(s.kind, s.frozen_groups, s.epochs, s.lrs) for s in learner.journal]
    return len(found) if found == planned[: len(found)] else None


def learner(
    source: TextData | Any,
    target: str | Sequence[str] | None = None,
    *,
    model: str | None = None,
    encoder: store.StrPath | SavedEncoder | None = None,
    metrics: Sequence[Any] = (),
    loss_fn: str | Mapping[str, Any] | Callable[..., Any] | None = None,
    optimizer: str | Mapping[str, Any] | OptimizerFactory | None = None,
    batch_size: int | None = None,
    max_len: int | None = None,
    lr: float | None = None,
    epochs: int | None = None,
    weight_decay: float = 0.01,
    drop_mult: float = 0.5,
    sizes: Mapping[str, Any] | None = None,
    seed: int | None = None,
    num_threads: int | None = None,
    callbacks: Sequence[Callback | str | Mapping[str, Any]] = (),
    device: torch.device | str | None = None,
    progress: bool = True,
    announce: bool | None = None,
    out: store.StrPath | None = None,
    **data_options: Any,
) -> TextLearner:
    """A Learner that classifies texts, or predicts a number; what is not given is chosen, and said.

    Args:
        source: a folder of texts, a table, a list of strings with `labels=`, or `TextData`.
        target: the column to predict.
        model: a preset of `models.language.PRESETS` ("awd_lstm", "lstm", "gru", "rnn", "decoder"), or a
            transformer: "minilm", a folder, or a name in the hub's cache; by default a small LSTM.
        encoder: a folder of `save_encoder` or of a general model: what training begins with.
        metrics: names or objects, besides those of the target.
        loss_fn: a name or a function; by default as the target needs it.
        optimizer: a name of `optim.OPTIMIZERS` or what makes one.
        batch_size: texts a batch.
        max_len: tokens of a text at most; of a longer one its start and its end are read.
        lr: peak learning rate of `train`.
        epochs: of `train`.
        weight_decay: for all but norms and biases.
        drop_mult: what the preset's dropouts are multiplied by.
        sizes: of the encoder by name, such as `{"embedding_dim": 100}`.
        seed: of split, weights and order.
        num_threads: torch threads.
        callbacks: objects or names of `train.callbacks.CALLBACKS`, used in every fit.
        device: where to train.
        progress: show progress on stderr.
        announce: say on stderr what was found and chosen, with reasons; by default as `progress`.
        out: folder of the run; None writes nothing until `save`.
        data_options: `valid`, `group`, `compose`, `tokens` …, see `gather`.

    Raises: DataError, ConfigError, UnknownNameError: with what is wrong and what to do.
    """
    data = as_data(source, target, seed, data_options)
    goal, choices = data.goal, data.choices
    if goal is None:
        raise ConfigError("These texts have no targets. Give `target`, or use `language_learner`.")
    seed = data.seed if seed is None else seed
    saved = None if encoder is None else _opened(encoder)
    name = choices.choose(
        "model",
        model,
        usual="saved" if saved is not None else MODEL,
        reason="the sizes of the encoder that was given"
        if saved is not None
        else "small enough for two cores; transformers know the language already: --model minilm",
        change="--model awd_lstm|gru|decoder|minilm",
    )
    squeeze = goal.kind == "number"
    num_train = data.counts()["train"]
    if name not in PRESETS and name != "saved":
        if not is_transformer(name):
            raise ConfigError(
                f"There is no model '{name}' for texts.{did_you_mean(name, PRESETS)} Known: "
                f"{', '.join(PRESETS)}; or a transformer: 'minilm', a folder, a name in the hub's cache."
            )
        if saved is not None or sizes:
            raise ConfigError(
                "`encoder` and `sizes` are for recurrent models; a transformer has its own."
            )
        started = starting_transformer(
            name, num_outputs=goal.num_outputs, squeeze=squeeze, max_len=max_len, seed=seed
        )
        network, description, net = "transformer", started.description, started.model
        data.tokenizer = started.tokenizer.for_pairs() if data.are_pairs else started.tokenizer
        choices.add("weights", "pretrained", reason=started.note, change="--model lstm")
        cut, usual_lr, method, usual_epochs, usual_batch = None, 3e-4, "fine_tune", 2, 16
    else:
        check_no_pairs(data)
        network = "document"
        longest = int(np.quantile(data.tokens("train").lengths(), 0.999))
        cut = choices.choose(
            "max_len",
            max_len,
            usual=MAX_LEN,
            reason=f"of longer texts start and end are read; {_share_longer(data, MAX_LEN):.0%} are "
            f"longer, up to about {longest:,} tokens",
            change="--set max_len=N",
        )
        description = _description(
            name, data, goal.num_outputs, saved, drop_mult, squeeze, cut, sizes or {}
        )
        net = create_document_classifier(description, seed=seed)
        if saved is not None:
            shared, new = load_encoder(net, data.tokenizer, saved)
            choices.add(
                "weights",
                "pretrained",
                reason=f"{shared:,} words keep their vector, {new:,} new ones begin with the mean",
                change="leave `encoder` out",
            )
        usual_lr = 1e-2 if saved is not None else 3e-3
        method = "gradual_unfreeze" if saved is not None else "fit_one_cycle"
        usual_epochs = 3 if saved is not None else 5 if num_train >= 2_000 else 15
        usual_batch = 32 if num_train >= 1_000 else 16 if num_train >= 400 else 8
    loss = chosen_loss(loss_fn, goal.loss_kind, choices)
    make_optimizer = chosen_optimizer(optimizer, choices, factory="text.learner")
    asked = [metric_by_name(m) for m in metrics]
    settings: dict[str, Any] = {
        "model": name,
        "sizes": dict(sizes or {}),
        "drop_mult": drop_mult,
        "asked_max_len": max_len,
        "max_len": cut,
        "batch_size": choices.choose(
            "batch_size",
            batch_size,
            usual=usual_batch,
            reason=f"{-(-num_train // usual_batch):,} steps an epoch",
            change="--set batch_size=N",
        ),
        "weight_decay": weight_decay,
        "num_threads": choices.choose(
            "num_threads",
            num_threads,
            usual=min(2, os.cpu_count() or 1) if network == "transformer" else 1,
            reason="layers of this size gain little from more, and lose much where others work too",
            change="--set num_threads=N",
        ),
        "metrics": [metric_record(metric) for metric in asked],
        "loss_fn": losses.loss_record(loss),
        "optimizer": optimizer_record(make_optimizer),
        "encoder": os.path.abspath(encoder) if isinstance(encoder, str | os.PathLike) else None,
        "initial_sha256": store.weights_sha256(net.state_dict()),
    }
    plan = {
        "method": method,
        "epochs": choices.choose(
            "epochs",
            epochs,
            usual=usual_epochs,
            reason="the history shows whether more would help",
            change="--epochs N",
        ),
        "lr": choices.choose(
            "lr",
            lr,
            usual=usual_lr,
            reason="a rate that suits this model; `lr_find` looks for a better one",
            change="--set lr=RATE",
        ),
    }
    choices.add("seed", seed, reason="the same seed gives the same bits", change="--seed N")
    application = TextApplication(data, network, description, settings, plan)
    loaders = application.loaders()
    _say_padding(loaders, choices)
    have = {metric.name for metric in asked}
    found = TextLearner(
        net,
        loaders,
        loss,
        make_optimizer,
        metrics=[*(metric_by_name(m) for m in goal.metrics if m not in have), *asked],
        callbacks=callbacks,
        lr=plan["lr"],
        weight_decay=weight_decay,
        seed=seed,
        device=device,
        num_threads=settings["num_threads"],
        progress=progress,
        application=application,
    )
    if progress if announce is None else announce:
        sys.stderr.write(f"{data}\nChosen for you\n{choices}\n{warned(data)}\n")
    if out is not None:
        found.start_run(Run.create(out))
    return found


def as_data(
    source: Any, target: Any, seed: int | None, options: Mapping[str, Any], **more: Any
) -> TextData:
    """The texts of a source; what are such already are left as they are.

    Raises: ConfigError: `TextData` and options of it.
    """
    if isinstance(source, TextData):
        if target is not None or options:
            given = "target" if target is not None else next(iter(options))
            raise ConfigError(f"`{given}` is settled in the data. Give it where they are gathered.")
        return source
    given = {**options, **more}
    if seed is not None:
        given["seed"] = seed
    return gather(source, target, **given)


def check_no_pairs(data: TextData) -> None:
    """Raises: ConfigError: these are pairs, which only a transformer reads as such."""
    if data.are_pairs:
        raise ConfigError(
            "`compose='pair'` is for transformers, such as model='minilm'. Leave it out, and two columns "
            "become one text: 'TEXT1: …; TEXT2: …'."
        )


def test(folder: store.StrPath, *, report: Report | None = None) -> TestResult:
    """Open the sealed texts of a run, and count the look; see `train.sealed`.

    Args:
        folder: of a finished run.
        report: is told how far reading is.

    Returns: metrics on the sealed items, the interval at this look, and how many looks there were.
    Raises: RunError: no run, or nothing was sealed. DataError: the texts are gone or have changed.
        StorageError: the look cannot be written down; then nothing is said either.
    """
    run = Run.open(folder)
    seal, record, model = sealed.seal_of(run), run.read(), load(folder)
    with said_as_damage(run.folder / "run.json"):
        data = gather_again(record["data"], report=report)
    weights = store.weights_sha256(model.model.state_dict())
    return sealed.look(seal, lambda: opened(model, data), run=run.folder, weights=weights)


def write_data(run: Run, data: TextData) -> None:
    """Write `split.json`, with the test texts sealed by name, and `quarantine.jsonl`."""
    run.write_split(data.split.to_json(data.ids))
    run.write_quarantine(entry.to_json() for entry in data.quarantined)


def export(
    run: store.StrPath, folder: store.StrPath, *, report: Report | None = None, **options: Any
) -> Any:
    """Write a run as a bundle: a folder that predicts, and proves itself.

    Args:
        run: of a classifier of texts.
        folder: where to.
        report: is told how far reading the texts is.
        options: `golden`, `guard`, `script` …, see `text.bundling.exporting.write_bundle`.

    Returns: what verifying it found.
    Raises: RunError, DataError: as `reopen`, or the run is not finished. ConfigError, BundleError,
        StorageError: as `write_bundle`.
    """
    if "results" not in Run.open(run).read():
        raise RunError(
            f"{run} is not finished. Finish it with: drivetrain resume {shlex.quote(str(run))}"
        )
    return reopen(run, callbacks=(), progress=False, report=report).export(folder, **options)


RECORD: Mapping[str, Any] = {
    "seed": int,
    "fingerprint": str,
    "callbacks": list,
    "choices": list,
    "journal": list,
    "model": {"name": str},
    "data": {"from": str, "seed": int},
    "plan": {"method": str, "lr": (int, float), "epochs": int},
    "settings": {
        "batch_size": int,
        "weight_decay": (int, float),
        "num_threads": int,
        "metrics": list,
        "loss_fn": dict,
        "optimizer": dict,
        "initial_sha256": str,
    },
}
"""What `run.json` has to say for a run of texts to be opened again; see `train.run.check_form`."""


def resume(
    folder: store.StrPath,
    *,
    callbacks: Sequence[Callback | str | Mapping[str, Any]] | None = None,
    progress: bool = True,
    report: Report | None = None,
) -> TextLearner:
    """Go on with a run of texts that was cut, to the same weights as if it had not been.

    Arguments and errors as `vision.resume`. Of a language model too.

    Args:
        folder: of the run.
        callbacks: to be used in place of those that the run names; needed where one was of your own.
        progress: show a bar on stderr.
        report: is told how far reading is.

    Returns: the Learner, trained to the end.
    """
    found = reopen(folder, callbacks=callbacks, progress=progress, report=report)
    if not found.journal:  # cut before its first stage was planned
        found.train()
        return found
    found.resume()
    application: Any = found.application
    plan = application.plan
    if plan["method"] == "gradual_unfreeze":
        done = stages_done(found, plan["epochs"], plan["lr"])
        if done is not None:  # cut in an early step: the later ones were not planned yet
            gradual_unfreeze(found, plan["epochs"], plan["lr"], done=done)
    return found


def reopen(
    folder: store.StrPath,
    *,
    callbacks: Sequence[Callback | str | Mapping[str, Any]] | None = None,
    progress: bool = True,
    report: Report | None = None,
) -> TextLearner:
    """The Learner of a run as its last checkpoint left it, or as it was before training.

    Args:
        folder: of the run.
        callbacks: to be used in place of those that the run names; needed where one was of your own.
        progress: show a bar on stderr.
        report: is told how far reading is.

    Raises: RunError: no run of texts there, or its texts are not those it began with.
    """
    run = Run.open(folder)
    record, path = run.read(), run.folder / "run.json"
    check_form(record, {"task": dict}, path)
    if record["task"].get("application") != "text" or "plan" not in record:
        raise RunError(f"{folder} is not a run of texts.")
    check_form(record, RECORD, path)
    settings, plan = record["settings"], record["plan"]
    if plan["method"] not in METHODS:
        raise RunError(f"{path} cannot be used: its 'plan.method' is not one of ours.")
    with said_as_damage(path):
        data = gather_again(record["data"], report=report)
    if data.fingerprint() != record["fingerprint"]:
        raise RunError(
            f"The texts of {data.source} are not those that {folder} began with. Put them back, or train "
            "anew."
        )
    made_again = callbacks_from(record["callbacks"]) if callbacks is None else callbacks
    common: dict[str, Any] = {
        "metrics": settings["metrics"],
        "optimizer": settings["optimizer"],
        "batch_size": settings["batch_size"],
        "lr": plan["lr"],
        "epochs": plan["epochs"],
        "weight_decay": settings["weight_decay"],
        "drop_mult": settings["drop_mult"],
        "sizes": settings["sizes"],
        "seed": record["seed"],
        "num_threads": settings["num_threads"],
        "callbacks": made_again,
        "progress": progress,
        "announce": False,
    }
    with said_as_damage(path):
        if data.goal is None:
            from drivetrain.text.language import language_learner

            # that of the run: of a time without such an entry all began in ±0.1
            given = record["model"].get("encoder", {})
            common["sizes"] = {**settings["sizes"], RANGE: given.get(RANGE, 0.1)}
            found = language_learner(
                data,
                model=settings["model"],
                seq_len=settings["seq_len"],
                encoder=settings["encoder"],
                **common,
            )
        else:
            found = learner(
                data,
                model=None if settings["model"] == "saved" else settings["model"],
                encoder=settings["encoder"],
                loss_fn=settings["loss_fn"],
                max_len=settings["asked_max_len"],
                **common,
            )
    application: Any = found.application
    if application.settings["initial_sha256"] != settings["initial_sha256"] and not run.checkpoints:
        raise RunError(
            f"{folder} was cut before its first checkpoint, and the model it began with cannot be made "
            f"again here. Train anew: drivetrain train {shlex.quote(str(data.source))} --task text"
        )
    application.plan, application.settings = plan, settings
    with said_as_damage(path):
        data.choices = Choices.from_json(record["choices"])
        found.open_run(run)
    return found


def _opened(encoder: store.StrPath | SavedEncoder) -> SavedEncoder:
    return encoder if isinstance(encoder, SavedEncoder) else open_encoder(encoder)


def _description(
    name: str,
    data: TextData,
    num_outputs: int,
    saved: SavedEncoder | None,
    drop_mult: float,
    squeeze: bool,
    max_len: int,
    sizes: Mapping[str, Any],
) -> dict[str, Any]:
    """Of a document classifier: a preset, or the sizes of a saved encoder."""
    words = len(data.tokenizer.vocab)
    if saved is None:
        return document_description(
            name, words, num_outputs, drop_mult=drop_mult, squeeze=squeeze, **sizes
        )
    encoder = dict(saved.description)
    kind = encoder.pop("kind")
    encoder.pop("vocab_size")
    encoder.pop(RANGE, None)  # its vectors are loaded
    preset = name if name in PRESETS else kind
    if preset not in PRESETS or PRESETS[preset]["kind"] != kind:
        raise ConfigError(f"The encoder that was given is of the kind {kind}, and '{name}' is not.")
    usual = document_description(preset, words, num_outputs, drop_mult=drop_mult)["encoder"]
    own = {key: usual[key] if key.endswith("dropout") else value for key, value in encoder.items()}
    return document_description(
        preset, words, num_outputs, drop_mult=drop_mult, squeeze=squeeze, **{**own, **sizes}
    )


def _share_longer(data: TextData, max_len: int) -> float:
    return float((data.tokens("train").lengths() > max_len).mean())


def _say_padding(loaders: Loaders, choices: Choices) -> None:
    train = loaders.train
    assert isinstance(train, LengthLoader), "made by TextData"
    by_length, at_random = train.padding(0), train.padding_at_random(0)
    choices.add(
        "batches",
        "by length",
        reason=f"{by_length.padded:,} tokens of an epoch are padding ({by_length.share:.0%}); at random "
        f"they would be {at_random.padded:,} ({at_random.share:.0%})",
        change="--set batch_size=N",
    )
