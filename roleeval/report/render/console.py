"""Where reports are printed: as wide as the terminal, and as wide as needed where the output goes into a file."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_UNLIMITED = 10_000


def standard_output() -> "Console":
    """Standard output; without a terminal (and without COLUMNS) nothing is folded to the 80 columns of no terminal."""
    from rich.console import Console

    console = Console(highlight=False)
    if console.is_terminal or os.environ.get("COLUMNS"):
        return console
    return Console(highlight=False, width=_UNLIMITED)
