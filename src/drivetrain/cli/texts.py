"""`drivetrain train` and its fellows on texts: classifiers, scorers and language models."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from drivetrain.cli import (
    anew,
    common,
    exits,
    gating,
    layout,
    settings,
    submitting,
    tables,
)

TASKS = ("text", "language")
OTHERS = ("net", "tree", "forest", "boosting", "linear", "one_r", "majority", "leaderboard")
"""Models of tables: who names one means a table."""
_MISSING = "{path} does not exist. Give a text file, a folder of them, or a table; words by --text."
MOST_ROWS = 20
"""Answers that are printed; --json and --out have all."""


def is_texts(path: Path, task: str | None, given: Mapping[str, Any]) -> str | None:
    """Why a source is one of texts; None where it is not.

    As asked, else as it looks: a folder that holds text files and no pictures, or a table with a column
    of text and little else, for which nothing was asked that only tables have.
    """
    if task is not None:
        return "as asked" if task in TASKS else None
    if path.is_dir():
        return _folder_of_texts(path)
    if any(given.get(name) for name in ("drop", "kinds", "because")):
        return None
    if any(name in given for name in settings.CSV if name != "label_column"):
        return None
    if given.get("model") in OTHERS or not path.name.lower().endswith(tables.SUFFIXES):
        return None
    if any(name in given for name in ("text_columns", "compose")):
        return "as asked"
    return _table_of_texts(path, given.get("label_column"))


def _folder_of_texts(path: Path) -> str | None:
    from drivetrain.data.items import find_files
    from drivetrain.errors import DataError
    from drivetrain.text.reading import SUFFIXES

    try:
        texts = find_files(path, SUFFIXES)
        if not texts or find_files(path, tables.PICTURES):
            return None
    except DataError:
        return None
    return f"{len(texts):,} files end in {texts[0].suffix}, and none is a picture"


def _table_of_texts(path: Path, target: str | None) -> str | None:
    from drivetrain.errors import DrivetrainError
    from drivetrain.text.reading import looks_like_text

    try:
        column = looks_like_text(path, target)
    except DrivetrainError:  # what is wrong with the table is said where it is opened
        return None
    return None if column is None else f"'{column}' holds text, and there is little beside it"


def train(
    path: Path,
    given: dict[str, Any],
    *,
    task: str,
    why: str,
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
    from drivetrain.cli.train import run_to_end
    from drivetrain.train.memory import dry_run as try_batch
    from drivetrain.train.run import Run
    from drivetrain.train.within import plan_within

    given = dict(given)
    minutes = given.pop("minutes", None)
    known = {*settings.TEXTS, "label_column", "model", "seed", "callbacks", "drop", "kinds"}
    wrong = [name for name in given if name not in known]
    wrong += [f"--{name.rstrip('s')}" for name in ("drop", "kinds") if given.get(name)]
    if wrong:
        raise click.UsageError(f"'{wrong[0]}': not for texts, and {path} is read as texts.")
    with common.stdout_kept(), common.counter() as count:
        learner = _learner(path, given, task, why, count)
        memory = try_batch(learner) if dry_run else None
        if memory is None:
            left = gating.pass_texts(learner.application.data, learner.choices, accepted)
            run = Run.create(out) if out else Run.create_dated("runs", path.stem)
            if minutes is not None:
                plan_within(learner, minutes, began=began, folder=run.folder)
            learner.start_run(run)
            anew.note_words(run.folder)
            gating.say(left)
    if memory is not None:
        common.answer(memory.to_json(), str(memory), as_json=as_json, copy=out)
        return
    if not as_json:
        common.show(found(learner))
    document = run_to_end(learner, learner.train)
    common.answer(document, result(document), as_json=as_json)


def _learner(path: Path, given: dict[str, Any], task: str, why: str, count: Any) -> Any:
    from drivetrain import text

    target = given.pop("label_column", None)
    options = settings.take(given, settings.TEXT_DATA)
    own = settings.take(given, settings.TEXT_LEARNER)
    if "seed" in given:
        options["seed"] = given["seed"]
    if isinstance(options.get("valid"), str):
        raise click.UsageError("--valid: of texts it is a share, such as 0.2.")
    if "model" in given:
        own["model"] = given["model"]
    own["callbacks"] = given.get("callbacks", ())
    names = ("max_len", "loss_fn") if task == "language" else ("seq_len",)
    for name in names:
        if name in own:
            raise click.UsageError(f"'{name}': not for this kind of model of texts.")
    is_language = task == "language"
    data = text.gather(path, target, labelled=not is_language, report=count, **options)
    data.choices.add("task", task, reason=why, change="--task text|language|tabular")
    make = text.language_learner if is_language else text.learner
    return make(data, announce=False, **own)


def found(learner: Any) -> str:
    """What was found in the texts and what was chosen, before training."""
    from drivetrain.cli.pictures import set_aside

    data, folder = learner.application.data, learner.run.folder
    counts = data.counts()
    sealed = f", {counts['test']:,} sealed for a test" if counts["test"] else ""
    target = "the next word" if data.goal is None else _goal(data.goal)
    rows = [
        ("Source", str(data.source)),
        ("Target", target),
        ("Texts", f"{counts['train']:,} to train, {counts['valid']:,} to validate{sealed}"),
        ("Words", f"{len(data.tokenizer.vocab):,} in the vocabulary ({data.tokenizer.kind})"),
    ]
    parts = [layout.table(rows), *(f"! {note}" for note in data.notes)]
    if data.quarantined:
        aside = [entry.to_json() for entry in data.quarantined]
        parts.append(set_aside(aside, where=folder / "quarantine.jsonl"))
    parts.append(f"Chosen for you ({common.how_to_change(folder)})")
    parts.append(f"{learner.choices.text(layout.line())}\n")
    return "\n".join(parts)


def _goal(goal: Any) -> str:
    if goal.kind == "number":
        return f"{goal.name}: a number"
    several = ", several at once" if goal.kind == "labels" else ""
    return f"{goal.name}: {layout.shorten(goal.classes)}{several}"


def result(document: Mapping[str, Any]) -> str:
    """The result of a training beside its baselines, where the run is, and what to type next."""
    valid, run = document["metrics"]["valid"], shlex.quote(document["run"])
    return "\n".join(
        [
            f"Result on {document['items']['valid']:,} validation texts",
            compared(valid, document["interval"], document["baselines"]),
            "",
            f"Trained in {layout.duration(document['seconds'])}. The run is in {document['run']}",
            "Next",
            f'  drivetrain predict {run} --text "…"',
            f"  drivetrain evaluate {run} --on SOURCE",
            f"  drivetrain report {run}",
        ]
    )


def compared(
    metrics: Mapping[str, float], interval: Any, baselines: Mapping[str, Mapping[str, Any]]
) -> str:
    """The metric that counts with its interval, the baselines' under it, then the other figures."""
    kinds = ("accuracy", "binary_accuracy", "pearson")
    primary = "perplexity" if "perplexity" in metrics else next(k for k in kinds if k in metrics)
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


def predict(
    run: Path,
    inputs: tuple[Path, ...],
    strings: tuple[str, ...] = (),
    *,
    like: Path | None,
    as_json: bool,
    out: Path | None,
) -> None:
    """Answer for the texts of each input: a text file, a folder of them, or a table; or write them on."""
    submitting.check_ending(out)
    if like is not None and strings:
        raise click.UsageError("--like: for an INPUT whose texts have ids, and not for --text.")
    if (run / "bundle.json").is_file():
        _predict_bundle(run, inputs, strings, like=like, as_json=as_json, out=out)
        return
    from drivetrain.train.run import read_model

    with common.stdout_kept():
        _, record = read_model(run)
        if record.get("network") == "language":
            documents = _written(run, inputs, strings)
            said = "\n".join(f"{one['input']}\n  {one['text']}" for one in documents)
            notes: list[str] = []
        else:
            documents, notes = answers(run, inputs, strings)
            said = _table(documents, out)
    for note in notes:
        exits.print_line(note)
    _answer(documents, said, inputs, like=like, as_json=as_json, out=out)


def _answer(
    documents: list[dict[str, Any]],
    said: str,
    inputs: tuple[Path, ...],
    *,
    like: Path | None,
    as_json: bool,
    out: Path | None,
) -> None:
    """Print the answers, and write them where that is wanted."""
    if out is not None and submitting.is_table(out):
        is_file = len(inputs) == 1 and inputs[0].is_file()
        in_rows = is_file and all(str(one["input"]).startswith("row ") for one in documents)
        said += f"\n{submitting.write(documents, inputs, like=like, out=out, in_rows=in_rows)}"
        out = None
    common.answer(documents, said, as_json=as_json, copy=out)


def answers(
    run: Path, inputs: tuple[Path, ...], strings: tuple[str, ...]
) -> tuple[list[dict[str, Any]], list[str]]:
    """What the model of a run says of each text, as `--json` has it, and notes on reading them."""
    from drivetrain import text
    from drivetrain.errors import DataError

    model = text.load(run)
    documents: list[dict[str, Any]] = []
    notes = []
    for path in inputs:
        if not path.exists():
            raise DataError(_MISSING.format(path=path))
        answer = model.predict(path)
        if isinstance(answer, text.TextPrediction):
            documents.append(answer.to_json())
            continue
        where = f"{path}: " if len(inputs) > 1 else ""
        documents += [one | {"input": f"{where}{one['input']}"} for one in answer.to_json()]
        notes += [f"{path}: {note}" for note in answer.notes]
    if strings:
        answers = model.predict(list(strings))
        documents += answers.to_json()
        notes += answers.notes
    return documents, notes


def _texts_of(inputs: tuple[Path, ...], strings: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Names and texts of inputs that are text files, folders of them or tables; then the strings."""
    from drivetrain.errors import DataError
    from drivetrain.text.answers import shown
    from drivetrain.text.reading import read_folder

    names, texts = [], []
    for path in inputs:
        if not path.exists():
            raise DataError(_MISSING.format(path=path))
        if path.is_dir():
            found = read_folder(path, labelled=False)
            of_path = found.ids, found.texts
        else:
            of_path = _of_file(path)
        names += of_path[0]
        texts += of_path[1]
    return [*names, *map(shown, strings)], [*texts, *strings]


def _of_file(path: Path) -> tuple[list[str], list[str]]:
    from drivetrain.errors import DataError
    from drivetrain.text.reading import SUFFIXES, Repairs, read_file, read_table

    if path.name.lower().endswith(SUFFIXES):
        text = read_file(path, str(path), Repairs())
        if not isinstance(text, str):
            raise DataError(f"{path}: {text.detail}")
        return [str(path)], [text]
    found, _ = read_table(path, labelled=False)
    return found.ids, found.texts


def _written(run: Path, inputs: tuple[Path, ...], strings: tuple[str, ...]) -> list[dict[str, Any]]:
    from drivetrain.text import load_writer

    writer = load_writer(run)
    names, texts = _texts_of(inputs, strings)
    return [
        {"input": name, "text": writer.generate(text)}
        for name, text in zip(names, texts, strict=True)
    ]


def _predict_bundle(
    run: Path,
    inputs: tuple[Path, ...],
    strings: tuple[str, ...],
    *,
    like: Path | None,
    as_json: bool,
    out: Path | None,
) -> None:
    from drivetrain.text.bundle import open_bundle

    with common.stdout_kept():
        names, texts = _texts_of(inputs, strings)
        answers = open_bundle(run).answers(texts, names=names)
        documents = [one.to_json() for one in answers.predictions]
    _answer(documents, _table(documents, out), inputs, like=like, as_json=as_json, out=out)


def _table(documents: list[dict[str, Any]], out: Path | None) -> str:
    rows = []
    for one in documents[:MOST_ROWS]:
        if "value" in one:
            rows.append((one["input"], f"{one['value']:,.6g}", ""))
            continue
        probabilities = one["probabilities"]
        if "labels" in one:
            said = ", ".join(f"{n} {layout.percent(probabilities[n])}" for n in one["labels"])
            rows.append((one["input"], said or "none", ""))
            continue
        (label, share), *others = layout.best(probabilities)
        rest = ", ".join(f"{name} {layout.percent(p)}" for name, p in others)
        rows.append((one["input"], f"{label} {layout.percent(share)}", rest))
    text = layout.table(rows)
    if len(documents) > MOST_ROWS:
        how = ": --out FILE.csv writes all" if out is None else ""
        text += f"\n… and {len(documents) - MOST_ROWS:,} more{how}"
    return text


def evaluate(run: Path, path: Path) -> dict[str, Any]:
    """How good the model of a run is on labelled texts from elsewhere."""
    from drivetrain import text
    from drivetrain.train.run import read_model

    _, record = read_model(run)
    if record.get("network") == "language":
        return text.reopen(run, progress=False).evaluate(str(path))
    return text.load(run).evaluate(path)


def measured(document: Mapping[str, Any]) -> str:
    """The result of an evaluation."""
    lines = [f"Result on {document['items']:,} texts of {document['source']}"]
    lines.append(compared(document["metrics"], document["interval"], {}))
    lines += [f"! {note}" for note in document["notes"]]
    return "\n".join(lines)
