"""What judges declare: a pack's criteria get labels, units and a headline by themselves."""

import shutil
from pathlib import Path

import pytest

from roleeval.benchmarks.coser import GcaJudge
from roleeval.judging import HerRm, Judge, PairwiseJudge, RankingJudge, RubricJudge, VoiceJudge
from roleeval.metrics import infos_of, primary

OPPONENTS = ("m1/run", "m2/run")


@pytest.mark.parametrize(
    ("judge", "stands"),
    [
        (RubricJudge(), "overall"),
        (VoiceJudge(), "in_voice"),
        (PairwiseJudge(), "overall/win"),
        (HerRm(), "overall/win"),
        (RankingJudge(), "overall/beats"),
        (GcaJudge(), "avg"),
    ],
)
def test_every_judge_has_one_metric_that_stands_for_it(judge: Judge, stands: str) -> None:
    infos = infos_of(judge, OPPONENTS if judge.compares else ())
    assert primary(list(infos.values())).name == stands
    assert all(info.label and info.recipe for info in infos.values())


def test_criteria_of_a_pack_need_nothing_but_the_pack(tmp_path: Path, root: Path) -> None:
    pack = tmp_path / "wit"
    shutil.copytree(root / "judges" / "rubric", pack)
    rubric = "scale: [0, 10]\ncriteria:\n  quick_wit: Is it funny, and at once?\n  depth: Is there more to it?\n"
    (pack / "rubric.yaml").write_text(rubric, encoding="utf-8")
    infos = infos_of(RubricJudge(pack=str(pack)), ())
    assert list(infos) == ["quick_wit", "depth", "overall"]
    assert all((i.unit, i.headline, i.ends) == ("points", True, (0.0, 10.0)) for i in infos.values())
    assert (infos["quick_wit"].label, infos["quick_wit"].recipe) == ("Quick wit (points)", "Is it funny, and at once?")
    compared = infos_of(PairwiseJudge(pack=str(pack)), OPPONENTS)
    assert [name for name, info in compared.items() if info.headline] == ["quick_wit/win", "depth/win", "overall/win"]


def test_a_rank_reaches_down_to_the_number_of_candidates_and_opponents_are_named() -> None:
    ranks = infos_of(RankingJudge(), OPPONENTS)
    assert ranks["overall/rank"].ends == (3.0, 1.0) and ranks["overall/rank"].unit == "rank"
    wins = infos_of(PairwiseJudge(), OPPONENTS)
    assert {name for name in wins if "win_against" in name} == {f"overall/win_against/{o}" for o in OPPONENTS}
    assert not any("win_against" in name for name in infos_of(PairwiseJudge(), OPPONENTS[:1]))


def test_habits_owe_no_value() -> None:
    infos = infos_of(PairwiseJudge(), OPPONENTS)
    assert infos["flip"].habit and infos["first_slot"].habit and not infos["overall/win"].habit
    assert infos_of(GcaJudge(), ())["severity"].habit
