"""`check_learner`: does a Learner, with the model, data and callbacks it was given, keep the promises?

>>> import torch
>>> from drivetrain.data.loaders import BatchLoader, Loaders, TensorData
>>> x = torch.linspace(-1, 1, 24).unsqueeze(1)
>>> def make():
...     train = BatchLoader(TensorData(x, 3 * x + 1), batch_size=8, shuffle=True)
...     model = torch.nn.Linear(1, 1)
...     torch.nn.init.ones_(model.weight), torch.nn.init.zeros_(model.bias)
...     return Learner(model, Loaders(train, train), "mse", metrics=["mae"])
>>> report = check_learner(make, only=["the_same_seed_gives_the_same_bits", "evaluation_repeats"])
>>> [result.outcome for result in report]
['passed', 'passed']
"""

from __future__ import annotations

import contextlib
import io
import itertools
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import torch

from drivetrain._registry import lookup
from drivetrain.errors import ConfigError
from drivetrain.randomness import preserved
from drivetrain.testing import (
    checks_data,
    checks_events,
    checks_model,
    checks_numbers,
    checks_optimizer,
    checks_repeat,
    checks_runs,
)
from drivetrain.testing.report import CheckError, CheckResult, Report
from drivetrain.testing.subject import Skipped, Subject
from drivetrain.train.learner import Learner

Check = Callable[[Subject], None]
Names = str | Iterable[str]

CHECKS: Mapping[str, Check] = MappingProxyType(
    {
        check.__name__: check
        for check in (
            checks_repeat.fresh_learners_are_alike,
            *checks_data.CHECKS,
            *checks_model.CHECKS,
            *checks_optimizer.CHECKS,
            *checks_numbers.CHECKS,
            *checks_repeat.CHECKS[1:],
            *checks_events.CHECKS,
            *checks_runs.CHECKS,
        )
    }
)
"""By name, in the order in which they are made. A check's docstring is its promise."""


def check_learner(
    learner: Learner | Callable[[], Learner],
    *,
    only: Names | None = None,
    skip: Names | None = None,
    raises: bool = True,
    verbose: bool = False,
    batches: int = 3,
    items: int = 8,
) -> Report:
    """Make all checks of `CHECKS` that apply to a Learner, and list what does not hold.

    It takes seconds also for a big model and much data: trained and measured is on the first `batches`
    batches of an epoch, and on at most `items` items of each, spread over it; a training is two epochs.
    Only what asks for all data looks at more of it: how many batches there are (up to 64), and which
    items they name. Where a run folder is needed it is a temporary one, and the application of a Learner
    is left out of it.

    Args:
        learner: best a function without arguments that makes a fresh Learner, the same each time; it is
            called once or more in each check. Or a Learner: it is copied, with its weights as they
            are, its data shared, and neither its run nor its history; it is left as it was.
        only: names of the checks to make; by default all.
        skip: names of checks to leave out.
        raises: raise when all are made and some failed; False answers with the report in every case.
        verbose: write each result on stderr as it comes.
        batches: of each epoch that are used, at least 2.
        items: of each batch that are used, at least 2.
    Returns: a `Report`: printed it is a table; `failed` and `skipped` hold results with reasons.
    Raises: CheckError: some checks failed; each is told with what happened, where, and what to do.
        ConfigError: no Learner was given or made, or the one given cannot be copied (then give a
        function). UnknownNameError: no check has such a name.
    """
    chosen = _chosen(only, skip)
    if batches < 2 or items < 2:
        raise ConfigError(
            f"`check_learner` needs at least 2 batches and 2 items. Got {batches} and {items}."
        )
    results: list[CheckResult] = []
    with tempfile.TemporaryDirectory(prefix="drivetrain-check-") as folder:
        subject = Subject(learner, Path(folder), batches=batches, items=items)
        with _put_back():
            name = repr(subject.make()).splitlines()[0][:80]
        for check_name in chosen:
            results.append(_made(check_name, CHECKS[check_name], subject))
            if verbose:
                sys.stderr.write(f"{results[-1]}\n")
    report = Report(
        name, tuple(results), f"Used: {batches} batches an epoch, {items} items a batch, at most."
    )
    if raises:
        report.raise_if_failed()
    return report


def _made(name: str, check: Check, subject: Subject) -> CheckResult:
    began = time.perf_counter()
    outcome, reason = "passed", ""
    try:
        with _put_back(), contextlib.redirect_stderr(io.StringIO()):
            check(subject)
    except Skipped as skipped:
        outcome, reason = "skipped", str(skipped)
    except AssertionError as error:
        outcome, reason = "failed", str(error) or _where(error)
    except Exception as error:  # noqa: BLE001 - whatever it raises is what has to be told
        outcome, reason = "failed", _where(error)
    promise = " ".join((check.__doc__ or "").split())
    return CheckResult(name, promise, outcome, reason, time.perf_counter() - began)


def _where(error: BaseException) -> str:
    """An error that is not the check's own: what it is, and the line that raised it."""
    frames = []
    trace = error.__traceback__
    while trace is not None:
        frames.append((Path(trace.tb_frame.f_code.co_filename), trace.tb_lineno))
        trace = trace.tb_next
    file, line = frames[-1]
    return (
        f"{type(error).__name__}: {error} It was raised in {file.name}, line {line}. Run the check by "
        "itself, with `only`, to look at it."
    )


def _chosen(only: Names | None, skip: Names | None) -> list[str]:
    """Names of the checks to make. Raises: UnknownNameError: no check has such a name."""
    wanted, left_out = (
        [names] if isinstance(names, str) else list(names or ()) for names in (only, skip)
    )
    for name in itertools.chain(wanted, left_out):
        lookup(CHECKS, name, what="check")
    return [n for n in CHECKS if (only is None or n in wanted) and n not in left_out]


@contextlib.contextmanager
def _put_back() -> Iterator[None]:
    """Put back what a bad Learner may leave in the process: generators, threads, modes, handlers."""
    threads, dtype, grad = (
        torch.get_num_threads(),
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
    )
    is_main = threading.current_thread() is threading.main_thread()
    numbers = (signal.SIGINT, signal.SIGTERM) if is_main else ()
    handlers = {number: signal.getsignal(number) for number in numbers}
    with preserved():
        try:
            yield
        finally:
            if torch.get_num_threads() != threads:
                torch.set_num_threads(threads)
            torch.set_default_dtype(dtype)
            torch.set_grad_enabled(grad)
            for number, handler in handlers.items():
                if signal.getsignal(number) != handler:
                    signal.signal(number, handler)


__all__ = ["CHECKS", "CheckError", "CheckResult", "Report", "check_learner"]
