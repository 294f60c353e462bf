"""Operators that need the vector unit, and the programs of its instructions."""

from __future__ import annotations

from kaniwa.compiler.plan.layer import Tile, VectorLayer
from kaniwa.compiler.plan.staged import StagedLayer
from kaniwa.config import AcceleratorConfig
from kaniwa.units.vector.builder import Builder

__all__ = ["VECTOR_KINDS", "WIDE", "WIDE_BYTES", "WIDE_SUMS", "vector_code"]

VECTOR_KINDS = ("SOFTMAX", "LAYER_NORM", "BATCH_MATMUL")
WIDE = "WIDE"      # what ``legalize`` makes of an operator of int16, element by element
WIDE_SUMS = "WIDE_SUMS"      # and what ends one that sums
WIDE_BYTES = "WIDE_BYTES"      # what begins it


def vector_code(layer: VectorLayer, tile: Tile, config: AcceleratorConfig, reads: tuple[int, ...],
                ofm: int, table: int) -> bytes:
    """The program of a tile for these addresses, in whole words of memory."""
    if isinstance(layer, StagedLayer) and not layer.has_program(tile.step):
        code = Builder(config).finish()      # the same for all
    else:
        code = layer.code(reads, ofm, table)
    return code + bytes(-len(code) % config.read_bytes)
