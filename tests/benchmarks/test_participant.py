"""Someone in an episode: what it remembers, what its turns hold, and how often it is asked."""

import asyncio
from typing import Any

from scripted import Scripted

from roleeval.benchmarks import Actor, Participant, given_turn
from roleeval.engines import ModelSource
from roleeval.errors import EngineError
from roleeval.models import Base
from roleeval.types import FinishReason, Message, Persona, Request, Turn


def someone(engine: Scripted, name: str = "Ada", **options: Any) -> Participant:
    actor = Actor(Base(name="m", source=ModelSource("stub")), engine, 1)  # type: ignore[arg-type]
    return Participant(actor, Persona(name, "", "en"), f"You are {name}.", **options)


def speak(who: Participant, turn: int = 0, **options: Any) -> Turn:
    return asyncio.run(who.speak(sample_id="scene", turn=turn, **options))


def test_a_turn_holds_what_came_since_the_last_one_of_the_same_speaker() -> None:
    ada = someone(Scripted(lambda request: "Yes."), merge=False)
    ada.hear("Hello.")
    first = speak(ada)
    assert first.messages == (Message("system", "You are Ada."), Message("user", "Hello."))
    ada.remember(first.visible)
    ada.hear("Really?")
    ada.hear("Are you sure?")
    ada.hear("  ")
    news = (Message("assistant", "Yes."), Message("user", "Really?"), Message("user", "Are you sure?"))
    assert speak(ada, 1).messages == news


def test_neighbours_are_merged_and_silence_is_heard_where_roles_have_to_alternate() -> None:
    ada = someone(Scripted(lambda request: "Yes."), silence="(Nobody speaks.)")
    ada.hear("Hello.")
    ada.hear("Hello?")
    assert ada.history == [Message("user", "Hello.\n\nHello?")]
    ada.remember("Yes.")
    speak(ada)
    assert ada.history[-1] == Message("user", "(Nobody speaks.)")
    ben = someone(Scripted(lambda request: "No."), name="Ben")
    ben.remember("No.")
    speak(ben)
    assert ben.history == [Message("assistant", "No.")]


def test_a_failed_call_is_repeated_with_its_seed_and_a_useless_reply_with_another() -> None:
    def moody(request: Request) -> str | tuple[str, FinishReason]:
        if len(engine.requests) in (1, 3):
            raise EngineError("busy")
        return "Here I am." if request.attempt == 2 else ""

    engine = Scripted(moody)
    turn = speak(someone(engine), call_attempts=2, reply_attempts=3, ask_again=("no_answer",))
    assert (turn.visible, turn.status, turn.attempts) == ("Here I am.", "ok", 5)
    one, two, three, four, five = (request.seed for request in engine.requests)
    assert one == two and three == four and len({one, three, five}) == 3 and turn.seed == five


def test_what_never_becomes_a_reply_says_how_it_ended() -> None:
    def lost(request: Request) -> str:
        raise EngineError("gone")

    engine = Scripted(lost)
    turn = speak(someone(engine), call_attempts=3, reply_attempts=2, ask_again=("no_answer",))
    assert (turn.status, turn.error, turn.attempts) == ("engine_failed", "gone", 3)
    silent = Scripted(lambda request: "")
    turn = speak(someone(silent), reply_attempts=2, ask_again=("no_answer",))
    assert (turn.status, turn.attempts, len(turn.messages)) == ("no_answer", 2, 1)
    assert speak(someone(Scripted(lambda request: ""))).attempts == 1


def test_parts_and_asides_are_the_benchmarks_own_words() -> None:
    referee = someone(Scripted(lambda request: "Foul."), name="Referee", part="referee", aside=True)
    assert (speak(referee).part, speak(referee).aside) == ("referee", True)
    assert speak(someone(Scripted(lambda request: "Hm."))).part == "model"


def test_a_given_turn_keeps_its_thoughts_apart() -> None:
    turn = given_turn("Ada", "Good evening.", part="prologue", raw="[Late.] Good evening.", thoughts="Late.")
    assert (turn.visible, turn.thoughts, turn.shown) == ("Good evening.", "Late.", "[Late.] Good evening.")
    assert given_turn("Ada", "Well.", part="prologue", raw="Well.").shown == ""


def test_two_parties_talk_in_turns_and_hear_no_thoughts() -> None:
    """A session as a two-party benchmark plays it: a prologue, then strict alternation of two models."""
    engine = Scripted(lambda request: f"({len(request.messages or ())}) I hear you.")
    npc, user = someone(engine, "Ada"), someone(engine, "Ben", part="user")
    turns = [given_turn("Ada", "You enter.", part="prologue"), given_turn("Ben", "Hello!", part="opening")]
    npc.remember("You enter.")
    user.hear("You enter.")
    user.remember("Hello!")
    npc.hear("Hello!")

    async def play() -> None:
        for number in range(2, 8):
            speaker, hearer = (npc, user) if number % 2 == 0 else (user, npc)
            turn = await speaker.speak(sample_id="s", turn=number)
            turns.append(turn)
            speaker.remember(turn.visible)
            hearer.hear(turn.visible)

    asyncio.run(play())
    assert [turn.part for turn in turns] == ["prologue", "opening", *["model", "user"] * 3]
    assert [turn.visible[:3] for turn in turns[2:]] == ["(3)", "(4)", "(5)", "(6)", "(7)", "(8)"]
    assert len({turn.seed for turn in turns[2:]}) == 6
