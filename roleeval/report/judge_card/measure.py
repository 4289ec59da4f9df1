"""Measures a judge: failures, stability, biases, and agreement with other judges and people."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any

from roleeval.errors import DataError
from roleeval.report.judge_card.human_labels import HumanLabel
from roleeval.report.judge_card.values import (
    Values,
    item_clusters,
    length_pairs,
    pair_values,
    repeats,
    score_mean,
    score_values,
    share,
    variances,
)
from roleeval.results import KeptJudgement
from roleeval.results.manifest import JudgeRecord
from roleeval.results.verdicts import JudgeColumn, pairs
from roleeval.stats import (
    Estimate,
    RankCorrelation,
    Stability,
    VarianceSplit,
    alpha_interval,
    cluster_codes,
    first_slot_rate,
    flip_rate,
    krippendorff_alpha,
    rank_correlation,
    repeat_stability,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# Names that vendors give to all models of one origin, as found in model paths.
_FAMILIES = frozenset(
    (
        *("qwen", "llama", "gpt", "claude", "gemini", "gemma", "deepseek", "mistral", "mixtral", "chatglm", "glm"),
        *("baichuan", "internlm", "phi", "minimax", "doubao", "ernie", "kimi", "falcon", "olmo", "vicuna", "yi"),
    )
)


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far a judge and another rater agree on the same items.

    Attributes:
        other: the other judge's column, or "people".
        criterion: what both judged.
        alpha: Krippendorff's; None where it is not defined, or the raters' scales differ.
        ranks: Spearman, Kendall, and how many items both have.
        alpha_ci: alpha's 95 % interval over clusters; None as alpha, and with fewer than three clusters.
    """

    other: str
    criterion: str
    alpha: float | None
    ranks: RankCorrelation
    alpha_ci: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Card:
    """All that is known of one judge's column. What was not measured is None or empty.

    Attributes:
        column: its name.
        benchmark: whose samples it judged.
        judge, model, prompts: in words.
        parameters: of the judge model.
        runs: the judged runs.
        questions: asked.
        coverage: share of them with a verdict.
        unusable: share of the replies that had no usable verdict; its n counts replies.
        attempts: calls per question.
        unanswered: questions that had no reply at all.
        tokens: read and written.
        cost: in the currency of the price table.
        reasons: why replies were unusable, how often.
        repeats: criterion -> how alike repeats are.
        variances: model -> what of the points' variance comes from samples, seeds, answers and repeats.
        agreements: with the other judges of the same items.
        people: with human labels.
        flip, first_slot: of comparisons.
        length: rank correlation of what was given with the answer's length.
        wins: run -> win rate as judged and at equal length.
        same_family: run -> why judge and candidate may be related.
        controls: what the manifest holds of positive controls.
    """

    column: str
    benchmark: str
    judge: str
    model: str
    prompts: str
    parameters: int | None
    runs: tuple[str, ...]
    questions: int
    coverage: Estimate
    unusable: Estimate
    attempts: Estimate
    unanswered: int
    tokens: Mapping[str, int]
    cost: float | None
    reasons: Mapping[str, int]
    repeats: Mapping[str, Stability]
    variances: Mapping[str, VarianceSplit]
    agreements: tuple[Agreement, ...]
    people: tuple[Agreement, ...]
    flip: Estimate | None
    first_slot: Estimate | None
    length: RankCorrelation
    wins: Mapping[str, tuple[Estimate, Estimate]]
    same_family: Mapping[str, str]
    controls: Mapping[str, Any] | None

    def to_json(self) -> dict[str, Any]:
        """As card.json holds it."""
        return asdict(self)


def measure(columns: Sequence[JudgeColumn], labels: Sequence[HumanLabel] = (), source: str = "labels") -> list[Card]:
    """One card for each column.

    Args:
        columns: of finished folders.
        labels: people's opinions; each must be about an answer that a judge was asked about.
        source: where the labels came from, for errors.

    Raises:
        DataError: a label names a sample, model or criterion that no judge has judged.
        ResultError: a folder's files are damaged.
    """
    _check_labels(columns, labels, source)
    scores = [score_values(column) for column in columns]
    agreed: list[tuple[JudgeColumn, Values]] = []
    for column, values in zip(columns, scores, strict=True):
        compared = pair_values(pairs(column)) if column.is_pairwise else None
        agreed.append((column, compared or {name: values.get(name, {}) for name in column.ranges}))
    return [
        _card(
            column,
            mine,
            [(c, v) for c, v in agreed if c is not column and c.benchmark == column.benchmark],
            values,
            labels,
        )
        for (column, mine), values in zip(agreed, scores, strict=True)
    ]


def _card(
    column: JudgeColumn,
    mine: Values,
    others: Sequence[tuple[JudgeColumn, Values]],
    scores: Values,
    labels: Sequence[HumanLabel],
) -> Card:
    record, rows = next(iter(column.records.values())), column.judgements
    calls = [(row, attempt) for row in rows for attempt in row.attempts]
    replies = [(row, attempt) for row, attempt in calls if attempt.finish_reason != "error"]
    costs = [row.cost for row in rows if row.cost is not None]
    compared = pairs(column) if column.is_pairwise else None
    clusters = item_clusters(column, compared)
    pack, parameters = record.pack, record.model.parameters
    return Card(
        column=column.name,
        benchmark=column.benchmark,
        judge=record.judge,
        model=_model(record),
        prompts=f"{pack.name} {pack.version} ({pack.sha256[:12]})",
        parameters=parameters,
        runs=tuple(column.records),
        questions=len(rows),
        coverage=share(column, [float(row.verdict is not None) for row in rows], rows),
        unusable=share(column, [float(bool(attempt.error)) for _, attempt in replies], [row for row, _ in replies]),
        attempts=share(column, [float(len(row.attempts)) for row in rows], rows, within=(1.0, None)),
        unanswered=sum(not row.answered for row in rows),
        tokens={
            "prompt": sum(row.tokens["prompt"] for row in rows),
            "output": sum(row.tokens["output"] for row in rows),
        },
        cost=sum(costs) if costs and len(costs) == len(rows) else None,
        reasons=dict(Counter(attempt.error for _, attempt in replies if attempt.error).most_common()),
        repeats={criterion: repeat_stability(values) for criterion, values in repeats(column).items()},
        variances=variances(column),
        agreements=tuple(_with_judges(column, mine, others, clusters)),
        people=tuple(_with_people(column, scores, labels, clusters)),
        flip=flip_rate(compared.all_verdicts, aggregate=compared.aggregate) if compared else _flips(column),
        first_slot=first_slot_rate(compared.all_verdicts) if compared else _first_slot(column),
        length=rank_correlation(*length_pairs(column, scores)),
        wins=_wins(column),
        same_family={run_id: why for run_id in column.records if (why := _kin(column, run_id))},
        controls=max(
            (each.controls for each in column.records.values() if each.controls),
            key=lambda controls: controls["answers"],
            default=None,
        ),
    )


def _model(record: JudgeRecord) -> str:
    source = record.model.source
    name = source if isinstance(source, str) else Path(str(source["path"])).name
    return f"{name} with an adapter" if record.model.adapter else name


def _flips(column: JudgeColumn) -> Estimate | None:
    """Of rankings: how often the two orders rank another answer first."""
    if column.form != "ranking":
        return None
    orders: dict[tuple[object, ...], list[KeptJudgement]] = {}
    for row in column.judgements:
        if row.verdict:
            orders.setdefault((row.sample_id, row.repeat, frozenset(row.slots)), []).append(row)
    both = [rows for rows in orders.values() if len(rows) == 2]
    flips = [[_firsts(one)[name] != _firsts(two)[name] for name in one.verdict or ()] for one, two in both]
    return share(column, [sum(each) / len(each) for each in flips], [row for row, _ in both])


def _firsts(row: KeptJudgement) -> dict[str, str]:
    """Criterion -> whose answer a ranking has first."""
    return {name: row.slots[ascii_uppercase.index(part["ranking"][0])] for name, part in (row.verdict or {}).items()}


def _first_slot(column: JudgeColumn) -> Estimate | None:
    """Of rankings: how often the answer shown first is ranked first."""
    if column.form != "ranking":
        return None
    found = [(row, row.verdict) for row in column.judgements if row.verdict]
    firsts = [[part["ranking"][0] == "A" for part in verdict.values()] for _, verdict in found]
    return share(column, [sum(each) / len(each) for each in firsts], [row for row, _ in found])


def _wins(column: JudgeColumn) -> dict[str, tuple[Estimate, Estimate]]:
    found = {}
    for run_id in column.records if column.is_pairwise else ():
        plain = score_mean(column, run_id, "overall/win")
        controlled = score_mean(column, run_id, "overall/win_length_controlled")
        if plain is not None and controlled is not None:
            found[run_id] = (plain, controlled)
    return found


def _kin(column: JudgeColumn, run_id: str) -> str:
    """Why a judge may favour a candidate as its own; "" where nothing says so."""
    judge, run = column.records[run_id].model, column.runs[run_id].manifest
    if judge.fingerprint == run.engine.get("fingerprint") or isinstance(judge.source, str):
        return "the same base model"
    mine, theirs = (str(path) for path in (judge.source["path"], run.model.source.get("path", "")))
    if mine == theirs:
        return "the same model path"
    shared = sorted(_family_names(mine) & _family_names(theirs))
    return f"both have {shared[0]} in their names" if shared else ""


def _family_names(path: str) -> set[str]:
    return set(re.findall(r"[a-z]+", Path(path).name.lower())) & _FAMILIES


def _with_judges(
    column: JudgeColumn,
    mine: Values,
    others: Sequence[tuple[JudgeColumn, Values]],
    clusters: Mapping[tuple[str, ...], str],
) -> list[Agreement]:
    found = []
    for other, theirs in others:
        for criterion in mine:
            items = sorted(mine[criterion].keys() & theirs.get(criterion, {}).keys())
            if items:
                one, two = ([values[criterion][item] for item in items] for values in (mine, theirs))
                same_scale = column.ranges.get(criterion) == other.ranges.get(criterion)
                of_items = [clusters.get(item, "") for item in items]
                found.append(_agreement(other.name, criterion, one, two, of_items, same_scale=same_scale))
    return found


def _agreement(
    other: str,
    criterion: str,
    one: Sequence[float],
    two: Sequence[float],
    clusters: Sequence[str],
    *,
    same_scale: bool,
) -> Agreement:
    import numpy as np

    a, b = np.array(one, dtype=np.float64), np.array(two, dtype=np.float64)
    both, codes = np.stack([a, b]), cluster_codes(clusters)
    alpha = krippendorff_alpha(both, scale="interval") if same_scale else None
    ends = alpha_interval(both, codes, scale="interval") if same_scale else None
    return Agreement(other, criterion, alpha, rank_correlation(a, b, codes), ends)


def _with_people(
    column: JudgeColumn, scores: Values, labels: Sequence[HumanLabel], clusters: Mapping[tuple[str, ...], str]
) -> list[Agreement]:
    said: dict[str, dict[tuple[str, ...], list[float]]] = {}
    for label in labels:
        metric = _metric(column, label.criterion)
        for run in _runs_of(column, label.model) if metric else ():
            said.setdefault(str(metric), {}).setdefault((run, label.sample), []).append(label.value)
    found = []
    for metric, by_item in sorted(said.items()):
        items = sorted(by_item.keys() & scores.get(metric, {}).keys())
        people = [sum(by_item[item]) / len(by_item[item]) for item in items]
        low, high = sorted(column.ranges[metric])
        inside = all(low <= value <= high for value in people)
        judged = [scores[metric][item] for item in items] if items else []
        of_items = [clusters.get(item, "") for item in items]
        found.append(_agreement("people", metric, judged, people, of_items, same_scale=inside))
    return found


def _metric(column: JudgeColumn, criterion: str) -> str | None:
    return next((n for n in (criterion, f"{criterion}/win", f"{criterion}/beats") if n in column.ranges), None)


def _runs_of(column: JudgeColumn, model: str) -> list[str]:
    return [run_id for run_id in column.records if model in (run_id, run_id.partition("/")[0])]


def _check_labels(columns: Sequence[JudgeColumn], labels: Sequence[HumanLabel], source: str) -> None:
    models = sorted({run_id.partition("/")[0] for column in columns for run_id in column.records})
    criteria = sorted({metric for column in columns for metric in column.ranges})
    for label in labels:
        where = f"{source}, line {label.line}"
        named = [column for column in columns if _runs_of(column, label.model)]
        if not named:
            raise DataError(f"{where}: model {label.model!r} was not judged; there are: {', '.join(models)}")
        runs = [(column, run) for column in named for run in _runs_of(column, label.model)]
        if not any(label.sample in column.runs[run].items for column, run in runs):
            raise DataError(f"{where}: sample {label.sample!r} is not among the answers of {label.model}")
        if not any(_metric(column, label.criterion) for column in named):
            raise DataError(
                f"{where}: criterion {label.criterion!r} is not a judge's; there are: {', '.join(criteria)}"
            )
