"""`predict.py` of a bundle of ratings answers as Drivetrain does, to the bit, by itself."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import drivetrain as dt
from drivetrain.collab.bundling import script
from drivetrain.collab.bundling.predictor import NO_HISTORY
from drivetrain.errors import MissingPackageError
from tests.collab.bundling.bundles import KINDS, asked, check_script, fitted, pairs, written
from tests.eject.cut_short import READER_GONE, ended_by_closed_pipe
from tests.eject.replay import ALONE
from tests.tabular.bundling.bundles import answered_here

ALLOWED = {"torch", "numpy", "safetensors", *sys.stdlib_module_names}
USERS = ["u003", " u004", "nobody"]


def test_it_answers_as_drivetrain_does(made: Path, tmp_path: Path) -> None:
    check_script(made, written(tmp_path / "t.csv", pairs()), USERS)
    code, out, _ = answered_here(made, "--user", "u003", "--item", "Film — 9", "--json")
    assert code == 0
    assert dt.collab.load(made).predict("u003", "Film — 9").to_json() == _only(out)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", [{}, {"guard": False}, {"with_history": False}])
def test_models_of_every_kind(kind: str, options: dict[str, Any], tmp_path: Path) -> None:
    _, export = fitted(kind, tmp_path)
    export(tmp_path / "b", **options)
    check_script(tmp_path / "b", written(tmp_path / "t.csv", pairs()), USERS)
    _, out, err = answered_here(tmp_path / "b", "--recommend", "u003", "-k", 2)
    assert len(out.splitlines()) == 2 and out.startswith("  1  ")
    assert err == (f"! {NO_HISTORY}\n" if "with_history" in options else "")


def test_windows_line_ends_a_mark_before_the_text_and_other_separators(
    made: Path, tmp_path: Path
) -> None:
    table = pairs(3)
    plain = written(tmp_path / "plain.csv", table)
    answers = answered_here(made, plain)
    lines = ["\ufeffitem;more;user"]
    lines += [f'"{i}";1;{u}' for u, i in zip(table["user"], table["item"], strict=True)]
    other = tmp_path / "other.csv"
    other.write_text("\r\n".join([*lines, ""]), encoding="utf-8", newline="")
    assert answered_here(made, other) == answers
    assert asked("predict", made, other) == asked("predict", made, plain)


def test_a_line_for_each_pair(made: Path, tmp_path: Path) -> None:
    code, out, err = answered_here(made, written(tmp_path / "t.csv", pairs(2)))
    assert (code, err) == (0, "")
    form = r"user [^:]+: -?[\d.]+, at 90% between -?[\d.]+ and -?[\d.]+"
    lines = [line.partition("  ! ") for line in out.splitlines()]
    assert all(re.fullmatch(form, head) for head, _, _ in lines), out
    assert [new for _, _, new in lines] == [
        "",
        "",
        "user unknown",
        "",
        "item unknown",
        "user unknown",
    ]


def test_what_is_no_table_is_named_and_the_others_are_answered(made: Path, tmp_path: Path) -> None:
    good = written(tmp_path / "good.csv", pairs(1))
    bad = {
        "lacks.csv": b"user,film\nu003,i004\n",
        "empty.csv": b"",
        "latin.csv": "user,item\nM\u00e4x,i004\n".encode("latin-1"),
        "picture.png": b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
    }
    for name, data in bad.items():
        (tmp_path / name).write_bytes(data)
    paths = [*(tmp_path / name for name in bad), tmp_path / "missing.csv", good]
    code, out, err = answered_here(made, *paths)
    assert (code, len(out.splitlines())) == (1, 5)
    assert [line.partition(": ")[0] for line in err.splitlines()] == [*map(str, paths[:-1])]
    assert f"{paths[0]}: the first row does not name the columns 'user' and 'item'\n" in err
    (tmp_path / "short.csv").write_text("user,item\nu003\nu003,i004\n")
    code, out, err = answered_here(made, tmp_path / "short.csv")
    assert (code, len(out.splitlines())) == (0, 1)
    assert err == f"{tmp_path / 'short.csv'}: row 1 has 1 fields, and the header 2: left out\n"


def test_without_leaves_items_out(made: Path) -> None:
    first = asked("recommend", made, "u003", "-k", 3)["items"]
    left = first[0]["item"]
    _, out, _ = answered_here(made, "--recommend", "u003", "-k", 2, "--without", left, "--json")
    assert [one["item"] for one in _only(f"[{out}]")["items"]] == [one["item"] for one in first[1:]]


def test_a_reader_that_has_enough_ends_it_quietly(made: Path, tmp_path: Path) -> None:
    script, table = made / "predict.py", written(tmp_path / "t.csv", pairs())
    assert ended_by_closed_pipe(script, table) == READER_GONE
    assert ended_by_closed_pipe(script, "--recommend", "u003", "--json") == READER_GONE


@pytest.mark.slow
def test_it_runs_alone_from_any_folder(made: Path, tmp_path: Path) -> None:
    table = written(tmp_path / "t.csv", pairs())
    words = [sys.executable, "-W", "error", "-c", ALONE, str(made / "predict.py"), str(table)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == answered_here(made, table)[1]
    assert not (made / "__pycache__").exists()


def test_it_reads_as_if_written_by_hand(made: Path) -> None:
    text = (made / "predict.py").read_text()
    assert len(text.splitlines()) < 600
    assert set(re.findall(r"^\s*(?:from|import) (\w+)", text, re.MULTILINE)) <= ALLOWED


def test_without_ruff_a_bundle_is_made_and_the_lack_is_said(
    learner: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> str:
        raise MissingPackageError("ruff is not here.")

    monkeypatch.setattr(script, "ruff_path", missing)
    with pytest.warns(UserWarning, match=r"^The bundle gets no predict\.py: ruff is not here\.$"):
        learner.export(tmp_path / "b", guard=False)
    assert not (tmp_path / "b" / "predict.py").exists()
    assert "predict.py" not in (tmp_path / "b" / "README.md").read_text()


def _only(text: str) -> Any:
    (found,) = json.loads(text)
    return found
