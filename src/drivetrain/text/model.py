"""A trained model of texts with all that it takes to ask it: the tokenizer, the target, the settings."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from drivetrain import store
from drivetrain.data.padded import PaddedData
from drivetrain.data.tokens import TokenArray
from drivetrain.errors import ConfigError, DataError, RunError
from drivetrain.models.device import threads
from drivetrain.models.document import create_document_classifier, document_classifier_shapes
from drivetrain.randomness import preserved
from drivetrain.text.answers import TextPrediction, TextPredictions, shown
from drivetrain.text.base import Tokenizer
from drivetrain.text.data import TextData
from drivetrain.text.goal import Goal
from drivetrain.text.measure import measure
from drivetrain.text.reading import (
    SUFFIXES,
    Repairs,
    filled,
    read_file,
    read_folder,
    read_table,
    template_of,
    tidied,
)
from drivetrain.text.tokenizer import tokenizer_from_json
from drivetrain.train.run import check_form, read_model, said_as_damage

if TYPE_CHECKING:
    from drivetrain.interpret.token_page import Explanation

TOKENS = 1 << 14
"""Tokens of a batch that is asked about, padding included."""
LONGEST_NAME = 1024
"""Letters of a string that may be the name of a file."""


class TextModel:
    """A classifier or scorer of texts.

    Args:
        model: (tokens (B, T), lengths (B,)) to scores (B, C) or (B,).
        tokenizer: what it was trained with.
        goal: what it predicts.
        max_len: tokens of a text at most, as `data.padded.shortened` has it; None for all.
        template: how columns become a text.
        num_threads: torch threads.
        device: where the model is.
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Tokenizer,
        goal: Goal,
        *,
        max_len: int | None = None,
        template: str | None = None,
        num_threads: int | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.goal = goal
        self.max_len = max_len
        self.template = template
        self.num_threads = num_threads
        self.device = torch.device(device)

    def outputs(self, tokens: TokenArray) -> np.ndarray:
        """Probabilities (N, C), or numbers (N,) in their own unit, float64; in the order of the texts.

        Texts of about equal length are asked about together; what a text gets does not depend on it.
        """
        data = PaddedData(
            tokens, torch.arange(len(tokens)), pad_id=self.tokenizer.pad_id, max_len=self.max_len
        ).by_length()
        found: list[Tensor] = []
        was_training = self.model.training
        self.model.eval()
        try:
            with torch.inference_mode(), threads(self.num_threads), preserved():
                start = 0
                while start < len(data):
                    size = max(1, TOKENS // max(1, int(data.lengths[start])))
                    batch = data.__getitems__(torch.arange(start, min(start + size, len(data))))
                    scores = self.model(batch[0].to(self.device), batch[1].to(self.device))
                    found.append(self.goal.answers(scores).cpu())
                    start += size
        finally:
            self.model.train(was_training)
        if not found:
            return np.zeros((0, len(self.goal.classes)) if self.goal.classes else (0,))
        answers = torch.empty_like(torch.cat(found))
        answers[data.targets] = torch.cat(found)
        return answers.numpy()

    def predict(self, source: Any) -> TextPrediction | TextPredictions:
        """The answer for one text, or for all texts of a source.

        Args:
            source: a string; the path of a `.txt` file, a folder of them or a table; a frame; a list of
                strings; a mapping of column to value where columns were composed.

        Raises: DataError: there is no text in it.
        """
        if isinstance(source, str) and not _is_path(source):
            return self._of([source], [shown(source)], ())[0]
        if isinstance(source, Mapping) and all(isinstance(v, str) for v in source.values()):
            return self._of([self._composed(source)], [shown(next(iter(source.values()), ""))], ())[
                0
            ]
        if isinstance(source, list | tuple) and all(isinstance(one, str) for one in source):
            return self._of(source, [shown(text) for text in source], ())
        if isinstance(source, str | os.PathLike):
            path = Path(source).expanduser()
            if path.is_file() and path.name.lower().endswith(SUFFIXES):
                repairs = Repairs()
                text = read_file(path, str(path), repairs)
                if not isinstance(text, str):
                    raise DataError(f"{path}: {text.detail}")
                return self._of([text], [str(path)], tuple(repairs.notes()))[0]
            if path.is_dir():
                found = read_folder(path, labelled=False)
                return self._of(found.texts, found.ids, _notes(found))
        found, _ = read_table(
            source, text_columns=self._columns(), compose=self.template, labelled=False
        )
        return self._of(found.texts, found.ids, _notes(found))

    def evaluate(self, source: Any) -> dict[str, Any]:
        """Metrics on labelled texts from elsewhere: `{source, items, left_out, metrics,
        interval, notes}`.

        Raises: DataError: there are no texts with a label that the model knows.
        """
        data = source if isinstance(source, TextData) else None
        if data is not None:
            texts, labels, notes = data.texts, data.labels, list(data.notes)
        elif isinstance(source, str | os.PathLike) and Path(source).is_dir():
            found = read_folder(Path(source), labelled=True)
            texts, labels, notes = found.texts, found.labels, list(_notes(found))
        else:
            found, _ = read_table(
                source,
                text_columns=self._columns(),
                compose=self.template,
                target=[self.goal.name],
            )
            texts, labels, notes = found.texts, found.labels, list(_notes(found))
        targets, left_out = self.goal.encode(labels), 0
        if self.goal.kind == "class" and (targets < 0).any():
            unknown = np.flatnonzero(targets < 0).tolist()
            notes.append(
                f"{len(unknown):,} texts are of a class that the model does not know, such as "
                f"'{labels[unknown[0]]}': left out."
            )
            left_out = len(unknown)
            keep = np.flatnonzero(targets >= 0)
            texts, targets = [texts[row] for row in keep.tolist()], targets[keep]
        if not len(texts):
            raise DataError("There is no text with a label that the model knows.")
        measured = measure(self.goal, self.outputs(self.tokenizer.encode(texts)), targets)
        found = measured.to_json()
        return {
            "source": str(source) if data is None else data.source,
            "items": found["count"],
            "left_out": left_out,
            "metrics": found["metrics"],
            "interval": found["interval"],
            "notes": notes,
        }

    def explain(self, texts: Sequence[str], **options: Any) -> list[Explanation]:
        """What each word adds to the answers; see `text.show.explain_texts` for the options."""
        from drivetrain.text.show import explain_texts

        repairs = Repairs()
        clean = [tidied(text, shown(text), repairs) for text in texts]
        with threads(self.num_threads):
            return explain_texts(
                self.model,
                self.tokenizer,
                clean,
                classes=self.goal.classes,
                max_len=self.max_len,
                **options,
            )

    def _of(
        self, texts: Sequence[str], names: Sequence[str], notes: Sequence[str]
    ) -> TextPredictions:
        repairs = Repairs()
        clean = [tidied(text, name, repairs) for text, name in zip(texts, names, strict=True)]
        outputs = self.outputs(self.tokenizer.encode(clean))
        empty = [name for name, text in zip(names, clean, strict=True) if not text.strip()]
        if empty:
            are = "1 text is" if len(empty) == 1 else f"{len(empty):,} texts are"
            notes = (*notes, f"{are} empty: what is answered then says nothing of a text.")
        return TextPredictions(self.goal, outputs, list(names), (*notes, *repairs.notes()))

    def _columns(self) -> tuple[str, ...]:
        if self.template is None:
            return ()
        from string import Formatter

        names = [name for _, name, _, _ in Formatter().parse(self.template) if name is not None]
        return tuple(dict.fromkeys(names))

    def _composed(self, row: Mapping[str, str]) -> str:
        missing = [name for name in self._columns() if name not in row]
        if missing or self.template is None:
            raise DataError(
                f"The text is made of {', '.join(self._columns()) or 'one string'}. "
                f"Missing: {', '.join(missing) or 'a string'}."
            )
        return filled(template_of(self.template, tuple(row)), row)


_FORM: Mapping[str, Any] = {
    "application": str,
    "network": str,
    "model": dict,
    "goal": dict,
    "tokenizer": dict,
    "num_threads": int,
}


def load(run: store.StrPath) -> TextModel:
    """The model of a finished run, to ask.

    Raises: RunError: there is none, it is damaged, or it is none of texts.
    """
    weights, record = read_model(run)
    path = Path(run) / "model.json"
    if record.get("application") != "text":
        raise RunError(f"{run} is not a run of texts.")
    if record.get("network") == "language":
        raise ConfigError(f"{run} is a language model: it writes texts, and does not judge them.")
    check_form(record, _FORM, path)
    with said_as_damage(path):
        model = create_network(record["network"], record["model"], weights)
        goal = Goal.from_json(record["goal"])
        tokenizer = tokenizer_from_json(record["tokenizer"])
    return TextModel(
        model,
        tokenizer,
        goal,
        max_len=record.get("max_len"),
        template=record.get("template"),
        num_threads=record["num_threads"],
    )


def create_network(
    network: str, description: Mapping[str, Any], weights: Mapping[str, Tensor]
) -> nn.Module:
    """The model of a description with its weights, whose shapes are compared before it is built.

    Raises: RunError: they are another model's, or there is no such network.
    """
    if network == "document":
        shapes, create = document_classifier_shapes, create_document_classifier
    elif network == "transformer":
        from drivetrain.models.pretrained_encoder import (
            create_transformer_classifier,
            transformer_classifier_shapes,
        )

        shapes, create = transformer_classifier_shapes, create_transformer_classifier
    else:
        raise RunError(f"There is no kind of network '{str(network)[:40]}' for texts.")
    found = {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in weights.items()}
    if shapes(description) != found:
        raise RunError("The weights are of another model than the record describes.")
    model = create(description)
    model.load_state_dict(dict(weights))
    return model.eval()


def _notes(found: Any) -> tuple[str, ...]:
    aside = [f"{one.id} was left out: {one.detail}" for one in found.quarantined[:20]]
    return (*found.notes, *aside)


def _is_path(text: str) -> bool:
    """Whether a string is the name of something on this disk, and not a text."""
    if len(text) > LONGEST_NAME or "\n" in text or not text.strip() or "\0" in text:
        return False
    try:
        return Path(text).expanduser().exists()
    except (OSError, RuntimeError):
        return False
