"""How often guards and single clusters fail unchanged runs: `python -m tests.report.regress.simulate_guards [pairs]`.

Two sampled runs of one model: 10 metrics that depend on one another (7 like ROUGE, 3 shares), items of unequal
difficulty, and events that guards count at 0.5 to 5 %. stats/gate.py has a simulation of its own. "In batches" is
after any of five batches of clusters, as `roleeval gate` looks at them.
"""

import sys
from dataclasses import replace

import numpy as np

from roleeval.metrics import MetricInfo
from roleeval.report.regress.clusters import lost_clusters
from roleeval.report.regress.guards import guards
from roleeval.report.regress.kept import KeptRun, KeptSample, Side
from roleeval.report.regress.pairs import Paired
from roleeval.report.regress.policy import Margin, Policy
from roleeval.stats.gate_sequential import random_batches

_EVENTS = {"empty": 0.01, "truncated_reasoning": 0.02, "refused": 0.005, "cut_off": 0.05}


def main() -> None:
    """Prints a table."""
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    print("| clusters x items | a cluster | a guard | in batches: a cluster | a guard | pairs |")
    print("| --- | --: | --: | --: | --: | --: |")
    for clusters, items in ((6, 20), (10, 16), (10, 40), (25, 20)):
        rng = np.random.default_rng(clusters * 1000 + items)
        names = [f"c/{number % clusters}" for number in range(clusters * items)]
        found = [_pair(rng, names) for _ in range(pairs)]
        shares = " | ".join(f"{np.mean([each[part] for each in found]):.2%}" for part in range(4))
        print(f"| {clusters} x {items} | {shares} | {pairs} |", flush=True)


def _pair(rng: np.random.Generator, names: list[str]) -> tuple[bool, bool, bool, bool]:
    count = len(names)
    hard = (
        rng.normal(0, 0.1, count)
        + 0.05 * rng.normal(size=max(map(int, (n[2:] for n in names))) + 1)[[int(name[2:]) for name in names]]
    )
    shared = rng.normal(0, 0.1, (2, count))  # a good answer is good in all metrics
    rows = tuple((str(number), "") for number in range(count))
    paired = []
    for metric in range(10):
        if metric < 7:
            values = np.clip(0.3 + hard + shared + rng.normal(0, 0.05, (2, count)), 0, 1)
        else:
            chance = np.clip((0.02, 0.1, 0.8)[metric - 7] + hard, 0, 1)
            values = (rng.random((2, count)) < chance).astype(float)
        info = MetricInfo(str(metric), label="", unit="fraction", recipe="", low=0.0, high=1.0, higher_is_better=True)
        before, now = (tuple(each.tolist()) for each in values)
        paired.append(Paired("b", "m", info, "", rows, before, now, tuple(names), 0.02, Margin(0.02), (0, 0)))
    policy = Policy()
    sides = [Side("", {("b", "m"): [_run(rng, names)]}) for _ in range(2)]
    batches = random_batches(set(names))
    looks = [
        _failed(paired, sides, {name for batch in batches[:last] for name in batch}, policy)
        for last in range(1, len(batches) + 1)
    ]
    return *looks[-1], *(any(each[part] for each in looks) for part in (0, 1))


def _failed(paired: list[Paired], sides: list[Side], clusters: set[str], policy: Policy) -> tuple[bool, bool]:
    """Whether a single cluster, or a guard, fails the gate with these clusters."""
    now = [_of(side, clusters) for side in sides]
    parts = [_part(each, clusters) for each in paired]
    broken = any(guard.broken for guard in guards(*now, parts, policy))
    return bool(lost_clusters(parts, policy.guards["cluster"])), broken


def _of(side: Side, clusters: set[str]) -> Side:
    (key, (run,)) = next(iter(side.runs.items()))
    return Side("", {key: [replace(run, samples=tuple(each for each in run.samples if each.cluster in clusters))]})


def _part(paired: Paired, clusters: set[str]) -> Paired:
    places = [place for place, name in enumerate(paired.clusters) if name in clusters]
    rows, before, now, names = (
        tuple(values[place] for place in places) for values in (paired.rows, paired.before, paired.now, paired.clusters)
    )
    return replace(paired, rows=rows, before=before, now=now, clusters=names)


def _run(rng: np.random.Generator, names: list[str]) -> KeptRun:
    samples = tuple(
        KeptSample(str(number), name, "ok", tuple(event for event, rate in _EVENTS.items() if rng.random() < rate))
        for number, name in enumerate(names)
    )
    return KeptRun(
        benchmark="b",
        model="m",
        name="",
        seed=1,
        asked={},
        made={},
        not_exact="",
        cluster=("role", "roles"),
        infos={},
        groups={},
        samples=samples,
        series={},
    )


if __name__ == "__main__":
    main()
