"""Metrics of numbers: how far predictions are from targets, and whether they rise together."""

from __future__ import annotations

from drivetrain.metrics.correlation import midranks
from drivetrain.show.measures.case import Case, Write
from drivetrain.show.working import Working

# --- numbers -----------------------------------------------------------------------------------------


def _put_pair(case: Case) -> None:
    case.work.put("x", case.preds.double().flatten(), "the predictions")
    case.work.put("y", case.targets.double().flatten(), "the targets")


def _mae(case: Case) -> str:
    _put_pair(case)
    case.work.line("d", "x - y", "the mistakes")
    case.work.line("mae", "mean(abs(d))", "the mean of their sizes")
    return "MAE = mean of |x - y|"


def _mse(case: Case) -> str:
    _put_pair(case)
    case.work.line("d", "x - y", "the mistakes")
    case.work.line("mse", "mean(d ** 2)", "the mean of their squares")
    return "MSE = mean of (x - y)²"


def _rmse(case: Case) -> str:
    _mse(case)
    case.work.line("rmse", "sqrt(mse)", "its root, in units of the target")
    return "RMSE = √(mean of (x - y)²)"


def _rmsle(case: Case) -> str:
    _put_pair(case)
    case.work.line("d", "log(1 + relu(x)) - log(1 + relu(y))", "the differences of the logarithms")
    case.work.line("msle", "mean(d ** 2)", "the mean of their squares")
    case.work.line("rmsle", "sqrt(msle)", "its root")
    return "RMSLE = √(mean of (log(1 + x) - log(1 + y))²)"


def _r2(case: Case) -> str:
    _put_pair(case)
    work = case.work
    work.line("center", "mean(y)", "the mean of the targets")
    work.line("residual", "sum((x - y) ** 2)", "squares of the mistakes")
    work.line(
        "total", "sum((y - center) ** 2)", "squares of the mistakes of always saying the mean"
    )
    work.line("r2", "1 - residual / total", "the share that is explained")
    return "R² = 1 - Σ(x - y)² / Σ(y - ȳ)²"


def _write_pearson(work: Working, a: str, b: str) -> None:
    work.line("of_x", f"{a} - mean({a})", "around their mean")
    work.line("of_y", f"{b} - mean({b})", "around their mean")
    work.line("r", "sum(of_x * of_y) / sqrt(sum(of_x ** 2) * sum(of_y ** 2))", "the correlation")


def _pearson(case: Case) -> str:
    _put_pair(case)
    _write_pearson(case.work, "x", "y")
    return "r = Σ (x - x̄)(y - ȳ) / √(Σ(x - x̄)² · Σ(y - ȳ)²)"


def _spearman(case: Case) -> str:
    for name, values, what in (("x", case.preds, "prediction"), ("y", case.targets, "target")):
        ranks = midranks(values.double().flatten().cpu().numpy())
        case.work.put(name, ranks, f"the rank of each {what}; equal ones share the mean of theirs")
    _write_pearson(case.work, "x", "y")
    return "rho = Pearson's r of the ranks"


WRITTEN: dict[str, Write] = {
    "mae": _mae,
    "mse": _mse,
    "pearson": _pearson,
    "r2": _r2,
    "rmse": _rmse,
    "rmsle": _rmsle,
    "spearman": _spearman,
}
"""Name of a metric -> what writes its lines."""
