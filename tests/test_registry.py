"""Names looked up in tables, and optional packages: the answer to a slip says what to do."""

from __future__ import annotations

import sys

import pytest

from drivetrain._optional import require
from drivetrain._registry import did_you_mean, lookup
from drivetrain.errors import MissingPackageError, UnknownNameError

TABLE = {"resnet18": 1, "resnet34": 2, "f1": 3}


def test_known_name_is_found():
    assert lookup(TABLE, "resnet34", what="model") == 2


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "resnt18",
            "Unknown model 'resnt18'. Did you mean 'resnet18'? Known: f1, resnet18, resnet34.",
        ),
        ("zebra", "Unknown model 'zebra'. Known: f1, resnet18, resnet34."),
        ("", "Unknown model ''. Known: f1, resnet18, resnet34."),
    ],
)
def test_unknown_name_is_answered_with_the_nearest_and_all(name, message):
    with pytest.raises(UnknownNameError) as caught:
        lookup(TABLE, name, what="model")
    assert str(caught.value) == message


def test_entry_that_is_none_or_empty_is_found():
    assert lookup({"nothing": None}, "nothing", what="thing") is None


def test_nearest_of_nothing_is_nothing():
    assert did_you_mean("x", []) == ""


def test_installed_package_is_imported():
    assert require("json.decoder", extra="vision") is sys.modules["json.decoder"]


@pytest.mark.parametrize("module", ["no_such_package", "no_such_package.part"])
def test_missing_package_comes_with_the_pip_line(module):
    with pytest.raises(MissingPackageError) as caught:
        require(module, extra="vision")
    assert str(caught.value) == (
        "`no_such_package` is not installed. Install it with: pip install 'drivetrain[vision]'."
    )
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_installed_package_that_lacks_something_keeps_its_own_error(tmp_path, monkeypatch):
    (tmp_path / "halfway_there.py").write_text("import another_that_is_absent\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="another_that_is_absent") as caught:
        require("halfway_there", extra="vision")
    assert not isinstance(caught.value, MissingPackageError)


def test_installed_package_that_breaks_keeps_its_own_error(tmp_path, monkeypatch):
    (tmp_path / "broken_package.py").write_text("raise ValueError('broken inside')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=r"^broken inside$"):
        require("broken_package", extra="vision")
