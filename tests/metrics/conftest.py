"""Real RoleBench rows, and the smallest samples and transcripts a metric can be given."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from roleeval.types import Language, Persona, Sample, Status, Transcript, Turn

REPOSITORY = Path(__file__).resolve().parents[2]
EN_SPECIFIC = "rolebench-eng/instruction-generalization/role_specific"
ZH_SPECIFIC = "rolebench-zh/role_specific"


class Row(NamedTuple):
    """RoleGPT's answer to a test question, and the question's references."""

    role: str
    answer: str
    references: tuple[str, ...]


@pytest.fixture(scope="session")
def rolebench() -> Path:
    shared = Path(os.environ.get("ROLEEVAL_SHARED") or REPOSITORY.parent / "shared")
    folder = shared / "data" / "rolebench"
    if not folder.is_dir():
        pytest.skip(f"RoleBench is not at {folder}; set ROLEEVAL_SHARED to the folder that holds data/rolebench.")
    return folder


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _baseline_rows(folder: Path) -> list[Row]:
    """Joins on the exact (role, question): the two files differ in order, and stripping would merge questions."""
    answers: dict[tuple[str, str], str] = {}
    for line in _lines(folder / "rolegpt_baseline.jsonl"):
        key = (line["role"], line["question"])
        assert key not in answers
        (answers[key],) = line["generated"]
    tests = list(_lines(folder / "test.jsonl"))
    return [Row(line["role"], answers[line["role"], line["question"]], tuple(line["generated"])) for line in tests]


@pytest.fixture(scope="session")
def en_rows(rolebench: Path) -> list[Row]:
    return _baseline_rows(rolebench / EN_SPECIFIC)


@pytest.fixture(scope="session")
def zh_rows(rolebench: Path) -> list[Row]:
    return _baseline_rows(rolebench / ZH_SPECIFIC)


@pytest.fixture(scope="session")
def many_reference_rows(rolebench: Path) -> list[Row]:
    """Role-generalization rows with up to five references; the next row's first one stands in for an answer."""
    lines = list(_lines(rolebench / "rolebench-eng/role-generalization/general/test.jsonl"))[:400]
    return [
        Row(line["role"], other["generated"][0], tuple(line["generated"]))
        for line, other in zip(lines, lines[1:] + lines[:1], strict=True)
    ]


@pytest.fixture
def sample() -> Callable[..., Sample]:
    def make(
        *references: str,
        role: str = "Jack Sparrow",
        language: Language = "en",
        split: str = "eng_specific",
        **groups: Any,
    ) -> Sample:
        return Sample(
            id="s1",
            index=0,
            split=split,
            cluster=role,
            persona=Persona(role, "", language),
            question="Where is the rum?",
            references=groups or ({"SPE": references} if references else {}),
        )

    return make


@pytest.fixture
def transcript() -> Callable[..., Transcript]:
    def make(visible: str, *, thoughts: str = "", status: Status = "ok") -> Transcript:
        turn = Turn(
            speaker="Jack Sparrow",
            messages=(),
            raw=f"<think>{thoughts}</think>{visible}",
            visible=visible,
            thoughts=thoughts,
            status=status,
            finish_reason="stop",
            prompt_tokens=1,
            output_tokens=1,
            adapter="",
        )
        return Transcript("s1", status, (turn,))

    return make
