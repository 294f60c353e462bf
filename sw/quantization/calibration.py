"""Samples to calibrate with, checked against the inputs of the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kaniwa.data.inputs import Inputs, as_batch, inferences, read_arrays
from kaniwa.errors import InputError

__all__ = ["FloatInput", "load_samples"]


@dataclass(frozen=True)
class FloatInput:
    """An input of a model; a dimension of ``shape`` that the model leaves open is None."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str = "float32"


def load_samples(path: Path, inputs: Sequence[FloatInput], limit: int | None = None) -> Inputs:
    """The samples in an .npz file, one for each call of the model.

    As ``kaniwa.data.inputs.load_inputs`` takes them, but numbers of any dtype, and open dimensions
    are those of the array. Raises InputError for what does not fit, is no number, or is empty.
    """
    arrays = read_arrays(path, inputs)
    return inferences(path, {of.name: _batch(path, of, arrays[of.name]) for of in inputs}, limit)


def _batch(path: Path, of: FloatInput, array: np.ndarray) -> np.ndarray:
    """[n, *the input's shape], of its dtype."""
    if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
        raise InputError(f"{path.name}: '{of.name}': expected finite numbers, found {array.dtype}")
    if not array.ndim:
        raise InputError(f"{path.name}: '{of.name}': expected samples, found one number")
    with np.errstate(over="ignore"):
        cast = array.astype(of.dtype)
    if not np.isfinite(cast).all():
        raise InputError(f"{path.name}: '{of.name}': has values beyond {cast.dtype}")
    sizes = (array.shape if array.ndim > len(of.shape) else (len(array), 1, *array.shape[1:]))[1:]
    closed = tuple(have if want is None else want
                   for have, want in zip((*sizes, *[1] * len(of.shape)), of.shape, strict=False))
    return as_batch(path.name, replace(of, shape=closed), cast, False)
