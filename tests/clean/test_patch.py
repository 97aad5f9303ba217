"""clean/patch.py: what it changes, that it can be taken back, and how two of them merge."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from drivetrain.clean.journal import Decision
from drivetrain.clean.patch import Change, Patch, merge
from drivetrain.errors import DataError, ShapeError


def item(name: object) -> str:
    return hashlib.sha256(str(name).encode()).hexdigest()


changes = st.builds(
    Change,
    st.sampled_from(["owl", "kite", None]),
    st.sampled_from(["hawk", "=cmd()", None]),
    st.sampled_from(["", "a.jpg", "b.jpg"]),
)
patches = st.dictionaries(st.integers(0, 6).map(item), changes, max_size=6).map(Patch)


def test_labels_change_and_items_leave_and_the_source_stays() -> None:
    patch = Patch(
        {
            item(0): Change("owl", "hawk", "a.jpg"),
            item(1): Change(None, "hawk"),
            item(2): Change("owl", "kite", "c.jpg"),
            item(9): Change("owl"),
        }
    )
    labels = ["hawk", "hawk", "hawk", "owl"]
    found = patch.apply([item(number) for number in range(4)], labels)
    assert labels == ["hawk", "hawk", "hawk", "owl"]
    assert found.labels == ("owl", "hawk", "hawk", "owl")
    assert found.kept == (True, False, True, True)
    assert found.notes() == (
        "The patch gives 1 items another label and leaves 1 out.",
        "1 items have a label by now that the patch does not know, and were left as they are: c.jpg.",
        "1 items of the patch are not in this source.",
    )


@given(
    patches, st.lists(st.tuples(st.integers(0, 6), st.sampled_from(["hawk", "owl"])), max_size=8)
)
def test_applied_twice_is_applied_once_and_the_inverse_takes_it_back(
    patch: Patch, rows: list[tuple[int, str]]
) -> None:
    hashes, labels = [item(number) for number, _ in rows], [label for _, label in rows]
    once = patch.apply(hashes, labels)
    again = patch.apply(hashes, once.labels)
    assert again.labels == once.labels
    undone = patch.inverted().apply(hashes, once.labels)
    for row, (name, label) in enumerate(zip(hashes, labels, strict=True)):
        change = patch.changes.get(name)
        if change is None or (change.was is not None and label == change.was):
            assert undone.labels[row] == label


@given(patches)
def test_what_is_written_is_read(patch: Patch) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = patch.write(Path(folder) / "p.json")
        assert Patch.read(path) == patch


@given(st.lists(patches, max_size=4), st.randoms(use_true_random=False))
def test_merging_does_not_depend_on_the_order_and_keeps_what_nobody_contradicts(
    all_, random
) -> None:
    agreed, apart = merge(all_)
    shuffled = list(all_)
    random.shuffle(shuffled)
    assert merge(shuffled) == (agreed, apart)
    everything = {name for patch in all_ for name in patch.changes}
    assert agreed.changes.keys() | apart.keys() == everything
    assert not agreed.changes.keys() & apart.keys()
    for name, different in apart.items():
        given_ = {(p.changes[name].label, p.changes[name].was) for p in all_ if name in p.changes}
        assert {(change.label, change.was) for change in different} == given_ and len(given_) > 1


def test_several_files_are_one_patch_where_they_agree(tmp_path: Path) -> None:
    mine = Patch({item(0): Change("owl", "hawk", "a.jpg"), item(1): Change(None, "hawk")})
    hers = Patch({item(0): Change("owl", "hawk", "a.jpg"), item(2): Change("kite", "owl")})
    files = [mine.write(tmp_path / "mine.json"), str(hers.write(tmp_path / "hers.json"))]
    assert Patch.of_setting(files) == Patch({**mine.changes, **hers.changes})
    assert Patch.of_setting((files[0],)) == mine
    his = Patch({item(0): Change("kite", "hawk", "a.jpg"), item(1): Change("owl", "hawk")})
    with pytest.raises(DataError) as caught:
        Patch.of_setting([*files, his])
    first = min(item(0), item(1))
    name, said = (
        ("a.jpg", "'kite' or 'owl'") if first == item(0) else (item(1)[:12], "left out or 'owl'")
    )
    assert str(caught.value) == (
        f"{name} is decided differently in these patches: {said}. 1 more are. Take all but one of the "
        "changes out of the patches, or decide it once more with `drivetrain clean`."
    )


def test_a_patch_of_decisions_has_what_changes() -> None:
    decisions = {
        item(2): Decision("relabel", "owl", "hawk", "ada", 1),
        item(1): Decision("delete", None, "kite", "ada", 2),
        item(0): Decision("keep", None, "kite", "ada", 3),
    }
    patch = Patch.of(decisions, {item(2): "c.jpg"})
    assert patch.changes == {
        item(1): Change(None, "kite"),
        item(2): Change("owl", "hawk", "c.jpg"),
    }


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({"a": 1}, r"p\.json is no patch: expected a file that `drivetrain clean` wrote\.$"),
        (
            {"format": "drivetrain-patch", "version": 3},
            r"p\.json is a patch of version 3, and 2 is known\. Use a newer Drivetrain\.$",
        ),
        (
            {"format": "drivetrain-patch", "version": 1},
            r"p\.json is a patch without its `changes`\. Restore it from a copy\.$",
        ),
        (
            {"format": "drivetrain-patch", "version": 1, "changes": {"../x": {"label": "owl"}}},
            r"p\.json is no sound patch: the change of item '\.\./x' is not as written\.$",
        ),
        (
            {"format": "drivetrain-patch", "version": 1, "changes": {item(1): {"label": 3}}},
            rf"p\.json is no sound patch: the change of item '{item(1)[:12]}' is not as written\.$",
        ),
    ],
)
def test_what_is_no_patch_is_refused(tmp_path: Path, value: object, sentence: str) -> None:
    path = tmp_path / "p.json"
    path.write_text(json.dumps(value))
    with pytest.raises(DataError, match=sentence):
        Patch.read(path)


def test_as_many_labels_as_items() -> None:
    with pytest.raises(ShapeError, match=r"^A patch got 1 items and 0 labels\.$"):
        Patch().apply([item(1)], [])
