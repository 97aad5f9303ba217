"""clean/folds.py: who is asked about whom, what is kept of it, and what is put right by it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from cleanlab.rank import get_self_confidence_for_each_label
from hypothesis import given, settings, strategies as st

from drivetrain import store
from drivetrain.clean.duplicates import NearPairs, same_content
from drivetrain.clean.fold_files import FoldFiles, kept_pairs
from drivetrain.clean.folds import (
    FoldModel,
    Pool,
    assign_folds,
    bands,
    hang_together,
    key_of,
    out_of_fold,
    queue_of,
)
from drivetrain.clean.near_texts import near_texts
from drivetrain.clean.outliers import Points, Space
from drivetrain.clean.queue import Item, Material, text_hash
from drivetrain.errors import ConfigError, DataError, ShapeError
from drivetrain.text.folding import Words
from drivetrain.train.predictions import Predictions
from tests.clean.desks import make_desk, ours, request, serving
from tests.clean.planted import edited, sentences

Answer = Callable[[np.ndarray, np.ndarray, int], np.ndarray]


def of_neighbours(values: np.ndarray, targets: np.ndarray, classes: int) -> Answer:
    """Shares of the classes among the five fitted items that are nearest in value."""

    def answer(fitted: np.ndarray, asked: np.ndarray, fold: int) -> np.ndarray:
        del fold
        apart = np.abs(values[asked][:, None] - values[fitted][None])
        nearest = np.argsort(apart, axis=1, kind="stable")[:, :5]
        return np.stack([(targets[fitted][nearest] == c).mean(axis=1) for c in range(classes)], 1)

    return answer


def blobs(count: int, classes: int = 3, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    targets = draw.integers(0, classes, count)
    return targets * 10 + draw.normal(size=count), targets


# --- folds ----------------------------------------------------------------------------------------


@given(
    strata=st.lists(st.integers(0, 4), min_size=2, max_size=120),
    folds=st.integers(2, 9),
    seed=st.integers(0, 3),
)
@settings(max_examples=60, deadline=None)
def test_each_class_and_all_items_are_dealt_evenly(
    strata: list[int], folds: int, seed: int
) -> None:
    codes = np.array(strata)
    found = assign_folds(folds, strata=codes, seed=seed)
    used = min(folds, len(codes))
    assert sorted(set(found.tolist())) == list(range(used))
    sizes = np.bincount(found, minlength=used)
    assert sizes.max() - sizes.min() <= 1
    for code in set(strata):
        counts = np.bincount(found[codes == code], minlength=used)
        assert counts.max() - counts.min() <= 1
    np.testing.assert_array_equal(found, assign_folds(folds, strata=codes, seed=seed))


@given(
    pairs=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 25)), min_size=2, max_size=100),
    folds=st.integers(2, 7),
)
@settings(max_examples=60, deadline=None)
def test_what_hangs_together_is_in_one_fold_and_no_fold_is_empty(
    pairs: list[tuple[int, int]], folds: int
) -> None:
    strata, groups = (np.array(one) for one in zip(*pairs, strict=True))
    num_groups = len(np.unique(groups))
    if num_groups < 2:
        with pytest.raises(DataError):
            assign_folds(folds, strata=strata, together=groups)
        return
    found = assign_folds(folds, strata=strata, together=groups)
    assert sorted(set(found.tolist())) == list(range(min(folds, num_groups)))
    for group in np.unique(groups):
        assert len(set(found[groups == group].tolist())) == 1


def test_another_seed_deals_otherwise() -> None:
    strata = np.zeros(50, dtype=np.int64)
    assert (assign_folds(5, strata=strata, seed=1) != assign_folds(5, strata=strata, seed=2)).any()


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=80))
def test_bands_rise_with_the_numbers_and_are_of_one_size(numbers: list[float]) -> None:
    values = np.array(numbers)
    found = bands(values)
    order = np.argsort(values, kind="stable")
    assert (np.diff(found[order]) >= 0).all()
    counts = np.bincount(found)
    assert counts.max() - counts[counts > 0].min() <= 1


def test_copies_near_ones_and_groups_hang_together() -> None:
    near = same_content(["", "x", "", "x", "", "", ""])  # 1 and 3
    groups = np.array([0, 1, 2, 3, 4, 2, 5])
    found = hang_together(["a", "b", "c", "d", "a", "e", "f"], near, groups)
    assert found.tolist() == [0, 1, 2, 1, 0, 2, 6]
    alone = hang_together(["a", "a", "b"], same_content(["", "", ""]), by_chance=True)
    assert alone.tolist() == [0, 1, 2]


@pytest.mark.parametrize("folds", [1, 0, 101])
def test_other_numbers_of_folds_are_refused(folds: int) -> None:
    with pytest.raises(
        ConfigError, match=rf"^`num_folds` is a number from 2 to 100\. Got {folds}\.$"
    ):
        assign_folds(folds, strata=np.zeros(9, dtype=np.int64))


def test_items_that_are_all_one_are_refused() -> None:
    with pytest.raises(
        DataError,
        match=r"^All 3 items hang together, so that no model could be trained without them\. See them "
        r"by the run's own predictions: --folds 0$",
    ):
        assign_folds(5, strata=np.zeros(3, dtype=np.int64), together=np.zeros(3, dtype=np.int64))


# --- asking ---------------------------------------------------------------------------------------


@given(
    hashes=st.lists(st.sampled_from("abcdefghijkl"), min_size=6, max_size=60),
    folds=st.integers(2, 5),
)
@settings(max_examples=40, deadline=None)
def test_no_item_is_told_of_by_a_model_that_saw_it_or_a_copy(hashes: list[str], folds: int) -> None:
    if len(set(hashes)) < 2:
        return
    targets = np.arange(len(hashes)) % 3
    fold_of = assign_folds(folds, strata=targets, together=hang_together(hashes))
    asked_of: list[int] = []

    def answer(fitted: np.ndarray, asked: np.ndarray, fold: int) -> np.ndarray:
        assert not {hashes[at] for at in fitted} & {hashes[at] for at in asked}
        assert len(fitted) + len(asked) == len(hashes)
        asked_of.extend(asked.tolist())
        return np.full((len(asked), 3), 1 / 3)

    found = out_of_fold(FoldModel("chance", {}, answer), targets, fold_of, num_classes=3)
    assert sorted(asked_of) == list(range(len(hashes)))
    assert found.said == f"out of {found.num_folds} folds, by chance"


def test_planted_errors_come_first_in_cleanlabs_order() -> None:
    values, truth = blobs(300)
    draw = np.random.default_rng(1)
    wrong = draw.choice(300, 15, replace=False)
    labels = truth.copy()
    labels[wrong] = (labels[wrong] + 1) % 3
    fold_of = assign_folds(5, strata=labels)
    model = FoldModel("neighbours", {}, of_neighbours(values, labels, 3))
    found = out_of_fold(model, labels, fold_of, num_classes=3)
    own = Predictions(
        [str(at) for at in range(300)],
        torch.from_numpy(labels),
        torch.zeros(300, 3),
        torch.zeros(300),
        ("a", "b", "c"),
    )
    said = found.predictions(own)
    np.testing.assert_allclose(said.probs.numpy(), found.outputs, atol=1e-9)
    theirs = get_self_confidence_for_each_label(labels, found.outputs)
    np.testing.assert_allclose(np.exp(-said.losses.numpy()), theirs, atol=1e-9)
    assert set(np.argsort(theirs, kind="stable")[:15].tolist()) == set(wrong.tolist())


def test_a_label_that_only_one_fold_has_is_told_of_by_the_runs_own_model() -> None:
    labels = np.array([0] * 10 + [1] * 10 + [2])
    fold_of = assign_folds(5, strata=labels)

    def answer(fitted: np.ndarray, asked: np.ndarray, fold: int) -> np.ndarray:
        return np.tile([0.5, 0.5, 0.0], (len(asked), 1))

    found = out_of_fold(FoldModel("halves", {}, answer), labels, fold_of, num_classes=3)
    assert found.known.tolist() == [True] * 20 + [False]
    outputs = torch.zeros(21, 3)
    outputs[20, 2] = 9.0
    losses = torch.nn.functional.cross_entropy(outputs, torch.from_numpy(labels), reduction="none")
    own = Predictions([""] * 21, torch.from_numpy(labels), outputs, losses, ("a", "b", "c"))
    said = found.predictions(own)
    assert said.probs[20, 2] > 0.99 and said.losses[20] == losses[20]
    torch.testing.assert_close(said.probs[0], torch.tensor([0.5, 0.5, 0.0], dtype=torch.float64))


def test_numbers_and_several_labels_have_their_own_losses() -> None:
    numbers = np.array([1.0, 2.0, 30.0, 4.0])
    fold_of = np.array([0, 1, 0, 1])
    found = out_of_fold(
        FoldModel("two", {}, lambda fitted, asked, fold: np.full(len(asked), 2.0)), numbers, fold_of
    )
    own = Predictions([""] * 4, torch.from_numpy(numbers), torch.zeros(4), torch.zeros(4))
    assert found.predictions(own).losses.tolist() == [1.0, 0.0, 784.0, 4.0]
    labels = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]], dtype=np.float32)
    found = out_of_fold(
        FoldModel("nine", {}, lambda fitted, asked, fold: np.full((len(asked), 2), 0.9)), labels, fold_of
    )  # fmt: skip
    own = Predictions([""] * 4, torch.from_numpy(labels), torch.zeros(4, 2), torch.zeros(4))
    expected = -np.log([[0.9, 0.1], [0.1, 0.9], [0.9, 0.9], [0.1, 0.1]]).mean(axis=1)
    np.testing.assert_allclose(found.predictions(own).losses.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("value", "kind", "sentence"),
    [
        (np.zeros((2, 2)), ShapeError,
         "The model of fold 1 answered with shape (2, 2), expected (2, 3)."),
        (np.full((2, 3), np.nan), DataError,
         "The model of fold 1 answered with what is not finite."),
        (np.ones((2, 3)), DataError,
         "The model of fold 1 answered with what are no probabilities: they are 1 and up, and of an item "
         "they add up to 3 and up."),
    ],
)  # fmt: skip
def test_answers_that_are_none_are_refused(
    value: np.ndarray, kind: type[Exception], sentence: str
) -> None:
    model = FoldModel("odd", {}, lambda fitted, asked, fold: value)
    with pytest.raises(kind) as caught:
        out_of_fold(model, np.array([0, 1, 2, 0]), np.array([0, 0, 1, 1]), num_classes=3)
    assert str(caught.value) == sentence


# --- what is kept ---------------------------------------------------------------------------------


class CutError(Exception):
    """A kill."""


def cut_at(answer: Answer, fold: int | None) -> tuple[Answer, list[int]]:
    """An answer that is cut in a fold, and the folds that were asked."""
    asked_of: list[int] = []

    def told(fitted: np.ndarray, asked: np.ndarray, at: int) -> np.ndarray:
        if at == fold:
            raise CutError
        asked_of.append(at)
        return answer(fitted, asked, at)

    return told, asked_of


@pytest.mark.parametrize("fold", range(5))
def test_a_call_that_is_cut_loses_its_fold_alone(tmp_path: Path, fold: int) -> None:
    values, labels = blobs(60)
    fold_of = assign_folds(5, strata=labels)
    answer = of_neighbours(values, labels, 3)
    whole = out_of_fold(FoldModel("n", {}, answer), labels, fold_of, num_classes=3)
    told, before = cut_at(answer, fold)
    with pytest.raises(CutError):
        out_of_fold(
            FoldModel("n", {}, told), labels, fold_of, num_classes=3, files=FoldFiles(tmp_path, "q", "k")
        )  # fmt: skip
    told, after = cut_at(answer, None)
    files = FoldFiles(tmp_path, "q", "k")
    assert len(files) == fold
    again = out_of_fold(FoldModel("n", {}, told), labels, fold_of, num_classes=3, files=files)
    assert before + after == list(range(5))
    np.testing.assert_array_equal(again.outputs, whole.outputs)


def test_a_damaged_or_swapped_fold_is_asked_anew(tmp_path: Path) -> None:
    values, labels = blobs(60)
    fold_of = assign_folds(3, strata=labels)
    answer = of_neighbours(values, labels, 3)

    def asked_again(key: str = "k") -> list[int]:
        told, asked_of = cut_at(answer, None)
        files = FoldFiles(tmp_path, "q", key)
        out_of_fold(FoldModel("n", {}, told), labels, fold_of, num_classes=3, files=files)
        return asked_of

    assert asked_again() == [0, 1, 2] and asked_again() == []
    files = FoldFiles(tmp_path, "q", "k")
    data = files.path(1).read_bytes()
    files.path(1).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert asked_again() == [1]
    files.path(0).unlink()
    files.path(2).write_bytes(files.path(1).read_bytes())  # another fold's, as a bad copy leaves it
    assert asked_again() == [0, 2] and asked_again() == []
    files.index.write_text("{}")
    assert asked_again() == [0, 1, 2]
    assert asked_again("other labels") == [0, 1, 2] and asked_again() == [0, 1, 2]


def test_who_may_not_write_reads_what_is_there_and_leaves_it(tmp_path: Path) -> None:
    FoldFiles(tmp_path, "q", "k").write(0, np.ones(3))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    files = FoldFiles(tmp_path, "q", "k", may_write=False)
    found = files.read(0, (3,))
    assert found is not None and found.tolist() == [1, 1, 1]
    assert files.read(0, (4,)) is None and files.read(1, (3,)) is None
    files.write(1, np.ones(2))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_key_is_of_items_labels_folds_and_settings() -> None:
    labels, fold_of = np.array([0, 1, 1]), np.array([0, 1, 0])
    model = FoldModel("m", {"seed": 1}, lambda fitted, asked, fold: asked)
    keys = [
        key_of(model, ["a", "b", "c"], labels, fold_of),
        key_of(model, ["a", "b", "d"], labels, fold_of),
        key_of(model, ["a", "b", "c"], np.array([0, 1, 0]), fold_of),
        key_of(model, ["a", "b", "c"], labels, np.array([1, 1, 0])),
        key_of(FoldModel("m", {"seed": 2}, model.answer), ["a", "b", "c"], labels, fold_of),
        key_of(FoldModel("n", {"seed": 1}, model.answer), ["a", "b", "c"], labels, fold_of),
    ]
    assert len(set(keys)) == 6
    assert keys[0] == key_of(model, ["a", "b", "c"], labels.copy(), fold_of.copy())


def test_pairs_are_found_once_and_again_where_they_are_damaged(tmp_path: Path) -> None:
    called: list[int] = []

    def find() -> NearPairs:
        called.append(1)
        one = np.array([0, 2])
        return NearPairs(one, one + 1, np.array([0.9, 1.0]), np.array([False, True]), 4, "some")

    for key, expected in (("k", 1), ("k", 1), ("other", 2), ("other", 2)):
        found = kept_pairs(tmp_path, key, find)
        assert len(called) == expected
        assert (found.second.tolist(), found.exact.tolist()) == ([1, 3], [False, True])
        assert (found.compared, found.left_out) == (4, "some")
    (tmp_path / "near.safetensors").write_bytes(b"")
    kept_pairs(tmp_path, "other", find)
    kept_pairs(None, "other", find)
    assert len(called) == 4


# --- the queue ------------------------------------------------------------------------------------


def text_pool(texts: list[str], labels: list[int], answer: Answer) -> Pool:
    names = ("bad", "good")
    items = tuple(
        Item(text_hash(text), f"row {at + 1}", names[label], "train", text=text)
        for at, (text, label) in enumerate(zip(texts, labels, strict=True))
    )
    targets = torch.tensor(labels)
    outputs = torch.nn.functional.one_hot(targets, 2) * 9.0  # it knows every label by heart

    def ask() -> Predictions:
        losses = torch.nn.functional.cross_entropy(outputs, targets, reduction="none")
        return Predictions([one.name for one in items], targets, outputs, losses, names)

    return Pool(
        Material(items, targets, names, ask, Path("texts.csv")),
        {"quick": lambda: FoldModel("words", {}, answer)},
        lambda: near_texts(texts),
    )


@pytest.fixture(scope="module")
def reviews() -> tuple[list[str], list[int]]:
    """40 texts of either class, of which 3 are labelled wrongly, one is there twice and one nearly."""
    draw = np.random.default_rng(4)
    texts = sentences(draw, 40, words=40)
    labels = [at % 2 for at in range(40)]
    texts = [
        f"{text} {'fine' if label else 'dull'}" for text, label in zip(texts, labels, strict=True)
    ]
    for at in (6, 13, 20):
        labels[at] = 1 - labels[at]
    return [*texts, texts[3], edited(texts[6], draw)], [*labels, labels[3], 0]


def by_word(texts: list[str]) -> Answer:
    """What the word `fine` says, of models that never look at a label."""

    def answer(fitted: np.ndarray, asked: np.ndarray, fold: int) -> np.ndarray:
        assert not {texts[at] for at in fitted} & {texts[at] for at in asked}
        good = np.array([0.9 if texts[at].endswith("fine") else 0.1 for at in asked])
        return np.stack([1 - good, good], axis=1)

    return answer


@pytest.mark.row(16)
def test_the_page_gets_flags_near_ones_and_whose_predictions_they_are(
    reviews: tuple[list[str], list[int]], tmp_path: Path
) -> None:
    texts, labels = reviews
    queue = queue_of(text_pool(texts, labels, by_word(texts)), folds=4)
    assert queue.basis == "out of 4 folds, by words" and queue.total == 42 and len(queue) == 41
    assert {row.item.name for row in queue.rows[:3]} == {"row 7", "row 14", "row 21"}
    assert not any(row.was_seen for row in queue.rows)
    with serving(make_desk(tmp_path / "journal.jsonl", queue)) as server:
        told = request(server, "GET", "/api/queue", ours(server)).value
    assert told["basis"] == queue.basis
    by_name = {one["name"]: one for one in told["items"]}
    flagged = {name for name, one in by_name.items() if one["flagged"]}
    assert flagged == {row.item.name for row in queue.chosen(flagged=True)}
    assert {"row 7", "row 14", "row 21"} >= flagged and flagged
    near = {n for n, one in by_name.items() if one["near"] or one["copies"] > 1}
    assert (
        near == {row.item.name for row in queue.chosen(near=True)} == {"row 4", "row 7", "row 42"}
    )
    assert by_name["row 7"]["near"] == [by_name["row 42"]["hash"]]
    assert (
        by_name["row 42"]["near"] == [by_name["row 7"]["hash"]] and by_name["row 4"]["copies"] == 2
    )


def test_without_folds_the_runs_own_model_is_heard(reviews: tuple[list[str], list[int]]) -> None:
    texts, labels = reviews
    queue = queue_of(text_pool(texts, labels, by_word(texts)), folds=0)
    assert queue.basis == "by the run's own model, which has learnt the labels of train"
    assert all(row.was_seen for row in queue.rows) and not queue.chosen(flagged=True)


def test_a_second_call_asks_nobody_and_a_new_label_asks_all(
    reviews: tuple[list[str], list[int]], tmp_path: Path
) -> None:
    texts, labels = reviews
    said: list[tuple[str, int]] = []

    def report(what: str, done: int, total: int | None = None) -> None:
        said.append((what, done))

    def asked(labels: list[int]) -> list[int]:
        told, asked_of = cut_at(by_word(texts), None)
        queue_of(text_pool(texts, labels, told), folds=3, folder=tmp_path, report=report)
        return asked_of

    assert asked(labels) == [0, 1, 2] and asked(labels) == []
    assert ("folds predicted", 3) in said
    changed = [1 - labels[0], *labels[1:]]
    assert asked(changed) == [0, 1, 2]
    index = store.read_json(tmp_path / "folds-quick-3.json")
    assert sorted(index["sha256"]) == ["0", "1", "2"]


def test_one_class_alone_has_no_folds() -> None:
    texts = [f"text {at}" for at in range(4)]
    items = tuple(Item(text_hash(t), t, "only", "valid", text=t) for t in texts)
    targets = torch.zeros(4, dtype=torch.int64)

    def ask() -> Predictions:
        return Predictions(texts, targets, torch.zeros(4, 1), torch.zeros(4), ("only",))

    pool = Pool(Material(items, targets, ("only",), ask, Path("t")), {}, lambda: near_texts(texts))
    queue = queue_of(pool)
    assert queue.basis.endswith("; there is one class alone") and len(queue) == 4
    assert queue.rows[0].suggested is None


def test_numbers_are_put_in_order_by_how_far_off_they_are() -> None:
    values = np.arange(40.0)
    numbers = values * 2
    numbers[17] = 500.0
    items = tuple(
        Item(text_hash(str(at)), f"row {at}", f"{number:g}", "train", cells=(("x", str(at)),))
        for at, number in enumerate(numbers.tolist())
    )

    def answer(fitted: np.ndarray, asked: np.ndarray, fold: int) -> np.ndarray:
        return np.interp(values[asked], values[fitted], numbers[fitted])

    def ask() -> Predictions:
        raise AssertionError("the run's own model is not asked")

    nothing = np.zeros(0, np.int64)
    pool = Pool(
        Material(items, torch.from_numpy(numbers), (), ask, Path("t")),
        {"quick": lambda: FoldModel("lines", {}, answer)},
        lambda: NearPairs(nothing, nothing, np.zeros(0), np.zeros(0, bool), 40),
    )
    queue = queue_of(pool, folds=5)
    first = queue.rows[0]
    assert first.item.name == "row 17" and first.predicted == pytest.approx(34.0)
    assert first.margin is not None and first.margin < -5 and queue.classes == ()
    margins = [row.margin for row in queue.rows]
    assert margins == sorted(margins)


def test_outliers_are_found_with_the_folds_kept_and_there_without_them(tmp_path: Path) -> None:
    draw = np.random.default_rng(9)
    texts = sentences(draw, 80, words=30)
    texts[11] = "xq zzv kkp"
    labels = [at % 2 for at in range(80)]
    made: list[int] = []

    def points() -> Points:
        made.append(1)
        return Words(texts).space().points()

    def chance(fitted: np.ndarray, asked: np.ndarray, fold: int) -> np.ndarray:
        return np.full((len(asked), 2), 0.5)

    pool = replace(text_pool(texts, labels, chance), space=Space("words", {"from": 1}, points))
    assert queue_of(pool, folds=0, folder=tmp_path).unlike == ""  # nothing is measured for that
    first = queue_of(pool, folds=2, folder=tmp_path)
    assert [row.item.name for row in first.outliers] == ["row 12"] and made == [1]
    assert first.unlike == "1 item is unlike the others in words."
    for again in (
        queue_of(pool, folds=2, folder=tmp_path),
        queue_of(pool, folds=3, folder=tmp_path),
        queue_of(pool, folds=0, folder=tmp_path),
        queue_of(replace(pool, material=relabelled(pool.material)), folds=2, folder=tmp_path),
    ):
        assert [row.item.name for row in again.outliers] == ["row 12"] and made == [1]
    other = replace(pool, space=Space("words", {"from": 2}, points))
    queue_of(other, folds=2, folder=tmp_path)
    assert made == [1, 1]


def relabelled(material: Material) -> Material:
    """The same items with the first label another one, as after a patch."""
    targets = material.targets.clone()
    targets[0] = 1 - targets[0]
    return replace(material, targets=targets)
