"""Training rows of one's own: the train files of a folder in RoleBench's layout, or simply JSONL files of its rows.

    DIR/rolebench-eng/instruction-generalization/{general,role_specific}/train.jsonl
    DIR/rolebench-zh/{general,role_specific}/train.jsonl
    DIR/profiles-{eng,zh}/desc.json       role -> description; without it a prompt holds the role's name alone
    DIR/inner_voices.json                 role -> plans, thoughts, actions, reasoning; without it, ones that fit anybody

Where none of RoleBench's files is there: every *.jsonl below DIR with "train" in its name. Test files are never read.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from roleeval.benchmarks.rolebench.data import SPLITS, Row, read_descriptions
from roleeval.errors import DataError, cause_of
from roleeval.jsonfiles import json_lines, parse_json
from roleeval.models import nfc
from roleeval.resources import resource
from roleeval.types import Language, Persona
from roleeval.zoo._data import Corpus, Voice, read_voices

_VOICES = "inner_voices.json"
_ANY_VOICE = "tasks/rolebench/any_voice.json"
_LANGUAGES: tuple[Language, ...] = ("en", "zh")
# Its rows are those of the instruction generalisation, with that one's test questions among them.
_OTHER_SPLIT = "rolegen"
_CHINESE = re.compile(r"[\u3400-\u9fff]")


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    language: Language | None  # None: as its texts say


def own_corpus(folder: Path, embedded: Corpus, *, say: Callable[[str], None]) -> Corpus:
    """The embedded corpus with other rows and roles: scenes, sessions and prompts stay.

    Args:
        folder: see above.
        embedded: of `load_corpus`.
        say: receives what was read, and what was left out.

    Raises:
        DataError: names the folder without training rows, the file and line that are malformed, or a role without
            an answer.
    """
    if not folder.is_dir():
        raise DataError(f"--data {folder}: no such folder")
    files = _train_files(folder)
    rows = [(row, file.language) for file in files for row in _rows(file.path)]
    kept = _unique([row for row, _ in rows])
    languages = _languages(rows)
    described = {language: read_descriptions(folder, language) for language in _LANGUAGES}
    known = {role: text for descriptions in described.values() for role, text in descriptions.items()}
    empty = [role for role in languages if not any(row.role == role for row in kept)]
    if empty:
        raise DataError(f"--data {folder}: no answer that is not empty for {', '.join(map(repr, empty))}")
    personas = tuple(Persona(role, known.get(role, ""), language) for role, language in languages.items())
    answers = sum(len(row.generated) for row in kept)
    say(f"data: {len(personas)} roles, {len(kept)} questions, {answers} answers from {len(files)} files in {folder}")
    _tell_of("have no rows and get no adapter", [role for role in known if role not in languages], say)
    bare = [role for role in languages if not known.get(role)]
    _tell_of("have no description (desc.json): their prompts hold the name alone", bare, say)
    return replace(embedded, personas=personas, rows=kept, voices=_voices(folder, personas, embedded))


def _tell_of(what: str, roles: Sequence[str], say: Callable[[str], None]) -> None:
    if roles:
        shown = ", ".join(roles[:5]) + (", ..." if len(roles) > 5 else "")
        say(f"data: {len(roles)} roles {what}: {shown}")


def _train_files(folder: Path) -> list[_File]:
    found = {name: _File(folder / spec.train, spec.language) for name, spec in SPLITS.items()}
    found = {name: file for name, file in found.items() if file.path.is_file()}
    first = {name: file for name, file in found.items() if not name.startswith(_OTHER_SPLIT)}
    files = list((first or found).values())
    if not files:
        files = [_File(path, None) for path in sorted(folder.rglob("*.jsonl")) if "train" in path.name]
    if not files:
        tests = sorted(folder.rglob("test.jsonl"))
        there = f"; it has test files ({tests[0]}), which are never trained on" if tests else ""
        raise DataError(
            f"--data {folder}: no training rows in it{there}; expected RoleBench's layout"
            f" ({SPLITS['eng_general'].train}, {SPLITS['zh_general'].train}, ...), or *train*.jsonl files of its rows"
        )
    return files


def _rows(file: Path) -> Iterator[Row]:
    empty = True
    try:
        for number, line in json_lines(file):
            empty = False
            try:
                yield _row(parse_json(line), number)
            except ValueError as error:
                raise DataError(f"{file}, line {number}: {error}; fix the line or delete it") from error
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({cause_of(error)})") from error
    if empty:
        raise DataError(f"{file}: contains no rows")


def _row(data: Any, number: int) -> Row:
    if not isinstance(data, dict):
        raise ValueError("not a JSON object")
    for key in ("role", "question"):
        if not isinstance(data.get(key), str) or not data[key].strip():
            raise ValueError(f"{key} must be a non-empty string")
    generated = data.get("generated")
    answers = [generated] if isinstance(generated, str) else generated
    if not isinstance(answers, list) or not all(isinstance(answer, str) for answer in answers):
        raise ValueError("generated must be a list of strings, the role's answers")
    return Row(nfc(data["role"]), data["question"], tuple(answer for answer in answers if answer.strip()), "", number)


def _unique(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Every answer to a question once, whatever files it is in; rows without answers are left out."""
    seen: dict[tuple[str, str], dict[str, None]] = {}
    for row in rows:
        seen.setdefault((row.role, row.question), {}).update(dict.fromkeys(row.generated))
    return tuple(Row(role, question, tuple(answers), "", 0) for (role, question), answers in seen.items() if answers)


def _languages(rows: Sequence[tuple[Row, Language | None]]) -> dict[str, Language]:
    """Role -> the language of most of its rows, in the files' order."""
    votes: dict[str, Counter[Language]] = {}
    for row, language in rows:
        votes.setdefault(row.role, Counter())[language or _language(row.question)] += 1
    return {role: counted.most_common(1)[0][0] for role, counted in votes.items()}


def _language(text: str) -> Language:
    return "zh" if len(_CHINESE.findall(text)) * 3 > len(text.strip()) else "en"


def _voices(folder: Path, personas: Sequence[Persona], embedded: Corpus) -> dict[str, Voice]:
    own = read_voices(folder / _VOICES) if (folder / _VOICES).is_file() else {}
    texts = json.loads(resource(_ANY_VOICE).read_text(encoding="utf-8"))

    def anybody(persona: Persona) -> Voice:
        kinds = texts[persona.language].items()
        return Voice(**{kind: tuple(line.replace("{role}", persona.role) for line in lines) for kind, lines in kinds})

    # Those of the embedded roles stay for the scenes that they are in.
    others = {persona.role: anybody(persona) for persona in personas if persona.role not in embedded.voices}
    return {**embedded.voices, **others, **own}
