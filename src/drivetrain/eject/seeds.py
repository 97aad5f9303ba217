"""The seeds of a script beside that of its training: of the order of batches, and of the split alone.

Where a run had one seed for all, a script has one, `SEED`. Data that was gathered with a seed of its
own orders its batches by it (`DATA_SEED`), and a split may have one that nothing else is drawn by
(`SPLIT_SEED`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Setting = Callable[[str, Any, str], str]
"""(name, value, reason) -> the name: writes a setting at the head of the script."""


def order_seed(data_seed: int, seed: int, setting: Setting, what: str) -> str:
    """The name of the seed by which batches are ordered.

    Args:
        data_seed: of the data.
        seed: of the training, `SEED` in the script.
        setting: is called where the two differ.
        what: the data's seed is for.
    """
    return "SEED" if data_seed == seed else setting("DATA_SEED", data_seed, what)


def split_seed(recipe: Mapping[str, Any], order: str, setting: Setting) -> str:
    """The name of the seed by which items are shared out; to be asked for where they are drawn.

    Args:
        recipe: of the data.
        order: the name of the data's seed.
        setting: is called where the split has another one.
    """
    own = recipe.get("split_seed")
    if own is None or own == recipe["seed"]:
        return order
    return setting("SPLIT_SEED", own, "of the split alone")
