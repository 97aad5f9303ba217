"""Targets and the split in a script of a table: the functions of the library, for what the run has."""

from __future__ import annotations

from typing import Any

import numpy as np

from drivetrain.data import split as splits
from drivetrain.data.frame import Factor
from drivetrain.eject.known import Known
from drivetrain.eject.seeds import split_seed
from drivetrain.eject.text import edited
from drivetrain.errors import EjectError
from drivetrain.tabular import preprocess
from drivetrain.tabular.ejecting.data import TableWriter

MOST_ROWS = 5000
"""Positions of validation rows that a script lists."""

SPLIT = "drivetrain.data.split"


def targets_of(table: TableWriter, uses: dict[str, Any]) -> list[str]:
    """Statements that make `targets` of `columns`, and leave out rows that have none."""
    goal, lines = table.goal, list[str]()
    if goal.kind == "class":
        labels = "columns.pop(TARGET)"
        if table.has_no_target:
            known = "labels.codes >= 0" if table.is_of_words else "~np.isnan(labels)"
            lines += [f"labels = {labels}", *_with_target(known, "labels")]
            labels = "labels"
        if table.is_of_words:
            uses["level_codes"] = preprocess.level_codes
            return [*lines, f"targets = level_codes({labels}, CLASSES) - 1"]
        found = f"np.searchsorted(CLASSES, {labels})"
        if table.has_new_classes:
            if labels != "labels":
                lines.append(f"labels = {labels}")
            found = "np.searchsorted(CLASSES, labels)"
            found = f"np.where(np.isin(labels, CLASSES), {found}, -1)"
        return [*lines, f"targets = {found}"]
    is_one = len(goal.names) == 1
    taken = (
        "columns.pop(TARGET)"
        if is_one
        else "np.stack([columns.pop(name) for name in TARGETS], axis=1)"
    )
    why = "  # what is learnt is log(1 + y)"
    if table.has_no_target:
        known = "~np.isnan(targets)" if is_one else "~np.isnan(targets).any(axis=1)"
        lines += [f"targets = {taken}", *_with_target(known, "targets")]
        return [*lines, f"targets = np.log1p(targets){why}"] if goal.is_log else lines
    return [f"targets = np.log1p({taken}){why}" if goal.is_log else f"targets = {taken}"]


def split_of(table: TableWriter, uses: dict[str, Any]) -> list[str]:
    """Statements that make `train` and `valid`, positions of rows."""
    data = table.data
    method, share = data.split.method, data.recipe["valid"]
    why = table.reason("split")
    table.instead[f"{SPLIT}:split_by_mask"] = (  # a script goes on with the mask
        "def split_by_mask(is_valid, method='given'):\n    return is_valid\n"
    )
    lines = []
    if method == "given":
        rows = _given_rows(table)
        among = " among those that are not left out" if table.corrections.left_out else ""
        table.setting("VALID_ROWS", rows, f"positions of the rows that validate, from 0{among}")
        places = "np.flatnonzero(is_known)" if table.has_no_target else "np.arange(len(targets))"
        lines.append(f"is_valid = np.isin({places}, VALID_ROWS)")
    elif isinstance(share, str):
        table.setting("VALID_FROM", share, why)
        lines.append("is_valid = columns[TIME] >= np.datetime64(VALID_FROM)")
    else:
        table.setting("VALID", share, why)
        seed = "" if method == "time" else split_seed(data.recipe, table.seed, table.setting)
        options = f"valid=VALID, seed={seed}"
        made = {
            "stratified": f"stratified_codes(targets, {options})",
            "random": f"random_split(len(targets), {options})",
            "time": "time_split(columns[TIME], valid=VALID)",
            "group": f"group_split(groups, {options})",
        }[method]
        function = getattr(splits, made.partition("(")[0])
        uses[function.__name__] = function
        _know_split(table)
        if method == "group":
            lines += _group_codes(table)
        lines.append(f"is_valid = {made}")
    for constant in ("TIME", "GROUPS"):
        if constant in table.bases and not (constant == "GROUPS" and method == "group"):
            lines.append(f"del columns[{constant}]")
    new = " & (targets >= 0)" if table.has_new_classes else ""
    comment = "  # no model can name a class that training has not" if new else ""
    lines.append(
        f"train, valid = np.flatnonzero(~is_valid), np.flatnonzero(is_valid{new}){comment}"
    )
    return lines


def _with_target(known: str, name: str) -> list[str]:
    return [
        f"is_known = {known}  # rows without a target are left out",
        "columns = {name: values[is_known] for name, values in columns.items()}",
        f"{name} = {name}[is_known]",
    ]


def _given_rows(table: TableWriter) -> Any:
    left_out = np.array(table.corrections.left_out, dtype=np.int64)
    asked = [
        row - int(np.searchsorted(left_out, row))
        for row in sorted(set(table.data.recipe["valid"]) - set(left_out.tolist()))
    ]
    if table.is_ragged:
        raise EjectError(
            "The validation rows were given by their positions, and rows that cannot be read are "
            "among those that are counted. Take these out of the file, and train anew."
        )
    if asked and asked == list(range(asked[0], asked[-1] + 1)):
        return range(asked[0], asked[-1] + 1)
    if len(asked) > MOST_ROWS:
        raise EjectError(
            f"The {len(asked):,} validation rows were given by their positions, which are too many "
            "to write into a script. Split by a date, a group or a share."
        )
    return tuple(asked)


def _group_codes(table: TableWriter) -> list[str]:
    """Statements that give each group its number, the same as in the run."""
    name = table.groups
    assert name is not None, "the run was split by group"
    column = table.reading.frame[name]
    taken = "columns.pop(GROUPS)" if "GROUPS" in table.bases else "columns[GROUPS]"
    is_words = isinstance(column, Factor)
    if (column.codes < 0 if is_words else column != column).any():
        raise EjectError(
            f"Rows without a '{name}' are a group each, which a script does not do yet. Fill the "
            "column, and train anew."
        )
    if not is_words:
        return [f"groups = np.unique({taken}, return_inverse=True)[1]"]
    for key in ("", ", key=float"):
        try:
            order = sorted(column.levels, key=float if key else None)
        except ValueError:
            continue
        if order == list(column.levels):
            made = f"groups.recoded(sorted(groups.levels{key})).codes.astype(np.int64)"
            return [f"groups = {taken}", f"groups = {made}"]
    raise EjectError(
        f"A script cannot number the groups of '{name}' as the run did. Split by another column."
    )


def _know_split(table: TableWriter) -> None:
    """What is known of the library's functions that split."""
    plain = {
        "    codes = np.asarray(codes)\n": "",
        "    times = np.asarray(times)\n": "",
        "-> Split:": "-> np.ndarray:",
    }
    for function, words in _SAID.items():
        table.instead[f"{SPLIT}:{function.__name__}"] = edited(function, plain, words)
    targets = table.data.targets
    if (
        table.data.split.method == "stratified"
        and np.unique(targets, return_counts=True)[1].min() > 1
    ):
        table.known[f"{SPLIT}:stratified_codes"] = {"len(members) > 1": Known(True)}
    if table.time is not None:
        times = table.reading.frame[table.time]
        is_date = not isinstance(times, Factor) and times.dtype.kind == "M"
        table.known[f"{SPLIT}:distinct_times"] = {"times.dtype.kind == 'M'": Known(is_date)}


_SAID = {
    splits.stratified_codes: "The same share of every class validates: (N,) bool.",
    splits.random_split: "A share of the rows validates: (N,) bool.",
    splits.time_split: "The last rows in time validate: (N,) bool. Rows of one time stay together.",
    splits.group_split: "A share of the rows validates, groups as a whole: (N,) bool.",
    splits.distinct_times: "Times in order, the rows of each, and where a row stands: -1 without one.",
}
"""What functions that split give in a script."""
