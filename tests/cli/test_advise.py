"""`drivetrain advise`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from drivetrain import store
from drivetrain.cli.advise import experiment
from drivetrain.cli.again import learner_again
from drivetrain.cli.trial import Ended, write_failed
from drivetrain.errors import RunError
from drivetrain.train.advice import advise
from drivetrain.train.paired import SHARE, errors_of
from tests.train.test_advice import FITTED, SETTLED, made


def test_a_run_is_advised_in_words_and_as_json(run, tmp_path: Path) -> None:
    folder = made(tmp_path / "a", FITTED)
    lines = run("advise", folder).stdout.splitlines()
    assert lines[5] == "> 6 a smaller model"
    assert lines[-2] == "  as an option of drivetrain train: --model resnet_tiny"
    assert lines[-1] == f"  drivetrain advise {folder} --run  # trains it in pairs, and says"
    told = {"words": ["train", "my photos", "--model", "resnet18"], "folder": str(Path.cwd())}
    store.write_json(folder / "command.json", told)
    line = "drivetrain train 'my photos' --model resnet_tiny"
    assert f"\n  {line}\n" in run("advise", folder).stdout
    assert json.loads(run("advise", folder, "--json").stdout)["command"] == line
    document = json.loads(run("advise", folder, "--json").stdout)
    assert (document["rung"], document["number"]) == ("smaller", 6)


def test_what_is_no_run_is_refused(run, tmp_path: Path) -> None:
    result = run("advise", tmp_path / "x")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.endswith("x is not a run folder: there is no such folder.\n")


class Runner:
    """Trains nothing: with the change an item in ten is right that was wrong."""

    def __init__(self, ends: Mapping[str, int] | None = None) -> None:
        self.ends = ends or {}
        self.specs: list[dict[str, Any]] = []

    def __call__(self, spec: Mapping[str, Any], limit: float) -> Ended:
        self.specs.append(dict(spec))
        name, folder = spec["name"], Path(spec["folder"])
        if name in self.ends:
            write_failed(folder, name, spec["run"], "The memory is full.")
            return Ended(self.ends[name], "")
        values = np.zeros(400)
        values[: 80 + spec["seed"] % 5] = 1
        if spec["changes"]:
            values[:40] = 0
        errors = errors_of(SHARE, [f"{place:03d}" for place in range(400)], values)
        path = folder / "measured" / f"{name}.json"
        store.make_folders(path.parent)
        tensors = {"values": torch.from_numpy(errors.values)}
        digest = store.write_tensors(path.with_suffix(".safetensors"), tensors)
        told = {"sha256": digest, "kind": errors.kind, "items": errors.items}
        row = {"name": name, "state": "done", "run": spec["run"], "metric": "error_rate"}
        store.write_json(path, row | {"error": errors.error, "errors": told})
        return Ended(0, "")


@pytest.mark.row(162)
def test_an_experiment_is_pairs_of_one_change_with_the_same_seeds(tmp_path: Path) -> None:
    folder = made(tmp_path / "a", FITTED)
    runner = Runner()
    tried = experiment(folder, advise(folder), seeds=3, runner=runner)
    asked = [(spec["name"], spec["changes"], spec["seed"]) for spec in runner.specs]
    change = {"model": "resnet_tiny"}
    assert asked == [
        ("changed-42", change, 42), ("unchanged-42", {}, 42), ("changed-43", change, 43),
        ("unchanged-43", {}, 43), ("changed-44", change, 44), ("unchanged-44", {}, 44),
    ]  # fmt: skip
    own = runner.specs[1]  # the run itself is the first of those without the change
    assert own["run"] == str(folder.resolve()) and own["is_there"]
    assert tried.verdict == "helped" and tried.difference == pytest.approx(-0.1)
    assert tried.unchanged == pytest.approx((0.205, 0.2075, 0.21)) and tried.items == 400
    assert advise(folder).tried == (tried,)


@pytest.mark.row(162)
def test_an_experiment_that_was_stopped_goes_on_with_what_is_missing(tmp_path: Path) -> None:
    folder = made(tmp_path / "a", FITTED)
    found = advise(folder)
    with pytest.raises(KeyboardInterrupt):
        experiment(folder, found, seeds=2, runner=Runner({"unchanged-43": 143}))
    assert advise(folder).tried == ()
    with pytest.raises(
        RunError, match=r"^The training unchanged-43 in .* failed: The memory is fu"
    ):
        experiment(folder, found, seeds=2, runner=Runner({"unchanged-43": 3}))
    runner = Runner()
    experiment(folder, found, seeds=2, runner=runner)
    assert [spec["name"] for spec in runner.specs] == ["unchanged-43"]


def test_what_cannot_be_trained_as_it_stands_is_said(run, tmp_path: Path) -> None:
    folder = made(tmp_path / "a", SETTLED, model={"name": "own"})
    result = run("advise", folder, "--run")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "drivetrain: What comes next cannot be trained as it stands: the training loss has settled: find "
        "a higher learning rate (lr_find), or take a larger model.\n"
    )


@pytest.mark.row(162)
def test_without_a_change_and_with_its_own_seed_it_is_the_run_itself(trained: Path) -> None:
    record = json.loads((trained / "run.json").read_text())

    def begun(seed: int, **changes: Any) -> Any:
        application: Any = learner_again(str(trained), changes, seed=seed).application
        return application

    own = begun(record["seed"])
    assert own.settings == record["settings"] and own.plan == record["plan"]
    other = begun(8)
    assert other.settings["initial_sha256"] != record["settings"]["initial_sha256"]
    assert other.data.split == own.data.split  # the split stays, and all else is drawn anew
    seeds = [one.loaders().train.seed for one in (own, other)]
    assert seeds == [record["seed"], 8]
    (ours, _), (theirs, _) = (next(iter(one.loaders().train)) for one in (own, other))
    assert ours.shape != theirs.shape or not torch.equal(ours, theirs)
    assert begun(8).settings == other.settings
    longer = begun(8, epochs=9)
    assert longer.plan == {**other.plan, "epochs": 9} and longer.settings == other.settings
    part = begun(8, fraction=0.5)
    assert len(part.data.split.train) < len(own.data.split.train)
    assert part.data.split.valid == own.data.split.valid


@pytest.mark.slow
@pytest.mark.row(162)
def test_advise_does_the_experiment_and_the_next_advice_knows_of_it(run, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "digits"
    words = ["--epochs", "1", "--set", "augment=false", "--set", "fraction=0.3"]
    found = run("train", "digits", *words, "--out", folder)
    assert found.exit_code == 0, found.output
    first = advise(folder)
    found = run("advise", folder, "--run", "--seeds", "2", "--json")
    assert found.exit_code == 0, found.output
    document = json.loads(found.stdout)
    assert document["option"] == first.option and document["seeds"] == [42, 43]
    value = json.loads((folder / "run.json").read_text())["results"]["metrics"]["valid"]
    assert document["unchanged"][0] == pytest.approx(1 - value["accuracy"])
    made_in = folder / "advice" / document["folder"]
    runs = [made_in / name for name in ("changed-42", "changed-43", "unchanged-43")]
    records = [json.loads((one / "run.json").read_text()) for one in runs]
    assert records[0]["plan"] == {**records[2]["plan"], "epochs": 2}
    assert len({one["results"]["weights_sha256"] for one in records}) == 3
    splits = [json.loads((one / "split.json").read_text()) for one in (folder, *runs)]
    assert all(one["valid"] == splits[0]["valid"] for one in splits)
    after = advise(folder)
    assert after.tried[0].verdict == document["verdict"]
    assert after.changes != first.changes
    assert run("diff", runs[0], runs[1]).exit_code == 0


def test_what_helped_is_gone_on_from_by_a_line_to_type(run, tmp_path: Path) -> None:
    folder = made(tmp_path / "my run", FITTED)
    experiment(folder, advise(folder), seeds=2, runner=Runner())
    lines = run("advise", folder).stdout.splitlines()
    better = f"'{folder}/advice/1-smaller/changed-42'"
    assert lines[-1] == f"  drivetrain advise {better}  # it helped: go on there"
