"""Each kind of model of a table: the same calls, and the same answers from the disk, without pickle."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import drivetrain as dt
from drivetrain.errors import ConfigError, DataError, RunError, UnknownNameError
from drivetrain.tabular.fitting import FITTERS, SHAPES
from drivetrain.tabular.gathering import gather
from drivetrain.tabular.models import TabularModel, fit, load
from tests.tabular.tables import passengers, sales, write

KINDS = [*FITTERS, "net"]


def trained(name: str, source: object, target: object, **options: object) -> TabularModel:
    data = gather(source, target, **options)
    if name != "net":
        return fit(data, model=name, num_threads=1)
    learner = dt.tabular.learner(data, layers=[8], epochs=2, progress=False)
    learner.train()
    return learner.application.model(learner)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(("make", "target"), [(passengers, "lives"), (sales, "takings")])
def test_what_is_loaded_answers_as_what_was_saved(
    name: str, make: object, target: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "t.csv", make())
    model = trained(name, path, target)
    model.save(tmp_path / "run")
    again = load(tmp_path / "run")
    assert again.name == name
    before, after = model.predict(path), again.predict(path)
    assert (before.outputs == after.outputs).all()
    assert before.ids.tolist() == list(range(len(before)))
    if model.target.kind == "class":
        assert before.labels == after.labels
        np.testing.assert_allclose(before.outputs.sum(axis=1), 1, atol=1e-12)
    measured = again.evaluate(path)
    assert measured["items"] == len(before)
    assert any("This is what the model was trained on" in note for note in measured["notes"])


@pytest.mark.parametrize("name", KINDS)
def test_a_row_by_itself_gets_the_answer_it_has_among_others(name: str) -> None:
    columns = passengers()
    model = trained(name, columns, "lives")
    many = model.predict(columns)
    rows = [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]
    for index in (0, 7, 100):
        one = model.predict(rows[index])
        assert one.label == many[index].label
        assert one.probability == pytest.approx(many[index].probability, abs=1e-6)
    assert model.predict(rows[:9]).labels == many.labels[:9]


def test_each_model_beats_the_simplest_where_there_is_something_to_learn() -> None:
    data = gather(passengers(800), "lives")
    accuracy = {
        name: fit(data, model=name, num_threads=1).results["metrics"]["valid"]["accuracy"]
        for name in FITTERS
    }
    assert (
        min(value for name, value in accuracy.items() if name != "majority")
        > accuracy["majority"] + 0.1
    )


def test_the_net_learns_too_and_stays_within_its_range() -> None:
    data = gather(sales(600), "takings", split="random", because="the trend is known")
    learner = dt.tabular.learner(data, layers=[32], epochs=30, lr=1e-2, progress=False)
    learner.train()
    answers = learner.predict(sales(600))
    low, high = learner.application.description["y_range"][0]
    assert low <= answers.values.min() and answers.values.max() <= high
    assert learner.evaluate().metrics["rmse"] < 15 < np.std(sales(600)["takings"])


def test_unseen_levels_and_newly_missing_values_are_answered_and_told() -> None:
    model = trained("forest", passengers(), "lives")
    found = model.predict(
        {"sex": ["other", "male"], "class": [1, None], "age": [30, 30], "port": ["S", "S"]}
    )
    assert len(found) == 2 and np.isfinite(found.outputs).all()
    assert "'sex' has 'other' in 1 row, which training never saw: taken as unknown." in found.notes
    assert "'class' is missing in 1 row, and never was in training: filled as usual." in found.notes


def test_a_table_that_lacks_a_column_is_refused_and_says_which() -> None:
    model = trained("tree", passengers(), "lives")
    for source in ({"sex": "male"}, {"sex": ["male"]}):
        with pytest.raises(
            DataError,
            match=r"^The table lacks 'class', 'age', 'port', which the model needs\. Add the column; a "
            r"value that is not known is left empty\.$",
        ):
            model.predict(source)


def test_a_row_with_an_unknown_column_or_a_word_for_a_number_is_refused() -> None:
    model = trained("tree", passengers(), "lives")
    row = {"sex": "male", "class": 1, "age": 30, "port": None}
    with pytest.raises(
        DataError, match=r"^The model knows no column 'agee'\. Did you mean 'age'\?$"
    ):
        model.predict(row | {"agee": 1})
    with pytest.raises(DataError, match=r"^The column 'age' holds numbers\. Got 'old'\.$"):
        model.predict(row | {"age": "old"})
    assert model.predict(row | {"age": "30"}).label == model.predict(row).label
    assert model.predict(row | {"age": ""}).label in ("yes", "no")


def test_a_date_in_a_row_is_read_as_training_read_it() -> None:
    model = trained("forest", sales(), "takings")
    row = {"rain": "dry", "heat": 12.0}
    by_text = model.predict(row | {"day": "2021-10-20"})
    by_date = model.predict(row | {"day": np.datetime64("2021-10-20")})
    assert by_text.value == by_date.value
    with pytest.raises(DataError, match=r"^The column 'day' holds dates\. Got 'soon'\.$"):
        model.predict(row | {"day": "soon"})


def test_a_code_is_the_same_however_it_is_written() -> None:
    columns = passengers()
    model = trained("tree", columns, "lives", kinds={"class": "category"})
    row = {"sex": "female", "age": 30, "port": "S"}
    answers = [model.predict(row | {"class": written}) for written in (3, 3.0, "3", "3.0")]
    assert len({answer.probability for answer in answers}) == 1


@pytest.mark.row(83)
def test_answers_are_written_with_the_rows_in_their_order(tmp_path: Path) -> None:
    columns = passengers()
    model = trained("forest", columns, "lives")
    answers = model.predict(columns)
    answers.write(
        tmp_path / "out.csv", columns={"number": columns["number"], "lives": answers.labels}
    )
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert lines[0].replace('"', "") == "number,lives"
    assert [line.replace('"', "") for line in lines[1:]] == [
        f"{number},{label}" for number, label in zip(columns["number"], answers.labels, strict=True)
    ]
    answers.write(tmp_path / "out.parquet")
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(tmp_path / "out.parquet")
    assert table.column_names == ["row", "lives", "probability of no", "probability of yes"]
    assert table["lives"].to_pylist() == answers.labels
    with pytest.raises(ConfigError, match=r"^Answers are written as \.csv or \.parquet\. Got "):
        answers.write(tmp_path / "out.xlsx")


def test_a_slip_in_a_name_or_a_setting_is_answered() -> None:
    data = gather(passengers(), "lives")
    with pytest.raises(
        UnknownNameError, match=r"^Unknown model 'forrest'\. Did you mean 'forest'\? "
    ):
        fit(data, model="forrest")
    with pytest.raises(
        ConfigError, match=r"^'forest' has no setting 'trees'\. Did you mean 'num_trees'\? It has: "
    ):
        fit(data, model="forest", settings={"trees": 3})
    with pytest.raises(
        ConfigError, match=r"^There is no option 'vallid'\. Did you mean 'valid'\? "
    ):
        fit(passengers(), "lives", vallid=0.1)
    with pytest.raises(
        ConfigError, match=r"^Which column is to be predicted\? Give `target='COLUMN'`"
    ):
        fit(passengers())
    with pytest.raises(ConfigError, match=r"^valid: the table is read already\. Give it to "):
        fit(data, valid=0.1)


def test_several_targets_are_for_some_models_only() -> None:
    data = gather(sales(), ["takings", "heat"])
    for name in ("majority", "linear"):
        assert fit(data, model=name).predict(sales()).values.shape == (300, 2)
    with pytest.raises(
        ConfigError, match=r"^'forest' predicts one target\. Several are predicted by: "
    ):
        fit(data, model="forest")


def test_a_damaged_model_is_refused_by_name(tmp_path: Path) -> None:
    trained("tree", passengers(), "lives").save(tmp_path / "run")
    path = tmp_path / "run" / "model" / "model.json"
    record = json.loads(path.read_text())
    for name in ("preprocess", "reader", "target", "kind", "record"):
        path.write_text(json.dumps(record | {name: 3}))
        with pytest.raises(
            RunError, match=rf"cannot be used: its '{name}[^']*' is missing, or not what"
        ):
            load(tmp_path / "run")


WITHOUT = """
import json, sys
for name in ("sklearn", "lightgbm", "scipy"):
    sys.modules[name] = None  # importing it raises ImportError
import drivetrain as dt
found = []
for folder in sys.argv[2:]:
    found.append(dt.tabular.load(folder).predict(sys.argv[1]).outputs.tobytes().hex())
print(json.dumps(found))
"""


@pytest.mark.slow
def test_no_library_that_grew_a_model_is_needed_to_predict(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", passengers())
    expected, folders = [], []
    for name in KINDS:
        model = trained(name, path, "lives")
        model.save(tmp_path / name)
        expected.append(model.predict(path).outputs.tobytes().hex())
        folders.append(str(tmp_path / name))
    source = Path(dt.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, str(path), *folders],
        capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": str(source)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == expected


def parity(rows: int = 600) -> dict[str, list[str]]:
    """Levels whose codes say nothing: the odd ones, in the order of the alphabet, are `yes`."""
    draw = np.random.default_rng(0)
    levels = draw.integers(0, 30, rows)
    noise = draw.normal(size=rows)
    labels = ["yes" if level % 2 else "no" for level in levels]
    return {
        "level": [f"k{level:02}" for level in levels],
        "noise": [f"{value:.3f}" for value in noise],
        "mark": labels,
    }


def test_boosting_splits_categories_into_sets_where_it_is_asked_to() -> None:
    data = gather(parity(), "mark")
    sets, codes = fit(data, model="boosting_sets"), fit(data, model="boosting")
    assert sets.settings()["categorical"] == [0] and codes.settings()["categorical"] == []
    assert sets.measured("valid").metrics["log_loss"] < codes.measured("valid").metrics["log_loss"]


def test_boosting_takes_the_first_shape_where_one_setting_of_it_is_given() -> None:
    data = gather(parity(), "mark")
    found = fit(data, model="boosting", settings={"max_features": 0.5}).settings()
    assert (found["num_leaves"], found["max_features"]) == (SHAPES[0][0], 0.5)
    chosen = fit(data, model="boosting").settings()
    assert (chosen["num_leaves"], chosen["max_features"]) in SHAPES


def test_levels_that_were_given_in_an_order_stay_in_it() -> None:
    order = {"level": [f"k{level:02}" for level in range(30)]}
    data = gather(parity(), "mark", levels=order)
    assert fit(data, model="boosting_sets").settings()["categorical"] == []


def test_several_numbers_have_no_share_of_the_variance() -> None:
    """Around the one mean of two columns far apart, each column's mean would explain nearly all."""
    rows = passengers(60)
    rows["far"] = [1000.0 + number % 7 for number in range(60)]
    found = fit(gather(rows, ["age", "far"]), model="majority")
    assert found.evaluate(rows)["metrics"].keys() == {"rmse", "mae"}
