"""What a Learner of texts knows beyond tensors: its data, its record, its result beside baselines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from drivetrain import store
from drivetrain.data.loaders import Loaders
from drivetrain.errors import ConfigError
from drivetrain.text.answers import TextPrediction, TextPredictions
from drivetrain.text.baselines import baselines
from drivetrain.text.data import TextData
from drivetrain.text.encoder import save_encoder
from drivetrain.text.measure import measure
from drivetrain.text.model import TextModel
from drivetrain.text.sealing import opened
from drivetrain.text.unfreezing import gradual_unfreeze
from drivetrain.train.application import DataApplication
from drivetrain.train.keeping import record_of
from drivetrain.train.learner import Learner
from drivetrain.train.run import Run
from drivetrain.train.sealed import Opened, Seal

if TYPE_CHECKING:
    from drivetrain.interpret.token_page import Explanation


class TextApplication(DataApplication[TextData]):
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
        super().__init__(data, settings, plan)
        self.network = network
        self.description = description

    @property
    def classes(self) -> tuple[str, ...]:
        """Labels in the order of the scores; empty for numbers."""
        return self.data.classes

    def record(self) -> dict[str, Any]:
        """The part of `run.json` from which data, model and Learner can be built again."""
        model = {"name": self.settings["model"], "network": self.network, **self.description}
        return self.recorded(model, notes=self.data.notes)

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

    def results(self, learner: Learner) -> dict[str, Any]:
        """The result with its interval, beside the baselines, on the validation texts."""
        goal, found = self.data.goal, self.evaluate_once(learner)
        assert goal is not None, "texts with targets"
        assert found.preds is not None and found.targets is not None, "validation texts, kept"
        measured = measure(goal, goal.answers(found.preds).numpy(), found.targets.numpy())
        interval = None if measured.interval is None else list(measured.interval)
        return {
            "task": "text",
            "model": self.settings["model"],
            "metrics": {"valid": {"loss": found.loss, **found.metrics, **measured.metrics}},
            "interval": interval,
            "baselines": self.baselines(),
            "items": self.data.counts(),
        }

    def find_baselines(self) -> dict[str, Any]:
        """The commonest answer, and models of which words are in a text."""
        return {name: one.as_baseline() for name, one in baselines(self.data).items()}

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


def write_data(run: Run, data: TextData) -> None:
    """Write `split.json`, with the test texts sealed by name, and `quarantine.jsonl`."""
    run.write_split(data.split.to_json(data.ids))
    run.write_quarantine(entry.to_json() for entry in data.quarantined)
