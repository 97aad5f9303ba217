"""What is known is put in, and what that leaves without use goes; the rest means what it meant."""

from __future__ import annotations

import ast
import textwrap
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from drivetrain.eject import tree
from drivetrain.eject.fold import Folder
from drivetrain.eject.known import UNKNOWN, Known, literal
from drivetrain.eject.questions import negated

FUSED = ("cpu", "cuda")


def folded(
    text: str, *, glob: dict[str, Any] | None = None, keep_guards: bool = False, **known: Any
) -> str:
    """The text with these values put in; `self__x=1` says what `self.x` is."""
    values = {
        name.replace("__", "."): value if isinstance(value, Known) else Known(value)
        for name, value in known.items()
    }
    body = tree.statements(textwrap.dedent(text).lstrip("\n"))
    Folder(values, glob, keep_guards=keep_guards).fold(body)
    return tree.render(body)


def becomes(before: str, after: str, **options: Any) -> None:
    """After folding the text is the other; which is folded already."""
    after = textwrap.dedent(after).lstrip("\n")
    assert folded(before, **options).strip() == after.strip()


# --- lists, and what nobody reads ------------------------------------------------------------------


def body_of_f(text: str) -> str:
    """Statements as the body of a function."""
    return "def f(a, c, z):\n" + textwrap.indent(text, "    ")


def test_a_list_that_is_filled_next_is_filled_at_once() -> None:
    becomes(
        body_of_f("x = [a]\nx.append(b(c))\nuse(x, x)"),
        body_of_f("x = [a, b(c)]\nuse(x, x)"),
    )


def test_an_empty_list_waits_for_what_comes_before_its_first_part() -> None:
    becomes(
        body_of_f("x = []\ny = g(z)\nx.append(y + y)\nx.append(z)\nuse(x, x)"),
        body_of_f("y = g(z)\nx = [y + y, z]\nuse(x, x)"),
    )


@pytest.mark.parametrize(
    "text",
    [
        "x = [a]\nx.append(len(x))\nuse(x, x)",
        "x = []\ny = g(x)\nx.append(y + y)\nuse(x, x)",
        "x = [a]\ny = g(z)\nx.append(y + y)\nuse(x, x)",
    ],
)
def test_a_list_is_left_where_its_parts_ask_for_it_or_come_later(text: str) -> None:
    becomes(body_of_f(text), body_of_f(text))


def test_a_question_to_an_array_goes_where_nobody_reads_its_answer() -> None:
    becomes("def f(x):\n    y = float(x.max())\n    return x", "def f(x):\n    return x")
    becomes("def f(x):\n    y = x.pop()\n    return x", "def f(x):\n    x.pop()\n    return x")


# --- what is known --------------------------------------------------------------------------------


def test_a_known_value_stands_where_its_name_was_read() -> None:
    becomes("print(self.decay, x)", "print(0.9, x)", self__decay=0.9)


def test_a_text_stands_where_its_name_was_read() -> None:
    becomes("print(state.seed)", "print(SEED)", state__seed=Known(3, "SEED"))
    becomes("y = state.step + 1", "y = step + 1", state__step=Known(text="step"))


def test_a_parameter_hides_what_is_known_of_the_name() -> None:
    becomes("def f(x):\n    return x\n", "def f(x):\n    return x\n", x=1)
    becomes("f = lambda x: x + y", "f = lambda x: x + 2", x=1, y=2)


def test_attributes_of_a_known_record_are_read() -> None:
    becomes("print(self.made.text)", "print('abc')", self__made=Known(Known(3, "abc")))


def test_what_cannot_be_written_stays() -> None:
    becomes("print(x)", "print(x)", x=float("nan"))
    becomes("print(x)", "print(x)", x=object())


@pytest.mark.parametrize("value", [None, True, 3, -1.5, "text", (1, "a"), [1, [2]], {"a": (1,)}])
def test_plain_values_are_written_out(value: Any) -> None:
    written = literal(value)
    assert written is not None
    assert ast.literal_eval(tree.unparse(written)) == value


@pytest.mark.parametrize(
    "value", [float("inf"), {1: 2}, {"a": object()}, [object()], b"x", 1j, UNKNOWN]
)
def test_other_values_are_not(value: Any) -> None:
    assert literal(value) is None


# --- branches -------------------------------------------------------------------------------------


def test_the_branch_that_is_taken_stands_by_itself() -> None:
    text = """
        if unit == "cm":
            a()
        elif unit == "mm":
            b()
        else:
            c()
        """
    becomes(text, "a()", unit="cm")
    becomes(text, "b()", unit="mm")
    becomes(text, "c()", unit="in")


def test_a_branch_that_nobody_takes_goes_with_its_if() -> None:
    becomes("if x:\n    a()\nb()\n", "b()", x=False)
    becomes("if x:\n    a()\nelif y:\n    c()\n", "if y:\n    c()", x=False)


def test_an_else_without_a_body_above_it_is_turned_round() -> None:
    becomes("if x == 1:\n    assert y\nelse:\n    a()\n", "if x != 1:\n    a()")


def test_what_follows_a_return_goes() -> None:
    becomes(
        "def f(x):\n    if a:\n        return x\n    return 2\n", "def f(x):\n    return x", a=True
    )


def test_questions_are_answered_by_parts() -> None:
    becomes("if a and b:\n    f()\n", "if b:\n    f()", a=True)
    becomes("if a and b:\n    f()\ng()", "g()", a=False)
    becomes("if b or a:\n    f()\n", "f()", a=True)
    becomes("if b or a:\n    f()\n", "if b:\n    f()", a=False)
    becomes("if not a:\n    f()\n", "f()", a=0)


def test_a_conditional_expression_is_its_answer() -> None:
    becomes("y = 1 if a else f(x)", "y = f(x)", a=None)
    becomes("y = x if b else x", "y = x")


def test_names_of_the_module_are_asked() -> None:
    text = "if device in FUSED:\n    f()\n"
    becomes(text, "f()", device="cpu", glob={"FUSED": FUSED})
    becomes(text + "g()", "g()", device="mps", glob={"FUSED": FUSED})


def test_a_name_of_the_function_is_not_one_of_the_module() -> None:
    text = "def f(FUSED, d):\n    if d in FUSED:\n        return 1\n    return 2\n"
    becomes(text, text, glob={"FUSED": FUSED, "d": "cpu"})


def test_a_call_is_answered_where_its_answer_is_known() -> None:
    body = tree.statements("if is_here():\n    a()\nelse:\n    b()\n")
    Folder({"is_here()": Known(False)}).fold(body)
    assert tree.render(body) == "b()\n"


def test_numbers_of_what_is_known_are_worked_out() -> None:
    becomes("y = len(x) * 2 + 1", "y = 7", x=(1, 2, 3))
    becomes("y = x[1]", "y = 5", x=(1, 5))
    becomes("y = x['a']", "y = 5", x={"a": 5})
    becomes("y = min(a, b)", "y = 2", a=2, b=3)
    becomes("y = -a", "y = -2", a=2)
    becomes("y = 0 < a < 2", "y = True", a=1)


def test_what_fails_now_is_left_to_fail_later() -> None:
    becomes("y = x[5]", "y = (1, 2)[5]", x=(1, 2))
    becomes("y = 1 // x", "y = 1 // 0", x=0)


# --- guards ---------------------------------------------------------------------------------------


def test_an_if_that_only_raises_our_error_goes() -> None:
    becomes("if x > 3:\n    raise ConfigError('x')\na()\n", "a()")
    becomes("if x > 3:\n    raise errors.ShapeError('x')\na()\n", "a()")


def test_another_error_stays() -> None:
    text = "if x > 3:\n    raise KeyError('x')\na()\n"
    becomes(text, text)


def test_asserts_and_checks_go() -> None:
    text = """
        assert x
        check_number('f', 'x', x, above=0)
        self._check(x)
        _refuse_nothing(x)
        checked = recheck(x)
        a(checked)
        """
    assert "recheck(x)" in folded(text)
    for gone in ("assert", "check_number", "_check(x)\n_", "_refuse"):
        assert gone not in folded(text)


def test_a_try_that_only_says_more_goes() -> None:
    text = "try:\n    a()\nexcept KeyError as error:\n    raise ConfigError('x') from error\n"
    becomes(text, "a()")


def test_a_try_that_does_something_stays() -> None:
    text = "try:\n    a()\nexcept KeyError:\n    b()\n"
    becomes(text, text)


def test_a_persons_guards_stay() -> None:
    text = "assert x\nif x > 3:\n    raise ConfigError('x')\ncheck(x)\n"
    becomes(text, text, keep_guards=True)


# --- names ----------------------------------------------------------------------------------------


def in_function(before: str, after: str, *, head: str = "def f(a, b):", **options: Any) -> None:
    def whole(text: str) -> str:
        return head + "\n" + textwrap.indent(textwrap.dedent(text).strip("\n"), "    ") + "\n"

    becomes(whole(before), whole(after), **options)


def test_a_constant_stands_where_its_name_was_read() -> None:
    in_function("x = 1\nreturn a + x", "return a + 1")


def test_a_name_that_is_given_twice_stays() -> None:
    text = "x = 1\nif a:\n    x = 2\nreturn x"
    in_function(text, text)


def test_another_name_of_a_name_goes() -> None:
    in_function("x = a\nreturn g(x)", "return g(a)")


def test_another_name_of_what_changes_stays() -> None:
    text = "x = a\na = g(a)\nreturn x + a"
    in_function(text, text)


def test_what_nobody_reads_goes() -> None:
    in_function("x = a + b\nreturn a", "return a")


def test_a_call_whose_answer_nobody_reads_is_still_made() -> None:
    in_function("x = g(a)\nreturn a", "g(a)\nreturn a")


def test_what_is_added_to_a_name_that_nobody_reads_is_still_worked_out() -> None:
    in_function("x = 0\nx += g(a)\nreturn a", "g(a)\nreturn a")


def test_options_that_are_only_handed_on_stand_in_the_call() -> None:
    in_function("options = {'x': a}\nreturn g(**options)", "return g(x=a)")


def test_two_names_given_at_once_are_two_statements_where_one_is_plain() -> None:
    in_function("x, y = 1, g(a)\nreturn x + y", "y = g(a)\nreturn 1 + y")


def test_names_that_change_places_stay_one_statement() -> None:
    text = "a, b = b, a\nreturn a - b"
    in_function(text, text)


def test_a_name_given_to_itself_goes() -> None:
    in_function("a = a\nreturn a", "return a")


def test_a_store_that_is_overwritten_unread_goes() -> None:
    in_function("x = a + 1\nx = b * g(2)\ng(x)\nh(x)", "x = b * g(2)\ng(x)\nh(x)")


def test_a_store_that_the_next_one_reads_stays() -> None:
    text = "x = a + 1\nx = x * b\ng(x)\nh(x)"
    in_function(text, text)


def test_a_names_constant_does_not_enter_a_lambda_that_has_the_name_itself() -> None:
    in_function(
        "x = 1\ng = lambda x: x + a\nreturn g(2) + x", "g = lambda x: x + a\nreturn g(2) + 1"
    )


def test_a_names_constant_does_not_enter_a_function_that_has_the_name_itself() -> None:
    in_function(
        "x = 1\ndef g(x):\n    return x + a\nreturn g(2) + x",
        "def g(x):\n    return x + a\nreturn g(2) + 1",
    )


def test_what_an_inner_function_counts_for_the_outer_one_stays() -> None:
    text = "n = g(0)\ndef add():\n    nonlocal n\n    n += 1\nadd()\nreturn n"
    in_function(text, text)


def test_a_name_of_the_module_that_a_function_sets_stays() -> None:
    text = "def f(a):\n    global N\n    N = a\n"
    becomes(text, text)


# --- loops ----------------------------------------------------------------------------------------


def test_a_loop_of_one_round_is_its_body() -> None:
    becomes("for i in range(1):\n    f(i)\n", "f(0)")
    becomes("for i in (7,):\n    f(i)\n", "f(7)")
    becomes("for i in range(n):\n    f(i)\n", "f(0)", n=1)


def test_a_loop_of_one_round_that_is_left_in_its_middle_stays() -> None:
    text = "for i in (7,):\n    if f(i):\n        break\n    g()\n"
    becomes(text, text)


def test_the_name_of_a_loop_of_one_round_can_be_read_after_it() -> None:
    after = folded("def f(a):\n    for i in (7,):\n        a(i)\n    return i\n")
    assert run(after, lambda _: None) == 7


def test_a_loop_without_rounds_goes() -> None:
    becomes("for i in ():\n    f(i)\ng()\n", "g()")


def test_a_loop_that_does_nothing_goes() -> None:
    becomes("for i in x:\n    check_item(i)\ng()\n", "g()")


def test_a_count_that_nobody_reads_goes() -> None:
    becomes("for i, x in enumerate(y):\n    f(x)\n", "for x in y:\n    f(x)")


def test_a_count_that_is_read_stays() -> None:
    for text in (
        "for i, x in enumerate(y):\n    f(i, x)\n",
        "for i, x in enumerate(y, 1):\n    f(i, x)\n",
        "for i, x in enumerate(y):\n    f(x)\nprint(i)\n",
    ):
        becomes(text, text)


def test_a_pair_of_which_one_is_not_read_is_the_other() -> None:
    becomes("for a, b in zip((1, 2), (3, 4)):\n    f(b)\n", "for b in (3, 4):\n    f(b)")


def test_a_pair_that_ends_with_the_shorter_one_stays() -> None:
    text = "for a, b in zip((1, 2), c):\n    f(b)\n"
    becomes(text, text)


def test_continue_at_a_loops_end_goes() -> None:
    becomes(
        "for i in x:\n    if i:\n        f(i)\n    else:\n        continue\n",
        "for i in x:\n    if i:\n        f(i)",
    )


# --- None -----------------------------------------------------------------------------------------


def test_none_is_told_from_what_stands_above() -> None:
    in_function("x = None\nif x is None:\n    x = g(a)\nx(x)", "x = g(a)\nx(x)")
    in_function(
        "x = {}\nx[a] = b\nif x is not None:\n    g(x)\nh(x)", "x = {}\nx[a] = b\ng(x)\nh(x)"
    )


def test_none_is_told_through_a_loop_that_says_the_same() -> None:
    in_function(
        """
        best = [a]
        for i in b:
            if best is not None:
                g(best)
            best = [i]
        if best is not None:
            g(best)
        """,
        """
        best = [a]
        for i in b:
            if best is not None:
                g(best)
            best = [i]
        g(best)
        """,
    )


def test_none_is_not_told_where_a_loop_says_otherwise() -> None:
    text = (
        "best = None\nfor i in b:\n    if best is None or i > best:\n"
        "        best = i\nif best is None:\n    g()\nreturn best"
    )
    in_function(text, text)


def test_none_is_not_told_where_a_branch_may_have_given_something() -> None:
    text = "x = None\nif a:\n    x = b\nif x is None:\n    g()\nreturn x"
    in_function(text, text)


# --- expressions ----------------------------------------------------------------------------------


def test_options_that_are_known_stand_in_the_call() -> None:
    becomes("f(x, **options)", "f(x, a=1, b='c')", options={"a": 1, "b": "c"})
    becomes("f(*x, y)", "f(1, 2, y)", x=(1, 2))
    becomes("x = {**a, 'b': c}", "x = {'a': 1, 'b': c}", a={"a": 1})


def test_a_partial_of_nothing_is_the_function() -> None:
    becomes("f = functools.partial(g, **options)", "f = g", options={})


def test_casts_go() -> None:
    becomes("x = cast('int', y)", "x = y")


def test_a_range_from_nothing_starts_by_itself() -> None:
    becomes("for i in range(start, n):\n    f(i)\n", "for i in range(n):\n    f(i)", start=0)


def test_nothing_is_added_and_nothing_multiplied() -> None:
    becomes("x = a + y", "x = y", a=0)
    becomes("x = a * y", "x = y", a=1)
    becomes("x = y | a", "x = y", a={})


def test_comments_of_what_is_gone_go_and_those_of_what_stays_stay() -> None:
    becomes(
        "# of a\nif x:\n    # inside\n    a()  # beside\n# of b\nb()\n",
        "# inside\na()  # beside\n# of b\nb()",
        x=True,
    )


def test_tensors_are_not_moved_where_all_lie_on_the_cpu() -> None:
    body = tree.statements("x = y.to(z.device).cpu() + torch.zeros(3, device=y.device)")
    Folder({}, on_cpu=True).fold(body)
    assert tree.render(body) == "x = y + torch.zeros(3)\n"


@pytest.mark.parametrize(
    "text", ["a < b", "a >= b", "a == b", "a and not b", "a in (b,)", "a is b", "a or b"]
)
def test_the_opposite_of_a_question(text: str) -> None:
    opposite = tree.unparse(negated(tree.expression(text)))
    for a in (0.0, 1.0, float("nan")):
        for b in (0.0, 1.0, float("nan")):
            names = {"a": a, "b": b}
            assert bool(eval(opposite, names)) is not bool(eval(text, names)), (opposite, a, b)  # noqa: S307


def test_a_chain_of_comparisons_has_an_opposite() -> None:
    assert tree.unparse(negated(tree.expression("a < b < c"))) == "not a < b < c"


# --- the same answers -----------------------------------------------------------------------------

NAMES = ("a", "b", "x", "y", "z")
LEAVES = st.one_of(
    st.sampled_from(NAMES), st.integers(-2, 3).map(repr), st.sampled_from(["True", "None"])
)


def _two(form: str) -> Any:
    return lambda inner: st.tuples(inner, inner).map(lambda pair: form.format(*pair))


VALUES = st.recursive(
    st.one_of(st.sampled_from(NAMES), st.integers(-2, 3).map(repr)),
    lambda inner: st.one_of(
        *(_two(form)(inner) for form in ("({} + {})", "({} * {})", "({} - {})", "min({}, {})")),
        inner.map("(-{})".format),
        inner.map("(lambda x: x + {})(1)".format),
        inner.map("sum(y * {} for y in (1, 2))".format),
        st.tuples(inner, inner, inner).map(lambda t: "({} if {} > 0 else {})".format(*t)),
    ),
    max_leaves=4,
)
QUESTIONS = st.recursive(
    st.one_of(
        *(_two(form)(VALUES) for form in ("{} < {}", "{} == {}", "{} >= {}", "{} != {}")),
        st.sampled_from(NAMES),
    ),
    lambda inner: st.one_of(
        _two("({} and {})")(inner), _two("({} or {})")(inner), inner.map("(not {})".format)
    ),
    max_leaves=3,
)


def _block(statements: list[str]) -> str:
    return textwrap.indent("\n".join(statements) or "pass", "    ")


LOCALS = st.sampled_from(["x", "y", "z"])
SIMPLE = st.one_of(
    st.tuples(LOCALS, VALUES).map(lambda t: "{} = {}".format(*t)),
    st.tuples(LOCALS, VALUES).map(lambda t: "{} += {}".format(*t)),
    st.tuples(VALUES, VALUES).map(lambda t: "x, y = {}, {}".format(*t)),
    st.tuples(LOCALS, VALUES).map(lambda t: "{} = told({})".format(*t)),
    VALUES.map("told({})".format),
    st.tuples(LOCALS, QUESTIONS).map(lambda t: "{} = int(bool({}))".format(*t)),
)
STATEMENTS = st.recursive(
    SIMPLE,
    lambda inner: st.one_of(
        st.tuples(QUESTIONS, st.lists(inner, min_size=1, max_size=2)).map(
            lambda t: f"if {t[0]}:\n{_block(t[1])}"
        ),
        st.tuples(
            QUESTIONS,
            st.lists(inner, min_size=1, max_size=2),
            st.lists(inner, min_size=1, max_size=2),
        ).map(lambda t: f"if {t[0]}:\n{_block(t[1])}\nelse:\n{_block(t[2])}"),
        st.tuples(
            st.sampled_from(
                [
                    "x in (b,)",
                    "y in (1,)",
                    "z in range(1)",
                    "x in range(3)",
                    "x, y in enumerate((a, 2))",
                ]
            ),
            st.lists(inner, min_size=1, max_size=2),
            st.sampled_from(["", "if y > 3:\n    break\n", "if x:\n    continue\n"]),
        ).map(lambda t: f"for {t[0]}:\n{textwrap.indent(t[2], '    ')}{_block(t[1])}"),
        QUESTIONS.map("if {}:\n    return x + y".format),
    ),
    max_leaves=4,
)
FUNCTIONS = st.tuples(st.lists(STATEMENTS, min_size=1, max_size=5), VALUES).map(
    lambda t: (
        "def f(a, b):\n    x = 0\n    y = b\n    z = a + b\n"
        + textwrap.indent("\n".join(t[0]), "    ")
        + f"\n    return {t[1]}, x\n"
    )
)


def run(text: str, *arguments: Any) -> Any:
    names: dict[str, Any] = {}
    exec(text, names)  # noqa: S102 - text of this test
    return names["f"](*arguments)


def answer(text: str, *arguments: int) -> tuple[Any, list[Any]]:
    """What a function answers, and what it has told in which order."""
    told: list[Any] = []
    names: dict[str, Any] = {"told": lambda value: told.append(value) or value}
    exec(text, names)  # noqa: S102 - text of this test
    return names["f"](*arguments), told


def put_in(text: str, known: dict[str, Known]) -> str:
    """As `program` puts in what is known of parameters."""
    function: Any = tree.statement(text)
    stored = {
        n.id
        for n in ast.walk(function)
        if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)
    }
    arguments, function.args = function.args, ast.arguments([], [], None, [], [], None, [])
    holder: list[ast.stmt] = [function]
    Folder({name: one for name, one in known.items() if name not in stored}).fold(holder)
    function.args = arguments
    return tree.render(holder)


FEW, MANY = settings(deadline=None, max_examples=40), settings(deadline=None, max_examples=1000)


def gives_the_same_answers(text: str, a: int) -> None:
    after = put_in(text, {"a": Known(a)})
    for b in (-1, 0, 1, 2):
        assert answer(after, a, b) == answer(text, a, b), after


@given(FUNCTIONS, st.integers(-1, 2))
@FEW
def test_a_folded_function_gives_the_same_answers(text: str, a: int) -> None:
    gives_the_same_answers(text, a)


@pytest.mark.slow
@given(FUNCTIONS, st.integers(-1, 2))
@MANY
def test_many_folded_functions_give_the_same_answers(text: str, a: int) -> None:
    gives_the_same_answers(text, a)


def gives_the_same_answers_unknown(text: str) -> None:
    after = put_in(text, {})
    for a in (-1, 0, 2):
        for b in (0, 1, 3):
            assert answer(after, a, b) == answer(text, a, b), after


@given(FUNCTIONS)
@FEW
def test_a_function_of_which_nothing_is_known_gives_the_same_answers(text: str) -> None:
    gives_the_same_answers_unknown(text)


@pytest.mark.slow
@given(FUNCTIONS)
@MANY
def test_many_functions_of_which_nothing_is_known_give_the_same_answers(text: str) -> None:
    gives_the_same_answers_unknown(text)


@given(FUNCTIONS, st.integers(-1, 2), st.integers(-1, 2))
@settings(deadline=None, max_examples=30)
def test_folding_ends(text: str, a: int, b: int) -> None:
    once = put_in(text, {"a": Known(a), "b": Known(b)})
    assert put_in(once, {"a": Known(a), "b": Known(b)}) == once
    assert answer(once, a, b) == answer(text, a, b)


@given(QUESTIONS, st.integers(-1, 2))
@settings(deadline=None, max_examples=100)
def test_a_folded_question_has_the_same_answer(text: str, a: int) -> None:
    source = f"def f(a, b, x, y, z):\n    return {text}\n"
    after = put_in(source, {"a": Known(a)})
    for values in ((0, 1, 2, 0), (1, 0, -1, 2), (0, 0, 0, 0)):
        assert bool(run(after, a, *values)) == bool(run(source, a, *values))
