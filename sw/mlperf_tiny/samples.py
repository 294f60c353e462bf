"""Samples of the benchmarks: what is shipped, and files of the user's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kaniwa.data.inputs import load_inputs, load_labels, read_arrays, recorded_inputs
from kaniwa.data.labels import dequantize
from kaniwa.errors import InputError
from kaniwa.evaluation.roc import area_under_roc
from kaniwa.mlperf_tiny.benchmarks import Benchmark
from kaniwa.mlperf_tiny.runner import Sample

__all__ = ["SampleSet", "performance_inputs", "own_samples", "shipped_samples"]

WINDOW_SLICES = 5     # of a spectrogram, in a window of anomaly detection; the stride is one
# Class of each shipped photograph, by the notices in models/inputs/README.md: 1 is a person.
PICTURES = {"admiral": 1, "astronaut": 1, "cat": 0, "clock": 0, "coffee": 0, "coins": 0,
            "photographer": 1, "rocket": 0}


@dataclass(frozen=True)
class SampleSet:
    """``count`` samples, made one by one, and the name of the file or folder that has them."""

    samples: Iterator[Sample]
    count: int
    source: str


def shipped_samples(benchmark: Benchmark, folder: Path, tensor: Any,
                    limit: int | None = None) -> SampleSet:
    """The labelled data in ``folder`` (models/), for the model's input ``tensor``.

    Raises InputError where there are none for this benchmark.
    """
    if not benchmark.quality:
        raise InputError(f"{benchmark.name}: accuracy is not measured: the rules count false "
                         "answers in a stream of sound, which single inferences cannot have")
    if not benchmark.data:
        raise InputError(f"{benchmark.name}: accuracy is not measured: no labelled data are "
                         f"shipped; give --data {benchmark.name}=FILE.npz")
    path = folder / "inputs" / benchmark.data
    if not path.exists():
        raise InputError(f"{path}: no such file; it comes with a clone: give --folder or --data")
    if path.is_dir():
        return _pictures(benchmark, path, tensor, limit)
    return own_samples(benchmark, path, tensor, limit)


def own_samples(benchmark: Benchmark, path: Path, tensor: Any,
                limit: int | None = None) -> SampleSet:
    """The samples of an ``.npz`` file with x (or the input's name) and y, integer labels [n].

    x is [n, *shape] of int8 as the model takes it, or of uint8, taken as x - 128. Of anomaly
    detection x is float32 [n, slices, bins] or [n, slices * bins], a spectrogram a file, and y is
    0 (normal) or 1 (anomaly); windows are of 5 slices and begin at each slice. Raises InputError.
    """
    if not benchmark.quality:
        raise InputError(f"{benchmark.name}: has no accuracy over single samples")
    labels = load_labels(path, limit)
    inputs: Sequence[Any]
    if benchmark.form == "float32":
        inputs = _spectrograms(path, tensor)[:limit]
        made = (Sample(_windows(benchmark, file, tensor), int(label))
                for file, label in zip(inputs, labels, strict=False))
    else:
        array = read_arrays(path, [tensor])[tensor.name]
        inputs = load_inputs(path, [tensor], uint8=array.dtype == np.uint8, limit=limit)
        made = (Sample([benchmark.encode(item[tensor.name])], int(label))
                for item, label in zip(inputs, labels, strict=False))
    if len(labels) < len(inputs) or not len(inputs):
        raise InputError(f"{path}: {len(inputs)} samples but {len(labels)} labels")
    if benchmark.quality == "AUC":       # labels that have none are told before all runs
        area_under_roc(np.zeros(len(inputs)), labels[:len(inputs)])
    return SampleSet(made, len(inputs), path.name)


def performance_inputs(benchmark: Benchmark, model: Path, tensor: Any) -> list[bytes]:
    """The recorded inputs of a shipped model, as bytes of the line."""
    recorded = [item[tensor.name] for item in recorded_inputs(model, [tensor])]
    if benchmark.form == "float32":
        recorded = [dequantize(values, tensor) for values in recorded]
    return [benchmark.encode(values) for values in recorded]


def _pictures(benchmark: Benchmark, folder: Path, tensor: Any, limit: int | None) -> SampleSet:
    from kaniwa.preprocess.image import load_image

    made = [Sample([benchmark.encode(load_image(folder / f"{name}.jpg", tensor))], person)
            for name, person in list(PICTURES.items())[:limit]]
    return SampleSet(iter(made), len(made), folder.name)


def _spectrograms(path: Path, tensor: Any) -> list[np.ndarray]:
    """The files of ``path``, each float32 [slices, bins]."""
    array = read_arrays(path, [tensor])[tensor.name]
    bins = int(np.prod(tensor.shape)) // WINDOW_SLICES
    if array.dtype.kind != "f" or not np.isfinite(array).all():
        raise InputError(f"{path.name}: expected finite floats, found {array.dtype}")
    slices = array.shape[1] // bins if array.ndim == 2 else array.shape[1] if array.ndim == 3 else 0
    if slices < WINDOW_SLICES or array.shape[1:] not in ((slices, bins), (slices * bins,)):
        raise InputError(f"{path.name}: expected shape [n, slices, {bins}] with {WINDOW_SLICES} "
                         f"slices or more, found {list(array.shape)}")
    return list(array.reshape(len(array), slices, bins).astype(np.float32))


def _windows(benchmark: Benchmark, file: np.ndarray, tensor: Any) -> list[bytes]:
    return [benchmark.encode(file[at:at + WINDOW_SLICES].reshape(tensor.shape))
            for at in range(len(file) - WINDOW_SLICES + 1)]
