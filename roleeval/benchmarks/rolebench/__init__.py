"""RoleBench: one question to one role, scored against reference answers. See docs/metrics.md."""

from roleeval.benchmarks.rolebench.benchmark import RoleBench, SplitName, fetch

__all__ = ["RoleBench", "SplitName", "fetch"]
