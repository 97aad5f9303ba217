"""Histograms, worst items, large matrices, and what is to be done next."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as arrays

from drivetrain.report.errors import MOST_CLASSES, errors, findings, worst_positions
from drivetrain.report.evidence import Amounts, Evidence
from drivetrain.report.next_steps import MOST, next_steps
from drivetrain.report.question import BINS, amounts_block, binned
from drivetrain.train.predictions import Predictions
from tests.interpret.records import of_scores
from tests.report.hostile import evidence_of, record_of

CALM = ("cat", "dog", "eel", "fox")


@given(
    arrays.arrays(
        np.float64, st.integers(1, 80), elements=st.floats(-1e6, 1e6, allow_subnormal=False)
    )
)
def test_every_value_is_in_one_bin(values: np.ndarray) -> None:
    edges, counts = binned(values)
    assert sum(counts) == len(values)
    assert len(edges) == len(counts) + 1 <= 2 * BINS + 2
    assert np.all(np.diff(edges) > 0)


def test_few_whole_numbers_have_a_bin_each() -> None:
    edges, counts = binned(np.array([1.0, 2, 2, 5]))
    assert edges == [0.5, 1.5, 2.5, 3.5, 4.5, 5.5] and counts == [1, 2, 0, 0, 1]
    assert binned(np.array([3.0, 3.0])) == (pytest.approx(np.linspace(2.5, 3.5, BINS + 1)), [
        2 * (place == BINS // 2) for place in range(BINS)
    ])  # fmt: skip


def test_the_worst_are_the_wrong_ones_by_their_loss() -> None:
    found = findings(evidence_of(names=CALM))
    assert found is not None and found.classified is not None
    places = worst_positions(found, 1000)
    assert len(places) == found.classified.wrong.sum() > 5
    losses = found.predictions.losses[places]
    assert torch.equal(losses, losses.sort(descending=True).values)


def test_of_many_classes_the_most_confused_are_drawn_and_all_are_counted() -> None:
    names = tuple(f"class {place}" for place in range(60))
    evidence = evidence_of(names=names, count=600)
    found = findings(evidence)
    assert found is not None
    section = errors(found, evidence)
    assert section is not None
    matrix = section.blocks[0]
    assert f"Shown are the {MOST_CLASSES} of 60 classes with the most mistakes." in matrix.html
    assert matrix.html.count("<rect class=") <= MOST_CLASSES**2


def test_two_classes_have_a_line_to_draw_and_numbers_a_cloud() -> None:
    evidence = evidence_of(names=("no", "yes"))
    found = findings(evidence)
    assert found is not None and found.thresholds is not None
    section = errors(found, evidence)
    assert section is not None
    assert "Where to draw the line for “yes”" in [block.title for block in section.blocks]

    targets = torch.linspace(0, 10, 50)
    numbers = Predictions([str(i) for i in range(50)], targets, targets + 1, torch.ones(50))
    found = findings(Evidence(predictions=numbers, target="price"))
    assert found is not None
    section = errors(found, Evidence(predictions=numbers, target="price"))
    assert section is not None
    assert [b.title for b in section.blocks] == [
        "Predicted and true",
        "How far off",
        "The 12 worst",
    ]
    assert "On the whole it is too high, by 1." in section.blocks[0].html


def test_several_labels_an_item_leave_what_is_not_for_them() -> None:
    labels = Predictions(["a", "b"], torch.ones(2, 3), torch.zeros(2, 3), torch.ones(2), CALM[:3])
    evidence = Evidence(predictions=labels, classes=CALM[:3], facts={"x": np.arange(2.0)})
    found = findings(evidence)
    assert found is not None
    section = errors(found, evidence)
    assert section is not None and [block.title for block in section.blocks] == ["The 2 worst"]


# --- what to do next ------------------------------------------------------------------------------


def told(record: object, evidence: Evidence | None = None, **options: object) -> list[str]:
    evidence = evidence or Evidence(noun="pictures")
    found = next_steps(record, evidence, findings(evidence), **options)  # type: ignore[arg-type]
    return [f"{one.what} {one.why}" for one in found]


def test_a_rule_that_is_as_good_comes_first_and_a_worse_one_is_not_named(tmp_path: Path) -> None:
    record = record_of(tmp_path / "run", names=CALM)
    assert not any("beats" in line for line in told(record))
    close = {
        **record.value["results"],
        "baselines": {"rule": {"accuracy": 0.74, "interval": [0.65, 0.81]}},
    }
    again = replace(record, value={**record.value, "results": close})
    assert told(again)[0].startswith(
        "Do not rely on it before it beats “rule”. accuracy 0.7500 against"
    )


def curve(*rows: tuple[float, float]) -> tuple[dict[str, float], ...]:
    return tuple({"epoch": e, "train_loss": t, "valid_loss": v} for e, (t, v) in enumerate(rows))


@pytest.mark.parametrize(
    ("rows", "first"),
    [
        (
            [(1.0, 1.0), (0.5, 0.8), (0.2, 1.0)],
            "Augmentation: vary the pictures in training. After 3 epochs the loss is 0.2 on",
        ),
        (
            [(1.0, 1.0), (0.8, 0.8), (0.6, 0.6)],
            "Fit the training data first: the training loss still falls, so train twice as long (6",
        ),
        (
            [(1.0, 1.0), (0.98, 0.99), (0.975, 0.98)],
            "Fit the training data first: the training loss has settled: find a higher learning rate",
        ),
    ],
)
def test_the_curves_say_which_way(
    tmp_path: Path, rows: list[tuple[float, float]], first: str
) -> None:
    record = replace(record_of(tmp_path / "run", names=CALM), epochs=curve(*rows))
    assert told(record)[0].startswith(first)


def test_labels_slices_data_and_the_sealed_set_have_their_turn(tmp_path: Path) -> None:
    evidence = evidence_of(names=CALM, count=400)
    weak = np.where(findings(evidence).classified.wrong, "night", "day")  # type: ignore[union-attr]
    from drivetrain.data.frame import Factor

    evidence = replace(
        evidence, facts={"light": Factor.of(weak.tolist())}, counts={"train": [100, 90, 80, 4]}
    )
    record = replace(record_of(tmp_path / "run", names=CALM), epochs=())
    lines = told(record, evidence)
    assert len(lines) <= MOST
    text = "\n".join(lines)
    assert "Look at the pictures with light = night: get more, or" in text
    assert "Get more pictures of “fox”. It has 4 to train on, the commonest class 100." in text
    assert "Look why 20 pictures were set aside." in text


def test_a_verb_that_there_is_not_is_not_recommended(tmp_path: Path) -> None:
    record = replace(record_of(tmp_path / "run", names=CALM), epochs=())
    every = next_steps(record, Evidence(), None)
    assert [one.command.split()[1] for one in every if one.command] == ["test"]
    assert not any(one.command for one in next_steps(record, Evidence(), None, commands={"train"}))


def test_a_test_set_that_was_opened_is_not_to_be_opened_as_if_it_were_not(tmp_path: Path) -> None:
    from drivetrain import store

    record = replace(record_of(tmp_path / "run", names=CALM), epochs=())
    assert told(record, Evidence())[-1].startswith("When you have decided, and only then, open")
    for times in ("once", "2 times"):
        store.append_line(record.folder / "looks.jsonl", {"look": 1})
        last = next_steps(record, Evidence(), None)[-1]
        assert last.what == "Choose nothing by the sealed test set any more."
        assert last.why.startswith(f"It was opened {times}: ") and last.command == ""


def numbers(outputs: np.ndarray, targets: np.ndarray) -> str:
    """What the report says of numbers predicted, and where it errs."""
    record = of_scores(torch.from_numpy(outputs), torch.from_numpy(targets))
    evidence = Evidence(noun="rows", predictions=record)
    found = findings(evidence)
    assert found is not None
    section = errors(found, evidence)
    assert section is not None
    return "".join(block.html for block in section.blocks)


def test_two_numbers_do_not_say_that_a_model_is_too_high() -> None:
    truth = np.array([1.0, 2.0])
    assert "neither too high nor too low" in numbers(truth + np.array([0.1, 0.4]), truth)
    many = np.arange(200.0)
    assert "it is too high, by 0.2500" in numbers(many + np.tile([0.1, 0.4], 100), many)


def test_a_span_of_true_numbers_holds_what_is_counted_in_it() -> None:
    truth = np.repeat([1.0, 2.0, 3.0, 4.0], 10)
    made = numbers(truth, truth)
    assert "1 to below 2" in made and "3 to 4" in made and "3 to below 4" not in made


def test_a_model_whose_answers_are_no_numbers_is_called_broken() -> None:
    targets = torch.arange(30) % 3
    scores = 3.0 * torch.eye(3)[targets]
    scores[4, 1] = float("nan")
    for record in (
        of_scores(scores, targets, classes=("a", "b", "c")),
        of_scores(scores[:, 1].clone(), torch.zeros(30)),
    ):
        evidence = Evidence(noun="rows", predictions=record)
        found = findings(evidence)
        assert found is not None
        section = errors(found, evidence)
        assert section is not None
        assert section.blocks[0].title == "Answers that are no numbers"
        assert "What it says of item 4 is NaN or infinite" in section.blocks[0].html
        assert [block.title for block in section.blocks][1:] == ["The 12 worst"]
    cannot_be = 3.0 * torch.eye(3)[targets]
    cannot_be[:, 2] = -torch.inf
    evidence = Evidence(noun="rows", predictions=of_scores(cannot_be, targets, classes="abc"))
    found = findings(evidence)
    assert found is not None and found.broken == "" and found.classified is not None


def test_shares_in_a_part_of_a_large_matrix_are_of_all_items_of_a_class() -> None:
    """Items that were taken for a class which is not drawn are of the true class as well."""
    count = MOST_CLASSES + 6
    targets = np.arange(count).repeat(10)
    taken = targets.copy()
    for true in range(count):
        at = 10 * true
        taken[at : at + 4] = (true + 1) % count  # 4 of 10 for the next one, 1 for the last
        taken[at + 4] = count - 1
    scores = torch.eye(count)[torch.from_numpy(taken)]
    names = tuple(f"k{i:02d}" for i in range(count))
    evidence = Evidence(
        noun="rows", predictions=of_scores(scores, torch.from_numpy(targets), classes=names)
    )
    found = findings(evidence)
    assert found is not None
    section = errors(found, evidence)
    assert section is not None
    made = section.blocks[0].html
    assert f"Shown are the {MOST_CLASSES} of {count} classes" in made
    hits = re.findall(r">k(\d\d) taken for k(\d\d): (\d+) \(([\d.]+)%\)", made)
    assert hits and {float(share) / 10 - int(many) for *_, many, share in hits} == {0.0}


def test_the_outer_bars_of_a_histogram_say_how_far_they_reach() -> None:
    values = np.concatenate([np.linspace(0, 1, 1000), [-50.0, 80.0, 90.0]])
    made = amounts_block(Amounts("How far off", values, "metres", "rows")).html
    rows = re.findall(r"<td[^>]*>([^<]*)</td><td[^>]*>([^<]*)</td><td[^>]*>([\d,]+)</td>", made)
    assert sum(int(count.replace(",", "")) for *_, count in rows) == len(values)
    assert (rows[0][0], rows[-1][1]) == ("-50", "90")
    for low, high, count in rows[1:-1]:
        inside = ((values >= float(low) - 1e-3) & (values <= float(high) + 1e-3)).sum()
        assert abs(int(count) - inside) <= 4
    assert re.search(r"<title>-50 to [^<]*</title>", made)
    nothing = amounts_block(Amounts("How far off", np.array([np.nan]), "metres", "rows"))
    assert "None of them is a finite number." in nothing.html
