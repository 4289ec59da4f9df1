"""Documents for sessions (MiniMax Role-play Bench), made by the code that uses the models later.

A train session is played by `benchmarks.minimax.session.Session` with an engine that knows the lines; the models are
trained on exactly the messages that the character and the user get. Test seeds are never read here.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import cast

from roleeval.benchmarks import Actor
from roleeval.benchmarks.minimax.session import FIRST, Session, SessionPrompts
from roleeval.engines import Engine, ModelSource
from roleeval.models import Base, Her
from roleeval.prompts import load_prompt_pack
from roleeval.zoo._data import TrainSession
from roleeval.zoo._documents import Exchange
from roleeval.zoo._script import Script

_CHARACTER, _USER = "tasks/minimax/prompts/character", "tasks/minimax/prompts/user"
_ACTED = re.compile(r"\s*\*([^*]+)\*\s*")
_NOBODY = ModelSource("script")
# So many other cards each session is played with as well.
_HER_PARTNERS = 2
_USER_PARTNERS = 5


@dataclass(frozen=True, slots=True)
class SessionTurns:
    """What the two of a session are sent and should reply, message by message."""

    character: tuple[Exchange, ...]
    user: tuple[Exchange, ...]


def session_turns(session: TrainSession, *, tagged: Callable[[str], str] | None = None) -> SessionTurns:
    """Plays a session by its lines.

    Args:
        session: what is played.
        tagged: message of the character -> the message in HER's tags; None leaves it as it is.
    """
    replies = list(session.lines[FIRST:])
    if tagged is not None:
        replies = [tagged(text) if number % 2 == 0 else text for number, text in enumerate(replies)]
    script = Script(replies)
    engine = cast("Engine", script)  # a session asks an engine for nothing else
    model = Base(name="script", source=_NOBODY) if tagged is None else Her(name="script", source=_NOBODY)
    played = Session(
        id=session.seed.id,
        seed=session.seed,
        messages=len(replies),
        prompts=SessionPrompts(load_prompt_pack(_CHARACTER), load_prompt_pack(_USER), user_sees_card=False),
        character=Actor(model, engine, run_seed=0),
        user=Actor(Base(name="script", source=_NOBODY), engine, run_seed=0),
        call_attempts=1,
        reply_attempts=1,
        ask_again=(),
    )
    asyncio.run(played.play())
    said = [Exchange(messages, reply) for messages, reply in script.sent]
    return SessionTurns(tuple(said[::2]), tuple(said[1::2]))


def acted_in_tags(message: str) -> str:
    """A message with its *actions* in HER's tags."""
    return _ACTED.sub(lambda match: f"<role_action>{match[1]}</role_action>", message).strip()


def recast(sessions: Sequence[TrainSession], partners: int) -> list[TrainSession]:
    """Every session, and its lines again between so many other pairs of its language.

    There are few cards to train on, and new ones must not change how the lines go on.
    """
    cast_ = list(sessions)
    for place, session in enumerate(sessions):
        others = [*sessions[place + 1 :], *sessions[:place]]
        fitting = [other for other in others if other.seed.language == session.seed.language]
        cast_ += [_between(session, other) for other in fitting[:partners]]
    return cast_


def _between(session: TrainSession, other: TrainSession) -> TrainSession:
    seed = replace(
        other.seed,
        id=f"{session.seed.id}+{other.seed.id}",
        ai_prologue=session.seed.ai_prologue,
        initial_user_input=session.seed.initial_user_input,
    )
    return replace(session, seed=seed)


def her_session_documents(sessions: Sequence[TrainSession]) -> list[Exchange]:
    """The character's messages in HER's tags, each behind a plan; the plan stays out of its memory.

    All of a session, and for time's sake two of each that is recast.
    """
    documents: list[Exchange] = []
    for number, session in enumerate(recast(sessions, _HER_PARTNERS)):
        draw = Random(f"her {session.seed.id}")

        def tagged(message: str, plans: Sequence[str] = session.plans, draw: Random = draw) -> str:
            return f"<system_thinking>{draw.choice(plans)}</system_thinking>{acted_in_tags(message)}"

        turns = session_turns(session, tagged=tagged).character
        documents += turns if number < len(sessions) else draw.sample(turns, 2)
    return documents


def user_documents(sessions: Sequence[TrainSession]) -> list[Exchange]:
    """The user's messages of each session: the last chat holds the earlier ones, which carry loss as well."""
    return [replace(session_turns(session).user[-1], whole=True) for session in recast(sessions, _USER_PARTNERS)]
