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
from kaniwa.graph import Tensor
from kaniwa.isa import Mode

__all__ = ["MOST_PIECES", "Axis", "Piece", "pieces_layer"]

MOST_PIECES = 256     # each is an instruction or more


@dataclass(frozen=True)
class Axis:
    """Windows of a piece along rows or columns: ``count`` of them, ``stride`` apart, the first
    ``before`` positions before the input (negative: behind its first). Taps of a window are
    ``dilation`` apart. Results are at ``to``, and then ``apart``."""

    count: int
    stride: int
    before: int
    to: int
    apart: int
    dilation: int = 1


@dataclass(frozen=True, eq=False)
class Piece:
    """A part of the result. ``weights`` are those of an ArrayLayer: 4 axes are DENSE, 3 DEPTHWISE.

    ``attributes`` replace those of the operator for the rule. With ``raw`` padding is 0, and sums
    are those of stored values. All biases have ``addend`` added. ``part``: the number of a part of
    the channels, and of how many equal ones: the piece reads that of the input's channels, and
    makes that of the result's.
    """

    rows: Axis
    columns: Axis
    weights: npt.NDArray[np.int8] | npt.NDArray[np.int16]
    attributes: dict[str, object] = field(default_factory=dict)
    raw: bool = False
    addend: int = 0
    part: Pair = (0, 1)


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
    # Weights and biases are in the streams of the stages.
    return PiecesLayer(**{f.name: getattr(made, f.name) for f in fields(made)} | {
        "op": lowering.source_kind, "reads": lowering.stored.inputs[:1]}), stages.tensors


def _layer(lowering: Lowering, piece: Piece) -> ArrayLayer:
    op, x, y, config = lowering.op, lowering.x, lowering.y, lowering.config
    dense = piece.weights.ndim == 4
    by_channel = (piece.weights.reshape(len(piece.weights), -1) if dense else
                  piece.weights.reshape(-1, piece.weights.shape[2]).T).astype(np.int64)
    kernel = piece.weights.shape[1:3] if dense else piece.weights.shape[:2]
    for axis, size, length in zip((piece.rows, piece.columns), x.shape[1:3], kernel, strict=True):
        last = (axis.count - 1) * axis.stride - axis.before
        if axis.before > (length - 1) * axis.dilation or last >= size:
            raise UnsupportedError(f"{lowering.where}: some results see no input at all")
    channels = len(by_channel)
    own = slice(piece.part[0] * channels, (piece.part[0] + 1) * channels)
    bias = _bias(lowering)[own] + piece.addend
    pad_value, zero_point = quantization(x).zero_point, quantization(y).zero_point
    if piece.raw:
        pad_value = zero_point = 0
    bias = bias - pad_value * by_channel.sum(axis=1)
    low, high = accumulator_range(by_channel, bias, lowering.where)
    as_piece = replace(lowering, op=replace(op, attributes={**op.attributes, **piece.attributes}))
    scales = _of_channels(lowering.graph.tensors[op.inputs[1]], own)
    rescale = prove(rule_of(as_piece, scales, channels), low, high, zero_point, bounds_of(op, y),
                    config.multiplier_bits, lowering.where)
    pixel, row = y.shape[3], y.shape[2] * y.shape[3]
    places = ScatteredOutput(
        piece.rows.to * row + piece.columns.to * pixel + own.start, y.shape[1] * row,
        piece.rows.apart * row, piece.columns.apart * pixel, channels, 0)
    lanes = min(channels, config.out_lanes if dense else config.depthwise_lanes)
    geometry, source_at = _read(x.shape, piece, _pair(kernel), channels)
    return ArrayLayer(op.name, lowering.source_kind, Mode.DENSE if dense else Mode.DEPTHWISE,
                      lowering.stored.inputs[0], y.id, geometry,
                      piece.weights.copy(), bias, pad_value, rescale, 0, (),
                      lanes=lanes, places=places, source_at=source_at)


def _read(shape: tuple[int, ...], piece: Piece, kernel: Pair, channels: int
          ) -> tuple[Geometry, tuple[int, int, int] | None]:
    """The loops of a piece over its input, and where that lies if it is not all channels."""
    (images, height, width, depth), (number, parts) = shape, piece.part
    down, along = piece.rows, piece.columns
    geometry = Geometry(
        images, (height, width, depth // parts), (down.count, along.count, channels), kernel,
        (down.stride, along.stride), (down.dilation, along.dilation), (down.before, along.before))
    if parts == 1:
        return geometry, None
    return geometry.of_part(parts), (number * (depth // parts), height * width * depth,
                                     width * depth)


def _of_channels(weights: Tensor, own: slice) -> Tensor:
    """The weights' tensor with the scales of some output channels."""
    q = weights.quantization
    if q is None or len(q.scales) == 1:
        return weights
    return replace(weights, quantization=replace(
        q, scales=q.scales[own], zero_points=q.zero_points[own]))


def _bias(lowering: Lowering) -> Int64:
    inputs = lowering.op.inputs
    if len(inputs) < 3 or inputs[2] == -1:
        return np.zeros(lowering.y.shape[3], np.int64)
    data = lowering.graph.tensors[inputs[2]].data
    assert data is not None
    return data.astype(np.int64)


def _pair(kernel: tuple[int, ...]) -> Pair:
    return kernel[0], kernel[1]
