"""Scenes played and judged in one run: GCA's rows stand in the benchmark's own groups and averages."""

import json
from pathlib import Path
from typing import Any

import pytest
from coser_scenes import cases, write
from judge_stubs import SCRIPTS, scripted
from judged import execute

from roleeval.benchmarks.coser import Coser, GcaJudge
from roleeval.benchmarks.coser.rules import Rules
from roleeval.config import RunConfig, RunOptions
from roleeval.engines import ModelSource
from roleeval.judging import load_faults
from roleeval.models import Base
from roleeval.report import write_report
from roleeval.report.judge_card import judge_cards, write_cards
from roleeval.results import read_judgements, read_transcripts
from roleeval.stages.run import RunOutcome
from roleeval.types import Request
from tests.benchmarks.coser.test_gca import asked_about, flaws

ROUNDS = 7


def plays(request: Request) -> str:
    """The model in every part: characters think and speak, the next speaker is drawn."""
    assert request.messages is not None
    system = request.messages[0].content
    if system.startswith("You watch"):
        return "random"
    return "Rain falls." if system.startswith("You are the surroundings") else "[I know.] (nods) Good evening."


def configured(folder: Path, judge: GcaJudge, rules: Rules, scenes: int = 6) -> RunConfig:
    benchmark = Coser(protocol=rules, data_file=str(write(folder, cases(scenes))))
    return RunConfig(
        benchmark=benchmark,
        model=Base(name="stub", source=ModelSource("stub")),
        engine=scripted("actors", plays),
        metrics={},
        options=RunOptions(results_dir=str(folder / "results"), progress="quiet"),
        judge=judge,
    )


def judged(script: Any, **options: Any) -> GcaJudge:
    return GcaJudge(engine=scripted("critic", script), source=ModelSource("judge"), **options)


def groups(outcome: RunOutcome, name: str) -> Any:
    summary = outcome.folder.summary()
    assert summary is not None
    (metric,) = [m for m in summary["metrics"] if m.startswith("judge/gca@") and m.split("/", 2)[2] == name]
    return summary["metrics"][metric]


@pytest.mark.parametrize("average", ["groups", "cases"])
def test_points_have_the_benchmarks_groups_and_average(tmp_path: Path, average: Any) -> None:
    rules = Rules(rounds=ROUNDS, average=average)
    outcome = execute(configured(tmp_path, judged(lambda r: flaws(asked_about(r), 2, 3)), rules))
    split_of = {sample.id: sample.split for sample, _ in read_transcripts(outcome.folder.transcripts)}
    found = groups(outcome, "avg")
    assert set(found) == {"id", "ood", "all"}
    assert {split: found[split]["n"] for split in ("id", "ood")} == {
        split: list(split_of.values()).count(split) for split in ("id", "ood")
    }
    assert found["all"]["mean_of"] == ["id", "ood"] and found["all"].get("over_rows", False) == (average == "cases")
    rounds = {
        sample.id: sum(turn.part == "model" for turn in transcript.turns)
        for sample, transcript in read_transcripts(outcome.folder.transcripts)
    }
    for split in ("id", "ood"):
        values = [min(100, 75 + 1.5 * rounds[name]) for name in split_of if split_of[name] == split]
        assert found[split]["mean"] == pytest.approx(sum(values) / len(values))
    assert groups(outcome, "anthropomorphism/flaws")["all"]["mean"] == 2


def test_one_question_a_scene_and_dimension_and_no_thought_reaches_the_judge(tmp_path: Path) -> None:
    outcome = execute(configured(tmp_path, judged(lambda r: flaws(asked_about(r))), Rules(rounds=ROUNDS)))
    requests = SCRIPTS["critic"].requests
    assert len(requests) == 4 * 6 == len(list(read_judgements(outcome.folder.judgements)))
    assert all("Good evening." in str(r.messages) and "[I know.]" not in str(r.messages) for r in requests)
    schema = json.loads(requests[0].json_schema or "")
    (part,) = schema["properties"].values()
    assert part["properties"]["flaws"]["maxItems"] == 26


def test_a_report_has_the_points_in_its_headline_and_bounds_for_what_is_missing(tmp_path: Path) -> None:
    def sulks(request: Request) -> str:
        return "No." if asked_about(request) == "Anthropomorphism" and request.seed % 2 else flaws(asked_about(request))

    outcome = execute(configured(tmp_path, judged(sulks, attempts=1), Rules(rounds=ROUNDS)))
    found = groups(outcome, "anthropomorphism")["all"]
    assert found["missing"] > 0 and found["bounds"][0] < found["mean"] == 100 == found["bounds"][1]
    assert groups(outcome, "avg")["all"]["missing"] == found["missing"]
    write_report([outcome.folder.path], tmp_path / "report")
    text = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    headline = text.partition("### Headline: all")[2].partition("### ")[0]
    assert "/avg" in headline and "(worst)" in headline and "anthropomorphism/flaws" in text
    assert "cut at 100" in headline and "numbers of flaws" in headline
    assert "differs from planned" not in text and "do not use" not in text and "Reported elsewhere" in text


def attentive(request: Request) -> str:
    """Finds a flaw of severity 2 for every fault that was put into a scene, and one that is there anyway."""
    assert request.messages is not None
    talk = request.messages[1].content
    there = sum(phrase in talk for fault in load_faults() for each in fault.phrases.values() for phrase in each)
    said = [line.partition(": ")[2] for line in talk.splitlines() if ": " in line]
    there += sum(line.count("Good evening.") > 1 for line in said)
    there += sum("(nods)" in line and "Good evening." not in line for line in said)  # a sentence that was replaced
    return flaws(asked_about(request), 1, *[2] * there)


def controlled(folder: Path, script: Any, count: int, scenes: int = 6) -> dict[str, Any]:
    outcome = execute(configured(folder, judged(script, controls=count), Rules(rounds=ROUNDS), scenes))
    manifest = json.loads((outcome.folder.path / "manifest.json").read_text(encoding="utf-8"))
    (record,) = manifest["judges"].values()
    found: dict[str, Any] = record["controls"]
    return found


def test_controls_put_faults_into_the_scenes_themselves_and_a_judge_that_reads_is_in_order(tmp_path: Path) -> None:
    record = controlled(tmp_path, attentive, 5)
    assert (record["asked"], record["answers"], record["base"], record["metric"]) == (5, 5, "transcript", "avg")
    # Scenes do not say whom a character talks with, so no names can be swapped.
    faults = {fault.name for fault in load_faults()} - {"swaps_names"}
    assert record["questions"] == 5 * 4 * (1 + 2 * len(faults)) and record["statuses"] == {"ok": 300}
    assert set(record["faults"]) == faults
    for name, fault in record["faults"].items():
        assert fault["verdict"] == "in order", (name, fault)
        none, one, three = (fault["doses"][dose]["mean"] for dose in ("0", "1", "3"))
        assert none > one > three and fault["ordered"]["mean"] == 1, (name, fault)


def test_a_judge_of_scenes_that_does_not_read_is_found_out(tmp_path: Path) -> None:
    record = controlled(tmp_path, lambda request: flaws(asked_about(request), 3), 4)
    assert {fault["verdict"] for fault in record["faults"].values()} == {"not in order"}
    assert {fault["reason"] for fault in record["faults"].values()} == {"dose 3 not separable"}


def test_the_card_of_a_judge_of_scenes_shows_its_controls(tmp_path: Path) -> None:
    controlled(tmp_path, attentive, 4)
    (card,) = judge_cards([tmp_path / "results"])
    assert card.controls is not None and card.controls["answers"] == 4
    write_cards([card], tmp_path / "card")
    text = (tmp_path / "card" / "card.md").read_text(encoding="utf-8")
    part = text.partition("Positive controls of")[2]
    assert "speaks for user" in part and "in order" in part and "4 transcripts of the run itself" in part
