"""Programs of the vector unit that have a row in each lane: the array turns rows, R at a time, and
turns the results back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import accumulate

from kaniwa.compiler.plan.geometry import ScatteredOutput
from kaniwa.compiler.plan.lowering import Lowered, Lowering
from kaniwa.compiler.plan.streams import Stages, Words

__all__ = ["row_per_lane"]


def row_per_lane(lowering: Lowering, shape: tuple[int, int], table: bytes,
                  code: Callable[..., bytes],
                  scratch: Mapping[str, int] | None = None) -> Lowered:
    """The layer of an operator along the rows of ``shape`` (rows, columns) of int8.

    The rows are transposed in groups of R: [groups, columns, R], and back behind the program:
    ``code`` (groups, x, y, table, *scratch), the last being memory of so many bytes a group.
    Groups with the same place in the words of the way back follow each other in between, so that
    they are copied together.
    """
    rows, columns = shape
    config, (source, *_) = lowering.config, lowering.stored.inputs
    stages = Stages(lowering)
    lanes, width = config.requant_lanes, config.dot_width
    groups = -(-rows // lanes)
    size = groups * columns * lanes
    before, after = stages.between("columns", size), stages.between("results", size)
    own = {name: groups * count for name, count in (scratch or {}).items()}
    for name, count in own.items():
        stages.between(name, count)
    # An instruction of two steps a column takes no longer than two instructions.
    words = Words(config, 1, groups * lanes, columns, lanes, split=columns > 2 * width)
    stream = stages.filled("rows", words.template(), columns)
    together = min(max(width // lanes, 1), groups)     # groups in a word of the stream back
    starts = [0, *accumulate(len(range(part, groups, together)) for part in range(together))]
    for part, start in enumerate(starts[:-1]):
        _pack(stages, source, stream, words, range(part, groups, together), start, rows)
    stages.settle()

    def in_groups(first: int, last: int) -> Iterator[tuple[int, int, int, ScatteredOutput]]:
        yield first, 1, last - first, ScatteredOutput(
            first * lanes, 0, 0, lanes, lanes, columns * lanes)

    def in_rows(first: int, last: int) -> Iterator[tuple[int, int, int, ScatteredOutput]]:
        count = min(last, rows) - first     # the last group may have lanes without a row
        if count > 0:
            yield first, 1, count, ScatteredOutput(first * columns, 0, 0, columns, columns, 0)

    stages.columns(stream, words, before, in_groups)
    stages.run_program()
    back = Words(config, 1, columns, groups * lanes, config.out_lanes, split=True)
    returned = stages.filled("results", back.template(), back.depth)
    for part, start in enumerate(starts[:-1]):
        _pack_back(stages, after, returned, back, lanes, part, range(start, starts[part + 1]))
    stages.settle()
    stages.columns(returned, back, lowering.y.id, in_rows)

    def program(reads: tuple[int, ...], ofm: int, table: int) -> bytes:
        x, y, *places = reads[len(reads) - 2 - len(own):]
        return code(groups, x, y, table, *places)

    return stages.finish(program, table), stages.tensors


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
