"""SOFTMAX on the vector unit: a program for one row, or for R rows at a time, one in each lane."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate
from math import prod

import numpy as np

from kaniwa.config import AcceleratorConfig
from kaniwa.errors import CompileError
from kaniwa.golden.softmax import exponential_table
from kaniwa.graph import Graph, Op, Tensor
from kaniwa.layer import Places, VectorLayer, quantization, source_of
from kaniwa.passes.streams import Stages, Words
from kaniwa.vector.isa import Width
from kaniwa.vector.kernels import Place, table_words
from kaniwa.vector.kernels_softmax import softmax, softmax_limit, softmax_rows

__all__ = ["softmax_layer"]


def softmax_layer(graph: Graph, op: Op, stored: Op, config: AcceleratorConfig, where: str,
                  first_id: int) -> tuple[VectorLayer, list[Tensor]]:
    """The layer of a SOFTMAX, and tensors of its own, with ids from ``first_id`` on.

    Raises CompileError where the unit of ``config`` cannot hold it.
    """
    x = graph.tensors[op.inputs[0]]
    columns = x.shape[-1] if x.shape else 1
    rows = prod(x.shape) // columns
    most = softmax_limit(config, rows)
    if columns > most:
        raise CompileError(f"{where}: a row of {columns} is longer than the {most} that the vector "
                           f"unit of {config.requant_lanes} lanes takes")
    table = table_words(np.roll(exponential_table(
        beta=float(str(op.attributes["beta"])), scale=quantization(x).scale), 1))
    if rows > 1:
        return _of_rows(op, stored, config, where, first_id, rows, columns, table)

    def code(reads: tuple[int, ...], ofm: int, table: int) -> bytes:
        return softmax(config, columns, Place(reads[0], Width.INT8), Place(ofm, Width.INT8), table)

    return VectorLayer(op.name, op.kind, stored.inputs[:1], op.outputs[0], code, table,
                       source_of(op)), []


def _of_rows(op: Op, stored: Op, config: AcceleratorConfig, where: str, first_id: int, rows: int,
             columns: int, table: bytes) -> tuple[VectorLayer, list[Tensor]]:
    """The rows are transposed in groups of R: [groups, columns, R], and back behind the program.

    Groups with the same place in the words of the way back follow each other in between, so that
    they are copied together.
    """
    stages = Stages(op, config, 1, where, first_id)
    lanes, width = config.requant_lanes, config.dot_width
    groups = -(-rows // lanes)
    size = groups * columns * lanes
    before, after = stages.between("columns", size), stages.between("results", size)
    # An instruction of two steps a column takes no longer than two instructions.
    words = Words(config, 1, groups * lanes, columns, lanes, split=columns > 2 * width)
    stream = stages.filled("rows", words.template(), columns)
    together = min(max(width // lanes, 1), groups)     # groups in a word of the stream back
    starts = [0, *accumulate(len(range(part, groups, together)) for part in range(together))]
    for part, start in enumerate(starts[:-1]):
        _pack(stages, stored.inputs[0], stream, words, range(part, groups, together), start, rows)
    stages.settle()

    def in_groups(first: int, last: int) -> Iterator[tuple[int, int, int, Places]]:
        yield first, 1, last - first, Places(first * lanes, 0, 0, lanes, lanes, columns * lanes)

    def in_rows(first: int, last: int) -> Iterator[tuple[int, int, int, Places]]:
        count = min(last, rows) - first     # the last group may have lanes without a row
        if count > 0:
            yield first, 1, count, Places(first * columns, 0, 0, columns, columns, 0)

    stages.columns(stream, words, before, in_groups)
    stages.run_program()
    back = Words(config, 1, columns, groups * lanes, config.out_lanes, split=True)
    returned = stages.filled("results", back.template(), back.depth)
    for part, start in enumerate(starts[:-1]):
        _pack_back(stages, after, returned, back, lanes, part, range(start, starts[part + 1]))
    stages.settle()
    stages.columns(returned, back, op.outputs[0], in_rows)

    def code(reads: tuple[int, ...], ofm: int, table: int) -> bytes:
        return softmax_rows(config, groups, columns, reads[-2], reads[-1], table)

    return stages.finish(stored, code, table), stages.tensors


def _pack(stages: Stages, source: int, to: int, words: Words, groups: range, start: int,
          rows: int) -> None:
    """Copies ``groups`` of the ``rows`` to the blocks of a stream from ``start`` on; the very last
    one may have fewer rows."""
    lanes, depth = words.lanes, words.depth
    left = rows - groups[-1] * lanes     # rows from the last group's first on
    whole = len(groups) if left >= lanes else len(groups) - 1
    for first, count, size in ((0, whole, lanes), (whole, len(groups) - whole, left)):
        if count:
            shape = (count, size, depth)
            stages.copy(stages.layer(source, to, shape, shape), stages.config.dot_width,
                        places=words.places((start + first) * lanes),
                        source_at=(groups[first] * lanes * depth, 0, groups.step * lanes * depth))


def _pack_back(stages: Stages, source: int, to: int, words: Words, lanes: int, part: int,
               groups: range) -> None:
    """Copies [columns, R] of ``groups`` to a stream of columns, whose terms are all rows; they are
    ``part`` of a word, or all parts of several."""
    columns, run = words.channels, min(lanes, words.config.dot_width)
    for first, blocks, pixels in words.maps(0, columns):
        images = len(groups)
        if blocks * pixels == columns and run == lanes:
            images, blocks = 1, images * blocks      # one group's blocks go on from another's
        shape, place = (blocks, pixels, lanes), words.places(first)
        stages.copy(
            stages.layer(source, to, shape, shape, batch=images), run,
            places=replace(place, first=place.first + part * run, run=run,
                           image=words.stream_bytes * (lanes // run)),
            source_at=((groups[0] * columns + first) * lanes, columns * lanes, pixels * lanes))
