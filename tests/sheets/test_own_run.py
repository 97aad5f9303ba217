"""A person's own net in cells: the real step of the loop, recalculated, and changed as a reader would."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import drivetrain as dt
from drivetrain.data.loaders import Loaders
from drivetrain.errors import ConfigError
from drivetrain.models.factorization import DotProduct
from drivetrain.models.tabular import TabularNet
from drivetrain.sheets import own_run
from drivetrain.sheets.workbook import Workbook
from tests.sheets.live import change
from tests.sheets.recalculate import by_formulas
from tests.sheets.shown import Sheet

ROWS = 8


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def learner_of(
    model: nn.Module, inputs: tuple[Tensor, ...], targets: Tensor, loss: Any, **options: Any
) -> dt.Learner:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for param in model.parameters():
            param.copy_(torch.randn(param.shape, generator=generator) * 0.5)
    data = torch.utils.data.TensorDataset(*inputs, targets)
    train = torch.utils.data.DataLoader(data, batch_size=16)
    return dt.Learner(model, Loaders(train), loss, progress=False, **options)


def dense() -> dt.Learner:
    x = draw(32, 4)
    model = nn.Sequential(
        *(
            nn.Linear(4, 5),
            nn.ReLU(),
            nn.BatchNorm1d(5),
            nn.Linear(5, 3),
            nn.Tanh(),
            nn.Dropout(0.4),
        ),
        nn.Linear(3, 2),
    )
    return learner_of(model, (x,), (x[:, 0] > 0).long(), "cross_entropy")


def regression() -> dt.Learner:
    x = draw(32, 3)
    model = nn.Sequential(nn.Linear(3, 3), nn.Sigmoid(), nn.Linear(3, 1))
    return learner_of(
        model,
        (x,),
        x.sum(1, keepdim=True),
        "mse",
        optimizer=functools.partial(torch.optim.SGD, lr=0.1, momentum=0.9),
        callbacks=["clip_gradients"],
    )


def table() -> dt.Learner:
    codes = (draw(32, 2, seed=3).abs() * 2).long().clamp(max=3)
    x = draw(32, 2)
    model = TabularNet([4, 4], 2, 3, layers=(4,))
    targets = codes.sum(1) % 3
    return learner_of(
        model,
        (codes, x),
        targets,
        dt.losses.loss("cross_entropy", label_smoothing=0.1),
        optimizer="adam",
    )


def ratings() -> dt.Learner:
    pairs = (draw(32, 2, seed=4).abs() * 2).long().clamp(max=4)
    model = DotProduct(5, 5, 3, y_range=(0.5, 5.5))
    return learner_of(model, (pairs,), draw(32, seed=5).abs() + 1, "mae", optimizer="rmsprop")


def yes_or_no() -> dt.Learner:
    x = draw(32, 3)
    model = nn.Sequential(nn.Linear(3, 1))
    targets = (x[:, :1] > 0).float()
    loss = nn.BCEWithLogitsLoss()
    return learner_of(
        model,
        (x,),
        targets,
        loss,
        optimizer=dt.optim.optimizer("averaged_momentum", weight_decay=0.1),
    )


CASES: dict[str, Callable[[], dt.Learner]] = {
    "dense": dense,
    "regression": regression,
    "table": table,
    "ratings": ratings,
    "yes_or_no": yes_or_no,
}


@functools.cache
def books() -> dict[str, Workbook]:
    found = {}
    for name, make in CASES.items():
        learner = make()
        learner.fit(1)
        found[name] = own_run.build(learner, rows=ROWS)
    return found


def files(folder: Path) -> list[Path]:
    """What is recalculated."""
    made = [book.save(folder / f"{name}.xlsx") for name, book in books().items()]
    changes = {"lr_0": 0.3, "Batch!B5": 2.0, "Weights!A4": 1.5}
    return [*made, change(folder / "regression.xlsx", folder / "regression_changed.xlsx", changes)]


@pytest.mark.parametrize("name", CASES)
def test_every_cell_is_recalculated_to_torchs_own_value(name: str, files: Any) -> None:
    book, found = books()[name], files.computed[name]
    assert found.problems() == []
    assert found.named("all_checks").startswith("OK: all ")
    count = 0
    for sheet in book.sheets:
        for (row, column), cell in sheet.cells.items():
            if cell.kind == "formula" and isinstance(cell.value, float):
                own = found[sheet.name].at(row, column)
                assert own == pytest.approx(cell.value, rel=1e-6, abs=1e-6), (
                    sheet.name,
                    row,
                    column,
                )
                count += 1
    assert count > 30


def block_under(sheet: Sheet, title: str, rows: int, columns: int) -> Tensor:
    lines = sheet.rows
    top = next(i for i, line in enumerate(lines) if str(line[0]).startswith(title)) + 1
    return torch.tensor([line[:columns] for line in lines[top : top + rows]], dtype=torch.float64)


def test_a_changed_input_gives_the_step_that_torch_makes_then(files: Any) -> None:
    found = files.computed["regression_changed"]
    assert found.problems() == []
    assert found.named("all_checks").startswith("CHANGED: 3 ")
    weights, batch = found["Weights"], found["Batch"]
    net = nn.Sequential(nn.Linear(3, 3), nn.Sigmoid(), nn.Linear(3, 1)).double()
    shapes = {"0.weight": (3, 3), "0.bias": (1, 3), "2.weight": (1, 3), "2.bias": (1, 1)}
    with torch.no_grad():
        for name, param in net.named_parameters():
            param.copy_(block_under(weights, f"{name}, shape", *shapes[name]).reshape(param.shape))
    assert net[0].weight[0, 0].item() == 1.5 and found.named("lr_0") == 0.3
    x, y = block_under(batch, "input", ROWS, 3), block_under(batch, "targets", ROWS, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.3, momentum=0.9)
    loss = F.mse_loss(net(x), y)
    loss.backward()
    for param in net.parameters():
        param.grad *= found.named("grad_factor")
    decay = found.named("weight_decay_0")
    optimizer.param_groups[0]["weight_decay"] = decay
    optimizer.step()
    assert found.named("loss") == pytest.approx(loss.item(), abs=1e-9)
    for name, param in net.named_parameters():
        shown = block_under(weights, f"{name}: after the step", *shapes[name])
        same_decay = "weight" in name or decay == 0
        if same_decay:
            torch.testing.assert_close(
                shown.reshape(param.shape), param.detach(), rtol=1e-6, atol=1e-6
            )


def test_the_step_is_the_one_that_the_loop_makes() -> None:
    """The float32 values beside the cells are those of a first fit on the same rows."""
    x = draw(ROWS, 3)
    learner = learner_of(
        nn.Sequential(nn.Linear(3, 2)),
        (x,),
        (x[:, 0] > 0).long(),
        "cross_entropy",
        optimizer=functools.partial(torch.optim.SGD, lr=0.1),
    )
    before = [param.detach().clone() for param in learner.model.parameters()]
    book = own_run.build(learner, rows=ROWS)
    assert all(torch.equal(a, b) for a, b in zip(before, learner.model.parameters(), strict=True))
    learner.fit(1)
    weights = book.sheets[-1]
    top = next(
        r
        for (r, c), cell in weights.cells.items()
        if str(cell.value).startswith("0.weight: after the step, in the run")
    )
    shown = [[weights.cells[top + 1 + r, c].value for c in range(3)] for r in range(2)]
    assert shown == learner.model.get_parameter("0.weight").tolist()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dense", "regression"])
def test_a_second_engine_computes_the_same(name: str, tmp_path: Path) -> None:
    book = own_run.build(CASES[name](), rows=ROWS)
    found = by_formulas(book.save(tmp_path / "own.xlsx"))
    for sheet in book.sheets:
        for (row, column), cell in sheet.cells.items():
            if cell.kind == "formula" and isinstance(cell.value, float):
                own = float(found[sheet.name.upper(), sheet.cell(row, column)])
                assert own == pytest.approx(cell.value, rel=1e-6, abs=1e-6), (
                    sheet.name,
                    row,
                    column,
                )


def test_names_of_a_person_stay_text(tmp_path: Path) -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.add_module("=1+1", nn.Linear(3, 1))

        def forward(self, x: Tensor) -> Tensor:
            return self.get_submodule("=1+1")(x)

    x = draw(16, 3)
    learner = learner_of(Named(), (x,), x[:, :1].clone(), "mse")
    path = own_run.build(learner, title="=cmd|' /C calc'!A0").save(tmp_path / "a.xlsx")
    book = openpyxl.load_workbook(path)
    formulas = [
        str(c.value) for s in book for row in s.iter_rows() for c in row if c.data_type == "f"
    ]
    assert formulas and not [one for one in formulas if one.startswith(("=1+1", "=cmd"))]
    assert book["Guide"]["A1"].value == "=cmd|' /C calc'!A0"
    words = [str(c.value) for row in book["Weights"].iter_rows() for c in row if c.data_type == "s"]
    assert "=1+1.weight: gradient" in words


def refused(model: nn.Module, *, loss: Any = "mse", width: int = 3, **options: Any) -> str:
    x = draw(16, width)
    learner = learner_of(model, (x,), x[:, :1].clone(), loss, **options)
    with pytest.raises(ConfigError) as caught:
        own_run.build(learner)
    return str(caught.value)


class Asks(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.one(x) if x.sum() > 0 else self.one(-x)


WOULD_DO = (
    "What would do: a small net of nn.Linear, ReLU, Sigmoid, Tanh, BatchNorm1d, Dropout "
    "and nn.Embedding"
)


def test_what_cells_cannot_hold_is_said_with_what_would_do() -> None:
    assert refused(nn.Sequential(nn.Linear(3, 3), nn.GELU(), nn.Linear(3, 1))).startswith(
        f"`1` is GELU, which is not written into cells. {WOULD_DO}"
    )
    assert refused(nn.Sequential(nn.Linear(3, 900), nn.ReLU(), nn.Linear(900, 1))).startswith(
        f"Sequential has 4,501 weights, and a workbook can be read with 4,000 at most. {WOULD_DO}"
    )
    assert refused(nn.Linear(80, 1), width=80).startswith(
        f"`weight` has shape (1, 80), and a table of cells has 64 columns at most here. {WOULD_DO}"
    )
    assert refused(Asks()).startswith(
        f"The forward pass of Asks cannot be followed: its code asks about the numbers "
        f"themselves. {WOULD_DO}"
    )
    assert refused(nn.Linear(3, 1), loss="huber") == (
        "The loss `huber`, as it is set, is not written into cells. What would do: "
        "cross_entropy, mse, mae or "
        "binary_cross_entropy_with_logits, without weights."
    )
    assert refused(nn.Linear(3, 1), optimizer="lamb") == (
        "The optimizer Composed is not written into cells as it is set. What would do: SGD, "
        "momentum, RMSProp, Adam or AdamW, of torch or by `optim.optimizer`, without nesterov, "
        "amsgrad or centred averages."
    )
    x = draw(16, 3)
    with pytest.raises(ConfigError, match=r"^`rows` must be 2 to 32\. Got 1\.$"):
        own_run.build(learner_of(nn.Linear(3, 1), (x,), x[:, :1].clone(), "mse"), rows=1)
