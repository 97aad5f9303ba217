"""Trees, linear models and averages, ejected, and run without Drivetrain: the same bits."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import drivetrain as dt
from drivetrain import store
from drivetrain.cli import program
from drivetrain.errors import EjectError, UnknownNameError
from drivetrain.tabular.data import TabularData
from drivetrain.tabular.ejecting.trees import eject_model, predictions_sha256
from drivetrain.tabular.fitting import FITTERS
from drivetrain.tabular.leaderboard import leaderboard
from drivetrain.tabular.models import TabularModel
from tests.eject import replay
from tests.tabular.ejecting.test_net import mixed
from tests.tabular.tables import passengers, real, sales, write

SMALL: dict[str, dict[str, Any]] = {
    "forest": {"num_trees": 12},
    "extra_trees": {"num_trees": 12},
    "boosting": {"num_trees": 12},
    "boosting_sets": {"num_trees": 12},
}
"""Settings that make models quick to fit."""


def two_classes(folder: Path) -> TabularData:
    """Words, numbers, gaps."""
    return dt.tabular.from_csv(write(folder / "t.csv", passengers()), "lives")


def three_classes(folder: Path) -> TabularData:
    """Several dates, and groups."""
    return dt.tabular.from_csv(write(folder / "t.csv", mixed()), "mark", groups="owner")


def a_number(folder: Path) -> TabularData:
    """No gaps, split by time, its logarithm."""
    return dt.tabular.from_csv(write(folder / "t.csv", sales()), "takings", log_target=True)


def a_number_at_random(folder: Path) -> TabularData:
    """Scaled by the largest, logarithms, rows without a target."""
    columns = mixed() | {"right": ["" if n % 23 == 4 else n % 31 for n in range(180)]}
    options = {"split": "random", "because": "it is a test", "scale": "max", "log": ["price"]}
    return dt.tabular.from_csv(write(folder / "t.csv", columns), "right", **options)


def only_words(folder: Path) -> TabularData:
    """No number anywhere."""
    columns = {name: mixed()[name] for name in ("size", "shop", "owner", "mark")}
    return dt.tabular.from_csv(write(folder / "t.csv", columns), "mark", unseen="mode", rare=2)


def check(
    model: TabularModel, source: Any, folder: Path, *, alone: bool = False, name: str | None = None
) -> str:
    """Eject, run, and compare predictions and metrics; returns the script."""
    assert model.data is not None, "fitted in this process"
    script = eject_model(source, folder / "ejected.py", model=name)
    run = replay.replayed_alone if alone else replay.replayed_here
    answer = run(script, folder / "out", Path(model.data.source))
    frame, _ = model.data.part("valid")
    expected = model.predict_frame(frame)
    found = np.load(folder / "out" / "predictions.npy")
    np.testing.assert_array_equal(found, expected)
    assert answer["predictions_sha256"] == predictions_sha256(model, frame)
    metrics = model.measured("valid").metrics
    assert answer["metrics"].keys() == metrics.keys()
    for one, value in metrics.items():
        assert answer["metrics"][one] == pytest.approx(value, rel=1e-9, abs=1e-12), one
    text = script.read_text("utf-8")
    assert "import drivetrain" not in text and "from drivetrain" not in text
    return text


@pytest.mark.row(31)
def test_a_forest_predicts_the_same_from_its_script(tmp_path: Path) -> None:
    model = dt.tabular.fit(two_classes(tmp_path), model="forest", settings=SMALL["forest"])
    text = check(model, model, tmp_path)
    assert "import torch" in text  # the split is drawn by it
    assert len(text.splitlines()) < 240


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [two_classes, three_classes, a_number, a_number_at_random, only_words],
    ids=lambda make: make.__name__,
)
@pytest.mark.parametrize("name", FITTERS)
def test_each_model_predicts_the_same_from_its_script(
    name: str, make: Callable[[Path], TabularData], tmp_path: Path
) -> None:
    model = dt.tabular.fit(make(tmp_path), model=name, settings=SMALL.get(name, {}))
    check(model, model, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, one in FITTERS.items() if one.many_targets])
def test_several_numbers_are_predicted_the_same(name: str, tmp_path: Path) -> None:
    options = {"split": "random", "because": "it is a test"}
    data = dt.tabular.from_csv(write(tmp_path / "t.csv", mixed()), ["left", "right"], **options)
    model = dt.tabular.fit(data, model=name)
    check(model, model, tmp_path)


SETTINGS: list[tuple[str, dict[str, Any]]] = [
    ("tree", {"max_leaf_nodes": 5}),
    ("tree", {"max_depth": 3, "min_samples_leaf": 4, "seed": 2**40 + 7}),
    ("forest", {"num_trees": 5, "max_features": "sqrt", "max_samples": 50}),
    ("forest", {"num_trees": 5, "max_samples": 0.6, "min_samples_leaf": 1}),
    ("extra_trees", {"num_trees": 5, "max_features": 1.0}),
    ("boosting", {"num_trees": 7, "learning_rate": 0.3, "num_leaves": 4, "min_samples_leaf": 3}),
    ("boosting", {"num_trees": 7, "library": "scikit-learn", "num_leaves": 5}),
    ("boosting", {}),
    ("boosting_sets", {"num_trees": 9, "max_features": 0.6, "min_samples_leaf": 5}),
    ("boosting_sets", {"num_trees": 9, "library": "scikit-learn", "max_features": 0.5}),
    ("linear", {"penalty": 0.05}),
]


@pytest.mark.slow
@pytest.mark.parametrize("make", [two_classes, three_classes, a_number], ids=lambda m: m.__name__)
@pytest.mark.parametrize("number", range(len(SETTINGS)))
def test_settings_are_replayed(
    number: int, make: Callable[[Path], TabularData], tmp_path: Path
) -> None:
    name, settings = SETTINGS[number]
    model = dt.tabular.fit(make(tmp_path), model=name, settings=settings)
    check(model, model, tmp_path)


# --- leaderboards, runs ---------------------------------------------------------------------------

MEMBERS = ["tree", "linear", "forest", "boosting", "mean_ensemble", "weighted_ensemble"]


@pytest.mark.slow
@pytest.mark.parametrize("make", [two_classes, a_number], ids=lambda make: make.__name__)
def test_averages_of_a_leaderboard_predict_the_same_from_one_script(
    make: Callable[[Path], TabularData], tmp_path: Path
) -> None:
    data = make(tmp_path)
    board = leaderboard(data, models=MEMBERS, settings=SMALL, progress=False)
    board.save(tmp_path / "run")
    for name in board.models:
        check(board[name], board, tmp_path, name=name)
    text = check(
        board["mean_ensemble"], tmp_path / "run", tmp_path, name="mean_ensemble", alone=True
    )
    assert "_WEIGHT = 0.5" in text or "_WEIGHT = 0.333" in text
    assert "    predictions += " in text
    check(board[board.main.name], tmp_path / "run", tmp_path)
    with pytest.raises(
        UnknownNameError, match=r"^Unknown model of this run 'tre'. Did you mean 'tree'"
    ):
        eject_model(tmp_path / "run", tmp_path / "e.py", model="tre")


def test_an_average_with_a_net_is_refused(tmp_path: Path) -> None:
    data = two_classes(tmp_path)
    settings = SMALL | {"net": {"layers": [4], "epochs": 1}}
    board = leaderboard(
        data, models=["tree", "net", "mean_ensemble"], settings=settings, progress=False
    )
    for name in ("net", "mean_ensemble"):
        with pytest.raises(
            EjectError,
            match=r"^A net is trained by a loop, and such a script is written from a run of the net by "
            r"itself: train it \(`--model net`, or `tabular\.learner`\), and eject that\. For an average "
            r"without it, leave 'net' out of `models`\.$",
        ):
            eject_model(board, tmp_path / "e.py", model=name)


def test_an_average_by_itself_does_not_know_its_members(tmp_path: Path) -> None:
    board = leaderboard(
        two_classes(tmp_path), models=["tree", "linear", "mean_ensemble"], progress=False
    )
    with pytest.raises(
        EjectError,
        match=r"^'mean_ensemble' is an average, and what '(tree|linear)' in it was fitted with is not on "
        r"record\. Eject from the leaderboard, or from its run\.$",
    ):
        eject_model(board["mean_ensemble"], tmp_path / "e.py")


def test_a_model_that_was_loaded_is_refused(tmp_path: Path) -> None:
    dt.tabular.fit(two_classes(tmp_path), model="tree").save(tmp_path / "run")
    with pytest.raises(
        EjectError,
        match=r"^This model was loaded, and does not know what it was fitted on\. Eject from its run: "
        r"give the folder\.$",
    ):
        eject_model(dt.tabular.load(tmp_path / "run"), tmp_path / "e.py")


def test_a_table_that_changed_is_refused(tmp_path: Path) -> None:
    dt.tabular.fit(two_classes(tmp_path), model="tree").save(tmp_path / "run")
    write(tmp_path / "t.csv", passengers(200))
    with pytest.raises(
        EjectError, match=r"^The table .*t\.csv is not the one that .*run began with\."
    ):
        eject_model(tmp_path / "run", tmp_path / "e.py")


def test_a_record_without_settings_is_refused(tmp_path: Path) -> None:
    dt.tabular.fit(two_classes(tmp_path), model="tree").save(tmp_path / "run")
    record = store.read_json(tmp_path / "run" / "run.json")
    del record["settings"]["min_samples_leaf"]
    store.write_json(tmp_path / "run" / "run.json", record)
    with pytest.raises(
        EjectError,
        match=r"^What 'tree' was fitted with is not on record as a script needs it \(KeyError: "
        r"'min_samples_leaf'\)\. Fit it anew\.$",
    ):
        eject_model(tmp_path / "run", tmp_path / "e.py")


@pytest.mark.slow
def test_a_record_cannot_write_code_into_the_script(tmp_path: Path) -> None:
    dt.tabular.fit(two_classes(tmp_path), model="tree").save(tmp_path / "run")
    record = store.read_json(tmp_path / "run" / "run.json")
    bad = "1\nraise SystemExit('taken over')  # '\"\"\""
    record["settings"] |= {"min_samples_leaf": bad, "max_depth": bad}
    store.write_json(tmp_path / "run" / "run.json", record)
    text = eject_model(tmp_path / "run", tmp_path / "e.py").read_text("utf-8")
    assert not any(line.lstrip().startswith("raise SystemExit") for line in text.splitlines())


# --- the command ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_command_writes_a_model_and_says_how_it_ends(tmp_path: Path) -> None:
    data = two_classes(tmp_path)
    model = dt.tabular.fit(data, model="extra_trees", settings=SMALL["extra_trees"])
    model.save(tmp_path / "run")
    digest = predictions_sha256(model, data.part("valid")[0])
    script = tmp_path / "e.py"
    words = ["eject", str(tmp_path / "run"), "-o", str(script)]
    said = CliRunner().invoke(program, words)
    assert said.exit_code == 0, said.output
    lines = len(script.read_text("utf-8").splitlines())
    assert said.stdout == (
        f"{script}: {lines} lines, the model 'extra_trees'.\n"
        f"Run it  python {script} --data {tmp_path / 't.csv'} --out OUT\n"
        f"It ends with predictions_sha256 {digest}: what the run's model says of the validation rows.\n"
    )
    answer = json.loads(CliRunner().invoke(program, [*words, "--json"]).stdout)
    assert answer == {
        "script": str(script),
        "beside": None,
        "model": "extra_trees",
        "lines": lines,
        "predictions_sha256": digest,
    }
    refused = CliRunner().invoke(program, [*words, "--level", "loop"])
    assert refused.exit_code == 2
    assert "--level loop is for runs of a net" in refused.stderr


@pytest.mark.slow
def test_the_command_writes_a_net_from_its_run(tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", passengers())
    learner = dt.tabular.learner(table, "lives", layers=[8], progress=False, out=tmp_path / "run")
    learner.train(2)
    script = tmp_path / "e.py"
    said = CliRunner().invoke(
        program, ["eject", str(tmp_path / "run"), "-o", str(script), "--json"]
    )
    assert said.exit_code == 0, said.output
    answer = replay.replayed_here(script, tmp_path / "out", table)
    assert answer["weights_sha256"] == json.loads(said.stdout)["weights_sha256"]
    assert answer["weights_sha256"] == store.weights_sha256(learner.model.state_dict())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tree", "boosting"])
@pytest.mark.parametrize(
    ("table", "target", "options"),
    [
        ("titanic/train.csv", "Survived", {}),
        ("adult/adult.csv", "salary", {}),
        ("bulldozers/train.csv", "SalePrice", {"log_target": True}),
        ("bike_sharing/hour.csv", "cnt", {"drop": ["casual", "registered"]}),
    ],
)
def test_real_tables_are_predicted_the_same(
    name: str, table: str, target: str, options: dict[str, Any], tmp_path: Path
) -> None:
    data = dt.tabular.from_csv(real(table), target, **options)
    model = dt.tabular.fit(data, model=name, settings=SMALL.get(name, {}))
    check(model, model, tmp_path, alone=True)


def test_scripts_do_not_stay_behind(tmp_path: Path) -> None:
    model = dt.tabular.fit(two_classes(tmp_path), model="majority")
    path = eject_model(model, tmp_path / "deep" / "e.py")
    assert path.exists() and [one.name for one in path.parent.iterdir()] == ["e.py"]
    shutil.rmtree(path.parent)
