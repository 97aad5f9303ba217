"""`drivetrain levers`: from a model of a table to settings; from an experiment to whom to treat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drivetrain.cli import common, exits

if TYPE_CHECKING:
    import numpy as np

    from drivetrain.data.frame import Frame
    from drivetrain.levers.problem import ModelSource, Problem
    from drivetrain.levers.simulate import Predict
    from drivetrain.tabular import TabularModel

MOST_MEMBERS = 3
"""Classes up to which each tree of a forest is asked by itself; of more, the spread of all is taken."""


@click.command(short_help="Find the best settings, or whom to treat, from a problem file.")
@click.argument("words", metavar="[RUN] PROBLEM.toml", nargs=-1, type=click.Path(path_type=Path))
@click.option("--model", "name", help="Of a leaderboard: which model; by default the best.")
@click.option(
    "--rank",
    "new",
    type=click.Path(path_type=Path),
    help="Of an experiment: a table of new rows to rank; --out FILE.csv has the ranking.",
)
@click.option(
    "--picture", type=click.Path(path_type=Path), help="Also draw it into this file, .svg or .png."
)
@common.options(seed="Of the search, and of all that is drawn. By default 42.")
def command(
    words: tuple[Path, ...],
    name: str | None,
    new: Path | None,
    picture: Path | None,
    as_json: bool,
    seed: int | None,
    out: Path | None,
) -> None:
    """Decide what PROBLEM.toml asks, with the model of RUN.

    The file says what to maximise, which levers there are and within which bounds. RUN is the folder of a
    run of a table; it can also stand in the file, or a table to train on first. A file with an
    [experiment] ranks rows by what a treatment changes, and needs no model. docs/levers.md has all keys.

    \b
    drivetrain levers runs/2026-01-31-rentals price.toml
    drivetrain levers trial.toml --rank customers.csv --out ranking.csv
    """
    if not 1 <= len(words) <= 2:
        raise click.UsageError("Give a problem file, or a run and a problem file.")
    if picture is not None and picture.suffix.lower() not in (".svg", ".png"):
        raise click.UsageError(f"--picture: a .svg or a .png, not '{picture}'.")
    seed = 42 if seed is None else seed
    from drivetrain.levers.problem import read_toml

    run = words[0] if len(words) == 2 else None
    if "experiment" in read_toml(words[-1]):
        if run is not None or name is not None:
            raise click.UsageError(
                f"{words[-1]} has an [experiment], which needs no run and no model."
            )
        _experiment(words[-1], new, picture, seed=seed, as_json=as_json, out=out)
    elif new is not None:
        raise click.UsageError(f"--rank: {words[-1]} has no [experiment].")
    else:
        _decision(run, words[-1], name, picture, seed=seed, as_json=as_json, out=out)


def _decision(
    run: Path | None,
    file: Path,
    name: str | None,
    picture: Path | None,
    *,
    seed: int,
    as_json: bool,
    out: Path | None,
) -> None:
    from drivetrain import levers
    from drivetrain.errors import ConfigError

    problem = levers.read_problem(file)
    if run is not None:
        source = None
    elif problem.model is None:
        raise ConfigError(
            f"{file} does not say which model answers. Give the run: drivetrain levers RUN {file}"
        )
    else:
        source = problem.model
    with common.stdout_kept():
        asked = _model(run, source, file.parent, name)
        problem = asked.fitted_to(problem)
        rows = None if problem.rows is None else asked.rows(problem.rows)
        decision = levers.optimise(
            problem,
            asked.model.predict_frame,
            asked.train,
            rows=rows,
            classes=asked.model.target.classes,
            spread=asked.spread,
            members=asked.members,
            residuals=asked.residuals,
            seed=seed,
        )
        if picture is not None:
            _draw(decision, picture)
    common.answer(
        decision.to_json(), _with_picture(str(decision), picture), as_json=as_json, copy=out
    )


def _experiment(
    file: Path,
    new: Path | None,
    picture: Path | None,
    *,
    seed: int,
    as_json: bool,
    out: Path | None,
) -> None:
    from drivetrain import levers

    experiment = levers.read_experiment(file)
    with common.stdout_kept():
        frame, read = _experiment_frame(
            experiment.rows, experiment.treated, experiment.outcome, experiment.features
        )
        uplift = levers.fit_uplift(
            frame,
            experiment.treated,
            experiment.outcome,
            features=experiment.features or None,
            seed=seed,
        )
        document = uplift.to_json()
        text = str(uplift)
        if new is not None:
            ranking = uplift.rank(read(new))
            uplifts, scores = ranking.uplift.tolist(), ranking.score.tolist()
            ranks = [
                {"input": f"row {row + 1}", "uplift": uplifts[row], "score": scores[row]}
                for row in ranking.order.tolist()
            ]
            document["ranking"] = ranks
            text += f"\n\n{new}: " + _first_ranks(ranks)
            if out is not None and out.suffix.lower() == ".csv":
                _write_ranking(out, ranks)
                text += f"\nThe ranking of {len(ranks):,} rows is in {out}"
                out = None
        if picture is not None:
            _draw(uplift, picture)
    common.answer(document, _with_picture(text, picture), as_json=as_json, copy=out)


# --- the model ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Asked:
    """A model of a table, and the rows that it was trained on."""

    model: TabularModel
    train: Frame
    residuals: np.ndarray | None

    @property
    def spread(self) -> Predict | None:
        """Where the model has more than one voice."""
        one = self.train.take([0])
        if self.model.spread(one) is None:
            return None
        return lambda frame: _not_none(self.model.spread(frame))

    @property
    def members(self) -> Predict | None:
        """Each tree of a forest by itself."""
        from drivetrain.tabular.estimators import TreeEstimator

        found = self.model.estimator
        classes = len(self.model.target.classes)
        if not isinstance(found, TreeEstimator) or self.model.target.is_log:
            return None
        trees = found.ensemble
        if trees.combine != "mean" or trees.num_trees < 2 or classes > MOST_MEMBERS:
            return None

        def ask(frame: Frame) -> np.ndarray:
            values = trees.tree_outputs(self.model.prepared(frame).design)  # (T, N, V)
            return values if classes else values[:, :, 0]

        return ask

    def rows(self, path: Path) -> Frame:
        """The rows that a decision is for: as the model reads them, and other columns beside."""
        from drivetrain.data.tables.reading import open_table
        from drivetrain.tabular.columns.kinds import infer_schema, parse_frame
        from drivetrain.tabular.data import USED

        reader = self.model.reader
        opened = open_table(path, missing=reader.missing)
        table = opened.read()
        known = [name for name in reader.features if name in table.column_names]
        frame, notes = parse_frame(table, reader.schema, names=known, row_ids=opened.row_ids)
        frame = reader.expand(frame)
        schema = infer_schema(table)
        others = [c.name for c in schema.columns if c.kind in USED and c.name not in known]
        beside, more = parse_frame(table, schema, names=[n for n in others if n not in frame])
        for name in beside.names:
            frame = frame.with_column(name, beside[name])
        for note in [*opened.report.notes, *notes, *more]:
            exits.print_line(f"note: {path}: {note}")
        return frame

    def fitted_to(self, problem: Problem) -> Problem:
        """The problem with dates of the context as the columns that the model has of them."""
        import datetime

        import numpy as np

        from drivetrain.data.frame import Frame

        context: dict[str, Any] = dict(problem.context)
        for name in self.model.reader.dates:
            value = context.get(name)
            if not isinstance(value, datetime.datetime):
                continue
            alone = Frame({name: np.array([value], dtype="datetime64[us]")})
            wide = replace(self.model.reader, dates={name: self.model.reader.dates[name]}).expand(
                alone
            )
            context.pop(name)
            context |= {
                part: float(wide.numbers(part)[0]) for part in wide.names if part in self.train
            }
        return replace(problem, context=context)


def _model(run: Path | None, source: ModelSource | None, folder: Path, name: str | None) -> _Asked:
    """The model of a run, or one trained now on the table that a problem names."""
    from drivetrain import tabular

    if run is None and source is not None and not source.run:
        model = tabular.fit(
            str(_beside(folder, source.source)), source.target, name or source.name or "forest"
        )
        assert model.data is not None, "fitted here"
        return _asked(model, model.data)
    run = run if run is not None or source is None else _beside(folder, source.run)
    assert run is not None
    return _of_run(run, name)


def _of_run(run: Path, name: str | None) -> _Asked:
    from drivetrain import tabular
    from drivetrain.errors import ConfigError, DataError
    from drivetrain.tabular.gathering import gather_again
    from drivetrain.train.run import Run

    inside = run if name is None else run / "models" / name
    if name is not None and not inside.is_dir():
        known = sorted(path.name for path in (run / "models").glob("*") if path.is_dir())
        has = f"It has: {', '.join(known)}." if known else "It has one model: leave --model out."
        raise ConfigError(f"{run} has no model '{name}'. {has}")
    model = tabular.load(inside)
    recipe = Run.open(run).read().get("data")
    if not isinstance(recipe, Mapping):
        raise DataError(f"{run} does not say which table it was trained on.")
    data = gather_again(recipe)
    if data.report.sha256 != model.trained_on:
        raise DataError(
            f"The table {data.source} is not the one that the model was trained on, so that it cannot be "
            "told which settings the model knows. Put the table back, or train anew."
        )
    return _asked(model, data)


def _asked(model: TabularModel, data: Any) -> _Asked:
    import numpy as np

    from drivetrain.errors import ConfigError

    if model.target.kind == "number" and len(model.target.names) > 1:
        raise ConfigError(
            "The model predicts several numbers at once. Train one for the number that is decided on."
        )
    train, _ = data.part("train")
    residuals = None
    if model.target.kind == "number":
        frame, targets = data.part("valid")
        predicted = model.predict_frame(frame)
        residuals = np.asarray(model.target.shown(targets) - predicted)
    return _Asked(model, train, residuals)


def _beside(folder: Path, name: str) -> Path:
    path = Path(name).expanduser()
    return common.find_source(name) if not (folder / path).exists() else folder / path


def _not_none(values: np.ndarray | None) -> np.ndarray:
    assert values is not None, "asked for one row before"
    return values


# --- an experiment --------------------------------------------------------------------------------------


def _experiment_frame(
    path: Path, treated: str, outcome: str, features: tuple[str, ...]
) -> tuple[Frame, Any]:
    """The rows of an experiment, and what reads others into the same columns."""
    from drivetrain.data.tables.reading import open_table
    from drivetrain.tabular.columns.kinds import infer_schema, parse_frame
    from drivetrain.tabular.data import USED

    opened = open_table(path)
    table = opened.read()
    schema = infer_schema(table, target=[treated, outcome, *features])
    learnt = features or tuple(
        c.name for c in schema.columns if c.kind in USED and c.name not in (treated, outcome)
    )
    frame, notes = parse_frame(
        table, schema, names=[*learnt, treated, outcome], row_ids=opened.row_ids
    )
    for note in notes:
        exits.print_line(f"note: {note}")

    def read(other: Path) -> Frame:
        found, more = parse_frame(open_table(other).read(), schema, names=learnt)
        for note in more:
            exits.print_line(f"note: {other}: {note}")
        return found

    return frame, read


def _first_ranks(ranks: list[dict[str, Any]], most: int = 10) -> str:
    from drivetrain.cli import layout

    rows = [("row", "uplift", "expected if treated")]
    rows += [(r["input"], f"{r['uplift']:.3g}", f"{r['score']:.3g}") for r in ranks[:most]]
    more = f"\n  … and {len(ranks) - most:,} more" if len(ranks) > most else ""
    return f"treat first\n{layout.table(rows, indent=2)}{more}"


def _write_ranking(path: Path, ranks: list[dict[str, Any]]) -> None:
    from drivetrain import store

    lines = ["input,uplift,score", *(f"{r['input']},{r['uplift']!r},{r['score']!r}" for r in ranks)]
    store.write_text(path, "\n".join(lines) + "\n")


def _draw(answer: Any, path: Path) -> None:
    import io

    from drivetrain import store

    image = io.BytesIO()
    answer.plot().savefig(image, format=path.suffix[1:].lower(), dpi=120)
    store.write_bytes(path, image.getvalue())


def _with_picture(text: str, picture: Path | None) -> str:
    return text if picture is None else f"{text}\n\nThe picture is {picture}"
