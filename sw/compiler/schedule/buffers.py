"""Memory that stored tensors share, before it has a place."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Buffer"]


@dataclass(frozen=True)
class Buffer:
    """Memory that tensors share, from time ``first`` to time ``last``; ``pinned`` on chip, or the
    ``second`` place of these tensors."""

    tensors: tuple[int, ...]
    size: int
    first: int
    last: int
    pinned: bool = False
    second: bool = False
