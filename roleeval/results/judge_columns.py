"""Which score rows of a folder are a judge's, what they mean, and which are still valid."""

from collections.abc import Callable

from roleeval.metrics import MetricInfo
from roleeval.results.infos import JUDGED
from roleeval.results.manifest import Manifest


def judge_infos(manifest: Manifest) -> dict[str, MetricInfo]:
    """Metric -> what it is, of all judges of a folder."""
    found = [info.of_judge(record.prefix) for record in manifest.judges.values() for info in record.infos.values()]
    return {info.name: info for info in found}


def kept_rows(manifest: Manifest) -> Callable[[str], bool]:
    """Tells whether the folder's rows of a metric belong to its current transcripts and judgements."""
    scored = "score" in manifest.stages
    judged = tuple(f"{record.prefix}/" for record in manifest.judges.values())
    return lambda metric: metric.startswith(judged) if metric.startswith(JUDGED) else scored
