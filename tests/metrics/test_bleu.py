"""BLEU must be NLTK's, need no download, and be 0 for no answer."""

import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roleeval.errors import ConfigError
from roleeval.metrics import Bleu


def nltk_bleu(answer: list[str], references: list[list[str]], order: int) -> float:
    bleu = pytest.importorskip("nltk.translate.bleu_score", reason="nltk is what this is compared with")
    smoothing = bleu.SmoothingFunction().method3
    return float(bleu.sentence_bleu(references, answer, (1 / order,) * order, smoothing_function=smoothing))


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_orders_scored_together_are_nltk_s_orders_scored_alone(en_rows: Sequence[Any], order: int) -> None:
    tokenise = pytest.importorskip("nltk.tokenize.destructive").NLTKWordTokenizer().tokenize
    for row in en_rows[:100]:
        together = Bleu(orders=(1, 2, 3, 4)).values(row.answer, row.references, "en")
        alone = nltk_bleu(tokenise(row.answer), [tokenise(reference) for reference in row.references], order)
        assert together[f"bleu{order}_nltk_smooth3"] == alone


def test_chinese_is_scored_by_character(zh_rows: Sequence[Any]) -> None:
    for row in zh_rows:
        answer, *references = ([c for c in text if not c.isspace()] for text in (row.answer, *row.references))
        assert Bleu().values(row.answer, row.references, "zh") == {
            "bleu1_nltk_smooth3": nltk_bleu(answer, references, 1),
            "bleu4_nltk_smooth3": nltk_bleu(answer, references, 4),
        }


def test_a_worked_example() -> None:
    """Two of four words, no bigram: BLEU-2 = sqrt(2/4 * 1/(2*3)), and no brevity penalty at equal length."""
    values = Bleu(orders=(2,)).values("the x cat y", ["the a cat b"], "en")
    assert values == {"bleu2_nltk_smooth3": pytest.approx(math.sqrt(2 / 4 * 1 / 6))}


def test_all_references_count_at_once() -> None:
    values = Bleu(orders=(1,)).values("ahoy mate", ["ahoy there", "my mate"], "en")
    assert values == {"bleu1_nltk_smooth3": 1.0}


@pytest.mark.parametrize("answer", ["", "   ", "\n"])
def test_no_answer_is_zero(answer: str) -> None:
    assert Bleu().values(answer, ["a b"], "en") == {"bleu1_nltk_smooth3": 0.0, "bleu4_nltk_smooth3": 0.0}
    assert Bleu().values("a b", [answer], "zh") == {"bleu1_nltk_smooth3": 0.0, "bleu4_nltk_smooth3": 0.0}
    assert Bleu().values("a b", [], "en") == {}


def test_nothing_is_downloaded_or_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """word_tokenize would need punkt; a machine without it (or without a network) must score the same."""
    data = pytest.importorskip("nltk.data", reason="nltk is what this is compared with")
    monkeypatch.setattr(data, "path", [])
    assert Bleu().values("Ahoy! Where's the rum?", ["Ahoy! Where's the rum?"], "en")["bleu4_nltk_smooth3"] == 1.0


@settings(deadline=None, max_examples=100)
@given(answer=st.text(), reference=st.text(), chinese=st.booleans())
def test_no_text_raises(answer: str, reference: str, chinese: bool) -> None:
    values = Bleu().values(answer, [reference], "zh" if chinese else "en")
    assert all(0.0 <= value <= 1.0 + 1e-12 for value in values.values())


@pytest.mark.parametrize("orders", [(), (0,), (1, 5)])
def test_impossible_orders_are_refused(orders: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="orders from 1 to 4"):
        Bleu(orders=orders)
