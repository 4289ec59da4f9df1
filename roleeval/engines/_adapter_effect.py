"""What an engine found when it asked a probe with and without each adapter: whether the adapter changed anything."""

import logging
from collections.abc import Mapping
from typing import Any

from roleeval.types import AdapterRef

_log = logging.getLogger(__name__)

# Any text will do that is longer than a kernel's smallest block.
PROBE = (
    "The lamp was still burning when the two friends came home. They sat down at the table, looked at each other for"
    " a while, and then the older one began to tell what had happened that morning in the harbour."
)


class AdapterEffects:
    """The largest change of a log-probability after the probe, in nats, of every adapter that was loaded."""

    def __init__(self) -> None:
        self._changes: dict[str, tuple[str, float, bool]] = {}

    def add(self, adapter: AdapterRef, change: float, *, zero: float = 0.0, inert: bool = False) -> None:
        """Keeps what was found, and warns where it is no effect.

        Args:
            adapter: the adapter.
            change: largest difference between a log-probability with and without it, in nats.
            zero: the difference that two answers without an adapter may have.
            inert: all its weights are known to be zero.
        """
        without = inert or change <= zero
        self._changes[adapter.fingerprint] = (adapter.name, change, without)
        if without:
            _log.warning(
                "adapter %s (%s) has no effect: after a probe text, log-probabilities equal the base's (largest"
                " difference %.1g nats), so its answers are the base's",
                adapter.name,
                adapter.path,
                change,
            )

    def describe(self) -> Mapping[str, Any]:
        """For the manifest: changes in nats by adapter, and the names of those without effect."""
        found = list(self._changes.values())
        return {
            "change": {name: float(f"{change:.3g}") for name, change, _ in found},
            "without_effect": [name for name, _, without in found if without],
        }
