"""The gate must not fail an unchanged run, must not pass a loss of its margin, and must say when it cannot tell."""

from dataclasses import replace
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
from scipy.stats import beta, t

from roleeval.errors import ConfigError, DataError
from roleeval.stats.gate import Compared, Decision, GateOutcome, checked, decide, gate_outcome
from roleeval.stats.gate_tests import unseen_margin_p
from roleeval.stats.paired import sign_flip_test


def metric(changes: np.ndarray, **changed: Any) -> Compared:
    """Ratings out of 100 around 60 that change by [clusters, items]."""
    clusters, items = changes.shape
    baseline = np.random.default_rng(9).uniform(50, 70, size=clusters * items)
    names = [f"role {i}" for i in np.repeat(np.arange(clusters), items)]
    given = Compared("m/points", baseline, baseline + changes.ravel(), names, margin=3.0, bounds=(0.0, 100.0))
    return replace(given, **changed)


def noise(clusters: int, items: int, *, size: float = 5.0, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, size, size=(clusters, items))


def one(compared: Compared, **options: Any) -> Decision:
    (found,) = decide([compared], **options)
    return found


def test_one_metric_has_the_p_value_of_the_paired_sign_flip_test() -> None:
    changes = noise(8, 20) - 1
    found = one(metric(changes))
    two_sided, least = sign_flip_test(changes.sum(axis=1) / changes.size)
    assert found.loss_p == pytest.approx(two_sided / 2)
    assert found.smallest_loss_p == least / 2


def test_the_margin_p_value_of_equal_roles_is_students_t_with_one_degree_of_freedom_less() -> None:
    changes = noise(8, 60, size=10.0) - 2 + noise(8, 1)
    found = one(metric(changes))
    of_roles = changes.mean(axis=1)
    error = of_roles.std(ddof=1) / np.sqrt(8)
    assert found.margin_p == pytest.approx(t.sf((changes.mean() + 3) / error, 6), rel=0.1)
    half = t.ppf(0.95, 6) * error
    assert found.change == pytest.approx(changes.mean()) and found.level == pytest.approx(0.9)
    assert found.interval == pytest.approx((changes.mean() - half, changes.mean() + half), rel=0.1)


def test_the_correction_is_the_step_down_maximum_over_all_exchanges() -> None:
    """Against brute force: two models with two metrics each, one of them without one of the roles."""
    rng = np.random.default_rng(3)
    sums = rng.normal(-1, 1, size=(7, 4))
    sums[0, 3] = 0.0
    names = [f"r{i}" for i in range(7)]
    found = decide(
        [
            Compared(str(m), np.zeros(7 - first), sums[first:, m], names[first:], margin=0.1)
            for m, first in enumerate((0, 0, 0, 1))
        ]
    )
    unit = sums / np.sqrt((sums**2).sum(axis=0))
    every = np.array([-np.array(signs) @ unit for signs in product((1, -1), repeat=7)])
    observed, least = -unit.sum(axis=0), 0.0
    for rank, m in enumerate(np.argsort(-observed)):
        remaining = np.argsort(-observed)[rank:]
        least = max(least, (every[:, remaining].max(axis=1) >= observed[m] - 1e-9).mean())
        assert found[m].loss_p == pytest.approx(least)


def test_metrics_that_move_together_cost_nothing_of_each_other() -> None:
    alone = one(metric(noise(9, 10) - 1)).loss_p
    copies = decide([metric(noise(9, 10) - 1, name=str(i)) for i in range(10)])
    assert {each.loss_p for each in copies} == {alone}


def test_items_with_no_change_follow_the_rule_of_three() -> None:
    """As many items as it takes for one in `margin / 100` to be seen; fewer say nothing, whatever their variance."""
    for items, outcome in ((10, GateOutcome.INCONCLUSIVE), (30, GateOutcome.PASS)):
        found = one(metric(np.zeros((6, items))))
        assert found.outcome is outcome and found.loss_p == 1.0
    baseline = np.asarray(metric(np.zeros((6, 10))).baseline)
    found = one(metric(np.zeros((6, 10))))
    assert found.margin_p == pytest.approx((1 - 3 / baseline.max()) ** 60, rel=0.06)
    assert found.needed is not None and 7 <= found.needed.clusters <= 8 and found.needed.outcome == "PASS"
    assert found.interval[0] < -3 < 0 < found.interval[1]


def test_rates_have_clopper_pearsons_limit_where_roles_do_not_differ() -> None:
    """Three refusals more in 120 answers; few roles, about which little is known, make the interval wider."""
    current = np.zeros(120)
    current[[0, 20, 40]] = 1.0
    names = [str(i) for i in np.repeat(np.arange(6), 20)]
    refusals = Compared("r", np.zeros(120), current, names, margin=0.05, higher_is_better=False, bounds=(0.0, 1.0))
    (pairs,) = checked([refusals], alpha=0.05)
    exact = beta.ppf(0.95, 4, 117)
    assert unseen_margin_p(pairs, exact) == pytest.approx(0.05, rel=0.02)
    found = one(refusals)
    assert exact < found.interval[1] < 1.5 * exact
    assert found.change == pytest.approx(0.025) and found.outcome is GateOutcome.INCONCLUSIVE


def test_lower_is_better_is_the_mirror_of_higher_is_better() -> None:
    changes = noise(8, 20) - 1
    up, down = one(metric(changes)), metric(changes)
    mirrored = replace(
        down, baseline=100 - np.asarray(down.baseline), current=100 - np.asarray(down.current), higher_is_better=False
    )
    turned = one(mirrored)
    assert (turned.loss_p, turned.margin_p, turned.outcome) == (up.loss_p, pytest.approx(up.margin_p), up.outcome)
    assert turned.change == pytest.approx(-up.change)
    assert turned.interval == pytest.approx((-up.interval[1], -up.interval[0]))


def test_the_interval_leaves_out_the_margin_exactly_where_the_metric_passes() -> None:
    for seed in range(15):
        found = one(metric(noise(6, 12, size=8.0, seed=seed) - 1.5))
        assert (found.interval[0] > -3.0) == (found.outcome is GateOutcome.PASS) == (found.margin_p <= 0.05)
        assert found.interval[0] <= found.change <= found.interval[1]


def test_a_greater_loss_is_never_the_better_outcome() -> None:
    place = {GateOutcome.PASS: 0, GateOutcome.INCONCLUSIVE: 1, GateOutcome.FAIL: 2}
    found = [one(metric(noise(10, 10, size=3.0) - loss)) for loss in np.linspace(0, 8, 17)]
    assert [place[each.outcome] for each in found] == sorted(place[each.outcome] for each in found)
    assert {each.outcome for each in found} == set(GateOutcome)
    assert all(a.loss_p >= b.loss_p and a.margin_p <= b.margin_p for a, b in pairwise(found))


def test_a_loss_below_the_margin_does_not_fail_however_sure_it_is() -> None:
    found = one(metric(noise(12, 20, size=0.5) - 1))
    assert found.loss_p < 0.001 and found.outcome is GateOutcome.PASS


def test_four_roles_cannot_fail_and_the_decision_says_so() -> None:
    found = one(metric(noise(4, 50) - 20))
    assert found.outcome is GateOutcome.INCONCLUSIVE and found.smallest_loss_p == 1 / 16
    assert found.needed is not None and (found.needed.outcome, found.needed.clusters) == ("FAIL", 5)


@pytest.mark.parametrize("loss", [1.0, 4.0])
def test_what_is_needed_decides(loss: float) -> None:
    """With as many roles as asked for, most runs with the same true loss are decided."""
    start = noise(6, 10, size=16.0, seed=3)
    needed = one(metric(start - start.mean() - loss, bounds=(None, None))).needed
    assert needed is not None and needed.items == needed.clusters * 10
    assert needed.outcome == ("PASS" if loss < 3 else "FAIL")
    found = [noise(needed.clusters, 10, size=16.0, seed=seed) - loss for seed in range(30)]
    later = [one(metric(changes, bounds=(None, None))).outcome for changes in found]
    assert later.count(GateOutcome(needed.outcome)) >= 18


def test_a_metric_without_bounds_takes_its_spread_for_the_worst() -> None:
    open_ended = metric(np.zeros((6, 20)), bounds=(None, None))
    values = np.asarray(open_ended.baseline)
    assert one(open_ended).margin_p == pytest.approx((1 - 3 / np.ptp(values)) ** 120, rel=0.06)
    constant = replace(open_ended, baseline=np.zeros(120), current=np.zeros(120))
    assert one(constant).margin_p == pytest.approx(0.99**120, rel=0.06)


def test_the_whole_gate_is_as_good_as_its_worst_metric() -> None:
    good, unclear, bad = (one(metric(noise(8, 20, size=3.0) - loss)) for loss in (0, 2.6, 9))
    assert gate_outcome([good, good]) is GateOutcome.PASS
    assert gate_outcome([good, unclear]) is GateOutcome.INCONCLUSIVE
    assert gate_outcome([good, unclear, bad]) is GateOutcome.FAIL


def test_the_order_of_items_and_of_metrics_does_not_matter() -> None:
    both = [metric(noise(16, 5) - 2), metric(noise(16, 5, seed=1) - 1, name="m/other")]
    mixed = np.random.default_rng(0).permutation(80)
    turned = [
        replace(
            each,
            baseline=np.asarray(each.baseline)[mixed],
            current=np.asarray(each.current)[mixed],
            clusters=[each.clusters[i] for i in mixed],
        )
        for each in reversed(both)
    ]
    for a, b in zip(decide(both), reversed(decide(turned)), strict=True):
        assert (a.name, a.loss_p, a.outcome) == (b.name, b.loss_p, b.outcome)
        assert a.margin_p == pytest.approx(b.margin_p)


@pytest.mark.parametrize("loss", [0.0, 2.0, 3.0])
def test_the_tail_of_the_unseen_item_is_that_of_its_weights(loss: float) -> None:
    """The saddlepoint formula against drawn weights."""
    (pairs,) = checked([metric(noise(5, 4) - loss)], alpha=0.05)
    weights = np.random.default_rng(0).exponential(size=(200_000, 21))
    drawn = weights @ np.append(pairs.gains + 3.0, 3.0 - pairs.worst) <= 0
    assert unseen_margin_p(pairs, 3.0) == pytest.approx(drawn.mean(), abs=0.01)


@pytest.mark.parametrize(
    ("changed", "error", "said"),
    [
        ({"margin": 0.0}, ConfigError, "m/points: a margin of 0 is invalid"),
        ({"margin": float("nan")}, ConfigError, "m/points: a margin of nan is invalid"),
        ({"current": [1.0, 2.0]}, DataError, "12 values of the baseline, 2 of the current run and 12 clusters"),
        ({"current": [float("nan")] + [1.0] * 11}, DataError, "item 0 of the current run has the value nan; leave"),
        ({"baseline": [1.0] * 11 + [101.0]}, DataError, "item 11 of the baseline has the value 101, outside"),
        ({"clusters": ["Ann"] * 12}, DataError, "12 items of 1 cluster.* needs at least two clusters"),
        ({"clusters": [], "baseline": [], "current": []}, DataError, "0 items of 0 cluster"),
    ],
)
def test_bad_input_is_named(changed: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        decide([metric(noise(3, 4), **changed)])


def test_bad_calls_are_named() -> None:
    with pytest.raises(ConfigError, match="no metric"):
        decide([])
    with pytest.raises(ConfigError, match="m/points: given to the gate more than once"):
        decide([metric(noise(3, 4))] * 2)
    with pytest.raises(ConfigError, match="alpha: 0\\.5 is invalid"):
        decide([metric(noise(3, 4))], alpha=0.5)
