"""Workbooks that follow a net: changed as a reader would, recalculated, and equal to torch.

Every comparison reads the inputs from the recalculated sheet itself and asks torch's (or scikit-learn's)
own layers and optimizers in float64, apart from the numbers that the workbook was made with.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.tree import DecisionTreeClassifier
from torch import Tensor, nn

from drivetrain.errors import ConfigError
from drivetrain.randomness import preserved
from drivetrain.sheets import build
from drivetrain.sheets.convolution_numbers import Settings, computed
from drivetrain.sheets.factorization import Settings as Ratings, data as ratings_data, trained
from drivetrain.sheets.places import at
from drivetrain.sheets.workbook import Workbook
from drivetrain.sheets.writing import SCREEN, _SheetWriter
from tests.sheets.live import change
from tests.sheets.recalculate import by_formulas, recalculate
from tests.sheets.shown import Sheet, Shown

Place = tuple[int, int]


# --- reading --------------------------------------------------------------------------------------


def find(sheet: Sheet, text: str, *, start: int = 0) -> Place:
    """Row and column, from 0, of the first cell whose text begins so."""
    for row, line in enumerate(sheet.rows[start:], start):
        for column, value in enumerate(line):
            if isinstance(value, str) and value.startswith(text):
                return row, column
    raise AssertionError(f"{text!r} is not on the sheet {sheet.title!r}")


def cells(sheet: Sheet, row: int, column: int, rows: int, columns: int) -> Tensor:
    """(rows, columns) float64; NaN where a cell is empty."""
    found = [[sheet.at(row + i, column + k) for k in range(columns)] for i in range(rows)]
    numbers = [[np.nan if one in (None, "") else float(one) for one in line] for line in found]
    return torch.tensor(numbers, dtype=torch.float64)


def below(
    sheet: Sheet, text: str, rows: int, columns: int, *, gap: int = 1, start: int = 0
) -> Tensor:
    row, column = find(sheet, text, start=start)
    return cells(sheet, row + gap, column, rows, columns)


def same(found: Tensor, expected: Tensor, what: str, tolerance: float = 1e-6) -> None:
    assert found.shape == expected.shape, f"{what}: {found.shape}, not {expected.shape}"
    assert not found.isnan().any(), f"{what}: there are empty cells"
    worst = float((found - expected).abs().max())
    assert worst <= tolerance, f"{what}: apart by {worst}"


# --- one comparison a workbook --------------------------------------------------------------------


def convolution(book: Shown) -> None:
    sizes, x = book["Sizes"], cells(book["Digit"], 3, 1, 28, 28)[None]
    for number, name in ((1, "Layer 1"), (2, "Layer 2")):
        sheet, channels = book[name], len(x)
        k, p, s = (int(book.named(f"{what}_{number}")) for what in ("kernel", "padding", "stride"))
        layer = nn.Conv2d(channels, 2, k, stride=s, padding=p, dtype=torch.float64)
        with torch.no_grad():
            for out in range(2):
                layer.bias[out] = book.named(f"bias_{number}_{out}")
                for channel in range(channels):
                    layer.weight[out, channel] = below(sheet, f"{channel} → {out}", k, k)
            n_in, x = x.shape[1], layer(x[None]).relu()[0]
        n = x.shape[1]
        assert book.named(f"size_{number}") == n
        for out in range(2):
            row, _ = find(sheet, f"output {out} after")
            same(cells(sheet, row + 2, 1, n, n), x[out], f"{name}, output {out}")
            around = cells(sheet, row + 2, 1, n + 1, n + 1)
            assert around[n].isnan().all() and around[:, n].isnan().all()
        row = find(sizes, "Multiplications")[0] + 1 + number
        pairs = [
            sum(0 <= i * s + u - p < n_in for i in range(n) for u in range(k)),
            n_in**2 * k * k * channels * 2,
            n**2 * k * k * channels * 2,
        ]
        counted = cells(sizes, row, 1, 1, 3)[0].tolist()
        assert counted == [pairs[1], pairs[2], pairs[0] ** 2 * channels * 2]
    pooled = {"largest": F.max_pool2d(x, 2), "mean": F.avg_pool2d(x, 2)}
    n = pooled["mean"].shape[1]
    assert book.named("size_3") == n
    for name, values in pooled.items():
        for channel in range(2):
            row, _ = find(book["Pooling"], f"{name} of channel {channel}")
            same(cells(book["Pooling"], row + 2, 1, n, n), values[channel], f"{name}, {channel}")
    chosen = pooled["largest" if book.named("pool_kind") == 1 else "mean"]
    dense = nn.Linear(chosen.numel(), 2, dtype=torch.float64)
    with torch.no_grad():
        for one in range(2):
            parts = [below(book["Dense"], f"class {one}, channel {c}", n, n) for c in range(2)]
            dense.weight[one] = torch.stack(parts).flatten()
            dense.bias[one] = book.named(f"bias_class_{one}")
        same(cells(book["Dense"], 3, 15, 2, 1)[:, 0], dense(chosen.flatten()), "dense")
    receptive_field(book)


def receptive_field(book: Shown) -> None:
    """Pixels that reach the chosen cell: where the gradient through layers of ones is not zero."""
    pixels = torch.zeros(1, 1, 28, 28, dtype=torch.float64, requires_grad=True)
    x: Tensor = pixels
    for number in (1, 2):
        k, p, s = (int(book.named(f"{what}_{number}")) for what in ("kernel", "padding", "stride"))
        x = F.conv2d(x, torch.ones(1, 1, k, k, dtype=torch.float64), stride=s, padding=p)
    cell = F.avg_pool2d(x, 2)[0, 0, int(book.named("look_row")), int(book.named("look_column"))]
    (gradient,) = torch.autograd.grad(cell, pixels)
    shown = cells(book["Seen"], 3, 1, 28, 28)
    assert torch.equal(~shown.isnan(), gradient[0, 0] != 0)
    field = below(book["Sizes"], "sees pixels", 4, 1)[-1, 0]
    rows = (gradient[0, 0] != 0).any(1).sum()
    assert field >= rows  # equal unless the border cuts it


def as_a_matrix(book: Shown) -> None:
    sheet = book["As a matrix"]
    picture, kernel = below(sheet, "picture", 4, 4), below(sheet, "kernel", 3, 3)
    expected = F.conv2d(picture[None, None], kernel[None, None])[0, 0]
    matrix = cells(sheet, 11, 2, 4, 16)
    same(cells(sheet, 17, 4, 4, 1)[:, 0], expected.flatten(), "matrix times picture")
    same(matrix @ picture.flatten(), expected.flatten(), "the matrix")
    same(below(sheet, "four sums", 2, 2), expected, "sums")
    assert int((matrix != 0).sum()) == 36 and len(matrix[matrix != 0].unique()) == 9


def dropout(book: Shown) -> None:
    p, state = book.named("p_drop"), int(book.named("seed"))
    for _ in range(3):
        state = state * 16807 % (2**31 - 1)
    drop = torch.zeros(20, 40, dtype=torch.bool)
    for mask in range(20):
        for unit in range(40):
            state = state * 16807 % (2**31 - 1)
            drop[mask, unit] = state / (2**31 - 1) < p
    one, many = book["One mask"], book["20 masks"]
    activations, weights = cells(one, 6, 1, 40, 1)[:, 0], cells(one, 6, 6, 40, 1)[:, 0]
    layer = nn.Dropout(p)
    torch.manual_seed(0)
    real = layer(torch.ones(20_000, dtype=torch.float64))
    assert len(real.unique()) == 2 and abs(float((real == 0).double().mean()) - p) < 0.02
    trained = activations * ~drop * real.max()  # the layer's own factor for what is kept
    same(cells(many, 6, 1, 40, 20).T, trained, "all masks")
    chosen = int(book.named("mask_number")) - 1
    same(cells(one, 6, 4, 40, 1)[:, 0], trained[chosen], "one mask")
    same(cells(one, 6, 5, 40, 1)[:, 0], layer.eval()(activations), "test")
    row, _ = find(many, "share of zeros")
    table = torch.stack([cells(many, row + 1, 3 * k, 21, 1)[:, 0] for k in range(1, 7)], dim=1)
    dense = nn.Linear(40, 1, bias=False, dtype=torch.float64)
    with torch.no_grad():
        dense.weight.copy_(weights[None])
        each = torch.stack(
            [
                drop.double().mean(1),
                trained.mean(1),
                activations.mean().expand(20),
                (activations * ~drop).mean(1),
                dense(trained)[:, 0],
                dense(activations).expand(20),
            ],
            dim=1,
        )
    same(table, torch.cat([each, each.mean(0)[None]]), "table of masks")


def factorization(book: Shown) -> None:
    sheet = book["Ratings"]
    lr, wd, low, high = (book.named(name) for name in ("lr", "weight_decay", "low", "high"))
    ratings, roles = (
        cells(sheet, find(sheet, text)[0] + 2, 1, 15, 15) for text in ("Ratings:", "What each")
    )
    row = find(sheet, "Factors before")[0] + 2
    users, films = (cells(sheet, row, left, 15, 3).requires_grad_() for left in (1, 7))
    biases = [torch.zeros(15, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    optimizer = torch.optim.SGD([users, films, *biases], lr=lr, weight_decay=wd)
    every = book["Steps"].rows
    tops = [row for row, line in enumerate(every) if re.match(r"step \d+$", str(line[0]))]
    curve = cells(book["Curve"], 4, 1, len(tops), 2)
    for step, top in enumerate(tops):
        row = top + 2
        shown = torch.tensor([line[1:17] for line in every[row : row + 15]], dtype=torch.float64)
        same(shown[:, :3], users.detach(), f"step {step}, people")
        same(shown[:, 3], biases[0].detach(), f"step {step}, people's biases")
        same(shown[:, 8:11], films.detach(), f"step {step}, films")
        same(shown[:, 11], biases[1].detach(), f"step {step}, films' biases")
        z = users @ films.T + biases[0][:, None] + biases[1]
        errors = low + (high - low) * torch.sigmoid(z) - ratings
        found = [errors[roles == role].square().mean() for role in (1, 2)]
        same(curve[step], torch.stack(found).detach().sqrt(), f"step {step}, RMSE")
        optimizer.zero_grad()
        found[0].backward()
        optimizer.step()
    look = book["Look-up"]
    ids = cells(sheet, find(sheet, "Ratings:")[0] + 2, 0, 15, 1)[:, 0].tolist()
    person = ids.index(book.named("user_id"))
    last = torch.tensor(
        [line[1:4] for line in every[row : row + 15]], dtype=torch.float64
    )[person]  # fmt: skip
    same(cells(look, 14, 2, 1, 3)[0], last, "one-hot product")
    same(cells(look, 6, 2, 1, 5)[0, ::2], last, "looked up")


def embedding(book: Shown) -> None:
    sheet = book["Look-up"]
    row, _ = find(sheet, "The table")
    words = [line[1] for line in sheet.rows[row + 2 : row + 14]]
    table = cells(sheet, row + 2, 2, 12, 4)
    row, _ = find(sheet, "The text")
    text = [line[0] for line in sheet.rows[row + 2 : row + 12]]
    places = torch.tensor([words.index(word) if word in words else 0 for word in text])
    layer = nn.Embedding.from_pretrained(table.clone(), freeze=False)
    vectors = layer(places)
    same(cells(sheet, row + 2, 2, 10, 4), vectors.detach(), "looked up")
    left = find(sheet, "one-hot ·")[1]
    assert torch.equal(cells(sheet, row + 2, left, 10, 4), vectors.detach()), "one-hot product"
    back = book["Gradient"]
    vectors.backward(cells(back, 5, 1, 10, 4))
    same(cells(back, 5, 8, 12, 4), layer.weight.grad, "gradient of the table")
    torch.optim.SGD(layer.parameters(), lr=book.named("lr")).step()
    same(cells(back, 5, 14, 12, 4), layer.weight.detach(), "after the step")
    one = table[words.index(str(book.named("compare_with")))]
    expected = F.cosine_similarity(table, one[None], dim=1)
    same(below(book["Near words"], "cosine", 12, 1)[:, 0], expected, "cosines")


def batchnorm(book: Shown) -> None:
    one, running = book["One batch"], book["Running averages"]
    layer = nn.BatchNorm1d(
        3, eps=book.named("eps"), momentum=book.named("momentum"), dtype=torch.float64
    )
    with torch.no_grad():
        for part, name in ((layer.weight, "gamma"), (layer.bias, "beta")):
            row, _ = find(one, name)
            part.copy_(cells(one, row, 1, 1, 3)[0])
    row = find(one, "x: row")[0] + 1
    first = cells(one, row, 1, 8, 3).requires_grad_()
    y = layer(first)
    same(cells(one, row, 13, 8, 3), y.detach(), "training")
    back = book["Backward"]
    y.backward(cells(back, 6, 1, 8, 3))
    same(cells(back, 6, 9, 8, 3), first.grad, "dx")
    same(cells(back, 14, 1, 1, 3)[0], layer.bias.grad, "d beta")
    same(cells(back, 14, 5, 1, 3)[0], layer.weight.grad, "d gamma")
    line = find(running, "start")[0] + 1
    for number in range(6):
        if number:
            layer(cells(running, find(running, f"batch {number + 1}")[0] + 1, 1, 8, 3))
        kept = torch.cat([layer.running_mean, layer.running_var])
        shown = cells(running, line + number, 9, 1, 7)[0]
        same(torch.cat([shown[:3], shown[4:]]), kept, f"after batch {number + 1}")
    same(cells(running, 15, 9, 8, 3), layer.eval()(first).detach(), "evaluation")


def recurrent(book: Shown) -> None:
    sheet = book["Sequences"]
    row, _ = find(sheet, "train 1")
    x = cells(sheet, row, 1, 6, 4)
    target = x.cumsum(1) / 4
    row = find(sheet, "Parameters")[0] + 2
    start = cells(sheet, row, 1, 1, 11)[0]
    rnn, head = nn.RNN(1, 2, batch_first=True).double(), nn.Linear(2, 1).double()
    own = [rnn.weight_ih_l0, rnn.weight_hh_l0, rnn.bias_ih_l0, head.weight, head.bias]
    with torch.no_grad():
        rnn.bias_hh_l0.zero_()
        for part, values in zip(own, start.split([2, 4, 2, 2, 1]), strict=True):
            part.copy_(values.reshape(part.shape))
    optimizer = torch.optim.SGD(own, lr=book.named("lr"))
    every = book["Steps"].rows
    tops = [row for row, line in enumerate(every) if re.match(r"step \d+$", str(line[0]))]
    curve = cells(book["Curve"], 3, 1, len(tops), 3)
    for step, row in enumerate(tops):
        shown = torch.tensor([every[row + 2][1:12], every[row + 14][1:12]], dtype=torch.float64)
        same(
            shown[0],
            torch.cat([part.detach().flatten() for part in own]),
            f"step {step}, parameters",
        )
        hidden, _ = rnn(x[..., None])
        outputs = head(hidden)[..., 0]
        forward = torch.tensor(
            [line[1:13] for line in every[row + 4 : row + 10]], dtype=torch.float64
        )
        same(forward[:, :8], hidden.detach().flatten(1), f"step {step}, hidden")
        same(forward[:, 8:], outputs.detach(), f"step {step}, outputs")
        losses = [
            (outputs[part] - target[part]).square().mean() for part in (slice(4), slice(4, 6))
        ]
        optimizer.zero_grad()
        losses[0].backward()
        same(shown[1], torch.cat([part.grad.flatten() for part in own]), f"step {step}, gradient")
        norm = nn.utils.clip_grad_norm_(own, book.named("clip"))
        optimizer.step()
        same(curve[step], torch.stack([*losses, norm]).detach(), f"step {step}, losses and length")
    row = find(book["By differences"], "parameter")[0] + 1
    table = cells(book["By differences"], row, 6, 11, 3)
    same(table[:, 0], table[:, 2], "by differences")


def lstm(book: Shown) -> None:
    sheet = book["LSTM cell"]
    cell = nn.LSTM(2, 2).double()
    with torch.no_grad():
        cell.weight_ih_l0.copy_(below(sheet, "W", 8, 2))
        cell.weight_hh_l0.copy_(below(sheet, "U", 8, 2))
        cell.bias_ih_l0.copy_(below(sheet, "b", 8, 1)[:, 0])
        cell.bias_hh_l0.zero_()
        shown, (_, last) = cell(below(sheet, "x, a row", 3, 2))
    row = find(sheet, "gates, cell")[0] + 2
    same(cells(sheet, row, 11, 3, 2), shown, "h")
    same(cells(sheet, row + 2, 9, 1, 2), last, "c")


def deep(book: Shown) -> None:
    factor = book.named("factor")
    expected = torch.tensor(
        [[factor**k, factor ** (32 - k)] for k in range(33)], dtype=torch.float64
    )
    same(
        cells(book["32 steps"], 5, 1, 33, 2) / expected,
        torch.ones(33, 2, dtype=torch.float64),
        "32 steps",
    )


def trees(book: Shown) -> None:
    sheet = book["Visitors"]
    x, y = cells(sheet, 4, 1, 42, 3).numpy(), cells(sheet, 4, 4, 42, 1)[:, 0].numpy()
    train = np.arange(42) < 30
    state = int(book.named("seed"))
    for _ in range(3):
        state = state * 16807 % (2**31 - 1)
    weights, answers = [train.astype(float)], []
    for _ in range(5):
        drawn: list[int] = []
        for _ in range(30):
            state = state * 16807 % (2**31 - 1)
            drawn.append(int(state / (2**31 - 1) * 30))
        weights.append(np.bincount(drawn, minlength=42).astype(float))
    for number, weight in enumerate(weights):
        one = book[f"Tree {number}" if number else "One tree"]
        model = DecisionTreeClassifier(max_depth=2, random_state=0).fit(x, y, sample_weight=weight)
        nodes, row = model.tree_, find(one, "root")[0]
        shown = cells(one, row, 2, 3, 7)
        for line, node in enumerate((0, nodes.children_left[0], nodes.children_right[0])):
            what = f"{one.title}, node {line}"
            same(shown[line, 5], torch.tensor(nodes.impurity[node]), f"{what}: Gini")
            assert shown[line, 2] == nodes.weighted_n_node_samples[node], what
            if nodes.children_left[node] >= 0:
                assert shown[line, 0] - 1 == nodes.feature[node], what
                assert shown[line, 1] == nodes.threshold[node], what
        start = find(one, "visitor")[0] + 1
        shares = torch.from_numpy(model.predict_proba(x)[:, 1])
        same(cells(one, start, 5, 42, 1)[:, 0], shares, f"{one.title}: shares")
        answers.append(model.predict(x))
    vote = np.mean(answers[1:], axis=0) > 0.5
    right = [answer == y for answer in (*answers, vote)]
    row = find(book["Vote"], "train: of 30")[0]
    counted = cells(book["Vote"], row, 3, 2, 7)
    expected = [[sum(one[part]) for one in right] for part in (train, ~train)]
    assert counted.tolist() == expected


def matmul(book: Shown) -> None:
    one = book["One cell"]
    a, b = below(one, "A  4", 4, 3), below(one, "B  3", 3, 5)
    c = a @ b
    i, j = (int(book.named(name)) - 1 for name in ("look_row", "look_column"))
    same(below(one, "C  4", 4, 5), c, "written out")
    row = find(one, "Its calculation")[0] + 2
    same(cells(one, row, 4, 3, 1)[:, 0], a[i] * b[:, j], "products")
    same(cells(one, row + 2, 5, 1, 1)[0, 0], c[i, j], "their sum")
    loops = cells(book["Three loops"], 3, 8, 60, 1)[2::3, 0]
    same(loops, c.flatten(), "three loops")
    short = book["Shorter"]
    same(cells(short, 4, 6, 4, 5), c, "SUMPRODUCT")
    same(cells(short, 16, 6, 1, 5)[0], c[i], "broadcasting")
    same(cells(short, 20, 6, 4, 5), c, "MMULT")


CHANGES: dict[str, dict[str, float | str]] = {
    "convolution": {
        "kernel_1": 5,
        "padding_1": 2,
        "stride_1": 2,
        "kernel_2": 2,
        "stride_2": 1,
        "pool_kind": 2,
        "look_row": 0,
        "look_column": 5,
        "bias_1_0": 0.5,
        "Digit!F10": 0.75,
        "Layer 1!B6": -2,
        "Dense!B9": 3,
        "As a matrix!D4": 8,
        "As a matrix!J6": -1,
    },
    "dropout": {"p_drop": 0.9, "seed": 7, "mask_number": 3},
    "factorization": {"weight_decay": 0.02, "lr": 1, "low": 0.5, "high": 5, "user_id": 8},
    "embedding": {
        "Look-up!A22": "page",
        "Look-up!A23": "nowhere",
        "lr": 2,
        "compare_with": "slowly",
    },
    "batchnorm": {
        "momentum": 0.3,
        "eps": 0.5,
        "One batch!B9": 30,
        "One batch!C5": -2,
        "Backward!B7": 4,
    },
    "recurrent": {"lr": 1, "clip": 0.3, "Sequences!C8": -1, "factor": 0.5, "LSTM cell!B5": 3},
    "trees": {"seed": 7, "Visitors!E7": 1, "Visitors!B10": 20, "Visitors!C12": 3},
    "matmul": {"look_row": 4, "look_column": 1, "One cell!B8": 50, "One cell!H5": -7},
}
"""What a reader types in; a sheet and a cell, or a name."""

SHORTER = {"factorization": {"steps": 6}, "recurrent": {"steps": 5}}
"""Settings of the quick test; the slow one takes all steps."""

COMPARISONS: dict[str, tuple[Callable[[Shown], None], ...]] = {
    "convolution": (convolution, as_a_matrix),
    "dropout": (dropout,),
    "factorization": (factorization,),
    "embedding": (embedding,),
    "batchnorm": (batchnorm,),
    "recurrent": (recurrent, lstm, deep),
    "trees": (trees,),
    "matmul": (matmul,),
}


@functools.cache
def quick(name: str) -> Workbook:
    """A workbook with few steps, made once."""
    return build(name, **SHORTER.get(name, {}))


def stored_beside(recalculated: Shown, book: Workbook) -> list[str]:
    """Formula cells of which an engine's value is not the one that was stored."""
    wrong: list[str] = []
    for sheet in book.sheets:
        for (row, column), cell in sheet.cells.items():
            if cell.kind in ("formula", "array", "inside"):
                found = recalculated[sheet.name].at(row, column)
                if not agree(found, cell.value):
                    wrong.append(f"{sheet.name}!{at(row, column)}: {found}, stored {cell.value}")
    return wrong


def agree(found: Any, stored: float | str | None) -> bool:
    if not isinstance(stored, float):
        return str(found or "") == (stored or "")
    if isinstance(found, bool) or not isinstance(found, (int, float)):
        return False
    return abs(found - stored) <= 1e-9 * max(1.0, abs(stored))


def files(folder: Path) -> list[Path]:
    """Workbooks as a reader changes them."""
    changed: list[Path] = []
    for name, cells_ in CHANGES.items():
        made = quick(name).save(folder / "as made" / f"{name}.xlsx")
        changed.append(change(made, folder / f"{name}_changed.xlsx", cells_))
    return changed


# --- tests ----------------------------------------------------------------------------------------


@pytest.mark.row(122, 132, 135, 137, 139, 140, 141, 147, 156)
def test_a_changed_cell_is_computed_anew_and_equals_torch(files: Any) -> None:
    for name in CHANGES:
        book = files.computed[f"{name}_changed"]
        with preserved():
            for compare in COMPARISONS[name]:
                compare(book)
        assert str(book.named("all_checks")).startswith("CHANGED"), name


@pytest.mark.slow
@pytest.mark.row(122, 132, 135, 137, 139, 140, 141, 147, 156)
def test_libreoffice_computes_every_stored_number(tmp_path: Path) -> None:
    books = {name: build(name) for name in CHANGES}
    made = [book.save(tmp_path / f"{name}.xlsx") for name, book in books.items()]
    for name, book in zip(books, recalculate(made, tmp_path / "out"), strict=True):
        assert book.problems() == []
        assert stored_beside(book, books[name]) == []
        with preserved():
            for compare in COMPARISONS[name]:
                compare(book)
        assert str(book.named("all_checks")).startswith("OK: all"), name


SECOND_ENGINE = (
    "batchnorm",
    "dropout",
    "embedding",
    "factorization",
    "matmul",
    "recurrent",
    "trees",
)
"""Not `convolution`: its windows INDEX(…):INDEX(…) took that engine minutes and 2 GB, without an end."""


@pytest.mark.slow
@pytest.mark.parametrize("name", SECOND_ENGINE)
def test_a_second_engine_computes_the_same(name: str, tmp_path: Path) -> None:
    book = build(name)
    found = by_formulas(book.save(tmp_path / f"{name}.xlsx"))
    wrong = [
        f"{sheet.name}!{at(*place)}: {one}, stored {cell.value}"
        for sheet in book.sheets
        for place, cell in sheet.cells.items()
        if cell.kind in ("formula", "array", "inside")
        and not agree(one := _plain(found.get((sheet.name.upper(), at(*place)))), cell.value)
    ]
    assert wrong == []


def _plain(value: Any) -> Any:
    """A value of the second engine, which hands out numpy's, and numbers as text where text was near."""
    value = value.item() if isinstance(value, np.generic) else value
    return (
        float(value) if isinstance(value, str) and re.fullmatch(r"-?\d+(\.\d+)?", value) else value
    )


@pytest.mark.parametrize("name", CHANGES)
def test_no_sheet_is_wider_than_a_screen(name: str) -> None:
    """At 1280 pixels nobody scrolls sideways."""
    for sheet in quick(name).sheets:
        assert sum(_SheetWriter(None, sheet, None).wide.values()) <= SCREEN, sheet.name


def test_building_leaves_torchs_generator_as_it_was() -> None:
    before = torch.get_rng_state()
    for name in ("convolution", "dropout", "recurrent"):  # whose layers draw when they are made
        build(name, **SHORTER.get(name, {}))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        (
            "convolution",
            {"kernel": (6, 3), "stride": (1, 0), "pool": 3},
            "`kernel` must be 1 to 5 in each layer. Got (6, 3). `stride` must be 1 to 3 in each layer. "
            "Got (1, 0). `pool` must be 1 (the largest) or 2 (the mean). Got 3.",
        ),
        (
            "convolution",
            {"kernel": (1, 3), "padding": (1, 1)},
            "The sheets have room for grids of 28 × 28. Got sizes (30, 15, 7): take less padding or a "
            "larger kernel.",
        ),
        ("dropout", {"p": 1.0}, "`p` must be 0 to 0.95. Got 1.0."),
        ("dropout", {"seed": 0}, "`seed` must be 1 to 2147483646. Got 0."),
        ("factorization", {"lr": 0}, "`lr` must be above 0. Got 0."),
        ("factorization", {"weight_decay": -1}, "`weight_decay` must be 0 or more. Got -1."),
        ("factorization", {"steps": 0}, "`steps` must be 1 to 100. Got 0."),
        ("embedding", {"words": ["we"]}, "`words` must be 10 words. Got 1."),
        (
            "embedding",
            {"words": ["We"] * 10},
            "`words` must be in small letters, without * ? ~. Got 'We'.",
        ),
        (
            "embedding",
            {"words": ["r*"] * 10},
            "`words` must be in small letters, without * ? ~. Got 'r*'.",
        ),
        ("batchnorm", {"momentum": 2}, "`momentum` must be 0 to 1. Got 2."),
        ("batchnorm", {"eps": 0}, "`eps` must be above 0. Got 0."),
        ("recurrent", {"clip": 0}, "`clip` must be above 0. Got 0."),
        ("recurrent", {"steps": 101}, "`steps` must be 1 to 100. Got 101."),
        ("trees", {"seed": 0}, "`seed` must be 1 to 2147483646. Got 0."),
        ("matmul", {"row": 5}, "`row` must be 1 to 4. Got 5."),
        ("matmul", {"column": 0}, "`column` must be 1 to 5. Got 0."),
    ],
)
def test_a_setting_out_of_its_range_is_refused(
    name: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        build(name, **settings)
    assert str(caught.value) == message


@pytest.mark.row(137)
def test_two_layers_of_stride_two_see_seven_by_seven_pixels() -> None:
    sizes = build("convolution", stride=(2, 2)).sheets[0]
    (row,) = [place[0] for place, cell in sizes.cells.items() if cell.value == "sees pixels"]
    assert [sizes.cells[row + line, 2].value for line in (1, 2, 3)] == [1, 3, 7]


@pytest.mark.row(141)
def test_the_largest_and_the_mean_of_a_patch_are_both_there() -> None:
    """Any bear, or mostly bear: [[1, 9], [1, 1]] gives 9 or 3."""
    digit = torch.zeros(28, 28, dtype=torch.float64)
    digit[:2, :2] = torch.tensor([[1.0, 9.0], [1.0, 1.0]])
    found = computed(Settings(kernel=(1, 1), padding=(0, 0), stride=(1, 1)), digit)
    for channel, layer in enumerate(found.layers[1]):
        patch = layer[:2, :2]
        assert found.largest[channel, 0, 0] == patch.max()
        assert found.mean[channel, 0, 0] == patch.mean()


def test_weight_decay_costs_on_the_training_ratings_and_helps_on_the_held_out_ones() -> None:
    """What the workbook's guide says of its own numbers."""
    given = ratings_data(2)
    plain, decayed = (trained(given, Ratings(weight_decay=wd)) for wd in (0.0, 0.02))
    assert len(plain) == 41
    held = [moment.held for moment in plain]
    assert min(held) < 0.75 * held[-1] and held.index(min(held)) < 15  # over-fits from early on
    assert plain[-1].train < decayed[-1].train < decayed[-1].held < plain[-1].held
