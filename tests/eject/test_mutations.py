"""docs/ejected.md says which calls of an ejected script change what they are given: it is all true.

The committed scripts are run with every call and every assignment into an object watched: tensors,
modules, optimizers, generators, arrays, lists, dicts and the like are compared before and after it. What
is seen to change is what the page says, no more and no less.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import io
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from drivetrain.samples import sample_folder

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "ejected.md"
SCRIPTS = sorted((ROOT / "examples" / "ejected").glob("*.py"))
SECTIONS = {
    "given": "Calls that change what they are given",
    "world": "Calls that change what nobody gave them",
    "neither": "Calls that only give something new",
}
PER_CLASS, BATCH_SIZE = 7, 16
DAYS, STATIONS = 40, 5
NUM_TEXTS = 60
NUM_RATINGS = 200
KINDS: list[tuple[Any, str]] = [
    (Tensor, "tensor"),
    (nn.Module, "module"),
    (torch.optim.Optimizer, "optimizer"),
    (torch.Generator, "generator"),
    (np.ndarray, "array"),
    (Image.Image, "image"),
    (Path, "path"),
    (argparse.ArgumentParser, "parser"),
    (list, "list"),
    (dict, "dict"),
    (str, "text"),
    (int | float, "number"),
]


def kind_of(thing: Any) -> str:
    """What the page calls an object of its type."""
    if hasattr(thing, "hexdigest"):
        return "digest"
    for cls, name in KINDS:
        if isinstance(thing, cls):
            return name
    return type(thing).__name__


def contents(thing: Any) -> Any:
    """All that could change of an object, as values that can be compared."""
    if isinstance(thing, Tensor):
        grad = None if not thing.is_leaf or thing.grad is None else contents(thing.grad)
        pixels = thing.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        return (tuple(thing.shape), thing.stride(), thing.requires_grad, pixels, grad)
    if isinstance(thing, nn.Module):
        if "_modules" not in vars(thing):
            return "not begun"
        own = [*thing.named_parameters(recurse=False), *thing.named_buffers(recurse=False)]
        tensors = {name: contents(tensor) for name, tensor in own}
        below = {name: contents(module) for name, module in thing.named_children()}
        return (thing.training, tensors, below, sorted(vars(thing)))
    if isinstance(thing, torch.optim.Optimizer):
        states = [contents(state) for state in thing.state.values()]
        return (contents(thing.param_groups), states)
    if isinstance(thing, torch.Generator):
        return contents(thing.get_state())
    if isinstance(thing, np.ndarray):
        return (thing.shape, thing.tobytes())
    if isinstance(thing, Image.Image):
        return (thing.size, thing.mode, thing.tobytes())
    if isinstance(thing, argparse.ArgumentParser):
        return len(thing._actions)
    if kind_of(thing) == "digest":
        return thing.copy().digest()
    if isinstance(thing, dict):
        return [(str(key), contents(value)) for key, value in thing.items()]
    if isinstance(thing, list | tuple | set | type({}.values())):
        return [contents(one) for one in thing]
    if isinstance(thing, str | int | float | Path | None):
        return thing
    return id(thing)


def leaves_of(tensor: Tensor) -> list[Tensor]:
    """The tensors that a tensor was calculated from, and that get its gradient."""
    waiting, seen, found = [tensor.grad_fn], set(), []
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            found += [node.variable] if hasattr(node, "variable") else []  # pyright: ignore[reportAttributeAccessIssue]
            waiting += [one for one, _ in node.next_functions]
    return found


def places_of(thing: Any) -> set[int]:
    """Where in memory the numbers of tensors and arrays begin, in whatever holds them."""
    if isinstance(thing, Tensor):
        return {thing.untyped_storage().data_ptr()} - {0}
    if isinstance(thing, np.ndarray):
        return {thing.__array_interface__["data"][0]}
    if isinstance(thing, nn.Module):
        return places_of(list(thing.parameters())) if "_modules" in vars(thing) else set()
    if isinstance(thing, dict):
        return places_of(list(thing.values()))
    if isinstance(thing, list | tuple | type({}.values())):
        return set().union(*map(places_of, thing))
    return set()


class Watch:
    """Sees what calls change, while a script runs."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.said = io.StringIO()
        self.ran: set[int] = set()
        self.labels: set[str] = set()
        self.given: dict[str, set[str]] = {}
        self.world: set[str] = set()
        self.shared: set[str] = set()
        self._begun: list[tuple[str, Any, Any]] = []

    def _world(self) -> Any:
        files = sorted(p.name for p in self.out.rglob("*")) if self.out.exists() else None
        return (
            torch.get_rng_state().numpy().tobytes(),
            torch.get_num_threads(),
            files,
            self.said.tell(),
        )

    @contextlib.contextmanager
    def _watching(self, label: str, **things: Any) -> Iterator[None]:
        self.labels.add(label)
        before, world = {name: contents(thing) for name, thing in things.items()}, self._world()
        yield
        for name, thing in things.items():
            if contents(thing) != before[name]:
                self.given.setdefault(label, set()).add(name)
        if self._world() != world:
            self.world.add(label)

    def call(
        self, site: int, text: str, function: Callable[..., Any], *args: Any, **options: Any
    ) -> Any:
        """Call a function, and note what it changes."""
        self.ran.add(site)
        receiver = (
            function if isinstance(function, nn.Module) else getattr(function, "__self__", None)
        )
        label = f"{text}(…)"
        if isinstance(receiver, ModuleType | type):
            receiver = None
        elif receiver is not None and receiver is not function and text != "super().__init__":
            label = f"{kind_of(receiver)}.{text.rpartition('.')[2]}(…)"
        things: dict[str, Any] = {"itself": receiver, "arguments": [*args, options]}
        if label == "tensor.backward(…)":
            things["gradients"] = leaves_of(receiver)  # pyright: ignore[reportArgumentType]
        with self._watching(label, **things):
            result = function(*args, **options)
        if places_of(result) & places_of([receiver, *args, options]):
            self.shared.add(label)
        return result

    def begin(self, site: int, text: str, thing: Any) -> None:
        """An assignment into an object, or one like `+=`, is about to happen."""
        self.ran.add(site)
        label = f"{kind_of(thing)}{text}"
        self.labels.add(label)
        self._begun.append((label, thing, contents(thing)))

    def end(self) -> None:
        """It has happened."""
        label, thing, before = self._begun.pop()
        if contents(thing) != before:
            self.given.setdefault(label, set()).add("itself")


class Watched(ast.NodeTransformer):
    """Puts the watch around every call of a script and every assignment into an object."""

    def __init__(self) -> None:
        self.sites: list[str] = []

    def _site(self, node: ast.AST) -> ast.Constant:
        self.sites.append(ast.unparse(node))
        return ast.Constant(len(self.sites) - 1)

    def visit_Call(self, node: ast.Call) -> Any:
        text = ast.unparse(node.func)
        if text == "super":  # Python finds the class by where it is called
            return node
        site = self._site(node)
        self.generic_visit(node)
        watched = ast.Attribute(ast.Name("WATCH", ast.Load()), "call", ast.Load())
        return ast.Call(watched, [site, ast.Constant(text), node.func, *node.args], node.keywords)

    def _around(self, node: ast.stmt, text: str, thing: ast.expr) -> list[ast.stmt]:
        site = self._site(node)
        read = ast.parse(ast.unparse(thing), mode="eval").body
        self.generic_visit(node)
        begin = ast.parse(f"WATCH.begin({site.value}, {text!r}, None)").body[0]
        begin.value.args[2] = read  # pyright: ignore[reportAttributeAccessIssue]
        return [begin, node, *ast.parse("WATCH.end()").body]

    def visit_AugAssign(self, node: ast.AugAssign) -> Any:
        sign = ast.unparse(node).removeprefix(ast.unparse(node.target)).split()[0]
        return self._around(node, f" {sign} …", node.target)

    def visit_Assign(self, node: ast.Assign) -> Any:
        (target,) = node.targets
        if isinstance(target, ast.Subscript):
            return self._around(node, "[…] = …", target.value)
        if isinstance(target, ast.Attribute):
            return self._around(node, ".name = …", target.value)
        return self.generic_visit(node)

    def visit_Delete(self, node: ast.Delete) -> Any:
        raise AssertionError("A script deletes something: watch it here, and list it on the page.")


def pictures(folder: Path, classes: tuple[str, ...]) -> Path:
    """A few noisy pictures of each class, laid out as the samples are."""
    generator = np.random.default_rng(0)
    for name in classes:
        place = folder / "train" / name
        place.mkdir(parents=True)
        for number in range(PER_CLASS):
            pixels = generator.integers(0, 255, (24, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(place / f"{number}.png")
    return folder


def first_days(folder: Path) -> Path:
    """The first days of the sample table; a temperature is missing."""
    lines = (sample_folder("rentals") / "train.csv").read_text("utf-8").splitlines()
    folder.mkdir()
    path = folder / "table.csv"
    path.write_text("\n".join([*lines[: DAYS * STATIONS + 1], ""]), "utf-8")
    return path


def first_reviews(folder: Path) -> Path:
    """As many reviews of each class of the sample texts, so that the same share of each validates."""
    lines = (sample_folder("reviews") / "train.csv").read_text("utf-8").splitlines()
    found = {
        label: [line for line in lines[1:] if line.endswith(label)] for label in ("bad", "good")
    }
    chosen = [line for rows in found.values() for line in rows[: NUM_TEXTS // 2]]
    chosen[0] = f"WHAT A FILM!!! {chosen[0]}"  # as no sample review is written
    folder.mkdir()
    path = folder / "train.csv"
    path.write_text("\n".join([lines[0], *chosen, ""]), "utf-8")
    return path


def first_ratings(folder: Path) -> Path:
    """The first ratings of the sample."""
    lines = (sample_folder("films") / "ratings.csv").read_text("utf-8").splitlines()
    folder.mkdir()
    path = folder / "ratings.csv"
    path.write_text("\n".join([*lines[: NUM_RATINGS + 1], ""]), "utf-8")
    return path


def watched(script: Path, folder: Path) -> Watch:
    """Run a script on a few pictures or rows, watched. Every call of it has been made at the end."""
    module = ast.parse(script.read_text("utf-8"))
    settings = {
        ast.unparse(node.targets[0]): node for node in module.body if isinstance(node, ast.Assign)
    }
    if "TEXT" in settings:
        num_train = round(0.8 * NUM_TEXTS)
        data = first_reviews(folder / "data")
    elif "RATING" in settings:
        num_train = round(0.8 * NUM_RATINGS)
        data = first_ratings(folder / "data")
    elif "CLASSES" in settings:
        classes = ast.literal_eval(settings["CLASSES"].value)
        num_train = len(classes) * (PER_CLASS - round(0.2 * PER_CLASS))
        data = pictures(folder / "data", classes)
    else:
        num_train = round(0.8 * DAYS) * STATIONS
        data = first_days(folder / "data")
    fewer = {"BATCH_SIZE": BATCH_SIZE, "NUM_BATCHES": -(-num_train // BATCH_SIZE)}
    for name in fewer.keys() & settings.keys():  # the schedule ends where the few pictures end
        settings[name].value = ast.Constant(fewer[name])
    transformer = Watched()
    module = ast.fix_missing_locations(transformer.visit(module))
    watch = Watch(folder / "out")
    argv, threads, state = sys.argv, torch.get_num_threads(), torch.get_rng_state()
    sys.argv = [script.name, "--data", str(data), "--out", str(watch.out)]
    try:
        torch.set_num_threads(2)  # so that it is seen to be set
        with contextlib.redirect_stdout(watch.said):
            exec(compile(module, script, "exec"), {"__name__": "__main__", "WATCH": watch})  # noqa: S102
    finally:
        sys.argv = argv
        torch.set_num_threads(threads)
        torch.set_rng_state(state)
    never = [text for site, text in enumerate(transformer.sites) if site not in watch.ran]
    assert not never, f"Never run, so nothing is known of them: {never}"
    return watch


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> list[Watch]:
    """What the committed scripts do."""
    assert len(SCRIPTS) >= 3
    return [watched(script, tmp_path_factory.mktemp(script.stem)) for script in SCRIPTS]


def section(key: str) -> str:
    """The text below one heading of the page."""
    found = re.search(
        rf"^## {SECTIONS[key]}\n(.*?)(?=^## |\Z)", PAGE.read_text("utf-8"), re.M | re.S
    )
    assert found, SECTIONS[key]
    return found.group(1)


def items(key: str) -> list[str]:
    """The items of the list of a section."""
    return re.findall(r"^- .*?(?=^- |^$|\Z)", section(key), re.M | re.S)


def rows(key: str) -> dict[str, str]:
    """Call -> what it changes, from the table of a section."""
    lines = [line for line in section(key).splitlines() if line.startswith("| `")]
    found: dict[str, str] = {}
    for line in lines:
        calls, changed, *_ = re.split(r"(?<!\\)\|", line.strip("|"))
        for call in re.findall(r"`([^`]+)`", calls.replace("\\|", "|")):
            assert call not in found, f"{call} is listed twice"
            found[call] = changed.strip()
    return found


@pytest.mark.row(42)
def test_the_page_lists_every_call_that_changes_what_it_is_given(seen: list[Watch]) -> None:
    found: dict[str, set[str]] = {}
    for watch in seen:
        for label, changed in watch.given.items():
            found.setdefault(label, set()).update(changed)
    said = {call: set(re.split(r", | and ", text)) for call, text in rows("given").items()}
    assert said == found


@pytest.mark.row(42)
def test_the_page_lists_every_call_that_changes_what_nobody_gave_it(seen: list[Watch]) -> None:
    assert set(rows("world")) == set().union(*(watch.world for watch in seen))


@pytest.mark.row(42)
def test_every_other_call_is_listed_as_changing_nothing(seen: list[Watch]) -> None:
    changing = set().union(*(watch.world | set(watch.given) for watch in seen))
    others = set().union(*(watch.labels for watch in seen)) - changing
    listed = [call for item in items("neither") for call in re.findall(r"`([^`]+)`", item)]
    assert len(listed) == len(set(listed))
    assert set(listed) == others


@pytest.mark.row(42)
def test_the_page_says_whose_result_lies_in_the_same_memory(seen: list[Watch]) -> None:
    (item,) = [item for item in items("neither") if item.startswith("- **In the same")]
    changing = set().union(*(watch.world | set(watch.given) for watch in seen))
    shared = set().union(*(watch.shared for watch in seen)) - changing
    assert set(re.findall(r"`([^`]+)`", item)) == shared


@pytest.mark.parametrize("name", ["given", "world"])
def test_the_watch_sees_a_change_that_is_planted(name: str, tmp_path: Path) -> None:
    watch = Watch(tmp_path)

    def planted(values: Tensor) -> Tensor:
        return values.add_(1) if name == "given" else values + torch.rand(())

    watch.call(0, "planted", planted, torch.zeros(2))
    assert (watch.given, watch.world) == (
        ({"planted(…)": {"arguments"}}, set()) if name == "given" else ({}, {"planted(…)"})
    )
