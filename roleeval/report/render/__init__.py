"""Formats: terminal, Markdown, CSV, plot."""
