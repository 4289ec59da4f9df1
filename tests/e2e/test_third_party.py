"""A benchmark of a third party with several parties and its own judge, from playing to comparing, as whole commands.

Its package is tests/support/third_party/inn: nothing in roleeval knows it. docs/extending.md is written around it.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from roleeval.results import ResultFolder, read_judgements, read_transcripts
from tests.e2e.conftest import ROOT, Start, files, starter

THIRD_PARTY = ROOT / "tests" / "support" / "third_party"
INN = (
    *("--config-dir", str(THIRD_PARTY / "inn" / "conf")),
    f"hydra.searchpath=[file://{ROOT / 'tests' / 'support' / 'conf'}]",
    *("engine=stub", "engine.script=inn_replies:reply", "engine.journal=asked.txt"),
    *("benchmark=inn", "model=inn_company", "model.source.path=stub", "results_dir=r"),
)
PLAIN = ("model.name=plain",)
RHYME = ("model.name=rhyme", "model.manner='Speak in rhyme.'")
JUDGED = ("judge=inn_errors", "judge.controls=4")


def done(process: "subprocess.Popen[str]") -> str:
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    return output


def roleeval(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "roleeval", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=240).stdout


def commands(*several: tuple[str, ...]) -> list[str]:
    """One command line for several commands."""
    return [argument for command in several for argument in ("--then", *INN, *command)][1:]


@pytest.fixture(scope="module")
def inn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Two models played, judged by the inn's judge with controls, by a panel, and against each other."""
    folder = tmp_path_factory.mktemp("inn")
    everything = [(*model, *judge) for judge in (JUDGED, ("judge=inn_panel",)) for model in (PLAIN, RHYME)]
    pairs = [(*model, "judge=pairwise") for model in (PLAIN, RHYME)]
    quiet = [(*command, "progress=quiet") for command in (*everything, *pairs)]
    done(starter(folder)(*commands(*quiet)))
    yield folder


def run_of(folder: Path, model: str) -> ResultFolder:
    (found,) = (folder / "r" / "inn" / model).iterdir()
    return ResultFolder(found)


def summary(folder: Path, model: str) -> dict[str, Any]:
    found = run_of(folder, model).summary()
    assert found is not None
    return found


def metric(found: dict[str, Any], start: str, end: str) -> str:
    (name,) = [name for name in found["metrics"] if name.startswith(start) and name.endswith(end)]
    return name


def test_every_party_plays_its_part(inn: Path) -> None:
    played = list(read_transcripts(run_of(inn, "plain").transcripts))
    assert [sample.split for sample, _ in played] == ["en"] * 6 + ["zh"] * 4
    for sample, transcript in played:
        assert transcript.status == "ok"
        parts = {turn.part for turn in transcript.turns}
        assert {"narrator", "guest", "director"} <= parts <= {"narrator", "guest", "director", "model"}
        assert all(turn.aside == (turn.part == "director") for turn in transcript.turns)
        cast = sample.persona.role.split(", ")
        assert {turn.speaker for turn in transcript.turns if turn.part == "model"} <= set(cast)
        # everybody hears everybody, and nobody hears the director
        heard = "\n".join(m.content for t in transcript.turns if t.part == "model" for m in t.messages)
        assert sample.labels["guest"] + ":" in heard and "Director" not in heard


def test_the_same_commands_again_ask_nothing(inn: Path) -> None:
    asked = (inn / "asked.txt").read_text()
    again = commands(*((*model, *judge) for model in (PLAIN, RHYME) for judge in (JUDGED, ("judge=pairwise",))))
    output = done(starter(inn)(*again, "progress=log"))
    assert output.count("already done, skipped") == 4
    assert (inn / "asked.txt").read_text() == asked


def test_the_summary_says_what_every_number_is(inn: Path) -> None:
    found = summary(inn, "plain")
    slips, fresh = found["info"]["inn/slips"], found["info"]["inn/fresh_words"]
    assert (slips["unit"], slips["higher_is_better"], slips["headline"]) == ("count", False, True)
    assert (fresh["unit"], fresh["per"]) == ("fraction", "cluster")
    assert found["metrics"]["inn/fresh_words"]["en"]["n"] == 3  # one for each evening
    assert found["metrics"]["inn/slips"]["all"]["mean_of"] == ["en", "zh"]
    assert found["metrics"]["bleu4_nltk_smooth3"]["all"]["mean_of"] == ["en/chronicle", "zh/chronicle"]
    errors = found["info"][metric(found, "judge/inn_errors@", "/errors")]
    overall = found["info"][metric(found, "judge/inn_errors@", "/overall")]
    assert (errors["unit"], errors["higher_is_better"], errors["judged"]) == ("count", False, True)
    assert (overall["unit"], overall["low"], overall["high"], overall["headline"]) == ("points", 1.0, 5.0, True)


def test_the_judge_asks_about_single_turns_and_quotes_from_the_turn_it_names(inn: Path) -> None:
    folder = run_of(inn, "rhyme")
    played = read_transcripts(folder.transcripts)
    own_turns = [(s.id, n, turn) for s, t in played for n, turn in enumerate(t.turns) if turn.part == "model"]
    rows = [row for row in read_judgements(folder.judgements) if row.column.startswith("judge/inn_errors@")]
    own = [row for row in rows if row.control is None]
    assert {row.item for row in own} == {f"{name}|{number}" for name, number, _ in own_turns}
    assert all(row.status == "ok" and len(row.attempts) == 1 for row in own)
    errors = [(row.sample_id, error) for row in own if row.verdict for error in row.verdict["errors"]]
    assert all(row.numbers == {"manner": (row.verdict or {})["manner"]["score"]} for row in own)
    said = {(name, number): turn.visible for name, number, turn in own_turns}
    assert errors and all(error["quote"] in said[name, error["turn"]] for name, error in errors)
    # controls: so many of the run's own scenes with faults put into them
    manifest = folder.manifest()
    assert manifest is not None
    (record,) = [record for record in manifest.judge_records.values() if record.judge == "inn_errors"]
    assert record.controls is not None and record.controls["answers"] == 4
    assert (record.controls["base"], record.controls["metric"]) == ("transcript", "overall")
    assert record.controls["faults"]["refuses"]["ordered"]["mean"] == 1.0


def test_a_panel_pools_what_both_judges_score_alike(inn: Path) -> None:
    found = summary(inn, "plain")
    pooled = [name for name in found["metrics"] if name.startswith("judge/inn_panel@")]
    assert [name.rpartition("/")[2] for name in pooled] == ["overall"]
    columns = [metric(found, f"judge/{name}@", "/overall") for name in ("errors", "rubric")]
    one, two = (found["metrics"][column]["en"]["mean"] for column in columns)
    assert found["metrics"][pooled[0]]["en"]["mean"] == pytest.approx((one + two) / 2)


def test_the_report_compares_the_models_in_the_inns_own_words(inn: Path) -> None:
    shown = roleeval(inn, "report", "r", "--reference", "plain", "--out", "report")
    assert "inn/fresh_words" in shown and "over evenings" in " ".join(shown.split())
    text = (inn / "report" / "report.md").read_text()
    headline = text.partition("### Headline: all")[2].partition("###")[0]
    columns = next(line for line in headline.splitlines() if line.startswith("| model"))
    assert "Fresh words of an evening ↑" in columns and "Turns" not in columns
    assert "n 5 evenings" in text and "One value per evening" in headline
    assert "Fresh words of an evening is inn/fresh_words" in headline
    legend = text.partition("### Metrics")[2].partition("###")[0]
    assert "| Hidden words let slip | inn/slips | count | from 0 | lower | answer | Turns of the model under" in legend
    assert "| Fresh words of an evening | inn/fresh_words | fraction | 0 to 1 | higher | evening |" in legend
    assert "/overall | points | 1 to 5 | higher | answer |" in legend
    falling = next(line for line in text.splitlines() if line.startswith("- Lower is better, so a difference below 0"))
    assert "Hidden words let slip" in falling and "Fresh words" not in falling
    differences = pd.read_csv(inn / "report" / "differences.csv").set_index(["metric", "group"])
    plain, rhyme = (summary(inn, model) for model in ("plain", "rhyme"))
    for name in ("inn/slips", "inn/fresh_words", metric(plain, "judge/inn_errors@", "/errors")):
        means = [each["metrics"][name]["all"]["mean"] for each in (plain, rhyme)]
        assert differences.loc[(name, "all"), "difference"] == pytest.approx(means[1] - means[0])
    ratings = pd.read_csv(inn / "report" / "ratings.csv")
    assert set(ratings["model"]) == {"plain", "rhyme"}


def test_the_judge_card_knows_the_judge(inn: Path) -> None:
    roleeval(inn, "judge-card", "r", "--out", "card")
    cards = {card["judge"]: card for card in json.loads((inn / "card" / "card.json").read_text())}
    assert set(cards) == {"inn_errors", "errors", "rubric", "rolebench_pairwise"}
    assert cards["inn_errors"]["coverage"]["mean"] == 1.0
    assert cards["inn_errors"]["variances"] == {} and cards["rubric"]["variances"]  # several questions a scene, and one
    assert cards["inn_errors"]["controls"]["answers"] == 4


def test_the_export_is_lm_evals(inn: Path) -> None:
    pytest.importorskip("lm_eval", reason="needs the extra lm-eval")
    roleeval(inn, "export", "lm-eval", str(run_of(inn, "plain").path), "--out", "export")
    (file,) = (inn / "export").rglob("results_*.json")
    found = json.loads(file.read_text())
    assert set(found["results"]) == {"inn_en", "inn_zh"}
    assert found["higher_is_better"]["inn_en"]["inn/slips"] is False
    assert found["results"]["inn_en"]["inn/fresh_words,none"] is not None
    (samples,) = (inn / "export").rglob("samples_inn_en_*.jsonl")
    first = json.loads(samples.read_text().splitlines()[0])
    assert first["doc"]["chronicle"][0] in first["target"]
    assert "bleu4_nltk_smooth3_chronicle" in first["metrics"]


def test_a_run_is_named_by_contents_and_options(tmp_path: Path, start: Start) -> None:
    data = THIRD_PARTY / "inn" / "data" / "evenings.jsonl"
    for place in ("here", "there", "other"):
        (tmp_path / place).mkdir()
        shutil.copy(data, tmp_path / place / "scenes.jsonl")
    other = tmp_path / "other" / "scenes.jsonl"
    other.write_text(other.read_text().replace("The fire is low.", "The fire is high."))
    ways: list[tuple[str, ...]] = [
        (),
        ("benchmark.data_file=here/scenes.jsonl",),
        ("benchmark.data_file=there/scenes.jsonl",),
        ("benchmark.data_file=other/scenes.jsonl",),
        ("benchmark.rounds=3",),
        ("model.roles=[Marta,'玛塔']",),
        ("benchmark.guest.sampling.max_tokens=32",),
    ]
    done(start(*commands(*((*PLAIN, *way, "limit=1", "progress=quiet") for way in ways))))
    assert len(list((tmp_path / "r" / "inn" / "plain").iterdir())) == len(ways) - 2  # the same file at three places


def test_neither_the_hash_seed_nor_the_number_in_flight_changes_a_byte(tmp_path: Path, start: Start) -> None:
    runs = [
        start(
            *INN,
            *PLAIN,
            "progress=quiet",
            "engine.delay_s=0.001",
            f"max_in_flight={count}",
            f"results_dir=r{count}",
            PYTHONHASHSEED=seed,
        )
        for count, seed in ((1, "0"), (64, "123"))
    ]
    for process in runs:
        done(process)
    one, many = (files(tmp_path / name) for name in ("r1", "r64"))
    assert one == many and len(one) == 3


def test_roles_that_the_company_does_not_play_are_missing_and_never_zero(tmp_path: Path, start: Start) -> None:
    output = done(start(*INN, *PLAIN, "model.roles=[Marta,'玛塔']", "progress=quiet"))
    found = summary(tmp_path, "plain")["metrics"]["inn/slips"]["en"]
    assert found["statuses"]["unsupported_role"] == found["missing"] > 0
    assert "unsupported_role" in output


@pytest.mark.vllm
@pytest.mark.slow
def test_it_is_no_toy(tmp_path: Path, start: Start) -> None:
    """Two scenes and their judgements through the real vLLM with a small model in all parts."""
    arguments = (*INN[:3], "benchmark=inn", "model=inn_company", "model.name=small", "model.source.path=zoo:base")
    sizes = ("model.sampling.max_tokens=24", "judge.sampling.max_tokens=160", "benchmark.rounds=3")
    done(start(*arguments, *sizes, "engine=vllm", "judge=inn_errors", "limit=1", "results_dir=r", "progress=quiet"))
    manifest = run_of(tmp_path, "small").manifest()
    assert manifest is not None and manifest.samples.statuses == {"ok": 2}
    (record,) = manifest.judge_records.values()
    assert record.questions > 0 and record.unanswered == 0
    found = summary(tmp_path, "small")
    overall = found["metrics"][metric(found, "judge/inn_errors@", "/overall")]
    assert sum(overall[split]["n"] + overall[split]["missing"] for split in ("en", "zh")) == 2
