"""Metrics of a CoSER scene: overlap with the book's conversation, and what happened in the simulation.

BLEU and ROUGE-L compare whole conversations, "Name: message" with blank lines between, without thoughts. Turns that
were given (continue_from) are excluded on both sides. Source: spec/coser.md, sections 2 and 3; docs/coser.md.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from roleeval.benchmarks.coser.next import NOTES, UNASKED
from roleeval.metrics import LAST, MetricInfo, happened
from roleeval.types import Sample, Score, Transcript

# Where rouge_chinese 1.0.3 ends a sentence: (what ends it, what may come next), one pass over the text for each.
_SENTENCE_ENDS = (
    (r"[。！？?]", r"[^”’]"),
    (r"\.{6}", r"[^”’]"),
    (r"…{2}", r"[^”’]"),
    (r"[。！？?][”’]", r"[^，。！？?]"),
)
_BREAKS = tuple(re.compile(f"({end})({following})") for end, following in _SENTENCE_ENDS)

_READ_FIRST = 100  # the place of what must be known before scores are read
BLEU4, BLEU4_UNTRAINED, ROUGE_L = "coser/bleu4", "coser/bleu4_untrained", "coser/rougeL_f1_rouge_chinese"


def _overlap(name: str, label: str, recipe: str, source: str, position: int) -> MetricInfo:
    return MetricInfo(
        name,
        label=label,
        unit="fraction",
        recipe=recipe,
        source=source,
        low=0.0,
        high=1.0,
        higher_is_better=True,
        headline=True,
        primary=name == ROUGE_L,
        position=position,
    )


_BLEU = "Sentence BLEU over 1- to 4-grams of the simulated conversation against the book's, lower-case"
_OVERLAP = (
    _overlap(BLEU4, "BLEU-4 (CoSER's recipe)", f"{_BLEU}.", "CoSER (arXiv 2502.09082); nltk", 200),
    _overlap(
        BLEU4_UNTRAINED,
        "BLEU-4 (CoSER's recipe, untrained sentence splitter)",
        f"{_BLEU}; sentences by Punkt without training.",
        "CoSER (arXiv 2502.09082); nltk",
        201,
    ),
    _overlap(
        ROUGE_L,
        "ROUGE-L F1 (CoSER's recipe)",
        "F1 of the longest common subsequence over tokens between white space, broken at ends of sentences.",
        "CoSER (arXiv 2502.09082); rouge_chinese 1.0.3",
        210,
    ),
)
_FACTS = (
    MetricInfo("coser/actor_turns", label="Turns of actors", unit="count", recipe="Turns of the model.", low=0.0),
    MetricInfo(
        "coser/words_per_turn",
        label="Words per turn",
        unit="rate",
        recipe="Words between white space, over actor turns that said something.",
        low=0.0,
        headline=True,
        position=30,
    ),
    MetricInfo(
        "coser/unanswered_turns",
        label="Turns without a word",
        unit="count",
        recipe="Actor turns in which nobody heard a word.",
        low=0.0,
        higher_is_better=False,
    ),
)


@dataclass(frozen=True)
class CoserOverlap:
    """BLEU-4 and ROUGE-L F1 of the simulated conversation against the book's.

    `coser/bleu4`: NLTK's sentence_bleu over uniform 1- to 4-grams without smoothing, word_tokenize on the lower-cased
    text. word_tokenize needs NLTK's resource punkt_tab (`python -m nltk.downloader punkt_tab`); where it is missing,
    sentences are split by Punkt without training and the row is named `coser/bleu4_untrained`, for it is another
    number. `coser/rougeL_f1_rouge_chinese`: tokens between white space, broken at rouge_chinese's sentence ends,
    case-sensitive, plain LCS. An empty side is 0.

    Source: spec/coser.md, section 3; Papineni et al., ACL 2002; rouge_chinese 1.0.3.
    """

    def infos(self) -> Sequence[MetricInfo]:
        """See Metric.infos; both names of BLEU-4, of which one machine has one."""
        return _OVERLAP

    def score(self, sample: Sample, transcript: Transcript) -> list[Score]:
        """Returns both rows; missing where the scene did not happen."""
        tokenise, name = _word_tokeniser()
        status = transcript.status
        if not happened(status):
            return [Score(metric, None, status) for metric in (name, ROUGE_L)]
        said, reference = _compared(sample, transcript)
        return [
            Score(name, sentence_bleu4(tokenise(said.lower()), tokenise(reference.lower())), status),
            Score(ROUGE_L, rouge_l(said, reference), status),
        ]


@dataclass(frozen=True)
class SceneFacts:
    """What a scene was like: `coser/actor_turns`, `coser/words_per_turn` and `coser/unanswered_turns`.

    Actor turns are those of the model under test. Words are separated by white space; the mean is over actor turns that
    said something. Unanswered are actor turns in which nobody heard a word (cut in the plan, only a thought, refused).
    """

    def infos(self) -> Sequence[MetricInfo]:
        """See Metric.infos."""
        return _FACTS

    def score(self, sample: Sample, transcript: Transcript) -> list[Score]:
        """Returns the rows; missing where the scene did not happen."""
        status = transcript.status
        turns = [turn for turn in transcript.turns if turn.part == "model"]
        words = [len(turn.visible.split()) for turn in turns if turn.visible]
        values: dict[str, float | None] = {
            "coser/actor_turns": float(len(turns)),
            "coser/words_per_turn": sum(words) / len(words) if words else 0.0,
            "coser/unanswered_turns": float(sum(not turn.visible for turn in turns)),
        }
        return [Score(metric, value if happened(status) else None, status) for metric, value in values.items()]


@dataclass(frozen=True)
class NextSpeaker:
    """How the next-speaker predictor's replies were read: `coser/nsp_<step>`, a count per scene for every step.

    The steps are those of next.py. `coser/nsp_drawn_unasked` sums those whose speaker was drawn
    although nobody asked for it: replies that could not be followed.
    """

    def infos(self) -> Sequence[MetricInfo]:
        """See Metric.infos."""
        steps = {note: f"Next speakers read by the step {note!r}." for note in NOTES}
        steps["drawn_unasked"] = "Next speakers who were drawn although nobody asked for it."
        return [
            MetricInfo(
                f"coser/nsp_{step}",
                label=f"Next speaker: {step.replace('_', ' ')}",
                unit="count",
                recipe=recipe,
                low=0.0,
                headline=step == "drawn_unasked",
                higher_is_better=False if step == "drawn_unasked" else None,
                position=_READ_FIRST if step == "drawn_unasked" else LAST,
            )
            for step, recipe in steps.items()
        ]

    def score(self, sample: Sample, transcript: Transcript) -> list[Score]:
        """Returns a row per step; missing where the scene did not happen."""
        status = transcript.status
        seen = Counter(turn.note for turn in transcript.turns if turn.part == "next_speaker")
        values = {f"coser/nsp_{note}": float(seen[note]) for note in NOTES}
        values["coser/nsp_drawn_unasked"] = float(sum(seen[note] for note in UNASKED))
        return [Score(metric, value if happened(status) else None, status) for metric, value in values.items()]


def _compared(sample: Sample, transcript: Transcript) -> tuple[str, str]:
    """The simulated conversation and the book's, both without the given turns."""
    turns = [turn for turn in transcript.turns if turn.part in ("model", "environment") and turn.visible]
    said = "\n\n".join(f"{turn.speaker}: {turn.visible}" for turn in turns)
    return said, sample.material.get("reference_rest", sample.material["reference"])


def sentence_bleu4(tokens: list[str], reference: list[str]) -> float:
    """NLTK's sentence_bleu with its defaults; 0 for an empty side."""
    import warnings

    from nltk.translate.bleu_score import sentence_bleu

    if not tokens or not reference:
        return 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "0 counts of 4-gram overlaps": the value is then next to 0, as it should be
        return float(sentence_bleu([reference], tokens))


def rouge_l(text: str, reference: str) -> float:
    """ROUGE-L F1 by the recipe of rouge_chinese 1.0.3; 0 for an empty side."""
    from rapidfuzz.distance import LCSseq

    tokens, expected = sentence_tokens(text), sentence_tokens(reference)
    if not tokens or not expected:
        return 0.0
    common = LCSseq.similarity(tokens, expected)
    precision, recall = common / len(tokens), common / len(expected)
    return 2.0 * precision * recall / (precision + recall + 1e-8)


def sentence_tokens(text: str) -> list[str]:
    """Tokens between white space, where every sentence begins a new one; a line of white space is an empty token."""
    for end in _BREAKS:
        text = end.sub(r"\1\n\2", text)
    return [token for line in text.rstrip().split("\n") if line for token in line.split() or [""]]


@cache
def _word_tokeniser() -> tuple[Callable[[str], list[str]], str]:
    """NLTK's word_tokenize, or the same over untrained Punkt; with the row's name."""
    import nltk
    from nltk.tokenize.destructive import NLTKWordTokenizer
    from nltk.tokenize.punkt import PunktSentenceTokenizer

    try:
        nltk.data.find("tokenizers/punkt_tab/english/")
    except LookupError:
        words, sentences = NLTKWordTokenizer(), PunktSentenceTokenizer()
        return lambda text: [w for s in sentences.tokenize(text) for w in words.tokenize(s)], BLEU4_UNTRAINED
    return nltk.word_tokenize, BLEU4
