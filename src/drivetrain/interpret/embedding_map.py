"""Vectors as points in the plane: what lies together there, and how much of that to believe.

    found = dt.interpret.embedding_map(vectors)                   # principal components
    found = dt.interpret.embedding_map(vectors, method="umap")    # needs the package umap-learn

Principal components are a shadow: distances in the plane are never longer than the true ones, and how
much of the variance the plane holds is said with it. UMAP (McInnes et al. 2018, arXiv:1802.03426) draws
near neighbours together and gives up the rest: sizes of groups and distances between them mean little,
and every map says so. `agreement` measures what a map hides: how many items have a nearest neighbour of
their own group, in all numbers and in the plane.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from drivetrain._optional import require
from drivetrain._registry import lookup
from drivetrain.errors import ConfigError, DataError, ShapeError
from drivetrain.interpret.components import principal_components
from drivetrain.interpret.text import share

if TYPE_CHECKING:
    from matplotlib.figure import Figure

METHODS = {
    "pca": "principal components: the plane in which the vectors differ most",
    "umap": "UMAP: near neighbours are drawn together, by the package umap-learn",
}
NEIGHBOURS = 15
"""Of UMAP: how many nearest neighbours an item is to stay near."""
FEWEST = 4
"""Items below which UMAP has nothing to go by."""
ROUNDING = 1e-12
BLOCK = 1024
"""Items whose distances to all others are held at once."""


@dataclass(frozen=True, eq=False)
class EmbeddingMap:
    """Points in the plane for N vectors."""

    points: np.ndarray
    """(K, 2) float64, of the vectors that are finite."""
    kept: np.ndarray
    """(K,) int64, which of the N vectors they are, ascending."""
    method: str
    width: int
    """F, numbers of a vector."""
    left_out: int
    """Vectors with a number that is not finite."""
    shares: tuple[float, float] | None
    """Of principal components: how much of the variance lies along each axis, in [0, 1]."""
    neighbours: int | None = None
    """Of UMAP: to how many an item was to stay near."""

    @property
    def axes(self) -> tuple[str, str]:
        """The names of the two axes."""
        if self.shares is None:
            return ("no unit: distances between groups mean little", "no unit")
        first, second = (share(one, 1.0) for one in self.shares)
        return (f"component 1: {first} of the variance", f"component 2: {second}")

    @property
    def caution(self) -> str:
        """What has to be known to read it, as sentences."""
        many = "1 number" if self.width == 1 else f"{self.width:,} numbers"
        if self.shares is not None:
            if not np.ptp(self.points, axis=0).any():
                text = f"All vectors of {many} are the same, so that there is one point."
            else:
                text = (
                    f"A plane through vectors of {many}: it holds {share(sum(self.shares), 1.0)} of "
                    "their variance. Points that lie apart are apart; points that lie together may "
                    "still be apart in the other directions."
                )
        else:
            text = (
                f"UMAP of vectors of {many}: neighbours ({self.neighbours} of each) are drawn together. "
                "Distances between groups, their sizes and how empty the space between them is mean "
                "little, and another seed draws another map."
            )
        if self.left_out:
            are = "vector is" if self.left_out == 1 else "vectors are"
            text += f" {self.left_out:,} {are} left out: not all of their numbers are finite."
        return text

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "method": self.method,
            "width": self.width,
            "explained": None if self.shares is None else list(self.shares),
            "left_out": self.left_out,
            "caution": self.caution,
            "kept": self.kept.tolist(),
            "points": self.points.tolist(),
        }

    def __str__(self) -> str:
        return f"{len(self.points):,} points by {METHODS[self.method]}\n{self.caution}"

    def plot(self, labels: Sequence[object] | None = None) -> Figure:
        """Dots, in colours by the first ten labels; (N,) of them, or none.

        Raises: MissingPackageError: there is no matplotlib. ShapeError: not one label a vector.
        """
        from drivetrain.interpret.drawing import bare, label, new_figure, note_below

        count = len(self.points) + self.left_out
        if labels is not None and len(labels) != count:
            raise ShapeError(f"`plot` got {len(labels)} labels for {count} vectors.")
        figure = new_figure(8, 6.5)
        axes = figure.subplots()
        words = [""] * len(self.kept) if labels is None else [str(labels[i]) for i in self.kept]
        names = sorted(set(words), key=lambda name: (-words.count(name), name))
        for place, name in enumerate(names):
            rows = np.array([word == name for word in words])
            # shapes as well as colours, for who cannot tell these apart
            axes.scatter(
                *self.points[rows].T,
                s=14,
                marker="os^Dv"[place % 5],
                color="0.6" if place >= 10 else None,
                linewidths=0,
                label=label(name) or None,
            )
        if labels is not None:
            axes.legend(fontsize=8)
        axes.set_xlabel(label(self.axes[0], 60), fontsize=8)
        axes.set_ylabel(label(self.axes[1], 60), fontsize=8)
        bare(axes)
        note_below(figure, self.caution)
        return figure


def embedding_map(
    vectors: np.ndarray, method: str = "pca", seed: int = 42, *, neighbours: int = NEIGHBOURS
) -> EmbeddingMap:
    """Where vectors lie in a plane.

    The signs of principal components follow a rule (the largest entry of an axis is positive), so that
    the same vectors give the same map. Of one vector, or of equal ones, every point is (0, 0).

    Args:
        vectors: (N, F) numbers; those with a number that is not finite are left out, and counted.
        method: `pca` or `umap`.
        seed: of UMAP; principal components draw nothing.
        neighbours: of UMAP, 2 or more; never more than there are.

    Raises: ShapeError: no (N, F). DataError: no vector is finite, or too few for UMAP. UnknownNameError:
        no such method. ConfigError: `neighbours` below 2. MissingPackageError: umap-learn is not there.
    """
    lookup(METHODS, method, what="method of a map")
    vectors = np.asarray(vectors)
    if vectors.ndim != 2 or not vectors.size:
        raise ShapeError(
            f"`embedding_map` needs vectors (N, F), at least one. Got {vectors.shape}."
        )
    if type(neighbours) is not int or neighbours < 2:
        raise ConfigError(f"`neighbours` must be a number from 2 up. Got {neighbours!r}.")
    is_finite = np.isfinite(vectors).all(axis=1)
    kept = np.flatnonzero(is_finite)
    if not len(kept):
        raise DataError(
            f"`embedding_map` got {len(vectors):,} vectors, and each holds a number that is not finite. "
            "Such activations mean that training went wrong: see its losses."
        )
    finite = vectors[kept].astype(np.float64)
    common: dict[str, Any] = {
        "kept": kept,
        "method": method,
        "width": vectors.shape[1],
        "left_out": len(vectors) - len(kept),
    }
    if method == "umap":
        many = min(neighbours, len(kept) - 1)
        points = _umap(finite, seed, many)
        return EmbeddingMap(points, shares=None, neighbours=many, **common)
    points, shares = np.zeros((len(finite), 2)), [0.0, 0.0]
    found = principal_components(finite, min(2, *finite.shape))
    for axis, part in enumerate(found.shares.tolist()):
        points[:, axis], shares[axis] = found.points[:, axis], part
    return EmbeddingMap(points, shares=(shares[0], shares[1]), **common)


def _umap(vectors: np.ndarray, seed: int, neighbours: int) -> np.ndarray:
    """(N, 2) float64."""
    if len(vectors) < FEWEST:
        raise DataError(
            f"UMAP needs {FEWEST} items or more. Got {len(vectors)}. Use principal components: pca."
        )
    umap = require("umap", extra="map")
    # a seed makes it run in one thread, as told; spectral starts need more items than dimensions
    start = "spectral" if len(vectors) > 10 else "random"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about threads, and graphs that fall apart
        made = umap.UMAP(n_neighbors=neighbours, init=start, random_state=seed, n_jobs=1)
        return np.asarray(made.fit_transform(vectors.astype(np.float32)), dtype=np.float64)


# --- what a map hides -----------------------------------------------------------------------------


def agreement(vectors: np.ndarray, codes: np.ndarray) -> float | None:
    """Share of items whose nearest other item is of the same group; None of fewer than two.

    Args:
        vectors: (N, F) finite; distances are Euclidean, and of equally near ones the first counts.
        codes: (N,) int64, the group of each; those below 0 have none, and are left out.

    Squares of distances that differ by less than `ROUNDING` of the largest square from the middle are
    taken to be equal.
    """
    rows = np.flatnonzero(codes >= 0)
    if len(rows) < 2:
        return None
    known, groups = vectors[rows].astype(np.float64), codes[rows]
    known = known - known.mean(axis=0)  # near 0, so that squares keep their digits
    lengths = (known**2).sum(axis=1)
    nearly, same = ROUNDING * float(lengths.max()), 0
    for start in range(0, len(known), BLOCK):
        part = known[start : start + BLOCK]
        apart = lengths[None] - 2 * part @ known.T  # less the own length, which orders nothing
        apart[np.arange(len(part)), np.arange(start, start + len(part))] = np.inf
        nearest = (apart <= apart.min(axis=1, keepdims=True) + nearly).argmax(axis=1)  # the first
        same += int((groups[nearest] == groups[start : start + BLOCK]).sum())
    return same / len(known)
