"""A bundle of a model of tables: what it answers, how it proves itself, and what it refuses."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import drivetrain as dt
from drivetrain import store
from drivetrain.bundle import opening, reading
from drivetrain.errors import BundleError, ConfigError, DataError, NonFiniteError, RunError
from drivetrain.tabular.bundling.exporting import export_model
from drivetrain.tabular.bundling.guarded import GuardedRow, GuardedRows
from tests import fresh
from tests.bundle.small import resign, rewrite
from tests.tabular.bundling.bundles import KINDS, trained
from tests.tabular.tables import passengers, sales, write


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `lives.csv` and `takings.csv`. Not to be changed."""
    folder = tmp_path_factory.mktemp("tables")
    write(folder / "lives.csv", passengers(300))
    write(folder / "takings.csv", sales(300))
    return folder


@pytest.fixture(scope="module")
def forest(tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of a forest that tells classes, as it is by default. Not to be changed."""
    folder = tmp_path_factory.mktemp("bundles") / "lives"
    dt.tabular.export(trained("forest", tables / "lives.csv", "lives"), folder, script=False)
    return folder


@pytest.fixture(scope="module")
def numbers(tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of a forest that predicts a number. Not to be changed."""
    folder = tmp_path_factory.mktemp("bundles") / "takings"
    dt.tabular.export(trained("forest", tables / "takings.csv", "takings"), folder, script=False)
    return folder


@pytest.fixture
def bundle(forest: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    return Path(shutil.copytree(forest, tmp_path / "bundle"))


def refused(function: Any, *args: Any, error: type[Exception] = BundleError, **options: Any) -> str:
    with pytest.raises(error) as caught:
        function(*args, **options)
    return str(caught.value)


# --- what it answers ------------------------------------------------------------------------------


@pytest.mark.row(17)
@pytest.mark.parametrize("target", ["lives", pytest.param("takings", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", KINDS)
def test_a_bundle_answers_bit_for_bit_as_the_model(
    name: str, target: str, tables: Path, tmp_path: Path
) -> None:
    table = tables / f"{target}.csv"
    model = trained(name, table, target)
    found = export_model(model, tmp_path / "b", guard=False, script=False)
    assert (found.largest_difference, found.golden, found.application) == (0, 8, "tabular")
    loaded = dt.tabular.load(tmp_path / "b")
    before, after = model.predict(table), loaded.predict(table)
    assert (before.outputs == after.outputs).all()
    assert before.notes == after.notes
    head, first, *_ = table.read_text().splitlines()
    row = dict(zip(head.split(","), first.split(","), strict=True))
    assert loaded.predict(row).to_json() == model.predict(row).to_json()
    measured = loaded.evaluate(table)
    assert measured == model.evaluate(table)
    assert any("what the model was trained on" in note for note in measured["notes"])


@pytest.mark.parametrize("options", [{"unseen": "mode"}, {"unseen": "error"}, {"scale": "max"}])
def test_the_policies_of_the_preprocessing_travel(
    options: dict[str, Any], tables: Path, tmp_path: Path
) -> None:
    model = trained("linear", tables / "lives.csv", "lives", **options)
    export_model(model, tmp_path / "b", script=False, guard=False)
    row = {"sex": "other", "class": 2, "age": None, "port": "S"}
    loaded = dt.tabular.load(tmp_path / "b")
    if options.get("unseen") == "error":
        said = refused(loaded.predict, row, error=DataError)
        assert said == refused(model.predict, row, error=DataError)
    else:
        assert loaded.predict(row) == model.predict(row)


@pytest.mark.slow
def test_several_numbers_and_a_logarithm(tmp_path: Path) -> None:
    columns = sales(300)
    columns["cost"] = [value / 3 + 1 for value in columns["takings"]]
    several = trained("net", columns, ["takings", "cost"])
    export_model(several, tmp_path / "several", script=False)
    answers = dt.tabular.load(tmp_path / "several").predict(columns)
    assert (answers.values == several.predict(columns).values).all()
    assert answers.low.shape == answers.values.shape == (300, 2)
    record = answers[0].to_json()
    pairs = zip(record["value"], record["interval"], strict=True)
    assert [low < value < high for value, (low, high) in pairs] == [True, True]
    assert {"low of cost", "high of takings"} <= set(answers.columns())

    logged = trained("forest", sales(300), "takings", log_target=True)
    export_model(logged, tmp_path / "logged", script=False)
    answers = dt.tabular.load(tmp_path / "logged").predict(sales(300))
    assert (answers.values == logged.predict(sales(300)).values).all()
    assert (answers.low > 0).all() and (answers.low < answers.values).all()
    above, below = answers.high - answers.values, answers.values - answers.low
    assert (above > below).all(), "of a logarithm, turned back, an interval is wider above"


LEAN = """
import sys
from importlib.machinery import ModuleSpec
class Blocked:  # torch asks for the specification of some, and imports none
    def find_spec(self, name, path=None, target=None):
        return ModuleSpec(name, self) if name.split(".")[0] in BLOCKED else None
    def create_module(self, spec):
        raise ModuleNotFoundError(f"No module named '{spec.name}'", name=spec.name)
    def exec_module(self, module):
        pass
sys.meta_path.insert(0, Blocked())
events = []
sys.addaudithook(lambda event, args: events.append(event) if event.startswith("pickle") else None)
import drivetrain as dt
for folder in sys.argv[2:]:
    print(repr(dt.tabular.load(folder).predict(SOURCE).outputs.tolist()))
    dt.tabular.verify(folder)
assert events == [], events
unwanted = ("drivetrain.train", "drivetrain.optim", "drivetrain.losses", "drivetrain.metrics",
            "drivetrain.tabular.models", "drivetrain.tabular.data", "drivetrain.tabular.gathering",
            "drivetrain.tabular.fitting",
            "drivetrain.trees.grow", "drivetrain.vision")
assert [name for name in unwanted if name in sys.modules] == []
"""
WITHOUT = {
    "sklearn",
    "lightgbm",
    "scipy",
    "pandas",
    "polars",
    "matplotlib",
    "PIL",
    "timm",
    "optuna",
}


@pytest.mark.row(17)
@pytest.mark.parametrize("source", ["rows", pytest.param("a file", marks=pytest.mark.slow)])
def test_predicting_needs_neither_the_training_stack_nor_what_grew_the_trees(
    source: str, tables: Path, forest: Path, numbers: Path, tmp_path: Path
) -> None:
    """Rows as dicts need no pyarrow either."""
    rows = [
        {"sex": "male", "class": 1, "age": 30.5, "port": None},
        {"sex": "x", "class": None, "age": 3, "port": "S"},
    ]
    folders, blocked, given = [forest], WITHOUT | {"pyarrow"}, repr(rows)
    asked: Any = rows
    if source == "a file":
        asked, blocked, given = tables / "lives.csv", WITHOUT, "sys.argv[1]"
        folders.append(tmp_path / "average")
        export_model(trained("average", asked, "lives"), folders[-1], script=False)
    done = fresh.run(
        LEAN.replace("BLOCKED", repr(blocked)).replace("SOURCE", given),
        tables / "lives.csv",
        *folders,
        env=os.environ | {"PYTHONPATH": str(Path(dt.__file__).parents[1])},
    )
    assert done.returncode == 0, done.stderr
    expected = [dt.tabular.load(one).predict(asked).outputs.tolist() for one in folders]
    assert done.stdout.splitlines() == [repr(one) for one in expected]


# --- what travels ---------------------------------------------------------------------------------


def test_the_examples_cover_the_classes_and_are_rows_of_the_table(forest: Path) -> None:
    items = json.loads((forest / "golden.json").read_text())["items"]
    assert [item["label"] for item in items] == ["no", "yes"] * 4
    rows = json.loads((forest / "golden" / "rows.json").read_text())["rows"]
    assert len(rows) == 8
    known = passengers(300)
    table = {
        (sex, float(level), age, port): lives
        for sex, level, age, port, lives in zip(
            *(known[name] for name in ("sex", "class", "age", "port", "lives")), strict=True
        )
    }
    for item, row in zip(items, rows, strict=True):
        assert list(row) == ["sex", "class", "age", "port"]
        assert table[tuple(row.values())] == item["label"]


def test_examples_of_numbers_go_from_the_lowest_to_the_highest(numbers: Path) -> None:
    items = json.loads((numbers / "golden.json").read_text())["items"]
    values = [item["value"][0] for item in items]
    assert values == sorted(values) and len(set(values)) == 8
    assert [set(item) for item in items] == [{"file", "value"}] * 8
    (first, *_) = json.loads((numbers / "golden" / "rows.json").read_text())["rows"]
    day = sales(300)["day"].index(first["day"].removesuffix("T00:00:00"))
    assert first["rain"] == sales(300)["rain"][day] and first["heat"] == sales(300)["heat"][day]
    assert values[0] == sales(300)["takings"][day]


def test_without_examples_no_row_travels_and_the_proof_stands(tables: Path, tmp_path: Path) -> None:
    model = trained("tree", tables / "lives.csv", "lives")
    found = export_model(model, tmp_path / "b", golden=0, script=False)
    assert (found.golden, found.largest_difference) == (0, 0)
    assert not (tmp_path / "b" / "golden").exists()
    tensors = reading.read_tensors(tmp_path / "b" / "golden.safetensors")
    names = ("outputs", "probs", "sets", "domain_score", "in_domain")
    assert set(tensors) == {f"pattern_{name}" for name in names}
    assert len(tensors["pattern_outputs"]) == 13
    card = " ".join((tmp_path / "b" / "README.md").read_text().split())
    assert "No row of the table travels with it." in card


def test_nothing_of_a_cell_travels_but_levels_and_figures(tmp_path: Path) -> None:
    """Ids, names and texts of columns that are not used are in no file; nor is the path of the table."""
    columns = passengers(300)
    columns["name"] = [f"Secret Person {number:03d} of Nowhere" for number in range(300)]
    path = write(tmp_path / "lives.csv", columns)
    export_model(trained("forest", path, "lives"), tmp_path / "b", golden=0, script=False)
    data = b"".join(file.read_bytes() for file in (tmp_path / "b").rglob("*") if file.is_file())
    for secret in (b"Secret", b"P0001", b"P0000", str(tmp_path).encode()):
        assert secret not in data
    manifest = opening.open_manifest(tmp_path / "b")
    assert manifest.training["data"] == "lives.csv"
    reasons = {one["reason"] for one in manifest.preprocessing["reader"]["schema"]["columns"]}
    assert reasons == {"as in the table that it was trained on"}


def test_the_card_says_what_a_stranger_needs(forest: Path, numbers: Path) -> None:
    card = " ".join((forest / "README.md").read_text().split())
    for text in (
        "pipeline_tag: tabular-classification",
        "Says of rows of a table which of 2 classes a row is of: no, yes, from 4 columns. The model is a "
        "random forest of 9 trees, trained with Drivetrain.",
        "| | accuracy | 95% interval |",
        "| guessing: the commonest class, or the mean | 0.",
        "Measured on the 60 validation rows, which it did not learn from (split: stratified).",
        "Table: lives.csv; 240 rows to train, 60 to validate.",
        "$ pip install drivetrain pyarrow",
        "sex: one of 2 words: female, male; class: a number, 1 to 3 in training;",
        "The guard adds means of groups of 5 or more training rows, and counts of validation rows "
        "between bounds, but no row.",
        "**8 validation rows travel with this bundle**, in `golden/rows.json`",
        "Whoever owns the model has not chosen a licence yet",
    ):
        assert text in card, text
    card = " ".join((numbers / "README.md").read_text().split())
    for text in (
        "pipeline_tag: tabular-regression",
        "Says of rows of a table the number `takings`, from 3 columns.",
        "| | rmse | 95% interval |",
        "It looks at dates (day), which move on: rows of later times lie beyond what it has seen.",
        "Trees do not continue a trend",
        "Intervals hold the truth in 90% of rows, and are wider where the parts of the model differ.",
    ):
        assert text in card, text
    config = json.loads((numbers / "config.json").read_text())
    assert config["architectures"] == ["TabularModel"]
    assert config["columns"] == ["day", "rain", "heat"]


def test_the_card_of_a_net_has_the_interval_beside_what_it_is_of(
    tables: Path, tmp_path: Path
) -> None:
    learner = dt.tabular.learner(
        tables / "lives.csv", "lives", layers=[8], epochs=1, progress=False, out=tmp_path / "run"
    )
    learner.train()
    dt.tabular.export(tmp_path / "run", tmp_path / "b")
    results = json.loads((tmp_path / "run" / "run.json").read_text())["results"]
    accuracy, (low, high) = results["metrics"]["valid"]["accuracy"], results["interval"]
    card = (tmp_path / "b" / "README.md").read_text()
    assert "| | accuracy | 95% interval |" in card
    assert f"| **this model** | {accuracy:.3f} | {low:.3f} to {high:.3f} |" in card
    assert "| a random forest | 0." in card  # the baselines are measured by it


# --- the guard ------------------------------------------------------------------------------------


def test_the_guard_judges_each_row_and_all_together(forest: Path, tables: Path) -> None:
    predictor = dt.tabular.load(forest)
    answers = predictor.predict(tables / "lives.csv")
    assert isinstance(answers, GuardedRows) and answers.sets is not None
    assert answers.labels == [answers[i].label for i in range(len(answers))]
    assert answers.sets[np.arange(300), answers.said].all(), "the predicted class is possible"
    np.testing.assert_allclose(answers.outputs.sum(axis=1), 1, atol=1e-12)
    assert answers.shift is not None and not answers.shift.drifted
    assert predictor.shift(tables / "lives.csv") == answers.shift

    usual = {"sex": "male", "class": 2, "age": 30, "port": "S"}
    row = predictor.predict(usual)
    assert isinstance(row, GuardedRow) and row.domain is not None and row.domain.in_domain
    assert list(row.to_json()) == [
        *("input", "label", "probability", "probabilities", "set", "coverage", "domain")
    ]
    strange = predictor.predict({"sex": "other", "class": None, "age": 400, "port": "S"})
    assert strange.domain.outside == ("age",)
    assert strange.domain.unseen == ("sex",)
    assert strange.domain.missing == ("class",)
    assert not strange.domain.in_domain
    assert predictor.predict([usual] * 19).shift is None, "too few to say"
    with pytest.raises(IndexError):
        answers[300]


@pytest.mark.row(19)
def test_a_table_that_has_moved_is_told_by_its_columns(forest: Path) -> None:
    predictor = dt.tabular.load(forest)
    assert not predictor.predict(passengers(300, seed=5)).shift.drifted
    moved = passengers(300, seed=6)
    moved["age"] = [None if age is None else age * 0.5 for age in moved["age"]]
    report = predictor.predict(moved).shift
    assert report.drifted and report.num_moved == 1
    assert report.most_moved[0].feature == "age"
    assert "1 of 4 columns moved, most of all age" in report.text


def test_a_date_beyond_training_is_said_under_its_own_name(numbers: Path) -> None:
    predictor = dt.tabular.load(numbers)
    late = predictor.predict({"day": "2031-05-05", "rain": "dry", "heat": 10})
    assert late.domain.outside == ("day",)
    assert late.interval[0] < late.value < late.interval[1]
    assert predictor.guard.reference is not None
    compared = [column.name for column in predictor.guard.reference.columns]
    assert compared == ["heat", "rain"], "dates move on by themselves"


def test_answers_are_written_with_what_the_guard_says(forest: Path, tmp_path: Path) -> None:
    rows = passengers(30)
    rows["age"][0] = 200.0
    dt.tabular.load(forest).predict(rows).write(tmp_path / "out.csv")
    head, first, *_ = (tmp_path / "out.csv").read_text().splitlines()
    assert head == (
        '"row","lives","probability of no","probability of yes","possible",'
        '"domain score","in domain","new"'
    )
    assert first.endswith(',false,"age outside"')


# --- the proof ------------------------------------------------------------------------------------


def test_every_changed_byte_is_found(bundle: Path) -> None:
    draw = np.random.default_rng(0)
    for path in sorted(file for file in bundle.rglob("*") if file.is_file()):
        data = path.read_bytes()
        for place in draw.integers(0, len(data), 6).tolist():
            path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
            refused(dt.tabular.verify, bundle)
        path.write_bytes(data)
    assert dt.tabular.verify(bundle).largest_difference == 0


@pytest.mark.parametrize("what", ["a leaf", "a threshold", "a fill value", "levels", "the classes"])
def test_a_change_with_hashes_made_right_is_found_by_the_answers(what: str, bundle: Path) -> None:
    manifest = opening.open_manifest(bundle)
    prepared = json.loads(json.dumps(dict(manifest.preprocessing)))
    if what in ("a leaf", "a threshold"):
        tensors = reading.read_tensors(bundle / "model.safetensors")
        if what == "a leaf":
            tensors["value"] = tensors["value"].flip(1)
        else:
            tensors["threshold"] += 0.6
        rewrite(bundle, "model.safetensors", store.tensor_bytes(tensors))
    elif what == "the classes":
        prepared["target"]["classes"].reverse()
        resign(bundle, preprocessing=prepared, classes=("yes", "no"))
    else:
        if what == "levels":
            prepared["preprocess"]["categories"][0]["levels"].reverse()
        else:
            prepared["preprocess"]["numbers"][1]["fill"] = 70.0
        resign(bundle, preprocessing=prepared)
    said = refused(dt.tabular.verify, bundle)
    assert "gives other answers than it was made with: golden outputs differ by" in said


def test_a_bundle_is_the_very_one_by_its_hash(forest: Path) -> None:
    sha256 = opening.sha256_of(forest)
    assert dt.tabular.verify(forest, sha256=sha256).sha256 == sha256
    said = refused(dt.tabular.verify, forest, sha256="0" * 64)
    assert said.startswith(f"{forest} is not the bundle that was asked for: the SHA-256 of its")


def test_two_exports_are_equal_byte_for_byte(tables: Path, tmp_path: Path) -> None:
    model = trained("forest", tables / "lives.csv", "lives")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        export_model(model, tmp_path / name / "x", script=False)
    files = [path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*")]
    assert len(files) >= 9
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


# --- what is refused ------------------------------------------------------------------------------


def edited(bundle: Path, part: str, edit: Any) -> None:
    manifest = opening.open_manifest(bundle)
    value = json.loads(json.dumps(dict(getattr(manifest, part))))
    edit(value)
    resign(bundle, **{part: value})


@pytest.mark.parametrize(
    ("part", "edit", "says"),
    [
        ("architecture", lambda v: v.update(kind="os:system"),
         "has 'os:system' as `kind`, expected one of trees, linear, net, average."),
        ("architecture", lambda v: v.update(record=None),
         "The model's record is not a JSON object."),
        ("architecture", lambda v: v["tensors"].update(value=["float64", [10**9, 10**9]]),
         "has {'value': ['float64', [1000000000, 1000000000]]} as `tensors`, expected types and shapes."),
        ("architecture", lambda v: v["tensors"].update(value=["float64", [2, 2]]),
         "the tensor 'value' is torch.float64 of shape ("),
        ("architecture", lambda v: v.update(code="x"), "has the unknown entry 'code'."),
        ("preprocessing", lambda v: v.update(reader=[]), "has [] as `reader`, expected an object."),
        ("preprocessing", lambda v: v["reader"].update(features=["sex"]),
         "The model of tables prepares other columns of numbers than it reads."),
        ("preprocessing", lambda v: v["reader"].update(features=["sex", "class", "age", "number"]),
         "The model of tables uses the column 'number', of which it does not say how it is read."),
        ("preprocessing", lambda v: v["reader"].update(dates={"age": True}),
         "The model of tables does not say the same of its dates in two places."),
        ("preprocessing", lambda v: v["preprocess"]["categories"][0].update(name="x"),
         "The model of tables prepares other categories than it reads."),
        ("preprocessing", lambda v: v["preprocess"]["categories"][0].update(mode="x"),
         "The model of tables has levels of 'sex' that are not told apart."),
        ("preprocessing", lambda v: v["preprocess"]["numbers"][0].update(std=0.0),
         "This is not the preprocessing of a table: a scale is not above 0."),
        ("preprocessing", lambda v: v["preprocess"].update(more=1),
         "has a `preprocess` that Drivetrain would not write so."),
        ("preprocessing", lambda v: v["target"].update(names=["age"]),
         "The model of tables predicts a column that it is given."),
        ("preprocessing", lambda v: v["target"].update(names=["x" * 1001]),
         "The model of tables predicts what is not named in 1 to 1000 letters."),
        ("preprocessing", lambda v: v["target"].update(is_log=True),
         "The model of tables has classes that do not fit what it predicts."),
        ("preprocessing", lambda v: v["target"].update(classes=["a", "b"]),
         "has other classes than the bundle."),
    ],
)  # fmt: skip
def test_what_a_stranger_wrote_is_refused(part: str, edit: Any, says: str, bundle: Path) -> None:
    edited(bundle, part, edit)
    assert says in refused(dt.tabular.load, bundle)


def test_the_signature_must_be_that_of_the_model(bundle: Path) -> None:
    manifest = opening.open_manifest(bundle)
    resign(bundle, outputs=manifest.inputs)
    said = refused(dt.tabular.load, bundle)
    assert "has a `signature` that is not that of its architecture." in said


def test_a_bundle_of_pictures_is_none_of_tables(bundle: Path) -> None:
    resign(bundle, application="vision")
    assert refused(dt.tabular.load, bundle) == f"{bundle} is not a bundle of tables."
    assert refused(dt.tabular.load, bundle.parent, error=RunError).endswith("it has no model.json.")


def test_answers_that_are_no_probabilities_are_refused(tables: Path, tmp_path: Path) -> None:
    """An average whose weights do not add up to 1 answers with numbers that are none."""
    export_model(trained("average", tables / "lives.csv", "lives"), tmp_path / "b", script=False)
    tensors = reading.read_tensors(tmp_path / "b" / "model.safetensors")
    tensors["weights"] = tensors["weights"] / 2
    rewrite(tmp_path / "b", "model.safetensors", store.tensor_bytes(tensors))
    said = refused(dt.tabular.load, tmp_path / "b")
    assert "answers with numbers that are no probabilities" in said


def test_a_model_that_answers_nan_is_said(tables: Path, tmp_path: Path) -> None:
    export_model(trained("linear", tables / "takings.csv", "takings"), tmp_path / "b", script=False)
    tensors = reading.read_tensors(tmp_path / "b" / "model.safetensors")
    tensors["weights"][:] = 1e308
    rewrite(tmp_path / "b", "model.safetensors", store.tensor_bytes(tensors))
    said = refused(dt.tabular.load, tmp_path / "b", error=NonFiniteError)
    assert said.startswith("The model's answer for row ")
    assert " is NaN or infinite: its weights or its preprocessing are damaged" in said


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda v: v.update(format=2), "has 2 as `format`, expected a whole number from 1 to 1."),
        (lambda v: v.update(sets=None), "judges another kind of answer than the model gives."),
        (lambda v: v.update(intervals=[{}]), "has 1 `intervals`, expected 0."),
        (lambda v: v.update(shift=None), "does not say which columns `shift` compares."),
        (lambda v: v.update(spread_floor=1.0), "has a `spread_floor`, which is for one number."),
        (
            lambda v: v["temperature"].update(value=0),
            "has 0 as `value`, expected a number from 0.01",
        ),
        (lambda v: v.update(more=1), "has the unknown entry 'more'."),
    ],
)
def test_a_guard_of_another_form_is_refused(edit: Any, says: str, bundle: Path) -> None:
    value = json.loads((bundle / "guard.json").read_text())
    edit(value)
    rewrite(bundle, "guard.json", store.json_bytes(value))
    assert says in refused(dt.tabular.load, bundle)


def test_a_guard_of_another_model_is_refused(bundle: Path, numbers: Path, tmp_path: Path) -> None:
    for name in ("guard.json", "guard.safetensors"):
        rewrite(bundle, name, (numbers / name).read_bytes())
    assert "has 1 `intervals`, expected 0." in refused(dt.tabular.load, bundle)
    tensors = reading.read_tensors(bundle / "guard.safetensors")
    tensors["domain.basis"] = torch.eye(len(tensors["domain.basis"]) + 1)[:, :3].contiguous()
    tensors["domain.whitening"] = torch.eye(4)
    tensors["domain.references"] = torch.zeros(2, 4)
    other = Path(shutil.copytree(numbers, tmp_path / "other"))
    rewrite(other, "guard.safetensors", store.tensor_bytes(tensors))
    assert "is of rows in" in refused(dt.tabular.load, other)


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda rows: rows.pop(), "does not hold the 8 rows that golden.json names."),
        (lambda rows: rows[0].pop("sex"), "has no `sex`."),
        (lambda rows: rows[0].update(age="x"), "has 'x' as `age`, expected a number from"),
        (lambda rows: rows[0].update(sex=1), "has 1 as `sex`, expected a text, or null."),
        (lambda rows: rows[0].update(more=1), "has the unknown entry 'more'."),
    ],
)
def test_golden_rows_of_another_form_are_refused(edit: Any, says: str, bundle: Path) -> None:
    value = json.loads((bundle / "golden" / "rows.json").read_text())
    edit(value["rows"])
    rewrite(bundle, "golden/rows.json", store.json_bytes(value))
    assert says in refused(dt.tabular.verify, bundle)


# --- making one -----------------------------------------------------------------------------------


def test_a_run_of_each_kind_becomes_a_bundle(tables: Path, tmp_path: Path) -> None:
    table = tables / "lives.csv"
    trained("forest", table, "lives").save(tmp_path / "forest")
    net = dt.tabular.learner(
        table, "lives", layers=[8], epochs=1, progress=False, out=tmp_path / "net"
    )
    net.train()
    board = dt.tabular.leaderboard(table, "lives", models=["tree", "linear"], progress=False)
    board.save(tmp_path / "board")
    for name in ("forest", "net", "board"):
        found = dt.tabular.export(tmp_path / name, tmp_path / f"{name}-bundle", script=False)
        assert (found.golden, found.largest_difference) == (8, 0)
        of_run, of_bundle = (dt.tabular.load(tmp_path / one) for one in (name, f"{name}-bundle"))
        assert of_run.predict(table).labels == of_bundle.predict(table).labels
        told = opening.open_manifest(tmp_path / f"{name}-bundle").training["results"]
        assert 0.5 < told["baselines"]["majority"]["accuracy"] < 0.7
    net.export(tmp_path / "net-again", script=False)
    assert dt.tabular.load(tmp_path / "net-again").name == "net"


def test_a_run_whose_table_is_another_one_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", passengers())
    trained("tree", path, "lives").save(tmp_path / "run")
    write(path, passengers(seed=9))
    with pytest.raises(RunError) as caught:
        dt.tabular.export(tmp_path / "run", tmp_path / "b")
    assert str(caught.value) == (
        f"The table {path} is not the one that {tmp_path / 'run'} began with. Put it back, or train "
        "anew."
    )
    assert caught.value.__notes__ == ["Without its table it is exported by: --golden 0 --no-guard."]
    path.unlink()
    refused(dt.tabular.export, tmp_path / "run", tmp_path / "b", error=DataError)
    dt.tabular.export(tmp_path / "run", tmp_path / "b", golden=0, guard=False, script=False)
    assert dt.tabular.load(tmp_path / "b").guard is None


def test_what_cannot_be_exported_says_so(tables: Path, tmp_path: Path) -> None:
    model = trained("tree", tables / "lives.csv", "lives")
    model.save(tmp_path / "run")
    loaded = dt.tabular.load(tmp_path / "run")
    assert refused(dt.tabular.export, loaded, tmp_path / "b", error=DataError) == (
        "A model that was loaded has no rows for golden examples and for a guard. Export its run: "
        "`tabular.export(RUN, FOLDER)`, or leave both out: `golden=0, guard=False`."
    )
    dt.tabular.export(loaded, tmp_path / "b", golden=0, guard=False, script=False)
    assert refused(export_model, model, tmp_path / "c", onnx=True, error=ConfigError) == (
        "`tree` is a model of kind trees, and only nets have an ONNX form. Export without --onnx."
    )
    assert refused(export_model, model, tmp_path / "c", golden=1001, error=ConfigError) == (
        "`golden` must be 0 to 1000. Got 1001."
    )
    assert refused(export_model, model, tmp_path, error=ConfigError).endswith(
        "choose another place for the bundle."
    )
    assert refused(export_model, model, tmp_path / "c", coverage=2, error=ConfigError).startswith(
        "`fit_sets` got coverage 2, expected a share"
    )
    assert refused(dt.tabular.load, tmp_path / "b", engine="onnx", error=ConfigError).endswith(
        "holds a model of kind trees, and only nets have an ONNX form. Use --engine torch."
    )
    assert refused(dt.tabular.load, tmp_path / "b", engine="jax", error=ConfigError) == (
        "`engine` must be one of torch, onnx. Got 'jax'."
    )
    assert not (tmp_path / "c").exists()


@pytest.mark.slow
@pytest.mark.parametrize("table", ["lives", "takings", "words alone"])
def test_a_net_through_onnx_answers_as_torch_does(table: str, tables: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    target = "takings" if table == "takings" else "lives"
    source = tables / f"{target}.csv"
    drop = ["class", "age"] if table == "words alone" else []
    model = trained("net", source, target, drop=drop)
    found = export_model(model, tmp_path / "b", onnx=True, script=False)
    assert found.largest_difference == 0
    through = dt.tabular.verify(tmp_path / "b", engine="onnx")
    assert through.engine == "onnx" and through.largest_difference < 1e-4
    manifest = opening.open_manifest(tmp_path / "b")
    names = [port.name for port in manifest.inputs]
    assert names == (["codes"] if table == "words alone" else ["codes", "numbers"])
    by_onnx, by_torch = (
        dt.tabular.load(tmp_path / "b", engine=engine).predict(source)
        for engine in ("onnx", "torch")
    )
    np.testing.assert_allclose(by_onnx.outputs, by_torch.outputs, rtol=1e-4, atol=1e-4)
    bare = tmp_path / "bare"
    export_model(model, bare, script=False)
    assert refused(dt.tabular.load, bare, engine="onnx").endswith(
        "has no model.onnx. Export it with --onnx, or use --engine torch."
    )
