"""`ensemble`, and the submissions and test-time augmentation of `predict` and `evaluate`, end to end."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from drivetrain import store
from drivetrain.cli import program
from tests.tabular.tables import passengers, write
from tests.text.moods import moods, write_csv


def call(*words: object) -> Result:
    return CliRunner().invoke(program, [str(word) for word in words])


def done(*words: object) -> Result:
    result = call(*words)
    assert result.exit_code == 0, result.output
    return result


def rows_of(path: Path) -> list[list[str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def refused(*words: object) -> str:
    result = call(*words)
    assert (result.exit_code, result.stdout) == (2, "")
    return " ".join(result.stderr.split())


@pytest.fixture(scope="session")
def second(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on the split of `trained`, without augmentation. Not to be changed."""
    folder = tmp_path_factory.mktemp("runs") / "second"
    words = ["--epochs", 1, "--seed", 7, "--set", "augment=false", "--out", folder]
    done("train", photos, *words)
    return folder


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`train.csv`, `test.csv` without its target, and runs `tree` and `linear`. Not to be changed."""
    folder = tmp_path_factory.mktemp("tables")
    people = passengers()
    write(folder / "train.csv", {name: cells[:200] for name, cells in people.items()})
    rest = {name: cells[200:] for name, cells in people.items() if name != "lives"}
    write(folder / "test.csv", rest)
    for model in ("tree", "linear"):
        words = ["--target", "lives", "--model", model, "--drop", "number", "--out", folder / model]
        done("train", folder / "train.csv", *words)
    return folder


# --- measured -------------------------------------------------------------------------------------


@pytest.mark.row(82)
def test_two_runs_of_pictures_are_measured_as_one(trained: Path, second: Path) -> None:
    result = done("ensemble", trained, second, "--json", "--out", "e.json")
    document = json.loads(result.stdout)
    assert store.read_json("e.json") == document
    assert document["weights"] == {str(trained): 0.5, str(second): 0.5}
    assert (document["items"], document["how"], document["folds"]) == (6, "equal", 0)
    assert document["ensemble"]["loss"] <= document["mean_of_members"]["loss"]
    assert document["ensemble"]["squared_error"] <= document["mean_of_members"]["squared_error"]
    for run in (trained, second):  # the members are measured as their own runs were
        own = store.read_json(run / "run.json")["results"]["metrics"]["valid"]
        member = document["members"][str(run)]
        assert member["error"] == pytest.approx(own["error_rate"], abs=1e-6)
        assert member["loss"] == pytest.approx(own["loss"], rel=1e-4)
    assert done("ensemble", trained, second).stdout.startswith("On 6 validation items\n")


@pytest.mark.row(119)
def test_weights_are_fitted_on_validation_and_measured_crosswise(tables: Path) -> None:
    words = ["ensemble", tables / "tree", tables / "linear", "--weights", "fitted", "--json"]
    document = json.loads(done(*words).stdout)
    assert (document["items"], document["folds"]) == (40, 5)
    assert sum(document["weights"].values()) == pytest.approx(1)
    shares = ",".join(map(str, document["weights"].values()))
    again = json.loads(done(*words[:3], "--weights", shares, "--json").stdout)
    assert again["how"] == "given"
    assert again["ensemble"]["loss"] <= document["ensemble"]["loss"]  # on what they were fitted on
    assert json.loads(done(*words, "--seed", 5).stdout)["weights"] == document["weights"]


@pytest.mark.row(119)
def test_runs_of_other_splits_are_not_measured_together(
    photos: Path, trained: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    done("train", photos, "--epochs", 1, "--seed", 8, "--out", other)
    said = refused("ensemble", trained, other)
    assert f"{other} was trained on " in said
    assert "of the 6 items that " in said and said.endswith(
        "together they would be measured on what one of them has seen. Train them on one split: the same "
        "source and seed, or parts of its own."
    )
    assert "was trained on" in refused(
        "ensemble", trained, other, "--weights", "fitted", "--predict", photos
    )
    # nothing is measured here: the mean of two that were trained on other shares is a good one
    done("ensemble", trained, other, "--predict", photos / "circle" / "0.png")


# --- new items ------------------------------------------------------------------------------------


@pytest.mark.row(82)
@pytest.mark.row(119)
def test_new_pictures_get_the_weighted_mean_of_the_runs(
    trained: Path, second: Path, others: Path
) -> None:
    inputs = [others / "circle" / "50.png", others / "square" / "51.png"]
    each = [json.loads(done("predict", run, *inputs, "--json").stdout) for run in (trained, second)]
    words = ["ensemble", trained, second, "--weights", "3,1"]
    asked = [word for path in inputs for word in ("--predict", path)]
    found = json.loads(done(*words, *asked, "--json").stdout)
    assert list(found["weights"].values()) == [0.75, 0.25]
    for one, first, other in zip(found["predictions"], *each, strict=True):
        assert one["input"] == first["input"]
        for label, share in one["probabilities"].items():
            expected = 0.75 * first["probabilities"][label] + 0.25 * other["probabilities"][label]
            assert share == pytest.approx(expected, abs=1e-12)
        assert one["label"] == max(one["probabilities"], key=one["probabilities"].__getitem__)
    result = done(*words, *asked, "--out", "answers.csv")
    assert result.stdout.startswith(f"Mean of {trained} 0.750, {second} 0.250\n")
    header, *body = rows_of(Path("answers.csv"))
    assert header[:2] == ["input", "label"] and [row[0] for row in body] == [*map(str, inputs)]


@pytest.mark.row(83)
def test_an_ensemble_fills_in_a_sample_submission(tables: Path) -> None:
    ids = [row[0] for row in rows_of(tables / "test.csv")[1:]]
    lines = ["number,lives", *(f"{one},no" for one in reversed(ids))]
    Path("sample.csv").write_text("\r\n".join(lines) + "\r\n")
    runs = [tables / "tree", tables / "linear"]
    words = ["ensemble", *runs, "--predict", tables / "test.csv", "--weights", "fitted"]
    found = json.loads(done(*words, "--json").stdout)["predictions"]
    result = done(*words, "--like", "sample.csv", "--out", "out.csv")
    assert result.stdout.endswith(
        "40 answers are in out.csv, in the form of sample.csv: the class\n"
    )
    labels = {one["input"]: one["label"] for one in found}
    expected = [[one, labels[f"row {place + 1}"]] for place, one in enumerate(ids)]
    assert rows_of(Path("out.csv")) == [["number", "lives"], *reversed(expected)]


@pytest.mark.slow
@pytest.mark.row(119)
def test_runs_of_texts_and_of_their_table_are_put_together(tmp_path: Path) -> None:
    texts, labels = moods(160)
    days = [f"2024-{1 + n // 28:02}-{1 + n % 28:02}" for n in range(160)]
    stars = [len(one) % 5 for one in texts]
    columns = {"review": texts, "stars": stars, "day": days, "mood": labels}
    source = write_csv(tmp_path / "reviews.csv", columns)
    # at random each application draws its own items; the last in time are the same for both
    words = ["train", source, "--target", "mood", "--set", "split=time", "--set", "time=day"]
    done(*words, "--task", "text", "--set", "text_columns=review", "--epochs", 2, "--out", "texts")
    done(*words, "--task", "tabular", "--model", "tree", "--drop", "review", "--out", "rows")
    document = json.loads(done("ensemble", "texts", "rows", "--json").stdout)
    assert document["items"] == 32
    result = done("ensemble", "texts", "rows", "--predict", source, "--out", "answers.csv")
    assert "160 answers are in answers.csv" in result.stdout


@pytest.mark.slow
def test_runs_of_ratings_are_measured_and_not_asked(tmp_path: Path) -> None:
    for model, out in (("dot", "a"), ("dot", "b")):
        factors = ["--set", "num_factors=4"] if out == "b" else []
        done("train", "films", "--model", model, "--epochs", 1, *factors, "--out", out)
    document = json.loads(done("ensemble", "a", "b", "--weights", "fitted", "--json").stdout)
    assert document["error_is"] == "rmse"
    assert document["ensemble"]["loss"] <= document["mean_of_members"]["loss"]
    assert "a is of ratings." in refused("ensemble", "a", "b", "--predict", "pairs.csv")


# --- submissions of one run -----------------------------------------------------------------------


@pytest.mark.row(83)
def test_rows_go_into_the_form_of_a_sample_in_its_order(tables: Path) -> None:
    ids = [row[0] for row in rows_of(tables / "test.csv")[1:]]
    found = json.loads(done("predict", tables / "tree", tables / "test.csv", "--json").stdout)
    for value, key in (("0", None), ("0.5", "yes")):
        lines = ["number,Lives", *(f"{one},{value}" for one in ids)]
        Path("sample.csv").write_text("\n".join(lines) + "\n")
        words = ["predict", tables / "tree", tables / "test.csv", "--like", "sample.csv"]
        done(*words, "--out", "out.csv")
        header, *body = rows_of(Path("out.csv"))
        assert header == ["number", "Lives"] and [row[0] for row in body] == ids
        for row, one in zip(body, found, strict=True):
            if key is None:
                assert row[1] == str(int(one["label"] == "yes"))
            else:
                assert float(row[1]) == one["probabilities"][key]


@pytest.mark.row(83)
def test_a_table_without_ids_goes_by_the_numbers_of_its_rows(tables: Path) -> None:
    lines = ["Id,lives", *(f"{number}," for number in range(1, 41))]
    Path("sample.csv").write_text("\n".join(lines) + "\n")
    words = ["predict", tables / "tree", tables / "test.csv", "--out", "out.csv", "--like"]
    done(*words, "sample.csv")
    labels = [one["label"] for one in json.loads(done(*words[:3], "--json").stdout)]
    assert [row[1] for row in rows_of(Path("out.csv"))[1:]] == labels
    Path("sample.csv").write_text("Key,lives\nx,\ny,\n")
    said = refused(*words, "sample.csv")
    assert said.startswith(
        f"drivetrain: {tables / 'test.csv'} has no column 'Key', and the ids of sample.csv are no row "
        "numbers: nobody can tell which row is which. Its columns: number, sex, "
    )
    Path("sample.csv").write_text("number,lives\nP0200,\nP9999,\n")
    assert "sample.csv asks for 2 items, and 1 has no answer, such as 'P9999'." in refused(
        *words, "sample.csv"
    )


@pytest.mark.row(83)
def test_pictures_go_by_their_names_and_a_damaged_one_is_missing(
    trained: Path, others: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "test"
    folder.mkdir()
    for shape in ("circle", "square"):
        shutil.copy(others / shape / "50.png", folder / f"{shape}.png")
    Path("sample.csv").write_text("image_id,label\nsquare,\ncircle,\n")
    words = ["predict", trained, folder, "--like", "sample.csv", "--out", "out.csv", "--tta", 2]
    result = done(*words)
    assert "2 answers are in out.csv, in the form of sample.csv: the class" in result.stdout
    assert [row[0] for row in rows_of(Path("out.csv"))] == ["image_id", "square", "circle"]
    (folder / "square.png").write_bytes(b"no picture")
    result = call(*words)
    assert result.exit_code == 2
    assert "sample.csv asks for 2 items, and 1 has no answer, such as 'square'. " in result.stderr


@pytest.mark.slow
@pytest.mark.row(83)
def test_passengers_of_the_real_competition(shared_data: Any, tmp_path: Path) -> None:
    header, *body = rows_of(shared_data("titanic") / "train.csv")
    place = header.index("Survived")
    for name, part, left in (("train", body[:700], ()), ("test", body[700:], (place,))):
        kept = [[c for k, c in enumerate(r) if k not in left] for r in (header, *part)]
        with open(f"{name}.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(kept)
    Path("sample.csv").write_text(
        "PassengerId,Survived\n" + "".join(f"{row[0]},0\n" for row in body[700:])
    )
    for model in ("forest", "linear"):
        words = ["--target", "Survived", "--model", model, "--drop", "PassengerId"]
        done("train", "train.csv", *words, "--out", model)
    words = ["--like", "sample.csv", "--out", "out.csv"]
    for command in (
        ["predict", "forest", "test.csv"],
        ["ensemble", "forest", "linear", "--predict", "test.csv"],
    ):
        done(*command, *words)
        found = rows_of(Path("out.csv"))
        assert found[0] == ["PassengerId", "Survived"]
        assert [row[0] for row in found[1:]] == [row[0] for row in body[700:]]
        right = [row[1] == true[place] for row, true in zip(found[1:], body[700:], strict=True)]
        assert sum(right) / len(right) > 0.75  # all dead is right for 0.62


# --- test-time augmentation -----------------------------------------------------------------------


@pytest.mark.row(108)
def test_evaluate_shows_plain_and_varied_side_by_side(
    trained: Path, second: Path, others: Path
) -> None:
    words = ["evaluate", trained, "--on", others, "--tta", 2]
    document = json.loads(done(*words, "--json").stdout)
    plain = json.loads(done("evaluate", trained, "--on", others, "--json").stdout)
    assert document["metrics"]["accuracy"] == plain["metrics"]["accuracy"]
    assert document["tta"]["copies"] == 2
    other = json.loads(done(*words, "--seed", 1, "--json").stdout)
    assert other["metrics"] == document["metrics"] and other["tta"] != document["tta"]
    text = done(*words).stdout
    assert "With test-time augmentation: 2 varied copies of each picture, and 0.25 of the" in text
    assert "Its error minus the plain one: " in text
    assert f"{second} was trained without augmentation" in refused(
        "evaluate", second, "--on", others, "--tta", 2
    )


@pytest.mark.row(108)
def test_predict_with_tta_is_another_answer_and_the_same_each_time(
    trained: Path, others: Path
) -> None:
    words = ["predict", trained, others / "circle" / "50.png", "--json"]
    plain, first, again = (
        json.loads(done(*words, *more).stdout) for more in ((), ("--tta", 3), ("--tta", 3))
    )
    assert first == again != plain
    assert "--tta: for runs of pictures, without --engine and --shift." in refused(
        *words[:-1], "--tta", 3, "--shift"
    )


# --- refused --------------------------------------------------------------------------------------


def test_what_cannot_be_asked_is_refused(trained: Path, second: Path, tables: Path) -> None:
    pair = ["ensemble", trained, second]
    cases = [
        (["ensemble", trained], "An ensemble is of two runs or more. Give RUN RUN..."),
        (["ensemble", trained, trained], "is given twice. To weigh it more, give --weights."),
        ([*pair, "--weights", "some"], "'some' is neither equal nor fitted, nor numbers such as"),
        (
            [*pair, "--weights", "1,2,3"],
            "`weights` need 2 numbers, 0 or more, one for each member.",
        ),
        (
            [*pair, "--weights", "fitted"],
            "Weights are fitted on 10 items or more, and there are 6.",
        ),
        ([*pair, "--out", "a.csv"], "--like, and --out FILE.csv, are for --predict INPUT."),
        (
            [*pair, "--predict", "x", "--out", "a.parquet"],
            "--out: these answers are written as .csv",
        ),
        ([*pair, "--predict", "x", "--like", "s.csv"], "--like: say with --out FILE.csv where the"),
        (["ensemble", trained, "gone"], "gone is not a run folder: there is no such folder."),
        (
            ["ensemble", trained, tables / "tree"],
            "nobody can tell whether these are the same items.",
        ),
        (["predict", trained, "x", "--like", "s.csv"], "--like: say with --out FILE.csv where the"),
        (
            ["predict", trained, "x", "--out", "s.parquet"],
            "--out: these answers are written as .csv",
        ),
        (["evaluate", tables / "tree", "--on", tables, "--tta", 2], "--tta: for runs of pictures."),
    ]
    for words, sentence in cases:
        assert sentence in refused(*words)


def test_a_run_that_is_not_finished_is_refused(trained: Path, second: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cut"
    shutil.copytree(second, folder)
    record = store.read_json(folder / "run.json")
    del record["results"]
    store.write_json(folder / "run.json", record)
    for more in ([], ["--predict", "x.png"]):
        said = refused("ensemble", folder, trained, *more)
        assert said == (
            f"drivetrain: {folder} is not finished. Finish it with: drivetrain resume {folder}"
        )
