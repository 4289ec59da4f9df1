"""One sample's record for the site: persona, references, turns, values and judgements, without what is empty."""

from collections.abc import Sequence
from typing import Any

from roleeval.report.leaderboard.judged import judgement_data
from roleeval.results.judgements import KeptJudgement
from roleeval.types import MODEL, Sample, Transcript, Turn

_SNIPPET = 110


def sample_data(
    sample: Sample,
    transcript: Transcript,
    *,
    values: list[list[Any]],
    judgements: Sequence[KeptJudgement],
    columns: Sequence[str],
) -> dict[str, Any]:
    """Everything that a sample's page shows.

    Args:
        sample: the sample.
        transcript: what was said.
        values: `RunScores.of`.
        judgements: about it.
        columns: the names of judges' columns, which judgements refer to by number.
    """
    started: set[tuple[str, str, bool]] = set()
    return {
        "id": sample.id,
        "split": sample.split,
        "cluster": sample.cluster,
        "persona": {
            "role": sample.persona.role,
            "description": sample.persona.description,
            "language": sample.persona.language,
        },
        "question": sample.question,
        "references": sample.references,
        "labels": sample.labels,
        "material": sample.material,
        "status": transcript.status,
        "turns": [_turn(turn, started) for turn in transcript.turns],
        "values": values,
        "judgements": [judgement_data(row, columns.index(row.column)) for row in judgements],
    }


def _turn(turn: Turn, started: set[tuple[str, str, bool]]) -> dict[str, Any]:
    """A turn; what was sent stands only at a speaker's first one, as the rest of it is the conversation above."""
    voice = (turn.speaker, turn.part, turn.aside)
    is_first = voice not in started
    started.add(voice)
    data: dict[str, Any] = {"speaker": turn.speaker, "part": turn.part, "text": turn.visible}
    if is_first and turn.messages:
        data["sent"] = [(message.role, message.content) for message in turn.messages]
    if is_first and turn.prompt:
        data["prompt"] = turn.prompt
    if turn.raw and turn.raw != turn.visible:
        data["raw"] = turn.raw
    if turn.status != "ok":
        data["status"] = turn.status
    if turn.finish_reason != "stop":
        data["finish"] = turn.finish_reason
    if turn.attempts > 1:
        data["attempts"] = turn.attempts
    told = {
        "thoughts": turn.thoughts,
        "shown": turn.shown,
        "error": turn.error,
        "note": turn.note,
        "aside": turn.aside,
        "tokens": turn.output_tokens,
        "adapter": turn.adapter,
        "logprob": turn.logprob,
    }
    return data | {key: value for key, value in told.items() if value}


class SampleList:
    """What lists of a run's samples show, column by column.

    Attributes:
        ids: of all samples, in order.
        splits, clusters, roles, statuses: the names that rows refer to by number.
    """

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.splits: dict[str, int] = {}
        self.clusters: dict[str, int] = {}
        self.roles: dict[str, int] = {}
        self.statuses: dict[str, int] = {}
        self.languages: dict[str, set[str]] = {}  # of a split

    def add(self, sample: Sample, transcript: Transcript, *, found: int, flips: int) -> list[Any]:
        """One row.

        Args:
            sample: the sample.
            transcript: what was said.
            found: how many quoted errors judges name in it.
            flips: how many comparisons of it contradict themselves.
        """
        self.ids.append(sample.id)
        self.languages.setdefault(sample.split, set()).add(sample.persona.language)
        own = [turn.visible for turn in transcript.turns if turn.part == MODEL and not turn.aside]
        return [
            sample.id,
            _number(self.splits, sample.split),
            _number(self.clusters, sample.cluster),
            _number(self.roles, sample.persona.role or sample.cluster),
            _number(self.statuses, transcript.status),
            _snippet(sample.question),
            _snippet(own[-1] if own else ""),
            len(own),
            sum(map(len, own)),
            found,
            flips,
        ]


LIST_COLUMNS = (
    "id",
    "split",
    "cluster",
    "role",
    "status",
    "question",
    "answer",
    "turns",
    "characters",
    "found",
    "flips",
)


def _number(names: dict[str, int], name: str) -> int:
    return names.setdefault(name, len(names))


def _snippet(text: str) -> str:
    return " ".join(text[: 2 * _SNIPPET].split())[:_SNIPPET]
