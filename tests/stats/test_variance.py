"""The split says what is worth doing more of, so each source must be found and none invented."""

import numpy as np
import pytest

from roleeval.stats.variance import variance_split


def simulated(rng: np.random.Generator, shape: tuple[int, int, int], sds: tuple[float, ...]) -> np.ndarray:
    samples, seeds, _ = shape
    of_sample, of_seed, of_answer, of_repeat = sds
    return (
        rng.normal(0, of_sample, (samples, 1, 1))
        + rng.normal(0, of_seed, (1, seeds, 1))
        + rng.normal(0, of_answer, (samples, seeds, 1))
        + rng.normal(0, of_repeat, shape)
    )


def test_every_source_is_found() -> None:
    """Averages over 200 simulated data sets: the method of moments has no bias to speak of."""
    rng = np.random.default_rng(0)
    splits = [variance_split(simulated(rng, (100, 5, 3), (1.0, 0.5, 0.7, 0.3))) for _ in range(200)]
    found = [[s.samples, s.seeds, s.answers, s.repeats] for s in splits if s is not None]
    assert np.mean(np.array(found, dtype=float), axis=0) == pytest.approx([1.0, 0.25, 0.49, 0.09], rel=0.1)


def test_a_deterministic_judge_and_equal_seeds_have_no_variance() -> None:
    split = variance_split(simulated(np.random.default_rng(1), (50, 3, 2), (1.0, 0.0, 0.5, 0.0)))
    assert split is not None and split.repeats == pytest.approx(0.0, abs=1e-12)
    assert split.seeds is not None and split.seeds < 0.05


def test_what_the_design_cannot_tell_apart_is_no_number() -> None:
    rng = np.random.default_rng(2)
    one_seed = variance_split(rng.normal(size=(20, 1, 3)))
    assert one_seed is not None and (one_seed.seeds, one_seed.answers) == (None, None) and one_seed.repeats is not None
    one_repeat = variance_split(rng.normal(size=(20, 3, 1)))
    assert one_repeat is not None and one_repeat.repeats is None and one_repeat.answers is not None
    assert variance_split(rng.normal(size=(1, 3, 3))) is None


def test_samples_with_a_missing_value_are_left_out_and_counted() -> None:
    values = np.random.default_rng(3).normal(size=(10, 2, 2))
    values[4, 1, 0] = np.nan
    split = variance_split(values)
    assert split is not None and (split.used, split.dropped) == (9, 1)
