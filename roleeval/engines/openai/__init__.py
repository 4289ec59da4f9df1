"""The openai engine: any OpenAI-compatible endpoint."""

from roleeval.engines.openai.engine import OpenAIEngine, OpenAIOptions

__all__ = ["OpenAIEngine", "OpenAIOptions"]
