"""The sealed test part: nothing of it reaches a model, every look counts, luck is found out."""

from __future__ import annotations

import csv
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, strategies as st
from torch import nn

from drivetrain import store, tabular
from drivetrain.errors import ConfigError, DataError, RunError, StorageError
from drivetrain.metrics import wilson_interval
from drivetrain.train import sealed
from drivetrain.train.learner import Learner
from drivetrain.train.run import Run
from drivetrain.train.sealed import Opened, Seal, TestResult


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def write_csv(path: Path, rows: Sequence[Sequence[Any]], header: Sequence[str] = "abc") -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def noisy(count: int = 120, seed: int = 0) -> list[list[Any]]:
    """Rows of a number, a word and a class that both say a little of."""
    draw = random.Random(seed)
    rows = []
    for _ in range(count):
        a, b = draw.random(), draw.choice("xyz")
        rows.append(
            [f"{a:.4f}", b, "yes" if a + 0.3 * (b == "x") + draw.gauss(0, 0.4) > 0.6 else "no"]
        )
    return rows


# --- counting -------------------------------------------------------------------------------------


def opened_with(correct: int, count: int, fingerprint: str = "f" * 64) -> Opened:
    return Opened(
        {"accuracy": correct / count},
        lambda at: wilson_interval(correct, count, at),
        count,
        fingerprint,
    )


def look(run: Path | None, *, fingerprint: str = "f" * 64, correct: int = 60) -> TestResult:
    seal = Seal(100, fingerprint, "by hand")
    return sealed.look(
        seal, lambda: opened_with(correct, 100, fingerprint), run=run, weights="w" * 64
    )


@pytest.mark.row(66)
def test_looks_are_counted_across_runs_and_each_widens_the_interval(tmp_path: Path) -> None:
    runs = [tmp_path / name for name in ("one", "two", "three")]
    found = [look(run) for run in runs]
    assert [one.look for one in found] == [1, 2, 3]
    for number, one in enumerate(found, 1):
        assert one.interval == wilson_interval(60, 100, 1 - 0.05 / number)
        assert one.next_interval == wilson_interval(60, 100, 1 - 0.05 / (number + 1))
    assert [one.warning is None for one in found] == [True, False, False]
    assert found[2].runs == (str(runs[0].resolve()), str(runs[1].resolve()))
    assert look(runs[0], fingerprint="0" * 64).look == 1, "other items are another matter"


@pytest.mark.row(109)
def test_a_copied_run_does_not_lose_its_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look(tmp_path / "first")
    look(tmp_path / "second")
    shutil.rmtree(tmp_path / "first")  # a run that is thrown away was a look as well
    copy = shutil.copytree(tmp_path / "second", tmp_path / "copy")
    assert look(copy).look == 3
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another machine"))
    assert look(copy).look == 4
    shutil.rmtree(copy)
    assert look(tmp_path / "new").look == 5


@pytest.mark.row(66)
def test_a_look_is_written_down_before_it_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, value: Any) -> None:
        raise StorageError(f"Could not append to {path}: No space left on device.")

    monkeypatch.setattr(store, "append_line", refuse)
    with pytest.raises(StorageError, match="No space left on device"):
        look(tmp_path / "run")


def test_a_look_that_fails_to_measure_is_none(tmp_path: Path) -> None:
    def broken() -> Opened:
        raise DataError("gone")

    with pytest.raises(DataError, match="gone"):
        sealed.look(Seal(1, "f" * 64, ""), broken, run=tmp_path / "run", weights="")
    assert look(tmp_path / "run").look == 1


def test_a_torn_line_is_no_look(tmp_path: Path) -> None:
    look(tmp_path / "run")
    journal = sealed.state_folder() / "looks.jsonl"
    journal.write_bytes(journal.read_bytes()[:-9])
    assert look(tmp_path / "other").look == 1  # the state's line is torn, and the run's not asked
    assert look(tmp_path / "run").look == 3  # here it is: both are known again
    assert look(tmp_path / "other").look == 4


def test_other_items_than_the_sealed_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        sealed.look(
            Seal(100, "f" * 64, "by hand"),
            lambda: opened_with(60, 100, "0" * 64),
            run=tmp_path / "run",
            weights="",
        )
    assert str(error.value) == (
        "The test part is not the one that was sealed: its 100 items (by hand) have changed, gone or "
        "been added to. Put them back; a test of other items is `evaluate`."
    )
    assert look(tmp_path / "run").look == 1


@given(st.lists(st.text(max_size=5), max_size=6), st.randoms(use_true_random=False))
def test_the_fingerprint_knows_no_order_and_every_item(
    items: list[str], draw: random.Random
) -> None:
    mixed = list(items)
    draw.shuffle(mixed)
    assert sealed.fingerprint(mixed) == sealed.fingerprint(items)
    assert sealed.fingerprint([*items, "x"]) != sealed.fingerprint(items)


def test_intervals_of_all_looks_hold_together() -> None:
    """The rule's promise, drawn: 20 models of worth 0.5 each are looked at; none is found elsewhere."""
    generator = torch.Generator().manual_seed(1)
    trials, count, looks = 400, 200, 20
    drawn = (torch.rand(trials, looks, count, generator=generator) < 0.5).sum(dim=2)
    at = [
        wilson_interval(correct, count, sealed.confidence_at(looks)) for correct in range(count + 1)
    ]
    plain = [wilson_interval(correct, count) for correct in range(count + 1)]
    missed, missed_plain = (
        sum(
            any(not low <= 0.5 <= high for low, high in (ends[c] for c in row))
            for row in drawn.tolist()
        )
        / trials
        for ends in (at, plain)
    )
    assert missed < 0.09  # 5%, and three standard errors of 400 trials above it
    assert missed_plain > 0.4


# --- nothing reaches the model --------------------------------------------------------------------


def trained(source: Any, **options: Any) -> Learner:
    learner = tabular.learner(source, "c", epochs=1, progress=False, **options)
    learner.train()
    return learner


def weights(learner: Learner) -> str:
    return store.weights_sha256(learner.model.state_dict())


@pytest.mark.row(66)
def test_sealed_rows_might_as_well_not_be_in_the_file(tmp_path: Path) -> None:
    rows = noisy()
    rows[5][1] = "seen only once"
    whole = write_csv(tmp_path / "whole.csv", rows)
    learner = trained(whole, test=0.25)
    data = learner.application.data  # type: ignore[union-attr]
    out = set(data.sealed.ids.tolist())
    rest = write_csv(tmp_path / "rest.csv", [row for at, row in enumerate(rows) if at not in out])
    alone = trained(rest)
    assert weights(learner) == weights(alone)
    assert learner.evaluate().metrics == alone.evaluate().metrics
    other = alone.application.data  # type: ignore[union-attr]
    assert data.preprocess.to_json() == other.preprocess.to_json()
    assert data.schema.to_json() == other.schema.to_json()
    assert data.counts() == {"train": 72, "valid": 18, "test": 30, "quarantined": 0}
    names = [data.ids[at] for part in ("train", "valid") for at in getattr(data.split, part)]
    assert not set(names) & set(data.split_record()["test"])
    assert learner.loaders.test is None


def test_the_same_seed_seals_the_same_rows_and_time_seals_the_last(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", noisy())
    seals = [tabular.gather(path, "c", test=0.2, seed=seed).seal for seed in (1, 1, 2)]
    assert seals[0] == seals[1] != seals[2]
    days = [
        [f"2020-01-{day:02}", f"{day % 3}.5", "no" if day % 2 else "yes"] for day in range(1, 31)
    ]
    draw = random.Random(3)
    draw.shuffle(days)
    data = tabular.gather(write_csv(tmp_path / "d.csv", days), "c", test=0.2)
    assert data.sealed is not None
    assert sorted(days[at][0] for at in data.sealed.ids) == [f"2020-01-{d}" for d in range(25, 31)]


def test_groups_are_sealed_whole(tmp_path: Path) -> None:
    rows = [
        [f"{at * 0.37 % 1:.3f}", f"g{at % 12}", "yes" if at % 5 > 1 else "no"] for at in range(96)
    ]
    data = tabular.gather(write_csv(tmp_path / "g.csv", rows), "c", test=0.25, groups="b")
    assert data.sealed is not None
    apart = {rows[at][1] for at in data.sealed.ids}
    kept = {rows[at][1] for at in range(96) if at not in set(data.sealed.ids.tolist())}
    assert len(apart) == 3
    assert not apart & kept


def test_a_file_of_its_own_is_the_test_part(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "train.csv", noisy())
    apart = write_csv(tmp_path / "apart.csv", noisy(40, seed=9))
    learner = trained(path, test=apart)
    assert weights(learner) == weights(trained(path))
    found = learner.test()
    wanted = learner.evaluate(str(apart))
    assert (found.items, found.value) == (40, wanted["metrics"]["accuracy"])
    assert list(found.interval or ()) == pytest.approx(wanted["interval"])
    write_csv(apart, noisy(40, seed=10))
    with pytest.raises(DataError, match="The test part is not the one that was sealed"):
        _again(learner, tmp_path / "run")


def _again(learner: Learner, folder: Path) -> TestResult:
    learner.save(folder)
    return tabular.test(folder)


def test_a_run_is_tested_like_its_learner(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", noisy())
    learner = trained(path, test=0.25, out=tmp_path / "run")
    first, second = learner.test(), tabular.test(tmp_path / "run")
    assert (first.look, second.look) == (1, 2)
    assert first.metrics == pytest.approx(second.metrics)
    record = Run.open(tmp_path / "run").read()
    assert record["sealed"]["count"] == record["results"]["items"]["test"] == first.items == 30
    resumed = tabular.resume(tmp_path / "run", progress=False)
    assert resumed.test().metrics == pytest.approx(first.metrics)


def test_every_model_of_a_table_can_be_tested(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", noisy())
    model = tabular.fit(path, "c", "tree", test=0.25)
    model.save(tmp_path / "run")
    found = tabular.test(tmp_path / "run")
    assert (found.items, found.primary, found.look) == (30, "accuracy", 1)


# --- words ----------------------------------------------------------------------------------------


def test_without_a_test_part_one_is_told_how_to_get_one(tmp_path: Path) -> None:
    how = (
        "train with --test 0.2 (a share, drawn before anything is learnt), with --test FILE, or with a "
        "folder test/ beside train/."
    )
    x = torch.linspace(-1, 1, 8).unsqueeze(1)
    learner = Learner(nn.Linear(1, 1), ([(x, x)], [(x, x)]), "mse", progress=False)
    with pytest.raises(ConfigError) as said:
        learner.test()
    assert str(said.value) == f"Nothing was sealed for a test. To have a test part, {how}"
    trained(write_csv(tmp_path / "t.csv", noisy()), out=tmp_path / "run")
    with pytest.raises(RunError) as refused:
        tabular.test(tmp_path / "run")
    assert str(refused.value) == f"{tmp_path / 'run'} has no sealed test part. To have one, {how}"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"test": 1.5},
            "`test` is a share of the rows, between 0 and 1, or a file of its own. Got 1.5.",
        ),
        (
            {"test": 0.2, "valid": [1, 2]},
            "`valid` names the rows that validate, so `test` cannot draw among them. Give the test "
            "rows as a file of their own: test='test.csv'.",
        ),
        (
            {"test": 0.2, "stream": True},
            "A table that is streamed has no rows to draw a test part from. Give it as a file of its "
            "own: test='test.csv'.",
        ),
    ],
)
def test_what_cannot_be_sealed_is_refused(
    tmp_path: Path, options: dict[str, Any], sentence: str
) -> None:
    path = write_csv(tmp_path / "t.csv", noisy())
    with pytest.raises(ConfigError) as error:
        tabular.gather(path, "c", **options)
    assert str(error.value) == sentence


# --- luck -----------------------------------------------------------------------------------------


def tuned_on_coins(
    folder: Path, tries: int, *, rows: int = 50, valid: float = 0.4
) -> tuple[float, TestResult]:
    """The best validation accuracy of nets on coin flips, and 1,000 sealed flips on that net."""
    draw = random.Random(11)

    def flips(count: int) -> list[list[Any]]:
        return [
            [f"{draw.random():.6f}", f"{draw.random():.6f}", draw.choice(["heads", "tails"])]
            for _ in range(count)
        ]

    data = tabular.gather(
        write_csv(folder / "coins.csv", flips(rows)),
        "c",
        test=write_csv(folder / "sealed.csv", flips(1000)),
        valid=valid,
    )
    assert data.counts()["valid"] == round(rows * valid)
    best: tuple[float, Learner] | None = None
    for seed in range(tries):
        settings = {
            "layers": [[4], [16], [32, 16]][seed % 3],
            "lr": [0.003, 0.03, 0.1][seed // 3 % 3],
        }
        learner = tabular.learner(data, seed=seed, epochs=2, progress=False, **settings)
        learner.train()
        value = float(learner.history[-1]["accuracy"])
        if best is None or value > best[0]:
            best = value, learner
    assert best is not None
    return best[0], best[1].test()


def is_luck(best: float, found: TestResult) -> bool:
    low, high = found.interval or (0.0, 0.0)
    return best >= 0.65 and low <= 0.5 <= high and best > high


def test_a_net_tuned_on_coin_flips_is_found_out(tmp_path: Path) -> None:
    best, found = tuned_on_coins(tmp_path, 12)
    assert is_luck(best, found)
    assert (found.look, found.items) == (1, 1000)


@pytest.mark.slow
def test_a_net_tuned_200_times_on_coin_flips_is_found_out(tmp_path: Path) -> None:
    best, found = tuned_on_coins(tmp_path, 200)
    print(f"best of 200 on 20 validation rows: {best:.0%}\n{found}")
    assert best >= 0.75
    assert is_luck(best, found)


def validated_on_50(folder: Path, tries: int) -> tuple[float, TestResult]:
    return tuned_on_coins(folder, tries, rows=100, valid=0.5)


@pytest.mark.row(68)
def test_the_best_of_some_nets_on_50_validation_flips_is_nothing_on_the_sealed(
    tmp_path: Path,
) -> None:
    best, found = validated_on_50(tmp_path, 15)
    low, high = found.interval or (0.0, 0.0)
    assert best >= 0.6
    assert low <= 0.5 <= high < best


@pytest.mark.row(68)
@pytest.mark.slow
def test_the_best_of_200_nets_on_50_validation_flips_is_nothing_on_the_sealed(
    tmp_path: Path,
) -> None:
    best, found = validated_on_50(tmp_path, 200)
    print(f"best of 200 on 50 validation rows: {best:.0%}\n{found}")
    low, high = found.interval or (0.0, 0.0)
    assert best >= 0.6
    assert low <= 0.5 <= high < best
