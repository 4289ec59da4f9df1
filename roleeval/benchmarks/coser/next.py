"""Who speaks next: parses the predictor's reply, and draws a speaker if it cannot be used.

Steps are tried in order; the first that matches is the turn's note, and the metric NextSpeaker counts it:

    exact      the name and nothing else (or all before the first colon, as CoSER reads it)
    markdown   in bold, as a heading or list item
    quotes     in quotation marks, or followed by a full stop
    case       in other case or spacing
    prefix     a name followed by a remark, or the beginning of exactly one name

    random, same_speaker, early_end, unknown, empty: a speaker is drawn (on request, or because the reply is invalid)
    end        the scene is over

Source: spec/coser.md, section 2, "Loop".
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from roleeval.benchmarks.coser.data import ENVIRONMENT, Scene
from roleeval.seeds import derive_seed

NEXT_SPEAKER = "NSP"
END, RANDOM = "<END CHAT>", "random"
READ = ("exact", "markdown", "quotes", "case", "prefix")
DRAWN = ("random", "same_speaker", "early_end", "unknown", "empty")
NOTES = (*READ, *DRAWN, "end", "reference")
UNASKED = DRAWN[1:]  # drawn although the reply did not ask for it

_FIELD = re.compile(r"next[ _]speaker\W*?[:：](.*)", re.IGNORECASE)
_MARKS = "*_`#>~ \t\n"
_ITEM = re.compile(r"^(?:[-•+]|\d{1,2}[.)])\s+")
_QUOTES = "\"'“”‘’«»「」『』<>[]()"
_STOPS = ".,;!?。，；！？"


@dataclass(frozen=True, slots=True)
class Choice:
    """Who is next (None: nobody, the scene is over), and why, in one of NOTES."""

    speaker: str | None
    note: str


def read_answer(reply: str, names: Sequence[str], *, form: Literal["name", "reasoned"]) -> tuple[str | None, str]:
    """Finds the answer in a predictor's reply. Never raises.

    Args:
        reply: its visible text.
        names: who can be named, Environment included.
        form: "name" expects the bare name, "reasoned" a field "Next Speaker:"; both are understood either way.

    Returns:
        A name, END, RANDOM or None, and the step of the ladder ("unknown" or "empty" for None).
    """
    reply = reply.strip()
    if not reply:
        return None, "empty"
    field = _FIELD.findall(reply)
    texts = [field[-1].strip()] if field and (form == "reasoned" or reply not in names) else []
    if form == "name" and not texts:
        texts = [reply, reply.partition(":")[0].strip()]
    lines = [line for line in reply.splitlines() if line.strip()]
    texts = [*texts, lines[-1 if form == "reasoned" else 0].strip()]
    answers = (*names, RANDOM, END)
    for text in texts:
        if text in answers:
            return text, "exact"
    forms: tuple[tuple[str, Callable[[str], str]], ...] = (
        ("markdown", _unmarked),
        ("quotes", _unquoted),
        ("case", _plain),
    )
    for step, simplify in forms:
        for text in texts:
            found = {answer for answer in answers if simplify(answer) == simplify(text) != ""}
            if len(found) == 1:
                return found.pop(), step
    for text in texts:
        begun = _by_beginning(_plain(text), answers)
        if begun is not None:
            return begun, "prefix"
    return None, "unknown"


def _unmarked(text: str) -> str:
    return _ITEM.sub("", text.strip(_MARKS)).strip(_MARKS)


def _unquoted(text: str) -> str:
    return _unmarked(text).strip(_QUOTES + _STOPS + _MARKS)


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[_\s]+", " ", _unquoted(text)).casefold().split())


def _by_beginning(text: str, answers: Sequence[str]) -> str | None:
    """The longest answer that the text begins with, or the only one that begins with the text, at a word's end."""
    inside = [answer for answer in answers if _begins(text, _plain(answer))]
    longest = max((len(_plain(answer)) for answer in inside), default=0)
    inside = [answer for answer in inside if len(_plain(answer)) == longest]
    around = [answer for answer in answers if _begins(_plain(answer), text)]
    found = inside or around
    return found[0] if len(found) == 1 else None


def _begins(text: str, beginning: str) -> bool:
    if not beginning or not text.startswith(beginning):
        return False
    return len(text) == len(beginning) or not text[len(beginning)].isalnum()


def follow(answer: str | None, note: str, scene: Scene, current: str, *, may_end: bool, draw: "Draw") -> Choice:
    """What an answer means for the scene: the named speaker, its end, or someone who is drawn.

    Args:
        answer, note: of `read_answer`.
        scene: whose speakers can be next.
        current: who spoke last and cannot be next.
        may_end: the scene is old enough to end.
        draw: the scene's own chance.
    """
    if answer == END and may_end:
        return Choice(None, "end")
    if answer in scene.speakers and answer != current:
        return Choice(answer, note)
    if answer == END:
        note = "early_end"
    elif answer == RANDOM:
        note = "random"
    elif answer is not None:
        note = "same_speaker"
    return Choice(draw.one_of(draw_pool(scene, current)), note)


def draw_pool(scene: Scene, current: str) -> tuple[str, ...]:
    """Major characters and Environment without the current speaker; all other speakers where that is nobody."""
    pool = [name for name in (*scene.majors, ENVIRONMENT) if name != current]
    return tuple(dict.fromkeys(pool or [name for name in scene.speakers if name != current]))


@dataclass(frozen=True, slots=True)
class Draw:
    """Chance that depends on the run's seed, the scene and the turn, and on nothing else."""

    run_seed: int
    scene_id: str
    turn: int

    def one_of(self, pool: Sequence[str]) -> str:
        return pool[derive_seed(self.run_seed, self.scene_id, turn=self.turn, speaker="\x1fdrawn") % len(pool)]
