"""train/split_seed.py, eject/seeds.py: the split has a seed of its own, everywhere it is drawn."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import drivetrain as dt
from drivetrain import collab, store, tabular, text, vision
from drivetrain.cli import program
from drivetrain.train.choice import Choices
from drivetrain.train.split_seed import say_split_seed, seed_of
from tests.cli.conftest import write_pictures
from tests.collab.ejecting.runs import watched
from tests.eject import replay
from tests.tabular.tables import passengers, write
from tests.text.ejecting.films import folder as films

Make = Callable[..., Any]


def of_rows(where: Path, **seeds: int) -> Any:
    return tabular.gather(write(where / "t.csv", passengers()), "lives", **seeds)


def of_texts(where: Path, **seeds: int) -> Any:
    return text.gather(films(where / "films", 60), **seeds)


def of_ratings(where: Path, **seeds: int) -> Any:
    return collab.gather(write(where / "t.csv", watched()), **seeds)


GATHERED = [of_rows, of_texts, of_ratings]


def parts(data: Any) -> Any:
    return data.parts.tolist() if hasattr(data, "parts") else (data.split.train, data.split.valid)


@pytest.mark.row(119)
@pytest.mark.parametrize("gathered", GATHERED)
def test_members_with_other_seeds_share_their_split(tmp_path: Path, gathered: Make) -> None:
    one, two = (gathered(tmp_path, seed=seed, split_seed=7) for seed in (1, 2))
    plain = gathered(tmp_path, seed=7)
    assert parts(one) == parts(two) == parts(plain) != parts(gathered(tmp_path, seed=1))
    assert one.fingerprint() == two.fingerprint() == plain.fingerprint()
    assert (one.seed, two.seed) == (1, 2)  # of the order of batches
    assert one.recipe == {**plain.recipe, "seed": 1, "split_seed": 7}
    choice = one.choices["split_seed"]
    assert choice.reason == "as asked: runs with other seeds validate on the same items"
    assert "split_seed" not in plain.choices and "split_seed" not in plain.recipe


def test_a_seed_of_a_split_that_is_not_drawn_is_said_to_change_nothing() -> None:
    choices = Choices()
    say_split_seed(None, "random", choices)
    assert len(choices) == 0 and seed_of(3, None) == 3
    say_split_seed(7, "time", choices)
    assert choices["split_seed"].reason == (
        "as asked, and of no effect: nothing about this split is drawn"
    )
    choices.add("test", 9, reason="", change="")  # what is sealed was drawn
    say_split_seed(7, "folders", choices)
    assert choices["split_seed"].reason.startswith("as asked: runs")


def test_a_sealed_share_is_drawn_by_the_seed_of_the_split(tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", passengers())
    seals = [
        tabular.gather(table, "lives", test=0.2, seed=seed, split_seed=7).seal for seed in (1, 2)
    ]
    assert seals[0] == seals[1] and seals[0] is not None


# --- runs -------------------------------------------------------------------------------------------


def trained(data: Any, seed: int) -> dt.Learner:
    quiet: dict[str, Any] = {"progress": False, "seed": seed}
    if isinstance(data, tabular.TabularData):
        learner = tabular.learner(data, layers=[6], batch_size=16, **quiet)
    elif isinstance(data, collab.CollabData):
        learner = collab.learner(data, num_factors=3, batch_size=32, **quiet)
    else:
        sizes = {"embedding_dim": 4, "hidden_dim": 4}
        learner = text.learner(data, model="gru", sizes=sizes, batch_size=8, **quiet)
    learner.fit_one_cycle(1, 1e-2)
    return learner


def check(learner: dt.Learner, folder: Path, source: Path, level: str = "all") -> str:
    """The script, after it was run and came to the same weights."""
    learner.eject(folder / "ejected.py", level=level)
    run = replay.replayed_here if level == "all" else replay.replayed_with_drivetrain
    answer = run(folder / "ejected.py", folder / "out", source)
    assert answer["weights_sha256"] == store.weights_sha256(learner.model.state_dict())
    return (folder / "ejected.py").read_text("utf-8")


@pytest.mark.row(119)
@pytest.mark.parametrize(
    ("gathered", "level"),
    [
        (of_ratings, "all"),
        *(
            pytest.param(one, level, marks=pytest.mark.slow)
            for one, level in [(of_rows, "all"), (of_texts, "all"), (of_rows, "loop")]
        ),
    ],
)
@pytest.mark.parametrize(
    ("data_seed", "seed"), [(1, 1), pytest.param(3, 1, marks=pytest.mark.slow)]
)
def test_a_script_has_the_same_rows(
    tmp_path: Path, gathered: Make, level: str, data_seed: int, seed: int
) -> None:
    data = gathered(tmp_path, seed=data_seed, split_seed=7)
    script = check(trained(data, seed), tmp_path, Path(data.recipe["source"]), level)
    if level == "all":
        assert "\nSPLIT_SEED = 7  # of the split alone" in script
    assert ("\nDATA_SEED = 3" in script) == (data_seed == 3)


@pytest.mark.slow
@pytest.mark.row(119)
def test_a_run_of_pictures_is_resumed_and_ejected_with_its_split(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "photos"
    write_pictures(folder, each=8)
    runs = []
    for seed in (1, 2):
        data = vision.from_folder(folder, size=16, seed=seed, split_seed=7)
        learner = vision.learner(data, "resnet_tiny", progress=False, out=tmp_path / str(seed))
        learner.fit_one_cycle(1, 1e-2)
        learner.run.release()
        runs.append(vision.reopen(tmp_path / str(seed), progress=False))
        runs[-1].run.release()
    splits = [json.loads((tmp_path / str(seed) / "split.json").read_text()) for seed in (1, 2)]
    assert splits[0]["valid"] == splits[1]["valid"]
    script = check(runs[0], tmp_path, folder)
    assert "\nSPLIT_SEED = 7  # of the split alone" in script


@pytest.mark.row(119)
def test_two_seeds_on_the_command_line_are_measured_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "t.csv", passengers())

    def call(*words: object) -> Any:
        result = CliRunner().invoke(program, [str(word) for word in words])
        assert result.exit_code == 0, result.output
        return result

    for seed in (1, 2):
        words = ("--target", "lives", "--model", "tree", "--split-seed", 7, "--out", f"r{seed}")
        call("train", "t.csv", *words, "--seed", seed)
    document = json.loads(call("ensemble", "r1", "r2", "--json").stdout)
    assert len(document["members"]) == 2
    record = json.loads(Path("r1/run.json").read_text())
    assert (record["data"]["seed"], record["data"]["split_seed"]) == (1, 7)
    assert "runs with other seeds validate on the same items" in call("why", "r1").stdout
