"""What `roleeval calibrate minimax` found, as a later run may name it: the category rule, and a scale by dimension.

{"format": 1, "benchmark": "minimax", "rule": "sum", "judge": "judge/minimax_errors@...",
 "scale": {"en": {"basics": {"intercept": 12.0, "slope": 0.9}, ...}}, "details": {...}}
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roleeval.benchmarks.minimax.data import LANGUAGES
from roleeval.benchmarks.minimax.scores import CANDIDATES, DIMENSIONS, Rule
from roleeval.errors import DataError
from roleeval.hashing import file_hash
from roleeval.jsonfiles import read_json
from roleeval.types import Language

FORMAT = 1
_BENCHMARK = "minimax"


@dataclass(frozen=True, slots=True)
class Line:
    """official = intercept + slope x ours, fitted to models' means on one dimension, points."""

    intercept: float
    slope: float

    def points(self, ours: float) -> float:
        """Our points on the official scale, within 0 and 100."""
        return min(100.0, max(0.0, self.intercept + self.slope * ours))


@dataclass(frozen=True, slots=True)
class Calibration:
    """A calibration's file.

    Attributes:
        rule: how dimensions make a category.
        judge: the judge's column that the scale belongs to; "" where no judge of ours was compared.
        scale: language -> dimension -> line; {} likewise.
        sha256: of the file, for identities.
    """

    rule: Rule
    judge: str
    scale: Mapping[Language, Mapping[str, Line]]
    sha256: str


def calibration_json(rule: Rule, judge: str, scale: Mapping[Language, Mapping[str, Line]]) -> dict[str, Any]:
    """What the file holds, without details."""
    lines = {
        language: {name: {"intercept": line.intercept, "slope": line.slope} for name, line in each.items()}
        for language, each in scale.items()
    }
    return {"format": FORMAT, "benchmark": _BENCHMARK, "rule": rule, "judge": judge, "scale": lines}


def read_calibration(file: Path) -> Calibration:
    """Reads a calibration's file.

    Raises:
        DataError: it is not one, or of a newer format; names the key.
    """
    try:
        data = read_json(file)
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise DataError(f"{file}: {error}") from error
    if not isinstance(data, dict) or data.get("benchmark") != _BENCHMARK:
        raise DataError(f"{file}: no calibration of the Role-play Bench; make one with `roleeval calibrate minimax`")
    if data.get("format") != FORMAT:
        raise DataError(f"{file}: format {data.get('format')!r}; this version reads {FORMAT}. Calibrate again")
    rule, judge, scale = data.get("rule"), data.get("judge"), data.get("scale")
    if rule not in CANDIDATES:
        raise DataError(f"{file}: rule is {rule!r}; give one of {', '.join(CANDIDATES)}")
    if not isinstance(judge, str) or not isinstance(scale, dict) or not scale.keys() <= set(LANGUAGES):
        raise DataError(f"{file}: judge must be a text, and scale an object of en and zh; calibrate again")
    lines = {language: _lines(each, f"{file}: scale.{language}") for language, each in scale.items()}
    return Calibration(rule, judge, lines, file_hash(file))


def _lines(node: Any, where: str) -> dict[str, Line]:
    found = {}
    for name in DIMENSIONS:
        line = node.get(name) if isinstance(node, dict) else None
        if not isinstance(line, dict) or not all(_is_number(line.get(key)) for key in ("intercept", "slope")):
            raise DataError(f"{where}.{name}: needs intercept and slope, two numbers; calibrate again")
        found[name] = Line(float(line["intercept"]), float(line["slope"]))
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
