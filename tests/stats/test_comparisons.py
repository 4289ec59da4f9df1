"""Win rates must not carry a judge's preference for a slot, nor for length."""

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roleeval.stats import clustered_mean
from roleeval.stats.comparisons import (
    Aggregate,
    Outcome,
    Verdict,
    Winner,
    first_slot_rate,
    flip_rate,
    settle,
    settled,
    win_rate,
)
from roleeval.stats.length_control import length_controlled


def both(item: str, one: Winner, two: Winner, *, cluster: str = "role") -> list[Verdict]:
    """The same pair in both orders: `one` with x first, `two` with y first; winners as x ("a") and y ("b")."""
    turned: dict[Winner, Winner] = {"a": "b", "b": "a", "tie": "tie"}
    return [Verdict(item, cluster, "x", "y", "a", one), Verdict(item, cluster, "y", "x", "a", turned[two])]


def test_disagreeing_orders_are_a_tie() -> None:
    verdicts = both("1", "a", "a") + both("2", "a", "b") + both("3", "tie", "a") + both("4", "b", "b")
    assert [o.winner for o in settle(verdicts)] == ["a", "tie", "tie", "b"]
    assert {(o.model_a, o.model_b) for o in settle(verdicts)} == {("x", "y")}


@pytest.mark.parametrize(("aggregate", "value", "flips"), [("median", 1.0, 0.0), ("mean", 0.5 + 2 / 9, 2 / 9)])
def test_six_verdicts_of_three_repeats_are_one_number(aggregate: Aggregate, value: float, flips: float) -> None:
    verdicts = [Verdict("1", "role", "x", "y", "a", w) for w in ("a", "a", "b")]
    verdicts += [Verdict("1", "role", "x", "y", "b", w) for w in ("a", "tie", "a")]
    outcomes = settle(verdicts, aggregate=aggregate)
    assert [o.winner for o in outcomes] == ["a"]
    assert win_rate(outcomes, "x").mean == pytest.approx(value) == 1 - (win_rate(outcomes, "y").mean or 0)
    assert flip_rate(verdicts, aggregate=aggregate).mean == pytest.approx(flips)
    found = settled((1.0, 1.0, 0.0), (1.0, 0.5, 1.0), aggregate=aggregate)
    assert found.value == pytest.approx(value) and found.flip == pytest.approx(flips)


AGGREGATES: tuple[Aggregate, ...] = ("median", "mean")
POINTS = st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=1, max_size=5)


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_one_verdict_in_each_order_wins_where_they_agree_and_is_a_tie_elsewhere(aggregate: Aggregate) -> None:
    for first, second in product((0.0, 0.5, 1.0), repeat=2):
        found = settled([first], [second], aggregate=aggregate)
        assert found.value == (first if first == second else 0.5)
        assert found.flip == float({first, second} == {0.0, 1.0})
        assert found.first_slot == (first + 1 - second) / 2


@pytest.mark.parametrize("aggregate", AGGREGATES)
@given(first=POINTS, second=POINTS, seed=st.randoms(use_true_random=False))
def test_it_does_not_matter_which_repeat_came_when_nor_whose_side_one_is_on(
    aggregate: Aggregate, first: list[float], second: list[float], seed: Any
) -> None:
    found = settled(first, second, aggregate=aggregate)
    shuffled = [seed.sample(each, len(each)) for each in (first, second)]
    assert settled(*shuffled, aggregate=aggregate) == found
    turned = settled([1 - p for p in second], [1 - p for p in first], aggregate=aggregate)
    assert turned.value == pytest.approx(1 - found.value) and turned.flip == pytest.approx(found.flip)
    assert turned.first_slot == pytest.approx(found.first_slot) and 0 <= found.value <= 1
    twice = settled(first * 2, second * 2, aggregate=aggregate)
    assert twice.value == pytest.approx(found.value) and twice.flip == pytest.approx(found.flip)


def test_more_repeats_do_not_shift_a_mean_and_do_lower_its_noise() -> None:
    """What one more pair of verdicts would say is the same question, however often it was asked."""
    rng = np.random.default_rng(3)
    values: dict[int, list[float]] = {1: [], 5: []}
    for repeats, found in values.items():
        for _ in range(4000):
            first = rng.choice([1.0, 0.5, 0.0], size=repeats, p=[0.6, 0.2, 0.2]).tolist()
            second = rng.choice([1.0, 0.5, 0.0], size=repeats, p=[0.3, 0.2, 0.5]).tolist()
            found.append(settled(first, second, aggregate="mean").value)
    expected = 0.5 + (0.6 * 0.3 - 0.2 * 0.5) / 2
    assert np.mean(values[1]) == pytest.approx(expected, abs=0.015) == pytest.approx(np.mean(values[5]), abs=0.015)
    assert np.std(values[5]) < 0.5 * np.std(values[1])


def test_a_stray_verdict_is_outvoted_in_its_own_order_and_a_slot_is_not() -> None:
    assert settled([1.0, 1.0, 0.0], [0.0, 1.0, 1.0], aggregate="median").value == 1.0
    assert settled([1.0, 1.0, 1.0], [0.0, 0.0, 1.0], aggregate="median").value == 0.5
    assert settled([1.0, 0.5], [1.0], aggregate="median").value == 0.75


def test_one_order_alone_is_no_outcome() -> None:
    assert settle([Verdict("1", "role", "x", "y", "a", "a")]) == []


def test_a_tie_is_half_a_win_for_both() -> None:
    outcomes = settle(both("1", "a", "a") + both("2", "tie", "tie") + both("3", "b", "b", cluster="other"))
    assert win_rate(outcomes, "x").mean == win_rate(outcomes, "y").mean == 0.5
    assert win_rate(outcomes, "x").clusters == 2


def test_wins_against_one_opponent_are_of_that_opponent() -> None:
    outcomes = [Outcome("1", "r", "x", "y", "a"), Outcome("1", "r", "x", "z", "b"), Outcome("1", "r", "y", "z", "a")]
    assert win_rate(outcomes, "x", against="y").mean == 1.0
    assert win_rate(outcomes, "z", against="x").mean == 1.0
    assert win_rate(outcomes, "x").mean == 0.5
    assert win_rate(outcomes, "w").mean is None


def test_a_judge_that_takes_the_first_answer_is_found_out() -> None:
    """Its win rates look fair, its flip and first-slot rates do not."""
    verdicts = [verdict for i in range(20) for verdict in both(str(i), "a", "b", cluster=str(i % 4))]
    assert win_rate(settle(verdicts), "x").mean == 0.5
    assert flip_rate(verdicts).mean == 1.0 and first_slot_rate(verdicts).mean == 1.0


def test_a_fair_judge_has_no_slot() -> None:
    verdicts = both("1", "a", "a") + both("2", "b", "b") + both("3", "tie", "tie")
    assert first_slot_rate(verdicts).mean == pytest.approx(0.5) and flip_rate(verdicts).mean == 0.0


def test_a_win_against_a_tie_is_no_flip() -> None:
    assert flip_rate(both("1", "a", "tie") + both("2", "a", "b")).mean == 0.5


def _judged_by_length(preference: float, quality: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    longer = rng.normal(80, 100, size=4000)
    logits = quality + preference * np.tanh(longer / longer.std())
    return (rng.random(4000) < 1 / (1 + np.exp(-logits))).astype(float), longer


def test_what_length_bought_is_taken_off() -> None:
    """Two equal models, one of them wordier, and a judge that likes words."""
    wins, longer = _judged_by_length(1.5, 0.0, 0)
    assert wins.mean() > 0.6
    assert length_controlled(wins, longer).mean() == pytest.approx(0.5, abs=0.03)


def test_a_judge_that_does_not_mind_length_is_left_alone() -> None:
    wins, longer = _judged_by_length(0.0, 0.8, 1)
    assert length_controlled(wins, longer).mean() == pytest.approx(wins.mean(), abs=0.02)


def test_missing_verdicts_stay_missing_and_uniform_wins_stay_wins() -> None:
    controlled = length_controlled(np.array([1.0, np.nan, 0.0, 1.0]), np.array([5.0, 100.0, -3.0, 1.0]))
    assert np.isnan(controlled).tolist() == [False, True, False, False]
    assert length_controlled(np.ones(3), np.array([1.0, 2.0, 3.0])).tolist() == [1.0, 1.0, 1.0]
    assert length_controlled(np.array([1.0, 0.0]), np.zeros(2)).tolist() == [1.0, 0.0]


def test_a_length_that_explains_every_win_has_an_end() -> None:
    longer = np.concatenate([np.linspace(1, 2, 20), np.linspace(-2, -1, 20)])
    controlled = length_controlled((longer > 0).astype(float), longer)
    assert np.isfinite(controlled).all() and controlled.mean() == pytest.approx(0.5, abs=0.05)


@pytest.mark.slow
def test_intervals_of_length_controlled_rates_cover() -> None:
    """The interval must know that the slope is estimated: that is what the rows' spread is for."""
    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(1000):
        longer = rng.normal(1.0, 1.0, size=600)
        wins = (rng.random(600) < 1 / (1 + np.exp(-0.4 - 1.2 * np.tanh(longer)))).astype(float)
        estimate = clustered_mean(length_controlled(wins, longer), np.arange(600) % 30)
        assert estimate.ci_low is not None and estimate.ci_high is not None
        covered += estimate.ci_low <= 1 / (1 + np.exp(-0.4)) <= estimate.ci_high
    assert 0.93 <= covered / 1000 <= 0.97
