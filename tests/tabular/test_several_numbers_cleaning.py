"""Several numbers of a row: each is judged by itself, and the row is left out as a whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import drivetrain as dt
from drivetrain.clean import inplace_table
from drivetrain.clean.folds import queue_of
from drivetrain.clean.patch import Change, Patch
from drivetrain.errors import DataError
from drivetrain.tabular.folding import pool_of
from drivetrain.tabular.in_place import source_of
from drivetrain.train.run import Run
from tests.tabular.tables import write

pytestmark = pytest.mark.row(16)
NAMES = ["sum", "large"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on two numbers of very different size, one of each far off. Not to be changed."""
    folder = tmp_path_factory.mktemp("numbers")
    draw = np.random.default_rng(0)
    a, b = draw.random(150).round(3), draw.random(150).round(3)
    total, large = a + b + draw.normal(0, 0.05, 150), 1000 * b + draw.normal(0, 50, 150)
    total[7] += 4
    large[11] -= 3000
    table = {"a": a, "b": b, "sum": total.round(3), "large": large.round(1)}
    source = write(folder / "t.csv", {name: values.tolist() for name, values in table.items()})
    learner = dt.tabular.learner(source, NAMES, layers=[8], epochs=1, progress=False)
    learner.train(1)
    learner.save(folder / "run")
    return folder / "run"


def test_the_number_that_is_far_off_comes_first_whatever_its_unit(trained: Path) -> None:
    queue = queue_of(pool_of(trained))
    assert (
        len(queue) == 300 and queue.total == 150 and dict(queue.targets) == {"sum": (), "large": ()}
    )
    head = {(row.item.name, row.item.target) for row in queue.rows[:2]}
    assert head == {("row 8", "sum"), ("row 12", "large")}
    assert all(row.margin is not None and row.margin < -10 for row in queue.rows[:2])
    first = queue.rows[0]
    assert [name for name, _ in first.item.cells or ()] == ["a", "b"] and queue.labels_of(
        first
    ) == ()
    own = queue_of(pool_of(trained), folds=0)
    assert {row.item.entry for row in own.rows} == {row.item.entry for row in queue.rows}


@pytest.mark.slow
def test_the_runs_own_recipe_predicts_both(trained: Path) -> None:
    queue = queue_of(pool_of(trained), folds=2, model="own")
    assert queue.basis == "out of 2 folds, by net, fitted anew as the run was" and len(queue) == 300


def test_rows_are_left_out_and_a_number_is_changed_by_its_name(
    trained: Path, tmp_path: Path
) -> None:
    record = Run.open(trained).read()
    source = Path(record["data"]["source"])
    items = [row.item for row in queue_of(pool_of(trained), folds=0).rows]
    gone = next(item for item in items if item.name == "row 8")
    large = next(item for item in items if (item.name, item.target) == ("row 12", "large"))
    changes = {large.hash: Change("0.5", large.label)}
    patch = Patch({gone.hash: Change(None)}, {"large": changes})
    data = dt.tabular.from_csv(source, NAMES, patch=patch)
    ids = list(data.ids)
    assert len(ids) == 149 and "row 8" not in ids
    assert data.targets[ids.index("row 12")].tolist()[1] == 0.5
    before = source.read_bytes()
    done = inplace_table.apply(patch, source_of(record))
    assert (done.relabelled, done.removed) == (1, 1)
    lines = before.split(b"\n")
    lines[12] = lines[12].replace(b"," + large.label.encode(), b",0.5")
    del lines[8]
    assert source.read_bytes() == b"\n".join(lines)
    inplace_table.undo(source)
    assert source.read_bytes() == before


def test_a_change_that_does_not_say_which_number_is_refused(trained: Path) -> None:
    source = Run.open(trained).read()["data"]["source"]
    hash_ = "0" * 64
    with pytest.raises(DataError) as caught:
        dt.tabular.from_csv(source, NAMES, patch=Patch({hash_: Change("3", "2", "row 4")}))
    assert str(caught.value) == (
        "The patch changes row 4, and does not say of which target. Decide it once more in a run of all "
        "targets, with `drivetrain clean RUN`: its patch says so."
    )
