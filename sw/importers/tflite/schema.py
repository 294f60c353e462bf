"""The layout of TFLite's tables as far as the importer reads them, for ``tflite_verifier``.

Source: ``schema.fbs`` of TensorFlow. Fields that are not listed are not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kaniwa.runtimes.litert_table import OPTIONS as OF_RUNTIME

__all__ = ["Vector", "Tables", "Table", "Union", "Kind", "SCHEMA"]


@dataclass(frozen=True)
class Vector:
    """A vector of scalars of ``item_size`` bytes."""

    item_size: int


@dataclass(frozen=True)
class Tables:
    """A vector of offsets to tables."""

    name: str


@dataclass(frozen=True)
class Table:
    """An offset to one table."""

    name: str


@dataclass(frozen=True)
class Union:
    """An offset to a table whose name follows from the scalar in field ``type_field``."""

    type_field: int
    names: Mapping[int, str]


STRING = Vector(1)
Kind = int | Vector | Tables | Table | Union  # an int is a scalar of that many bytes
Fields = dict[int, Kind]

# Number in the union BuiltinOptions → name and fields.
OPTIONS: dict[int, tuple[str, Fields]] = {
    1: ("Conv2DOptions", {0: 1, 1: 4, 2: 4, 3: 1, 4: 4, 5: 4, 6: 1}),
    2: ("DepthwiseConv2DOptions", {0: 1, 1: 4, 2: 4, 3: 4, 4: 1, 5: 4, 6: 4}),
    5: ("Pool2DOptions", {0: 1, 1: 4, 2: 4, 3: 4, 4: 4, 5: 1}),
    6: ("SVDFOptions", {0: 4, 1: 1, 2: 1}),
    8: ("FullyConnectedOptions", {0: 1, 1: 1, 2: 1, 3: 1, 4: 1}),
    9: ("SoftmaxOptions", {0: 4}),
    10: ("ConcatenationOptions", {0: 4, 1: 1}),
    11: ("AddOptions", {0: 1, 1: 1}),
    12: ("L2NormOptions", {0: 1}),
    14: ("LSTMOptions", {0: 1, 1: 4, 2: 4, 3: 1, 4: 1}),
    15: ("ResizeBilinearOptions", {2: 1, 3: 1}),
    17: ("ReshapeOptions", {0: Vector(4)}),
    19: ("SpaceToDepthOptions", {0: 4}),
    21: ("MulOptions", {0: 1}),
    23: ("GatherOptions", {0: 4, 1: 4}),
    27: ("ReducerOptions", {0: 1}),
    28: ("SubOptions", {0: 1, 1: 1}),
    29: ("DivOptions", {0: 1}),
    30: ("SqueezeOptions", {0: Vector(4)}),
    32: ("StridedSliceOptions", {0: 4, 1: 4, 2: 4, 3: 4, 4: 4, 5: 1}),
    35: ("SplitOptions", {0: 4}),
    37: ("CastOptions", {0: 1, 1: 1}),
    40: ("ArgMaxOptions", {0: 1}),
    49: ("TransposeConvOptions", {0: 1, 1: 4, 2: 4, 3: 1, 4: 1}),
    55: ("ShapeOptions", {0: 1}),
    57: ("ArgMinOptions", {0: 1}),
    59: ("PackOptions", {0: 4, 1: 4}),
    64: ("UnpackOptions", {0: 4, 1: 4}),
    71: ("UnidirectionalSequenceLSTMOptions", {0: 1, 1: 4, 2: 4, 3: 1, 4: 1, 5: 1}),
    74: ("ResizeNearestNeighborOptions", {0: 1, 1: 1}),
    75: ("LeakyReluOptions", {0: 4}),
    77: ("MirrorPadOptions", {0: 1}),
    79: ("SplitVOptions", {0: 4}),
    94: ("DepthToSpaceOptions", {0: 4}),
    101: ("BatchMatMulOptions", {0: 1, 1: 1, 2: 1}),
    103: ("CallOnceOptions", {0: 4}),
    111: ("VarHandleOptions", {0: STRING, 1: STRING}),
    116: ("GeluOptions", {0: 1}),
}
for _name, (_number, _sizes) in OF_RUNTIME.items():
    OPTIONS.setdefault(_number, (_name, {
        field: Vector(-width) if width < 0 else width for field, width in _sizes.items()}))

SCHEMA: dict[str, Fields] = {
    "Model": {
        0: 4,
        1: Tables("OperatorCode"),
        2: Tables("SubGraph"),
        3: STRING,
        4: Tables("Buffer"),
        7: Tables("SignatureDef"),
    },
    "SignatureDef": {0: Tables("TensorMap"), 1: Tables("TensorMap"), 2: STRING, 4: 4},
    "TensorMap": {0: STRING, 1: 4},
    "OperatorCode": {0: 1, 1: STRING, 2: 4, 3: 4},
    "SubGraph": {0: Tables("Tensor"), 1: Vector(4), 2: Vector(4), 3: Tables("Operator"), 4: STRING},
    "Tensor": {
        0: Vector(4),
        1: 1,
        2: 4,
        3: STRING,
        4: Table("QuantizationParameters"),
        5: 1,
        6: Table("SparsityParameters"),
        7: Vector(4),
    },
    "QuantizationParameters": {2: Vector(4), 3: Vector(8), 4: 1, 6: 4},
    "SparsityParameters": {},
    "Operator": {
        0: 4,
        1: Vector(4),
        2: Vector(4),
        3: 1,
        4: Union(3, {number: name for number, (name, _) in OPTIONS.items()}),
        5: Vector(1),
        8: Vector(4),  # intermediates, of recurrent operators
        9: 8,  # of a custom operator's options behind the flatbuffer: start and size
        10: 8,
    },
    "Buffer": {0: Vector(1), 1: 8, 2: 8},
    **dict(OPTIONS.values()),
}
