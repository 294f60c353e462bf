"""Operators that take several instructions of both units: layers of the array, and VECTORs."""

from __future__ import annotations

from dataclasses import dataclass, field

from kaniwa.layer import Layer, Pair, Tile, VectorLayer

__all__ = ["Stage", "StagedLayer", "Stream"]


@dataclass(frozen=True)
class Stream:
    """A constant tensor with a stream for each image: the ``first`` byte of one, bytes from one
    ``image`` to the next, and from one ``block`` of channels, which has its own header, to the
    next."""

    tensor: int
    first: int
    image: int
    block: int

    def part(self, tile: Tile) -> Pair:
        """Offset and length of what a tile reads."""
        first, last = tile.blocks
        return (self.first + tile.image * self.image + first * self.block,
                (last - first) * self.block)


@dataclass(frozen=True, eq=False)
class Stage:
    """A part of a ``StagedLayer``: a ``layer``, or a VECTOR, for which all before it is complete.

    ``weights`` and ``parameters`` are streams; None: they are those of ``layer``. A VECTOR has the
    operator's ``program``, or one that does nothing.
    """

    layer: Layer | None = None
    weights: Stream | None = None
    parameters: Stream | None = None
    program: bool = False


@dataclass(frozen=True, eq=False)
class StagedLayer(VectorLayer):
    """An operator in ``stages``, which may write streams that later ones read as weights.

    The streams are constant tensors, ``filled`` those with bytes that are written in each run;
    ``reads`` has all of them. ``between`` are tensors from one stage to the next, whose addresses
    the program has behind those of ``reads``.
    """

    stages: tuple[Stage, ...] = field(kw_only=True)
    filled: tuple[int, ...] = field(kw_only=True)
    between: tuple[int, ...] = field(kw_only=True)

    @property
    def makes(self) -> tuple[int, ...]:
        """The tensors that it writes."""
        return (self.ofm, *self.between)
