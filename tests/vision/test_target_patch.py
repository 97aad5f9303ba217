"""A patch where pictures have several targets: each change goes to the target whose label it changes."""

from __future__ import annotations

from pathlib import Path

import pytest

import drivetrain as dt
from drivetrain import store
from drivetrain.clean.patch import Change, Patch
from drivetrain.errors import DataError
from drivetrain.vision.target_patch import applied_to_targets
from drivetrain.vision.targets import labels_of
from tests.vision.leaves import BOTH

pytestmark = pytest.mark.row(118)

LABELS = [("blast", "adt"), ("tungro", "adt"), ("blast", "ponni")]


def test_each_change_is_made_to_its_own_target() -> None:
    patch = Patch(
        {
            "a": Change("tungro", "blast"),
            "b": Change("ponni", "adt"),
            "c": Change(None, "ponni"),
            "z": Change("blast", "tungro"),
        }
    )
    new, applied = applied_to_targets(patch, ["a", "b", "c"], LABELS, BOTH)
    assert new == [("tungro", "adt"), ("tungro", "ponni"), ("blast", "ponni")]
    assert applied.kept == (True, True, False)
    assert (applied.relabelled, applied.left_out, applied.missing) == (2, 1, 1)
    assert applied.stale == ()


def test_a_label_that_is_another_by_now_is_left_as_it_is() -> None:
    patch = Patch({"a": Change("ir20", "ponni", "a.png"), "b": Change("rot", "blast", "b.png")})
    new, applied = applied_to_targets(patch, ["a", "b", "c"], LABELS, BOTH)
    assert new == LABELS
    assert set(applied.stale) == {"a.png", "b.png"}
    assert applied.relabelled == 0


def test_what_is_left_out_whatever_its_label_is_goes() -> None:
    _, applied = applied_to_targets(Patch({"b": Change(None)}), ["a", "b", "c"], LABELS, BOTH)
    assert applied.kept == (True, False, True)


def test_a_class_of_two_targets_is_refused_and_not_guessed() -> None:
    labels = [("yes", "no"), ("no", "yes")]
    with pytest.raises(DataError) as caught:
        applied_to_targets(Patch({"a": Change("no", "yes")}), ["a", "b"], labels, ["ill", "ripe"])
    assert str(caught.value) == (
        "The patch changes the label 'yes', which is a class of ill and ripe, and does not say of which "
        "target it is. Decide it once more in a run of all targets, with `drivetrain clean RUN`: its "
        "patch says so. Or train without the patch."
    )


def test_a_patch_of_the_second_target_alone_changes_a_training_of_both(
    leaves_folder: Path, tmp_path: Path
) -> None:
    picture = leaves_folder / "leaves" / "00.png"
    change = Change("ponni", "adt", "leaves/00.png")
    patch = Patch({store.file_sha256(picture): change}).write(tmp_path / "p.json")
    data = dt.vision.from_csv(leaves_folder / "leaves.csv", targets=BOTH, patch=patch)
    (item,) = (one for one in data.items if one.path == picture)
    assert labels_of(item) == ("blast", "ponni")
    assert len(data.items) == 36
