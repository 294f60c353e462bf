"""LOGISTIC, TANH, ELU, GELU, EXP, LOG, SQRT and RSQRT as LiteRT's reference kernels define them.

Sources: ``activations.cc``, ``exp.cc``, ``elementwise.cc`` and ``reference/gelu.h``. Bytes look
their results up; int16 interpolates; float32 calls the C library (``kaniwa.golden.numbers.libm``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from kaniwa.golden.numbers import libm
from kaniwa.golden.numbers.roots import rsqrt_float, rsqrt_int8, rsqrt_int16, sqrt, sqrt_float
from kaniwa.golden.numbers.tables import (
    Function,
    byte_table,
    int16_table,
    look_up_bytes,
    look_up_int16,
)
from kaniwa.golden.registry import Call, kernel
from kaniwa.golden.tflite.sigmoid import logistic_int16, tanh_int16

__all__ = [
    "logistic",
    "logistic_float",
    "elu",
    "gelu",
    "gelu_by_tanh",
    "log_from",
    "function_of",
    "table",
]

ONE, HALF = np.float32(1), np.float32(0.5)
SQRT_TWO_OVER_PI = np.float32(math.sqrt(2 / math.pi))
# Beyond these LiteRT's float32 kernel takes 1, and exp(x).
LARGEST_LOGISTIC, SMALLEST_LOGISTIC = np.float32(16.619047164916992), np.float32(-9)


def logistic(x: np.ndarray) -> np.ndarray:
    """float32 1 / (1 + exp(-x)), as the tables of bytes have it."""
    return ONE / (ONE + libm.exp(-x))


def logistic_float(x: np.ndarray) -> np.ndarray:
    """float32 1 / (1 + exp(-x)), with 1 for large and exp(x) for small x."""
    inside = logistic(np.clip(x, SMALLEST_LOGISTIC, LARGEST_LOGISTIC))
    result = np.where(x > LARGEST_LOGISTIC, ONE, inside)
    return np.where(x < SMALLEST_LOGISTIC, libm.exp(np.minimum(x, 0)), result)


def elu(x: np.ndarray) -> np.ndarray:
    """float32 exp(x) - 1 where x is negative, else x."""
    return np.where(x < 0, libm.expm1(np.minimum(x, 0)), x)


def gelu(x: np.ndarray) -> np.ndarray:
    """float32 x / 2 · erfc(-x / √2)."""
    return HALF * x * libm.erfc(x * np.float32(-math.sqrt(0.5)))


def gelu_by_tanh(x: np.ndarray) -> np.ndarray:
    """float32 approximation of ``gelu``: x / 2 · (1 + tanh(√(2/π) · (x + 0.044715 · x³)))."""
    cubic = x + np.float32(0.044715) * x * x * x
    return HALF * x * (ONE + libm.tanh(SQRT_TWO_OVER_PI * cubic))


def log_from(lowest: np.float32) -> Function:
    """float32 log(x) where x is positive, else ``lowest``."""

    def function(x: np.ndarray) -> np.ndarray:
        inside = x > 0
        return np.where(inside, libm.log(np.where(inside, x, ONE)), lowest)

    return function


def function_of(
    kind: str, attributes: Mapping[str, object], dtype: str, scale: float, zero_point: int
) -> Function:
    """The float32 function that fills the tables of operator ``kind`` with this output."""
    if kind == "GELU":
        return gelu_by_tanh if attributes["approximate"] else gelu
    if kind == "LOG":
        return log_from(np.float32(np.iinfo(dtype).min - zero_point) * np.float32(scale))
    return {"LOGISTIC": logistic, "TANH": libm.tanh, "ELU": elu, "EXP": libm.exp}[kind]


def table(
    kind: str,
    attributes: Mapping[str, object],
    dtype: str,
    scales: tuple[float, float],
    zero_points: tuple[int, int],
) -> np.ndarray:
    """The table of operator ``kind`` for int8, uint8 or int16; pairs are (input, output).

    Raises ``OverflowError`` where a result does not fit an integer.
    """
    function = function_of(kind, attributes, dtype, scales[1], zero_points[1])
    if dtype == "int16":
        return int16_table(function, scales=scales, zero_points=zero_points)
    return byte_table(function, dtype=dtype, scales=scales, zero_points=zero_points)


FLOAT_FUNCTIONS = {
    "LOGISTIC": logistic_float,
    "TANH": libm.tanh,
    "ELU": elu,
    "EXP": libm.exp,
    "LOG": libm.log,
}
INT16_FUNCTIONS = {"LOGISTIC": logistic_int16, "TANH": tanh_int16}


@kernel("LOGISTIC", "TANH", "ELU", "GELU", "EXP", "LOG")
def _function(call: Call) -> np.ndarray:
    kind, x = call.op.kind, call.value(0)
    if x.dtype == np.float32:
        return FLOAT_FUNCTIONS[kind](x)
    if x.dtype == np.int16 and kind in INT16_FUNCTIONS:
        return INT16_FUNCTIONS[kind](x, scale=call.quantization(0).scale)
    entries = table(kind, call.op.attributes, str(x.dtype), call.scales, call.zero_points)
    return (look_up_int16 if x.dtype == np.int16 else look_up_bytes)(entries, x)


@kernel("SQRT")
def _sqrt(call: Call) -> np.ndarray:
    if call.output.dtype == "float32":
        return sqrt_float(call.value(0))
    return sqrt(call.value(0), scales=call.scales, zero_points=call.zero_points)


@kernel("RSQRT")
def _rsqrt(call: Call) -> np.ndarray:
    x = call.value(0)
    if x.dtype == np.float32:
        return rsqrt_float(x)
    quantised = rsqrt_int8 if x.dtype == np.int8 else rsqrt_int16
    return quantised(x, scales=call.scales, zero_points=call.zero_points)
