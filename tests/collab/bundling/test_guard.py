"""The guard of ratings keeps what it promises, sees what changed, and stays silent where nothing did."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, strategies as st
from tools.attack_corpus import Place

import drivetrain as dt
from drivetrain import store
from drivetrain.bundle import manifest as manifests
from drivetrain.cli import program
from drivetrain.collab import bundle
from drivetrain.collab.bundling import exporting
from drivetrain.collab.bundling.guard import (
    LEAST_FOR_SHIFT,
    RatingGuard,
    TrainingCounts,
    effective_number,
    fit_rating_guard,
)  # fmt: skip
from drivetrain.collab.bundling.judging import FEW_RATINGS, UNKNOWN, WELL_KNOWN, pair_kinds
from drivetrain.data.ratings import RatingTable
from drivetrain.errors import BundleError, ConfigError
from tests.collab.bundling.bundles import asked, pairs, trained, written
from tests.collab.made import planted
from tests.conftest import SharedData

AGAIN = "Take it anew from where it came from."
USERS, ITEMS = 301, 81
NOISE = (0.3, 0.5, 0.9)
"""Of ratings of pairs that are well known, of few ratings, unknown."""


def taste(users: np.ndarray, items: np.ndarray) -> np.ndarray:
    """What a perfect model of the made source predicts; of the unknown the middle."""
    found = 3 + np.sin(users * 1.7) * np.cos(items * 0.9) * (users > 0)
    return found.astype(np.float32)


class Source:
    """People who rate items: the busier, the more; items the more popular, the more."""

    def __init__(self, seed: int) -> None:
        self.draw = np.random.default_rng(seed)
        busy = 1 / np.sqrt(np.arange(1, USERS))
        self.user_share = np.concatenate([[0], busy / busy.sum()])
        popular = 1 / np.arange(1, ITEMS) ** 0.7
        self.item_share = np.concatenate([[0], popular / popular.sum()])

    def rated(self, count: int, known: np.ndarray | None = None) -> RatingTable:
        """Ratings of single pairs; noisier the less training knew, by `known` ratings of users."""
        users = self.draw.choice(USERS, count, p=self.user_share)
        return self._table(users, known)

    def by_people(self, people: int, each: int) -> RatingTable:
        """Ratings of some people, so many of each."""
        users = np.repeat(self.draw.choice(np.arange(1, USERS), people), each)
        return self._table(users, None)

    def _table(self, users: np.ndarray, known: np.ndarray | None) -> RatingTable:
        items = self.draw.choice(ITEMS, len(users), p=self.item_share)
        noise = np.full(len(users), NOISE[0])
        if known is not None:
            some = self.draw.random(len(users)) < 0.2
            users = np.where(some, 0, users)
            noise = np.array(NOISE)[pair_kinds(known[users], np.full(len(users), 99), 5)]
        ratings = taste(users, items) + self.draw.normal(0, noise)
        columns = (users.astype(np.int32), items.astype(np.int32), ratings.astype(np.float32))
        return RatingTable(*columns, None, USERS, ITEMS)


def fitted(valid: RatingTable, train: RatingTable, **options: Any) -> RatingGuard:
    """A guard of the perfect model."""
    item_mean = np.full(ITEMS, 3, np.float32)
    usual: dict[str, Any] = {"of_ratings": True, "item_mean": item_mean}
    found = fit_rating_guard(taste, train, valid, **(usual | options))
    assert found is not None
    return found


# --- pairs ----------------------------------------------------------------------------------------


def test_intervals_hold_what_they_promise_for_each_kind_of_pairs() -> None:
    source = Source(1)
    train = source.rated(6000)
    train = train.take(train.users % 3 > 0)  # of a third of the people there are few
    train = train.take((train.users % 4 > 0) | (np.arange(len(train)) % 16 == 0))
    known = np.bincount(train.users, minlength=USERS)
    guard = fitted(source.rated(6000, known), train)
    new = source.rated(40_000, known)
    judged = guard.judge(new.users, new.items, taste(new.users, new.items), taste)
    assert judged.interval is not None
    low, high = judged.interval.T
    inside = (low <= new.ratings) & (new.ratings <= high)
    kinds = pair_kinds(judged.user_ratings, judged.item_ratings, guard.few)
    for kind in (WELL_KNOWN, FEW_RATINGS, UNKNOWN):
        own = kinds == kind
        assert own.sum() > 500 and 0.87 < inside[own].mean() < 0.94, kind
    assert guard.half_widths == sorted(guard.half_widths)
    assert (low >= guard.lowest).all() and (high <= guard.highest).all()
    assert 1 - judged.in_domain.mean() == pytest.approx(guard.false_alarm, abs=0.02)
    assert (kinds == UNKNOWN).mean() == pytest.approx(guard.usual_unknown, abs=0.02)


def test_where_too_few_pairs_are_of_a_kind_the_interval_is_the_whole_scale() -> None:
    source = Source(2)
    guard = fitted(source.rated(500), source.rated(6000))
    nobody = np.zeros(1, np.int32)
    judged = guard.judge(nobody, nobody + 3, np.array([4.9], np.float32), taste)
    assert judged.interval is not None
    assert judged.interval.tolist() == [[guard.lowest, guard.highest]]
    told = guard.to_json()["intervals"][UNKNOWN]
    assert told == {"coverage": 0.9, "half_width": None, "num_items": 0}


def test_of_somebody_with_few_ratings_it_is_said_what_a_mean_user_gets(tmp_path: Path) -> None:
    columns = planted().columns
    of_new = {"user": ["new"], "item": ["i004"], "rating": [3.0], "time": [1]}
    columns = {name: [*cells, *of_new[name]] for name, cells in columns.items()}
    learner = dt.collab.learner(
        columns, num_factors=3, batch_size=64, y_range=(-6, 9), progress=False
    )
    learner.fit_one_cycle(3, 1e-2)
    learner.export(tmp_path / "b", script=False, golden=0)
    model = dt.collab.load(tmp_path / "b")
    found = model.predict("new", "i007")
    assert found.domain.user_ratings == 1 and not found.domain.in_domain
    assert found.domain.mean_user == model.predict("nobody", "i007").value
    assert found.domain.new == ("user has 1 rating, answer close to a mean user's",)
    assert str(found).endswith("  ! user has 1 rating, answer close to a mean user's")
    assert model.predict("u003", "i007").domain.new == ()


def test_an_answer_beyond_all_ratings_is_marked() -> None:
    source = Source(3)
    guard = fitted(source.rated(2000), source.rated(6000))
    users, items = np.array([1, 1, 1], np.int32), np.array([1, 2, 3], np.int32)
    judged = guard.judge(users, items, np.array([0.5, 3, 5.5], np.float32), taste)
    assert judged.is_outside.tolist() == [True, False, True]
    assert judged.in_domain.tolist() == [False, True, False]
    assert judged.interval is not None
    assert judged.interval[0, 0] == guard.lowest and judged.interval[2, 1] == guard.highest


# --- tables ---------------------------------------------------------------------------------------


def drifted(guard: RatingGuard, table: RatingTable, ratings: np.ndarray | None = None) -> str:
    """What the shift test says of a table; empty where it sees nothing."""
    values = taste(table.users, table.items)
    report = guard.shift(table.users, table.items, values, owners=table.users, ratings=ratings)
    return report.text if report is not None and report.drifted else ""


def test_batches_of_the_same_source_are_not_called_drifted() -> None:
    source = Source(4)
    guard = fitted(source.rated(4000), source.rated(6000))
    batches = [source.rated(300) for _ in range(100)]
    assert sum(bool(drifted(guard, one, one.ratings)) for one in batches) <= 3


def test_the_ratings_of_one_person_belong_together() -> None:
    source = Source(5)
    train = source.by_people(200, 20)
    guard = fitted(source.by_people(200, 20), train)
    batches = [source.by_people(40, 50) for _ in range(60)]
    assert sum(bool(drifted(guard, one)) for one in batches) <= 2
    # each of 2,000 ratings taken for a person of its own, chance alone makes most batches strange
    naive = replace(guard, people=4000)
    alone = [
        naive.shift(b.users, b.items, taste(b.users, b.items), owners=np.arange(len(b)))
        for b in batches
    ]
    assert sum(report is not None and report.drifted for report in alone) > 30


def test_what_changed_is_seen_and_named() -> None:
    source = Source(6)
    guard = fitted(source.rated(4000), source.rated(6000))
    new = source.rated(600)
    nobody = np.zeros(600, np.int32)
    for table, ratings, moved in (
        (replace(new, items=nobody), None, "place of the item"),
        (replace(new, items=np.minimum(new.items, 5)), None, "place of the item"),
        (replace(new, users=np.minimum(new.users + 200, 300)), None, "ratings of the user"),
        (new, new.ratings - 0.5, "rating"),
    ):
        owners = np.arange(600)
        values = taste(table.users, table.items)
        report = guard.shift(table.users, table.items, values, owners=owners, ratings=ratings)
        assert report is not None and report.drifted
        names = {one.feature for one in report.most_moved[: report.num_moved]}
        assert moved in names and "The 600 pairs have drifted" in report.text, names


def test_unknown_people_of_the_validation_are_as_busy_as_the_known() -> None:
    source = Source(9)
    train, valid = source.by_people(200, 20), source.by_people(100, 20)
    known = fitted(valid, train).people
    half = replace(valid, users=np.where(valid.users % 2, valid.users, 0).astype(np.int32))
    none = replace(valid, users=np.zeros(len(valid), np.int32))
    for table in (half, none):
        found = fitted(table, train).people
        assert 0.6 * known < found < 1.4 * known
    assert drifted(fitted(none, train), valid) != ""


def test_of_few_people_nothing_is_said() -> None:
    source = Source(7)
    guard = fitted(source.rated(2000), source.rated(6000))
    one = source.by_people(1, 500)
    values = taste(one.users, one.items)
    assert guard.shift(one.users, one.items, values, owners=one.users) is None
    none = np.zeros(0, np.int32)
    assert guard.shift(none, none, taste(none, none), owners=none) is None
    assert guard.says_unknown(np.zeros(LEAST_FOR_SHIFT - 1, bool)) is None
    assert guard.says_unknown(np.zeros(LEAST_FOR_SHIFT, bool)) == (
        "Of 100% of these pairs the user or the item is unknown, of those that the model was measured on "
        "0%: expect larger errors than it is said to have."
    )


@given(st.lists(st.integers(0, 9), min_size=1, max_size=60))
def test_people_are_at_most_as_many_as_there_are(owners: list[int]) -> None:
    found = effective_number(np.array(owners))
    counts = np.unique(owners, return_counts=True)[1]
    assert 1 <= found <= len(counts)
    if len(set(counts.tolist())) == 1:
        assert found == len(counts)


@pytest.mark.slow
def test_movielens_keeps_the_promises(shared_data: SharedData) -> None:
    found = np.loadtxt(shared_data("ml-100k") / "u.data", dtype=np.int64)
    columns = dict(zip(("user", "item", "rating", "time"), found.T.tolist(), strict=True))
    learner: Any = dt.collab.learner(columns, progress=False, num_factors=10)
    learner.train(3)
    application = learner.application
    model, valid = application.model(learner), application.data.pairs("valid")
    is_ours = valid.users % 2 == 0
    ours, others = valid.take(is_ours), valid.take(~is_ours)
    guard = fit_rating_guard(
        model.outputs,
        application.data.pairs("train"),
        ours,
        of_ratings=True,
        item_mean=model.item_mean,
    )
    assert guard is not None
    values = model.outputs(others.users, others.items)
    judged = guard.judge(others.users, others.items, values, model.outputs)
    assert judged.interval is not None
    low, high = judged.interval.T
    assert 0.88 < ((low <= others.ratings) & (others.ratings <= high)).mean() < 0.92
    draw = np.random.default_rng(0)
    alarms, seen = 0, 0
    people = np.unique(others.users)
    unusual = np.argsort(model.item_mean)[:400]
    for _ in range(50):
        some = others.take(np.isin(others.users, draw.choice(people, 60, replace=False)))
        alarms += _is_drifted(guard, model, some)
        bad = replace(some, items=draw.choice(unusual, len(some)).astype(np.int32))
        seen += _is_drifted(guard, model, bad)
    assert alarms <= 2 and seen == 50


def _is_drifted(guard: RatingGuard, model: Any, table: RatingTable) -> bool:
    values = model.outputs(table.users, table.items)
    report = guard.shift(table.users, table.items, values, owners=table.users)
    return report is not None and report.drifted


# --- in a bundle ----------------------------------------------------------------------------------


def test_it_comes_back_as_it_was(made: Path, learner: Any) -> None:
    found = dt.collab.load(made).guard
    valid, train = (learner.application.data.pairs(part) for part in ("valid", "train"))
    model = learner.application.model(learner)
    own = fit_rating_guard(
        model.outputs, train, valid, of_ratings=True, item_mean=model.item_mean, coverage=0.9
    )
    assert found is not None and own is not None
    assert found.to_json() == own.to_json()
    np.testing.assert_array_equal(found.user_ratings, own.user_ratings)
    np.testing.assert_array_equal(found.item_ratings, own.item_ratings)


def test_a_table_of_strangers_is_told_of(made: Path, tmp_path: Path) -> None:
    columns = planted().columns
    new = {"user": [f"x{k % 60}" for k in range(240)], "item": columns["item"][:240]}
    path = written(tmp_path / "new.csv", new)
    found = dt.collab.load(made).predict(path)
    assert found.notes[-2].startswith("Of 100% of these pairs the user or the item is unknown")
    assert found.notes[-1].startswith("The 240 pairs have drifted from the reference")
    document = asked("predict", made, path, "--shift")
    assert document["shift"] == found.shift.to_json()
    assert document["predictions"] == found.to_json() == asked("predict", made, path)


def test_ratings_are_compared_where_a_table_has_them(made: Path, tmp_path: Path) -> None:
    columns = planted().columns
    model = dt.collab.load(made)
    told = model.evaluate(written(tmp_path / "same.csv", columns))
    assert not told["shift"]["drifted"] and told["shift"]["num_features"] == 6
    lower = columns | {"rating": [round(value - 2, 3) for value in columns["rating"]]}
    told = model.evaluate(written(tmp_path / "lower.csv", lower))
    assert told["shift"]["most_moved"][0]["feature"] == "rating"
    assert told["notes"][-1] == told["shift"]["text"]
    bare = {name: cells for name, cells in columns.items() if name in ("user", "item")}
    report = model.shift(written(tmp_path / "bare.csv", bare, end="\r\n"))
    assert report is not None and (report.drifted, report.num_features) == (False, 5)


def test_a_table_of_answers_has_what_the_guard_says(made: Path, tmp_path: Path) -> None:
    path, out = written(tmp_path / "t.csv", pairs(3)), tmp_path / "answers.csv"
    done = CliRunner().invoke(program, ["predict", str(made), str(path), "--out", str(out)])
    assert done.exit_code == 0, done.output
    header, *lines = out.read_text("utf-8").splitlines()
    assert header == '"user","item","title","rating","known","low","high","in domain","new"'
    assert [line.rpartition(",")[2] for line in lines] == [
        *('""', '""', '""', '"user unknown"', '""', '"item unknown"', '"user unknown"')
    ]


def test_without_a_guard_nothing_is_judged(learner: Any, tmp_path: Path) -> None:
    learner.export(tmp_path / "b", guard=False, script=False)
    assert not list((tmp_path / "b").glob("guard*"))
    model = dt.collab.load(tmp_path / "b")
    found = model.predict({"user": ["x"] * 40, "item": ["i004"] * 40})
    assert found.notes == (
        "40 users are unknown: what is predicted there is that of a mean user and of the item.",
    )
    assert set(found[0].to_json()) == {"input", "title", "value", "known"}
    assert model.shift({"user": ["x"], "item": ["i004"]}) is None
    path = written(tmp_path / "t.csv", pairs(1))
    refused = CliRunner().invoke(program, ["predict", str(tmp_path / "b"), str(path), "--shift"])
    assert refused.exit_code == 2
    assert refused.stderr == (
        f"drivetrain: --shift needs the guard of a bundle, and {tmp_path / 'b'} has none. Make one with: "
        "drivetrain export RUN -o BUNDLE\n"
    )


def test_of_events_no_interval_is_promised(tmp_path: Path) -> None:
    trained(model="bpr", implicit=True).export(tmp_path / "b", script=False)
    model = dt.collab.load(tmp_path / "b")
    found = model.predict("nobody", "i004").to_json()
    assert set(found) == {"input", "title", "value", "known", "domain"}
    assert found["domain"]["new"] == ["user unknown"]
    with pytest.raises(
        ConfigError,
        match=r"^A model 'bpr' puts items in order: it predicts no ratings to compare\.$",
    ):
        model.evaluate(planted().columns)


def test_scores_of_ratings_taken_for_events_are_no_ratings(tmp_path: Path) -> None:
    columns = planted().columns
    columns["rating"] = [min(max(round(value), 1), 5) for value in columns["rating"]]
    source = written(tmp_path / "ratings.csv", columns)
    dt.collab.fit(source, out=tmp_path / "run", num_factors=3, rounds=2, progress=False)
    dt.collab.export(tmp_path / "run", tmp_path / "b", script=False)
    model = dt.collab.load(tmp_path / "b")
    assert model.rating == "rating" and not model.of_ratings
    assert set(model.predict("u003", "i004").to_json()) == {
        *("input", "title", "value", "known", "domain")
    }
    assert model.recommend("u003", 2).column == "score"
    assert "Puts items in the order" in (tmp_path / "b" / "README.md").read_text()


def test_without_validation_ratings_there_is_no_guard_and_it_is_said(
    learner: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Source(8)
    train = source.rated(100)
    none = train.take(np.zeros(0, int))
    options: dict[str, Any] = {"of_ratings": True, "item_mean": np.full(ITEMS, 3, np.float32)}
    assert fit_rating_guard(taste, train, none, **options) is None
    monkeypatch.setattr(exporting, "fit_rating_guard", lambda *_given, **_options: None)
    with pytest.warns(
        UserWarning,
        match=r"^The bundle gets no guard: there is no validation rating to fit it on\.$",
    ):
        learner.export(tmp_path / "b", script=False)
    assert dt.collab.load(tmp_path / "b").guard is None


# --- what strangers make of it --------------------------------------------------------------------


def _reversed(record: dict[str, Any]) -> None:
    record["lowest"], record["highest"] = 5.0, 1.0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda record: record.update(few=0), "has 0 as `few`, expected a whole number from 1 to "),
        (
            lambda record: record.update(near=-1.0),
            "has -1.0 as `near`, expected a number from 0 to",
        ),
        (lambda record: record.update(more=1), "has the unknown entry 'more'"),
        (lambda record: record.pop("people"), "has no `people`"),
        (lambda record: record["intervals"].pop(), "has 2 `intervals`, expected one of each kind"),
        (
            lambda record: record["intervals"][0].update(coverage=0.5),
            "does not promise the same in all of its `intervals`",
        ),
        (_reversed, "has a `lowest` above its `highest`"),
        (
            lambda record: record["reference"]["numbers"].reverse(),
            "has 'rating' as `name`, expected 'ratings of the user'",
        ),
    ],
)
def test_a_guard_that_says_something_else_is_refused(learner: Any, change: Any, said: str) -> None:
    data = learner.application.data
    model = learner.application.model(learner)
    guard = fit_rating_guard(
        model.outputs,
        data.pairs("train"),
        data.pairs("valid"),
        of_ratings=True,
        item_mean=model.item_mean,
    )
    assert guard is not None
    record = json.loads(json.dumps(guard.to_json()))
    known = TrainingCounts(guard.user_ratings, guard.item_ratings, guard.item_mean)
    again = RatingGuard.from_parts(record, known, of_ratings=True, where="guard.json")
    assert again.to_json() == guard.to_json()
    change(record)
    with pytest.raises(BundleError) as refused:
        RatingGuard.from_parts(record, known, of_ratings=True, where="guard.json")
    assert str(refused.value).startswith("guard.json") and said in str(refused.value)
    assert str(refused.value).endswith(AGAIN)


def test_counts_of_users_that_fit_nothing_are_refused(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "copy")
    place = Place(tmp_path / "copy", tmp_path)
    path = place.folder / manifests.GUARD_TENSORS
    counts = store.read_tensors(path)["user_ratings"]
    for tensors, said in (
        ({"user_ratings": counts[1:].contiguous()}, "user_ratings"),
        ({"user_ratings": counts.float()}, "user_ratings"),
        ({"others": counts}, "it lacks the tensor 'user_ratings'"),
        ({"user_ratings": -counts}, "guard.json lies beside a user with fewer than 0 ratings"),
    ):
        store.write_tensors(path, tensors)
        place.seal()
        with pytest.raises(BundleError) as refused:
            bundle.open_bundle(place.folder)
        assert said in str(refused.value)


def test_a_guard_of_other_counts_gives_other_answers(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "copy")
    place = Place(tmp_path / "copy", tmp_path)
    path = place.folder / manifests.GUARD_TENSORS
    store.write_tensors(path, {"user_ratings": store.read_tensors(path)["user_ratings"] * 0})
    place.seal()
    with pytest.raises(BundleError, match="gives other answers than it was made with"):
        dt.collab.verify(place.folder)
