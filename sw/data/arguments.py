"""Checks of the Python types that callers give, where values enter: InputError in one line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from os import PathLike
from pathlib import Path
from typing import TypeVar

from kaniwa.errors import InputError

__all__ = ["expect", "expect_each", "expect_function", "file_path"]

Value = TypeVar("Value")
NAMES: dict[type, str] = {str: "text", Integral: "a whole number", Real: "a number",
                          Iterable: "a list", Mapping: "a mapping of names"}


def expect(what: str, value: Value, *kinds: type) -> Value:
    """``value``, which is one of the ``kinds``; True and False are no numbers."""
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        names = " or ".join(NAMES.get(kind, kind.__name__) for kind in kinds)
        raise InputError(f"{what}: expected {names}, found {type(value).__name__}")
    return value


def expect_each(what: str, values: Iterable[Value], *kinds: type) -> list[Value]:
    """A list of ``values``, each of which is one of the ``kinds``; a text is no list."""
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise InputError(f"{what}: expected a list, found {type(values).__name__}")
    return [expect(f"{what}, number {number}", value, *kinds)
            for number, value in enumerate(values)]


def expect_function(what: str, value: Value) -> Value:
    """``value``, which can be called, or None."""
    if value is not None and not callable(value):
        raise InputError(f"{what}: expected a function, found {type(value).__name__}")
    return value


def file_path(what: str, value: object) -> Path:
    """``value`` as a path."""
    if not isinstance(value, str | PathLike):
        raise InputError(f"{what}: expected a path, found {type(value).__name__}")
    return Path(value)
