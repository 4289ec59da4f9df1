"""One scene: the participants' memories, who speaks, hears what, is next. A coroutine that waits only for engines.

    round 0, 1, ...   the current speaker says something (a character, or the environment)
                      all others hear it: without thoughts, prefixed with the speaker's name
                      the predictor names the next speaker (next.py)

Source: spec/coser.md, section 2.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from roleeval.benchmarks.actor import Actor
from roleeval.benchmarks.coser.data import ENVIRONMENT, Line, Scene
from roleeval.benchmarks.coser.next import NEXT_SPEAKER, Choice, Draw, draw_pool, follow, read_answer
from roleeval.benchmarks.coser.prompts import ScenePrompts
from roleeval.benchmarks.coser.rules import Rules
from roleeval.benchmarks.coser.text import (
    Given,
    character_turn,
    given_message,
    tagged_turn,
    with_name,
    without_name,
    without_thoughts,
)
from roleeval.benchmarks.participant import Participant, given_turn
from roleeval.errors import UnsupportedRoleError
from roleeval.models import Hears, heard_her
from roleeval.types import MODEL, WITHOUT_REPLY, Part, Persona, Status, Transcript, Turn

# Parts other than MODEL. The predictor's turns are asides.
ENVIRONMENT_PART, PREDICTOR_PART, REFERENCE_PART = "environment", "next_speaker", "reference"
# The predictor's answer is what a whole scene waits for; it is short, and a character's turn can follow at once.
_PREDICTOR_FIRST, _OTHERS = 0, 1


@dataclass(frozen=True)
class Play:
    """A scene that is being played.

    Attributes:
        scene: what it is about.
        rules: the protocol.
        prompts: what everybody is told.
        nsp: who names the next speaker.
        continue_from: so many turns of the reference come first.
        attempts: calls in all before one that failed ends the scene.
        actor: the model under test, with the helpers.
        background: name -> passages of the character's past.
    """

    scene: Scene
    rules: Rules
    prompts: ScenePrompts
    nsp: Literal["model", "random", "reference"]
    continue_from: int
    attempts: int
    actor: Actor
    background: Mapping[str, Sequence[str]] = field(default_factory=dict)
    turns: list[Turn] = field(default_factory=list)

    async def run(self) -> Transcript:
        """Plays the scene to its end, or to the first call without a reply (failed in every attempt, or too long)."""
        people = self.people()
        missing = await self._unsupported(people)
        if missing is not None:
            return Transcript(self.scene.id, "unsupported_role", (missing,))
        given = self.scene.lines[: self.continue_from]
        follows = bool(given) or self.nsp == "reference"
        current: str | None = self.scene.lines[0].speaker if follows else self.scene.speakers[0]
        for number in range(self.rules.rounds):
            assert current is not None
            if number < len(given):
                self._give(given[number], people)
            elif (failed := await self._speak(people[current], people)) is not None:
                return self._ended(failed)
            if number + 1 == self.rules.rounds:
                break
            if number + 1 < len(given):
                current = given[number + 1].speaker
                if NEXT_SPEAKER in people:
                    people[NEXT_SPEAKER].remember(current)
                continue
            choice = await self._next(current, number, people)
            if not isinstance(choice, Choice):
                return self._ended(choice)
            current = choice.speaker
            if current is None:
                break
        said = any(turn.visible for turn in self.turns if turn.part == MODEL)
        return self._ended("ok" if said else "no_answer")

    def _ended(self, status: Status) -> Transcript:
        return Transcript(self.scene.id, status, tuple(self.turns))

    def people(self) -> dict[str, Participant]:
        """Everybody in the scene, with what they are told at its beginning."""
        scene, prompts, helpers = self.scene, self.prompts, self.actor.helpers
        people = {
            name: self._participant(
                self.actor,
                Persona(name, scene.profile(name), "en"),
                MODEL,
                prompts.character(scene, name, self.background.get(name, ())),
            )
            for name in scene.characters
        }
        surroundings = Persona(ENVIRONMENT, "", "en")
        people[ENVIRONMENT] = self._participant(
            helpers["environment"], surroundings, ENVIRONMENT_PART, prompts.environment(scene)
        )
        if self.nsp == "model":
            predictor = Persona(NEXT_SPEAKER, "", "en")
            people[NEXT_SPEAKER] = self._participant(
                helpers["next_speaker"], predictor, PREDICTOR_PART, prompts.next_speaker(scene)
            )
        return people

    def _participant(self, actor: Actor, persona: Persona, part: Part, system: str) -> Participant:
        predicts = part == PREDICTOR_PART
        someone = Participant(
            actor,
            persona,
            system,
            part=part,
            aside=predicts,
            merge=self.rules.merge_neighbours,
            silence=self.prompts.silence,
            priority=_PREDICTOR_FIRST if predicts else _OTHERS,
        )
        someone.hear(self.prompts.start)
        return someone

    async def _unsupported(self, people: Mapping[str, Participant]) -> Turn | None:
        """The failed turn of the first character that the model cannot play."""
        for name in self.scene.characters:
            try:
                self.actor.model.adapter(people[name].persona)
            except UnsupportedRoleError:
                return await self._call(people[name])
        return None

    async def _call(self, someone: Participant) -> Turn:
        return await someone.speak(sample_id=self.scene.id, turn=len(self.turns), call_attempts=self.attempts)

    async def _speak(self, someone: Participant, people: Mapping[str, Participant]) -> Status | None:
        """One turn of a character or the environment; why its call brought no reply, or None."""
        turn = await self._call(someone)
        if turn.status in WITHOUT_REPLY:
            self.turns.append(turn)
            return turn.status
        name = turn.speaker
        tagged = self._tagged(turn)
        if self.prompts.tags and turn.part == MODEL and not isinstance(self.actor.model, Hears):
            turn = tagged_turn(turn)
        own = turn.own_history or turn.visible
        if someone.part == MODEL:
            turn = character_turn(turn)
        else:
            turn = replace(turn, visible=without_name(turn.visible, name).strip())
        self.turns.append(turn)
        if own.strip():
            someone.remember(with_name(own, name) if self.rules.force_name else own)
        heard = without_name(without_thoughts(tagged)[0], name) if turn.visible else ""
        self._tell(name, heard or turn.visible, people)
        return None

    def _tagged(self, turn: Turn) -> str:
        """A character's turn as others hear it where characters write HER's tags: actions keep theirs; else ""."""
        if not self.prompts.tags or turn.part != MODEL:
            return ""
        model = self.actor.model
        if isinstance(model, Hears):
            return model.heard(turn.raw, turn.finish_reason)
        return heard_her(turn.visible, turn.finish_reason)

    def _give(self, line: Line, people: Mapping[str, Participant]) -> None:
        """One turn of the reference, as if its speaker had said it."""
        name = line.speaker
        given = given_message(line.message, name, tags=self.prompts.tags)
        if name == ENVIRONMENT:
            given = Given(given.shown, given.shown, "", given.shown, given.shown, given.tagged)
        turn = given_turn(name, given.visible, part=REFERENCE_PART, raw=line.message, thoughts=given.thoughts)
        if given.tagged:
            turn = replace(turn, shown=given.shown if given.thoughts else "")
        self.turns.append(turn)
        people[name].remember(with_name(given.own, name) if self.rules.force_name else given.own)
        self._tell(name, given.heard, people)

    def _tell(self, speaker: str, said: str, people: Mapping[str, Participant]) -> None:
        heard, _ = without_thoughts(said)
        if not heard:
            return
        for name, someone in people.items():
            if name != speaker:
                someone.hear(f"{speaker}: {heard}")

    async def _next(self, current: str, number: int, people: Mapping[str, Participant]) -> Choice | Status:
        """Who is next, or why the predictor's call brought no reply."""
        draw = Draw(self.actor.run_seed, self.scene.id, len(self.turns))
        if self.nsp == "reference":
            lines = self.scene.lines[number + 1 :]
            choice = Choice(lines[0].speaker, "reference") if lines else Choice(None, "end")
        elif self.nsp == "random":
            choice = Choice(draw.one_of(draw_pool(self.scene, current)), "random")
        else:
            return await self._predict(current, number, people[NEXT_SPEAKER], draw)
        self.turns.append(
            given_turn(NEXT_SPEAKER, choice.speaker or "", part=PREDICTOR_PART, note=choice.note, aside=True)
        )
        return choice

    async def _predict(self, current: str, number: int, predictor: Participant, draw: Draw) -> Choice | Status:
        turn = await self._call(predictor)
        if turn.status in WITHOUT_REPLY:
            self.turns.append(turn)
            return turn.status
        own = turn.own_history or turn.visible
        predictor.remember(own)
        answer, note = read_answer(turn.visible, self.scene.speakers, form=self.rules.next_speaker_reply)
        choice = follow(answer, note, self.scene, current, may_end=number >= self.rules.end_from, draw=draw)
        self.turns.append(replace(turn, visible=choice.speaker or "", own_history=own, note=choice.note))
        return choice
