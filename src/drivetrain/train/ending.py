"""How a fit ended, for callbacks that change the weights when it is over."""

from __future__ import annotations

import sys

from drivetrain.train.state import FitState


class Ending:
    """Tells at `after_fit` whether the fit came to an end: by itself, or because a callback ended it.

    It did not where an error passes through, a kill among them, or where a signal stopped it: then the
    fit goes on from its last checkpoint, and the weights must stay as training left them.
    """

    def __init__(self) -> None:
        self._outside: BaseException | None = None

    def begin(self) -> None:
        """At `before_fit`. A fit may be called where somebody handles an error: that one is not ours."""
        self._outside = sys.exc_info()[1]

    def is_good(self, state: FitState) -> bool:
        """At `after_fit`, once."""
        passing, self._outside = sys.exc_info()[1] is not self._outside, None
        return not passing and state.interrupted is None
