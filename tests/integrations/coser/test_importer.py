"""Importing official CoSER results: scores recomputed, every difference told, nothing made up for what is unusable."""

import asyncio
import copy
import json
import threading
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from roleeval.cli.main import app
from roleeval.errors import DataError, ResultError
from roleeval.integrations.coser.importer import Imported, import_coser
from roleeval.report import collect, write_report
from roleeval.report.found.compare import run_sets
from roleeval.report.judge_card import judge_cards
from roleeval.resources import resource
from roleeval.results import ResultFolder, read_judgements, read_transcripts
from roleeval.stages import lock

DIMENSIONS = ("Storyline Consistency", "Anthropomorphism", "Character Fidelity", "Storyline Quality")
METRICS = ("storyline_consistency", "anthropomorphism", "character_fidelity", "storyline_quality", "avg")


def simulated(rounds: int) -> list[dict[str, str]]:
    """Turns as the official code keeps them; the next-speaker model's and the environment's are no rounds."""
    turns = [{"role": "Environment", "content": "Environment: Rain on the weir."}]
    for number in range(rounds):
        turns.append({"role": "Ada", "content": f"Ada: [I must not cry.] The wheel stands still. {number}"})
        turns.append({"role": "NSP", "content": "Ada"})
    return turns


def verdict(score: float | None, *severities: Any) -> dict[str, Any]:
    flaws = [{"instance": "Ada shrugs.", "type": "flat", "severity": severity} for severity in severities]
    return {"flaws": flaws} | ({} if score is None else {"score": score})


def case(rounds: int, score: float, *severities: Any) -> dict[str, Any]:
    critique: dict[str, Any] = {name: verdict(score, *severities) for name in DIMENSIONS}
    return {
        "simulation": simulated(rounds),
        "simulation_str": "Ada: The wheel stands still.",
        "score": score,
        "critique": critique | {"bleu": 0.05, "rouge_l": 0.12},
    }


@pytest.fixture
def results() -> dict[str, Any]:
    """A file whose scores are those of its flaws; a title holds hyphens."""
    return {
        "scores": dict.fromkeys((*DIMENSIONS, "avg"), 83.25) | {"bleu": 0.05, "rouge_l": 0.12},
        "cases": {"Moby-Dick-70-0": case(11, 66.5, 2, 3, 2, 3), "The Mill-1-12": case(11, 100.0)},
    }


def write(folder: Path, data: Any, name: str = "evaluation.json") -> Path:
    file = folder / name
    file.write_text(json.dumps(data), encoding="utf-8")
    return file


def imported(folder: Path, content: Any, **options: Any) -> Imported:
    return import_coser(write(folder, content), folder / "out", model="gpt-x", **options)


def means(folder: Path, group: str = "all") -> dict[str, Any]:
    summary = ResultFolder(folder).summary()
    assert summary is not None
    return {name.removeprefix("coser/"): groups[group] for name, groups in summary["metrics"].items()}


def test_a_sound_file_gives_its_own_scores_and_no_difference(tmp_path: Path, results: dict[str, Any]) -> None:
    done = imported(tmp_path, results)
    assert done == Imported(cases=2, verdicts=8, missing=0, differences=(), remarks=())
    found = means(tmp_path / "out")
    assert {name: found[name]["mean"] for name in METRICS} == dict.fromkeys(METRICS, 83.25)
    assert found["bleu4"]["mean"] == 0.05 and found["rougeL_f1_rouge_chinese"]["mean"] == 0.12
    assert found["avg"]["n"] == 2 and found["avg"]["clusters"] == 2
    rows = pd.read_parquet(tmp_path / "out" / "scores.parquet")
    assert set(rows[rows["sample"] == "Moby-Dick-70-0"]["cluster"]) == {"Moby-Dick"}
    assert len(list(read_judgements(tmp_path / "out" / "judgements.jsonl"))) == 8


def test_the_command_prints_every_difference_and_every_odd_severity(tmp_path: Path, results: dict[str, Any]) -> None:
    whale = results["cases"]["Moby-Dick-70-0"]["critique"]
    whale["Anthropomorphism"] = verdict(116.5, "3", 4.5)
    whale["Storyline Quality"]["score"] = 70.0
    file = write(tmp_path, results)
    arguments = ["import", "coser", str(file), "--model", "gpt-x", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert lines[0] == "severity: Moby-Dick-70-0, Anthropomorphism, flaw 1: severity '3' taken as 3"
    assert lines[1] == "severity: Moby-Dick-70-0, Anthropomorphism, flaw 2: severity 4.5 taken as 4.5"
    assert "differs: Moby-Dick-70-0, Anthropomorphism: stored 116.5, recomputed 79" in lines
    assert "differs: Moby-Dick-70-0, Storyline Quality: stored 70, recomputed 66.5" in lines
    assert "differs: Moby-Dick-70-0, average: stored 66.5, recomputed 69.625" in lines
    assert "differs: mean over all cases, Anthropomorphism: stored 83.25, recomputed 89.5" in lines
    assert lines[-1].startswith(
        "imported: 2 cases, 8 verdicts; 5 stored scores differ, 2 severities read with a remark"
    )
    manifest = ResultFolder(tmp_path / "out").manifest()
    assert manifest is not None and len(manifest.more["imported"]["differences"]) == 5


@pytest.mark.parametrize("severity", [0, 11, 10**400, "1_0", "severe", None, True, [3]])
def test_an_unusable_severity_is_missing_with_bounds_and_never_free(
    tmp_path: Path, results: dict[str, Any], severity: Any
) -> None:
    results["cases"]["The Mill-1-12"]["critique"]["Character Fidelity"] = verdict(100.0, 2, severity)
    done = imported(tmp_path, results)
    assert done.missing == 1 and "the dimension has no score" in done.remarks[0].text
    found = means(tmp_path / "out")
    for name in ("character_fidelity", "avg"):
        assert (found[name]["mean"], found[name]["n"], found[name]["missing"]) == (66.5, 1, 1)
        assert found[name]["statuses"] == {"judge_failed": 1, "ok": 1} and found[name]["bounds"] == [33.25, 83.25]
    assert found["anthropomorphism"]["n"] == 2
    told = [(d.case, d.dimension, d.recomputed) for d in done.differences if d.case]
    assert told == [("The Mill-1-12", "Character Fidelity", None), ("The Mill-1-12", "average", None)]


def official_pair(*, cap: float | None = 100) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """An evaluation file and its simulation file, each in its own form, with numbers worked out by hand.

    The evaluation has what its judge was shown: no next speakers, no thoughts, tidied lines; an empty turn stays and is
    a round. Source: spec/coser.md, section 6.
    """
    played = [
        ("Fool", "Fool:\n[He must see it.]\n  (To Lear) A donkey carried thee.  \n\n\n[Softly now] Dost thou laugh?"),
        ("NSP", "King Lear"),
        ("King Lear", "King Lear: [Is it so? He mocks\nme.] Speak plainly.[Or go.]"),
        ("NSP", "Environment"),
        ("Environment", "Environment:  [A door slams.]  \n\nCold wind. "),
        ("NSP", "Fool"),
        ("Fool", "[I will hold my tongue.]"),
        ("NSP", "<END CHAT>"),
    ]
    judged = [
        ("Fool", "Fool:\n(To Lear) A donkey carried thee.\nDost thou laugh?"),
        ("King Lear", "King Lear: [Is it so? He mocks\nme.] Speak plainly."),
        ("Environment", "Environment:  [A door slams.]  \n\nCold wind. "),
        ("Fool", ""),
    ]
    scene = {"scenario": "A cold court.", "plot": {"i_p": 17, "summary": "Lear errs."}, "i_c": 0, "dialogues": []}
    simulation = {"book_title": "King Lear", "i_p": 17, "i_c": 0, "circumstance": scene}
    simulation |= {"simulation": [{"role": role, "content": said} for role, said in played]}
    # 3 rounds: 100 - 5 * 10 + 4.5; no flaw is 104.5 without a cap; 100 - 5 * (3 + 7 + 9) + 4.5; 100 - 5 * 24 is below 0
    best = 104.5 if cap is None else cap
    points = {name: (score, severities) for name, score, severities in zip(
        DIMENSIONS, (54.5, best, 9.5, 0), ((10,), (), (3, 7, 9), (8, 8, 8)), strict=True
    )}  # fmt: skip
    average = (54.5 + best + 9.5) / 4
    critique: dict[str, Any] = {name: verdict(score, *given) for name, (score, given) in points.items()}
    scene_result = {
        "simulation": [{"role": role, "content": said} for role, said in judged],
        "simulation_str": "\n\n".join(said for _, said in judged),
        "score": average,
        "critique": critique | {"bleu": 0.02, "rouge_l": 0.08},
    }
    means = {name: float(score) for name, (score, _) in points.items()} | {"avg": average}
    return {"scores": means | {"bleu": 0.02, "rouge_l": 0.08}, "cases": {"King Lear-17-0": scene_result}}, [simulation]


@pytest.mark.parametrize(("protocol", "cap"), [("head", 100), ("paper", None)])
def test_the_official_pair_of_files_gives_every_number_that_it_holds(
    tmp_path: Path, protocol: Any, cap: float | None
) -> None:
    evaluation, simulations = official_pair(cap=cap)
    file = write(tmp_path, simulations, "simulations.json")
    done = imported(tmp_path, evaluation, simulation=file, protocol=protocol)
    assert done == Imported(cases=1, verdicts=4, missing=0, differences=(), remarks=())
    found = means(tmp_path / "out")
    keys = (*METRICS, "bleu4", "rougeL_f1_rouge_chinese")
    assert [found[key]["mean"] for key in keys] == list(evaluation["scores"].values())
    assert [found[f"{name}/flaws"]["mean"] for name in METRICS[:4]] == [1, 0, 3, 3]  # a cap cannot hide them
    ((sample, transcript),) = read_transcripts(tmp_path / "out" / "transcripts.jsonl")
    assert sample.material["scenario"] == "A cold court."
    assert [turn.part for turn in transcript.turns].count("next_speaker") == 4
    assert "He must see it." in transcript.turns[0].thoughts and "see it" not in transcript.turns[0].visible


@pytest.mark.parametrize(
    ("turn", "changed", "words"),
    [
        (1, {"role": "King Lear", "content": "King Lear: Speak."}, "turn 2 .*King Lear: Speak.*against"),
        (0, {"role": "Kent", "content": "Fool: (To Lear) A donkey carried thee. Dost thou laugh?"}, "turn 1 .*Kent"),
        (2, {"role": "Environment", "content": "Environment: Cold wind."}, "turn 3 .*Cold wind"),
    ],
)
def test_another_simulation_than_the_evaluated_one_is_told_by_its_turn(
    tmp_path: Path, turn: int, changed: dict[str, str], words: str
) -> None:
    evaluation, simulations = official_pair()
    turns = evaluation["cases"]["King Lear-17-0"]["simulation"]
    turns[turn] = changed
    file = write(tmp_path, simulations, "simulations.json")
    with pytest.raises(DataError, match=f"'King Lear-17-0': 'simulation' differs .*{words}"):
        imported(tmp_path, evaluation, simulation=file)
    turns.pop()
    with pytest.raises(DataError, match="'simulation' differs"):
        imported(tmp_path, evaluation, simulation=file)


def test_an_import_waits_for_whoever_works_on_the_folder(
    tmp_path: Path, results: dict[str, Any], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "_AGAIN_S", 0.001)
    monkeypatch.setattr(lock.log, "propagate", True)
    caplog.set_level("WARNING", logger="roleeval")
    importing = threading.Thread(target=imported, args=(tmp_path, results))

    async def busy() -> None:
        async with lock.locked(tmp_path / "out"):
            importing.start()
            while "works on this run" not in caplog.text:
                await asyncio.sleep(0.001)
            assert not (tmp_path / "out").exists()

    asyncio.run(busy())
    importing.join()
    assert means(tmp_path / "out")["avg"]["mean"] == 83.25


def test_the_papers_protocol_has_no_cap(tmp_path: Path, results: dict[str, Any]) -> None:
    assert imported(tmp_path, results, protocol="paper").differences[0].recomputed == 116.5
    assert means(tmp_path / "out")["avg"]["mean"] == (66.5 + 116.5) / 2


def test_thoughts_and_the_next_speaker_model_are_not_heard(tmp_path: Path, results: dict[str, Any]) -> None:
    results["cases"]["The Mill-1-12"]["simulation"][1]["content"] = (
        "<system_thinking>Plan.</system_thinking><role_thinking>Secret.</role_thinking>Good evening."
    )
    imported(tmp_path, results)
    (_, first), (_, second) = read_transcripts(tmp_path / "out" / "transcripts.jsonl")
    assert [turn.part for turn in first.turns[:3]] == ["environment", "model", "next_speaker"]
    assert first.turns[0].visible == "Rain on the weir."
    assert first.turns[1].visible == "The wheel stands still. 0" and "cry" in first.turns[1].thoughts
    assert second.turns[1].visible == "Good evening." and "Secret." in second.turns[1].thoughts


def test_simulations_may_be_in_a_file_of_their_own_and_what_was_not_judged_is_missing(
    tmp_path: Path, results: dict[str, Any]
) -> None:
    entries = []
    for name in (*results["cases"], "The Mill-2-0"):
        book, plot, number = name.rsplit("-", 2)
        entry = {"book_title": book, "i_p": int(plot), "i_c": int(number), "circumstance": "Dusk."}
        entries.append(entry | {"simulation": simulated(11), "involved_character_profiles": {"Ada": "A girl."}})
    for each in results["cases"].values():
        del each["simulation"]
    with pytest.raises(DataError, match=r"case 'Moby-Dick-70-0': lacks 'simulation'.*--simulation"):
        imported(tmp_path, results)
    done = imported(tmp_path, results, simulation=write(tmp_path, entries, "simulations.json"))
    assert (done.cases, done.verdicts, done.missing, done.differences) == (3, 8, 4, ())
    found = means(tmp_path / "out")["avg"]
    assert (found["mean"], found["n"], found["missing"]) == (83.25, 2, 1)
    ((sample, _), *_) = read_transcripts(tmp_path / "out" / "transcripts.jsonl")
    assert sample.material["scenario"] == "Dusk."
    results["cases"]["The Mill-1-12"]["simulation"] = simulated(3)
    with pytest.raises(DataError, match=r"'The Mill-1-12': 'simulation' differs"):
        imported(tmp_path, results, simulation=tmp_path / "simulations.json")


def test_the_test_set_tells_id_from_ood(tmp_path: Path) -> None:
    data = resource("tasks/coser/embedded/test_set.json")
    scenes = json.loads(data.read_text(encoding="utf-8"))
    ids = {f"{s['book']}-{s['i_p']}-{s['i_c']}": s["tag"] for s in scenes}
    scores = {name: case(11, 66.5, 2, 3, 2, 3) if tag == "id" else case(11, 100.0) for name, tag in ids.items()}
    imported(tmp_path, {"cases": scores}, data=data)
    out = tmp_path / "out"
    assert means(out, "id")["avg"]["mean"] == 66.5 and means(out, "ood")["avg"]["mean"] == 100
    share = sum(tag == "id" for tag in ids.values()) / len(ids)
    assert means(out)["avg"]["mean"] == pytest.approx(66.5 * share + 100 * (1 - share))
    ((sample, _), *_) = read_transcripts(out / "transcripts.jsonl")
    assert sample.material["reference"] and sample.cluster in sample.id
    with pytest.raises(DataError, match="no case 'Elsewhere-1-1'"):
        imported(tmp_path, {"cases": {"Elsewhere-1-1": case(3, 100.0)}}, data=data)


def test_reports_show_an_import_with_its_judge(tmp_path: Path, results: dict[str, Any]) -> None:
    results["cases"]["The Mill-1-12"]["critique"]["Character Fidelity"] = verdict(100.0, 11)
    imported(tmp_path, results, judge="gpt-4o")
    write_report([tmp_path / "out"], tmp_path / "report")
    text = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    assert "1 run(s)" in text and "83.25" in text and "judge model gpt-4o" in text and "1 of 8 questions failed" in text
    assert "bounds" in text and "differs from planned" not in text and "Reported elsewhere" in text
    (card,) = judge_cards([tmp_path / "out"])
    assert (card.questions, card.judge, card.model) == (8, "official", "gpt-4o") and card.coverage.mean == 7 / 8
    assert card.same_family == dict.fromkeys(card.runs, "both have gpt in their names")


def test_imports_with_other_judges_or_protocols_are_in_no_table_together(
    tmp_path: Path, results: dict[str, Any]
) -> None:
    file = write(tmp_path, results)
    for model, judge, protocol in (("a", "x", "head"), ("b", "x", "head"), ("c", "y", "head"), ("d", "x", "paper")):
        import_coser(file, tmp_path / "r" / "coser" / model / "o", model=model, judge=judge, protocol=protocol)  # type: ignore[arg-type]
    sets = run_sets(collect([tmp_path / "r"]).runs)
    assert sorted(tuple(run.model for run in each.runs) for each in sets) == [("a", "b"), ("c",), ("d",)]
    assert "differ in prompt pack" in sets[0].difference
    assert len(judge_cards([tmp_path / "r"])) == 3


def test_an_import_replaces_an_import_and_nothing_else(tmp_path: Path, results: dict[str, Any]) -> None:
    imported(tmp_path, results)
    before = {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()}
    imported(tmp_path, results)
    assert {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()} == before
    file = tmp_path / "out" / "manifest.json"
    file.write_text(json.dumps({k: v for k, v in json.loads(file.read_text()).items() if k != "imported"}))
    with pytest.raises(ResultError, match="not imported; choose another folder"):
        imported(tmp_path, results)


def damaged(results: dict[str, Any], *path: Any, value: Any = None) -> dict[str, Any]:
    data = copy.deepcopy(results)
    node = data
    for key in path[:-1]:
        node = node[key]
    if value is None:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    return data


CASE = ("cases", "Moby-Dick-70-0")


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("cases",), None, "'cases' is missing or empty"),
        (("cases",), {}, "'cases' is missing or empty"),
        (("cases",), {"Moby-Dick": {}}, "'Moby-Dick' is not BOOK-I_P-I_C"),
        (("scores", "avg"), "83", "scores: 'avg' is not a number"),
        (("scores",), 3, "'scores' is not a JSON object"),
        ((*CASE, "score"), 10**400, "'score' is out of range"),
        ((*CASE, "critique"), None, "'Moby-Dick-70-0': lacks 'critique'"),
        ((*CASE, "critique", "Anthropomorphism"), None, "'Moby-Dick-70-0': critique lacks 'Anthropomorphism'"),
        ((*CASE, "critique", "Anthropomorphism", "flaws"), "none", "critique lacks 'Anthropomorphism' with a list"),
        ((*CASE, "critique", "Anthropomorphism", "score"), "66", "Anthropomorphism: 'score' is not a number"),
        ((*CASE, "critique", "bleu"), 5.0, "'bleu' is out of range"),
        ((*CASE, "critique", "bleu"), None, "one of bleu and rouge_l"),
        ((*CASE, "score"), True, "'score' is not a number"),
        ((*CASE, "simulation"), "Ada: Hm.", "'simulation' is not a list"),
        ((*CASE, "simulation", 1), {"role": "Ada", "content": 3}, "simulation, turn 2: 'content' is not a text"),
        ((*CASE, "simulation", 1, "role"), None, "simulation, turn 2: 'role' is not a text"),
    ],
)
def test_a_malformed_file_names_case_and_key(
    tmp_path: Path, results: dict[str, Any], path: tuple[Any, ...], value: Any, words: str
) -> None:
    with pytest.raises(DataError, match=f"evaluation.json.*{words}"):
        imported(tmp_path, damaged(results, *path, value=value))
    assert not (tmp_path / "out").exists()


def test_what_is_no_json_or_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "evaluation.json").write_text("{")
    with pytest.raises(DataError, match=r"evaluation.json: not valid JSON"):
        import_coser(tmp_path / "evaluation.json", tmp_path / "out", model="m")
    with pytest.raises(DataError, match=r"nowhere.json: cannot be read"):
        import_coser(tmp_path / "nowhere.json", tmp_path / "out", model="m")


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({}, "expected a list"),
        ([3], "simulation 1: not a JSON object"),
        ([{"book_title": "The Mill", "i_p": 1}], "simulation 1: lacks 'i_c'"),
        ([{"book_title": "The Mill", "i_p": "x", "i_c": 1, "simulation": []}], "not BOOK-I_P-I_C"),
        (
            [{"book_title": "The Mill", "i_p": 1, "i_c": 12, "simulation": []}] * 2,
            "'The Mill-1-12' appears twice",
        ),
        ([{"book_title": "Other", "i_p": 1, "i_c": 1, "simulation": []}], "has none of the cases"),
    ],
)
def test_a_malformed_simulation_file_names_what_is_wrong(
    tmp_path: Path, results: dict[str, Any], entries: Any, words: str
) -> None:
    with pytest.raises(DataError, match=f"simulations.json.*{words}"):
        imported(tmp_path, results, simulation=write(tmp_path, entries, "simulations.json"))
