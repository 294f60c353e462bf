"""Layers that copy bytes from one tensor to another: depthwise, with weights of 1."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kaniwa.compiler.array.moves import Move
from kaniwa.compiler.plan.geometry import ScatteredOutput
from kaniwa.compiler.plan.layers import ArrayLayer
from kaniwa.compiler.plan.lowering import Lowered, Lowering
from kaniwa.compiler.plan.operands import source_of
from kaniwa.compiler.plan.streams import Stages, whole_lanes

__all__ = ["copy_layer", "transpose_layer"]

PIXEL_LANES = 4     # times the lanes: bytes of a pixel at most


def copy_layer(lowering: Lowering) -> Lowered:
    """The layer of a COPY, whose attribute ``moves`` has a Move for each operand."""
    stages = Stages(lowering)
    parts = lowering.op.attributes["moves"]
    assert isinstance(parts, tuple)
    for source, move in zip(lowering.stored.inputs, parts, strict=True):
        _copy(stages, source, move)
    if len(parts) > 1:
        return replace(stages.finish(), op=lowering.source_kind), stages.tensors
    return replace(_alone(stages), op=lowering.source_kind), []


def transpose_layer(lowering: Lowering) -> Lowered:
    """The layer of a TRANSPOSE of [outer, first, second, run]: the bytes of runs are pixels of
    maps, whose rows and columns change places."""
    source = lowering.x
    batch, rows, columns, elements = source.shape
    run = elements * np.dtype(source.dtype).itemsize
    shape = (rows, columns, run)
    stages = Stages(lowering, batch)
    stages.copy(stages.layer(lowering.stored.inputs[0], lowering.y.id, shape, shape), run,
                places=ScatteredOutput(0, rows * columns * run, run, rows * run, run, 0))
    return _alone(stages), []


def _alone(stages: Stages) -> ArrayLayer:
    """The only stage as a layer of its own."""
    (stage,) = stages.stages
    assert stage.layer is not None
    return replace(stage.layer, source=source_of(stages.op))


def _copy(stages: Stages, source: int, move: Move) -> None:
    lanes = stages.config.depthwise_lanes
    first, image, row = move.to
    if move.columns > 1:
        source_apart, apart = move.apart
        every = source_apart // move.run
        shape = (move.rows, move.columns, move.run)
        layer = stages.layer(source, stages.op.outputs[0],
                             (move.rows, (move.columns - 1) * every + 1, move.run), shape,
                             batch=move.images)
        stages.copy(replace(layer, geometry=replace(layer.geometry, stride=(1, every))),
                    min(lanes, move.run), source_at=move.source,
                    places=ScatteredOutput(first, image, row, apart, move.run, 0))
        return
    channels = max((n for n in range(1, PIXEL_LANES * lanes + 1) if move.run % n == 0),
                   key=lambda n: (whole_lanes(lanes, n), n))
    shape = (move.rows, move.run // channels, channels)
    stages.copy(stages.layer(source, stages.op.outputs[0], shape, shape, batch=move.images),
                channels, places=ScatteredOutput(first, image, row, channels, channels, 0),
                source_at=move.source)
