"""Weight sharing: few values, of little error."""

import numpy as np
import pytest

from kaniwa.compression.sharing import INITIAL, share_weights
from kaniwa.errors import InputError


@pytest.fixture
def weights():
    return np.random.default_rng(2).normal(size=(40, 25)).astype(np.float32)


@pytest.mark.parametrize("entries", [1, 2, 16, 32, 64])
@pytest.mark.parametrize("initial", INITIAL)
def test_each_weight_has_the_nearest_entry_and_each_entry_the_mean(weights, entries, initial):
    shared = share_weights(weights, entries, initial)
    assert shared.codebook.dtype == np.float32 and shared.indices.shape == weights.shape
    assert len(shared.codebook) == entries and (np.diff(shared.codebook) > 0).all()
    distance = np.abs(weights[..., None] - shared.codebook)
    np.testing.assert_allclose(distance.min(-1), np.abs(weights - shared.weights), atol=1e-6)
    for number, value in enumerate(shared.codebook):
        assert value == pytest.approx(weights[shared.indices == number].mean(), abs=1e-5)
    assert shared.squared_error == pytest.approx(
        np.square(weights.astype(float) - shared.weights).sum())


def test_more_entries_have_less_error(weights):
    errors = [share_weights(weights, entries, "quantile").squared_error
              for entries in (1, 4, 16, 64, 256)]
    assert errors == sorted(errors, reverse=True) and errors[-1] < errors[0] / 1000


def test_few_values_are_kept_exactly():
    values = np.repeat([-2.0, 0.25, 3.0], 5).reshape(3, 5)
    shared = share_weights(values, 16)
    assert shared.codebook.tolist() == [-2, 0.25, 3] and shared.squared_error == 0
    np.testing.assert_array_equal(shared.weights, values)
    assert shared.bits == 2


@pytest.mark.parametrize("initial", INITIAL)
@pytest.mark.parametrize("entries", [2, 3, 16])
def test_zeros_stay_zeros_and_nothing_becomes_one(weights, initial, entries):
    pruned = np.where(np.abs(weights) < 0.5, 0, weights)
    shared = share_weights(pruned, entries, initial)
    np.testing.assert_array_equal(shared.weights == 0, pruned == 0)
    assert len(shared.codebook) == entries
    nothing = share_weights(np.zeros(9), entries)
    assert nothing.codebook.tolist() == [0] and not nothing.weights.any()


def test_the_seed_decides(weights):
    one, same, other = (share_weights(weights, 16, "random", seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.indices, same.indices)
    assert not np.array_equal(one.codebook, other.codebook)


@pytest.mark.parametrize("call, why", [
    (lambda: share_weights(np.ones(4), 0), "entries: expected at least 1, found 0"),
    (lambda: share_weights(np.zeros(4), 1), "entries: expected at least 2, found 1"),
    (lambda: share_weights(np.ones(4), 16, "mean"), "initial: expected one of linear, quantile"),
    (lambda: share_weights(np.ones(4), 16, seed=-1), "seed: expected at least 0, found -1"),
    (lambda: share_weights([np.nan], 16), "weights: expected finite numbers"),
])
def test_wrong_arguments_are_one_line(call, why):
    with pytest.raises(InputError, match=why):
        call()


@pytest.mark.parametrize("values", [[-3e8, 1e-3, 2e-3], [0.1, 0.3, 0.7]])
def test_values_that_fit_the_codebook_stay(values):
    for dtype in (np.float32, np.float64):
        weights = np.tile(np.array(values, dtype), 50)
        shared = share_weights(weights, 16)
        np.testing.assert_array_equal(shared.weights, weights)
        assert shared.squared_error == 0


def test_a_large_weight_takes_nothing_from_the_mean_of_small_ones():
    weights = np.concatenate([[-3e15], np.linspace(1e-3, 2e-3, 40)])
    shared = share_weights(weights, 2)
    np.testing.assert_array_equal(shared.codebook, [-3e15, weights[1:].sum() / 40])


def test_lists_of_several_lengths_are_no_weights():
    with pytest.raises(InputError, match="^weights: expected an array, found lists of several"):
        share_weights([[1.0], [1.0, 2.0]], 4)
