"""How commands print: whatever a text holds, it drives no terminal and repeats no secret."""

import json
import os
import sys
import unicodedata

from roleeval.plain import plain_lines
from roleeval.secrets import masked_text


def shown(text: object) -> str:
    """A text, of several lines at most, as it may be printed and logged."""
    return plain_lines(masked_text(str(text)))


def say(text: object) -> None:
    """Prints to stderr: what is wrong, and what was done."""
    print(shown(text), file=sys.stderr)


def show(text: object) -> None:
    """Prints to stdout: what was asked for."""
    _printed(plain_lines(str(text)))


def show_json(text: str) -> None:
    """Prints JSON to stdout, the same values with control characters escaped."""
    _printed("".join(c if c == "\n" or unicodedata.category(c)[0] != "C" else json.dumps(c)[1:-1] for c in text))


def _printed(text: str) -> None:
    """Ends the command where nobody reads on (`... | head`), as rich does."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is flushed at the end goes nowhere
        raise SystemExit(1) from None
