"""What `roleeval site` writes: complete, bounded, replaceable, and without anything of the machine it was made on."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import site_results as made
from judge_stubs import scripted
from judged import configured, execute, winner
from site_texts import HOSTILE
from typer.testing import CliRunner

from roleeval.cli.main import app
from roleeval.engines import ModelSource
from roleeval.errors import ResultError
from roleeval.judging import PairwiseJudge
from roleeval.report.leaderboard import Site, build_site
from roleeval.report.leaderboard.judged import contradictions, verdict_parts
from roleeval.report.leaderboard.samples import sample_data
from roleeval.report.leaderboard.shards import Pieces, ShardWriter, to_json
from roleeval.results import read_judgements, read_transcripts
from roleeval.results.folder import read_records


def loaded(site: Path, name: str) -> Any:
    """A data script's value, read as the page reads it."""
    found = re.fullmatch(
        r'roleevalData\("([^"]+)",(".*")\);\n', (site / "data" / f"{name}.js").read_text(encoding="utf-8"), re.DOTALL
    )
    assert found is not None
    assert found[1] == name
    return json.loads(json.loads(found[2]))


def folder_of(site: Path, key: str) -> str:
    runs = [run["key"] for run in loaded(site, "index")["runs"]]
    return f"r{runs.index(key)}"


def texts(site: Path, folder: str) -> list[Any]:
    count = len(loaded(site, f"{folder}/run")["texts"])
    return [sample for number in range(count) for sample in loaded(site, f"{folder}/t{number}")]


def test_every_text_and_value_is_there(built: Site, results: Path) -> None:
    site = built.page.parent
    folder = folder_of(site, "answers/alpha/seed1-0123abcd")
    source = results / "answers" / "alpha" / "seed1-0123abcd"
    there = {sample["id"]: sample for sample in texts(site, folder)}
    judged = {row.sample_id: row for row in read_judgements(source / "judgements.jsonl")}
    count = 0
    for sample, transcript in read_transcripts(source / "transcripts.jsonl"):
        shown = there[sample.id]
        assert [turn["text"] for turn in shown["turns"]] == [turn.visible for turn in transcript.turns]
        assert shown["references"] == {name: list(each) for name, each in sample.references.items()}
        quotes = [part["quote"] for row in shown["judgements"] for part in row.get("parts", ())]
        assert quotes == [error["quote"] for error in (judged[sample.id].verdict or {"errors": ()})["errors"]]
        count += 1
    assert count == len(there) == 67
    about = loaded(site, f"{folder}/run")
    likeness = about["columns"].index(["likeness", "CUS"])
    values = loaded(site, f"{folder}/v0")[likeness]
    assert values["values"][7] is None
    assert values["odd"] == {"7": "engine_failed"}
    assert (
        values["values"][0]
        == there["eng/00000"]["values"][[v[0] for v in there["eng/00000"]["values"]].index(likeness)][1]
    )


def test_hostile_text_is_a_string_in_a_string(built: Site) -> None:
    site = built.page.parent
    folder = folder_of(site, "answers/beta/seed1-0123abcd")
    shown = [sample["turns"][0]["text"] for sample in texts(site, folder)[60:65]]
    assert shown == list(HOSTILE)
    for file in (site / "data").rglob("*.js"):
        content = file.read_text(encoding="utf-8")
        assert content.count("\n") == 1  # one call with two strings: `loaded` reads each of them
        loaded(site, str(file.relative_to(site / "data"))[:-3])


def test_shards_are_bounded_and_found_by_their_starts(built: Site, tmp_path: Path) -> None:
    writer = ShardWriter(tmp_path / "data")
    pieces = Pieces(writer, "r0/t", limit=100)
    for number in range(10):
        pieces.add(to_json({"n": number, "text": "x" * 30}))
    pieces.close()
    assert pieces.starts == [0, 3, 6, 9]
    assert [item["n"] for item in loaded(tmp_path, "r0/t1")] == [3, 4, 5]
    sizes = sorted(file.stat().st_size for file in (built.page.parent / "data").rglob("t*.js"))
    assert sizes[-3] < 2_500_000  # the two answers of 5 MB have shards that end with them
    assert sizes[-1] < 13_000_000


def test_a_sample_is_shown_whole_and_without_what_is_empty() -> None:
    """The record of a line with everything in it, and of one by an older version, with fewer keys."""
    sample = {
        "id": "eng/1",
        "index": 1,
        "split": "eng",
        "cluster": "Iris",
        "persona": {"role": "Iris", "description": "Keeps the light.", "language": "en", "since": "later versions"},
        "question": "Who?",
        "references": {"CUS": ["Iris."]},
    }
    quiet = {"thoughts": "", "status": "ok", "finish_reason": "stop", "prompt_tokens": 5, "adapter": ""}
    sent = [{"role": "user", "content": "Who?"}]
    turns = [
        {"speaker": "Iris", "messages": sent, "raw": "<t>Hm</t>I.", "visible": "I.", **quiet, "output_tokens": 3}
        | {"thoughts": "Hm", "finish_reason": "length", "attempts": 2, "shown": "[Hm] I.", "error": "cut", "note": "n"}
        | {"adapter": "iris", "logprob": -0.5, "greedy": True, "own_history": "", "part": "model", "aside": False},
        {
            "speaker": "Iris",
            "messages": sent,
            "raw": "I.",
            "visible": "I.",
            **quiet,
            "output_tokens": 0,
            "prompt": None,
        },
        {"speaker": "", "messages": [], "raw": "Iris", "visible": "Iris", **quiet, "output_tokens": 1}
        | {"part": "next_speaker", "prompt": "Next:", "status": "refused"},
    ]
    shown = sample_data({"sample": sample, "status": "ok", "turns": turns})
    assert to_json(shown).decode() == (
        '{"id":"eng/1","split":"eng","cluster":"Iris",'
        '"persona":{"role":"Iris","description":"Keeps the light.","language":"en"},"question":"Who?",'
        '"references":{"CUS":["Iris."]},"labels":{},"material":{},"status":"ok","turns":['
        '{"speaker":"Iris","part":"model","text":"I.","sent":[["user","Who?"]],"raw":"<t>Hm</t>I.","finish":"length",'
        '"attempts":2,"thoughts":"Hm","shown":"[Hm] I.","error":"cut","note":"n","tokens":3,"adapter":"iris",'
        '"logprob":-0.5},{"speaker":"Iris","part":"model","text":"I."},'
        '{"speaker":"","part":"next_speaker","text":"Iris","prompt":"Next:","status":"refused","aside":true,"tokens":1}]}'
    )


@pytest.mark.parametrize("line", ['{"sample":{"id":"x"},"status":"ok","turns":[]}', "[1]", '{"sample":[]}', "{"])
def test_a_damaged_line_is_named(line: str, tmp_path: Path) -> None:
    file = tmp_path / "transcripts.jsonl"
    file.write_text(line + "\n", encoding="utf-8")
    with pytest.raises(ResultError, match=r"transcripts\.jsonl, line 1: damaged"):
        list(read_records(file, sample_data))
    with pytest.raises(ResultError, match=r"transcripts\.jsonl, line 1: damaged"):
        list(read_transcripts(file))


def test_half_a_surrogate_pair_is_escaped() -> None:
    assert json.loads(to_json({"name": "a\ud800b"})) == {"name": "a\ud800b"}


def test_no_folder_of_the_machine_is_in_it(built: Site, results: Path) -> None:
    for file in built.page.parent.rglob("*.js"):
        content = file.read_text(encoding="utf-8")
        assert str(results) not in content, file
        assert "/home/me" not in content, file


def test_a_damaged_run_keeps_its_numbers_and_says_why(built: Site) -> None:
    index = loaded(built.page.parent, "index")
    run = next(run for run in index["runs"] if run["key"].startswith("scenes/damaged"))
    assert "transcripts.jsonl" in run["trouble"]
    assert any(row["model"] == "damaged" for each in index["sets"] for row in each["rows"])
    assert [each.path.parent.name for each in built.not_shown] == ["damaged"]


def test_a_board_begins_with_what_represents_the_benchmark_and_its_judge(built: Site) -> None:
    index = loaded(built.page.parent, "index")
    answers = next(each for each in index["sets"] if each["benchmark"] == "answers")
    assert answers["headline"] == [f"{made.PREFIX}/overall", "likeness", "words"]


def test_not_separable_rows_are_known(built: Site) -> None:
    index = loaded(built.page.parent, "index")
    answers = next(each for each in index["sets"] if each["benchmark"] == "answers")
    assert answers["standings"]["likeness eng/CUS"] == ["best", "tied"]  # two roles: no test can tell


def test_an_earlier_site_is_replaced_and_other_folders_are_refused(results: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "site"
    build_site([results / "scenes"], out)
    (out / "data" / "old.js").write_text("old", encoding="utf-8")
    build_site([results / "scenes" / "alpha"], out)
    assert not (out / "data" / "old.js").exists()
    assert [each.name for each in out.parent.iterdir()] == ["site"]
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ResultError, match="holds other files"):
        build_site([results], mine)
    with pytest.raises(ResultError, match="no finished and scored run"):
        build_site([mine], tmp_path / "new")


def test_the_command_says_where_the_page_is(results: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["site", str(results / "scenes"), "--out", str(tmp_path / "site")])
    assert done.exit_code == 0
    assert str(tmp_path / "site" / "index.html") in done.output
    assert "its texts are not shown" in done.output


def test_seeds_are_one_row_with_a_run_each(tmp_path: Path) -> None:
    for seed in (1, 2):
        episodes = [made.single(number, f"seed {seed} says {number}", likeness=number / 10) for number in range(4)]
        made.write(
            tmp_path / "results",
            made.Run("answers", "gamma", episodes, run=f"seed{seed}-0123abcd", seed=seed),
        )
    site = build_site([tmp_path / "results"], tmp_path / "site").page.parent
    (found,) = loaded(site, "index")["sets"]
    assert [len(row["runs"]) for row in found["rows"]] == [2]


def test_comparisons_have_ratings_winners_and_contradictions(tmp_path: Path) -> None:
    always_first = scripted("site pairs", lambda request: winner("A", "tie", why="It comes first."))
    for model in ("m0", "m1"):
        judge = PairwiseJudge(engine=always_first, source=ModelSource("judge"))
        execute(configured(tmp_path / "results", judge, model=model, limit=2))
    site = build_site([tmp_path / "results"], tmp_path / "site").page.parent
    index = loaded(site, "index")
    rated = [each for found in index["sets"] for each in found["ratings"]]
    assert rated
    last = next(number for number, run in enumerate(index["runs"]) if run["run"].startswith("m1/"))
    about = loaded(site, f"r{last}/run")
    flips = [row[about["listColumns"].index("flips")] for row in loaded(site, f"r{last}/list0")]
    assert all(count == 1 for count in flips)  # style: the judge names whoever comes first
    parts = texts(site, f"r{last}")[0]["judgements"][0]["parts"]
    assert {"about": "style", "why": "It comes first.", "winner": "A"} in parts


def test_the_same_run_below_two_paths_has_two_addresses(results: Path, tmp_path: Path) -> None:
    copied = tmp_path / "copied"
    shutil.copytree(results / "scenes" / "alpha", copied / "scenes" / "alpha")
    site = build_site([results / "scenes", copied], tmp_path / "site").page.parent
    keys = [run["key"] for run in loaded(site, "index")["runs"]]
    assert len(set(keys)) == len(keys) == 4
    assert any(key.endswith("~2") for key in keys)


def test_parts_of_verdicts_of_every_judge() -> None:
    rubric = {"character": {"quote": "a", "reason": "b", "score": 3}}
    assert list(verdict_parts(rubric)) == [{"about": "character", "quote": "a", "why": "b", "score": 3}]
    flaws = {"flaws": [{"instance": "a", "type": "b", "severity": 9.0}], "coerced": 0}
    assert list(verdict_parts(flaws)) == [{"about": "flaws", "quote": "a", "kind": "b", "severity": 9.0}]
    pair = {"style": {"reason": "b", "winner": "A"}}
    assert list(verdict_parts(pair)) == [{"about": "style", "why": "b", "winner": "A"}]
    assert list(verdict_parts({"speaker": "Holmes"})) == []


def test_contradictions_are_orders_that_name_different_winners() -> None:
    def row(first: str, second: str, winner: str) -> Any:
        line = {
            "column": "judge/pairs@1-2",
            "item": "x",
            "sample_id": "x",
            "slots": [first, second],
            "repeat": 0,
            "verdict": {"style": {"reason": "", "winner": winner}},
            "status": "ok",
            "reason": "",
            "answered": True,
            "attempts": [],
            "numbers": {},
            "tokens": {},
            "cost": None,
        }
        from roleeval.results.judgements import parse_judgement

        return parse_judgement(json.dumps(line).encode())

    assert contradictions([row("a", "b", "A"), row("b", "a", "B")]) == 0
    assert contradictions([row("a", "b", "A"), row("b", "a", "A")]) == 1
