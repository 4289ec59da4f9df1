"""A Regression for a terminal, a pull request (Markdown), a CI system (JUnit XML) or a program (JSON)."""
