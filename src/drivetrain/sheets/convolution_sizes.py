"""The sheet `Sizes` of the workbook `convolution`: settings, sizes, receptive field, multiplications."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from drivetrain.sheets.convolution_numbers import (
    CHANNELS,
    CLASSES,
    MAX_KERNEL,
    MAX_PADDING,
    MAX_STRIDE,
    POOL,
    SIZE,
    Numbers,
    Settings,
)
from drivetrain.sheets.places import at, block
from drivetrain.sheets.workbook import Sheet


def write_sizes(sheet: Sheet, settings: Settings, numbers: Numbers) -> None:
    """Everything that one reads off before looking at a single activation."""
    sheet.text(0, 0, "Settings, sizes, receptive field, multiplications", style="title")
    sheet.widths(1, 6, 18)
    for column, title in enumerate(("setting", "layer 1", "layer 2", "may be")):
        sheet.text(2, column, title, style="head")
    rows = (
        ("kernel", settings.kernel, f"1 to {MAX_KERNEL}"),
        ("padding", settings.padding, f"0 to {MAX_PADDING}"),
        ("stride", settings.stride, f"1 to {MAX_STRIDE}"),
    )
    for line, (name, values, note) in enumerate(rows, start=3):
        sheet.text(line, 0, name)
        for number, value in enumerate(values, start=1):
            sheet.input(line, number, value, name=f"{name}_{number}")
        sheet.text(line, 3, note)
    sheet.text(6, 0, "pooling that goes on")
    sheet.input(6, 1, settings.pool, name="pool_kind")
    sheet.text(6, 3, "1 the largest, 2 the mean")
    sheet.text(7, 0, "pooled cell to look at: row, column")
    sheet.input(7, 1, settings.look[0], name="look_row")
    sheet.input(7, 2, settings.look[1], name="look_column")
    sheet.text(7, 3, "0 to size - 1")

    # Sizes, with the numbers put into the formula.
    for column, title in enumerate(
        ("rows and columns", "in", "out", "(n + 2·padding - kernel) // stride + 1")
    ):
        sheet.text(9, column, title, style="head")
    n, sizes = SIZE, settings.sizes
    for line, number in ((10, 1), (11, 2)):
        sheet.text(line, 0, f"layer {number}")
        if number == 1:
            sheet.number(line, 1, SIZE)
        else:
            sheet.formula(line, 1, at(line - 1, 2), n)
        k, p, s = (
            each[number - 1] for each in (settings.kernel, settings.padding, settings.stride)
        )
        formula = f"INT(({at(line, 1)}+2*padding_{number}-kernel_{number})/stride_{number})+1"
        sheet.formula(line, 2, formula, sizes[number - 1])
        words = (
            f'"("&{at(line, 1)}&" + 2·"&padding_{number}&" - "&kernel_{number}&") // "'
            f'&stride_{number}&" + 1 = "&{at(line, 2)}'
        )
        sheet.formula(line, 3, words, f"({n} + 2·{p} - {k}) // {s} + 1 = {sizes[number - 1]}")
        n = sizes[number - 1]
    sheet.text(12, 0, "pooling 2 × 2")
    sheet.formula(12, 1, at(11, 2), sizes[1])
    sheet.formula(12, 2, f"INT({at(12, 1)}/{POOL})", sizes[2])
    sheet.formula(
        12, 3, f'{at(12, 1)}&" // {POOL} = "&{at(12, 2)}', f"{sizes[1]} // {POOL} = {sizes[2]}"
    )
    sheet.define("size_0", 10, 1)
    for line, number in ((10, 1), (11, 2), (12, 3)):
        sheet.define(f"size_{number}", line, 2)
        sheet.check(
            f"size after {('layer 1', 'layer 2', 'pooling')[number - 1]}",
            at(line, 2),
            sizes[number - 1],
        )
    sheet.text(13, 0, "room for them")
    large, gone = f'"NO: larger than {SIZE} × {SIZE}"', '"NO: nothing is left"'
    fits = f'IF(MAX({block(10, 2, 3, 1)})>{SIZE},{large},IF({at(12, 2)}<1,{gone},"yes"))'
    sheet.formula(13, 2, fits, "yes")

    _receptive(sheet, settings, numbers)
    _multiplications(sheet, settings)


def _receptive(sheet: Sheet, settings: Settings, numbers: Numbers) -> None:
    """How far a cell sees, and the rows and columns that reach the chosen one."""
    top = 16
    sheet.text(top - 1, 0, "Receptive field: how many pixels in a row reach one cell", style="head")
    titles = (
        "grid",
        "step in pixels",
        "sees pixels",
        "first row",
        "last row",
        "first column",
        "last column",
    )
    for column, title in enumerate(titles):
        sheet.text(top, column, title, style="head")
    names = ("digit", "layer 1", "layer 2", "pooling")
    step, field = 1, 1
    sheet.text(top + 1, 0, names[0])
    sheet.number(top + 1, 1, 1)
    sheet.number(top + 1, 2, 1)
    for number in (1, 2, 3):
        line = top + 1 + number
        kernel, stride = (f"kernel_{number}", f"stride_{number}") if number < 3 else (POOL, POOL)
        k, s = (
            (settings.kernel[number - 1], settings.stride[number - 1])
            if number < 3
            else (POOL, POOL)
        )
        sheet.text(line, 0, names[number])
        sheet.formula(
            line, 2, f"{at(line - 1, 2)}+({kernel}-1)*{at(line - 1, 1)}", field + (k - 1) * step
        )
        sheet.formula(line, 1, f"{at(line - 1, 1)}*{stride}", step * s)
        field, step = field + (k - 1) * step, step * s
        sheet.check(f"pixels that {names[number]} sees", at(line, 2), field)
    last = top + 4
    for column, name in ((3, "look_row"), (4, "look_row"), (5, "look_column"), (6, "look_column")):
        sheet.formula(last, column, name, numbers.seen[3][column - 3])
    for number in (3, 2, 1):  # from the pooled cell back to the digit
        line = top + number
        kernel, stride, padding, size = (
            (f"kernel_{number}", f"stride_{number}", f"padding_{number}", at(9 + number, 1))
            if number < 3
            else (POOL, POOL, 0, at(12, 1))
        )
        for column in (3, 4, 5, 6):
            there = f"{at(line + 1, column)}*{stride}-{padding}"
            ends = column in (4, 6)
            formula = f"MIN({there}+{kernel}-1,{size}-1)" if ends else f"MAX({there},0)"
            sheet.formula(line, column, formula, numbers.seen[number - 1][column - 3])
            sheet.check(
                f"{titles[column]} on {names[number - 1]}",
                at(line, column),
                numbers.seen[number - 1][column - 3],
            )


def _multiplications(sheet: Sheet, settings: Settings) -> None:
    top = 24
    sheet.text(top - 1, 0, "Multiplications: three ways to count", style="head")
    titles = ("layer", "at input positions", "at output positions", "without padded zeros")
    for column, title in enumerate(titles):
        sheet.text(top, column, title, style="head")
    sizes = (SIZE, *settings.sizes)
    helper = top + 6
    sheet.text(helper - 1, 0, "How often row u of the kernel lies on a real row", style="head")
    for u in range(MAX_KERNEL):
        sheet.text(helper, u + 1, f"u = {u}", style="head")
    sheet.text(helper, MAX_KERNEL + 1, "sum", style="head")
    for number in (1, 2):
        line, channels = top + number, (1, CHANNELS)[number - 1]
        k, p, s = (
            each[number - 1] for each in (settings.kernel, settings.padding, settings.stride)
        )
        n_in, n_out = at(9 + number, 1), at(9 + number, 2)
        sheet.text(line, 0, f"layer {number}")
        work = f"kernel_{number}^2*{channels * CHANNELS}"
        each = k * k * channels * CHANNELS
        sheet.formula(line, 1, f"{n_in}^2*{work}", sizes[number - 1] ** 2 * each)
        sheet.formula(line, 2, f"{n_out}^2*{work}", sizes[number] ** 2 * each)
        ones = F.conv2d(
            torch.ones(1, 1, sizes[number - 1], sizes[number - 1], dtype=torch.float64),
            torch.ones(1, 1, k, k, dtype=torch.float64),
            stride=s,
            padding=p,
        )
        real = int(ones.sum()) * channels * CHANNELS
        total = at(helper + number, MAX_KERNEL + 1)
        sheet.formula(line, 3, f"{total}^2*{channels * CHANNELS}", real)
        sheet.text(helper + number, 0, f"layer {number}")
        inside = [
            sum(0 <= i * s + u - p < sizes[number - 1] for i in range(sizes[number]))
            if u < k
            else 0
            for u in range(MAX_KERNEL)
        ]
        for u in range(MAX_KERNEL):
            last = f"MIN({n_out}-1,INT(({n_in}-1+padding_{number}-{u})/stride_{number}))"
            first = f"MAX(0,-INT(({u}-padding_{number})/stride_{number}))"  # rounded up
            formula = f"IF({u}<kernel_{number},{last}-{first}+1,0)"
            sheet.formula(helper + number, u + 1, formula, inside[u])
        cells = block(helper + number, 1, 1, MAX_KERNEL)
        sheet.formula(helper + number, MAX_KERNEL + 1, f"SUM({cells})", sum(inside))
        for column, count in ((2, sizes[number] ** 2 * each), (3, real)):
            sheet.check(
                f"multiplications of layer {number}, {titles[column]}", at(line, column), count
            )
    line = top + 3
    sheet.text(line, 0, "dense")
    for column in (1, 2, 3):
        sheet.formula(
            line,
            column,
            f"size_3^2*{CHANNELS * CLASSES}",
            settings.sizes[2] ** 2 * CHANNELS * CLASSES,
        )
