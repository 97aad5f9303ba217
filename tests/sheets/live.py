"""Changing cells of a workbook as a reader would, without opening it in an office.

openpyxl could load and save it, but that takes seconds and loses what it does not know; here only the
cell's own value in the sheet's XML is replaced.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from xml.sax.saxutils import escape

_SHEET = re.compile(r'<sheet name="([^"]+)" sheetId="(\d+)"')
_NAME = re.compile(r'<definedName name="([^"]+)">([^<]+)</definedName>')


def change(source: Path, target: Path, cells: Mapping[str, float | str]) -> Path:
    """Copy a workbook with other values in some cells.

    Args:
        cells: a defined name, or `Sheet!C4`, -> its new value.
    """
    with zipfile.ZipFile(source) as old:
        parts = {name: old.read(name) for name in old.namelist()}
        infos = old.infolist()
    book = parts["xl/workbook.xml"].decode()
    files = {name: f"xl/worksheets/sheet{number}.xml" for name, number in _SHEET.findall(book)}
    names = dict(_NAME.findall(book))
    for given, value in cells.items():
        sheet, _, cell = names.get(given, given).replace("$", "").replace("'", "").rpartition("!")
        pattern = re.compile(rf'<c r="{cell}"((?: s="\d+")?)(?: t="\w+")?(?:/>|><v>[^<]*</v></c>)')
        xml = parts[files[sheet]].decode()
        written = (
            rf'<c r="{cell}"\1 t="inlineStr"><is><t>{escape(value)}</t></is></c>'
            if isinstance(value, str)
            else rf'<c r="{cell}"\1><v>{value!r}</v></c>'
        )
        xml, count = pattern.subn(written, xml)
        assert count == 1, f"{given} is no input cell of {source.name}"
        parts[files[sheet]] = xml.encode()
    with zipfile.ZipFile(target, "w") as new:
        for info in infos:
            new.writestr(info.filename, parts[info.filename])
    return target
