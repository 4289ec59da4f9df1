"""Which score rows of a folder are a judge's, their possible values, and which of them are still good."""

from collections.abc import Callable

from roleeval.results.manifest import Manifest

# A judge's metric: judge/<judge>@<pack hash>-<model and settings hash>[:<hash of the runs compared>]/<criterion>
JUDGED = "judge/"


def judge_ranges(manifest: Manifest) -> dict[str, tuple[float, float]]:
    """Metric -> (worst, best) possible value, of all judges of a folder."""
    return {f"{r.prefix}/{name}": ends for r in manifest.judges.values() for name, ends in r.ranges.items()}


def kept_rows(manifest: Manifest) -> Callable[[str], bool]:
    """Says of a metric's name whether the rows that lie in the folder are of its present transcripts and judgements."""
    scored = "score" in manifest.stages
    judged = tuple(f"{record.prefix}/" for record in manifest.judges.values())
    return lambda metric: metric.startswith(judged) if metric.startswith(JUDGED) else scored
