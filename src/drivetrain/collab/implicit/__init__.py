"""Learning from events instead of ratings: what happened, and how often, but not how much it was liked.

- `als`: weighted least squares in turn; fast, few settings, no gradient.
- `bpr`: pairs of items in the right order, trained by a Learner like any other model.
- `unseen`: draws of items that a user had nothing to do with.

Names are loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from drivetrain._lazy import install

if TYPE_CHECKING:
    from drivetrain.collab.implicit.als import AlsFit, fit_als
    from drivetrain.collab.implicit.bpr import BprParts, PairwiseLoader, PairwiseScore, bpr_parts
    from drivetrain.collab.implicit.unseen import Unseen

__all__ = [
    "AlsFit",
    "BprParts",
    "PairwiseLoader",
    "PairwiseScore",
    "Unseen",
    "bpr_parts",
    "fit_als",
]

_HOMES = {
    "als": ("AlsFit", "fit_als"),
    "bpr": ("BprParts", "PairwiseLoader", "PairwiseScore", "bpr_parts"),
    "unseen": ("Unseen",),
}
"""Module -> the public names that it holds."""

install(__name__, _HOMES)
