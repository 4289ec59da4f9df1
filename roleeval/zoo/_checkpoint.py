"""The checkpoint file of a training that takes long: a killed build goes on where it was, to the same bits."""

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from roleeval.errors import ConfigError, cause_of


@dataclass
class Checkpoint:
    """A file with everything that the next step depends on.

    Attributes:
        file: where it is; replaced as a whole.
        seconds: time between two.
    """

    file: Path
    seconds: float = 60.0
    _written: float = field(default_factory=time.monotonic)

    @property
    def due(self) -> bool:
        """Whether it is time for another."""
        return time.monotonic() - self._written >= self.seconds

    def read(self) -> dict[str, Any] | None:
        """What was written last; None: nothing yet.

        Raises:
            ConfigError: the file cannot be read.
        """
        import torch

        if not self.file.is_file():
            return None
        try:
            state: dict[str, Any] = torch.load(self.file, weights_only=True, map_location="cpu")
        except Exception as error:  # torch has a dozen kinds of broken files
            raise ConfigError(
                f"{self.file}: cannot be read ({cause_of(error)}); delete it, and its adapter is trained anew"
            ) from error
        return state

    def write(self, state: dict[str, Any]) -> None:
        """Replaces what was written."""
        import torch

        new = self.file.with_name(f"{self.file.name}.new")
        torch.save(state, new)
        os.replace(new, self.file)
        self._written = time.monotonic()
