"""Reading CoSER's scenes: a JSON list in the layout of the project's test_set.json.

    {"book", "i_p", "i_c", "tag": "id" | "ood", "scenario", "dialogues": [{"character", "message"}],
     "speaking_characters_w_env": [name], "major_characters": [name], "character_profiles": {name: text},
     "key_characters": [{"name", "thought" | "motivation"}],
     "plot": {"summary", "key_characters": [{"name", "description", "summary"}]}}

A message contains [thoughts], (actions) and speech. Source: CoSER (arXiv 2502.09082) and spec/coser.md, section 1.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from roleeval.errors import DataError, cause_of
from roleeval.jsonfiles import read_json

ENVIRONMENT = "Environment"
SPLITS = ("id", "ood")
_PAIRS = {"[": "]", "(": ")"}


@dataclass(frozen=True, slots=True)
class Line:
    """One turn of the reference: who speaks, and the message with [thoughts] and (actions)."""

    speaker: str
    message: str


@dataclass(frozen=True, slots=True)
class Scene:
    """One case.

    Attributes:
        id: "book-i_p-i_c".
        speakers: all who may speak, Environment included; the first one opens the scene.
        majors: speakers with a profile in the book.
        descriptions: name -> what the plot says of a character.
        histories: name -> a character's story in this plot; the past for later plots of the book.
        profiles: name -> the book's long profile.
        motivations: name -> key of the data file -> text.
        lines: the reference conversation.
    """

    id: str
    book: str
    plot: int
    split: str
    scenario: str
    summary: str
    speakers: tuple[str, ...]
    majors: tuple[str, ...]
    descriptions: Mapping[str, str]
    histories: Mapping[str, str]
    profiles: Mapping[str, str]
    motivations: Mapping[str, Mapping[str, str]]
    lines: tuple[Line, ...]

    @property
    def characters(self) -> tuple[str, ...]:
        """All speakers but the environment."""
        return tuple(name for name in self.speakers if name != ENVIRONMENT)

    def profile(self, name: str) -> str:
        """The plot's description, a blank line, the book's profile; whichever there is."""
        parts = (self.descriptions.get(name, ""), self.profiles.get(name, ""))
        return "\n\n".join(part for part in parts if part)

    def motivation(self, name: str, keys: Sequence[str]) -> str:
        """What moves a character in this scene: the first of the data's keys that it has; "" without any."""
        known = self.motivations.get(name, {})
        return next((known[key] for key in keys if known.get(key)), "")


def read_scenes(
    file: Path, *, on_error: Literal["raise", "skip"] = "raise", skipped: list[str] | None = None
) -> list[Scene]:
    """All scenes of a file, in its order; a malformed one raises, or is noted in `skipped`.

    Raises:
        DataError: the file is missing, empty or no JSON list, or a scene is malformed (names case and key).
    """
    scenes: list[Scene] = []
    seen: set[str] = set()
    for number, data in enumerate(_cases(file), start=1):
        case = f"case {number}"
        try:
            if not isinstance(data, dict):
                raise ValueError("not a JSON object")
            _check_encoding(data)
            scene_id = _scene_id(data)
            case = f"case {number} ({scene_id})"
            if scene_id in seen:
                raise ValueError("book, i_p, i_c: the same as in an earlier case")
            scenes.append(_scene(data, scene_id))
            seen.add(scene_id)
        except Exception as error:  # whatever one scene brings out
            reason = f"{file}, {case}: {error if isinstance(error, ValueError) else cause_of(error)}"
            if on_error == "raise":
                raise DataError(f"{reason}; fix it, or set benchmark.on_error=skip to skip such cases") from error
            if skipped is not None:
                skipped.append(reason)
    if not scenes:
        raise DataError(f"{file}: contains no usable scene")
    return scenes


def _cases(file: Path) -> Iterator[Any]:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise DataError(f"benchmark.data_file: {file} cannot be read ({error})") from error
    if not content.strip():
        raise DataError(f"{file}: an empty file; expected a JSON list of scenes")
    try:
        data = read_json(file, check_halves=False)
    except ValueError as error:
        raise DataError(f"{file}: {error}") from error
    if not isinstance(data, list):
        raise DataError(f"{file}: expected a JSON list of scenes, found {type(data).__name__}")
    yield from data


def _check_encoding(data: Mapping[str, Any]) -> None:
    for key, value in data.items():
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"{key}: contains half of a surrogate pair, which is not valid text") from error


def _scene_id(data: Mapping[str, Any]) -> str:
    book = _text(data, "book")
    numbers = [data.get(key) for key in ("i_p", "i_c")]
    for key, value in zip(("i_p", "i_c"), numbers, strict=True):
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError(f"{key}: must be a whole number (given: {value!r})")
    return f"{book}-{numbers[0]}-{numbers[1]}"


def _scene(data: Mapping[str, Any], scene_id: str) -> Scene:
    split = data.get("tag")
    if split not in SPLITS:
        raise ValueError(f"tag: must be one of {', '.join(SPLITS)} (given: {split!r})")
    lines = _lines(data)
    speakers = _speakers(data, lines)
    plot = data.get("plot")
    if not isinstance(plot, Mapping):
        raise ValueError("plot: must be an object")
    people = _objects(plot, "key_characters", "plot.key_characters", needed=False)
    majors = tuple(dict.fromkeys(_names(data, "major_characters")))
    unknown = [name for name in majors if name not in speakers]
    if unknown:
        raise ValueError(f"major_characters: {unknown[0]!r} is not in speaking_characters_w_env")
    scene = Scene(
        id=scene_id,
        book=data["book"],
        plot=data["i_p"],
        split=split,
        scenario=_text(data, "scenario"),
        summary=_text(plot, "summary", "plot.summary"),
        speakers=speakers,
        majors=majors,
        descriptions=_texts_by_name(people, "description", "plot.key_characters"),
        histories=_texts_by_name(people, "summary", "plot.key_characters"),
        profiles=_profiles(data),
        motivations=_motivations(data),
        lines=lines,
    )
    spoken = {line.speaker for line in lines}
    for name in scene.characters:
        if name not in spoken and not scene.profile(name) and name not in scene.motivations:
            raise ValueError(
                f"speaking_characters_w_env: {name!r} appears nowhere else: not in dialogues, character_profiles,"
                " key_characters or plot.key_characters"
            )
    return scene


def _lines(data: Mapping[str, Any]) -> tuple[Line, ...]:
    lines = []
    for number, entry in enumerate(_objects(data, "dialogues", "dialogues"), start=1):
        where = f"dialogues, turn {number}"
        speaker, message = entry.get("character"), entry.get("message")
        if not isinstance(speaker, str) or not speaker.strip():
            raise ValueError(f"{where}: character must be a non-empty string (given: {speaker!r})")
        if not isinstance(message, str) or not message.strip():
            raise ValueError(f"{where}: message must be a non-empty string (given: {message!r})")
        if unbalanced := _unbalanced(message):
            raise ValueError(f"{where}: message: {unbalanced}, so thoughts and speech cannot be told apart")
        lines.append(Line(speaker.strip(), message))
    return tuple(lines)


def _unbalanced(message: str) -> str:
    open_now: list[str] = []
    for character in message:
        if character in _PAIRS:
            open_now.append(_PAIRS[character])
        elif character in _PAIRS.values() and (not open_now or open_now.pop() != character):
            return f"an unbalanced {character!r}"
    return f"a bracket without its {open_now[-1]!r}" if open_now else ""


def _speakers(data: Mapping[str, Any], lines: Sequence[Line]) -> tuple[str, ...]:
    speakers = tuple(dict.fromkeys(_names(data, "speaking_characters_w_env")))
    if not any(name != ENVIRONMENT for name in speakers):
        raise ValueError("speaking_characters_w_env: has no speaker besides Environment")
    if ENVIRONMENT not in speakers:
        speakers = (*speakers, ENVIRONMENT)
    for number, line in enumerate(lines, start=1):
        if line.speaker not in speakers:
            raise ValueError(
                f"dialogues, turn {number}: the speaker {line.speaker!r} is not in speaking_characters_w_env"
            )
    return speakers


def _motivations(data: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for entry in _objects(data, "key_characters", "key_characters", needed=False):
        name = entry.get("name")
        if not isinstance(name, str):
            raise ValueError(f"key_characters: name must be a string (given: {name!r})")
        texts = {key: entry[key] for key in ("thought", "motivation") if entry.get(key) is not None}
        for key, text in texts.items():
            if not isinstance(text, str):
                raise ValueError(f"key_characters, {name}: {key} must be a string")
        found[name.strip()] = {key: text.strip() for key, text in texts.items()}
    return found


def _profiles(data: Mapping[str, Any]) -> dict[str, str]:
    profiles = data.get("character_profiles") or {}
    if not isinstance(profiles, Mapping) or not all(isinstance(text, str) for text in profiles.values()):
        raise ValueError("character_profiles: must be an object of name -> text")
    return {name.strip(): text.strip() for name, text in profiles.items()}


def _texts_by_name(entries: Sequence[Mapping[str, Any]], key: str, where: str) -> dict[str, str]:
    texts: dict[str, str] = {}
    for entry in entries:
        name, text = entry.get("name"), entry.get(key) or ""
        if not isinstance(name, str) or not isinstance(text, str):
            raise ValueError(f"{where}: name and {key} must be strings")
        texts.setdefault(name.strip(), text.strip())
    return texts


def _objects(data: Mapping[str, Any], key: str, where: str, *, needed: bool = True) -> list[Mapping[str, Any]]:
    found = data.get(key)
    if found is None and not needed:
        return []
    if not isinstance(found, list) or (needed and not found) or not all(isinstance(e, Mapping) for e in found):
        raise ValueError(f"{where}: must be a {'non-empty ' if needed else ''}list of objects")
    return found


def _names(data: Mapping[str, Any], key: str) -> list[str]:
    found = data.get(key)
    if not isinstance(found, list) or not all(isinstance(name, str) and name.strip() for name in found):
        raise ValueError(f"{key}: must be a list of names")
    return [name.strip() for name in found]


def _text(data: Mapping[str, Any], key: str, where: str = "") -> str:
    value = data.get(key)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{where or key}: must be a non-empty string")
    return value.strip()
