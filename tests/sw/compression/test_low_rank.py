"""Two layers of low rank compute what the one computed, as far as their rank goes."""

import numpy as np
import pytest

from kaniwa.compression.low_rank import (
    factor_convolution,
    factor_dense,
    rank_of_energy,
    separate_convolution,
)
from kaniwa.compression.sharing import share_weights
from kaniwa.errors import InputError


@pytest.fixture
def rng():
    return np.random.default_rng(8)


def composed(factors):
    """The weights that two dense layers amount to."""
    return factors.second @ factors.first


@pytest.mark.parametrize("shape", [(6, 9), (9, 6)])
def test_a_dense_layer_at_full_rank_is_the_layer(rng, shape):
    weights = rng.normal(size=shape).astype(np.float32)
    factors = factor_dense(weights, rank=6)
    assert factors.first.shape == (6, shape[1]) and factors.second.shape == (shape[0], 6)
    assert factors.first.dtype == np.float32 and factors.energy == pytest.approx(1)
    np.testing.assert_allclose(composed(factors), weights, atol=1e-5)
    assert factors.weights == 6 * 15 and factors.before == 54


@pytest.mark.parametrize("factor, rank", [(factor_convolution, 8), (separate_convolution, 15)])
def test_a_convolution_at_full_rank_is_the_layer(rng, factor, rank):
    weights = rng.normal(size=(8, 5, 3, 4))
    factors = factor(weights, rank=rank)
    assert factors.rank == rank
    separate = factor is separate_convolution
    assert factors.first.shape == (rank, 5, 3, 1 if separate else 4)
    assert factors.second.shape == (8, rank, 1, 4 if separate else 1)
    if separate:
        whole = np.einsum("orw,rih->oihw", factors.second[:, :, 0], factors.first[..., 0])
    else:
        whole = np.einsum("or,rihw->oihw", factors.second[:, :, 0, 0], factors.first)
    np.testing.assert_allclose(whole, weights, atol=1e-10)


def test_what_is_separable_takes_one_channel(rng):
    weights = np.einsum("o,w,ih->oihw", *(rng.normal(size=s) for s in (8, 3, (5, 3))))
    factors = separate_convolution(weights, energy=0.999999)
    assert factors.rank == 1 and factors.weights == 5 * 3 + 8 * 3


def test_the_error_is_that_of_the_energy_left_out(rng):
    weights = rng.normal(size=(20, 30))
    errors = []
    for rank in (1, 5, 10, 20):
        factors = factor_dense(weights, rank=rank)
        error = np.square(weights - composed(factors)).sum() / np.square(weights).sum()
        assert error == pytest.approx(1 - factors.energy, abs=1e-9)
        errors.append(error)
    assert errors == sorted(errors, reverse=True)


@pytest.mark.parametrize("energy", [0, 0.3, 0.9, 0.99, 1])
def test_the_rank_is_the_least_with_the_energy(rng, energy):
    weights = rng.normal(size=(12, 40))
    factors = factor_dense(weights, energy=energy)
    assert factors.energy >= energy - 1e-12
    if factors.rank > 1:
        assert factor_dense(weights, rank=factors.rank - 1).energy < energy


def test_the_rank_of_singular_values():
    assert rank_of_energy([2, 1, 0], 0.8) == 1
    assert rank_of_energy([2, 1, 0], 0.81) == 2
    assert rank_of_energy([2, 1, 0], 1) == 2
    assert rank_of_energy([0, 0], 0.5) == 1
    assert factor_dense(np.zeros((3, 4)), energy=0.9).rank == 1


@pytest.mark.parametrize("call, why", [
    (lambda: factor_dense(np.ones(4), 1), "weights: expected 2 dimensions, found 1"),
    (lambda: factor_dense(np.ones((4, 3)), 4), r"rank: expected 1\.\.3, found 4"),
    (lambda: factor_dense(np.ones((4, 3)), 0), r"rank: expected 1\.\.3, found 0"),
    (lambda: factor_dense(np.ones((4, 3))), "give either a rank or the energy .* found neither"),
    (lambda: factor_dense(np.ones((4, 3)), 1, 0.5), "found both"),
    (lambda: factor_dense(np.ones((4, 3)), energy=2), r"energy: expected 0\.\.1, found 2"),
    (lambda: factor_convolution(np.ones((4, 3)), 1), "weights: expected 4 dimensions, found 2"),
    (lambda: separate_convolution(np.ones((4, 3)), 1), "weights: expected 4 dimensions"),
    (lambda: rank_of_energy([1, 2], 0.5), "singular values: expected descending ones"),
])
def test_wrong_arguments_are_one_line(call, why):
    with pytest.raises(InputError, match=why):
        call()


@pytest.mark.parametrize("call", [
    lambda w: factor_dense(w, rank=1), lambda w: factor_dense(w, energy=0.9),
    lambda w: rank_of_energy(w[0], 0.5), lambda w: share_weights(w, 2)])
def test_weights_whose_squares_overflow_are_refused(call):
    with pytest.raises(InputError, match=r"up to 1e\+160, whose squares have no sum in float64"):
        call(np.full((2, 3), 1e160))
