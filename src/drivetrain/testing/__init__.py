"""Checks for what people bring: does this Learner, with its model, data and callbacks, keep the promises?

    from drivetrain.testing import check_learner

    def make():
        return dt.Learner(MyModel(), my_loaders, "mse", callbacks=[MyCallback()])

    print(check_learner(make))

Each check is a small function that states one promise (`CHECKS`); what does not hold is listed with what
happened, where, and what to do. The idea is that of scikit-learn's `check_estimator`.

- `check`: `check_learner`, and the table of the checks.
- `report`: what it answers.
- `subject`: fresh Learners with little work, for a check to train.
- `checks_…`: the checks, by what they are about.
"""

from drivetrain.testing.check import CHECKS, check_learner
from drivetrain.testing.report import CheckError, CheckResult, Report

__all__ = ["CHECKS", "CheckError", "CheckResult", "Report", "check_learner"]
