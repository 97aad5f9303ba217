"""The settings of `train`: what --set reads, what it refuses, and that the table is the library's."""

from __future__ import annotations

import inspect
from typing import Any

import click
import pytest

from drivetrain import vision
from drivetrain.cli import settings
from drivetrain.vision.data import gather
from drivetrain.vision.resize_methods import RESIZE_METHODS


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        ("batch_size=32", {"batch_size": 32}),
        ("batch-size=32", {"batch_size": 32}),
        ("lr=1e-3", {"lr": 0.001}),
        ("pretrained=false", {"pretrained": False}),
        ("pretrained=weights.safetensors", {"pretrained": "weights.safetensors"}),
        ('augment={"rotate": 20}', {"augment": {"rotate": 20}}),
        ("resize=pad", {"resize": "pad"}),
        ("pattern=^(.+)=[0-9]", {"pattern": "^(.+)=[0-9]"}),
        ("label_column=", {"label_column": ""}),
        ('log=["Fare", "the price"]', {"log": ["Fare", "the price"]}),
        ("log=[Fare, the price]", {"log": ["Fare", "the price"]}),  # a shell took the quotes
    ],
)
def test_a_value_is_json_or_the_word_it_is(pair: str, expected: dict[str, Any]) -> None:
    found = settings.parse((pair,))
    assert found == expected
    assert [type(value) for value in found.values()] == [type(v) for v in expected.values()]


@pytest.mark.parametrize(
    ("pair", "sentence"),
    [
        ("batch_size", "--set takes key=value, such as --set batch_size=32. Got 'batch_size'."),
        ("=3", "--set takes key=value, such as --set batch_size=32. Got '=3'."),
        ("batch_size=x", "--set batch_size: 'x' is not a valid whole number."),
        ("batch_size=true", "--set batch_size: 'true' is not a valid whole number."),
        ("batch_size=0", "--set batch_size: 0 is not in the range x>=1."),
        ("lr=0", "--set lr: 0.0 is not in the range x>0."),
        ("lr=fast", "--set lr: 'fast' is not a valid number."),
        ("dropout=1", "--set dropout: 1.0 is not in the range 0<=x<1."),
        ("resize=cut", "--set resize: 'cut' is not one of 'crop', 'squish', 'pad'."),
        (
            "augment=3",
            '--set augment: 3 is not true, false, or an object such as {"rotate": 20}.',
        ),
        ("pattern=3", "--set pattern: 3 is not a text."),
        ("log=Fare", "--set log: 'Fare' is not a list of columns."),
    ],
)
def test_what_cannot_be_is_refused(pair: str, sentence: str) -> None:
    with pytest.raises(click.UsageError) as caught:
        settings.parse((pair,))
    assert caught.value.message == sentence


def test_a_key_that_is_no_setting_is_answered_with_the_nearest() -> None:
    with pytest.raises(click.UsageError) as caught:
        settings.parse(("batchsize=3",))
    assert caught.value.message == (
        "There is no setting 'batchsize'. Did you mean 'batch_size'? "
        f"Known: {', '.join(sorted(settings.SETTINGS))}."
    )


def test_nothing_is_evaluated() -> None:
    assert settings.parse(("loss_fn=__import__('os').getcwd()",)) == {
        "loss_fn": "__import__('os').getcwd()"
    }


def test_options_and_set_are_one() -> None:
    assert settings.merge({"size": 8, "model": None}, {"lr": 0.1}) == {"size": 8, "lr": 0.1}
    with pytest.raises(
        click.UsageError, match=r"^'size' is given twice: by --set and by its own option\.$"
    ):
        settings.merge({"size": 8}, {"size": 16})


def test_the_table_holds_the_settings_of_the_library_and_no_other() -> None:
    def of(function: Any) -> set[str]:
        return set(inspect.signature(function).parameters)

    given_otherwise = {"seed", "report"}
    assert set(settings.DATA) == of(gather) - {"found"} - given_otherwise
    assert set(settings.CSV) == of(vision.from_csv) - {"table", "options"}
    assert set(settings.NAMES) == of(vision.from_names) - {"folder", "options"}
    # what is no plain value, or is decided by the command line itself
    beyond = {
        "source",
        "metrics",
        "callbacks",
        "device",
        "progress",
        "announce",
        "out",
        "data_options",
        "targets",  # of a CSV, where it is asked for
    }
    assert set(settings.LEARNER) == of(vision.learner) - beyond - given_otherwise
    resize = settings.DATA["resize"]
    assert isinstance(resize, click.Choice)
    assert set(resize.choices) == set(RESIZE_METHODS)
