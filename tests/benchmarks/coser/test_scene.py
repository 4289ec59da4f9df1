"""A scene as it is played: who hears what, who is next, how it ends, and that nothing depends on scheduling."""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from coser_scenes import case, cases, write
from scripted import Script, Scripted

from roleeval.benchmarks import Actor, Helper, Keys
from roleeval.benchmarks.coser import Coser
from roleeval.benchmarks.coser.next import read_answer
from roleeval.benchmarks.coser.rules import Rules
from roleeval.benchmarks.coser.text import without_thoughts
from roleeval.engines import ModelSource
from roleeval.errors import ConfigError, ContextOverflowError, EngineError, UnsupportedRoleError
from roleeval.models import Base, Her
from roleeval.types import AdapterRef, Message, Persona, Request, Sample, Transcript

SOURCE = ModelSource("stub-model")
ACT = "[I must not say it] (stands up) Good evening."


def system_of(request: Request) -> str:
    assert request.messages is not None and request.messages[0].role == "system"
    return request.messages[0].content


def speaker_of(request: Request) -> str:
    system = system_of(request)
    if system.startswith("You are the surroundings"):
        return "Environment"
    return "NSP" if system.startswith("You watch") else system.removeprefix("You are ").partition(", a character")[0]


def by_speaker(**lines: str | Sequence[str]) -> Script:
    """A fixed reply for each speaker, or one after the other; underscores stand for spaces, stops are left out."""
    counts: dict[str, int] = {}

    def script(request: Request) -> str:
        name = speaker_of(request)
        said = lines.get(name.replace(". ", "_").replace(".", "").replace(" ", "_"), ACT)
        if isinstance(said, str):
            return said
        counts[name] = counts.get(name, -1) + 1
        return said[min(counts[name], len(said) - 1)]

    return script


def bench(tmp_path: Path, *scenes: dict[str, Any], **options: Any) -> Coser:
    return Coser(data_file=str(write(tmp_path, list(scenes) or [case()])), **options)


def actor(engine: Scripted, model: Base | None = None, seed: int = 1) -> Actor:
    helpers = {name: Actor(Base(name=name, source=SOURCE), engine, seed) for name in ("environment", "next_speaker")}  # type: ignore[arg-type]
    return Actor(model or Base(name="m", source=SOURCE), engine, seed, helpers)  # type: ignore[arg-type]


def play(benchmark: Coser, script: Script, model: Base | None = None) -> tuple[Transcript, Scripted]:
    engine = Scripted(script)
    sample = next(iter(benchmark.samples(limit=None)))
    return asyncio.run(benchmark.episode(sample, actor(engine, model))), engine


def said(transcript: Transcript) -> list[tuple[str, str]]:
    return [(turn.speaker, turn.visible) for turn in transcript.turns if not turn.aside]


def notes(transcript: Transcript) -> list[str]:
    return [turn.note for turn in transcript.turns if turn.part == "next_speaker"]


def test_a_system_prompt_has_its_parts_in_coser_s_order(tmp_path: Path) -> None:
    benchmark = bench(tmp_path)
    prompts, (scene,) = benchmark.prompts(tags=False), benchmark.scenes
    told = prompts.character(scene, "Mrs. Ames", ("She once lost a lamp.",))
    places = [
        told.index(part)
        for part in (
            'You are Mrs. Ames, a character of "The Lamp"',
            "The widow.\n\nShe keeps the house.",
            scene.scenario,
            "Bo Jr.: He is twelve.",
            "Cyrus: A lodger.",
            "I want the lamp lit.",
            "She once lost a lamp.",
            "[square brackets]",
            "60 words",
        )
    ]
    assert places == sorted(places)
    assert scene.summary not in told and "{" not in told
    bare = prompts.character(scene, "Cyrus")
    assert "What moves you" not in bare and "remember" not in bare
    assert "<role_thinking>" in benchmark.prompts(tags=True).character(scene, "Cyrus")
    assert prompts.environment(scene).endswith(scene.scenario) and "Mrs. Ames, Bo Jr." in prompts.environment(scene)
    predictor = prompts.next_speaker(scene)
    assert all(word in predictor for word in ("Cyrus, Environment", '"random"', "<END CHAT>", scene.scenario))


def test_thoughts_are_kept_by_oneself_and_others_hear_the_rest_with_a_name(tmp_path: Path) -> None:
    rules = Rules(rounds=3)
    script = by_speaker(NSP=["Bo Jr.", "Mrs. Ames"])
    transcript, engine = play(bench(tmp_path, protocol=rules), script)
    assert said(transcript) == [(name, "(stands up) Good evening.") for name in ("Mrs. Ames", "Bo Jr.", "Mrs. Ames")]
    assert all(turn.thoughts == "I must not say it" for turn in transcript.turns if turn.part == "model")
    assert transcript.turns[0].shown == transcript.turns[0].own_history == ACT
    first, nsp, second, nsp2, third = engine.requests
    start = "(The scene begins.)"
    assert first.messages is not None and first.messages[1:] == (Message("user", start),)
    heard = "Mrs. Ames: (stands up) Good evening."
    assert nsp.messages is not None and nsp.messages[1:] == (Message("user", f"{start}\n\n{heard}"),)
    assert second.messages is not None and second.messages[1:] == (Message("user", f"{start}\n\n{heard}"),)
    assert nsp2.messages is not None and nsp2.messages[2:] == (
        Message("assistant", "Bo Jr."),
        Message("user", "Bo Jr.: (stands up) Good evening."),
    )
    assert third.messages is not None and third.messages[1:] == (
        Message("user", start),
        Message("assistant", f"Mrs. Ames: {ACT}"),
        Message("user", "Bo Jr.: (stands up) Good evening."),
    )
    assert transcript.turns[4].messages == third.messages[2:]  # only what came since her last call
    assert [request.priority for request in engine.requests] == [1, 0, 1, 0, 1]
    assert {request.affinity for request in engine.requests} == {"The Lamp-10-0"}


def test_profiles_decide_on_names_and_on_merging(tmp_path: Path) -> None:
    rules = Rules(rounds=4, force_name=False, merge_neighbours=False, next_speaker_reply="reasoned")
    script = by_speaker(NSP=["Hm.\nNext Speaker: Bo Jr.", "Next Speaker: Cyrus", "Next Speaker: Mrs. Ames"])
    transcript, engine = play(bench(tmp_path, protocol=rules), script)
    last = engine.requests[-1].messages
    assert last is not None and [(m.role, m.content) for m in last[1:]] == [
        ("user", "(The scene begins.)"),
        ("assistant", ACT),
        ("user", "Bo Jr.: (stands up) Good evening."),
        ("user", "Cyrus: (stands up) Good evening."),
    ]
    assert notes(transcript) == ["exact"] * 3
    assert "Next Speaker: the name" in system_of(engine.requests[1])


def test_her_s_tags_are_her_own_memory_and_nobody_hears_a_thought(tmp_path: Path) -> None:
    text = (
        "<system_thinking>plan</system_thinking><role_thinking>hate</role_thinking><role_action>bows</role_action>Hi."
    )
    script = by_speaker(Mrs_Ames=text, Bo_Jr=text, NSP=["Bo Jr.", "Mrs. Ames"])
    transcript, engine = play(bench(tmp_path, protocol=Rules(rounds=3)), script, Her(name="her", source=SOURCE))
    assert said(transcript)[0] == ("Mrs. Ames", "(bows) Hi.")
    assert transcript.turns[0].shown == "[hate] (bows) Hi."
    last = engine.requests[-1].messages
    assert last is not None and last[2].content.startswith("Mrs. Ames: <role_thinking>hate</role_thinking>")
    others = [m.content for r in engine.requests for m in r.messages or () if m.role == "user"]
    assert not any("hate" in text or "plan" in text for text in others)
    assert any(text.endswith("Mrs. Ames: <role_action>bows</role_action>Hi.") for text in others)
    assert not any("(bows)" in text for text in others)
    assert "<system_thinking>" in system_of(engine.requests[0]) and "[square" not in system_of(engine.requests[0])


@pytest.mark.parametrize("name", ["long_role_thinking", "inner_thinking", "systemthinking"])
def test_a_thought_under_another_name_is_neither_heard_nor_visible(tmp_path: Path, name: str) -> None:
    text = f"<{name}>hate</{name}><role_speech>Hi.</role_speech>"
    for model in (Her(name="her", source=SOURCE, prefill=""), Base(name="base", source=SOURCE)):
        script = by_speaker(Mrs_Ames=text, NSP="Bo Jr.")
        transcript, engine = play(bench(tmp_path, protocol=Rules(rounds=2), output_format="tags"), script, model)
        assert said(transcript)[0] == ("Mrs. Ames", "Hi.") and "hate" in transcript.turns[0].thoughts
        heard = engine.requests[-1].messages
        assert heard is not None and heard[-1].content.endswith("Mrs. Ames: Hi.")


def test_another_model_that_is_told_to_write_her_s_tags_is_read_in_them(tmp_path: Path) -> None:
    script = by_speaker(Mrs_Ames="<role_thinking>hate</role_thinking><role_action>bows</role_action>Hi.", NSP="Bo Jr.")
    model = Base(name="base", source=SOURCE)
    transcript, engine = play(bench(tmp_path, protocol=Rules(rounds=2), output_format="tags"), script, model)
    assert said(transcript)[0] == ("Mrs. Ames", "(bows) Hi.") and transcript.turns[0].shown == "[hate] (bows) Hi."
    heard = engine.requests[-1].messages
    assert heard is not None and heard[-1].content.endswith("Mrs. Ames: <role_action>bows</role_action>Hi.")


TAGGED = "<role_thinking>hate</role_thinking><role_action>bows</role_action>Hi."


@pytest.mark.parametrize(
    ("model", "heard", "own"),
    [
        (Her(name="her", source=SOURCE, prefill=""), "<role_action>bows</role_action>Hi.", TAGGED),
        (Base(name="base", source=SOURCE), "(bows) Hi.", "[hate] (bows) Hi."),
    ],
)
def test_a_reference_in_her_s_tags_is_clean_for_judges_and_heard_in_the_characters_form(
    tmp_path: Path, model: Base, heard: str, own: str
) -> None:
    benchmark = bench(tmp_path, protocol=Rules(rounds=3), continue_from=1)
    (scene,) = benchmark.scenes
    lines = (replace(scene.lines[0], message=TAGGED), *scene.lines[1:])
    benchmark.__dict__["scenes"] = (replace(scene, lines=lines),)
    sample = next(iter(benchmark.samples(limit=None)))
    name = scene.lines[0].speaker
    assert sample.material["reference"].startswith(f"{name}: (bows) Hi.")
    assert sample.material["reference_shown"].startswith(f"{name}: [hate] (bows) Hi.")
    transcript, engine = play(benchmark, by_speaker(NSP=["Bo Jr.", name]), model)
    given = transcript.turns[0]
    assert (given.visible, given.shown, given.thoughts) == ("(bows) Hi.", "[hate] (bows) Hi.", "hate")
    chats = [m.content for r in engine.requests for m in r.messages or ()]
    assert any(text.endswith(f"{name}: {heard}") for text in chats)
    assert any(text.endswith(own) for text in chats)


def test_a_turn_without_a_word_is_counted_and_not_heard(tmp_path: Path) -> None:
    script = by_speaker(Mrs_Ames="[I say nothing]", NSP=["Bo Jr.", "Mrs. Ames"])
    transcript, engine = play(bench(tmp_path, protocol=Rules(rounds=3)), script)
    assert [turn.status for turn in transcript.turns if turn.part == "model"] == ["no_answer", "ok", "no_answer"]
    assert transcript.status == "ok"
    second = engine.requests[2].messages
    assert second is not None and second[1:] == (Message("user", "(The scene begins.)"),)


def test_who_speaks_again_after_silence_hears_the_silence(tmp_path: Path) -> None:
    script = by_speaker(Environment="[nothing]", NSP=["Environment", "Mrs. Ames"])
    transcript, engine = play(bench(tmp_path, protocol=Rules(rounds=3)), script)
    last = engine.requests[-1].messages
    assert last is not None and last[-1] == Message("user", "(Nobody answers.)")
    assert said(transcript)[1] == ("Environment", "[nothing]")  # the surroundings have no thoughts


def test_the_scene_ends_when_the_predictor_says_so_but_not_too_early(tmp_path: Path) -> None:
    transcript, _ = play(bench(tmp_path), by_speaker(NSP="<END CHAT>"))
    assert notes(transcript) == ["early_end"] * 5 + ["end"]
    assert len(said(transcript)) == 6


def test_the_last_round_asks_for_nobody(tmp_path: Path) -> None:
    transcript, engine = play(bench(tmp_path), by_speaker(NSP=["Bo Jr.", "Cyrus"] * 20))
    assert len(said(transcript)) == 20 and len(notes(transcript)) == 19
    assert len(engine.requests) == 39


def test_names_that_a_model_writes_itself_stand_once(tmp_path: Path) -> None:
    transcript, engine = play(
        bench(tmp_path, protocol=Rules(rounds=2)), by_speaker(Mrs_Ames="**Mrs. Ames:** [so] Well.", NSP="Bo Jr.")
    )
    assert said(transcript)[0] == ("Mrs. Ames", "Well.") and transcript.turns[0].shown == "[so] Well."
    heard = engine.requests[-1].messages
    assert heard is not None and heard[-1].content.endswith("\n\nMrs. Ames: Well.")


def test_the_reference_s_order_asks_no_predictor(tmp_path: Path) -> None:
    benchmark = bench(tmp_path, nsp="reference")
    transcript, engine = play(benchmark, by_speaker())
    assert [name for name, _ in said(transcript)] == [line.speaker for line in benchmark.scenes[0].lines]
    assert notes(transcript) == ["reference"] * 5 + ["end"]
    assert "next_speaker" not in benchmark.helpers() and all(speaker_of(r) != "NSP" for r in engine.requests)


def test_chance_alone_asks_no_predictor(tmp_path: Path) -> None:
    transcript, engine = play(bench(tmp_path, nsp="random"), by_speaker())
    assert notes(transcript) == ["random"] * 19 and all(speaker_of(r) != "NSP" for r in engine.requests)


def test_a_scene_goes_on_behind_the_turns_that_are_given(tmp_path: Path) -> None:
    benchmark = bench(tmp_path, continue_from=4, protocol=Rules(rounds=6))
    transcript, engine = play(benchmark, by_speaker(NSP=["Bo Jr.", "Cyrus"]))
    lines = benchmark.scenes[0].lines
    given = [turn for turn in transcript.turns if turn.part == "reference"]
    assert [turn.speaker for turn in given] == [line.speaker for line in lines[:4]]
    assert given[0].visible == "(looks up) I counted 0, dear friend." and given[0].thoughts == "Is it 0?"
    assert given[3].visible == lines[3].message
    assert [name for name, _ in said(transcript)[4:]] == ["Bo Jr.", "Cyrus"]
    bo = next(r for r in engine.requests if speaker_of(r) == "Bo Jr.").messages
    assert bo is not None and "Bo Jr.: [Is it 1?] (looks up) I counted 1, dear friend." in [m.content for m in bo]
    assert not any("Is it 0?" in m.content for m in bo)
    assert "Environment: The lamp  flickers 3 times." in bo[-1].content  # heard without what stands in brackets
    sample = next(iter(benchmark.samples(limit=None)))
    assert sample.labels["continue_from"] == "4"
    assert (
        sample.material["reference_rest"].startswith("Bo Jr.: ") and "I counted 4" in sample.material["reference_rest"]
    )


def test_a_call_that_fails_is_asked_again_as_it_was_and_then_ends_the_scene(tmp_path: Path) -> None:
    def failing(times: int) -> Script:
        failures = [EngineError("the network is down")] * times

        def script(request: Request) -> str:
            if speaker_of(request) == "Bo Jr." and failures:
                raise failures.pop()
            return "Bo Jr." if speaker_of(request) == "NSP" else ACT

        return script

    transcript, engine = play(bench(tmp_path, protocol=Rules(rounds=2)), failing(2))
    assert transcript.status == "ok" and transcript.turns[2].attempts == 3
    undisturbed, _ = play(bench(tmp_path, protocol=Rules(rounds=2)), failing(0))
    assert [turn.visible for turn in transcript.turns] == [turn.visible for turn in undisturbed.turns]
    tried = [request for request in engine.requests if speaker_of(request) == "Bo Jr."]
    assert len(tried) == 3 and len(set(tried)) == 1  # an undisturbed run makes the same request, once
    transcript, _ = play(bench(tmp_path, protocol=Rules(rounds=2)), failing(3))
    assert transcript.status == "engine_failed" and len(transcript.turns) == 3
    assert said(transcript)[0] == ("Mrs. Ames", "(stands up) Good evening.")
    assert (transcript.turns[-1].status, transcript.turns[-1].error) == ("engine_failed", "the network is down")


def test_a_predictor_that_fails_ends_the_scene_too(tmp_path: Path) -> None:
    def script(request: Request) -> str:
        if speaker_of(request) == "NSP":
            raise EngineError("gone")
        return ACT

    transcript, engine = play(bench(tmp_path, call_attempts=2), script)
    assert transcript.status == "engine_failed" and len(engine.requests) == 3
    assert [turn.part for turn in transcript.turns] == ["model", "next_speaker"]


@pytest.mark.parametrize(("who", "turns"), [("Bo Jr.", 3), ("NSP", 2), ("Mrs. Ames", 1)])
def test_a_scene_that_outgrows_the_context_keeps_its_turns_and_is_not_asked_again(
    tmp_path: Path, who: str, turns: int
) -> None:
    def script(request: Request) -> str:
        if speaker_of(request) == who:
            raise ContextOverflowError("too long by 7 tokens", longer="max_model_len", shorter=True)
        return "Bo Jr." if speaker_of(request) == "NSP" else ACT

    engine = Scripted(script)
    benchmark = bench(tmp_path, protocol=Rules(rounds=4))
    cast = actor(engine)
    keys = Keys("engine", benchmark.helpers()["next_speaker"].tokens_key)
    cast = replace(cast, helpers={name: replace(helper, keys=keys) for name, helper in cast.helpers.items()})
    transcript = asyncio.run(benchmark.episode(next(iter(benchmark.samples(limit=None))), cast))
    assert transcript.status == "context_overflow" and len(transcript.turns) == len(engine.requests) == turns
    key = "benchmark.protocol" if who == "NSP" else "model"
    assert (transcript.turns[-1].status, transcript.turns[-1].error) == (
        "context_overflow",
        f"too long by 7 tokens; raise engine.max_model_len or lower {key}.sampling.max_tokens",
    )
    assert all(turn.status == "ok" for turn in transcript.turns[:-1])


@dataclass(frozen=True, kw_only=True)
class OnlyAmes(Base):
    def adapter(self, persona: Persona) -> AdapterRef | None:
        if persona.role != "Mrs. Ames":
            raise UnsupportedRoleError(f"no adapter for {persona.role!r}")
        return None


def test_a_character_that_the_family_cannot_play_is_named_before_anything_is_asked(tmp_path: Path) -> None:
    transcript, engine = play(bench(tmp_path), by_speaker(), OnlyAmes(name="m", source=SOURCE))
    assert transcript.status == "unsupported_role" and engine.requests == []
    (turn,) = transcript.turns
    assert (turn.speaker, turn.error) == ("Bo Jr.", "no adapter for 'Bo Jr.'")


def test_a_scene_in_which_nobody_says_a_word_has_no_answer(tmp_path: Path) -> None:
    transcript, _ = play(bench(tmp_path), by_speaker(Mrs_Ames="[a]", Bo_Jr="[b]", Cyrus="[c]", NSP="random"))
    assert transcript.status == "no_answer"


def chatter(request: Request) -> str:
    """Depends on everything that was asked, so that one difference anywhere spreads."""
    key = hashlib.sha256(repr((request.messages, request.seed)).encode()).hexdigest()
    if speaker_of(request) == "NSP":
        return ("Bo Jr.", "**Cyrus**", "Mrs. Ames, of course", "random", "Nobody", "Environment", "<END CHAT>")[
            int(key, 16) % 7
        ]
    return f"[{key[:4]}] (waits) {key[4:9]}, you say?"


@pytest.mark.parametrize("nsp", ["model", "random"])
def test_transcripts_do_not_depend_on_how_many_scenes_are_in_flight(tmp_path: Path, nsp: Any) -> None:
    benchmark = Coser(data_file=str(write(tmp_path, cases(10))), nsp=nsp)

    async def all_scenes(in_flight: int) -> dict[str, Transcript]:
        player = actor(Scripted(chatter))
        pending, found = list(benchmark.samples(limit=None)), {}

        async def worker() -> None:
            while pending:
                sample: Sample = pending.pop()
                found[sample.id] = await benchmark.episode(sample, player)

        await asyncio.gather(*(worker() for _ in range(in_flight)))
        return found

    one, eight, many = (asyncio.run(all_scenes(count)) for count in (1, 8, 64))
    assert one == eight == many and len(one) == 10


def test_a_predictor_may_not_write_more_than_a_name_needs() -> None:
    """Unless a sentence is wanted, or it is a model with a sampling of its own."""
    name, reasoned = Rules(next_speaker_tokens=64), Rules(next_speaker_reply="reasoned")
    own = Helper(model=Base(name="gpt", source=SOURCE))
    limits = {rules: Coser(protocol=rules).helpers()["next_speaker"].sampling.max_tokens for rules in (name, reasoned)}
    assert limits == {name: 64, reasoned: 256}
    helpers = Coser(protocol=name).helpers()
    assert helpers["environment"].sampling.max_tokens == 256
    assert helpers["next_speaker"].tokens_key == "benchmark.protocol.next_speaker_tokens"
    assert helpers["environment"].tokens_key == "benchmark.protocol.sampling.max_tokens"
    assert Coser(protocol=name, next_speaker=own).helpers()["next_speaker"].model == own.model
    with pytest.raises(ConfigError, match="next_speaker_tokens: 0"):
        Rules(next_speaker_tokens=0)


@pytest.mark.parametrize(
    "reply",
    ["Bo Jr.", "**Bo Jr.**", "Bo Jr.: because", "Bo Jr. speaks next, as", "Nobody", "bo jr.\nThen", "Mrs. Ames\n"],
)
def test_what_a_predictor_writes_after_the_limit_names_nobody_else(reply: str) -> None:
    """Golden: a reply cut after 64 tokens is read as the whole one, since a name is looked for at its beginning."""
    names = ("Mrs. Ames", "Bo Jr.", "Cyrus", "Environment")
    rambling = f"{reply} " + "and then she said that Cyrus and the Environment were late again, " * 30
    cut = " ".join(rambling.split(" ")[:48])
    assert read_answer(cut, names, form="name") == read_answer(rambling, names, form="name")


def test_another_seed_draws_other_speakers(tmp_path: Path) -> None:
    benchmark = bench(tmp_path, nsp="random")
    sample = next(iter(benchmark.samples(limit=None)))
    drawn = [asyncio.run(benchmark.episode(sample, actor(Scripted(by_speaker()), seed=seed))) for seed in (1, 2)]
    assert said(drawn[0]) != said(drawn[1])


@pytest.mark.parametrize(
    ("text", "heard", "thoughts"),
    [
        ("[a] b (c)", "b (c)", "a"),
        ("b [a] c [d]", "b  c", "a\nd"),
        ("[a\nb] c", "c", "a\nb"),
        ("[a [b] c] d", "d", "a [b] c"),
        ("d [a b", "d", "a b"),
        ("a ] b", "a ] b", ""),
        ("\n a \n\n [x] \n b ", "a\nb", "x"),
        ("", "", ""),
    ],
)
def test_what_is_heard_of_a_message(text: str, heard: str, thoughts: str) -> None:
    assert without_thoughts(text) == (heard, thoughts)


def test_helpers_are_told_apart_by_the_protocol_s_sampling() -> None:
    helpers = Coser(environment=Helper(model=Base(name="gpt", source=SOURCE))).helpers()
    assert helpers["environment"].model is not None and helpers["next_speaker"].model is None


def test_averages_follow_the_protocol() -> None:
    assert Coser().averages() == {"all": (("id", "ood"),)}
    assert Coser(protocol=Rules(average="cases")).averages() == {"all": (("id+ood",),)}
    assert Coser(splits=("id",)).averages() == {}
