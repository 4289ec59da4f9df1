"""The marks that models put around reasoning, and how each is taken out of a text.

    think       <think> ... </think>                    everything up to the last closing tag
    thinking    <thinking> ... </thinking>, and the like: the text in between; the text before a closing tag
                without an opening one, because templates may write that
    harmony     <|channel|>analysis<|message|> ... <|end|><|start|>assistant<|channel|>final<|message|> ...

A model's `reasoning_marks` names one of them, "auto" (all, with a count of what was found) or "none", or gives a pair
of its own: "<plan> </plan>".
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from roleeval.errors import ConfigError

AUTO, NONE, THINK, HARMONY = "auto", "none", "think", "harmony"
_PAIRS: Mapping[str, tuple[str, str]] = {
    THINK: ("<think>", "</think>"),
    "thinking": ("<thinking>", "</thinking>"),
    "brackets": ("[THINK]", "[/THINK]"),
    "seed": ("<seed:think>", "</seed:think>"),
    "reasoning": ("<reasoning>", "</reasoning>"),
    "thought": ("<thought>", "</thought>"),
    "kimi": ("◁think▷", "◁/think▷"),
    "begin_of_thought": ("<|begin_of_thought|>", "<|end_of_thought|>"),
    "start_thinking": ("<|START_THINKING|>", "<|END_THINKING|>"),
}
NAMES = (*_PAIRS, HARMONY)
_ANSWER = re.compile(
    r"\A\s*(?:<(?P<tag>answer|response)>|<\|begin_of_solution\|>|<\|START_RESPONSE\|>)(?P<text>.*?)"
    r"(?:</(?P=tag)>|<\|end_of_solution\|>|<\|END_RESPONSE\|>|\Z)(?P<rest>.*)\Z",
    re.IGNORECASE | re.DOTALL,
)
_CHANNEL = re.compile(r"<\|channel\|>\s*(\w+)[^<]*<\|message\|>|<\|(?:end|return|call|start)\|>(?:assistant\b)?")
# The same without special tokens, which engines leave out of texts.
_BARE = re.compile(r"\A\s*analysis(?=[^\s:,;.!?])(?P<thought>.*?)assistant(?:commentary.*?assistant)?final", re.DOTALL)
_BARE_CUT = re.compile(r"\A\s*analysis(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class Split:
    """A text without reasoning.

    Attributes:
        said: what is left.
        thoughts: what was taken out, in order.
        cut: the text ends inside reasoning.
        found: names of the marks.
    """

    said: str
    thoughts: tuple[str, ...] = ()
    cut: bool = False
    found: tuple[str, ...] = ()


def checked_marks(marks: str) -> str:
    """The setting, as it is.

    Raises:
        ConfigError: it is none of the names, and no pair.
    """
    if marks not in (AUTO, NONE, *NAMES) and len(marks.split()) != 2:
        raise ConfigError(
            f"model.reasoning_marks: {marks!r} is invalid; give {', '.join((AUTO, NONE, *NAMES))}, or an opening"
            ' and a closing mark, for example "<plan> </plan>"'
        )
    return marks


def split_reasoning(text: str, marks: str = AUTO) -> Split:
    """Takes reasoning out of a text. Never raises on any text.

    Args:
        text: the raw reply.
        marks: of `checked_marks`.
    """
    if marks == NONE or (marks == AUTO and not _may_have_marks(text)):
        return Split(text)
    splitters = [_splitter(name) for name in (NAMES if marks == AUTO else (marks,))]
    said, thoughts, cut, found = text, list[str](), False, list[str]()
    for split in splitters:
        part = split(said)
        if part.found:
            said, cut = part.said, cut or part.cut
            thoughts += part.thoughts
            found += part.found
    wrapped = _ANSWER.match(said)
    if wrapped and (found or (marks == AUTO and wrapped["tag"] and not wrapped["rest"].strip())):
        said = wrapped["text"] + wrapped["rest"]
        found = found or ["answer"]
    return Split(said, tuple(thoughts), cut, tuple(found))


def _may_have_marks(text: str) -> bool:
    """Quickly, by what every mark begins with: most texts have none."""
    return "<" in text or "[" in text or "◁" in text or text.lstrip().startswith("analysis")


def opens_nothing(text: str, marks: str = AUTO) -> bool:
    """Whether a text closes reasoning that it does not open: its template, which is not seen here, opens it."""
    if marks == AUTO and not _may_have_marks(text):
        return False
    names = [name for name in (_PAIRS if marks == AUTO else (marks,)) if name not in (NONE, HARMONY)]
    first = [next(_pair(name).finditer(text), None) for name in names]
    return any(found is not None and found.lastgroup == "close" for found in first)


def described(name: str) -> str:
    """The marks of a name, for messages."""
    pair = _PAIRS.get(name)
    return f"{pair[0]} ... {pair[1]}" if pair else {HARMONY: "harmony's channels"}.get(name, "<answer> ... </answer>")


@lru_cache(maxsize=64)
def _pair(name: str) -> re.Pattern[str]:
    opening, closing = _PAIRS.get(name) or tuple(name.split())
    return re.compile(f"(?P<close>{re.escape(closing)})|(?P<open>{re.escape(opening)})", re.IGNORECASE)


def _splitter(name: str) -> Callable[[str], Split]:
    if name == HARMONY:
        return _harmony
    return lambda text: (_up_to_the_last if name == THINK else _between)(text, _pair(name), name)


def _up_to_the_last(text: str, pair: re.Pattern[str], name: str) -> Split:
    found = list(pair.finditer(text))
    if not found:
        return Split(text)
    last = next((mark for mark in reversed(found) if mark["close"]), None)
    before, after = (text[: last.start()], text[last.end() :]) if last else ("", text)
    opened = next((mark for mark in pair.finditer(after) if mark["open"]), None)
    said, unfinished = (after[: opened.start()], after[opened.end() :]) if opened else (after, "")
    before = before.strip()
    begins = pair.match(before)
    before = before[begins.end() :] if begins and begins["open"] else before
    return Split(said, (before, unfinished), bool(opened), (name,))


def _between(text: str, pair: re.Pattern[str], name: str) -> Split:
    said, thoughts, at, inside = list[str](), list[str](), 0, False
    marks = list(pair.finditer(text))
    for mark in marks:
        part = text[at : mark.start()]
        if mark["close"]:
            thoughts.append(part if inside else "".join(said) + part)
            said = said if inside else []
        else:
            (thoughts if inside else said).append(part)
        inside, at = bool(mark["open"]), mark.end()
    (thoughts if inside else said).append(text[at:])
    return Split("".join(said), tuple(thoughts), inside, (name,)) if marks else Split(text)


def _harmony(text: str) -> Split:
    parts = list(_channels(text))
    if parts:
        said = "".join(body for channel, body in parts if channel == "final")
        thoughts = tuple(body for channel, body in parts if channel not in ("final", ""))
        return Split(said, thoughts, all(channel != "final" for channel, _ in parts), (HARMONY,))
    if bare := _BARE.match(text):
        return Split(text[bare.end() :], (bare["thought"],), False, (HARMONY,))
    if cut := _BARE_CUT.match(text):
        return Split("", (text[cut.end() :],), True, (HARMONY,))
    return Split(text)


def _channels(text: str) -> Iterator[tuple[str, str]]:
    """(channel, text) of each message; nothing where the text names no channel."""
    marks = list(_CHANNEL.finditer(text))
    if not any(mark[1] for mark in marks):
        return
    for mark, following in zip(marks, [*marks[1:], None], strict=True):
        if mark[1]:
            yield mark[1].lower(), text[mark.end() : following.start() if following else len(text)]
