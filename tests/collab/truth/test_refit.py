"""A Learner's kind of model on other ratings."""

from __future__ import annotations

import numpy as np
import pytest

from drivetrain.collab.data import CollabData, gather
from drivetrain.collab.factors import Factors
from drivetrain.collab.learner import CollabLearner, learner
from drivetrain.collab.truth.concentration import effect_of_capping
from drivetrain.collab.truth.feedback import Mitigation, simulate_feedback
from drivetrain.collab.truth.refit import refit
from drivetrain.errors import ConfigError
from drivetrain.train.learner import Learner
from tests.collab.simple_fits import planted


def some_data() -> CollabData:
    table = planted(50, 30, each=10, noise=0.2).table
    columns = {
        "user": table.users,
        "item": table.items,
        "rating": table.ratings,
        "time": table.times,
    }
    return gather({name: np.asarray(values).tolist() for name, values in columns.items()})


def trained(data: CollabData, model: str, **settings: object) -> CollabLearner:
    found = learner(data, model=model, epochs=2, progress=False, **settings)  # pyright: ignore[reportArgumentType]
    found.train()
    return found


@pytest.mark.parametrize(
    ("model", "settings"),
    [("dot_bias", {"num_factors": 3}), ("dot", {"y_range": False}), ("net", {"layers": [8]})],
)
def test_the_same_ratings_give_the_same_model(model: str, settings: dict) -> None:
    """To the last bit: so what another table gives is that table's doing."""
    data = some_data()
    one = trained(data, model, seed=3, **settings)
    asked = one.application.model(one)  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue]
    fit = refit(one)
    again = fit(data.part("train"))
    users, items = np.array([1, 5, 0]), np.array([2, 9, 4])
    np.testing.assert_array_equal(again.scores(users), asked.scores(users))
    np.testing.assert_allclose(
        again.predict(users, items), asked.outputs(users, items), rtol=1e-5, atol=1e-7
    )
    assert isinstance(again, Factors) == (model != "net")
    other = fit(data.part("train").take(np.arange(200)))
    assert (other.scores(users) != again.scores(users)).any()
    # neither data nor Learner are touched
    np.testing.assert_array_equal(asked.scores(users), again.scores(users))


@pytest.mark.row(130)
def test_a_learners_own_loop_and_caps() -> None:
    data = some_data()
    fit, train = refit(trained(data, "dot_bias", num_factors=2)), data.part("train")
    found = simulate_feedback(
        fit, train, fit(train), rounds=1, k=3, users_per_round=20,
        variants={"w": Mitigation(exploration=0.5, weighting="shown")},
    )  # fmt: skip
    # the first fit is to the ratings that the taste was made of: the same model
    assert found["w"].mean("order")[0] == pytest.approx(1)
    assert found["w"].mean("rmse")[0] == 0
    assert found["w"].mean("rmse")[1] > 0
    assert found.ratings == len(train)
    report = effect_of_capping(fit, train, data.part("valid"), most=6, k=3)
    assert report.fits[1].ratings == 50 * 6 - (6 - np.bincount(train.users)[1:]).clip(0).sum()


def test_other_learners_are_refused() -> None:
    one = trained(some_data(), "dot")
    plain = Learner(one.model, one.loaders, one.loss_fn, progress=False)
    with pytest.raises(ConfigError) as caught:
        refit(plain)  # pyright: ignore[reportArgumentType]
    assert str(caught.value) == "`refit` needs a Learner of ratings, made by `collab.learner`."
