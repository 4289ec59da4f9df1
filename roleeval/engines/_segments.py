"""Tokenises prompts incrementally, reusing the token ids of known segments.

A conversation is sent again with every turn, and its first messages are the same each time. A tokenizer first splits a
text at its special tokens, so a segment between two of them has the same ids everywhere and is tokenised once. With
tokenizers that behave differently (those that treat the beginning of a text, or white space around special tokens,
specially) every prompt is tokenised as a whole.
"""

import re
from array import array
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_KEPT = 4096  # segments
_PROBES = ("a", " a", "a ", "\na", "a\n", "'s", "中", "1")


class Segments:
    """The token ids of texts, no special tokens added, piece by piece where the tokenizer allows it."""

    def __init__(self, tokenizer: "PreTrainedTokenizerBase") -> None:
        self._tokenizer = tokenizer
        self._special = _separators(tokenizer)
        # Of two that begin at the same place the longer one counts, as in a tokenizer.
        names = sorted(self._special, key=len, reverse=True)
        self._cut = re.compile(f"({'|'.join(map(re.escape, names))})") if names else None
        self._kept = lru_cache(maxsize=_KEPT)(self._encoded)
        if not all(self.ids(text) == self._encoded(text).tolist() for text in self._probes()):
            self._cut = None
        self._kept.cache_clear()

    def ids(self, text: str) -> list[int]:
        """The ids of a text; the same as the tokenizer's own."""
        if self._cut is None:
            return self._encoded(text).tolist()
        found: list[int] = []
        for number, piece in enumerate(self._cut.split(text)):
            if number % 2:
                found.append(self._special[piece])
            elif piece:
                found.extend(self._kept(piece))
        return found

    def _probes(self) -> Iterator[str]:
        for name in self._special:
            for probe in _PROBES:
                yield f"{probe}{name}{probe}{name}"

    def _encoded(self, text: str) -> "array[int]":
        return array("q", self._tokenizer.encode(text, add_special_tokens=False))


def _separators(tokenizer: "PreTrainedTokenizerBase") -> dict[str, int]:
    """Text -> id of the tokens at which a tokenizer cuts texts; none where some of them take white space with them."""
    added = tokenizer.added_tokens_decoder.items()
    # The others are looked for in normalised text, which is after the cut.
    cutting = {token.content: (number, token) for number, token in added if not token.normalized}
    if any(token.lstrip or token.rstrip or token.single_word for _, token in cutting.values()):
        return {}
    return {name: number for name, (number, _) in cutting.items()}
