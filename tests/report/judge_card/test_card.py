"""Judge cards out of real judged folders: every habit a stand-in judge has is found, and what is unknown is said."""

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from judge_stubs import Reply, Script, scripted, shown_answers
from judged import configured, execute, points, winner
from rich.console import Console
from typer.testing import CliRunner

from roleeval.cli.main import app
from roleeval.engines import ModelSource
from roleeval.errors import DataError
from roleeval.judging import PairwiseJudge, Price, RankingJudge, RubricJudge
from roleeval.report.judge_card import Card, judge_cards, print_cards, read_human_labels, write_cards
from roleeval.report.judge_card.tables import card_tables
from roleeval.results import ResultFolder, read_transcripts
from roleeval.types import Request, Sampling


def by_length(request: Request) -> str:
    (text,) = shown_answers(request).values()
    return points(min(5, 1 + len(text) % 5), quote=text[:12])


def rubric(folder: Path, script: Script, *, model: str = "stub", name: str = "rubric", **options: Any) -> None:
    source = ModelSource(options.pop("source", "judge"))
    judge = RubricJudge(name=name, engine=scripted(name, script), source=source, **options)
    execute(configured(folder, judge, model=model))


def compared(folder: Path, script: Script) -> None:
    judge = PairwiseJudge(engine=scripted("pairs", script), source=ModelSource("judge"))
    for model in ("one", "two", "one"):
        execute(configured(folder, judge, model=model))


def the_card(folder: Path, labels: Path | None = None) -> Card:
    (card,) = judge_cards([folder], labels)
    return card


def test_calls_that_brought_nothing_are_counted_with_their_reasons(tmp_path: Path) -> None:
    def odd(request: Request) -> Reply:
        return points(4) if request.seed % 2 else "I would rather not say."

    rubric(tmp_path, odd, attempts=2, prices={"judge": Price(1.0, 2.0)})
    card = the_card(tmp_path)
    calls = round((card.attempts.mean or 0) * 20)
    failed = card.reasons["no JSON in the reply"]
    assert card.questions == 20 and 20 < calls < 40 and card.unusable.n == calls
    assert card.unusable.mean == pytest.approx(failed / calls) and card.unusable.ci_low is not None
    assert card.coverage.mean == pytest.approx(1 - (failed - (calls - 20)) / 20) and card.unanswered == 0
    assert card.tokens == {"prompt": 100 * calls, "output": 20 * calls}
    assert card.cost == pytest.approx(calls * 140 / 1e6)


def test_repeats_that_differ_are_seen(tmp_path: Path) -> None:
    def moody(request: Request) -> str:
        return points(4 if request.seed % 2 else 2)

    rubric(tmp_path, moody, samples_per_item=4, sampling=Sampling(temperature=1.0, max_tokens=1024))
    stability = the_card(tmp_path).repeats["character"]
    assert stability.items == 20 and 0.2 < (stability.same or 0) < 0.8 and 0.5 < (stability.sd or 0) < 1.5


def test_the_noise_of_points_is_split_over_seeds_answers_and_repeats(tmp_path: Path) -> None:
    def moody(request: Request) -> str:
        return points(4 if request.seed % 2 else 2)

    warm = Sampling(temperature=1.0, max_tokens=1024)
    judge = RubricJudge(engine=scripted("noise", moody), source=ModelSource("judge"), samples_per_item=4, sampling=warm)
    for seed in (1, 2):
        execute(configured(tmp_path, judge, seed=seed))
    (split,) = the_card(tmp_path).variances.values()
    assert split.used == 20 and split.dropped == 0 and split.seeds is not None and split.answers is not None
    assert split.repeats is not None and 0.5 < split.repeats < 1.5 and split.samples < split.repeats
    rubric(tmp_path / "once", by_length)
    (once,) = the_card(tmp_path / "once").variances.values()
    assert once.repeats is None and once.seeds is None and once.samples > 0


def test_two_judges_of_the_same_answers_are_compared(tmp_path: Path) -> None:
    rubric(tmp_path, by_length, name="first")
    rubric(tmp_path, by_length, name="second")
    rubric(tmp_path, lambda r: points(6 - json.loads(by_length(r))["knowledge"]["score"]), name="contrary")
    cards = {card.judge: card for card in judge_cards([tmp_path])}
    found = {a.other.split("@")[0]: a for a in cards["first"].agreements if a.criterion == "overall"}
    assert found["judge/second"].alpha == pytest.approx(1) and found["judge/second"].ranks.kendall == pytest.approx(1)
    assert found["judge/contrary"].ranks.spearman == pytest.approx(-1) and found["judge/contrary"].ranks.items == 20
    assert (found["judge/contrary"].alpha or 0) < 0


def test_habits_of_a_judge_that_compares(tmp_path: Path) -> None:
    def longer(request: Request) -> str:
        a, b = shown_answers(request).values()
        return winner(*["tie" if len(a) == len(b) else "A" if len(a) > len(b) else "B"] * 2)

    compared(tmp_path / "long", longer)
    card = the_card(tmp_path / "long")
    assert card.questions == 40 and card.flip and card.first_slot
    assert (card.flip.mean, card.first_slot.mean) == (0, 0.5) and (card.length.spearman or 0) > 0.8
    assert {label.split("/")[0] for label in card.wins} == {"one", "two"}
    compared(tmp_path / "first", lambda request: winner("A", "A"))
    card = the_card(tmp_path / "first")
    assert card.flip and card.first_slot and (card.flip.mean, card.first_slot.mean) == (1, 1)


def test_a_ranking_judge_has_a_card(tmp_path: Path) -> None:
    part = {"reason": "", "ranking": ["A", "B"]}
    first = scripted("ranks", lambda request: json.dumps({"style": part, "knowledge": part}))
    for model in ("one", "two"):
        execute(configured(tmp_path, RankingJudge(engine=first, source=ModelSource("judge")), model=model))
    card = the_card(tmp_path)
    assert card.first_slot and card.first_slot.mean == 1 and card.wins == {}
    assert card.flip and (card.flip.mean, card.flip.n) == (1, 20)
    table = next(table for table in card_tables([card]) if table.title == "Habits")
    assert "not measured" not in table.rows[0][1]


def test_flips_of_rankings_are_those_of_the_scores(tmp_path: Path) -> None:
    def sometimes(request: Request) -> str:
        shown = {name[-1]: text for name, text in shown_answers(request).items()}
        longest = max(shown, key=lambda letter: len(shown[letter]))
        first = longest if request.seed % 3 else "A"
        part = {"reason": "", "ranking": sorted(shown, key=lambda letter: letter != first)}
        return json.dumps({"style": part, "knowledge": part})

    judge = RankingJudge(engine=scripted("ranks", sometimes), source=ModelSource("judge"))
    for model in ("one", "two", "one"):
        outcome = execute(configured(tmp_path, judge, model=model))
    card = the_card(tmp_path)
    rows = pd.read_parquet(outcome.folder.scores)
    flips = rows[rows["metric"].str.endswith("/flip")]["value"]
    assert card.flip and 0 < card.flip.mean < 1 and card.flip.mean == pytest.approx(flips.mean())  # type: ignore[operator]


def test_kin_of_judge_and_candidate_is_flagged(tmp_path: Path) -> None:
    rubric(tmp_path / "a", by_length, model="org/Qwen2.5-7B".replace("/", "_"), source="Qwen3-32B")
    assert list(the_card(tmp_path / "a").same_family.values()) == ["both have qwen in their names"]
    rubric(tmp_path / "b", by_length, model="same", source="same")
    assert list(the_card(tmp_path / "b").same_family.values()) == ["the same base model"]
    rubric(tmp_path / "c", by_length, model="llama-3", source="Qwen3-32B")
    assert the_card(tmp_path / "c").same_family == {}


def labelled(folder: Path, file: Path, value: Mapping[int, object] | None = None, **odd: str) -> Path:
    """Labels of every answer of a run; the first row takes other cells from `odd`."""
    (run,) = folder.glob("rolebench/*/*")
    rows = []
    for number, (sample, transcript) in enumerate(read_transcripts(ResultFolder(run).transcripts)):
        given = len(transcript.answer) % 5 + 1
        rows.append({"sample": sample.id, "model": "stub", "criterion": "overall", "value": given} | odd)
        odd = {}
        rows[-1]["value"] = (value or {}).get(number, rows[-1]["value"])
    if file.suffix == ".jsonl":
        file.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    else:
        with file.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return file


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_people_and_the_judge_are_compared(tmp_path: Path, ending: str) -> None:
    rubric(tmp_path / "r", by_length)
    (found,) = the_card(tmp_path / "r", labelled(tmp_path / "r", tmp_path / f"labels.{ending}")).people
    assert (found.criterion, found.alpha, found.ranks.items) == ("overall", pytest.approx(1), 20)
    (other_scale,) = the_card(tmp_path / "r", labelled(tmp_path / "r", tmp_path / "x.csv", {0: 99})).people
    assert other_scale.alpha is None and other_scale.ranks.spearman is not None


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        ({"value": "good"}, r"line 2: value is 'good', not a number"),
        ({"model": "nobody"}, r"line 2: model 'nobody' was not judged; there are: stub"),
        ({"sample": "nothing/1"}, r"line 2: sample 'nothing/1' is not among the answers of stub"),
        ({"criterion": "beauty"}, r"line 2: criterion 'beauty' is not a judge's; there are: character"),
        ({"criterion": " "}, r"line 2: criterion is empty"),
    ],
)
def test_labels_about_something_else_name_their_line(tmp_path: Path, odd: dict[str, str], message: str) -> None:
    rubric(tmp_path / "r", by_length)
    value = {0: odd.pop("value")} if "value" in odd else None
    file = labelled(tmp_path / "r", tmp_path / "labels.csv", value, **odd)
    with pytest.raises(DataError, match=message):
        judge_cards([tmp_path / "r"], file)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "a.csv",
            "sample,model,value\n1,2,3\n",
            r"line 1: the column 'criterion' is missing; there are: sample, model",
        ),
        ("a.csv", "sample,model,criterion,value\n", "contains no labels"),
        ("a.csv", "sample,model,criterion,value\na,b,c,1\na,b,c,2\n", r"line 3: the same sample.* as line 2; give"),
        ("a.jsonl", '{"sample": 1}\n', r"line 1: the column 'model' is missing"),
        ("a.jsonl", "\n[1]\n", r"line 2: not a JSON object"),
        ("a.jsonl", "{", r"line 1: not valid JSON"),
        ("a.txt", "x", r"a .csv or .jsonl file with the columns sample, model, criterion, value"),
    ],
)
def test_a_file_that_holds_no_labels_says_where(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message):
        read_human_labels(tmp_path / name)
    with pytest.raises(DataError, match="cannot be read"):
        read_human_labels(tmp_path / "absent.csv")


def test_raters_of_one_answer_count_as_their_mean(tmp_path: Path) -> None:
    text = "sample,model,criterion,value,rater\na,b,c,1,x\na,b,c,3,y\n"
    (tmp_path / "l.csv").write_text(text)
    assert [(label.rater, label.value, label.line) for label in read_human_labels(tmp_path / "l.csv")] == [
        ("x", 1.0, 2),
        ("y", 3.0, 3),
    ]


def test_the_command_prints_and_saves_what_was_and_what_was_not_measured(tmp_path: Path) -> None:
    rubric(tmp_path, by_length, controls=2)
    done = CliRunner().invoke(app, ["judge-card", str(tmp_path), "--out", str(tmp_path / "card")])
    assert done.exit_code == 0, done.output
    assert "not measured" in done.output and "reveals ai" in done.output and "in order" in done.output
    (saved,) = json.loads((tmp_path / "card" / "card.json").read_text())
    assert saved["questions"] == 20 and saved["controls"]["answers"] == 2 and saved["people"] == []
    text = (tmp_path / "card" / "card.md").read_text()
    assert "Positive controls of" in text and "Agreement with people" in text
    empty = CliRunner().invoke(app, ["judge-card", str(tmp_path / "card")])
    assert empty.exit_code == 1 and "no judged run in or below" in empty.output


def test_a_card_does_not_depend_on_the_order_of_folders(tmp_path: Path) -> None:
    compared(tmp_path, lambda request: winner("A", "B"))
    runs = sorted(tmp_path.glob("rolebench/*/*"))
    one, two = (judge_cards(each) for each in (runs, runs[::-1]))
    assert one == two
    (alone,) = judge_cards(runs[:1])
    assert alone.questions == one[0].questions and len(alone.wins) == 1
    console = Console(file=io.StringIO(), width=80)
    print_cards(one, console)
    assert [file.name for file in write_cards(one, tmp_path / "c")] == ["card.json", "card.md"]
