"""What a calibration works on: official scores and those of one judge of ours, session by session, per language."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING

from roleeval.benchmarks.minimax.data import LANGUAGES, RUN_IDS
from roleeval.benchmarks.minimax.scores import CATEGORIES, DIMENSIONS, Rule, combine
from roleeval.errors import ResultError
from roleeval.integrations.minimax.metrics import PREFIX
from roleeval.report import collect
from roleeval.report.found.rows import MetricFrames, score_rows
from roleeval.results import ResultFolder, read_judgements
from roleeval.types import Language

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_JUDGED = "judge/"


@dataclass(frozen=True, slots=True)
class Asked:
    """A model's chunks (questions about a session) that our judge was asked about, and those without any verdict."""

    planned: int
    missing: int


@dataclass(frozen=True, slots=True)
class Scores:
    """One language's sessions.

    Attributes:
        language: whose.
        models, seeds: names, in the arrays' order.
        official: [models, seeds, runs, dimensions], points; NaN where there is no session.
        ours: likewise; None where no judge of ours has scored them.
        asked: model -> what our judge was asked; {} without a judge.
    """

    language: Language
    models: tuple[str, ...]
    seeds: tuple[str, ...]
    official: "Floats"
    ours: "Floats | None" = None
    asked: Mapping[str, Asked] = field(default_factory=dict)

    @property
    def sessions(self) -> int:
        import numpy as np

        return int((~np.isnan(self.official)).all(axis=-1).sum())

    def judged(self) -> "Scores | None":
        """The models and seeds of which our judge has scored anything; None where there are none."""
        import numpy as np

        if self.ours is None:
            return None
        scored = ~np.isnan(self.ours).any(axis=-1)
        models, seeds = (np.asarray(np.any(scored, axis=axis)) for axis in ((1, 2), (0, 2)))
        if not models.any():
            return None
        return replace(
            self,
            models=tuple(compress(self.models, models.tolist())),
            seeds=tuple(compress(self.seeds, seeds.tolist())),
            official=self.official[models][:, seeds],
            ours=self.ours[models][:, seeds],
        )


def category_points(scores: "Floats", rule: Rule) -> "dict[str, Floats]":
    """Category -> [...] from [..., dimensions]."""
    places = {category.name: [DIMENSIONS.index(name) for name in category.dimensions] for category in CATEGORIES}
    return {name: combine(scores[..., columns], rule) for name, columns in places.items()}


def overall_points(scores: "Floats", rule: Rule) -> "Floats":
    """[...], points, from [..., dimensions]."""
    import numpy as np

    found = category_points(scores, rule)
    total: Floats = np.stack([category.weight * found[category.name] for category in CATEGORIES]).sum(axis=0)
    return total


def read_scores(paths: Iterable[str | Path], judge: str | None = None) -> tuple[list[Scores], str]:
    """Reads imported official sessions, with the scores that a judge of ours gave them.

    Args:
        paths: result folders, or folders above them.
        judge: beginning of the judge's column ("judge/minimax_errors@..."); None: the only one there is.

    Returns:
        A table for each language, and our judge's column ("" where there is none).

    Raises:
        ResultError: there are no such sessions, two folders of one model, or several judges' columns.
    """
    found: dict[Language, dict[str, tuple[ResultFolder, MetricFrames]]] = {}
    for run in collect(paths).runs:
        folder = ResultFolder(run.path)
        manifest = folder.manifest()
        imported = {} if manifest is None else manifest.more.get("imported", {})
        if manifest is None or imported.get("benchmark") != "minimax":
            continue
        models = found.setdefault(imported["language"], {})
        if manifest.model.name in models:
            other = models[manifest.model.name][0].path
            raise ResultError(
                f"{folder.path} and {other}: both are {manifest.model.name}'s official sessions; give one"
            )
        models[manifest.model.name] = folder, score_rows(folder.path)
    if not found:
        raise ResultError(
            f"no official sessions in or below {', '.join(map(str, paths))}; make them with `roleeval import minimax`"
        )
    column = _column([frames for models in found.values() for _, frames in models.values()], judge)
    return [_table(language, found[language], column) for language in LANGUAGES if language in found], column


def _column(everything: Sequence[MetricFrames], judge: str | None) -> str:
    needed = set(DIMENSIONS)
    dimensions: dict[str, set[str]] = {}
    for metric in {metric for frames in everything for metric, _ in frames if metric.startswith(_JUDGED)}:
        column, _, name = metric.rpartition("/")
        dimensions.setdefault(column, set()).add(name)
    there = sorted(column for column, names in dimensions.items() if names >= needed)
    chosen = [column for column in there if judge is None or column.startswith((judge, _JUDGED + judge))]
    if judge is not None and not chosen:
        raise ResultError(f"no judge's column begins with {judge!r}; there are: {', '.join(there) or 'none'}")
    if len(chosen) > 1:
        raise ResultError(f"several judges have scored the sessions ({', '.join(chosen)}); choose one with --judge")
    return chosen[0] if chosen else ""


def _table(language: Language, runs: Mapping[str, tuple[ResultFolder, MetricFrames]], column: str) -> Scores:
    import numpy as np

    models = sorted(runs)
    names = {name for _, frames in runs.values() for name in _official(frames, language, DIMENSIONS[0]).index}
    seeds = sorted({name.rpartition("/")[0] for name in names})
    shape = (len(models), len(seeds), len(RUN_IDS), len(DIMENSIONS))
    official, ours = np.full(shape, np.nan), np.full(shape, np.nan)
    for place, model in enumerate(models):
        _, frames = runs[model]
        for dimension, name in enumerate(DIMENSIONS):
            _fill(official[place, :, :, dimension], _official(frames, language, name), seeds)
            if column and (f"{column}/{name}", language) in frames:
                _fill(ours[place, :, :, dimension], frames[f"{column}/{name}", language], seeds)
    judged = bool(column) and not np.isnan(ours).all()
    asked = {model: _asked(folder, column) for model, (folder, _) in runs.items()} if judged else {}
    return Scores(language, tuple(models), tuple(seeds), official, ours if judged else None, asked)


def _official(frames: MetricFrames, language: Language, name: str) -> "pd.DataFrame":
    try:
        return frames[f"{PREFIX}/{name}", language]
    except KeyError as error:
        raise ResultError(f"official sessions without {PREFIX}/{name}; import them again") from error


def _fill(target: "Floats", frame: "pd.DataFrame", seeds: Sequence[str]) -> None:
    places = {seed: place for place, seed in enumerate(seeds)}
    for sample, value in frame["value"].items():
        seed, _, run = str(sample).rpartition("/")
        if seed in places and run in RUN_IDS:
            target[places[seed], RUN_IDS.index(run)] = value


def _asked(folder: ResultFolder, column: str) -> Asked:
    """Each question counts once, however often it was repeated; one is missing where no repeat has a verdict."""
    answered: dict[tuple[str, str], bool] = {}
    for row in read_judgements(folder.judgements):
        if row.column == column and row.control is None:
            key = row.sample_id, row.item
            answered[key] = answered.get(key, False) or row.verdict is not None
    return Asked(len(answered), sum(not there for there in answered.values()))
