"""Low rank: a layer as two of fewer weights, by the singular value decomposition.

The two layers have no activation between them; the second one takes the bias. For a rank no pair
has a smaller squared error (Eckart and Young, "The approximation of one matrix by another of lower
rank", Psychometrika, 1936).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kaniwa.compression.arguments import (
    Floats,
    float_weights,
    share,
    whole_number,
    with_squares,
)
from kaniwa.errors import InputError

__all__ = ["Factors", "factor_convolution", "factor_dense", "rank_of_energy",
           "separate_convolution"]


@dataclass(frozen=True)
class Factors:
    """The weights of the two layers, of the layer's dtype, the first one first.

    ``energy``: the share of the squared singular values that is kept, 1 where nothing is lost.
    ``before``: weights of the layer that the two replace.
    """

    first: Floats
    second: Floats
    energy: float
    before: int

    @property
    def rank(self) -> int:
        """Channels between the two layers."""
        return int(self.first.shape[0])

    @property
    def weights(self) -> int:
        """Weights of both layers."""
        return self.first.size + self.second.size


def rank_of_energy(singular_values: npt.ArrayLike, energy: float) -> int:
    """The least rank whose singular values have the share ``energy`` (0..1) of all squares.

    ``singular_values`` [n] in descending order. Raises InputError.
    """
    what = "singular values"
    values = with_squares(what, float_weights(what, singular_values, 1)).astype(np.float64)
    part = share("energy", energy)
    if (np.diff(values) > 0).any() or values[-1] < 0:
        raise InputError("singular values: expected descending ones, none below 0")
    kept = np.cumsum(values * values)
    # Sums differ in their last bits: all of the energy is every value but those of 0.
    if part == 1.0 or not kept[-1]:
        return max(1, int(np.count_nonzero(values)))
    return min(len(values), 1 + int(np.searchsorted(kept, part * kept[-1])))


def factor_dense(weights: npt.ArrayLike, rank: int | None = None,
                 energy: float | None = None) -> Factors:
    """A dense layer [outputs, inputs] as [rank, inputs] and [outputs, rank].

    Give ``rank``, at most the smaller dimension, or the ``energy`` to keep. Raises InputError.
    """
    values = float_weights("weights", weights, 2)
    left, right, kept = _split(values, rank, energy)
    return Factors(right, left, kept, values.size)


def factor_convolution(weights: npt.ArrayLike, rank: int | None = None,
                       energy: float | None = None) -> Factors:
    """A convolution [outputs, inputs, rows, columns] as one of the same kernel with ``rank``
    outputs, [rank, inputs, rows, columns], and one of 1x1, [outputs, rank, 1, 1].

    Stride, padding and dilation are the first one's. Scheme: Zhang et al., "Accelerating very deep
    convolutional networks for classification and detection", 2015, without its nonlinear part.
    Raises InputError.
    """
    values = float_weights("weights", weights, 4)
    outputs, inputs, rows, columns = values.shape
    left, right, kept = _split(values.reshape(outputs, -1), rank, energy)
    return Factors(right.reshape(-1, inputs, rows, columns), left[:, :, None, None], kept,
                   values.size)


def separate_convolution(weights: npt.ArrayLike, rank: int | None = None,
                         energy: float | None = None) -> Factors:
    """A convolution [outputs, inputs, rows, columns] as a vertical one, [rank, inputs, rows, 1],
    and a horizontal one, [outputs, rank, 1, columns].

    Each takes stride, padding and dilation of its own direction. Scheme: Jaderberg et al.,
    "Speeding up convolutional neural networks with low rank expansions", BMVC 2014. Raises
    InputError.
    """
    values = float_weights("weights", weights, 4)
    outputs, inputs, rows, columns = values.shape
    matrix = values.transpose(0, 3, 1, 2).reshape(outputs * columns, inputs * rows)
    left, right, kept = _split(matrix, rank, energy)
    horizontal = left.reshape(outputs, columns, -1).transpose(0, 2, 1)[:, :, None, :]
    return Factors(right.reshape(-1, inputs, rows, 1), np.ascontiguousarray(horizontal), kept,
                   values.size)


def _split(matrix: Floats, rank: int | None, energy: float | None) -> tuple[Floats, Floats, float]:
    """``matrix`` as [n, rank] @ [rank, m], each with the root of the singular values."""
    if (rank is None) == (energy is None):
        raise InputError("low rank: give either a rank or the energy to keep, "
                         f"found {'both' if rank is not None else 'neither'}")
    with_squares("weights", matrix)
    try:
        u, s, v = np.linalg.svd(matrix.astype(np.float64), full_matrices=False)
    except np.linalg.LinAlgError as error:
        raise InputError(f"weights: the singular values are not found ({error})") from None
    if rank is None:
        assert energy is not None
        rank = rank_of_energy(s, energy)
    whole_number("rank", rank, 1, len(s))
    root = np.sqrt(s[:rank])
    squares = float(s @ s)
    kept = float(s[:rank] @ s[:rank]) / squares if squares else 1.0
    return ((u[:, :rank] * root).astype(matrix.dtype), (root[:, None] * v[:rank]).astype(
        matrix.dtype), min(kept, 1.0))
