"""RoleBench's data: every trap of the released files, bad rows named, and prompts that hold what they should."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from roleeval.benchmarks.rolebench import RoleBench, fetch
from roleeval.errors import ConfigError, DataError
from roleeval.types import Persona

SPECIFIC = "rolebench-eng/instruction-generalization/role_specific"
GENERAL = "rolebench-eng/instruction-generalization/general"


def write(folder: Path, relative: str, rows: list[Any]) -> Path:
    file = folder / relative
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    file.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return file


def row(**changes: Any) -> dict[str, Any]:
    return {"role": "D_Artagnan", "question": " Who are you?", "generated": [" A Gascon!"], "type": ["x"]} | changes


# The embedded set


def test_the_embedded_set_has_ten_roles_of_two_languages_with_forty_questions_each() -> None:
    samples = list(RoleBench().samples(limit=None))
    questions = Counter(s.persona.role for s in samples)
    assert len(questions) == 10 and set(questions.values()) == {40}
    assert Counter(s.persona.language for s in samples) == {"en": 240, "zh": 160}
    assert all(1 <= len(refs) <= 5 for s in samples for refs in s.references.values())
    assert all(s.persona.description for s in samples)
    assert all("RAW" in s.references for s in samples if s.split.endswith("general"))
    assert all(s.labels["seen_in_training"] == "false" for s in samples)


def test_sample_ids_are_unique_and_indices_run_on() -> None:
    samples = list(RoleBench().samples(limit=None))
    assert len({s.id for s in samples}) == len(samples)
    assert [s.index for s in samples] == list(range(len(samples)))


def test_a_limit_is_per_split_and_meets_every_role() -> None:
    samples = list(RoleBench(splits=("eng_specific",)).samples(limit=12))
    assert len(samples) == 12 and len({s.persona.role for s in samples}) == 6
    assert RoleBench(splits=("eng_specific",)).count(limit=12) == 12


# The traps of the released files


def test_real_files_have_the_counts_of_the_data_card(shared_rolebench: Path) -> None:
    bench = RoleBench(
        data_dir=str(shared_rolebench), splits=("eng_specific", "rolegen_general", "zh_general", "zh_specific")
    )
    samples = list(bench.samples(limit=None))
    assert Counter(s.split for s in samples) == {
        "eng_specific": 4750,
        "rolegen_general": 5000,
        "zh_general": 1451,
        "zh_specific": 239,
    }
    references = Counter[str]()
    roles: dict[str, set[str]] = {}
    for s in samples:
        references[s.split] += sum(len(r) for r in s.references.values())
        roles.setdefault(s.split, set()).add(s.persona.role)
    assert references == {
        "eng_specific": 4954,
        "rolegen_general": 20765,
        "zh_general": 6982,
        "zh_specific": 240,
    }  # one row has two
    assert {k: len(v) for k, v in roles.items()} == {
        "eng_specific": 95,
        "rolegen_general": 10,
        "zh_general": 5,
        "zh_specific": 5,
    }


def test_real_texts_are_exact(shared_rolebench: Path) -> None:
    """Stripping would merge questions whose answers differ."""
    samples = list(RoleBench(data_dir=str(shared_rolebench), splits=("eng_specific",)).samples(limit=None))
    assert all(s.question.startswith(" ") for s in samples)
    exact = {(s.persona.role, s.question) for s in samples}
    stripped = {(s.persona.role, s.question.strip()) for s in samples}
    assert len(exact) == 4750 and len(stripped) < len(exact)


def test_real_role_generalisation_questions_hold_newlines_and_repeat(shared_rolebench: Path) -> None:
    samples = list(RoleBench(data_dir=str(shared_rolebench), splits=("rolegen_general",)).samples(limit=None))
    assert all("\n" in s.question for s in samples)
    assert len({s.id for s in samples}) == 5000


def test_without_descriptions_and_instructions_prompts_name_the_role_and_raw_is_missing(shared_rolebench: Path) -> None:
    bench = RoleBench(data_dir=str(shared_rolebench), splits=("rolegen_general",))
    sample = next(iter(bench.samples(limit=1)))
    assert set(sample.references) == {"CUS"}
    assert sample.persona.role in bench.system_prompt(sample.persona)
    assert "description" not in bench.system_prompt(sample.persona)
    facts = bench.describe()
    assert facts["descriptions"] == {"en": False} and facts["raw_references"] == {"en": False}


def test_type_may_be_a_string_a_list_or_absent(tmp_path: Path) -> None:
    bare = row()
    del bare["type"]
    write(tmp_path, f"{SPECIFIC}/test.jsonl", [row(type="a"), row(type=["a", "b"]), bare])
    labels = [s.labels.get("type") for s in RoleBench(str(tmp_path), ("eng_specific",)).samples(limit=None)]
    assert labels == ["a", "a+b", None]


def test_rows_seen_in_training_are_labelled(tmp_path: Path) -> None:
    write(tmp_path, f"{SPECIFIC}/test.jsonl", [row(), row(question=" Who are you? ")])
    write(tmp_path, f"{SPECIFIC}/train.jsonl", [row(generated=["other"])])
    seen = [s.labels["seen_in_training"] for s in RoleBench(str(tmp_path), ("eng_specific",)).samples(limit=None)]
    assert seen == ["true", "false"]


def test_raw_references_are_joined_by_instruction(tmp_path: Path) -> None:
    write(tmp_path, f"{GENERAL}/test.jsonl", [row(question="Add\n1 and 2"), row(question="Sing")])
    write(tmp_path, "instructions-eng/general.jsonl", [{"instruction": "Add\n1 and 2", "target": "3"}])
    first, second = RoleBench(str(tmp_path), ("eng_general",)).samples(limit=None)
    assert first.references["RAW"] == ("3",)
    assert "RAW" not in second.references


# Bad input


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ("{not json", "not valid JSON"),
        ("[1, 2]", "not a JSON object"),
        (row(role=""), "role must be"),
        (row(role=7), "role must be"),
        (row(question=None), "question must be"),
        (row(generated=[]), "generated must be"),
        (row(generated="text"), "generated must be"),
        (row(generated=[1]), "generated must be"),
        (row(type=3), "type must be"),
        ('{"role": "a", "question": "\\ud800", "generated": ["b"]}', "surrogate"),
    ],
)
def test_a_malformed_row_is_named_with_file_and_line(tmp_path: Path, bad: Any, words: str) -> None:
    file = write(tmp_path, f"{SPECIFIC}/test.jsonl", [row(), bad, row()])
    with pytest.raises(DataError, match=words) as caught:
        RoleBench(str(tmp_path), ("eng_specific",)).count(limit=None)
    assert f"{file}, line 2" in str(caught.value) and "on_error=skip" in str(caught.value)


def test_bytes_that_are_not_text_are_named(tmp_path: Path) -> None:
    file = write(tmp_path, f"{SPECIFIC}/test.jsonl", [row()])
    file.write_bytes(file.read_bytes() + b'{"role": "\xff\xfe"}\n')
    with pytest.raises(DataError, match="line 2: not UTF-8"):
        RoleBench(str(tmp_path), ("eng_specific",)).count(limit=None)


def test_skipping_counts_what_it_leaves_out(tmp_path: Path) -> None:
    write(tmp_path, f"{SPECIFIC}/test.jsonl", [row(), "{", row(question="Next?"), "[]"])
    bench = RoleBench(str(tmp_path), ("eng_specific",), on_error="skip")
    assert bench.count(limit=None) == 2
    assert [s.question for s in bench.samples(limit=None)] == [" Who are you?", "Next?"]
    assert bench.describe()["rows_skipped"] == 2


def test_an_empty_file_a_missing_file_and_a_missing_folder_are_named(tmp_path: Path) -> None:
    write(tmp_path, f"{SPECIFIC}/test.jsonl", [])
    with pytest.raises(DataError, match="contains no rows"):
        RoleBench(str(tmp_path), ("eng_specific",)).count(limit=None)
    with pytest.raises(DataError, match=r"zh_general needs .*splits in the folder: eng_specific"):
        RoleBench(str(tmp_path), ("zh_general",)).count(limit=None)
    with pytest.raises(DataError, match="nowhere is not a folder"):
        RoleBench(str(tmp_path / "nowhere")).count(limit=None)


def test_a_split_named_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="contains a split twice"):
        RoleBench(splits=("zh_general", "zh_general"))


# Prompts and the hub


def test_the_system_prompt_keeps_braces_of_a_description() -> None:
    prompt = RoleBench().system_prompt(Persona("Ada {role}", "likes {braces} and {description}", "en"))
    assert "Ada {role}" in prompt and "likes {braces} and {description}" in prompt


def test_a_hub_address_must_pin_a_commit() -> None:
    with pytest.raises(ConfigError, match="does not pin a revision"):
        fetch("hf://ZenMoore/RoleBench@main")


def test_the_hub_is_asked_for_the_pinned_revision_and_its_layout_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, f"{SPECIFIC}/test.jsonl", [row()])
    asked: dict[str, Any] = {}

    def deliver(repo: str, **options: Any) -> str:
        asked.update(options, repo=repo)
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", deliver)
    commit = "0123456789abcdef0123456789abcdef01234567"
    bench = RoleBench(f"hf://ZenMoore/RoleBench@{commit}", ("eng_specific",))
    assert bench.count(limit=None) == 1
    assert (asked["repo"], asked["revision"], asked["repo_type"]) == ("ZenMoore/RoleBench", commit, "dataset")


def test_a_hub_out_of_reach_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> str:
        raise OSError("no route")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fail)
    with pytest.raises(DataError, match="download failed"):
        fetch("hf://ZenMoore/RoleBench@" + "0" * 40)
