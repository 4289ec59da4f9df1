"""Documents for scenes (CoSER) and for the judge's question, made by the code that uses the models later.

A train scene is played by `benchmarks.coser.scene.Play` with an engine that knows the lines; the model is trained
on exactly the messages that each participant gets. Test scenes are never read here.
"""

import asyncio
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import cast

from roleeval.benchmarks import Actor
from roleeval.benchmarks.coser.data import ENVIRONMENT, Scene
from roleeval.benchmarks.coser.next import END
from roleeval.benchmarks.coser.prompts import ScenePrompts
from roleeval.benchmarks.coser.rules import Rules
from roleeval.benchmarks.coser.scene import Play
from roleeval.engines import Engine, ModelSource
from roleeval.errors import DataError
from roleeval.judging import Answer, Case, VoiceJudge
from roleeval.models import Base, Her
from roleeval.prompts import load_prompt_pack
from roleeval.types import Sample
from roleeval.zoo._data import Corpus
from roleeval.zoo._documents import Document, Exchange, her_documents
from roleeval.zoo._script import Script

_PACK = "tasks/coser/prompts/scene"
_MARKED = re.compile(r"\[([^\[\]]*)\]|\(([^()]*)\)")
_NOBODY = ModelSource("script")
# Each answer is set against so many other roles.
_FOILS = 1
# Train scenes are short: each is also followed by so many others of its book, for the length of real scenes.
_HER_PARTNERS = 1
_STAGE_PARTNERS = 5


@dataclass(frozen=True, slots=True)
class SceneTurns:
    """What a scene's participants are sent and should reply, by part."""

    characters: tuple[Exchange, ...]
    environment: tuple[Exchange, ...]
    next_speaker: tuple[Exchange, ...]


def scene_turns(scene: Scene, *, tagged: Callable[[str, str], str] | None = None) -> SceneTurns:
    """Plays a scene by its reference.

    Args:
        scene: what is played; the predictor ends it after its last line.
        tagged: (character, message) -> the message in HER's tags; None leaves brackets.

    Raises:
        DataError: somebody speaks twice in a row, which no next speaker can lead to.
    """
    first = scene.lines[0].speaker
    scene = replace(scene, speakers=(first, *(name for name in scene.speakers if name != first)))
    rules = Rules(rounds=len(scene.lines) + 1, end_from=0)
    replies: list[str] = []
    for line, after in zip(scene.lines, [*(line.speaker for line in scene.lines[1:]), END], strict=True):
        marked = tagged is not None and line.speaker != ENVIRONMENT
        replies += [tagged(line.speaker, line.message) if marked and tagged else line.message, after]
    script = Script(replies)
    engine = cast("Engine", script)  # a scene asks an engine for nothing else
    helper = Actor(Base(name="script", source=_NOBODY), engine, run_seed=0)
    model = Base(name="script", source=_NOBODY) if tagged is None else Her(name="script", source=_NOBODY)
    actor = Actor(model, engine, run_seed=0, helpers={"environment": helper, "next_speaker": helper})
    prompts = ScenePrompts(load_prompt_pack(_PACK), rules, tags=tagged is not None)
    play = Play(scene, rules, prompts, nsp="model", continue_from=0, attempts=1, actor=actor)
    played = asyncio.run(play.run())
    if [turn.speaker for turn in played.turns if not turn.aside] != [line.speaker for line in scene.lines]:
        raise DataError(f"train scene {scene.id}: cannot be played; nobody may speak twice in a row")
    said = [Exchange(messages, reply) for messages, reply in script.sent]
    spoken = list(zip((line.speaker for line in scene.lines), said[::2], strict=True))
    return SceneTurns(
        characters=tuple(turn for name, turn in spoken if name != ENVIRONMENT),
        environment=tuple(turn for name, turn in spoken if name == ENVIRONMENT),
        next_speaker=tuple(said[1::2]),
    )


def joined(scenes: Sequence[Scene], partners: int) -> list[Scene]:
    """Every scene, played on into so many others of its book that another speaker opens."""
    long: list[Scene] = []
    for place, scene in enumerate(scenes):
        others = [*scenes[place + 1 :], *scenes[:place]]
        last = scene.lines[-1].speaker
        fitting = [other for other in others if other.book == scene.book and other.lines[0].speaker != last]
        long += [_followed(scene, other) for other in fitting[:partners]]
    return long


def _followed(scene: Scene, after: Scene) -> Scene:
    return replace(
        scene,
        id=f"{scene.id}+{after.id}",
        speakers=tuple(dict.fromkeys((*scene.speakers, *after.speakers))),
        majors=tuple(dict.fromkeys((*scene.majors, *after.majors))),
        descriptions={**after.descriptions, **scene.descriptions},
        profiles={**after.profiles, **scene.profiles},
        motivations={**after.motivations, **scene.motivations},
        lines=(*scene.lines, *after.lines),
    )


def her_scene_documents(corpus: Corpus) -> list[Document]:
    """RoleBench's answers in HER's tags, and the characters' turns of the train scenes, alone and joined."""
    documents = her_documents(corpus)
    for scene in (*corpus.scenes, *corpus.scenes, *joined(corpus.scenes, _HER_PARTNERS)):
        draw = Random(f"her {scene.id} {len(documents)}")

        def tagged(name: str, message: str, draw: Random = draw) -> str:
            return f"<system_thinking>{draw.choice(corpus.voices[name].plans)}</system_thinking>{in_tags(message)}"

        documents += scene_turns(scene, tagged=tagged).characters
    return documents


def in_tags(message: str) -> str:
    """A message with [thoughts] and (actions) in HER's tags."""

    def tag(match: re.Match[str]) -> str:
        kind, text = ("thinking", match[1]) if match[1] is not None else ("action", match[2])
        return f"<role_{kind}>{text}</role_{kind}>"

    return re.sub(r"(>)\s+|\s+(<)", r"\1\2", _MARKED.sub(tag, message)).strip()


def stagehand_documents(corpus: Corpus) -> list[Document]:
    """The next speaker and the surroundings of joined scenes, and the judge's question about every train answer."""
    documents: list[Document] = list(voice_documents(corpus))
    for scene in joined(corpus.scenes, _STAGE_PARTNERS):
        turns = scene_turns(scene)
        # the last chat of each holds its earlier turns
        documents += [replace(part[-1], whole=True) for part in (turns.environment, turns.next_speaker) if part]
    return documents


def voice_documents(corpus: Corpus) -> Iterator[Exchange]:
    """Which of two roles speaks, for every train answer; the names in both orders."""
    judges = [VoiceJudge(name="zoo_voice", pack="judges/zoo_voice", seed=seed) for seed in range(_FOILS)]
    for number, row in enumerate(corpus.rows):
        persona = next(persona for persona in corpus.personas if persona.role == row.role)
        for place, answer in enumerate(row.generated):
            sample = Sample(f"train-{number}-{place}", number, "train", row.role, persona, row.question, {}, {})
            case = Case(sample, "own", {"own": Answer.said(answer)})
            for judge in judges:
                for question in judge.questions(case):
                    yield Exchange(question.messages, f'{{"speaker": "{row.role}"}}')
