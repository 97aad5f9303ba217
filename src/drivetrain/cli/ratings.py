"""`drivetrain train` and its fellows on ratings: recommenders."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from drivetrain.cli import anew, common, exits, gating, layout, settings, tables
from drivetrain.errors import ConfigError

SUFFIXES = (*tables.SUFFIXES, ".data", ".dat", ".base", ".inter")
"""Endings of files that may hold ratings."""
LOOKED_AT = 20
"""Lines of a file that are looked at to tell ratings from other tables."""
MOST_BYTES = 1 << 16
WRITTEN = ("review", "text", "comment", "summary")
"""Words of a column's name that make a table of ratings one of texts."""
MODELS = ("dot_bias", "dot", "net", "bpr", "als")
"""Names of models of ratings and of events; others are of other sources."""
MOST_ROWS = 20
"""Answers that are printed; --json and --out have all."""


def is_ratings(path: Path, task: str | None, given: Mapping[str, Any]) -> str | None:
    """Why a source is one of ratings; None where it is not.

    As asked, else as it looks: columns called user, item and rating or the like, and no column to
    predict is named; or no header, and three or four columns of whole numbers.
    """
    if task is not None:
        return "as asked" if task == "collab" else None
    if any(name in given for name in ("user", "item")):
        return "as asked"
    others = ("label_column", "text_columns", "compose", "encoder", "because", "drop", "kinds")
    if any(given.get(name) for name in (*others, *settings.CSV, *settings.NAMES)):
        return None
    if given.get("model", MODELS[0]) not in MODELS or not path.is_file():
        return None
    if not path.name.lower().endswith(SUFFIXES):
        return None
    return _by_looks(path)


def _by_looks(path: Path) -> str | None:
    from drivetrain.collab.table.columns import looks_like_ratings
    from drivetrain.errors import DrivetrainError

    try:
        names, is_bare = _columns(path)
    except (DrivetrainError, OSError):  # what is wrong with it is said where it is opened
        return None
    if is_bare:
        return f"it has no header, and {len(names)} columns of numbers: user, item, rating …"
    if any(word in name.lower() for name in names for word in WRITTEN):
        return None
    if not looks_like_ratings(names):
        return None
    return f"its columns are {layout.shorten(names)}"


def _columns(path: Path) -> tuple[list[str], bool]:
    """Names of the columns; or those of its first row, where all rows are of ratings, and True.

    A plain file is looked at by its first lines alone, since reading a large one twice takes time.
    """
    from drivetrain.data.tables.reading import open_table

    if path.name.lower().endswith((".parquet", ".pq", ".gz", ".zst")):
        return list(open_table(path).names), False
    rows = list(_first_rows(path))
    if not rows:
        return [], False
    is_bare = len(rows[0]) in (3, 4) and all(_is_rating(row, len(rows[0])) for row in rows)
    return rows[0], is_bare


def _first_rows(path: Path) -> Iterator[list[str]]:
    with open(path, "rb") as file:
        start = file.read(MOST_BYTES)
    lines = start.decode("utf-8-sig", "replace").splitlines()
    whole = lines if len(start) < MOST_BYTES else lines[:-1]
    for line in whole[:LOOKED_AT]:
        yield [cell.strip().strip('"') for cell in re.split(r"::|[\t,;|]", line)]


def _is_rating(row: list[str], width: int) -> bool:
    """User and item in whole numbers, a number, and perhaps a time."""
    if len(row) != width or not all(cell.isascii() and cell.isdigit() for cell in row[:2]):
        return False
    return all(re.fullmatch(r"-?\d+(\.\d+)?", cell) is not None for cell in row[2:])


def train(
    path: Path,
    given: dict[str, Any],
    *,
    why: str,
    beside: Mapping[str, Path],
    out: Path | None,
    as_json: bool,
    dry_run: bool,
    began: float,
) -> None:
    """Train as the settings say, into a run folder, and print what came out.

    Args:
        began: when the time began, by `time.perf_counter`.
        beside: `titles` and facts that come with an embedded sample, for what is not given.
    """
    from drivetrain.cli.train import run_to_end
    from drivetrain.train.memory import dry_run as try_batch
    from drivetrain.train.run import Run
    from drivetrain.train.within import plan_within

    given = dict(given)
    minutes = given.pop("minutes", None)
    known = {*settings.RATINGS, "model", "seed", "callbacks"}
    wrong = [f"'{name}'" for name in given if name not in {*known, "drop", "kinds"}]
    wrong += [f"--{name.rstrip('s')}" for name in ("drop", "kinds") if given.get(name)]
    if wrong:
        raise click.UsageError(f"{wrong[0]}: not for ratings, and {path} is read as ratings.")
    if isinstance(given.get("valid"), str):
        raise click.UsageError("--valid: of ratings it is a share, such as 0.2.")
    if given.get("split", "random") not in settings.RATING_SPLITS:
        *names, last = settings.RATING_SPLITS
        raise click.UsageError(
            f"--split: of ratings it is {', '.join(names)} or {last}. Got '{given['split']}'."
        )
    if given.get("model") == "als":
        if minutes is not None:
            raise click.UsageError(
                "--minutes, --budget: 'als' solves equations in turn, and is not cut in time. Give fewer "
                "--epochs."
            )
        _fit(path, given, why, beside, out, as_json=as_json, dry_run=dry_run)
        return
    with common.stdout_kept(), common.counter() as count:
        learner = _learner(path, given, why, beside, count)
        memory = try_batch(learner) if dry_run else None
        if memory is None:
            left = gating.tell_ratings(learner.application.data, learner.choices)
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


def _fit(
    path: Path,
    given: Mapping[str, Any],
    why: str,
    beside: Mapping[str, Path],
    out: Path | None,
    *,
    as_json: bool,
    dry_run: bool,
) -> None:
    """Least squares in turn: no steps, so nothing to go on with and no batch to try."""
    from drivetrain import collab
    from drivetrain.train.run import Run

    allowed = {"num_factors": "num_factors", "epochs": "rounds", "num_threads": "num_threads"}
    wrong = [name for name in settings.take(given, settings.RATING_LEARNER) if name not in allowed]
    if dry_run or given.get("callbacks") or wrong:
        name = "--dry-run" if dry_run else f"'{wrong[0]}'" if wrong else "--callback"
        raise click.UsageError(f"{name}: 'als' solves equations in turn, and trains in no steps.")
    own = {allowed[name]: given[name] for name in allowed if name in given}
    with common.stdout_kept(), common.counter() as count:
        data = _data(path, given, why, beside, count)
        gating.say(gating.tell_ratings(data, data.choices))
        folder = out or Run.create_dated("runs", path.stem).folder
        document = collab.fit(data, model="als", out=folder, **own).results
    if not as_json:
        common.show(f"{data}\n{data.choices.text(layout.line())}\n")
    common.answer(document, result(document), as_json=as_json)


def _learner(
    path: Path, given: Mapping[str, Any], why: str, beside: Mapping[str, Path], count: Any
) -> Any:
    from drivetrain import collab

    own = settings.take(given, settings.RATING_LEARNER)
    if "model" in given:
        own["model"] = given["model"]
    data = _data(path, given, why, beside, count)
    return collab.learner(data, announce=False, callbacks=given.get("callbacks", ()), **own)


def _data(
    path: Path, given: Mapping[str, Any], why: str, beside: Mapping[str, Path], count: Any
) -> Any:
    from drivetrain import collab
    from drivetrain.collab.learner import EVENTS

    options: dict[str, Any] = {name: str(value) for name, value in beside.items()}
    options |= settings.take(given, settings.RATING_DATA)
    if "seed" in given:
        options["seed"] = given["seed"]
    if given.get("model") == EVENTS and "rating" not in options:
        options["implicit"] = True
    data = collab.gather(path, report=count, **options)
    data.choices.add("task", "collab", reason=why, change="--task tabular|text|collab")
    return data


def found(learner: Any) -> str:
    """What was found in the ratings and what was chosen, before training."""
    from drivetrain.cli.pictures import set_aside

    data, folder = learner.application.data, learner.run.folder
    counts = data.counts()
    sealed = f", {counts['test']:,} sealed for a test" if counts["test"] else ""
    share = layout.percent(data.density())
    sides = (
        f"{len(data.users) - 1:,} users, {len(data.items) - 1:,} items, {share} of the pairs rated"
    )
    rows = [
        ("Source", str(data.source)),
        (
            "Events" if data.is_implicit else "Ratings",
            f"{counts['train']:,} to train, {counts['valid']:,} to validate{sealed}",
        ),
        ("Of", sides),
    ]
    parts = [layout.table(rows), *(f"! {note}" for note in data.notes)]
    if data.quarantined:
        aside = [entry.to_json() for entry in data.quarantined]
        parts.append(set_aside(aside, where=folder / "quarantine.jsonl"))
    parts.append(f"Chosen for you ({common.how_to_change(folder)})")
    parts.append(f"{learner.choices.text(layout.line())}\n")
    return "\n".join(parts)


def _lists(lists: Mapping[str, Any] | None) -> list[str]:
    """What lists by the predicted ratings are worth, beside popularity's."""
    if lists is None:
        return []
    said = f"Lists of {lists['k']}, hits among what was rated {lists['liked_from']:g} and above"
    return [said, compared(lists["metrics"], lists["interval"], lists["baselines"])]


def result(document: Mapping[str, Any]) -> str:
    """The result of a training beside its baselines, where the run is, and what to type next."""
    valid, run = document["metrics"]["valid"], shlex.quote(document["run"])
    of_ratings = "rmse" in valid
    lines = [
        f"Result on {document['items']['valid']:,} validation {'ratings' if of_ratings else 'events'}",
        compared(valid, document["interval"], document["baselines"]),
        *_lists(document.get("lists")),
        "",
        f"Trained in {layout.duration(document['seconds'])}. The run is in {document['run']}",
        "Next",
        f"  drivetrain recommend {run} USER",
    ]
    if of_ratings:
        lines.append(f"  drivetrain predict {run} --user USER --item ITEM")
        lines.append(f"  drivetrain evaluate {run} --on RATINGS")
    lines.append(f"  drivetrain report {run}")
    return "\n".join(lines)


def compared(
    metrics: Mapping[str, float], interval: Any, baselines: Mapping[str, Mapping[str, Any]]
) -> str:
    """The metric that counts with its interval, the baselines' under it, then the other figures."""
    primary = next((name for name in ("rmse", "ndcg") if name in metrics), None)
    if primary is None:
        return (
            "  Nobody has a later event of what training knows, so that lists cannot be measured."
        )
    rows = [(primary, layout.number(metrics[primary]), _between(interval))]
    for name, record in baselines.items():
        rows.append((f"  {name}", layout.number(record[primary]), _between(record["interval"])))
    rows += [(n, layout.number(v), "") for n, v in metrics.items() if n not in (primary, "loss")]
    return layout.table(rows, indent=2)


def _between(interval: Any) -> str:
    if interval is None:
        return ""
    low, high = interval
    return f"95% interval {layout.number(low)} to {layout.number(high)}"


def predict(
    run: Path,
    inputs: tuple[Path, ...],
    user: str | None,
    item: str | None,
    *,
    engine: str,
    shift: bool,
    as_json: bool,
    out: Path | None,
) -> None:
    """Predict how a user rates an item, or each pair of a table; or write the answers as a table."""
    if (user is None) != (item is None):
        raise click.UsageError("--user and --item go together: one pair of them.")
    if user is not None and inputs:
        raise click.UsageError("Give --user and --item, or tables of pairs: not both.")
    is_table = out is not None and out.suffix.lower() in (".csv", ".parquet")
    if is_table and len(inputs) != 1:
        raise click.UsageError("--out: a table is written for one INPUT. Give one at a time.")
    if shift and len(inputs) != 1:
        raise click.UsageError("--shift: pairs are compared a table at a time. Give one INPUT.")

    with common.stdout_kept():
        model = opened(run, engine)
        if shift and getattr(model, "guard", None) is None:
            raise ConfigError(
                f"--shift needs the guard of a bundle, and {run} has none. "
                "Make one with: drivetrain export RUN -o BUNDLE"
            )
        report = None
        if user is not None:
            answers = [model.predict({**_pair(model, user, item)})]
            notes: list[str] = []
        else:
            parts = [model.predict(path) for path in inputs]
            answers = [one for part in parts for one in part]
            report = parts[0].shift if shift else None
            notes = [
                f"{path}: {note}"
                for path, part in zip(inputs, parts, strict=True)
                for note in part.notes
            ]
    for note in notes:
        exits.print_line(note)
    text = "\n".join(map(str, answers[:MOST_ROWS]))
    if len(answers) > MOST_ROWS:
        how = ": --out FILE.csv writes all" if out is None else ""
        text += f"\n… and {len(answers) - MOST_ROWS:,} more{how}"
    if shift:
        text += f"\n{TOO_FEW if report is None else report.text}"
    if is_table:
        assert out is not None
        _write(answers, out)
        text, out = f"{text}\n{len(answers):,} answers are in {out}", None
    records = [one.to_json() for one in answers]
    moved = None if report is None else report.to_json()
    document = {"predictions": records, "shift": moved} if shift else records
    common.answer(document, text, as_json=as_json, copy=out)


TOO_FEW = "They are of too few people to say whether they are of another kind taken together."


def _pair(model: Any, user: str, item: str | None) -> dict[str, Any]:
    return {model.columns["user"]: user, model.columns["item"]: item}


def _write(answers: list[Any], path: Path) -> None:
    import numpy as np

    from drivetrain.collab.recommend import table_file

    with table_file(path) as write:
        write(
            {
                "user": [one.user for one in answers],
                "item": [one.item for one in answers],
                "title": [one.title for one in answers],
                "rating": np.array([one.value for one in answers], np.float32),
                "known": [one.is_known for one in answers],
                **_guarded(answers),
            }
        )


def _guarded(answers: list[Any]) -> dict[str, Any]:
    """What the guard of a bundle says, as columns; none where there is no guard."""
    if not answers or getattr(answers[0], "domain", None) is None:
        return {}
    found: dict[str, Any] = {}
    if answers[0].interval is not None:
        for place, end in enumerate(("low", "high")):
            found[end] = [one.interval[place] for one in answers]
    found["in domain"] = [one.domain.in_domain for one in answers]
    found["new"] = ["; ".join(one.domain.new) for one in answers]
    return found


def opened(run: Path, engine: str = "torch") -> Any:
    """The model of a run, or of a bundle."""
    from drivetrain import collab

    return collab.load(run, engine=engine)


def not_left_out(model: Any, *, seen: bool) -> list[str]:
    """A note where items that a user rated cannot be left out, since the bundle does not hold them."""
    from drivetrain.collab.bundling.predictor import NO_HISTORY

    return [] if seen or getattr(model, "has_history", True) else [NO_HISTORY]


def evaluate(run: Path, path: Path) -> dict[str, Any]:
    """How good the model of a run is on ratings from elsewhere."""
    return opened(run).evaluate(path)


def measured(document: Mapping[str, Any]) -> str:
    """The result of an evaluation."""
    lines = [f"Result on {document['items']:,} ratings of {document['source']}"]
    lines.append(compared(document["metrics"], document["interval"], {}))
    unknown = document["unknown"]
    if any(unknown.values()):
        lines.append(
            f"Of {unknown['users']:,} of them training does not know the user, of "
            f"{unknown['items']:,} the item."
        )
    if document["trained_on"]:
        lines.append(
            f"! {document['trained_on']:,} of them trained the model: on new ratings it will do worse."
        )
    lines += [f"! {note}" for note in document["notes"]]
    return "\n".join(lines)


def explained(run: Path, items: tuple[str, ...], pictures: Path | None) -> dict[str, list[Any]]:
    """What the model of a run says of items; and a map of them, drawn into a folder.

    Returns: what each part is about -> records with `to_json` and `str`.
    Raises: ConfigError: it is a net, which has no axes of taste; or an item is unknown.
    """
    from drivetrain._registry import did_you_mean
    from drivetrain.collab.looking.reading import factor_ends, item_biases, map_items, nearest_items

    model = opened(run)
    factors, titles, counts = model.factors, model.titles, model.history.popularity
    if factors is None:
        raise ConfigError(f"The model of {run} is a net: its vectors have no axes of their own.")
    found: dict[str, list[Any]] = {}
    if items:
        codes = {item: model.item_code(item) for item in items}
        unknown = [item for item, code in codes.items() if not code]
        if unknown:
            near = did_you_mean(unknown[0], [*model.items.names[1:], *titles[1:]])
            raise ConfigError(f"The model of {run} does not know the item '{unknown[0]}'.{near}")
        found["nearest"] = [
            nearest_items(factors, code, titles=titles, counts=counts) for code in codes.values()
        ]
    else:
        over = "alone" if factors.item_bias.any() else "typical"
        found["liked"] = [item_biases(factors, titles, 5, counts=counts, over=over)]
        found["axes"] = list(factor_ends(factors, titles, 4, most=3, counts=counts))
    if pictures is not None:
        import io

        from drivetrain import store
        from drivetrain.collab.looking.show import item_map_figure

        image = io.BytesIO()
        item_map_figure(map_items(factors, titles, counts=counts)).savefig(image, format="svg")
        store.write_bytes(pictures / "items.svg", image.getvalue())
    return found
