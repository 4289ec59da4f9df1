"""A plan before the bill: what a command will ask, hold, take and cost, before anything is loaded.

The command's runs are played without a model: an engine that makes up replies of the expected length counts what it is
asked, by the models' own tokenizers. So a benchmark, a family and a judge are planned by the code that runs them.
"""

from roleeval.stages.plan._needs import Exactness, Memory, Range
from roleeval.stages.plan._plan import ModelPlan, Plan, RunPlan, plan

__all__ = ["Exactness", "Memory", "ModelPlan", "Plan", "Range", "RunPlan", "plan"]
