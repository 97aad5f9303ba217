"""`drivetrain docs`: what a name is, without importing it."""

from __future__ import annotations

import importlib
import inspect
import json
import re
import subprocess
import sys

import pytest
from hypothesis import given, settings, strategies as st

import drivetrain as dt
from drivetrain.cli import docs, naming
from drivetrain.errors import UnknownNameError
from tests.cli.conftest import Run


@pytest.mark.row(12)
def test_a_function_is_shown_with_types_defaults_explanation_and_its_line(run: Run) -> None:
    done = run("docs", "losses.focal")
    assert done.exit_code == 0
    focal = dt.losses.focal
    number = inspect.getsourcelines(focal)[1]
    assert done.stdout.startswith("losses.focal  (function)\n\n    focal(")
    assert "        gamma: float = 2.0,\n" in done.stdout
    assert f"\n{inspect.getdoc(focal)}\n" in done.stdout
    assert f"\n{inspect.getsourcefile(focal)}:{number}\n    def focal(" in done.stdout


@pytest.mark.row(12)
@pytest.mark.parametrize(
    ("asked", "of"),
    [
        ("vision.from_folder", "vision.data.gather"),
        ("tabular.from_csv", "tabular.gathering.gather"),
        ("text.from_csv", "text.data.gather"),
        ("collab.from_csv", "collab.data.gather"),
    ],
)
def test_options_that_are_passed_on_are_shown_as_those_who_take_them_have_them(
    run: Run, asked: str, of: str
) -> None:
    text = run("docs", asked).stdout
    told = text.partition(f"\nOf {of}:\n")[2]
    module, _, name = of.rpartition(".")
    taken = inspect.signature(getattr(importlib.import_module(f"drivetrain.{module}"), name))
    words = set(re.findall(r"\w+", told))
    assert set(taken.parameters) - words == set()
    assert "Of " not in run("docs", "losses.focal").stdout


@pytest.mark.row(12)
@pytest.mark.parametrize(
    ("asked", "name", "kind"),
    [
        (["vision.learner"], "vision.learner", "function"),
        (["dt.clean.Queue"], "clean.Queue", "class"),
        (["drivetrain.clean.Queue"], "clean.Queue", "class"),
        (["Queue.of"], "clean.Queue.of", "method"),
        (["dt.Learner.fit_one_cycle"], "Learner.fit_one_cycle", "method"),
        (["adam"], "adam", "optimizer"),
        (["focal"], "losses.focal", "function"),
        (["metric", "mae"], "mae", "metric"),
        (["one_cycle"], "optim.one_cycle", "function"),
        (["ema"], "ema", "callback"),
        (["resnet18"], "resnet18", "model"),
        (["digits"], "digits", "sample"),
        (["page", "quadratic"], "quadratic", "page"),
        (["workbook", "quadratic"], "quadratic", "workbook"),
        (["resume", "--json"], None, None),
        (["command", "clean"], "clean", "command"),
        (["drivetrain predict"], "predict", "command"),
        (["METRICS"], "metrics.METRICS", "constant"),
        (["DrivetrainError"], "DrivetrainError", "class"),
        (["dt.vision"], "vision", "package"),
        (["data.split.stratified_split"], "data.split.stratified_split", "function"),
        (["text.from_csv"], "text.from_csv", "function"),
    ],
)
def test_a_name_is_found_however_it_is_said(
    run: Run, asked: list[str], name: str | None, kind: str | None
) -> None:
    document = json.loads(run("docs", *asked, "--json").stdout)
    if name is None:  # several are called so: a command, and a function of each application
        assert {"kind": "command", "name": "resume"}.items() <= document[-1].items()
        assert [one["name"] for one in document[:-1]] == [
            f"{package}.resume" for package in ("collab", "tabular", "text", "vision")
        ]
        return
    assert (document["name"], document["kind"]) == (name, kind)
    assert document["doc"]
    assert document["source"]


def test_of_several_things_with_one_name_it_is_said_how_to_ask_for_each(run: Run) -> None:
    done = run("docs", "mae")
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0] == "2 things are called 'mae'. Ask for one of them:"
    assert [line.split("  ")[1] for line in lines[1:]] == ["dt.losses.mae", "metric mae"]
    for asked in ("dt.losses.mae", "metric mae"):
        assert "things are called" not in run("docs", *asked.split()).stdout


def test_a_command_is_shown_as_its_help_has_it(run: Run) -> None:
    shown = run("docs", "command", "docs").stdout
    assert shown.startswith("docs  (command)\n\n    drivetrain docs [OPTIONS] [NAME]...\n")
    assert "--find WORD" in shown
    assert "drivetrain docs --find calibration" in shown


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("vision.lerner", "vision.learner"),
        ("Queue.off", "Queue.of"),
        ("acuracy", "accuracy"),
        ("Learner.fine_tun", "Learner.fine_tune"),
    ],
)
def test_a_slip_is_answered(run: Run, asked: str, meant: str) -> None:
    done = run("docs", asked)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert done.stderr == (
        f"drivetrain: There is no name '{asked}'. Did you mean '{meant}'? "
        "List all with: drivetrain docs\n"
    )


def test_a_slip_after_a_kind_is_answered_by_what_there_is_of_that_kind(run: Run) -> None:
    done = run("docs", "metric", "acuracy")
    assert done.stderr == (
        "drivetrain: There is no metric 'acuracy'. Did you mean 'accuracy'? "
        "List all with: drivetrain docs\n"
    )
    assert run("docs", "..").exit_code == 2


def test_a_name_and_a_word_to_find_are_not_both_given(run: Run) -> None:
    done = run("docs", "adam", "--find", "momentum")
    assert done.exit_code == 2
    assert "Give a name, or --find WORD, not both." in done.stderr


@pytest.mark.row(12)
def test_without_a_name_all_are_listed_by_package(run: Run) -> None:
    shown = run("docs").stdout
    groups = json.loads(run("docs", "--json").stdout)
    for package in ("vision", "text", "tabular", "collab", "losses", "clean", "interpret"):
        module = getattr(dt, package)
        assert groups[package] == list(module.__all__)
        summary = naming.summary(inspect.getdoc(module) or "")
        assert f"\n{package}: {summary}\n" in shown
    assert groups["metric"] == list(dt.metrics.METRICS)
    assert "docs" in groups["command"]
    assert max(map(len, shown.splitlines())) < 120


def test_names_are_found_by_a_word_of_the_name_first_then_of_the_explanation(run: Run) -> None:
    found = json.loads(run("docs", "--find", "focal", "--json").stdout)
    names = [one["name"] for one in found]
    assert names[:2] == ["losses.binary_focal", "losses.focal"]
    assert len(names) > len([name for name in names if "focal" in name])
    assert run("docs", "--find", "xyzzy").stdout == "No name has to do with 'xyzzy'.\n"


def test_neither_torch_nor_numpy_is_imported() -> None:
    code = (
        "import sys\n"
        "from drivetrain.cli.docs import found, listed\n"
        "found('vision.learner'); dict(listed())\n"
        "print(sorted({'torch', 'numpy', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@settings(max_examples=10, deadline=None)
@given(st.text(min_size=1, max_size=60).filter(lambda text: "." in text or len(text) > 1))
def test_what_is_no_name_is_refused_in_a_sentence(asked: str) -> None:
    with pytest.raises(UnknownNameError, match=r"^There is no name '"):
        docs.found(f"{asked}?")
