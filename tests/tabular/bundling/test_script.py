"""`predict.py` of a bundle of tables answers as `drivetrain predict` does, to the bit, by itself."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import drivetrain as dt
from drivetrain.bundle import opening
from drivetrain.errors import BundleError, MissingPackageError
from drivetrain.tabular.bundling.exporting import export_model
from drivetrain.tabular.ejecting import predictor as eject_predictor
from tests.eject.cut_short import READER_GONE, ended_by_closed_pipe
from tests.eject.replay import ALONE
from tests.tabular.bundling.bundles import answered_here, check_equal, trained
from tests.tabular.tables import passengers, real, sales, write

ALLOWED = {"torch", "numpy", "pyarrow", "safetensors", *sys.stdlib_module_names}


def odd(count: int) -> dict[str, list[Any]]:
    """Passengers as nobody has seen them: new words, blanks, numbers far out, words among numbers."""
    rows = passengers(40, seed=7)
    rows["sex"][:4] = ["other", " female ", "NA", ""]
    rows["age"][:4] = [1e30, "inf", "about 30", "−3"]
    rows["class"][:3] = ["2.0", None, "1e0"]
    rows["port"][4] = 'a, "b"\nc'
    return {name: cells[:count] for name, cells in rows.items()}


@pytest.fixture(scope="module")
def forest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of a forest that tells classes. Not to be changed."""
    folder = tmp_path_factory.mktemp("bundles") / "lives"
    export_model(trained("forest", passengers(300), "lives"), folder)
    return folder


def same_answers(name: str, tmp_path: Path, target: str = "lives", **options: Any) -> Path:
    """Export a model, and compare both ways of asking it on rows that it knows and others."""
    make = passengers if target == "lives" else sales
    guard = options.pop("guard", True)
    folder = tmp_path / f"{name}-{target}"
    export_model(trained(name, make(300), target, **options), folder, guard=guard)
    others = [odd(40)] if target == "lives" else [sales(40, seed=3)]
    if options.get("unseen") == "error":
        others = []
    for number, columns in enumerate([make(300), *others]):
        check_equal(folder, write(tmp_path / f"{number}.csv", columns))
    return folder


def test_trees_that_tell_classes(forest: Path, tmp_path: Path) -> None:
    tables = [passengers(300), odd(40), odd(1)]
    files = [write(tmp_path / f"{number}.csv", table) for number, table in enumerate(tables)]
    answers = [check_equal(forest, file) for file in files]
    for found in answers:
        assert list(found[0])[:4] == ["input", "label", "probability", "probabilities"]
    assert answers[-1][0]["domain"]["outside"] == ["age"]
    assert answers[-1][0]["domain"]["unseen"] == ["sex"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "target", "options"),
    [
        ("forest", "takings", {}),
        ("net", "lives", {"guard": False}),
        ("average", "takings", {}),
        ("boosting", "lives", {"unseen": "mode"}),
        ("linear", "takings", {"log_target": True, "guard": False}),
    ],
)
def test_models_of_every_kind(
    name: str, target: str, options: dict[str, Any], tmp_path: Path
) -> None:
    same_answers(name, tmp_path, target, **options)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tree", "forest", "boosting", "linear", "net", "average"])
def test_models_of_every_kind_in_every_way(name: str, tmp_path: Path) -> None:
    for place, (target, options) in enumerate(
        [
            ("lives", {}),
            ("lives", {"guard": False}),
            ("lives", {"unseen": "error", "log": ["age"]}),
            ("lives", {"unseen": "mode", "scale": "max"}),
            ("lives", {"drop": ["sex", "port"]}),
            ("lives", {"drop": ["class", "age"]}),
            ("takings", {}),
            ("takings", {"guard": False}),
            ("takings", {"log_target": True}),
            ("takings", {"drop": ["rain", "heat"]}),
        ]
    ):
        (tmp_path / str(place)).mkdir()
        same_answers(name, tmp_path / str(place), target, **options)


@pytest.mark.slow
def test_numbers_and_dates_as_people_write_them(tmp_path: Path) -> None:
    rows = sales(200)
    rows["day"] = [f"{day[8:]}/{day[5:7]}/{day[:4]}" for day in rows["day"]]
    rows["heat"] = [f"{heat:.1f}".replace(".", ",") for heat in rows["heat"]]
    path = tmp_path / "t.csv"
    lines = [";".join(rows), *(";".join(map(str, row)) for row in zip(*rows.values(), strict=True))]
    path.write_text("\n".join(lines) + "\n")
    export_model(trained("tree", path, "takings"), tmp_path / "b")
    check_equal(tmp_path / "b", path)
    plain = sales(30, seed=2)  # points and ISO dates: the same columns written as most do
    check_equal(tmp_path / "b", write(tmp_path / "plain.csv", plain))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_tables_in_other_layouts(delimiter: str, forest: Path, tmp_path: Path) -> None:
    rows = passengers(30)
    order = ["port", "age", "lives", "class", "sex"]
    lines = [
        delimiter.join(
            "" if rows[name][place] is None else str(rows[name][place]) for name in order
        )
        for place in range(30)
    ]
    lines.insert(20, "")
    lines.insert(9, delimiter.join("abc"))  # too few fields: set aside, and the rest is answered
    path = tmp_path / "t.csv"
    text = "\r\n".join([delimiter.join(f" {name} " for name in order), *lines])
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    found = check_equal(forest, path)
    assert [one["input"] for one in found][8:11] == ["row 9", "row 11", "row 12"]
    assert len(found) == 30
    said = answered_here(forest, path)[2]
    assert said == f"{path}: row 10 has 3 fields, and the header 5: left out\n"


def test_parquet_of_every_type(forest: Path, tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = passengers(60)
    types = [
        {"class": pa.int8(), "age": pa.float32(), "sex": pa.large_string(), "port": pa.string()},
        {"class": pa.decimal128(5, 2), "age": pa.float64(), "sex": pa.string(), "port": pa.null()},
        {"class": pa.string(), "age": pa.int32(), "sex": pa.string(), "port": pa.string()},
    ]
    for number, kinds in enumerate(types):
        made = {}
        for name, kind in kinds.items():
            values = [None] * 60 if kind == pa.null() else rows[name]
            if kind == pa.string() and name == "class":
                values = [str(value) for value in values]
            if kind == pa.int32():
                values = [None if value is None else int(value) for value in values]
            made[name] = (
                pa.array(values, pa.float64()).cast(kind)
                if name in ("age",)
                else (
                    pa.array(values, kind)
                    if not pa.types.is_decimal(kind)
                    else pa.array(map(float, values), pa.float64()).cast(kind)
                )
            )
        if number == 2:
            made["sex"] = made["sex"].dictionary_encode()
        parquet.write_table(pa.table(made), tmp_path / f"{number}.parquet")
        check_equal(forest, tmp_path / f"{number}.parquet")


def test_several_tables_at_once_are_told_apart(forest: Path, tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{n}.csv", passengers(3, seed=n)) for n in (1, 2)]
    found = check_equal(forest, *paths)
    assert found[0]["input"] == f"{paths[0]}: row 1" and found[5]["input"] == f"{paths[1]}: row 3"


def test_a_line_for_each_row(forest: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", passengers(5))
    code, out, err = answered_here(forest, path)
    possible = r"possible at 90%: (yes|no)(, (yes|no))?"
    form = rf"row \d: (yes|no) [\d.]+%; {possible}; (known|UNKNOWN) kind of row"
    assert (code, err) == (0, "")
    assert [bool(re.fullmatch(form, line)) for line in out.splitlines()] == [True] * 5, out


def test_what_is_no_table_is_named_and_the_others_are_answered(
    forest: Path, tmp_path: Path
) -> None:
    good = write(tmp_path / "good.csv", passengers(5))
    bad = {
        "lacks.csv": b"sex,age\nmale,3\n",
        "empty.csv": b"",
        "latin.csv": "sex,class,age,port\nm\u00e4nnlich,1,3,S\n".encode("latin-1"),
        "cut.parquet": b"PAR1" + bytes(40),
        "picture.png": b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
    }
    paths = [tmp_path / name for name in bad] + [tmp_path / "missing.csv", good]
    for name, data in bad.items():
        (tmp_path / name).write_bytes(data)
    code, out, err = answered_here(forest, *paths)
    assert code == 1
    assert len(out.splitlines()) == 5
    assert [line.partition(": ")[0] for line in err.splitlines()] == [*map(str, paths[:-1])]
    assert f"{paths[0]}: the first row does not name the columns ['class', 'port']\n" in err


@pytest.mark.slow
def test_it_runs_alone_from_any_folder(forest: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", passengers(20))
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "error",
            "-c",
            ALONE,
            str(forest / "predict.py"),
            str(path),
            "--json",
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert (done.returncode, done.stderr) == (0, "")
    code, out, _ = answered_here(forest, path, "--json")
    assert done.stdout == out and code == 0
    assert not (forest / "__pycache__").exists()


def test_it_reads_as_if_written_by_hand(forest: Path) -> None:
    text = (forest / "predict.py").read_text()
    assert len(text.splitlines()) < 760
    imported = set(re.findall(r"^\s*(?:from|import) (\w+)", text, re.MULTILINE))
    assert imported <= ALLOWED
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--line-length", "106"]
    done = subprocess.run(
        [*ruff, "--select", "E,F,I,B,UP", str(forest / "predict.py")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_trees_without_a_guard_need_no_torch(tmp_path: Path) -> None:
    for name in ("boosting", "linear"):
        export_model(trained(name, passengers(100), "lives"), tmp_path / name, guard=False)
        text = (tmp_path / name / "predict.py").read_text()
        assert "torch" not in text.replace("pytorch", "")
        card = " ".join((tmp_path / name / "README.md").read_text().split())
        assert "with numpy, safetensors and pyarrow alone: `python predict.py TABLE.csv`" in card
        assert "guard" not in text


def test_a_reader_that_has_enough_ends_it_quietly(forest: Path, tmp_path: Path) -> None:
    script, table = forest / "predict.py", write(tmp_path / "t.csv", passengers(40))
    assert ended_by_closed_pipe(script, table) == READER_GONE
    assert ended_by_closed_pipe(script, table, "--json") == READER_GONE


def test_it_is_part_of_what_the_bundle_proves(forest: Path) -> None:
    assert "predict.py" in opening.open_manifest(forest).files
    text = (forest / "predict.py").read_text()
    try:
        (forest / "predict.py").write_text(text.replace("CHUNK = 1024", "CHUNK = 1025"))
        with pytest.raises(
            BundleError, match=r"predict\.py was changed: its SHA-256 is not the one"
        ):
            dt.tabular.verify(forest)
    finally:
        (forest / "predict.py").write_text(text)
    assert dt.tabular.verify(forest).largest_difference == 0


@pytest.mark.slow
def test_words_cannot_become_code(tmp_path: Path) -> None:
    """Names of columns, levels and labels are data, whoever chose them."""
    bad = '"""; raise SystemExit(77) ; """'
    rows = passengers(200)
    columns = {
        bad: [f"{one}{bad}" for one in rows["sex"]],
        "back\\": rows["class"],
        "{x}": rows["age"],
        f"to {bad}": [f"{one}\\{bad}" for one in rows["lives"]],
    }
    path = write(tmp_path / "t.csv", columns)
    export_model(trained("tree", path, f"to {bad}"), tmp_path / "b")
    text = (tmp_path / "b" / "predict.py").read_text()
    assert "SystemExit" not in text
    assert "back" not in text.replace("brought back", "")
    found = check_equal(tmp_path / "b", path)
    assert {one["label"] for one in found} == set(columns[f"to {bad}"])


def test_without_ruff_a_bundle_has_no_script_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> str:
        raise MissingPackageError(
            "`ruff` is not installed. Install it with: pip install 'drivetrain[eject]'."
        )

    monkeypatch.setattr(eject_predictor, "ruff_path", missing)
    with pytest.warns(
        UserWarning,
        match=r"^The bundle gets no predict\.py: `ruff` is not installed\. Install it with: "
        r"pip install 'drivetrain\[eject\]'\.$",
    ):
        export_model(trained("tree", passengers(100), "lives"), tmp_path / "bundle", golden=0)
    assert not (tmp_path / "bundle" / "predict.py").exists()
    assert "predict.py" not in (tmp_path / "bundle" / "README.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("table", "target", "name", "options"),
    [
        ("adult/adult.csv", "salary", "boosting", {}),
        ("titanic/train.csv", "Survived", "average", {}),
        ("bike_sharing/hour.csv", "cnt", "forest", {"drop": ["casual", "registered"]}),
        ("bulldozers/valid.csv", "SalePrice", "forest", {"log_target": True}),
    ],
)
def test_real_tables(
    table: str, target: str, name: str, options: dict[str, Any], tmp_path: Path
) -> None:
    path = real(table)
    found = export_model(trained(name, path, target, **options), tmp_path / "b")
    assert found.largest_difference == 0
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    draw = np.random.default_rng(0)
    some = sorted(draw.choice(np.arange(1, len(lines)), min(2_000, len(lines) - 1), replace=False))
    part = tmp_path / "some.csv"
    part.write_text(lines[0] + "".join(lines[place] for place in some), encoding="utf-8")
    answers = check_equal(tmp_path / "b", part)
    assert len(answers) > 150
