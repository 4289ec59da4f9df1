"""Words and characters, for metrics that have no tokeniser of their own to reproduce."""

import re

from roleeval.types import Language

_WORD = re.compile(r"\w+(?:['’]\w+)*")


def characters(text: str) -> list[str]:
    """Returns every character but white space."""
    return [character for character in text if not character.isspace()]


def units(text: str, language: Language) -> list[str]:
    """Returns the text's words or characters, lower-case, for counting how varied it is.

    Args:
        text: any text.
        language: "en": runs of letters, digits and inner apostrophes; "zh": letters, digits and Chinese characters one
            by one. Punctuation is left out of both.
    """
    lowered = text.lower()
    if language == "zh":
        return [character for character in lowered if character.isalnum()]
    return _WORD.findall(lowered)
