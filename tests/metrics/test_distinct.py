"""Distinct-n is a role's, over all its answers in a split, whatever order they came in."""

from collections.abc import Callable

import pytest

from roleeval.metrics import CorpusMetric, DistinctPerRole, Metric
from roleeval.types import Sample, Score, Transcript

Make = Callable[..., Sample]
Say = Callable[..., Transcript]


def by_name(rows: list[tuple[str, str, Score]]) -> dict[tuple[str, str], Score]:
    assert {split for split, _, _ in rows} == {"eng_specific"}
    return {(role, row.metric): row for _, role, row in rows}


def test_both_are_divided_by_the_tokens_of_all_answers_of_the_role(sample: Make, transcript: Say) -> None:
    metric = DistinctPerRole()
    assert isinstance(metric, CorpusMetric) and not isinstance(metric, Metric)
    seen = metric.collector()
    seen.add(sample(role="Jack"), transcript("Rum, rum! More rum."))
    seen.add(sample(role="Jack"), transcript("More RUM"))
    seen.add(sample(role="Will"), transcript("No."))
    rows = by_name(seen.rows())
    # rum rum more rum | more rum: 2 words; rum-rum, rum-more, more-rum: 3 pairs, none of them across the answers.
    assert rows["Jack", "distinct1_role"].value == 2 / 6
    assert rows["Jack", "distinct2_role"].value == 3 / 6
    assert rows["Jack", "distinct2_role"].detail == {"distinct": 3, "tokens": 6, "answers": 2}
    assert rows["Will", "distinct1_role"].value == 1.0
    assert rows["Will", "distinct2_role"].value == 0.0
    assert {row.metric for row in rows.values()} == {info.name for info in metric.infos()}
    assert metric.collector().rows() == []  # what one run has seen is not in the next one's


def test_chinese_counts_characters_without_punctuation(sample: Make, transcript: Say) -> None:
    seen = DistinctPerRole().collector()
    seen.add(sample(role="李白", language="zh"), transcript("酒，酒来！"))
    rows = by_name(seen.rows())
    assert rows["李白", "distinct1_role"].value == pytest.approx(2 / 3)
    assert rows["李白", "distinct2_role"].value == pytest.approx(2 / 3)


def test_splits_are_kept_apart(sample: Make, transcript: Say) -> None:
    """A role's general and specific answers differ in kind and number; pooled, the value would mean neither."""
    seen = DistinctPerRole().collector()
    seen.add(sample(split="eng_specific"), transcript("rum rum"))
    seen.add(sample(split="eng_general"), transcript("rum"))
    values = {(split, row.metric): row.value for split, _, row in seen.rows()}
    assert values["eng_specific", "distinct1_role"] == 0.5
    assert values["eng_general", "distinct1_role"] == 1.0


def test_order_of_episodes_does_not_matter(sample: Make, transcript: Say) -> None:
    answers = ["a b c", "b c d", "c c", ""]
    results = []
    for order in (answers, answers[::-1]):
        seen = DistinctPerRole().collector()
        for answer in order:
            seen.add(sample(), transcript(answer))
        results.append(seen.rows())
    assert results[0] == results[1]


def test_what_did_not_happen_is_left_out_and_silence_is_zero(sample: Make, transcript: Say) -> None:
    seen = DistinctPerRole().collector()
    seen.add(sample(role="Failed"), transcript("half a", status="engine_failed"))
    seen.add(sample(role="Unknown"), transcript("", status="unsupported_role"))
    seen.add(sample(role="Silent"), transcript("cut off", status="truncated_reasoning"))
    seen.add(sample(role="Mixed"), transcript("yes", status="engine_failed"))
    seen.add(sample(role="Mixed"), transcript("no no"))
    rows = by_name(seen.rows())
    assert (rows["Failed", "distinct1_role"].value, rows["Failed", "distinct1_role"].status) == (None, "engine_failed")
    assert rows["Unknown", "distinct2_role"].status == "unsupported_role"
    assert (rows["Silent", "distinct1_role"].value, rows["Silent", "distinct1_role"].status) == (0.0, "no_answer")
    assert (rows["Mixed", "distinct1_role"].value, rows["Mixed", "distinct1_role"].status) == (0.5, "ok")
