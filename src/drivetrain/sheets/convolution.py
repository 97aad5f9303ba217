"""The workbook `convolution`: one digit through two layers, pooling and a dense layer.

    size of the output = (n + 2·padding - kernel) // stride + 1
    y[i, j] = max(0, b + sum over c, u, v of x[c, i·stride + u, j·stride + v] · w[c, u, v])

with x the padded input. Kernel size, padding and stride of both layers are cells, and everything hangs
on them: grids shrink and grow, the padded border is an INDEX that is asked only where there is
a pixel, the receptive field and the multiplications follow. Rows and columns on the sheets count from 0.

Paper: LeCun et al. 1989, doi:10.1162/neco.1989.1.4.541.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from drivetrain.sheets.convolution_numbers import (
    CHANNELS,
    CLASSES,
    MAX_KERNEL,
    MAX_PADDING,
    POOL,
    POOLED,
    SIZE,
    Numbers,
    Settings,
    computed,
)
from drivetrain.sheets.convolution_sizes import write_sizes
from drivetrain.sheets.places import at, block
from drivetrain.sheets.workbook import Sheet, Workbook

_WIDE = SIZE + 2 * MAX_PADDING

SIZES, DIGIT, ONE, TWO, POOLING, DENSE, SEEN, MATRIX = (
    *("Sizes", "Digit", "Layer 1", "Layer 2", "Pooling", "Dense", "Seen", "As a matrix"),
)

_LEFT = 1
"""Column in which every grid begins: the one before it holds the number of the row."""

_KERNELS = 4
"""Row in which the kernels of a layer begin; its grids follow below."""

_PADDED = 12

_SHORT = "0.0;-0.0;0"
"""How activations are shown: 33 columns fit a screen; a chosen cell shows all digits."""


def build(
    *,
    kernel: tuple[int, int] = (3, 3),
    padding: tuple[int, int] = (1, 1),
    stride: tuple[int, int] = (1, 2),
    pool: int = 1,
    seed: int = 42,
) -> Workbook:
    """The workbook.

    Args:
        kernel: rows and columns of the kernels of layer 1 and of layer 2, 1 to 5.
        padding: zeros around the input of each layer, 0 to 2.
        stride: steps of the kernel of each layer, 1 to 3.
        pool: what goes on to the dense layer: 1 the largest of 2 × 2, 2 their mean.
        seed: of the weights that no one has trained.
    Raises: ConfigError: a setting is out of its range, or a grid would be larger than 28 × 28.
    """
    settings = Settings(kernel, padding, stride, pool, seed=seed)
    numbers = computed(settings)
    book = Workbook(
        "Convolution: one digit through a small net",
        "Two layers of convolution with ReLU, pooling and a dense layer, every number by a formula.",
    )
    book.guide(
        what="The sheets follow the digit: Sizes holds the settings, then Digit, Layer 1, Layer 2, "
        "Pooling and Dense. Seen shows which pixels reach one cell; As a matrix shows a convolution "
        "as one matrix product. Rows and columns count from 0. Nothing is trained: the second layer's "
        "weights and the dense weights are drawn.",
        change=[
            (
                "padding of layer 1 on 'Sizes': 1 to 0",
                "Layer 1 shrinks from 28 × 28 to 26 × 26: (28 + 0 - 3) // 1 + 1. Layer 2 "
                "follows: 13 × 13.",
            ),
            (
                "stride of layer 1: 1 to 2",
                "28, 14, 7: a cell of layer 2 now sees 7 × 7 pixels in place of 5 × 5, and both layers "
                "cost less. Not counting products with padded zeros, see the third column.",
            ),
            (
                "the first kernel on 'Layer 1': turn its signs round",
                "Upper edges of the strokes go dark and lower edges light up; ReLU keeps only one side.",
            ),
            (
                "pooling: 1 to 2",
                "'Dense' takes the mean of each 2 × 2 in place of the largest. Max asks whether the "
                "feature is anywhere in the patch, mean how much of the patch has it.",
            ),
            (
                "look_row and look_column on 'Sizes'",
                "'Seen' shows the pixels that reach that pooled cell; at the border there are fewer.",
            ),
        ],
    )
    write_sizes(book.sheet(SIZES), settings, numbers)
    _digit(book.sheet(DIGIT), numbers)
    _layer(book.sheet(ONE), 0, settings, numbers)
    _layer(book.sheet(TWO), 1, settings, numbers)
    _pooling(book.sheet(POOLING), settings, numbers)
    _dense(book.sheet(DENSE), settings, numbers)
    _seen(book.sheet(SEEN), numbers)
    _matrix(book.sheet(MATRIX))
    return book


# --- grids ----------------------------------------------------------------------------------------


def _grid(
    sheet: Sheet,
    name: str,
    top: int,
    title: str,
    side: int,
    formula: Callable[[str, str], str],
    size: str,
    values: Tensor,
) -> str:
    """A square of formulas with numbered rows and columns; blank beyond `size`. Returns its name.

    Args:
        name: what formulas call the square.
        formula: of the names of the cells that hold the row's and the column's number.
        values: (n, n), n at most `side`.
    """
    sheet.text(top, 0, title, style="head")
    for place in range(side):
        sheet.number(top + 1, _LEFT + place, place, style="index")
        sheet.number(top + 2 + place, 0, place, style="index")
    shown = values.tolist()
    for i in range(side):
        for j in range(side):
            row, column = at(top + 2 + i, 0, fix="column"), at(top + 1, _LEFT + j, fix="row")
            value = shown[i][j] if i < len(shown) and j < len(shown) else ""
            text = f'IF(MAX({row},{column})<{size},{formula(row, column)},"")'
            sheet.formula(
                top + 2 + i, _LEFT + j, text, value, format=_SHORT if side > POOLED else ""
            )
    sheet.heat(top + 2, _LEFT, side, side)
    sheet.define(name, top + 2, _LEFT, side, side)
    return name


def _digit(sheet: Sheet, numbers: Numbers) -> None:
    sheet.widths(0, SIZE, 5)
    sheet.text(0, 0, "The digit: 28 × 28 pixels from 0 (paper) to 1 (ink)", style="title")
    for place in range(SIZE):
        sheet.number(2, _LEFT + place, place, style="index")
        sheet.number(3 + place, 0, place, style="index")
    sheet.inputs(3, _LEFT, numbers.digit.tolist())
    sheet.define("digit", 3, _LEFT, SIZE, SIZE)
    sheet.heat(3, _LEFT, SIZE, SIZE)


def _kernel_place(number: int, out: int, channel: int) -> tuple[int, int]:
    """Where the kernel from a channel to an output channel begins on the sheet of its layer."""
    index = out * (1, CHANNELS)[number] + channel
    return _KERNELS + 1, _LEFT + index * (MAX_KERNEL + 2)


def _bias_place(number: int, out: int) -> tuple[int, int]:
    return _KERNELS, _LEFT + 28 + 2 * out


def _layer(sheet: Sheet, number: int, settings: Settings, numbers: Numbers) -> None:
    """A layer: its kernels, the padded inputs, and for each output channel the grid after the ReLU."""
    name, channels = f"layer {number + 1}", (1, CHANNELS)[number]
    sheet.widths(0, _WIDE, 4.4)
    title = f"Layer {number + 1}: convolution with {CHANNELS} outputs, bias and ReLU"
    sheet.text(0, 0, title, style="title")
    words = (
        f"The upper left kernel_{number + 1} × kernel_{number + 1} numbers of each kernel are used."
    )
    sheet.text(1, 0, words)
    for out in range(CHANNELS):
        for channel in range(channels):
            top, left = _kernel_place(number, out, channel)
            sheet.text(top - 1, left, f"{channel} → {out}", style="head")
            sheet.inputs(top, left, numbers.kernels[number][out, channel].tolist())
            sheet.define(f"weights_{number + 1}_{out}_{channel}", top, left, MAX_KERNEL, MAX_KERNEL)
        row, column = _bias_place(number, out)
        sheet.text(row, column, f"b {out}", style="head")
        sheet.input(
            row + 1, column, float(numbers.biases[number][out]), name=f"bias_{number + 1}_{out}"
        )
    source = [f"layer_1_{out}" for out in range(CHANNELS)] if number else ["digit"]
    before = f"size_{number}"
    pad = f"padding_{number + 1}"
    padded: list[str] = []
    for channel, grid in enumerate(source):

        def bordered(row: str, column: str, grid: str = grid) -> str:
            inside = f"AND(MIN({row},{column})>={pad},MAX({row},{column})<{before}+{pad})"
            return f"IF({inside},INDEX({grid},{row}-{pad}+1,{column}-{pad}+1),0)"

        title = f"input {channel} with its border of zeros"
        top = _PADDED + channel * (_WIDE + 3)
        size = f"{before}+2*{pad}"
        values, called = numbers.padded[number][channel], f"border_{number + 1}_{channel}"
        padded.append(_grid(sheet, called, top, title, _WIDE, bordered, size, values))
    stride, kernel = f"stride_{number + 1}", f"kernel_{number + 1}"
    for out in range(CHANNELS):

        def convolved(row: str, column: str, out: int = out) -> str:
            products: list[str] = []
            for channel, grid in enumerate(padded):
                first = f"INDEX({grid},{row}*{stride}+1,{column}*{stride}+1)"
                last = f"INDEX({grid},{row}*{stride}+{kernel},{column}*{stride}+{kernel})"
                kept = f"weights_{number + 1}_{out}_{channel}"
                weights = f"INDEX({kept},1,1):INDEX({kept},{kernel},{kernel})"
                products.append(f"SUMPRODUCT({first}:{last},{weights})")
            return f"MAX(0,{'+'.join(products)}+bias_{number + 1}_{out})"

        top, values = _out_top(number, out), numbers.layers[number][out]
        title = f"output {out} after the ReLU"
        called, size = f"layer_{number + 1}_{out}", f"size_{number + 1}"
        grid = _grid(sheet, called, top, title, SIZE, convolved, size, values)
        sheet.check(f"{name}, output {out}: sum", f"SUM({grid})", values.sum())
        sheet.check(f"{name}, output {out}: largest", f"MAX({grid})", values.max())
        middle = len(values) // 2
        cell = at(top + 2 + middle, _LEFT + middle)
        sheet.check(
            f"{name}, output {out}: cell [{middle}, {middle}]", cell, values[middle, middle]
        )


def _out_top(number: int, out: int) -> int:
    return _PADDED + (1, CHANNELS)[number] * (_WIDE + 3) + out * (SIZE + 3)


def _pooling(sheet: Sheet, settings: Settings, numbers: Numbers) -> None:
    title = "Pooling: of each 2 × 2 cells of layer 2 the largest, or the mean"
    sheet.text(0, 0, title, style="title")
    for kind, name, values in ((0, "largest", numbers.largest), (1, "mean", numbers.mean)):
        for channel in range(CHANNELS):
            source = f"layer_2_{channel}"

            def pooled(row: str, column: str, source: str = source, name: str = name) -> str:
                patch = (
                    f"INDEX({source},{POOL}*{row}+1,{POOL}*{column}+1)"
                    f":INDEX({source},{POOL}*{row}+{POOL},{POOL}*{column}+{POOL})"
                )
                return f"{'MAX' if name == 'largest' else 'AVERAGE'}({patch})"

            top = _pool_top(kind, channel)
            title, called = f"{name} of channel {channel}", f"{name}_{channel}"
            grid = _grid(sheet, called, top, title, POOLED, pooled, "size_3", values[channel])
            sheet.check(f"{name}, channel {channel}: sum", f"SUM({grid})", values[channel].sum())


def _pool_top(kind: int, channel: int) -> int:
    return 2 + (2 * kind + channel) * (POOLED + 3)


def _dense(sheet: Sheet, settings: Settings, numbers: Numbers) -> None:
    """One activation a class: every pooled cell times its own weight, summed."""
    sheet.widths(0, 2 * POOLED + 1, 4.9)
    title = "Dense layer: every pooled cell times a weight of its own, one sum a class"
    sheet.text(0, 0, title, style="title")
    words = "Only the upper left size_3 × size_3 weights are used: the layer belongs to one size of grid."
    sheet.text(1, 0, words)
    for number in range(CLASSES):
        terms: list[str] = []
        for channel in range(CHANNELS):
            top, left = 8 + number * (POOLED + 2), _LEFT + channel * (POOLED + 1)
            sheet.text(top - 1, left, f"class {number}, channel {channel}", style="head")
            sheet.inputs(top, left, numbers.weights[number, channel].tolist())
            kept = f"dense_{number}_{channel}"
            sheet.define(kept, top, left, POOLED, POOLED)
            weights = f"INDEX({kept},1,1):INDEX({kept},size_3,size_3)"
            chosen = [
                f"SUMPRODUCT(INDEX({grid},1,1):INDEX({grid},size_3,size_3),{weights})"
                for grid in (f"largest_{channel}", f"mean_{channel}")
            ]
            terms.append(f"IF(pool_kind=1,{chosen[0]},{chosen[1]})")
        line = 3 + number
        sheet.text(line, 0, f"class {number}")
        sheet.text(line, 5, "bias")
        sheet.input(line, 8, float(numbers.bias[number]), name=f"bias_class_{number}")
        sheet.text(line, 11, "activation")
        formula, value = f"{'+'.join(terms)}+bias_class_{number}", numbers.classes[number]
        sheet.formula(line, 15, formula, value, format="0.00")
        sheet.check(f"activation of class {number}", at(line, 15), numbers.classes[number])


def _seen(sheet: Sheet, numbers: Numbers) -> None:
    """The digit, with only the pixels that reach the chosen pooled cell."""
    sheet.widths(0, SIZE, 5)
    title = "The pixels that reach the pooled cell [look_row, look_column] of 'Sizes'"
    sheet.text(0, 0, title, style="title")
    ranges = [at(17, column, sheet=SIZES) for column in (3, 4, 5, 6)]
    first_row, last_row, first_column, last_column = numbers.seen[0]
    values = numbers.digit.tolist()
    for place in range(SIZE):
        sheet.number(2, _LEFT + place, place, style="index")
        sheet.number(3 + place, 0, place, style="index")
    for i in range(SIZE):
        for j in range(SIZE):
            row, column = at(3 + i, 0, fix="column"), at(2, _LEFT + j, fix="row")
            down = f"{row}>={ranges[0]},{row}<={ranges[1]}"
            inside = f"AND({down},{column}>={ranges[2]},{column}<={ranges[3]})"
            within = first_row <= i <= last_row and first_column <= j <= last_column
            pixel = at(3 + i, _LEFT + j, sheet=DIGIT)
            shown = values[i][j] if within else ""
            sheet.formula(3 + i, _LEFT + j, f'IF({inside},{pixel},"")', shown, format="0.00")
    sheet.heat(3, _LEFT, SIZE, SIZE)
    count = (last_row - first_row + 1) * (last_column - first_column + 1)
    sheet.check("pixels that reach the cell", f"COUNT({block(3, _LEFT, SIZE, SIZE)})", count)


def _matrix(sheet: Sheet) -> None:
    """A 4 × 4 picture and a 3 × 3 kernel: four sums, or one product with a matrix of 4 × 16."""
    picture = torch.arange(16, dtype=torch.float64).reshape(4, 4).mul(7).remainder(10)
    kernel = torch.tensor([[1.0, 2, 3], [4, 5, 6], [7, 8, 9]], dtype=torch.float64)
    direct = F.conv2d(picture[None, None], kernel[None, None])[0, 0]
    # Column q of the matrix is what a picture with a 1 at place q alone gives.
    matrix = F.conv2d(torch.eye(16, dtype=torch.float64).reshape(16, 1, 4, 4), kernel[None, None])
    matrix = matrix.reshape(16, 4).T  # (4, 16)
    title = "A convolution is a product with a matrix whose rows share the kernel's nine numbers"
    sheet.text(0, 0, title, style="title")
    sheet.text(2, 2, "picture", style="head")
    sheet.inputs(3, 2, picture.tolist())
    sheet.text(2, 7, "kernel", style="head")
    sheet.inputs(3, 7, kernel.tolist())
    sheet.text(2, 11, "four sums", style="head")
    for i in range(2):
        for j in range(2):
            window, weights = block(3 + i, 2 + j, 3, 3), block(3, 7, 3, 3)
            sheet.formula(3 + i, 11 + j, f"SUMPRODUCT({window},{weights})", direct[i, j])

    top = 10
    words = "The matrix: one row an output, one column a pixel; rows are the kernel, moved"
    sheet.text(8, 0, words, style="head")
    sheet.text(9, 0, "row", style="head")
    sheet.text(10, 0, "column", style="head")
    for q in range(16):
        sheet.number(9, 2 + q, q // 4, style="index")
        sheet.number(10, 2 + q, q % 4, style="index")
    for o in range(4):
        line = top + 1 + o
        sheet.number(line, 0, o // 2, style="index")
        sheet.number(line, 1, o % 2, style="index")
        for q in range(16):
            down = f"{at(9, 2 + q, fix='row')}-{at(line, 0, fix='column')}"
            across = f"{at(10, 2 + q, fix='row')}-{at(line, 1, fix='column')}"
            inside = f"AND({down}>=0,{down}<3,{across}>=0,{across}<3)"
            formula = f"IF({inside},INDEX({block(3, 7, 3, 3)},{down}+1,{across}+1),0)"
            sheet.formula(line, 2 + q, formula, matrix[o, q])
    sheet.heat(top + 1, 2, 4, 16)
    sheet.text(16, 0, "the picture as one column, and matrix × column (MMULT)", style="head")
    for q in range(16):
        sheet.formula(17 + q, 2, at(3 + q // 4, 2 + q % 4), picture.flatten()[q])
    product = (matrix @ picture.flatten())[:, None]
    sheet.array(
        17, 4, 4, 1, f"MMULT({block(top + 1, 2, 4, 16)},{block(17, 2, 16, 1)})", product.tolist()
    )
    sheet.text(22, 4, "numbers that are not 0")
    sheet.formula(22, 10, f'COUNTIF({block(top + 1, 2, 4, 16)},"<>0")', int(matrix.count_nonzero()))
    for o in range(4):
        sheet.check(f"output {o} by the matrix", at(17 + o, 4), direct.flatten()[o])
        sheet.check(f"output {o} by the sum", at(3 + o // 2, 11 + o % 2), direct.flatten()[o])
    sheet.check("numbers that are not 0", at(22, 10), int(matrix.count_nonzero()))
