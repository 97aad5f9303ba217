"""The program as a whole: help, version, mistakes in the arguments, and what it imports for them."""

from __future__ import annotations

import subprocess
import sys
import time
from importlib import import_module

import click
import pytest
from click.testing import Result

import drivetrain
from drivetrain.cli import program
from drivetrain.cli.program import COMMANDS

HEAVY = ("torch", "numpy", "PIL", "sklearn", "timm", "tqdm")

LIGHT_CALLS = [
    ["--help"],
    ["--version"],
    [],
    ["trian"],
    ["train", "--epoch", "0"],
    ["predict"],
    ["samples"],
    ["samples", "--json"],
    ["samples", "digit"],
    ["page"],
    ["sheet", "--json"],
    *[[name, "--help"] for name in COMMANDS],
]


@pytest.mark.parametrize("words", LIGHT_CALLS, ids=" ".join)
def test_help_version_and_mistakes_import_nothing_heavy(words: list[str]) -> None:
    script = (
        "import sys\nfrom drivetrain.cli import program\n"
        f"try:\n    program.main({words})\n"
        "finally:\n"
        f"    print([m for m in {HEAVY} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1] == "[]"


def test_help_takes_a_fraction_of_the_time_of_importing_torch() -> None:
    def seconds(*words: str) -> float:
        clock = time.perf_counter()
        subprocess.run([sys.executable, *words], check=True, capture_output=True)
        return time.perf_counter() - clock

    helped = min(seconds("-m", "drivetrain", "--help") for _ in range(2))
    assert helped < 0.5 * seconds("-c", "import torch")


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",)])
def test_the_help_names_every_command(run, words: tuple[str, ...]) -> None:
    result = run(*words)
    assert result.exit_code == 0
    assert result.stderr == ""
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    for name, what in COMMANDS.items():
        assert f"{name} {what}" in lines


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_the_same_of_itself_and_takes_the_common_options(run, name: str) -> None:
    command = import_module(f"drivetrain.cli.{name}").command
    assert isinstance(command, click.Command)
    assert command.short_help == COMMANDS[name]
    result = run(name, "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: drivetrain {name} ") and " RANGE" not in result.stdout
    for option in ("--json", "--seed", "--out", "--debug"):
        assert f" {option} " in result.stdout.replace(",", " ")
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help, f"{option.name} has no help"
    assert f"drivetrain {name}" in result.stdout.split("\n", 1)[1], "an example"


def test_the_version(run) -> None:
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"drivetrain {drivetrain.__version__}\n")


def refusal(result: Result) -> str:
    """The one line of a refusal."""
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    return result.stderr.rstrip("\n")


def test_an_unknown_command_is_answered_with_the_nearest(run) -> None:
    assert refusal(run("trian", "photos/")) == (
        "drivetrain: There is no command 'trian'. Did you mean 'train'? Known: "
        f"{', '.join(COMMANDS)}. See: drivetrain --help"
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["predict"], "Missing argument 'RUN'. See: drivetrain predict --help"),
        (["predict", "run"], "Missing argument 'INPUT...'. See: drivetrain predict --help"),
        (["evaluate", "run"], "Missing option '--on'. See: drivetrain evaluate --help"),
        (
            ["train", "--epochs", "0"],
            "Invalid value for '--epochs': 0 is not in the range x>=1. See: drivetrain train --help",
        ),
        (
            ["train", "--valid", "1"],
            "Invalid value for '--valid': '1' is not a share between 0 and 1 such as 0.2, nor a date "
            "such as 2012-04-01. See: drivetrain train --help",
        ),
        (
            ["train", "--set", "batch_size"],
            "--set takes key=value, such as --set batch_size=32. Got 'batch_size'. "
            "See: drivetrain train --help",
        ),
        (
            ["train", "--set", "lr=1", "--set", "lr=2"],
            "--set lr is given twice. See: drivetrain train --help",
        ),
        (
            ["train", "--size", "32", "--set", "size=16"],
            "'size' is given twice: by --set and by its own option. See: drivetrain train --help",
        ),
        (
            ["resize", "a", "b", "--size", "8", "--method", "cut"],
            "Invalid value for '--method': 'cut' is not one of 'shrink', 'crop', 'squish', 'pad'. "
            "See: drivetrain resize --help",
        ),
        (
            ["samples", "--to", "here"],
            "Say which sample is to be written: NAME is missing. See: drivetrain samples --help",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_in_the_arguments_is_one_line_and_code_2(
    run, words: list[str], sentence: str
) -> None:
    assert refusal(run(*words)) == f"drivetrain: {sentence}"


def test_a_misspelt_option_is_answered_with_the_nearest(run) -> None:
    assert refusal(run("train", "--epoch", "3")) == (
        "drivetrain: No such option '--epoch'. Did you mean '--epochs'? See: drivetrain train --help"
    )
    assert refusal(run("train", "--qqqq", "3")) == (
        "drivetrain: No such option '--qqqq'. See: drivetrain train --help"
    )


def test_the_program_can_be_called_for_its_exceptions() -> None:
    with pytest.raises(click.UsageError, match=r"There is no command 'x'"):
        program.main(["x"], standalone_mode=False)


def test_the_package_is_the_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "drivetrain", "--version"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, f"drivetrain {drivetrain.__version__}\n")
