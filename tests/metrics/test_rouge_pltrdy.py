"""The parity recipe must be the package's number wherever the package has one, and a number everywhere else."""

import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roleeval.metrics import RougePltrdy

METRIC = RougePltrdy()
# Few tokens, so that ties between common subsequences are the rule; every kind of white space and of piece.
TIED = st.text(alphabet="aabbccd   ..\n\tA,\u00a0\u3000", max_size=70)
SENTENCES = st.lists(st.lists(st.sampled_from("abcde"), max_size=25).map(" ".join), max_size=4).map(". ".join)


def ours(answer: str, *references: str) -> tuple[float, float]:
    values = METRIC.values(answer, references, "en")
    assert list(values) == ["rougeL_recall_pltrdy_max", "rougeL_f1_pltrdy_max"]
    return values["rougeL_recall_pltrdy_max"], values["rougeL_f1_pltrdy_max"]


def package(answer: str, *references: str) -> tuple[float, float]:
    rouge = pytest.importorskip("rouge", reason="the PyPI package rouge is what this recipe is compared with")
    scorer = rouge.Rouge(metrics=["rouge-l"])
    scores = [scorer.get_scores(answer, reference)[0]["rouge-l"] for reference in references]
    return max(score["r"] for score in scores), max(score["f"] for score in scores)


@pytest.mark.slow
def test_english_rows_are_the_package_s_number(en_rows: Sequence[Any]) -> None:
    rows = en_rows[::3]  # of every role; the package takes 20 s for all, whose mean test_golden.py checks
    different = [row for row in rows if ours(row.answer, *row.references) != package(row.answer, *row.references)]
    assert not different


def test_every_chinese_row_is_the_package_s_number_on_spaced_characters(zh_rows: Sequence[Any]) -> None:
    for row in zh_rows:
        spaced = package(" ".join(row.answer), *(" ".join(reference) for reference in row.references))
        assert tuple(METRIC.values(row.answer, row.references, "zh").values()) == spaced


def test_many_references_are_maximised_each_statistic_on_its_own(many_reference_rows: Sequence[Any]) -> None:
    rows = [row for row in many_reference_rows if len(row.references) > 1]
    assert len(rows) > 300
    for row in rows[:300]:
        assert ours(row.answer, *row.references) == package(row.answer, *row.references)
    # The short reference has the better recall, the long one the better F1.
    assert ours("a b c d e", "a", "a b c d f g") == (1.0, pytest.approx(8 / 11, abs=1e-6))


@settings(deadline=None, max_examples=400)
@given(answer=TIED | SENTENCES, reference=TIED | SENTENCES)
def test_fuzz_against_the_package(answer: str, reference: str) -> None:
    try:
        expected = package(answer, reference)
    except ValueError:  # nothing but full stops on one side
        assert not answer.strip(".") or not reference.strip(".")
        expected = (0.0, 0.0)
    assert ours(answer, reference) == expected


def test_long_tied_sentences_against_the_package() -> None:
    """Several machine words wide, still inside the package's recursion limit."""
    draw = random.Random(7)
    for _ in range(6):
        answer, reference = (" ".join(draw.choices("abcdefghijklmnopqrst", k=220)) for _ in range(2))
        assert ours(answer, reference) == package(answer, reference)


def test_which_common_subsequence_is_read_out_matters() -> None:
    """Of "a b" and "b a" both "a" and "b" are longest; the package reads "b", to which only another "a" is new."""
    assert ours("b a", "a b. a") == package("b a", "a b. a") == (1.0, pytest.approx(1.0))
    assert ours("b a", "a b. b") == package("b a", "a b. b") == (0.5, pytest.approx(0.5))


def test_a_blank_piece_is_a_token_so_references_are_not_stripped() -> None:
    assert ours("a b", "a b")[0] == 1.0
    assert ours("a b", "a b. ")[0] == pytest.approx(2 / 3)


@pytest.mark.parametrize("nothing", ["", ".", "...", "." * 5000])
def test_no_answer_is_zero_where_the_package_raises(nothing: str) -> None:
    with pytest.raises(ValueError, match=r"empty|at least 1"):
        package(nothing, "a b")
    assert ours(nothing, "a b") == (0.0, 0.0)
    assert ours("a b", nothing) == (0.0, 0.0)
    assert ours(nothing, nothing) == (0.0, 0.0)


def test_sentences_beyond_the_recursion_limit() -> None:
    words = [f"w{number}" for number in range(5000)]
    text = " ".join(words)
    with pytest.raises(RecursionError):
        package(words[0], text)
    assert ours(words[0], text)[0] == 1 / 5000
    assert ours(text, text) == (1.0, pytest.approx(1.0))
    assert ours(" ".join(words[::2]), text)[0] == 0.5
    assert ours(" ".join(reversed(words)), text)[0] == 1 / 5000  # one token in order, whichever
    assert ours("other", text) == (0.0, 0.0)


def test_without_references_there_is_nothing_to_say() -> None:
    assert METRIC.values("a", (), "en") == {}


@settings(deadline=None, max_examples=100)
@given(answer=st.text(), reference=st.text(), chinese=st.booleans())
def test_no_text_raises_and_values_stay_in_range(answer: str, reference: str, chinese: bool) -> None:
    values = METRIC.values(answer, [reference], "zh" if chinese else "en")
    assert all(0.0 <= value <= 1.0 for value in values.values())
