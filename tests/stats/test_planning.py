"""How exact results will be: the interval's width and the smallest difference agree with simulated data."""

import numpy as np
import pytest

from roleeval.stats import WIDEST, Spread, foreseen, paired_difference, spread_of


def draw(rng: np.random.Generator, spread: Spread, clusters: int, each: int) -> tuple[np.ndarray, np.ndarray]:
    codes = np.repeat(np.arange(clusters), each)
    means = rng.normal(0, spread.between**0.5, clusters)
    return means[codes] + rng.normal(0, spread.within**0.5, len(codes)), codes


def test_variances_are_found_again() -> None:
    rng, true = np.random.default_rng(1), Spread(0.5, 2.0)
    found = [spread_of(*draw(rng, true, 12, 6)) for _ in range(300)]
    assert np.mean([each.between for each in found if each]) == pytest.approx(0.5, rel=0.1)
    assert np.mean([each.within for each in found if each]) == pytest.approx(2.0, rel=0.1)
    assert spread_of(np.array([1.0, 2.0]), np.array([0, 0])) is None


def test_the_foreseen_difference_is_found_four_times_out_of_five() -> None:
    rng, true, clusters = np.random.default_rng(2), Spread(0.05, 1.0), 12
    difference = foreseen(true, clusters=clusters, samples=clusters * 8).difference
    assert difference is not None
    found = 0
    for _ in range(200):
        (one, codes), (other, _) = draw(rng, true, clusters, 8), draw(rng, true, clusters, 8)
        p = paired_difference([(one, other + difference, codes)]).p
        found += p is not None and p <= 0.05
    assert found / 200 == pytest.approx(0.8, abs=0.1)


def test_half_the_samples_widen_what_varies_within_clusters_and_few_clusters_show_nothing() -> None:
    whole, half = (foreseen(Spread(0.0, 1.0), clusters=20, samples=n) for n in (200, 100))
    assert whole.half_width is not None and half.half_width is not None
    assert half.half_width / whole.half_width == pytest.approx(2**0.5)
    assert foreseen(WIDEST, clusters=5, samples=50).difference is None
    assert foreseen(WIDEST, clusters=1, samples=50).half_width is None
