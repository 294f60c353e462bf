"""Arithmetic without quantisation: float32, int32 and int64."""

from __future__ import annotations

import numpy as np

__all__ = ["clamped", "exact_integer"]

BOUNDS = {"NONE": (None, None), "RELU": (0, None), "RELU6": (0, 6), "RELU_N1_TO_1": (-1, 1)}


def clamped(x: np.ndarray, activation: str) -> np.ndarray:
    """``x`` with a fused activation, as ``ActivationFunctionWithMinMax`` has it.

    Without a bound it is the largest finite number, so that an infinity does not stay one; a NaN
    passes, for all comparisons with it are false.
    """
    limits = np.finfo(np.float32) if x.dtype == np.float32 else np.iinfo(x.dtype)
    low, high = (limit if bound is None else bound for bound, limit in zip(
        BOUNDS[activation], (limits.min, limits.max), strict=True))
    bottom, top = np.array(low, x.dtype), np.array(high, x.dtype)
    raised = np.where(x < bottom, bottom, x)
    return np.where(top < raised, top, raised)


def exact_integer(operation: np.ufunc, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """``operation`` of two integer arrays, or ``OverflowError`` where C++'s is undefined."""
    limits = np.iinfo(a.dtype)
    with np.errstate(all="ignore"):
        result = operation(a, b)
    # A sum or product of 64 bits in float64 is off by 2^-52 at most; near the end it is refused.
    real = operation(a.astype(np.float64), b.astype(np.float64))
    if result.size and (real.min() < float(limits.min) or real.max() > float(limits.max)):
        raise OverflowError(f"a result of about {real.flat[np.abs(real).argmax()]:.0f} does not "
                            f"fit {a.dtype}")
    return np.asarray(result)
