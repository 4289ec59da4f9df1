"""Injects faults (judges/controls/faults.yaml) into good answers, at doses.

A single answer gets all faults of a dose; in a conversation, that many random turns of the model under test get one
each, or more if it has fewer turns.
"""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Literal

from roleeval.errors import ConfigError
from roleeval.judging._view import Answer
from roleeval.prompts import fill
from roleeval.resources import resource
from roleeval.seeds import derive_seed
from roleeval.types import Language, Sample

DOSES = (0, 1, 3)
FAULTS_FILE = "judges/controls/faults.yaml"
_LANGUAGES: tuple[Language, ...] = ("en", "zh")
_SENTENCE_END = re.compile(r"(?<=[.!?])(?=\s)|(?<=[。！？])(?![”’」』])|(?<=[。！？][”’」』])")
_HOW = ("insert", "append", "open", "replace", "repeat")
_NEEDS = (None, "reference", "transcript")


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to spoil an answer; faults.yaml says what `how` means.

    Attributes:
        name: as tables show it.
        how: insert, append, open, replace or repeat.
        phrases: language -> at least as many as the greatest dose; empty for repeat.
        alone_from: the dose from which the phrases replace the answer; None: never.
        needs: "reference" or "transcript" where it makes sense in such an answer only; None: in any answer.
    """

    name: str
    how: str
    phrases: Mapping[Language, tuple[str, ...]] = field(default_factory=dict)
    alone_from: int | None = None
    needs: Literal["reference", "transcript"] | None = None

    def suits(self, base: str) -> bool:
        """Whether it can be put into answers of this kind (`Control.base`)."""
        return self.needs in (None, base)

    def about(self, sample: Sample) -> "Fault | None":
        """The fault with a sample's names in its phrases; None where they name somebody whom the sample does not."""
        names = {"role": sample.persona.role, "other": sample.material.get("user_name", "")}
        texts = [phrase for phrases in self.phrases.values() for phrase in phrases]
        if any(f"{{{place}}}" in text for place, name in names.items() if not name for text in texts):
            return None
        told = {language: tuple(fill(phrase, **names) for phrase in each) for language, each in self.phrases.items()}
        return replace(self, phrases=told)


@lru_cache(maxsize=4)
def load_faults(path: str = FAULTS_FILE) -> tuple[Fault, ...]:
    """Reads a file of faults.

    Raises:
        ConfigError: it is not what faults.yaml's first lines say.
    """
    import yaml

    file = resource(path)
    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"{file}: cannot be read as YAML ({error})") from error
    found = []
    for name, node in data.items():
        how = node.get("how")
        if how not in _HOW:
            raise ConfigError(f"{file}: {name}.how is {how!r}; give one of {', '.join(_HOW)}")
        needs = node.get("needs")
        if needs not in _NEEDS:
            raise ConfigError(f"{file}: {name}.needs is {needs!r}; give reference or transcript, or leave it out")
        phrases = {language: tuple(node.get(language, ())) for language in _LANGUAGES}
        for language, given in phrases.items():
            if how != "repeat" and len(set(given)) < max(DOSES):
                raise ConfigError(f"{file}: {name}.{language} needs at least {max(DOSES)} different phrases")
        found.append(Fault(str(name), how, {} if how == "repeat" else phrases, node.get("alone_from"), needs))
    return tuple(found)


def spoil(answer: Answer, fault: Fault, dose: int, *, language: Language, seed: int) -> Answer:
    """An answer with a fault in turns of the model under test; dose 0 is the answer itself.

    Args:
        answer: one turn takes all of the dose; of several, drawn ones take a part of it each.
        fault: what to do to it.
        dose: how often; a greater dose holds what a smaller one has put in, in the same turns.
        language: of the role.
        seed: draws turns, phrases and places.
    """
    texts = [turn.text for turn in answer.turns]
    places = [place for place, turn in enumerate(answer.turns) if turn.own and not turn.is_blank]
    if len(places) == 1:
        texts[places[0]] = inject(texts[places[0]], fault, dose, language=language, seed=seed)
        return answer.with_texts(texts)
    draw = random.Random(seed)
    draw.shuffle(places)
    phrases = list(fault.phrases.get(language, ()))
    draw.shuffle(phrases)
    alone = fault.alone_from is not None and dose >= fault.alone_from
    for number, place in enumerate(places[:dose]):
        # Each turn has phrases of its own, so that no fault looks like a repetition too.
        part = replace(
            fault, phrases={language: tuple(phrases[number :: len(places)])}, alone_from=1 if alone else None
        )
        share = len(range(number, dose, len(places)))
        own = derive_seed(seed, fault.name, turn=place)
        texts[place] = inject(texts[place], part, share, language=language, seed=own)
    return answer.with_texts(texts)


def inject(text: str, fault: Fault, dose: int, *, language: Language, seed: int) -> str:
    """A text with a fault in it; dose 0 is the text itself.

    Args:
        text: of an answer, or of one turn.
        fault: what to do to it.
        dose: how often; a greater dose holds what a smaller one has put in.
        language: of the role.
        seed: draws phrases and places.
    """
    if dose == 0:
        return text
    draw = random.Random(seed)
    phrases = list(fault.phrases.get(language, ()))
    draw.shuffle(phrases)
    if fault.alone_from is not None and dose >= fault.alone_from:
        return _joined(phrases[:dose], language)
    if fault.how == "append":
        return "\n".join([text.strip(), *phrases[:dose]])
    return _joined(_spoilt(sentences(text), fault.how, phrases[:dose], dose, draw), language)


def sentences(text: str) -> list[str]:
    """A text's sentences in order, each as it stands there but for white space around it."""
    return [part.strip() for part in _SENTENCE_END.split(text.strip()) if part.strip()]


def _spoilt(parts: list[str], how: str, phrases: list[str], dose: int, draw: random.Random) -> list[str]:
    if how == "open":
        return [*phrases, *parts]
    if how == "replace":
        return [*parts[: max(0, len(parts) - dose)], *reversed(phrases)]
    if how == "repeat":
        place = draw.randrange(len(parts))
        return [*parts[:place], *[parts[place]] * dose, *parts[place:]]
    for phrase in phrases:
        parts.insert(draw.randint(1, len(parts)), phrase)
    return parts


def _joined(parts: Sequence[str], language: Language) -> str:
    return ("" if language == "zh" else " ").join(parts)
