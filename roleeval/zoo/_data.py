"""The training data of the small models: only the train rows, train scenes and train sessions of the embedded sets.

Test rows, test scenes and test seeds are never read here.

    tasks/minimax/train/LANGUAGE.jsonl   a seed, the session from it, and what the character plans before it speaks
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from roleeval.benchmarks.coser.data import Scene, read_scenes
from roleeval.benchmarks.minimax.data import Seed, read_seeds
from roleeval.benchmarks.minimax.session import FIRST
from roleeval.benchmarks.rolebench.data import SPLITS, Row, read_descriptions, read_raw_targets, read_rows
from roleeval.errors import DataError
from roleeval.jsonfiles import json_lines, parse_json
from roleeval.resources import resource
from roleeval.types import Language, Persona

_SCENES = "tasks/coser/embedded/train_scenes.json"
_SESSIONS = "tasks/minimax/train"
_GENERAL: dict[Language, str] = {"en": "eng_general", "zh": "zh_general"}
_SPECIFIC: dict[Language, str] = {"en": "eng_specific", "zh": "zh_specific"}


@dataclass(frozen=True, slots=True)
class Voice:
    """A role's inner life, for the models that think before they speak. Every sentence fits any question.

    Attributes:
        plans: how the role will answer, in the third person (HER's system thinking).
        thoughts: passing thoughts in the first person (HER's role thinking).
        actions: small movements (HER's role action).
        reasoning: in-character reasoning in the first person (RAR).
    """

    plans: tuple[str, ...]
    thoughts: tuple[str, ...]
    actions: tuple[str, ...]
    reasoning: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TrainSession:
    """A session to train on.

    Attributes:
        seed: what it begins with.
        lines: all its messages from round 0 on; the first two are the seed's.
        plans: what the character plans, in the third person (HER's system thinking); any fits any of its messages.
    """

    seed: Seed
    lines: tuple[str, ...]
    plans: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Corpus:
    """All there is to train on.

    Attributes:
        personas: every role with its description and language.
        rows: the train rows of all roles.
        plain: (question, un-styled answer) of the general train questions, by language.
        prompts: persona prompt templates by file stem ("en", "en_bare", "zh", "zh_bare").
        voices: role -> its inner life.
        scenes: the train scenes.
        sessions: the train sessions.
    """

    personas: tuple[Persona, ...]
    rows: tuple[Row, ...]
    plain: dict[Language, tuple[tuple[str, str], ...]]
    prompts: dict[str, str]
    voices: dict[str, Voice]
    scenes: tuple[Scene, ...] = ()
    sessions: tuple[TrainSession, ...] = ()

    def system_prompt(self, persona: Persona, *, described: bool = True) -> str:
        """The persona system prompt, with the description or (described=False) with the name alone."""
        described = described and bool(persona.description)
        template = self.prompts[persona.language if described else f"{persona.language}_bare"]
        return template.replace("{role}", persona.role).replace("{description}", persona.description)

    def rows_of(self, persona: Persona) -> Iterator[Row]:
        return (row for row in self.rows if row.role == persona.role)


def tasks_folder() -> Path:
    """The shipped tasks/rolebench."""
    return resource("tasks/rolebench")


def load_corpus(folder: Path) -> Corpus:
    """Reads the train rows, plain answers, descriptions, voices and persona prompts of a tasks/rolebench folder.

    The train scenes and sessions are always the shipped ones.

    Raises:
        DataError: names the file (and line) that is missing or malformed.
    """
    embedded, prompts = folder / "embedded", folder / "prompts" / "persona"
    personas: list[Persona] = []
    rows: list[Row] = []
    plain: dict[Language, tuple[tuple[str, str], ...]] = {}
    for language in _GENERAL:
        descriptions = read_descriptions(embedded, language)
        personas += [Persona(role, text, language) for role, text in descriptions.items()]
        general, specific = (tuple(read_rows(embedded / SPLITS[x[language]].train)) for x in (_GENERAL, _SPECIFIC))
        rows += general + specific
        targets = read_raw_targets(embedded, language)
        plain[language] = tuple((q, targets[q]) for q in dict.fromkeys(row.question for row in general))
    templates = {file.stem: _read(file).removesuffix("\n") for file in sorted(prompts.glob("*.txt"))}
    scenes = tuple(read_scenes(resource(_SCENES)))
    sessions = tuple(read_sessions(resource(_SESSIONS)))
    voices = read_voices(embedded / "inner_voices.json")
    return Corpus(tuple(personas), tuple(rows), plain, templates, voices, scenes, sessions)


def read_sessions(folder: Path) -> Iterator[TrainSession]:
    """The train sessions of a folder.

    Raises:
        DataError: names the file (and line) that is missing or malformed.
    """
    for language in _GENERAL:
        file = folder / f"{language}.jsonl"
        for seed, (number, line) in zip(read_seeds(file, language), json_lines(file), strict=True):
            row = parse_json(line)
            try:
                lines, plans = tuple(entry["text"] for entry in row["dialogue"]), tuple(row["plans"])
            except (KeyError, TypeError) as error:
                raise DataError(f"{file}, line {number}: expected dialogue, [{{text}}], and plans ({error})") from error
            if lines[:FIRST] != (seed.ai_prologue, seed.initial_user_input):
                raise DataError(f"{file}, line {number}: the dialogue does not begin as its seed says")
            yield TrainSession(seed, lines, plans)


def read_voices(file: Path) -> dict[str, Voice]:
    """Role -> its inner life.

    Raises:
        DataError: the file is missing or malformed.
    """
    try:
        voices = {
            role: Voice(**{kind: tuple(lines) for kind, lines in voice.items()})
            for role, voice in json.loads(_read(file)).items()
        }
    except (ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{file}: expected role -> plans, thoughts, actions, reasoning ({error})") from error
    for role, voice in voices.items():
        if not all((voice.plans, voice.thoughts, voice.actions, voice.reasoning)):
            raise DataError(f"{file}: {role}: plans, thoughts, actions and reasoning need a line each, at least")
    return voices


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror})") from error
