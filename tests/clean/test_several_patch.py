"""clean/patch.py where items have several targets: two versions of the file, merging label by label."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from drivetrain.clean.journal import Decision
from drivetrain.clean.patch import Change, Patch, merge
from drivetrain.errors import DataError
from tests.clean.desks import item_hash as item

pytestmark = pytest.mark.row(118)

NAMES = ("disease", "variety")
relabels = st.builds(
    Change,
    st.sampled_from(["owl", "kite"]),
    st.sampled_from(["hawk", "=cmd()", None]),
    st.sampled_from(["", "a.jpg", "b.jpg"]),
)
items = st.integers(0, 4).map(item)
deletes = st.dictionaries(items, st.just(Change(None)), max_size=2)
patches = st.builds(
    Patch,
    deletes,
    st.dictionaries(st.sampled_from(NAMES), st.dictionaries(items, relabels, max_size=4)),
)


def test_a_patch_without_targets_is_written_as_it_always_was(tmp_path: Path) -> None:
    patch = Patch({item(0): Change("owl", "hawk", "a.jpg"), item(1): Change(None, "hawk")})
    path = patch.write(tmp_path / "p.json")
    assert json.loads(path.read_text()) == {
        "format": "drivetrain-patch",
        "version": 1,
        "changes": {
            item(0): {"label": "owl", "was": "hawk", "name": "a.jpg"},
            item(1): {"label": None, "was": "hawk", "name": ""},
        },
    }
    assert Patch.read(path) == patch


@given(patches)
def test_what_is_written_is_read_and_says_which_target(patch: Patch) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = patch.write(Path(folder) / "p.json")
        assert json.loads(path.read_text())["version"] == (2 if patch.targets else 1)
        assert Patch.read(path) == patch == Patch.from_json(patch.to_json())
    assert len(patch) == len(list(patch.all()))
    for target, changes in patch.targets.items():
        assert {change.target for change in changes.values()} == {target}


@given(st.lists(patches, max_size=4), st.randoms(use_true_random=False))
def test_merging_is_label_by_label_whatever_the_order(all_: list[Patch], random) -> None:
    agreed, apart = merge(all_)
    shuffled = list(all_)
    random.shuffle(shuffled)
    assert merge(shuffled) == (agreed, apart)
    said: dict[tuple[str, str], set[tuple[str | None, str | None]]] = {}
    for patch in all_:
        for name, change in patch.all():
            said.setdefault((name, change.target), set()).add((change.label, change.was))
    out = {name for name, target in said if not target}
    for (name, target), different in said.items():
        clashes = len(different) > 1 or (
            name in out and any((name, other) in said for other in NAMES)
        )
        kept = (agreed.targets.get(target, {}) if target else agreed.changes).get(name)
        told = {(c.label, c.was) for c in apart.get(name, ()) if c.target == target}
        assert (kept is None) == clashes and told == (different if clashes else set())


def test_where_two_people_differ_it_is_said_of_which_target(tmp_path: Path) -> None:
    mine = Patch({}, {"disease": {item(0): Change("blast", "rot", "a.jpg")}})
    hers = Patch({}, {"variety": {item(0): Change("adt", "ir20", "a.jpg")}})
    both = Patch.of_setting([mine.write(tmp_path / "mine.json"), hers.to_json()])
    assert {name: list(one) for name, one in both.targets.items()} == {
        "disease": [item(0)], "variety": [item(0)],
    }  # fmt: skip
    his = Patch({}, {"disease": {item(0): Change("smut", "rot", "a.jpg")}})
    with pytest.raises(DataError) as caught:
        Patch.of_setting([mine, hers, his])
    assert str(caught.value) == (
        "a.jpg is decided differently in these patches: 'blast' of disease or 'smut' of disease. Take "
        "all but one of the changes out of the patches, or decide it once more with `drivetrain clean`."
    )
    with pytest.raises(
        DataError, match=r"^a\.jpg is decided differently in these patches: left out or "
    ):
        Patch.of_setting([hers, Patch({item(0): Change(None, None, "a.jpg")})])


def test_each_target_has_its_own_changes_and_those_that_name_none() -> None:
    patch = Patch(
        {item(1): Change(None), item(2): Change("rot", "blast")},
        {
            "disease": {item(0): Change("rot", "blast", "a.jpg")},
            "variety": {item(0): Change("adt")},
        },
    )
    hashes = [item(number) for number in range(3)]
    found = patch.apply(hashes, ["blast", "blast", "blast"], "disease")
    assert found.labels == ("rot", "blast", "rot") and found.kept == (True, False, True)
    assert found.others == ("variety",)
    assert found.notes() == (
        "The patch gives 2 items another label and leaves 1 out.",
        "What it says of variety is not looked at, which is not learnt here.",
    )
    plain = patch.apply(hashes, ["blast"] * 3)
    assert plain.relabelled == 1 and plain.others == ("disease", "variety")
    assert plain.notes()[-1] == (
        "What it says of disease and variety is not looked at, which are not learnt here."
    )
    back = patch.inverted().apply(hashes, list(found.labels), "disease")
    assert back.labels == ("blast", "blast", "blast")


def test_one_label_changed_twice_in_one_file_is_refused() -> None:
    patch = Patch(
        {item(0): Change("rot", "blast", "a.jpg")}, {"disease": {item(0): Change("smut", "blast")}}
    )
    with pytest.raises(DataError) as caught:
        patch.apply([item(0)], ["blast"], "disease")
    assert str(caught.value) == (
        "a.jpg is decided differently in this patch: 'rot' or 'smut' of disease. Take one of the two out "
        "of it."
    )
    same = Patch({item(0): Change("rot", "blast")}, {"disease": {item(0): Change("rot", "blast")}})
    assert same.apply([item(0)], ["blast"], "disease").labels == ("rot",)


def test_a_patch_of_decisions_leaves_out_as_a_whole() -> None:
    gone = Decision("delete", None, "rot", "ada", 4)
    targets = {
        "disease": {item(0): gone, item(1): Decision("relabel", "rot", "blast", "ada", 1)},
        "variety": {item(0): gone, item(1): Decision("keep", None, "adt", "ada", 3)},
    }
    patch = Patch.of({}, {item(0): "a.jpg"}, targets)
    assert patch == Patch(
        {item(0): Change(None, None, "a.jpg")}, {"disease": {item(1): Change("rot", "blast")}}
    )


@pytest.mark.parametrize(
    ("targets", "sentence"),
    [
        ([], r"p\.json is a patch without sound `targets`\. Restore it from a copy\.$"),
        ({"disease": 3}, r"p\.json is a patch without sound `targets`\. Restore it from a copy\.$"),
        ({"disease": {item(0): {"label": None}}},
         rf"p\.json is no sound patch: the change of item '{item(0)[:12]}' is not as written\.$"),
        ({"disease": {"../x": {"label": "owl"}}},
         r"p\.json is no sound patch: the change of item '\.\./x' is not as written\.$"),
    ],
)  # fmt: skip
def test_what_is_no_patch_of_targets_is_refused(
    tmp_path: Path, targets: object, sentence: str
) -> None:
    path = tmp_path / "p.json"
    value = {"format": "drivetrain-patch", "version": 2, "changes": {}, "targets": targets}
    path.write_text(json.dumps(value))
    with pytest.raises(DataError, match=sentence):
        Patch.read(path)
