"""Input arrays from files: checked against the model's inputs, never cast silently."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from kaniwa.errors import InputError
from kaniwa.files import check_readable

__all__ = [
    "load_inputs",
    "load_float_inputs",
    "load_labels",
    "as_batch",
    "inferences",
    "quantize",
    "read_arrays",
    "recorded_inputs",
    "recorded_paths",
    "seeded_inputs",
    "Inputs",
]

Inputs = list[dict[str, np.ndarray]]  # one dict of input name → array an inference

LABELS = ("y", "labels")
# What a file that holds no arrays begins with: its kind, and the option that takes it.
OTHERS = {
    b"\x89PNG": "an image", b"\xff\xd8\xff": "an image", b"BM": "an image", b"GIF8": "an image",
    b"P5": "an image", b"P6": "an image", b"RIFF....WEBP": "an image",
    b"RIFF....WAVE": "a recording",
}
OPTIONS = {"an image": "--image", "a recording": "--wav"}
READ_ERRORS = (
    OSError,
    ValueError,
    EOFError,
    KeyError,
    NotImplementedError,
    MemoryError,
    zipfile.BadZipFile,
    zlib.error,
)


def load_inputs(
    path: str | PathLike[str],
    graph_inputs: Sequence[Any],
    uint8: bool = False,
    limit: int | None = None,
) -> Inputs:
    """Read the inferences in the ``.npz`` or ``.npy`` file at ``path``.

    ``graph_inputs`` have name, shape and dtype. Arrays are keyed by input name; a model with one
    input takes an array of any name, if no other fits. The first axis is inferences: [n,
    *shape], or [n, *shape[1:]] where the model's batch is 1. With ``uint8``, uint8 data for an
    int8 input is taken as x - 128. Other arrays of the file (labels) are ignored. At most
    ``limit`` inferences are returned, each array of exactly the input's shape and dtype.

    Raises ``InputError`` that names what was expected and what was found.
    """
    path = Path(path)
    arrays = read_arrays(path, graph_inputs)
    batches = {t.name: as_batch(path.name, t, arrays[t.name], uint8) for t in graph_inputs}
    return inferences(path, batches, limit)


def load_labels(path: str | PathLike[str], limit: int | None = None) -> np.ndarray:
    """The labels of the ``.npz`` file at ``path``: int64 [n], from its array ``y`` or ``labels``.

    At most ``limit`` are returned. Raises ``InputError`` for an absent array or one that is not
    a vector of integers.
    """
    path = Path(path)
    arrays = _load(path)
    if isinstance(arrays, np.ndarray):
        raise InputError(f"{path.name}: expected array 'y' of labels, found one unnamed array")
    labels = next((arrays[name] for name in LABELS if name in arrays), None)
    if labels is None:
        raise InputError(f"{path.name}: expected array 'y' of labels, found {_found(arrays)}")
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise InputError(
            f"{path.name}: labels: expected a vector of integers, found {labels.dtype}"
            f"{list(labels.shape)}"
        )
    return labels[:limit].astype(np.int64)


def load_float_inputs(
    path: str | PathLike[str], graph_inputs: Sequence[Any], limit: int | None = None
) -> Inputs:
    """As ``load_inputs``, from float32 or float64 data, quantized with each input's scale.

    ``q = clamp(round(x / scale) + zero_point)``, halves away from zero, as LiteRT's QUANTIZE.
    Raises ``InputError`` for data that is not float, or not finite.
    """
    path = Path(path)
    arrays = read_arrays(path, graph_inputs)
    floats = {}
    for tensor in graph_inputs:
        array = arrays[tensor.name]
        if array.dtype.kind != "f" or not np.isfinite(array).all():
            raise InputError(
                f"{path.name}: '{tensor.name}': expected finite float data, found {array.dtype}"
            )
        floats[tensor.name] = as_batch(path.name, tensor, quantize(array, tensor), False)
    return inferences(path, floats, limit)


def quantize(real: np.ndarray, tensor: Any) -> np.ndarray:
    """Finite ``real`` numbers in the dtype of ``tensor``: quantized, or float32 as they are.

    ``q = clamp(round(x / scale) + zero_point)``, halves away from zero, as LiteRT's QUANTIZE.
    Raises ``InputError`` for an integer tensor without a scale.
    """
    if tensor.dtype == "float32":
        return real.astype(np.float32)
    if tensor.scale is None:
        raise InputError(f"'{tensor.name}' is {tensor.dtype} without a scale: give integers")
    with np.errstate(over="ignore"):   # what overflows is clamped
        ratio = real.astype(np.float64) / tensor.scale
    rounded = np.copysign(np.floor(np.abs(ratio) + 0.5), ratio) + tensor.zero_point
    limits = np.iinfo(tensor.dtype)
    return np.clip(rounded, limits.min, limits.max).astype(tensor.dtype)


def recorded_paths(model_path: str | PathLike[str]) -> tuple[Path, Path]:
    """Paths of the recorded vectors of a model: ``refs/NAME.npz`` and ``.json`` beside it."""
    folder = Path(model_path).parent / "refs"
    stem = Path(model_path).stem
    return folder / f"{stem}.npz", folder / f"{stem}.json"


def recorded_inputs(
    model_path: str | PathLike[str], graph_inputs: Sequence[Any] | None = None
) -> Inputs:
    """The inputs of the recorded vectors of the model, one item a sample.

    ``graph_inputs`` are the model's inputs in order, to save importing it again. Raises
    ``InputError`` where there are no recorded vectors or they do not fit the model.
    """
    if graph_inputs is None:
        from kaniwa.importers import load_model

        graph = load_model(model_path)
        graph_inputs = [graph.tensors[i] for i in graph.inputs]
    path, _ = recorded_paths(model_path)
    if not path.is_file():
        raise InputError(
            f"{Path(model_path).name}: no recorded vectors (refs/{path.name} is missing)"
        )
    arrays = _load(path)
    if isinstance(arrays, np.ndarray):
        raise InputError(f"{path.name}: expected an .npz file of recorded vectors")
    count = 0
    while f"in0_{count}" in arrays:
        count += 1
    if count == 0:
        raise InputError(f"{path.name}: expected recorded inputs in0_0, found {_found(arrays)}")
    samples = []
    for s in range(count):
        sample = {}
        for i, tensor in enumerate(graph_inputs):
            if f"in{i}_{s}" not in arrays:
                raise InputError(
                    f"{path.name}: expected recorded input in{i}_{s} for '{tensor.name}'"
                )
            array = arrays[f"in{i}_{s}"]
            _check_dtype(path.name, tensor, array)
            if array.shape != tuple(tensor.shape):
                raise InputError(
                    f"{path.name}: in{i}_{s}: expected shape {list(tensor.shape)}, found "
                    f"{list(array.shape)}"
                )
            sample[tensor.name] = array
        samples.append(sample)
    return samples


def seeded_inputs(graph_inputs: Sequence[Any], count: int = 16, seed: int = 0) -> Inputs:
    """``count`` inferences of noise: uniform over an integer dtype's range, normal for floats."""
    generator = np.random.default_rng(seed)
    return [{t.name: _noise(generator, t) for t in graph_inputs} for _ in range(count)]


def _noise(generator: np.random.Generator, tensor: Any) -> np.ndarray:
    shape = tuple(tensor.shape)
    if tensor.dtype == "float32":
        return np.asarray(generator.standard_normal(shape, np.float32))
    if tensor.dtype == "bool":
        return generator.integers(0, 1, shape, np.bool_, endpoint=True)
    limits = np.iinfo(tensor.dtype)
    return generator.integers(limits.min, limits.max, shape, tensor.dtype, endpoint=True)


def inferences(path: Path, batches: Mapping[str, np.ndarray], limit: int | None) -> Inputs:
    """One dict an inference from arrays [n, *shape]; at most ``limit`` of them."""
    if limit is not None and limit < 1:
        raise InputError(f"limit must be at least 1, not {limit}")
    counts = {name: len(batch) for name, batch in batches.items()}
    if len(set(counts.values())) > 1:
        raise InputError(f"{path.name}: expected as many inferences for each input, found {counts}")
    count = min(counts.values(), default=0)
    if count == 0:
        raise InputError(f"{path.name}: expected at least one inference, found none")
    return [
        {name: np.asarray(batch[i]) for name, batch in batches.items()}
        for i in range(count if limit is None else min(count, limit))
    ]


def _load(path: Path) -> np.ndarray | dict[str, np.ndarray]:
    """The array of an ``.npy`` file, or all arrays of an ``.npz`` file."""
    check_readable(path)
    try:
        # Never with pickle: it would run code from the file.
        with path.open("rb") as file:
            if kind := _other_kind(file.read(12)):
                raise InputError(f"{path.name}: {kind}, not an .npz or .npy file: kaniwa run takes "
                                 f"it with {OPTIONS[kind]}")
            file.seek(0)
            loaded = np.load(file, allow_pickle=False)
            return (
                loaded if isinstance(loaded, np.ndarray) else {k: loaded[k] for k in loaded.files}
            )
    except InputError:
        raise
    except READ_ERRORS as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        if "allow_pickle" in reason:        # NumPy's word for whatever begins with neither magic
            reason = "it begins as neither does"
        elif isinstance(error, zipfile.BadZipFile):
            reason = f"is it cut off? ({reason})"
        raise InputError(f"{path.name}: not a sound .npz or .npy file: {reason}") from None


def _other_kind(start: bytes) -> str | None:
    """The kind of file that begins with ``start``, if it is one of ``OTHERS``."""
    return next((kind for magic, kind in OTHERS.items() if len(start) >= len(magic) and all(
        m in (s, ord(".")) for m, s in zip(magic, start, strict=False))), None)


def read_arrays(path: Path, tensors: Sequence[Any]) -> Mapping[str, np.ndarray]:
    """The arrays of the file, by name of the input that each is for."""
    arrays = _load(path)
    names = [tensor.name for tensor in tensors]
    if isinstance(arrays, np.ndarray):
        if len(names) != 1:
            raise InputError(f"{path.name}: expected arrays {names}, found one unnamed array")
        return {names[0]: arrays}
    if len(names) == 1 and names[0] not in arrays:
        return {names[0]: _only_one(path, arrays, tensors[0])}
    missing = [name for name in names if name not in arrays]
    if missing:
        raise InputError(f"{path.name}: expected array '{missing[0]}', found {_found(arrays)}")
    return arrays


def _only_one(path: Path, arrays: Mapping[str, np.ndarray], tensor: Any) -> np.ndarray:
    """The array for the only input: the one beside labels, the one named x, or the one that fits.
    """
    found = {name: array for name, array in arrays.items() if name not in LABELS}
    fitting = {name: array for name, array in found.items()
               if tuple(tensor.shape) in (array.shape[1:], (1, *array.shape[1:]))}
    for chosen in (found, {"x": arrays["x"]} if "x" in arrays else {}, fitting):
        if len(chosen) == 1:
            return next(iter(chosen.values()))
    raise InputError(f"{path.name}: expected array '{tensor.name}', or one of any name, found "
                     f"{_found(arrays)}")


def _found(arrays: Mapping[str, np.ndarray]) -> str:
    return ", ".join(f"'{name}'" for name in arrays) or "no arrays"


def _check_dtype(file: str, tensor: Any, array: np.ndarray) -> None:
    if array.dtype != np.dtype(tensor.dtype):
        raise InputError(f"{file}: '{tensor.name}': expected {tensor.dtype}, found {array.dtype}")


def as_batch(file: str, tensor: Any, array: np.ndarray, uint8: bool) -> np.ndarray:
    """``array`` as [n, *shape] of the tensor's dtype, in native byte order.

    ``file`` says in messages where the array comes from. Raises ``InputError`` for another shape
    or dtype.
    """
    shape = tuple(tensor.shape)
    if uint8 and tensor.dtype == "int8":
        if array.dtype != np.uint8:
            raise InputError(
                f"{file}: '{tensor.name}': expected uint8 (taken as x - 128), found {array.dtype}"
            )
        # Flipping the top bit of x and reading it as int8 is x - 128.
        array = (array ^ np.uint8(128)).view(np.int8)
    if array.dtype.newbyteorder("=") == np.dtype(tensor.dtype):
        array = array.astype(tensor.dtype, copy=False)
    _check_dtype(file, tensor, array)
    if array.ndim == len(shape) + 1 and array.shape[1:] == shape:
        return array
    if shape[:1] == (1,) and array.ndim == len(shape) and array.shape[1:] == shape[1:]:
        return array.reshape(len(array), *shape)
    expected = f"[n, {', '.join(map(str, shape))}]"
    if shape[:1] == (1,):
        expected = f"[n, {', '.join(map(str, shape[1:]))}] or {expected}"
    raise InputError(
        f"{file}: '{tensor.name}': expected shape {expected}, found {list(array.shape)}"
    )
