"""`drivetrain train` on a table: a leaderboard, one model beside the simple ones, or the net."""

from __future__ import annotations

import csv
import itertools
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from drivetrain._registry import did_you_mean
from drivetrain.cli import anew, common, exits, gating, layout, settings, submitting
from drivetrain.errors import DataError

SUFFIXES = (".parquet", ".pq", ".tsv", ".csv", ".csv.gz", ".tsv.gz", ".csv.zst")
PICTURES = (".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff")
LONG = 8.0
"""Words a cell from which a column of text is more than a name or an address."""
LOOKED_AT = 20
"""Rows of a CSV that are looked at to tell paths of pictures from a table."""
KINDS = ("number", "category", "date", "text", "id", "constant")


def is_table(path: Path, task: str | None, given: Mapping[str, Any]) -> bool:
    """Whether a source is a table, and not pictures: as asked, else as it looks.

    A CSV is of pictures where a column holds names of pictures, or options say which column does.
    """
    if task is not None:
        if task == "tabular" and path.is_dir():
            raise click.UsageError(
                f"--task tabular: {path} is a folder. Give a CSV or Parquet file."
            )
        return task == "tabular"
    if not path.is_file() or not path.name.lower().endswith(SUFFIXES):
        return False
    if any(name in given for name in settings.CSV if name not in ("label_column", "targets")):
        return False
    is_plain = path.name.lower().endswith((".csv", ".tsv")) and "pattern" not in given
    if is_plain and _has_no_rows(path):
        raise DataError(
            f"{path} holds no rows: at most one line, which is for the names of the columns."
        )
    return not path.name.lower().endswith(".csv") or not _names_pictures(path)


def _has_no_rows(path: Path) -> bool:
    """Whether nothing follows the first line. Bytes: a file of any encoding, and any line ends."""
    try:
        with open(path, "rb") as file:
            start = file.read(1 << 16)
    except OSError:
        return False  # whoever opens it next says why
    return len(start) < 1 << 16 and len(start.splitlines()) < 2


def _names_pictures(path: Path) -> bool:
    """Whether half of the first rows of a CSV hold the name of a picture in some column."""
    try:
        with open(path, encoding="utf-8-sig", errors="replace", newline="") as file:
            heading = file.readline()
            separator = max(",;\t", key=heading.count)  # as pictures are listed; see vision.sources
            rows = list(itertools.islice(csv.reader(file, delimiter=separator), LOOKED_AT))
    except (OSError, csv.Error):
        return False
    named = [any(cell.strip().lower().endswith(PICTURES) for cell in row) for row in rows]
    return 2 * sum(named) >= len(named)


def train(
    path: Path,
    given: dict[str, Any],
    *,
    out: Path | None,
    as_json: bool,
    dry_run: bool,
    accepted: Mapping[str, str],
    began: float,
) -> None:
    """Train as the settings say, into a run folder, and print what came out.

    Args:
        began: when the time began, by `time.perf_counter`.
    """
    given = dict(given)
    several = given.pop("targets", None)
    wrong = [n for n in given if n not in {*settings.TABLES, "seed", "callbacks", "drop", "kinds"}]
    if wrong:
        other = "pictures" if wrong[0] in settings.PICTURES else "other sources"
        other = "ratings" if wrong[0] in settings.RATINGS else other
        raise click.UsageError(f"'{wrong[0]}': only for {other}, and {path} is a table.")
    target = given.pop("label_column", None)
    if target is None and several is None:
        raise click.UsageError(
            f"Which column of {path} is to be predicted? Say so with --target COLUMN. It has: "
            f"{layout.shorten(_columns(path), most=40)}."
        )
    given["kinds"] = kinds_of(given["kinds"])
    names = several if target is None else names_of(target)
    model = given.pop("model", None)
    minutes = given.pop("minutes", None)
    if dry_run and model != "net":
        raise click.UsageError("--dry-run: of tables it is for the net: --model net.")
    if model == "net":
        _train_net(path, names, given, minutes, out, as_json, dry_run, accepted, began)
    else:
        _train_board(path, names, given, model, minutes, out, as_json, accepted)


def names_of(target: str) -> str | list[str]:
    """The column that `--target` names, or several with commas between."""
    return [name.strip() for name in target.split(",")] if "," in target else target


def _train_net(
    path: Path,
    target: Any,
    given: dict[str, Any],
    minutes: float | None,
    out: Path | None,
    as_json: bool,
    dry_run: bool,
    accepted: Mapping[str, str],
    began: float,
) -> None:
    from drivetrain import tabular
    from drivetrain.cli.train import run_to_end
    from drivetrain.train.memory import dry_run as try_batch
    from drivetrain.train.run import Run
    from drivetrain.train.within import plan_within

    data_options, own = _apart(given, settings.NET)
    with common.stdout_kept(), common.counter() as count:
        data = tabular.gather(path, target, report=count, **data_options)
        learner = tabular.learner(data, callbacks=given["callbacks"], announce=False, **own)
        memory = try_batch(learner) if dry_run else None
        if memory is None:
            left = gating.pass_table(data, learner.choices, accepted)
            run = Run.create(out) if out else Run.create_dated("runs", path.stem)
            if minutes is not None:
                plan_within(learner, minutes, began=began, folder=run.folder)
            learner.start_run(run)
            anew.note_words(run.folder)
            gating.say(left)
    if memory is not None:
        common.answer(memory.to_json(), str(memory), as_json=as_json, copy=out)
        return
    assert learner.run is not None, "started above"
    if not as_json:
        common.show(found(data, learner.run.folder))
    document = run_to_end(learner, learner.train)
    common.answer(document, result(document), as_json=as_json)


def _train_board(
    path: Path,
    target: Any,
    given: dict[str, Any],
    model: str | None,
    minutes: float | None,
    out: Path | None,
    as_json: bool,
    accepted: Mapping[str, str],
) -> None:
    from drivetrain import tabular
    from drivetrain._registry import lookup
    from drivetrain.tabular.application import BASELINES
    from drivetrain.tabular.fitting import FITTERS
    from drivetrain.tabular.leaderboard import ALL, train_into
    from drivetrain.train.run import Run

    if given["callbacks"]:
        raise click.UsageError("--callback: of tables it is for the net: --model net.")
    models = None
    if model is not None:
        lookup(dict.fromkeys(["net", *ALL]), model, what="model")
        models = [*dict.fromkeys([*BASELINES, model])]
    data_options, own = _apart(given, settings.TREES)
    if own and model not in FITTERS:
        raise click.UsageError(f"'{next(iter(own))}': for one model; say which with --model.")
    with common.stdout_kept(), common.counter() as count:
        data = tabular.gather(path, target, report=count, **data_options)
        left = gating.pass_table(data, data.choices, accepted)
        run = Run.create(out) if out else Run.create_dated("runs", path.stem)
        gating.say(left)
        try:
            if not as_json:
                exits.tell(found(data, run.folder))
            board = train_into(
                run,
                data,
                models=models,
                minutes=1.0 if minutes is None else minutes,
                settings={model: own} if model is not None and own else None,
                chosen=model,
            )
        except KeyboardInterrupt as error:
            raise exits.stopped(run.folder, error) from error
        finally:
            run.release()
    document = run.read()["results"]
    common.answer(document, result(document, board.text(layout.columns())), as_json=as_json)


def _apart(
    given: Mapping[str, Any], table: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options of the data, and those of a table of settings.

    Raises: UsageError: a setting is of neither.
    """
    data = settings.take(given, settings.TABLE) | {
        name: given[name] for name in ("seed", "drop", "kinds") if name in given
    }
    own = settings.take(given, table)
    left = [n for n in given if n not in {*data, *own, "callbacks"}]
    if left:
        of_net = ", but for the net: --model net" if left[0] in settings.NET else ""
        raise click.UsageError(f"'{left[0]}': not for this kind of model of tables{of_net}.")
    return data, own


MOST_ROWS = 20
"""Rows whose answers are printed; --json and --out have all."""


def predict(
    run: Path,
    inputs: tuple[Path, ...],
    *,
    engine: str,
    shift: bool,
    like: Path | None,
    as_json: bool,
    out: Path | None,
) -> None:
    """Predict the rows of tables, and print or write the answers."""
    from drivetrain import tabular
    from drivetrain.errors import ConfigError

    is_one = len(inputs) == 1
    if out is not None and out.suffix.lower() in (".csv", ".parquet") and not is_one:
        raise click.UsageError("--out: a table is written for one INPUT. Give one at a time.")
    if shift and not is_one:
        raise click.UsageError("--shift: it is said of one INPUT. Give one at a time.")
    with common.stdout_kept():
        model = tabular.load(run, engine=engine)
        if shift and getattr(model, "guard", None) is None:
            raise ConfigError(
                f"--shift needs the guard of a bundle, and {run} has none. "
                "Make one with: drivetrain export RUN -o BUNDLE"
            )
        is_plain = not as_json and not shift and like is None
        is_large = is_plain and _is_too_large(model, inputs[0], out)
        answers: list[Any] = [] if is_large else [model.predict(path) for path in inputs]
    if is_large:
        _predict_to(model, inputs[0], out)
        return
    documents: list[dict[str, Any]] = []
    texts, moved = [], None
    for path, found in zip(inputs, answers, strict=True):
        for note in found.notes:
            exits.print_line(f"{path}: {note}")
        where = f"{path}: " if len(inputs) > 1 else ""
        rows = [one.to_json() | {"input": f"{where}{one.input}"} for one in found]
        documents += rows
        shown = [(r["input"], *_said(r)) for r in rows[:MOST_ROWS]]
        texts.append(layout.table(shown))
        if len(rows) > MOST_ROWS:
            how = ": --out FILE.csv writes all" if out is None else ""
            texts.append(f"… and {len(rows) - MOST_ROWS:,} more{how}")
        if isinstance(found, tabular.GuardedRows):
            moved = found.shift
            texts += _guarded(found, shift)
    if like is not None and out is not None:
        texts.append(
            submitting.write(
                documents, inputs, like=like, out=out, in_rows=True, targets=model.target.names
            )
        )
        out = None
    if out is not None and out.suffix.lower() in (".csv", ".parquet"):
        answers[0].write(out)
        texts.append(f"{len(answers[0]):,} answers are in {out}")
        out = None
    document: Any = documents
    if shift:
        document = {
            "predictions": documents,
            "shift": None if moved is None else moved.to_json(),
        }
    common.answer(document, "\n".join(texts), as_json=as_json, copy=out)


def _is_too_large(model: Any, path: Path, out: Path | None) -> bool:
    """Whether a table's answers are written batch by batch: it would fill too much of the memory."""
    from drivetrain.tabular.streaming.whether import why_streamed

    if out is None or out.suffix.lower() not in (".csv", ".parquet"):
        return False
    return hasattr(model, "predict_to") and why_streamed(path, None) is not None


def _predict_to(model: Any, path: Path, out: Path | None) -> None:
    """Write the answers for a table larger than memory."""
    with common.stdout_kept(), common.counter() as count:
        written = model.predict_to(path, out, report=count)
    for note in written.notes:
        exits.print_line(f"{path}: {note}")
    common.answer([], f"{written.rows:,} answers are in {out}", as_json=False, copy=None)


def _said(record: Mapping[str, Any]) -> tuple[str, ...]:
    if "label" in record:
        share = layout.percent(record["probabilities"][record["label"]])
        return (record["label"], share, _doubt(record))
    values = record["value"] if isinstance(record["value"], list) else [record["value"]]
    said = ", ".join(f"{value:,.6g}" for value in values)
    if record.get("interval") is None:
        return (said, _doubt(record))
    pairs = record["interval"] if isinstance(record["value"], list) else [record["interval"]]
    between = ", ".join(f"{low:,.6g} to {high:,.6g}" for low, high in pairs)
    return (said, f"{record['coverage']:.0%}: {between}", _doubt(record))


def _doubt(record: Mapping[str, Any]) -> str:
    """What the guard of a bundle has to say against an answer."""
    if "domain" not in record:
        return ""
    domain, words = record["domain"], []
    if not domain["in_domain"]:
        words.append("unlike what the model knows")
    for what, says in (
        ("outside", "outside of the range of training"),
        ("unseen", "never so in training"),
        ("missing", "never missing in training"),
    ):
        if domain[what]:
            words.append(f"{layout.shorten(domain[what])} {says}")
    if len(record.get("set", ())) > 1:
        words.append(f"one of {layout.shorten(record['set'])}")
    return f"! {'; '.join(words)}" if words else ""


def _guarded(found: Any, is_asked: bool) -> list[str]:
    """What the guard says of all rows together."""
    texts = []
    foreign, expected = int((~found.in_domain).sum()), found.false_alarm * len(found)
    if foreign > expected + 3 * expected**0.5:  # more than chance would give
        are = "row is" if foreign == 1 else "rows are"
        texts.append(
            f"{foreign:,} of {len(found):,} {are} unlike what the model knows, where "
            f"{found.false_alarm:.0%} of rows of the same source would be."
        )
    if found.shift is not None and (is_asked or found.shift.drifted):
        texts.append(found.shift.text)
    elif is_asked:
        texts.append(
            f"{len(found):,} rows are too few to say whether they are of another kind taken together, or "
            "there are dates alone to compare."
        )
    return texts


def kinds_of(pairs: tuple[str, ...]) -> dict[str, str]:
    """`("zip=category",)` -> `{"zip": "category"}`.

    Raises: UsageError: a pair is none, or its kind is.
    """
    found = {}
    for pair in pairs:
        column, equals, kind = pair.rpartition("=")
        if not equals or not column:
            raise click.UsageError(f"--kind takes COLUMN=KIND, such as zip=category. Got '{pair}'.")
        if kind not in KINDS:
            raise click.UsageError(
                f"--kind: '{kind}' is no kind.{did_you_mean(kind, KINDS)} Known: {', '.join(KINDS)}."
            )
        found[column] = kind
    return found


def _columns(path: Path) -> list[str]:
    from drivetrain.data.tables.reading import open_table

    return list(open_table(path).names)


def found(data: Any, folder: Path) -> str:
    """What was found in the table and what was chosen, before training."""
    from drivetrain.tabular.columns.schema import shorten

    counts = data.counts()
    rows = [
        ("Source", str(data.source)),
        ("Target", f"{data.target.name}: {_kind(data.target)}"),
        ("Rows", f"{counts['train']:,} to train, {counts['valid']:,} to validate"),
    ]
    columns = [
        (shorten(each.name), f"{each.kind:<8}", exits.as_typed(each.reason))
        for each in data.schema.columns
    ]
    parts = [layout.table(rows), "Columns", layout.table(columns)]
    parts += [f"! {exits.as_typed(note)}" for note in data.notes]
    parts += [
        f"! '{each.name}' is left out here. Models of texts read it: --text {shlex.quote(each.name)}"
        for each in data.schema.columns
        if each.kind == "text" and _words_of(each.reason) >= LONG
    ]
    if data.quarantined:
        from drivetrain.cli.pictures import set_aside

        aside = [entry.to_json() for entry in data.quarantined]
        parts.append(set_aside(aside, where=folder / "quarantine.jsonl"))
    parts.append(f"Chosen for you ({common.how_to_change(folder)})")
    parts.append(f"{data.choices.text(layout.line())}\n")
    return "\n".join(parts)


def _words_of(reason: str) -> float:
    """Words a cell, which the reason of a column of text begins with."""
    found = re.match(r"([\d.]+) words a cell", reason)
    return float(found[1]) if found else 0.0


def _kind(target: Any) -> str:
    if target.kind == "class":
        return f"classes {layout.shorten(target.classes)}"
    return "a number" + (", learnt as log(1 + y)" if target.is_log else "")


def result(document: Mapping[str, Any], board: str = "") -> str:
    """The result of a training beside its baselines, where the run is, and what to type next."""
    valid, items = document["metrics"]["valid"], document["items"]
    run = shlex.quote(document["run"])
    lines = [f"Result on {items.get('sample_valid', items['valid']):,} validation rows"]
    if "sample_valid" in items:
        lines[0] += f", a sample of {items['valid']:,}"
    lines.append(board or compared(valid, document["interval"], document["baselines"]))
    lines += [
        "",
        f"{document['model']} predicts, after {layout.duration(document['seconds'])}. "
        f"The run is in {document['run']}",
        "Next",
        f"  drivetrain predict {run} TABLE",
        f"  drivetrain evaluate {run} --on TABLE",
        f"  drivetrain report {run}",
    ]
    return "\n".join(lines)


def compared(
    metrics: Mapping[str, float], interval: Any, baselines: Mapping[str, Mapping[str, Any]]
) -> str:
    """The metric that counts with its interval, the baselines' under it, then the other figures."""
    primary = "accuracy" if "accuracy" in metrics else "rmse"
    rows = [(primary, layout.number(metrics[primary]), _between(interval))]
    for name, record in baselines.items():
        rows.append((f"  {name}", layout.number(record[primary]), _between(record["interval"])))
    rows += [(n, layout.number(v), "") for n, v in metrics.items() if n != primary]
    return layout.table(rows, indent=2)


def _between(interval: Any) -> str:
    if interval is None:
        return ""
    low, high = interval
    return f"95% interval {layout.number(low)} to {layout.number(high)}"


def measured(document: Mapping[str, Any]) -> str:
    """The result of an evaluation."""
    lines = [f"Result on {document['items']:,} rows of {document['source']}"]
    lines.append(compared(document["metrics"], document["interval"], {}))
    if document["left_out"]:
        lines.append(f"{document['left_out']:,} rows without a known target were left out.")
    lines += [f"! {note}" for note in document["notes"]]
    return "\n".join(lines)
