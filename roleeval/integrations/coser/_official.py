"""Reads what CoSER's own evaluation code writes.

    evaluation file   {"scores": {dimension: mean, ...}, "cases": {"book-i_p-i_c": {"simulation": [{"role", "content"}],
                       "score", "critique": {dimension: {"flaws": [{..., "severity"}], "score"}, "bleu", "rouge_l"}}}}
    simulation file   [{"book_title", "i_p", "i_c", "circumstance": the scene, "simulation": [{"role", "content"}]}]

The simulation file has every turn as it was written. The evaluation file has what its judge was shown: without the
next-speaker model's turns and without thoughts, in tidied lines. Source: spec/coser.md, sections 3 and 6.
"""

import math
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

from roleeval.errors import DataError
from roleeval.jsonfiles import read_json

NEXT_SPEAKER, ENVIRONMENT = "NSP", "Environment"
_THOUGHT = re.compile(r"\[.*?\]")
_Turn = tuple[str, str]
# Names in the files -> names of metrics.
DIMENSIONS = {
    "Storyline Consistency": "coser/storyline_consistency",
    "Anthropomorphism": "coser/anthropomorphism",
    "Character Fidelity": "coser/character_fidelity",
    "Storyline Quality": "coser/storyline_quality",
}
AVERAGE = "coser/avg"
OVERLAPS = {"bleu": "coser/bleu4", "rouge_l": "coser/rougeL_f1_rouge_chinese"}


@dataclass(frozen=True, slots=True)
class OfficialVerdict:
    """What the file says of one dimension; `stored` is None where it holds no score."""

    flaws: tuple[Any, ...]
    stored: float | None


@dataclass(frozen=True, slots=True)
class OfficialCase:
    """One scene.

    Attributes:
        id: "book-i_p-i_c".
        turns: (role, content), as they were written where the simulation file is given.
        verdicts: metric -> verdict; empty for a scene that was simulated and not evaluated.
        stored: the scene's score; None where the file holds none.
        overlaps: metric -> value, a fraction.
        scenario: from the simulation file.
    """

    id: str
    turns: tuple[tuple[str, str], ...]
    verdicts: Mapping[str, OfficialVerdict] = field(default_factory=dict)
    stored: float | None = None
    overlaps: Mapping[str, float] = field(default_factory=dict)
    scenario: str = ""

    @property
    def book(self) -> str:
        return self.id.rsplit("-", 2)[0]

    @property
    def rounds(self) -> int:
        """Turns of actors."""
        return sum(role not in (NEXT_SPEAKER, ENVIRONMENT) for role, _ in self.turns)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A file's scenes, and its means by metric."""

    cases: tuple[OfficialCase, ...]
    means: Mapping[str, float]


def read_evaluation(file: Path, simulation: Path | None) -> Evaluation:
    """Reads an evaluation file, and the simulations that it is about where they are given.

    Raises:
        DataError: a file is not what the module's first lines show; names case and key.
    """
    data = _json(file)
    if not isinstance(data, dict) or not isinstance(data.get("cases"), dict) or not data["cases"]:
        raise DataError(f"{file}: 'cases' is missing or empty; is this an evaluation file of CoSER's code?")
    known = {} if simulation is None else _simulations(simulation)
    cases = []
    for name, case in data["cases"].items():
        cases.append(_case(name, case, known.get(name), f"{file}, case {name!r}"))
    if simulation is not None and not known.keys() & data["cases"].keys():
        raise DataError(f"{simulation}: has none of the cases of {file}; is it from another run?")
    cases += [unjudged for name, unjudged in known.items() if name not in data["cases"]]
    if missing := [case.id for case in cases if case.verdicts and bool(case.overlaps) != bool(cases[0].overlaps)]:
        raise DataError(f"{file}, case {missing[0]!r}: bleu and rouge_l are missing here, but present in other cases")
    scores = data.get("scores", {})
    if not isinstance(scores, dict):
        raise DataError(f"{file}: 'scores' is not a JSON object")
    names = {**DIMENSIONS, "avg": AVERAGE, **OVERLAPS}
    where = f"{file}, scores"
    means = {metric: _number(scores, key, where) for key, metric in names.items() if scores.get(key) is not None}
    return Evaluation(tuple(cases), means)


def _json(file: Path) -> Any:
    try:
        return read_json(file)
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise DataError(f"{file}: {error}") from error


def _simulations(file: Path) -> dict[str, OfficialCase]:
    data = _json(file)
    if not isinstance(data, list):
        raise DataError(f"{file}: expected a list of simulations")
    found: dict[str, OfficialCase] = {}
    for number, entry in enumerate(data, start=1):
        where = f"{file}, simulation {number}"
        if not isinstance(entry, dict):
            raise DataError(f"{where}: not a JSON object")
        if absent := [key for key in ("book_title", "i_p", "i_c", "simulation") if key not in entry]:
            raise DataError(f"{where}: lacks {absent[0]!r}")
        name = f"{entry['book_title']}-{entry['i_p']}-{entry['i_c']}"
        _check_id(name, where)
        if name in found:
            raise DataError(f"{where}: {name!r} appears twice")
        turns = _turns(entry["simulation"], f"{file}, case {name!r}")
        scene = entry.get("circumstance")
        scenario = scene.get("scenario") if isinstance(scene, dict) else scene
        found[name] = OfficialCase(name, turns, scenario=scenario if isinstance(scenario, str) else "")
    return found


def _case(name: str, case: Any, simulated: OfficialCase | None, where: str) -> OfficialCase:
    _check_id(name, where)
    if not isinstance(case, dict) or not isinstance(case.get("critique"), dict):
        raise DataError(f"{where}: lacks 'critique'")
    if "simulation" not in case and simulated is None:
        raise DataError(f"{where}: lacks 'simulation', which has the number of rounds; give --simulation FILE")
    turns = _turns(case["simulation"], where) if "simulation" in case else ()
    if simulated is not None and turns:
        _check_same(turns, simulated.turns, where)
    critique = case["critique"]
    overlaps = {
        metric: _number(critique, key, where, highest=1.0)
        for key, metric in OVERLAPS.items()
        if critique.get(key) is not None
    }
    if overlaps and len(overlaps) < len(OVERLAPS):
        raise DataError(f"{where}: has only one of bleu and rouge_l")
    return OfficialCase(
        id=name,
        turns=simulated.turns if simulated else turns,
        verdicts={metric: _verdict(critique, key, where) for key, metric in DIMENSIONS.items()},
        stored=None if case.get("score") is None else _number(case, "score", where),
        overlaps=overlaps,
        scenario=simulated.scenario if simulated else "",
    )


def _check_same(evaluated: Sequence[_Turn], simulated: Sequence[_Turn], where: str) -> None:
    """Both files have the same scene, each in its own form.

    Raises:
        DataError: names the first turn of the evaluation that differs.
    """
    judged, played = _as_judged(evaluated), _as_judged(simulated)
    for number, pair in enumerate(zip_longest(judged, played), start=1):
        if pair[0] != pair[1]:
            raise DataError(
                f"{where}: 'simulation' differs from the one in the simulation file at turn {number} (without"
                f" next-speaker turns): {_shown(pair[0])} against {_shown(pair[1])}; is that file from another run?"
            )


def _as_judged(turns: Iterable[_Turn]) -> list[_Turn]:
    """Turns as the official judge is shown them, whatever their white space; idempotent.

    Thoughts go where official code sees them, in brackets that close on their line. The environment has none.
    """
    return [
        (role, " ".join((content if role == ENVIRONMENT else _THOUGHT.sub("", content)).split()))
        for role, content in turns
        if role != NEXT_SPEAKER
    ]


def _shown(turn: _Turn | None) -> str:
    return "no turn" if turn is None else repr(f"{turn[0]}: {turn[1]}"[:60])


def _check_id(name: str, where: str) -> None:
    parts = name.rsplit("-", 2)
    if len(parts) < 3 or not parts[0] or not all(part.isdecimal() for part in parts[1:]):
        raise DataError(f"{where}: {name!r} is not BOOK-I_P-I_C, a title and two whole numbers")


def _turns(data: Any, where: str) -> tuple[tuple[str, str], ...]:
    if not isinstance(data, list):
        raise DataError(f"{where}: 'simulation' is not a list")
    for number, turn in enumerate(data, start=1):
        for key in ("role", "content"):
            if not isinstance(turn, dict) or not isinstance(turn.get(key), str):
                raise DataError(f"{where}: simulation, turn {number}: {key!r} is not a text")
    return tuple((turn["role"], turn["content"]) for turn in data)


def _verdict(critique: Mapping[str, Any], dimension: str, where: str) -> OfficialVerdict:
    entry = critique.get(dimension)
    if not isinstance(entry, dict) or not isinstance(entry.get("flaws"), list):
        raise DataError(f"{where}: critique lacks {dimension!r} with a list of 'flaws'")
    stored = None if entry.get("score") is None else _number(entry, "score", f"{where}, {dimension}")
    return OfficialVerdict(tuple(entry["flaws"]), stored)


def _number(data: Mapping[str, Any], key: str, where: str, *, highest: float = math.inf) -> float:
    value = data[key]
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or (isinstance(value, float) and not math.isfinite(value)):
        raise DataError(f"{where}: {key!r} is not a number ({value!r:.40})")
    if not 0 <= value <= min(highest, sys.float_info.max):  # a whole number may have any number of digits
        raise DataError(f"{where}: {key!r} is out of range ({value!r:.40})")
    return float(value)
