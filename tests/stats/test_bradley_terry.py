"""Ratings must be the published model's, must be refused where nothing links the models, and must not overclaim."""

import numpy as np
import pytest

from roleeval.errors import DataError
from roleeval.stats.bradley_terry import POINTS_PER_LOGIT, Ratings, _fit, bradley_terry, letter_groups
from roleeval.stats.comparisons import Outcome, Winner, settled

# The American League's eastern division, 1987: wins of the row's team over the column's (Agresti, Categorical Data
# Analysis, 2nd edition, table 10.10, with its maximum likelihood estimates; Baltimore is 0).
TEAMS = ("Milwaukee", "Detroit", "Toronto", "New York", "Boston", "Cleveland", "Baltimore")
WINS = (
    (0, 7, 9, 7, 7, 9, 11),
    (6, 0, 7, 5, 11, 9, 9),
    (4, 6, 0, 7, 7, 8, 12),
    (6, 8, 6, 0, 6, 7, 10),
    (6, 2, 6, 7, 0, 7, 12),
    (4, 4, 5, 6, 6, 0, 6),
    (2, 4, 1, 3, 1, 7, 0),
)
PUBLISHED = (1.581, 1.436, 1.294, 1.248, 1.108, 0.684, 0.0)


def outcomes(a: str, b: str, winners: dict[Winner, int], *, clusters: int = 10) -> list[Outcome]:
    flat = [winner for winner, count in winners.items() for _ in range(count)]
    return [Outcome(f"{a}{b}{i}", f"role{i % clusters}", a, b, winner) for i, winner in enumerate(flat)]


def simulated(
    strengths: dict[str, float], rows: int, clusters: int, *, nu: float = 0.5, seed: int = 0
) -> list[Outcome]:
    rng = np.random.default_rng(seed)
    found = []
    names = sorted(strengths)
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            gap = (strengths[a] - strengths[b]) / 2
            odds = np.array([np.exp(gap), np.exp(-gap), nu])
            for row, winner in enumerate(rng.choice(["a", "b", "tie"], size=rows, p=odds / odds.sum())):
                found.append(Outcome(f"{row}", f"role{row % clusters}", a, b, winner))
    return found


def letters(ratings: Ratings) -> dict[str, str]:
    return {rating.model: rating.letters for rating in ratings.models}


def test_the_published_baseball_estimates() -> None:
    pairs = [(i, j) for i in range(7) for j in range(i + 1, 7)]
    counts = np.array([[WINS[i][j], WINS[j][i], 0.0] for i, j in pairs])
    strengths, nu = _fit(counts[None], np.array(pairs), 7, halves=np.zeros_like(counts))
    assert strengths[0] - strengths[0, 6] == pytest.approx(PUBLISHED, abs=1e-3)
    assert nu[0] == 0.0


def test_two_models_have_davidsons_closed_form() -> None:
    """Odds of the strengths = wins over wins; nu = ties over the geometric mean of the wins."""
    counts = np.array([[40.0, 10.0, 20.0]])
    strengths, nu = _fit(counts[None], np.array([[0, 1]]), 2, halves=np.zeros((1, 3)))
    assert strengths[0, 0] - strengths[0, 1] == pytest.approx(np.log(4.0))
    assert nu[0] == pytest.approx(20 / np.sqrt(400))


def test_strengths_are_recovered_and_the_anchor_stays() -> None:
    truth = {"a": 0.0, "b": 0.5, "c": 1.5, "d": -0.7}
    found = bradley_terry(simulated(truth, 3000, 30), anchor="b")
    ratings = {r.model: r for r in found.models}
    assert ratings["b"].rating == 1000.0 and ratings["b"].ci_low is None
    for name, strength in truth.items():
        assert ratings[name].rating - 1000 == pytest.approx((strength - 0.5) * POINTS_PER_LOGIT, abs=20)
    assert found.tie_strength == pytest.approx(0.5, rel=0.1)
    assert [r.model for r in found.models] == ["c", "b", "a", "d"]
    assert letters(found) == {"c": "a", "b": "b", "a": "c", "d": "d"}


@pytest.mark.parametrize("clusters", [5, 20])
def test_equal_models_share_a_letter(clusters: int) -> None:
    found = bradley_terry(simulated({"a": 0.0, "b": 0.0, "c": 2.0}, 200, clusters, seed=1), anchor="a")
    assert letters(found) == {"a": "b", "b": "b", "c": "a"}
    b = next(r for r in found.models if r.model == "b")
    assert b.ci_low is not None and b.ci_high is not None and b.ci_low < 1000 < b.ci_high


def test_a_chain_is_enough_and_two_islands_are_not() -> None:
    chain = outcomes("a", "b", {"a": 6, "b": 4}) + outcomes("b", "c", {"a": 6, "b": 4})
    assert {r.model for r in bradley_terry(chain, anchor="a").models} == {"a", "b", "c"}
    islands = outcomes("a", "b", {"a": 6, "b": 4}) + outcomes("c", "d", {"a": 6, "b": 4})
    with pytest.raises(DataError, match=r"a, b; c, d"):
        bradley_terry(islands, anchor="a")


def test_an_anchor_that_was_never_judged_is_an_error() -> None:
    with pytest.raises(DataError, match=r"anchor base: in no outcome; there are: a, b"):
        bradley_terry(outcomes("a", "b", {"a": 1}), anchor="base")


def test_a_model_that_won_everything_has_a_finite_rating() -> None:
    found = bradley_terry(outcomes("a", "b", {"a": 40}), anchor="b")
    best = found.models[0]
    assert best.model == "a" and 1000 < best.rating < 3000
    assert best.ci_low is not None and best.ci_low > 1000
    # All ten clusters say the same, so resampling them has no width; forty outcomes still leave much open.
    assert best.ci_high is not None and best.ci_high - best.ci_low > 400


def test_one_cluster_has_ratings_and_neither_interval_nor_order() -> None:
    found = bradley_terry(outcomes("a", "b", {"a": 30, "b": 10}, clusters=1), anchor="b")
    assert [(r.ci_low, r.letters) for r in found.models] == [(None, "a"), (None, "a")]


def test_intervals_are_of_clusters_and_not_of_rows() -> None:
    """Ten copies of every item in its role say no more than one."""
    once = simulated({"a": 0.0, "b": 0.5}, 40, 40)
    often = [Outcome(f"{o.item}/{i}", o.cluster, o.model_a, o.model_b, o.winner) for o in once for i in range(10)]
    widths = []
    for data in (once, often):
        b = next(r for r in bradley_terry(data, anchor="a").models if r.model == "b")
        assert b.ci_low is not None and b.ci_high is not None
        widths.append(b.ci_high - b.ci_low)
    assert widths[1] == pytest.approx(widths[0], rel=0.15)


def test_an_outcome_that_repeats_left_half_open_counts_as_half_of_each() -> None:
    half = settled([1.0, 0.5], [1.0], aggregate="median")
    assert (half.win, half.loss) == (0.5, 0.0)
    others = outcomes("x", "y", {"a": 4, "b": 3, "tie": 2})
    open_ones = [Outcome(f"{i}", f"role{i % 3}", "x", "y", half.winner, half) for i in range(6)]
    closed: tuple[Winner, ...] = ("a", "tie")
    whole = [Outcome(f"{i}", f"role{i % 3}", "x", "y", closed[i // 3]) for i in range(6)]
    one, two = (bradley_terry([*others, *each], anchor="y") for each in (open_ones, whole))
    assert [rating.rating for rating in one.models] == pytest.approx([rating.rating for rating in two.models])
    assert one.tie_strength == pytest.approx(two.tie_strength)


def test_the_lowest_model_does_not_share_the_first_place_above_models_that_are_worse_than_the_first() -> None:
    """A sure second and an unsure last: the last shares a letter with both, and no number puts it before the second."""
    assert letter_groups([1200.0, 1100.0, 1000.0], {(0, 1)}) == ["a", "b", "ab"]
    assert letter_groups([1200.0, 1100.0, 1000.0], {(0, 2)}) == ["a", "ab", "b"]
    assert letter_groups([1200.0, 1100.0, 1000.0], set()) == ["a", "a", "a"]
    assert letter_groups([3.0, 2.0, 1.0], {(0, 1), (0, 2), (1, 2)}) == ["a", "b", "c"]


def test_letters_say_exactly_what_is_separable() -> None:
    rng = np.random.default_rng(0)
    for models in (2, 5, 8):
        for _ in range(20):
            pairs = [(i, j) for i in range(models) for j in range(i + 1, models)]
            separable = {pair for pair in pairs if rng.random() < 0.4}
            found = letter_groups(sorted(rng.normal(size=models), reverse=True), separable)
            assert "a" in found[0] and all(found)
            for i, j in pairs:
                assert (set(found[i]) & set(found[j]) == set()) == ((i, j) in separable)
