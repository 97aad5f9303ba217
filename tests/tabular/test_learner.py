"""The net of a table is a Learner like any other: it repeats, resumes and stands beside baselines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import drivetrain as dt
from drivetrain import store
from drivetrain.errors import ConfigError, RunError
from drivetrain.models.tabular import TabularNet, create_tabular_net, embedding_dim, tabular_shapes
from drivetrain.train.callback import Callback, CancelFit
from tests.tabular.tables import passengers, sales, write

DESCRIPTION: dict[str, Any] = {
    "level_counts": [4, 3], "num_numbers": 2, "num_outputs": 1, "layers": [8], "dropout": 0.1,
    "embedding_dropout": 0.0, "y_range": [[0.0, 5.0]], "squeeze": True,
}  # fmt: skip


class StopsAfter(Callback):
    """Ends the fit in the middle of an epoch, as a signal would."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def after_batch(self, state: Any) -> None:
        if state.step == self.steps:
            state.interrupted = 15


def test_numbers_stay_in_their_range_and_one_of_them_is_flat() -> None:
    net = create_tabular_net(DESCRIPTION, seed=1)
    found: Tensor = net(torch.randint(3, (6, 2)), 100 * torch.randn(6, 2)).detach()
    assert found.shape == (6,) and float(found.min()) >= 0 and float(found.max()) <= 5
    plain = create_tabular_net(DESCRIPTION | {"y_range": None, "squeeze": False, "num_outputs": 3})
    assert plain(torch.randint(3, (6, 2)), torch.randn(6, 2)).shape == (6, 3)


@pytest.mark.parametrize(("levels", "numbers"), [([], 2), ([3], 0)])
def test_a_table_of_one_kind_of_columns_is_enough(levels: list[int], numbers: int) -> None:
    net = TabularNet(levels, numbers, 2, layers=(4,))
    assert net(torch.zeros(3, len(levels), dtype=torch.int64), torch.zeros(3, numbers)).shape == (
        3,
        2,
    )


def test_the_same_seed_gives_the_same_net_and_a_description_its_shapes() -> None:
    first, second = (create_tabular_net(DESCRIPTION, seed=1).state_dict() for _ in range(2))
    assert store.weights_sha256(first) == store.weights_sha256(second)
    shapes = tabular_shapes(DESCRIPTION)
    assert {name: (t.dtype, tuple(t.shape)) for name, t in first.items()} == shapes


def test_the_size_rule_is_that_of_fastai() -> None:
    assert [embedding_dim(n) for n in (2, 3, 9, 16, 42, 10_000, 10**7)] == [
        2,
        3,
        5,
        8,
        13,
        278,
        600,
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": [0]}, r"^A tabular net got layers \[0\], expected whole numbers\.$"),
        ({"level_counts": "x"}, r"^A tabular net got level_counts x, expected whole numbers\.$"),
        ({"dropout": 1}, r"^A tabular net got dropout 1, expected 0 to below 1\.$"),
        ({"num_outputs": 0}, r"^A tabular net got num_outputs 0, expected 1 or more\.$"),
        (
            {"y_range": [[5, 5]]},
            r"^A tabular net got y_range \[\[5, 5\]\], expected \(low, high\) for ",
        ),
        ({"squeeze": 1}, r"^A tabular net's `squeeze` is for one output\."),
        (
            {"level_counts": [], "num_numbers": 0},
            r"^A tabular net needs a column to predict from\.",
        ),
        (
            {"extra": 1},
            r"^A tabular net's description needs the entries level_counts, num_numbers, ",
        ),
    ],
)
def test_a_description_that_is_none_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        create_tabular_net(DESCRIPTION | change)


def test_a_run_says_what_it_is_and_stands_beside_baselines(tmp_path: Path) -> None:
    path = write(tmp_path / "p.csv", passengers())
    learner = dt.tabular.learner(
        path, "lives", layers=[8], epochs=2, progress=False, out=tmp_path / "run"
    )
    learner.train()
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["task"]["application"] == "tabular" and record["model"]["name"] == "net"
    assert set(record["results"]["baselines"]) == {"majority", "one_r", "tree", "forest"}
    assert record["results"]["items"] == {"train": 192, "valid": 48, "test": 0, "quarantined": 0}
    split = json.loads((tmp_path / "run" / "split.json").read_text())
    assert set(split["train"]).isdisjoint(split["valid"]) and len(split["train"]) == 192
    chosen = {choice["what"]: choice for choice in record["choices"]}
    assert "1.6 n^0.56 for n levels: sex 3→3, port 4→3" in chosen["embeddings"]["reason"]
    loaded = dt.tabular.load(tmp_path / "run")
    assert (loaded.predict(path).outputs == learner.predict(path).outputs).all()


@pytest.mark.parametrize("steps", [3, 8])
def test_a_run_that_was_cut_goes_on_to_the_same_bits(steps: int, tmp_path: Path) -> None:
    path = write(tmp_path / "s.csv", sales())
    given: dict[str, Any] = {
        "layers": [8],
        "batch_size": 50,
        "epochs": 3,
        "dropout": 0.1,
        "progress": False,
    }
    whole = dt.tabular.learner(path, "takings", **given)
    whole.train()
    cut = dt.tabular.learner(path, "takings", out=tmp_path / "run", **given)
    with pytest.raises(KeyboardInterrupt):
        cut.fit_one_cycle(3, cut.lr, callbacks=[StopsAfter(steps)])
    again = dt.tabular.reopen(tmp_path / "run", progress=False)
    again.resume(callbacks=[])
    assert store.weights_sha256(again.model.state_dict()) == store.weights_sha256(
        whole.model.state_dict()
    )


def test_a_run_whose_table_changed_is_not_resumed(tmp_path: Path) -> None:
    path = write(tmp_path / "p.csv", passengers())
    dt.tabular.learner(path, "lives", layers=[8], progress=False, out=tmp_path / "run").fit(1)
    write(path, passengers(seed=5))
    with pytest.raises(
        RunError, match=r"^The table .*p\.csv is not the one that .*run began with\. "
    ):
        dt.tabular.reopen(tmp_path / "run", progress=False)


def test_a_run_of_pictures_is_no_run_of_a_table(tmp_path: Path) -> None:
    store.write_json(tmp_path / "run.json", {"format": 1, "task": {"application": "vision"}})
    with pytest.raises(RunError, match=r"is not a run of a net for tables\.$"):
        dt.tabular.reopen(tmp_path)


def test_ranges_are_a_little_wider_than_the_targets_unless_asked() -> None:
    columns = sales()
    usual = dt.tabular.learner(columns, "takings", progress=False)
    data: Any = usual.application
    _, targets = data.data.part("train")
    low, high = data.description["y_range"][0]
    assert low < targets.min() and high > targets.max()
    free = dt.tabular.learner(columns, "takings", y_range=False, progress=False)
    assert not free.model.has_range
    own = dt.tabular.learner(columns, "takings", y_range=(0, 500), progress=False)
    assert own.application.description["y_range"] == [[0.0, 500.0]]
    with pytest.raises(
        ConfigError, match=r"^`y_range` is \(low, high\) for each target\. Got \(5, 1\)\.$"
    ):
        dt.tabular.learner(columns, "takings", y_range=(5, 1), progress=False)
    with pytest.raises(ConfigError, match=r"^`y_range` is for numbers, and 'lives' is a class\.$"):
        dt.tabular.learner(passengers(), "lives", y_range=(0, 1), progress=False)


def test_several_numbers_are_learnt_at_once() -> None:
    learner = dt.tabular.learner(sales(), ["takings", "heat"], layers=[8], epochs=1, progress=False)
    learner.train()
    assert learner.predict(sales()).values.shape == (300, 2)
    assert set(learner.result()["baselines"]) == {"majority"}


def test_an_optimizer_that_is_made_already_is_refused() -> None:
    made = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    with pytest.raises(
        ConfigError, match=r"^`tabular\.learner` makes the model, so an optimizer that "
    ):
        dt.tabular.learner(passengers(), "lives", optimizer=made, progress=False)


def test_a_fit_may_be_ended_by_a_callback() -> None:
    class Ends(Callback):
        def after_batch(self, state: Any) -> None:
            raise CancelFit

    learner = dt.tabular.learner(
        passengers(), "lives", layers=[8], callbacks=[Ends()], progress=False
    )
    learner.fit(3)
    assert learner.journal[0].epochs_done == 0
