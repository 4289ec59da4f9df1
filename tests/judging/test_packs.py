"""A judge's pack is checked before anything is generated: what is wrong is one sentence with file and key."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from judge_stubs import scripted
from judged import asked, configured, execute, points

from roleeval.benchmarks.coser import GcaJudge
from roleeval.benchmarks.minimax import MinimaxErrors
from roleeval.errors import ConfigError
from roleeval.judging import HerRm, Judge, PairwiseJudge, RankingJudge, RubricJudge
from roleeval.judging.voice import VoiceJudge
from roleeval.stages.judge_check import check_prompts
from roleeval.types import Language, Persona, Sample

JUDGES: dict[str, type[Judge]] = {
    "rubric": RubricJudge,
    "rolebench_pairwise": PairwiseJudge,
    "rolebench_ranking": RankingJudge,
    "her_rm": HerRm,
    "zoo_voice": VoiceJudge,
    "gca": GcaJudge,
    "minimax_errors": MinimaxErrors,
}
PLACES = ("book", "plot_summary", "scenario", "character_profiles", "major_characters", "reference", "reference_shown")
PEOPLE = ("user_name", "user_setting", "ai_name", "ai_setting")


def sample(language: Language = "en", role: str = "Sherlock Holmes") -> Sample:
    persona = Persona(role, "a detective", language)
    material = dict.fromkeys((*PLACES, *PEOPLE), "...")
    return Sample("s/0", 0, "s", role, persona, "Who are you?", {"refs": ("I am.",)}, material=material)


def pack(root: Path, to: Path, name: str = "rubric", **files: str | bytes | None) -> str:
    """A copy of a shipped pack with other files; None leaves one out."""
    folder = Path(shutil.copytree(root / "judges" / name, to / name, dirs_exist_ok=True))
    for key, content in files.items():
        file = folder / key.replace("__", ".")
        if content is None:
            file.unlink()
        else:
            file.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(folder)


def refused(judge: Judge, sample: Sample) -> str:
    with pytest.raises(ConfigError) as caught:
        judge.infos(("a/b",))
        check_prompts(judge, sample)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", JUDGES)
@pytest.mark.parametrize(("language", "role"), [("en", "Sherlock Holmes"), ("zh", "林黛玉")])
def test_the_shipped_packs_are_good(name: str, language: Language, role: str) -> None:
    judge = JUDGES[name]()
    check_prompts(judge, sample(language, role))
    assert judge.infos(("a/b",))


WITHOUT = {
    "rubric": ("user__txt", "Grade: {question}"),
    "rolebench_pairwise": ("user__txt", "{answer_a} or B?"),
    "rolebench_ranking": ("user__txt", "Rank {letters}."),
    "her_rm": ("user__txt", "{answer_b} is better than A?"),
    "zoo_voice": ("user__txt", "{first} or {second}?"),
    "gca": ("user__txt", "Judge {dimension_name}."),
    "minimax_errors": ("user__txt", "List the errors of {ai_name}."),
}


@pytest.mark.parametrize("name", WITHOUT)
def test_a_prompt_without_the_answer_is_refused(name: str, root: Path, tmp_path: Path) -> None:
    key, text = WITHOUT[name]
    said = refused(JUDGES[name](pack=pack(root, tmp_path, name, **{key: text})), sample())
    assert "judge.pack=" in said and "does not hold the answer" in said and "{answer}" in said


def test_the_prompt_of_each_language_is_tried(root: Path, tmp_path: Path) -> None:
    judge = RubricJudge(pack=pack(root, tmp_path, user__zh__txt="打分。"))
    check_prompts(judge, sample())
    assert "does not hold the answer" in refused(judge, sample("zh", "林黛玉"))


PACKS: list[tuple[dict[str, str | bytes | None], list[str]]] = [
    ({"user__txt": "{nope} {answer}"}, ["user.txt", "{nope}", "answer", "question"]),
    ({"user__txt": "{answer.__class__}"}, ["does not hold the answer"]),
    ({"system__txt": "{criterion} {answer}"}, ["system.txt", "{criterion}", "criteria"]),
    ({"user__txt": b"\xff {answer}"}, ["user.txt", "UTF-8"]),
    ({"user__txt": None}, ["user.txt"]),
    ({"manifest__yaml": "a: [b: c: {"}, ["manifest.yaml", "line 1", "YAML"]),
    ({"manifest__yaml": "- 1"}, ["manifest.yaml", "name and version"]),
    ({"manifest__yaml": b"name: \xff"}, ["manifest.yaml", "UTF-8"]),
    ({"manifest__yaml": "name: !!python/object/apply:os.system ['true']\nversion: 1"}, ["manifest.yaml", "YAML"]),
    ({"manifest__yaml": "name: 2026-99-99\nversion: 1"}, ["manifest.yaml", "YAML"]),
    ({"manifest__yaml": "[" * 5000}, ["manifest.yaml", "YAML"]),
    ({"manifest__yaml": None}, ["manifest.yaml"]),
    ({"rubric__yaml": "criteria: {a: b"}, ["rubric.yaml", "YAML"]),
    ({"rubric__yaml": "criteria: {a: b}\nscale: [true, 5]"}, ["rubric.yaml", "scale"]),
    ({"rubric__yaml": "criteria: {a: b}\nscale: [5, 1]"}, ["rubric.yaml", "scale"]),
    ({"rubric__yaml": f"criteria: {{a: b}}\nscale: [1, {'9' * 400}]"}, ["rubric.yaml", "scale"]),
    ({"rubric__yaml": "criteria: {a/b: c}\nscale: [1, 5]"}, ["rubric.yaml", "a/b"]),
    ({"rubric__yaml": "criteria: [a]"}, ["rubric.yaml", "criteria"]),
    ({"rubric__yaml": "criteria: {a: b}"}, ["rubric.yaml", "scale"]),
    ({"schema__json": "[1]"}, ["schema.json", "JSON object"]),
    ({"schema__json": "{"}, ["schema.json", "JSON"]),
    ({"schema__json": "[" * 100_000}, ["schema.json", "nested"]),
    ({"schema__json": '{"type": "objekt"}'}, ["schema.json", "'type'", "objekt"]),
    ({"schema__json": '{"type": ["object"]}'}, ["schema.json", "'type'"]),
    ({"schema__json": '{"properties": [1]}'}, ["schema.json", "'properties'"]),
    ({"schema__json": '{"properties": {"score": 1}}'}, ["schema.json", "score", "JSON object"]),
    ({"schema__json": '{"required": "score"}'}, ["schema.json", "'required'"]),
    ({"schema__json": '{"properties": {"score": {"enum": [1]}}}'}, ["schema.json", "'enum'"]),
    ({"schema__json": '{"properties": {"score": {"minimum": "1"}}}'}, ["schema.json", "'minimum'"]),
    ({"schema__json": '{"properties": {"score": {"maximum": 1e999}}}'}, ["schema.json", "'maximum'"]),
    ({"schema__json": '{"$ref": "#"}'}, ["schema.json", "$ref"]),
    ({"schema__json": '{"type": "object", "properties": {"quote": {"type": "string"}}}'}, ["schema.json", "score"]),
    ({"schema__json": None}, ["schema.json"]),
]


@pytest.mark.parametrize(("files", "words"), PACKS)
def test_what_is_wrong_with_a_pack_is_said(
    files: dict[str, str | bytes | None], words: list[str], root: Path, tmp_path: Path
) -> None:
    said = refused(RubricJudge(pack=pack(root, tmp_path, **files)), sample())
    assert all(word in said for word in words), said


@pytest.mark.parametrize("name", ["rolebench_pairwise", "rolebench_ranking", "zoo_voice", "gca", "minimax_errors"])
@pytest.mark.parametrize("schema", ['{"type": "object", "properties": {}}', "[]", "{"])
def test_a_schema_without_what_scores_are_made_of_is_refused(
    name: str, schema: str, root: Path, tmp_path: Path
) -> None:
    assert "schema.json" in refused(JUDGES[name](pack=pack(root, tmp_path, name, schema__json=schema)), sample())


def test_winners_by_other_names_are_refused(root: Path, tmp_path: Path) -> None:
    schema = json.loads((root / "judges" / "rolebench_pairwise" / "schema.json").read_text())
    schema["properties"]["winner"]["enum"] = ["1", "2"]
    folder = pack(root, tmp_path, "rolebench_pairwise", schema__json=json.dumps(schema))
    assert '"enum": ["A", "B", "tie"]' in refused(PairwiseJudge(pack=folder), sample())


def test_text_in_double_braces_is_text(root: Path, tmp_path: Path) -> None:
    check_prompts(RubricJudge(pack=pack(root, tmp_path, user__txt="{answer} {{x}} {not a place}")), sample())


@pytest.mark.parametrize("change", [{"user__txt": "no place"}, {"schema__json": "[]"}, {"rubric__yaml": "a: ["}])
def test_nothing_is_generated_for_a_judge_that_cannot_judge(root: Path, tmp_path: Path, change: dict[str, Any]) -> None:
    judge = RubricJudge(engine=scripted("judge", lambda _: points(3)), pack=pack(root, tmp_path, **change))
    config = configured(tmp_path / "r", judge, limit=1)
    with pytest.raises(ConfigError):
        execute(config)
    assert asked("model stub") == asked("judge") == 0
    later = replace(config, judge=None)
    execute(later)
    with pytest.raises(ConfigError):  # the judge alone, later
        execute(replace(config, options=replace(config.options, stages=("judge",))))
    assert asked("judge") == 0
