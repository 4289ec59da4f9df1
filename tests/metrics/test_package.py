"""What holds for every metric: thoughts stay out, statuses stay words, and importing costs nothing."""

import dataclasses
import subprocess
import sys
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roleeval.metrics import CorpusMetric, Metric, TextMetric, default_metrics
from roleeval.types import Sample, Score, Status, Transcript

Make = Callable[..., Sample]
Say = Callable[..., Transcript]
HEAVY = ["nltk", "rouge_score", "rouge", "jieba", "rapidfuzz", "numpy", "pandas", "scipy", "yaml"]


def rows(sample: Sample, transcript: Transcript) -> dict[tuple[str, str], Score]:
    metrics = [metric for metric in default_metrics() if isinstance(metric, Metric)]
    return {(row.metric, row.group): row for metric in metrics for row in metric.score(sample, transcript)}


def text_metrics() -> list[TextMetric]:
    return [metric for metric in default_metrics() if hasattr(metric, "values")]


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = f"import sys, roleeval.metrics as m; m.default_metrics(); print([n for n in {HEAVY} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_scoring_english_without_the_stemmer_does_not_import_nltk() -> None:
    code = (
        "import sys; from roleeval.metrics import RougeGoogle, RougePltrdy\n"
        "for metric in (RougeGoogle(stem=False), RougePltrdy()): metric.values('a b', ['a c'], 'en')\n"
        "print([name for name in ('nltk', 'scipy', 'numpy', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_defaults_are_metrics_with_frozen_options() -> None:
    for metric in default_metrics():
        assert isinstance(metric, Metric | CorpusMetric)
        assert dataclasses.is_dataclass(metric)
        with pytest.raises(dataclasses.FrozenInstanceError):
            metric.anything = 1  # type: ignore[union-attr]


def test_thoughts_never_reach_a_metric(sample: Make, transcript: Say) -> None:
    asked = sample("the rum is gone", role="Jack Sparrow")
    thoughts = "the rum is gone. As an AI language model, I cannot answer that question."
    assert rows(asked, transcript("why", thoughts=thoughts)) == rows(asked, transcript("why"))
    cut_off = rows(asked, transcript("", thoughts=thoughts, status="truncated_reasoning"))
    assert cut_off["rougeL_recall_pltrdy_max", "SPE"].value == 0.0


@pytest.mark.parametrize("status", ["no_answer", "truncated_reasoning", "refused"])
def test_no_answer_is_scored_zero_and_keeps_its_status(sample: Make, transcript: Say, status: Status) -> None:
    scored = rows(sample("the rum is gone"), transcript("the rum is gone", status=status))
    assert {row.status for row in scored.values()} == {status}
    ones = {name for (name, _), row in scored.items() if row.value == 1.0}
    assert ones == ({"empty_rate", "refusal_rate"} if status == "refused" else {"empty_rate"})
    assert all(row.value == 0.0 for (name, _), row in scored.items() if name not in ones)


@pytest.mark.parametrize("status", ["engine_failed", "unsupported_role"])
def test_what_did_not_happen_is_missing_not_zero(sample: Make, transcript: Say, status: Status) -> None:
    scored = rows(sample("the rum is gone"), transcript("the rum is gone", status=status))
    assert len(scored) == 11
    assert {(row.value, row.status) for row in scored.values()} == {(None, status)}


def test_every_reference_group_has_its_rows_and_text_statistics_have_one(sample: Make, transcript: Say) -> None:
    scored = rows(sample(CUS=("a b", "b c"), SPE=("a c",)), transcript("a b"))
    groups = {}
    for name, group in scored:
        groups.setdefault(group, set()).add(name)
    assert set(groups) == {"CUS", "SPE", ""}
    assert groups["CUS"] == groups["SPE"]
    assert groups[""] == {"answer_words", "answer_chars", "empty_rate", "refusal_rate", "ai_self_reference_rate"}
    assert scored["rougeL_recall_pltrdy_max", "CUS"].value == 1.0


@settings(deadline=None, max_examples=60)
@given(answer=st.text(), reference=st.text(), chinese=st.booleans())
def test_no_metric_raises_on_any_text(answer: str, reference: str, chinese: bool) -> None:
    for metric in text_metrics():
        for value in metric.values(answer, [reference], "zh" if chinese else "en").values():
            assert isinstance(value, float)


@pytest.mark.parametrize("text", ["", ".", "...", "\ud800", "\x00\x1c\u2028", "a " * 5000, "“" * 3000, "*(" * 3000])
def test_no_metric_raises_on_odd_texts(text: str) -> None:
    for metric in text_metrics():
        for language in ("en", "zh"):
            metric.values(text, [text], language)
