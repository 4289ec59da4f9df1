"""Someone in an episode of several parties: a character, a user, a narrator, a referee.

    npc.hear(prologue); user.hear(npc_said)         everyone remembers what they heard and what they said
    turn = await npc.speak(sample_id=..., turn=n)   the next turn, of whichever model plays this part
    npc.remember(turn.visible); user.hear(turn.visible)

An episode is a coroutine over participants: it decides who speaks, who hears what, and when it ends. `Turn`s without a
model call (a prologue, lines of the reference, random choices) are made by `given_turn`.
"""

from collections.abc import Collection
from dataclasses import dataclass, field, replace

from roleeval.benchmarks.actor import Actor
from roleeval.types import MODEL, ChatRole, Message, Part, Persona, Status, Turn


@dataclass
class Participant:
    """Someone with a memory of the episode.

    Attributes:
        actor: the model that speaks for it.
        persona: its name, description and language.
        system: its system prompt.
        part: of its turns, in the benchmark's word.
        aside: its turns are no part of the conversation (`Turn.aside`).
        merge: messages of one role in a row become one, with a blank line between them.
        silence: what it hears when it is to speak again although nothing was said to it since; "" is nothing.
        priority: of its calls; see Request.
        history: what it remembers.
        sent: the chat of its last call.
    """

    actor: Actor
    persona: Persona
    system: str
    part: Part = MODEL
    aside: bool = False
    merge: bool = True
    silence: str = ""
    priority: int = 0
    history: list[Message] = field(default_factory=list)
    sent: tuple[Message, ...] = ()

    @property
    def name(self) -> str:
        return self.persona.role

    def hear(self, text: str) -> None:
        """What others say to it; a blank text is not heard."""
        self._add("user", text)

    def remember(self, text: str) -> None:
        """Its own turn, as it is reminded of it later."""
        self._add("assistant", text)

    def _add(self, role: ChatRole, text: str) -> None:
        if not text.strip():
            return
        if self.merge and self.history and self.history[-1].role == role:
            self.history[-1] = Message(role, f"{self.history[-1].content}\n\n{text}")
        else:
            self.history.append(Message(role, text))

    async def speak(
        self,
        *,
        sample_id: str,
        turn: int,
        call_attempts: int = 1,
        reply_attempts: int = 1,
        ask_again: Collection[Status] = (),
    ) -> Turn:
        """Its next turn; the turn's messages have what came since its last one. It does not remember it yet.

        A call that failed is repeated with the same seed: it brought no text, and what comes in its place must be what
        an undisturbed run has. One that does not fit into the model's context is not repeated. A reply with a status of
        `ask_again` is asked for with another seed, because the same one would bring the same reply.

        Args:
            sample_id: the episode.
            turn: number of the call in the episode; its seed derives from it.
            call_attempts: calls in all until one brings a reply.
            reply_attempts: replies in all until one has no status of `ask_again`; the last one is taken.
            ask_again: for example {"no_answer", "truncated_reasoning"}.

        Raises:
            EngineDeadError, StoreError, ConfigError: see Actor.say.
        """
        if self.history and self.history[-1].role == "assistant":
            self.hear(self.silence)
        calls = 0
        for attempt in range(reply_attempts):
            for _ in range(call_attempts):
                said = await self._call(sample_id, turn, attempt)
                calls += 1
                if said.status != "engine_failed":
                    break
            if said.status not in ask_again:
                break
        return replace(said, attempts=calls, aside=self.aside, messages=self._news(said.messages))

    async def _call(self, sample_id: str, turn: int, attempt: int) -> Turn:
        return await self.actor.say(
            self.persona,
            self.system,
            self.history,
            sample_id=sample_id,
            turn=turn,
            part=self.part,
            priority=self.priority,
            attempt=attempt,
        )

    def _news(self, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        """The part of a chat that was not sent before."""
        before, self.sent = self.sent, messages
        if messages[: len(before)] == before:  # the usual case, in one step however long the chat is
            return messages[len(before) :]
        same = 0
        while same < min(len(messages), len(before)) and messages[same] == before[same]:
            same += 1
        return messages[same:]


def given_turn(
    speaker: str,
    visible: str,
    *,
    part: Part,
    raw: str = "",
    thoughts: str = "",
    note: str = "",
    aside: bool = False,
) -> Turn:
    """A turn that no model was asked for.

    Args:
        speaker: whose it is.
        visible: what others hear.
        part: its speaker's, in the benchmark's word; never MODEL, which is under test.
        raw: the text as it was given, thoughts included.
        thoughts: what others do not hear.
        note, aside: see Turn.
    """
    return Turn(
        speaker=speaker,
        messages=(),
        raw=raw,
        visible=visible,
        thoughts=thoughts,
        status="ok",
        finish_reason="stop",
        prompt_tokens=0,
        output_tokens=0,
        adapter="",
        shown=raw if thoughts else "",
        part=part,
        note=note,
        aside=aside,
    )
