"""What a run is named by: contents and options, never places."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from coser_scenes import cases, write
from roleeval_stubs import StubOptions

from roleeval.benchmarks import Actor
from roleeval.benchmarks.coser import Coser
from roleeval.benchmarks.coser.memory import Retrieval
from roleeval.benchmarks.rolebench import RoleBench
from roleeval.config import RunConfig, RunOptions
from roleeval.engines import ModelSource
from roleeval.errors import ResultError
from roleeval.models import Base, Her
from roleeval.stages.identity import find_folder, run_identity
from roleeval.stages.runtime import Runtime
from roleeval.types import AdapterRef, Persona


def configured(folder: Path, **parts: Any) -> RunConfig:
    base: dict[str, Any] = {
        "benchmark": RoleBench(splits=("eng_general",)),
        "model": Base(name="stub", source=ModelSource("stub-model")),
        "engine": StubOptions(),
        "metrics": {},
        "options": RunOptions(results_dir=str(folder), limit=2, progress="quiet"),
    }
    return RunConfig(**{**base, **parts})


def identity(config: RunConfig) -> dict[str, Any]:
    runtime = Runtime()

    async def go() -> dict[str, Any]:
        return await run_identity(config, runtime, await runtime.engine(config.engine, config.model))

    try:
        return json.loads(json.dumps(runtime.execute(go)))
    finally:
        runtime.close()


def test_a_file_of_passages_is_known_by_its_content_and_not_by_its_place(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="retrieval needs scikit-learn")
    scenes = write(tmp_path, cases())
    line = json.dumps({"book": "b", "character": "c", "text": "t", "i_p": 0}) + "\n"
    found = []
    for place, text in (("one", line), ("two", line), ("three", line.replace('"t"', '"another"'))):
        file = tmp_path / place / "passages.jsonl"
        file.parent.mkdir()
        file.write_text(text)
        benchmark = Coser(data_file=str(scenes), retrieval=Retrieval(passages=1, file=str(file)))
        found.append(identity(configured(tmp_path, benchmark=benchmark)))
    assert found[0] == found[1] != found[2]
    assert str(tmp_path) not in json.dumps(found)


@dataclass(frozen=True, kw_only=True)
class Troupe(Base):
    """A third party's family that plays a choice of roles; `lexicon` is a path that only it knows."""

    roles: tuple[str, ...] = ()
    lexicon: str = "words.txt"

    def adapter(self, persona: Persona) -> AdapterRef | None:
        return None


@dataclass(frozen=True)
class Quiz:
    """A third party's benchmark with a path of its own, and a method that says what it means by it."""

    questions: str
    seed_words: tuple[str, ...] = field(default=("who",))
    name: str = "quiz"

    def identity(self) -> dict[str, Any]:
        return {"questions": Path(self.questions).read_text(), "seed_words": self.seed_words}

    def describe(self) -> dict[str, Any]:
        return {"data": "quiz", "data_hash": "0", "prompt_packs": {}}

    async def episode(self, sample: Any, actor: Actor) -> Any: ...


def test_a_third_partys_options_are_in_it_whatever_they_are_called(tmp_path: Path) -> None:
    source = ModelSource("stub-model")
    runs = [configured(tmp_path, model=Troupe(name="t", source=source, roles=roles)) for roles in ((), ("Holmes",))]
    one, two = map(identity, runs)
    assert one["model"]["roles"] == [] and two["model"]["roles"] == ["Holmes"]
    assert one["model"]["lexicon"] == "words.txt"
    with pytest.raises(ResultError, match="different: model"):
        named = [replace(run, options=replace(run.options, run_name="same")) for run in runs]
        folder = find_folder(named[0], one)
        folder.path.mkdir(parents=True)
        record = {"identity": one, "benchmark": {"name": "b"}, "model": {"name": "t"}, "samples": {"planned": 1}}
        (folder.path / "manifest.json").write_text(json.dumps({"format": 2, **record}))
        find_folder(named[1], two)


def test_a_third_partys_own_word_is_taken(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("Who are you?")
    one, two = (identity(configured(tmp_path, benchmark=Quiz(str(tmp_path / name)))) for name in ("a.txt", "b.txt"))
    assert one == two and one["benchmark"]["questions"] == "Who are you?"


def test_scenes_in_which_others_heard_her_otherwise_are_other_runs(tmp_path: Path) -> None:
    found = identity(configured(tmp_path, model=Her(name="her", source=ModelSource("stub-model"))))
    assert found["model"]["heard"] == "role_action"
