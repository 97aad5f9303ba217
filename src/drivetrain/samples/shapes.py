"""The sample `shapes`: circles, squares and triangles, known by construction.

Each picture shows one shape in one colour on another. The three shapes have the same area, and place,
size, turn and colours are drawn without regard to the class: neither brightness nor the mean picture
tells the classes apart, only the outline does. What a model reaches above a third, it saw.

Every pixel is computed here, so the sample is the same on every machine and with every Pillow.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator

from drivetrain.samples.picture import Picture

SIZE = 24
NUM_EACH = 100
NUM_TRAIN_EACH = 80
"""Of each class the first 80 are `train`, the other 20 the sealed `test`."""


def _circle(x: float, y: float) -> bool:
    return x * x + y * y <= 1 / math.pi


def _square(x: float, y: float) -> bool:
    return abs(x) <= 0.5 and abs(y) <= 0.5


def _triangle(x: float, y: float) -> bool:
    """Equal sides, area 1, its centre at the origin: a point is inside if it is within all three."""
    inner = math.sqrt(4 / math.sqrt(3)) / (2 * math.sqrt(3))  # radius of the circle it holds
    return all(x * math.cos(turn) + y * math.sin(turn) <= inner for turn in _THIRDS)


_THIRDS = (math.pi / 2, math.pi / 2 + 2 * math.pi / 3, math.pi / 2 + 4 * math.pi / 3)

SHAPES: dict[str, Callable[[float, float], bool]] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
}
"""Is (x, y) inside the shape of area 1 around the origin?"""

REACH = 0.88
"""How far the farthest corner is from the origin: the triangle's, rounded up."""


def pictures() -> Iterator[Picture]:
    """The pictures, class by class."""
    for shape, inside in SHAPES.items():
        for number in range(NUM_EACH):
            part = "train" if number < NUM_TRAIN_EACH else "test"
            path = f"{part}/{shape}/{shape}-{number:03d}.png"
            # random() of a seeded generator is promised to stay the same in later versions of Python
            draw = random.Random(f"{shape} {number}").random
            yield Picture(path, "RGB", SIZE, SIZE, _draw(inside, draw))


def _draw(inside: Callable[[float, float], bool], draw: Callable[[], float]) -> bytes:
    side = SIZE * (0.35 + 0.15 * draw())  # root of the area, in pixels
    slack = SIZE / 2 - REACH * side - 0.5  # so far may it stand from the middle and touch no edge
    middle = (SIZE / 2 + (2 * draw() - 1) * slack, SIZE / 2 + (2 * draw() - 1) * slack)
    turn = 2 * math.pi * draw()
    cos, sin = math.cos(turn) / side, math.sin(turn) / side
    light = bytes(int(150 + 105 * draw()) for _ in range(3))
    dark = bytes(int(105 * draw()) for _ in range(3))
    front, back = (light, dark) if draw() < 0.5 else (dark, light)
    rows = []
    for row in range(SIZE):
        for column in range(SIZE):
            right, down = column + 0.5 - middle[0], row + 0.5 - middle[1]
            rows.append(
                front if inside(right * cos + down * sin, down * cos - right * sin) else back
            )
    return b"".join(rows)
