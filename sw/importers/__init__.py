"""Model files to graphs. A model file is untrusted: each ends in a graph or a ``kaniwa.Error``."""

from __future__ import annotations

import logging
from os import PathLike
from pathlib import Path

from kaniwa.errors import ModelError
from kaniwa.graph import Graph
from kaniwa.importers.input_shapes import Shapes, chosen_shapes
from kaniwa.importers.operators import OPERATORS, OperatorInfo
from kaniwa.importers.tflite.importer import import_tflite

__all__ = ["load_model", "read_model_file", "OPERATORS", "OperatorInfo"]

MAXIMUM_BYTES = 1 << 30

logger = logging.getLogger(__name__)


def load_model(path: str | PathLike[str], shapes: Shapes | None = None) -> Graph:
    """Read the model file at ``path``; the content decides the format, then the extension.

    ``shapes`` are those of inputs, by name, where the file leaves sizes open; those of
    ``input_shapes`` where none are given.
    Raises ``ModelError`` for a file that is missing, unreadable, damaged or of no known format,
    ``InputError`` for a shape that no input can have,
    ``UnsupportedError`` for a sound model that uses what kaniwa does not support.
    """
    shapes = chosen_shapes() if shapes is None else shapes
    data, path = read_model_file(path), Path(path)
    if data[4:8] == b"TFL3" or path.suffix.lower() == ".tflite":
        return import_tflite(data, path.name, shapes)
    if path.suffix.lower() == ".onnx":
        from kaniwa.importers.onnx.model import import_onnx

        return import_onnx(data, path.name, shapes)
    raise ModelError(f"{path}: not a model file that kaniwa knows, expected .tflite or .onnx")


def read_model_file(path: str | PathLike[str]) -> bytes:
    """The content of the model file at ``path``, of any format.

    Raises ``ModelError`` for a file that is missing, unreadable, empty or too large.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise ModelError(f"{path}: is a folder, expected a model file")
        if not path.exists():
            raise ModelError(f"{path}: no such file")
        if not path.is_file() or path.stat().st_size > MAXIMUM_BYTES:
            raise ModelError(f"{path}: not a regular file of at most {MAXIMUM_BYTES >> 20} MiB")
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ModelError(f"{str(path)!r}: cannot be read: {reason}") from None
    if not data:
        raise ModelError(f"{path}: is empty")
    logger.info("%s: a model file of %d bytes", path, len(data))
    return data
