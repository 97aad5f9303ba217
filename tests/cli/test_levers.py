"""`drivetrain levers`: problem files, runs, rows, dates, experiments and slips."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from drivetrain import tabular
from drivetrain.data.frame import Factor
from tests.levers.test_uplift import trial


@pytest.fixture(scope="module")
def sales(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Days on which a price was set by lot and so much was sold: 100 - 5 price + 10 if it was hot."""
    path = tmp_path_factory.mktemp("sales") / "sales.csv"
    draw = np.random.default_rng(0)
    lines = ["day,price,weather,sold"]
    for number in range(400):
        day = np.datetime64("2025-01-01") + number
        price, hot = round(float(draw.uniform(2, 18)), 2), draw.random() < 0.5
        sold = 100 - 5 * price + 10 * hot + draw.normal(0, 2)
        lines.append(f"{day},{price},{'hot' if hot else 'mild'},{sold:.3f}")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def forest_run(sales: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "forest"
    tabular.fit(str(sales), "sold", "forest", settings={"num_trees": 20}).save(folder)
    return folder


PROBLEM = """
[objective]
maximise = "(price - cost) * prediction"
[levers.price]
low = 1
high = 20
[context]
cost = 3
"""


@pytest.mark.row(13)
def test_a_problem_file_that_names_its_data_is_fitted_and_solved(run, sales: Path) -> None:
    text = (
        f'{PROBLEM}weather = "hot"\n[model]\nsource = "{sales}"\ntarget = "sold"\nname = "linear"\n'
    )
    Path("price.toml").write_text(text)
    done = run("levers", "price.toml", "--json", "--picture", "price.svg")
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    # What the same model has learnt, by two of its answers at each day.
    model = tabular.fit(str(sales), "sold", "linear")
    assert model.data is not None
    train, _ = model.data.part("train")
    words = Factor.of(["hot"] * len(train), train.factor("weather").levels)
    base, above = (
        model.predict_frame(
            train.with_column("weather", words).with_column("price", np.full(len(train), price))
        ).mean()
        for price in (0.0, 1.0)
    )
    slope = above - base
    assert document["settings"]["price"] == pytest.approx((base / -slope + 3) / 2, abs=1e-3)
    assert document["settings"]["price"] == pytest.approx((110 / 5 + 3) / 2, abs=0.4)
    assert document["objective"]["seen_interval"] is not None
    assert document["experiment"]["per_group"] >= 2
    assert Path("price.svg").read_text().startswith("<?xml")


def test_a_run_of_a_forest_is_asked_tree_by_tree(run, forest_run: Path) -> None:
    Path("price.toml").write_text(PROBLEM + "day = 2025-06-01\n[today]\nprice = 5\n")
    done = run("levers", forest_run, "price.toml", "--out", "answer.json")
    assert done.exit_code == 0, done.output
    document = json.loads(Path("answer.json").read_text())
    assert document["objective"]["interval_source"] == "members"
    assert 10 < document["settings"]["price"] < 15
    low, high = document["objective"]["interval"]
    assert low < document["objective"]["gain"] < high
    for word in (
        "Gain: the objective goes from",
        "Cause: A prediction is not a cause.",
        "Experiment:",
    ):
        assert word in done.stdout
    again = run("levers", forest_run, "price.toml", "--json")
    assert json.loads(again.stdout) == document


def test_rows_are_read_as_the_model_reads_them(run, forest_run: Path) -> None:
    Path("rows.csv").write_text("day;weather;cost\n2025-03-01;hot;3\n2025-03-02;mild;5\n")
    text = PROBLEM.replace("cost = 3", 'rows = "rows.csv"')
    Path("price.toml").write_text(text)
    done = run("levers", forest_run, "price.toml", "--json")
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document["objective"]["rows"] == 2


@pytest.mark.row(21)
def test_an_experiment_ranks_new_rows_by_uplift(run) -> None:
    frame, _ = trial(600, seed=0)
    names = frame.names
    columns = [
        frame[n].values() if n in ("city", "bought") else [f"{v:g}" for v in frame.numbers(n)]
        for n in names
    ]
    lines = [",".join(names), *(",".join(row) for row in zip(*columns, strict=True))]
    Path("trial.csv").write_text("\n".join(lines) + "\n")
    Path("new.csv").write_text("\n".join([lines[0], *lines[1:21]]) + "\n")
    Path("trial.toml").write_text(
        '[experiment]\nrows = "trial.csv"\ntreated = "shown"\noutcome = "bought"\n'
    )
    done = run(
        *["levers", "trial.toml", "--rank", "new.csv", "--json"],
        *["--out", "ranking.csv", "--picture", "q.png"],
    )
    assert done.exit_code == 0, done.output
    ranking = Path("ranking.csv").read_text().splitlines()
    assert ranking[0] == "input,uplift,score" and len(ranking) == 21
    uplift = [float(line.split(",")[1]) for line in ranking[1:]]
    assert uplift == sorted(uplift, reverse=True)
    assert Path("q.png").read_bytes().startswith(b"\x89PNG")
    document = json.loads(done.stdout)
    assert document["treated"] == int(frame.numbers("shown").sum())
    assert [row["uplift"] for row in document["ranking"]] == pytest.approx(uplift)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "Give a problem file, or a run and a problem file. See: drivetrain levers --help"),
        (["gone.toml"], "gone.toml cannot be read: No such file or directory."),
        (
            ["price.toml"],
            "price.toml does not say which model answers. Give the run: drivetrain levers RUN "
            "price.toml",
        ),
        (["price.toml", "--rank", "new.csv"], "--rank: price.toml has no [experiment]."),
        (["run", "trial.toml"], "trial.toml has an [experiment], which needs no run and no model."),
        (["price.toml", "--picture", "a.gif"], "--picture: a .svg or a .png, not 'a.gif'."),
        (["nowhere", "price.toml"], "nowhere"),
        (
            ["slip.toml"],
            "slip.toml: [objective] 'maximize' is no key here. Did you mean 'maximise'? There are: ",
        ),
    ],
)
def test_a_slip_is_answered_in_a_line(run, words: list[str], sentence: str) -> None:
    Path("price.toml").write_text(PROBLEM)
    Path("slip.toml").write_text(PROBLEM.replace("[levers", 'maximize = "1"\n[levers'))
    Path("trial.toml").write_text('[experiment]\nrows = "t.csv"\ntreated = "t"\noutcome = "o"\n')
    done = run("levers", *words)
    assert done.exit_code == 2 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"drivetrain: {sentence}")


def test_a_lever_that_the_run_s_table_lacks_is_named(run, forest_run: Path) -> None:
    Path("price.toml").write_text(PROBLEM.replace("levers.price", "levers.prize"))
    done = run("levers", forest_run, "price.toml")
    assert done.exit_code == 2
    assert done.stderr == (
        "drivetrain: The problem does not fit the data: The lever 'prize' is no column of the data and "
        "is in no expression. Did you mean 'price'?\n"
    )
