"""Products of two activations on the array: one operand becomes a stream of weights.

    (x - zx) (w - zw) summed = xw - zw Σx - zx Σw + n zx zw

The array takes zw off its weights, and -zx Σw + n zx zw is written into the biases. An operand that
has its columns in neighbors is transposed before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import prod

import numpy as np

from kaniwa.compiler.plan.geometry import ScatteredOutput, Stream
from kaniwa.compiler.plan.lowering import Lowered, Lowering
from kaniwa.compiler.plan.operands import quantization
from kaniwa.compiler.plan.rescale import Rescale, Rule, double_rounding, float_half_even, prove
from kaniwa.compiler.plan.streams import Stages, Words, whole_lanes
from kaniwa.compiler.plan.sum_bytes import SUM_BYTES, sum_bytes
from kaniwa.graph import Op
from kaniwa.isa.weight_stream import encode_parameters

__all__ = ["biases_of", "product_layer", "transposed"]

INT8 = (-128, 127)


def product_layer(lowering: Lowering) -> Lowered:
    """The layer of a BATCH_MATMUL.

    The right operand is [..., columns, depth], or with ``turned`` [..., depth, columns]. Raises
    CompileError for what cannot be rescaled exactly.
    """
    op, stored, config = lowering.op, lowering.stored, lowering.config
    a, b, y = (lowering.graph.tensors[i] for i in (*op.inputs, op.outputs[0]))
    batch, (rows, depth), columns = prod(a.shape[:-2]), a.shape[-2:], y.shape[-1]
    left, right, result = (quantization(tensor) for tensor in (a, b, y))
    terms = np.outer(np.array(INT8) - left.zero_point, np.array(INT8) - right.zero_point) * depth
    every = np.ones(columns, np.int64)
    bounds = op.attributes.get("bounds", INT8)      # rule qdq has its clamp as integers
    assert isinstance(bounds, tuple)
    rescale = prove(_rule(op, left.scale, right.scale, result.scale, columns),
                    every * int(terms.min()), every * int(terms.max()), result.zero_point, bounds,
                    config.multiplier_bits, lowering.where)
    stages = Stages(lowering, batch)
    words = Words(config, batch, columns, depth, config.out_lanes, right.zero_point)
    weights = words.stream(stages.filled("weights", words.template(), depth))
    if op.attributes["turned"]:
        transposed(stages, stored.inputs[1], weights.tensor, words)
    else:
        stages.pack(stored.inputs[1], weights.tensor, words)
    biases = biases_of(stages, weights, words, (left.zero_point, right.zero_point), rescale)
    stages.settle()
    layer = stages.layer(stored.inputs[0], op.outputs[0], (1, rows, depth), (1, rows, columns),
                         rescale)
    stages.add(replace(layer, weight_zero_point=right.zero_point), weights, biases)
    return stages.finish(macs=batch * rows * depth * columns), stages.tensors


def _rule(op: Op, left: float, right: float, result: float, columns: int) -> Rule:
    if op.rule == "qdq":
        return float_half_even(np.full(columns, left * right / result))
    # LiteRT multiplies these scales in float32.
    real = float(np.float32(left) * np.float32(right)) / result
    return double_rounding(np.full(columns, real))


def transposed(stages: Stages, source: int, to: int, words: Words) -> None:
    """Copies [batch, depth, channels] into the stream ``to``."""
    config = stages.config
    rows = Words(config, stages.batch, words.depth, words.channels,
                 whole_lanes(config.out_lanes, config.dot_width), split=True)
    stream = stages.filled("rows", rows.template(), rows.depth)
    stages.pack(source, stream, rows)
    stages.settle()

    def places(first: int, last: int) -> Iterator[tuple[int, int, int, ScatteredOutput]]:
        return ((*channels, words.places(channels[0])) for channels in words.maps(first, last))

    stages.columns(stream, rows, to, places)


def biases_of(stages: Stages, weights: Stream, words: Words, zero_points: tuple[int, int],
              rescale: Rescale, more: int = 0, name: str = "biases") -> Stream | None:
    """A stream of biases -zx Σw + n zx zw + ``more``, the bytes of each a result; None where zx is
    0. Where zx is -128 ``more`` is a multiple of 128."""
    (zx, zw), config = zero_points, stages.config
    terms = words.steps * config.dot_width      # what fills the last word up is in the sum, too
    own = words.depth * zw + (terms - words.depth) * words.zero_point
    if not zx:
        return None
    block = encode_parameters(np.zeros(words.lanes), rescale.multiplier[0], rescale.shift[0],
                              words.lanes, 1, config)
    blocks = words.blocks * words.batch
    to = Stream(stages.filled(name, np.frombuffer(block * blocks, np.int8)), 0,
                words.blocks * len(block), len(block))
    # 128 is no int8: then the sum of the weights themselves is scaled.
    doubled = 7 if zx == INT8[0] else 0
    factor = np.full((SUM_BYTES, 1, words.steps, config.dot_width), -zx >> doubled, np.int8)
    bias, bytes_of = sum_bytes(np.array([zx * own + more >> doubled]), doubled)
    layer = stages.layer(
        weights.tensor, to.tensor, (blocks, words.steps * config.out_lanes, config.dot_width),
        (blocks, words.lanes, SUM_BYTES), bytes_of, batch=1)
    stages.add(replace(
        layer, weights=factor, bias=bias, lanes=whole_lanes(config.out_lanes, SUM_BYTES),
        geometry=replace(layer.geometry, kernel=(1, words.steps), dilation=(1, config.out_lanes)),
        places=ScatteredOutput(config.read_bytes, to.image, to.block, SUM_BYTES, SUM_BYTES, 0),
        source_at=(config.read_bytes, weights.image, weights.block)))
    return to
