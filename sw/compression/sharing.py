"""Weight sharing: a few values for all weights of a layer, found by k-means in one dimension.

Han et al., "Deep compression", ICLR 2016; the iteration is Lloyd's, "Least squares quantization in
PCM", IEEE Transactions on Information Theory, 1982.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kaniwa.compression.arguments import (
    Floats,
    choice,
    float_weights,
    whole_number,
    with_squares,
)

__all__ = ["INITIAL", "SharedWeights", "share_weights"]

INITIAL = ("linear", "quantile", "random")
ITERATIONS = 300


@dataclass(frozen=True)
class SharedWeights:
    """``codebook`` [entries] in ascending order, of the weights' dtype, and ``indices`` into it,
    intp of the weights' shape. ``squared_error``: the sum over all weights."""

    codebook: Floats
    indices: npt.NDArray[np.intp]
    squared_error: float

    @property
    def weights(self) -> Floats:
        """The weights that codebook and indices stand for."""
        return self.codebook[self.indices]

    @property
    def bits(self) -> int:
        """Bits of an index."""
        return max(1, (len(self.codebook) - 1).bit_length())


def share_weights(weights: npt.ArrayLike, entries: int, initial: str = "linear", seed: int = 0,
                  keep_zeros: bool = True) -> SharedWeights:
    """The codebook of at most ``entries`` values with little squared error, and the indices.

    ``weights``: real numbers of any shape. ``initial``: where the iteration begins. "linear" has
    equal steps from the least to the largest weight, so that the few large ones get entries;
    "quantile" has equal numbers of weights for each entry; "random" draws weights by ``seed``.
    ``keep_zeros``: weights of 0, as pruning leaves them, stay 0 and have an entry of their own.
    Entries that no weight uses are left out, so the codebook may be shorter. Raises InputError.
    """
    values = with_squares("weights", float_weights("weights", weights))
    whole_number("entries", entries, 1 + bool(keep_zeros and not values.all()))
    choice("initial", initial, INITIAL)
    whole_number("seed", seed, 0)
    flat = values.ravel().astype(np.float64)
    moving = flat[flat != 0] if keep_zeros else flat
    zero = moving.size < flat.size
    ordered = np.sort(moving)
    centers: Floats = np.empty(0)
    if moving.size:
        centers = np.unique(ordered)
        if len(centers) > entries - zero:
            centers = _lloyd(ordered, _begin(ordered, centers, entries - zero, initial, seed))
    codebook = np.unique(np.append(centers, 0.0) if zero else centers).astype(values.dtype)
    codebook = np.unique(codebook)     # two may have become one in float32
    indices = _nearest(flat, codebook.astype(np.float64))
    if zero:
        at = int(np.searchsorted(codebook, 0))
        indices = _around_zero(flat, codebook.astype(np.float64), indices, at)
    used, indices = np.unique(indices, return_inverse=True)
    codebook = codebook[used]
    error = float(np.square(flat - codebook[indices]).sum())
    return SharedWeights(codebook, indices.reshape(values.shape).astype(np.intp), error)


def _begin(ordered: Floats, different: Floats, entries: int, initial: str, seed: int) -> Floats:
    """Values to begin with, in ascending order; the weights have more ``different`` ones."""
    if initial == "linear":
        return np.linspace(ordered[0], ordered[-1], entries)
    if initial == "quantile":
        return np.unique(np.quantile(ordered, (np.arange(entries) + 0.5) / entries))
    return np.sort(np.random.default_rng(seed).choice(different, entries, replace=False))


def _lloyd(ordered: Floats, centers: Floats) -> Floats:
    """Centers that are the means of the values nearest to them, or after ITERATIONS almost."""
    for _ in range(ITERATIONS):
        borders = np.searchsorted(ordered, (centers[1:] + centers[:-1]) / 2)
        ends = np.concatenate([[0], borders, [len(ordered)]])
        counts = np.diff(ends)
        # Each mean by itself: in differences of one sum of all a small weight is lost.
        means = np.zeros(len(counts))
        means[counts > 0] = np.add.reduceat(ordered, ends[:-1][counts > 0]) / counts[counts > 0]
        if unused := np.count_nonzero(counts == 0):     # they go where the error is largest
            error = np.abs(ordered - np.repeat(means, counts))
            means[counts == 0] = ordered[np.argsort(error, kind="stable")[-unused:]]
        means = np.sort(means)
        if np.array_equal(means, centers):
            break
        centers = means
    return centers


def _nearest(values: Floats, codebook: Floats) -> npt.NDArray[np.intp]:
    return np.searchsorted((codebook[1:] + codebook[:-1]) / 2, values)


def _around_zero(values: Floats, codebook: Floats, indices: npt.NDArray[np.intp],
                 zero: int) -> npt.NDArray[np.intp]:
    """Only weights of 0 have its entry: a weight beside it takes the nearest of the others."""
    indices = np.where(values == 0, zero, indices)
    moved = (indices == zero) & (values != 0)
    others = np.delete(np.arange(len(codebook)), zero)
    indices[moved] = others[_nearest(values[moved], codebook[others])]
    return indices
