"""The vllm engine."""

from roleeval.engines.vllm.engine import VllmEngine, VllmOptions

__all__ = ["VllmEngine", "VllmOptions"]
