"""Which texts changed: by their hashes, and where both texts are at hand the first token that differs."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from roleeval.report.regress.kept import KeptRun, Side, Spoken
from roleeval.report.regress.read import spoken

# What is compared and shown: a Chinese character, a word, white space, or one other sign.
_TOKEN = re.compile(r"[\u3400-\u9fff]|[^\W\u3400-\u9fff]+|\s+|[^\w\s]")
_CONTEXT = 8  # tokens
_LISTED = 50


@dataclass(frozen=True, slots=True)
class FirstDifference:
    """Where two texts of a sample part: the turn and token (from 1), what came before, and each side's next token.

    A side that has ended there has "".
    """

    sample: str
    turn: int
    token: int
    context: str
    before: str
    now: str


@dataclass(frozen=True, slots=True)
class Texts:
    """How many texts of a model changed.

    Attributes:
        benchmark, model: whose.
        items: samples whose texts both sides know, at least by their hashes.
        changed: those that changed.
        differences: of the first of them, where both texts are at hand.
        not_exact: why a change need not mean anything; "" where every text must repeat.
        elsewhere: a server made them, whose weights nobody here has seen.
    """

    benchmark: str
    model: str
    items: int
    changed: tuple[str, ...]
    differences: tuple[FirstDifference, ...]
    not_exact: str
    elsewhere: bool = False


def changed_texts(baseline: Side, current: Side) -> list[Texts]:
    """Of every model that is on both sides and has transcripts.

    Raises:
        ResultError: transcripts are damaged.
    """
    found = [
        _of_model(*_same_seed(baseline.runs[key], current.runs[key])) for key in baseline.runs if key in current.runs
    ]
    return [texts for texts in found if texts.items]


def _same_seed(before: Sequence[KeptRun], now: Sequence[KeptRun]) -> tuple[KeptRun, KeptRun]:
    pairs = [(one, other) for one in before for other in now if one.seed == other.seed]
    return pairs[0] if pairs else (before[0], now[0])


def _of_model(before: KeptRun, now: KeptRun) -> Texts:
    here = {sample.id: sample.texts for sample in now.samples if sample.texts}
    shared = [sample for sample in before.samples if sample.texts and sample.id in here]
    changed = [sample.id for sample in shared if sample.texts != here[sample.id]]
    why = before.not_exact or now.not_exact
    listed = changed[:_LISTED]
    one, other = (spoken(run, listed) for run in (before, now)) if listed and not why else ({}, {})
    found = [
        first_difference(sample, one[sample], other[sample]) for sample in listed if sample in one and sample in other
    ]
    return Texts(
        before.benchmark,
        before.model,
        len(shared),
        tuple(changed),
        tuple(filter(None, found)),
        why,
        before.elsewhere or now.elsewhere,
    )


def first_difference(sample: str, before: Spoken, now: Spoken) -> FirstDifference | None:
    """The first token in which the raw texts of two transcripts differ; None where none does."""
    for turn, (one, other) in enumerate(zip_longest(before.turns, now.turns), start=1):
        texts = [_TOKEN.findall(each[2]) if each else [] for each in (one, other)]
        for token, (left, right) in enumerate(zip_longest(*texts, fillvalue=""), start=1):
            if left != right:
                context = "".join(texts[0][max(0, token - 1 - _CONTEXT) : token - 1])
                return FirstDifference(sample, turn, token, context, left, right)
    return None
