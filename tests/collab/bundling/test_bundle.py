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
from click.testing import CliRunner
from hypothesis import given, settings, strategies as st
from tools.attack_corpus import Place

import drivetrain as dt
from drivetrain import store
from drivetrain.bundle import manifest as manifests
from drivetrain.cli import program
from drivetrain.collab import bundle
from drivetrain.collab.bundling import exporting
from drivetrain.collab.bundling.catalogue import Catalogue, read_catalogue
from drivetrain.collab.bundling.predictor import NO_HISTORY, CollabPredictor
from drivetrain.collab.seen import Seen
from drivetrain.collab.table.ids import Ids
from drivetrain.data.ratings import Lists
from drivetrain.errors import (
    BundleError,
    ConfigError,
    DataError,
    DrivetrainError,
    NonFiniteError,
    RunError,
)  # fmt: skip
from tests.collab.bundling.bundles import KINDS, asked, fitted, pairs, written
from tests.collab.made import planted

AGAIN = "Take it anew from where it came from."


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
        *("golden.json", "golden.safetensors", "guard.json", "guard.safetensors"),
        *("model.safetensors", "predict.py"),
    ]
    assert dt.collab.verify(made, sha256=found.sha256) == found


@pytest.mark.parametrize(
    "kind", [pytest.param(k, marks=pytest.mark.slow) if k == "dot" else k for k in KINDS]
)
def test_it_answers_as_the_model_does_to_the_bit(kind: str, tmp_path: Path) -> None:
    own, export = fitted(kind, tmp_path)
    export(tmp_path / "b", guard=False, script=False)
    assert dt.collab.verify(tmp_path / "b").largest_difference == 0
    model = dt.collab.load(tmp_path / "b")
    assert isinstance(model, CollabPredictor) and model.guard is None
    table = pairs()
    found, wanted = model.predict(table), own.predict(table)
    assert found.to_json() == wanted.to_json() and found.notes == wanted.notes
    for user in ("u003", "u004", "nobody"):
        assert model.recommend(user, 4).to_json() == own.recommend(user, 4).to_json()
        options: dict[str, Any] = {"exclude_seen": False, "deny": ["i001"], "allow": table["item"]}
        found, wanted = (one.recommend(user, 9, **options) for one in (model, own))
        assert found.to_json() == wanted.to_json()
    assert not {"i001", "nothing"} & {one.item for one in found}
    np.testing.assert_array_equal(model.popularity, own.popularity)


def test_what_a_user_rated_is_not_recommended(made: Path) -> None:
    columns = planted().columns
    rated = {i for u, i in zip(columns["user"], columns["item"], strict=True) if u == "u003"}
    model = dt.collab.load(made)
    known = {model.items.names[code] for code in model.seen[model.users.code("u003")]}
    assert known and known <= rated
    found = {one["item"] for one in asked("recommend", made, "u003", "-k", 60)["items"]}
    assert len(found) == 60 - len(known) and not found & known


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_onnx_runtime_answers_as_torch_does(kind: str, tmp_path: Path) -> None:
    own, export = fitted(kind, tmp_path)
    export(tmp_path / "b", onnx=True)
    told = store.read_json(tmp_path / "b" / "bundle.json")["onnx"]
    assert told["largest_difference"] <= 1e-5
    found = dt.collab.verify(tmp_path / "b", engine="onnx")
    assert (found.engine, found.tolerance) == ("onnx", told["tolerance"])
    assert found.largest_difference <= 1e-5
    model = dt.collab.load(tmp_path / "b", engine="onnx")
    table = pairs()
    np.testing.assert_allclose(
        model.predict(table).values, own.predict(table).values, rtol=1e-5, atol=1e-6
    )
    none = np.zeros(0, np.int32)
    assert model.outputs(none, none).shape == (0,)
    ours, theirs = (one.recommend("u003", 8) for one in (model, own))
    assert [one.item for one in ours] == [one.item for one in theirs]
    assert [one.near for one in ours] == [one.near for one in theirs]


def test_a_run_is_exported_from_its_folder(tmp_path: Path) -> None:
    path = written(tmp_path / "ratings.csv", end="\r\n")
    learner = dt.collab.learner(path, num_factors=3, progress=False)
    learner.train(1)
    learner.save(tmp_path / "run")
    plain: dict[str, Any] = {"guard": False, "script": False}
    found = dt.collab.export(tmp_path / "run", tmp_path / "b", golden=3, **plain)
    assert found.golden == 3
    told = store.read_json(tmp_path / "b" / "bundle.json")["training"]
    assert told["data"] == "ratings.csv" and str(tmp_path) not in json.dumps(told)
    path.write_text(path.read_text().replace("u003", "u999"))
    with pytest.raises(RunError) as refused:
        dt.collab.export(tmp_path / "run", tmp_path / "c", script=False)
    assert str(refused.value) == (
        f"The ratings of {path} are not those that {tmp_path / 'run'} began with. Put them back, or "
        "train anew."
    )
    assert refused.value.__notes__ == [
        "Without its ratings it is exported by: --golden 0 --no-guard."
    ]
    path.unlink()
    with pytest.raises(DataError):
        dt.collab.export(tmp_path / "run", tmp_path / "c", golden=0, script=False)
    assert not (tmp_path / "c").exists()
    assert dt.collab.export(tmp_path / "run", tmp_path / "c", golden=0, **plain).golden == 0


def test_what_export_is_told_it_does_or_refuses(tmp_path: Path) -> None:
    learner = dt.collab.learner(
        written(tmp_path / "ratings.csv"), num_factors=3, batch_size=64, progress=False
    )
    learner.train(1)
    learner.save(tmp_path / "run")
    words = ["export", str(tmp_path / "run"), "-o", str(tmp_path / "b"), "--no-history"]
    refused = CliRunner().invoke(program, [*words, "--golden", "3"])
    assert refused.exit_code == 2 and not (tmp_path / "b").exists()
    assert refused.stderr == (
        "drivetrain: Golden pairs are who rated what, which without history stays at home: made-up pairs "
        "prove such a bundle. Leave `golden` out, or give 0.\n"
    )
    done = CliRunner().invoke(program, [*words, "--no-guard", "--no-script"])
    assert done.exit_code == 0, done.output
    assert f"\nNext\n  drivetrain predict {tmp_path / 'b'} TABLE\n" in done.stdout
    assert f"\n  drivetrain recommend {tmp_path / 'b'} USER\n" in done.stdout
    assert not [
        path.name
        for path in (tmp_path / "b").iterdir()
        if path.name.startswith(("guard", "predict", "golden/"))
    ]


def test_tables_that_are_none_are_refused_in_a_sentence(made: Path, tmp_path: Path) -> None:
    for text, said in (
        ("user,item\r\n", "{path} names 2 columns and has no rows."),
        (
            "film,stars\r\ni004,3\r\n",
            "No column's name says that it holds the users. Give `user`. Columns: film, stars.",
        ),
    ):
        path = tmp_path / "t.csv"
        path.write_text(text, newline="")
        done = CliRunner().invoke(program, ["predict", str(made), str(path)])
        assert (done.exit_code, done.stdout) == (2, "")
        assert done.stderr == f"drivetrain: {said.format(path=path)}\n"


def test_without_history_nobodys_ratings_travel(learner: Any, tmp_path: Path) -> None:
    found = learner.export(tmp_path / "b", with_history=False, script=False)
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
    assert asked("recommend", tmp_path / "b", "u003", "-k", 5) == told.to_json()
    words = ["recommend", str(tmp_path / "b"), "--all", "--out", str(tmp_path / "all.csv")]
    assert CliRunner().invoke(program, words).stderr == f"drivetrain: {NO_HISTORY}\n"
    assert CliRunner().invoke(program, [*words, "--seen"]).stderr == ""
    card = (tmp_path / "b" / "README.md").read_text()
    assert "Who rated what is not in it" in card and "how many ratings each has" in card
    with pytest.raises(ConfigError) as refused:
        learner.export(tmp_path / "c", with_history=False, golden=3)
    assert str(refused.value) == (
        "Golden pairs are who rated what, which without history stays at home: made-up pairs prove such "
        "a bundle. Leave `golden` out, or give 0."
    )


def test_the_card_says_what_a_stranger_needs(made: Path) -> None:
    text = " ".join((made / "README.md").read_text().split())
    for said in (
        "Predicts the rating that a user gives an item, and recommends items.",
        "It holds who rated what, and how, by the names in the ratings: personal data.",
        "| this model |",
        "| item mean |",
    ):
        assert said in text


def test_what_a_bundle_cannot_be_is_refused_by_name(
    learner: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match=r"^`golden` must be 0 to 1000\. Got 1001\.$"):
        learner.export(tmp_path / "b", golden=1001)
    with pytest.raises(
        ConfigError,
        match=r"^`fit_rating_guard` got coverage 1\.5, expected a share between 0 and 1\.$",
    ):
        learner.export(tmp_path / "b", coverage=1.5)
    monkeypatch.setattr(exporting, "MOST_ONNX_BYTES", 4)
    with pytest.raises(
        ConfigError,
        match=r"^The vectors take 0\.0 GB, and an ONNX file holds 4e-09 GB\. Export without --onnx; "
        r"predict\.py in the bundle needs no Drivetrain\.$",
    ):
        learner.export(tmp_path / "b", onnx=True)
    assert not (tmp_path / "b").exists()


def test_engines_that_there_are_not_are_refused(made: Path, tmp_path: Path) -> None:
    doors: list[Callable[..., Any]] = [dt.collab.verify, dt.collab.load]
    for door in doors:
        with pytest.raises(
            BundleError,
            match=r"films has no model\.onnx\. Export it with --onnx, or use --engine torch\.$",
        ):
            door(made, engine="onnx")
        with pytest.raises(
            ConfigError,
            match=r"^There is no engine 'onx'\. Did you mean 'onnx'\? Known: torch, onnx\.$",
        ):
            door(made, engine="onx")
    with pytest.raises(ConfigError) as refused:
        dt.collab.load(tmp_path, engine="onnx")
    assert str(refused.value) == (
        f"{tmp_path} is a run, and runs have no ONNX form. Export it with --onnx, or use --engine torch."
    )


# --- the catalogue --------------------------------------------------------------------------------

NAMES = st.lists(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6), unique=True
)


@settings(max_examples=40, deadline=None)
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


@settings(max_examples=15, deadline=None)
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
    for stored, said in (
        ([["a", "b"]], "does not hold the 8 pairs that golden.json names"),
        ([["a", 1]] * 8, "has ['a', 1] as `pairs`, expected a user and an item, both texts"),
    ):
        path.write_text(json.dumps({"pairs": stored}))
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
