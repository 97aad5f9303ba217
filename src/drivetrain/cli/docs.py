"""`drivetrain docs`: what a name is, in the terminal."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drivetrain.cli import common, layout

if TYPE_CHECKING:
    from drivetrain.cli.naming import Entry

WIDTH = 96


@click.command(short_help="Say what a name is: signature, explanation, source.")
@click.argument("name", nargs=-1)
@click.option("--find", "word", metavar="WORD", help="List the names that have to do with this.")
@common.options()
def command(
    name: tuple[str, ...], word: str | None, as_json: bool, seed: int | None, out: Path | None
) -> None:
    """Print the signature, the explanation and the place in the source of NAME; without NAME, all names.

    NAME is a name of Python (vision.learner, dt.clean.Queue, Queue.of), of what is chosen by its name
    (adam, focal, accuracy, one_cycle), or of a command. A kind before it says which is meant.

    \b
    drivetrain docs
    drivetrain docs vision.learner
    drivetrain docs metric mae
    drivetrain docs command clean
    drivetrain docs --find calibration
    """
    asked = " ".join(name).strip()
    if word is not None:
        if asked:
            raise click.UsageError("Give a name, or --find WORD, not both.")
        entries = matching(word)
        text = _table(entries) or f"No name has to do with '{word}'."
        _answer([short(e) for e in entries], text, as_json=as_json, copy=out)
        return
    if not asked:
        groups = dict(listed())
        _answer(groups, _listing(groups), as_json=as_json, copy=out)
        return
    entries = found(asked)
    text = whole(entries[0])
    if len(entries) > 1:
        text = f"{len(entries)} things are called '{asked}'. Ask for one of them:\n"
        text += _table(entries)
    document = [record(e) for e in entries]
    _answer(document[0] if len(document) == 1 else document, text, as_json=as_json, copy=out)


def _answer(document: Any, text: str, *, as_json: bool, copy: Path | None) -> None:
    """As `common.answer`, which loads torch: only for a file."""
    if copy is not None:
        common.answer(document, text, as_json=as_json, copy=copy)
    else:
        if as_json:
            click.echo(json.dumps(document, indent=2))
        else:
            common.show(text)


def listed() -> Iterator[tuple[str, list[str]]]:
    """Package or kind -> its names, as `drivetrain docs` lists them."""
    from drivetrain.cli import naming
    from drivetrain.cli.program import COMMANDS

    groups: dict[str, list[str]] = {}
    for package, own in naming.public():
        groups.setdefault(package or "drivetrain", []).append(own)
    yield from groups.items()
    for kind in naming.REGISTERED:
        yield kind, list(naming.registered(kind))
    yield "command", list(COMMANDS)


@cache
def everything() -> tuple[tuple[str, Entry], ...]:
    """(how it is asked for, entry) of every public name, what is listed by name, and every command."""
    return tuple(_everything())


def _everything() -> Iterator[tuple[str, Entry]]:
    from drivetrain.cli import naming
    from drivetrain.cli.program import COMMANDS

    for package, own in naming.public():
        name = f"{package}.{own}".lstrip(".")
        entry = naming.walk(name)
        if entry is not None:
            yield name, entry
    for package in naming.packages():
        entry = naming.walk(package)
        if entry is not None:
            yield package, entry
    for kind in naming.REGISTERED:
        for name, entry in naming.registered(kind).items():
            yield name, entry
    for name in COMMANDS:
        yield name, of_command(name)


def found(asked: str) -> list[Entry]:
    """The entries of a name: one, or several that are called the same.

    Raises: UnknownNameError: nothing is called so; the nearest name is said.
    """
    from drivetrain._registry import LONGEST, did_you_mean
    from drivetrain.cli import naming
    from drivetrain.cli.program import COMMANDS
    from drivetrain.errors import UnknownNameError

    kind, _, rest = asked.partition(" ")
    kinds, name = [*naming.REGISTERED, "command"], asked
    entries: list[Entry] = []
    if rest and kind in kinds:
        kinds, name = [kind], rest.strip()
    else:
        name = name.removeprefix("drivetrain ")  # as a command is called
        bare = _bare(name)
        root = naming.walk("") if not bare else None
        entries = [root] if root is not None else _of_python(bare)
        kinds = kinds if bare == name else []  # `dt.clean` is no command
    for each in kinds:
        if each == "command":
            entries += [of_command(name)] if name in COMMANDS else []
        elif name in naming.registered(each):
            entries.append(naming.registered(each)[name])
    if entries:
        return _once(entries)
    entry = naming.walk(_bare(name)) if kinds != [kind] else None
    if entry is not None:  # inside, and not of the public list
        return [entry]
    what, known = "name", _known(min(name.count("."), 2))
    if kinds == [kind]:
        what, known = kind, list(COMMANDS if kind == "command" else naming.registered(kind))
    shown = name if len(name) <= LONGEST else f"{name[:LONGEST]}…"
    raise UnknownNameError(
        f"There is no {what} '{shown}'.{did_you_mean(name, known)} List all with: drivetrain docs"
    )


def _bare(name: str) -> str:
    """Without `dt.` or `drivetrain.` before it."""
    if name in ("dt", "drivetrain"):
        return ""
    return name.removeprefix("drivetrain.").removeprefix("dt.")


def _of_python(name: str) -> list[Entry]:
    """Public names that end in this: `Queue.of` is `clean.Queue.of`."""
    from drivetrain.cli import naming

    first, *rest = name.split(".")
    packages = naming.packages()
    entries = []
    if first in packages and (not rest or rest[0] in naming.public_names(first)):
        entries.append(naming.walk(name))
    elif first in packages:
        return []
    entries += [
        naming.walk(".".join([*([package] if package else []), name]))
        for package, own in naming.public()
        if own == first
    ]
    return [entry for entry in entries if entry is not None]


def _once(entries: list[Entry]) -> list[Entry]:
    """Without those that are defined at one place, such as a loss and the function that it is."""
    kept: dict[tuple[Path, int], Entry] = {}
    for entry in entries:
        kept.setdefault((entry.path, entry.line), entry)
    return list(kept.values())


@cache
def _known(dots: int) -> list[str]:
    """Names that a person may have meant: whole, without the package, and members of a class.

    Args:
        dots: in what was asked for, 2 at most: members are meant where there are some.
    """
    names: list[str] = []
    for name, entry in everything():
        names += [name, name.rpartition(".")[2]]
        if entry.kind == "class" and dots:
            members = [member for member, _ in entry.members]
            own = name.rpartition(".")[2]
            names += [f"{own}.{member}" for member in members]
            names += [f"{name}.{member}" for member in members] if dots > 1 else []
    return sorted(set(names))


def of_command(name: str) -> Entry:
    """A command as its help has it."""
    from drivetrain.cli import naming
    from drivetrain.cli.program import program

    command = program.get_command(click.Context(program), name)
    assert command is not None, name
    source = naming.read(f"cli.{name}")
    assert source is not None, name
    context = click.Context(command, info_name=f"drivetrain {name}", max_content_width=WIDTH)
    usage, _, rest = command.get_help(context).partition("\n\n")
    line = getattr(source.names["command"], "lineno", 1)
    return naming.Entry(
        name=name,
        kind="command",
        signature=" ".join(usage.removeprefix("Usage: ").split()),
        doc=textwrap.dedent(rest),
        path=source.path,
        line=line,
        source=source.line(line),
        parameters=tuple(
            naming.Parameter(
                "/".join(each.opts),
                each.type.name,
                str(each.default) if isinstance(each.default, str | int | float) else None,
            )
            for each in command.params
        ),
    )


def matching(word: str) -> list[Entry]:
    """Entries with all words in name or explanation: those with it in the name first."""
    wanted = word.lower().split()
    in_name, in_doc = [], []
    seen = set()
    for name, entry in everything():
        if not wanted or (entry.path, entry.line, entry.kind) in seen:
            continue
        if all(one in name.lower() for one in wanted):
            in_name.append(entry)
        elif all(one in f"{name} {entry.doc}".lower() for one in wanted):
            in_doc.append(entry)
        else:
            continue
        seen.add((entry.path, entry.line, entry.kind))
    return in_name + in_doc


def short(entry: Entry) -> dict[str, str]:
    """Name, kind and first sentence."""
    return {"name": entry.name, "kind": entry.kind, "summary": entry.summary}


def record(entry: Entry) -> dict[str, Any]:
    """The whole entry as plain JSON."""
    return {
        **asdict(entry),
        "path": str(entry.path),
        "parameters": [asdict(each) for each in entry.parameters],
        "members": [{"name": name, "summary": told} for name, told in entry.members],
        "sees": [{"name": name, "arguments": told} for name, told in entry.sees],
    }


def whole(entry: Entry) -> str:
    """The whole entry for people."""
    parts = [
        f"{entry.name}  ({entry.kind})",
        textwrap.indent(entry.signature, "    "),
        entry.doc or "It has no explanation.",
    ]
    if entry.members:
        rows = [(name, textwrap.shorten(told, 72, placeholder="…")) for name, told in entry.members]
        heading = "Names:" if entry.kind in ("package", "module") else "Methods and properties:"
        parts.append(f"{heading}\n{layout.table(rows, indent=4)}")
    for name, told in entry.sees:
        parts.append(f"Of {name}:\n{textwrap.indent(told, '    ')}".rstrip())
    parts.append(f"{entry.path}:{entry.line}\n    {entry.source}".rstrip())
    return "\n\n".join(parts)


def _called(entry: Entry) -> str:
    """What to type for it and nothing else."""
    from drivetrain.cli import naming

    if entry.kind in naming.REGISTERED or entry.kind == "command":
        return f"{entry.kind} {entry.name}"
    return f"dt.{entry.name}"


def _table(entries: list[Entry]) -> str:
    rows = []
    for entry in entries:
        told = textwrap.shorten(entry.summary, 72, placeholder="…")
        rows.append((_called(entry), "" if " " in _called(entry) else entry.kind, told))
    return layout.table(rows, indent=2)


def _listing(groups: dict[str, list[str]]) -> str:
    from drivetrain.cli import naming

    parts = []
    for group, names in groups.items():
        if group in naming.REGISTERED or group == "command":
            heading = f"{group}: by name"
        else:
            heading = group if group == "drivetrain" else f"{group}: {naming.about(group)}"
        told = textwrap.wrap(", ".join(names), layout.line() - 4, break_on_hyphens=False)
        parts.append("\n".join([heading, *(f"    {line}" for line in told)]))
    return "\n\n".join([*parts, "More of one: drivetrain docs NAME"])
