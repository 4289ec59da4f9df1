"""Looking after every batch must not raise the gate's error rates, and must save the batches that change nothing."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import ndtri

from roleeval.errors import ConfigError, DataError
from roleeval.stats.gate import Compared, GateOutcome, decide
from roleeval.stats.gate_sequential import decide_sequentially, examined, random_batches, spent_levels
from tests.stats.test_gate import metric, noise

ROLES = [f"role {i}" for i in range(12)]


def up_to(compared: Compared, names: set[str]) -> Compared:
    kept = np.array([name in names for name in compared.clusters])
    return replace(
        compared,
        baseline=np.asarray(compared.baseline)[kept],
        current=np.asarray(compared.current)[kept],
        clusters=[name for name in compared.clusters if name in names],
    )


def test_one_batch_is_the_plain_gate() -> None:
    for loss in (0.0, 2.0, 8.0):
        both = [metric(noise(12, 10) - loss), metric(noise(12, 10, seed=1), name="m/other")]
        found = decide_sequentially(both, batches=[ROLES])
        for early, plain in zip(found.decisions, decide(both), strict=True):
            assert early.margin_p == plain.margin_p
            assert early.outcome is plain.outcome
            assert early.interval == pytest.approx(plain.interval, rel=1e-3)
        assert (found.ended, found.next_batch, found.share) == (1, (), 1.0)


def test_one_batch_has_the_p_value_of_the_single_step_maximum() -> None:
    changes = noise(8, 10) - 1
    plain = decide([metric(changes)])[0]
    found = decide_sequentially([metric(changes)], batches=[ROLES[:8]])
    assert found.decisions[0].loss_p == pytest.approx(plain.loss_p)


def test_of_unchanged_runs_no_more_than_alpha_of_all_exchanges_fail() -> None:
    """Every exchange of the two runs of seven roles, in three metrics, looked at after each role."""
    rng = np.random.default_rng(4)
    sums, names = rng.normal(size=(7, 3)) * [1, 5, 0.2], [f"r{i}" for i in range(7)]
    fails = 0
    for number in range(2**7):
        signs = 1.0 - 2 * ((number >> np.arange(7)) & 1)
        runs = [Compared(str(m), np.zeros(7), signs * sums[:, m], names, margin=1e-9) for m in range(3)]
        fails += examined(runs, batches=[names[:2], *([name] for name in names[2:])], alpha=0.05).outcome == "FAIL"
    assert 0.02 < fails / 2**7 <= 0.05


def test_the_levels_add_up_to_alpha_over_all_looks() -> None:
    """Against drawn sums of normal increments, at uneven times."""
    times = (0.1, 0.35, 0.5, 0.9, 1.0)
    steps = np.random.default_rng(0).normal(size=(200_000, 5)) * np.sqrt(np.diff((0, *times)))
    scores = steps.cumsum(axis=1) / np.sqrt(times)
    crossed = scores >= -ndtri(np.array(spent_levels(times, 0.05)))
    assert crossed.any(axis=1).mean() == pytest.approx(0.05, abs=0.002)
    assert crossed[:, :3].any(axis=1).mean() == pytest.approx(0.05 * 0.5**3, abs=0.001)
    assert spent_levels((1.0,), 0.05) == pytest.approx((0.05,), rel=1e-3)


def test_clear_cases_end_early() -> None:
    batches = random_batches(ROLES, seed=1)
    worse = decide_sequentially([metric(noise(12, 10) - 20)], batches=batches)
    assert worse.outcome is GateOutcome.FAIL and worse.ended is not None and worse.ended < len(batches)
    assert worse.share < 1 and worse.next_batch == () and worse.after == [worse.ended]
    same = decide_sequentially([metric(noise(12, 40, size=1.0))], batches=batches)
    assert same.outcome is GateOutcome.PASS and same.share < 1


def test_the_gate_goes_on_for_the_metrics_that_are_open() -> None:
    changes = noise(12, 40, size=60.0)
    clear = metric(noise(12, 40, size=1.0))
    open_ = metric(changes - changes.mean() - 1, name="m/open", bounds=(None, None))
    batches = random_batches(ROLES, seed=1)
    found = decide_sequentially([clear, open_], batches=batches)
    assert found.outcome is GateOutcome.INCONCLUSIVE and found.ended == len(batches)
    assert found.decisions[0].outcome is GateOutcome.PASS and found.after[0] is not None
    assert found.decisions[0].items < found.decisions[1].items == 480 and found.after[1] is None
    assert found.decisions[1].needed is not None


def test_it_asks_for_the_next_batch_and_keeps_what_is_decided() -> None:
    """Run batch by batch, every call sees what the call before saw, and ends where one look at everything ends."""
    batches = random_batches(ROLES, seed=2)
    whole = [metric(noise(12, 10, size=8.0, seed=5) - 5), metric(noise(12, 10, seed=6), name="m/other")]
    at_once = decide_sequentially(whole, batches=batches)
    names: set[str] = set()
    for number, batch in enumerate(batches, 1):
        names |= set(batch)
        found = decide_sequentially([up_to(each, names) for each in whole], batches=batches)
        if found.ended:
            break
        assert found.next_batch == batches[number] and found.outcome is GateOutcome.INCONCLUSIVE
    assert found == at_once
    assert decide_sequentially(whole, batches=batches) == at_once


def test_a_metric_without_values_in_the_first_batches_waits() -> None:
    batches = [tuple(ROLES[:4]), tuple(ROLES[4:])]
    late = up_to(metric(noise(12, 10), name="m/late"), set(ROLES[4:]))
    found = decide_sequentially([metric(noise(12, 10)), late], batches=batches)
    assert found.ended == 2 and found.decisions[1].items == 80
    broken = decide_sequentially([metric(noise(12, 10) - 30), late], batches=[ROLES[:6], ROLES[6:]])
    assert broken.outcome is GateOutcome.FAIL and broken.ended == 1


def test_random_batches_hold_each_cluster_once() -> None:
    for count, sizes in ((12, [3, 3, 2, 2, 2]), (6, [2, 1, 1, 1, 1]), (5, [2, 1, 1, 1]), (2, [2]), (1, [1])):
        found = random_batches(ROLES[:count] * 2, seed=3)
        assert [len(batch) for batch in found] == sizes
        assert sorted(name for batch in found for name in batch) == sorted(ROLES[:count])
    assert random_batches(ROLES) == random_batches(reversed(ROLES)) != random_batches(ROLES, seed=1)
    with pytest.raises(ConfigError, match="batches: 0 is invalid"):
        random_batches(ROLES, batches=0)


def test_bad_plans_are_named() -> None:
    with pytest.raises(DataError, match="m/points: cluster 'role 3' is in none of the batches"):
        decide_sequentially([metric(noise(4, 4))], batches=[ROLES[:3]])
    with pytest.raises(ConfigError, match="cluster 'role 1' is planned more than once"):
        decide_sequentially([metric(noise(4, 4))], batches=[ROLES[:4], ROLES[1:2]])
