"""From a model's output to answers: label files, and the largest classes."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from kaniwa.errors import InputError
from kaniwa.files import check_readable

__all__ = ["Answer", "brief", "class_count", "dequantize", "load_label_names", "real_values",
           "top_classes", "unit"]

MAX_LABEL_BYTES = 16 << 20
FIRST = 8     # values that ``brief`` shows
# What a class's value means, by the operator that makes it.
UNITS = {"SOFTMAX": "probability", "LOGISTIC": "probability", "LOG_SOFTMAX": "log-probability"}
SAME_VALUE = ("DEQUANTIZE", "QUANTIZE", "RESHAPE", "SQUEEZE", "EXPAND_DIMS")


@dataclass(frozen=True)
class Answer:
    """A class, its label (None without labels), and the output's value of it."""

    number: int
    label: str | None
    value: int | float


def load_label_names(path: str | PathLike[str], classes: int | None = None) -> list[str]:
    """The labels in the UTF-8 text file at ``path``, one a line; class 0 is the first.

    Raises InputError for a file that is no such text, an empty line before the last label, and
    where the number of labels is not ``classes`` (if given).
    """
    path = Path(path)
    check_readable(path)
    try:
        if path.stat().st_size > MAX_LABEL_BYTES:
            raise InputError(f"{path.name}: larger than 16 MiB, not a file of labels")
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path.name}: not UTF-8 text: expected one label a line") from None
    except OSError as error:
        raise InputError(f"{path.name}: cannot be read: {error.strerror}") from None
    labels = [line.strip() for line in text.rstrip().split("\n")]
    if "" in labels:
        raise InputError(f"{path.name}: line {labels.index('') + 1} is empty: expected one label "
                         "a line")
    if classes is not None and len(labels) != classes:
        raise InputError(f"{path.name}: {len(labels)} labels, but the model has {classes} classes")
    return labels


def class_count(tensor: Any) -> int:
    """The number of classes of an output tensor: all its dimensions but one are 1.

    Raises InputError for another shape.
    """
    sizes = [size for size in tensor.shape if size != 1]
    if len(sizes) > 1:
        raise InputError(f"output '{tensor.name}' has shape {list(tensor.shape)}: expected one "
                         "value a class to name the largest")
    return sizes[0] if sizes else 1


def top_classes(values: np.ndarray, count: int, labels: list[str] | None = None) -> list[Answer]:
    """The ``count`` classes (all, if fewer) with the largest of ``values``, largest first.

    Equal values are in the order of their classes. Labels are by class.
    """
    flat = np.ravel(values)
    # Python's sort is stable and takes every dtype without a negation that could overflow.
    order = sorted(range(len(flat)), key=lambda i: flat[i], reverse=True)[:count]
    return [Answer(i, labels[i] if labels else None, flat[i].item()) for i in order]


def real_values(values: np.ndarray, tensor: Any) -> np.ndarray:
    """As ``dequantize``; integers without a scale are returned as they are."""
    known = tensor.dtype == "float32" or tensor.scale is not None
    return dequantize(values, tensor) if known else values


def unit(program: Any, tensor: Any) -> str:
    """Meaning of the real values of an output: probability, log-probability or score."""
    makers = {output: (op.kind, op.inputs) for op in program.host_ops for output in op.outputs}
    layers = {layer.name: layer.op.split("+")[-1] for layer in program.layers}
    output = tensor.id
    while output in makers and makers[output][0] in SAME_VALUE:
        output = makers[output][1][0]
    names = {item.id: item.name for item in program.tensors}
    kind = makers[output][0] if output in makers else layers.get(names.get(output, ""), "")
    return UNITS.get(kind, "score")


def brief(values: np.ndarray, tensor: Any) -> dict[str, Any]:
    """Name, shape, dtype and the first values of an output, and of classes the largest.

    ``class`` is None for what are not values of classes; ``value`` is that of the class, as a real
    number where the output has a scale.
    """
    flat = np.ravel(values)
    result = {"name": tensor.name, "shape": list(values.shape), "dtype": str(values.dtype),
              "first": flat[:FIRST].tolist(), "class": None, "value": None}
    if 1 < flat.size == max(values.shape):
        best = int(np.argmax(flat))
        result |= {"class": best, "value": np.ravel(real_values(values, tensor))[best].item()}
    return result


def dequantize(values: np.ndarray, tensor: Any) -> np.ndarray:
    """Real numbers in float32 of ``values`` of ``tensor``: ``(q - zero_point) * scale``.

    float32 values are returned as they are. Raises InputError for integers without a scale.
    """
    if tensor.dtype == "float32":
        return values
    if tensor.scale is None:
        raise InputError(f"output '{tensor.name}' is {tensor.dtype} without a scale: leave out "
                         "--float")
    return ((values.astype(np.float64) - tensor.zero_point) * tensor.scale).astype(np.float32)
