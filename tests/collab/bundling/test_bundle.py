"""Bundles of ratings: written, proved, opened, asked; what is wrong with one is said in a sentence."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from tools.attack_corpus import Place

import drivetrain as dt
from drivetrain import store
from drivetrain.bundle import manifest as manifests
from drivetrain.collab import bundle
from drivetrain.collab.bundling.catalogue import Catalogue, read_catalogue
from drivetrain.collab.bundling.predictor import NO_HISTORY, CollabPredictor
from drivetrain.collab.seen import Seen
from drivetrain.collab.table.ids import Ids
from drivetrain.data.ratings import Lists
from drivetrain.errors import BundleError, ConfigError, DrivetrainError, NonFiniteError
from tests.collab.made import planted

AGAIN = "Take it anew from where it came from."
TITLES = {f"i{k:03d}": f"Film — {k}" for k in range(60)}


def trained(**options: Any) -> Any:
    """A small model of made ratings."""
    usual: dict[str, Any] = {"num_factors": 3, "batch_size": 64, "progress": False}
    learner = dt.collab.learner(planted().columns, titles=TITLES, **(usual | options))
    learner.fit_one_cycle(2, 1e-2)
    return learner


@pytest.fixture(scope="module")
def learner() -> Any:
    """What the bundle is made of."""
    return trained()


@pytest.fixture(scope="module")
def made(learner: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with golden pairs and history."""
    place = tmp_path_factory.mktemp("bundle") / "films"
    learner.export(place)
    return place


@pytest.fixture
def spoilt(made: Path, tmp_path: Path) -> Place:
    """A copy to spoil, whose hashes can be made right again."""
    shutil.copytree(made, tmp_path / "copy")
    return Place(tmp_path / "copy", tmp_path)


# --- written and proved ---------------------------------------------------------------------------


def test_a_bundle_proves_itself_to_the_bit(made: Path) -> None:
    found = dt.collab.verify(made)
    assert (found.application, found.golden, found.largest_difference) == ("collab", 8, 0.0)
    assert sorted(path.name for path in made.iterdir()) == [
        *("README.md", "bundle.json", "catalogue.safetensors", "config.json", "golden"),
        *("golden.json", "golden.safetensors", "model.safetensors"),
    ]
    assert dt.collab.verify(made, sha256=found.sha256) == found


@pytest.mark.parametrize("name", ["dot_bias", "net"])
def test_it_answers_as_the_learner_does(name: str, tmp_path: Path) -> None:
    learner = trained(model=name)
    learner.export(tmp_path / "b")
    model, own = dt.collab.load(tmp_path / "b"), learner.application.model(learner)
    assert isinstance(model, CollabPredictor)
    pairs = {"user": ["u003", "u007", "nobody"], "item": ["i004", "Film — 9", "i004"]}
    found, wanted = model.predict(pairs), own.predict(pairs)
    assert found.to_json() == wanted.to_json()
    assert model.recommend("u003", 4).to_json() == own.recommend("u003", 4).to_json()
    assert model.recommend("nobody", 4).to_json() == own.recommend("nobody", 4).to_json()
    np.testing.assert_array_equal(model.popularity, own.popularity)


def test_a_run_is_exported_from_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "ratings.csv"
    columns = planted().columns
    rows = [",".join(map(str, row)) for row in zip(*columns.values(), strict=True)]
    path.write_text("\n".join([",".join(columns), *rows, ""]))
    learner = dt.collab.learner(path, num_factors=3, progress=False)
    learner.train(1)
    learner.save(tmp_path / "run")
    found = dt.collab.export(tmp_path / "run", tmp_path / "b", golden=3)
    assert found.golden == 3
    told = store.read_json(tmp_path / "b" / "bundle.json")["training"]
    assert told["data"] == "ratings.csv" and str(tmp_path) not in json.dumps(told)


def test_without_history_nobodys_ratings_travel(learner: Any, tmp_path: Path) -> None:
    found = learner.export(tmp_path / "b", with_history=False)
    assert found.golden == 0
    tensors = store.read_tensors(tmp_path / "b" / manifests.CATALOGUE)
    assert not [name for name in tensors if name.startswith("seen_")]
    model, own = dt.collab.open_bundle(tmp_path / "b"), learner.application.model(learner)
    assert not model.has_history and not len(model.seen.values)
    np.testing.assert_array_equal(model.popularity, own.popularity)
    np.testing.assert_array_equal(model.item_mean, own.item_mean)
    assert model.mean == own.mean
    told = model.recommend("u003", 5)
    assert told.notes[-1] == NO_HISTORY
    wanted = own.recommend("u003", 5, exclude_seen=False)
    assert [one.item for one in told] == [one.item for one in wanted]
    assert NO_HISTORY not in model.recommend("u003", 5, exclude_seen=False).notes
    card = (tmp_path / "b" / "README.md").read_text()
    assert "Who rated what is not in it" in card


def test_the_card_says_what_a_stranger_needs(made: Path) -> None:
    text = " ".join((made / "README.md").read_text().split())
    for said in (
        "Predicts the rating that a user gives an item, and recommends items.",
        "It holds who rated what, and how, by the names in the ratings: personal data.",
        "| this model |",
        "| item mean |",
    ):
        assert said in text


def test_many_unknown_names_are_told(made: Path) -> None:
    model = dt.collab.open_bundle(made)
    known = {"user": ["u003"] * 30, "item": ["i004"] * 30}
    assert model.predict(known).notes == ()
    notes = model.predict(known | {"user": ["u003"] * 10 + ["new"] * 20}).notes
    assert notes[-1] == (
        "Of 67% of these pairs the user or the item is unknown, of those that the model was measured on "
        "0%: expect larger errors than it is said to have."
    )


def test_what_a_bundle_cannot_be_is_refused_by_name(learner: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as found:
        learner.export(tmp_path / "b", onnx=True)
    assert str(found.value) == (
        "Models of ratings have no ONNX form here: what they need most are the names, which ONNX has no "
        "place for. Export without --onnx."
    )
    with pytest.raises(ConfigError, match=r"^`golden` must be 0 to 1000\. Got 1001\.$"):
        learner.export(tmp_path / "b", golden=1001)
    assert not (tmp_path / "b").exists()


def test_another_engine_is_refused(made: Path) -> None:
    doors: list[Callable[..., Any]] = [dt.collab.verify, dt.collab.load]
    for door in doors:
        with pytest.raises(
            ConfigError,
            match=r"^A bundle of ratings has no onnx form\. Use --engine torch\.$",
        ):
            door(made, engine="onnx")


# --- the catalogue --------------------------------------------------------------------------------

NAMES = st.lists(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6), unique=True
)


@settings(deadline=None)
@given(NAMES, NAMES, st.booleans(), st.data())
def test_a_catalogue_comes_back_as_it_was(
    users: list[str], items: list[str], has_history: bool, data: st.DataObject
) -> None:
    num_users, num_items = len(users) + 1, len(items) + 1
    codes = st.tuples(st.integers(1, max(1, len(users))), st.integers(1, max(1, len(items))))
    pairs = data.draw(st.lists(codes, max_size=9 if users and items else 0))
    owners, values = (np.array([pair[n] for pair in pairs], np.int32) for n in (0, 1))
    ratings = np.arange(len(pairs), dtype=np.float32)
    seen = Seen(Lists.from_codes(owners, values, num_users), ratings, num_items)
    vars(seen)["mean"] = 2.5  # of no ratings there is none
    titles = ("", *(f"\n{name}" for name in items))
    made = Catalogue(Ids(users), Ids(items), titles, seen, has_history)
    found = read_catalogue(made.tensors(), mean=2.5, where="here")
    assert (found.users.names, found.items.names) == (made.users.names, made.items.names)
    assert (found.titles, found.has_history, found.seen.mean) == (titles, has_history, 2.5)
    np.testing.assert_array_equal(found.seen.popularity, seen.popularity)
    if has_history:
        assert found.seen.sha256() == seen.sha256()
    else:
        assert not len(found.seen.items.values)


# --- what strangers make of it --------------------------------------------------------------------


def _refused(place: Place) -> str:
    with pytest.raises(BundleError) as found:
        bundle.open_bundle(place.folder)
    return str(found.value)


def _catalogue(place: Place, **changes: Any) -> None:
    path = place.folder / manifests.CATALOGUE
    tensors = store.read_tensors(path) | changes
    store.write_tensors(path, {name: t for name, t in tensors.items() if t is not None})
    place.seal()


def test_a_changed_byte_is_found_wherever_it_is(spoilt: Place) -> None:
    for path in sorted(p for p in spoilt.folder.rglob("*") if p.is_file()):
        data = path.read_bytes()
        for place in {0, len(data) // 3, len(data) // 2, len(data) - 1}:
            path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
            with pytest.raises(BundleError):
                dt.collab.verify(spoilt.folder)
        path.write_bytes(data)
    assert dt.collab.verify(spoilt.folder).largest_difference == 0


def test_a_catalogue_that_fits_nothing_is_refused(spoilt: Place) -> None:
    path = spoilt.folder / manifests.CATALOGUE
    good = store.read_tensors(path)
    begin = f"{path} cannot be used: "
    for changes, said in (
        ({"more": torch.zeros(1)}, "it holds other tensors than a catalogue has"),
        ({"seen_items": None}, "it holds other tensors than a catalogue has"),
        ({"users_ends": good["users_ends"].flip(0)}, "its users are no texts"),
        ({"items": good["items"] | 128}, "its items are no texts"),
        ({"titles_ends": good["titles_ends"].int()}, "its titles are no texts"),
        (
            {"popularity": -good["popularity"]},
            "it has not a title, a count and a mean for each item",
        ),
        (
            {"seen_items": good["seen_items"] + 60},
            "what users rated is not a list of items for each of them",
        ),
        (
            {"seen_offsets": good["seen_offsets"].flip(0)},
            "what users rated is not a list of items for each of them",
        ),
    ):
        _catalogue(spoilt, **good | changes)
        assert _refused(spoilt) == f"{begin}{said}. {AGAIN}"
        store.write_tensors(path, good)


def test_a_name_that_stands_there_twice_is_refused(spoilt: Place) -> None:
    path = spoilt.folder / manifests.CATALOGUE
    users = store.read_tensors(path)["users"].clone()
    users[4:8] = users[:4]
    _catalogue(spoilt, users=users)
    assert _refused(spoilt) == (
        f"{path} cannot be used: A name of a user or an item is empty, or stands there twice. {AGAIN}"
    )


def test_names_in_another_order_give_other_answers(spoilt: Place) -> None:
    users = store.read_tensors(spoilt.folder / manifests.CATALOGUE)["users"].reshape(-1, 4)
    _catalogue(spoilt, users=users.flip(0).reshape(-1).contiguous())
    with pytest.raises(BundleError, match="gives other answers than it was made with"):
        dt.collab.verify(spoilt.folder)


@pytest.mark.parametrize(
    ("entry", "value", "said"),
    [
        ("num_factors", 1 << 16, "cannot be used: the tensor "),
        ("num_factors", 0, "A model of ratings got num_factors 0, expected 1 to 65,536."),
        ("num_users", 1 << 40, "A model of ratings got num_users 1099511627776, expected 1 to"),
        ("num_items", 62, "is not of a model of so many users and items as the catalogue names"),
        ("y_range", [5.0, 1.0], "A model of ratings got y_range [5.0, 1.0], expected (low, high)."),
        ("y_range", [1, 1e301], "has a `y_range` beyond 1e+30"),
    ],
)
def test_an_unsound_description_is_refused_before_it_takes_memory(
    spoilt: Place, entry: str, value: Any, said: str
) -> None:
    told = spoilt.read()
    told["model"]["description"][entry] = value
    spoilt.write(told)
    assert said in _refused(spoilt)


def test_predictions_that_are_no_numbers_are_never_passed_on(made: Path) -> None:
    model = dt.collab.open_bundle(made)
    with torch.no_grad():
        model.net.get_parameter("item_bias.weight").fill_(torch.nan)
    with pytest.raises(
        NonFiniteError,
        match=r"^The model's predictions are NaN or infinite: its weights are damaged\. Restore it "
        r"from a copy, or train anew\.$",
    ):
        model.predict("u003", "i004")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_the_entries_say_is_answered_or_refused(made: Path, data: st.DataObject) -> None:
    """No entry of `bundle.json` makes anything but an answer or one of our own errors."""
    junk = st.sampled_from([None, True, -1, 0, 1 << 70, 0.5, "", "x", [], [[]], {}, {"a": 1}])
    value = json.loads((made / "bundle.json").read_text())
    place = value
    for _ in range(data.draw(st.integers(0, 2))):
        inner = [key for key in place if isinstance(place[key], dict) and place[key]]
        place = place[data.draw(st.sampled_from(inner))] if inner else place
    place[data.draw(st.sampled_from(sorted(place)))] = data.draw(junk)
    folder = made.parent / "junk"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(made, folder)
    spoilt = Place(folder, made.parent)
    value = spoilt.read() | {k if k != "architecture" else "model": v for k, v in value.items()}
    spoilt.write(value)
    said = ""
    try:
        dt.collab.verify(folder)
    except DrivetrainError as error:
        said = str(error)
    assert "\n" not in said


def test_golden_pairs_are_two_texts(spoilt: Place) -> None:
    path = spoilt.folder / bundle.PAIRS
    for pairs, said in (
        ([["a", "b"]], "does not hold the 8 pairs that golden.json names"),
        ([["a", 1]] * 8, "has ['a', 1] as `pairs`, expected a user and an item, both texts"),
    ):
        path.write_text(json.dumps({"pairs": pairs}))
        spoilt.seal()
        with pytest.raises(BundleError) as found:
            dt.collab.verify(spoilt.folder)
        assert str(found.value) == f"{path} {said}. {AGAIN}"


def test_a_catalogue_belongs_to_ratings_alone(spoilt: Place) -> None:
    told = spoilt.read()
    told["application"] = "tabular"
    spoilt.write(told)
    assert _refused(spoilt) == (
        f"{spoilt.description} names catalogue.safetensors among its `files` where it is not of ratings, "
        f"or does not. {AGAIN}"
    )
