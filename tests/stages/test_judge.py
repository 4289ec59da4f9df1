"""Judging result folders: what is kept, what is asked again, and what never shares a column."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from judge_stubs import SCRIPTS, ScriptedOptions, scripted, shown_answers
from judged import asked, configured, entry, execute, points, winner

from roleeval.engines import ModelSource
from roleeval.errors import ConfigError, EngineError, ResultError
from roleeval.judging import PairwiseJudge, Panel, Price, RankingJudge, RubricJudge
from roleeval.report import write_report
from roleeval.results import read_judgements
from roleeval.types import Request


def rubric(engine: ScriptedOptions, **options: Any) -> RubricJudge:
    return RubricJudge(engine=engine, source=ModelSource(options.pop("model", "judge")), **options)


def pairwise(engine: ScriptedOptions, **options: Any) -> PairwiseJudge:
    return PairwiseJudge(engine=engine, source=ModelSource("judge"), **options)


def longer_wins(request: Request) -> str:
    a, b = shown_answers(request).values()
    return winner(*["tie" if len(a) == len(b) else "A" if len(a) > len(b) else "B"] * 2)


def test_a_judged_run_keeps_every_call_and_its_scores_stand_beside_the_metrics(tmp_path: Path) -> None:
    judge = rubric(scripted("four", lambda request: points(4)), prices={"judge": Price(1.0, 2.0)})
    outcome = execute(configured(tmp_path, judge))
    rows = list(read_judgements(outcome.folder.judgements))
    assert len(rows) == 20 == asked("four")
    first, line = rows[0], json.loads(outcome.folder.judgements.read_bytes().splitlines()[0])
    assert line["judge"] == "rubric" and line["pack"]["name"] == "rubric" and len(line["pack"]["sha256"]) == 64
    assert first.attempts[0].raw == points(4) and first.attempts[0].finish_reason == "stop"
    assert first.tokens == {"prompt": 100, "output": 20} and first.cost == pytest.approx(140 / 1e6)
    assert entry(outcome, "/overall")["mean"] == 4
    summary = outcome.folder.summary()
    assert summary is not None and "answer_words" in summary["metrics"]
    scores = pd.read_parquet(outcome.folder.scores)
    assert (scores[scores.metric.str.endswith("/character")]["value"] == 4).all()
    record = next(iter(json.loads((outcome.folder.path / "manifest.json").read_text())["judges"].values()))
    assert record["statuses"] == {"ok": 20} and record["cost"] == pytest.approx(20 * 140 / 1e6)


def test_judging_an_existing_folder_asks_the_model_under_test_nothing(tmp_path: Path) -> None:
    plain = execute(configured(tmp_path, None))
    before = (plain.folder.path / "transcripts.jsonl").read_bytes()
    judge = rubric(scripted("later", lambda request: points(3)))
    outcome = execute(configured(tmp_path, judge, stages=("judge",)))
    assert asked("model stub") == 0  # of the second command
    assert outcome.folder == plain.folder and entry(outcome, "/overall")["mean"] == 3
    assert (plain.folder.path / "transcripts.jsonl").read_bytes() == before
    summary = outcome.folder.summary()
    assert summary is not None and "answer_words" in summary["metrics"]


def test_judging_what_was_never_generated_says_so(tmp_path: Path) -> None:
    judge = rubric(scripted("never", lambda request: points(3)))
    with pytest.raises(ResultError, match="generate first"):
        execute(configured(tmp_path, judge, stages=("judge",)))


def test_a_judged_folder_is_skipped_and_nothing_is_asked_twice(tmp_path: Path) -> None:
    judge = rubric(scripted("once", lambda request: points(3)))
    assert not execute(configured(tmp_path, judge)).skipped
    assert execute(configured(tmp_path, judge)).skipped
    folder = execute(configured(tmp_path, judge)).folder
    kept = folder.judgements.read_bytes()
    folder.judgements.unlink()
    manifest = json.loads((folder.path / "manifest.json").read_text())
    del manifest["judges"]
    (folder.path / "manifest.json").write_text(json.dumps(manifest))
    execute(configured(tmp_path, judge))
    assert asked("once") == 20 and folder.judgements.read_bytes() == kept


def test_lost_scores_come_back_with_the_judges_and_nothing_is_asked_again(tmp_path: Path) -> None:
    judge = rubric(scripted("lost", lambda request: points(3)))
    folder = execute(configured(tmp_path, judge)).folder
    before = folder.summary()
    folder.scores.unlink()
    (folder.path / "summary.json").unlink()
    execute(configured(tmp_path, judge))
    assert folder.summary() == before and asked("lost") == 20


def test_judges_models_and_packs_never_share_a_column(tmp_path: Path, root: Path) -> None:
    engine = scripted("columns", lambda request: points(3))
    pack = tmp_path / "pack"
    pack.mkdir()
    for file in (root / "judges" / "rubric").iterdir():
        (pack / file.name).write_text(file.read_text() + ("\n" if file.name == "user.txt" else ""))
    judges = [rubric(engine), rubric(engine, model="other"), rubric(engine, pack=str(pack)), rubric(engine, seed=1)]
    for judge in judges:
        outcome = execute(configured(tmp_path / "r", judge))
    summary = outcome.folder.summary()
    assert summary is not None
    columns = {name for name in summary["metrics"] if name.endswith("/overall")}
    assert len(columns) == 4 and asked("columns") == 80
    assert len({row.column for row in read_judgements(outcome.folder.judgements)}) == 4


def test_new_metrics_do_not_lose_the_judges_scores(tmp_path: Path) -> None:
    judge = rubric(scripted("kept", lambda request: "?" if "Ishmael" in str(request.messages) else points(4)))
    execute(configured(tmp_path, judge))
    config = configured(tmp_path, None)
    before = execute(config).folder.summary()
    fewer = replace(config, metrics={})
    after = execute(fewer).folder.summary()
    assert before is not None and after is not None
    assert after["metrics"] == {name: entry for name, entry in before["metrics"].items() if name.startswith("judge/")}


def test_unusable_replies_are_missing_with_bounds_and_more_attempts_fill_only_those(tmp_path: Path) -> None:
    def odd(request: Request) -> str:
        return points(4) if request.seed % 2 or request.attempt > 1 else "I would rather not say."

    few = execute(configured(tmp_path, rubric(scripted("odd", odd), attempts=1)))
    found = entry(few, "/overall")
    missing = found["missing"]
    assert 0 < missing < 10 and found["statuses"] == {"judge_failed": missing, "ok": 10 - missing}
    assert found["bounds"] == pytest.approx([(4 * (10 - missing) + missing * end) / 10 for end in (1, 5)])
    calls, failed = (
        asked("odd"),
        [row.item for row in read_judgements(few.folder.judgements) if row.verdict is None],
    )
    more = execute(configured(tmp_path, rubric(scripted("odd", odd), attempts=3)))
    assert entry(more, "/overall")["missing"] == 0 and calls == 20
    again = SCRIPTS["odd"].requests
    assert {request.affinity for request in again} == set(failed)
    assert all(request.attempt > 0 for request in again)


def test_a_judge_that_cannot_be_reached_stops_the_stage_and_keeps_what_was_said(tmp_path: Path) -> None:
    lost = scripted("lost", lambda request: EngineError("nobody there") if request.seed % 3 == 0 else points(2))
    with pytest.raises(EngineError, match=r"fail_on_error=0.05.*nobody there.*same command"):
        execute(configured(tmp_path, rubric(lost)))
    answered = [request for request in SCRIPTS["lost"].requests if request.seed % 3]
    healed = execute(configured(tmp_path, rubric(scripted("lost", lambda request: points(2)))))
    assert entry(healed, "/overall")["missing"] == 0 and asked("lost") == 20 - len(answered)


def test_two_runs_share_the_calls_that_compare_them(tmp_path: Path) -> None:
    judge = pairwise(scripted("pair", longer_wins))
    one = execute(configured(tmp_path, judge, model="one"))
    assert asked("pair") == 0  # nobody to compare with yet
    two = execute(configured(tmp_path, judge, model="the_second"))
    calls = asked("pair")
    one = execute(configured(tmp_path, judge, model="one"))
    assert asked("pair") == calls == 40
    wins = [entry(outcome, "/overall/win") for outcome in (one, two)]
    assert wins[0]["mean"] + wins[1]["mean"] == pytest.approx(1) and wins[0]["n"] == 10
    names = [[m for m in (o.folder.summary() or {})["metrics"] if m.endswith("/overall/win")] for o in (one, two)]
    assert names[0] == names[1]


def test_names_of_models_and_runs_never_reach_a_judge(tmp_path: Path) -> None:
    models = ("gpt_secret", "claude_hidden", "third_unseen")
    pair = pairwise(scripted("blind", longer_wins))
    order = scripted("blind_list", lambda request: ranked(request))
    for model in models:
        execute(configured(tmp_path, pair, model=model))
        outcome = execute(configured(tmp_path, RankingJudge(engine=order, source=ModelSource("j")), model=model))
    prompts = str([r.messages for name in ("blind", "blind_list") for r in SCRIPTS[name].requests])
    assert len(shown_answers(SCRIPTS["blind_list"].requests[-1])) == 3
    for name in (*models, outcome.folder.path.name, outcome.folder.path.name.partition("-")[2]):
        assert name not in prompts


def ranked(request: Request) -> str:
    answers = shown_answers(request)
    best = sorted(answers, key=lambda name: answers[name])
    ranking = {"reason": "", "ranking": [name[-1] for name in best]}
    return json.dumps({"style": ranking, "knowledge": ranking})


def test_opponents_are_named_models_or_the_references(tmp_path: Path) -> None:
    engine = scripted("named", longer_wins)
    for model in ("one", "two"):
        execute(configured(tmp_path, None, model=model))
    outcome = execute(configured(tmp_path, pairwise(engine, against=("one", "references")), model="two"))
    summary = outcome.folder.summary()
    assert summary is not None
    against = [name.partition("/win_against/")[2] for name in summary["metrics"] if "/win_against/" in name]
    wins = [groups for name, groups in summary["metrics"].items() if "/win" in name]
    assert len(wins) == 6 and all(entry["bounds"] for groups in wins for entry in groups.values())
    assert sorted(label.partition("/")[0] for label in against) == ["one", "references"]
    with pytest.raises(ConfigError, match=r"judge.against: 'nobody'.*there are: one"):
        execute(configured(tmp_path, pairwise(engine, against=("nobody",)), model="two"))


def test_runs_with_other_data_or_another_seed_are_no_opponents(tmp_path: Path) -> None:
    judge = pairwise(scripted("apart", longer_wins))
    for options in ({"model": "one", "seed": 2}, {"model": "two", "limit": 5}, {"model": "three"}):
        execute(configured(tmp_path, judge, **options))
    assert asked("apart") == 0


def test_a_panel_has_a_column_for_each_judge_and_one_for_all(tmp_path: Path) -> None:
    kind, strict = scripted("kind", lambda r: points(5)), scripted("strict", lambda r: points(2) if r.seed % 4 else "-")
    panel = Panel(judges={"kind": rubric(kind), "strict": rubric(strict, attempts=1)})
    outcome = execute(configured(tmp_path, panel))
    summary = outcome.folder.summary()
    assert summary is not None
    overall = {
        name.split("@")[0]: e["eng_general"] for name, e in summary["metrics"].items() if name.endswith("/overall")
    }
    assert overall["judge/kind"]["mean"] == 5 and overall["judge/strict"]["mean"] == 2
    assert overall["judge/panel"]["mean"] == 3.5
    assert overall["judge/panel"]["missing"] == overall["judge/strict"]["missing"] > 0
    assert execute(configured(tmp_path, panel)).skipped


@pytest.mark.parametrize("models", [("one", "two"), ("one", "two", "three")])
def test_a_panel_that_compares_pools_its_wins(tmp_path: Path, models: tuple[str, ...]) -> None:
    judges = {
        "length": pairwise(scripted("length", longer_wins)),
        "first": pairwise(scripted("1st", lambda r: winner("A", "A"))),
    }
    for model in models:
        outcome = execute(configured(tmp_path, Panel(judges=judges), model=model))
    summary = outcome.folder.summary()
    assert summary is not None
    wins = {n.split("@")[0]: g["eng_general"] for n, g in summary["metrics"].items() if n.endswith("/overall/win")}
    mean = (wins["judge/length"]["mean"] + wins["judge/first"]["mean"]) / 2
    assert wins["judge/first"]["mean"] == 0.5 and wins["judge/panel"]["mean"] == pytest.approx(mean)


def mixed(kind: ScriptedOptions, pair: ScriptedOptions) -> Panel:
    return Panel(judges={"kind": rubric(kind), "pair": pairwise(pair)})


def columns_of(outcome: Any) -> set[str]:
    return {name.partition("@")[0] for name in (outcome.folder.manifest().judges)}


def test_in_a_panel_a_judge_without_opponents_waits_and_the_others_are_asked(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    panel = mixed(scripted("kind", lambda r: points(5)), scripted("pair", longer_wins))
    one = execute(configured(tmp_path, panel, model="one"))
    assert columns_of(one) == {"judge/kind"} and entry(one, "/overall")["mean"] == 5
    assert (asked("kind"), asked("pair")) == (20, 0)
    assert "judge pair waits for opponents" in caplog.text and "judge kind" not in caplog.text
    assert execute(configured(tmp_path, panel, model="one")).skipped  # nothing new to ask
    two = execute(configured(tmp_path, panel, model="the_second"))
    again = execute(configured(tmp_path, panel, model="one"))
    assert columns_of(two) == columns_of(again) == {"judge/kind", "judge/pair", "judge/panel"}
    assert (asked("kind"), asked("pair")) == (40, 40) and entry(again, "/overall")["mean"] == 5
    assert execute(configured(tmp_path, panel, model="the_second")).skipped


def test_judges_asked_one_by_one_are_pooled_by_their_panel(tmp_path: Path) -> None:
    kind, strict = scripted("kind", lambda r: points(5)), scripted("strict", lambda r: points(2))
    for name, engine in (("kind", kind), ("strict", strict)):
        execute(configured(tmp_path, rubric(engine, name=name)))
    outcome = execute(configured(tmp_path, Panel(judges={"kind": rubric(kind), "strict": rubric(strict)})))
    assert not outcome.skipped and (asked("kind"), asked("strict")) == (20, 20)
    assert columns_of(outcome) == {"judge/kind", "judge/strict", "judge/panel"}


def test_reports_name_the_judge_and_bound_what_is_missing(tmp_path: Path) -> None:
    judge = rubric(scripted("some", lambda request: points(4) if request.seed % 2 else "-"), attempts=1)
    execute(configured(tmp_path, judge))
    pair = pairwise(scripted("habits", longer_wins))
    for model in ("one", "two", "one"):
        execute(configured(tmp_path, pair, model=model))
    execute(configured(tmp_path, judge, seed=2))
    written = {
        file.name: file.read_text() for file in write_report([tmp_path], tmp_path / "report") if file.suffix != ".png"
    }
    report = written["report.md"]
    rows = [row for row in csv.DictReader(io.StringIO(written["report.csv"])) if row["metric"].endswith("/overall")]
    assert {bool(row["seeds"]) for row in rows} == {True, False} and all(
        float(row["bound_worst"]) < float(row["mean"]) < float(row["bound_best"]) for row in rows
    )
    assert "bounds" in report and "(worst)" in report and "judge model judge, prompts rubric 2" in report
    assert "differs from planned" not in report and "do not use" not in report
