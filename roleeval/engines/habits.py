"""What a chat template writes around turns, found by rendering turns that stand nowhere else."""

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from roleeval.engines.template import Template, opened_reasoning, probes
from roleeval.types import ChatRole, Message

_ANSWERED: tuple[ChatRole, ...] = ("user", "assistant", "user")
_CLOSED = re.compile(r"<(think|thinking|thought|reasoning)>\s*</\1>\s*\Z", re.IGNORECASE)


@dataclass(frozen=True)
class Habits:
    """A template's habits; each is "" where it has none, or where that is not known without a tokenizer."""

    template: Template | None

    @property
    def after_answer(self) -> str:
        """What it writes after an answer, up to the next question."""
        return "".join(self._around(_ANSWERED)[2:3])

    @property
    def opened_reasoning(self) -> str:
        """The reasoning tag that it leaves open where an answer begins."""
        return opened_reasoning(self._before_answer)

    @property
    def closed_reasoning(self) -> str:
        """The empty reasoning that it writes where an answer begins."""
        found = _CLOSED.search(self._before_answer)
        return found[0] if found else ""

    @property
    def own_system(self) -> str:
        """The system prompt that it writes where none is given."""
        alone, with_one = self._around(("user",)), self._around(("system", "user"))
        if not alone or not with_one:
            return ""
        before, between = with_one[:2]
        inner = alone[0].removeprefix(before).removesuffix(between)
        return inner.strip() if f"{before}{inner}{between}" == alone[0] else ""

    @property
    def _before_answer(self) -> str:
        return "".join(self._around(("user",))[-1:])

    def _around(self, roles: Sequence[ChatRole]) -> list[str]:
        """What stands before, between and after turns that are all in their places; [] otherwise."""
        texts = probes(roles)
        rendered = ""
        with contextlib.suppress(Exception):  # it needs more than is available here, or refuses these turns
            chat = [Message(role, text) for role, text in zip(roles, texts, strict=True)]
            rendered = "" if self.template is None else self.template.rendered(chat)
        parts = re.split("|".join(map(re.escape, texts)), rendered)
        return parts if len(parts) == len(texts) + 1 else []
