"""Transfer: what a body learnt from many pictures helps with another task that has few."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import drivetrain as dt
from drivetrain.errors import MissingPackageError

SEEDS = range(5)
LABELLED, MEASURED = 17, 15
"""Pictures of each of three breeds: 51 to learn from, 45 to measure on."""


@pytest.mark.slow
@pytest.mark.row(9)
def test_a_pretrained_body_beats_one_from_scratch_on_fifty_pictures(
    shared_data, tmp_path: Path
) -> None:
    for breed in sorted((shared_data("pets") / "images").iterdir()):
        pictures = sorted(breed.iterdir())
        for part, chosen in (
            ("train", pictures[:LABELLED]),
            ("valid", pictures[LABELLED : LABELLED + MEASURED]),
        ):
            (tmp_path / part / breed.name).mkdir(parents=True)
            for picture in chosen:
                shutil.copy(picture, tmp_path / part / breed.name)
    data = dt.vision.from_folder(tmp_path, size=64)

    def error(seed: int, *, pretrained: bool) -> float:
        student = dt.vision.learner(
            data, "tf_efficientnet_lite0", pretrained=pretrained, seed=seed, progress=False
        )
        if pretrained and not student.application.built.is_pretrained:
            raise MissingPackageError(student.application.built.note)
        if pretrained:
            student.fine_tune(2)
        else:
            student.fit_one_cycle(3)
        return student.evaluate().metrics["error_rate"]

    pairs = [(error(seed, pretrained=True), error(seed, pretrained=False)) for seed in SEEDS]
    assert all(transferred < scratch for transferred, scratch in pairs), pairs
