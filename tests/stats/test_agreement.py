"""A judge's card rests on these numbers: they must be the published ones, and none where nothing can be said."""

import numpy as np
import pytest

from roleeval.stats.agreement import alpha_interval, krippendorff_alpha, rank_correlation, repeat_stability

N = np.nan
# Krippendorff (2011), the example of four observers, twelve units and missing values.
OBSERVERS = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, N, N, N],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, N, 3],
        [N, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, N],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, N],
    ]
)


@pytest.mark.parametrize(("scale", "alpha"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_the_published_alphas(scale: str, alpha: float) -> None:
    assert krippendorff_alpha(OBSERVERS, scale=scale) == pytest.approx(alpha, abs=5e-4)  # type: ignore[arg-type]


def test_the_published_alpha_of_two_observers() -> None:
    """Krippendorff (2011), ten units in two values: 0.095."""
    one = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0]
    two = [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    assert krippendorff_alpha(np.array([one, two], dtype=float), scale="nominal") == pytest.approx(0.095, abs=5e-4)


def test_full_agreement_is_one_and_constant_raters_are_no_number() -> None:
    assert krippendorff_alpha(np.array([[1.0, 2.0, 3.0]] * 3), scale="interval") == pytest.approx(1.0)
    assert krippendorff_alpha(np.ones((3, 5)), scale="nominal") is None
    assert krippendorff_alpha(np.array([[1.0, N], [N, 2.0]]), scale="nominal") is None


def test_ordinal_and_interval_part_where_steps_are_uneven() -> None:
    """Stretching the top of the scale changes distances and no ranks."""
    stretched = np.where(OBSERVERS == 5, 50, OBSERVERS)
    ordinal = krippendorff_alpha(OBSERVERS, scale="ordinal")
    assert krippendorff_alpha(stretched, scale="ordinal") == pytest.approx(ordinal)
    assert krippendorff_alpha(stretched, scale="interval") != pytest.approx(
        krippendorff_alpha(OBSERVERS, scale="interval"), abs=1e-3
    )


def test_rank_correlations_are_over_shared_items() -> None:
    """Ten pairs of places by hand: 9 in order, 1 not; the missing item would be an eleventh."""
    found = rank_correlation(np.array([1, 2, 3, 4, 5, N]), np.array([1, 2, 3, 5, 4, 9.0]))
    assert (found.spearman, found.kendall, found.items) == (pytest.approx(0.9), pytest.approx(0.8), 5)


def test_a_judge_that_says_the_same_of_everything_has_no_correlation() -> None:
    found = rank_correlation(np.array([3.0, 3.0, 3.0]), np.array([1.0, 2.0, 3.0]))
    assert (found.spearman, found.kendall, found.items) == (None, None, 3)


def test_stability_counts_pairs_of_repeats() -> None:
    found = repeat_stability(np.array([[1, 1, 1], [1, 1, 3], [2, N, 2], [5, N, N]], dtype=float))
    assert found.items == 3 and found.same == pytest.approx((1 + 1 / 3 + 1) / 3)
    assert found.sd == pytest.approx(np.sqrt((8 / 3) / 5))


def test_one_repeat_says_nothing_of_stability() -> None:
    assert repeat_stability(np.array([[1.0], [2.0]])).same is None


def _rated(clusters: int, rho: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two raters of ten items a cluster, normal with this correlation, part of it the clusters'."""
    rng = np.random.default_rng(seed)
    root = np.linalg.cholesky(np.array([[1.0, rho], [rho, 1.0]]))
    names = np.repeat(np.arange(clusters), 10)
    rows = np.sqrt(0.2) * rng.normal(size=(clusters, 2))[names] + np.sqrt(0.8) * rng.normal(size=(len(names), 2))
    return (rows @ root.T).T, names


def test_coefficients_have_intervals_over_clusters_within_their_range() -> None:
    ratings, names = _rated(20, 0.6, 0)
    found = rank_correlation(*ratings, names)
    for value, ends, truth in (
        (found.spearman, found.spearman_ci, 6 / np.pi * np.arcsin(0.3)),
        (found.kendall, found.kendall_ci, 2 / np.pi * np.arcsin(0.6)),
        (krippendorff_alpha(ratings, scale="interval"), alpha_interval(ratings, names, scale="interval"), 0.6),
    ):
        assert value is not None and ends is not None
        assert -1 < ends[0] < value < ends[1] < 1 and ends[0] < truth < ends[1]
        assert 0.05 < ends[1] - ends[0] < 0.5


def test_perfect_agreement_has_an_interval_of_some_width() -> None:
    """Five scenes in which two judges agree do not say that they always do."""
    one, names = np.arange(20.0), np.arange(20) % 5
    found = rank_correlation(one, one, names)
    alpha = alpha_interval(np.stack([one, one]), names, scale="interval")
    for ends in (found.spearman_ci, found.kendall_ci, alpha):
        assert ends is not None and ends[1] == 1.0 and 0.2 < ends[0] < 0.9
    turned = rank_correlation(one, -one, names).spearman_ci
    assert turned is not None and turned[0] == -1.0 and turned[1] < -0.2


def test_two_clusters_and_unknown_ones_give_no_interval_of_a_coefficient() -> None:
    ratings, _ = _rated(4, 0.6, 0)
    assert rank_correlation(*ratings).spearman_ci is None
    assert rank_correlation(*ratings, np.arange(40) % 2).spearman_ci is None
    assert alpha_interval(ratings, np.arange(40) % 2, scale="interval") is None
