"""Labelled data of any usual form, as single inferences: arrays, iterables, a DataLoader, a file.

PyTorch's tensors are known by their methods; torch is not imported.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from kaniwa.data.inputs import as_batch, load_inputs, load_labels, quantize
from kaniwa.errors import InputError

__all__ = ["Prepare", "labelled"]

Prepare = Callable[[np.ndarray], np.ndarray]


def labelled(data: Any, tensors: Sequence[Any], uint8: bool = False,
             prepare: Prepare | None = None) -> Iterator[tuple[dict[str, np.ndarray], int]]:
    """Inputs by name and label of each inference in ``data``.

    ``data`` is a pair (x, y) of arrays, an iterable of pairs of a sample or a batch with its
    labels, or the path of an ``.npz`` file with x and y. ``tensors`` are the model's inputs: of
    several, x is a dict by name or a list in their order. ``prepare`` is called with each array
    before all else. Floats for an integer input are quantized with its scale; with ``uint8``,
    uint8 data for an int8 input is taken as x - 128. Raises InputError naming the item.
    """
    if isinstance(data, str | os.PathLike):
        inputs, labels = load_inputs(data, tensors, uint8=uint8), load_labels(data)
        if len(labels) < len(inputs):
            raise InputError(f"{data}: {len(inputs)} inferences but {len(labels)} labels")
        yield from zip(inputs, labels.tolist(), strict=False)
        return
    pair = isinstance(data, tuple) and len(data) == 2 and not isinstance(data[0], tuple)
    if not pair and not isinstance(data, Iterable):
        raise InputError(f"data must be (x, y), an iterable of pairs, or a file, not "
                         f"{type(data).__name__}")
    for number, item in enumerate([data] if pair else data):
        where = "data" if pair else f"item {number} of data"
        if not isinstance(item, tuple | list) or len(item) != 2:
            raise InputError(f"{where}: expected a pair of input and label, found "
                             f"{type(item).__name__}")
        yield from _split(where, item[0], item[1], _Form(tensors, uint8, prepare))


class _Form:
    """The model's inputs, and how to come to them."""

    def __init__(self, tensors: Sequence[Any], uint8: bool, prepare: Prepare | None) -> None:
        self.tensors, self.uint8, self.prepare = tensors, uint8, prepare

    def batch(self, where: str, tensor: Any, value: Any) -> np.ndarray:
        """``value`` as [n, *shape] of the tensor's dtype."""
        array = _array(where, value)
        if self.prepare is not None:
            array = np.asarray(self.prepare(array))
        shape = tuple(tensor.shape)
        if shape[:1] == (1,) and array.shape == shape[1:]:
            array = array[None]       # a sample without the batch's axis
        if array.ndim == len(shape) and array.shape == shape:
            array = array[None]
        if array.dtype.kind == "f" and tensor.dtype != "bool":
            if tensor.dtype != "float32" and not np.isfinite(array).all():
                raise InputError(f"{where}: '{tensor.name}': expected finite numbers")
            array = quantize(array, tensor)
        return as_batch(where, tensor, array, self.uint8)


def _split(where: str, x: Any, y: Any, form: _Form) -> Iterator[tuple[dict[str, np.ndarray], int]]:
    """The inferences of a batch, or the only one of a sample."""
    names = [tensor.name for tensor in form.tensors]
    if not isinstance(x, Mapping):
        several = len(names) > 1 and isinstance(x, tuple | list) and len(x) == len(names)
        x = dict(zip(names, x if several else [x], strict=False))
    if set(x) != set(names):
        raise InputError(f"{where}: expected inputs {sorted(names)}, found {sorted(x)}")
    batches = {tensor.name: form.batch(where, tensor, x[tensor.name]) for tensor in form.tensors}
    labels = _array(where, y).reshape(-1)
    if labels.dtype.kind not in "iu":
        raise InputError(f"{where}: labels: expected integers, found {labels.dtype}")
    counts = {len(batch) for batch in batches.values()}
    if counts != {len(labels)}:
        raise InputError(f"{where}: {max(counts)} inferences but {len(labels)} labels")
    for i, label in enumerate(labels.tolist()):
        yield {name: batch[i] for name, batch in batches.items()}, label


def _array(where: str, value: Any) -> np.ndarray:
    """An array of what may be a PyTorch tensor, on any device."""
    for method in ("detach", "cpu", "numpy"):
        if not isinstance(value, np.ndarray) and callable(getattr(value, method, None)):
            value = getattr(value, method)()
    try:
        array = np.asarray(value)
    except ValueError:
        raise InputError(f"{where}: expected an array, found a ragged list") from None
    if array.dtype.kind not in "biuf":
        raise InputError(f"{where}: expected numbers, found {type(value).__name__}")
    return array
