"""Counts the requests that vLLM interrupts for want of KV cache and begins again later: time that nobody sees."""

import logging
from typing import Any

_log = logging.getLogger(__name__)

_LEAST = 16  # interruptions before anything is said
_SHARE = 0.2  # of the answered requests


class Preemptions:
    """What one engine's schedulers have interrupted so far.

    Attributes:
        count: interruptions; a request may have several.
    """

    def __init__(self, model: str, way_out: str) -> None:
        """Counts for a model.

        Args:
            model: its name, for the message.
            way_out: what makes room.
        """
        self.count = 0
        self._model = model
        self._way_out = way_out
        self._said = False

    def logger(self, vllm_config: Any, engine_index: int = 0) -> Any:
        """A logger of vLLM's statistics (AsyncLLM's stat_loggers) that counts here."""
        from vllm.v1.metrics.loggers import StatLoggerBase

        counts = self

        class Logger(StatLoggerBase):  # type: ignore[misc]  # vLLM has no types
            def __init__(self) -> None: ...

            def record(self, scheduler_stats: Any, iteration_stats: Any, *others: Any, **more: Any) -> None:
                counts.count += getattr(iteration_stats, "num_preempted_reqs", 0)

            def log_engine_initialized(self) -> None: ...

        return Logger()

    def warn(self, answered: int) -> None:
        """Says once that interruptions eat the time.

        Args:
            answered: requests so far.
        """
        if self._said or self.count < max(_LEAST, _SHARE * answered):
            return
        self._said = True
        _log.warning(
            "%s: the KV cache is too small for what is in flight: vLLM interrupted requests %d times and began them"
            " again, while %d were answered. %s",
            self._model,
            self.count,
            answered,
            self._way_out,
        )
