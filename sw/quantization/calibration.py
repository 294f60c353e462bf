"""Samples to calibrate with, checked against the inputs of the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from kaniwa.errors import InputError

__all__ = ["FloatInput", "Sample", "load_samples"]

Sample = dict[str, np.ndarray]


@dataclass(frozen=True)
class FloatInput:
    """An input of a model; a dimension of ``shape`` that the model leaves open is None."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str = "float32"


def load_samples(path: Path, inputs: Sequence[FloatInput],
                 limit: int | None = None) -> list[Sample]:
    """The samples in an .npz file, one for each call of the model.

    An array is [n, ...] of the input of its name; with one input and one array the name does not
    matter. Behind n come the input's dimensions, with or without its first one where that is 1 or
    open. Raises InputError for what does not fit, is no number, or is empty.
    """
    try:
        with path.open("rb") as content:
            file = np.load(content, allow_pickle=False)
            if isinstance(file, np.ndarray):
                raise InputError(f"{path}: calibration data are an .npz file of named arrays")
            arrays = {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError, EOFError, KeyError, BadZipFile) as error:
        raise InputError(f"{path}: cannot be read as .npz ({error})") from None
    given = _by_name(path, arrays, inputs)
    taken = {of.name: _batched(path, given[of.name], of)[:limit] for of in inputs}
    counts = {name: len(array) for name, array in taken.items()}
    if len(set(counts.values())) != 1:
        raise InputError(f"{path}: inputs have different numbers of samples: " + ", ".join(
            f"{name} {count}" for name, count in counts.items()))
    count = next(iter(counts.values()))
    if not count:
        raise InputError(f"{path}: no samples")
    return [{name: array[number] for name, array in taken.items()} for number in range(count)]


def _by_name(path: Path, arrays: Mapping[str, np.ndarray],
             inputs: Sequence[FloatInput]) -> Mapping[str, np.ndarray]:
    names = [of.name for of in inputs]
    if len(names) == 1 and names[0] not in arrays:
        # Labelled data have y beside x.
        found = [name for name in arrays if name not in ("y", "labels", "expected")]
        if len(found) == 1:
            return {names[0]: arrays[found[0]]}
    absent = [name for name in names if name not in arrays]
    if absent:
        raise InputError(f"{path}: no array for input {', '.join(map(repr, absent))}; it has "
                         f"{', '.join(map(repr, arrays)) or 'none'}")
    return arrays


def _batched(path: Path, array: np.ndarray, of: FloatInput) -> np.ndarray:
    """[n, *the input's shape]."""
    if array.dtype.kind not in "fiu":
        raise InputError(f"{path}: '{of.name}' has {array.dtype} values, which are no numbers")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputError(f"{path}: '{of.name}' has values that are not finite")
    if array.ndim == len(of.shape) and of.shape and of.shape[0] in (1, None):
        array = array[:, None]
    if array.ndim != len(of.shape) + 1 or any(
            want not in (None, have) for have, want in zip(array.shape[1:], of.shape, strict=True)):
        shape = ", ".join("?" if size is None else str(size) for size in of.shape)
        raise InputError(f"{path}: '{of.name}' is {list(array.shape)}, and the model's input is "
                         f"[{shape}]: samples come first, then that")
    return array.astype(of.dtype)
