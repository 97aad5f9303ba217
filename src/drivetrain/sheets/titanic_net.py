"""The net of the workbook `titanic`: every step in cells, and its first step passenger by passenger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from drivetrain.sheets.layout import central, heads, settings
from drivetrain.sheets.passengers import FEATURES, Table
from drivetrain.sheets.places import at, block
from drivetrain.sheets.titanic_cells import (
    AFTER,
    COUNT,
    NET,
    SEEN,
    STEPS_TOP,
    TITLES,
    TOP,
    put_scores,
)
from drivetrain.sheets.titanic_models import NET_STEPS, NetPath
from drivetrain.sheets.workbook import Sheet

_BIAS, _SECOND, _LAST = 2 + COUNT, 3 + COUNT, 4 + COUNT
"""Columns on the net's sheet: bias of a neuron, its weight in the second layer, the last bias."""


def _neuron(row: int, part: str) -> str:
    """What a neuron gets before its ReLU, of all rows of a part."""
    return f"(MMULT(x_{part},TRANSPOSE({block(row, 2, 1, COUNT)}))+{at(row, _BIAS, fix='both')})"


def _prediction(row: int, part: str) -> str:
    """The net's output of all rows of a part; a step's two neurons stand in this row and the next."""
    terms = []
    for i in range(2):
        z = _neuron(row + i, part)
        terms.append(f"{at(row + i, _SECOND, fix='both')}*{z}*({z}>0)")
    return f"({terms[0]}+{terms[1]}+{at(row, _LAST, fix='both')})"


def write_net(sheet: Sheet, path: NetPath, lr: float) -> None:
    """Two rows a step, one a neuron."""
    sheet.text(0, 0, "Two neurons, and a second layer that is seen", style="title")
    sheet.text(
        1,
        0,
        "prediction = v1 · max(0, x · w1 + b1) + v2 · max(0, x · w2 + b2) + c. z · (z > 0) is "
        "max(0, z). A step's rows are those two above, less lr times the slopes.",
    )
    sheet.text(2, 0, "lr")
    sheet.input(2, 2, lr, name="lr_net", note="above 0")
    heads(sheet, STEPS_TOP - 1, 0, ("step", "neuron", *FEATURES, "bias", "v", "c", *TITLES))
    for k in range(NET_STEPS + 1):
        top = STEPS_TOP + 2 * k
        before = top - 2
        error = f"({_prediction(before, 'train')}-y_train)"
        sheet.number(top, 0, k, style="index")
        for i in range(2):
            row = top + i
            sheet.number(row, 1, i + 1, style="index")
            weights = path.first[k, i]
            if not k:
                sheet.inputs(row, 2, [[*weights.tolist(), float(path.second[0, i])]])
                continue
            z, v = _neuron(before + i, "train"), at(before + i, _SECOND, fix="both")
            back = f"2*{error}*{v}*({z}>0)"
            old = block(before + i, 2, 1, COUNT)
            slopes = f"TRANSPOSE(MMULT(TRANSPOSE(x_train),{back}))/n_train"
            sheet.array(row, 2, 1, COUNT, f"{old}-lr_net*{slopes}", [weights[:COUNT].tolist()])
            for column, slope, value in (
                (_BIAS, back, weights[COUNT]),
                (_SECOND, f"2*{error}*{z}*({z}>0)", path.second[k, i]),
            ):
                formula = f"{at(before + i, column)}-lr_net*SUM({slope})/n_train"
                sheet.array(row, column, 1, 1, formula, [[float(value)]])
        if k:
            formula = f"{at(before, _LAST)}-lr_net*SUM(2*{error})/n_train"
            sheet.array(top, _LAST, 1, 1, formula, [[float(path.second[k, 2])]])
        else:
            sheet.inputs(top, _LAST, [[float(path.second[0, 2])]])

        def predictions(part: str, row: int = top) -> str:
            return _prediction(row, part)

        put_scores(sheet, top, AFTER, predictions, path.scores[k], squared=True)
        for j, title in enumerate(TITLES):
            sheet.check(f"{title} after step {k}", at(top, AFTER + j), path.scores[k, j])
        for name, cell, value in (
            *((f"v{i + 1}", at(top + i, _SECOND), path.second[k, i]) for i in range(2)),
            ("c", at(top, _LAST), path.second[k, 2]),
        ):
            sheet.check(f"{name} after step {k}", cell, value)
        if k % 20 == 0:
            for i in range(2):
                for j, name in enumerate((*FEATURES, "bias")):
                    label = f"neuron {i + 1}, {name} after step {k}"
                    sheet.check(label, at(top + i, 2 + j), path.first[k, i, j])
    sheet.freeze(STEPS_TOP, 2)


def write_first_step(sheet: Sheet, seen: Table, net: NetPath) -> None:
    """The net's first step over the rows learnt from, and its 29 slopes beside those by differences."""
    n = seen.train
    sheet.text(0, 0, "The net's first step, passenger by passenger", style="title")
    sheet.text(
        1,
        0,
        "z = x · w + b, h = max(0, z); p = v1·h1 + v2·h2 + c. Back: e = 2·(p - y) goes to c, "
        "e·h to v, e·v where z > 0 to the bias, and that times x to each weight; their "
        "means are the slopes.",
    )
    settings(sheet, 2, 0, [("h, of differences", "h", 1e-5, "small, not 0")])
    rows = [STEPS_TOP, STEPS_TOP + 1]
    v = [at(row, _SECOND, sheet=NET) for row in rows]
    c = at(rows[0], _LAST, sheet=NET)
    top = 7
    heads(
        sheet,
        top - 1,
        0,
        ("row", "y", "z1", "z2", "h1", "h2", "p", "(p - y)²", "e", "back 1", "back 2"),
    )
    z = seen.x[:n] @ net.first[0, :, :COUNT].T + net.first[0, :, COUNT]
    hidden = z.relu()
    p = hidden @ net.second[0, :2] + net.second[0, 2]
    y = seen.y[:n]
    e = 2 * (p - y)
    for i in range(n):
        row = top + i
        passenger = TOP + i
        features = block(passenger, 2, 1, COUNT, sheet=SEEN)
        sheet.formula(row, 0, at(passenger, 0, sheet=SEEN), _row_number(sheet, passenger))
        sheet.formula(row, 1, at(passenger, 1, sheet=SEEN), y[i])
        for k in range(2):
            weights, bias = block(rows[k], 2, 1, COUNT, sheet=NET), at(rows[k], _BIAS, sheet=NET)
            sheet.formula(row, 2 + k, f"SUMPRODUCT({features},{weights})+{bias}", z[i, k])
            sheet.formula(row, 4 + k, f"MAX(0,{at(row, 2 + k)})", hidden[i, k])
            back = e[i] * net.second[0, k] * (z[i, k] > 0)
            sheet.formula(row, 9 + k, f"IF({at(row, 2 + k)}>0,{at(row, 8)}*{v[k]},0)", back)
        sheet.formula(row, 6, f"{v[0]}*{at(row, 4)}+{v[1]}*{at(row, 5)}+{c}", p[i])
        sheet.formula(row, 7, f"({at(row, 6)}-{at(row, 1)})^2", (p[i] - y[i]) ** 2)
        sheet.formula(row, 8, f"2*({at(row, 6)}-{at(row, 1)})", e[i])
    column = {c: block(top, c, n, 1) for c in range(1, 11)}
    left = 12
    heads(sheet, top - 1, left, ("parameter", "slope", "by differences", "torch", ""))
    names = [f"neuron {k + 1}, {name}" for k in range(2) for name in (*FEATURES, "bias")]
    for index, name in enumerate((*names, "v1", "v2", "c")):
        row = top + index
        slope, plus, minus = _slopes(index, n, column, v, c)
        losses = [f"SUMPRODUCT(({moved}-{column[1]})^2)/{n}" for moved in (plus, minus)]
        sheet.text(row, left, name)
        sheet.formula(row, left + 1, slope, net.slopes[index])
        sheet.formula(row, left + 2, central(losses[0], losses[1], "h"), net.slopes[index])
        sheet.check(f"slope of {name}", at(row, left + 1), net.slopes[index], place=(row, left + 3))
    sheet.freeze(top, 0)


def _slopes(
    index: int, n: int, column: Mapping[int, str], v: Sequence[str], c: str
) -> tuple[str, str, str]:
    """The mean slope of a parameter, and all predictions with it a little larger and smaller.

    Args:
        index: neuron 1 and its bias, neuron 2 and its bias, v1, v2, c.
        column: of the table: 1 y, 2 and 3 z, 4 and 5 h, 6 p, 8 e, 9 and 10 what comes back to z.
    """
    k, j = divmod(index, COUNT + 1)
    if k < 2:
        feature = "1" if j == COUNT else block(TOP, 2 + j, n, 1, sheet=SEEN)
        other = f"{v[1 - k]}*{column[5 - k]}"
        moved = [f"({column[2 + k]}{sign}h*{feature})" for sign in "+-"]
        plus, minus = (f"{v[k]}*{z}*({z}>0)+{other}+{c}" for z in moved)
        back = column[9 + k]
        return (
            f"SUM({back})/{n}" if j == COUNT else f"SUMPRODUCT({back},{feature})/{n}",
            plus,
            minus,
        )
    if j == 2:
        return f"SUM({column[8]})/{n}", f"{column[6]}+h", f"{column[6]}-h"
    hidden = column[4 + j]
    slope = f"SUMPRODUCT({column[8]},{hidden})/{n}"
    return slope, f"{column[6]}+h*{hidden}", f"{column[6]}-h*{hidden}"


def _row_number(sheet: Sheet, row: int) -> float:
    value = sheet.book.value(f"{SEEN}!A{row + 1}")
    assert isinstance(value, float)
    return value
