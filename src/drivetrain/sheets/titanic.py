"""The workbook `titanic`: who survived, by a linear model, a sigmoid, and a net of two neurons.

    linear       prediction = x · w                         loss = mean |prediction - y|
    sigmoid      prediction = 1 / (1 + exp(-x · w))         loss = mean |prediction - y|
    two neurons  prediction = v1·max(0, x · w1 + b1) + v2·max(0, x · w2 + b2) + c
                 loss = mean (prediction - y)²

The spreadsheet of fastai's course adds its two neurons up: its second layer is 1 and 1, without a
bias. Here v1, v2 and c are cells and learn as well. Every step is one row (two for the net) of array
formulas; `One step` takes the net's first step apart, passenger by passenger.
"""

from __future__ import annotations

import torch
from torch import Tensor

from drivetrain.errors import ConfigError
from drivetrain.sheets.layout import heads
from drivetrain.sheets.passengers import (
    COLUMNS,
    FEATURES,
    PORTS,
    Passengers,
    Table,
    made,
    read,
    table,
)
from drivetrain.sheets.places import at, block
from drivetrain.sheets.titanic_cells import (
    AFTER,
    COMPARE,
    COUNT,
    LEFT,
    LINEAR,
    NET,
    ONE,
    ROWS,
    SEEN,
    SIGMOID,
    STEPS_TOP,
    TITLES,
    TOP,
    put_scores,
    score_formulas,
)
from drivetrain.sheets.titanic_models import (
    LINEAR_STEPS,
    NET_STEPS,
    SIGMOID_STEPS,
    NetPath,
    Path,
    starts,
    trained,
    trained_net,
)
from drivetrain.sheets.titanic_net import write_first_step, write_net
from drivetrain.sheets.workbook import Sheet, Workbook
from drivetrain.store import StrPath

RIDGE = 1e-6
"""On the diagonal of least squares, so that a column of zeros does no harm."""


def build(
    *,
    data: StrPath | None = None,
    lr: float = 0.2,
    lr_sigmoid: float = 100.0,
    lr_net: float = 0.3,
    all_rows: bool = False,
    seed: int = 42,
) -> Workbook:
    """The workbook.

    Args:
        data: a CSV file with the columns of Kaggle's `train.csv`; by default 240 made rows.
        lr, lr_sigmoid, lr_net: rates of the three models, above 0.
        all_rows: divide features by the largest of all rows, the held-out ones among them, as the
            course's notebook does; its numbers come out then.
        seed: of the made rows.

    Raises: ConfigError: a rate is not above 0. DataError: the file is not such a table.
    """
    if not min(lr, lr_sigmoid, lr_net) > 0:
        raise ConfigError(f"The rates must be above 0. Got {lr}, {lr_sigmoid} and {lr_net}.")
    given = made(seed=seed) if data is None else read(data)
    seen = table(given, all_rows=all_rows)
    start, first, second = starts()
    linear = trained(seen, start, lr, LINEAR_STEPS, sigmoid=False)
    sigmoid = trained(seen, start, lr_sigmoid, SIGMOID_STEPS, sigmoid=True)
    net = trained_net(seen, first, second, lr_net)
    book = Workbook(
        "Who survived",
        f"A linear model, a sigmoid and two neurons learn from a passenger list: {given.source}.",
    )
    held = len(given.values) - given.train
    book.guide(
        what=f"'Rows' has the passengers ({given.train} to learn from, {held} held out) and "
        f"the features made of them: "
        f"{given.source}. To use the real list, take Kaggle's train.csv: drivetrain sheet "
        f"titanic --data train.csv. "
        "'Features' is what the models see. 'Compare' sets the models beside what needs no "
        "training. 'Linear', 'Sigmoid' and 'Two neurons' hold "
        "every step; 'One step' takes the net's first step apart, each slope beside one by "
        "differences.",
        change=[
            (
                "v1, v2 and c on 'Two neurons' to 1, 1 and 0",
                "The net of the course's spreadsheet: its neurons are added up. It can start "
                "so, but here the second layer learns on.",
            ),
            (
                "lr_net: 0.3 to 0.03",
                "The same way at a tenth of the speed: the loss is at 0.18 after 40 steps, not at 0.15.",
            ),
            (
                "lr_linear: 0.2 to 2",
                "The absolute error does not shrink its slopes near the best place, so the "
                "weights jump about it and the loss rises.",
            ),
            (
                "lr_sigmoid: 100 to 1",
                "A sigmoid's slopes are small: 30 steps end at a loss of 0.31, not at 0.24. "
                "A rate is large or small beside the slopes alone.",
            ),
            (
                "Sex of a passenger, from male to female",
                "On 'Rows' the features of that row change, and every model is trained anew.",
            ),
        ],
    )
    rows, features = book.sheet(ROWS), book.sheet(SEEN)
    _rows(rows, given, seen, all_rows=all_rows)
    _features(features, given, seen)
    compare = book.sheet(COMPARE)
    _simple(book.sheet(LINEAR), linear, lr, sigmoid=False)
    _simple(book.sheet(SIGMOID), sigmoid, lr_sigmoid, sigmoid=True)
    write_net(book.sheet(NET), net, lr_net)
    write_first_step(book.sheet(ONE), seen, net)
    _compare(compare, seen, linear, sigmoid, net)
    return book


# --- rows -------------------------------------------------------------------------------------------


def _rows(sheet: Sheet, given: Passengers, seen: Table, *, all_rows: bool) -> None:
    """The columns as they are, and the features made of them."""
    n = given.train
    sheet.text(0, 0, "The passengers, and the features made of them", style="title")
    sheet.text(
        1,
        0,
        f"Source: {given.source}. A missing age or port is filled by the most frequent one of "
        f"the rows learnt from.",
    )
    sheet.text(3, 0, "age that fills")
    sheet.text(4, 0, "port that fills")
    sheet.text(
        5,
        0,
        "all_rows: 1 divides by the largest of all rows, as the course does; 0 by that of the "
        "rows learnt from",
    )
    sheet.input(5, 10, float(all_rows), name="all_rows", note="0 or 1")
    age, port = (COLUMNS.index(name) + 1 for name in ("Age", "Embarked"))
    same = LEFT + COUNT
    counts, ages = block(TOP, same, n, 1), block(TOP, age, n, 1)
    sheet.array(3, 3, 1, 1, f"MIN(IF({counts}=MAX({counts}),IF({counts}>0,{ages})))", [[seen.age]])
    known = block(TOP, port, n, 1)
    per_port = [f'COUNTIF({known},"{name}")' for name in PORTS]
    most = f"MAX({','.join(per_port)})"
    first, second, third = PORTS
    filled = f'IF({per_port[0]}={most},"{first}",IF({per_port[1]}={most},"{second}","{third}"))'
    sheet.formula(4, 3, filled, seen.port)
    age_fill, port_fill = at(3, 3, fix="both"), at(4, 3, fix="both")
    heads(sheet, TOP - 1, 0, ("row", *COLUMNS, "used to", *FEATURES, "same age"))
    for i, row_values in enumerate(given.values):
        row = TOP + i
        sheet.number(row, 0, given.numbers[i], style="index")
        sheet.text(row, LEFT - 1, "learn" if i < n else "hold out")
        cell = {name: at(row, 1 + j) for j, name in enumerate(COLUMNS)}
        formulas = {
            "Female": f'IF({cell["Sex"]}="female",1,0)',
            "Male": f'IF({cell["Sex"]}="male",1,0)',
            "Age": f'IF({cell["Age"]}="",{age_fill},{cell["Age"]})',
            "SibSp": cell["SibSp"],
            "Parch": cell["Parch"],
            "log Fare": f"LN({cell['Fare']}+1)",
        }
        formulas |= {f"Class {k}": f"IF({cell['Pclass']}={k},1,0)" for k in (1, 2, 3)}
        embarked = f'IF({cell["Embarked"]}="",{port_fill},{cell["Embarked"]})'
        formulas |= {f"Port {name}": f'IF({embarked}="{name}",1,0)' for name in PORTS}
        for j, name in enumerate(FEATURES):
            sheet.formula(row, LEFT + j, formulas[name], seen.raw[i, j])
        if i < n:
            value = row_values[age - 1]
            alike = (
                sum(other[age - 1] == value for other in given.values[:n])
                if value is not None
                else 0
            )
            formula = f'IF({at(row, age)}="",0,COUNTIF({ages},{at(row, age)}))'
            sheet.formula(row, same, formula, float(alike))
    sheet.inputs(TOP, 1, given.values)
    sheet.check("the age that fills", at(3, 3), seen.age)
    sheet.freeze(TOP, 1)


def _features(sheet: Sheet, given: Passengers, seen: Table) -> None:
    """The features divided by their largest, as the models see them."""
    n, count = given.train, len(given.values)
    sheet.text(0, 0, "What the models see: every feature divided by its largest", style="title")
    sheet.text(
        1,
        0,
        "x_train and y_train, x_held and y_held are names of these cells. The three features "
        "in front follow from the others and the 1.",
    )
    sheet.text(3, 0, "learnt from")
    sheet.formula(3, 1, "ROWS(y_train)", float(n))
    sheet.define("n_train", 3, 1)
    sheet.text(TOP - 2, 0, "largest")
    heads(sheet, TOP - 1, 0, ("row", "Survived", *FEATURES, "one"))
    for j in range(COUNT):
        few, every = (block(TOP, LEFT + j, rows, 1, sheet=ROWS) for rows in (n, count))
        largest = f"MAX(IF(all_rows=1,MAX({every}),MAX({few})),0)"
        sheet.formula(TOP - 2, 2 + j, f"IF({largest}=0,1,{largest})", seen.largest[j])
    for i in range(count):
        row = TOP + i
        sheet.number(row, 0, given.numbers[i], style="index")
        sheet.formula(row, 1, at(row, 1, sheet=ROWS), seen.y[i])
        for j in range(COUNT):
            formula = f"{at(row, LEFT + j, sheet=ROWS)}/{at(TOP - 2, 2 + j, fix='row')}"
            sheet.formula(row, 2 + j, formula, seen.x[i, j])
        sheet.number(row, 2 + COUNT, 1)
    for name, top, rows in (("train", TOP, n), ("held", TOP + n, count - n)):
        sheet.define(f"x_{name}", top, 2, rows, COUNT)
        sheet.define(f"y_{name}", top, 1, rows)
        sheet.define(f"base_{name}", top, 5, rows, COUNT - 2)  # nine features and the one
    for j, name in enumerate(FEATURES):
        area = block(TOP, 2 + j, count, 1)
        sheet.check(f"mean of {name}", f"AVERAGE({area})", seen.x[:, j].mean())
    sheet.freeze(TOP, 2)


# --- models -----------------------------------------------------------------------------------------


def _simple(sheet: Sheet, path: Path, lr: float, *, sigmoid: bool) -> None:
    """A row a step: twelve weights by one array formula, then loss and accuracy of both parts."""
    kind = "sigmoid" if sigmoid else "linear"
    sheet.text(0, 0, "Linear, through a sigmoid" if sigmoid else "Linear", style="title")
    rule = (
        "slope of w = mean of sign(p - y) · p · (1 - p) · x, with p = (1 + tanh(z/2)) / 2, "
        "which is the sigmoid without overflow"
        if sigmoid
        else "slope of w = mean of sign(x · w - y) · x, which is the slope of the mean |x · w - y|"
    )
    sheet.text(1, 0, f"A row is the row above less lr times the slopes: {rule}.")
    sheet.text(2, 0, "lr")
    sheet.input(2, 1, lr, name=f"lr_{kind}", note="above 0")
    heads(sheet, STEPS_TOP - 1, 0, ("step", *FEATURES, *TITLES))
    for k in range(len(path.weights)):
        row = STEPS_TOP + k
        sheet.number(row, 0, k, style="index")
        own, before = block(row, 1, 1, COUNT), block(row - 1, 1, 1, COUNT)

        def predictions(part: str, weights: str = own) -> str:
            z = f"MMULT(x_{part},TRANSPOSE({weights}))"
            return f"((1+TANH({z}/2))/2)" if sigmoid else z

        if k:
            p = predictions("train", before)
            signs = f"SIGN({p}-y_train)" + (f"*{p}*(1-{p})" if sigmoid else "")
            slopes = f"TRANSPOSE(MMULT(TRANSPOSE(x_train),{signs}))/n_train"
            sheet.array(
                row, 1, 1, COUNT, f"{before}-lr_{kind}*{slopes}", [path.weights[k].tolist()]
            )
        else:
            sheet.inputs(row, 1, [path.weights[0].tolist()])
        put_scores(sheet, row, 1 + COUNT, predictions, path.scores[k], squared=False)
        for j, name in enumerate(FEATURES):
            if k and k % 6 == 0:
                sheet.check(f"weight of {name} after step {k}", at(row, 1 + j), path.weights[k, j])
        for j, title in enumerate(TITLES):
            sheet.check(f"{title} after step {k}", at(row, 1 + COUNT + j), path.scores[k, j])
    steps = len(path.weights)
    series = [
        (title, block(STEPS_TOP, 1 + COUNT + c, steps, 1))
        for title, c in (("loss", 0), ("held out", 2))
    ]
    place = (STEPS_TOP + steps + 1, 0)
    sheet.chart("Loss", series, x=block(STEPS_TOP, 0, steps, 1), place=place, size=(700, 280))
    sheet.freeze(STEPS_TOP, 1)


# --- what they are compared with ----------------------------------------------------------------------


def _compare(sheet: Sheet, seen: Table, linear: Path, sigmoid: Path, net: NetPath) -> None:
    sheet.text(0, 0, "The models beside what needs no training", style="title")
    sheet.text(
        1,
        0,
        "Accuracy: share of passengers on the right side of 0.5. ± is one standard error of "
        "the held-out share: models closer than that cannot be told apart by these rows.",
    )
    heads(
        sheet,
        3,
        0,
        ("", "accuracy", "accuracy, held out", "±", "loss, last", "loss, held out, last"),
    )
    train, held = slice(seen.train), slice(seen.train, None)
    base = torch.cat([seen.x[:, 3:], torch.ones(len(seen.y), 1, dtype=torch.float64)], dim=1)
    normal = base[train].T @ base[train] + RIDGE * torch.eye(COUNT - 2, dtype=torch.float64)
    best = torch.linalg.solve(normal, base[train].T @ seen.y[train])
    survived = (seen.y[train].mean() > 0.5).double()
    lines: list[tuple[str, Tensor, str]] = [
        (
            "everybody alike: the more frequent answer",
            survived.expand(len(seen.y)),
            "IF(AVERAGE(y_train)>0.5,1,0)+0*y_{0}",
        ),
        ("women survive, men do not", seen.raw[:, 0], "INDEX(x_{0},0,1)"),
        (
            "least squares, solved at once",
            base @ best,
            f"MMULT(base_{{0}},{block(16, 1, COUNT - 2, 1)})",
        ),
    ]
    accuracies: list[tuple[str, Tensor]] = []
    for row, (name, predictions, formula) in enumerate(lines, start=4):
        sheet.text(row, 0, name)
        for place, (part, rows) in enumerate((("train", train), ("held", held))):
            _, right = score_formulas(formula.format(part), part, squared=True)
            value = ((predictions[rows] > 0.5) == (seen.y[rows] > 0.5)).double().mean()
            sheet.array(row, 1 + place, 1, 1, right, [[float(value)]])
            sheet.check(f"{name}: accuracy, {part}", at(row, 1 + place), value)
        accuracies.append(
            (name, ((predictions[held] > 0.5) == (seen.y[held] > 0.5)).double().mean())
        )
    models = (
        (
            f"linear, {LINEAR_STEPS} steps",
            LINEAR,
            STEPS_TOP + LINEAR_STEPS,
            1 + COUNT,
            linear.scores[-1],
        ),
        (
            f"sigmoid, {SIGMOID_STEPS} steps",
            SIGMOID,
            STEPS_TOP + SIGMOID_STEPS,
            1 + COUNT,
            sigmoid.scores[-1],
        ),
        (
            f"two neurons, {NET_STEPS} steps",
            NET,
            STEPS_TOP + 2 * NET_STEPS,
            AFTER,
            net.scores[-1],
        ),
    )
    for row, (name, source, last, left, scores) in enumerate(models, start=7):
        sheet.text(row, 0, name)
        for column, place in ((1, 1), (2, 3), (4, 0), (5, 2)):
            sheet.formula(row, column, at(last, left + place, sheet=source), scores[place])
        accuracies.append((name, scores[3]))
    for row, (_, share) in enumerate(accuracies, start=4):
        own = at(row, 2)
        value = (share * (1 - share) / (len(seen.y) - seen.train)).sqrt()
        sheet.formula(row, 3, f"SQRT({own}*(1-{own})/ROWS(y_held))", value)
    sheet.text(13, 0, "Least squares: weights w with (XᵀX + ridge) · w = Xᵀy", style="head")
    sheet.text(
        14,
        0,
        f"Of the features without those that follow from others, and a 1; ridge = {RIDGE:.6f} "
        f"on the diagonal.",
        style="note",
    )
    heads(sheet, 15, 0, ("feature", "weight", "Xᵀy", "XᵀX + ridge"))
    names = (*FEATURES[3:], "one")
    size = len(names)
    for i, name in enumerate(names):
        sheet.text(16 + i, 0, name)
        one = f"INDEX(base_train,0,{i + 1})"
        sheet.formula(16 + i, 2, f"SUMPRODUCT({one},y_train)", (base[train].T @ seen.y[train])[i])
        for j in range(size):
            formula = f"SUMPRODUCT({one},INDEX(base_train,0,{j + 1}))" + (
                f"+{RIDGE:.6f}" if i == j else ""
            )
            sheet.formula(16 + i, 3 + j, formula, normal[i, j])
    solved = f"MMULT(MINVERSE({block(16, 3, size, size)}),{block(16, 2, size, 1)})"
    sheet.array(16, 1, size, 1, solved, best[:, None].tolist())
    for i, name in enumerate(names):
        sheet.check(f"least squares, weight of {name}", at(16 + i, 1), best[i])
    _curve(sheet, net, 16 + size + 2)


def _curve(sheet: Sheet, net: NetPath, top: int) -> None:
    """The net's loss, one row a step, for the chart."""
    heads(sheet, top - 1, 0, ("step of the net", "loss", "held out"))
    for k in range(NET_STEPS + 1):
        sheet.number(top + k, 0, k, style="index")
        for place, column in ((1, 0), (2, 2)):
            cell = at(STEPS_TOP + 2 * k, AFTER + column, sheet=NET)
            sheet.formula(top + k, place, cell, net.scores[k, column])
    count = NET_STEPS + 1
    series = [("learnt from", block(top, 1, count, 1)), ("held out", block(top, 2, count, 1))]
    sheet.chart(
        "Loss of the two neurons",
        series,
        x=block(top, 0, count, 1),
        place=(top, 4),
        size=(560, 320),
    )
