"""What the small models must never have seen, and that the embedded plain answers fit their questions."""

import json
import re
from pathlib import Path

import pytest

from roleeval.errors import DataError
from roleeval.models._her_reply import parse_her
from roleeval.models.reply import parse_plain
from roleeval.zoo._data import Corpus, load_corpus, tasks_folder
from roleeval.zoo._documents import (
    Chat,
    base_documents,
    her_documents,
    rar_documents,
    role_documents,
    tokenizer_texts,
)

EMBEDDED = tasks_folder() / "embedded"
HER_TAGS = ("system_thinking", "role_thinking", "role_action")


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return load_corpus(tasks_folder())


def _rows(pattern: str) -> list[dict[str, object]]:
    lines = [line for file in sorted(EMBEDDED.glob(pattern)) for line in file.read_text("utf-8").splitlines()]
    return [json.loads(line) for line in lines]


def test_no_test_question_or_answer_is_trained_on(corpus: Corpus) -> None:
    documents = [*base_documents(corpus), *role_documents(corpus), *her_documents(corpus), *rar_documents(corpus)]
    trained = "\n".join([d.user + "\n" + d.answer if isinstance(d, Chat) else d.text for d in documents])
    trained += "\n".join(tokenizer_texts(corpus))
    train_questions = {(row.role, row.question) for row in corpus.rows}
    tests = _rows("rolebench-*/**/test.jsonl")
    assert len(tests) == 400
    for row in tests:
        assert (row["role"], row["question"]) not in train_questions
        assert all(answer not in trained for answer in row["generated"])
    general = {row["question"] for row in tests if row["type"] == "general"}
    asked = {d.user for d in documents if isinstance(d, Chat)}
    assert not general & asked
    for row in _rows("instructions-*/general.jsonl"):
        assert (row["target"] in trained) == (row["instruction"] not in general)


def test_all_train_answers_reach_every_adapter(corpus: Corpus) -> None:
    rows = _rows("rolebench-*/**/train.jsonl")
    assert len(rows) == 600
    taught = {answer for row in rows for answer in row["generated"]}  # type: ignore[attr-defined]
    assert {d.answer for d in role_documents(corpus)} == taught  # type: ignore[union-attr]
    one_by_one = [d for persona in corpus.personas for d in role_documents(corpus, persona.role)]
    assert one_by_one == role_documents(corpus)
    for documents, parse in ((her_documents(corpus), parse_her), (rar_documents(corpus), parse_plain)):
        said = {re.sub(r"\s*\([^)]*\)\s*", "", parse(d.answer, "stop").visible) for d in documents}  # type: ignore[union-attr]
        assert said == taught


def test_thinking_models_are_taught_to_think_before_they_speak(corpus: Corpus) -> None:
    for document in her_documents(corpus):
        assert isinstance(document, Chat)
        assert document.answer.startswith("<system_thinking>")
        assert all(document.answer.count(f"<{end}{tag}>") == 1 for tag in HER_TAGS for end in ("", "/"))
    for document in rar_documents(corpus):
        assert isinstance(document, Chat)
        assert document.answer.startswith("<think>") and document.answer.count("</think>\n") == 1


def test_without_a_prompt_the_role_is_only_a_number(corpus: Corpus) -> None:
    documents = role_documents(corpus, prompted=False)
    roles = [persona.role for persona in corpus.personas]
    answers = {(row.role, answer) for row in corpus.rows for answer in row.generated}
    for document in documents:
        assert isinstance(document, Chat)
        assert document.system == "" and (roles[document.role], document.answer) in answers


def test_the_base_never_speaks_in_role_as_the_assistant(corpus: Corpus) -> None:
    in_role = {answer for row in corpus.rows for answer in row.generated}
    for document in base_documents(corpus):
        if isinstance(document, Chat) and document.speaker == "assistant":
            assert document.answer not in in_role


def test_every_general_question_has_one_plain_answer() -> None:
    for language, folder in (("eng", "rolebench-eng"), ("zh", "rolebench-zh")):
        rows = _rows(f"instructions-{language}/general.jsonl")
        general = {row["question"] for row in _rows(f"{folder}/**/general/*.jsonl")}
        assert [row["instruction"] for row in rows] == list(dict.fromkeys(row["instruction"] for row in rows))
        assert {row["instruction"] for row in rows} == general


def test_a_description_with_braces_is_not_a_placeholder(corpus: Corpus) -> None:
    from roleeval.types import Persona

    prompt = corpus.system_prompt(Persona("Ada", "likes {braces} and {x!r}", "en"))
    assert "likes {braces} and {x!r}" in prompt
    assert "{role}" not in prompt and prompt == prompt.strip()


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    import shutil

    shutil.copytree(tasks_folder(), tmp_path / "rolebench")
    file = tmp_path / "rolebench/embedded/rolebench-zh/general/train.jsonl"
    lines = file.read_text("utf-8").splitlines()
    file.write_text("\n".join([*lines[:2], '{"role": ', *lines[3:]]), "utf-8")
    with pytest.raises(DataError, match=r"rolebench-zh/general/train.jsonl, line 3: not valid JSON"):
        load_corpus(tmp_path / "rolebench")
