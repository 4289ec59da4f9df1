"""CoSER's scenes, turn by turn as an earlier version played them: names, chats, seeds, notes, retries.

The hashes were computed with the version in which the scene had its own participants (commit f5f6cf1). Where one
differs, older runs are not found in the store, and are not comparable with new ones.
"""

import asyncio
import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from coser_scenes import cases, write

from roleeval.benchmarks import Actor
from roleeval.benchmarks.coser import Coser
from roleeval.benchmarks.coser.rules import Rules
from roleeval.engines import ModelSource
from roleeval.errors import EngineError
from roleeval.models import Base, Her
from roleeval.types import Completion, Request

SOURCE = ModelSource("stub-model")
LINES = (
    "[I must not say it] (stands) Good evening.",
    "[only a thought]",
    "Mrs. Ames: So be it.",
    "",
    "Hm [so",
    "Rain.",
)


class Moody:
    """An engine whose replies, failures included, follow from what it is asked; it fails each call at most twice."""

    likelihoods = False
    fingerprint = "moody"

    def __init__(self) -> None:
        self.failed: dict[int, int] = {}

    async def generate(self, request: Request) -> Completion:
        asked = json.dumps([[m.role, m.content] for m in request.messages or ()] + [[request.seed]])
        token = int.from_bytes(hashlib.blake2b(asked.encode(), digest_size=4).digest())
        if token % 5 == 0 and self.failed.get(request.seed, 0) < 2:
            self.failed[request.seed] = self.failed.get(request.seed, 0) + 1
            raise EngineError("busy")
        system = request.messages[0].content if request.messages else ""
        if system.startswith("You watch"):
            said = ("Bo Jr.", "**Cyrus**", "Next Speaker: Mrs. Ames", "random", "Environment", "<END CHAT>", "", "?")[
                token % 8
            ]
        else:
            said = LINES[token % len(LINES)]
        if token % 3 == 0 and "<role_thinking>" in system:
            said = f"<role_thinking>I plan.</role_thinking>{said}"
        return Completion(said, "stop", 10 + token % 7, 5)


def played(folder: Path, family: type[Base], **options: Any) -> str:
    """Hash of all scenes' transcripts as they stand in transcripts.jsonl."""
    benchmark = Coser(data_file=str(write(folder, cases(6))), **options)
    engine: Any = Moody()
    helpers = {name: Actor(Base(name=name, source=SOURCE), engine, 7) for name in ("environment", "next_speaker")}
    actor = Actor(family(name="m", source=SOURCE), engine, 7, helpers)
    lines = []
    for sample in benchmark.samples(limit=None):
        transcript = asyncio.run(benchmark.episode(sample, actor))
        turns = [{k: v for k, v in asdict(turn).items() if k != "aside"} for turn in transcript.turns]
        lines.append(json.dumps([sample.id, transcript.status, turns]))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


HEAD = Rules(rounds=9, force_name=False, merge_neighbours=False, next_speaker_reply="reasoned", end_from=2)
PLAYS: dict[str, tuple[type[Base], dict[str, Any]]] = {
    "paper": (Base, {}),
    "head, her": (Her, {"protocol": HEAD}),
    "random": (Base, {"nsp": "random"}),
    "reference": (Base, {"nsp": "reference", "continue_from": 2}),
    "continued": (Her, {"continue_from": 3, "protocol": Rules(rounds=6)}),
    "no second call": (Base, {"call_attempts": 1}),
    "two calls": (Base, {"call_attempts": 2}),
}
HASHES = {
    "paper": "47501be1eec71e5c",
    "head, her": "e5cc22e1c3b6599f",
    "random": "7846a3cdd60c6c78",
    "reference": "277f147ae71eee17",
    "continued": "daf566da916dc895",
    "no second call": "039a67fb479d4d96",
    "two calls": "f156fdebccaa6ff2",
}


@pytest.mark.parametrize("name", PLAYS)
def test_scenes_are_played_as_before_to_the_byte(tmp_path: Path, name: str) -> None:
    family, options = PLAYS[name]
    assert played(tmp_path, family, **options) == HASHES[name]
