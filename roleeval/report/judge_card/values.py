"""What a judge's column says of each item, as arrays for statistics."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from roleeval.errors import ResultError
from roleeval.metrics import primary
from roleeval.results import KeptJudgement
from roleeval.results.verdicts import JudgeColumn, Pairs
from roleeval.stats import Estimate, Range, VarianceSplit, cluster_codes, clustered_mean, variance_split

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# metric -> item -> value. Items of single answers are (run, sample), those of comparisons (item, model, model).
Values = Mapping[str, Mapping[tuple[str, ...], float]]
_POINTS = {"A": 1.0, "tie": 0.5, "B": 0.0}


def headline(column: JudgeColumn) -> str:
    """The metric that stands for a judge."""
    return primary([column.infos[name] for name in column.ranges]).name


def score_values(column: JudgeColumn) -> dict[str, dict[tuple[str, ...], float]]:
    """Metric -> (run, sample) -> value, of answers that the judge was asked about.

    Raises:
        ResultError: a folder's scores cannot be read.
    """
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for label, record in column.records.items():
        file, prefix = column.runs[label].folder.scores, f"{record.prefix}/"
        for row in _score_rows(str(file)):
            if row["metric"].startswith(prefix) and row["status"] == "ok" and row["value"] is not None:
                found.setdefault(row["metric"].removeprefix(prefix), {})[label, row["sample"]] = row["value"]
    return found


def _score_rows(file: str) -> list[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows: list[dict[str, Any]] = pq.read_table(file, columns=["sample", "metric", "value", "status"]).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise ResultError(f"{file}: cannot be read ({error}); score the run again") from error
    return rows


def pair_values(compared: Pairs) -> dict[str, dict[tuple[str, ...], float]]:
    """Criterion -> comparison -> points of the first model of the alphabet; of those that were asked."""
    return {
        criterion: {(o.item, o.model_a, o.model_b): o.points(o.model_a) for o in compared.settled(criterion)}
        for criterion in compared.verdicts
    }


def repeats(column: JudgeColumn) -> "dict[str, Floats]":
    """Criterion -> [questions, repeats], NaN where a repeat has no verdict; empty where each was asked once."""
    import numpy as np

    count = max((record.samples_per_item for record in column.records.values()), default=1)
    if count < 2:
        return {}
    found: dict[str, dict[tuple[str, ...], list[float]]] = {}
    for row in column.judgements:
        for criterion, value in _verdict_values(row.verdict or {}).items():
            several = found.setdefault(criterion, {})
            several.setdefault((row.item, *row.slots), [np.nan] * count)[row.repeat] = value
    return {criterion: np.array(list(rows.values())) for criterion, rows in sorted(found.items())}


def variances(column: JudgeColumn) -> dict[str, VarianceSplit]:
    """Model -> where the noise of its points comes from; empty for judges that compare.

    A value is the mean over criteria of one verdict.
    """
    import numpy as np

    found: dict[str, VarianceSplit] = {}
    repeated = max((record.samples_per_item for record in column.records.values()), default=1)
    for model, runs in _by_model(column).items():
        values: dict[str, Floats] = {}
        for row in column.judgements:
            given = list(_verdict_values(row.verdict or {}).values())
            if row.run in runs and len(row.slots) == 1 and "flaws" not in (row.verdict or {}):
                table = values.setdefault(row.sample_id, np.full((len(runs), repeated), np.nan))
                table[runs.index(row.run), row.repeat] = sum(given) / len(given) if given else np.nan
        split = variance_split(np.array([values[name] for name in sorted(values)])) if values else None
        if split is not None:
            found[model] = split
    return found


def _by_model(column: JudgeColumn) -> dict[str, list[str]]:
    """Model -> its runs, one for each seed; a run is named whole where a seed has several of its model."""
    parts: dict[str, list[str]] = {}
    for label in column.records:
        parts.setdefault(label.partition("/")[0], []).append(label)
    found = {}
    for model, labels in sorted(parts.items()):
        seeds = {column.runs[label].seed for label in labels}
        found.update({model: sorted(labels)} if len(seeds) == len(labels) else {label: [label] for label in labels})
    return found


def _verdict_values(verdict: Mapping[str, Any]) -> dict[str, float]:
    """Criterion -> one number: points, the first slot's win or place, or the sum of severities of flaws."""
    found = {}
    for name, part in verdict.items():
        if name == "flaws":
            found["severities"] = float(sum(flaw["severity"] for flaw in part))
        elif isinstance(part, Mapping) and "score" in part:
            found[name] = float(part["score"])
        elif isinstance(part, Mapping) and "winner" in part:
            found[name] = _POINTS[part["winner"]]
        elif isinstance(part, Mapping) and "ranking" in part:
            found[name] = float(part["ranking"].index("A") + 1)
    return found


def length_pairs(column: JudgeColumn, values: Values) -> "tuple[Floats, Floats]":
    """What the judge gave and how long it was: of comparisons the first slot's points and how much longer it is."""
    import numpy as np

    rows: list[tuple[float, float]] = []
    if column.is_pairwise:
        for row in column.judgements:
            run, given = column.runs[row.run], list(_verdict_values(row.verdict or {}).values())
            sample = run.sample(row.sample_id)
            lengths = [column.answer(label, sample) for label in row.slots]
            if given and lengths[0] is not None and lengths[1] is not None:
                rows.append((sum(given) / len(given), float(len(lengths[0].text) - len(lengths[1].text))))
    else:
        for (label, name), value in values.get(headline(column), {}).items():
            answer = column.answer(label, column.runs[label].sample(name))
            rows += [(value, float(len(answer.text)))] if answer else []
    table = np.array(rows, dtype=np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def share(
    column: JudgeColumn, values: Sequence[float | None], rows: Sequence[KeptJudgement], *, within: Range = (0.0, 1.0)
) -> Estimate:
    """The mean of one value per judgement, over the clusters of what was judged."""
    import numpy as np

    clusters = [column.runs[row.run].sample(row.sample_id).cluster for row in rows]
    return clustered_mean(np.array(values, dtype=np.float64), cluster_codes(clusters), within=within)


def score_mean(column: JudgeColumn, label: str, metric: str) -> Estimate | None:
    """One run's mean of one of the judge's metrics over all its samples, asked or not; None where it has no such rows.

    Raises:
        ResultError: the folder's scores cannot be read.
    """
    import numpy as np

    run, name = column.runs[label], f"{column.records[label].prefix}/{metric}"
    rows = [row for row in _score_rows(str(run.folder.scores)) if row["metric"] == name and row["sample"] in run.items]
    if not rows:
        return None
    clusters = cluster_codes([run.items[row["sample"]][0].cluster for row in rows])
    values = np.array([row["value"] for row in rows], dtype=np.float64)
    return clustered_mean(values, clusters, within=column.infos[metric].range)
