"""tabular/checking.py: tables with planted faults, through the whole gate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drivetrain.data.frame import Factor, Frame
from drivetrain.tabular.checking import check, check_quickly, running_numbers
from drivetrain.tabular.gathering import gather
from tests.tabular.tables import passengers, sales, write


def keys(found: Any) -> list[str]:
    return [one.key for one in found.found]


def test_a_sound_table_passes(tmp_path: Path) -> None:
    found = check(write(tmp_path / "people.csv", passengers(400)), "lives")
    assert found.is_clear and not [one for one in found.found if one.level == "critical"]
    assert "not 'number', which count rows" in found.looked[0]


def test_copied_rows_are_found_whatever_their_spelling_and_number(tmp_path: Path) -> None:
    columns = passengers(300) | {"weight": np.random.default_rng(0).normal(70, 9, 300).tolist()}
    for name, cells in columns.items():
        for at in range(40):
            cell = cells[at]
            cells.append(
                f"X{at}" if name == "number" else f" {cell} " if cell is not None else None
            )
    found = check(write(tmp_path / "people.csv", columns), "lives")
    across = next(one for one in found.found if one.key == "duplicates-across")
    within = [one for one in found.found if one.name == "duplicates-within"]
    assert across.level == "critical" and across.items[0].startswith("row ")
    assert across.count + sum(one.count for one in within) == pytest.approx(40, abs=6)
    assert across.worth is not None and across.worth.model == "small boosted trees"


def test_rows_that_are_equal_by_chance_are_no_copies(tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    columns = {name: draw.integers(0, 4, 400).tolist() for name in ("a", "b", "lives")}
    found = check(write(tmp_path / "few.csv", columns), "lives", target_kind="class")
    assert not [key for key in keys(found) if key.startswith("duplicates")]
    assert "are equal as chance would have it." in found.looked[0]
    assert "label-conflict" in keys(found), "and no model can be right on all of them"


def test_a_column_that_tells_the_target_is_worth_what_dropping_it_takes_away(
    tmp_path: Path,
) -> None:
    columns = passengers(400)
    columns["life boat"] = [
        8 + n % 5 if yes == "yes" else n % 5 for n, yes in enumerate(columns["lives"])
    ]
    table = write(tmp_path / "people.csv", columns)
    found = check(table, "lives")
    proxy = found.found[0]
    assert (proxy.key, proxy.level) == ("target-proxy:life boat", "critical")
    assert proxy.fix.endswith("--drop 'life boat'.")  # to be typed as it stands
    assert proxy.worth is not None and proxy.worth.with_it == 1 and proxy.worth.is_clear
    assert check(table, "lives", drop=["life boat"]).is_clear
    assert found.accepted({"target-proxy:life boat": "known when the ship left"}).is_clear


def test_somebody_on_both_sides_is_found_in_a_column_that_no_model_sees(tmp_path: Path) -> None:
    draw = np.random.default_rng(2)
    who = np.repeat(np.arange(160), 5)
    columns = {
        "patient": [f"p{one:03d}" for one in who],
        "pulse": (np.repeat(draw.normal(70, 20, 160), 5) + draw.normal(0, 0.1, 800)).tolist(),
        "ill": np.repeat(draw.choice(["yes", "no"], 160), 5).tolist(),
    }
    table = write(tmp_path / "visits.csv", columns)
    found = check(table, "ill", kinds={"patient": "id"})
    overlap = next(one for one in found.found if one.name == "entity-overlap")
    assert overlap.level == "critical" and overlap.worth is not None and overlap.worth.is_clear
    grouped = check(table, "ill", groups="patient")
    assert "entity-overlap" not in [one.name for one in grouped.found]


def test_dates_split_at_random_are_told_of_with_the_reason_that_was_given(tmp_path: Path) -> None:
    table = write(tmp_path / "shop.csv", sales(300))
    assert "time-order" not in keys(check(table, "takings"))
    found = check(table, "takings", split="random", because="days are alike")
    told = next(one for one in found.found if one.key == "time-order")
    assert told.level == "critical" and told.because == "days are alike" and not told.is_open
    assert told.worth is not None and told.worth.metric == "mean absolute error"


def test_columns_that_count_rows_are_codes_and_no_names() -> None:
    frame = Frame(
        {
            "number": np.arange(4.0),
            "code": Factor.of(["a1", "a2", "a3", "a4"]),
            "name": Factor.of(["Ann Lee", "Bo Li", "Cy Lo", "Di Lu"]),
            "price": np.array([0.5, 1.5, 2.5, 3.5]),
            "again": Factor.of(["x", "x", "y", "z"]),
            "gap": np.array([1, 2, 3, np.nan]),
        }
    )
    assert running_numbers(frame) == ["number", "code"]
    assert running_numbers(frame, ["code"]) == ["number"]


def test_what_is_read_already_is_checked_by_what_a_model_sees(tmp_path: Path) -> None:
    data = gather(write(tmp_path / "people.csv", passengers(300)), "lives")
    found = check_quickly(data)
    assert found.is_clear
    assert found.left_out == ("what columns that no model sees tell, and what a leak is worth.",)
    columns = passengers(300)
    columns["boat"] = [7 if lives == "yes" else 3 for lives in columns["lives"]]
    found = check_quickly(gather(write(tmp_path / "leaky.csv", columns), "lives"))
    assert [one.key for one in found.open] == ["target-proxy:boat"]
    assert found.open[0].what == "'boat' tells 'lives' almost by itself (AUC 1.000)."


def test_several_targets_are_checked_but_not_for_what_tells_them(tmp_path: Path) -> None:
    draw = np.random.default_rng(3)
    columns = {name: draw.normal(size=200).round(3).tolist() for name in ("a", "b", "x", "y")}
    found = check(write(tmp_path / "two.csv", columns), ["x", "y"])
    assert found.is_clear
    assert found.left_out == ("columns that tell the target: there are several targets.",)


def test_rows_that_only_a_name_tells_apart_are_read_again(tmp_path: Path) -> None:
    draw = np.random.default_rng(4)
    columns = {
        "name": [f"Ann {at}" for at in range(300)],
        "weight": draw.normal(70, 9, 300).tolist(),
        "height": draw.normal(170, 9, 300).tolist(),
        "lives": draw.choice(["yes", "no"], 300).tolist(),
    }
    for at in range(60):  # twins: the same to the last digit, and with the same end
        for name in ("weight", "height", "lives"):
            columns[name][240 + at] = columns[name][at]
    twins = gather(write(tmp_path / "twins.csv", columns), "lives", kinds={"name": "id"})
    found = check_quickly(twins)
    assert found.is_clear
    columns["name"][240:] = columns["name"][:60]
    copies = gather(write(tmp_path / "copies.csv", columns), "lives", kinds={"name": "id"})
    assert [one.key for one in check_quickly(copies).open] == ["duplicates-across"]
    in_memory = gather({**columns}, "lives", kinds={"name": "id"})
    found = check_quickly(in_memory)
    assert found.is_clear, "what cannot be read again is only a warning"
    assert "duplicates-across" in keys(found)


def test_an_order_that_a_split_by_time_has_heeded_is_a_note(tmp_path: Path) -> None:
    table = write(tmp_path / "shop.csv", {"number": list(range(300)), **sales(300)})
    said = {
        how: next(one for one in found.found if one.name == "order-tells")
        for how, found in (
            ("time", check(table, "takings")),
            ("random", check(table, "takings", split="random", because="days are alike")),
        )
    }
    assert said["time"].level == "note"
    assert said["time"].fix == "nothing: it is split by time."
    assert said["random"].level != "note"
    assert said["random"].fix == "split by time or by group, as the rows came about."


def test_who_is_dropped_is_in_the_rows_all_the_same(tmp_path: Path) -> None:
    draw = np.random.default_rng(5)
    who = np.repeat(np.arange(160), 5)
    columns = {
        "patient": [f"p{one:03d}" for one in who],
        "pulse": (np.repeat(draw.normal(70, 20, 160), 5) + draw.normal(0, 0.1, 800)).tolist(),
        "ill": np.repeat(draw.choice(["yes", "no"], 160), 5).tolist(),
    }
    found = check(write(tmp_path / "visits.csv", columns), "ill", drop=["patient"])
    assert "entity-overlap:patient" in keys(found)


def test_rows_that_only_a_model_takes_for_equal_are_in_no_conflict(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    columns = {
        "name": [f"P {number}" for number in range(300)],  # free text: no model sees it
        "age": draw.integers(1, 12, 300).tolist(),
        "sex": draw.choice(["f", "m"], 300).tolist(),
        "port": draw.choice(list("ABCDEFGH"), 300).tolist(),
        "lives": draw.choice(["yes", "no"], 300).tolist(),
    }
    path = write(tmp_path / "people.csv", columns)
    assert "name" not in gather(path, "lives").frame
    assert [one.key for one in check(path, "lives").found] == []
    assert [one.key for one in check_quickly(gather(path, "lives")).found] == []


def kinds_of_flower(count: int = 400) -> dict[str, list[Any]]:
    """Three kinds, of which two measurements that go together tell nearly all, and a third little."""
    draw = np.random.default_rng(11)
    kind = np.sort(draw.integers(0, 3, count))
    size = kind + draw.normal(0, 0.38, count)
    return {
        "long": (size + draw.normal(0, 0.05, count)).round(2).tolist(),
        "wide": (size + draw.normal(0, 0.05, count)).round(2).tolist(),
        "high": (kind + draw.normal(0, 2, count)).round(2).tolist(),
        "kind": [f"k{one}" for one in kind],
    }


def test_a_measurement_that_others_stand_beside_stops_nothing(tmp_path: Path) -> None:
    flowers = kinds_of_flower()
    table = write(tmp_path / "flowers.csv", flowers)
    found = check(table, "kind")
    proxies = {one.subject: one.level for one in found.found if one.name == "target-proxy"}
    assert proxies == {"long": "warning", "wide": "warning"} and found.is_clear
    quick = check_quickly(gather(table, "kind"))
    assert {one.level for one in quick.found if one.name == "target-proxy"} == {"warning"}
    del flowers["wide"]
    alone = check(write(tmp_path / "alone.csv", flowers), "kind")
    assert [one.key for one in alone.open] == ["target-proxy:long"], "no other can stand in for it"


def test_rows_that_were_sorted_by_the_target_are_a_note(tmp_path: Path) -> None:
    flowers = kinds_of_flower()
    for name, columns in (
        ("rows", flowers),
        ("ids", {"number": list(range(1000, 1400)), **flowers}),
    ):
        found = check(write(tmp_path / f"{name}.csv", columns), "kind")
        (told,) = [one for one in found.found if one.name == "order-tells"]
        assert told.level == "note"
        assert told.fix == "nothing, where they were only sorted: a model does not see the order."
        assert told.what.endswith("): they are sorted by it.")
    kinds = flowers["kind"]
    kinds[0], kinds[-1] = kinds[-1], kinds[0]  # in blocks, and not sorted
    found = check(write(tmp_path / "blocks.csv", flowers), "kind")
    assert [one.level for one in found.found if one.name == "order-tells"] == ["critical"]
