"""float32 functions of the machine's C library, applied to arrays.

LiteRT calls these for what IEEE 754 leaves open (exp, log, tanh, ...), so that its results, and
golden's with them, are those of the C library that is installed: the last bit of a float32 result
may differ from machine to machine. ``sqrt`` is not here: NumPy's is exact everywhere.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from functools import cache

import numpy as np

from kaniwa.errors import UnsupportedError

__all__ = ["exp", "expm1", "log", "tanh", "erfc"]


def exp(x: np.ndarray) -> np.ndarray:
    """``expf`` of each element of a float32 array."""
    return _apply("expf", x)


def expm1(x: np.ndarray) -> np.ndarray:
    """``expm1f`` of each element of a float32 array."""
    return _apply("expm1f", x)


def log(x: np.ndarray) -> np.ndarray:
    """``logf`` of each element of a float32 array."""
    return _apply("logf", x)


def tanh(x: np.ndarray) -> np.ndarray:
    """``tanhf`` of each element of a float32 array."""
    return _apply("tanhf", x)


def erfc(x: np.ndarray) -> np.ndarray:
    """``erfcf`` of each element of a float32 array."""
    return _apply("erfcf", x)


def _apply(name: str, x: np.ndarray) -> np.ndarray:
    bits = np.ascontiguousarray(x, np.float32).view(np.int32)
    # A tensor that came from a quantised one has few different values. 0 and -0 are two.
    values, positions = np.unique(bits, return_inverse=True)
    function = _function(name)
    results = [function(value) for value in values.view(np.float32).tolist()]
    return np.array(results, np.float32)[positions].reshape(np.shape(x))


@cache
def _function(name: str) -> ctypes._NamedFuncPointer:
    library = ctypes.util.find_library("m")
    try:
        function: ctypes._NamedFuncPointer = getattr(ctypes.CDLL(library), name)
    except (OSError, AttributeError):
        raise UnsupportedError(f"the C library has no {name}, which the reference kernels call; "
                               "run on a system with a C mathematics library") from None
    function.argtypes, function.restype = [ctypes.c_float], ctypes.c_float
    return function
