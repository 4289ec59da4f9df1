"""Counts the answers of a run that their token limit ended, and warns of limits that most answers reached."""

import logging
from collections import Counter
from dataclasses import dataclass, field

from roleeval.benchmarks import Actor
from roleeval.metrics import was_written
from roleeval.types import MODEL, Transcript

_log = logging.getLogger("roleeval")


@dataclass
class CutOff:
    """What was seen of how turns ended, by who spoke.

    Attributes:
        tasks: the benchmark's tasks may have limits of their own.
        turns: turns that a model wrote.
        cut: those that ended at the limit.
        limit: tokens of the longest of these.
    """

    tasks: bool = False
    turns: Counter[str] = field(default_factory=Counter)
    cut: Counter[str] = field(default_factory=Counter)
    limit: Counter[str] = field(default_factory=Counter)

    def add(self, transcript: Transcript) -> None:
        """Counts a transcript's turns."""
        for turn in transcript.turns:
            if not was_written(turn):
                continue
            self.turns[turn.part] += 1
            if turn.finish_reason == "length":
                self.cut[turn.part] += 1
                self.limit[turn.part] = max(self.limit[turn.part], turn.output_tokens)

    def warn(self, actor: Actor) -> None:
        """Warns of limits that most turns reached, with the key that raises them.

        Args:
            actor: the model under test, with the helpers.
        """
        for part, count in self.cut.items():
            speaker = actor if part == MODEL else actor.helpers.get(part)
            if count * 2 <= self.turns[part] or speaker is None:
                continue
            own, reached = speaker.model.sampling.max_tokens, self.limit[part]
            of_the_model = reached == own or not self.tasks
            _log.warning(
                "%d of %d %s were cut off at %s: their length is that of the limit, and scores may depend on it%s",
                count,
                self.turns[part],
                "answers" if part == MODEL else f"turns of {part}",
                f"{speaker.keys.tokens}={own}" if of_the_model else f"{reached} tokens, a limit of the task",
                ". Raise it" if of_the_model else "",
            )
