"""Bundles of runs with a sealed test part: they prove themselves, and hold nothing of what is sealed."""

from __future__ import annotations

import csv
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import drivetrain as dt
from drivetrain import store
from drivetrain.cli import program
from tests.cli.conftest import write_pictures

MARK = "zzsealedzz"
"""Stands in every sealed row or text, and nowhere else."""


def run(*words: object) -> Result:
    result = CliRunner().invoke(program, [str(word) for word in words])
    assert result.exit_code == 0, f"{words}\n{result.output}"
    return result


def written(path: Path, header: list[str], rows: list[list[str]]) -> Path:
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def of_rows(folder: Path) -> None:
    draw = random.Random(5)
    rows = [[f"{draw.random():.3f}", draw.choice("xy"), draw.choice("ud")] for _ in range(80)]
    source = written(folder / "t.csv", ["a", "b", "c"], rows)
    apart = written(
        folder / "apart.csv", ["a", "b", "c"], [[f"{n}.5", MARK, "u"] for n in range(9)]
    )
    words = ["--target", "c", "--model", "net", "--epochs", 1, "--set", "layers=[4]"]
    run("train", source, "--test", apart, *words, "--out", folder / "run")


def of_texts(folder: Path) -> None:
    draw = random.Random(6)

    def text(n: int, *more: str) -> str:
        return " ".join([*draw.choices(["good", "bad", "new", "old"], k=6), f"{n}", *more])

    source = written(
        folder / "x.csv", ["text", "label"], [[text(n), "ud"[n % 2]] for n in range(60)]
    )
    apart = written(
        folder / "apart.csv",
        ["text", "label"],
        [[text(n, MARK), "ud"[n % 2]] for n in range(60, 70)],
    )
    sizes = {"embedding_dim": 8, "hidden_dim": 8, "num_layers": 1}
    learner = dt.text.learner(
        source, "label", test=apart, sizes=sizes, epochs=1, progress=False, out=folder / "run"
    )
    learner.train()


def of_pictures(folder: Path) -> None:
    source = write_pictures(folder / "photos", each=8)
    run("train", source, "--test", 0.25, "--epochs", 1, "--out", folder / "run")


def of_ratings(folder: Path) -> None:
    pairs = [(u, i) for u in range(20) for i in range(12) if (u * i) % 3 != 1]
    rows = [[f"u{u}", f"i{i}", str(1 + (u + i) % 5)] for u, i in pairs]
    source = written(folder / "r.csv", ["user", "item", "rating"], rows)
    run("train", source, "--test", 0.2, "--epochs", 1, "--out", folder / "run")


@pytest.mark.parametrize(
    "make",
    [
        of_rows,
        pytest.param(of_texts, marks=pytest.mark.slow),
        pytest.param(of_pictures, marks=pytest.mark.slow),
        pytest.param(of_ratings, marks=pytest.mark.slow),
    ],
)
def test_a_bundle_of_a_run_with_a_sealed_part_proves_itself_and_holds_nothing_of_it(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    make(tmp_path)
    folder, bundle = tmp_path / "run", tmp_path / "bundle"
    items = json.loads((folder / "run.json").read_text())["results"]["items"]
    assert items["test"] > 0
    run("export", folder, "-o", bundle)
    for path in [*tmp_path.glob("*.csv"), tmp_path / "photos"]:  # it needs nothing but itself
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    document = json.loads(run("verify", bundle, "--json").stdout)
    assert document["largest_difference"] <= document["tolerance"]
    for path in bundle.rglob("*"):
        assert path.is_dir() or MARK.encode() not in path.read_bytes(), path.name
    if make is of_pictures:
        sealed = json.loads((folder / "split.json").read_text())["test"]
        golden = (bundle / "golden.json").read_text()
        assert len(sealed) == 6 and not [name for name in sealed if name in golden]
    if make is of_ratings:  # who rated what is of training alone
        seen = store.read_tensors(bundle / "catalogue.safetensors")["seen_items"]
        assert len(seen) == items["train"]
    assert not (folder / "looks.jsonl").exists(), "making a bundle is no look"


@pytest.mark.slow
def test_a_bundle_made_after_a_look_says_nothing_else_than_one_made_before(tmp_path: Path) -> None:
    of_rows(tmp_path)
    folder = tmp_path / "run"
    run("export", folder, "-o", tmp_path / "before")
    run("test", folder)
    run("export", folder, "-o", tmp_path / "after")
    assert run("verify", tmp_path / "after").exit_code == 0
    before, after = (
        {p.name: p.read_bytes() for p in (tmp_path / name).rglob("*") if p.is_file()}
        for name in ("before", "after")
    )
    assert {n for n in before if before[n] != after.get(n)} <= {"bundle.json", "README.md"}
