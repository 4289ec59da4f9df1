"""What a loaded engine takes of a memory that other engines may need as well.

vLLM takes a share of a GPU's memory when it loads and keeps it until it is closed, so a second engine may find no room.
"""

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

GPUS = "the GPUs' memory"
MEMORY = "main memory"


@dataclass(frozen=True, slots=True)
class Taken:
    """A share of something.

    Attributes:
        of: what: `GPUS`, `MEMORY`, or a cluster in words.
        share: 0 to 1; None is not known, and whoever has set the engine up has seen to it that it fits beside others.
    """

    of: str
    share: float | None


@runtime_checkable
class Takes(Protocol):
    """An engine that takes a noticeable share of something."""

    def takes(self) -> Taken:
        """What it takes once it is loaded; loads nothing."""
        ...


def taken_by(engine: object) -> Taken | None:
    """What an engine takes; None is nothing."""
    return engine.takes() if isinstance(engine, Takes) else None


def fit(engines: Iterable[object], *, unknown: float = 0.0) -> bool:
    """Whether engines can be loaded at the same time; each counts once, and `unknown` for a share that is not known."""
    found = {id(engine): engine for engine in engines}
    sums: dict[str, float] = {}
    for engine in found.values() if len(found) > 1 else ():
        if (taken := taken_by(engine)) is not None:
            sums[taken.of] = sums.get(taken.of, 0.0) + (unknown if taken.share is None else taken.share)
    return all(share <= 1 + 1e-9 for share in sums.values())


def of_memory(size: int | None) -> Taken:
    """`size` bytes of the main memory of this machine, or of its container; None is not known."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with contextlib.suppress(OSError, ValueError):  # no such limit
        total = min(total, int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    return Taken(MEMORY, None if size is None else size / total)
