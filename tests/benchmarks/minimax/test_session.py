"""A session as it is played: who hears what, how it ends, and that nothing depends on what else is in flight."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from scripted import Script, Scripted

from roleeval.benchmarks import Actor, Helper
from roleeval.benchmarks.minimax import Minimax
from roleeval.engines import ModelSource
from roleeval.errors import ConfigError, ContextOverflowError, EngineError
from roleeval.models import Base, Her
from roleeval.stages.foresee import foresee
from roleeval.types import Completion, Message, Request, Sample, Sampling, Transcript

SOURCE = ModelSource("stub-model")
WARM = Sampling(temperature=0.7)
MODEL = Base(name="model", source=SOURCE, sampling=WARM)


def of_user(request: Request) -> bool:
    return "You play the user" in system_of(request) or "扮演用户" in system_of(request)


def system_of(request: Request) -> str:
    assert request.messages is not None and request.messages[0].role == "system"
    return request.messages[0].content


def counted(request: Request) -> str:
    """Names the speaker and how much it has heard, and depends on the seed."""
    assert request.messages is not None
    return f"{'u' if of_user(request) else 'c'}{len(request.messages)}-{request.seed % 1000}"


def played(script: Script, *, model: Any = MODEL, **options: Any) -> tuple[dict[str, Transcript], Scripted]:
    """All sessions of two seeds at once."""
    benchmark = Minimax(**{"messages": 6, "runs": 2, "languages": ("en",), "user": Helper(MODEL), **options})
    engine: Any = Scripted(script)
    user = Actor(MODEL, engine, run_seed=5)
    actor = Actor(model, engine, run_seed=5, helpers={"user": user} if benchmark.mode == "fixed_user" else {})

    async def go() -> dict[str, Transcript]:
        samples = list(benchmark.samples(limit=2))
        done = await asyncio.gather(*(benchmark.episode(sample, actor) for sample in samples))
        return {sample.id: transcript for sample, transcript in zip(samples, done, strict=True)}

    return asyncio.run(go()), engine


def first(benchmark: Minimax, *, limit: int | None = None) -> Sample:
    return next(benchmark.samples(limit=limit))


def test_rounds_alternate_and_count_the_given_ones() -> None:
    sessions, _ = played(counted)
    (first_session, *_) = sessions.values()
    parts = [turn.part for turn in first_session.turns]
    assert parts == ["given", "given", "model", "user", "model", "user", "model", "user"]
    speakers = {turn.speaker for turn in first_session.turns}
    assert len(speakers) == 2 and first_session.status == "ok"


def test_each_has_the_whole_history_mirrored_and_the_prologue_is_a_message_of_it() -> None:
    sessions, engine = played(counted, runs=1)
    (id_, session), *_ = sessions.items()
    seed = next(seed for seed in Minimax(languages=("en",)).seeds["en"] if id_.startswith(seed.id))
    said = [turn.visible for turn in session.turns]
    mine = [r.messages for r in engine.requests if r.messages and r.messages[1].content == seed.ai_prologue]
    character = max((m for m in mine if m[1].role == "assistant"), key=len)
    user = max((m for m in mine if m[1].role == "user"), key=len)
    assert [m.content for m in character[1:]] == said[:6]
    assert [m.role for m in character[1:]] == ["assistant", "user"] * 3
    assert [m.content for m in user[1:]] == said[:7]
    assert [m.role for m in user[1:]] == ["user", "assistant", "user", "assistant", "user", "assistant", "user"]
    assert seed.ai_prologue not in character[0].content


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("sees", [False, True])
def test_the_user_sees_the_card_only_where_that_is_asked_for(language: Any, sees: bool) -> None:
    _, engine = played(counted, runs=1, languages=(language,), user_sees_card=sees)
    seeds = Minimax(languages=(language,)).seeds[language]
    told = [system_of(request) for request in engine.requests if of_user(request)]
    assert told and all(any(seed.ai_setting in text for seed in seeds) == sees for text in told)
    assert all("{" not in text for text in map(system_of, engine.requests))
    characters = [system_of(request) for request in engine.requests if not of_user(request)]
    assert all(any(seed.ai_setting in text and seed.user_setting in text for seed in seeds) for text in characters)


def test_sessions_do_not_depend_on_what_else_is_in_flight() -> None:
    together, _ = played(counted)
    benchmark = Minimax(messages=6, runs=2, languages=("en",), user=Helper(MODEL))
    engine: Any = Scripted(counted)
    actor = Actor(MODEL, engine, run_seed=5, helpers={"user": Actor(MODEL, engine, run_seed=5)})
    alone = {s.id: asyncio.run(benchmark.episode(s, actor)) for s in benchmark.samples(limit=2)}
    assert alone == together
    assert len({transcript.turns[2].visible for transcript in alone.values()}) == 4  # runs have seeds of their own


def test_in_self_play_the_model_under_test_plays_the_user() -> None:
    sessions, engine = played(counted, mode="selfplay", runs=1)
    assert any(map(of_user, engine.requests))
    assert [turn.part for turn in next(iter(sessions.values())).turns[2:]] == ["model", "user"] * 3


def test_thoughts_stay_with_the_speaker() -> None:
    her = Her(name="her", source=SOURCE, sampling=WARM)

    def script(request: Request) -> str:
        if of_user(request):
            return "And then?"
        return (
            "a plan</system_thinking><role_thinking>my secret</role_thinking><role_action>bows</role_action>Good day."
        )

    sessions, engine = played(script, model=her, runs=1)
    assert not any(
        word in message.content
        for request in engine.requests
        if of_user(request)
        for message in request.messages or ()
        for word in ("secret", "plan")
    )
    assert all("secret" not in t.visible for s in sessions.values() for t in s.turns)
    assert any("secret" in t.thoughts for s in sessions.values() for t in s.turns)


def test_an_empty_message_is_an_outcome_and_the_other_hears_that_nothing_was_said() -> None:
    sessions, engine = played(lambda request: "Go on." if of_user(request) else "", runs=1)
    transcript = next(iter(sessions.values()))
    assert transcript.status == "no_answer" and len(transcript.turns) == 8
    assert {turn.status for turn in transcript.turns if turn.part == "model"} == {"no_answer"}
    heard = [m.content for r in engine.requests if of_user(r) for m in r.messages or ()]
    assert f"({transcript.turns[0].speaker} says nothing.)" in heard


def test_a_retry_has_a_seed_of_its_own_and_is_counted() -> None:
    def script(request: Request) -> str:
        return "Yes." if of_user(request) or request.attempt else ""

    sessions, _ = played(script, runs=1, reply_attempts=2)
    own = [turn for turn in next(iter(sessions.values())).turns if turn.part == "model"]
    assert {(turn.visible, turn.attempts, turn.status) for turn in own} == {("Yes.", 2, "ok")}


def test_a_call_that_brings_nothing_ends_its_session_and_no_other() -> None:
    class Failing(Scripted):
        async def generate(self, request: Request) -> Completion:
            if first_name in system_of(request) and len(request.messages or ()) > 4:
                raise EngineError("gone")
            return await super().generate(request)

    benchmark = Minimax(messages=6, runs=1, languages=("en",), user=Helper(MODEL))
    first_name = first(benchmark, limit=2).persona.role
    engine: Any = Failing(counted)
    actor = Actor(MODEL, engine, run_seed=5, helpers={"user": Actor(MODEL, engine, run_seed=5)})
    one, other = (asyncio.run(benchmark.episode(s, actor)) for s in benchmark.samples(limit=2))
    assert (one.status, len(one.turns), other.status) == ("engine_failed", 5, "ok")


def test_greedy_sessions_are_asked_for_once() -> None:
    greedy = replace(MODEL, sampling=Sampling())
    benchmark = Minimax(messages=2, mode="selfplay")
    engine: Any = Scripted(counted)
    with pytest.raises(ConfigError, match=r"benchmark.runs=3 .* the same session; set benchmark.runs=1 or"):
        asyncio.run(benchmark.episode(first(benchmark), Actor(greedy, engine, run_seed=1)))


def test_the_embedded_seeds_are_of_both_languages_and_differ() -> None:
    seeds = Minimax().seeds
    assert {language: len(found) for language, found in seeds.items()} == {"en": 8, "zh": 8}
    everything = [seed for found in seeds.values() for seed in found]
    assert len({seed.ai_prologue for seed in everything}) == 16
    assert all(Message("user", seed.initial_user_input).content.strip() for seed in everything)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"messages": 7}, "benchmark.messages: 7 is invalid; give an even number"),
        ({"messages": 0}, "benchmark.messages: 0"),
        ({"runs": 0}, "benchmark.runs: 0"),
        ({"languages": ()}, "benchmark.languages"),
        ({"languages": ("en", "en")}, "duplicate"),
        ({"reply_attempts": 0}, "benchmark.reply_attempts"),
    ],
)
def test_impossible_options_are_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Minimax(**options)


def test_what_may_not_share_a_table_is_in_the_setup() -> None:
    setups = [
        Minimax(**options).describe()["setup"]
        for options in ({}, {"messages": 20}, {"mode": "selfplay"}, {"user": Helper(MODEL)}, {"user_sees_card": True})
    ]
    assert len({str(setup) for setup in setups}) == 5
    assert setups[1]["messages"] == "20 (published: 100)"


class Measured(Scripted):
    """An engine that knows its context: a character of text is a token."""

    context = 10_000

    def require_room(self, request: Request) -> None:
        prompt = sum(len(message.content) for message in request.messages or ())
        if prompt + request.sampling.max_tokens > self.context:
            raise ContextOverflowError(f"{prompt} and {request.sampling.max_tokens} tokens", longer="max_model_len")


@pytest.mark.parametrize(
    ("messages", "may_overflow", "fits"), [(20, False, True), (60, False, False), (60, True, True)]
)
def test_the_longest_possible_session_is_compared_with_the_context_before_it_starts(
    messages: int, may_overflow: bool, fits: bool
) -> None:
    """60 messages of 256 tokens do not fit into 10,000; 20 do."""
    benchmark = Minimax(messages=messages, languages=("en",), user=Helper(MODEL), may_overflow=may_overflow)
    engine: Any = Measured(counted)
    actor = Actor(MODEL, engine, run_seed=1, helpers={"user": Actor(MODEL, engine, run_seed=1)})
    config: Any = SimpleNamespace(benchmark=benchmark, options=SimpleNamespace(limit=1, clusters=None, max_in_flight=4))
    if fits:
        assert foresee(config, actor).misfits == {}
    else:
        with pytest.raises(ConfigError, match=r"none of the 3 samples fits .* benchmark.may_overflow=true"):
            foresee(config, actor)
    assert not engine.requests


def test_a_session_that_runs_out_of_context_ends_there_and_is_kept() -> None:
    class Short(Scripted):
        async def generate(self, request: Request) -> Completion:
            if len(request.messages or ()) > 5:
                raise ContextOverflowError("too long", longer="max_model_len")
            return await super().generate(request)

    benchmark = Minimax(messages=6, runs=1, languages=("en",), user=Helper(MODEL))
    engine: Any = Short(counted)
    actor = Actor(MODEL, engine, run_seed=5, helpers={"user": Actor(MODEL, engine, run_seed=5)})
    transcript = asyncio.run(benchmark.episode(first(benchmark), actor))
    assert (transcript.status, len(transcript.turns)) == ("context_overflow", 6)
    assert [turn.visible != "" for turn in transcript.turns] == [True] * 5 + [False]
