"""Sets up logging to the terminal (through rich, so that progress bars stay intact) and optionally to a file."""

import logging
from pathlib import Path
from typing import Literal


def set_up_logs(progress: Literal["bar", "quiet", "log"], log_file: str | None) -> None:
    """Sets up the "roleeval" logger; a later call replaces the handlers of an earlier one."""
    from rich.console import Console
    from rich.logging import RichHandler

    logger = logging.getLogger("roleeval")
    for handler in logger.handlers[:]:
        logger.removeHandler(handler)
        handler.close()
    logger.propagate = False
    logger.disabled = False  # Hydra's set-up disables loggers it does not know
    # tracebacks of single failed items are logged at this level: for the file, never for the terminal
    logger.setLevel(logging.INFO if log_file is None else logging.DEBUG)
    terminal = RichHandler(console=Console(stderr=True), show_path=False, markup=False, rich_tracebacks=False)
    terminal.setLevel(logging.WARNING if progress == "quiet" else logging.INFO)
    logger.addHandler(terminal)
    if log_file is not None:
        Path(log_file).parent.mkdir(parents=True, exist_ok=True)
        file = logging.FileHandler(log_file, encoding="utf-8")
        file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger.addHandler(file)
