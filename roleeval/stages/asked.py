"""The samples that a run asks: the first of each split up to `limit`, and of these the ones of the chosen clusters.

So a run of some clusters asks a part of what the whole run asks, and each finds the other's answers in the store.
"""

import difflib
from collections import Counter
from collections.abc import Collection, Iterator

from roleeval.benchmarks import Benchmark
from roleeval.errors import ConfigError
from roleeval.types import Sample


def asked_samples(benchmark: Benchmark, *, limit: int | None, clusters: Collection[str] | None) -> Iterator[Sample]:
    """Yields the samples, with the indices that they have in the whole run.

    Args:
        benchmark: whose samples.
        limit: per split.
        clusters: names; None is all.
    """
    samples = benchmark.samples(limit=limit)
    return samples if clusters is None else (sample for sample in samples if sample.cluster in clusters)


def asked_count(benchmark: Benchmark, *, limit: int | None, clusters: Collection[str] | None) -> int:
    """How many samples `asked_samples` yields.

    Raises:
        ConfigError: a cluster has no sample; names those with similar names.
    """
    if clusters is None:
        return benchmark.count(limit=limit)
    there = Counter(sample.cluster for sample in benchmark.samples(limit=limit))
    for name in clusters:
        if name not in there:
            raise ConfigError(f"clusters: {name!r} has no samples{_instead(name, there, limit)}")
    return sum(there[name] for name in clusters)


def _instead(name: str, there: Collection[str], limit: int | None) -> str:
    by_case = {each.casefold(): each for each in sorted(there)}
    close = [by_case[each] for each in difflib.get_close_matches(name.casefold(), by_case, n=3)]
    within = "" if limit is None else f" within limit={limit}"
    if close:
        return f"{within}; did you mean {' or '.join(map(repr, close))}?"
    return f"{within}; there are {len(there)} clusters, such as {', '.join(map(repr, sorted(there)[:3]))}"
