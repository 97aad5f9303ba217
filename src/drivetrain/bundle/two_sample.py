"""Do two samples come from one source? Kolmogorov-Smirnov for numbers, chi-squared for kinds.

- numbers: the largest gap between the two shares of values up to x, over all x, and Smirnov's limit for
  how often chance gives one as large. On the safe side for few items, and where values repeat.
- kinds: Pearson's chi-squared of the table of counts, kinds that are expected less than 5 times taken
  together (Cochran 1954), and half the sum of the differences of the shares as distance.

Twin: drivetrain.reference.guard.
"""

from __future__ import annotations

import torch
from torch import Tensor

FEWEST_EXPECTED = 5.0
"""Of a kind, in either sample, for chi-squared's limit to hold."""

_TERMS = 100
"""Of Smirnov's series, which alternates; below `_SURE` it is 1 to 15 digits."""
_SURE = 0.15


def ks_distance(reference: Tensor, new: Tensor) -> Tensor:
    """(R, F) and (B, F) float -> (F,) float64: the largest gap of the two distributions, in [0, 1]."""
    r, b = len(reference), len(new)
    values, order = torch.cat([reference.double(), new.double()]).sort(dim=0)  # (R + B, F)
    old = (order < r).cumsum(dim=0)  # of the reference, how many up to here
    both = torch.arange(1, r + b + 1)[:, None]
    gaps = (old.double() / r - (both - old).double() / b).abs()
    # Of equal values only the last counts: before it the step is not done.
    is_last = torch.ones_like(gaps, dtype=torch.bool)
    is_last[:-1] = values[1:] != values[:-1]
    return (gaps * is_last).amax(dim=0)


def ks_p_value(distance: Tensor, num_reference: int, num_new: int) -> Tensor:
    """How often chance gives a gap as large: 2 Σ (-1)^(k-1) exp(-2 k² λ²), λ² = d² · r·b / (r + b)."""
    squared = distance.double().square() * (num_reference * num_new / (num_reference + num_new))
    k = torch.arange(1, _TERMS + 1, dtype=torch.float64)[:, None]
    signs = 1 - 2 * ((k - 1) % 2)
    series = 2 * (signs * torch.exp(-2 * k.square() * squared)).sum(dim=0)
    return torch.where(squared < _SURE**2, 1.0, series.clamp(0, 1))


def chi_squared(reference: Tensor, new: Tensor) -> tuple[float, float]:
    """(C,) counts of each kind in two samples -> p-value, and the distance of the shares in [0, 1].

    With fewer than two kinds left after rare ones are taken together, the p-value is 1.
    """
    counts = torch.stack([reference.double(), new.double()])  # (2, C)
    totals = counts.sum(dim=1, keepdim=True)
    shares = counts / totals
    distance = float((shares[0] - shares[1]).abs().sum() / 2)
    expected = totals * counts.sum(dim=0) / counts.sum()  # (2, C)
    is_rare = expected.amin(dim=0) < FEWEST_EXPECTED
    kept, rest = counts[:, ~is_rare], counts[:, is_rare].sum(dim=1, keepdim=True)
    rest_expected = totals * rest.sum() / counts.sum()
    if float(rest_expected.min()) < FEWEST_EXPECTED and kept.shape[1]:
        smallest = kept.sum(dim=0).argmin()  # the rest is too rare itself: it joins the rarest
        kept = kept.clone()
        kept[:, smallest] += rest[:, 0]
    else:
        kept = torch.cat([kept, rest], dim=1)
    if kept.shape[1] < 2:
        return 1.0, distance
    expected = totals * kept.sum(dim=0) / kept.sum()
    statistic = ((kept - expected).square() / expected).sum()
    freedom = torch.tensor((kept.shape[1] - 1) / 2, dtype=torch.float64)
    return float(torch.special.gammaincc(freedom, statistic / 2)), distance
