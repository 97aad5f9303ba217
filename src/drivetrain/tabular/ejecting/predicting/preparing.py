"""From columns to what the model sees, in a script that predicts."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from drivetrain.eject.parts import Written
from drivetrain.tabular import preprocess
from drivetrain.tabular.preprocess import Preprocess


def preparing_written(known: Preprocess, kinds: Collection[str]) -> list[Written]:
    """The functions that make what models of some kinds see.

    Args:
        known: what was learnt of the columns.
        kinds: of the models: `trees`, `net`, `linear`.
    """
    uses: dict[str, Any] = {}
    lists = []
    if known.categories:
        uses["CategoryColumn"] = preprocess.CategoryColumn
        lists.append(_CATEGORIES)
    if known.numbers:
        uses["NumberColumn"] = preprocess.NumberColumn
        lists.append(_NUMBERS)
    found = [Written("\n".join(lists), "prepare", uses)]
    codes = "codes_of(columns)" if known.categories else ""
    if known.categories:
        found.append(_codes(known))
    flags = any(column.has_flag for column in known.numbers)
    if flags:
        found.append(Written(_FLAGS, "prepare"))
    marks = "*flags_of(columns)" if flags else ""
    plain = "*[filled(columns[one.name], one.fill) for one in NUMBERS]" if known.numbers else ""
    scaled = "*[standardised(columns[one.name], one) for one in NUMBERS]"
    if "trees" in kinds:
        parts = [f"*{codes}" if codes else "", plain, marks]
        found.append(Written(_DESIGN.format(parts=_listed(parts)), "prepare", _of("filled")))
    if "net" in kinds:
        parts = [scaled if known.numbers else "", marks]
        body = _NET_BOTH if codes and known.numbers else _NET_CODES if codes else _NET_NUMBERS
        text = body.format(codes=codes, parts=_listed(parts))
        found.append(Written(text, "prepare", _of("standardised") if known.numbers else {}))
    if "linear" in kinds:
        scale = "standardised" if known.scale == "standard" else "by_largest"
        text = _LINEAR.format(
            scaled=f"    parts = [{scaled.replace('standardised', scale)}]"
            if known.numbers
            else "    parts = []",
            flags="\n    parts += flags_of(columns)" if flags else "",
            dummies=_DUMMIES.format(codes=codes) if codes else "",
        )
        names = [*([scale] if known.numbers else []), *(["level_dummies"] if codes else [])]
        found.append(Written(text, "prepare", _of(*names)))
    return found


def _codes(known: Preprocess) -> Written:
    how = "mode_codes" if known.unseen == "mode" else "level_codes"
    given = "one" if how == "mode_codes" else "one.levels"
    check, uses = "", _of(how)
    if known.unseen == "error":
        check, uses = _REFUSE_UNSEEN, _of(how, "unseen_rows")
    return Written(_CODES.format(check=check, how=how, given=given), "prepare", uses)


def _of(*names: str) -> dict[str, Any]:
    return {name: getattr(preprocess, name) for name in names}


def _listed(parts: list[str]) -> str:
    return ", ".join(part for part in parts if part)


_CATEGORIES = """
CATEGORIES = [
    CategoryColumn(**{field.name: one[field.name] for field in fields(CategoryColumn)})
    for one in PREPROCESS["categories"]
]
"""

_NUMBERS = """
NUMBERS = [
    NumberColumn(**{field.name: one[field.name] for field in fields(NumberColumn)})
    for one in PREPROCESS["numbers"]
]
"""

_CODES = '''
def codes_of(columns: dict[str, Any]) -> list[np.ndarray]:
    """Which of its levels each category has, (N,) int64 each."""
{check}    return [{how}(columns[one.name], {given}) for one in CATEGORIES]
'''

_REFUSE_UNSEEN = """    for one in CATEGORIES:
        if unseen_rows(columns[one.name], one).any():
            raise ValueError(f"the column {one.name!r} has a level that training never saw")
"""

_FLAGS = '''
def flags_of(columns: dict[str, Any]) -> list[np.ndarray]:
    """Which numbers are missing, (N,) bool, of columns that had missing ones in training."""
    return [np.isnan(columns[one.name]) for one in NUMBERS if one.has_flag]
'''

_DESIGN = '''
def design_of(columns: dict[str, Any]) -> np.ndarray:
    """What trees see, (N, K) float64."""
    return np.stack([{parts}], axis=1).astype(np.float64)
'''

_NET_BOTH = '''
def net_inputs_of(columns: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """What the net sees: codes (N, C) int64 and numbers (N, D) float32."""
    numbers = np.stack([{parts}], axis=1).astype(np.float32)
    return torch.from_numpy(np.stack({codes}, axis=1)), torch.from_numpy(numbers)
'''

_NET_CODES = '''
def net_inputs_of(columns: dict[str, Any]) -> tuple[Tensor]:
    """What the net sees: codes (N, C) int64."""
    return (torch.from_numpy(np.stack({codes}, axis=1)),)
'''

_NET_NUMBERS = '''
def net_inputs_of(columns: dict[str, Any]) -> tuple[Tensor]:
    """What the net sees: numbers (N, D) float32."""
    numbers = np.stack([{parts}], axis=1).astype(np.float32)
    return (torch.from_numpy(numbers),)
'''

_LINEAR = '''
def linear_of(columns: dict[str, Any]) -> np.ndarray:
    """What the linear model sees, (N, L) float64."""
{scaled}{flags}
    wide = [values[:, None] for values in parts]
{dummies}    return np.concatenate(wide, axis=1, dtype=np.float64)
'''

_DUMMIES = """    for one, codes in zip(CATEGORIES, {codes}, strict=True):
        wide.append(level_dummies(codes, len(one.levels)))
"""
