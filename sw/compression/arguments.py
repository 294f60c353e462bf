"""Checks of what callers give: each returns the value, or raises InputError in one line."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import numpy.typing as npt

from kaniwa.config import AcceleratorConfig
from kaniwa.errors import InputError

__all__ = ["choice", "float_weights", "share", "target_config", "whole_number",
           "with_squares"]

Floats = npt.NDArray[np.floating[Any]]


def float_weights(what: str, values: npt.ArrayLike, dimensions: int | None = None) -> Floats:
    """``values`` as an array of finite floats, one at least; float32 and float64 stay.

    ``dimensions``: how many it must have; any by default.
    """
    try:
        array = np.asarray(values)
    except ValueError:
        raise InputError(f"{what}: expected an array, found lists of several lengths") from None
    if array.dtype.kind not in "fiu":
        raise InputError(f"{what}: expected real numbers, found {array.dtype}")
    if dimensions is not None and array.ndim != dimensions:
        raise InputError(f"{what}: expected {dimensions} dimensions, found {array.ndim} "
                         f"(shape {list(array.shape)})")
    if not array.size:
        raise InputError(f"{what}: expected one weight at least, found shape {list(array.shape)}")
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise InputError(f"{what}: expected finite numbers, found inf or nan")
    return array


def with_squares(what: str, values: Floats) -> Floats:
    """The ``values``, whose squares have a sum in float64. Raises InputError."""
    with np.errstate(over="ignore"):
        if not np.isfinite(np.square(values, dtype=np.float64).sum()):
            raise InputError(f"{what}: up to {np.abs(values).max():g}, whose squares have no sum "
                             "in float64; scale them down")
    return values


def share(what: str, value: float, highest: float = 1.0) -> float:
    """``value`` between 0 and ``highest``, both included."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise InputError(f"{what}: expected a number, found {value!r}") from None
    if not 0.0 <= number <= highest:
        raise InputError(f"{what}: expected 0..{highest:g}, found {number:g}")
    return number


def whole_number(what: str, value: int, lowest: int, highest: int | None = None) -> int:
    """``value`` as an int of the range; ``highest`` is included, None for none."""
    legal = f"{lowest}..{highest}" if highest is not None else f"at least {lowest}"
    try:
        number = operator.index(value)
    except TypeError:
        raise InputError(f"{what}: expected a whole number, {legal}, found {value!r}") from None
    if isinstance(value, bool) or number < lowest or (highest is not None and number > highest):
        raise InputError(f"{what}: expected {legal}, found {value!r}")
    return number


def target_config(config: AcceleratorConfig) -> AcceleratorConfig:
    """``config`` if it is one, and no name of one."""
    if not isinstance(config, AcceleratorConfig):
        raise InputError(f"config: expected an AcceleratorConfig, found {type(config).__name__}: "
                         "kaniwa.config.load_target gives that of a name")
    return config


def choice(what: str, value: str, known: tuple[str, ...]) -> str:
    """``value`` if it is one of ``known``."""
    if value not in known:
        raise InputError(f"{what}: expected one of {', '.join(known)}, found {value!r}")
    return value
