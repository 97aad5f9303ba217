"""The script as a reader meets it: laid out, without what nobody reads, and it says how to run it."""

from __future__ import annotations

import ast
import functools
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

import drivetrain as dt
from drivetrain.eject import layout, source
from drivetrain.eject.layout import ruff_path
from drivetrain.eject.settings import Setting
from tests.eject import project, replay

OWN = functools.partial(dt.Learner, progress=False, num_threads=1)


def own(_: Path) -> dt.Learner:
    """With callbacks of ours and of a person."""
    learner = OWN(
        project.Net,
        project.loaders,
        "focal",
        metrics=["accuracy", "f1"],
        callbacks=["mixup", "ema", project.GradientNoise()],
    )
    learner.fit_one_cycle(1, 1e-2)
    learner.freeze()
    learner.fit(1, 1e-3)
    return learner


def pictures(digits: Path) -> dt.Learner:
    learner = dt.vision.learner(digits, progress=False, batch_size=32)
    learner.fit(1, 1e-2)
    return learner


def pictures_in_stages(digits: Path) -> dt.Learner:
    learner = dt.vision.learner(digits, progress=False, batch_size=32, metrics=["accuracy", "f1"])
    learner.fine_tune(1, 1e-2, callbacks=["cutmix", "stochastic_depth"])
    return learner


RUNS: list[object] = [
    own,
    *(pytest.param(run, marks=pytest.mark.slow) for run in (pictures, pictures_in_stages)),
]


@pytest.fixture(scope="module", params=RUNS, ids=lambda run: run.__name__)
def script(
    request: pytest.FixtureRequest, digits: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    make: Callable[[Path], dt.Learner] = request.param
    path = tmp_path_factory.mktemp("scripts") / "train_it.py"
    make(digits).eject(path)
    return path


def ruff(*words: str, script: Path) -> subprocess.CompletedProcess[str]:
    command = [ruff_path(), *words, "--isolated", "--target-version", "py311", str(script)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def module_of(script: Path) -> ast.Module:
    return ast.parse(script.read_text("utf-8"))


def read_names(module: ast.AST) -> list[str]:
    """Every name and attribute that is read, texts of annotations among them."""
    found = []
    for node in ast.walk(module):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            found.append(node.id)
        elif isinstance(node, ast.Attribute):
            found.append(node.attr)
    return found


def is_only_declared(function: ast.FunctionDef) -> bool:
    """Whether it has no statements of its own: subclasses have them."""
    words = [one for one in function.body if not isinstance(one, ast.Raise)]
    return all(isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant) for one in words)


CALLED_BY_OTHERS = re.compile(r"__\w+__|forward|backward|main")


def test_it_passes_ruff(script: Path) -> None:
    done = ruff("check", "--select", "E,F,I,B,UP,W", "--line-length", "106", script=script)
    assert done.returncode == 0, done.stdout


def test_ruff_would_not_lay_it_out_otherwise(script: Path) -> None:
    done = ruff("format", "--check", "--diff", "--line-length", "100", script=script)
    assert done.returncode == 0, done.stdout


def test_every_function_class_and_method_is_used(script: Path) -> None:
    module = module_of(script)
    read = set(read_names(module))
    defined = [
        node.name for node in ast.walk(module) if isinstance(node, ast.FunctionDef | ast.ClassDef)
    ]
    assert [
        name for name in defined if name not in read and not CALLED_BY_OTHERS.fullmatch(name)
    ] == []


def test_every_import_constant_and_parameter_is_used(script: Path) -> None:
    module = module_of(script)
    read = set(read_names(module))
    imported = [
        (one.asname or one.name).partition(".")[0]
        for node in ast.walk(module)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for one in node.names
        if getattr(node, "module", "") != "__future__"
    ]
    assert [name for name in imported if name not in read] == []
    constants = [
        target.id
        for node in module.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    ]
    assert [name for name in constants if name not in read] == []
    for function in ast.walk(module):
        if isinstance(function, ast.FunctionDef) and not is_only_declared(function):
            inside = {name for one in function.body for name in read_names(one)}
            arguments = [a.arg for a in (*function.args.args, *function.args.kwonlyargs)]
            unused = [
                name for name in arguments if name not in inside and name not in ("self", "state")
            ]
            assert unused == [], function.name


def test_nothing_in_it_is_dead(script: Path) -> None:
    for node in ast.walk(module_of(script)):
        if isinstance(node, ast.If | ast.IfExp | ast.While):
            assert not isinstance(node.test, ast.Constant), ast.unparse(node.test)
        for _, body in ((n, b) for n, b in ast.iter_fields(node) if isinstance(b, list)):
            after = [
                i
                for i, one in enumerate(body)
                if isinstance(one, ast.Return | ast.Raise | ast.Continue)
            ]
            assert not after or after[0] == len(body) - 1, ast.unparse(node)
        if isinstance(node, ast.Assert):
            assert not isinstance(node.test, ast.Constant)
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            assert not all(isinstance(side, ast.Constant) for side in sides), ast.unparse(node)


def test_nothing_of_the_machinery_is_left(script: Path) -> None:
    text = script.read_text("utf-8")
    for word in (
        "EVENT(",
        "UNPACK",
        "TODO",
        "drivetrain.",
        "self.state",
        "CancelBatch",
        "# pyright",
        "noqa",
    ):
        assert word not in text, word
    names = {node.id for node in ast.walk(module_of(script)) if isinstance(node, ast.Name)}
    assert not {
        name for name in names if name.startswith("__") and name != "__name__" and name != "__doc__"
    }


def test_every_setting_comes_with_its_reason(script: Path) -> None:
    text = script.read_text("utf-8")
    settings = text.partition("# --- Settings")[2].partition("\n# --- ")[0].splitlines()
    named = [i for i, line in enumerate(settings) if re.match(r"[A-Z_0-9]+ = ", line)]
    assert len(named) >= 5
    explained = [i for i in named if "  # " in settings[i] or settings[i - 1].startswith("# ")]
    assert len(explained) >= 0.8 * len(named)


def test_its_first_words_say_what_it_trains_and_how_to_run_it(script: Path) -> None:
    words = ast.get_docstring(module_of(script)) or ""
    assert words.startswith("Train ")
    assert "python train_it.py --data DATA --out OUT" in words


def ended(script: Path, *words: str) -> Any:
    """Run a script as a program, in this process and without Drivetrain; returns its exit code."""
    with (
        mock.patch.object(sys, "argv", [str(script), *words]),
        replay.without_drivetrain(),
        pytest.raises(SystemExit) as end,
    ):
        runpy.run_path(str(script), run_name="__main__")
    return end.value.code


def test_its_help_names_data_and_out(script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(script, "--help") == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert "--data" in said.out and "--out" in said.out


def test_a_missing_out_is_asked_for(script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(script) == 2
    said = capsys.readouterr()
    assert "--out" in said.err and "Traceback" not in said.err


def test_the_same_run_gives_the_same_text() -> None:
    learner = OWN(project.Net, project.loaders, "cross_entropy", callbacks=["ema"])
    learner.fit(1, 1e-2)
    assert source(learner) == source(learner)


def test_ejecting_leaves_the_learner_as_it_was() -> None:
    learners = []
    for times in (0, 1):
        learner = OWN(project.Net, project.loaders, "cross_entropy", callbacks=["mixup", "ema"])
        learner.fit(1, 1e-2)
        for _ in range(times):
            source(learner)
        learner.fit(1, 1e-2)
        learners.append(learner)
    digests = [dt.store.weights_sha256(learner.model.state_dict()) for learner in learners]
    assert digests[0] == digests[1]


def test_a_name_with_a_space_is_quoted_where_the_script_says_how_to_run_it() -> None:
    learner = OWN(project.Net, project.loaders, "cross_entropy")
    learner.fit(1, 1e-2)
    assert "    python 'train it.py' --data DATA" in source(learner, name="train it.py")


# --- constants ------------------------------------------------------------------------------------


def test_a_long_list_of_words_takes_few_lines() -> None:
    words = tuple(f"a word {n}" for n in range(40))
    text = layout._setting(Setting("WORDS", words, "some"))
    assert text.startswith('# some\nWORDS = (\n    "a word 0", "a word 1",')
    assert text.endswith(",\n)  # fmt: skip\n")
    assert max(map(len, text.splitlines())) <= 100 and len(text.splitlines()) < 12
    found: dict[str, object] = {}
    module = ast.parse(text)
    assert isinstance(module.body[0], ast.Assign)
    found["WORDS"] = ast.literal_eval(module.body[0].value)
    assert found["WORDS"] == words


def test_a_reason_cannot_end_its_comment() -> None:
    text = layout._setting(Setting("A", 1, "a column\nraise SystemExit  # \r\x0cof words"))
    assert text == "A = 1  # a column raise SystemExit # of words\n"


# --- means of numbers -----------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 7])
@pytest.mark.parametrize("count", [1, 2])
def test_errors_are_added_up_as_their_metrics_add_them_up(
    batch_size: int, count: int, tmp_path: Path
) -> None:
    make = functools.partial(project.numbers, batch_size=batch_size, count=count)
    learner = OWN(functools.partial(project.Curve, count), make, "mse", metrics=["rmse", "mae"])
    learner.fit(1, 1e-2)
    text = replay.check(learner, tmp_path)
    assert "class RMSE" not in text
    assert (".split(64)" in text) is (batch_size == 1 and count == 1)
