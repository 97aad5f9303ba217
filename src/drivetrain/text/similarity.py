"""How alike two texts are: the cosine of their vectors, and a model that is fitted to scored pairs.

    scorer = similarity("minilm")
    scorer.score(["a cat"], ["a kitten"])                  # cosines, nothing was trained
    fitted = scorer.fit(firsts, seconds, scores, contexts=contexts, groups=firsts)
    fitted.score(["abatement"], ["act of abating"], ["A47"])
    fitted.save("folder")
    FittedSimilarity.load("folder").score(["abatement"], ["act of abating"], ["A47"])

What is fitted sees the difference and the product of two vectors of unit length, entry by entry, both
vectors, their cosine, how far the two share letters, and which context they stand in; it is a ridge
regression and small nets side by side, whose answers are averaged.

Each different text is turned into a vector once, however many pairs it stands in. Pairs that share a text
must not be parted when a model is judged: give such texts as `groups`, see `by_group`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from drivetrain import store
from drivetrain.errors import ConfigError, DataError
from drivetrain.models.device import threads
from drivetrain.nn.shapes import shapes_only
from drivetrain.randomness import permutation, seeded
from drivetrain.text.base import check_texts
from drivetrain.text.sentences import (
    ENCODER_FORM,
    LinearHead,
    Progress,
    SentenceEncoder,
    ridge,
    set_aside,
    spread,
)  # fmt: skip
from drivetrain.text.vector_files import RECORD, check_arrays, read_model, write_model
from drivetrain.train.run import said_as_damage

NETS = 2
"""Small nets whose answers are averaged with the regression's."""
HIDDEN = 128
EPOCHS = 8
BATCH_SIZE = 256
LR = 1e-3
STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Of the regression's penalty, to choose from."""


def similarity(
    encoder: str | os.PathLike[str] | SentenceEncoder = "minilm",
    *,
    max_len: int = 64,
    num_threads: int | None = None,
) -> SimilarityScorer:
    """What says how alike texts are.

    Args:
        encoder: "minilm" and other packaged ones, a folder, a name in the Hugging Face cache; or a
            `SentenceEncoder` that is there already.
        max_len: tokens of a text that are read.
        num_threads: torch threads; None: as many as torch is set to.

    Raises: ConfigError, DataError, MissingPackageError: as `text.pretrained.find_transformer`.
    """
    if not isinstance(encoder, SentenceEncoder):
        encoder = SentenceEncoder(encoder, max_len=max_len, num_threads=num_threads)
    return SimilarityScorer(encoder)


class SimilarityScorer:
    """Cosines of texts. Made by `similarity`."""

    def __init__(self, encoder: SentenceEncoder) -> None:
        self.encoder = encoder
        self._kept: dict[str, np.ndarray] = {}

    def score(self, firsts: Sequence[str], seconds: Sequence[str]) -> np.ndarray:
        """The cosine of each two texts, (N,) float32 in [-1, 1].

        Raises: ConfigError: there are not as many of one as of the other.
        """
        first, second = self.vectors(firsts, seconds)
        return (first * second).sum(1).clip(-1, 1)

    def vectors(
        self,
        firsts: Sequence[str],
        seconds: Sequence[str],
        *,
        progress: Progress | bool = False,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Vectors of unit length of the texts of each pair, (N, F) float32 each.

        Those of the last pairs that were asked for are kept, so that to fit and to score costs once.
        """
        check_texts(firsts)
        check_texts(seconds)
        if len(firsts) != len(seconds):
            raise ConfigError(
                f"Pairs need as many second texts as first ones. Got {len(firsts)} and {len(seconds)}."
            )
        new = [t for t in dict.fromkeys([*firsts, *seconds]) if t not in self._kept]
        if new:
            found = unit(self.encoder.embed(new, progress=progress))
            if len(self._kept) + len(new) > MOST_KEPT:
                self._kept = {t: self._kept[t] for t in {*firsts, *seconds} if t in self._kept}
            self._kept.update(zip(new, found, strict=True))
        width = self.encoder.num_features
        none = np.zeros((0, width), np.float32)
        first = np.stack([self._kept[t] for t in firsts]) if len(firsts) else none
        second = np.stack([self._kept[t] for t in seconds]) if len(seconds) else none
        return first, second

    def fit(
        self,
        firsts: Sequence[str],
        seconds: Sequence[str],
        scores: Sequence[float] | np.ndarray,
        *,
        contexts: Sequence[str] | None = None,
        groups: Sequence[str] | None = None,
        seed: int = 42,
        progress: Progress | bool = False,
    ) -> FittedSimilarity:
        """A model of scores that people gave to pairs.

        Args:
            firsts, seconds: N texts each.
            scores: (N,) numbers.
            contexts: one word a pair, such as the field that it was taken from.
            groups: of each pair; by them rows are set aside to choose the regularisation, and those of
                one group stay together. None: the first texts.
            seed: of the nets, their order, and of what is set aside.

        Raises: ConfigError: numbers of texts, scores, contexts or groups differ. DataError: fewer than
            ten pairs, or a score that is not finite.
        """
        targets = np.asarray(scores, np.float64)
        for name, values in (("scores", targets), ("contexts", contexts), ("groups", groups)):
            if values is not None and len(values) != len(firsts):
                raise ConfigError(
                    f"`{name}` must hold one value a pair. Got {len(values)} for {len(firsts)} pairs."
                )
        if targets.ndim != 1 or len(targets) < 10 or not np.isfinite(targets).all():
            raise DataError("Fitting needs ten scored pairs or more, their scores finite numbers.")
        known = tuple(sorted(set(contexts))) if contexts is not None else ()
        first, second = self.vectors(firsts, seconds, progress=progress)
        features = pair_features(first, second, firsts, seconds, contexts, known)
        owners = list(firsts) if groups is None else list(groups)
        aside = set_aside(len(targets), owners, seed)
        with threads(self.encoder.num_threads):
            linear = ridge(features, targets[:, None], aside, STRENGTHS)
            nets = PairNets.fitted(features, targets, seed=seed)
        return FittedSimilarity(self, known, linear, nets)


MOST_KEPT = 200_000
"""Vectors that are kept: 300 MB of 384 numbers each."""


@dataclass(frozen=True, eq=False)
class FittedSimilarity:
    """What `SimilarityScorer.fit` gives."""

    scorer: SimilarityScorer
    contexts: tuple[str, ...]
    """Contexts that were met in training; others count as none."""
    linear: LinearHead
    nets: PairNets

    def score(
        self,
        firsts: Sequence[str],
        seconds: Sequence[str],
        contexts: Sequence[str] | None = None,
    ) -> np.ndarray:
        """(N,) float32, in the unit of the scores it was fitted to.

        Raises: ConfigError: not as many of one as of the other, or contexts are missing.
        """
        if (contexts is None) != (not self.contexts) or len(contexts or firsts) != len(firsts):
            raise ConfigError(
                "The model was fitted "
                + ("with" if self.contexts else "without")
                + " contexts: give "
                + ("one a pair." if self.contexts else "none.")
            )
        first, second = self.scorer.vectors(firsts, seconds)
        features = pair_features(first, second, firsts, seconds, contexts, self.contexts)
        both = [self.linear(features)[:, 0], self.nets(features)]
        return np.mean(both, axis=0).astype(np.float32)

    def save(self, folder: store.StrPath) -> None:
        """Write what was fitted, and which encoder it belongs to; see `text.vector_files`.

        Raises: StorageError: the disk refused.
        """
        record = {
            "encoder": self.scorer.encoder.record(),
            "contexts": list(self.contexts),
            "strength": float(self.linear.strength),
            "nets": len(self.nets.nets),
        }
        linear = {f"linear.{name}": array for name, array in self.linear.arrays().items()}
        write_model(folder, SIMILARITY, record, linear | self.nets.arrays())

    @classmethod
    def load(
        cls,
        folder: store.StrPath,
        *,
        encoder: SentenceEncoder | None = None,
        num_threads: int | None = None,
    ) -> FittedSimilarity:
        """The model that `save` wrote.

        Args:
            encoder: the one that it was made with, where it is there already; else it is looked for.
            num_threads: torch threads while the encoder runs.

        Raises: RunError: there is none, it is damaged, or the encoder is another by now. ConfigError,
            DataError, MissingPackageError: the encoder is not on this disk.
        """
        record, arrays = read_model(folder, SIMILARITY, _FORM)
        contexts, count = record["contexts"], record["nets"]
        with said_as_damage(Path(folder) / RECORD):
            if not all(isinstance(one, str) for one in contexts) or not 1 <= count <= MOST_NETS:
                raise ValueError("contexts or nets are not sound")
            encoder = SentenceEncoder.of_record(
                record["encoder"], encoder=encoder, num_threads=num_threads
            )
        width = 4 * encoder.num_features + 5 + len(contexts)  # as `pair_features` has it
        shapes: dict[str, tuple[int, ...]] = {
            "linear.center": (width,),
            "linear.weight": (width, 1),
            "linear.bias": (1,),
        }
        check_arrays(arrays, shapes | PairNets.shapes(width, count), folder)
        head = {name: arrays[f"linear.{name}"] for name in ("center", "weight", "bias")}
        linear = LinearHead(**head, strength=record["strength"])
        nets = PairNets.of_arrays(arrays, width, count)
        return cls(SimilarityScorer(encoder), tuple(contexts), linear, nets)


SIMILARITY = "model of how alike texts are"
MOST_NETS = 100
_FORM = {**ENCODER_FORM, "contexts": list, "strength": (int, float), "nets": int}


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors of length one, (N, F); one of nothing but zeros stays so."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


def pair_features(
    first: np.ndarray,
    second: np.ndarray,
    firsts: Sequence[str],
    seconds: Sequence[str],
    contexts: Sequence[str] | None,
    known: Sequence[str],
) -> np.ndarray:
    """What a model sees of pairs.

    Args:
        first, second: (N, F) float32, of unit length.
        known: contexts that have a column.

    Returns: (N, 4 F + 5 + len(known)) float32.
    """
    product = first * second
    parts = [np.abs(first - second), product, first, second, product.sum(1, keepdims=True)]
    parts.append(shared_letters(firsts, seconds))
    if contexts is not None:
        index = {name: i for i, name in enumerate(known)}
        codes = np.array([index.get(name, -1) for name in contexts], np.int64)
        parts.append((codes[:, None] == np.arange(len(known))).astype(np.float32))
    return np.hstack(parts)


def shared_letters(firsts: Sequence[str], seconds: Sequence[str]) -> np.ndarray:
    """How far the texts of each pair share words and triples of letters, and differ in length.

    Returns: (N, 4) float32: shared words and triples by the cosine of sets, whether one holds the other,
        and the difference of lengths in letters, the logarithm of their ratio.
    """
    words: dict[str, frozenset[str]] = {}
    triples: dict[str, frozenset[str]] = {}
    for text in {*firsts, *seconds}:
        small = text.lower()
        words[text] = frozenset(small.split())
        wide = f" {small} "
        triples[text] = frozenset(wide[i : i + 3] for i in range(max(len(wide) - 2, 1)))
    found = np.empty((len(firsts), 4), np.float32)
    for row, (a, b) in enumerate(zip(firsts, seconds, strict=True)):
        found[row] = (
            _overlap(words[a], words[b]),
            _overlap(triples[a], triples[b]),
            a.lower() in b.lower() or b.lower() in a.lower(),
            np.log((len(b) + 1) / (len(a) + 1)),
        )
    return found


def _overlap(a: frozenset[str], b: frozenset[str]) -> float:
    """The cosine of two sets; 0 where one is empty."""
    return len(a & b) / (len(a) * len(b)) ** 0.5 if a and b else 0.0


@dataclass(frozen=True, eq=False)
class PairNets:
    """Small nets on features of pairs, their answers averaged."""

    nets: tuple[nn.Module, ...]
    center: np.ndarray
    scale: np.ndarray

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """(N, F) -> (N,) float32."""
        inputs = torch.from_numpy((features - self.center) / self.scale)
        with torch.inference_mode():
            answers = [net(inputs).squeeze(1).numpy() for net in self.nets]
        return np.mean(answers, axis=0)

    @classmethod
    def fitted(
        cls, features: np.ndarray, targets: np.ndarray, *, seed: int, count: int = NETS
    ) -> PairNets:
        """Nets of one hidden layer, trained on the mean squared error with much dropout.

        Args:
            features: (N, F) float32.
            targets: (N,) float64.
        """
        center, scale = features.mean(0), spread(features)
        inputs = torch.from_numpy((features - center) / scale)
        wanted = torch.from_numpy(targets.astype(np.float32))
        nets = tuple(_train(inputs, wanted, seed=seed, number=k) for k in range(count))
        return cls(nets, center, scale)

    def arrays(self) -> dict[str, np.ndarray]:
        """Its numbers by name, to be kept."""
        found = {"nets.center": self.center, "nets.scale": self.scale}
        for number, net in enumerate(self.nets):
            for name, tensor in net.state_dict().items():
                found[f"nets.{number}.{name}"] = tensor.numpy()
        return found

    @staticmethod
    def shapes(width: int, count: int) -> dict[str, tuple[int, ...]]:
        """The shapes of `arrays`, of `count` nets that see `width` numbers of a pair."""
        found: dict[str, tuple[int, ...]] = {"nets.center": (width,), "nets.scale": (width,)}
        with shapes_only():
            state = _net(width).state_dict()
        for number in range(count):
            found |= {f"nets.{number}.{name}": tuple(t.shape) for name, t in state.items()}
        return found

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray], width: int, count: int) -> PairNets:
        """The nets that `arrays` gave."""
        nets = []
        with seeded(0, "init", "pair net"):  # they draw what is then loaded
            for number in range(count):
                net = _net(width)
                state = {
                    name: torch.from_numpy(arrays[f"nets.{number}.{name}"])
                    for name in net.state_dict()
                }
                net.load_state_dict(state)
                nets.append(net.eval())
        return cls(tuple(nets), arrays["nets.center"], arrays["nets.scale"])


def _net(width: int) -> nn.Module:
    return nn.Sequential(
        nn.Dropout(0.5),
        nn.Linear(width, HIDDEN),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(HIDDEN, 1),
    )


def _train(inputs: torch.Tensor, targets: torch.Tensor, *, seed: int, number: int) -> nn.Module:
    with seeded(seed, "pair net", number):
        net = _net(inputs.shape[1])
        optimizer = torch.optim.AdamW(net.parameters(), lr=LR, weight_decay=0.2)
        steps = -(-len(inputs) // BATCH_SIZE)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, total_steps=steps * EPOCHS)
        for epoch in range(EPOCHS):
            order = permutation(len(inputs), seed=seed + number, epoch=epoch)
            for rows in order.split(BATCH_SIZE):
                optimizer.zero_grad()
                error = net(inputs[rows]).squeeze(1) - targets[rows]
                error.square().mean().backward()
                optimizer.step()
                schedule.step()
    return net.eval()


def by_group(groups: Sequence[str], share: float = 0.25, *, seed: int = 42) -> np.ndarray:
    """Which rows to keep for validation so that no group stands on both sides, (N,) bool.

    A random split of pairs leaves the same first text on both sides, so that a model is asked about texts
    whose pairs it has seen scored; by group it is asked about new ones.

    Args:
        groups: of each row, such as the first text of a pair.
        share: of the groups, in (0, 1).
    """
    if not 0 < share < 1:
        raise ConfigError(f"`share` must be above 0 and below 1. Got {share}.")
    names, owners = np.unique(np.asarray(list(groups)), return_inverse=True)
    order = permutation(len(names), seed=seed, epoch=0, purpose="groups").numpy()
    return np.isin(owners, order[: max(int(len(names) * share), 1)])
