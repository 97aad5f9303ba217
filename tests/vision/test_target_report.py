"""The report of a run of several targets: each as a run of it alone, and what holds for all of them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import drivetrain as dt
from drivetrain.interpret.mistakes import confusion
from drivetrain.metrics.interval import wilson_interval
from drivetrain.report.build import Report, build
from drivetrain.report.evidence import Evidence
from drivetrain.report.record import open_record
from drivetrain.report.targets import parts_of
from drivetrain.vision.report_looks import Show
from drivetrain.vision.reporting import evidence
from tests.vision.leaves import BOTH, CLASSES

pytestmark = pytest.mark.row(118)


@pytest.fixture(scope="module")
def run(leaves_trained: dt.Learner) -> Path:
    assert leaves_trained.run is not None
    return Path(leaves_trained.run.folder)


@pytest.fixture(scope="module")
def known(run: Path) -> Evidence:
    return evidence(run)


@pytest.fixture(scope="module")
def made(run: Path, known: Evidence) -> Report:
    return build(open_record(run), known)


def block(report: Report, section: str, title: str) -> str:
    """The HTML of one card."""
    (found,) = (one for one in report.sections if one.key == section)
    (card,) = (one for one in found.blocks if one.title == title)
    return card.html


def test_each_target_has_its_errors_and_its_rules(
    made: Report, known: Evidence, leaves_trained: dt.Learner, run: Path
) -> None:
    results = open_record(run).value["results"]["targets"]
    record = leaves_trained.predictions()
    for place, name in enumerate(BOTH, 1):
        found = confusion(record.of(name))
        text = block(made, f"errors-{place}", "Confusion matrix")
        assert f"{found.num_wrong:,} of {found.num_items:,} are wrong" in text
        for label in CLASSES[name]:
            assert label in text
        other = next(one for one in BOTH if one != name)
        assert not any(label in text for label in CLASSES[other])
        rules = block(made, "result", f"{name} beside simple rules")
        assert "always the commonest" in rules and "nearest mean picture" in rules
        assert known.targets[name].baselines[0].name in rules
        fact = next(one for one in made.head.facts if one.name == f"{name} accuracy")
        assert float(fact.value.rstrip("%")) == pytest.approx(
            100 * results[name]["accuracy"], abs=0.05
        )
        assert f"{name}: " in made.head.verdict


def test_how_often_all_are_right_is_counted_item_by_item(
    made: Report, leaves_trained: dt.Learner
) -> None:
    record = leaves_trained.predictions()
    wrong = np.stack([(record.of(n).preds != record.of(n).targets).numpy() for n in BOTH])
    right = int((~wrong).all(axis=0).sum())
    low, high = wilson_interval(right, len(record))
    text = block(made, "result", "All targets at once")
    assert (
        f"{right} of {len(record)} are right in disease and variety at once: "
        f"{100 * right / len(record):.1f}% (95% interval {100 * low:.1f}% to {100 * high:.1f}%)."
        in text
    )
    chance = (1 - wrong.mean(axis=1)).prod()
    assert f"<td class='num'>{100 * chance:.1f}%</td>" in text


def test_classes_of_two_targets_are_counted_together(made: Report, known: Evidence) -> None:
    codes = known.together
    assert codes is not None
    text = block(made, "data", "disease and variety together")
    for row, disease in enumerate(CLASSES["disease"]):
        counts = [int((codes == (row, column)).all(axis=1).sum()) for column in range(3)]
        cells = "".join(f"<td class='num'>{count}</td>" for count in counts)
        assert f"<tr><td>{disease}</td>{cells}</tr>" in text


def test_the_worst_pictures_of_a_target_show_where_its_own_head_looked(
    leaves_trained: dt.Learner, known: Evidence
) -> None:
    application: Any = leaves_trained.application
    valid = application.data.pictures("valid", target=1)
    show = known.targets["variety"].show
    assert isinstance(show, Show)
    said = leaves_trained.predictions().of("variety").preds.tolist()
    for place, shown in enumerate(show(range(len(valid)))):
        true = CLASSES["variety"][int(valid.targets[place])]
        captions = [look.caption for look in shown.looks[1:]]
        wanted = [f"for {CLASSES['variety'][said[place]]}", f"for {true}"]
        assert shown.label == true
        assert captions == list(dict.fromkeys(wanted))


def test_the_map_of_a_target_is_of_what_its_own_head_is_given(
    leaves_trained: dt.Learner, known: Evidence
) -> None:
    model = leaves_trained.model.eval()
    (inputs,) = (batch for batch, _ in leaves_trained.loaders.valid)  # pyright: ignore[reportOptionalIterable]
    for place, name in enumerate(BOTH):
        head: Any = model.get_submodule(f"head.heads.{place}")
        with torch.inference_mode():
            pooled = head.norm(head.pool(model.get_submodule("body")(inputs)))
            wanted = head.hidden_norm(head.act(head.hidden(pooled)))
        found = known.targets[name].map
        assert found is not None
        torch.testing.assert_close(torch.from_numpy(found.vectors), wanted)
        assert found.groups == CLASSES[name]


def test_the_page_is_one_file_that_asks_for_nothing(made: Report) -> None:
    text = made.to_html()
    assert "<script" not in text and "http" not in text.replace("http-equiv", "")
    assert "drivetrain train" in text and "--target disease --target variety" in text
    assert "disease: one of 2 classes; variety: one of 3 classes" in text
    assert "at random, of every class of disease alike" in text
    keys = [section.key for section in made.sections]
    assert len(set(keys)) == len(keys)
    assert made.to_slides().count("Where it errs: variety") > 3


def test_without_its_data_the_run_says_what_it_knows(run: Path) -> None:
    found = build(open_record(run), Evidence(notes=["The data is gone."]))
    assert {fact.name for fact in found.head.facts} >= {f"{name} accuracy" for name in BOTH}
    keys = {section.key for section in found.sections}
    assert "result" in keys and not keys & {"errors-1", "data"}


def test_a_run_that_is_not_finished_says_so(run: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(run, tmp_path / "run")
    record = open_record(folder)
    value = {name: one for name, one in record.value.items() if name != "results"}
    found = build(replace(record, value=value), Evidence())
    assert found.head.verdict == "This run is not finished."
    assert found.advice[0].what == "Finish the training."


def test_names_of_targets_are_text_and_nothing_else(run: Path, known: Evidence) -> None:
    evil = "<b>bold</b>' onmouseover='x"
    record = open_record(run)
    task = record.task | {"targets": {evil: ["a", "b"], "variety": list(CLASSES["variety"])}}
    results = record.value["results"]
    told = {evil: results["targets"]["disease"], "variety": results["targets"]["variety"]}
    metrics = {
        name.replace("disease", evil): value for name, value in results["metrics"]["valid"].items()
    }
    changed = replace(
        record,
        value=record.value
        | {"task": task, "results": results | {"targets": told, "metrics": {"valid": metrics}}},
    )
    own = replace(known.targets["disease"], target=evil)
    parts = {evil: own, "variety": known.targets["variety"]}
    text = build(changed, replace(known, targets=parts)).to_html()
    assert "<b>bold" not in text and "' onmouseover" not in text
    assert "Where it errs: &lt;b&gt;bold" in text


def test_a_run_of_one_target_has_no_parts(run: Path) -> None:
    record = open_record(run)
    task = {name: one for name, one in record.task.items() if name != "targets"}
    alone = replace(record, value={**record.value, "task": task})
    assert parts_of(alone, Evidence()) == []
    assert [part.name for part in parts_of(record, Evidence())] == BOTH
