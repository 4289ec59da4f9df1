"""Ours must be rouge-score's fmeasure, bit for bit: a leaderboard compares the numbers, not the code."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roleeval.metrics import RougeGoogle
from roleeval.metrics.rouge_google import char_tokens, default_tokens, jieba_tokens, stemmed_tokens

METRIC = RougeGoogle()
PLAIN, STEMMED = "rougeL_f1_google_max", "rougeL_f1_google_stem_max"
WORDS = st.lists(
    st.sampled_from(["The", "running", "runner's", "ran,", "flies", "dogs.", "5th", "a-b", "--", "naïve", "\n", "it"]),
    max_size=40,
).map(" ".join)


def scorer(**options: Any) -> Any:
    rouge_scorer = pytest.importorskip("rouge_score.rouge_scorer", reason="rouge-score is what this is compared with")
    return rouge_scorer.RougeScorer(["rougeL"], **options)


def fmeasure(scorer: Any, answer: str, references: Sequence[str]) -> float:
    return max(scorer.score(reference, answer)["rougeL"].fmeasure for reference in references)


@pytest.mark.slow
def test_every_english_row_is_rouge_score_s_number(en_rows: Sequence[Any]) -> None:
    plain, stemmed = scorer(), scorer(use_stemmer=True)
    for row in en_rows:
        assert METRIC.values(row.answer, row.references, "en") == {
            PLAIN: fmeasure(plain, row.answer, row.references),
            STEMMED: fmeasure(stemmed, row.answer, row.references),
        }


def test_many_references_take_the_best(many_reference_rows: Sequence[Any]) -> None:
    theirs = scorer()
    for row in many_reference_rows:
        ours = RougeGoogle(stem=False).values(row.answer, row.references, "en")
        assert ours == {PLAIN: theirs.score_multi(row.references, row.answer)["rougeL"].fmeasure}


@pytest.mark.parametrize(
    ("name", "tokenise"),
    [("rougeL_f1_google_char_max", char_tokens), ("rougeL_f1_google_jieba_max", jieba_tokens)],
)
def test_every_chinese_row_is_rouge_score_s_number_with_that_tokeniser(
    zh_rows: Sequence[Any], name: str, tokenise: Any
) -> None:
    theirs = scorer(tokenizer=SimpleNamespace(tokenize=tokenise))
    for row in zh_rows:
        ours = METRIC.values(row.answer, row.references, "zh")
        assert ours[name] == fmeasure(theirs, row.answer, row.references)
        assert ours[name] > 0.0


def test_the_default_tokeniser_would_delete_chinese() -> None:
    assert default_tokens("俺老孙来也") == []
    assert char_tokens("俺 老孙,AI!") == ["俺", "老", "孙", ",", "a", "i", "!"]
    assert jieba_tokens("孙悟空 大闹天宫") == ["孙悟空", "大闹天宫"]


@settings(deadline=None, max_examples=300)
@given(text=st.text() | WORDS | st.text(alphabet="aZ9é\u0130ß\u00a0\x1c\x85 \n'-.", max_size=80))
def test_tokens_are_the_package_s_own(text: str) -> None:
    tokenizers = pytest.importorskip("rouge_score.tokenizers", reason="rouge-score is what this is compared with")
    assert default_tokens(text) == tokenizers.DefaultTokenizer(use_stemmer=False).tokenize(text)
    assert stemmed_tokens(text) == tokenizers.DefaultTokenizer(use_stemmer=True).tokenize(text)


@settings(deadline=None, max_examples=150)
@given(answer=WORDS, reference=WORDS)
def test_fuzz_against_the_package(answer: str, reference: str) -> None:
    assert METRIC.values(answer, [reference], "en") == {
        PLAIN: fmeasure(scorer(), answer, [reference]),
        STEMMED: fmeasure(scorer(use_stemmer=True), answer, [reference]),
    }


@pytest.mark.parametrize("text", ["", "...", "\x00", "?!", "word " * 5000, "w" * 100_000, "孙" * 5000])
def test_odd_texts_do_not_raise(text: str) -> None:
    for language in ("en", "zh"):
        values = METRIC.values(text, [text, "a b"], language)
        assert all(0.0 <= value <= 1.0 for value in values.values())


def test_options_choose_the_recipes() -> None:
    assert list(RougeGoogle(stem=False).values("a", ["a"], "en")) == [PLAIN]
    assert list(RougeGoogle(jieba=False).values("我", ["我"], "zh")) == ["rougeL_f1_google_char_max"]
    assert METRIC.values("a", (), "en") == {}
