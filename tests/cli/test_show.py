"""`drivetrain show`: of a run, and of shapes; what is asked wrongly is answered with the right line."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

import drivetrain as dt
from drivetrain.cli import program, show
from drivetrain.samples import write_sample
from tests.show.independent import recalculate
from tests.tabular.tables import passengers, write

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "show.md").read_text("utf-8")


def calculation(run, *words: object) -> dict:
    """The JSON of a calculation, worked out again by a second reader."""
    result = run("show", *words, "--json")
    assert result.exit_code == 0, result.output
    found = recalculate(result.stdout)
    assert found.calculations >= 1
    return json.loads(result.stdout)


# --- shapes, which need no run --------------------------------------------------------------------


@pytest.mark.row(28)
@pytest.mark.parametrize(
    "shapes", [("64,28,28", "28,28"), ("(64,28,28)", "(28,28)"), ("64x28x28", "28x28")]
)
def test_broadcast_in_every_way_to_write_a_shape(run, shapes) -> None:
    result = run("show", "broadcast", *shapes)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"{dt.show.broadcast((64, 28, 28), (28, 28))}\n"
    document = json.loads(run("show", "broadcast", *shapes, "--json").stdout)
    assert document["result"] == [64, 28, 28]


@pytest.mark.row(28)
def test_shapes_that_do_not_fit_end_with_one_line_and_code_2(run) -> None:
    result = run("show", "broadcast", "3", "4")
    assert result.exit_code == 2 and result.stdout == ""
    assert result.stderr == (
        "drivetrain: Shapes (3,) and (4,) cannot be broadcast: at axis 0 of the result (the last) "
        "the first "
        "has 3 and the second has 4, and neither is 1. Element by element they must be equally "
        "long; for "
        "every pair of them give the first as (3, 1): `x[:, None]`.\n"
    )


@pytest.mark.row(134)
def test_conv_as_the_course_has_it(run) -> None:
    words = ("show", "conv", "28", "--kernel", 3, "--pad", 1, "--stride", 2)
    assert "28 -> 14 (kernel 3, padding 1, stride 2)" in run(*words).stdout
    chain = json.loads(run(*words, "--layers", 5, "--json").stdout)
    assert chain["sizes"] == [28, 14, 7, 4, 2, 1]
    pictures = json.loads(run("show", "conv", "64,1,28,28", "--out-channels", 4, "--json").stdout)
    assert pictures["result"] == [64, 4, 26, 26]
    pair = json.loads(run("show", "conv", "28,30", "--kernel", "3,5", "--json").stdout)
    assert pair["result"] == [26, 26]


@pytest.mark.row(24)
def test_lists_are_described_and_ragged_ones_refused(run) -> None:
    assert "rank 2, shape (2, 2): a matrix" in run("show", "describe", "[[1, 2], [3, 4]]").stdout
    result = run("show", "describe", "[[1, 2], [3]]")
    assert result.exit_code == 2
    assert "row [1] with 1, where the others have 2" in result.stderr
    assert "64 · 30 = 1,920" in run("show", "matmul", "64,784", "784,30", "30,1").stdout


def test_a_page_and_a_document_are_written(run, tmp_path: Path) -> None:
    assert run("show", "conv", 28, "--out", "size.html").exit_code == 0
    assert "<table" in Path("size.html").read_text("utf-8")
    assert run("show", "conv", 28, "-o", "size.json").exit_code == 0
    assert json.loads(Path("size.json").read_text("utf-8"))["result"] == 26


# --- what is asked wrongly ------------------------------------------------------------------------


def test_a_wrong_order_is_answered_with_the_right_line(run) -> None:
    Path("myrun").mkdir()
    for words, sentence in (
        (
            ["layers", "myrun"],
            "The run comes first: drivetrain show myrun layers. See: drivetrain show --help",
        ),
        (
            ["layer", "head", "myrun"],
            "The run comes first: drivetrain show myrun layer head. See: drivetrain show --help",
        ),
        (["step"], "The run comes first: drivetrain show RUN step. See: drivetrain show --help"),
        (
            ["myrun", "broadcast", "3", "3"],
            "'broadcast' needs no run: drivetrain show broadcast 3 3. See: drivetrain show --help",
        ),
        (
            ["myrun", "metrik"],
            "There is no 'metrik' to show of a run. Did you mean 'metric'? Known: layers, layer, "
            "loss, metric, "
            "step. See: drivetrain show --help",
        ),
        (
            ["myrun", "loss", "mse"],
            "'loss' takes no name. Got mse. See: drivetrain show --help",
        ),
        (
            ["broadcast", "3,a", "4"],
            "A shape is whole numbers such as 64,28,28. Got '3,a'. See: drivetrain show --help",
        ),
        (
            ["broadcast", "3"],
            "'broadcast' needs two shapes or more, such as 64,28,28 28,28. See: drivetrain show "
            "--help",
        ),
        (
            ["broadcast", "3", "3", "--kernel", "3"],
            "--kernel is for conv, not for broadcast. See: drivetrain show --help",
        ),
        (
            ["myrun", "layers", "--item", "3"],
            "--item is for layer and loss, not for layers. See: drivetrain show --help",
        ),
        (
            ["describe", "1, 2"],
            "'describe' needs nested lists as JSON has them. Got '1, 2'. See: drivetrain show "
            "--help",
        ),
        (
            [],
            "Missing argument 'RUN': a run's folder, or one of broadcast, conv, matmul, describe. "
            "See: "
            "drivetrain show --help",
        ),
    ):
        result = run("show", *words)
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr == f"drivetrain: {sentence}\n"


def test_a_run_that_is_not_there_is_said_in_one_line(run) -> None:
    result = run("show", "nowhere", "layers")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1 and "nowhere" in result.stderr


# --- a run of pictures ----------------------------------------------------------------------------


def test_what_can_be_shown_is_listed_with_commands_that_run(run, trained: Path) -> None:
    result = run("show", trained)
    assert result.exit_code == 0, result.output
    assert f"{trained}: what can be shown" in result.stdout
    document = json.loads(run("show", trained, "--json").stdout)
    assert document["application"] == "vision" and document["loss"] == "cross_entropy"
    assert len(document["commands"]) == 5
    for command in document["commands"]:
        done = run(*shlex.split(command)[1:])
        assert done.exit_code == 0, f"{command}\n{done.output}"
        assert "DIFFERS" not in done.stdout


def test_each_of_a_run_as_json(run, trained: Path) -> None:
    weights = json.loads(run("show", trained, "--json").stdout)["weights"]
    item = calculation(run, trained, "loss", "--item", 3)
    assert item["title"].startswith("cross_entropy of item 3 (")
    name = item["title"].split("(")[1].split(")")[0]
    assert calculation(run, trained, "loss", "--item", name) == item
    assert calculation(run, trained, "metric", "error_rate")["title"].startswith(
        "error_rate over 6"
    )
    layer = calculation(run, trained, "layer", "head.scores", "--item", 3, "--at", 1)
    assert "[of the item, feature 1]: item 3 (" in layer["title"]
    step = calculation(run, trained, "step", "--weight", weights[0]["name"], "--at", "3,1,0,2")
    assert step["title"].startswith(f"{weights[0]['name']}[3, 1, 0, 2]: step 1 of ")
    layers = json.loads(run("show", trained, "layers", "--json").stdout)
    assert layers["parameters"] == layers["trainable"]


def test_the_run_itself_is_not_touched(run, trained: Path) -> None:
    def state() -> dict[str, tuple[int, bytes]]:
        return {
            str(path): (path.stat().st_mtime_ns, path.read_bytes())
            for path in sorted(trained.rglob("*"))
            if path.is_file()
        }

    before = state()
    name = json.loads(run("show", trained, "--json").stdout)["weights"][-1]["name"]
    assert run("show", trained, "step", "--weight", name, "-o", "step.html").exit_code == 0
    assert state() == before


def test_of_a_run_what_is_not_there_is_refused(run, trained: Path) -> None:
    for words, part in (
        (["layer", "nowhere"], "nowhere"),
        (["layer"], "'layer' needs a name. There are: (model), "),
        (["step"], "'step' needs --weight. It has: "),
        (["loss", "--item", "999"], "There is no item 999: there are 6, counted from 0."),
        (["loss", "--item", "cat.png"], "No validation item is called 'cat.png'."),
        (["metric", "acuracy"], "Did you mean 'accuracy'?"),
        (["loss", "--at", "0"], "`at` is a place among the targets of an item: name the item too."),
        (
            ["loss", "--item", "0", "--at", "0"],
            "An item here has one target, so there is no `at`. Got (0,).",
        ),
    ):
        result = run("show", trained, *words)
        assert result.exit_code == 2, result.output
        assert result.stderr.count("\n") == 1
        assert part in result.stderr


@pytest.mark.slow
def test_a_model_of_trees_has_no_layers_and_says_what_to_ask_instead(run, tmp_path: Path) -> None:
    table = write(tmp_path / "people.csv", passengers())
    made = run("train", table, "--target", "lives", "--model", "tree", "--out", "tree")
    assert made.exit_code == 0, made.output
    result = run("show", "tree", "layers")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "drivetrain: tree is not a run of a net for tables. It was not trained step by step, so it "
        "has no "
        "layers, loss or steps to show. Ask it why with: drivetrain explain tree\n"
    )


# --- the other applications -----------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("application", ["tabular", "text", "collab"])
def test_runs_of_every_application(run, application: str, tmp_path: Path) -> None:
    if application == "tabular":
        table = write(tmp_path / "people.csv", passengers())
        words = [table, "--target", "lives", "--model", "net", "--epochs", 1]
    else:
        sample = {"text": "reviews", "collab": "films"}[application]
        words = [sample, "--epochs", 1]
    result = run("train", *words, "--out", "made")
    assert result.exit_code == 0, result.output
    document = json.loads(run("show", "made", "--json").stdout)
    assert document["application"] == application
    for command in document["commands"]:
        done = run(*shlex.split(command)[1:])
        assert done.exit_code == 0, f"{command}\n{done.output}"
        assert "DIFFERS" not in done.stdout
    for words in (["loss", "--item", 2], ["metric"], ["layer", "(model)", "--item", 2]):
        calculation(run, "made", *words)
    for weight in (document["weights"][0]["name"], document["weights"][-1]["name"]):
        calculation(run, "made", "step", "--weight", weight, "--number", 2)


# --- the page of the manual -----------------------------------------------------------------------


def blocks() -> list[tuple[str, str]]:
    """Each command of docs/show.md with the output below it."""
    found = []
    for block in re.findall(r"```console\n(.*?)```", PAGE, flags=re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            found.append((command, output))
    return found


def of_shapes(command: str) -> bool:
    return command.split()[2:3] in [[name] for name in show.WITHOUT]


def test_the_page_shows_what_the_commands_of_shapes_print(run) -> None:
    listed = [(command, output) for command, output in blocks() if of_shapes(command)]
    assert len(listed) >= 3
    for command, output in listed:
        result = run(*shlex.split(command)[1:])
        assert (result.stdout or result.stderr) == output, command


@pytest.mark.slow
def test_the_page_shows_what_the_commands_of_runs_print(run) -> None:
    """Their words; numbers differ in their last digits from one processor to the next."""
    listed = [(command, output) for command, output in blocks() if not of_shapes(command)]
    assert {command.split()[3] for command, _ in listed if len(command.split()) > 3} >= set(
        show.OF_A_RUN
    )
    for command, output in listed:
        result = run(*shlex.split(command)[1:])
        assert result.exit_code == 0, f"{command}\n{result.output}"
        if output:
            assert without_numbers(result.stdout) == without_numbers(output), command


def without_numbers(text: str) -> list[str]:
    """Its words, each run of numbers as `#`: how many of them a line holds depends on their digits."""
    words = re.sub(r"-?\d[\d,]*(\.\d+)?(e[-+]?\d+)?%?", "#", text).split()
    return [
        one for one, before in zip(words, ["", *words], strict=False) if (one, before) != ("#", "#")
    ]


@pytest.mark.slow
def test_the_python_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_sample("films", tmp_path / "films")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    code = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    assert code
    for block in code:
        exec(compile(block, "show.md", "exec"), names)  # noqa: S102 - our own page
    assert Path("step.html").exists()


def test_numbers_are_read_in_every_form() -> None:
    assert show.numbers("(3,)", "a shape") == show.numbers(" 3 ", "a shape") == (3,)
    assert show.numbers("()", "a shape") == ()


def test_help_tells_the_order() -> None:
    text = CliRunner().invoke(program, ["show", "--help"]).output
    assert "drivetrain show [OPTIONS] RUN [WHAT] [NAME]" in text
