"""Layers in pieces: results that are far apart, or at borders, are convolutions of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace

import numpy as np
import numpy.typing as npt

from kaniwa.compiler.array.attributes import bounds_of
from kaniwa.compiler.array.convolution import rule_of
from kaniwa.compiler.plan.accumulators import accumulator_range
from kaniwa.compiler.plan.geometry import Geometry, Pair, ScatteredOutput
from kaniwa.compiler.plan.layers import ArrayLayer
from kaniwa.compiler.plan.lowering import Lowered, Lowering
from kaniwa.compiler.plan.operands import quantization
from kaniwa.compiler.plan.rescale import Int64, prove
from kaniwa.compiler.plan.staged import StagedLayer
from kaniwa.compiler.plan.streams import Stages
from kaniwa.errors import UnsupportedError
from kaniwa.isa import Mode

__all__ = ["MOST_PIECES", "Axis", "Piece", "pieces_layer"]

MOST_PIECES = 256     # each is an instruction or more


@dataclass(frozen=True)
class Axis:
    """Windows of a piece along rows or columns: ``count`` of them, ``stride`` apart, the first
    ``before`` positions before the input (negative: behind its first). Results are at ``to``, and
    then ``apart``."""

    count: int
    stride: int
    before: int
    to: int
    apart: int


@dataclass(frozen=True, eq=False)
class Piece:
    """A part of the result. ``weights`` are those of an ArrayLayer: 4 axes are DENSE, 3 DEPTHWISE.

    ``attributes`` replace those of the operator for the rule. With ``raw`` padding is 0, and sums
    are those of stored values. All biases have ``addend`` added.
    """

    rows: Axis
    columns: Axis
    weights: npt.NDArray[np.int8]
    attributes: dict[str, object] = field(default_factory=dict)
    raw: bool = False
    addend: int = 0


@dataclass(frozen=True, eq=False)
class PiecesLayer(StagedLayer):
    """Passes of the array that passes of the compiler may change one by one."""

    def revised(self, view: Callable[[ArrayLayer], ArrayLayer]) -> PiecesLayer:
        """The layer with each of its stages as ``view`` makes it."""
        return replace(self, stages=tuple(
            stage if stage.layer is None else replace(stage, layer=view(stage.layer))
            for stage in self.stages))


def pieces_layer(lowering: Lowering) -> Lowered:
    """The layer of a PIECES: the first operand is read, the second has the weights' scales, the
    third, if there is one, the biases.

    Raises CompileError for accumulators that may leave int32 or cannot be rescaled exactly.
    """
    stages, pieces = Stages(lowering), lowering.op.attributes["pieces"]
    assert isinstance(pieces, tuple)
    for piece in pieces:
        stages.add(_layer(lowering, piece))
    macs = int(str(lowering.op.attributes["macs"]))
    made = stages.finish(macs=macs)
    return PiecesLayer(**{f.name: getattr(made, f.name) for f in fields(made)} | {
        "op": lowering.source_kind}), stages.tensors


def _layer(lowering: Lowering, piece: Piece) -> ArrayLayer:
    op, x, y, config = lowering.op, lowering.x, lowering.y, lowering.config
    dense = piece.weights.ndim == 4
    by_channel = (piece.weights.reshape(len(piece.weights), -1) if dense else
                  piece.weights.reshape(-1, piece.weights.shape[2]).T).astype(np.int64)
    kernel = piece.weights.shape[1:3] if dense else piece.weights.shape[:2]
    images, height, width, depth = x.shape
    for axis, size, length in ((piece.rows, height, kernel[0]), (piece.columns, width, kernel[1])):
        last = (axis.count - 1) * axis.stride - axis.before
        if axis.before >= length or last >= size:
            raise UnsupportedError(f"{lowering.where}: some results see no input at all")
    bias = _bias(lowering, len(by_channel)) + piece.addend
    pad_value, zero_point = quantization(x).zero_point, quantization(y).zero_point
    if piece.raw:
        pad_value = zero_point = 0
    bias = bias - pad_value * by_channel.sum(axis=1)
    low, high = accumulator_range(by_channel, bias, lowering.where)
    own = replace(lowering, op=replace(op, attributes={**op.attributes, **piece.attributes}))
    rescale = prove(rule_of(own, lowering.graph.tensors[op.inputs[1]], len(bias)), low, high,
                    zero_point, bounds_of(op, y), config.multiplier_bits, lowering.where)
    channels, row = y.shape[3], y.shape[2] * y.shape[3]
    places = ScatteredOutput(
        piece.rows.to * row + piece.columns.to * channels, y.shape[1] * row, piece.rows.apart * row,
        piece.columns.apart * channels, channels, 0)
    geometry = Geometry(images, (height, width, depth),
                        (piece.rows.count, piece.columns.count, channels), _pair(kernel),
                        (piece.rows.stride, piece.columns.stride), (1, 1),
                        (piece.rows.before, piece.columns.before))
    lanes = min(channels, config.out_lanes if dense else config.depthwise_lanes)
    return ArrayLayer(op.name, lowering.source_kind, Mode.DENSE if dense else Mode.DEPTHWISE,
                      lowering.stored.inputs[0], y.id, geometry,
                      np.ascontiguousarray(piece.weights), bias, pad_value, rescale, 0, (),
                      lanes=lanes, places=places)


def _bias(lowering: Lowering, channels: int) -> Int64:
    inputs = lowering.op.inputs
    if len(inputs) < 3 or inputs[2] == -1:
        return np.zeros(channels, np.int64)
    data = lowering.graph.tensors[inputs[2]].data
    assert data is not None
    return data.astype(np.int64)


def _pair(kernel: tuple[int, ...]) -> Pair:
    return kernel[0], kernel[1]
