"""Matrix products of two computed tensors for the vector unit."""

from __future__ import annotations

from dataclasses import dataclass

from kaniwa.config import AcceleratorConfig
from kaniwa.errors import ProgramError
from kaniwa.vector.builder import Builder, Register
from kaniwa.vector.isa import BLOCK_WORDS, SCALAR, Function, Reduce, Width
from kaniwa.vector.kernels import Place, Rescaling, elementwise

__all__ = ["Products", "batch_matmul", "matmul_scratch", "why_no_matmul"]

# Vector registers beside those of the right matrix, and lanes' groups of a register.
SPARE = 2


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
    if size.columns // lanes > SCALAR - SPARE:
        return (f"{size.columns} columns are more than {lanes * (SCALAR - SPARE)}, which is what "
                f"the vector unit's registers hold")
    if size.depth > BLOCK_WORDS:
        return f"sums of {size.depth} products are longer than a register, {BLOCK_WORDS}"
    return None


def matmul_scratch(config: AcceleratorConfig, size: Products) -> int:
    """Bytes of memory that ``batch_matmul`` needs beside its operands."""
    return _sums(config, size) + 4 * size.batch * size.rows * size.columns


def batch_matmul(config: AcceleratorConfig, size: Products, a: Place, b: Place, y: Place,
                 zero_points: tuple[int, int], end: Rescaling, scratch: int) -> bytes:
    """BATCH_MATMUL of int8, R columns at a time.

    The left matrix goes to memory as int32, whence LOAD gives each value to all lanes; the right
    one in blocks of R columns, whence LOAD gives a register the terms of R columns one after the
    other. Then R sums of products are one COMPUTE over the groups of both. All sums are rescaled at
    the end.
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
    """All sums of products, as int32."""
    lanes, depth, columns = k.lanes, size.depth, size.columns
    source, block, values, to = (k.pointer(place) for place in (right, blocks, left, sums))
    terms, piece = k.vector(), k.vector()
    right_blocks = [k.vector() for _ in range(columns // lanes)]
    total = k.scalar()
    with k.loop(size.batch):
        k.point(block, blocks)
        k.length(lanes)
        for number in range(len(right_blocks)):
            with k.loop(depth):
                k.load(piece, source, Width.INT8, columns)
                k.store(piece, block, Width.INT8, lanes)
            last = number == len(right_blocks) - 1
            k.advance(source, lanes - columns if last else lanes - depth * columns)
        k.point(block, blocks)
        k.length(depth * lanes)
        for register in right_blocks:
            k.load(register, block, Width.INT8, depth * lanes)
            k.add(register, register, -zero_point)
        with k.loop(size.rows):
            k.load(terms, values, Width.INT32, 4 * depth, everywhere=True)
            for register in right_blocks:
                k.compute(Function.ADD, total, register, factor=terms, reduce=Reduce.GROUPS)
                k.store(total, to, Width.INT32, 4 * lanes)
    k.free(terms, piece, total, *right_blocks)
    k.release(source, block, values, to)


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
