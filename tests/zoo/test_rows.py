"""Training rows of one's own: whatever part of RoleBench's layout is there is read, and faults are named by line."""

import json
from pathlib import Path
from typing import Any

import pytest

from roleeval.errors import DataError
from roleeval.zoo._data import Corpus, load_corpus, tasks_folder
from roleeval.zoo._documents import her_documents, rar_documents, role_documents
from roleeval.zoo._rows import own_corpus

ENGLISH = "rolebench-eng/instruction-generalization/general/train.jsonl"
CHINESE = "rolebench-zh/role_specific/train.jsonl"
OTHER = "rolebench-eng/role-generalization/general/train.jsonl"


@pytest.fixture(scope="module")
def embedded() -> Corpus:
    return load_corpus(tasks_folder())


def row(role: str = "Ada", question: str = "Who?", *answers: str, **more: Any) -> dict[str, Any]:
    return {"role": role, "question": question, "generated": list(answers) or ["Me."], **more}


def write(file: Path, *rows: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = [line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in rows]
    file.write_text("\n".join(lines) + "\n", "utf-8")


def read(folder: Path, embedded: Corpus) -> tuple[Corpus, list[str]]:
    said: list[str] = []
    return own_corpus(folder, embedded, say=said.append), said


def test_every_train_file_of_the_release_is_read_and_no_test_question(tmp_path: Path, embedded: Corpus) -> None:
    write(tmp_path / ENGLISH, row("Ada", "Who?", "Me.", "I.", type="general"), row("D_Artagnan", " Where?", " Here."))
    write(tmp_path / CHINESE, row("孙悟空", "你是谁？", "俺老孙。", type=["role_specific"]))
    write(tmp_path / OTHER, row("Ada", "A test question of the other split?"))
    write(tmp_path / ENGLISH.replace("train", "test"), row("Ada", "A test question?"))
    write(
        tmp_path / "profiles-zh/desc.json", json.dumps({"孙悟空": "齐天大圣。", "唐僧": "取经人。"}, ensure_ascii=False)
    )
    corpus, said = read(tmp_path, embedded)
    assert [(p.role, p.language, p.description) for p in corpus.personas] == [
        ("Ada", "en", ""), ("D_Artagnan", "en", ""), ("孙悟空", "zh", "齐天大圣。"),
    ]  # fmt: skip
    assert [(r.question, r.generated) for r in corpus.rows] == [
        ("Who?", ("Me.", "I.")), (" Where?", (" Here.",)), ("你是谁？", ("俺老孙。",)),
    ]  # fmt: skip
    assert said == [
        f"data: 3 roles, 3 questions, 4 answers from 2 files in {tmp_path}",
        "data: 1 roles have no rows and get no adapter: 唐僧",
        "data: 2 roles have no description (desc.json): their prompts hold the name alone: Ada, D_Artagnan",
    ]
    assert "description" not in corpus.system_prompt(corpus.personas[0])
    for documents in (role_documents(corpus), her_documents(corpus), rar_documents(corpus)):
        assert len(documents) == 4
        assert not any("{role}" in document.answer for document in documents)  # type: ignore[union-attr]


def test_files_outside_the_layout_are_found_and_their_languages_too(tmp_path: Path, embedded: Corpus) -> None:
    write(
        tmp_path / "deep/my_train.jsonl",
        row(generated="One answer, not in a list."),
        "",
        row("妙玉", "你是谁？", "我。"),
    )
    write(tmp_path / "deep/more-train.jsonl", row(), row("Ada", "Who?", "One answer, not in a list."))
    corpus, _ = read(tmp_path, embedded)
    assert {persona.role: persona.language for persona in corpus.personas} == {"Ada": "en", "妙玉": "zh"}
    answers = {row.role: row.generated for row in corpus.rows}
    assert answers == {"Ada": ("Me.", "One answer, not in a list."), "妙玉": ("我。",)}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([row(), "{"], r"train.jsonl, line 2: not valid JSON .*; fix the line or delete it"),
        ([row(), "", row(role=" ")], "train.jsonl, line 3: role must be a non-empty string"),
        ([{"role": "Ada", "question": "Who?"}], "line 1: generated must be a list of strings, the role's answers"),
        ([["Ada"]], "line 1: not a JSON object"),
        ([row(), row("Bob", "Who?", " ")], "no answer that is not empty for 'Bob'"),
        ([], "train.jsonl: contains no rows"),
    ],
)
def test_a_fault_is_named_with_file_and_line(tmp_path: Path, embedded: Corpus, rows: list[Any], message: str) -> None:
    write(tmp_path / ENGLISH, *rows)
    with pytest.raises(DataError, match=message):
        read(tmp_path, embedded)


def test_a_folder_without_training_rows_says_what_is_expected(tmp_path: Path, embedded: Corpus) -> None:
    with pytest.raises(DataError, match="no such folder"):
        read(tmp_path / "none", embedded)
    with pytest.raises(DataError, match=r"no training rows in it; expected RoleBench's layout \(rolebench-eng"):
        read(tmp_path, embedded)
    write(tmp_path / ENGLISH.replace("train", "test"), row())
    with pytest.raises(DataError, match=r"it has test files .* which are never trained on"):
        read(tmp_path, embedded)


def test_own_inner_voices_are_used_and_must_be_whole(tmp_path: Path, embedded: Corpus) -> None:
    write(tmp_path / ENGLISH, row())
    voice = {"plans": ["P"], "thoughts": ["T"], "actions": ["A"], "reasoning": ["R"]}
    write(tmp_path / "inner_voices.json", json.dumps({"Ada": voice}))
    corpus, _ = read(tmp_path, embedded)
    assert rar_documents(corpus)[0].answer == "<think>R</think>\nMe."  # type: ignore[union-attr]
    write(tmp_path / "inner_voices.json", json.dumps({"Ada": {**voice, "plans": []}}))
    with pytest.raises(DataError, match=r"inner_voices.json: Ada: plans, thoughts, actions and reasoning need a line"):
        read(tmp_path, embedded)
