"""Pieces together: what every call gives alike goes inside, what nobody reads goes, names stay apart."""

from __future__ import annotations

import importlib.util
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from drivetrain.eject import program, tree
from drivetrain.eject.lift import Lifter, Piece

Settled = Callable[..., str]


@pytest.fixture
def settled(tmp_path: Path) -> Iterator[Settled]:
    """Settle a program: `settled(library, main)` is the text of both, the library's first.

    The library's text is a module of Drivetrain's, such as are free to be changed; `main` is what
    a script is written around. Constants of the script go by their names.
    """
    count = 0

    def settle(
        library: str, main: str, *, constants: dict[str, Any] | None = None, own: bool = False
    ) -> str:
        nonlocal count
        count += 1
        name = f"mine_{count}" if own else f"drivetrain._made_for_a_test_{count}"
        path = tmp_path / f"made_{count}.py"
        path.write_text(textwrap.dedent(library).lstrip("\n"))
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        lifter = Lifter()
        lifter.constants |= constants or {}
        written = [
            Piece(getattr(node, "name", ""), "drivetrain", node)
            for node in tree.statements(textwrap.dedent(main).lstrip("\n"))
        ]
        for piece in written:
            lifter.resolve(piece.node, name)
        program.settle(lifter, written, pinned=[piece.name for piece in written])
        lifted = [tree.render([piece.node]) for piece in lifter.pieces.values()]
        return "\n".join([*lifted, *(tree.render([piece.node]) for piece in written)])

    yield settle
    for name in [
        name for name in sys.modules if "_made_for_a_test_" in name or name.startswith("mine_")
    ]:
        del sys.modules[name]


def answer(text: str, *arguments: Any, constants: dict[str, Any] | None = None) -> Any:
    names: dict[str, Any] = dict(constants or {})
    exec(text, names)  # noqa: S102 - text of this test
    return names["main"](*arguments)


LONG = """
    def scaled(x, factor, shift=0):
        # more than one expression
        y = x * factor
        y = y + y * x
        return y - shift
    """


def test_a_parameter_that_every_call_gives_alike_is_gone(settled: Settled) -> None:
    text = settled(LONG, "def main(a, b):\n    return scaled(a, 3) + scaled(b, 3)\n")
    assert "def scaled(x):" in text and "x * 3" in text and "scaled(a) + scaled(b)" in text
    assert answer(text, 1, 2) == 6 + 18


def test_a_parameter_that_calls_give_otherwise_stays(settled: Settled) -> None:
    text = settled(LONG, "def main(a, b):\n    return scaled(a, 3) + scaled(b, 4)\n")
    assert "def scaled(x, factor):" in text
    assert answer(text, 1, 2) == 6 + 24


def test_a_constant_of_the_script_goes_inside_by_its_name(settled: Settled) -> None:
    text = settled(
        LONG,
        "def main(a, b):\n    return scaled(a, RATE) + scaled(b, factor=RATE)\n",
        constants={"RATE": 3},
    )
    assert "def scaled(x):" in text and "x * RATE" in text
    assert answer(text, 1, 2, constants={"RATE": 3}) == 24


def test_two_constants_of_one_value_are_not_one(settled: Settled) -> None:
    text = settled(
        LONG,
        "def main(a, b):\n    return scaled(a, RATE) + scaled(b, SHARE)\n",
        constants={"RATE": 3, "SHARE": 3},
    )
    assert "def scaled(x, factor):" in text


def test_what_every_call_leaves_at_its_default_is_gone(settled: Settled) -> None:
    text = settled(LONG, "def main(a, b):\n    return scaled(a, a) + scaled(b, b)\n")
    assert "shift" not in text
    assert "def scaled(x, factor):" in text


def test_a_function_that_is_handed_on_keeps_its_parameters(settled: Settled) -> None:
    text = settled(LONG, "def main(a, b):\n    return scaled(a, 3) + sum(map(scaled, [b], [3]))\n")
    assert "def scaled(x, factor" in text
    assert answer(text, 1, 2) == 24


def test_a_call_with_a_star_keeps_the_parameters(settled: Settled) -> None:
    text = settled(LONG, "def main(a, b):\n    return scaled(*a) + scaled(b, 3)\n")
    assert answer(text, (1, 3), 2) == 24
    text = settled(LONG, "def main(a, b):\n    return scaled(**a) + scaled(b, 3)\n")
    assert answer(text, {"x": 1, "factor": 3}, 2) == 24


def test_a_parameter_that_a_function_writes_keeps_its_place(settled: Settled) -> None:
    library = (
        "def count(x, n):\n    while x > 1:\n        x = x - n\n        n = n + 1\n    return n\n"
    )
    text = settled(library, "def main(a, b):\n    return count(a, 1) + count(b, 1)\n")
    assert answer(text, 5, 9) == 4 + 5


def test_a_local_name_is_not_a_constant_of_the_same_name(settled: Settled) -> None:
    text = settled(
        LONG,
        "def main(a, b):\n    RATE = a + b\n    RATE = RATE + 1\n"
        "    return scaled(a, RATE) + scaled(b, RATE)\n",
        constants={"RATE": 3},
    )
    assert answer(text, 1, 2, constants={"RATE": 3}) == 8 + 24


def test_a_local_name_is_not_a_function_of_the_same_name(settled: Settled) -> None:
    library = LONG + "\n    def size(x):\n        return len(x) + 0\n"
    text = settled(
        library,
        """
        def main(a, b):
            size = a + 1
            return scaled(a, size) + scaled(b, size)

        def other(x):
            return size(x)
        """,
    )
    assert answer(text, 1, 2) == 4 + 12


def test_a_parameter_is_not_a_function_of_the_same_name(settled: Settled) -> None:
    library = """
        def weight(x):
            total = x + 1
            return total * total

        def use(weight, y):
            found = weight * y
            return found + y
        """
    text = settled(
        library, "def main(a, b):\n    return use(a, b) + weight(b) + use(weight(a), b)\n"
    )
    assert answer(text, 2, 3) == 9 + 16 + 30


def test_a_branch_that_no_call_takes_is_gone_with_what_it_alone_called(settled: Settled) -> None:
    library = """
        def helper(x):
            y = x
            return [y, y]

        def work(x, mode="plain"):
            if mode == "deep":
                return helper(x)
            total = x * x
            return total + x
        """
    text = settled(library, "def main(a, b):\n    return work(a) + work(b)\n")
    assert "helper" not in text and "mode" not in text and "deep" not in text
    assert answer(text, 1, 2) == 8


def test_a_function_of_one_expression_stands_where_it_was_called(settled: Settled) -> None:
    library = "def _area(width, height):\n    return width * height\n"
    text = settled(library, "def main(a, b):\n    return _area(a + 1, b) * 2\n")
    assert "area" not in text
    assert answer(text, 1, 3) == 12


def test_what_is_worked_out_once_is_not_worked_out_twice(settled: Settled) -> None:
    library = "def _square(x):\n    return x * x\n"
    text = settled(library, "def main(take):\n    return _square(take())\n")
    numbers = iter([3, 5])
    assert answer(text, lambda: next(numbers)) == 9


def test_arguments_are_worked_out_in_their_order(settled: Settled) -> None:
    library = "def _less(x, y):\n    return y - x\n"
    text = settled(library, "def main(take):\n    return _less(take(), take())\n")
    numbers = iter([3, 5])
    assert answer(text, lambda: next(numbers)) == 2


def test_an_expression_does_not_take_the_names_of_where_it_goes(settled: Settled) -> None:
    library = "OFFSET = 5\n\n\ndef _moved(x):\n    return [x + i for i in range(2)]\n"
    text = settled(library, "def main(i):\n    return _moved(i)\n")
    assert answer(text, 7) == [7, 8]


def test_a_name_of_its_module_that_is_a_local_name_of_the_caller(settled: Settled) -> None:
    library = "def scale():\n    return 3 * 1\n\n\ndef _by(x):\n    return x * scale()\n"
    text = settled(
        library, "def main(a):\n    scale = a + 1\n    scale += 1\n    return _by(scale) + scale\n"
    )
    assert answer(text, 1) == 12


def test_steps_that_are_written_in_place_keep_to_their_names(settled: Settled) -> None:
    library = """
        def _steps(x, y):
            total = x + y
            total *= 2
            return total
        """
    text = settled(
        library,
        "def main(a, b):\n    total = a * 100\n    more = _steps(a, b)\n    return total + more\n",
    )
    assert answer(text, 1, 2) == 106


def test_steps_within_a_loop_or_a_lambda_are_still_taken_each_time(settled: Settled) -> None:
    library = "def _steps(x):\n    total = x + 1\n    total *= 2\n    return total\n"
    text = settled(library, "def main(a):\n    return [_steps(x) for x in a]\n")
    assert answer(text, [1, 2]) == [4, 6]
    text = settled(
        library, "def main(a):\n    f = lambda x: _steps(x)\n    return f(a), f(a + 1)\n"
    )
    assert answer(text, 1) == (4, 6)


def test_steps_behind_a_question_are_taken_only_then(settled: Settled) -> None:
    library = "def _steps(x):\n    x.append(1)\n    x.append(2)\n    return x\n"
    text = settled(library, "def main(a):\n    return a and _steps(a)\n")
    assert answer(text, []) == []
    text = settled(library, "def main(a):\n    return _steps(a) if a else a\n")
    assert answer(text, []) == []


def test_records_of_which_nobody_reads_a_field_are_tuples(settled: Settled) -> None:
    library = """
        from typing import NamedTuple

        class Pair(NamedTuple):
            left: int
            right: int

        def both(x):
            y = x + 1
            y *= 2
            return Pair(x, y)
        """
    main = (
        "def main(a):\n    left, right = both(a)\n"
        "    more, less = both(right)\n    return left, right, more, less\n"
    )
    text = settled(library, main)
    assert "Pair" not in text and "return x, y" in text
    assert answer(text, 1) == (1, 4, 4, 10)


def test_records_of_which_a_field_is_read_stay(settled: Settled) -> None:
    library = """
        from typing import NamedTuple

        class Pair(NamedTuple):
            left: int
            right: int

        def both(x):
            y = x + 1
            y *= 2
            return Pair(x, y)
        """
    text = settled(library, "def main(a):\n    return both(a).right + both(a + 1).left\n")
    assert "class Pair(NamedTuple):" in text


def test_what_a_record_is_asked_for_decides_its_fields(settled: Settled) -> None:
    library = """
        import dataclasses

        @dataclasses.dataclass(frozen=True)
        class Options:
            depth: int = 1
            name: str = "x"

        def work(x, options):
            y = x * options.depth
            y += x
            return y

        def again(x, options):
            y = x - options.depth
            y -= 1
            return y
        """
    main = (
        "def main(a):\n    options = Options(depth=a, name='y')\n"
        "    return work(a, options) + again(a, options)\n"
    )
    text = settled(library, main)
    assert answer("import dataclasses\n" + text, 3) == 12 - 1


def test_methods_that_nobody_calls_are_gone(settled: Settled) -> None:
    library = """
        class Counter:
            def __init__(self, start):
                self.count = start
                self.unread = 1

            def add(self, n):
                self.count += n
                return self.count

            def unused(self):
                return self.unread
        """
    text = settled(
        library,
        "def main(a):\n    counter = Counter(a)\n    counter.add(2)\n    return counter.add(3)\n",
    )
    assert "unused" not in text and "unread" not in text
    assert answer(text, 1) == 6


def test_an_attribute_that_only_a_method_brought_in_later_reads_is_kept(settled: Settled) -> None:
    library = """
        class Total:
            def __init__(self):
                self.sums = 0.0
                self.squares = 0.0

            def add(self, x):
                self.sums = self.sums + x
                self.squares = self.squares + x * x

            def result(self):
                return self.sums, self.squares

        def _tell(total, x):
            add = total
            add.add(x)
            add.add(x)

        def use(x):
            total = Total()
            _tell(total, x)
            return total.result()
        """
    text = settled(library, "def main(a):\n    return use(a)\n")
    assert answer(text, 3) == (6, 18)


def test_private_names_become_public_where_nothing_else_is_called_so(settled: Settled) -> None:
    library = """
        def _first(x):
            y = x + 1
            for _ in range(3):
                y *= 2
            return y

        def _list(x):
            y = [x]
            for _ in range(3):
                y += [x]
            return y

        def _second(first):
            y = _first(first)
            for _ in range(3):
                y += first
            return y

        def _count(x):
            y = x
            for _ in range(3):
                y -= 1
            return y
        """
    main = """
        def main(a):
            count = _count(a) + _count(a)
            return _first(a), _list(a) + _list(a), list((_second(a), _second(a))), count
        """
    text = settled(library, main)
    assert "def _first(" in text  # `first` is a parameter somewhere
    assert "def _list(" in text  # `list` is Python's
    assert "def second(" in text
    assert "def _count(" in text  # `count` is a local name
    assert answer(text, 1) == (16, [1] * 8, [19, 19], -4)


def test_a_persons_pieces_stay_as_they_are(settled: Settled) -> None:
    library = '''
        def _helper(x, unused=3):
            """A docstring."""
            assert x  # a guard
            if unused == 3:
                return x
            return None
        '''
    text = settled(library, "def main(a):\n    return _helper(a)\n", own=True)
    assert textwrap.dedent(library).strip() in text


def test_recursion_ends(settled: Settled) -> None:
    library = "def down(n, step):\n    return n if n <= 0 else down(n - step, step)\n"
    text = settled(library, "def main(a):\n    return down(a, 2)\n")
    assert answer(text, 5) == -1


def test_functions_that_call_each_other_end(settled: Settled) -> None:
    library = (
        "def even(n):\n    return n == 0 or odd(n - 1)\n\n\n"
        "def odd(n):\n    return n != 0 and even(n - 1)\n"
    )
    text = settled(library, "def main(a):\n    return even(a)\n")
    assert answer(text, 5) is False


def test_generators_are_not_written_in_place(settled: Settled) -> None:
    library = "def _numbers(n):\n    x = n\n    x += 1\n    yield x\n"
    text = settled(library, "def main(a):\n    found = _numbers(a)\n    return list(found)\n")
    assert answer(text, 2) == [3]
    text = settled("def _one(n):\n    yield n\n", "def main(a):\n    return list(_one(a))\n")
    assert answer(text, 2) == [2]
