"""cli/trying.py, cli/measuring.py: a candidate of each application; its error is that of its run."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import Any

import pytest

from drivetrain.cli import trial
from drivetrain.cli.measuring import measure_run
from drivetrain.cli.trying import DataPhaseError, TooShortError, train_candidate
from drivetrain.errors import RunError
from drivetrain.train import timing
from drivetrain.train.run import Run


def spec(source: Path, application: str, model: str, **more: Any) -> dict[str, Any]:
    return {
        "application": application, "source": str(source), "given": {}, "beside": {},
        "implicit": False, "accepted": {}, "seed": 42, "minutes": 0.05, "model": model, "own": {},
        "run": "run", **more,
    }  # fmt: skip


def table(folder: Path) -> Path:
    """Rows whose class follows from two columns, but for a few."""
    draw = random.Random(3)
    lines = ["size,colour,heavy,price"]
    for _ in range(240):
        size, colour = draw.random(), draw.choice("rgb")
        heavy = (size > 0.5) != (colour == "r") if draw.random() < 0.9 else draw.random() < 0.5
        lines.append(
            f"{size:.3f},{colour},{'yes' if heavy else 'no'},{3 * size + draw.random():.3f}"
        )
    path = folder / "table.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def ratings(folder: Path, *, events: bool) -> Path:
    """Three groups of users who like items of their own."""
    draw = random.Random(1)
    lines = ["user,item" if events else "user,item,rating"]
    for user in range(45):
        for item in draw.sample(range(30), 12):
            likes = item // 10 == user % 3
            if not events or likes:
                stars = f",{draw.choice([4, 5] if likes else [1, 2, 3])}"
                lines.append(f"u{user},i{item}{'' if events else stars}")
    path = folder / "ratings.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def texts(folder: Path) -> Path:
    draw = random.Random(2)
    good, bad = "bright warm merry kind".split(), "dull cold sour mean".split()
    lines = ["text,label"]
    for _ in range(60):
        label = draw.random() < 0.5
        words = [
            draw.choice(good if label else bad) if draw.random() < 0.5 else "the"
            for _ in "12345678"
        ]
        lines.append(f"{' '.join(words)} and so on,{'good' if label else 'bad'}")
    path = folder / "texts.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.row(106)
def test_a_net_is_cut_to_its_share_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "seconds_a_step", lambda *args, **more: 40.0)
    source = table(tmp_path)
    asked = spec(source, "tabular", "net", given={"label_column": "heavy"}, own={"layers": [8, 4]})
    learner = train_candidate(asked | {"minutes": 1.9}, began=time.perf_counter())
    record = Run.open("run").read()
    # three steps of 40 s would be an epoch of the 192 rows, and two of them fit into 114 s
    assert record["plan"]["epochs"] == 1 and record["results"]["epochs"] == 1
    choice = {one["what"]: one for one in record["choices"]}
    assert choice["epochs"]["reason"].startswith("cut from 20: an epoch takes about 2.0 min")
    row, errors = measure_run(Path("run"), learner)
    assert row["note"] == "1 epoch on 67% of the training items"
    assert row["error"] == pytest.approx(record["results"]["metrics"]["valid"]["error_rate"])
    assert len(errors) == record["results"]["items"]["valid"]
    assert set(row["rules"]) >= {"majority", "one_r"} and row["parameters"] > 50
    again, same = measure_run(Path("run"))  # as it is measured where the Learner is gone
    assert again["error"] == row["error"] and same.items == errors.items
    assert (same.values == errors.values).all()


@pytest.mark.row(106)
def test_what_has_no_time_for_the_least_waits_unless_it_may_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "seconds_a_step", lambda *args, **more: 40.0)
    asked = spec(table(tmp_path), "tabular", "net", given={"label_column": "heavy"})
    asked |= {"own": {"layers": [8, 4]}, "minutes": 0.1}
    with pytest.raises(TooShortError) as caught:
        train_candidate(asked | {"may_wait": True}, began=time.perf_counter())
    assert caught.value.seconds > 40 and not Path("run", "run.json").exists()
    train_candidate(asked, began=time.perf_counter())  # in the folder that is bare
    assert Run.open("run").read()["results"]["epochs"] == 1


def test_baselines_are_made_once_for_all_candidates_of_the_same_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from drivetrain.tabular.application import TabularApplication

    made: list[int] = []
    find = TabularApplication.find_baselines
    monkeypatch.setattr(
        TabularApplication, "find_baselines", lambda self: made.append(1) or find(self)
    )
    asked = spec(table(tmp_path), "tabular", "net", given={"label_column": "heavy"})
    asked |= {"own": {"layers": [4]}, "folder": str(tmp_path / "s")}
    (tmp_path / "s").mkdir()
    for number, said in enumerate(("", "", "other", "damage")):
        path = tmp_path / "s" / "baselines.json"
        if said == "other":  # of other data: another seed splits otherwise
            path.write_text(path.read_text().replace('"fingerprint": "', '"fingerprint": "0'))
        if said == "damage":
            path.write_text('{"fingerprint": ')
        train_candidate(asked | {"run": f"run{number}"}, began=time.perf_counter())
    results = [Run.open(f"run{number}").read()["results"] for number in range(4)]
    assert all(one["baselines"] == results[0]["baselines"] for one in results)
    assert set(results[0]["baselines"]) >= {"majority", "tree"} and len(made) == 3


def test_a_result_and_its_measure_are_made_of_one_pass_over_the_texts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from drivetrain import text
    from drivetrain.train import loop

    sizes = {"embedding_dim": 8, "hidden_dim": 8}
    learner = text.learner(
        texts(tmp_path), "label", model="gru", sizes=sizes, progress=False, announce=False
    )
    learner.start_run(Run.create("run"))
    learner.train(1)
    passes: list[int] = []
    evaluate = loop.evaluate
    monkeypatch.setattr(loop, "evaluate", lambda *a, **m: passes.append(1) or evaluate(*a, **m))
    result = learner.result()
    assert len(passes) == 1
    row, errors = measure_run(Path("run"), learner)
    assert len(passes) == 1
    assert row["error"] == pytest.approx(1 - result["metrics"]["valid"]["accuracy"])
    again, same = measure_run(Path("run"))  # as it is measured where the Learner is gone
    assert len(passes) > 1 and again["error"] == row["error"] and same.items == errors.items
    assert (same.values == errors.values).all()


@pytest.mark.row(106)
def test_a_process_that_waits_says_what_to_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    def wait(told: dict[str, Any], *, began: float) -> None:
        raise TooShortError(97.0)

    monkeypatch.setattr("drivetrain.cli.trying.train_candidate", wait)
    monkeypatch.setattr("threading.Thread.start", lambda self: None)  # no parent to watch
    told = {"name": "a", "folder": str(tmp_path), "run": str(tmp_path / "a"), "kind": "candidate"}
    monkeypatch.setattr(
        "sys.stdin", io.TextIOWrapper(io.BytesIO(json.dumps(told).encode() + b"\n"))
    )
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert trial.main() == 0
    found = trial.read_measured(tmp_path, "a")
    assert found is not None and found[0].state == "waiting"
    assert found[0].note == (
        "not tried: the least that trains takes about 1.7 minutes here. The same line with "
        "--each 1.7, and --minutes for it, goes on with it"
    )


@pytest.mark.slow
@pytest.mark.row(106)
@pytest.mark.parametrize(
    ("application", "model", "more", "metric"),
    [
        ("tabular", "boosting", {"given": {"label_column": "heavy"}}, "error_rate"),
        ("tabular", "tree", {"given": {"label_column": "price"}}, "rmse"),
        ("tabular", "net", {"given": {"label_column": "price"}}, "rmse"),
        ("text", "gru", {"own": {"sizes": {"embedding_dim": 8, "hidden_dim": 8}}}, "error_rate"),
        ("collab", "dot_bias", {"own": {"num_factors": 3}}, "rmse"),
        ("collab", "bpr", {"own": {"num_factors": 3}}, "1 - ndcg"),
        ("collab", "als", {"own": {"num_factors": 3}}, "1 - ndcg"),
    ],
)
def test_the_error_of_a_candidate_is_that_of_its_run(
    tmp_path: Path, application: str, model: str, more: dict[str, Any], metric: str
) -> None:
    if application == "tabular":
        source = table(tmp_path)
    elif application == "text":
        source = texts(tmp_path)
        more = {**more, "given": {"label_column": "label", "text_columns": ["text"]}}
    else:
        source = ratings(tmp_path, events=metric == "1 - ndcg")
    train_candidate(spec(source, application, model, **more), began=time.perf_counter())
    row, errors = measure_run(Path("run"))
    valid = json.loads(Path("run/run.json").read_text())["results"]["metrics"]["valid"]
    expected = {
        "error_rate": 1 - valid.get("accuracy", 0),
        "rmse": valid.get("rmse"),
        "1 - ndcg": 1 - valid.get("ndcg", 0),
    }[metric]
    assert row["metric"] == metric and row["error"] == pytest.approx(expected, rel=1e-5)
    assert row["error"] == pytest.approx(errors.error)
    assert row["low"] <= row["error"] <= row["high"] and row["low"] < row["high"]
    assert (errors.groups is not None) == (model == "dot_bias")  # ratings of a person are together


def test_what_is_wrong_with_the_data_is_told_from_what_is_wrong_with_a_model(
    tmp_path: Path,
) -> None:
    asked = spec(table(tmp_path), "tabular", "tree", given={"label_column": "cost"})
    with pytest.raises(DataPhaseError) as caught:
        train_candidate(asked, began=time.perf_counter())
    assert "there is no column 'cost'" in str(caught.value.__cause__)


def test_a_training_that_diverged_has_no_error(tmp_path: Path) -> None:
    from drivetrain import store
    from drivetrain.train.run import read_model

    asked = spec(table(tmp_path), "tabular", "net", given={"label_column": "price"})
    train_candidate(asked | {"own": {"layers": [4], "epochs": 1}}, began=time.perf_counter())
    tensors, description = read_model("run")
    spoilt = {
        name: tensor * float("nan") if tensor.is_floating_point() else tensor
        for name, tensor in tensors.items()
    }
    digest = store.write_tensors(Path("run/model/model.safetensors"), spoilt)
    store.write_json(Path("run/model/model.json"), description | {"sha256": digest})
    with pytest.raises(
        RunError, match=r"^Its answers are no numbers: the training diverged\. A low"
    ):
        measure_run(Path("run"))
