"""Values and statements as the text of a script."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from drivetrain.eject.known import literal
from drivetrain.eject.tree import unparse
from drivetrain.errors import EjectError


def value_text(value: Any) -> str:
    """A plain value written out.

    Raises: EjectError: there is no text for it.
    """
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return "{" + ", ".join(f"{key!r}: {value_text(one)}" for key, one in value.items()) + "}"
    written = literal(value)
    if written is None:
        raise EjectError(
            f"A script cannot write down {value!r}. Give numbers, texts, lists, tuples and dicts of them."
        )
    return unparse(written)


def docstring(lines: Sequence[str]) -> str:
    """The docstring of a script. Names of classes and folders are anybody's: none of them can end it."""
    text = "\n".join(lines).rstrip()
    plain = "".join(sign if sign.isprintable() or sign == "\n" else "?" for sign in text)
    return '"""' + plain.replace("\\", "\\\\").replace('"""', "'''") + '\n"""'


def loss_call(text: str, *arguments: str) -> str:
    """A call of a loss, whose text is a name, a call that makes it, or a `functools.partial`."""
    if text.startswith("functools.partial("):
        inner = text.removeprefix("functools.partial(").removesuffix(")")
        function, _, options = inner.partition(", ")
        return f"{function}({', '.join(arguments)}, {options})"
    return f"{text}({', '.join(arguments)})"


def edited(thing: Any, changes: Mapping[str, str], said: str = "") -> str:
    """The source of a function or class with some of its text changed.

    Args:
        thing: of the library.
        changes: what stands there -> what shall. What does not stand there is passed over.
        said: another docstring.
    """
    text = inspect.getsource(thing)
    for old, new in changes.items():
        text = text.replace(old, new)
    if said:
        text = re.sub(r'""".*?"""', f'"""{said}"""', text, count=1, flags=re.DOTALL)
    return text


def indented(lines: Sequence[str], depth: int) -> str:
    """Statements as the body of something."""
    space = "    " * depth
    return "\n".join(
        f"{space}{line}" if line else "" for one in lines for line in one.splitlines() or [""]
    )
