"""Intervals must say how sure a mean is: clustered, reproducible, and silent where nothing can be said."""

import numpy as np
import pytest

from roleeval.stats import bootstrap, clustered_mean, mean_of_means


def test_one_cluster_gives_a_mean_and_no_interval() -> None:
    estimate = clustered_mean(np.array([0.2, 0.4]), np.array([0, 0]))
    assert estimate.mean == pytest.approx(0.3)
    assert (estimate.ci_low, estimate.ci_high, estimate.clusters) == (None, None, 1)


def test_missing_values_are_counted_and_not_averaged() -> None:
    estimate = clustered_mean(np.array([0.2, np.nan, 0.4]), np.array([0, 1, 1]))
    assert (estimate.mean, estimate.n, estimate.missing) == (pytest.approx(0.3), 2, 1)


def test_no_value_at_all_is_no_number() -> None:
    estimate = clustered_mean(np.array([np.nan, np.nan]), np.array([0, 1]))
    assert (estimate.mean, estimate.n, estimate.missing) == (None, 0, 2)


def test_rows_of_a_cluster_that_agree_do_not_narrow_the_interval() -> None:
    """A hundred copies of each role's row say no more than one."""
    rng = np.random.default_rng(0)
    values, clusters = rng.normal(size=20), np.arange(20)
    one = clustered_mean(values, clusters)
    many = clustered_mean(np.repeat(values, 100), np.repeat(clusters, 100))
    assert (one.ci_low, one.ci_high) == pytest.approx((many.ci_low, many.ci_high))


def test_interval_width_matches_the_standard_error() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=400)
    estimate = clustered_mean(values, np.arange(400))
    assert estimate.ci_low is not None and estimate.ci_high is not None
    assert (estimate.ci_high - estimate.ci_low) / 2 == pytest.approx(1.96 * values.std(ddof=1) / 20, rel=0.05)


def test_the_same_data_gives_the_same_interval() -> None:
    values, clusters = np.linspace(0, 1, 50), np.arange(50) % 7
    assert clustered_mean(values, clusters) == clustered_mean(values.copy(), clusters.copy())


def test_mean_of_means_weighs_groups_alike_and_resamples_clusters_jointly() -> None:
    rng = np.random.default_rng(2)
    effect = rng.normal(size=30)
    many = (np.repeat(effect, 9), np.repeat(np.arange(30), 9))
    few = (1e-3 * rng.normal(size=30) - effect, np.arange(30))
    estimate = mean_of_means([many, few])
    assert estimate.mean == pytest.approx(0.0, abs=1e-3)
    assert estimate.ci_low == pytest.approx(0.0, abs=1e-3)  # the two groups cancel in every joint resample
    assert estimate.n == 300


def test_mean_of_means_without_a_group_is_no_number() -> None:
    assert mean_of_means([(np.array([1.0]), np.array([0])), (np.array([np.nan]), np.array([0]))]).mean is None


def test_few_clusters_get_student_t() -> None:
    """Five roles: mean +- 2.7764 standard errors of the roles' means, as in tables of t with 4 degrees of freedom."""
    means = np.array([0.30, 0.34, 0.28, 0.41, 0.37])
    estimate = clustered_mean(np.repeat(means, 10), np.repeat(np.arange(5), 10))
    half = 2.7764 * means.std(ddof=1) / np.sqrt(5)
    assert (estimate.ci_low, estimate.ci_high) == pytest.approx((0.34 - half, 0.34 + half), abs=1e-5)


def test_one_heavy_cluster_says_less_than_the_number_of_clusters() -> None:
    """Three roles of which one has nearly all rows are hardly more than one: the interval must not look sure."""
    values, clusters = np.array([0.2, 0.4, 0.3]), np.arange(3)
    even = clustered_mean(np.repeat(values, 50), np.repeat(clusters, 50))
    heavy = clustered_mean(np.repeat(values, [400, 50, 50]), np.repeat(clusters, [400, 50, 50]))
    assert even.ci_low is not None and heavy.ci_low is not None and even.ci_high and heavy.ci_high
    assert heavy.ci_high - heavy.ci_low > even.ci_high - even.ci_low


def test_a_group_held_by_one_of_few_clusters_has_no_interval() -> None:
    """Without that role there is no average, so nothing says how much the average would vary."""
    everyone = (np.linspace(0, 1, 4), np.arange(4))
    estimate = mean_of_means([everyone, (np.array([0.5, 0.6]), np.array([2, 2]))])
    assert estimate.mean is not None and (estimate.ci_low, estimate.ci_high) == (None, None)


def test_the_order_of_rows_and_the_names_of_clusters_do_not_matter() -> None:
    rng = np.random.default_rng(6)
    values, clusters = rng.normal(size=60), np.arange(60) % 12
    shuffled = rng.permutation(60)
    one, two = clustered_mean(values, clusters), clustered_mean(values[shuffled], clusters[shuffled] + 100)
    assert (one.mean, one.ci_low, one.ci_high) == pytest.approx((two.mean, two.ci_low, two.ci_high))


def test_draws_that_are_too_many_to_keep_are_the_same_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    values, clusters = np.random.default_rng(7).normal(size=40), np.arange(40)
    kept = clustered_mean(values, clusters)
    monkeypatch.setattr(bootstrap, "CACHED_BYTES", 0)
    monkeypatch.setattr(bootstrap, "CHUNK", 999)
    again = clustered_mean(values, clusters)
    assert (kept.ci_low, kept.ci_high) == pytest.approx((again.ci_low, again.ci_high), abs=1e-12)


@pytest.mark.parametrize("clusters", [3, 24, 35])
def test_equal_values_have_themselves_as_mean_and_no_interval_of_zero_width(clusters: int) -> None:
    """Nothing was seen to vary: where the range is open nothing can be said, else what unseen rows could do."""
    names = np.random.default_rng(0).integers(0, clusters, size=20 * clusters)
    parts = [(np.full(len(rows), 70.0), rows) for rows in (names, names[: 7 * clusters])]
    for made in (lambda within: clustered_mean(*parts[0], within=within), lambda w: mean_of_means(parts, within=w)):
        assert (made((None, None)).mean, made((None, None)).ci_low, made((0.0, None)).method) == (70.0, None, "")
        found = made((0.0, 100.0))
        assert found.mean == 70.0 and found.ci_low is not None and found.ci_high is not None
        assert 35.0 < found.ci_low < 69.9 and 70.05 < found.ci_high < 90.0
        # 70 of 100 points can be lost and 30 be gained
        assert (70.0 - found.ci_low) / (found.ci_high - 70.0) == pytest.approx(70 / 30)
