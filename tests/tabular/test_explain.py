"""A fitted model can be asked why, whatever it is made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import drivetrain as dt
from drivetrain.errors import ConfigError, DataError
from drivetrain.tabular.data import TabularData
from drivetrain.tabular.explain import Explainer, explain, explain_run
from drivetrain.tabular.gathering import gather
from drivetrain.tabular.models import fit, load
from drivetrain.train.run import Run
from tests.tabular.tables import passengers, real, sales, write

NAMES = ("tree", "forest", "extra_trees", "boosting", "linear")


@pytest.fixture(scope="module")
def data() -> TabularData:
    return gather(passengers(600), "lives")


@pytest.fixture(scope="module")
def numbers() -> TabularData:
    return gather(sales(400), "takings")


@pytest.fixture(scope="module", params=NAMES)
def asked(request: pytest.FixtureRequest, data: TabularData) -> Explainer:
    return explain(fit(data, model=request.param, num_threads=1))


@pytest.mark.row(93)
def test_the_columns_that_decide_matter_most(asked: Explainer) -> None:
    importance = asked.importance()
    assert importance.columns[0].name == "sex"
    assert importance["class"].mean > importance["port"].mean
    assert importance["sex"].low > 0
    assert abs(importance["port"].mean) < 0.06


@pytest.mark.row(98)
def test_one_column_is_swept(asked: Explainer) -> None:
    found = asked.partial_dependence("sex")
    yes = asked.model.target.classes.index("yes")
    record = found.to_json()
    assert record["name"] == "sex" or "sex" in str(record)
    by_hand = [
        float(asked.predict(asked.frame.with_column("sex", dt_factor(word, asked)))[:, yes].mean())
        for word in found.grid.labels
    ]
    np.testing.assert_allclose(np.asarray(found.mean)[:, yes], by_hand, atol=1e-12)


def dt_factor(word: str, asked: Explainer) -> Any:
    from drivetrain.data.frame import Factor

    return Factor.of([None if word == "missing" else word] * len(asked.frame))


@pytest.mark.row(95)
def test_the_parts_of_an_answer_add_up(asked: Explainer) -> None:
    for row in (0, 5, 50):
        found = asked.waterfall(row)
        total = found.base + sum(part.contribution for part in found.parts)
        assert total == pytest.approx(found.prediction, abs=1e-9)
        assert {part.name for part in found.parts} == set(asked.model.preprocess.columns)
    assert asked.waterfall(0, label="yes").prediction == pytest.approx(
        1 - asked.waterfall(0, label="no").prediction
    )


@pytest.mark.row(95)
@pytest.mark.parametrize("name", NAMES)
def test_the_parts_of_a_number_add_up(name: str, numbers: TabularData) -> None:
    asked = explain(fit(numbers, model=name, num_threads=1))
    found = asked.waterfall(3)
    total = found.base + sum(part.contribution for part in found.parts)
    assert total == pytest.approx(found.prediction, rel=1e-9)
    assert found.prediction == pytest.approx(float(asked.predict(asked.frame)[3]))


def test_a_net_and_an_average_can_be_asked_too(data: TabularData) -> None:
    board = dt.tabular.leaderboard(
        data, models=["tree", "linear", "net", "mean_ensemble"], num_threads=1, progress=False,
        settings={"net": {"layers": [8], "epochs": 3}},
    )  # fmt: skip
    for name in ("net", "mean_ensemble"):
        asked = explain(board[name])
        assert asked.importance().columns
        assert asked.waterfall(1, walks=20).parts
    spread = explain(board["mean_ensemble"]).confidence()
    assert len(spread.to_json()) > 0
    with pytest.raises(
        ConfigError, match=r"^'net' has one voice, so it cannot say how sure it is by "
    ):
        explain(board["net"]).confidence()


@pytest.mark.row(94)
def test_a_forest_says_how_sure_it_is(data: TabularData) -> None:
    found = explain(fit(data, model="forest", num_threads=1)).confidence()
    assert "std of trees" in str(found)


def test_gains_are_of_trees_only(data: TabularData) -> None:
    gains = explain(fit(data, model="forest", num_threads=1)).impurity_importance()
    assert set(gains) == {"sex", "class", "age", "port"}
    assert sum(gains.values()) == pytest.approx(1)
    with pytest.raises(
        ConfigError, match=r"^'linear' has no trees, and so no gain of splits\. Ask "
    ):
        explain(fit(data, model="linear")).impurity_importance()


@pytest.mark.row(97)
def test_a_column_that_stands_twice_is_found() -> None:
    columns = passengers(300) | {
        "years": [None if a is None else 2 * a for a in passengers(300)["age"]]
    }
    asked = explain(fit(gather(columns, "lives"), model="tree"))
    (pair,) = asked.redundant_columns().clusters()
    assert set(pair.names) == {"age", "years"}
    assert {refit.without for refit in asked.without_each().refits} >= {"age", "years"}


@pytest.mark.row(96)
def test_a_column_without_worth_can_go(data: TabularData) -> None:
    found = explain(fit(data, model="tree")).columns_to_drop()
    assert "sex" in found.kept and "port" not in found.kept


@pytest.mark.row(69)
def test_far_values_are_told_and_none_is_dropped() -> None:
    columns = passengers(300)
    columns["age"][4] = 900.0
    asked = explain(fit(gather(columns, "lives", valid=list(range(200, 300))), model="tree"))
    assert 4 in asked.outliers().rows
    assert len(asked.train[0]) == 200
    assert "Nothing was dropped" in str(asked.with_and_without_outliers())


@pytest.mark.row(19)
def test_rows_of_another_kind_are_told_and_which_columns(data: TabularData) -> None:
    asked = explain(fit(data, model="tree"))
    assert not asked.out_of_domain(with_forest=False).is_shifted
    other = passengers(300, seed=9)
    other["age"] = [None if a is None else a + 25 for a in other["age"]]
    moved = asked.out_of_domain(other, with_forest=False)
    assert moved.is_shifted and moved.moved == ("age",)


def test_a_loaded_model_is_asked_about_rows_that_are_given(
    data: TabularData, tmp_path: Path
) -> None:
    fit(data, model="tree").save(tmp_path / "run")
    model = load(tmp_path / "run")
    with pytest.raises(DataError, match=r"^A loaded model has no rows to ask about\. Give some: "):
        explain(model)
    asked = explain(model, passengers(100, seed=4))
    assert asked.importance().num_rows == 100
    with pytest.raises(
        DataError, match=r"^This asks for the rows that the model was trained on, and a "
    ):
        asked.redundant_columns()
    with pytest.raises(DataError, match=r"^There is no row 100: there are 100 rows, from 0\.$"):
        asked.waterfall(100)
    with pytest.raises(ConfigError, match=r"^There is no class 'maybe'\. Known: no, yes\.$"):
        asked.waterfall(0, label="maybe")


def test_a_run_is_asked_about_its_own_validation_rows(tmp_path: Path) -> None:
    path = write(tmp_path / "p.csv", passengers())
    fit(path, "lives", "tree").save(tmp_path / "run")
    recipe = Run.open(tmp_path / "run").read()["data"]
    assert len(explain_run(load(tmp_path / "run"), recipe).frame) == 48
    write(path, passengers(seed=8))
    with pytest.raises(
        DataError, match=r"^The table .*p\.csv is not the one that the model was trained "
    ):
        explain_run(load(tmp_path / "run"), recipe)


@pytest.mark.row(93)
def test_real_passengers() -> None:
    data = gather(real("titanic/train.csv"), "Survived", drop=["Ticket", "Cabin"])
    asked = explain(fit(data, model="forest", num_threads=1))
    assert asked.importance().columns[0].name == "Sex"
    assert max(asked.impurity_importance().items(), key=lambda pair: pair[1])[0] == "Sex"
