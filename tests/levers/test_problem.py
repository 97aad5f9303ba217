"""Problem files: every key, every mistake at once, and the way back to JSON."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest

from drivetrain.errors import ConfigError, DataError
from drivetrain.levers import Problem, read_experiment, read_problem
from drivetrain.levers.problem import Lever

WHOLE = """
[objective]
maximise = "(price - cost) * prediction"
over = "sum"

[levers.price]
low = 1
high = 20
step = 0.5

[levers.staff]
low = 1.5
high = 4.5
whole = true

[levers.channel]
choices = ["web", "shop"]

[levers.size]
choices = [2, 1, 5, 1]

[context]
cost = 3
weather = "sunny"
day = 2026-01-31
rows = "customers.csv"

[today]
price = 9
channel = "web"

[[limits]]
expression = "price + staff"
at_most = 10

[[limits]]
expression = "prediction"
at_least = 5
at_most = 50

[search]
stay_within = 0.9
caution = 1

[model]
source = "sales.csv"
target = "demand"
name = "linear"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "price.toml"
    path.write_text(text)
    return path


def test_a_file_with_every_key_is_read(tmp_path: Path) -> None:
    problem = read_problem(written(tmp_path, WHOLE))
    price, staff, channel, size = problem.levers
    assert (problem.direction, problem.over, problem.objective.text) == (
        "maximise",
        "sum",
        "(price - cost) * prediction",
    )
    assert price.grid is not None and price.grid[[0, 1, -1]].tolist() == [1.0, 1.5, 20.0]
    assert staff.grid is not None and staff.grid.tolist() == [2.0, 3.0, 4.0]
    assert channel.choices == ("web", "shop") and channel.grid is None
    assert size.choices == (1.0, 2.0, 5.0)
    assert problem.context == {
        "cost": 3.0,
        "weather": "sunny",
        "day": datetime.datetime(2026, 1, 31),
    }
    assert problem.rows == tmp_path / "customers.csv"
    assert problem.today == {"price": 9.0, "channel": "web"}
    assert [str(limit) for limit in problem.limits] == [
        "price + staff at most 10",
        "prediction at least 5 and at most 50",
    ]
    assert (problem.stay_within, problem.caution) == (0.9, 1.0)
    assert problem.model is not None and problem.model.to_json() == {
        "source": "sales.csv",
        "target": "demand",
        "name": "linear",
    }


def test_a_problem_goes_through_json(tmp_path: Path) -> None:
    problem = read_problem(written(tmp_path, WHOLE))
    document = json.loads(json.dumps(problem.to_json()))
    document["context"]["day"] = datetime.datetime.fromisoformat(document["context"]["day"])
    again = Problem.from_dict(document)
    assert again.to_json() == problem.to_json()
    assert again.levers == problem.levers and again.limits == problem.limits


def test_what_is_left_out_has_defaults() -> None:
    problem = Problem.from_dict(
        {"objective": {"minimise": "prediction"}, "levers": {"a": {"low": 0, "high": 1}}}
    )
    assert (problem.sign, problem.over, problem.stay_within, problem.caution) == (
        -1,
        "mean",
        0.95,
        0,
    )
    assert not problem.limits and problem.rows is None and problem.model is None
    loose = problem.to_json() | {"search": {"stay_within": False}}
    assert Problem.from_dict(loose).stay_within is None


def test_all_mistakes_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
        [objctive]
        maximise = "prediction"
        [objective]
        maximize = "prise"
        [levers.price]
        low = 5
        high = 3
        [levers.channel]
        chioces = ["web"]
        [context]
        price = 4
        [today]
        pric = 3
        [[limits]]
        expression = "price ^ 2"
        [search]
        stay_within = 95
        """,
    )
    with pytest.raises(ConfigError) as caught:
        read_problem(path)
    assert str(caught.value) == (
        f"{path}: 12 mistakes. "
        "'objctive' is no key here. Did you mean 'objective'? There are: objective, levers, context, "
        "today, limits, search, model. "
        "[objective] 'maximize' is no key here. Did you mean 'maximise'? There are: maximise, minimise, "
        "over. "
        '[objective] says neither maximise nor minimise. Write one: maximise = "prediction". '
        "[levers.price] has no room: `low` is 5 and `high` 3. What is fixed belongs into [context]. "
        "[levers.channel] 'chioces' is no key here. Did you mean 'choices'? There are: low, high, step, "
        "whole, choices. [levers.channel] has no `low`. [levers.channel] has no `high`. "
        "[context] fixes 'price', which is a lever. Take it out of one of the two. "
        "[today] sets 'pric', which is no lever. Did you mean 'price'? "
        "[[limits]] 1: 'price ^ 2' has a ^. Write a power with **. "
        "[[limits]] 1: has no bound. Add at_most = 10, or at_least. "
        "[search] `stay_within` is a share of the data in (0, 1], or false for no such bound, not '95'."
    )


def problem_with(**sections: Any) -> dict[str, Any]:
    return {
        "objective": {"maximise": "prediction"},
        "levers": {"price": {"low": 1, "high": 9}, "channel": {"choices": ["web", "shop"]}},
    } | sections


@pytest.mark.parametrize(
    ("sections", "sentence"),
    [
        (
            {"levers": {}},
            "There is no lever. Add one: [levers.price] with low = 1 and high = 20.",
        ),
        (
            {"objective": {"maximise": "prediction", "minimise": "price"}},
            '[objective] has both maximise and minimise. Write one: maximise = "prediction".',
        ),
        (
            {"objective": {"maximise": "prediction", "over": "median"}},
            "[objective] `over` is 'mean' or 'sum', not 'median'.",
        ),
        (
            {"levers": {"a": 3}},
            "[levers.a] is '3', and has to be a table with low and high, or choices.",
        ),
        (
            {"levers": {"a": {"low": "x", "high": 3}}},
            "[levers.a] `low` has to be a number, not 'x'.",
        ),
        (
            {"levers": {"a": {"low": 0, "high": float("nan")}}},
            "[levers.a] `high` has to be a number, not 'nan'.",
        ),
        (
            {"levers": {"a": {"low": 0, "high": True}}},
            "[levers.a] `high` has to be a number, not 'True'.",
        ),
        (
            {"levers": {"a": {"low": 0, "high": 3, "step": -1}}},
            "[levers.a] `step` is -1; it has to be above 0 and at most high - low.",
        ),
        (
            {"levers": {"a": {"low": 0, "high": 3, "step": 1e-9}}},
            "[levers.a] has more than 10000 steps. Leave `step` out: then every number between low and "
            "high is possible.",
        ),
        (
            {"levers": {"a": {"low": 0, "high": 3, "step": 1, "whole": True}}},
            "[levers.a] has whole and step. A step of 1 is whole; give one of them.",
        ),
        (
            {"levers": {"a": {"low": 0.2, "high": 0.8, "whole": True}}},
            "[levers.a] has no room: `low` is 1 and `high` 0. What is fixed belongs into [context].",
        ),
        (
            {"levers": {"a": {"choices": ["x"], "low": 1}}},
            "[levers.a] has choices, so low have no use.",
        ),
        (
            {"levers": {"a": {"choices": ["x", 1]}}},
            "[levers.a] `choices` are all words or all numbers.",
        ),
        (
            {"levers": {"a": {"choices": "web"}}},
            '[levers.a] `choices` is a list, such as ["web", "shop"] or [1, 2, 5].',
        ),
        (
            {"context": {"price": 3}},
            "[context] fixes 'price', which is a lever. Take it out of one of the two.",
        ),
        (
            {"context": {"x": [1]}},
            "[context] 'x' is '[1]', and has to be a number, a word or a date.",
        ),
        (
            {"today": {"prize": 3}},
            "[today] sets 'prize', which is no lever. Did you mean 'price'?",
        ),
        ({"today": {"price": "low"}}, "[today] 'price' has to be a number, not 'low'."),
        ({"today": {"channel": 3}}, "[today] 'channel' has to be a word, not '3'."),
        (
            {"limits": {"expression": "price"}},
            "`limits` is a list of tables: [[limits]] with an expression, at_least, at_most.",
        ),
        (
            {"limits": [{"expression": "price", "at_least": 3, "at_most": 2}]},
            "[[limits]] 1: `at_least` 3 is above `at_most` 2.",
        ),
        (
            {"search": {"caution": -1}},
            "[search] `caution` counts standard deviations, from 0 to 10, not -1.",
        ),
        (
            {"model": {"run": "r", "source": "s"}},
            '[model] names a run (run = "runs/prices"), or what to train on (source = "sales.csv", '
            'target = "demand"), not both.',
        ),
        ({"model": {"source": "s"}}, "[model] needs a source and a target to train on."),
        ({"model": {"run": 3}}, "[model] `run` is no text."),
        ({"levers": 3}, "`levers` is '3', and has to be a table: [levers]."),
    ],
)
def test_a_mistake_is_told_in_a_sentence(sections: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Problem.from_dict(problem_with(**sections))
    assert sentence in str(caught.value)


def test_a_file_that_is_no_problem_is_refused(tmp_path: Path) -> None:
    gone = tmp_path / "gone.toml"
    with pytest.raises(DataError) as missing:
        read_problem(gone)
    assert str(missing.value) == f"{gone} cannot be read: No such file or directory."
    path = written(tmp_path, "maximise = prediction")
    with pytest.raises(ConfigError) as caught:
        read_problem(path)
    assert str(caught.value) == (
        f"{path} is not TOML: Invalid value (at line 1, column 12). A text stands in quotes, as in "
        'maximise = "prediction".'
    )
    path.write_text("a = " + "[" * 5000)
    with pytest.raises(ConfigError, match=r"nested too deep|is not TOML"):
        read_problem(path)
    path.write_bytes(b"#" * (1 << 20) + b"#")
    with pytest.raises(ConfigError, match=r"larger than the 1048576 bytes of a problem file\.$"):
        read_problem(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is not TOML"):
        read_problem(path)


def test_an_experiment_s_file_is_read_and_its_mistakes_are_told(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        '[experiment]\nrows = "trial.csv"\ntreated = "shown"\noutcome = "bought"\nfeatures = ["age"]\n',
    )
    found = read_experiment(path)
    assert found.rows == tmp_path / "trial.csv"
    assert (found.treated, found.outcome, found.features) == ("shown", "bought", ("age",))
    path.write_text('[experiment]\nrow = "trial.csv"\ntreated = 3\nfeatures = "age"\n')
    with pytest.raises(ConfigError) as caught:
        read_experiment(path)
    assert str(caught.value) == (
        f"{path}: 5 mistakes. [experiment] 'row' is no key here. Did you mean 'rows'? There are: rows, "
        "treated, outcome, features. [experiment] has no `rows`. [experiment] `treated` is a text, not "
        "'3'. [experiment] has no `outcome`. [experiment] `features` is a list of columns."
    )


def test_the_values_of_a_grid_are_those_that_one_would_write() -> None:
    grid = Lever("price", low=0.5, high=4, step=0.1).grid
    assert grid is not None
    assert grid.tolist() == [float(f"{number / 10:.1f}") for number in range(5, 41)]
