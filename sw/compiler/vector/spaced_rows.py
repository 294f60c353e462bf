"""Programs of the vector unit along rows, R at a time, one in each lane.

Rows that are no whole pieces are copied apart by the array before, and their results together
again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from kaniwa.compiler.plan.geometry import SpacedMap
from kaniwa.compiler.plan.lowering import Lowered, Lowering
from kaniwa.compiler.plan.streams import Stages
from kaniwa.units.vector.kernels.tiles import Tiles

__all__ = ["spaced_rows"]


def spaced_rows(lowering: Lowering, tiles: Tiles, table: bytes, code: Callable[..., bytes],
                scratch: Mapping[str, int] | None = None) -> Lowered:
    """The layer of an operator along rows of int8, as ``tiles`` says.

    ``code`` (x, y, table, *scratch) makes the program, the last being memory of so many bytes a
    tile. Rows without gaps are read and written where they are.
    """
    stages = Stages(lowering)
    source, result = lowering.stored.inputs[0], lowering.y.id
    spaced = SpacedMap(1, (tiles.rows, 1, tiles.columns), tiles.pitch, tiles.pitch)
    before, after = ((stages.between(name, spaced.bytes) for name in ("rows", "results"))
                     if tiles.gap else (source, result))
    own = {name: tiles.count * count for name, count in (scratch or {}).items()}
    for name, count in own.items():
        stages.between(name, count)
    if tiles.gap:
        stages.copy(stages.layer(source, before, spaced.shape, spaced.shape), None,
                    places=spaced.output, has_gaps=True)
    stages.run_program()
    if tiles.gap:
        stages.copy(stages.layer(after, result, spaced.shape, spaced.shape), None,
                    source_at=(0, 0, tiles.pitch))

    def program(reads: tuple[int, ...], ofm: int, table: int) -> bytes:
        first = len(reads) - len(own)
        x, y = reads[first - 2:first] if tiles.gap else (reads[0], ofm)
        return code(x, y, table, *reads[first:])

    return stages.finish(program, table), stages.tensors
