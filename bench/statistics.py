"""How fast intervals are, beside scipy's percentile bootstrap and a plain numpy loop that resample the same clusters.

    python bench/statistics.py

Also prints how much of the variance of RoleGPT's scores lies between roles, where $ROLEEVAL_SHARED (or ../shared) has
RoleBench's files: that is the intra-cluster correlation which the simulations of docs/statistics.md use.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from bench.metrics import EN_SPECIFIC, lines  # noqa: E402
from roleeval.metrics import RougeGoogle, RougePltrdy  # noqa: E402
from roleeval.stats import RESAMPLES, Estimate, clustered_mean, paired_difference  # noqa: E402

ROWS = 5000
LOOPS = 1000  # of the plain loop; its time is multiplied up to RESAMPLES
REPEATS = 3


def main() -> None:
    rng = np.random.default_rng(0)
    few = np.arange(40) % 20
    clustered_mean(rng.normal(size=40), few), scipy_interval(rng.normal(size=40), few)  # imports
    print(
        f"{RESAMPLES} resamples of {ROWS} rows; seconds, ours the first time (drawing) and the next, best of {REPEATS}"
    )
    print(
        f"{'clusters':<10}{'first':>9}{'next':>9}{'paired':>9}{'rate':>9}{'scipy':>9}{'loop':>9}"
        f"{'scipy/next':>12}{'loop/first':>12}"
    )
    for clusters in (10, 95, ROWS):
        names = np.arange(ROWS) % clusters
        values = rng.normal(size=ROWS) + rng.normal(size=clusters)[names]
        other = values + rng.normal(size=ROWS)
        first, ours = _timed(lambda v=values, n=names: clustered_mean(v, n))
        again = min(_timed(lambda v=values, n=names: clustered_mean(v, n))[0] for _ in range(REPEATS))
        paired = min(
            _timed(lambda v=values, o=other, n=names: paired_difference([(v, o, n)]))[0] for _ in range(REPEATS)
        )
        seen = (values > 1.5).astype(float)
        rate = min(_timed(lambda v=seen, n=names: clustered_mean(v, n, within=(0.0, 1.0)))[0] for _ in range(REPEATS))
        by_scipy, theirs = _timed(lambda v=values, n=names: scipy_interval(v, n))
        looped, plain = _timed(lambda v=values, n=names: loop_interval(v, n))
        looped *= RESAMPLES / LOOPS
        for low, high in (theirs, plain):
            _must_agree(ours, low, high, clusters)
        print(
            f"{clusters:<10}{first:>9.3f}{again:>9.3f}{paired:>9.3f}{rate:>9.3f}{by_scipy:>9.3f}{looped:>9.3f}"
            f"{by_scipy / again:>11.1f}x{looped / first:>11.1f}x"
        )
    _between_roles()


def _timed(call: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def scipy_interval(values: np.ndarray, names: np.ndarray) -> tuple[float, float]:
    """scipy.stats.bootstrap over clusters: sums and counts are resampled together."""
    from scipy.stats import bootstrap

    sums, counts = np.bincount(names, values), np.bincount(names).astype(float)
    found = bootstrap(
        (sums, counts),
        lambda s, c, axis: s.sum(axis=axis) / c.sum(axis=axis),
        paired=True,
        n_resamples=RESAMPLES,
        method="percentile",
        batch=max(1, 2_000_000 // len(sums)),
        rng=np.random.default_rng(1),
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def loop_interval(values: np.ndarray, names: np.ndarray) -> tuple[float, float]:
    """The textbook: draw clusters, put their rows together, take the mean."""
    rng = np.random.default_rng(2)
    rows = [values[names == cluster] for cluster in range(names.max() + 1)]
    means = [
        np.concatenate([rows[cluster] for cluster in rng.integers(0, len(rows), size=len(rows))]).mean()
        for _ in range(LOOPS)
    ]
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def _must_agree(ours: Estimate, low: float, high: float, clusters: int) -> None:
    # Ours also resamples each resample's error; with 10 clusters it is wider by design.
    assert ours.ci_low is not None and ours.ci_high is not None
    ratio = (ours.ci_high - ours.ci_low) / (high - low)
    if not 0.9 <= ratio <= (1.4 if clusters == 10 else 1.1):
        sys.exit(f"{clusters} clusters: our interval is {ratio:.2f} times as wide as the one it is compared with.")


def _between_roles() -> None:
    """Intra-cluster correlation from the analysis of variance; the file has 50 rows of each role."""
    folder = (
        Path(os.environ.get("ROLEEVAL_SHARED") or REPOSITORY.parent / "shared") / "data" / "rolebench" / EN_SPECIFIC
    )
    if not folder.is_dir():
        print(f"{folder} is missing: no correlation within roles to show.")
        return
    answers = {(r["role"], r["question"]): r["generated"][0] for r in lines(folder / "rolegpt_baseline.jsonl")}
    by_role: dict[str, list[dict[str, float]]] = {}
    for row in lines(folder / "test.jsonl"):
        answer = answers[row["role"], row["question"]]
        found = {"answer_words": float(len(answer.split()))}
        for metric in (RougeGoogle(stem=False), RougePltrdy()):
            found |= metric.values(answer, row["generated"], "en")
        by_role.setdefault(row["role"], []).append(found)
    for name in found:
        table = np.array([[row[name] for row in rows] for rows in by_role.values()])
        rows = table.shape[1]
        between, within = rows * table.mean(axis=1).var(ddof=1), table.var(axis=1, ddof=1).mean()
        icc = (between - within) / (between + (rows - 1) * within)
        print(f"{name}: correlation within {len(table)} roles {icc:.3f}")


if __name__ == "__main__":
    main()
