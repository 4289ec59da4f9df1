"""A session's points on the official scale, by a calibration that a run names."""

from collections.abc import Mapping

from roleeval.benchmarks.minimax.calibration import Calibration
from roleeval.benchmarks.minimax.scores import DIMENSIONS, OVERALL, RULE_TEXTS, category_scores, overall_score
from roleeval.errors import ConfigError
from roleeval.types import Language

_PREFIX = "calibrated_"
CALIBRATED = tuple(f"{_PREFIX}{name}" for name in (*DIMENSIONS, OVERALL))


def require_of(calibration: Calibration, column: str, *, file: str) -> None:
    """Refuses a calibration of another judge.

    Args:
        calibration: the file's contents.
        column: beginning of the judge's columns, up to its prompts' hash.
        file: for the message.

    Raises:
        ConfigError: it is of another judge, or of other prompts.
    """
    if not calibration.judge.startswith(column):
        raise ConfigError(
            f"judge.calibration: {file} is of {calibration.judge or 'no judge'}, and this judge's columns begin with"
            f" {column}; calibrate on official sessions that this judge has scored"
        )


def calibrated_points(
    calibration: Calibration, dimensions: Mapping[str, float | None], language: Language
) -> dict[str, float | None] | None:
    """Metric -> points on the official scale; None where the calibration has no scale for the language.

    Args:
        calibration: scale and rule.
        dimensions: dimension -> the judge's points; None: missing.
        language: of the session.
    """
    lines = calibration.scale.get(language)
    if lines is None:
        return None
    scaled = {name: None if value is None else lines[name].points(value) for name, value in dimensions.items()}
    points = {**scaled, OVERALL: overall_score(category_scores(scaled, calibration.rule))}
    return {f"{_PREFIX}{name}": points.get(name) for name in (*DIMENSIONS, OVERALL)}


def calibrated_recipes(calibration: Calibration) -> dict[str, str]:
    """Metric -> how it is computed."""
    recipe = f"On the official scale, by the calibration {calibration.sha256[:8]}."
    overall = f"{recipe} Categories by its rule: {RULE_TEXTS[calibration.rule]}."
    return dict.fromkeys(CALIBRATED, recipe) | {f"{_PREFIX}{OVERALL}": overall}
