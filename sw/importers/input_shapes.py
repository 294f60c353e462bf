"""Shapes of inputs that a model leaves open, fixed by who reads it: ``--shape``, ``shapes=``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from kaniwa.errors import InputError

__all__ = ["Shapes", "chosen_shapes", "fixed_shapes", "parse_shapes"]

Shapes = Mapping[str, tuple[int, ...]]
_CHOSEN: ContextVar[Shapes] = ContextVar("kaniwa.shapes")


def parse_shapes(texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Shapes by input name, of texts like ``x=1x49x40``; raises InputError."""
    shapes: dict[str, tuple[int, ...]] = {}
    for text in texts:
        name, _, sizes = text.rpartition("=")
        if not name or not re.fullmatch(r"[1-9]\d{0,8}(x[1-9]\d{0,8})*", sizes):
            raise InputError(f"--shape {text}: expected NAME=1x49x40, the name of an input and "
                             "its sizes")
        if name in shapes:
            raise InputError(f"--shape {text}: '{name}' has a shape already")
        shapes[name] = tuple(int(size) for size in sizes.split("x"))
    return shapes


@contextmanager
def fixed_shapes(shapes: Shapes) -> Iterator[None]:
    """All models that are read inside have these shapes of inputs."""
    token = _CHOSEN.set(shapes)
    try:
        yield
    finally:
        _CHOSEN.reset(token)


def chosen_shapes() -> Shapes:
    """Those of ``fixed_shapes``, or none."""
    return _CHOSEN.get({})
