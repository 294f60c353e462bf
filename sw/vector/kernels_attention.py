"""Matrix products of two computed tensors for the vector unit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kaniwa.config import AcceleratorConfig
from kaniwa.errors import ProgramError
from kaniwa.vector.builder import Builder, Pointer, Register
from kaniwa.vector.isa import BLOCK_WORDS, SCALAR, Function, Reduce, Width
from kaniwa.vector.kernels import Place, Rescaling, elementwise

__all__ = ["Products", "batch_matmul", "matmul_scratch", "why_no_matmul"]

# Registers that the terms of a sum may take: the other half holds those of R columns.
TERMS = SCALAR // 2


@dataclass(frozen=True)
class Products:
    """[batch, rows, depth] times [batch, depth, columns]."""

    batch: int
    rows: int
    depth: int
    columns: int


def why_no_matmul(config: AcceleratorConfig, size: Products) -> str | None:
    """What the unit cannot hold of a product, or None."""
    lanes = config.requant_lanes
    if size.columns % lanes:
        return f"{size.columns} columns are no multiple of the vector unit's {lanes} lanes"
    if size.depth > TERMS * BLOCK_WORDS:
        return (f"sums of {size.depth} products are longer than half of the vector unit's "
                f"registers, {TERMS * BLOCK_WORDS}")
    return None


def matmul_scratch(config: AcceleratorConfig, size: Products) -> int:
    """Bytes of memory that ``batch_matmul`` needs beside its operands."""
    return _sums(config, size) + 4 * size.batch * size.rows * size.columns


def batch_matmul(config: AcceleratorConfig, size: Products, a: Place, b: Place, y: Place,
                 zero_points: tuple[int, int], end: Rescaling, scratch: int) -> bytes:
    """BATCH_MATMUL of int8, R columns at a time.

    The left matrix goes to memory as int32, whence LOAD gives each value to all lanes; the right
    one in blocks of R columns, whence LOAD gives a register the terms of R columns one after the
    other. Then R sums of products are one COMPUTE over the groups of both, and one more for each
    further register that the terms of a sum take. All sums are rescaled at the end.
    """
    problem = why_no_matmul(config, size)
    if problem is not None:
        raise ProgramError(problem)
    k = Builder(config)
    left = Place(scratch, Width.INT32)
    blocks = scratch + _blocks(config, size)
    sums = Place(scratch + _sums(config, size), Width.INT32)

    def centred(k: Builder, registers: list[Register]) -> Register:
        k.add(registers[0], registers[0], -zero_points[0])
        return registers[0]

    def finished(k: Builder, registers: list[Register]) -> Register:
        end.write(k, registers[0])
        return registers[0]

    elementwise(k, size.batch * size.rows * size.depth, [a], left, centred)
    _sum(k, size, b.address, left.address, blocks, sums.address, zero_points[1])
    elementwise(k, size.batch * size.rows * size.columns, [sums], y, finished)
    return k.finish()


def _sum(k: Builder, size: Products, right: int, left: int, blocks: int, sums: int,
         zero_point: int) -> None:
    """All sums of products, as int32, of as many columns at a time as registers hold."""
    groups = size.columns // k.lanes
    tile = min(groups, SCALAR // len(_terms(size.depth)) - 1)
    whole, rest = divmod(groups, tile)
    source, block, values, to = (k.pointer(place) for place in (right, blocks, left, sums))
    with k.loop(size.batch):
        _blocked(k, size, source, block, blocks)
        if len(set(_terms(size.depth))) == 1:
            k.length(_terms(size.depth)[0] * k.lanes)
        with k.loop(whole):
            _columns(k, size, tile, block, values, to, zero_point)
        if rest:
            _columns(k, size, rest, block, values, to, zero_point)
        if tile < groups:
            k.advance(values, 4 * size.rows * size.depth)
            k.advance(to, 4 * (size.rows - 1) * size.columns)
    k.release(source, block, values, to)


def _terms(depth: int) -> list[int]:
    """How many terms of a sum each register holds, as equal as may be."""
    count = -(-depth // BLOCK_WORDS)
    most = -(-depth // count)
    return [min(most, depth - first) for first in range(0, depth, most)]


def _blocked(k: Builder, size: Products, source: Pointer, block: Pointer, blocks: int) -> None:
    """The right matrix at ``source`` in blocks of R columns from ``blocks`` on; ``source`` goes
    on behind it, ``block`` is at the first one."""
    piece = k.vector()
    k.point(block, blocks)
    k.length(k.lanes)
    with k.loop(size.columns // k.lanes):
        with k.loop(size.depth):
            k.load(piece, source, Width.INT8, size.columns)
            k.store(piece, block, Width.INT8, k.lanes)
        k.advance(source, k.lanes - size.depth * size.columns)
    k.advance(source, (size.depth - 1) * size.columns)
    k.point(block, blocks)
    k.free(piece)


def _columns(k: Builder, size: Products, count: int, block: Pointer, values: Pointer, to: Pointer,
             zero_point: int) -> None:
    """The sums of ``count`` times R columns and all rows; then all pointers are where the next
    columns need them."""
    parts = _terms(size.depth)
    terms = [k.vector() for _ in parts]
    columns = [[k.vector() for _ in parts] for _ in range(count)]
    total, more = k.scalar(), k.scalar()

    def lengths() -> Iterator[tuple[int, int]]:
        """Number and length of each part; registers have that length when it comes."""
        for number, length in enumerate(parts):
            if len(set(parts)) > 1:
                k.length(length * k.lanes)
            yield number, length

    for column in columns:
        for part, length in lengths():
            k.load(column[part], block, Width.INT8, length * k.lanes)
            k.add(column[part], column[part], -zero_point)
    with k.loop(size.rows):
        for part, length in lengths():
            k.load(terms[part], values, Width.INT32, 4 * length, everywhere=True)
        for column in columns:
            for part, _ in lengths():
                k.compute(Function.ADD, more if part else total, column[part], factor=terms[part],
                          reduce=Reduce.GROUPS)
                if part:
                    k.add(total, total, more)
            k.store(total, to, Width.INT32, 4 * k.lanes)
        if count * k.lanes < size.columns:
            k.advance(to, 4 * (size.columns - count * k.lanes))
    if count * k.lanes < size.columns:
        k.advance(values, -4 * size.rows * size.depth)
        k.advance(to, 4 * (count * k.lanes - size.rows * size.columns))
    k.free(total, more, *terms, *(register for column in columns for register in column))


def _blocks(config: AcceleratorConfig, size: Products) -> int:
    """Where the right matrix lies in the scratch memory, behind the left one."""
    return _whole(config, 4 * size.batch * size.rows * size.depth)


def _sums(config: AcceleratorConfig, size: Products) -> int:
    """Where the sums lie, behind that."""
    return _blocks(config, size) + _whole(config, size.depth * size.columns)


def _whole(config: AcceleratorConfig, size: int) -> int:
    """``size`` in whole groups of int32, and words of memory."""
    unit = max(4 * config.requant_lanes, config.read_bytes, config.write_bytes)
    return -(-size // unit) * unit
