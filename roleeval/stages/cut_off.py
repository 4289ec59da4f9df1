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
        unsaid: those of them that were still reasoning.
        limit: tokens of the longest of these.
    """

    tasks: bool = False
    turns: Counter[str] = field(default_factory=Counter)
    cut: Counter[str] = field(default_factory=Counter)
    unsaid: Counter[str] = field(default_factory=Counter)
    limit: Counter[str] = field(default_factory=Counter)

    def add(self, transcript: Transcript) -> None:
        """Counts a transcript's turns."""
        for turn in transcript.turns:
            if not was_written(turn):
                continue
            self.turns[turn.part] += 1
            if turn.finish_reason == "length":
                self.cut[turn.part] += 1
                self.unsaid[turn.part] += turn.status == "truncated_reasoning"
                self.limit[turn.part] = max(self.limit[turn.part], turn.output_tokens)

    def warn(self, actor: Actor) -> None:
        """Warns of limits that most turns reached, or any turn in its reasoning, with the key that raises them.

        Args:
            actor: the model under test, with the helpers.
        """
        for part, count in self.cut.items():
            speaker = actor if part == MODEL else actor.helpers.get(part)
            if speaker is None:
                continue
            own, reached = speaker.model.sampling.max_tokens, self.limit[part]
            of_the_model = reached == own or not self.tasks
            turns = f"{self.turns[part]} {'answers' if part == MODEL else f'turns of {part}'}"
            limit = f"{speaker.keys.tokens}={own}" if of_the_model else f"{reached} tokens, a limit of the task"
            way_out = ". Raise it" if of_the_model else ""
            if unsaid := self.unsaid[part]:
                _log.warning(
                    "%d of %s were cut off inside their reasoning at %s: they say nothing (truncated_reasoning), and an"
                    " answer that says nothing is scored as empty%s",
                    unsaid,
                    turns,
                    limit,
                    way_out,
                )
            if count * 2 > self.turns[part]:
                _log.warning(
                    "%d of %s were cut off at %s: their length is that of the limit, and scores may depend on it%s",
                    count,
                    turns,
                    limit,
                    way_out,
                )
