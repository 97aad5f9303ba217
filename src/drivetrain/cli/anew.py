"""The line that trains a run anew, with one change: to be typed as it stands.

What `drivetrain train` was called with is kept beside the run, in `command.json`: the words, and the
folder they were typed in. Of a run that Python or another command made, the line is put together of its
record.
"""

from __future__ import annotations

import inspect
import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drivetrain.cli import settings

if TYPE_CHECKING:
    from drivetrain.train.run import Run

FILE = "command.json"
"""In the folder of a run."""
WORDS = f"{__name__}.words"
"""In the context of a command: what was typed after `drivetrain`."""

_OF_THE_CALL = {"out", "as_json", "debug", "dry_run"}
_OF_TIME = {"minutes", "budget"}
_OF_MODEL = {"lr", "batch_size", "num_threads"}
"""What is chosen anew for another model; how long it trains stays."""

Entry = tuple[str, list[str]]
"""A setting, and the words that say it."""


def note_words(folder: Path) -> None:
    """Keep what this command was called with beside the run, in `folder`, that it begins."""
    from drivetrain import store

    context = click.get_current_context(silent=True)
    words = context.meta.get(WORDS) if context else None
    if words:
        store.write_json(folder / FILE, {"words": words, "folder": str(Path.cwd())})


def note_again(of: Path, folder: Path, spec: Mapping[str, Any]) -> None:
    """Keep beside a run that was trained anew what it would be typed as.

    Args:
        of: the folder of the run that it changes.
        folder: its own.
        spec: of `cli.again`, with its changes, its seed, and the option that says the changes.
    """
    from drivetrain import store
    from drivetrain.train.run import Run

    run = Run.open(of)
    told = _kept(run)
    if told is None or "option" not in spec:
        return
    where, entries = told
    record, option = run.read(), shlex.split(spec["option"])
    if spec["seed"] != record["seed"]:
        entries = [one for one in entries if one[0] not in ("seed", "split_seed")]
        split = record["data"].get("split_seed", record["seed"])  # the same items validate
        option += ["--seed", str(spec["seed"]), "--split-seed", str(split)]
    words = ["train", *changed(entries, option, spec["changes"], record)]
    store.write_json(folder / FILE, {"words": words, "folder": where or str(Path.cwd())})


def line_of(folder: Path, option: str, changes: Mapping[str, Any]) -> str:
    """The whole line that trains a run's settings with a change, quoted for a shell.

    Args:
        folder: of the run.
        option: the change as `drivetrain train` takes it, such as `--epochs 6`.
        changes: the same by the settings' names: whatever says them otherwise is left out.

    Returns: the line; empty where the data came from memory, or a part of it cannot be typed.
    Raises: RunError: there is no run, or its record is damaged.
    """
    from drivetrain.train.run import Run, said_as_damage

    run = Run.open(folder)
    record = run.read()
    with said_as_damage(run.folder / "run.json"):
        where, entries = _kept(run) or ("", _of_record(record))
        if entries is None:
            return ""
        words = changed(entries, shlex.split(option), changes, record)
    line = shlex.join(["drivetrain", "train", *words])
    return f"cd {shlex.quote(where)} && {line}" if where else line


def changed(
    entries: Sequence[Entry], option: Sequence[str], changes: Mapping[str, Any], record: Any
) -> list[str]:
    """The words after `drivetrain train`, with a change instead of what it changes.

    A time that cut a plan is left out with what it cut, and the rest of that plan is said.
    """
    names = {name for name, _ in entries}
    gone = _OF_THE_CALL | set(changes)
    if "model" in changes:
        gone |= _OF_MODEL | {"pretrained"}
    planned: list[str] = []
    if names & _OF_TIME and {"epochs", "fraction"} & set(changes):
        gone |= _OF_TIME
        if "epochs" not in names | set(changes) and "--epochs" not in option:
            planned += ["--epochs", str(record["plan"]["epochs"])]
        if "size" not in names and record["data"].get("size"):
            planned += ["--size", str(record["data"]["size"][0])]
    kept = [word for name, words in entries if name not in gone for word in words]
    return [*kept, *planned, *option]


# --- as it was typed ------------------------------------------------------------------------------


def _kept(run: Run) -> tuple[str, list[Entry]] | None:
    """Where the line was typed, if that is not here, and its entries; None where none is kept."""
    from drivetrain import store
    from drivetrain.errors import DrivetrainError

    try:
        told = store.read_json(run.folder / FILE)
        words, folder = told["words"], str(told["folder"])
        if words[0] != "train" or not all(isinstance(word, str) for word in words):
            return None
    except (DrivetrainError, LookupError, TypeError):
        return None
    return "" if Path(folder) == Path.cwd() else folder, entries_of(words[1:])


def entries_of(words: Sequence[str]) -> list[Entry]:
    """What was typed after `drivetrain train`, an entry a setting.

    >>> entries_of(["photos/", "--epochs=3", "--set", "lr=0.1"])
    [('', ['photos/']), ('epochs', ['--epochs=3']), ('lr', ['--set', 'lr=0.1'])]
    """
    from drivetrain.cli.train import command

    options = {
        spelt: one for one in command.params if isinstance(one, click.Option) for spelt in one.opts
    }
    found: list[Entry] = []
    left = list(words)
    while left:
        word = left.pop(0)
        spelt, equals, value = word.partition("=")
        one = options.get(spelt)
        if one is None:
            found.append(("", [word]))
            continue
        said = [word]
        if not equals and not one.is_flag and left:
            value = left.pop(0)
            said.append(value)
        name = str(one.name)
        if name == "pairs":
            name = value.partition("=")[0].strip().replace("-", "_")
        found.append((name, said))
    return found


# --- as it stands in the record -------------------------------------------------------------------

_OPTIONS = {
    "target": "--target", "targets": "--target", "label_column": "--target", "drop": "--drop",
    "text_columns": "--text", "valid": "--valid", "test": "--test", "pattern": "--pattern",
    "path_column": "--path-column", "folder": "--pictures", "split": "--split",
    "split_seed": "--split-seed", "user": "--user", "item": "--item", "rating": "--rating",
    "time": "--time", "titles": "--titles", "because": "--because", "seed": "--seed",
}  # fmt: skip
"""Entry of a recipe -> the option that says it; others are said with --set."""
_USUAL: Mapping[str, Any] = {
    "valid": 0.2, "test": 0.0, "seed": 42, "resize": "crop", "duplicates": "last",
    "tokens": {"kind": "word"},
}  # fmt: skip
"""What finders take on without naming it."""
_NOT_TYPED = ("time_budget", "unknown_rows")
"""Callbacks that an application adds of itself."""
_LEARNT_BY = ("batch_size", "lr", "weight_decay", "dropout")


def _of_record(record: Mapping[str, Any]) -> list[Entry] | None:
    """The entries that say what a record has: the data, the model, and how it was trained.

    None where the data came from memory, or something of it is nothing that can be typed.
    """
    recipe, chosen = record.get("data", {}), record["settings"]
    application, plan = record["task"]["application"], record.get("plan", {})
    if not isinstance(recipe.get("source"), str):
        return None
    found: list[Entry] = [("", [_source(record)])]
    if application != "vision":
        found.append(("task", ["--task", application]))
    usual = _usual(application, recipe)
    for name, value in recipe.items():
        if value in (None, [], {}) or (name in usual and usual[name] == value):
            continue
        if isinstance(value, Mapping) and name in ("test", "patch"):
            return None  # of a file that is not named any more
        found += _said(name, value)
    told = {
        "model": chosen.get("model") or record["model"]["name"],
        "epochs": plan.get("epochs"),
        **{name: {**chosen, **plan}.get(name) for name in _LEARNT_BY},
    }
    for name, otherwise in (("loss_fn", ""), ("optimizer", "default")):
        said = chosen.get(name)
        if isinstance(said, Mapping) and said.get("name") != otherwise and not said.get("options"):
            told[name] = said["name"]
    for name, value in told.items():
        found += [] if value is None else _said(name, value)
    return found + [
        ("callbacks", ["--callback", _callback(one)])
        for one in record.get("callbacks", [])
        if one.get("name") not in _NOT_TYPED
    ]


def _source(record: Mapping[str, Any]) -> str:
    """As it was given, where that is still found from here."""
    said, whole = record["task"].get("source"), record["data"]["source"]
    return said if isinstance(said, str) and Path(said).resolve() == Path(whole) else whole


def _said(name: str, value: Any) -> list[Entry]:
    """The words of a setting; none of what no option says."""
    if name == "kinds":
        return [(name, ["--kind", f"{column}={kind}"]) for column, kind in value.items()]
    if name == "size":
        side = value[0] if isinstance(value, list) else value  # others are made in Python alone
        return [(name, ["--size", str(side)])]
    if name in _OPTIONS:
        values = value if isinstance(value, list) else [value]
        return [(name, [_OPTIONS[name], str(one)]) for one in values]
    if name in ("model", "epochs"):
        return [(name, [f"--{name}", str(value)])]
    if name not in settings.SETTINGS:
        return []
    return [(name, ["--set", f"{name}={value if isinstance(value, str) else json.dumps(value)}"])]


def _callback(record: Mapping[str, Any]) -> str:
    pairs = ",".join(f"{key}={json.dumps(one)}" for key, one in record.items() if key != "name")
    return record["name"] + (f":{pairs}" if pairs else "")


def _usual(application: str, recipe: Mapping[str, Any]) -> dict[str, Any]:
    """What the entries of a recipe are where nothing is asked."""
    from drivetrain import collab, tabular, text as texts, vision

    in_folder = recipe.get("from") == "folder"
    finder: Any = {
        "tabular": tabular.gather,
        "text": texts.from_folder if in_folder else texts.from_table,
        "collab": collab.from_table,
    }.get(application, vision.from_folder)
    named = {one.name: one.default for one in inspect.signature(finder).parameters.values()}
    return {**named, **_USUAL}
