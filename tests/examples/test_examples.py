"""The examples run, and the loop by hand ends with the Learner's weights."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

import drivetrain as dt

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.row(30)
def test_seven_functions_are_the_seven_steps_and_equal_the_learner_bit_for_bit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = dt.samples.write_sample("shapes", tmp_path / "shapes") / "train"
    own = example("own_loop")
    by_hand = own.main(str(folder))
    printed = [line.split(":")[0] for line in capsys.readouterr().out.splitlines()]
    assert printed == [
        *("1. initialise", "2. predict", "3. measure", "4. gradient", "5. step"),
        *("6. repeat", "7. stop"),
    ]
    assert [function.__name__ for function in own.STEPS] == [
        line.split(". ")[1] for line in printed
    ]
    assert example("learner").main(str(folder)) == by_hand
