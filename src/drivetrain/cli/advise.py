"""`drivetrain advise`: where a run stands on the ladder, what to try next, and whether it helped."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drivetrain.cli import anew, common, exits, layout
from drivetrain.cli.sweeping import Runner, tell
from drivetrain.errors import ConfigError, RunError

if TYPE_CHECKING:
    from drivetrain.train.advice import Advice
    from drivetrain.train.paired import Errors
    from drivetrain.train.tried import Tried

LIMIT = 24 * 3600.0
"""Seconds after which a training of an experiment is ended."""


@click.command(short_help="Say what to try next, in the course's order; or try it.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--run", "is_run", is_flag=True, help="Do it: train with and without the change, and compare."
)
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="Pairs of trainings, each with a seed of its own.",
)
@common.options()
def command(
    run: Path, is_run: bool, seeds: int, as_json: bool, seed: int | None, out: Path | None
) -> None:
    """Say where RUN stands on the ladder of what to try, the evidence, and the next experiment.

    The order: fit the training data first; then more data, augmentation, a model that generalises
    better, regularisation; a smaller model last. `x` is tried, `>` is where it stands.

    --run does the experiment. The run as it was and the run with the change are trained with the same
    split and the same seeds in pairs; their difference on the validation items, with its interval,
    says whether it helped. The runs are kept in RUN/advice, and the next advice knows of them.
    Stopped or killed, the same line goes on.

    \b
    drivetrain advise runs/digits
    drivetrain advise runs/digits --run
    drivetrain advise runs/digits --run --seeds 5
    """
    from drivetrain.train.advice import advise

    found = advise(run)
    line = anew.line_of(run, found.option, found.changes) if found.option else ""
    if not is_run:
        document = {**found.to_json(), "command": line}
        common.answer(document, _told(run, found, line), as_json=as_json, copy=out)
        return
    if not found.changes:
        raise ConfigError(f"What comes next cannot be trained as it stands: {found.experiment}")
    try:
        with common.stdout_kept():
            tried = experiment(run, found, seeds=seeds)
    except KeyboardInterrupt as error:
        words = ["drivetrain", "advise", str(run), "--run", "--seeds", str(seeds)]
        raise exits.StoppedError(
            f"Stopped. What is finished is kept in {run / 'advice'}. Go on with: {shlex.join(words)}"
        ) from error
    advice = {**found.to_json(), "command": line}
    document = {"run": str(run), "advice": advice, **tried.to_json()}
    common.answer(document, text(run, found, tried, line), as_json=as_json, copy=out)


def _told(run: Path, advice: Advice, line: str) -> str:
    """An advice for people: what to try as a line to type, and how to have it tried."""
    from drivetrain.train.tried import FOLDER, HELPED

    lines = [advice.text(line or f"as an option of drivetrain train: {advice.option}")]
    if advice.changes:
        lines.append(
            f"  drivetrain advise {shlex.quote(str(run))} --run  # trains it in pairs, and says"
        )
    for one in advice.tried:
        if one.verdict == HELPED:
            better = run / FOLDER / one.folder / f"changed-{one.seeds[0]}"
            lines.append(
                f"  drivetrain advise {shlex.quote(str(better))}  # it helped: go on there"
            )
    return "\n".join(lines)


def experiment(run: Path, advice: Advice, *, seeds: int, runner: Runner | None = None) -> Tried:
    """Do the experiment of an advice, and note what came of it.

    Trainings that are finished from before are not done again, and the run itself is the first of those
    without the change.

    Args:
        run: the run that was advised.
        advice: of it, with changes.
        seeds: pairs, the first with the run's own seed.
        runner: trains and measures one; by default in a process of its own.

    Raises: RunError: a training failed, or another program works in it. KeyboardInterrupt: it was
        stopped.
        StorageError: the disk refused.
    """
    from drivetrain import store
    from drivetrain.locks import FolderLock
    from drivetrain.train.paired import difference_over_seeds
    from drivetrain.train.run import Run
    from drivetrain.train.tried import FOLDER, Tried, note_tried

    record = Run.open(run).read()
    place = f"{len(advice.tried) + 1}-{advice.rung}"
    folder = (run / FOLDER / place).resolve()
    store.make_folders(folder)
    lock = FolderLock(folder)
    pairs: list[tuple[Errors, Errors]] = []
    used = [int(record["seed"]) + number for number in range(seeds)]
    metric = ""
    try:
        asked = {"option": advice.option, "changes": dict(advice.changes)}
        store.write_json(folder / "experiment.json", {"of": str(run), **asked, "seeds": used})
        for number, seed in enumerate(used):
            both = []
            for which, changes in (("changed", advice.changes), ("unchanged", {})):
                is_own = which == "unchanged" and not number and "results" in record
                where = run.resolve() if is_own else folder / f"{which}-{seed}"
                tell(f"pair {number + 1} of {seeds}  {which}, seed {seed}")
                spec = {"kind": "again", "of": str(run.resolve()), "changes": dict(changes)}
                spec["option"] = advice.option if changes else ""
                spec |= {"name": f"{which}-{seed}", "folder": str(folder), "run": str(where)}
                errors, metric = _measured(spec | {"seed": seed, "is_there": is_own}, runner)
                tell(f"pair {number + 1} of {seeds}  {which}: {layout.number(errors.error)}")
                both.append(errors)
            pairs.append((both[0], both[1]))
    finally:
        lock.release()
    before, after = [one.error for _, one in pairs], [one.error for one, _ in pairs]
    gap = difference_over_seeds(pairs)
    tried = Tried(
        rung=advice.rung,
        experiment=advice.experiment,
        option=advice.option,
        changes=dict(advice.changes),
        seeds=tuple(used),
        metric=metric,
        unchanged=tuple(before),
        changed=tuple(after),
        difference=sum(after) / seeds - sum(before) / seeds,
        low=None if gap is None else gap.low,
        high=None if gap is None else gap.high,
        items=len(pairs[0][0]),
        folder=place,
    )
    note_tried(run, tried)
    return tried


def _measured(spec: Mapping[str, Any], runner: Runner | None) -> tuple[Errors, str]:
    """The errors of one training and what they are, after a process has trained and measured it.

    Raises: RunError: it failed. KeyboardInterrupt: it was stopped.
    """
    from drivetrain.cli.trial import STOPPED_CODES, read_measured, run_trial
    from drivetrain.train.sweeping import DONE

    folder, name = Path(spec["folder"]), spec["name"]
    found = read_measured(folder, name)
    if found is None or found[0].state != DONE:
        ended = run_trial(spec, limit=LIMIT) if runner is None else runner(spec, LIMIT)
        if ended.code in STOPPED_CODES:
            raise KeyboardInterrupt
        found = read_measured(folder, name)
        if found is None or found[0].state != DONE or found[1] is None:
            why = ended.why if found is None else found[0].note
            raise RunError(f"The training {name} in {folder} failed: {why}")
    row, errors = found
    assert errors is not None, "whatever is done has them"
    return errors, row.metric


def text(run: Path, advice: Advice, tried: Tried, line: str) -> str:
    """What came of an experiment, for people; `line` trains with its change."""
    rows = [("seed", "unchanged", "changed")]
    rows += [
        (str(seed), layout.number(before), layout.number(after))
        for seed, before, after in zip(tried.seeds, tried.unchanged, tried.changed, strict=True)
    ]
    name = tried.error_name
    said = [f"Tried: {advice.experiment}", *([f"  {line}"] if line else [])]
    lines = [
        *said,
        "",
        f"{name[0].upper()}{name[1:]}",
        layout.table(rows, indent=2),
        "",
        tried.sentence,
    ]
    folder = run / "advice" / tried.folder
    lines += [f"The runs are in {folder}.", "Next", f"  drivetrain advise {shlex.quote(str(run))}"]
    return "\n".join(lines)
