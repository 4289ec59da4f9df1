"""RoleBench: one question to one role, scored against reference answers. See docs/metrics.md."""

from roleeval.benchmarks.rolebench.benchmark import FILES, RoleBench, SplitName, fetch

__all__ = ["FILES", "RoleBench", "SplitName", "fetch"]
