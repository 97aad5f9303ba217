"""All checks on every Learner that can be built: by hand, each optimizer and callback, pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import drivetrain as dt
from drivetrain.optim import OPTIMIZERS
from drivetrain.samples import write_sample
from drivetrain.testing import check_learner
from drivetrain.train.callbacks import CALLBACKS
from tests.testing.makers import (
    BY_HAND,
    classification,
    torch_loader,
    with_callback,
    with_optimizer,
)

QUICK = ("classification", "by name", "dot product", "own SGD")
"""What is checked in the fast run too."""


@pytest.mark.row(5, 6, 7, 11)
@pytest.mark.parametrize(
    "name",
    [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in BY_HAND],
)
def test_learners_made_by_hand(name: str) -> None:
    check_learner(BY_HAND[name])


@pytest.mark.parametrize("name", ["mean image", "torch loader"])
def test_learners_made_by_hand_repeat(name: str) -> None:
    """What the slow ones of above need most, in the fast run."""
    check_learner(BY_HAND[name], only=["the_same_seed_gives_the_same_bits", "evaluation_repeats"])


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer(name: str) -> None:
    check_learner(lambda: with_optimizer(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", CALLBACKS)
def test_every_callback(name: str) -> None:
    check_learner(lambda: with_callback(name))


@pytest.mark.slow
def test_a_loader_with_worker_processes() -> None:
    check_learner(
        lambda: torch_loader(num_workers=1),
        only=["the_same_seed_gives_the_same_bits", "a_run_cut_within_an_epoch_goes_on"],
    )


# --- pictures ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return dt.vision.from_folder(write_sample("shapes", tmp_path_factory.mktemp("s") / "shapes"))


def of_pictures(data: Any, **options: Any) -> dt.Learner:
    return dt.vision.learner(data, "resnet_tiny", progress=False, num_threads=1, **options)


def test_pictures_in_short(shapes: Any) -> None:
    report = check_learner(
        lambda: of_pictures(shapes),
        only=[
            *("the_application_describes_itself", "items_do_not_see_each_other"),
            *("an_epoch_holds_each_item_once", "a_run_cut_within_an_epoch_goes_on"),
        ],
    )
    assert len(report.passed) == 4


@pytest.mark.slow
@pytest.mark.parametrize("augment", [True, False])
def test_pictures(shapes: Any, augment: bool) -> None:
    assert not check_learner(lambda: of_pictures(shapes, augment=augment)).skipped


@pytest.mark.slow
def test_a_learner_of_pictures_that_was_trained_is_checked_as_a_copy(shapes: Any) -> None:
    trained = of_pictures(shapes)
    trained.fit(1)
    check_learner(trained)
    assert len(trained.history) == 1


@pytest.mark.slow
def test_digits(tmp_path: Path) -> None:
    data = dt.vision.from_folder(write_sample("digits", tmp_path / "digits"))
    assert not check_learner(lambda: of_pictures(data, metrics=["accuracy", "f1"])).skipped


@pytest.mark.slow
def test_several_callbacks_together() -> None:
    check_learner(
        lambda: classification(
            callbacks=[
                "mixup",
                "label_smoothing",
                {"name": "accumulate", "steps": 2},
                "clip_gradients",
            ]
        )
    )
