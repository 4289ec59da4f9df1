"""The batches of clusters that a gate is decided after: they follow from the baseline alone, before anything is run."""

from collections.abc import Collection, Iterator, Sequence

from roleeval.report.regress.kept import KeptRun, Side
from roleeval.report.regress.pairs import FEWEST_CLUSTERS, gated_pairs
from roleeval.report.regress.policy import Policy
from roleeval.stats.gate_sequential import random_batches

Batches = Sequence[tuple[str, ...]]


def planned_batches(baseline: Side) -> Batches:
    """The clusters of each batch as "benchmark/cluster", in the order in which they are run."""
    return random_batches(name for runs in baseline.runs.values() for name in _clusters(runs))


def first_look(baseline: Side, policy: Policy, batches: Batches) -> int:
    """The number of batches after which all that will be tested can be.

    A look before would test fewer metrics than the later ones: its correction would be for too few, and it could pass a
    model whose clusters all come later.

    Args:
        baseline: its runs, of the models that are gated.
        policy: says which metrics are.
        batches: of `planned_batches`.

    Raises:
        ConfigError: the policy names no metric of the baseline's.
    """
    needed: list[set[str]] = [set(pair.clusters) for pair in gated_pairs(baseline, baseline, policy)]
    needed += [set(_clusters(runs)) for runs in baseline.runs.values()]
    seen: set[str] = set()
    for number, batch in enumerate(batches, 1):
        seen.update(batch)
        if all(len(names & seen) >= min(FEWEST_CLUSTERS, len(names)) for names in needed):
            return number
    return len(batches)


def chosen(benchmark: str, batches: Collection[tuple[str, ...]]) -> tuple[str, ...]:
    """The names of a benchmark's clusters in some batches."""
    start = f"{benchmark}/"
    return tuple(name.removeprefix(start) for batch in batches for name in batch if name.startswith(start))


def _clusters(runs: Sequence[KeptRun]) -> Iterator[str]:
    return (f"{run.benchmark}/{sample.cluster}" for run in runs for sample in run.samples)
