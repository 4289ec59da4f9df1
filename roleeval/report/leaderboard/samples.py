"""One sample's record for the site: persona, references, turns, values and judgements, without what is empty."""

from collections.abc import Mapping
from typing import Any

from roleeval.results.folder import is_aside
from roleeval.types import MODEL

_SNIPPET = 110


# What a turn has only where there is something to tell: our key, the transcript's, and the value that tells nothing.
_TOLD = (
    ("status", "status", "ok"),
    ("finish", "finish_reason", "stop"),
    ("attempts", "attempts", 1),
    ("thoughts", "thoughts", ""),
    ("shown", "shown", ""),
    ("error", "error", ""),
    ("note", "note", ""),
    ("aside", "aside", False),
    ("tokens", "output_tokens", 0),
    ("adapter", "adapter", ""),
    ("logprob", "logprob", None),
)


def sample_data(record: Mapping[str, Any]) -> dict[str, Any]:
    """What a sample's page shows of its transcript; of the JSON itself, as objects would take half of the time.

    Args:
        record: a line of transcripts.jsonl.

    Raises:
        KeyError, TypeError, AttributeError: it is damaged.
    """
    sample, started = record["sample"], set[tuple[str, str, bool]]()
    persona = sample["persona"]
    return {
        "id": sample["id"],
        "split": sample["split"],
        "cluster": sample["cluster"],
        "persona": {name: persona[name] for name in ("role", "description", "language")},
        "question": sample["question"],
        "references": sample["references"],
        "labels": sample.get("labels") or {},
        "material": sample.get("material") or {},
        "status": record["status"],
        "turns": [_turn(turn, started) for turn in record["turns"]],
    }


def _turn(turn: Mapping[str, Any], started: set[tuple[str, str, bool]]) -> dict[str, Any]:
    """A turn; what was sent stands only at a speaker's first one, as the rest of it is the conversation above."""
    if "aside" not in turn:
        turn = {**turn, "aside": is_aside(turn)}
    speaker, part, text = turn["speaker"], turn.get("part", MODEL), turn["visible"]
    data: dict[str, Any] = {"speaker": speaker, "part": part, "text": text}
    voice = (speaker, part, turn["aside"])
    if voice not in started:
        started.add(voice)
        if turn["messages"]:
            data["sent"] = [(message["role"], message["content"]) for message in turn["messages"]]
        if turn.get("prompt"):
            data["prompt"] = turn["prompt"]
    if turn["raw"] and turn["raw"] != text:
        data["raw"] = turn["raw"]
    for name, key, nothing in _TOLD:
        value = turn.get(key)
        if value and value != nothing:
            data[name] = value
    return data


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

    def add(self, data: Mapping[str, Any], *, found: int, flips: int) -> list[Any]:
        """One row.

        Args:
            data: `sample_data`.
            found: how many quoted errors judges name in it.
            flips: how many comparisons of it contradict themselves.
        """
        persona = data["persona"]
        self.ids.append(data["id"])
        self.languages.setdefault(data["split"], set()).add(persona["language"])
        own = [turn["text"] for turn in data["turns"] if turn["part"] == MODEL and not turn.get("aside")]
        return [
            data["id"],
            _number(self.splits, data["split"]),
            _number(self.clusters, data["cluster"]),
            _number(self.roles, persona["role"] or data["cluster"]),
            _number(self.statuses, data["status"]),
            _snippet(data["question"]),
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
