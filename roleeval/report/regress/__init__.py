"""The regression gate: are the current results worse than a baseline? Error rates are known: docs/regression.md.

baseline file or result folder ─> kept (what is compared) ─> comparable ─> pairs ─> stats/gate ─> Regression
                                                                        └> guards, exact, worst ─┘
render/ writes a Regression for a terminal, a pull request, a CI system or a program.
"""

from roleeval.report.regress.baseline import read_baseline, save_baseline
from roleeval.report.regress.comparable import NotComparableError
from roleeval.report.regress.compare import Regression, regress
from roleeval.report.regress.policy import Policy, policy_of, read_policy
from roleeval.report.regress.read import read_folder

__all__ = [
    "NotComparableError",
    "Policy",
    "Regression",
    "policy_of",
    "read_baseline",
    "read_folder",
    "read_policy",
    "regress",
    "save_baseline",
]
