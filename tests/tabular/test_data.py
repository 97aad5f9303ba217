"""A table made ready: set aside, split, and nothing learnt from validation rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import drivetrain as dt
from drivetrain.errors import ConfigError, DataError
from drivetrain.tabular.data import RowIds, TabularData
from drivetrain.tabular.gathering import gather, gather_again
from drivetrain.tabular.preprocess import learn
from tests.tabular.tables import passengers, real, sales, write


def test_a_table_is_read_and_split_and_says_what_was_chosen() -> None:
    data = dt.tabular.from_frame(passengers(), "lives")
    assert data.target.kind == "class" and data.classes == ("no", "yes")
    assert data.counts() == {"train": 192, "valid": 48, "test": 0, "quarantined": 0}
    assert data.reader.features == ("sex", "class", "age", "port")
    assert data.choices["split"].value == "stratified"
    assert "left out: 'number' is an id" in data.choices["columns"].reason
    share = [float((data.part(part)[1] == 1).mean()) for part in ("train", "valid")]
    assert abs(share[0] - share[1]) < 0.02


def test_the_same_table_from_a_file_is_the_same(tmp_path: Path) -> None:
    path = write(tmp_path / "p.csv", passengers())
    from_file, from_memory = gather(path, "lives"), gather(passengers(), "lives")
    assert from_file.split == from_memory.split
    for a, b in zip(from_file.tensors("train"), from_memory.tensors("train"), strict=True):
        assert torch.equal(a, b)


def test_a_recipe_makes_it_again_from_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "s.csv", sales())
    first = gather(path, "takings", valid=0.3, fill="mode", drop=["heat"])
    again = gather_again(first.recipe)
    assert again.fingerprint() == first.fingerprint()
    assert again.preprocess == first.preprocess
    np.testing.assert_array_equal(again.targets, first.targets)


def test_a_frame_in_memory_cannot_be_made_again() -> None:
    with pytest.raises(DataError, match=r"^This run was trained on a data frame, which only the "):
        gather_again(gather(passengers(), "lives").recipe)


@pytest.mark.row(65)
def test_nothing_is_learnt_from_validation_rows() -> None:
    columns = sales()
    first = gather(columns, "takings", split="time")
    spoilt: dict[str, Any] = {name: list(values) for name, values in columns.items()}
    for row in first.frame.ids[first.rows["valid"]]:
        spoilt["heat"][row] = 1e6
        spoilt["rain"][row] = "frogs"
    second = gather(spoilt, "takings", split="time")
    assert second.split == first.split
    assert second.preprocess == first.preprocess
    assert set(first.split.train).isdisjoint(first.split.valid)


@pytest.mark.row(67)
def test_rows_with_dates_are_split_by_time() -> None:
    data = gather(sales(), "takings")
    assert data.split.method == "time" and data.choices["split"].value == "time"
    elapsed = data.frame.numbers("day.elapsed")
    assert elapsed[data.rows["train"]].max() < elapsed[data.rows["valid"]].min()


@pytest.mark.row(67)
def test_another_split_of_rows_with_dates_needs_a_reason_which_is_recorded() -> None:
    with pytest.raises(
        ConfigError, match=r"^The rows have dates \('day'\), and a model is used on "
    ):
        gather(sales(), "takings", split="random")
    data = gather(sales(), "takings", split="random", because="every day stands alone")
    assert data.split.method == "random"
    assert data.choices["split"].reason == "as asked, because every day stands alone"
    assert data.recipe["because"] == "every day stands alone"


@pytest.mark.row(67)
def test_the_rows_that_boosting_looks_at_come_after_those_it_learns_from() -> None:
    data = gather(sales(), "takings")
    assert data.times is not None
    fit_on, look_at = data.inner_split(seed=1)
    times = data.times[data.rows["train"]]
    assert times[fit_on].max() < times[look_at].min()
    assert len(fit_on) + len(look_at) == len(data.rows["train"])


def test_a_date_says_from_when_on_rows_validate() -> None:
    data = gather(sales(), "takings", valid="2021-10-01")
    assert len(data.split.train) == 273  # January to September
    with pytest.raises(
        ConfigError, match=r"^`valid='2021-10-01'` is a date, and the table has no "
    ):
        gather(passengers(), "lives", valid="2021-10-01")
    with pytest.raises(DataError, match=r"^`valid` leaves no row for validation\. "):
        gather(sales(), "takings", valid="2031-01-01")


def test_positions_say_which_rows_validate() -> None:
    data = gather(passengers(), "lives", valid=[0, 5, 7])
    assert data.split.valid == (0, 5, 7) and data.split.method == "given"


def test_groups_stay_together() -> None:
    columns = passengers() | {"family": [f"f{i // 4}" for i in range(240)]}
    data = gather(columns, "lives", groups="family")
    train, valid = ({row // 4 for row in rows} for rows in (data.split.train, data.split.valid))
    assert train.isdisjoint(valid) and data.split.method == "group"
    assert "family" not in data.reader.features


def test_rows_without_a_target_are_set_aside_by_name() -> None:
    columns = passengers()
    columns["lives"][3] = None
    data = gather(columns, "lives")
    assert [(q.id, q.reason) for q in data.quarantined] == [("row 4", "no-target")]
    assert len(data.frame) == 239 and 3 not in data.frame.ids


def test_a_class_that_training_does_not_have_is_set_aside() -> None:
    columns = passengers()
    columns["lives"][5] = "perhaps"
    data = gather(columns, "lives", valid=[5, 6, 7, 8])
    assert data.classes == ("no", "yes")
    assert [(q.id, q.reason) for q in data.quarantined] == [("row 6", "class-not-in-training")]
    assert data.counts()["valid"] == 3


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"lives": ["yes"] * 240}, {}, r"^The target 'lives' has the same value in every row, so "),
        ({"lives": [None] * 240}, {}, r"^The target 'lives' is missing in every row\. "),
        ({}, {"target": "life"}, r"^`target`: there is no column 'life'\."),
        ({}, {"drop": ["sexx"]}, r"^`drop`: there is no column 'sexx'\. Did you mean 'sex'\? "),
        (
            {},
            {"drop": ["sex", "class", "age", "port"]},
            r"^The data frame has no column to predict 'lives' from: ",
        ),
    ],
)
def test_tables_that_cannot_be_learnt_from(
    change: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    target = options.pop("target", "lives")
    with pytest.raises(DataError, match=message):
        gather(passengers() | change, target, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"split": "by luck"},
            r"^`split` must be one of stratified, random, time, group\. Got 'by ",
        ),
        ({"split": "time"}, r"^`split='time'` needs a column of dates, or `time='COLUMN'`\.$"),
        ({"split": "group"}, r"^`split='group'` needs `groups='COLUMN'`\.$"),
        ({"valid": 1.5}, r"^`valid` is the share for validation, between 0 and 1\. Got 1\.5\.$"),
        ({"valid": "soon"}, r"^`valid='soon'` is a date, and the table has no column of dates\. "),
        ({"drop": ["lives"]}, r"^'lives' is the target and is to be dropped: give it once\.$"),
        ({"target_kind": "number"}, r"^The target 'lives' holds words, which are no numbers\.$"),
        ({"target_kind": "word"}, r"^`target_kind` is 'class' or 'number'\. Got 'word'\.$"),
        (
            {"log_target": True},
            r"^The target 'lives' is a class, and `log_target` is for numbers\.$",
        ),
    ],
)
def test_options_that_make_no_sense(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        gather(passengers(), "lives", **options)


def test_whole_numbers_that_are_few_are_classes_unless_asked() -> None:
    columns = passengers()
    assert gather(columns, "class").target.classes == ("1", "2", "3")
    numbers = gather(columns, "class", target_kind="number")
    assert numbers.target.kind == "number" and numbers.targets.dtype == np.float64


def test_several_numbers_are_predicted_together() -> None:
    data = gather(sales(), ["takings", "heat"])
    assert data.targets.shape == (300, 2) and data.target.num_outputs == 2
    with pytest.raises(
        ConfigError, match=r"^Several targets are predicted together as numbers only"
    ):
        gather(passengers(), ["lives", "age"])


def test_a_logarithm_is_learnt_and_turned_back() -> None:
    data = gather(sales(), "takings", log_target=True)
    np.testing.assert_allclose(data.targets, np.log1p(np.array(sales()["takings"])))
    np.testing.assert_allclose(data.target.shown(data.targets), sales()["takings"])


def test_batches_know_their_rows() -> None:
    data = gather(passengers(), "lives")
    loaders = data.loaders(batch_size=50)
    codes, numbers, targets = next(iter(loaders.train))
    assert codes.dtype == torch.int64 and numbers.dtype == torch.float32 and len(targets) == 50
    assert numbers.shape[1] == data.preprocess.num_net_numbers
    names = loaders.train.item_ids(0, 0)  # pyright: ignore[reportAttributeAccessIssue]
    assert len(names) == 50 and all(name.startswith("row ") for name in names)


def test_names_of_rows_are_counted_from_one() -> None:
    ids = RowIds(np.array([0, 4, 9]))
    assert (ids[1], ids[:2], len(ids), list(ids)) == (
        "row 5", ["row 1", "row 5"], 3, ["row 1", "row 5", "row 10"],
    )  # fmt: skip


@pytest.mark.row(67)
def test_real_bulldozers_are_split_at_a_day() -> None:
    data = gather(real("bulldozers/train.csv"), "SalePrice", log_target=True)
    assert data.split.method == "time"
    days = data.frame.numbers("saledate.elapsed")
    assert days[data.rows["train"]].max() < days[data.rows["valid"]].min()


def of_titanic(**options: Any) -> TabularData:
    return gather(real("titanic/train.csv"), "Survived", **options)


@pytest.mark.row(74)
def test_real_passengers_fills() -> None:
    data = of_titanic(fill="mode", kinds={"Pclass": "category"}, drop=["Ticket", "Cabin"], rare=1)
    # of the whole table they are 24, 8.05 and S, as printed; what is used is of the training rows alone
    whole = learn(data.frame, fill="mode")
    by_name = {column.name: column for column in whole.numbers}
    assert by_name["Age"].fill == 24 and by_name["Fare"].fill == 8.05
    assert {column.name: column.mode for column in whole.categories}["Embarked"] == "S"
    fares, counts = np.unique(data.frame.numbers("Fare")[data.rows["train"]], return_counts=True)
    used = {column.name: column.fill for column in data.preprocess.numbers}
    assert used["Fare"] == fares[counts.argmax()]
