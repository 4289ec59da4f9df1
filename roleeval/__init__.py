"""roleeval: evaluation of role-playing language models."""

__version__ = "0.1.0"
