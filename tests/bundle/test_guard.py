"""The guard as a whole: what it promises on held-out digits, and what it takes from a stranger."""

from __future__ import annotations

import contextlib
import copy
import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from drivetrain import store
from drivetrain.bundle.guard import Guard, fit_guard
from drivetrain.errors import BundleError, ShapeError
from tests.bundle.digits import foreign, parts, through


def fitted(n=60, coverage=0.9):
    r = np.random.default_rng(0)
    targets = torch.tensor(r.integers(3, size=n))
    features = torch.tensor(r.normal(size=(n, 5))).float() + targets[:, None]
    logits = torch.tensor(r.normal(size=(n, 3))).float() + 2 * torch.eye(3)[targets]
    guard = fit_guard(logits, targets, features, train_features=features.flip(0), coverage=coverage)
    return guard, logits, features


@pytest.mark.row(18)
def test_held_out_digits_are_covered_and_letters_and_noise_are_flagged():
    net, train, valid, test = parts(0)
    guard = fit_guard(
        *(valid.logits, valid.targets, valid.features),
        train_features=train.features,
        train_targets=train.targets,
        coverage=0.95,
    )
    judged = guard.judge(test.logits, test.features)
    hits = judged.sets.gather(1, test.targets[:, None]).double().mean()
    assert float(hits) == pytest.approx(guard.prediction_sets.expected, abs=0.02)
    assert 1 - float(judged.in_domain.double().mean()) == pytest.approx(0.05, abs=0.02)
    for kind, pictures in foreign(0).items():
        part = through(net, pictures)
        flagged = ~guard.judge(part.logits, part.features).in_domain
        assert float(flagged.double().mean()) > 0.8, kind
        assert guard.shift(part.features[:60]).drifted, kind
    batches = [torch.randperm(547, generator=torch.Generator().manual_seed(i)) for i in range(30)]
    assert sum(guard.shift(test.features[batch[:60]]).drifted for batch in batches) <= 2


@pytest.mark.slow
@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_coverage_of_a_model_that_is_often_wrong_over_many_splits(coverage):
    """After one epoch the net errs in a fifth of the digits, so that sets must hold several classes."""
    found, sizes = [], []
    for seed in range(3):
        _, train, valid, test = parts(seed, epochs=1)
        logits, targets = (
            torch.cat([getattr(valid, name), getattr(test, name)]) for name in ("logits", "targets")
        )
        features = torch.cat([valid.features, test.features])
        for split in range(20):
            order = torch.randperm(len(targets), generator=torch.Generator().manual_seed(split))
            old, new = order[:550], order[550:]
            guard = fit_guard(
                *(logits[old], targets[old], features[old]),
                train_features=train.features,
                coverage=coverage,
            )
            sets = guard.judge(logits[new], features[new]).sets
            hits = sets.gather(1, targets[new, None]).double().mean()
            found.append(float(hits) - max(coverage, guard.prediction_sets.expected))
            sizes.append(guard.prediction_sets.mean_size)
    assert abs(np.mean(found)) <= 0.02
    # The spread of single splits: 550 items decide the rank, 547 are counted.
    assert np.std(found) < 2.5 * np.sqrt(coverage * (1 - coverage) * (1 / 550 + 1 / 547))
    assert coverage < 0.9 or np.mean(sizes) > 1


def test_a_judgement_is_of_each_item_by_itself():
    guard, logits, features = fitted()
    judged = guard.judge(logits, features)
    assert judged.probs.shape == judged.sets.shape == (60, 3) and judged.sets.dtype == torch.bool
    assert judged.probs.argmax(dim=1).equal(logits.argmax(dim=1))
    assert bool(judged.sets.any(dim=1).all())
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    again = guard.judge(logits[order], features[order])
    torch.testing.assert_close(again.probs, judged.probs[order])
    torch.testing.assert_close(again.domain_score, judged.domain_score[order])
    assert again.sets.equal(judged.sets[order])
    assert guard.judge(logits[:0], features[:0]).probs.shape == (0, 3)


def test_goes_through_files_to_the_same_bits(tmp_path):
    guard, logits, features = fitted()
    store.write_json(tmp_path / "guard.json", guard.to_json())
    store.write_tensors(tmp_path / "guard.safetensors", guard.tensors())
    tensors = store.read_tensors(tmp_path / "guard.safetensors")
    again = Guard.from_parts(json.loads((tmp_path / "guard.json").read_text()), tensors)
    a, b = guard.judge(logits, features), again.judge(logits, features)
    assert a.probs.equal(b.probs) and a.domain_score.equal(b.domain_score)
    assert a.sets.equal(b.sets) and a.in_domain.equal(b.in_domain)
    assert guard.shift(features[:9] + 2) == again.shift(features[:9] + 2)
    assert again.text == guard.text and again.coverage == 0.9 and again.false_alarm == 0.05


def test_too_few_items_go_through_files_too():
    guard, logits, features = fitted(n=5)
    assert json.loads(json.dumps(guard.to_json(), allow_nan=False))["sets"]["threshold"] is None
    again = Guard.from_parts(guard.to_json(), guard.tensors())
    judged = again.judge(logits, features)
    assert bool(judged.sets.all()) and bool(judged.in_domain.all())
    assert "too few to promise 90%" in again.text and "too few for 5% false alarms" in again.text


def places(value, path=()):
    """Every place in a JSON document."""
    yield path
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, key))


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.just(10**400),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
)


@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_any_change_of_the_document_is_refused_or_judges_finitely(data):
    guard, logits, features = fitted()
    document = json.loads(json.dumps(guard.to_json()))
    path = data.draw(st.sampled_from(list(places(document))))
    value = data.draw(VALUES)
    document = {"": document}
    inner = document
    for key in ("", *path)[:-1]:
        inner = inner[key]
    inner[("", *path)[-1]] = value
    with contextlib.suppress(BundleError):
        found = Guard.from_parts(document[""], guard.tensors())
        judged = found.judge(logits, features)
        assert bool(judged.probs.isfinite().all()) and bool(judged.domain_score.isfinite().all())
        assert bool(judged.sets.any(dim=1).all())


@pytest.mark.parametrize(
    "name", ["domain.basis", "domain.whitening", "domain.references", "shift.items"]
)
@pytest.mark.parametrize(
    "change",
    [
        lambda x: x.double(),
        lambda x: x.long(),
        lambda x: x[:, :-1],
        lambda x: x[:0],
        lambda x: x[None],
        lambda x: x.flatten(),
        lambda x: x * float("nan"),
        lambda x: x + float("inf"),
        lambda x: x + 1e31,
        lambda x: x.repeat(3_000, 1),
        lambda x: x.to_sparse(),
        lambda x: x.tolist(),
        lambda x: None,
    ],
    ids=[
        "float64",
        "int64",
        "narrow",
        "empty",
        "3-d",
        "flat",
        "nan",
        "inf",
        "huge numbers",
        "many",
        "sparse",
        "list",
        "none",
    ],
)
def test_wrong_tensors_are_refused(name, change):
    guard, _, _ = fitted()
    tensors = guard.tensors() | {name: change(guard.tensors()[name])}
    with pytest.raises(BundleError, match=r"The guard('s| has no) tensor 'domain|shift"):
        Guard.from_parts(guard.to_json(), tensors)


def test_missing_and_unknown_parts_are_refused():
    guard, _, _ = fitted()
    document, tensors = guard.to_json(), guard.tensors()
    with pytest.raises(BundleError, match=r"no tensor 'shift\.items'"):
        Guard.from_parts(document, {k: v for k, v in tensors.items() if k != "shift.items"})
    with pytest.raises(BundleError, match="unknown tensor 'other'"):
        Guard.from_parts(document, tensors | {"other": torch.zeros(1)})
    for key in document:
        less = copy.deepcopy(document)
        del less[key]
        with pytest.raises(BundleError, match=rf"guard\.json has no `{key}`"):
            Guard.from_parts(less, tensors)
    with pytest.raises(BundleError, match=r"guard\.json has the unknown entry"):
        Guard.from_parts(document | {"more": 1}, tensors)
    with pytest.raises(BundleError, match="has 2 as `format`, expected a whole number from 1 to 1"):
        Guard.from_parts(document | {"format": 2}, tensors)


def test_refusals():
    guard, logits, features = fitted()
    with pytest.raises(ShapeError, match="got logits of 60 and features of 59 items"):
        guard.judge(logits, features[:59])
    with pytest.raises(ShapeError, match=r"a row for each row of the logits"):
        fit_guard(logits, torch.zeros(60, dtype=torch.int64), features[:59])
