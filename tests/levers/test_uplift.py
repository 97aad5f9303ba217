"""Ranking by uplift on simulated experiments whose effects are known."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from drivetrain.data.frame import Factor, Frame
from drivetrain.errors import ConfigError, DataError
from drivetrain.levers import Uplift, fit_uplift
from drivetrain.levers.qini import SHARES, uplift_curves
from drivetrain.levers.uplift import doubly_robust, forest


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def trial(
    count: int, seed: int, *, share: float = 0.5, by_columns: bool = False
) -> tuple[Frame, np.ndarray]:
    """Customers, some shown an advert; those who buy anyway are changed least. And the effects."""
    draw = np.random.default_rng(seed)
    X = draw.normal(size=(count, 5))
    if_not = sigmoid(-1 + 2 * X[:, 0])
    effect = 0.4 * sigmoid(-3 * X[:, 0]) * sigmoid(3 * X[:, 1])
    chance = sigmoid(1.5 * X[:, 0]) if by_columns else np.full(count, share)
    shown = draw.random(count) < chance
    bought = draw.random(count) < np.where(shown, np.minimum(if_not + effect, 1), if_not)
    columns = {f"x{j}": X[:, j] for j in range(5)}
    city = draw.choice(["Bonn", "Kiel", "Ulm"], count)
    frame = Frame(
        {
            **columns,
            "city": Factor.of(city.tolist()),
            "shown": shown.astype(float),
            "bought": Factor.of(["yes" if b else "no" for b in bought]),
        }
    )
    return frame, np.minimum(if_not + effect, 1) - if_not


def small(X: np.ndarray, y: np.ndarray, seed: int):
    """A forest that is quick to grow."""
    from sklearn.ensemble import RandomForestRegressor

    model = RandomForestRegressor(
        15, min_samples_leaf=max(5, len(y) // 60), max_features=0.5, random_state=seed % 2**31
    )
    return model.fit(X, y).predict


def share_of_best(order: np.ndarray, effect: np.ndarray) -> float:
    """Area of an order above chance, as a share of that of the order by the true effects."""
    area = [
        uplift_curves({"a": score}, effect)[0]["a"].area
        for score in (-np.argsort(order).astype(float), effect)
    ]
    return area[0] / area[1]


@pytest.fixture(scope="module")
def fitted() -> Uplift:
    return fit_uplift(trial(3000, seed=0)[0], "shown", "bought", grow=small)


@pytest.mark.row(21)
def test_uplift_ranks_new_rows_better_than_the_score_does(fitted: Uplift) -> None:
    frame, effect = trial(4000, seed=1)
    found = fitted.rank(frame)
    by_uplift = share_of_best(found.order, effect)
    by_score = share_of_best(np.argsort(-found.score, kind="stable"), effect)
    assert by_uplift > 0.5
    assert by_score < 0, "those who buy anyway come first"
    top = found.order[:1000]
    assert effect[top].mean() > 1.4 * effect.mean()
    assert np.array_equal(found.uplift[found.order], np.sort(found.uplift)[::-1])


@pytest.mark.row(21)
def test_what_is_told_of_the_ranking_holds_of_the_true_effects(fitted: Uplift) -> None:
    _, effect = trial(3000, seed=0)
    true = uplift_curves({"uplift": fitted.uplift, "score": fitted.score}, effect)[0]
    for name in ("uplift", "score"):
        low, high = fitted.curves[name].interval
        assert low <= true[name].area <= high
    assert fitted.comparison.interval[0] > 0
    assert "Ranking by uplift is better than ranking by the expected outcome." in str(fitted)
    low, high = fitted.effect_interval
    assert low < effect.mean() < high


@pytest.mark.slow
def test_a_trial_by_lot_passes_for_one_and_others_do_not(fitted: Uplift) -> None:
    assert fitted.balance.is_even
    assert "The columns do not tell who was treated (AUC 0." in str(fitted)
    uneven, effect = trial(3000, seed=5, by_columns=True)
    found = fit_uplift(uneven, "shown", "bought", grow=small)
    assert not found.balance.is_even and found.balance.auc > 0.7
    assert "it was not by the same lot for all" in str(found)
    bought = uneven.factor("bought").codes
    shown = uneven.numbers("shown") > 0
    naive = bought[shown].mean() - bought[~shown].mean()
    assert abs(found.effect - effect.mean()) < 0.06 < abs(naive - effect.mean())


@pytest.mark.slow
def test_without_an_effect_no_ranking_is_made_up() -> None:
    alarms = 0
    for seed in range(6):
        frame, _ = trial(600, seed=seed)
        draw = np.random.default_rng(seed)
        frame = frame.with_column("bought", (draw.random(600) < 0.3).astype(float))
        found = fit_uplift(frame, "shown", "bought", grow=small, folds=3)
        alarms += found.curves["uplift"].interval[0] > 0
        assert found.effect_interval[0] < found.effect < found.effect_interval[1]
        said = "No ranking by uplift: its area may as well be 0" in str(found)
        assert said == (found.curves["uplift"].interval[0] <= 0)
    assert alarms <= 1


def test_rows_are_scored_by_models_that_did_not_see_them() -> None:
    # A model that learns its rows by heart would give each its own outcome.
    frame, _ = trial(400, seed=2)

    def by_heart(X: np.ndarray, y: np.ndarray, seed: int):
        known = {row.tobytes(): value for row, value in zip(X, y, strict=True)}
        return lambda rows: np.array([known.get(row.tobytes(), y.mean()) for row in rows])

    found = fit_uplift(frame, "shown", "bought", grow=by_heart, folds=4)
    assert len(np.unique(found.score)) <= 4, "one mean a fold, and nobody's own outcome"
    assert found.score.min() > 0 and found.score.max() < 1


def test_the_same_seed_gives_the_same_ranking() -> None:
    frame, _ = trial(300, seed=4)
    call = partial(fit_uplift, frame, "shown", "bought", grow=small, folds=2)
    assert call(seed=1).to_json() == call(seed=1).to_json()
    assert call(seed=1).to_json() != call(seed=2).to_json()


def test_the_default_forest_learns_and_takes_missing_values() -> None:
    draw = np.random.default_rng(0)
    X = draw.normal(size=(400, 2))
    y = 3 * X[:, 0] + draw.normal(size=400)
    X[::10, 1] = np.nan
    predict = forest(X, y, seed=2**62)
    assert np.corrcoef(predict(X), y)[0, 1] > 0.9


# --- curves -----------------------------------------------------------------------------------------


def test_a_curve_is_the_sum_of_effects_of_the_first_rows() -> None:
    effects = np.array([1.0, -1.0, 4.0, 0.0])
    curves, none = uplift_curves({"a": np.array([3.0, 1.0, 4.0, 2.0])}, effects)
    found = curves["a"]
    assert none is None
    # 4, then 1, 0, -1, over four rows.
    assert [found.at(share) for share in (0, 0.25, 0.5, 0.75, 1)] == [0, 1, 1.25, 1.25, 1]
    assert found.at(0.125) == pytest.approx(0.5)
    assert found.area == pytest.approx((0.5 + 1.125 + 1.25 + 1.125) / 4 - 0.5)
    assert (found.low <= found.gain).all() and (found.gain <= found.high).all()
    assert SHARES[0] == 0 and SHARES[-1] == 1


def test_equal_scores_make_a_straight_line_whatever_the_order_of_the_rows() -> None:
    effects = np.random.default_rng(0).normal(size=50)
    found = uplift_curves({"a": np.ones(50)}, effects)[0]["a"]
    np.testing.assert_allclose(found.gain, SHARES * effects.mean(), atol=1e-12)
    assert found.area == pytest.approx(0, abs=1e-12)


@pytest.mark.slow
def test_intervals_of_the_area_hold_it_about_as_often_as_they_say() -> None:
    draw = np.random.default_rng(0)
    hits = 0
    for _ in range(50):
        score = draw.normal(size=150)
        effects = score + draw.normal(size=150) * 3
        low, high = uplift_curves({"a": score}, effects)[0]["a"].interval
        # E[s (1/2 - F(s))] with F descending is E|x - y| / 4 = 1 / (2 sqrt(pi)) for a normal score.
        hits += low <= 1 / (2 * np.sqrt(np.pi)) <= high
    assert 43 <= hits <= 50


def test_doubly_robust_scores_are_right_where_either_model_is() -> None:
    draw = np.random.default_rng(0)
    x = draw.normal(size=40_000)
    chance = sigmoid(x)
    t = (draw.random(len(x)) < chance).astype(float)
    y = 2 * x + t * 1.5 + draw.normal(size=len(x))
    wrong = np.zeros_like(x)
    by_chance = doubly_robust(t, y, wrong, wrong, chance)
    by_outcome = doubly_robust(t, y, 2 * x + 1.5, 2 * x, np.full_like(x, 0.5))
    assert by_chance.mean() == pytest.approx(1.5, abs=0.1)
    assert by_outcome.mean() == pytest.approx(1.5, abs=0.05)


# --- what is refused --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "words", "sentence"),
    [
        (
            {"shown": np.r_[np.ones(40), np.zeros(260)]},
            {},
            "40 rows were treated (shown) and 260 were not. It takes 50 of each, and many more to tell "
            "them apart.",
        ),
        (
            {"shown": np.r_[np.full(299, 2.0), 1.0]},
            {},
            "The column 'shown' has to be 1 and 0, or yes and no, in every row.",
        ),
        (
            {"shown": Factor.of(["yes", "maybe", "no"] * 100)},
            {},
            "The column 'shown' has to be 1 and 0, or yes and no, in every row.",
        ),
        (
            {"bought": np.ones(300)},
            {},
            "The outcome 'bought' is 1 in every row: nothing to learn from.",
        ),
        (
            {"bought": np.full(300, np.nan)},
            {},
            "The outcome 'bought' has to be a number, or yes and no, in every row. Rows without one "
            "can be dropped only where the treatment has nothing to do with its being missing.",
        ),
        (
            {},
            {"features": ["x0", "bought"]},
            "'bought' is what happened, and cannot be learnt from.",
        ),
        ({}, {"features": []}, "There is no column to learn from. Name some with features=."),
        (
            {},
            {"features": ["x9"]},
            "There is no column 'x9'. There are: x0, x1, x2, x3, x4, city, shown, bought.",
        ),
        (
            {},
            {"outcome": "shown"},
            "`treated` and `outcome` are one column, 'shown'. Name two.",
        ),
    ],
)
def test_an_experiment_that_cannot_be_learnt_from_is_refused(
    changed: dict, words: dict, sentence: str
) -> None:
    frame, _ = trial(300, seed=0)
    for name, values in changed.items():
        frame = frame.with_column(name, values)
    outcome = words.pop("outcome", "bought")
    with pytest.raises(DataError) as caught:
        fit_uplift(frame, "shown", outcome, grow=small, **words)
    assert str(caught.value) == sentence


def test_folds_and_other_rows_are_checked(fitted: Uplift) -> None:
    frame, _ = trial(300, seed=0)
    with pytest.raises(ConfigError, match=r"^`folds` is 2 or more\. Got 1\.$"):
        fit_uplift(frame, "shown", "bought", folds=1)
    with pytest.raises(DataError) as caught:
        fitted.rank(frame.with_column("x0", Factor.of(["a"] * 300)))
    assert str(caught.value) == "The column 'x0' held numbers where it was learnt from."
    with pytest.raises(DataError, match="There is no column 'city'"):
        fitted.rank(frame.drop(["city"]))


def test_words_that_were_never_seen_are_ranked_all_the_same(fitted: Uplift) -> None:
    frame, _ = trial(50, seed=9)
    new = frame.with_column("city", Factor.of(["Rom"] * 50))
    assert np.isfinite(fitted.rank(new).uplift).all()
