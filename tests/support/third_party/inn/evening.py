"""One scene: the guest begins, the director names who speaks next, everybody hears what is said."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from random import Random

from inn.data import Scene

from roleeval.benchmarks import Actor, Participant, given_turn
from roleeval.prompts import PromptPack, fill
from roleeval.seeds import derive_seed
from roleeval.types import MODEL, Persona, Status, Transcript, Turn

GUEST, DIRECTOR, NARRATOR = "guest", "director", "narrator"  # parts beside MODEL


@dataclass
class Evening:
    """A scene that is being played."""

    scene: Scene
    rounds: int
    pack: PromptPack
    actor: Actor
    call_attempts: int
    turns: list[Turn] = field(default_factory=list)

    async def play(self) -> Transcript:
        people, director = self._people(), self._director()
        opening = self.scene.opening
        self.turns.append(given_turn("", opening, part=NARRATOR))
        self._tell("", opening, {**people, DIRECTOR: director})
        current = self.scene.guest["name"]
        for number in range(self.rounds):
            turn = await self._speak(people[current])
            if turn.status in ("engine_failed", "unsupported_role"):
                return self._ended(turn.status)
            people[current].remember(turn.own_history or turn.visible)
            self._tell(current, turn.visible, {**people, DIRECTOR: director})
            if number + 1 < self.rounds:
                named = await self._next(director, current)
                if named is None:
                    return self._ended("engine_failed")
                current = named
        said = any(turn.visible for turn in self.turns if turn.part == MODEL)
        return self._ended("ok" if said else "no_answer")

    def _ended(self, status: Status) -> Transcript:
        return Transcript(self.scene.id, status, tuple(self.turns))

    def _people(self) -> dict[str, Participant]:
        guest = self.scene.guest
        cast = {name: self._someone(self.actor, name, about, MODEL) for name, about in self.scene.cast.items()}
        return {**cast, guest["name"]: self._someone(self.actor.helpers[GUEST], guest["name"], guest["about"], GUEST)}

    def _director(self) -> Participant:
        return replace(self._someone(self.actor.helpers[DIRECTOR], "Director", "", DIRECTOR), aside=True)

    def _someone(self, actor: Actor, name: str, about: str, part: str) -> Participant:
        language = self.scene.language
        template = self.pack.template(f"{'character' if part == MODEL else part}.txt", language=language)
        others = [other for other in (*self.scene.cast, self.scene.guest["name"]) if other != name]
        system = fill(template, name=name, about=about, others=", ".join(others))
        silence = self.pack.template("silence.txt", language=language)
        return Participant(actor, Persona(name, about, language), system, part=part, silence=silence)

    async def _speak(self, someone: Participant) -> Turn:
        turn = await someone.speak(
            sample_id=self.scene.id, turn=len(self.turns), call_attempts=self.call_attempts, ask_again={"no_answer"}
        )
        self.turns.append(turn)
        return turn

    def _tell(self, speaker: str, said: str, people: Mapping[str, Participant]) -> None:
        for name, someone in people.items():
            if name != speaker and said.strip():
                someone.hear(f"{speaker}: {said}" if speaker else said)

    async def _next(self, director: Participant, current: str) -> str | None:
        """Who speaks next; drawn where the director names nobody, or the one who just spoke. None: its call failed."""
        turn = await self._speak(director)
        if turn.status == "engine_failed":
            return None
        others = [name for name in (*self.scene.cast, self.scene.guest["name"]) if name != current]
        named = next((name for name in others if name in turn.visible), None)
        draw = Random(derive_seed(self.actor.run_seed, self.scene.id, turn=len(self.turns), speaker="draw"))
        chosen = named or draw.choice(others)
        self.turns[-1] = replace(turn, visible=chosen, note="named" if named else "drawn")
        director.remember(chosen)
        return chosen
