"""Is this input like those the model was trained on? A score, and a flag at a stated false-alarm rate.

A net answers for anything, and surely. What gives a foreign input away is where its features lie: the
score is the distance to the nearest training item, measured in two ways, of which the larger counts.
Where items may not travel, as rows of a table, means of groups of them stand in their place.

- in direction: between unit vectors (Sun et al. 2022, arXiv:2204.06507). Sees foreign pictures.
- in whitened space, where the spread within a class is the same along every axis (the Mahalanobis
  distance of Lee et al. 2018, arXiv:1807.03888, but to the nearest item). Sees rows of another table,
  whose features point in known directions and lie far out.

Each is divided by its own bound on validation items, and the larger of the two is the score. The flag is
raised above a threshold that `false_alarm` of new items from the same source exceed, whatever the model
(the conformal rank of conformal.py; each validation item is scored with the bounds of the others).
Covariances of few items are shrunk (Ledoit & Wolf 2004, doi:10.1016/S0047-259X(03)00096-4). Why these two
and not energy, softmax or the distance to class means: docs/decisions/0015-guard.md.
Twin: drivetrain.reference.guard.

M training items, F features, K components kept, R reference items, B items of a batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, floor, inf
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from drivetrain.bundle.checks import (
    MOST,
    check_rows,
    check_share,
    check_targets,
    read_share,
    read_tensor,
    read_threshold,
    threshold_to_json,
)
from drivetrain.bundle.conformal import items_needed, upper_quantile
from drivetrain.bundle.fields import Fields
from drivetrain.errors import ShapeError
from drivetrain.randomness import permutation

COMPONENTS = 256
"""At most so many directions are kept apart; what lies outside them all is one number, its length."""

CANDIDATES = 10_000
"""Training items that are looked at; more are drawn down to this."""

REFERENCES = 2_000
"""Of these, so many are kept: those that leave the smallest gaps."""

GROUPS = 300
"""Groups at most, where their means are kept in the place of training items."""

_ROUNDS = 10
"""In which groups are settled; more move the means by little."""

_CHUNK = 1_024
"""Items whose distances are held in memory at once."""

_SMALLEST = 1e-12
"""In place of a bound of 0, where validation items are copies of training items."""


@dataclass(frozen=True)
class Domain:
    """What is needed to score an item; all tensors float32."""

    basis: Tensor
    """(F, K) orthonormal: the directions in which training items differ most from 0."""
    whitening: Tensor
    """(K + 1, K + 1): after it, the shrunk covariance within classes is the identity."""
    references: Tensor
    """(R, K + 1) coordinates of training items, or of the means of groups of them."""
    bounds: tuple[float, float]
    """Of each distance, in direction and whitened: exceeded by `false_alarm` of validation items."""
    threshold: float
    """An item is flagged where its score is above; infinity where there were too few items."""
    false_alarm: float
    """The share of items of the same source that is flagged, at most."""
    num_items: int
    """Validation items that the bounds and the threshold come from."""

    @property
    def is_enough(self) -> bool:
        """Whether there were items enough to flag anything at this rate."""
        return self.threshold < inf

    @property
    def num_features(self) -> int:
        """F."""
        return self.basis.shape[0]

    def score(self, features: Tensor) -> Tensor:
        """(B, F) float features -> (B,) float64 scores: about 1 or less for a usual item.

        Raises: ShapeError: another width. InputError: NaN or infinity.
        """
        features = check_rows("score", "features", features, width=self.num_features)
        tensors = self._doubles()
        return torch.cat(
            [domain_score(rows, *tensors, self.bounds) for rows in features.split(_CHUNK)]
        )

    def is_inside(self, score: Tensor) -> Tensor:
        """(B,) scores -> (B,) bool: no flag."""
        return score <= self.threshold

    def _distances(self, features: Tensor) -> Tensor:
        """(B, F) float64 -> (B, 2): to the nearest reference, in direction and whitened."""
        tensors = self._doubles()
        return torch.cat([_distances(rows, *tensors) for rows in features.split(_CHUNK)])

    def _doubles(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.basis.double(), self.whitening.double(), self.references.double()

    def to_json(self) -> dict[str, Any]:
        """All but the tensors; an infinite threshold is null."""
        return {
            "bounds": list(self.bounds),
            "threshold": threshold_to_json(self.threshold),
            "false_alarm": self.false_alarm,
            "num_items": self.num_items,
        }

    def tensors(self) -> dict[str, Tensor]:
        """The tensors, by name."""
        return {
            "domain.basis": self.basis,
            "domain.whitening": self.whitening,
            "domain.references": self.references,
        }

    @classmethod
    def from_parts(cls, fields: Fields, tensors: Mapping[str, Any]) -> Domain:
        """Back from `to_json` and `tensors`. Raises: BundleError: anything else."""
        sizes = (range(1, MOST + 1), range(1, COMPONENTS + 1))
        basis = read_tensor(tensors, "domain.basis", sizes, largest=1.001)  # columns of length 1
        k = range(basis.shape[1] + 1, basis.shape[1] + 2)
        kept = range(1, REFERENCES + 1)
        direction, whitened = fields.numbers("bounds", 2, _SMALLEST, 1e300)
        found = cls(
            basis=basis,
            whitening=read_tensor(tensors, "domain.whitening", (k, k), largest=1e19),
            references=read_tensor(tensors, "domain.references", (kept, k)),
            bounds=(direction, whitened),
            threshold=read_threshold(fields, "threshold", 0, 1e300),
            false_alarm=read_share(fields, "false_alarm"),
            num_items=fields.whole("num_items", 1, 2**53),
        )
        fields.end()
        return found

    def __str__(self) -> str:
        if not self.is_enough:
            return (
                f"No input is flagged as foreign: {self.num_items} validation items are too few for "
                f"{self.false_alarm:.0%} false alarms; it takes {items_needed(1 - self.false_alarm)}."
            )
        return (
            f"Inputs with a domain score above {self.threshold:.3g} are flagged as foreign; of inputs "
            f"from the same source {self.false_alarm:.0%} are."
        )


def fit_domain(
    features: Tensor,
    *,
    train_features: Tensor | None = None,
    train_targets: Tensor | None = None,
    false_alarm: float = 0.05,
    group: int | None = None,
    seed: int = 42,
) -> Domain:
    """The score and its threshold, from features of training items and of validation items.

    Args:
        features: (N, F) float, of items that the model was not trained on, 2 or more. Take what goes into
            the model's head: features further up have forgotten what does not help to tell the
            classes apart, and with it what a foreign input is known by.
        train_features: (M, F) float, 2 or more; None takes half of `features` in their place.
        train_targets: (M,) int64 class indices, to measure the spread within classes; None measures
            the spread of all items.
        false_alarm: in (0, 1).
        group: keep no training item, but means of groups of at least so many of them; None keeps items.
        seed: what draws are derived from.

    Raises: ShapeError, InputError: they are not that. ConfigError: a rate outside (0, 1).
    """
    check_share("fit_domain", "false_alarm", false_alarm)
    features = check_rows("fit_domain", "features", features)
    if train_features is None:
        order = permutation(len(features), seed=seed, epoch=0, purpose="guard halves")
        train, features = features[order[::2]], features[order[1::2]]
        train_targets = None
    else:
        train = check_rows("fit_domain", "train_features", train_features, width=features.shape[1])
    if len(train) < 2 or len(features) < 1:
        raise ShapeError(
            f"`fit_domain` got {len(train)} training and {len(features)} validation items, expected "
            "2 and 1 or more; without training items, 3 validation items or more."
        )
    if train_targets is None:
        targets = torch.zeros(len(train), dtype=torch.int64)
    else:
        classes = int(train_targets.max()) + 1 if train_targets.numel() else 1
        shape = train.new_zeros(1, 1).expand(len(train), classes)
        targets = check_targets("fit_domain", train_targets, shape)
    if len(train) > CANDIDATES:
        drawn = permutation(len(train), seed=seed, epoch=0, purpose="guard candidates")[:CANDIDATES]
        train, targets = train[drawn], targets[drawn]

    basis = main_directions(train, COMPONENTS).float()
    rows = coordinates(train, basis.double())
    whitening = whitening_within(rows, targets)
    if group is None:
        references = rows[farthest_first(normalize(rows), REFERENCES)]
    else:
        references = group_means(rows, rows @ whitening, most=GROUPS, least=group, seed=seed)
    domain = Domain(
        basis=basis,
        whitening=whitening.float(),
        references=references.float().contiguous(),
        bounds=(1.0, 1.0),
        threshold=inf,
        false_alarm=false_alarm,
        num_items=len(features),
    )
    found = domain._distances(features)  # (N, 2)
    columns = [bounds_without_each(column, 1 - false_alarm) for column in found.unbind(dim=1)]
    (direction, without_direction), (whitened, without_whitened) = columns
    score = (found / torch.stack([without_direction, without_whitened], dim=1)).amax(dim=1)
    return replace(
        domain, bounds=(direction, whitened), threshold=upper_quantile(score, 1 - false_alarm)
    )


def domain_score(
    features: Tensor,
    basis: Tensor,
    whitening: Tensor,
    references: Tensor,
    bounds: Sequence[float],
) -> Tensor:
    """How far items are from those known, (B, F) -> (B,): about 1 or less for a usual item.

    Args:
        features: (B, F) float64, as all tensors here; see `Domain` for the others.
    """
    found = _distances(features, basis, whitening, references)
    return (found / features.new_tensor(bounds)).amax(dim=1)


def _distances(features: Tensor, basis: Tensor, whitening: Tensor, references: Tensor) -> Tensor:
    """To the nearest known item, in direction and in whitened space: (B, F) -> (B, 2)."""
    rows = coordinates(features, basis)
    spaces = [(normalize(rows), normalize(references)), (rows @ whitening, references @ whitening)]
    return torch.stack([torch.cdist(new, known).amin(dim=1) for new, known in spaces], dim=1)


def coordinates(features: Tensor, basis: Tensor) -> Tensor:
    """(B, F) -> (B, K + 1): along each direction of the basis, and the length of the rest.

    Lengths and thereby angles to items inside the basis stay what they were.
    """
    along = features @ basis  # (B, K)
    rest = (features - along @ basis.T).norm(dim=1, keepdim=True)
    return torch.cat([along, rest], dim=1)


def main_directions(rows: Tensor, most: int) -> Tensor:
    """(M, F) -> (F, K) orthonormal directions in which the rows are longest, K at most `most`.

    The rows are not centred first, for angles are measured from 0.
    """
    if len(rows) > REFERENCES:
        rows = rows[:: -(-len(rows) // REFERENCES)]
    m, f = rows.shape
    if m >= f:
        _, vectors = torch.linalg.eigh(rows.T @ rows)  # ascending
        return vectors.flip(1)[:, :most].contiguous()
    # Fewer rows than features: the same directions from the small matrix of the rows' products.
    squares, vectors = torch.linalg.eigh(rows @ rows.T)
    used = squares > squares.amax().clamp_min(_SMALLEST) * m * 1e-14
    directions = (rows.T @ vectors[:, used]).flip(1)[:, :most]
    if directions.shape[1] == 0:  # all rows are 0
        return torch.eye(f, 1, dtype=rows.dtype)
    return torch.linalg.qr(directions).Q.contiguous()


def whitening_within(rows: Tensor, targets: Tensor) -> Tensor:
    """(M, D) and (M,) classes -> (D, D) symmetric W with W · S · W = 1, S the shrunk covariance
    within classes: S = (1 - s) · covariance + s · mean variance · 1, s as Ledoit and Wolf.
    """
    classes = int(targets.max()) + 1
    counts = torch.bincount(targets, minlength=classes).clamp_min(1)[:, None]
    sums = rows.new_zeros(classes, rows.shape[1]).index_add(0, targets, rows)
    centred = rows - (sums / counts)[targets]
    m, d = centred.shape
    covariance = centred.T @ centred / m
    mean_variance = covariance.diagonal().mean()
    if float(mean_variance) <= _SMALLEST**2:  # all items of a class are equal
        return torch.eye(d, dtype=rows.dtype)
    identity = torch.eye(d, dtype=rows.dtype)
    spread = (covariance - mean_variance * identity).square().sum()
    noise = (centred.square().sum(dim=1).square().sum() / m - covariance.square().sum()) / m
    share = float((noise / spread.clamp_min(_SMALLEST**2)).clamp(1e-6, 1))
    shrunk = (1 - share) * covariance + share * mean_variance * identity
    values, vectors = torch.linalg.eigh(shrunk)
    return (vectors / values.clamp_min(float(values[-1]) * 1e-12).sqrt()) @ vectors.T


def farthest_first(rows: Tensor, most: int) -> Tensor:
    """Indices of `most` of the rows that leave the smallest gaps: each is the farthest from those
    before it (Gonzalez 1985, doi:10.1016/0304-3975(85)90224-5), the first is row 0. In their order.
    """
    if len(rows) <= most:
        return torch.arange(len(rows))
    rows = rows.float()
    squares = rows.square().sum(dim=1)
    gaps = torch.full_like(squares, inf)
    chosen = torch.zeros(len(rows), dtype=torch.bool)
    newest = 0
    for _ in range(most):
        chosen[newest] = True
        to_newest = squares + squares[newest] - 2 * (rows @ rows[newest])
        gaps = torch.minimum(gaps, to_newest).masked_fill(chosen, -inf)
        newest = int(gaps.argmax())
    return chosen.nonzero().squeeze(1)


def group_means(rows: Tensor, places: Tensor, *, most: int, least: int, seed: int) -> Tensor:
    """(M, D) rows -> (G, D): the means of groups of rows that lie together, `least` or more in each.

    Lloyd's rounds from rows that are drawn; a group that gets too few is given up, and its rows go to
    the others.

    Args:
        places: (M, E) where the rows lie.
        most: groups at most.
        least: rows of a group; with fewer rows than that there is one group.
        seed: what the draw is derived from.
    """
    count = max(1, min(most, len(rows) // (2 * least)))
    drawn = permutation(len(rows), seed=seed, epoch=0, purpose="guard groups")[:count]
    centres = places[drawn]
    nearest, sizes = _nearest(places, centres)
    for _ in range(_ROUNDS):
        kept = sizes >= min(least, int(sizes.max()))
        centres = (_sums(places, nearest, len(sizes)) / sizes.clamp_min(1)[:, None])[kept]
        nearest, sizes = _nearest(places, centres)
    while int(sizes.min()) < least and len(sizes) > 1:
        centres = centres[sizes > sizes.min()] if int(sizes.max()) > least else centres[:1]
        nearest, sizes = _nearest(places, centres)
    return _sums(rows, nearest, len(sizes)) / sizes[:, None]


def _nearest(places: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    """(M,) the nearest centre of each place, and (G,) how many each has."""
    squares = centres.square().sum(dim=1)
    parts = [(squares - 2 * (part @ centres.T)).argmin(dim=1) for part in places.split(_CHUNK)]
    nearest = torch.cat(parts)
    return nearest, torch.bincount(nearest, minlength=len(centres))


def _sums(rows: Tensor, group: Tensor, count: int) -> Tensor:
    return rows.new_zeros(count, rows.shape[1]).index_add(0, group, rows)


def bounds_without_each(values: Tensor, share: float) -> tuple[float, Tensor]:
    """The quantile of (n,) values, interpolated as numpy does, and (n,) for each the one of the others.

    A value that takes part in its own bound looks usual: with 39 items and 0.95, 7 of 100 new items
    exceeded the threshold instead of 5.
    """
    n = len(values)
    bound = max(float(values.quantile(share)), _SMALLEST)
    if n == 1:
        return bound, torch.full_like(values, bound)
    ordered, order = values.sort()
    rank = torch.empty_like(order)
    rank[order] = torch.arange(n)
    place = share * (n - 2)  # counted from 0 among the n - 1 others
    below, above = floor(place), ceil(place)
    low, high = (ordered[at + (rank <= at)] for at in (below, above))
    return bound, torch.lerp(low, high, place - below).clamp_min(_SMALLEST)
