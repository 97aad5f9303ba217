"""Golden examples: which are chosen, and how their outputs are compared."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, strategies as st

from drivetrain import store
from drivetrain.bundle import golden
from drivetrain.bundle.opening import read_manifest
from drivetrain.errors import BundleError
from tests.bundle.small import made, rewrite

AGAIN = "Take it anew from where it came from."


@given(targets=st.lists(st.integers(0, 5), min_size=1, max_size=40), count=st.integers(1, 12))
def test_the_chosen_cover_as_many_classes_as_they_can(targets: list[int], count: int) -> None:
    found = golden.chosen(targets, count)
    assert len(found) == len(set(found)) == min(count, len(targets))
    assert len({targets[i] for i in found}) == min(len(set(targets)), count)
    each = [sum(targets[i] == c for i in found) for c in set(targets)]
    held = [targets.count(c) for c in set(targets)]
    for had, of in zip(
        each, held, strict=True
    ):  # no class has two more than one that had more to give
        assert had >= min(of, max(each) - 1)


def test_a_difference_is_measured_against_the_largest_output() -> None:
    expected = {"logits": torch.tensor([[100.0, -1.0]]), "sets": torch.tensor([[True, False]])}
    found = {"logits": torch.tensor([[100.5, -1.0]]), "sets": torch.tensor([[True, False]])}
    assert golden.largest_difference(expected, expected) == 0
    assert golden.largest_difference(expected, found) == pytest.approx(0.005)
    assert golden.largest_difference(
        {"a": torch.tensor([0.5])}, {"a": torch.tensor([0.25])}
    ) == pytest.approx(0.25)  # below 1 it is the difference itself
    found["sets"] = torch.tensor([[True, True]])
    assert golden.largest_difference(expected, found) == math.inf
    assert (
        golden.largest_difference({"a": torch.tensor([0.5])}, {"a": torch.tensor([math.nan])})
        == math.inf
    )


def test_other_outputs_are_no_difference_but_an_error() -> None:
    one = {"logits": torch.zeros(2, 3)}
    with pytest.raises(BundleError) as caught:
        golden.largest_difference(one, {"scores": torch.zeros(2, 3)})
    assert str(caught.value) == (
        "The golden outputs are logits, and scores were calculated. "
        "Take the bundle anew from where it came from."
    )
    with pytest.raises(BundleError) as caught:
        golden.largest_difference(one, {"logits": torch.zeros(1, 3)})
    assert str(caught.value) == (
        "The golden output `logits` is (2, 3) torch.float32, and (1, 3) torch.float32 was calculated. "
        "Take the bundle anew from where it came from."
    )


@pytest.mark.parametrize(
    ("items", "sentence"),
    [
        (
            [{"file": "../0.png", "label": "cat", "predicted": "cat"}],
            ", `items[0]`, has '../0.png' as `file`, expected a text of the form "
            r"golden/[0-9a-z]{1,20}\.[a-z]{1,8}.",
        ),
        (
            [{"file": "golden/7.png", "label": "cat", "predicted": "cat"}],
            ", `items[0]`, has 'golden/7.png' as `file`, expected a file of the bundle.",
        ),
        (
            [{"file": "golden/0.png", "label": "cow", "predicted": "cat"}],
            ", `items[0]`, has 'cow' as `label`, expected one of the bundle's classes.",
        ),
        ([], " does not name the files in golden/, each once."),
    ],
)
def test_a_wrong_list_of_examples_is_refused(tmp_path: Path, items: list, sentence: str) -> None:
    folder = made(tmp_path / "bundle")
    rewrite(folder, "golden.json", store.json_bytes({"items": items}))
    with pytest.raises(BundleError) as caught:
        golden.read_golden(folder, read_manifest(folder / "bundle.json"))
    assert str(caught.value) == f"{folder / 'golden.json'}{sentence} {AGAIN}"
