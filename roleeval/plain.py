"""Text of models, servers and files on its way to a terminal, a log or a table: shown, never obeyed.

A control character (an ANSI escape, a carriage return, a bell) or an invisible one (a bidirectional override) in such a
text could hide a message, forge another or drive the terminal. Files of results keep texts as they are.
"""

import unicodedata


def plain(text: str) -> str:
    """One line without control and invisible formatting characters; white space of any kind is a space."""
    return "".join(" " if c.isspace() else c for c in text if c.isspace() or unicodedata.category(c)[0] != "C")


def plain_lines(text: str) -> str:
    """The same for a text of several lines: line feeds stay."""
    return "\n".join(map(plain, text.split("\n")))


def duration(seconds: float) -> str:
    """A time in the unit that people would use: "40 s", "12 min", "3.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
