"""interpret/slices.py: planted weaknesses are found, and chance is not taken for one."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from drivetrain.data.frame import Factor, Frame
from drivetrain.errors import ConfigError, DataError, ShapeError
from drivetrain.interpret import confusion, slices, thresholds
from tests.interpret.records import of_classes, of_scores


def facts_of(items: int, *, seed: int = 0) -> Frame:
    generator = np.random.default_rng(seed)
    shops = np.array(["north", "south", "east", "west"])
    ages = generator.uniform(15, 80, items)
    ages[:: items // 40] = np.nan
    return Frame({"age": ages, "shop": Factor.of(shops[generator.integers(0, 4, items)].tolist())})


def wrong_with(chance: np.ndarray, *, seed: int = 1) -> np.ndarray:
    return (np.random.default_rng(seed).random(len(chance)) < chance).astype(np.int64)


def test_a_planted_weakness_of_two_columns_is_found_and_nothing_else() -> None:
    facts = facts_of(4000)
    shop, age = facts["shop"], facts["age"]
    assert isinstance(shop, Factor) and isinstance(age, np.ndarray)
    north = shop.codes == shop.levels.index("north")
    weak = north & (age > 67)
    preds = wrong_with(np.where(weak, 0.5, 0.08))
    found = slices(of_classes(np.zeros(4000, dtype=np.int64), preds, 2), facts)
    names = [one.name for one in found.found]
    both = [one for one in found.found if " and " in one.name]
    assert len(both) == 1 and "shop = north" in both[0].name and "age: 6" in both[0].name
    assert both[0].error == pytest.approx(preds[weak].mean(), abs=0.05)
    assert both[0].low < both[0].error < both[0].high
    assert set(names) <= {"shop = north", both[0].name, both[0].name.split(" and ")[0],
                          both[0].name.split(" and ")[1]}  # fmt: skip
    assert str(found).startswith("4,000 items, error rate ")
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["tried"] == found.tried


def test_of_a_model_that_is_equally_weak_everywhere_no_slice_is_named_too_often() -> None:
    facts = facts_of(1000)
    named = 0
    for seed in range(100):
        preds = wrong_with(np.full(1000, 0.2), seed=seed)
        named += bool(slices(of_classes(np.zeros(1000, dtype=np.int64), preds, 2), facts).found)
    assert named <= 11  # 5 of 100 are allowed; more than 11 by chance once in a hundred times


def test_numbers_have_their_distance_as_error() -> None:
    facts = facts_of(1000)
    shop = facts["shop"]
    assert isinstance(shop, Factor)
    south = shop.codes == shop.levels.index("south")
    noise = np.random.default_rng(3).normal(size=1000) * np.where(south, 3.0, 1.0)
    found = slices(of_scores(torch.from_numpy(noise), torch.zeros(1000).double()), facts)
    assert found.measure == "mean absolute error"
    assert found.found[0].name == "shop = south"
    assert found.found[0].error == pytest.approx(np.abs(noise[south]).mean())
    assert found.found[0].rest == pytest.approx(np.abs(noise[~south]).mean())
    assert found.found[0].excess == pytest.approx(
        south.sum() * (found.found[0].error - found.found[0].rest)
    )


def test_missing_dates_constants_and_small_slices() -> None:
    days = np.arange("2026-01-01", "2026-04-11", dtype="datetime64[D]").astype("datetime64[us]")
    days[:30] = np.datetime64("NaT")
    facts = {
        "day": days,
        "same": np.ones(100),
        "none": np.full(100, np.nan),
        "id": np.arange(100.0),
    }
    preds = np.zeros(100, dtype=np.int64)
    preds[:30] = 1
    found = slices(of_classes(np.zeros(100, dtype=np.int64), preds, 2), facts)
    assert found.found[0].name in ("day missing", "id: 0 to below 20")
    assert {one.name for one in found.found} >= {"day missing"}
    assert all("same" not in one.name and "none" not in one.name for one in found.found)
    nothing = slices(of_classes(np.zeros(100, dtype=np.int64), preds, 2), facts, least=60)
    assert (nothing.tried, str(nothing)) == (
        0,
        "100 items, error rate 0.3000; 0 slices looked at: none does worse than the rest beyond chance.",
    )


def test_what_does_not_fit_is_refused() -> None:
    record = of_classes(np.zeros(3, dtype=np.int64), np.zeros(3, dtype=np.int64), 2)
    with pytest.raises(ShapeError, match=r"^`slices` got 2 values of 'age' for 3 items\.$"):
        slices(record, {"age": np.zeros(2)})
    with pytest.raises(
        ConfigError, match=r"^`slices` got level=5, expected a probability such as 0\.05\.$"
    ):
        slices(record, {}, level=5)
    with pytest.raises(
        ConfigError, match=r"^`slices` got least=1: a slice needs two items or more\.$"
    ):
        slices(record, {}, least=1)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_of_errors_without_any_reason_something_is_named_five_times_in_a_hundred_at_most(
    rate: float,
) -> None:
    """Slices two at once are picked by the errors: the p-values have to know of all there are."""
    named = 0
    for seed in range(60):
        generator = np.random.default_rng(seed)
        facts = {
            **{name: generator.normal(size=500) for name in "xyz"},
            "kind": Factor.of([f"k{i}" for i in generator.integers(0, 12, 500)]),
            "rare": Factor.of([f"k{i}" for i in generator.geometric(0.15, 500)]),
        }
        preds = wrong_with(np.full(500, rate), seed=seed)
        named += bool(slices(of_classes(np.zeros(500, dtype=np.int64), preds, 2), facts).found)
    assert named <= 8  # 3 of 60 are allowed; more than 8 by chance three times in a thousand


def test_all_pairs_of_slices_are_counted_though_few_are_looked_at() -> None:
    generator = np.random.default_rng(0)
    codes = {name: generator.integers(0, 4, 400) for name in "abc"}
    facts = {name: Factor.of([f"{i}" for i in column]) for name, column in codes.items()}
    pairs = sum(
        20 <= int(((codes[one] == i) & (codes[other] == j)).sum()) <= 380
        for one, other in (("a", "b"), ("a", "c"), ("b", "c"))
        for i in range(4)
        for j in range(4)
    )
    preds = wrong_with(np.full(400, 0.3))
    found = slices(of_classes(np.zeros(400, dtype=np.int64), preds, 2), facts)
    assert found.tried == 12 + pairs


def test_a_model_whose_outputs_are_no_numbers_is_not_said_to_be_equally_good_everywhere() -> None:
    facts = {"x": np.arange(60.0)}
    outputs = torch.zeros(60).double()
    outputs[7] = float("nan")
    with pytest.raises(
        DataError,
        match=r"^`slices` got an output for 'item 7' that is NaN or infinite: the model is broken\.$",
    ):
        slices(of_scores(outputs, torch.zeros(60).double()), facts)
    for made, who in ((slices, "slices"), (lambda r, _: confusion(r), "confusion"),
                      (lambda r, _: thresholds(r), "thresholds")):  # fmt: skip
        scores = torch.zeros(60, 2).double()
        scores[7, 1] = float("nan")
        record = of_scores(scores, torch.arange(60) % 2, classes=("a", "b"))
        with pytest.raises(
            DataError,
            match=rf"^`{who}` got scores of 'item 7' that are NaN or infinite: the model is broken\.$",
        ):
            made(record, facts)


def test_a_column_of_outputs_is_not_paired_with_all_targets() -> None:
    targets = torch.arange(60).double()
    found = slices(of_scores(targets[:, None] + 1, targets), {"x": np.arange(60.0)})
    assert (found.error, found.found) == (1.0, ())
