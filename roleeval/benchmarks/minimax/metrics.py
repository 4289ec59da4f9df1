"""What a session is like beside its errors: repetition, languages, labels, empty messages.

Shares of the character's generated messages; rounds 0 and 1 are given and never counted.
Source: spec/minimax.md, "Side metrics"; the recipes are roleeval's own.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from roleeval.metrics import MetricInfo, happened
from roleeval.types import MODEL, Language, Sample, Score, Transcript, Turn

_ORDER = 4  # of the n-grams that repetition counts
_TOO_MUCH_LATIN = 0.3  # of a Chinese message's letters
_EAST_ASIAN = re.compile(r"[぀-ヿ㐀-䶿一-鿿가-힯]")
_LATIN = re.compile(r"[A-Za-z]+")
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


def _share(name: str, label: str, what: str, position: int, *, headline: bool = True) -> MetricInfo:
    return MetricInfo(
        f"minimax/{name}",
        label=label,
        unit="fraction",
        recipe=f"Share of {what}.",
        low=0.0,
        high=1.0,
        higher_is_better=False,
        headline=headline,
        position=position,
    )


_INFOS = (
    _share(
        "repetition",
        "Repetition",
        f"the character's {_ORDER}-grams (words, in Chinese characters) that it has used before in the session",
        200,
    ),
    _share(
        "language_mixing",
        "Messages in another language",
        "the character's messages with East Asian script in English; in Chinese with two words of Latin script and more"
        " than 30 % Latin letters",
        210,
    ),
    _share(
        "label_leaks",
        "Speaker labels in messages",
        "the character's messages with a line that begins with a speaker's name and a colon",
        220,
    ),
    _share("blank", "Messages without a word", "the character's messages in which nothing was said", 240),
    MetricInfo(
        "minimax/messages",
        label="Messages of the character",
        unit="count",
        recipe="Messages of the model under test in a session.",
        low=0.0,
        position=250,
    ),
)


@dataclass(frozen=True)
class SessionFacts:
    """`minimax/repetition`, `language_mixing`, `label_leaks`, `blank`, `messages` of a session."""

    def infos(self) -> Sequence[MetricInfo]:
        """See Metric.infos."""
        return _INFOS

    def score(self, sample: Sample, transcript: Transcript) -> list[Score]:
        """Returns all rows; missing where the session did not happen to its end."""
        status, own = transcript.status, [turn for turn in transcript.turns if turn.part == MODEL]
        if not happened(status) or not own:
            return [Score(info.name, None, status) for info in _INFOS]
        names = (sample.persona.role, sample.material.get("user_name", ""))
        language = sample.persona.language
        values = (
            repetition([turn.visible for turn in own], language),
            _mean([mixes(turn.visible, language) for turn in own]),
            _mean([labelled(turn.visible, names) for turn in own]),
            _mean([_blank(turn) for turn in own]),
            float(len(own)),
        )
        return [Score(info.name, value, status) for info, value in zip(_INFOS, values, strict=True)]


def repetition(messages: Sequence[str], language: Language) -> float:
    """Share of 4-grams that occurred before, in the same message or an earlier one; 0 where there is none.

    Args:
        messages: of one speaker, in order; an n-gram never spans two.
        language: words in English, letters and digits one by one in Chinese, lower-case, without punctuation.
    """
    seen: set[tuple[str, ...]] = set()
    again = count = 0
    for message in messages:
        words = _WORD.findall(message.casefold())
        units = words if language == "en" else [character for word in words for character in word]
        for start in range(len(units) - _ORDER + 1):
            gram = tuple(units[start : start + _ORDER])
            again += gram in seen
            seen.add(gram)
            count += 1
    return again / count if count else 0.0


def mixes(message: str, language: Language) -> bool:
    """Whether a message is in part in the other script: see `minimax/language_mixing`."""
    if language == "en":
        return bool(_EAST_ASIAN.search(message))
    words = _LATIN.findall(message)
    letters = sum(character.isalpha() for character in message)
    return len(words) > 1 and sum(map(len, words)) > _TOO_MUCH_LATIN * letters  # one word may be a name


def labelled(message: str, names: Sequence[str]) -> bool:
    """Whether a line of a message begins with a speaker's name and a colon, marks of emphasis left aside."""
    lines = [line.lstrip(" *[【_#>") for line in message.splitlines()]
    return any(
        bool(name) and line.startswith(name) and line[len(name) :].lstrip(" *]】_")[:1] in (":", "：")
        for line in lines
        for name in names
    )


def _blank(turn: Turn) -> bool:
    return not turn.visible.strip()


def _mean(flags: Sequence[bool]) -> float:
    return sum(flags) / len(flags)
