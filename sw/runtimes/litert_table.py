"""Operators of TFLite that LiteRT may run on the host: their operands and their options.

Source of the options' layout: ``schema.fbs`` of TensorFlow. LiteRT checks most of what a model
says; the table has what it takes for granted.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CUSTOM", "OPERATORS", "OPTIONS", "TakenOperator", "why_not"]

FLOATS = -4      # width of a vector of numbers of 4 bytes
# Name → number in the union BuiltinOptions, and the width in bytes of each field.
OPTIONS: dict[str, tuple[int, dict[int, int]]] = {
    "Pool2DOptions": (5, {0: 1, 1: 4, 2: 4, 3: 4, 4: 4, 5: 1}),
    "LocalResponseNormalizationOptions": (13, {0: 4, 1: 4, 2: 4, 3: 4}),
    "ReducerOptions": (27, {0: 1}),
    "FakeQuantOptions": (58, {0: 4, 1: 4, 2: 4, 3: 1}),
    "OneHotOptions": (61, {0: 4}),
    "CumsumOptions": (102, {0: 1, 1: 1}),
    "Conv3DOptions": (106, {0: 1, 1: 4, 2: 4, 3: 4, 4: 1, 5: 4, 6: 4, 7: 4}),
    "BucketizeOptions": (115, {0: FLOATS}),
}


@dataclass(frozen=True)
class TakenOperator:
    """``least`` to ``most`` operands and ``outputs`` results. ``options`` names the table of
    OPTIONS, of which LiteRT takes for granted that the integers ``positive`` are above 0.

    ``constant`` are operands that decide shapes, so they must be constants: ``shape`` is that of
    the first result, ``count`` a number of at most its elements, and the values of ``below`` are
    less than that. ``spectrum`` has the lengths of a transform, and the last two sizes of the
    result follow from them. ``takes`` are the dtypes of the first operand with which LiteRT does
    no harm, all where it is empty. ``dtypes`` are those of the results, by name or as the operand
    at a position has it; none is known where it is empty.
    """

    least: int
    most: int
    outputs: int = 1
    options: str = ""
    constant: tuple[int, ...] = ()
    positive: tuple[int, ...] = ()
    dtypes: tuple[int | str, ...] = (0,)
    shape: int | None = None
    count: int | None = None
    below: int | None = None
    spectrum: int | None = None
    takes: tuple[str, ...] = ()


_NUMBERS = ("float32", "int32", "int64")
_ONE, _TWO = TakenOperator(1, 1), TakenOperator(2, 2)
_REDUCER = TakenOperator(2, 2, options="ReducerOptions", constant=(1,))
_SEGMENTS = TakenOperator(3, 3, constant=(1, 2), count=2, below=1)
OPERATORS: dict[str, TakenOperator] = {
    **dict.fromkeys(("CEIL", "COS", "FLOOR", "LOGICAL_NOT", "ROUND", "SIGN",
                     "SIN", "SQUARE", "ZEROS_LIKE"), _ONE),
    **dict.fromkeys(("ATAN2", "BITWISE_XOR", "LOGICAL_AND", "LOGICAL_OR", "POW",
                     "RIGHT_SHIFT"), _TWO),
    **dict.fromkeys(("REDUCE_ALL", "REDUCE_ANY", "REDUCE_PROD"), _REDUCER),
    **dict.fromkeys(("UNSORTED_SEGMENT_MAX", "UNSORTED_SEGMENT_MIN", "UNSORTED_SEGMENT_PROD",
                     "UNSORTED_SEGMENT_SUM"), _SEGMENTS),
    "ADD_N": TakenOperator(1, 256),
    "BITCAST": TakenOperator(1, 1, dtypes=()),
    "BUCKETIZE": TakenOperator(1, 1, options="BucketizeOptions", dtypes=("int32",)),
    **dict.fromkeys(("COMPLEX_ABS", "IMAG", "REAL"), TakenOperator(
        1, 1, dtypes=("float32",), takes=("complex64",))),
    "CONV_3D": TakenOperator(2, 3, options="Conv3DOptions", positive=(1, 2, 3, 5, 6, 7)),
    "CONV_3D_TRANSPOSE": TakenOperator(3, 4, options="Conv3DOptions", constant=(0,),
                                       positive=(1, 2, 3, 5, 6, 7), dtypes=(2,), shape=0),
    "CUMSUM": TakenOperator(2, 2, options="CumsumOptions", constant=(1,)),
    "DYNAMIC_UPDATE_SLICE": TakenOperator(3, 3),
    "EMBEDDING_LOOKUP": TakenOperator(2, 2, dtypes=(1,)),
    "FAKE_QUANT": TakenOperator(1, 1, options="FakeQuantOptions", takes=("float32",)),
    # The smallest integer has no remainder with -1 on x86.
    "FLOOR_MOD": TakenOperator(2, 2, takes=("float32",)),
    "MATRIX_DIAG": TakenOperator(1, 1, takes=_NUMBERS),
    "MATRIX_SET_DIAG": TakenOperator(2, 2, takes=_NUMBERS),
    "FILL": TakenOperator(2, 2, constant=(0,), dtypes=(1,), shape=0),
    "L2_POOL_2D": TakenOperator(1, 1, options="Pool2DOptions", positive=(1, 2, 3, 4)),
    "LOCAL_RESPONSE_NORMALIZATION": TakenOperator(
        1, 1, options="LocalResponseNormalizationOptions"),
    "NON_MAX_SUPPRESSION_V4": TakenOperator(5, 5, 2, constant=(2,), count=2,
                                            dtypes=("int32", "int32")),
    "NON_MAX_SUPPRESSION_V5": TakenOperator(6, 6, 3, constant=(2,), count=2,
                                            dtypes=("int32", "float32", "int32")),
    "ONE_HOT": TakenOperator(4, 4, options="OneHotOptions", constant=(1,), dtypes=(2,), count=1),
    "RANK": TakenOperator(1, 1, dtypes=("int32",)),
    "RFFT2D": TakenOperator(2, 2, constant=(1,), dtypes=("complex64",), takes=("float32",),
                            spectrum=1),
    "SCATTER_ND": TakenOperator(3, 3, constant=(0, 2), dtypes=(1,), shape=2),
    "SEGMENT_SUM": TakenOperator(2, 2, constant=(1,), below=1),
    "TOPK_V2": TakenOperator(2, 2, 2, constant=(1,), dtypes=(0, "int32"), count=1),
}
# Custom operators that LiteRT knows. Their options are numbers by name.
CUSTOM: dict[str, TakenOperator] = {"AudioSpectrogram": _ONE, "Mfcc": _TWO}

_DYNAMIC = "the shape of its result depends on values"
_STATE = "keeps values from one inference to the next"
_GRAPHS = "has subgraphs of its own; unroll control flow when converting"
_RANDOM = "gives other values each time"
_UNCHECKED = "LiteRT does not check where it reads and writes"
_TABLE = "needs a table of strings"
_REASONS = {
    **dict.fromkeys(("CALL", "IF", "WHILE"), _GRAPHS),
    **dict.fromkeys(("MULTINOMIAL", "RANDOM_STANDARD_NORMAL", "RANDOM_UNIFORM"), _RANDOM),
    **dict.fromkeys(("HASHTABLE", "HASHTABLE_FIND", "HASHTABLE_IMPORT", "HASHTABLE_LOOKUP",
                     "HASHTABLE_SIZE", "SKIP_GRAM", "LSH_PROJECTION"), _TABLE),
    **dict.fromkeys(("BIDIRECTIONAL_SEQUENCE_LSTM", "BIDIRECTIONAL_SEQUENCE_RNN", "LSTM", "RNN",
                     "UNIDIRECTIONAL_SEQUENCE_RNN"), _STATE),
    **dict.fromkeys(("UNIQUE", "WHERE"), _DYNAMIC),
    **dict.fromkeys(("REVERSE_SEQUENCE", "SPARSE_TO_DENSE"), _UNCHECKED),
}


def why_not(kind: str) -> str:
    """The reason that LiteRT gets no operator of ``kind``, where there is one; else ""."""
    if kind.startswith("CUSTOM("):
        return "LiteRT does not know it"
    if kind.startswith("STABLEHLO_"):
        return "is an operator of StableHLO"
    return _REASONS.get(kind, "")
