"""A table described: its columns in figures and charts, and what in it asks for a look.

    found = dt.tabular.describe("adult.csv", "salary")
    print(found)                 # the columns, and what to look at first
    found.save("adult.html")     # one page that needs no network and runs no script

The three views of the course are there, numbers, words and histograms, and beside them what they do not
say: missing cells, long tails, columns that go together, rows that come twice, and columns that may give
the target away. Nothing is changed, and nothing is learnt: all rows are looked at, so what is decided by
looking at the target here has seen the rows that validate as well.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from drivetrain import store
from drivetrain._registry import did_you_mean
from drivetrain.data.frame import Factor, Frame
from drivetrain.data.tables.reading import DEFAULT_MISSING, ReadReport, open_table
from drivetrain.errors import ConfigError, DataError
from drivetrain.interpret import text
from drivetrain.interpret.asking import sampled
from drivetrain.interpret.association import MOST_ROWS, Link, linked_pairs
from drivetrain.interpret.redundancy import Cluster, redundant_columns
from drivetrain.tabular.columns.kinds import infer_schema, parse_frame
from drivetrain.tabular.columns.schema import Schema
from drivetrain.tabular.data import USED
from drivetrain.tabular.description.alone import Alone, alone
from drivetrain.tabular.description.charts import Chart, Outcome, chart_of, log_chart, outcome_of
from drivetrain.tabular.description.hints import CAUTION, NEAR_UNIQUE, Hint, Looked, hints_of
from drivetrain.tabular.description.page import page_of
from drivetrain.tabular.description.sums import made_up, made_up_among
from drivetrain.tabular.description.views import (
    DateView,
    NumberView,
    WordView,
    date_view,
    figure,
    number_view,
    percent,
    word_view,
)
from drivetrain.tabular.preprocess import suggest_logs
from drivetrain.tabular.target import Target, find_target

LINKED = 0.7
"""Strength from which on two columns are said to go together."""
MOST_LINKED = 100
"""Columns that are compared in pairs; of numbers, many more are."""
MOST_COMPARISONS = 10_000_000
"""Pairs of columns times rows: of wide tables fewer rows are compared."""
MOST_CHARTS = 200
"""Columns that get a chart, the first ones."""
SHOWN_COLUMNS = 60
"""Columns that are printed."""


@dataclass(frozen=True, eq=False)
class Description:
    """What is to be seen of a table. It prints, saves itself as a page, and is plain JSON."""

    report: ReadReport
    """What reading found and repaired."""
    notes: tuple[str, ...]
    """Sentences on cells that could not be read, and on what was left out here."""
    schema: Schema
    """Kinds of all columns, with reasons."""
    num_rows: int
    """Rows that were used."""
    target: Target | None
    """What is to be predicted, where that was said."""
    outcome: Outcome | None
    """The target as charts show it."""
    numbers: tuple[NumberView, ...]
    """Figures of each column of numbers."""
    words: tuple[WordView, ...]
    """Levels of each column of words."""
    dates: tuple[DateView, ...]
    """Spans of each column of dates."""
    charts: tuple[Chart, ...]
    """Of the columns that models see, the target first."""
    log_charts: tuple[Chart, ...]
    """Of those whose long tail a logarithm tames, with log(1 + x)."""
    logs: Mapping[str, tuple[float, float]]
    """Name -> (skew, skew of log(1 + x)) of those; a suggestion that is never applied by itself."""
    alone: tuple[Alone, ...]
    """What each column tells of the target by itself, the most telling first."""
    links: tuple[Link, ...]
    """Pairs of columns that go together, the strongest first; the target is in none."""
    clusters: tuple[Cluster, ...]
    """Columns of nearly the same order."""
    hints: tuple[Hint, ...]
    """What to look at, the gravest first."""

    @property
    def num_missing(self) -> int:
        """Cells without a value."""
        return sum(column.missing for column in self.schema.columns)

    def to_html(self) -> str:
        """The page: one document with everything in it."""
        return page_of(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page to a file.

        Args:
            path: of the HTML file.

        Raises: StorageError: the disk refused.
        """
        store.write_text(path, self.to_html())

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, without the rows that reading set aside."""
        report = {k: v for k, v in self.report.to_json().items() if k != "quarantined"}
        return {
            "report": report | {"quarantined": len(self.report.quarantined)},
            "notes": list(self.notes),
            "rows": self.num_rows,
            "missing": self.num_missing,
            "schema": self.schema.to_json(),
            "target": self.target.to_json() if self.target is not None else None,
            "numbers": [asdict(view) for view in self.numbers],
            "words": [asdict(view) | {"levels": dict(view.levels)} for view in self.words],
            "dates": [asdict(view) for view in self.dates],
            "classes": list(self.outcome.classes) if self.outcome is not None else [],
            "charts": [chart.to_json() for chart in (*self.charts, *self.log_charts)],
            "logs": {name: list(skews) for name, skews in self.logs.items()},
            "alone": [one._asdict() for one in self.alone],
            "links": [link._asdict() for link in self.links],
            "clusters": [cluster._asdict() for cluster in self.clusters],
            "hints": [hint.to_json() for hint in self.hints],
        }

    def __str__(self) -> str:
        cells = self.num_rows * len(self.schema.columns)
        lines = [
            f"{self.report.source}: {text.rows(self.num_rows)}, {len(self.schema.columns):,} "
            f"{'column' if len(self.schema.columns) == 1 else 'columns'}, "
            f"{percent(self.num_missing, cells)} of the cells missing."
        ]
        if self.report.quarantined:
            lines.append(f"{text.rows(len(self.report.quarantined))} set aside by reading.")
        if self.target is not None:
            lines.append(f"Target: {self.target.name}, {self._goal()}.")
        lines += ["", self._table()]
        if len(self.schema.columns) > SHOWN_COLUMNS:
            lines.append(f"… and {len(self.schema.columns) - SHOWN_COLUMNS:,} more columns.")
        titles = {"leak": "May give the target away", "care": "To decide", "note": "Good to know"}
        for level, title in titles.items():
            found = [hint.sentence for hint in self.hints if hint.level == level]
            if found:
                lines += ["", title]
                lines += [text.wrapped(f"- {s}", 100).replace("\n", "\n  ") for s in found]
        if self.links or self.clusters:
            lines += ["", "Columns that go together"]
            lines += [f"  {c.at:.2f}  {', '.join(map(text.cut, c.names))}" for c in self.clusters]
            lines += [
                f"  {link.strength:.2f}  {text.cut(link.first)}, {text.cut(link.second)}"
                for link in self.apart[:10]
            ]
            more = len(self.apart) - 10
            lines += [f"  … and {more:,} more pairs" if more > 0 else "", text.wrapped(CAUTION)]
        return "\n".join(line for line in lines if line or lines)

    @property
    def apart(self) -> tuple[Link, ...]:
        """The pairs of `links` that are not in one of the `clusters` together."""
        place = {name: at for at, cluster in enumerate(self.clusters) for name in cluster.names}
        return tuple(
            link for link in self.links if place.get(link.first, -1) != place.get(link.second, -2)
        )

    def _goal(self) -> str:
        assert self.target is not None, "asked of a table with a target"
        if self.target.kind == "number":
            view = next(view for view in self.numbers if view.name == self.target.names[0])
            return f"a number from {figure(view.min)} to {figure(view.max)}"
        return f"{len(self.target.classes):,} classes ({text.listed(self.target.classes, most=6)})"

    def _table(self) -> str:
        seen = {view.name: _in_short(view) for view in (*self.numbers, *self.words, *self.dates)}
        rows = [
            [
                text.cut(column.name),
                column.kind,
                seen[column.name],
                percent(column.missing, column.rows) if column.missing else "",
                f"{column.distinct:,}",
            ]
            for column in self.schema.columns[:SHOWN_COLUMNS]
        ]
        return text.table(["column", "kind", "values", "missing", "different"], rows, left=3)


def describe(
    source: Any,
    target: str | None = None,
    *,
    kinds: Mapping[str, str] | None = None,
    target_kind: str | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    missing: Sequence[str] = DEFAULT_MISSING,
    seed: int = 42,
) -> Description:
    """Look at a table, before any model is trained.

    Args:
        source: a CSV or Parquet file; a frame of pandas, polars or Arrow; a dict of columns.
        target: the column that is to be predicted. Charts are split by it, and columns that may give it
            away are looked for.
        kinds: column -> kind, where the inferred one is not right; see `kinds.infer_schema`.
        target_kind: `class` or `number`.
        delimiter, encoding, missing: see `reading.open_table`.
        seed: which rows are drawn, where a table has more than are compared.

    Raises: DataError: the table cannot be used, or has no such column to predict. ConfigError: an option
        is wrong.
    """
    if target is not None and not isinstance(target, str):
        raise ConfigError(f"`target` is the name of one column. Got {target!r}.")
    opened = open_table(source, delimiter=delimiter, encoding=encoding, missing=missing)
    table = opened.read()
    if target is not None and target not in table.column_names:
        raise DataError(
            f"`target`: there is no column '{target}'.{did_you_mean(target, table.column_names)} There "
            f"are: {', '.join(table.column_names[:40])}."
        )
    schema = infer_schema(table, kinds=dict(kinds or {}), target=target)
    frame, unread = parse_frame(table, schema, names=schema.names, row_ids=opened.row_ids)
    del table
    notes = list(unread)
    goal = outcome = targets = None
    if target is not None:
        goal = find_target(frame, (target,), kind=target_kind)
        targets = goal.values(frame)
        outcome = outcome_of(goal, frame)
    views = _views(frame, schema)
    # the cube of a larger number is no number, so that its skew cannot be told
    tame = [view.name for view in views[0] if -1e90 < (view.min or 0.0) <= (view.max or 0.0) < 1e90]
    logs = suggest_logs(frame.select(tame))
    used = [c.name for c in schema.columns if c.kind in USED and c.name != target]
    scored = order = ()
    numbers = [name for name in _of_kind(schema, "number") if name != target]
    sums = ()
    if goal is not None and targets is not None:
        scored = alone(frame, used, goal, targets, seed=seed)
        order = _order(frame, schema, goal, targets, seed)
        if goal.kind == "number":
            sums = made_up(frame, numbers, goal.names[0], targets, seed=seed)
    looked = Looked(
        frame=frame,
        schema=schema,
        numbers=views[0],
        words=views[1],
        target=goal,
        targets=targets,
        alone=scored,
        order=order,
        made_up=sums,
        among=made_up_among(frame, numbers, seed=seed),
        logs=logs,
    )
    links, clusters = _together(frame, schema, used, seed, notes)
    charts, log_charts = _charts(frame, used, target, logs, outcome, notes)
    return Description(
        report=opened.report,
        notes=tuple(notes),
        schema=schema,
        num_rows=len(frame),
        target=goal,
        outcome=outcome,
        numbers=views[0],
        words=views[1],
        dates=views[2],
        charts=charts,
        log_charts=log_charts,
        logs=logs,
        alone=scored,
        links=links,
        clusters=clusters,
        hints=hints_of(looked),
    )


def _of_kind(schema: Schema, kind: str) -> list[str]:
    return [column.name for column in schema.columns if column.kind == kind]


def _views(
    frame: Frame, schema: Schema
) -> tuple[tuple[NumberView, ...], tuple[WordView, ...], tuple[DateView, ...]]:
    numbers, words, dates = [], [], []
    for column in schema.columns:
        values = frame[column.name]
        if isinstance(values, Factor):
            words.append(word_view(column.name, column.kind, values))
        elif values.dtype.kind == "M":
            dates.append(date_view(column.name, values))
        else:
            numbers.append(number_view(column.name, values))
    return tuple(numbers), tuple(words), tuple(dates)


def _order(
    frame: Frame, schema: Schema, target: Target, targets: np.ndarray, seed: int
) -> tuple[Alone, ...]:
    """What ids tell by their order, and the order of the rows, whose name is empty."""
    ids = _of_kind(schema, "id")
    with_place = frame.select(ids).with_column("", np.arange(len(frame), dtype=np.float64))
    return alone(with_place, with_place.names, target, targets, in_order=ids, seed=seed)


def _together(
    frame: Frame, schema: Schema, used: Sequence[str], seed: int, notes: list[str]
) -> tuple[tuple[Link, ...], tuple[Cluster, ...]]:
    """Pairs of columns, and clusters; on a sample of the rows."""
    near = {
        c.name
        for c in schema.columns
        if c.kind == "category" and c.distinct > NEAR_UNIQUE * (c.rows - c.missing)
    }
    # words that come once go with anything
    chosen = [name for name in used if name not in near]
    if len(frame) < 3 or len(chosen) < 2:
        return (), ()
    rows = frame.select(chosen).take(
        sampled(len(frame), MOST_ROWS, seed=seed, purpose="association")
    )
    clusters = redundant_columns(rows).clusters()
    paired = chosen[:MOST_LINKED]
    if len(chosen) > MOST_LINKED:
        notes.append(
            f"The first {MOST_LINKED} columns were compared in pairs, {len(chosen) - MOST_LINKED:,} more "
            "by rank correlation alone."
        )
    pairs = len(paired) * (len(paired) - 1) // 2
    most = max(MOST_COMPARISONS // pairs, 1000)
    rows = rows.select(paired).take(sampled(len(rows), most, seed=seed, purpose="pairs"))
    return linked_pairs(rows, at_least=LINKED, seed=seed), clusters


def _charts(
    frame: Frame,
    used: Sequence[str],
    target: str | None,
    logs: Mapping[str, tuple[float, float]],
    outcome: Outcome | None,
    notes: list[str],
) -> tuple[tuple[Chart, ...], tuple[Chart, ...]]:
    if len(used) > MOST_CHARTS:
        notes.append(
            f"The first {MOST_CHARTS} columns have a chart, and {len(used) - MOST_CHARTS:,} more have "
            "none."
        )
    charts, log_charts = [], []
    for name in [*([target] if target is not None else []), *used[:MOST_CHARTS]]:
        by = None if name == target else outcome
        chart = chart_of(name, frame[name], by)
        if chart is not None:
            charts.append(chart)
        if name in logs:
            tamed = log_chart(name, frame.numbers(name), by)
            if tamed is not None:
                log_charts.append(tamed)
    return tuple(charts), tuple(log_charts)


def _in_short(view: NumberView | WordView | DateView) -> str:
    """A column's values in a few words."""
    if not view.count:
        return "–"
    if isinstance(view, NumberView):
        return f"{figure(view.min)} to {figure(view.max)}, median {figure(view.median)}"
    if isinstance(view, DateView):
        return f"{view.first} to {view.last}"
    top = text.cut(str(view.top), 24)
    if view.frequency == 1 and view.count > 1:
        return f"such as {top}"
    return f"{top} ({percent(view.frequency, view.count)})"
