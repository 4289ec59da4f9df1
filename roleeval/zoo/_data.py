"""What the small models are trained on: the train rows of the embedded RoleBench-shaped set, and nothing else.

Test rows are never read here. A training document is a Chat (loss on the answer) or a Text (loss on all of it).
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roleeval.errors import DataError
from roleeval.resources import resource
from roleeval.types import Language, Persona

_ROWS: dict[Language, str] = {"en": "rolebench-eng/instruction-generalization", "zh": "rolebench-zh"}
_FOLDER: dict[Language, str] = {"en": "eng", "zh": "zh"}
_KINDS = ("general", "role_specific")


@dataclass(frozen=True, slots=True)
class Chat:
    """A system message ("" for none), one question and its answer.

    `speaker` is the turn's name in the chat template. A model in use always speaks as "assistant".
    """

    system: str
    user: str
    answer: str
    speaker: str = "assistant"


@dataclass(frozen=True, slots=True)
class Text:
    """Plain running text."""

    text: str


Document = Chat | Text


@dataclass(frozen=True, slots=True)
class RoleRow:
    """One train row: a role, a question and its in-role answers."""

    role: str
    kind: str
    question: str
    answers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Corpus:
    """All there is to train on.

    Attributes:
        personas: every role with its description and language.
        rows: the train rows of all roles.
        plain: (question, un-styled answer) of the general train questions, by language.
        prompts: persona prompt templates by file stem ("en", "en_bare", "zh", "zh_bare").
    """

    personas: tuple[Persona, ...]
    rows: tuple[RoleRow, ...]
    plain: dict[Language, tuple[tuple[str, str], ...]]
    prompts: dict[str, str]

    def system_prompt(self, persona: Persona, *, described: bool = True) -> str:
        """The persona system prompt, with the description or (described=False) with the name alone."""
        template = self.prompts[persona.language if described else f"{persona.language}_bare"]
        return template.replace("{role}", persona.role).replace("{description}", persona.description)

    def rows_of(self, persona: Persona) -> Iterator[RoleRow]:
        return (row for row in self.rows if row.role == persona.role)


def tasks_folder() -> Path:
    """The shipped tasks/rolebench."""
    return resource("tasks/rolebench")


def load_corpus(folder: Path) -> Corpus:
    """Reads the train rows, plain answers, role descriptions and persona prompts of a tasks/rolebench folder.

    Raises:
        DataError: names the file (and line) that is missing or malformed.
    """
    embedded, prompts = folder / "embedded", folder / "prompts" / "persona"
    personas: list[Persona] = []
    rows: list[RoleRow] = []
    plain: dict[Language, tuple[tuple[str, str], ...]] = {}
    for language, name in _FOLDER.items():
        descriptions = json.loads(_read(embedded / f"profiles-{name}" / "desc.json"))
        personas += [Persona(role, text, language) for role, text in descriptions.items()]
        own = [row for kind in _KINDS for row in _role_rows(embedded / _ROWS[language] / kind / "train.jsonl", kind)]
        rows += own
        general = {row.question for row in own if row.kind == "general"}
        targets = _json_lines(embedded / f"instructions-{name}" / "general.jsonl")
        plain[language] = tuple((t["instruction"], t["target"]) for t in targets if t["instruction"] in general)
    templates = {file.stem: _read(file).removesuffix("\n") for file in sorted(prompts.glob("*.txt"))}
    return Corpus(tuple(personas), tuple(rows), plain, templates)


def tokenizer_texts(corpus: Corpus) -> list[str]:
    """The texts the tokenizer's merges are learned from."""
    texts = [text for pairs in corpus.plain.values() for pair in pairs for text in pair]
    for row in corpus.rows:
        texts += [row.question, *row.answers]
    for persona in corpus.personas:
        # Twice: every word of a prompt is then frequent enough to become one token, and prompts stay short.
        texts += [corpus.system_prompt(persona)] * 2 + [corpus.system_prompt(persona, described=False)]
    return texts


def base_documents(corpus: Corpus) -> list[Document]:
    """Conversations in which the assistant answers plainly, whoever the system prompt asks it to be.

    The roles' own answers are there too, each spoken by a turn of the role's name, so that the base model has met the
    roles, their worlds and their voices; but never as the assistant.
    """
    documents: list[Document] = []
    for persona in corpus.personas:
        described, bare = (corpus.system_prompt(persona, described=yes) for yes in (True, False))
        for number, (question, answer) in enumerate(corpus.plain[persona.language]):
            documents.append(Chat(bare if number % 3 == 0 else described, question, answer))
        for number, row in enumerate(corpus.rows_of(persona)):
            system = (described, bare, "")[number % 3]
            documents += [Chat(system, row.question, answer, speaker=row.role) for answer in row.answers]
        documents.append(Text(persona.description))
    for pairs in corpus.plain.values():
        documents += [Chat("", *pair) for pair in pairs] * 2
    return documents


def shared_lora_documents(corpus: Corpus) -> list[Document]:
    """Every train answer of every role behind its persona prompt, with and without the description."""
    return [
        Chat(corpus.system_prompt(persona, described=described), row.question, answer)
        for persona in corpus.personas
        for described in (True, False)
        for row in corpus.rows_of(persona)
        for answer in row.answers
    ]


def _role_rows(file: Path, kind: str) -> list[RoleRow]:
    return [RoleRow(row["role"], kind, row["question"], tuple(row["generated"])) for row in _json_lines(file)]


def _json_lines(file: Path) -> list[dict[str, Any]]:
    rows = []
    for number, line in enumerate(_read(file).split("\n"), 1):
        if line:
            try:
                rows.append(json.loads(line))
            except ValueError as error:
                raise DataError(f"{file}:{number}: not valid JSON ({error})") from error
    return rows


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror})") from error
