"""`drivetrain ensemble`: several runs as one, measured, and asked about new items."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from drivetrain.cli import common, exits, layout, members, submitting
from drivetrain.errors import DataError

MOST_SHOWN = 20
"""Answers that are printed; --json and --out have all."""


class _Weights(click.ParamType):
    """`equal`, `fitted`, or numbers with commas between them."""

    name = "weights"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The word, or the numbers."""
        if not isinstance(value, str) or value in ("equal", "fitted"):
            return value
        try:
            return [float(part) for part in value.split(",")]
        except ValueError:
            return self.fail(
                f"{value!r} is neither equal nor fitted, nor numbers such as 0.7,0.3.", param, ctx
            )


@click.command(short_help="Average several runs: measure them as one, or predict.")
@click.argument("runs", metavar="RUN RUN...", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--weights",
    type=_Weights(),
    default="equal",
    show_default=True,
    help="equal; fitted, on the validation items; or a number for each run, such as 0.7,0.3.",
)
@click.option(
    "--predict",
    "sources",
    multiple=True,
    metavar="INPUT",
    type=click.Path(path_type=Path),
    help="Answer for new items: pictures, a folder, a table, texts. May be repeated.",
)
@submitting.LIKE
@common.options(
    out="Also write the JSON document to this file; with --predict and .csv, a table of the answers.",
    seed="Of the folds in which fitted weights are measured; 42 by default.",
)
def command(
    runs: tuple[Path, ...],
    weights: Any,
    sources: tuple[Path, ...],
    like: Path | None,
    as_json: bool,
    seed: int | None,
    out: Path | None,
) -> None:
    """Average the predictions of two RUNs or more: of classes their probabilities, of numbers the
    predictions.

    Without --predict the ensemble is measured on the items that all runs validate on, beside each run
    alone. They have to be the same items, and no run may have been trained on them: train on one split,
    such as a source with train/ and valid/, or with the same seed or --split-seed.

    Fitted weights are fitted on the validation items, and what is shown of them is measured crosswise:
    each fold by weights from the other folds.

    With --predict the runs are asked about new items, and only fitted weights need the validation items
    then.

    \b
    drivetrain ensemble runs/small runs/large
    drivetrain ensemble runs/small runs/large --weights fitted
    drivetrain ensemble runs/a runs/b --predict test.csv --out answers.csv
    drivetrain ensemble runs/a runs/b --predict test/ --like sample_submission.csv --out submission.csv
    """
    _check(runs, sources, like, out)
    from drivetrain.interpret.ensembles import FITTED, as_weights

    names = [str(run) for run in runs]
    if weights != FITTED:
        as_weights(weights, names)  # what is wrong with them is said before anything is opened
    measured = None
    if not sources or weights == FITTED:
        with common.stdout_kept(), common.counter() as count:
            measured = _measured(
                _records(runs, count), weights, **({} if seed is None else {"seed": seed})
            )
    if not sources:
        assert measured is not None, "measured above"
        text = f"On {_count(measured):,} validation items\n{measured}"
        common.answer(measured.to_json(), text, as_json=as_json, copy=out)
        return
    shares: Any = as_weights(weights, names).tolist() if measured is None else _shares(measured)
    with common.stdout_kept():
        documents, notes = _predicted(runs, sources, shares)
    told: Any = dict(zip(names, shares, strict=True)) if measured is None else measured.weights
    _answer(documents, notes, sources, told, like, out, as_json)


def _check(
    runs: Sequence[Path], sources: Sequence[Path], like: Path | None, out: Path | None
) -> None:
    if len(runs) < 2:
        raise click.UsageError("An ensemble is of two runs or more. Give RUN RUN...")
    twice = next((run for place, run in enumerate(runs) if run in runs[:place]), None)
    if twice is not None:
        raise click.UsageError(f"{twice} is given twice. To weigh it more, give --weights.")
    if not sources and (like is not None or submitting.is_table(out)):
        raise click.UsageError("--like, and --out FILE.csv, are for --predict INPUT.")
    submitting.check(like, out, sources)
    submitting.check_ending(out)


def _records(runs: Sequence[Path], count: common.Counter) -> dict[str, Any]:
    """The validation records of runs that may be put together."""
    from drivetrain.interpret.same_items import check_same_items

    opened = {str(run): members.opened(run, count) for run in runs}
    check_same_items({name: member.items for name, member in opened.items()})
    return {name: member.predictions for name, member in opened.items()}


def _measured(records: dict[str, Any], weights: Any, **options: Any) -> Any:
    """The ensemble of the records; of several targets one of each."""
    from drivetrain.interpret.ensembles import ensemble
    from drivetrain.interpret.target_ensembles import target_ensemble

    is_several = any(record.parts for record in records.values())
    return (target_ensemble if is_several else ensemble)(records, weights, **options)


def _count(measured: Any) -> int:
    return len(measured) if hasattr(measured, "targets") else len(measured.predictions)


def _shares(measured: Any) -> list[float] | dict[str, list[float]]:
    """The weights of the members, of several targets for each."""
    if not hasattr(measured, "targets"):
        return list(measured.weights.values())
    return {name: list(found.values()) for name, found in measured.weights.items()}


def _predicted(
    runs: Sequence[Path],
    sources: Sequence[Path],
    weights: Sequence[float] | dict[str, list[float]],
) -> tuple[list[dict[str, Any]], list[str]]:
    """The mean of what the runs say of new items, and their notes."""
    found, notes = {}, []
    lists = list(weights.values()) if isinstance(weights, dict) else [weights]
    used = [place for place in range(len(runs)) if any(one[place] > 0 for one in lists)]
    for run in (runs[place] for place in used):
        members.finished(run)
        found[str(run)], told = members.answers(run, sources)
        notes += [note for note in told if note not in notes]
    if isinstance(weights, dict):
        kept = {name: [one[place] for place in used] for name, one in weights.items()}
        return members.mean_of(found, kept), notes
    return members.mean_of(found, [weights[place] for place in used]), notes


def _answer(
    documents: Sequence[dict[str, Any]],
    notes: Sequence[str],
    sources: Sequence[Path],
    weights: dict[str, Any],
    like: Path | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Print or write the answers for new items."""
    for note in notes:
        exits.print_line(note)
    refused = [one for one in documents if "error" in one]
    for one in refused:
        exits.print_line(f"{one['input']}: {one['error']}")
    if len(refused) == len(documents):
        raise DataError(f"None of the {len(documents)} inputs could be predicted.")
    answered = [one for one in documents if "error" not in one]
    lines = [
        *_mean_of_what(weights),
        layout.table([_said(one) for one in answered[:MOST_SHOWN]]),
    ]
    if len(answered) > MOST_SHOWN:
        how = ": --out FILE.csv writes all" if out is None else ""
        lines.append(f"… and {len(answered) - MOST_SHOWN:,} more{how}")
    copy = out
    if submitting.is_table(out):
        assert out is not None, "a table"
        in_rows = len(sources) == 1 and str(answered[0]["input"]).startswith("row ")
        lines.append(submitting.write(documents, sources, like=like, out=out, in_rows=in_rows))
        copy = None
    document = {"weights": weights, "predictions": list(documents)}
    common.answer(document, "\n".join(lines), as_json=as_json, copy=copy)


def _mean_of_what(weights: dict[str, Any]) -> list[str]:
    """The members and their weights; where those of each target are their own, a line for each."""
    several = {name: own for name, own in weights.items() if isinstance(own, dict)}
    return [
        f"{f'{target}: mean' if target else 'Mean'} of "
        + ", ".join(f"{name} {weight:.3f}" for name, weight in own.items())
        for target, own in (several or {"": weights}).items()
    ]


def _said(one: dict[str, Any]) -> tuple[str, ...]:
    if "value" in one:
        return (one["input"], f"{one['value']:,.6g}")
    if "targets" in one:
        told = one["targets"].items()
        cells = [
            f"{name}: {own['label']} {layout.percent(own['probability'])}" for name, own in told
        ]
        return (one["input"], *cells)
    (label, share), *others = layout.best(one["probabilities"])
    rest = ", ".join(f"{name} {layout.percent(p)}" for name, p in others)
    return (one["input"], label, layout.percent(share), rest)
