"""Result folders outlive versions: what an older or a newer roleeval wrote is still read."""

import json
from pathlib import Path
from typing import Any

import pytest

from roleeval.errors import ResultError
from roleeval.results import read_transcripts

SAMPLE = {
    "id": "s/0",
    "index": 0,
    "split": "s",
    "cluster": "Holmes",
    "persona": {"role": "Holmes", "description": "", "language": "en"},
    "question": "Who?",
    "references": {"CUS": ["I."]},
    "labels": {},
}
OLD_TURN = {
    "speaker": "Holmes",
    "messages": [{"role": "user", "content": "Who?"}],
    "raw": "I.",
    "visible": "I.",
    "thoughts": "",
    "status": "ok",
    "finish_reason": "stop",
    "prompt_tokens": 3,
    "output_tokens": 2,
    "adapter": "",
}


def write(folder: Path, turn: dict[str, Any]) -> Path:
    file = folder / "transcripts.jsonl"
    file.write_text(json.dumps({"sample": SAMPLE, "status": "ok", "turns": [turn]}) + "\n")
    return file


def test_a_turn_without_newer_fields_is_read(tmp_path: Path) -> None:
    ((_, transcript),) = read_transcripts(write(tmp_path, OLD_TURN))
    (turn,) = transcript.turns
    assert (transcript.answer, turn.own_history, turn.shown, turn.prompt) == ("I.", "", "", None)


def test_a_turn_with_fields_of_a_newer_version_is_read(tmp_path: Path) -> None:
    ((_, transcript),) = read_transcripts(write(tmp_path, {**OLD_TURN, "mood": "sour", "shown": "[hm] I."}))
    assert transcript.turns[0].shown == "[hm] I."


def test_asides_of_a_folder_from_before_there_were_any_are_told_by_their_part(tmp_path: Path) -> None:
    """Only CoSER had such turns; a folder of today says of every turn what it is, whatever its part is called."""

    def aside(**fields: Any) -> bool:
        ((_, transcript),) = read_transcripts(write(tmp_path, OLD_TURN | fields))
        return transcript.turns[0].aside

    assert aside(part="next_speaker") and not aside(part="environment") and not aside()
    assert not aside(part="next_speaker", aside=False) and aside(part="referee", aside=True)


def test_a_turn_that_lacks_its_text_is_damaged(tmp_path: Path) -> None:
    turn = {name: value for name, value in OLD_TURN.items() if name != "visible"}
    with pytest.raises(ResultError, match="line 1: damaged"):
        list(read_transcripts(write(tmp_path, turn)))
