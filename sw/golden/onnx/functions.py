"""Functions of one operand as ONNX defines them, in float64: rules ``qdq`` and ``onnx``.

With rule ``qdq`` the exact operand goes through the function, and the result is rounded once to the
output's steps; with rule ``onnx`` a float32 operand gives the float32 next to the result. exp,
tanh, erf and the like are those of NumPy and the C library: good to the last bits of float64, which
a rounding to 8 bits or to float32 meets once in a million million.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from kaniwa.golden.onnx.float import RULE as FLOAT_RULE
from kaniwa.golden.onnx.qdq import real_operand, register_real
from kaniwa.golden.registry import Call, kernel, quantization

__all__ = ["FUNCTIONS"]

Function = Callable[[np.ndarray, Callable[[str], Any]], np.ndarray]
_erf = np.vectorize(math.erf, otypes=[np.float64])


def _gelu(x: np.ndarray, attribute: Callable[[str], Any]) -> np.ndarray:
    if attribute("approximate"):
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return np.asarray(0.5 * x * (1 + _erf(x / math.sqrt(2))))


def _selu(x: np.ndarray, attribute: Callable[[str], Any]) -> np.ndarray:
    return np.asarray(attribute("gamma") * np.where(x < 0, attribute("alpha") * np.expm1(x), x))


def _celu(x: np.ndarray, attribute: Callable[[str], Any]) -> np.ndarray:
    alpha = attribute("alpha")
    return np.maximum(x, 0) + np.minimum(alpha * np.expm1(x / alpha), 0)


def _of_float32(function: Callable[[np.ndarray], np.ndarray]) -> Function:
    """A function with jumps: its operand is what DequantizeLinear gives, in float32."""
    return lambda x, a: function(x.astype(np.float32).astype(np.float64))


def _above(x: np.ndarray, attribute: Callable[[str], Any]) -> np.ndarray:
    return np.where(x.astype(np.float32) > np.float32(attribute("alpha")), x, 0)


FUNCTIONS: dict[str, Function] = {
    "LOGISTIC": lambda x, a: 1 / (1 + np.exp(-x)),
    "TANH": lambda x, a: np.tanh(x),
    "ELU": lambda x, a: np.where(x < 0, a("alpha") * np.expm1(x), x),
    "LEAKY_RELU": lambda x, a: np.where(x < 0, a("alpha") * x, x),
    "HARD_SIGMOID": lambda x, a: np.clip(a("alpha") * x + a("beta"), 0, 1),
    "HARD_SWISH": lambda x, a: x * np.clip(x / 6 + 0.5, 0, 1),
    "GELU": _gelu,
    "EXP": lambda x, a: np.exp(x),
    "LOG": lambda x, a: np.log(x),
    "SQRT": lambda x, a: np.sqrt(x),
    "ERF": lambda x, a: _erf(x),
    "SOFTPLUS": lambda x, a: np.logaddexp(x, 0),
    "ABS": lambda x, a: np.abs(x),
    "NEG": lambda x, a: -x,
    "RECIPROCAL": lambda x, a: 1 / x,
    "SELU": _selu,
    "CELU": _celu,
    "THRESHOLDED_RELU": _above,
    "MISH": lambda x, a: x * np.tanh(np.logaddexp(x, 0)),
    "SOFTSIGN": lambda x, a: x / (1 + np.abs(x)),
    "SIN": lambda x, a: np.sin(x),
    "COS": lambda x, a: np.cos(x),
    "FLOOR": _of_float32(np.floor),
    "CEIL": _of_float32(np.ceil),
    "ROUND": _of_float32(np.rint),
    "SIGN": lambda x, a: np.sign(x),
    "POW": lambda x, a: np.power(x, a("exponent")),
}


def _softmax(x: np.ndarray, attribute: Callable[[str], Any]) -> np.ndarray:
    axis = attribute("axis")
    powers = np.exp(x - x.max(axis=axis, keepdims=True))
    return np.asarray(powers / powers.sum(axis=axis, keepdims=True))


def _log_softmax(x: np.ndarray, attribute: Callable[[str], Any]) -> np.ndarray:
    axis = attribute("axis")
    below = x - x.max(axis=axis, keepdims=True)
    return np.asarray(below - np.log(np.exp(below).sum(axis=axis, keepdims=True)))


def _register(kind: str, function: Function) -> None:
    def real(call: Call) -> np.ndarray:
        x = real_operand(call, 0)
        with np.errstate(all="ignore"):
            result = function(x, call.attribute)
        if np.isnan(result).any():
            raise OverflowError(f"{kind} of {x[np.isnan(result)].flat[0]} is not a number")
        with np.errstate(over="ignore"):
            return result / quantization(call.output).scale

    def floats(call: Call) -> np.ndarray:
        with np.errstate(all="ignore"):
            result = function(call.value(0).astype(np.float64), call.attribute)
            return result.astype(np.float32)

    register_real(kind)(real)
    kernel(kind, rule=FLOAT_RULE)(floats)


for _kind, _function in {**FUNCTIONS, "SOFTMAX": _softmax,
                          "LOG_SOFTMAX": _log_softmax}.items():
    _register(_kind, _function)


@kernel("LOOKUP")
def _lookup(call: Call) -> np.ndarray:
    """A function of 8 bits, whose ``table`` has the result for each value, the least first."""
    x = call.value(0)
    table = np.array(call.attribute("table"), call.output.dtype)
    return table[x.astype(np.int64) - np.iinfo(x.dtype).min]
