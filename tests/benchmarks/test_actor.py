"""What an actor sends and keeps: the chat or the raw prompt, the prefill, and every form of the reply."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
from roleeval_stubs import StubEngine, StubOptions

from roleeval.benchmarks.actor import Actor
from roleeval.engines import LoraNeed, ModelSource
from roleeval.errors import ConfigError, UnsupportedRoleError
from roleeval.models import Base, Her
from roleeval.models.hycora import raw_prompt
from roleeval.types import AdapterRef, Completion, Message, Persona, Request, Turn

HOLMES = Persona("Holmes", "a detective", "en")
QUESTION = (Message("user", "Who are you?"),)
SOURCE = ModelSource("stub-model")


class Recorder(StubEngine):
    def __init__(self, text: str = "", fail: str = "") -> None:
        super().__init__(StubOptions(fail=fail), SOURCE, LoraNeed())
        self.requests: list[Request] = []
        self.text = text

    async def generate(self, request: Request) -> Completion:
        self.requests.append(request)
        done = await super().generate(request)
        return replace(done, text=self.text or done.text)


@dataclass(frozen=True, kw_only=True)
class Raw(Base):
    """Sends HyCoRA's raw prompt for ChatGLM2 and plays one role."""

    def prompt(self, system: str, history: Sequence[Message]) -> str | None:
        return raw_prompt("chatglm2", history)

    @property
    def prompt_special_tokens(self) -> bool:
        return True

    def adapter(self, persona: Persona) -> AdapterRef | None:
        if persona != HOLMES:
            raise UnsupportedRoleError(f"{persona.role} is unknown")
        return None


def say(model: Base, engine: Recorder, *, persona: Persona = HOLMES, history: Sequence[Message] = QUESTION) -> Turn:
    return asyncio.run(Actor(model, engine, 1).say(persona, "You are Holmes.", history, sample_id="s", turn=0))


def test_a_chat_goes_out_with_system_prompt_and_prefill() -> None:
    engine = Recorder()
    turn = say(Her(name="m", source=SOURCE), engine)
    (request,) = engine.requests
    assert request.messages == turn.messages == (Message("system", "You are Holmes."), *QUESTION)
    assert (request.prompt, turn.prompt, request.prefill) == (None, None, "<system_thinking>")
    assert not request.prompt_special_tokens


def test_a_raw_prompt_goes_out_in_the_chats_place_and_into_the_transcript() -> None:
    engine = Recorder()
    turn = say(Raw(name="m", source=SOURCE), engine)
    (request,) = engine.requests
    assert request.prompt == turn.prompt == "[Round 1]\n\n问：Who are you?\n\n答："
    assert request.messages is None and turn.messages == ()
    assert request.prompt_special_tokens


def test_failed_turns_keep_what_was_asked() -> None:
    model = Raw(name="m", source=SOURCE)
    failed = say(model, Recorder(fail="Who"))
    assert (failed.status, failed.visible, failed.prompt) == ("engine_failed", "", model.prompt("", QUESTION))
    assert "the stub refuses 'Who'" in failed.error
    unknown = say(model, Recorder(), persona=replace(HOLMES, role="Hamlet"))
    assert (unknown.status, unknown.prompt, unknown.error) == ("unsupported_role", failed.prompt, "Hamlet is unknown")


def test_a_history_that_a_raw_prompt_cannot_hold_is_refused() -> None:
    with pytest.raises(ConfigError, match="use prompt_format=chat"):
        say(Raw(name="m", source=SOURCE), Recorder(), history=QUESTION * 2)


def test_a_turn_holds_the_form_of_every_reader() -> None:
    text = "<system_thinking>plan</system_thinking><role_thinking>who?</role_thinking><role_action>nods</role_action>I."
    turn = say(Her(name="m", source=SOURCE), Recorder(text))
    assert (turn.raw, turn.visible, turn.shown) == (text, "(nods) I.", "[who?] (nods) I.")
    assert (turn.thoughts, turn.own_history) == ("plan\nwho?", text.partition("</system_thinking>")[2])
    plain = say(Base(name="m", source=SOURCE), Recorder("I."))
    assert (plain.visible, plain.shown, plain.own_history) == ("I.", "", "")
