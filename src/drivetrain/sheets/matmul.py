"""The workbook `matmul`: three loops drawn cell by cell, then the shorter ways to the same numbers.

    C[i, j] = sum over k of A[i, k] · B[k, j]            A (4, 3), B (3, 5), C (4, 5)

One sheet shows which cells feed a chosen cell of C, one writes down all 60 multiplications in the order
in which three loops do them, and one gives C by whole columns, by a row spread over a matrix
(broadcasting), and by MMULT.
"""

from __future__ import annotations

import torch
from torch import Tensor

from drivetrain.errors import ConfigError
from drivetrain.sheets.places import at, block
from drivetrain.sheets.workbook import Sheet, Workbook

ROWS, INNER, COLUMNS = 4, 3, 5

_A, _B = (4, 1), (4, 7)
"""Upper left cells of A and B, both on the sheet `One cell`."""

ONE, LOOPS, SHORT = "One cell", "Three loops", "Shorter"


def build(*, seed: int = 42, row: int = 2, column: int = 4) -> Workbook:
    """The workbook.

    Args:
        seed: of the two matrices, whole numbers from -4 to 5.
        row, column: the cell of C that is looked at, from 1 to 4 and from 1 to 5.
    Raises: ConfigError: there is no such cell.
    """
    for name, value, last in (("row", row, ROWS), ("column", column, COLUMNS)):
        if not 1 <= value <= last:
            raise ConfigError(f"`{name}` must be 1 to {last}. Got {value}.")
    generator = torch.Generator().manual_seed(seed)
    a, b = (
        torch.randint(-4, 6, shape, generator=generator).double()
        for shape in ((ROWS, INNER), (INNER, COLUMNS))
    )
    book = Workbook(
        "Matrix product, cell by cell",
        "A matrix product is three loops around one multiplication and one addition.",
    )
    book.guide(
        what="C = A·B in four ways: one cell, three loops, rows spread over a matrix, MMULT.",
        change=[
            (
                "look_row and look_column on 'One cell'",
                "Which row of A and which column of B feed that cell of C, and nothing else does.",
            ),
            (
                "a number of A on 'One cell'",
                "One whole row of C changes, the row it stands in. A number of B changes a column.",
            ),
            (
                "B to ones on the diagonal and zeros elsewhere",
                "The first columns of C become A: the product with the identity changes nothing.",
            ),
        ],
    )
    _one_cell(book.sheet(ONE), a, b, row, column)
    _loops(book.sheet(LOOPS), a, b)
    _short(book.sheet(SHORT), a, b, row)
    return book


def _one_cell(sheet: Sheet, a: Tensor, b: Tensor, row: int, column: int) -> None:
    """A, B, C; and the same with everything left out that the chosen cell does not need."""
    c = a @ b
    sheet.text(0, 0, "C = A·B: which cells feed this one", style="title")
    sheet.text(1, 1, "look_row")
    sheet.input(1, 3, row, name="look_row", note="1 to 4")
    sheet.text(1, 7, "look_column")
    sheet.input(1, 10, column, name="look_column", note="1 to 5")
    for (top, left), values, name in ((_A, a, "A"), (_B, b, "B")):
        sheet.text(top - 1, left, f"{name}  {len(values)} × {len(values[0])}", style="head")
        sheet.inputs(top, left, values.tolist())
    top, left = 4, 13
    sheet.text(top - 1, left, "C  4 × 5", style="head")
    for i in range(ROWS):
        for j in range(COLUMNS):
            terms = [f"{at(_A[0] + i, _A[1] + k)}*{at(_B[0] + k, _B[1] + j)}" for k in range(INNER)]
            sheet.formula(top + i, left + j, "+".join(terms), c[i, j])

    # The same three, with blanks where nothing flows into the chosen cell.
    shift = 7
    sheet.text(_A[0] + shift - 1, _A[1], "the row of A", style="head")
    for i in range(ROWS):
        for k in range(INNER):
            shown = float(a[i, k]) if i == row - 1 else ""
            formula = f'IF({i + 1}=look_row,{at(_A[0] + i, _A[1] + k)},"")'
            sheet.formula(_A[0] + shift + i, _A[1] + k, formula, shown)
    sheet.text(_B[0] + shift - 1, _B[1], "the column of B", style="head")
    for k in range(INNER):
        for j in range(COLUMNS):
            shown = float(b[k, j]) if j == column - 1 else ""
            formula = f'IF({j + 1}=look_column,{at(_B[0] + k, _B[1] + j)},"")'
            sheet.formula(_B[0] + shift + k, _B[1] + j, formula, shown)
    sheet.text(top + shift - 1, left, "the cell of C", style="head")
    for i in range(ROWS):
        for j in range(COLUMNS):
            shown = float(c[i, j]) if (i, j) == (row - 1, column - 1) else ""
            formula = f'IF(AND({i + 1}=look_row,{j + 1}=look_column),{at(top + i, left + j)},"")'
            sheet.formula(top + shift + i, left + j, formula, shown)

    top = 18
    sheet.text(top - 1, 1, "Its calculation: one product a line, added up", style="head")
    for column_, title in zip(
        (1, 2, 3, 4, 5), ("k", "A[i,k]", "B[k,j]", "product", "sum"), strict=True
    ):
        sheet.text(top, column_, title, style="head")
    total = 0.0
    for k in range(INNER):
        line = top + 1 + k
        left_one, right_one = a[row - 1, k], b[k, column - 1]
        total += float(left_one * right_one)
        sheet.number(line, 1, k + 1)
        sheet.formula(line, 2, f"INDEX({_block_a()},look_row,{at(line, 1)})", left_one)
        sheet.formula(line, 3, f"INDEX({_block_b()},{at(line, 1)},look_column)", right_one)
        sheet.formula(line, 4, f"{at(line, 2)}*{at(line, 3)}", left_one * right_one)
        before = f"{at(line - 1, 5)}+" if k else ""
        sheet.formula(line, 5, f"{before}{at(line, 4)}", total)
    sheet.check("the chosen cell of C", at(top + INNER, 5), c[row - 1, column - 1])


def _loops(sheet: Sheet, a: Tensor, b: Tensor) -> None:
    """All multiplications, in the order of: for i, for j, for k."""
    title = "for i in rows: for j in columns: for k in inner: C[i,j] += A[i,k]·B[k,j]"
    sheet.text(0, 0, title, style="title")
    titles = ("step", "i", "j", "k", "A[i,k]", "B[k,j]", "product", "sum", "C[i,j]")
    for column, title in enumerate(titles):
        sheet.text(2, column, title, style="head")
    c = a @ b
    step = 0
    for i in range(ROWS):
        for j in range(COLUMNS):
            total = 0.0
            for k in range(INNER):
                line = 3 + step
                step += 1
                n, place = at(line, 0), [at(line, column) for column in range(9)]
                total += float(a[i, k] * b[k, j])
                sheet.number(line, 0, step)
                sheet.formula(line, 1, f"INT(({n}-1)/{INNER * COLUMNS})+1", i + 1)
                sheet.formula(line, 2, f"MOD(INT(({n}-1)/{INNER}),{COLUMNS})+1", j + 1)
                sheet.formula(line, 3, f"MOD({n}-1,{INNER})+1", k + 1)
                sheet.formula(line, 4, f"INDEX({_block_a(ONE)},{place[1]},{place[3]})", a[i, k])
                sheet.formula(line, 5, f"INDEX({_block_b(ONE)},{place[3]},{place[2]})", b[k, j])
                sheet.formula(line, 6, f"{place[4]}*{place[5]}", a[i, k] * b[k, j])
                before = f"IF({place[3]}=1,0,{at(line - 1, 7)})+" if step > 1 else ""
                sheet.formula(line, 7, f"{before}{place[6]}", total)
                done = float(c[i, j]) if k == INNER - 1 else ""
                sheet.formula(line, 8, f'IF({place[3]}={INNER},{place[7]},"")', done)
    sheet.text(1, 0, "multiplications: 4 × 5 × 3 =")
    sheet.formula(1, 6, f"{ROWS}*{COLUMNS}*{INNER}", step)
    sheet.check("multiplications", at(1, 6), a.shape[0] * b.shape[1] * a.shape[1])
    sheet.check("sum of all of C", f"SUM({block(3, 8, step, 1)})", c.sum())


def _short(sheet: Sheet, a: Tensor, b: Tensor, row: int) -> None:
    """One loop less at a time, until none is left."""
    c = a @ b
    sheet.text(0, 0, "One loop less at a time", style="title")

    top = 3
    words = "1. No loop over k: a row of A times a column of B, added up (SUMPRODUCT)"
    sheet.text(top - 1, 0, words, style="head")
    sheet.text(top, 0, "B on its side, so that its columns lie as rows")
    sheet.array(top + 1, 1, COLUMNS, INNER, f"TRANSPOSE({_block_b(ONE)})", b.T.tolist())
    for i in range(ROWS):
        for j in range(COLUMNS):
            line = block(_A[0] + i, _A[1], 1, INNER, sheet=ONE)
            side = block(top + 1 + j, 1, 1, INNER)
            sheet.formula(top + 1 + i, 6 + j, f"SUMPRODUCT({line},{side})", c[i, j])

    top = 12
    words = (
        "2. No loop over j: a row of A, on its side, is spread over B (broadcasting), then summed"
    )
    sheet.text(top - 1, 0, words, style="head")
    sheet.text(top, 0, "the row look_row of A, and A[i,k]·B[k,j] for all k and j")
    spread = a[row - 1][:, None] * b  # (INNER, COLUMNS)
    for k in range(INNER):
        sheet.formula(top + 1 + k, 3, f"INDEX({_block_a(ONE)},look_row,{k + 1})", a[row - 1, k])
        for j in range(COLUMNS):
            other = at(_B[0] + k, _B[1] + j, sheet=ONE)
            sheet.formula(
                top + 1 + k, 6 + j, f"{at(top + 1 + k, 3, fix='column')}*{other}", spread[k, j]
            )
    sheet.text(top + 1 + INNER, 0, "sums: row look_row of C")
    for j in range(COLUMNS):
        column = block(top + 1, 6 + j, INNER, 1)
        sheet.formula(top + 1 + INNER, 6 + j, f"SUM({column})", c[row - 1, j])

    top = 20
    sheet.text(top - 1, 0, "3. No loop at all: MMULT(A, B), which is torch's A @ B", style="head")
    sheet.array(top, 6, ROWS, COLUMNS, f"MMULT({_block_a(ONE)},{_block_b(ONE)})", c.tolist())

    for label, place in (("SUMPRODUCT", (4, 6)), ("MMULT", (20, 6))):
        for i in range(ROWS):
            for j in range(COLUMNS):
                sheet.check(
                    f"C[{i + 1},{j + 1}] by {label}", at(place[0] + i, place[1] + j), c[i, j]
                )
    for j in range(COLUMNS):
        sheet.check(f"C[look_row,{j + 1}] by broadcasting", at(16, 6 + j), c[row - 1, j])


def _block_a(sheet: str | None = None) -> str:
    return block(*_A, ROWS, INNER, sheet=sheet)


def _block_b(sheet: str | None = None) -> str:
    return block(*_B, INNER, COLUMNS, sheet=sheet)
