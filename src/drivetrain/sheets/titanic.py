"""The workbook `titanic`: who survived, by a linear model, a sigmoid, and a net of two neurons.

    linear       prediction = x · w                         loss = mean |prediction - y|
    sigmoid      prediction = 1 / (1 + exp(-x · w))         loss = mean |prediction - y|
    two neurons  prediction = v1·max(0, x · w1 + b1) + v2·max(0, x · w2 + b2) + c
                 loss = mean (prediction - y)²

The spreadsheet of fastai's course adds its two neurons up: its second layer is 1 and 1, without a bias. Here
v1, v2 and c are cells and learn as well. Every step is one row (two for the net) of array formulas;
`One step` takes the net's first step apart, passenger by passenger.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from drivetrain.errors import ConfigError
from drivetrain.sheets.layout import heads, settings
from drivetrain.sheets.passengers import COLUMNS, FEATURES, PORTS, Passengers, Table, made, read, table
from drivetrain.sheets.places import at, block
from drivetrain.sheets.workbook import Sheet, Workbook
from drivetrain.store import StrPath

LINEAR_STEPS, SIGMOID_STEPS, NET_STEPS = 18, 30, 40
ROWS, SEEN, COMPARE, LINEAR, SIGMOID = "Rows", "Features", "Compare", "Linear", "Sigmoid"
NET, ONE = "Two neurons", "One step"

COUNT = len(FEATURES)
RIDGE = 1e-6
_TOP = 8
"""First row of passengers on the sheet of rows."""
_LEFT = len(COLUMNS) + 2
"""First column of features there; on the sheet of features it is the third."""
_STEPS_TOP = 5


@dataclass(frozen=True)
class Path:
    """Weights while they learn, by torch, float64: row k is after k steps."""

    weights: Tensor  # (steps + 1, 12)
    scores: Tensor  # (steps + 1, 4): loss and accuracy of the rows learnt from, then of those held out


@dataclass(frozen=True)
class NetPath:
    """A net while it learns."""

    first: Tensor  # (steps + 1, 2, 13): weights and bias of each neuron
    second: Tensor  # (steps + 1, 3): v1, v2, c
    scores: Tensor  # (steps + 1, 4)
    slopes: Tensor  # (29,) of the first step: neuron 1, neuron 2, v1, v2, c


def scored(predictions: Tensor, given: Table, loss: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """(4,) loss and accuracy of the rows learnt from, then of those held out."""
    found: list[Tensor] = []
    for part in (slice(given.train), slice(given.train, None)):
        p, y = predictions[part], given.y[part]
        found += [loss(p, y), ((p > 0.5) == (y > 0.5)).double().mean()]
    return torch.stack(found).detach()


def trained(given: Table, start: Tensor, lr: float, steps: int, *, sigmoid: bool) -> Path:
    """A linear model, with or without a sigmoid, by torch's SGD on the mean absolute error."""
    weights = start.clone().requires_grad_()
    optimizer = torch.optim.SGD([weights], lr=lr)
    loss = nn.L1Loss()
    rows: list[Tensor] = []
    scores: list[Tensor] = []
    for _ in range(steps + 1):
        predictions = given.x @ weights
        predictions = predictions.sigmoid() if sigmoid else predictions
        rows.append(weights.detach().clone())
        scores.append(scored(predictions, given, loss))
        optimizer.zero_grad()
        loss(predictions[: given.train], given.y[: given.train]).backward()
        optimizer.step()
    return Path(torch.stack(rows), torch.stack(scores))


def trained_net(given: Table, first: Tensor, second: Tensor, lr: float) -> NetPath:
    """Two ReLU neurons and a linear one, by torch's SGD on the mean squared error."""
    net = nn.Sequential(nn.Linear(COUNT, 2), nn.ReLU(), nn.Linear(2, 1)).double()
    hidden, last = net[0], net[2]
    assert isinstance(hidden, nn.Linear) and isinstance(last, nn.Linear)
    with torch.no_grad():
        hidden.weight.copy_(first[:, :COUNT])
        hidden.bias.copy_(first[:, COUNT])
        last.weight.copy_(second[None, :2])
        last.bias.copy_(second[2:])
    optimizer, loss = torch.optim.SGD(net.parameters(), lr=lr), nn.MSELoss()
    kept: list[tuple[Tensor, Tensor, Tensor]] = []
    slopes: Tensor | None = None
    for _ in range(NET_STEPS + 1):
        predictions = net(given.x)[:, 0]
        one = torch.cat([hidden.weight, hidden.bias[:, None]], dim=1).detach()
        two = torch.cat([last.weight[0], last.bias]).detach()
        kept.append((one, two, scored(predictions, given, loss)))
        optimizer.zero_grad()
        loss(predictions[: given.train], given.y[: given.train]).backward()
        if slopes is None:
            grads = [p.grad for p in (hidden.weight, hidden.bias, last.weight, last.bias)]
            w, b, v, c = (g.clone() for g in grads if g is not None)
            slopes = torch.cat([w[0], b[:1], w[1], b[1:], v[0], c])
        optimizer.step()
    assert slopes is not None
    return NetPath(*(torch.stack(column) for column in zip(*kept, strict=True)), slopes)


def starts() -> tuple[Tensor, Tensor, Tensor]:
    """Where the weights begin: of the linear models (12,) as in the course's notebook, and of the net."""
    drawn = torch.rand(COUNT, generator=torch.Generator().manual_seed(442)).double() - 0.5
    order = (
        *("Age", "SibSp", "Parch", "log Fare", "Male", "Female"),
        *("Class 1", "Class 2", "Class 3", "Port C", "Port Q", "Port S"),
    )
    linear = torch.stack([drawn[order.index(name)] for name in FEATURES])
    generator = torch.Generator().manual_seed(8)
    first = (torch.rand(2, COUNT + 1, generator=generator, dtype=torch.float64) - 0.5).round(decimals=3)
    return linear, first, torch.tensor([0.5, 0.5, 0.0], dtype=torch.float64)


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
        what=f"'Rows' has the passengers ({given.train} to learn from, {held} held out) and the features made of them: "
        f"{given.source}. To use the real list, take Kaggle's train.csv: drivetrain sheet titanic --data train.csv. "
        "'Features' is what the models see. 'Compare' sets the models beside what needs no training. 'Linear', 'Sigmoid' and 'Two neurons' hold "
        "every step; 'One step' takes the net's first step apart, each slope beside one by differences.",
        change=[
            (
                "v1, v2 and c on 'Two neurons' to 1, 1 and 0",
                "The net of the course's spreadsheet: its neurons are added up. It can start so, but here "
                "the second layer learns on.",
            ),
            (
                "lr_net: 0.3 to 0.03",
                "The same path, walked at a tenth of the speed: 40 steps are not enough.",
            ),
            (
                "lr_linear: 0.2 to 2",
                "The absolute error does not shrink its slopes near the best place, so the weights jump "
                "about it and the loss rises.",
            ),
            (
                "lr_sigmoid: 100 to 1",
                "A sigmoid's slopes are small, and so are the features: at a rate that suits the linear "
                "model hardly anything moves.",
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
    _net(book.sheet(NET), net, lr_net)
    _one(book.sheet(ONE), seen, net)
    _compare(compare, seen, linear, sigmoid, net)
    return book


# --- rows -------------------------------------------------------------------------------------------


def _rows(sheet: Sheet, given: Passengers, seen: Table, *, all_rows: bool) -> None:
    """The columns as they are, and the features made of them."""
    n = given.train
    sheet.text(0, 0, "The passengers, and the features made of them", style="title")
    sheet.text(1, 0, f"Source: {given.source}. A missing age or port is filled by the most frequent one of the rows learnt from.")
    sheet.text(3, 0, "age that fills")
    sheet.text(4, 0, "port that fills")
    sheet.text(5, 0, "all_rows: 1 divides by the largest of all rows, as the course does; 0 by that of the rows learnt from")
    sheet.input(5, 10, float(all_rows), name="all_rows", note="0 or 1")
    age, port = (COLUMNS.index(name) + 1 for name in ("Age", "Embarked"))
    same = _LEFT + COUNT
    counts, ages = block(_TOP, same, n, 1), block(_TOP, age, n, 1)
    sheet.array(3, 3, 1, 1, f"MIN(IF({counts}=MAX({counts}),IF({counts}>0,{ages})))", [[seen.age]])
    known = block(_TOP, port, n, 1)
    per_port = [f'COUNTIF({known},"{name}")' for name in PORTS]
    most = f"MAX({','.join(per_port)})"
    first, second, third = PORTS
    filled = f'IF({per_port[0]}={most},"{first}",IF({per_port[1]}={most},"{second}","{third}"))'
    sheet.formula(4, 3, filled, seen.port)
    age_fill, port_fill = at(3, 3, fix="both"), at(4, 3, fix="both")
    heads(sheet, _TOP - 1, 0, ("row", *COLUMNS, "used to", *FEATURES, "same age"))
    for i, row_values in enumerate(given.values):
        row = _TOP + i
        sheet.number(row, 0, given.numbers[i], style="index")
        sheet.text(row, _LEFT - 1, "learn" if i < n else "hold out")
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
            sheet.formula(row, _LEFT + j, formulas[name], seen.raw[i, j])
        if i < n:
            value = row_values[age - 1]
            alike = sum(other[age - 1] == value for other in given.values[:n]) if value is not None else 0
            formula = f'IF({at(row, age)}="",0,COUNTIF({ages},{at(row, age)}))'
            sheet.formula(row, same, formula, float(alike))
    sheet.inputs(_TOP, 1, given.values)
    sheet.check("the age that fills", at(3, 3), seen.age)
    sheet.freeze(_TOP, 1)


def _features(sheet: Sheet, given: Passengers, seen: Table) -> None:
    """The features divided by their largest, as the models see them."""
    n, count = given.train, len(given.values)
    sheet.text(0, 0, "What the models see: every feature divided by its largest", style="title")
    sheet.text(1, 0, "x_train and y_train, x_held and y_held are names of these cells. The three features in front follow from the others and the 1.")
    sheet.text(3, 0, "learnt from")
    sheet.formula(3, 1, "ROWS(y_train)", float(n))
    sheet.define("n_train", 3, 1)
    sheet.text(_TOP - 2, 0, "largest")
    heads(sheet, _TOP - 1, 0, ("row", "Survived", *FEATURES, "one"))
    for j in range(COUNT):
        few, every = (block(_TOP, _LEFT + j, rows, 1, sheet=ROWS) for rows in (n, count))
        largest = f"MAX(IF(all_rows=1,MAX({every}),MAX({few})),0)"
        sheet.formula(_TOP - 2, 2 + j, f"IF({largest}=0,1,{largest})", seen.largest[j])
    for i in range(count):
        row = _TOP + i
        sheet.number(row, 0, given.numbers[i], style="index")
        sheet.formula(row, 1, at(row, 1, sheet=ROWS), seen.y[i])
        for j in range(COUNT):
            formula = f"{at(row, _LEFT + j, sheet=ROWS)}/{at(_TOP - 2, 2 + j, fix='row')}"
            sheet.formula(row, 2 + j, formula, seen.x[i, j])
        sheet.number(row, 2 + COUNT, 1)
    for name, top, rows in (("train", _TOP, n), ("held", _TOP + n, count - n)):
        sheet.define(f"x_{name}", top, 2, rows, COUNT)
        sheet.define(f"y_{name}", top, 1, rows)
        sheet.define(f"base_{name}", top, 5, rows, COUNT - 2)  # nine features and the one
    for j, name in enumerate(FEATURES):
        area = block(_TOP, 2 + j, count, 1)
        sheet.check(f"mean of {name}", f"AVERAGE({area})", seen.x[:, j].mean())
    sheet.freeze(_TOP, 2)


# --- models -----------------------------------------------------------------------------------------


def _scores(predictions: str, part: str, *, squared: bool) -> tuple[str, str]:
    """Formulas of loss and accuracy of one part, from a formula of its predictions."""
    wrong = f"{predictions}-y_{part}"
    loss = f"AVERAGE(({wrong})^2)" if squared else f"AVERAGE(ABS({wrong}))"
    return loss, f"AVERAGE(IF(({predictions}>0.5)=(y_{part}>0.5),1,0))"


def _put_scores(
    sheet: Sheet, row: int, left: int, predictions: Callable[[str], str], scores: Tensor, *, squared: bool
) -> None:
    formulas = [*_scores(predictions("train"), "train", squared=squared)]
    formulas += _scores(predictions("held"), "held", squared=squared)
    for place, formula in enumerate(formulas):
        sheet.array(row, left + place, 1, 1, formula, [[float(scores[place])]])


_TITLES = ("loss", "accuracy", "loss, held out", "accuracy, held out")


def _simple(sheet: Sheet, path: Path, lr: float, *, sigmoid: bool) -> None:
    """A row a step: twelve weights by one array formula, then loss and accuracy of both parts."""
    kind = "sigmoid" if sigmoid else "linear"
    sheet.text(0, 0, "Linear, through a sigmoid" if sigmoid else "Linear", style="title")
    rule = (
        "slope of w = mean of sign(p - y) · p · (1 - p) · x, with p = (1 + tanh(z/2)) / 2, which is the sigmoid without overflow"
        if sigmoid
        else "slope of w = mean of sign(x · w - y) · x, which is the slope of the mean |x · w - y|"
    )
    sheet.text(1, 0, f"A row is the row above less lr times the slopes: {rule}.")
    sheet.text(2, 0, "lr")
    sheet.input(2, 1, lr, name=f"lr_{kind}", note="above 0")
    heads(sheet, _STEPS_TOP - 1, 0, ("step", *FEATURES, *_TITLES))
    for k in range(len(path.weights)):
        row = _STEPS_TOP + k
        sheet.number(row, 0, k, style="index")
        own, before = block(row, 1, 1, COUNT), block(row - 1, 1, 1, COUNT)

        def predictions(part: str, weights: str = own) -> str:
            z = f"MMULT(x_{part},TRANSPOSE({weights}))"
            return f"((1+TANH({z}/2))/2)" if sigmoid else z

        if k:
            p = predictions("train", before)
            signs = f"SIGN({p}-y_train)" + (f"*{p}*(1-{p})" if sigmoid else "")
            slopes = f"TRANSPOSE(MMULT(TRANSPOSE(x_train),{signs}))/n_train"
            sheet.array(row, 1, 1, COUNT, f"{before}-lr_{kind}*{slopes}", [path.weights[k].tolist()])
        else:
            sheet.inputs(row, 1, [path.weights[0].tolist()])
        _put_scores(sheet, row, 1 + COUNT, predictions, path.scores[k], squared=False)
        for j, name in enumerate(FEATURES):
            if k and k % 6 == 0:
                sheet.check(f"weight of {name} after step {k}", at(row, 1 + j), path.weights[k, j])
        for j, title in enumerate(_TITLES):
            sheet.check(f"{title} after step {k}", at(row, 1 + COUNT + j), path.scores[k, j])
    steps = len(path.weights)
    series = [
        (title, block(_STEPS_TOP, 1 + COUNT + c, steps, 1)) for title, c in (("loss", 0), ("held out", 2))
    ]
    place = (_STEPS_TOP + steps + 1, 0)
    sheet.chart("Loss", series, x=block(_STEPS_TOP, 0, steps, 1), place=place, size=(700, 280))
    sheet.freeze(_STEPS_TOP, 1)


_BIAS, _SECOND, _LAST, _AFTER = 2 + COUNT, 3 + COUNT, 4 + COUNT, 5 + COUNT
"""Columns on the net's sheet: bias of a neuron, its weight in the second layer, the last bias, the scores."""


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


def _net(sheet: Sheet, path: NetPath, lr: float) -> None:
    """Two rows a step, one a neuron."""
    sheet.text(0, 0, "Two neurons, and a second layer that is seen", style="title")
    sheet.text(1, 0, "prediction = v1 · max(0, x · w1 + b1) + v2 · max(0, x · w2 + b2) + c. z · (z > 0) is max(0, z). A step's rows are those two above, less lr times the slopes.")
    sheet.text(2, 0, "lr")
    sheet.input(2, 2, lr, name="lr_net", note="above 0")
    heads(sheet, _STEPS_TOP - 1, 0, ("step", "neuron", *FEATURES, "bias", "v", "c", *_TITLES))
    for k in range(NET_STEPS + 1):
        top = _STEPS_TOP + 2 * k
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

        _put_scores(sheet, top, _AFTER, predictions, path.scores[k], squared=True)
        for j, title in enumerate(_TITLES):
            sheet.check(f"{title} after step {k}", at(top, _AFTER + j), path.scores[k, j])
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
    sheet.freeze(_STEPS_TOP, 2)


def _one(sheet: Sheet, seen: Table, net: NetPath) -> None:
    """The net's first step over the rows learnt from, and all its 29 slopes beside those by differences."""
    n = seen.train
    sheet.text(0, 0, "The net's first step, passenger by passenger", style="title")
    sheet.text(1, 0, "z = x · w + b, h = max(0, z); p = v1·h1 + v2·h2 + c. Back: e = 2·(p - y) goes to c, e·h to v, e·v where z > 0 to the bias, and that times x to each weight; their means are the slopes.")
    settings(sheet, 2, 0, [("h, of differences", "h", 1e-5, "small, not 0")])
    rows = [_STEPS_TOP, _STEPS_TOP + 1]
    v = [at(row, _SECOND, sheet=NET) for row in rows]
    c = at(rows[0], _LAST, sheet=NET)
    top = 7
    heads(sheet, top - 1, 0, ("row", "y", "z1", "z2", "h1", "h2", "p", "(p - y)²", "e", "back 1", "back 2"))
    z = seen.x[:n] @ net.first[0, :, :COUNT].T + net.first[0, :, COUNT]
    hidden = z.relu()
    p = hidden @ net.second[0, :2] + net.second[0, 2]
    y = seen.y[:n]
    e = 2 * (p - y)
    for i in range(n):
        row = top + i
        passenger = _TOP + i
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
    relu = [f"{{z}}*({{z}}>0)".format(z=column[2 + k]) for k in range(2)]
    names = [f"neuron {k + 1}, {name}" for k in range(2) for name in (*FEATURES, "bias")]
    for index, name in enumerate((*names, "v1", "v2", "c")):
        row = top + index
        k, j = divmod(index, COUNT + 1)
        moved: Callable[[str], str]
        if index < 2 * (COUNT + 1):
            feature = "1" if j == COUNT else block(_TOP, 2 + j, n, 1, sheet=SEEN)
            slope = f"SUM({column[9 + k]})/{n}" if j == COUNT else f"SUMPRODUCT({column[9 + k]},{feature})/{n}"

            def moved(sign: str, k: int = k, feature: str = feature) -> str:
                z = f"({column[2 + k]}{sign}h*{feature})"
                other = 1 - k
                return f"{v[k]}*{z}*({z}>0)+{v[other]}*{relu[other]}+{c}"
        elif name == "c":
            slope = f"SUM({column[8]})/{n}"

            def moved(sign: str) -> str:
                return f"{column[6]}{sign}h"
        else:
            k = index - 2 * (COUNT + 1)
            slope = f"SUMPRODUCT({column[8]},{column[4 + k]})/{n}"

            def moved(sign: str, k: int = k) -> str:
                return f"{column[6]}{sign}h*{column[4 + k]}"

        ends = [f"SUMPRODUCT(({moved(sign)}-{column[1]})^2)/{n}" for sign in "+-"]
        sheet.text(row, left, name)
        sheet.formula(row, left + 1, slope, net.slopes[index])
        sheet.formula(row, left + 2, f"({ends[0]}-{ends[1]})/(2*h)", net.slopes[index])
        sheet.check(f"slope of {name}", at(row, left + 1), net.slopes[index], place=(row, left + 3))
    sheet.freeze(top, 0)


def _row_number(sheet: Sheet, row: int) -> float:
    value = sheet.book.value(f"{SEEN}!A{row + 1}")
    assert isinstance(value, float)
    return value


# --- what they are compared with ----------------------------------------------------------------------


def _compare(sheet: Sheet, seen: Table, linear: Path, sigmoid: Path, net: NetPath) -> None:
    sheet.text(0, 0, "The models beside what needs no training", style="title")
    sheet.text(1, 0, "Accuracy: share of passengers on the right side of 0.5. ± is one standard error of the held-out share: models closer than that cannot be told apart by these rows.")
    heads(sheet, 3, 0, ("", "accuracy", "accuracy, held out", "±", "loss, last", "loss, held out, last"))
    train, held = slice(seen.train), slice(seen.train, None)
    base = torch.cat([seen.x[:, 3:], torch.ones(len(seen.y), 1, dtype=torch.float64)], dim=1)
    normal = base[train].T @ base[train] + RIDGE * torch.eye(COUNT - 2, dtype=torch.float64)
    best = torch.linalg.solve(normal, base[train].T @ seen.y[train])
    survived = (seen.y[train].mean() > 0.5).double()
    lines: list[tuple[str, Tensor, str]] = [
        ("everybody alike: the more frequent answer", survived.expand(len(seen.y)), "IF(AVERAGE(y_train)>0.5,1,0)+0*y_{0}"),
        ("women survive, men do not", seen.raw[:, 0], "INDEX(x_{0},0,1)"),
        ("least squares, solved at once", base @ best, f"MMULT(base_{{0}},{block(16, 1, COUNT - 2, 1)})"),
    ]
    accuracies: list[tuple[str, Tensor]] = []
    for row, (name, predictions, formula) in enumerate(lines, start=4):
        sheet.text(row, 0, name)
        for place, (part, rows) in enumerate((("train", train), ("held", held))):
            _, right = _scores(formula.format(part), part, squared=True)
            value = ((predictions[rows] > 0.5) == (seen.y[rows] > 0.5)).double().mean()
            sheet.array(row, 1 + place, 1, 1, right, [[float(value)]])
            sheet.check(f"{name}: accuracy, {part}", at(row, 1 + place), value)
        accuracies.append((name, ((predictions[held] > 0.5) == (seen.y[held] > 0.5)).double().mean()))
    models = (
        (f"linear, {LINEAR_STEPS} steps", LINEAR, _STEPS_TOP + LINEAR_STEPS, 1 + COUNT, linear.scores[-1]),
        (f"sigmoid, {SIGMOID_STEPS} steps", SIGMOID, _STEPS_TOP + SIGMOID_STEPS, 1 + COUNT, sigmoid.scores[-1]),
        (f"two neurons, {NET_STEPS} steps", NET, _STEPS_TOP + 2 * NET_STEPS, _AFTER, net.scores[-1]),
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
    sheet.text(14, 0, f"Of the features without those that follow from others, and a 1; ridge = {RIDGE:.6f} on the diagonal.", style="note")
    heads(sheet, 15, 0, ("feature", "weight", "Xᵀy", "XᵀX + ridge"))
    names = (*FEATURES[3:], "one")
    size = len(names)
    for i, name in enumerate(names):
        sheet.text(16 + i, 0, name)
        one = f"INDEX(base_train,0,{i + 1})"
        sheet.formula(16 + i, 2, f"SUMPRODUCT({one},y_train)", (base[train].T @ seen.y[train])[i])
        for j in range(size):
            formula = f"SUMPRODUCT({one},INDEX(base_train,0,{j + 1}))" + (f"+{RIDGE:.6f}" if i == j else "")
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
            cell = at(_STEPS_TOP + 2 * k, _AFTER + column, sheet=NET)
            sheet.formula(top + k, place, cell, net.scores[k, column])
    count = NET_STEPS + 1
    series = [("learnt from", block(top, 1, count, 1)), ("held out", block(top, 2, count, 1))]
    sheet.chart("Loss of the two neurons", series, x=block(top, 0, count, 1), place=(top, 4), size=(560, 320))


