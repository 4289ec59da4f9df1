"""Candidates' texts are data: encloses them in fences that they cannot close, and checks a judge's quotations."""

import re
import unicodedata
from functools import lru_cache

from roleeval.hashing import digest

# Words of chat templates and reasoning tags: a tokenizer, or a reader of the judge's reply, would take them for real.
_TEMPLATE_WORDS = re.compile(r"<[|｜]|[|｜]>|</?s>|</?think>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|<</?|>>")
_DISARMED = str.maketrans("<>[]", "‹›⟦⟧")
_ARMED = str.maketrans("‹›⟦⟧«»“”„‟’‘‚‛`´", "<>[]" + '"' * 6 + "'" * 6)
_AT_THE_LIMIT, _CUT_COUNTS = 0.95, 0.8  # shares of a quote's limit, and of a cut quote that must be in the text
_ELISION = re.compile(r"\.{3,}|…|\[\s*\]")


def fence_token(*parts: object) -> str:
    """What marks the fences of one question: the same for the same question, and nothing a candidate could know."""
    return digest("fence", *parts)[:12]


def fenced(text: str, title: str, token: str) -> str:
    """A candidate's text between two marks.

    Args:
        text: what the candidate wrote.
        title: what it is called in the prompt ("answer A").
        token: of `fence_token`.
    """
    inner = disarmed(text).replace(token, "")
    return f"<<{title} {token}>>\n{inner}\n<<end of {title} {token}>>"


def disarmed(text: str) -> str:
    """A candidate's text without marks, reasoning tags and special tokens that would be obeyed."""
    return _TEMPLATE_WORDS.sub(lambda match: match[0].translate(_DISARMED), text)


def plain(text: str) -> str:
    """A text without differences that a quotation may have: white space, quotation marks, case."""
    return _even(text).casefold()


@lru_cache(maxsize=64)  # a judge may list thousands of errors of the same few messages
def _even(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).translate(_ARMED).split())


def verbatim(quote: str, text: str) -> bool:
    """Whether a text holds a quote as it stands, but for white space, straight or curly marks and full-width forms."""
    words = _even(quote).strip(" \"'")
    return _says_something(words, text) and words in _even(text)


def _says_something(quote: str, text: str) -> bool:
    """Whether a quote holds a letter or a digit, if its text does: a full stop stands in every text."""
    return any(map(str.isalnum, quote)) or (bool(quote) and not any(map(str.isalnum, text)))


def quoted(quote: str, text: str, *, longest: int | None = None) -> bool:
    """Whether a text holds a quote; parts of it may be left out with "..." as long as their order stays.

    A quote that a schema cut off counts if the text holds its first four fifths: near the limit, decoding under a
    schema leaves only tokens that still fit, so that the end is often not what the judge would have written.

    Args:
        quote: what the judge gives as one.
        text: where it is looked for.
        longest: the schema's limit in characters, if it has one.
    """
    if _quoted(quote, text):
        return True
    cut = longest is not None and len(quote) >= longest * _AT_THE_LIMIT
    return cut and _quoted(quote[: int(len(quote) * _CUT_COUNTS)], text)


def _quoted(quote: str, text: str) -> bool:
    whole, position = plain(text), 0
    # NFKC turns an ellipsis into three dots, so parts are split first
    parts = [part for part in (plain(piece).strip(" \"'") for piece in _ELISION.split(quote)) if part]
    for part in parts:
        found = whole.find(part, position)
        if found < 0:
            return False
        position = found + len(part)
    return _says_something("".join(parts), whole)


def echoes(fragment: str, judged: str) -> bool:
    """Whether a piece of a judge's reply appears verbatim in the judged texts."""
    return bool(plain(fragment)) and plain(fragment) in plain(judged)
