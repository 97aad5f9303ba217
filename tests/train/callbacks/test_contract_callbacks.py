"""What every callback with a name promises; a new one is tested by being in the table."""

from __future__ import annotations

import copy
import importlib
import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import drivetrain as dt
from drivetrain.errors import ConfigError, UnknownNameError
from drivetrain.train import loop, saving
from drivetrain.train.callbacks import CALLBACKS, callback, from_record, record_of
from drivetrain.train.state import FitState
from tests.train.callbacks.cutting import (
    FEW,
    MOMENTS,
    PICTURED,
    READING,
    Moment,
    assert_same,
    cut_and_resumed,
    fit_state,
    history,
    loaders,
    sha,
)

# Options with which a callback has something to do in a fit of a few steps; others run as they are.
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "accumulate": [{"steps": 2}, {"steps": 4}],
    "activation_stats": [{"keep": 4, "every": 1}, {"modules": ["ReLU"], "every": 2}],
    "clip_gradients": [{"max_norm": 0.1}, {"max_value": 0.01}],
    "early_stopping": [{"patience": 1, "min_delta": 0.2}],
    "ema": [{"decay": 0.9}, {"decay": 0.8, "warmup": False}],
    "freeze_batchnorm": [{}, {"affine": True}],
    "mixed_precision": [{"dtype": "bfloat16"}, {"dtype": "float16"}],
    "reduce_on_plateau": [{"patience": 1, "min_delta": 0.2, "factor": 0.5, "cooldown": 1}],
    "label_smoothing": [{"smoothing": 0.3}],
    "mixup": [{}, {"alpha": 1.0, "per_item": True}],
    "cutmix": [{}, {"per_item": True}],
    "rnn_regularization": [{}, {"alpha": 0.0, "beta": 3.0}],
    "progressive_resizing": [{"start": 0.4, "until": 1.0, "step": 4}],
    "save_best": [{}, {"monitor": "accuracy"}],
    "stochastic_depth": [{"rate": 0.4}],
}
CASES = [(name, options) for name in CALLBACKS for options in OPTIONS.get(name, [{}])]
every_case = pytest.mark.parametrize(
    ("name", "options"), CASES, ids=[f"{n}-{'-'.join(map(str, o.values()))}" for n, o in CASES]
)
every_name = pytest.mark.parametrize("name", CALLBACKS)


def making(name: str, options: dict[str, Any], **fit: Any) -> Callable[[], FitState]:
    return lambda: fit_state(callback(name, **options), **fit)


def kind_of_fit(name: str) -> dict[str, bool]:
    cls = type(callback(name)).__name__
    return {"pictured": cls in PICTURED, "reading": cls in READING}


def without_validation(name: str, options: dict[str, Any]) -> dict[str, Any]:
    accepted = inspect.signature(type(callback(name))).parameters
    return options | ({"monitor": "train_loss"} if "monitor" in accepted else {})


@every_name
def test_it_is_built_recorded_and_rebuilt(name: str) -> None:
    for options in [{}, *OPTIONS.get(name, [])]:
        made = callback(name, **options)
        record = record_of(made)
        assert record["name"] == name
        assert options.items() <= record.items()
        again = from_record(json.loads(json.dumps(record)))
        assert type(again) is type(made)
        assert record_of(again) == record
        assert type(made).__name__ in repr(made)


@every_name
def test_its_arguments_are_named_after_an_obvious_first(name: str) -> None:
    module, _, attribute = CALLBACKS[name].partition(":")
    cls = getattr(importlib.import_module(module), attribute)
    parameters = list(inspect.signature(cls).parameters.values())
    assert all(p.kind is p.KEYWORD_ONLY for p in parameters[1:])
    assert inspect.getdoc(cls)


def test_the_table_is_sorted() -> None:
    assert list(CALLBACKS) == sorted(CALLBACKS)


@every_name
def test_the_state_of_a_fresh_object_can_be_loaded(name: str) -> None:
    fresh = callback(name)
    tensors, values = saving.pack_callbacks([fresh])
    kept = saving.unpack_callbacks(tensors, json.loads(json.dumps(values)))
    callback(name).load_state_dict(kept.get(type(fresh).__name__, fresh.state_dict()))
    before = making(name, {})()
    loop.fit(before)
    began = making(name, {})()
    began.saved = {type(fresh).__name__: fresh.state_dict()}
    if name != "ema":  # its averages begin at the weights, which a fresh object has not seen
        loop.fit(began)
        assert sha(began) == sha(before)


@every_case
def test_its_state_goes_round(name: str, options: dict[str, Any]) -> None:
    state = making(name, options)()
    loop.fit(state)
    kept = copy.deepcopy(state.callbacks[1].state_dict())
    other = callback(name, **options)
    other.load_state_dict(kept)
    again = other.state_dict()
    assert list(again) == list(kept)
    for entry, value in kept.items():
        if isinstance(value, torch.Tensor):
            torch.testing.assert_close(again[entry], value, rtol=0, atol=0, equal_nan=True)
        else:
            assert repr(again[entry]) == repr(value), entry


@every_case
def test_a_fit_that_is_cut_goes_on_to_the_same_bits(name: str, options: dict[str, Any]) -> None:
    assert cut_at(FEW, making(name, options)) >= 3


@pytest.mark.slow
@every_case
@pytest.mark.parametrize("scheduled", [True, False])
def test_a_fit_cut_anywhere_goes_on_to_the_same_bits(
    name: str, options: dict[str, Any], scheduled: bool
) -> None:
    assert cut_at(MOMENTS, making(name, options, scheduled=scheduled)) >= len(MOMENTS) // 3


def cut_at(moments: list[Moment], make: Callable[[], FitState]) -> int:
    """How many of the moments came before the fit was over; at each the bits are the same."""
    whole = make()
    loop.fit(whole)
    resumed = [cut_and_resumed(make, moment) for moment in moments]
    for found in resumed:
        if found is not None:
            assert_same(found, whole)
    return sum(found is not None for found in resumed)


@every_case
def test_it_works_without_validation_and_without_a_length(
    name: str, options: dict[str, Any]
) -> None:
    options = without_validation(name, options)
    needed = loaders(valid=False, length=False, **kind_of_fit(name))
    make = making(name, options, loaders=needed)
    whole = make()
    loop.fit(whole)
    assert all(torch.isfinite(t).all() for t in whole.model.state_dict().values())
    assert "valid_loss" not in history(whole)[0]
    found = cut_and_resumed(make, ("batch", 5))
    assert found is not None
    assert_same(found, whole)


@every_case
def test_it_is_used_again_in_another_fit(name: str, options: dict[str, Any]) -> None:
    one = callback(name, **options)
    first, second = fit_state(one), fit_state(one)
    loop.fit(first)
    loop.fit(second)
    assert_same(second, first)


@every_case
def test_it_works_in_a_learner_with_a_run(
    name: str, options: dict[str, Any], tmp_path: Path
) -> None:
    state = fit_state(callback(name))
    learner = dt.Learner(
        state.model,
        loaders(**kind_of_fit(name)),
        metrics=["accuracy"],
        callbacks=[callback(name, **options)],
        progress=False,
        out=tmp_path / "run",
    )
    learner.fit_one_cycle(2, 0.02)
    assert learner.history[-1]["accuracy"] > 0.5


def all_together() -> list[dt.Callback]:
    return [
        callback("accumulate", steps=2),
        callback("clip_gradients", max_norm=0.2),
        callback("early_stopping", patience=2, min_delta=0.3),
        callback("ema", decay=0.9),
        callback("mixed_precision"),
        callback("reduce_on_plateau", patience=1, min_delta=0.3, factor=0.5),
        callback("save_best"),
    ]


@pytest.mark.parametrize("with_folder", [False, True])
@pytest.mark.parametrize(
    "moments", [FEW, pytest.param(MOMENTS, marks=pytest.mark.slow)], ids=["few", "all"]
)
def test_all_together_cut_anywhere_go_on_to_the_same_bits(
    moments: list[Moment], with_folder: bool, tmp_path: Path
) -> None:
    def make(folder: str = "whole") -> FitState:
        return fit_state(*all_together(), folder=tmp_path / folder if with_folder else None)

    whole = make()
    loop.fit(whole)
    for moment in moments:
        found = cut_and_resumed(lambda at=moment: make("-".join(map(str, at))), moment)
        assert found is not None
        assert_same(found, whole)


# --- names and options that are wrong --------------------------------------------------------------


def test_an_unknown_name_is_answered() -> None:
    with pytest.raises(UnknownNameError) as caught:
        callback("early_stoping")
    assert str(caught.value) == (
        "Unknown callback 'early_stoping'. Did you mean 'early_stopping'? "
        f"Known: {', '.join(CALLBACKS)}."
    )


def test_an_unknown_option_is_answered() -> None:
    with pytest.raises(ConfigError) as caught:
        callback("ema", decai=0.9)
    assert str(caught.value) == (
        "Callback 'ema' has no option 'decai'. Did you mean 'decay'? Options: decay, warmup."
    )


def test_a_callback_without_a_name_cannot_be_recorded() -> None:
    class Mine(dt.Callback):
        pass

    with pytest.raises(ConfigError) as caught:
        record_of(Mine())
    assert str(caught.value) == (
        "The callback `Mine` has no name, so a record cannot say how to make it again. "
        f"Hand it over in code. Known: {', '.join(CALLBACKS)}."
    )


def test_a_record_without_a_name_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        from_record({"decay": 0.9})
    assert str(caught.value) == (
        "The record of a callback is a dict with `name` and options. Got {'decay': 0.9}."
    )
