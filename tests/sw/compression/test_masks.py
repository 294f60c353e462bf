"""Masks keep exactly what was asked for, and the largest of it."""

import numpy as np
import pytest

from kaniwa.compression import masks
from kaniwa.config import PRESETS
from kaniwa.errors import InputError
from kaniwa.isa.weight_stream import dense_words

BASE = PRESETS["base"]


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.mark.parametrize("shape", [(7,), (10, 33), (8, 5, 3, 3)])
@pytest.mark.parametrize("sparsity", [0, 0.25, 0.5, 0.9, 1])
@pytest.mark.parametrize("equal", [False, True])
def test_a_mask_leaves_out_exactly_the_share(rng, shape, sparsity, equal):
    weights = np.ones(shape) if equal else rng.normal(size=shape)
    mask = masks.magnitude_mask(weights, sparsity)
    assert mask.shape == shape and mask.dtype == bool
    assert np.count_nonzero(~mask) == round(sparsity * weights.size)
    kept, gone = np.abs(weights[mask]), np.abs(weights[~mask])
    assert not kept.size or not gone.size or kept.min() >= gone.max()
    assert masks.sparsity_of(mask) == pytest.approx(np.mean(~mask))


def test_by_layer_each_loses_the_share_and_globally_the_small_ones_more(rng):
    layers = {"small": rng.normal(0, 0.01, (20, 10)), "large": rng.normal(0, 1, (4, 10, 3, 3))}
    by_layer = masks.magnitude_masks(layers, 0.3)
    assert {n: np.count_nonzero(~m) for n, m in by_layer.items()} == {"small": 60, "large": 108}
    everywhere = masks.magnitude_masks(layers, 0.3, "global")
    assert {n: m.shape for n, m in everywhere.items()} == {n: w.shape for n, w in layers.items()}
    assert sum(np.count_nonzero(~m) for m in everywhere.values()) == 168
    kept = np.concatenate([np.abs(layers[n][m]) for n, m in everywhere.items()])
    gone = np.concatenate([np.abs(layers[n][~m]) for n, m in everywhere.items()])
    assert kept.min() >= gone.max()
    assert masks.sparsity_of(everywhere["small"]) > 0.7
    assert masks.magnitude_masks({}, 0.5, "global") == {}


def test_channels_are_scored_by_their_norm(rng):
    weights = rng.normal(size=(6, 4, 3, 3)).astype(np.float32)
    for axis in (0, 1):
        split = [np.take(weights, i, axis).ravel() for i in range(weights.shape[axis])]
        for norm, order in (("l1", 1), ("l2", 2)):
            np.testing.assert_allclose(masks.channel_scores(weights, norm, axis),
                                       [np.linalg.norm(part, order) for part in split], rtol=1e-6)


def test_the_worthiest_channels_stay_in_order():
    scores = np.array([3.0, 1, 4, 1, 5, 9, 2, 6])
    assert masks.kept_channels(scores, 0.5).tolist() == [2, 4, 5, 7]
    assert masks.kept_channels(scores, 0.5, multiple=3).tolist() == [0, 2, 4, 5, 6, 7]
    assert masks.kept_channels(scores, 0.1, multiple=5).tolist() == list(range(8))
    assert masks.kept_channels(scores, 1).tolist() == [5]
    assert masks.kept_channels(scores, 0).tolist() == list(range(8))


@pytest.mark.parametrize("length", [4, 8, 10])
@pytest.mark.parametrize("axis", [0, 1])
def test_n_of_m_keeps_n_of_each_group(rng, length, axis):
    weights = rng.normal(size=(length, 3) if axis == 0 else (3, length))
    mask = np.moveaxis(masks.n_of_m_mask(weights, 2, 4, axis), axis, 1)
    values = np.moveaxis(np.abs(weights), axis, 1)
    for start in range(0, length, 4):
        group, kept = values[:, start:start + 4], mask[:, start:start + 4]
        assert (kept.sum(1) == min(2, group.shape[1])).all()
        for row, chosen in zip(group, kept, strict=True):
            assert set(row[chosen]) == set(np.sort(row)[-2:])


@pytest.mark.parametrize("shape", [(16, 64), (8, 16, 3, 3), (20, 24, 3, 3), (9, 5, 1, 7), (3, 2)])
@pytest.mark.parametrize("target", ["base", "small"])
@pytest.mark.parametrize("dilated", [False, True])
def test_a_block_is_a_word_of_the_weight_stream(rng, shape, target, dilated):
    config = PRESETS[target]
    weights = rng.integers(1, 100, shape).astype(np.int8)
    mask = masks.block_mask(weights, 0.5, config, dilated)
    masked = np.where(mask, weights, 0)
    if len(shape) == 2:
        rows = masked[:, None, None]
    else:
        rows = masked.transpose(0, 2, 3, 1)
        rows = rows if dilated else rows.reshape(*rows.shape[:2], 1, -1)
    words = dense_words(rows, config)
    used = words.reshape(-1, config.tile_bytes).any(axis=1)
    assert np.count_nonzero(~used) == round(0.5 * used.size)
    whole = dense_words(np.ones_like(rows), config)
    # A word that stays has all of its weights.
    assert (words.reshape(used.size, -1)[used] != 0).sum() == whole.reshape(
        used.size, -1)[used].sum()
    scores = masks.block_scores(weights, config, dilated).ravel()
    assert scores[used].min() >= scores[~used].max(initial=0)


@pytest.mark.parametrize("call, why", [
    (lambda: masks.magnitude_mask(np.ones(4), 1.5), r"sparsity: expected 0\.\.1, found 1.5"),
    (lambda: masks.magnitude_mask(np.ones(4), np.nan), "sparsity: expected 0"),
    (lambda: masks.magnitude_mask(np.ones(4), "half"), "sparsity: expected a number, found 'half'"),
    (lambda: masks.magnitude_mask([], 0.5), "weights: expected one weight at least"),
    (lambda: masks.magnitude_mask(["a"], 0.5), "weights: expected real numbers, found <U1"),
    (lambda: masks.magnitude_mask([np.inf], 0.5), "weights: expected finite numbers"),
    (lambda: masks.magnitude_masks({"a": np.ones(3)}, 0.5, "all"),
     "scope: expected one of layer, global, found 'all'"),
    (lambda: masks.magnitude_masks({"a": [1j]}, 0.5), "weights of 'a': expected real numbers"),
    (lambda: masks.channel_scores(np.ones((2, 2)), "l3"), "norm: expected one of l1, l2"),
    (lambda: masks.channel_scores(np.ones((2, 2)), axis=2), r"axis: expected 0\.\.1, found 2"),
    (lambda: masks.kept_channels(np.ones((2, 2)), 0.5), "scores: expected 1 dimensions, found 2"),
    (lambda: masks.kept_channels(np.ones(2), 0.5, 0), "multiple: expected at least 1, found 0"),
    (lambda: masks.n_of_m_mask(np.ones((2, 4)), 5, 4), r"n: expected 1\.\.4, found 5"),
    (lambda: masks.n_of_m_mask(np.ones((2, 4)), 1, 0), "m: expected at least 1, found 0"),
    (lambda: masks.n_of_m_mask(np.ones((2, 4)), 1.5, 2), "n: expected a whole number"),
    (lambda: masks.block_mask(np.ones((2, 4, 3)), 0.5, BASE),
     r"weights: expected \[outputs, inputs\] or .* found shape \[2, 4, 3\]"),
    (lambda: masks.sparsity_of(np.ones(3)), "mask: expected bools"),
])
def test_wrong_arguments_are_one_line(call, why):
    with pytest.raises(InputError, match=why) as raised:
        call()
    assert "\n" not in str(raised.value)


def test_a_name_is_no_config_and_a_list_no_layers(rng):
    weights = rng.normal(size=(8, 16))
    with pytest.raises(InputError, match="expected an AcceleratorConfig, found str: kaniwa.config"):
        masks.block_mask(weights, 0.5, "base")
    with pytest.raises(InputError, match="expected an AcceleratorConfig, found str: kaniwa.config"):
        masks.block_scores(weights, "base")
    with pytest.raises(InputError, match="layers: expected weights by name, found list"):
        masks.magnitude_masks([weights], 0.5)


def test_more_neighbors_than_there_are_are_all(rng):
    weights = rng.normal(size=(8, 16))
    np.testing.assert_array_equal(masks.n_of_m_mask(weights, 3, 10**12),
                                  masks.n_of_m_mask(weights, 3, 16))


def test_the_largest_weights_stay_however_large_they_are():
    """Magnitudes are compared, not squared."""
    assert masks.magnitude_mask(np.array([[1e160, 1.0], [-2e160, 0.5]]), 0.5).tolist() == [
        [True, False], [True, False]]


def test_norms_of_squares_that_overflow_are_refused():
    with pytest.raises(InputError, match="whose squares have no sum in float64"):
        masks.channel_scores(np.full((2, 3), 1e160), "l2")
