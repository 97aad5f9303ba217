"""Texts as vectors of a frozen sentence encoder, and a linear model on top: minutes, not hours.

    encoder = SentenceEncoder("minilm")
    model = fit_sentences(encoder, texts, labels)      # logistic regression; of numbers: ridge regression
    model.predict(["A film about a film."])
    model.save("folder")
    SentenceModel.load("folder").predict(["The same answers."])

The encoder runs once over each different text, in batches of equal length, so that next to nothing is
spent on padding. The same texts in other company give the same vectors but for the last digits.

What a vector is made of: the last layer is what the encoder was trained to give, best for what texts are
about. The layers before it know more of how things are said, such as praise or blame; with `layers=3`
the means of the last three stand side by side. Of a text that is too long, its start and its end say more
than its start alone, at the same price: with `keep="both"` the two are read apart, and their vectors
averaged.

A linear model on vectors that are scaled to spread one: its strength of regularisation is chosen on
training rows that are set aside, and then it is fitted on all of them.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from drivetrain import store
from drivetrain._optional import require
from drivetrain.data.tokens import TokenArray
from drivetrain.errors import ConfigError, DataError, RunError
from drivetrain.models.device import threads
from drivetrain.models.pretrained_encoder import (
    TransformerClassifier,
    create_encoder,
    most_positions,
)
from drivetrain.models.pretrained_folder import check_folder_sizes, load_encoder
from drivetrain.randomness import permutation, seeded
from drivetrain.text.base import check_texts
from drivetrain.text.pretrained import find_transformer
from drivetrain.text.transformer_tokenizer import Cut, TransformerTokenizer
from drivetrain.text.vector_files import RECORD, check_arrays, read_model, write_model
from drivetrain.train.run import said_as_damage

Progress = Callable[[int, int, float], None]
"""Is told texts done, texts in all, and seconds since the start."""

BATCH_TOKENS = 8_192
"""Tokens of a batch, padding included: few enough for a processor's cache, enough to keep it busy."""
STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Of regularisation, an item's share: the penalty of squared weights beside the mean loss."""


class SentenceEncoder:
    """A frozen pretrained encoder that makes a vector of a text.

    Args:
        name: "minilm" and other packaged encoders, a folder, or a name in the Hugging Face cache.
        max_len: tokens of a text that are read, marks included; time grows with it.
        keep: what is read of a text that is longer: its "start", its "end", or "both", half of each.
        layers: how many of the last layers make the vector, side by side.
        pooling: "mean", "first" or "last"; None: what the encoder was trained with.
        num_threads: torch threads while it runs; None: as many as torch is set to.

    Raises: ConfigError, DataError, MissingPackageError: as `text.pretrained.find_transformer`.
    """

    def __init__(
        self,
        name: str | os.PathLike[str] = "minilm",
        *,
        max_len: int = 128,
        keep: str = "start",
        layers: int = 1,
        pooling: str | None = None,
        num_threads: int | None = None,
    ) -> None:
        if layers < 1:
            raise ConfigError(f"`layers` must be 1 or more. Got {layers}.")
        found = find_transformer(name)
        check_folder_sizes(found)
        with seeded(0, "init", "encoder"):  # it draws what is then loaded
            encoder = create_encoder(found.config)
        most = most_positions(encoder)
        if max_len > most:
            raise ConfigError(f"`max_len` must be at most {most} for '{name}'. Got {max_len}.")
        load_encoder(encoder, found)
        self.name = str(name)
        self.origin = found.origin
        self.sha256 = found.sha256()
        self.layers = layers
        self.max_len = max_len
        self.keep = keep
        self.num_threads = num_threads
        whole = TransformerTokenizer.from_folder(found.folder, max_len=max_len)
        parts = ("start", "end") if keep == "both" else (keep,)
        self.tokenizers = tuple(
            whole.with_max_len(-(-max_len // len(parts)), keep=part) for part in parts
        )
        """One for each part of a long text that is read."""
        self.pooling = pooling or found.pooling
        self.model = TransformerClassifier(
            encoder, nn.Identity(), pooling=self.pooling
        ).requires_grad_(False)
        self.model.eval()
        one = torch.ones(1, 1, dtype=torch.int64)
        self.num_features: int = self._vectors(one, one[0]).shape[1]
        """Numbers of a vector."""

    def _vectors(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """(B, num_features)"""
        with torch.inference_mode():
            if self.layers == 1:
                return self.model.features(tokens, lengths)
            return self.model.features_of_layers(tokens, lengths)[:, -self.layers :].flatten(1)

    def embed(self, texts: Sequence[str], *, progress: Progress | bool = False) -> np.ndarray:
        """The vector of each text, (N, num_features) float32; equal texts are computed once.

        Args:
            progress: True for a line on stderr now and then, or what is told how far it is.
        """
        return self.embed_counted(texts, progress=progress)[0]

    def embed_counted(
        self, texts: Sequence[str], *, progress: Progress | bool = False
    ) -> tuple[np.ndarray, Cut]:
        """As `embed`, and what was cut off the different texts; with "both", off their first part.

        Args:
            texts: N of them.
            progress: is told how far it is; True shows a bar.
        """
        check_texts(texts)
        places: dict[str, int] = {}
        inverse = np.fromiter(
            (places.setdefault(text, len(places)) for text in texts), np.int64, len(texts)
        )
        different = list(places)
        tell = Lines() if progress is True else progress
        tokens, cut = self.tokenizers[0].encode_counted(different)
        found = self._embed(tokens, tell)
        for tokenizer in self.tokenizers[1:]:
            # a text that is read whole has no other part
            long = np.flatnonzero(tokens.lengths() == tokenizer.max_len)
            other = self._embed(tokenizer.encode([different[i] for i in long]), tell)
            found[long] = (found[long] + other) / 2
        return found[inverse], cut

    def _embed(self, tokens: TokenArray, tell: Progress | bool) -> np.ndarray:
        found = np.empty((len(tokens), self.num_features), np.float32)
        start, done = time.perf_counter(), 0
        with threads(self.num_threads):
            for rows in batches_by_length(tokens.lengths(), BATCH_TOKENS):
                padded, lengths = padded_batch(tokens.take(rows), self.tokenizers[0].pad_id)
                found[rows] = self._vectors(padded, lengths).numpy()
                done += len(rows)
                if callable(tell):
                    tell(done, len(tokens), time.perf_counter() - start)
        return found

    def record(self) -> dict[str, Any]:
        """What `of_record` finds the same encoder by, plain JSON; its weights are not in it."""
        return {
            "name": os.path.abspath(self.name) if Path(self.name).is_dir() else self.name,
            "sha256": self.sha256,
            "max_len": self.max_len,
            "keep": self.keep,
            "layers": self.layers,
            "pooling": self.pooling,
        }

    @classmethod
    def of_record(
        cls,
        record: Mapping[str, Any],
        *,
        encoder: SentenceEncoder | None = None,
        num_threads: int | None = None,
    ) -> SentenceEncoder:
        """The encoder that `record` describes.

        Args:
            encoder: one that is there already, and is taken where it is the same.
            num_threads: torch threads of one that is opened.

        Raises: RunError: it is another one by now. Else as the class.
        """
        if encoder is None:
            options = {name: record[name] for name in ("max_len", "keep", "layers", "pooling")}
            encoder = cls(record["name"], **options, num_threads=num_threads)
        asked = {name: value for name, value in record.items() if name != "name"}
        if {name: value for name, value in encoder.record().items() if name != "name"} != asked:
            raise RunError(
                f"The encoder '{encoder.name}' is not the one that the model was made with, or is asked "
                f"otherwise. Put back the one with the SHA-256 {record['sha256']}."
            )
        return encoder

    def __repr__(self) -> str:
        return f"<SentenceEncoder {self.name}, {self.num_features} numbers a text>"


class Lines:
    """Says on stderr how far it is, at most every ten seconds."""

    def __init__(self) -> None:
        self._said = 0.0

    def __call__(self, done: int, total: int, seconds: float) -> None:
        """A line, where the last one is long ago."""
        if seconds - self._said >= 10 or (done == total and self._said):
            self._said = seconds
            left = seconds / done * (total - done)
            sys.stderr.write(f"{done:,} of {total:,} texts, {left:.0f} s left\n")


def batches_by_length(lengths: np.ndarray, batch_tokens: int) -> Iterator[np.ndarray]:
    """Rows of about equal length together, the longest first, so that memory is asked for at once.

    Args:
        lengths: (N,) int64.
        batch_tokens: tokens of a batch, padding included; one longer text is a batch by itself.
    """
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        longest = max(int(lengths[order[start]]), 1)
        stop = start + max(batch_tokens // longest, 1)
        yield order[start:stop]
        start = stop


def padded_batch(tokens: TokenArray, pad_id: int) -> tuple[Tensor, Tensor]:
    """Documents as (B, T) int64, padded at the end, and their lengths, (B,) int64."""
    lengths = tokens.lengths()
    longest = max(int(lengths.max(initial=0)), 1)
    padded = np.full((len(lengths), longest), pad_id, np.int64)
    padded[np.arange(longest) < lengths[:, None]] = tokens.ids
    return torch.from_numpy(padded), torch.from_numpy(lengths)


# --- a linear model on top ------------------------------------------------------------------------


@dataclass(frozen=True)
class LinearHead:
    """Scores from vectors: scale, multiply, add."""

    center: np.ndarray
    """(F,) float32, subtracted from a vector."""
    weight: np.ndarray
    """(F, C) float32."""
    bias: np.ndarray
    """(C,) float32."""
    strength: float
    """The regularisation that was chosen."""

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        """(N, F) -> (N, C)."""
        return (vectors - self.center) @ self.weight + self.bias

    def arrays(self) -> dict[str, np.ndarray]:
        """Its numbers by name, to be kept."""
        return {"center": self.center, "weight": self.weight, "bias": self.bias}


ENCODER_FORM: Mapping[str, Any] = {
    "encoder": {
        "name": str,
        "sha256": str,
        "max_len": int,
        "keep": str,
        "layers": int,
        "pooling": str,
    }
}
"""What a record says of an encoder; see `train.run.check_form`."""


@dataclass(frozen=True, eq=False)
class SentenceModel:
    """A frozen encoder and a linear model on its vectors."""

    encoder: SentenceEncoder
    head: LinearHead
    classes: tuple[str, ...]
    """Labels in the order of the scores; empty for numbers."""
    cut: Cut
    """What of the training texts was not read."""

    def scores(self, texts: Sequence[str]) -> np.ndarray:
        """(N, C) float32: logits, or numbers."""
        return self.head(self.encoder.embed(texts))

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """(N, C) float32 that add up to one. Raises: ConfigError: it predicts numbers."""
        if not self.classes:
            raise ConfigError("This model predicts numbers, which have no probabilities.")
        return softmax(self.scores(texts))

    def predict(self, texts: Sequence[str]) -> list[str] | np.ndarray:
        """The likeliest label of each text; or numbers, (N,) or (N, C)."""
        scores = self.scores(texts)
        if self.classes:
            return [self.classes[i] for i in scores.argmax(1)]
        return scores[:, 0] if scores.shape[1] == 1 else scores

    def save(self, folder: store.StrPath) -> None:
        """Write what stands on top of the encoder, and which encoder that is; see `text.vector_files`.

        Raises: StorageError: the disk refused.
        """
        record = {
            "encoder": self.encoder.record(),
            "classes": list(self.classes),
            "outputs": len(self.head.bias),
            "strength": float(self.head.strength),
            "cut": asdict(self.cut),
        }
        write_model(folder, SENTENCES, record, self.head.arrays())

    @classmethod
    def load(
        cls,
        folder: store.StrPath,
        *,
        encoder: SentenceEncoder | None = None,
        num_threads: int | None = None,
    ) -> SentenceModel:
        """The model that `save` wrote.

        Args:
            encoder: the one that it was made with, where it is there already; else it is looked for.
            num_threads: torch threads while the encoder runs.

        Raises: RunError: there is none, it is damaged, or the encoder is another by now. ConfigError,
            DataError, MissingPackageError: the encoder is not on this disk.
        """
        record, arrays = read_model(folder, SENTENCES, _FORM)
        count, names = record["outputs"], record["classes"]
        sound = all(isinstance(name, str) for name in names) and len(names) in (0, count)
        with said_as_damage(Path(folder) / RECORD):
            if not sound or not 1 <= count <= MOST_OUTPUTS:
                raise ValueError("classes and outputs differ")
            cut = Cut(**record["cut"])
            encoder = SentenceEncoder.of_record(
                record["encoder"], encoder=encoder, num_threads=num_threads
            )
        width = encoder.num_features
        check_arrays(
            arrays, {"center": (width,), "weight": (width, count), "bias": (count,)}, folder
        )
        return cls(encoder, LinearHead(**arrays, strength=record["strength"]), tuple(names), cut)


SENTENCES = "model of texts by their vectors"
MOST_OUTPUTS = 1 << 16
_FORM = {
    **ENCODER_FORM,
    "classes": list,
    "outputs": int,
    "strength": (int, float),
    "cut": dict,
}


def softmax(scores: np.ndarray) -> np.ndarray:
    """Of each row of (N, C)."""
    grown = np.exp(scores - scores.max(1, keepdims=True))
    return grown / grown.sum(1, keepdims=True)


def fit_sentences(
    encoder: SentenceEncoder,
    texts: Sequence[str],
    targets: Sequence[Any] | np.ndarray,
    *,
    groups: Sequence[Any] | None = None,
    strengths: Sequence[float] = STRENGTHS,
    seed: int = 42,
    progress: Progress | bool = False,
) -> SentenceModel:
    """A linear model on a frozen encoder's vectors.

    Args:
        encoder: turns texts into vectors, and stays as it is.
        texts: N training texts.
        targets: N labels (strings), for logistic regression; or numbers, (N,) or (N, C), for ridge
            regression.
        groups: of each text; those of one group are set aside together when the strength is chosen.
        strengths: of regularisation, to choose from.
        seed: of which texts are set aside.
        progress: is told how far it is; True shows a bar.

    Raises: DataError: numbers of texts and targets differ, there are too few, or one class only.
    """
    values = list(targets)
    is_class = bool(values) and isinstance(values[0], str)
    if len(texts) != len(values) or len(texts) < 5:
        raise DataError(
            f"A model needs 5 texts or more and as many targets. Got {len(texts)} and {len(values)}."
        )
    vectors, cut = encoder.embed_counted(texts, progress=progress)
    aside = set_aside(len(texts), groups, seed)
    if is_class:
        classes = tuple(sorted({str(value) for value in values}))
        if len(classes) == 1:
            raise DataError(f"There is one class only, '{classes[0]}'; nothing can be told apart.")
        codes = np.array([classes.index(str(t)) for t in values])
        return SentenceModel(encoder, logistic(vectors, codes, aside, strengths), classes, cut)
    numbers = np.asarray(values, np.float64).reshape(len(texts), -1)
    return SentenceModel(encoder, ridge(vectors, numbers, aside, strengths), (), cut)


def set_aside(count: int, groups: Sequence[Any] | None, seed: int) -> np.ndarray:
    """(N,) bool: a fifth of the rows, or of the groups, drawn from the seed."""
    if groups is None:
        owners = np.arange(count)
    else:
        _, owners = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)
    num = int(owners.max()) + 1
    order = permutation(num, seed=seed, epoch=0, purpose="set aside").numpy()
    return np.isin(owners, order[: max(num // 5, 1)])


def ridge(
    vectors: np.ndarray, targets: np.ndarray, aside: np.ndarray, strengths: Sequence[float]
) -> LinearHead:
    """Least squares with a penalty on squared weights, in closed form.

    Args:
        vectors: (N, F) float32.
        targets: (N, C) float64.
        aside: (N,) bool, rows by which the strength is chosen.
    """

    def solve(rows: np.ndarray, chosen: Sequence[float]) -> list[LinearHead]:
        center, scale = vectors[rows].mean(0), spread(vectors[rows])
        scaled = (vectors[rows] - center) / scale
        middle = targets[rows].mean(0)
        values, directions = np.linalg.eigh((scaled.T @ scaled).astype(np.float64) / len(scaled))
        share = directions.T @ (scaled.T @ (targets[rows] - middle) / len(scaled))
        heads = []
        for strength in chosen:
            weight = directions @ (share / (values.clip(0) + strength)[:, None]) / scale[:, None]
            heads.append(_head(center, weight, middle, strength))
        return heads

    def error(head: LinearHead) -> float:
        return float(np.square(head(vectors[aside]) - targets[aside]).mean())

    best = min(solve(~aside, strengths), key=error)
    return solve(np.ones(len(vectors), bool), [best.strength])[0]


def logistic(
    vectors: np.ndarray, codes: np.ndarray, aside: np.ndarray, strengths: Sequence[float]
) -> LinearHead:
    """Logistic regression of scikit-learn with a penalty on squared weights.

    Args:
        vectors: (N, F) float32.
        codes: (N,) integers from 0 to C - 1.
        aside: (N,) bool, rows by which the strength is chosen.
    """
    linear_model = require("sklearn.linear_model", extra="text")
    num_classes = int(codes.max()) + 1
    if len(np.unique(codes[~aside])) < num_classes:  # a class that is met once or twice
        aside = np.zeros(len(codes), bool)

    def solve(rows: np.ndarray, strength: float) -> LinearHead:
        center, scale = vectors[rows].mean(0), spread(vectors[rows])
        scaled = (vectors[rows] - center) / scale
        # its C is the weight of the summed loss beside half of the squared weights
        fitted = linear_model.LogisticRegression(C=1 / (strength * len(scaled)), max_iter=1_000)
        fitted.fit(scaled, codes[rows])
        weight, bias = fitted.coef_.T, fitted.intercept_
        if num_classes == 2:  # one score; the other class has its opposite
            weight, bias = np.hstack([-weight, weight]) / 2, np.hstack([-bias, bias]) / 2
        return _head(center, weight / scale[:, None], bias, strength)

    def loss(head: LinearHead) -> float:
        chances = softmax(head(vectors[aside]))
        return float(-np.log(chances[np.arange(len(chances)), codes[aside]].clip(1e-9)).mean())

    if aside.any() and len(strengths) > 1:
        chosen = min((solve(~aside, strength) for strength in strengths), key=loss).strength
    else:
        chosen = strengths[len(strengths) // 2]
    return solve(np.ones(len(vectors), bool), chosen)


def spread(vectors: np.ndarray) -> np.ndarray:
    """(F,) standard deviations; 1 for a column that is the same throughout."""
    found = vectors.std(0)
    return np.where(found > 1e-7, found, 1).astype(np.float32)


def _head(center: np.ndarray, weight: np.ndarray, bias: np.ndarray, strength: float) -> LinearHead:
    return LinearHead(
        center.astype(np.float32), weight.astype(np.float32), bias.astype(np.float32), strength
    )
