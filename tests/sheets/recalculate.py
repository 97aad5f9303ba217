"""Workbooks recalculated by engines that know nothing of Python's values: LibreOffice, and `formulas`.

LibreOffice runs without a window and with a profile of its own, in which it is told to recalculate every
file that it loads: by default it believes the values that are stored. Its start is what takes the time,
so many files go through one call.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from tests.sheets.shown import Shown

_PROFILE = """<?xml version="1.0" encoding="UTF-8"?>
<oor:items xmlns:oor="http://openoffice.org/2001/registry">
<item oor:path="/org.openoffice.Office.Calc/Formula/Load">
<prop oor:name="OOXMLRecalcMode" oor:op="fuse"><value>0</value></prop></item>
</oor:items>
"""


def office() -> str:
    """The program; a skip with its reason where it is absent, and a failure where it has to be there."""
    found = shutil.which("soffice")
    if found is None:
        assert "CI" not in os.environ, "there is no LibreOffice, and .ci/run installs it"
        pytest.skip("there is no LibreOffice on this machine")
    return found


def convert(paths: Sequence[Path], folder: Path, kind: str = "xlsx") -> list[Path]:
    """Load files in LibreOffice, recalculate them, and write them as another kind.

    Args:
        paths: .xlsx files, each with a name of its own.
        folder: where they go; not where they are.
        kind: "xlsx" or "pdf".
    """
    done = _called(paths, folder, kind)
    made = [folder / f"{path.stem}.{kind}" for path in paths]
    _check(made, done)
    return made


def recalculate(paths: Sequence[Path], folder: Path) -> list[Shown]:
    """What the same workbooks show with every formula computed by LibreOffice; one start for all."""
    done = _called(paths, folder, _EACH_SHEET)
    found = [Shown(path, folder) for path in paths]
    _check([sheet.path for book in found for sheet in book.sheets.values()], done)
    return found


_EACH_SHEET = "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,true,false,false,false,false,-1"
"""Commas, quotes, UTF-8; numbers in full and not as they are shown; a file for each sheet."""


def _called(paths: Sequence[Path], folder: Path, kind: str) -> subprocess.CompletedProcess[str]:
    names = [path.stem for path in paths]
    assert len(set(names)) == len(names), "each file needs a name of its own"
    program = office()
    with tempfile.TemporaryDirectory() as home:
        user = Path(home) / "user"
        user.mkdir()
        (user / "registrymodifications.xcu").write_text(_PROFILE, encoding="utf-8")
        place = f"-env:UserInstallation={Path(home).as_uri()}"
        words = [program, place, "--headless", "--norestore", "--convert-to", kind]
        words += ["--outdir", str(folder), *map(str, paths)]
        return subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)


def _check(made: Sequence[Path], done: subprocess.CompletedProcess[str]) -> None:
    missing = [path.name for path in made if not path.is_file()]
    assert not missing, f"LibreOffice did not make {missing}: {done.stdout}{done.stderr}"


def by_formulas(path: Path) -> dict[tuple[str, str], Any]:
    """Every cell as the package `formulas` computes it: (SHEET in capitals, cell) -> value."""
    import formulas

    model = formulas.ExcelModel().loads(str(path)).finish()
    found: dict[tuple[str, str], Any] = {}
    for key, ranges in model.calculate().items():
        place = re.fullmatch(r"'\[[^\]]*\](.*)'!([A-Z]+\d+)(?::([A-Z]+\d+))?", str(key))
        if place is None or not hasattr(ranges, "value"):
            continue
        if place[3] is None:
            found[place[1], place[2]] = ranges.value[0, 0]
            continue
        cells = openpyxl.utils.rows_from_range(f"{place[2]}:{place[3]}")
        for row, line in enumerate(cells):
            for column, cell in enumerate(line):
                found.setdefault((place[1], cell), ranges.value[row, column])
    return found
