"""Judges read Chinese instructions for roles that speak Chinese, and answer in the form that parsers know."""

from dataclasses import replace
from pathlib import Path

import pytest
from judged import SAMPLE, case, put

from roleeval.errors import ConfigError
from roleeval.judging import Case, HerRm, Judge, PairwiseJudge, RankingJudge, RubricJudge
from roleeval.judging._rubric import load_rubric
from roleeval.prompts import load_prompt_pack
from roleeval.types import Persona

JUDGES = (RubricJudge(), PairwiseJudge(), RankingJudge(), HerRm(attempts=1))
CHINESE = replace(SAMPLE, persona=Persona("孙悟空", "齐天大圣", "zh"), question="你是谁？", references={})


def prompt(judge: Judge, case: Case) -> tuple[str, str]:
    system, user = judge.questions(case)[0].messages
    return system.content, user.content


@pytest.mark.parametrize("judge", JUDGES, ids=lambda judge: judge.name)
def test_a_chinese_role_is_judged_in_chinese_with_all_places_filled(judge: Judge) -> None:
    english, chinese = case("俺老孙来也！", "你好。"), replace(case("俺老孙来也！", "你好。"), sample=CHINESE)
    system, user = prompt(judge, chinese)
    assert "角色" in system and "孙悟空" in user and "俺老孙来也！" in user
    for text in (system, user):
        assert not any(place in text for place in ("{criteria}", "{letters}", "{low}", "{answer", "{reference}"))
    if not isinstance(judge, HerRm):
        assert "（未给出）" in user and all(f"- {name}: " in system for name in load_rubric(judge.prompts).criteria)
    assert "角色" not in prompt(judge, english)[0]


@pytest.mark.parametrize("judge", JUDGES, ids=lambda judge: judge.name)
def test_both_languages_have_the_same_places(judge: Judge) -> None:
    for name in ("system", "user"):
        english, chinese = (judge.prompts.template(f"{name}{ending}.txt") for ending in ("", ".zh"))
        places = ("{criteria}", "{low}", "{high}", "{letters}", "{role}", "{description}", "{question}", "{reference}")
        answers = ("{answer}", "{answer_a}", "{answer_b}", "{answers}")
        assert [p for p in (*places, *answers) if p in english] == [p for p in (*places, *answers) if p in chinese]


@pytest.mark.parametrize(("line", "winner"), [("胜者：A", "A"), ("结论：回复B。", "B"), ("Winner：平局", "tie")])
def test_a_chinese_last_line_names_the_winner(line: str, winner: str) -> None:
    found = put(HerRm(attempts=1), lambda request: f"原则……\n{line}", replace(case("甲", "乙"), sample=CHINESE))
    assert [j.verdict and j.verdict["reply"]["winner"] for j in found] == [winner] * 2


def test_a_pack_without_chinese_judges_everyone_in_its_own_language(tmp_path: Path, root: Path) -> None:
    for file in (root / "judges" / "rubric").iterdir():
        if ".zh." not in file.name:
            text = file.read_text(encoding="utf-8")
            (tmp_path / file.name).write_text(text.partition("criteria_zh")[0], encoding="utf-8")
    system, _ = prompt(RubricJudge(pack=str(tmp_path)), replace(case("俺老孙来也！"), sample=CHINESE))
    assert "character" in system and "角色" not in system


def test_chinese_criteria_have_the_names_of_the_others(tmp_path: Path) -> None:
    (tmp_path / "manifest.yaml").write_text("name: x\nversion: 1\n")
    (tmp_path / "rubric.yaml").write_text("criteria: {style: a}\ncriteria_zh: {voice: b}\n")
    with pytest.raises(ConfigError, match="criteria_zh needs the same names as criteria: style"):
        load_rubric(load_prompt_pack(str(tmp_path)))
