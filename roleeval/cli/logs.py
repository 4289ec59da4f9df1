"""Sets up logging to the terminal (through rich, so that progress bars stay intact) and optionally to a file."""

import contextlib
import logging
import sys
from pathlib import Path
from typing import Any, Literal

from roleeval.cli._say import say, shown
from roleeval.errors import ConfigError


class _LogFile(logging.FileHandler):
    """A log that cannot be written (a full disk) is said once, and stops no run."""

    _said = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (the name is of the library)
        if not self._said:
            self._said = True
            say(f"roleeval: {self.baseFilename}: could not be written ({sys.exc_info()[1]})")

    def close(self) -> None:
        with contextlib.suppress(OSError):  # what did not fit has been said
            super().close()


class _Stderr(logging.StreamHandler[Any]):
    """Standard error as it is when something is said."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


class _Plain(logging.Formatter):
    """A message is one line: what a server or a file says can neither drive a terminal nor forge a line of the log."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (the names are of the library)
        return shown(super().formatMessage(record).replace("\n", " "))

    def formatException(self, ei: Any) -> str:  # noqa: N802
        return shown(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802
        return shown(super().formatStack(stack_info))


def set_up_logs(progress: Literal["bar", "quiet", "log"], log_file: str | None) -> None:
    """Sets up the "roleeval" logger; a later call replaces the handlers of an earlier one."""
    from rich.console import Console
    from rich.logging import RichHandler

    logger = logging.getLogger("roleeval")
    for handler in logger.handlers[:]:
        logger.removeHandler(handler)
        handler.close()
    logger.propagate = False
    for name, each in logging.root.manager.loggerDict.items():
        if name.partition(".")[0] == logger.name and isinstance(each, logging.Logger):
            each.disabled = False  # hydra/job_logging=default disables all loggers that there are, before every job
    logging.root.setLevel(logging.ERROR)  # other libraries
    # tracebacks of single failed items are logged at this level: for the file, never for the terminal
    logger.setLevel(logging.INFO if log_file is None else logging.DEBUG)
    console = Console(stderr=True)
    terminal: logging.Handler
    if console.is_terminal:
        terminal = RichHandler(console=console, show_path=False, markup=False, rich_tracebacks=False)
        terminal.setFormatter(_Plain("%(message)s"))
    else:  # rich would fold a message into lines of 80 columns
        terminal = _Stderr()
        terminal.setFormatter(_Plain("%(asctime)s %(levelname)-8s %(message)s", "%H:%M:%S"))
    terminal.setLevel(logging.WARNING if progress == "quiet" else logging.INFO)
    logger.addHandler(terminal)
    if log_file is not None:
        try:
            Path(log_file).parent.mkdir(parents=True, exist_ok=True)
            file = _LogFile(log_file, encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise ConfigError(f"log_file: {log_file} could not be written ({error})") from error
        file.setFormatter(_Plain("%(asctime)s %(levelname)s %(message)s"))
        logger.addHandler(file)
