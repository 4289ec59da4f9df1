"""What a scene is scored with beside its judge: words that slipped out, and fresh words of an evening."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from roleeval.metrics import MetricInfo, happened
from roleeval.types import MODEL, Sample, Score, Status, Transcript


@dataclass(frozen=True)
class Slips:
    """`inn/slips`: turns of the model under test in which a hidden word is said (conf/metrics/inn.yaml)."""

    def infos(self) -> Sequence[MetricInfo]:
        slips = MetricInfo(
            "inn/slips",
            label="Hidden words let slip",
            unit="count",
            recipe="Turns of the model under test that say one of the scene's hidden words.",
            low=0.0,
            higher_is_better=False,
            headline=True,
            position=10,
        )
        turns = MetricInfo("inn/turns", label="Turns", unit="count", recipe="Turns of the model under test.", low=0.0)
        return [slips, turns]

    def score(self, sample: Sample, transcript: Transcript) -> list[Score]:
        status = transcript.status
        if not happened(status):
            return [Score("inn/slips", None, status), Score("inn/turns", None, status)]
        hidden = sample.material["hidden"].casefold().split("\n")
        said = [turn.visible.casefold() for turn in transcript.turns if turn.part == MODEL]
        slipped = sum(any(word in text for word in hidden) for text in said)
        return [Score("inn/slips", float(slipped), status), Score("inn/turns", float(len(said)), status)]


@dataclass(frozen=True)
class FreshWords:
    """`inn/fresh_words`: different words over all words of an evening, Chinese by character."""

    def infos(self) -> Sequence[MetricInfo]:
        fresh = MetricInfo(
            "inn/fresh_words",
            label="Fresh words of an evening",
            unit="fraction",
            recipe="Different words over all words of the model under test in one evening.",
            low=0.0,
            high=1.0,
            higher_is_better=True,
            headline=True,
            per="cluster",
            position=20,
        )
        return [fresh]

    def collector(self) -> "Words":
        return Words()


@dataclass
class Words:
    """The evenings of one run."""

    evenings: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def add(self, sample: Sample, transcript: Transcript) -> None:
        words = self.evenings.setdefault((sample.split, sample.cluster), [])
        for turn in transcript.turns:
            if turn.part == MODEL:
                words += list(turn.visible) if sample.persona.language == "zh" else turn.visible.casefold().split()

    def rows(self) -> list[tuple[str, str, Score]]:
        return [(*evening, self._score(words)) for evening, words in self.evenings.items()]

    def _score(self, words: Sequence[str]) -> Score:
        status: Status = "ok" if words else "no_answer"
        return Score("inn/fresh_words", len(set(words)) / len(words) if words else 0.0, status)
