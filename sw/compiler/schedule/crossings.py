"""Counts the accesses of outside memory that a placement leaves to a compact core."""

from __future__ import annotations

from kaniwa.compiler.plan.fields import tile_fields
from kaniwa.compiler.plan.plan import Plan
from kaniwa.isa import OUTSIDE

__all__ = ["crossings"]


def crossings(plan: Plan) -> int:
    """Words that a run reads outside, and bytes that it writes there, commands aside.

    A compact core has one access at a time, and writes bytes one by one.
    """
    assert plan.memory is not None and plan.constants is not None
    memory, width, total = plan.memory, plan.config.read_bytes, 0
    for tile, parameters, weights in zip(plan.tiles, plan.constants.parameters,
                                         plan.constants.weights, strict=True):
        layer = plan.layers[tile.layer].stage(tile.step).layer
        if layer is None:
            continue
        v = tile_fields(layer, tile, plan.config)
        pixels = v["ofm_rows"] * v["ofm_columns"]
        results = pixels * ((v["blocks"] - 1) * v["block_width"] + v["last_width"])
        repeat = pixels if tile.weights_stream else weights.repeat
        for part, times in ((parameters, 1), (weights, repeat)):
            if part.blob is not None and memory.blobs[part.blob] & OUTSIDE:
                total += times * part.length // width
        if memory.tensors[layer.ifm] & OUTSIDE:
            total += v["ifm_rows"] * v["line_pitch"] // width
        if memory.tensors[layer.ofm] & OUTSIDE:
            total += results
        if layer.add is not None and memory.tensors[layer.add.operand] & OUTSIDE:
            total += results
    return total
