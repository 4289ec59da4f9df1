"""One session: the character (under test) and the user take turns, each with the whole history.

    round 0   the prologue            given, the character's
    round 1   the first user message  given, the user's
    round 2   the character
    round 3   the user, ...           strictly in turn, to round `messages` + 1

Rounds count messages from 0, as the released dialogues do; a turn's place in the transcript is its round.
Source: spec/minimax.md, Protocol.
"""

from collections.abc import Collection
from dataclasses import dataclass, field, replace

from roleeval.benchmarks.actor import Actor
from roleeval.benchmarks.minimax.data import Seed
from roleeval.benchmarks.participant import Participant, given_turn
from roleeval.metrics import happened
from roleeval.prompts import PromptPack, fill
from roleeval.types import MODEL, Persona, Status, Transcript, Turn

# Parts beside MODEL: what the seed gives (rounds 0 and 1), and the simulated user.
GIVEN, USER = "given", "user"
FIRST = 2  # the first round that is generated


@dataclass(frozen=True, slots=True)
class SessionPrompts:
    """What the two of a session are told.

    Attributes:
        character: the pack of the character's prompt.
        user: the pack of the user simulator's.
        user_sees_card: the user is told the character's description as well.
    """

    character: PromptPack
    user: PromptPack
    user_sees_card: bool

    def of_character(self, seed: Seed) -> str:
        """The character's system prompt."""
        return _filled(self.character, "character.txt", seed)

    def of_user(self, seed: Seed) -> str:
        """The user simulator's system prompt."""
        card = _filled(self.user, "card.txt", seed) if self.user_sees_card else ""
        return fill(self.user.template("user.txt", language=seed.language), card=card, **_places(seed))

    def silence_of(self, seed: Seed, *, user: bool) -> str:
        """What the character hears when the user said nothing; with `user` the other way round."""
        return _filled(self.user if user else self.character, "silence.txt", seed)


def _places(seed: Seed) -> dict[str, str]:
    return {
        "ai_name": seed.ai_name,
        "ai_setting": seed.ai_setting,
        "user_name": seed.user_name,
        "user_setting": seed.user_setting,
    }


def _filled(pack: PromptPack, name: str, seed: Seed) -> str:
    return fill(pack.template(name, language=seed.language), **_places(seed))


@dataclass(frozen=True)
class Session:
    """A session that is being played.

    Attributes:
        id: of the sample; every call's seed derives from it.
        seed: what it starts from.
        messages: how many are generated.
        prompts: what the two are told.
        character: the model under test.
        user: who plays the user; None is the model under test (self-play).
        call_attempts: calls in all before one that failed ends the session.
        reply_attempts: replies in all, each with a seed of its own, while a reply is of `ask_again`.
        ask_again: statuses of replies that are asked for once more.
    """

    id: str
    seed: Seed
    messages: int
    prompts: SessionPrompts
    character: Actor
    user: Actor | None
    call_attempts: int
    reply_attempts: int
    ask_again: Collection[Status]
    turns: list[Turn] = field(default_factory=list)

    async def play(self) -> Transcript:
        """Plays it to its last message, or to the first call that brought nothing in every attempt."""
        seed = self.seed
        character, user = self.opened()
        self.turns.append(given_turn(seed.ai_name, seed.ai_prologue, part=GIVEN))
        self.turns.append(given_turn(seed.user_name, seed.initial_user_input, part=GIVEN))
        for number in range(self.messages):
            speaker, listener = (character, user) if number % 2 == 0 else (user, character)
            turn = await speaker.speak(
                sample_id=self.id,
                turn=FIRST + number,
                call_attempts=self.call_attempts,
                reply_attempts=self.reply_attempts,
                ask_again=self.ask_again,
            )
            name = seed.ai_name if speaker is character else seed.user_name
            self.turns.append(turn if turn.speaker == name else replace(turn, speaker=name))
            if not happened(turn.status):
                return self._ended(turn.status)
            speaker.remember(turn.own_history or turn.visible)
            listener.hear(turn.visible)
        said = any(turn.visible for turn in self.turns if turn.part == MODEL)
        return self._ended("ok" if said else "no_answer")

    def opened(self) -> tuple[Participant, Participant]:
        """The character and the user, with rounds 0 and 1 in their memories."""
        seed = self.seed
        character, user = self._participant(user=False), self._participant(user=True)
        character.remember(seed.ai_prologue)
        user.hear(seed.ai_prologue)
        user.remember(seed.initial_user_input)
        character.hear(seed.initial_user_input)
        return character, user

    def _ended(self, status: Status) -> Transcript:
        return Transcript(self.id, status, tuple(self.turns))

    def _participant(self, *, user: bool) -> Participant:
        seed = self.seed
        # In self-play the user is played by what plays the character, its adapter included: the persona selects that.
        persona = Persona(seed.ai_name, seed.ai_setting, seed.language)
        if user and self.user is not None:
            persona = Persona(seed.user_name, seed.user_setting, seed.language)
        return Participant(
            actor=(self.user or self.character) if user else self.character,
            persona=persona,
            system=self.prompts.of_user(seed) if user else self.prompts.of_character(seed),
            part=USER if user else MODEL,
            merge=False,
            silence=self.prompts.silence_of(seed, user=user),
        )
