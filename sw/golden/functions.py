"""LOGISTIC, TANH, ELU, GELU, EXP and LOG as LiteRT's reference kernels define them.

Sources: ``activations.cc``, ``exp.cc``, ``elementwise.cc`` and ``reference/gelu.h``. Bytes look
their results up; int16 interpolates; float32 calls the C library (``kaniwa.golden.libm``).
"""

from __future__ import annotations

import math

import numpy as np

from kaniwa.golden import libm
from kaniwa.golden.registry import Call, kernel, quantization
from kaniwa.golden.sigmoid import logistic_int16, tanh_int16
from kaniwa.golden.tables import (
    Function,
    byte_table,
    int16_table,
    look_up_bytes,
    look_up_int16,
)

__all__ = ["logistic", "logistic_float", "elu", "gelu", "gelu_by_tanh", "log_from"]

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


def _tabulated(call: Call, function: Function) -> np.ndarray:
    """The operand's values looked up in the table of ``function`` for their dtype."""
    x, scales, zero_points = call.value(0), call.scales, call.zero_points
    if x.dtype == np.int16:
        return look_up_int16(int16_table(function, scales=scales, zero_points=zero_points), x)
    dtype = call.output.dtype
    return look_up_bytes(
        byte_table(function, dtype=dtype, scales=scales, zero_points=zero_points), x
    )


@kernel("LOGISTIC")
def _logistic(call: Call) -> np.ndarray:
    x = call.value(0)
    if x.dtype == np.float32:
        return logistic_float(x)
    if x.dtype == np.int16:
        return logistic_int16(x, scale=call.quantization(0).scale)
    return _tabulated(call, logistic)


@kernel("TANH")
def _tanh(call: Call) -> np.ndarray:
    x = call.value(0)
    if x.dtype == np.float32:
        return libm.tanh(x)
    if x.dtype == np.int16:
        return tanh_int16(x, scale=call.quantization(0).scale)
    return _tabulated(call, libm.tanh)


@kernel("ELU")
def _elu(call: Call) -> np.ndarray:
    x = call.value(0)
    return elu(x) if x.dtype == np.float32 else _tabulated(call, elu)


@kernel("GELU")
def _gelu(call: Call) -> np.ndarray:
    return _tabulated(call, gelu_by_tanh if call.attribute("approximate") else gelu)


@kernel("EXP")
def _exp(call: Call) -> np.ndarray:
    x = call.value(0)
    return libm.exp(x) if x.dtype == np.float32 else _tabulated(call, libm.exp)


@kernel("LOG")
def _log(call: Call) -> np.ndarray:
    x = call.value(0)
    if x.dtype == np.float32:
        return libm.log(x)
    out = quantization(call.output)
    smallest = np.iinfo(call.output.dtype).min - out.zero_point
    return _tabulated(call, log_from(np.float32(smallest) * np.float32(out.scale)))
