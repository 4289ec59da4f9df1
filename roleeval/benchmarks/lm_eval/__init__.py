"""Any task of lm-eval on a role-playing model. See docs/lm_eval.md."""

from roleeval.benchmarks.lm_eval.benchmark import LmEval

__all__ = ["LmEval"]
