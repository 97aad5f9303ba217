"""The tree of errors: what each can be caught as, and what the command line ends with."""

from __future__ import annotations

import inspect

import pytest

from drivetrain import errors

TREE = {
    "InputError": (ValueError, 2),
    "ShapeError": (errors.InputError, 2),
    "DataError": (errors.InputError, 2),
    "ConfigError": (errors.InputError, 2),
    "UnknownNameError": (LookupError, 2),
    "MissingPackageError": (ImportError, 2),
    "RunError": (errors.DrivetrainError, 2),
    "BundleError": (ValueError, 2),
    "EjectError": (ValueError, 2),
    "StorageError": (OSError, 3),
}


def test_every_error_is_in_the_tree_and_in_its_docstring():
    found = {
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, Exception)
    }
    assert found - {"DrivetrainError"} >= set(TREE)
    assert errors.__doc__ is not None
    for name in found:
        assert name in errors.__doc__
        assert issubclass(getattr(errors, name), errors.DrivetrainError)


@pytest.mark.parametrize("name", sorted(TREE))
def test_error_is_also_the_builtin_it_is_kin_to(name):
    also, exit_code = TREE[name]
    kind = getattr(errors, name)
    assert issubclass(kind, also)
    assert kind.exit_code == exit_code
    with pytest.raises(also, match=r"^A whole sentence\.$"):
        raise kind("A whole sentence.")


def test_unknown_name_is_not_printed_in_quotes():
    assert str(errors.UnknownNameError("No 'x'.")) == "No 'x'."
    assert not issubclass(errors.UnknownNameError, KeyError)


def test_storage_error_of_one_sentence_prints_as_it():
    assert str(errors.StorageError("Could not write a file.")) == "Could not write a file."
