"""Problems whose answer is known by construction."""

from __future__ import annotations

from typing import Any

import numpy as np

from drivetrain.data.frame import Factor, Frame
from drivetrain.levers import Problem


def problem(maximise: str, levers: dict[str, Any], **sections: Any) -> Problem:
    return Problem.from_dict({"objective": {"maximise": maximise}, "levers": levers} | sections)


def shop(count: int = 400, seed: int = 0) -> Frame:
    """Rows of a shop: what was set (price, adverts, channel) and what was as it was (season)."""
    draw = np.random.default_rng(seed)
    channels = draw.choice(["shop", "street", "web"], count, p=[0.5, 0.1, 0.4])
    return Frame(
        {
            "price": draw.uniform(2, 15, count),
            "adverts": draw.uniform(0, 10, count),
            "season": draw.uniform(-1, 1, count),
            "channel": Factor.of(channels.tolist()),
        }
    )


def demand(frame: Frame) -> np.ndarray:
    """Linear in the price: 100 - 5 price + 10 season."""
    return 100 - 5 * frame.numbers("price") + 10 * frame.numbers("season")
