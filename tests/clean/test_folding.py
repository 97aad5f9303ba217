"""Pictures, texts and rows of samples out of fold: what the quick models find, and the runs' own."""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

import drivetrain as dt
from drivetrain.clean.folds import FoldModel, queue_of
from drivetrain.clean.linear import fit_logistic
from drivetrain.errors import ConfigError, ShapeError
from drivetrain.samples import sample_folder
from drivetrain.tabular import folding as tables
from drivetrain.text import folding as texts
from drivetrain.vision import folding as pictures
from tests.clean.planted import copy_of, scene
from tests.tabular.tables import passengers

WORDS = {"good": ("great", "fine", "warm", "a joy"), "bad": ("dull", "slow", "poor", "a bore")}


def share_found(queue: Any, wrong: set[str]) -> float:
    """Of the items with a planted error, those within the first tenth of the queue."""
    head = queue.rows[: round(0.1 * len(queue))]
    return sum(row.item.name in wrong for row in head) / len(wrong)


# --- the linear model -----------------------------------------------------------------------------


def test_logistic_regression_is_that_of_scikit_learn() -> None:
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(150) % 3
    features = (
        torch.randn(150, 8, generator=generator) + torch.nn.functional.one_hot(targets, 8) * 2
    )
    features[:, 7] = 4.0  # tells nothing
    found = fit_logistic(features, targets, num_classes=3, seed=0, penalties=(0.01,))
    spread = features.std(dim=0, correction=0)
    inputs = ((features - features.mean(dim=0)) / (spread * 8**0.5)).nan_to_num()[:, :7]
    theirs = LogisticRegression(C=1 / (0.01 * 150), tol=1e-8, max_iter=2000)
    theirs.fit(inputs.numpy(), targets.numpy())
    np.testing.assert_allclose(
        found.chances(features), theirs.predict_proba(inputs.numpy()), atol=2e-3
    )


def test_the_penalty_is_chosen_and_few_items_get_the_most_cautious() -> None:
    generator = torch.Generator().manual_seed(1)
    targets = torch.randint(0, 2, (200,), generator=generator)
    noise = torch.randn(200, 50, generator=generator)
    assert fit_logistic(noise, targets, num_classes=2, seed=0).penalty == 0.1  # nothing to learn
    clear = noise.clone()
    clear[:, 0] += 30 * targets
    assert fit_logistic(clear, targets, num_classes=2, seed=0).penalty < 0.1
    assert fit_logistic(clear[:6], targets[:6], num_classes=2, seed=0).penalty == 0.1
    absent = fit_logistic(clear, targets, num_classes=3, seed=0)
    assert absent.chances(clear)[:, 2].max() < 0.01
    with pytest.raises(
        ShapeError,
        match=r"^`fit_logistic` got features of shape \(6, 50\) and targets of shape \(5,\), expected "
        r"\(N, F\) and \(N,\), of one item at least\.$",
    ):
        fit_logistic(clear[:6], targets[:5], num_classes=2, seed=0)


# --- pictures -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[str]]:
    """200 digits as a CSV, 10 of them with another label; and the names of these."""
    folder = tmp_path_factory.mktemp("digits")
    every = sorted(sample_folder("digits").glob("train/*/*.png"))
    draw = np.random.default_rng(2)
    chosen = [every[at] for at in draw.choice(len(every), 200, replace=False).tolist()]
    wrong = set(draw.choice(200, 10, replace=False).tolist())
    rows, names = [], set()
    for at, path in enumerate(chosen):
        copy = folder / f"{at:03d}.png"
        shutil.copy(path, copy)
        label = int(path.parent.name)
        if at in wrong:
            label = (label + int(draw.integers(1, 10))) % 10
            names.add(copy.name)
        rows.append((copy.name, label))
    table = folder / "digits.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label"), *rows])
    return table, names


@pytest.fixture(scope="module")
def of_digits(digits: tuple[Path, set[str]]) -> Any:
    """A Learner that has learnt nothing: folds do not ask it."""
    return dt.vision.learner(str(digits[0]), epochs=1, progress=False, seed=3)


@pytest.mark.row(16)
def test_wrong_labels_of_digits_come_first(of_digits: Any, digits: tuple[Path, set[str]]) -> None:
    queue = queue_of(pictures.pool_of(of_digits), folds=4)
    assert share_found(queue, digits[1]) >= 0.8
    assert queue.basis == (
        "out of 4 folds, by logistic regression on pixels, colours and edges (of small pictures)"
    )
    assert queue.total == 200 and not any(row.was_seen for row in queue.rows)


def test_the_runs_own_recipe_is_trained_anew_and_never_on_what_it_is_asked(
    of_digits: Any, digits: tuple[Path, set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {k: v.clone() for k, v in of_digits.model.state_dict().items()}
    trained: list[set[str]] = []
    make = pictures.make_learner

    def spy(data: Any, *words: Any, **options: Any) -> Any:
        used = {*data.split.train, *data.split.valid}
        trained.append({data.items[at].id for at in used})
        return make(data, *words, **options)

    monkeypatch.setattr(pictures, "make_learner", spy)
    pool = pictures.pool_of(of_digits)
    model = pool.models["own"]()
    ids = [item.name for item in pool.material.items]
    fitted, asked = np.arange(0, 180), np.arange(180, 200)
    found = model.answer(fitted, asked, 0)
    assert trained == [{ids[at] for at in fitted}]
    assert found.shape == (20, 10) and np.allclose(found.sum(axis=1), 1)
    assert model.what == "resnet_tiny, trained anew as the run was"
    for name, tensor in of_digits.model.state_dict().items():
        assert torch.equal(tensor, before[name])


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six scenes of either class; of the first of each a smaller copy is in the other class."""
    folder = tmp_path_factory.mktemp("scenes")
    draw = np.random.default_rng(8)
    for at in range(12):
        name, other = ("day", "night") if at % 2 else ("night", "day")
        picture = scene(draw, side=120)
        for label in (name, other):
            (folder / label).mkdir(exist_ok=True)
        picture.save(folder / name / f"{at:02d}.png")
        if at < 2:
            copy_of(picture, "resized", draw).save(folder / other / f"{at:02d}-copy.png")
    return folder


def test_near_pictures_are_in_one_fold_and_marked(scenes: Path) -> None:
    learner: Any = dt.vision.learner(
        scenes, "resnet_tiny", pretrained=False, size=48, epochs=1, progress=False
    )
    pool = pictures.pool_of(learner)
    names = [item.name for item in pool.material.items]
    near = pool.near()
    found = {
        frozenset((names[one], names[other]))
        for one, other in zip(near.first.tolist(), near.second.tolist(), strict=True)
    }
    copies = {
        frozenset(("night/00.png", "day/00-copy.png")),
        frozenset(("day/01.png", "night/01-copy.png")),
    }
    assert found == copies

    def answer(fitted: np.ndarray, asked: np.ndarray, fold: int) -> np.ndarray:
        for pair in copies:
            assert len(pair & {names[at] for at in asked}) in (0, 2)
        return np.full((len(asked), 2), 0.5)

    asked = replace(pool, models={"quick": lambda: FoldModel("chance", {}, answer)})
    queue = queue_of(asked, folds=5)
    assert {row.item.name for row in queue.chosen(near=True)} == set().union(*copies)


@pytest.mark.slow
def test_features_are_those_of_the_released_body_whatever_the_run_has_learnt(scenes: Path) -> None:
    learner: Any = dt.vision.learner(scenes, size=64, epochs=1, progress=False)
    data = learner.application.data
    members = [*data.split.valid, *data.split.train]
    found = []
    for _ in range(2):
        model = pictures.quick_model(
            data, members, learner, report=lambda what, done, total=None: None
        )
        assert (
            model.what == "logistic regression on features of the pretrained tf_efficientnet_lite0"
        )
        found.append(model.answer(np.arange(10), np.arange(10, 14), 0))
        with torch.no_grad():
            for weight in learner.model.parameters():
                weight.mul_(0.5)
    np.testing.assert_array_equal(found[0], found[1])


# --- texts ----------------------------------------------------------------------------------------


def reviews(count: int, seed: int = 0) -> tuple[list[str], list[str], list[int]]:
    """Texts of praise or blame, their labels, and which of these are wrong."""
    draw = np.random.default_rng(seed)
    found, labels = [], []
    for at in range(count):
        label = ("good", "bad")[at % 2]
        said = [str(one) for one in draw.choice(WORDS[label], 3)]
        found.append(f"Film {at} was {said[0]} and {said[1]}, its end {said[2]}.")
        labels.append(label)
    wrong = sorted(draw.choice(count, count // 20, replace=False).tolist())
    for at in wrong:
        labels[at] = "bad" if labels[at] == "good" else "good"
    return found, labels, wrong


SIZES = {"embedding_dim": 8, "hidden_dim": 8, "num_layers": 1}


def test_wrong_labels_of_texts_come_first() -> None:
    found, labels, wrong = reviews(120)
    learner = dt.text.learner(found, labels=labels, sizes=SIZES, epochs=1, progress=False)
    pool = texts.pool_of(learner)
    queue = queue_of(pool, folds=4)
    assert share_found(queue, {f"text {at + 1}" for at in wrong}) >= 0.8
    assert queue.basis == "out of 4 folds, by logistic regression on words and pairs of words"
    own = pool.models["own"]()
    said = own.answer(np.arange(100), np.arange(100, 120), 0)
    assert said.shape == (20, 2) and np.allclose(said.sum(axis=1), 1, atol=1e-6)


def test_the_order_of_texts_is_that_of_what_the_run_says_of_them() -> None:
    found, labels, _ = reviews(40)
    found[7] += " It went on, and on, and on."
    learner = dt.text.learner(found, labels=labels, sizes=SIZES, epochs=1, progress=False)
    material = texts.pool_of(learner).material
    for item, target in zip(material.items, material.targets.tolist(), strict=True):
        assert material.classes[target] == item.label
    said = material.predictions
    assert list(said.ids) == [item.name for item in material.items]
    assert torch.equal(said.targets, material.targets)
    application: Any = learner.application
    names = application.data.part("valid")[0]
    alone = learner.predictions()  # of validation, sorted by length
    expected = dict(zip(alone.ids, alone.losses.tolist(), strict=True))
    for name, loss in zip(said.ids, said.losses.tolist(), strict=True):
        if name in names:
            assert loss == pytest.approx(expected[name], abs=1e-5)


def test_texts_of_more_classes_numbers_several_labels_and_without_a_word() -> None:
    found, labels, _ = reviews(60)
    three = [label if at % 3 else "so-so" for at, label in enumerate(labels)]
    for given, width in ((three, (20, 3)), ([float(at % 7) * 1.5 for at in range(60)], (20,)),
                         ([["a"] if at % 2 else ["b", "c"] for at in range(60)], (20, 3))):  # fmt: skip
        data = dt.text.from_texts(found, given)
        assert data.targets is not None
        model = texts.quick_model(data.texts, data.targets, data)
        assert model.answer(np.arange(40), np.arange(40, 60), 0).shape == width
    data = dt.text.from_texts(["…", "—", "··", "* *"] * 4, ["x", "y"] * 8)
    assert data.targets is not None
    said = texts.quick_model(data.texts, data.targets, data).answer(
        np.arange(8), np.arange(8, 16), 0
    )
    assert np.allclose(said, 0.5, atol=0.01)


def test_texts_of_one_group_stay_together(tmp_path: Path) -> None:
    found, labels, _ = reviews(40)
    table = {"text": found, "label": labels, "film": [f"f{at // 4}" for at in range(40)]}
    learner = dt.text.learner(
        table, "label", group="film", sizes=SIZES, epochs=1, progress=False, text_columns="text"
    )
    pool = texts.pool_of(learner)
    assert pool.groups is not None
    film = dict(zip([f"row {at + 1}" for at in range(40)], table["film"], strict=True))
    for one, other in zip(pool.material.items, pool.groups.tolist(), strict=True):
        first = next(
            at for at, item in enumerate(pool.material.items) if film[item.name] == film[one.name]
        )
        assert pool.groups[first] == other


# --- rows -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def census(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[str]]:
    """A run of a tree on 240 rows, 12 of them with another target; and the names of these."""
    folder = tmp_path_factory.mktemp("census")
    draw = np.random.default_rng(5)
    wrong = set(draw.choice(240, 12, replace=False).tolist())
    rows = []
    for at in range(240):
        age, hours, job = int(draw.integers(18, 80)), float(draw.random() * 60), "abc"[at % 3]
        rich = (age > 45) != (job == "b")
        rows.append((age, f"{hours:.2f}", job, "yes" if rich != (at in wrong) else "no"))
    with (folder / "census.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("age", "hours", "job", "rich"), *rows])
    dt.tabular.fit(str(folder / "census.csv"), "rich", "tree").save(folder / "run")
    return folder / "run", {f"row {at + 1}" for at in wrong}


def test_wrong_labels_of_rows_come_first_and_are_kept_in_the_run(
    census: tuple[Path, set[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, wrong = census
    first = queue_of(tables.pool_of(folder), folds=3, folder=tmp_path)
    assert share_found(first, wrong) >= 0.8
    assert first.basis == "out of 3 folds, by gradient boosting"

    def refuse(*words: Any) -> Any:
        raise AssertionError("nothing is fitted the second time")

    monkeypatch.setattr(tables, "_boosted", refuse)
    again = queue_of(tables.pool_of(folder), folds=3, folder=tmp_path)
    assert again.to_json() == first.to_json()


def test_the_runs_own_model_of_rows_is_fitted_anew(census: tuple[Path, set[str]]) -> None:
    folder, wrong = census
    queue = queue_of(tables.pool_of(folder), folds=4, model="own")
    assert queue.basis == "out of 4 folds, by tree, fitted anew as the run was"
    assert share_found(queue, wrong) >= 0.6


def test_a_rare_class_of_rows_is_left_to_the_runs_own_model(tmp_path: Path) -> None:
    table = passengers(60)
    name = next(iter(table))
    table["kind"] = ["x", "y"] * 29 + ["x", "z"]
    rows = [dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True)]
    path = tmp_path / "t.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(table))
        writer.writeheader()
        writer.writerows(rows)
    dt.tabular.fit(str(path), "kind", "tree", valid=list(range(10))).save(tmp_path / "run")
    pool = tables.pool_of(tmp_path / "run")
    assert pool.material.classes == ("x", "y", "z") and name in path.read_text()
    for model in ("quick", "own"):
        queue = queue_of(pool, folds=5, model=model)
        seen = [row.item.label for row in queue.rows if row.was_seen]
        assert seen == ["z"]


def test_numbers_of_rows_are_predicted_in_the_unit_of_the_table(tmp_path: Path) -> None:
    draw = np.random.default_rng(6)
    x = draw.random(260)
    y = np.exp(6 * x)
    y[100] = 5.0 if x[100] > 0.5 else 400.0
    source = {"x": x.tolist(), "noise": draw.random(260).tolist(), "price": y.tolist()}
    path = tmp_path / "t.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([tuple(source), *zip(*source.values(), strict=True)])
    dt.tabular.fit(str(path), "price", "tree", log_target=True, target_kind="number").save(
        tmp_path / "run"
    )
    pool = tables.pool_of(tmp_path / "run")
    for folds in (0, 4):
        queue = queue_of(pool, folds=folds)
        by_name = {row.item.name: row for row in queue.rows}
        said = np.array([by_name[f"row {at + 1}"].predicted for at in range(260)])
        others = np.delete(np.arange(260), 100)
        apart = np.abs(np.log(said[others]) - np.log(y[others]))
        assert np.median(apart) < 0.5, "in the table's own unit, not of the logarithm"
    assert queue.rows[0].item.label and queue.classes == ()


def test_rows_that_are_equal_by_chance_are_no_copies(tmp_path: Path) -> None:
    draw = np.random.default_rng(7)
    a, b = draw.integers(0, 3, 150), draw.integers(0, 2, 150)
    path = tmp_path / "t.csv"
    with path.open("w", newline="") as file:
        rows = [
            ("a", "b", "goal"),
            *((f"a{i}", f"b{j}", "yes" if i > 0 else "no") for i, j in zip(a, b, strict=True)),
        ]
        csv.writer(file).writerows(rows)  # fmt: skip
    dt.tabular.fit(str(path), "goal", "tree").save(tmp_path / "run")
    pool = tables.pool_of(tmp_path / "run")
    assert pool.by_chance and not len(pool.near().first)
    queue = queue_of(pool, folds=2)
    assert queue.basis == "out of 2 folds, by gradient boosting" and not queue.chosen(flagged=True)


def test_a_model_that_cannot_be_made_anew_is_refused(
    census: tuple[Path, set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables.fitting, "FITTERS", {})
    pool = tables.pool_of(census[0])
    with pytest.raises(
        ConfigError,
        match=r"^The run's model 'tree' cannot be made anew for each fold\. Take: --model quick$",
    ):
        queue_of(pool, folds=5, model="own")
