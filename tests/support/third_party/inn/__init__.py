"""A third party's benchmark, as docs/extending.md describes it: scenes in an inn, with several parties and a judge.

Nothing of roleeval was changed for it. Everything is reached by `_target_` from the YAML files in conf/.
"""

from inn.benchmark import Inn
from inn.company import Company
from inn.judge import ErrorJudge
from inn.metrics import FreshWords, Slips

__all__ = ["Company", "ErrorJudge", "FreshWords", "Inn", "Slips"]
