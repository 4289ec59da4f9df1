"""The hf engine: transformers and peft, for machines where vLLM does not run."""

from roleeval.engines.hf.engine import HfEngine, HfOptions

__all__ = ["HfEngine", "HfOptions"]
