"""The loops of a layer, where its results lie, and the parts of it that are instructions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

from kaniwa.compiler.plan.operands import Pair

__all__ = ["Geometry", "Hwc", "Pair", "PartedMap", "ScatteredOutput", "SpacedMap", "Stream", "Tile"]

Hwc = tuple[int, int, int]      # rows, columns, channels


@dataclass(frozen=True)
class Geometry:
    """The loops of a layer. Maps are HWC, one after the other for each image of the batch.

    ``padding`` is (top, left); bottom and right follow from the sizes.
    """

    batch: int
    ifm: Hwc
    ofm: Hwc
    kernel: Pair
    stride: Pair
    dilation: Pair
    padding: Pair

    @property
    def extent(self) -> Pair:
        """Input rows and columns that a window spans."""
        return ((self.kernel[0] - 1) * self.dilation[0] + 1,
                (self.kernel[1] - 1) * self.dilation[1] + 1)

    @property
    def output(self) -> ScatteredOutput:
        """The places of the results that make a map without gaps."""
        _, columns, channels = self.ofm
        return ScatteredOutput(0, prod(self.ofm), columns * channels, channels, channels, 0)

    def of_part(self, parts: int) -> Geometry:
        """These windows over a part of the channels of pixels that have so many ``parts``.

        The distance of two pixels is a multiple of a part. So the map is seen as one with as many
        more columns, of which windows take each so many-th one.
        """
        (rows, columns, part), wide = self.ifm, [n[1] * parts for n in (
            self.stride, self.dilation, self.padding)]
        return replace(self, ifm=(rows, (columns - 1) * parts + 1, part),
                       stride=(self.stride[0], wide[0]), dilation=(self.dilation[0], wide[1]),
                       padding=(self.padding[0], wide[2]))


@dataclass(frozen=True)
class ScatteredOutput:
    """Places of results that are not a map: from byte ``first`` on. Bytes from one ``image``,
    ``row`` and ``pixel`` to the next; ``of_run`` from one run of ``run`` channels, which are
    neighbors, to the next."""

    first: int
    image: int
    row: int
    pixel: int
    run: int
    of_run: int

    def ascending(self, shape: Hwc) -> bool:
        """True for a map of results that is written in the order of addresses."""
        rows, columns, _ = shape
        return (columns < 2 or self.pixel >= self.run) and (
            rows < 2 or self.row >= (columns - 1) * self.pixel + self.run)


@dataclass(frozen=True)
class SpacedMap:
    """A stored map with gaps: ``pixel`` bytes from one pixel to the next, ``row`` bytes from one
    row to the next, of ``images`` maps of a ``shape``. Nothing that is read of a gap counts."""

    images: int
    shape: Hwc
    row: int
    pixel: int

    @property
    def image(self) -> int:
        """Bytes from one image to the next."""
        return self.shape[0] * self.row

    @property
    def bytes(self) -> int:
        """The memory of all images, gaps included."""
        return self.images * self.image

    @property
    def whole_rows(self) -> bool:
        """True where there are gaps between pixels only."""
        return self.row == self.shape[1] * self.pixel

    @property
    def axes(self) -> tuple[Pair, ...]:
        """Number of images, rows, columns and channels, and bytes from one to the next of each."""
        rows, columns, channels = self.shape
        return (self.images, self.image), (rows, self.row), (columns, self.pixel), (channels, 1)

    @property
    def output(self) -> ScatteredOutput:
        """The places of the results that make the map."""
        return ScatteredOutput(0, self.image, self.row, self.pixel, self.shape[2], 0)


@dataclass(frozen=True)
class PartedMap:
    """A stored map whose rows lie there once for each of ``parts`` parts of the channels, one part
    behind the other; ``images`` maps of a ``shape``."""

    images: int
    shape: Hwc
    parts: int

    @property
    def of_part(self) -> Hwc:
        """The shape of a part."""
        rows, columns, channels = self.shape
        return rows, columns, channels // self.parts

    @property
    def row(self) -> int:
        """Bytes from one row to the next."""
        return self.shape[1] * self.shape[2]

    @property
    def axes(self) -> tuple[Pair, ...]:
        """Number of images, rows, columns, parts and channels of a part, and bytes from one to the
        next of each."""
        rows, columns, channels = self.of_part
        return ((self.images, rows * self.row), (rows, self.row), (columns, channels),
                (self.parts, columns * channels), (channels, 1))

    def source(self, part: int) -> tuple[int, int, int]:
        """Of what reads a part: its first byte, bytes to the next image and row."""
        rows, columns, channels = self.of_part
        return part * columns * channels, rows * self.row, self.row

    def output(self, part: int) -> ScatteredOutput:
        """The places of the results that make a part."""
        channels = self.of_part[2]
        return ScatteredOutput(*self.source(part), channels, channels, 0)


@dataclass(frozen=True)
class Tile:
    """One instruction: a part of a layer's output, ranges are [first, past the last).

    With ``runs_program`` it is a unit's program, whose ranges mean nothing. A ``UnitProgram`` has
    one such tile, a ``StagedLayer`` the tiles of its stages, whose number is ``step``. ``visits``:
    how many int8 addends its weights need, see ``kaniwa.compiler.plan.visits``. ``ifm_skip``,
    ``operand_skip`` and ``ofm_skip``: bytes of input, operand and result before the first one that
    their memory has, where it has not all.
    """

    layer: int
    image: int
    rows: Pair
    columns: Pair
    blocks: Pair
    weights_stream: bool
    visits: int = 1
    step: int = 0
    runs_program: bool = False
    ifm_skip: int = 0
    operand_skip: int = 0
    ofm_skip: int = 0

    @classmethod
    def of_program(cls, layer: int) -> Tile:
        """The tile that runs the program of ``layer``."""
        return cls(layer, 0, (0, 1), (0, 1), (0, 1), False, runs_program=True)


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
