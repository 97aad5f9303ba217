"""The benchmarks' own arithmetic and report; what they measure is measured by `make bench`."""

from __future__ import annotations

import csv
import importlib
import itertools
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def measure(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("measure")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("run")


def test_variants_take_turns_in_alternating_order_and_the_warm_up_does_not_count(
    measure: ModuleType,
) -> None:
    calls: list[str] = []
    seconds = itertools.count()
    times = measure.take_turns(
        {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")},
        rounds=2,
        warm_up=1,
        clock=lambda: float(next(seconds)),
    )
    assert calls == ["a", "b", "b", "a", "a", "b"]
    assert times == {"a": [1.0, 1.0], "b": [1.0, 1.0]}


def test_ratio_is_the_median_of_the_rounds_ratios(measure: ModuleType) -> None:
    times = {"slow": [2.0, 30.0, 9.0], "fast": [1.0, 10.0, 1.0]}
    assert measure.ratio(times, "slow", "fast") == 3.0  # 2, 3, 9; of the medians it would be 9


@pytest.mark.parametrize(
    ("value", "is_at_least", "is_met"),
    [(1.1, False, True), (1.11, False, False), (2.0, True, True), (1.99, True, False)],
)
def test_a_goal_is_met_up_to_its_limit_itself(
    measure: ModuleType, value: float, is_at_least: bool, is_met: bool
) -> None:
    limit = 2.0 if is_at_least else 1.1
    assert measure.Goal("x", value, limit, is_at_least).is_met() is is_met


def test_a_case_that_cannot_be_measured_ends_with_the_code_that_run_knows(
    measure: ModuleType, run: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        measure.skip("no data folder")
    assert ended.value.code == run.SKIPPED
    assert capsys.readouterr().err == "skipped: no data folder\n"


def test_the_report_keeps_each_case_with_its_own_date(run: ModuleType) -> None:
    text = run.report(
        {"loop": _record("loop", "2026-01-02"), "input": _record("input", "2026-03-04")}
    )
    assert text.index("## Title of loop") < text.index("## Title of input")
    assert "| program | us |\n| --- | ---: |\n| ours | 1.5 |" in text
    assert "- ours / limit: 1.2; goal at most 1.1: **missed**." in text
    assert "Measured 2026-01-02 by `make bench` in 7 s; x86_64, 2 cores;" in text
    assert "Measured 2026-03-04" in text


def test_the_written_report_is_that_of_the_kept_record(run: ModuleType) -> None:
    assert run.REPORT.read_text() == run.report(json.loads(run.RECORD.read_text()))


def test_an_unknown_case_is_answered_with_those_there_are(
    run: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run.parse(["--only", "loop,loops"])
    expected = f"no such case: loops. Cases: {', '.join(run.CASES)}.\n"
    assert capsys.readouterr().err.endswith(expected)


def test_the_machine_is_described_without_its_name(run: ModuleType) -> None:
    import platform

    assert re.search(r"\d+ cores$", run.machine())
    assert platform.node() not in run.machine()


def test_every_case_is_a_script(run: ModuleType) -> None:
    assert [case for case in run.CASES if not (BENCHMARKS / f"{case}.py").is_file()] == []


def test_the_lock_holds_what_is_asked_for() -> None:
    lock = (BENCHMARKS / "requirements.lock").read_text()
    asked = (BENCHMARKS / "requirements.in").read_text().splitlines()
    pinned = [line for line in asked if "==" in line]
    assert "fastai==2.8.12" in pinned
    assert [line for line in pinned if f"\n{line} " not in lock] == []
    assert "file://" not in lock and "--index" not in lock and "find-links" not in lock


def test_both_sides_get_one_split_a_seed_with_a_fifth_of_each_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    finetune = importlib.import_module("finetune")
    for label in ("cat", "dog"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(10):
            (tmp_path / "photos" / label / f"{number}.jpg").write_bytes(b"")

    def rows(seed: int) -> list[dict[str, str]]:
        finetune.write_table(tmp_path / "photos", tmp_path / "items.csv", seed)
        with (tmp_path / "items.csv").open(newline="") as file:
            return list(csv.DictReader(file))

    first = rows(0)
    assert first == rows(0) != rows(1)
    assert len({row["path"] for row in first}) == 20
    valid = [row["label"] for row in first if row["part"] == "valid"]
    assert valid == ["cat", "cat", "dog", "dog"]


def _record(case: str, date: str) -> dict[str, object]:
    goal = {
        "text": "ours / limit",
        "ratio": 1.2,
        "limit": 1.1,
        "is_at_least": False,
        "is_met": False,
    }
    return {
        "case": case,
        "title": f"Title of {case}",
        "columns": ["program", "us"],
        "rows": [["ours", "1.5"]],
        "how": "One thread.",
        "goals": [goal],
        "date": date,
        "command": "make bench",
        "seconds": 7,
        "machine": "x86_64, 2 cores",
        "load_before": 0.1,
        "versions": {"torch": "2.14.1"},
    }
