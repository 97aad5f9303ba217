"""What tests of bundles of ratings share: small models of every kind, and running `predict.py`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from click.testing import CliRunner

import drivetrain as dt
from drivetrain.bundle.verify import Verified
from drivetrain.cli import program
from drivetrain.collab.model import CollabModel
from tests.collab.made import planted
from tests.tabular.bundling.bundles import answered_here

KINDS = ("dot_bias", "dot", "net", "bpr", "als")
TITLES = {f"i{k:03d}": f"Film — {k}" for k in range(60)}


def trained(**options: Any) -> Any:
    """A small Learner of made ratings."""
    usual: dict[str, Any] = {"num_factors": 3, "batch_size": 64, "progress": False}
    if options.get("model") == "net":
        usual["layers"] = [8]
    learner = dt.collab.learner(planted().columns, titles=TITLES, **(usual | options))
    learner.fit_one_cycle(2, 1e-2)
    return learner


def fitted(kind: str, tmp_path: Path) -> tuple[CollabModel, Callable[..., Verified]]:
    """A small model of a kind, and what makes a bundle of it."""
    if kind == "als":
        source, run = written(tmp_path / "ratings.csv"), tmp_path / "run"
        options: dict[str, Any] = {"implicit": True, "num_factors": 3, "rounds": 2}
        dt.collab.fit(source, out=run, progress=False, **options)
        return dt.collab.load(run), lambda folder, **given: dt.collab.export(run, folder, **given)
    learner = trained(model=kind, **({"implicit": True} if kind == "bpr" else {}))
    return learner.application.model(learner), learner.export


def written(path: Path, columns: dict[str, list[Any]] | None = None, *, end: str = "\n") -> Path:
    """A CSV file of made ratings, or of other columns."""
    columns = planted().columns if columns is None else columns
    rows = [",".join(map(str, row)) for row in zip(*columns.values(), strict=True)]
    path.write_text(end.join([",".join(columns), *rows, ""]), encoding="utf-8", newline="")
    return path


def pairs(count: int = 40) -> dict[str, list[str]]:
    """Pairs that the model knows, and pairs that it does not."""
    columns = planted().columns
    users, items = columns["user"][:count], columns["item"][:count]
    return {
        "user": [*users, "nobody", " u003 ", "u004", "NA"],
        "item": [*items, "i004", "i004", "nothing", "Film — 9"],
    }


def asked(*words: object) -> Any:
    """What a command prints with `--json`."""
    done = CliRunner().invoke(program, [*map(str, words), "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def check_script(folder: Path, table: Path, users: list[str]) -> None:
    """`predict.py` answers as `drivetrain` does; equality of floats is equality of bits."""
    code, out, err = answered_here(folder, table, "--json")
    assert (code, err) == (0, "")
    expected = asked("predict", folder, table)
    assert json.loads(out) == expected
    assert [list(one) for one in json.loads(out)] == [list(one) for one in expected]
    for user in users:
        code, out, _ = answered_here(folder, "--recommend", user, "-k", 7, "--json")
        wanted = asked("recommend", folder, user, "-k", 7)
        for one in wanted["items"]:
            del one["parts"], one["near"]
        assert (code, json.loads(out)) == (0, wanted)
