"""The four things that predict: trees, a linear model, a net, and an average of others.

Each answers `predict` with numbers (N,), (N, T) for several targets, or probabilities (N, C), and packs
itself into named tensors and plain JSON; `unpack` makes it again. None needs the library that fitted it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from drivetrain._registry import lookup
from drivetrain.data.frame import Frame
from drivetrain.errors import BundleError, DrivetrainError
from drivetrain.models.device import threads
from drivetrain.models.tabular import TabularNet, create_tabular_net, tabular_shapes
from drivetrain.tabular.preprocess import Notes, Preprocess
from drivetrain.trees.ensemble import TreeEnsemble

NET_BATCH = 4096
"""Rows that a net sees at once."""
MOST_MEMBERS = 64
MOST_DEPTH = 4
"""Averages of averages."""


class Prepared:
    """Rows as each kind of estimator wants them; each form is made when it is asked for."""

    def __init__(self, preprocess: Preprocess, frame: Frame, notes: Notes | None = None) -> None:
        self.preprocess = preprocess
        self.frame = frame
        self.notes = notes

    def __len__(self) -> int:
        return len(self.frame)

    @cached_property
    def design(self) -> np.ndarray:
        """(N, K) float64, for trees."""
        return self.preprocess.design(self.frame, self.notes)

    @cached_property
    def linear(self) -> np.ndarray:
        """(N, L) float64, for linear models."""
        return self.preprocess.linear(self.frame, self.notes)

    @cached_property
    def net(self) -> tuple[np.ndarray, np.ndarray]:
        """(N, C) int64 and (N, D) float32, for nets."""
        return self.preprocess.net_inputs(self.frame, self.notes)


class Estimator(Protocol):
    """What predicts."""

    kind: str
    """A key of `KINDS`."""

    def predict(self, rows: Prepared) -> np.ndarray:
        """Numbers (N,) or (N, T), or probabilities (N, C), float64."""
        ...

    def spread(self, rows: Prepared) -> np.ndarray | None:
        """(N,) standard deviation of the answers within the estimator; None where it has one voice.

        For classes: of the probability of the class that is predicted.
        """
        ...

    def pack(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Named tensors, and plain JSON."""
        ...


@dataclass
class TreeEstimator:
    """One tree or many."""

    ensemble: TreeEnsemble
    kind: str = field(default="trees", init=False)

    def predict(self, rows: Prepared) -> np.ndarray:
        """See `Estimator`."""
        return self.ensemble.predict(rows.design)

    def spread(self, rows: Prepared) -> np.ndarray | None:
        """See `Estimator`; of trees that are averaged."""
        if self.ensemble.combine != "mean" or self.ensemble.num_trees < 2:
            return None
        found = self.ensemble.spread(rows.design)  # (N, V)
        if found.shape[1] == 1:
            return found[:, 0]
        said = self.predict(rows).argmax(axis=1)
        return found[np.arange(len(found)), said]

    def pack(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """See `Estimator`."""
        arrays, record = self.ensemble.to_arrays()
        return {name: torch.from_numpy(np.array(values)) for name, values in arrays.items()}, record

    @classmethod
    def unpack(
        cls, tensors: Mapping[str, Tensor], record: Mapping[str, Any], preprocess: Preprocess
    ) -> TreeEstimator:
        """What `pack` gave."""
        ensemble = TreeEnsemble.from_arrays({k: v.numpy() for k, v in tensors.items()}, record)
        width = len(preprocess.design_names)
        if ensemble.num_features != width:
            raise BundleError(
                f"The trees look at {ensemble.num_features} columns, and the preprocessing makes {width}."
            )
        return cls(ensemble)


@dataclass
class LinearEstimator:
    """Weights and a bias: least squares with a penalty, or logistic regression."""

    weights: np.ndarray
    """(L, V) float64."""
    bias: np.ndarray
    """(V,) float64."""
    is_class: bool
    """Scores become probabilities by a softmax."""
    kind: str = field(default="linear", init=False)

    def predict(self, rows: Prepared) -> np.ndarray:
        """See `Estimator`."""
        scores = rows.linear @ self.weights + self.bias  # (N, V)
        if self.is_class:
            return softmax(scores)
        return scores[:, 0] if scores.shape[1] == 1 else scores

    def spread(self, rows: Prepared) -> np.ndarray | None:
        """See `Estimator`."""
        return None

    def pack(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """See `Estimator`."""
        tensors = {"weights": torch.from_numpy(self.weights), "bias": torch.from_numpy(self.bias)}
        return tensors, {"is_class": self.is_class}

    @classmethod
    def unpack(
        cls, tensors: Mapping[str, Tensor], record: Mapping[str, Any], preprocess: Preprocess
    ) -> LinearEstimator:
        """What `pack` gave."""
        weights, bias = tensors.get("weights"), tensors.get("bias")
        width = len(preprocess.linear_names)
        fits = (
            set(tensors) == {"weights", "bias"}
            and weights is not None
            and bias is not None
            and weights.dtype == bias.dtype == torch.float64
            and weights.ndim == 2
            and len(weights) == width
            and bias.shape == weights.shape[1:]
            and bool(torch.isfinite(weights).all() and torch.isfinite(bias).all())
            and type(record.get("is_class")) is bool
        )
        if not fits or weights is None or bias is None:
            raise BundleError(f"The linear model's tensors are not weights of {width} columns.")
        return cls(weights.numpy(), bias.numpy(), bool(record["is_class"]))


@dataclass
class NetEstimator:
    """A net with embeddings, in evaluation mode."""

    net: TabularNet
    description: dict[str, Any]
    is_class: bool
    num_threads: int = 1
    """Small layers finish sooner on one thread than several can share them."""
    kind: str = field(default="net", init=False)

    def predict(self, rows: Prepared) -> np.ndarray:
        """See `Estimator`."""
        codes, numbers = (torch.from_numpy(part) for part in rows.net)
        self.net.eval()
        device = next(self.net.parameters()).device
        with torch.inference_mode(), threads(self.num_threads):
            parts = [
                self.net(c.to(device), n.to(device)).to("cpu", torch.float64)
                for c, n in zip(codes.split(NET_BATCH), numbers.split(NET_BATCH), strict=True)
            ]
        scores = torch.cat(parts)
        return (scores.softmax(dim=1) if self.is_class else scores).numpy()

    def spread(self, rows: Prepared) -> np.ndarray | None:
        """See `Estimator`."""
        return None

    def pack(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """See `Estimator`."""
        return dict(self.net.state_dict()), {"net": self.description, "is_class": self.is_class}

    @classmethod
    def unpack(
        cls, tensors: Mapping[str, Tensor], record: Mapping[str, Any], preprocess: Preprocess
    ) -> NetEstimator:
        """What `pack` gave; no memory is taken for a net that the tensors are not of."""
        description = dict(record.get("net") or {})
        expected = tabular_shapes(description)
        found = {name: (t.dtype, tuple(t.shape)) for name, t in tensors.items()}
        if found != expected:
            raise BundleError("The net's tensors are not those of the net that is described.")
        inputs = (description["level_counts"], description["num_numbers"])
        if (list(inputs[0]), inputs[1]) != (preprocess.level_counts, preprocess.num_net_numbers):
            raise BundleError("The net looks at other columns than the preprocessing makes.")
        net = create_tabular_net(description)
        net.load_state_dict(dict(tensors))
        return cls(net.eval(), description, bool(record.get("is_class")))


@dataclass
class AverageEstimator:
    """The weighted mean of what others answer."""

    members: Sequence[Estimator]
    names: Sequence[str]
    weights: np.ndarray
    """(M,) float64, not negative, of sum 1."""
    kind: str = field(default="average", init=False)

    def predict(self, rows: Prepared) -> np.ndarray:
        """See `Estimator`."""
        found = self.weights[0] * self.members[0].predict(rows)
        for weight, member in zip(self.weights[1:], self.members[1:], strict=True):
            found = found + weight * member.predict(rows)
        return found

    def spread(self, rows: Prepared) -> np.ndarray | None:
        """See `Estimator`: between the members."""
        answers = np.stack([member.predict(rows) for member in self.members])  # (M, N, …)
        mean = np.tensordot(self.weights, answers, axes=1)
        variance = np.tensordot(self.weights, (answers - mean) ** 2, axes=1)
        if variance.ndim == 2:
            variance = variance[np.arange(len(mean)), mean.argmax(axis=1)]
        return np.sqrt(variance)

    def pack(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """See `Estimator`."""
        tensors: dict[str, Tensor] = {"weights": torch.from_numpy(self.weights)}
        records = []
        for place, (name, member) in enumerate(zip(self.names, self.members, strict=True)):
            own, record = member.pack()
            tensors |= {f"member{place}.{key}": value for key, value in own.items()}
            records.append({"name": name, "kind": member.kind, "record": record})
        return tensors, {"members": records}

    @classmethod
    def unpack(
        cls,
        tensors: Mapping[str, Tensor],
        record: Mapping[str, Any],
        preprocess: Preprocess,
        depth: int = 0,
    ) -> AverageEstimator:
        """What `pack` gave."""
        records, weights = record.get("members"), tensors.get("weights")
        fits = (
            isinstance(records, list)
            and 1 <= len(records) <= MOST_MEMBERS
            and depth < MOST_DEPTH
            and all(isinstance(one, Mapping) for one in records)
            and weights is not None
            and weights.dtype == torch.float64
            and weights.shape == (len(records),)
            and bool(((weights >= 0) & (weights <= 1)).all())
        )
        if not fits or records is None or weights is None:
            raise BundleError("The average does not say what it is made of.")
        members, names = [], []
        for place, one in enumerate(records):
            prefix = f"member{place}."
            own = {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}
            kind, inner = str(one.get("kind")), one.get("record")
            members.append(unpack(kind, own, inner, preprocess, depth=depth + 1))
            names.append(str(one.get("name")))
        return cls(members, names, weights.numpy())


KINDS: Mapping[str, Any] = {
    "trees": TreeEstimator,
    "linear": LinearEstimator,
    "net": NetEstimator,
    "average": AverageEstimator,
}


def unpack(
    kind: str,
    tensors: Mapping[str, Tensor],
    record: Any,
    preprocess: Preprocess,
    *,
    depth: int = 0,
) -> Estimator:
    """The estimator of a kind from what its `pack` gave, after everything was checked.

    Raises: BundleError: it is not sound.
    """
    made = lookup(KINDS, kind, what="kind of model")
    if not isinstance(record, Mapping):
        raise BundleError("The model's record is not a JSON object.")
    try:
        if made is AverageEstimator:
            return AverageEstimator.unpack(tensors, record, preprocess, depth)
        return made.unpack(tensors, record, preprocess)
    except BundleError:
        raise
    except DrivetrainError as error:
        raise BundleError(str(error)) from error


def softmax(scores: np.ndarray) -> np.ndarray:
    """Probabilities of scores (N, C); rows sum to 1."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
