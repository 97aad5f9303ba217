"""`drivetrain sheet`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from drivetrain.sheets import SHEETS


def test_the_workbooks_are_listed(run: Any) -> None:
    result = run("sheet")
    assert (result.exit_code, result.stderr) == (0, "")
    listed = result.stdout.split("\n\n")[0].splitlines()
    assert [line.split()[0] for line in listed] == list(SHEETS)
    assert result.stdout.endswith(
        "Write one, or one of a run\n"
        "  drivetrain sheet descent -o descent.xlsx\n"
        "  drivetrain sheet RUN\n"
    )
    documents = json.loads(run("sheet", "--json").stdout)
    assert documents == [{"name": name, "what": what} for name, (what, _) in SHEETS.items()]


def test_a_workbook_is_written_here_or_where_one_says(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = run("sheet", "decay")
    what = SHEETS["decay"][0]
    assert said.stdout == (
        f"decay.xlsx: {what} Open it in Excel or LibreOffice; its guide says what to change.\n"
    )
    document = json.loads(run("sheet", "decay", "-o", "folder/d.xlsx", "--json").stdout)
    path = Path("folder/d.xlsx")
    assert path.read_bytes() == Path("decay.xlsx").read_bytes()
    assert document == {
        "workbook": "folder/d.xlsx",
        "name": "decay",
        "sheets": ["One step", "Rows", "Curve", "Without decay", "With decay"],
        "checks": document["checks"],
        "bytes": path.stat().st_size,
    }
    assert document["checks"] > 100
    assert openpyxl.load_workbook(path).sheetnames == ["Guide", *document["sheets"], "Made with"]
    assert run("sheet", "decay", "-o", "other.xlsx", "--seed", "4").exit_code == 0
    assert path.read_bytes() != Path("other.xlsx").read_bytes()


def test_what_is_wrong_is_said_in_a_line(run: Any, tmp_path: Path) -> None:
    known = ", ".join(sorted(SHEETS))
    for words, sentence in (
        (["decya"], f"Unknown workbook 'decya'. Did you mean 'decay'? Known: {known}."),
        (["quadratic", "--seed", "1"], "Workbook 'quadratic' draws nothing at random: leave "
            "--seed out. See: drivetrain sheet --help"),
        (["decay", "--data", "x.csv"], "Workbook 'decay' reads no file: leave --data out. See: "
            "drivetrain sheet --help"),
        (["decay", "--rows", "4"], "Workbook 'decay' has a batch of its own: leave --rows out. "
            "See: drivetrain sheet --help"),
        (["-o", "x.xlsx"], "Say which workbook is to be written: NAME or RUN is missing. See: "
            "drivetrain sheet --help"),
        ([str(tmp_path), "--seed", "1"], "A run brings its own data and seed: leave --seed "
            "out. See: drivetrain sheet --help"),
        (["runs/none"], "runs/none is not a run folder: there is no such folder."),
    ):  # fmt: skip
        result = run("sheet", *words)
        assert (result.exit_code, result.stdout) == (2, ""), words
        assert result.stderr == f"drivetrain: {sentence}\n"


def small_table(folder: Path) -> Path:
    """Rows whose target follows from two columns."""
    lines = ["size,colour,price"]
    lines += [
        f"{k % 17},{('red', 'blue')[k % 2]},{2 * (k % 17) + 5 * (k % 2) + k % 3}"
        for k in range(120)
    ]
    path = folder / "things.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_a_runs_own_small_net_is_put_into_cells(run: Any, tmp_path: Path) -> None:
    folder = tmp_path / "=1+1"
    words = ["--target", "price", "--model", "net", "--epochs", "1", "--set", "layers=[4]"]
    trained = run("train", str(small_table(tmp_path)), *words, "--out", str(folder))
    assert trained.exit_code == 0, trained.stderr
    document = json.loads(
        run("sheet", str(folder), "-o", str(tmp_path / "a.xlsx"), "--rows", "4", "--json").stdout
    )
    assert document["run"] == str(folder)
    assert document["sheets"] == ["Settings", "Batch", "Forward", "Backward", "Weights"]
    book = openpyxl.load_workbook(tmp_path / "a.xlsx", data_only=True)
    assert book["Guide"]["A1"].value == "One step of =1+1"
    assert str(book["Guide"]["B4"].value) == f"OK: all {document['checks']} checks"


def test_a_net_that_is_too_large_is_refused_with_what_would_do(run: Any, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    words = ["--target", "price", "--model", "net", "--epochs", "1", "--set", "layers=[70,70]"]
    assert run("train", str(small_table(tmp_path)), *words, "--out", str(folder)).exit_code == 0
    result = run("sheet", str(folder), "-o", str(tmp_path / "a.xlsx"))
    assert result.exit_code == 2 and not (tmp_path / "a.xlsx").exists()
    assert result.stderr.startswith("drivetrain: TabularNet has ")
    assert "What would do: a small net of nn.Linear, ReLU" in result.stderr
    assert "drivetrain train TABLE --model net --set 'layers=[8]'" in result.stderr
