"""Two callbacks that write the same field of the state are reported, once, with what to do."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import pytest
import torch
from torch.optim import SGD

import drivetrain as dt
from drivetrain.errors import ConfigError
from drivetrain.train import loop
from drivetrain.train.callback import ELSEWHERE, EVENTS, LAST, CancelBatch, Handlers
from drivetrain.train.callbacks import CALLBACKS, callback
from drivetrain.train.callbacks.accumulate import Accumulate
from drivetrain.train.callbacks.cutmix import CutMix
from drivetrain.train.callbacks.label_smoothing import LabelSmoothing
from drivetrain.train.callbacks.mixed_precision import MixedPrecision
from drivetrain.train.callbacks.mixup import Mixup
from drivetrain.train.callbacks.nonfinite_guard import NonFiniteGuard
from drivetrain.train.callbacks.progressive_resizing import ProgressiveResizing
from drivetrain.train.callbacks.reduce_on_plateau import ReduceOnPlateau
from drivetrain.train.conflicts import WATCHED, report_conflicts
from drivetrain.train.state import FitState
from tests.train.callbacks.cutting import fit_state


class HalfLoss(dt.Callback):
    def after_loss(self, state: FitState) -> None:
        state.loss = state.loss / 2


class OtherLoss(dt.Callback):
    def after_loss(self, state: FitState) -> None:
        state.loss = state.preds.square().mean()


def reports(*callbacks: dt.Callback) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loop.fit(fit_state(*callbacks))
    return [str(one.message) for one in caught]


def test_mixup_and_cutmix_together_are_reported_by_the_whole_sentence() -> None:
    assert reports(Mixup(), CutMix()) == [
        "The callbacks `Mixup` and `CutMix` both write `state.loss`. `CutMix` comes last (at "
        "`after_loss`), so what `Mixup` did may be lost or counted twice. Use one of them. If `CutMix` "
        "builds on what it finds there, let it say so: `adjusts = ('loss',)`."
    ]


def test_it_is_a_warning_in_a_learner_too() -> None:
    state = fit_state(CutMix())
    learner = dt.Learner(state.model, state.loaders, progress=False)
    with pytest.warns(UserWarning, match=r"^The callbacks `CutMix` and `Mixup` both write"):
        learner.fit(1, callbacks=[CutMix(), Mixup()])


def test_two_of_the_same_class_are_told_apart() -> None:
    (report,) = reports(HalfLoss(), HalfLoss())
    assert report.startswith(
        "The callbacks `HalfLoss` and `HalfLoss-2` both write `state.loss`. `HalfLoss-2` comes last"
    )


@pytest.mark.parametrize(
    "callbacks",
    [
        [Accumulate(2), MixedPrecision("float16")],
        [Mixup(), Accumulate(2), MixedPrecision("float16")],
        [Mixup(), LabelSmoothing()],
        [CutMix(), ProgressiveResizing(step=4), Accumulate(2)],
        [ReduceOnPlateau(), NonFiniteGuard()],  # and the schedule
        [HalfLoss(), Accumulate(2)],  # scales whatever it finds
    ],
    ids=lambda callbacks: "+".join(type(one).__name__ for one in callbacks),
)
def test_what_builds_on_what_it_finds_is_not_reported(callbacks: list[dt.Callback]) -> None:
    assert reports(*callbacks) == []


ANYWHERE = [name for name in CALLBACKS if name not in ("carry_state", "rnn_regularization")]
"""Those two are for nets that read, and this one looks at pictures."""


def test_all_named_callbacks_but_one_can_be_used_together() -> None:
    names = [name for name in ANYWHERE if name != "cutmix"]
    assert reports(*(callback(name) for name in names)) == []


@pytest.mark.slow
def test_of_the_named_callbacks_only_mixup_and_cutmix_conflict() -> None:
    found = set()
    for one, two in itertools.combinations(ANYWHERE, 2):
        reported = reports(callback(one), callback(two))
        found |= {(one, two)} if any("both write" in report for report in reported) else set()
    assert found == {("cutmix", "mixup")}


def test_one_that_overwrites_a_scaled_loss_is_reported() -> None:
    late = OtherLoss()
    late.order = LAST + 20
    # The first batch of an accumulation is not scaled; the second one is, and is watched.
    (report,) = reports(Accumulate(4), late)
    assert report.startswith("The callbacks `Accumulate` and `OtherLoss` both write `state.loss`.")


def writer(field: str, event: str, value: Any, order: int = 50) -> dt.Callback:
    def handle(self: Any, state: FitState) -> None:
        setattr(state, field, value(getattr(state, field)))

    one = type(f"Write{event.title().replace('_', '')}", (dt.Callback,), {event: handle})()
    one.order = order
    return one


FIELD_EVENTS: list[tuple[str, str, str, Any]] = [
    ("loss_fn", "before_fit", "before_epoch", lambda old: lambda p, t: old(p, t)),
    ("in_eval", "before_fit", "before_fit", lambda old: [*old, torch.nn.Identity()]),
    ("schedule", "before_fit", "before_epoch", lambda old: lambda progress: None),
    ("optimizer", "before_fit", "before_epoch", lambda old: SGD(old.param_groups[0]["params"], 0.1)),
    ("batch", "before_batch", "before_batch", lambda old: (old[0] + 1, old[1])),
    ("preds", "after_forward", "after_forward", lambda old: old * 2),
    ("targets", "after_forward", "after_loss", lambda old: old.clone()),
]  # fmt: skip


@pytest.mark.parametrize(("field", "first", "second", "value"), FIELD_EVENTS)
def test_each_field_is_watched(field: str, first: str, second: str, value: Any) -> None:
    one, two = writer(field, first, value), writer(field, second, value, order=60)
    (report,) = [text for text in reports(one, two) if f"`state.{field}`" in text]
    assert f"comes last (at `{second}`)" in report
    type(two).adjusts = (field,)
    assert not any(f"`state.{field}`" in text for text in reports(one, two))


def test_a_change_in_place_is_a_change() -> None:
    class InPlace(dt.Callback):
        def before_batch(self, state: FitState) -> None:
            state.batch[0].mul_(2)

    class Replace(dt.Callback):
        def before_batch(self, state: FitState) -> None:
            state.batch = (state.batch[0] + 1, state.batch[1])

    (report,) = reports(InPlace(), Replace())
    assert report.startswith("The callbacks `InPlace` and `Replace` both write `state.batch`.")


def test_a_column_that_is_written_twice_is_reported() -> None:
    class Column(dt.Callback):
        def after_validate(self, state: FitState) -> None:
            state.row["mine"] = state.step

    class Again(Column):
        order = 60

        def after_validate(self, state: FitState) -> None:
            state.row["mine"] = -1.0

    (report,) = reports(Column(), Again())
    assert report.startswith("The callbacks `Column` and `Again` both write `state.row['mine']`.")
    assert report.endswith("let it say so: `adjusts = ('row',)`.")


def test_a_handler_that_cancels_is_watched_all_the_same() -> None:
    class WriteAndCancel(dt.Callback):
        order = 60

        def after_loss(self, state: FitState) -> None:
            state.loss = state.loss * 3
            raise CancelBatch

    (report,) = reports(HalfLoss(), WriteAndCancel())
    assert "`HalfLoss` and `WriteAndCancel` both write `state.loss`" in report


def test_after_a_few_batches_the_plain_handlers_are_back() -> None:
    state = fit_state(HalfLoss(), Mixup())
    on = Handlers(state.callbacks)
    plain = {event: getattr(on, event) for event in EVENTS}
    report_conflicts(on, state)
    assert on.after_fit is plain["after_fit"]
    state.batch = (torch.zeros(4, 2), torch.zeros(4, dtype=torch.int64))
    for _ in range(WATCHED):
        assert on.before_batch is not plain["before_batch"]
        for handle in on.before_batch:
            handle(state)
    assert on.before_batch is plain["before_batch"]


# --- events of other libraries --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ELSEWHERE)
def test_an_event_of_another_library_is_answered_with_ours(name: str) -> None:
    assert ELSEWHERE[name] in EVENTS
    with pytest.raises(ConfigError) as caught:
        type("Mine", (dt.Callback,), {name: lambda self, state: None})
    assert str(caught.value) == (
        f"`Mine.{name}` is not an event. Here it is '{ELSEWHERE[name]}'. Events: {', '.join(EVENTS)}."
    )


def test_a_slip_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"not an event\. Did you mean 'after_batch'\? Events: "):
        type("Mine", (dt.Callback,), {"after_bacth": lambda self, state: None})


def test_no_event_of_ours_is_taken_for_another_librarys() -> None:
    assert not set(ELSEWHERE) & set(EVENTS)
