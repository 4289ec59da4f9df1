"""The pool: an engine over engines of ours, on the workers of a Ray cluster or of this machine."""

from roleeval.engines.pool.engine import PoolEngine, PoolOptions

__all__ = ["PoolEngine", "PoolOptions"]
