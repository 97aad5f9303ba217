"""Text to tree and back: the same statements, with their comments where they stood."""

from __future__ import annotations

import ast
import io
import textwrap
import tokenize
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

import drivetrain
from drivetrain.eject import tree

LIBRARY = Path(drivetrain.__file__).parent
LIFTED = {"data", "losses", "metrics", "nn", "optim", "train", "train/callbacks"}
FOLDERS = [
    folder if str(folder) in LIFTED else pytest.param(folder, marks=pytest.mark.slow)
    for folder in sorted({path.parent.relative_to(LIBRARY) for path in LIBRARY.rglob("*.py")})
]


def again(text: str) -> str:
    """Parsed and rendered."""
    return tree.render(tree.parse(text).body)


def same_twice(text: str) -> None:
    text = textwrap.dedent(text).lstrip("\n")
    assert again(text) == text


def plain(text: str) -> str:
    """The tree of a text, but for the indentation of docstrings and the place of `\\n` in them."""
    module = ast.parse(text)
    for node in ast.walk(module):
        if tree.is_text(node):
            node.value.value = " ".join(node.value.value.split())
    return ast.dump(module)


def comments(text: str) -> list[str]:
    """Comments but those for tools, words of long ones by themselves: they are wrapped anew."""
    found = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            if not token.string.startswith(("# pyright", "# type:", "# noqa", "# fmt")):
                found.append(token.string.split("  # pyright")[0])
    return sorted(word for one in found for word in one.replace("#", " ").split())


@pytest.mark.parametrize("folder", FOLDERS, ids=str)
def test_every_module_of_the_library_stays_the_same_with_its_comments(folder: Path) -> None:
    for path in sorted((LIBRARY / folder).glob("*.py")):
        text = path.read_text("utf-8")
        once = again(text)
        assert plain(once) == plain(text), path
        assert comments(once) == comments(text), path
        assert again(once) == once, path


def test_comments_stay_at_their_statements() -> None:
    same_twice("""
        # above
        x = 1  # beside
        y = 2

        # above the loop
        # in two lines
        for i in range(3):  # at its head
            # in its body
            print(i)  # at the end
        z = 3  # last
        """)


def test_a_comment_inside_a_statement_of_several_lines_goes_above_it() -> None:
    text = "x = [\n    1,\n    # two\n    2,\n]\n"
    assert again(text) == "# two\nx = [1, 2]\n"


def test_comments_for_tools_go() -> None:
    assert again("x = 1  # noqa: E501\ny = 2  # pyright: ignore\n# fmt: off\n") == "x = 1\ny = 2\n"
    assert again("x = 1  # why  # pyright: ignore\n") == "x = 1  # why\n"


def test_a_comment_that_does_not_fit_beside_goes_above() -> None:
    line = "x = " + " + ".join(["a"] * 22)
    assert again(f"{line}  # because of this\n") == f"# because of this\n{line}\n"


def test_blank_lines_between_statements_stay_and_are_one_at_most() -> None:
    assert again("a = 1\n\n\n\nb = 2\nc = 3\n") == "a = 1\n\nb = 2\nc = 3\n"


def test_numbers_keep_their_spelling() -> None:
    same_twice("""
        x = 0x9E3779B9
        y = 1e-05 + 1_000
        z = 0b101
        """)


@pytest.mark.parametrize(
    "text",
    [
        "a & b ^ c | d",
        "a << 3 & 7",
        "(a | b) & c",
        "a ^ b ^ c",
        "x ^ x >> 16",
        "a & (b | c) ^ ~d",
        "a + b << c - d",
        "(a ^ b) * c",
        "-(a | b)",
        "a | b == c",
        "(a >> (b & c)) & 1",
        "(a & b) + (c & d)",
        "a ** (b | c)",
    ],
)
def test_bit_operators_bind_as_they_did(text: str) -> None:
    assert ast.dump(ast.parse(tree.unparse(tree.expression(text)))) == ast.dump(ast.parse(text))


def test_mixed_bit_operators_are_written_with_parentheses() -> None:
    assert tree.unparse(tree.expression("a ^ b >> 16")) == "a ^ (b >> 16)"
    assert tree.unparse(tree.expression("a ^ b ^ c")) == "a ^ b ^ c"


OPERATORS = ["+", "-", "*", "//", "%", "**", "&", "|", "^", "<<", ">>", "and", "or", "==", "<"]
EXPRESSIONS = st.recursive(
    st.sampled_from(["a", "b", "2", "0x1F", "1.5", "f(a)", "a[b]", "a.b"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(OPERATORS), inner).map(" ".join).map("({})".format),
        inner.map("(-{})".format),
        inner.map("(not {})".format),
        st.tuples(inner, inner, inner).map(lambda t: "({} if {} else {})".format(*t)),
        st.tuples(inner, inner).map(lambda t: "({}, {})".format(*t)),
        inner.map("f({})".format),
        inner.map("sum(x for x in {})".format),
        inner.map("(lambda x: {})".format),
    ),
    max_leaves=12,
)


@given(EXPRESSIONS)
@settings(deadline=None, max_examples=150)
def test_every_expression_means_the_same(text: str) -> None:
    expected = ast.dump(ast.parse(f"x = {text}"))
    assert ast.dump(ast.parse(tree.unparse(tree.expression(text)))) == ast.dump(ast.parse(text))
    assert ast.dump(ast.parse(again(f"x = {text}"))) == expected
    ast.parse(again(f"def g(x):\n    return {text}\n"))


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=300))
@settings(deadline=None, max_examples=100)
def test_every_string_stays_the_same(value: str) -> None:
    module = ast.parse(again(f"x = {value!r}\n"))
    assert ast.literal_eval(module.body[0].value) == value


@given(st.text("abc \\\"'\n{}", max_size=60), st.sampled_from(["!r", "", ":.3f"]))
@settings(deadline=None, max_examples=100)
def test_every_formatted_string_stays_the_same(value: str, conversion: str) -> None:
    node = ast.JoinedStr(
        [ast.Constant(value), ast.parse(f'f"{{x{conversion}}}"').body[0].value.values[0]]
    )
    text = ast.unparse(ast.fix_missing_locations(ast.Module([ast.Expr(node)], [])))
    assert ast.dump(ast.parse(again(f"y = {text}\n"))) == ast.dump(ast.parse(f"y = {text}\n"))


def test_long_strings_are_broken_into_parts() -> None:
    words = " ".join(["word"] * 40)
    text = again(f"x = {words!r}\n")
    assert ast.literal_eval(text.removeprefix("x = ")) == words
    assert "' '" in text


def test_long_formatted_strings_stay_one() -> None:
    words = " ".join(["word"] * 40)
    text = f"x = f'{words} {{y}}'\n"
    assert ast.dump(ast.parse(again(text))) == ast.dump(ast.parse(text))


def test_long_strings_in_calls_stay_one_argument() -> None:
    words = " ".join(["word"] * 40)
    text = f"print({words!r}, 1)\n"
    assert ast.dump(ast.parse(again(text))) == ast.dump(ast.parse(text))


def test_compound_statements_keep_their_form() -> None:
    same_twice('''
        @decorated
        @made(1, two=2)
        class A(B, metaclass=C):
            """A docstring."""

            x: int = 1

            @property
            def y(self) -> int:
                """Another."""
                return self.x

        def f(a, /, b=1, *args, c, d=2, **more):
            if a:
                x = 1
            elif b:  # otherwise
                x = 2
            else:
                x = 3
            while x:
                x -= 1
            else:
                x = 4
            with open(a) as file, b:
                pass
            try:
                x = 5
            except (ValueError, TypeError) as error:
                raise KeyError from error
            except OSError:
                x = 6
            else:
                x = 7
            finally:
                x = 8
            yield x
        ''')


def test_a_comment_above_an_elif_or_else_is_kept() -> None:
    text = "if a:\n    x = 1\n# otherwise\nelif b:\n    x = 2\n"
    assert "# otherwise" in again(text)


def test_an_if_inside_an_else_stays_there_when_it_has_company() -> None:
    same_twice("""
        if a:
            x = 1
        else:
            if b:
                x = 2
            x = 3
        """)


def test_docstrings_keep_backslashes_and_quotes() -> None:
    for value in (
        r"a \d pattern",
        'says "so"',
        'ends in "quotes"',
        "two\n\nparagraphs",
        '"""',
        "\\",
    ):
        text = f"def f():\n    {value!r}\n"
        assert plain(again(text)) == plain(text), value


def test_returned_tuples_have_no_parentheses() -> None:
    same_twice("""
        def f():
            a, b = 1, 2
            return a, (b, 1)
        """)


def test_starred_and_single_tuples_are_kept() -> None:
    for text in (
        "x = (1,)\n",
        "x = *a, b\n",
        "def f():\n    return (*a, b)\n",
        "x = ()\n",
        "x = y, = z\n",
    ):
        assert ast.dump(ast.parse(again(text))) == ast.dump(ast.parse(text)), text


def test_statements_that_are_no_module_are_refused_by_python() -> None:
    with pytest.raises(SyntaxError):
        tree.parse("x = = 1")


def test_dotted_is_of_names_and_attributes_alone() -> None:
    assert tree.dotted(tree.expression("a.b.c")) == "a.b.c"
    assert tree.dotted(tree.expression("a")) == "a"
    assert tree.dotted(tree.expression("a().b")) is None
    assert tree.dotted(tree.expression("a[0].b")) is None


def test_a_statement_may_be_given_a_comment() -> None:
    assert tree.render([tree.statement("x = 1", comment="why")]) == "# why\nx = 1\n"
