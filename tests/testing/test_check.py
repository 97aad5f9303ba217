"""What `check_learner` takes, answers, raises and leaves alone."""

from __future__ import annotations

import random
import re
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import drivetrain as dt
from drivetrain import store
from drivetrain.errors import ConfigError, DrivetrainError, UnknownNameError
from drivetrain.testing import CHECKS, CheckError, Report, check_learner
from tests.testing.makers import classification, own_optimizer, regression
from tests.testing.planted import DropsInEvaluation, Plain, bad

EVALUATION = ["evaluation_repeats", "items_do_not_see_each_other"]


def test_it_is_public_and_has_more_than_forty_checks() -> None:
    assert dt.testing.check_learner is check_learner
    assert len(CHECKS) > 40


@pytest.mark.parametrize("name", CHECKS)
def test_a_check_is_a_sentence_that_says_what_is_promised(name: str) -> None:
    promise = CHECKS[name].__doc__ or ""
    assert CHECKS[name].__name__ == name
    assert "\n" not in promise
    assert promise.endswith(".")
    assert ". " not in promise


def test_all_that_fails_is_raised_at_the_end_with_its_reason() -> None:
    # The model drops by torch's own generator: without a seed, one item alone is at times the same twice.
    torch.manual_seed(0)
    with pytest.raises(CheckError) as caught:
        check_learner(bad(DropsInEvaluation), only=EVALUATION)
    error = caught.value
    assert isinstance(error, DrivetrainError) and isinstance(error, AssertionError)
    assert str(error).startswith(
        "2 checks do not hold for Learner(DropsInEvaluation, 0 epochs done).\n"
        "  evaluation_repeats: The same batch gave other outputs the second time, in evaluation mode. "
        "Draw nothing there: use `nn.Dropout`, or `F.dropout(x, p, self.training)`.\n"
        "  items_do_not_see_each_other: The outputs of an item "
    )
    assert " are not those that it has in the batch: they differ by up to " in str(error)
    assert [result.name for result in error.report.failed] == EVALUATION


def test_the_report_is_a_table_with_reasons() -> None:
    report = check_learner(
        bad(DropsInEvaluation), raises=False,
        only=["outputs_are_finite", "evaluation_repeats", "metrics_begin_anew"],
    )  # fmt: skip
    assert isinstance(report, Report)
    assert [(r.name, r.outcome) for r in report] == [
        ("outputs_are_finite", "passed"),
        ("evaluation_repeats", "failed"),
        ("metrics_begin_anew", "skipped"),
    ]
    lines = str(report).splitlines()
    assert re.fullmatch(r"passed   outputs_are_finite +\d+\.\d\d s", lines[0])
    assert lines[2].startswith("         The same batch gave other outputs the second time")
    assert "         There are no metrics." in lines
    assert lines[-2] == "Used: 3 batches an epoch, 8 items a batch, at most."
    assert re.fullmatch(
        r"Learner\(DropsInEvaluation, 0 epochs done\): 1 passed, 1 failed, 1 skipped in \d+\.\d s",
        lines[-1],
    )
    assert max(map(len, lines)) <= 100
    with pytest.raises(CheckError, match=r"^1 check does not hold for Learner"):
        report.raise_if_failed()


def test_a_reason_that_several_checks_give_is_said_once() -> None:
    class Broken(Plain):
        def forward(self, x: Any) -> Any:
            raise ValueError("No picture.")

    report = check_learner(bad(Broken), only=EVALUATION, raises=False)
    assert report["evaluation_repeats"].reason == report[EVALUATION[1]].reason
    text = str(report)
    assert text.count("ValueError: No picture. It was raised in test_check.py, line ") == 1
    assert "As `evaluation_repeats`." in text


def test_only_and_skip_choose() -> None:
    make = bad()
    assert [r.name for r in check_learner(make, only=EVALUATION, skip=EVALUATION[0])] == [
        EVALUATION[1]
    ]


def test_an_unknown_check_is_answered() -> None:
    with pytest.raises(
        UnknownNameError, match=r"^Unknown check 'evaluation_repeat'\. Did you mean "
    ):
        check_learner(bad(), only="evaluation_repeat")


def test_verbose_writes_each_result_as_it_comes(capsys: pytest.CaptureFixture[str]) -> None:
    check_learner(bad(), only=EVALUATION, verbose=True)
    told = capsys.readouterr()
    assert [line.split()[:2] for line in told.err.splitlines()] == [
        ["passed", name] for name in EVALUATION
    ]
    assert told.out == ""


def test_too_little_work_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        check_learner(bad(), batches=1)
    assert str(caught.value) == (
        "`check_learner` needs at least 2 batches and 2 items. Got 1 and 8."
    )


# --- a Learner or what makes one --------------------------------------------------------------------


def state_of(learner: dt.Learner) -> dict[str, Any]:
    return {
        "weights": store.weights_sha256(learner.model.state_dict()),
        "modes": [module.training for module in learner.model.modules()],
        "trains": [p.requires_grad for p in learner.model.parameters()],
        "gradients": [p.grad is None for p in learner.model.parameters()],
        "history": [dict(row) for row in learner.history],
        "journal": [stage.to_json() for stage in learner.journal],
        "seconds": learner.seconds,
        "loaders": learner.loaders,
        "epoch": learner.loaders.train.epoch,
        "torch": torch.get_rng_state().tolist(),
        "numpy": np.random.get_state()[1].tolist(),  # noqa: NPY002
        "python": random.getstate(),
        "threads": torch.get_num_threads(),
    }


@pytest.mark.parametrize("make", [classification, lambda: own_optimizer(torch.optim.Adam, lr=0.01)])
def test_a_learner_is_copied_and_left_as_it_was(make: Any, tmp_path: Path) -> None:
    learner = make()
    learner.fit(1)
    learner.start_run(dt.Run.create(tmp_path / "run"))
    record = (tmp_path / "run" / "run.json").read_bytes()
    before = state_of(learner)
    report = check_learner(learner, skip="no_graph_outlives_its_step")
    assert len(report.passed) > 60
    assert state_of(learner) == before
    assert [path.name for path in (tmp_path / "run").iterdir() if path.suffix] == ["run.json"]
    assert (tmp_path / "run" / "run.json").read_bytes() == record


def test_a_learner_that_cannot_be_copied_is_asked_for_as_a_function() -> None:
    learner = bad()()
    learner.model.lock = threading.Lock()
    with pytest.raises(ConfigError) as caught:
        check_learner(learner)
    assert str(caught.value) == (
        "This Learner cannot be copied (TypeError: cannot pickle '_thread.lock' object), and a check "
        "needs several that are alike. Give a function that makes a fresh one: "
        "`check_learner(lambda: Learner(...))`."
    )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (3, "`check_learner` needs a Learner or a function that makes one. Got int."),
        (dict, "`check_learner` was given a function that makes no Learner. Got dict."),
    ],
)
def test_what_is_no_learner_is_refused(given: Any, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_learner(given)
    assert str(caught.value) == words


def test_learners_in_a_run_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        check_learner(lambda: regression(out=tmp_path / "run"))
    assert str(caught.value) == (
        "`check_learner` makes several Learners, and each would need a run folder of its own. "
        "Leave out `out`: checks that need a folder take a temporary one."
    )


def test_a_bad_learner_leaves_the_process_as_it_was() -> None:
    class Rough(dt.Callback):
        def after_fit(self, state: Any) -> None:
            torch.set_default_dtype(torch.float64)
            torch.set_num_threads(torch.get_num_threads() + 1)
            torch.set_grad_enabled(False)
            torch.rand(3)

    before = torch.get_rng_state()
    threads = torch.get_num_threads()
    report = check_learner(
        bad(callbacks=lambda: [Rough()]), only="settings_of_the_process_stay", raises=False
    )
    assert "torch's threads" in report.failed[0].reason
    assert torch.get_default_dtype() == torch.float32
    assert torch.get_num_threads() == threads
    assert torch.is_grad_enabled()
    assert torch.equal(torch.get_rng_state(), before)


def test_much_data_costs_no_more_than_little() -> None:
    class Counted(nn.Linear):
        seen = 0

        def forward(self, input: torch.Tensor) -> torch.Tensor:
            assert len(input) <= 4
            Counted.seen += len(input)
            return super().forward(input)

    x = torch.linspace(-1, 1, 100_000).unsqueeze(1)
    data = dt.TensorData(x, 2 * x)
    loaders = dt.Loaders(
        dt.BatchLoader(data, batch_size=500, shuffle=True), dt.BatchLoader(data, batch_size=500)
    )

    def make() -> dt.Learner:
        model = Counted(1, 1)
        nn.init.zeros_(model.weight)
        nn.init.zeros_(model.bias)
        return dt.Learner(model, loaders, "mse", progress=False)

    report = check_learner(make, batches=2, items=4)
    assert report["a_loader_knows_its_length"].outcome == "skipped"
    assert Counted.seen < 10_000
    assert (loaders.train.seed, loaders.train.epoch) == (42, 0)  # all of them shared it
