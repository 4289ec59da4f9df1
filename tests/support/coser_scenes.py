"""Scenes in the layout of CoSER's test_set.json, made for tests; none of them is from a book's text."""

import json
from pathlib import Path
from typing import Any

NAMES = ("Mrs. Ames", "Bo Jr.", "Cyrus", "Dora")


def case(number: int = 0, *, tag: str = "id", book: str = "The Lamp", turns: int = 6, **changes: Any) -> dict[str, Any]:
    """A scene of four speakers; the environment speaks every fourth turn. Keys in `changes` replace its own."""
    speakers = ["Mrs. Ames", "Bo Jr.", "Cyrus"]
    lines = []
    for turn in range(turns):
        if turn % 4 == 3:
            lines.append({"character": "Environment", "message": f"The lamp [the old one] flickers {turn} times."})
        else:
            name = speakers[(turn + number) % 3]
            lines.append({"character": name, "message": f"[Is it {turn}?] (looks up) I counted {turn}, dear friend."})
    return {
        "book": book,
        "i_p": 10 + number,
        "i_c": 0,
        "tag": tag,
        "scenario": f"A kitchen at night, number {number}. Somebody has put out the lamp.",
        "topic": "the lamp",
        "key_characters": [
            {"name": "Mrs. Ames", "thought": "I want the lamp lit.", "motivation": "to see"},
            {"name": "Bo Jr.", "motivation": "to hide what I took"},
        ],
        "dialogues": lines,
        "speaking_characters_w_env": [*speakers, "Environment"],
        "major_characters": ["Mrs. Ames", "Bo Jr."],
        "character_profiles": {"Mrs. Ames": "She keeps the house.", "Bo Jr.": "He is twelve."},
        "plot": {
            "summary": f"Plot {number}: the lamp goes out.",
            "key_characters": [
                {"name": "Mrs. Ames", "description": "The widow.", "summary": f"She looked for oil in plot {number}."},
                {"name": "Cyrus", "description": "A lodger.", "summary": f"He slept through plot {number}."},
            ],
        },
    } | changes


def cases(count: int = 6) -> list[dict[str, Any]]:
    """Half of them "id", half "ood", with books of two scenes and unequal lengths."""
    return [
        case(n, tag="id" if n % 2 == 0 else "ood", book=f"The Lamp, volume {n // 4}", turns=4 + n) for n in range(count)
    ]


def write(folder: Path, data: Any = None) -> Path:
    """A data file; None writes `cases()`."""
    file = folder / "scenes.json"
    file.write_text(json.dumps(cases() if data is None else data, ensure_ascii=False), encoding="utf-8")
    return file
