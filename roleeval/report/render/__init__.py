"""Formats: terminal, Markdown, CSV, picture."""
