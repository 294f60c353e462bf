"""SOFTMAX of int16 on the vector unit: rows are columns of R lanes, copied there and back."""

from __future__ import annotations

from math import prod

from kaniwa.compiler.plan.geometry import ScatteredOutput
from kaniwa.compiler.plan.lowering import Lowered, Lowering
from kaniwa.compiler.plan.operands import quantization
from kaniwa.compiler.plan.rescale import quantize_multiplier
from kaniwa.compiler.plan.streams import Stages
from kaniwa.golden.tflite.softmax import int16_input_multiplier, int16_tables
from kaniwa.units.vector.kernels.elementary import interpolated_words
from kaniwa.units.vector.kernels.softmax16 import Softmax16Places, softmax16_rows

__all__ = ["wide_softmax_layer"]

WIDTH = 2      # bytes of int16


def wide_softmax_layer(lowering: Lowering) -> Lowered:
    """The layer of a SOFTMAX of int16.

    R rows at a time are turned: [groups, columns, R], and back behind the program.
    """
    x, config = lowering.x, lowering.config
    columns = x.shape[-1]
    rows, lanes = prod(x.shape) // columns, config.requant_lanes
    groups = -(-rows // lanes)
    size = groups * lanes * columns * WIDTH
    stages = Stages(lowering)
    before, after, exponentials = (stages.between(name, size)
                                   for name in ("columns", "results", "exponentials"))
    totals, shifts = (stages.between(name, 4 * groups * lanes) for name in ("totals", "shifts"))
    turned = columns * WIDTH, lanes * WIDTH
    _turn(stages, lowering.stored.inputs[0], before, rows, columns, turned)
    stages.settle()
    stages.run_program()
    _turn(stages, after, lowering.y.id, rows, columns, turned, back=True)
    scaling = quantize_multiplier(int16_input_multiplier(
        float(str(lowering.op.attributes["beta"])), quantization(x).scale))
    made = {before: "x", after: "y", exponentials: "exponentials", totals: "totals",
            shifts: "shifts"}
    order = [tensor.id for tensor in stages.tensors if tensor.data is None]

    def code(reads: tuple[int, ...], ofm: int, table: int) -> bytes:
        own = dict(zip(order, reads[-len(order):], strict=True))
        return softmax16_rows(config, groups, columns, scaling, Softmax16Places(
            tables=table, **{name: own[i] for i, name in made.items()}))

    tables = b"".join(interpolated_words(entries) for entries in int16_tables())
    return stages.finish(code, tables), stages.tensors


def _turn(stages: Stages, source: int, to: int, rows: int, columns: int,
          pitches: tuple[int, int], back: bool = False) -> None:
    """Copies rows of int16 to columns of R rows each; the last R may have fewer. ``pitches``:
    bytes from a row to the next one, and from a column."""
    row, column = pitches
    lanes = column // WIDTH
    whole, rest = divmod(rows, lanes)
    for first, groups, size in ((0, whole, lanes), (whole, 1, rest)):
        if not groups * size:
            continue
        at = first * lanes * row      # the same there and back
        if back:      # columns as rows of pixels, each of which goes to another row
            layer = stages.layer(source, to, (columns, size, WIDTH), (columns, size, WIDTH),
                                 batch=groups)
            places = ScatteredOutput(at, lanes * row, WIDTH, row, WIDTH, 0)
            source_at = at, lanes * row, column
        else:
            layer = stages.layer(source, to, (size, columns, WIDTH), (size, columns, WIDTH),
                                 batch=groups)
            places = ScatteredOutput(at, lanes * row, WIDTH, column, WIDTH, 0)
            source_at = at, lanes * row, row
        stages.copy(layer, WIDTH, places=places, source_at=source_at)
