"""A judge's values for each item, as arrays for statistics."""

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


def headline(column: JudgeColumn) -> str:
    """The metric that represents a judge."""
    return primary([column.infos[name] for name in column.ranges]).name


def score_values(column: JudgeColumn) -> dict[str, dict[tuple[str, ...], float]]:
    """Metric -> (run, sample) -> value, of answers that the judge was asked about.

    Raises:
        ResultError: a folder's scores cannot be read.
    """
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for run_id, record in column.records.items():
        file, prefix = column.runs[run_id].folder.scores, f"{record.prefix}/"
        for row in _score_rows(str(file)):
            if row["metric"].startswith(prefix) and row["status"] == "ok" and row["value"] is not None:
                found.setdefault(row["metric"].removeprefix(prefix), {})[run_id, row["sample"]] = row["value"]
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


def item_clusters(column: JudgeColumn, compared: Pairs | None) -> dict[tuple[str, ...], str]:
    """Item -> its cluster, of single answers and of comparisons."""
    found: dict[tuple[str, ...], str] = {}
    for run_id in column.records:
        for name, (sample, _) in column.runs[run_id].items.items():
            found[run_id, name] = sample.cluster
    if compared:
        settled = [outcome for criterion in compared.verdicts for outcome in compared.settled(criterion)]
        found |= {(each.item, each.model_a, each.model_b): each.cluster for each in settled}
    return found


def repeats(column: JudgeColumn) -> "dict[str, Floats]":
    """Criterion -> [questions, repeats], NaN where a repeat has no verdict; empty where each was asked once."""
    import numpy as np

    count = max((record.samples_per_item for record in column.records.values()), default=1)
    if count < 2:
        return {}
    found: dict[str, dict[tuple[str, ...], list[float]]] = {}
    for row in column.judgements:
        for criterion, value in row.numbers.items():
            several = found.setdefault(criterion, {})
            several.setdefault((row.item, *row.slots), [np.nan] * count)[row.repeat] = value
    return {criterion: np.array(list(rows.values())) for criterion, rows in sorted(found.items())}


def variances(column: JudgeColumn) -> dict[str, VarianceSplit]:
    """Model -> where the noise of its points comes from; empty for judges that compare, or that ask several questions
    about one answer.

    A value is the mean over criteria of one verdict.
    """
    import numpy as np

    if not _one_question_each(column):
        return {}
    found: dict[str, VarianceSplit] = {}
    repeated = max((record.samples_per_item for record in column.records.values()), default=1)
    for model, runs in _by_model(column).items():
        values: dict[str, Floats] = {}
        for row in column.judgements:
            given = list(row.numbers.values())
            if row.run in runs:
                table = values.setdefault(row.sample_id, np.full((len(runs), repeated), np.nan))
                table[runs.index(row.run), row.repeat] = sum(given) / len(given) if given else np.nan
        split = variance_split(np.array([values[name] for name in sorted(values)])) if values else None
        if split is not None:
            found[model] = split
    return found


def _one_question_each(column: JudgeColumn) -> bool:
    """Whether each answer was asked about by itself, and once (or in repeats of the same question)."""
    items: dict[tuple[str, str], set[str]] = {}
    for row in column.judgements:
        items.setdefault((row.run, row.sample_id), set()).add(row.item)
    return all(len(each) == 1 for each in items.values()) and all(len(row.slots) == 1 for row in column.judgements)


def _by_model(column: JudgeColumn) -> dict[str, list[str]]:
    """Model -> its runs, one for each seed; a run is named whole where a seed has several of its model."""
    parts: dict[str, list[str]] = {}
    for run_id in column.records:
        parts.setdefault(run_id.partition("/")[0], []).append(run_id)
    found = {}
    for model, run_ids in sorted(parts.items()):
        seeds = {column.runs[run_id].seed for run_id in run_ids}
        found.update(
            {model: sorted(run_ids)} if len(seeds) == len(run_ids) else {run_id: [run_id] for run_id in run_ids}
        )
    return found


def length_pairs(column: JudgeColumn, values: Values) -> "tuple[Floats, Floats, NDArray[np.intp]]":
    """What the judge gave, how long it was, and the cluster.

    Of comparisons it is the first slot's points and how much longer its answer is.
    """
    import numpy as np

    rows: list[tuple[float, float]] = []
    clusters: list[str] = []
    if column.is_pairwise:
        for row in column.judgements:
            run, given = column.runs[row.run], list(row.numbers.values())
            sample = run.sample(row.sample_id)
            lengths = [column.answer(run_id, sample) for run_id in row.slots]
            if given and lengths[0] is not None and lengths[1] is not None:
                rows.append((sum(given) / len(given), float(len(lengths[0].text) - len(lengths[1].text))))
                clusters.append(sample.cluster)
    else:
        for (run_id, name), value in values.get(headline(column), {}).items():
            sample = column.runs[run_id].sample(name)
            answer = column.answer(run_id, sample)
            if answer:
                rows.append((value, float(len(answer.text))))
                clusters.append(sample.cluster)
    table = np.array(rows, dtype=np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1], cluster_codes(clusters)


def share(
    column: JudgeColumn, values: Sequence[float | None], rows: Sequence[KeptJudgement], *, within: Range = (0.0, 1.0)
) -> Estimate:
    """The mean of one value per judgement, over the clusters of what was judged."""
    import numpy as np

    clusters = [column.runs[row.run].sample(row.sample_id).cluster for row in rows]
    return clustered_mean(np.array(values, dtype=np.float64), cluster_codes(clusters), within=within)


def score_mean(column: JudgeColumn, run_id: str, metric: str) -> Estimate | None:
    """One run's mean of one of the judge's metrics over all its samples, asked or not; None where it has no such rows.

    Raises:
        ResultError: the folder's scores cannot be read.
    """
    import numpy as np

    run, name = column.runs[run_id], f"{column.records[run_id].prefix}/{metric}"
    rows = [row for row in _score_rows(str(run.folder.scores)) if row["metric"] == name and row["sample"] in run.items]
    if not rows:
        return None
    clusters = cluster_codes([run.items[row["sample"]][0].cluster for row in rows])
    values = np.array([row["value"] for row in rows], dtype=np.float64)
    return clustered_mean(values, clusters, within=column.infos[metric].range)
