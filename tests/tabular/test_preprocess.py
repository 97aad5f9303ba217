"""What is learnt of columns: on the training rows alone, the same ever after, nothing in silence."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, strategies as st

from drivetrain.data.frame import Factor, Frame
from drivetrain.errors import ConfigError, DataError
from drivetrain.tabular.preprocess import Notes, Preprocess, learn, skew, suggest_logs

NAN = float("nan")
NUMBERS = st.lists(st.one_of(st.just(NAN), st.floats(-1e6, 1e6)), min_size=1, max_size=30)


def ship() -> Frame:
    """Passengers, few enough to check by hand."""
    return Frame(
        {
            "age": np.array([24.0, NAN, 30.0, 24.0, 30.0]),
            "fare": np.array([8.0, 7.0, 8.0, 512.0, 0.0]),
            "sex": Factor.of(["male", "female", "female", "male", "male"]),
            "port": Factor.of(["S", "C", None, "S", "Q"]),
        }
    )


@pytest.mark.row(74)
def test_missing_ones_take_the_commonest_of_equals_the_first() -> None:
    learnt = learn(ship(), fill="mode")
    by_name = {column.name: column for column in learnt.numbers}
    assert by_name["age"].fill == 24  # 24 and 30 stand twice each
    assert by_name["fare"].fill == 8
    assert learnt.categories[1].mode == "S"


@pytest.mark.row(74)
def test_a_fill_is_of_the_training_rows_and_goes_to_all_others() -> None:
    learnt = learn(ship().take([0, 2, 4]), fill="median")
    numbers, flags = learnt.filled(ship())
    assert numbers[1, 0] == 30  # of 24, 30, 30
    assert flags.shape == (5, 0)


def test_a_flag_says_what_was_missing_where_training_had_some() -> None:
    learnt = learn(ship())
    _, flags = learnt.filled(ship())
    assert flags[:, 0].tolist() == [0, 1, 0, 0, 0]
    assert learnt.design_names == ("sex", "port", "age", "fare", "age is missing")
    assert learnt.design(ship()).shape == (5, 5)


def test_codes_begin_at_one_and_zero_is_missing_or_unseen() -> None:
    learnt = learn(ship())
    other = Frame({"sex": Factor.of(["female", "other"]), "port": Factor.of([None, "Q"])})
    notes = Notes()
    assert learnt.codes(other, notes).tolist() == [[1, 0], [0, 2]]
    assert notes.unseen == {"sex": {"other": 1}}
    assert notes.sentences() == [
        "'sex' has 'other' in 1 row, which training never saw: taken as unknown."
    ]


def test_unseen_levels_may_take_the_mode() -> None:
    learnt = learn(ship(), unseen="mode")
    other = Frame({"sex": Factor.of(["other"]), "port": Factor.of(["X"])})
    assert learnt.codes(other).tolist() == [[2, 3]]  # male, S


def test_unseen_levels_may_be_an_error() -> None:
    learnt = learn(ship(), unseen="error")
    other = Frame({"sex": Factor.of(["other"]), "port": Factor.of(["S"])})
    with pytest.raises(
        DataError,
        match=r"^The column 'sex' has 'other', which training never saw\. Train with it, or choose "
        r"`unseen='missing'`\.$",
    ):
        learnt.codes(other)


def test_what_is_missing_for_the_first_time_is_said() -> None:
    learnt = learn(ship().drop(["age"]))
    notes = Notes()
    learnt.filled(Frame({"fare": np.array([NAN, 1000.0])}), notes)
    assert notes.newly_missing == {"fare": 1} and notes.outside == {"fare": 1}
    assert "'fare' is missing in 1 row, and never was in training: filled as usual." in (
        notes.sentences()
    )


@pytest.mark.row(77)
def test_a_column_of_zeros_and_ones_for_each_level() -> None:
    learnt = learn(ship())
    assert learnt.linear_names == (
        *("age", "fare", "age is missing", "sex = female", "sex = male"),
        *("port = C", "port = Q", "port = S"),
    )
    dummies = learnt.linear(ship())[:, 3:]
    assert dummies[:, :2].tolist() == [[0, 1], [1, 0], [1, 0], [0, 1], [0, 1]]
    assert dummies[2, 2:].tolist() == [0, 0, 0]  # missing


@pytest.mark.row(77)
def test_an_unseen_level_is_zero_everywhere_and_is_said() -> None:
    learnt = learn(ship())
    other = ship().with_column("sex", Factor.of(["other"] * 5))
    notes = Notes()
    assert not learnt.linear(other, notes)[:, 3:5].any()
    assert notes.unseen == {"sex": {"other": 5}}


@pytest.mark.row(78)
def test_scaled_by_the_largest_each_column_reaches_one() -> None:
    learnt = learn(ship(), scale="max")
    scaled = learnt.linear(ship())[:, :2]
    assert scaled.max(axis=0).tolist() == [1, 1]
    again = Preprocess.from_json(json.loads(json.dumps(learnt.to_json())))
    np.testing.assert_array_equal(again.linear(ship()), learnt.linear(ship()))


def test_standardised_numbers_have_mean_zero_and_spread_one() -> None:
    _, numbers = learn(ship()).net_inputs(ship())
    assert numbers.dtype == np.float32
    np.testing.assert_allclose(numbers[:, :2].mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(numbers[:, :2].std(axis=0), 1, atol=1e-6)


@pytest.mark.row(76)
def test_a_logarithm_is_suggested_for_long_tails_and_taken_only_when_asked() -> None:
    draw = np.random.default_rng(0)
    frame = Frame({"price": np.exp(draw.normal(3, 1, 500)), "height": draw.normal(170, 9, 500)})
    suggested = suggest_logs(frame)
    assert list(suggested) == ["price"]
    before, after = suggested["price"]
    assert before > 2 > abs(after)
    plain, logged = learn(frame), learn(frame, log=["price"])
    assert not plain.numbers[0].is_log
    expected = np.log1p(frame.numbers("price"))
    expected = (expected - expected.mean()) / expected.std()
    np.testing.assert_allclose(logged.net_inputs(frame)[1][:, 0], expected, atol=1e-5)
    np.testing.assert_array_equal(
        logged.design(frame), plain.design(frame)
    )  # trees see no difference


@pytest.mark.row(76)
def test_skew_is_that_of_pandas() -> None:
    pandas = pytest.importorskip("pandas")
    values = np.random.default_rng(1).exponential(size=50)
    assert skew(values) == pytest.approx(pandas.Series(values).skew(), rel=1e-12)
    assert skew(np.ones(5)) == 0


def test_levels_may_have_an_order_and_numbers_among_them_their_own() -> None:
    frame = Frame(
        {"size": Factor.of(["M", "S", "L", "XS"]), "grade": Factor.of(["10", "9", "x", "2"])}
    )
    learnt = learn(frame, levels={"size": ["S", "M", "L"]})
    assert learnt.categories[0].levels == ("S", "M", "L", "XS")
    assert learnt.categories[1].levels == ("2", "9", "10", "x")


@given(NUMBERS, st.sampled_from(["median", "mode", "constant"]))
def test_nothing_is_left_missing_and_json_keeps_it_all(values: list[float], fill: str) -> None:
    frame = Frame(
        {"a": np.array(values), "b": Factor.of(["x" if v == v else None for v in values])}
    )
    learnt = learn(frame, fill=fill)
    again = Preprocess.from_json(json.loads(json.dumps(learnt.to_json())))
    assert again == learnt
    for form in (again.design, again.linear):
        assert np.isfinite(form(frame)).all()
        np.testing.assert_array_equal(form(frame), getattr(learnt, form.__name__)(frame))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"fill": "mean"}, r"^`fill` must be one of median, mode, constant\. Got 'mean'\.$"),
        ({"scale": "no"}, r"^`scale` must be one of standard, max\. Got 'no'\.$"),
        ({"unseen": "no"}, r"^`unseen` must be one of missing, mode, error\. Got 'no'\.$"),
        ({"log": ["fair"]}, r"^There is no column 'fair'\. Did you mean 'fare'\?$"),
    ],
)
def test_unknown_settings_are_refused(option: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        learn(ship(), **option)


def test_no_logarithm_of_numbers_below_zero() -> None:
    with pytest.raises(
        DataError, match=r"^The column 'a' holds numbers below 0, which have no log\(1 \+ x\)\.$"
    ):
        learn(Frame({"a": np.array([-2.0, 1.0])}), log=["a"])


@pytest.mark.parametrize(
    "change",
    [
        {"scale": "other"},
        {"numbers": [{"name": "a"}]},
        {"numbers": 3},
        {"categories": [{"name": "a", "levels": ["x", "x"], "mode": None}]},
    ],
)
def test_a_record_that_is_none_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(DataError, match=r"^This is not the preprocessing of a table: "):
        Preprocess.from_json(learn(ship()).to_json() | change)
