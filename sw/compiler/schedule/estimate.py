"""A rough count of a tile's cycles, to choose between ways to cut a layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kaniwa.compiler.plan.fields import (
    parameter_words,
    tile_fields,
    tile_words,
    visited,
)
from kaniwa.compiler.plan.geometry import Tile
from kaniwa.compiler.plan.layers import ArrayLayer
from kaniwa.config import AcceleratorConfig
from kaniwa.isa import Mode
from kaniwa.isa.formats import RECORD_BYTES
from kaniwa.program.instruction import blocks_at_once, pixel_words
from kaniwa.timing import NEVER

__all__ = ["FREE", "Held", "estimate", "rows_held"]

INSTRUCTION_CYCLES = 16      # the budgets of docs/architecture.md
ROW_CYCLES = 3


def rows_held(v: dict[str, int], ahead: bool) -> int:
    """Rows that the line buffer holds while the window of a row of results is in work; ``ahead``:
    with those that are loaded for the next one, which may be another instruction's."""
    window = (v["kernel_rows"] - 1) * v["dilation_rows"] + 1
    if not ahead:
        return max(window, v["stride_rows"])
    return window + (v["stride_rows"] if v["ofm_rows"] > 1 else window)


def _array_cycles(layer: ArrayLayer, v: dict[str, int], config: AcceleratorConfig) -> int:
    """Cycles of the array, or of the reads that feed it where those are more."""
    rows, columns, blocks = v["ofm_rows"], v["ofm_columns"], v["blocks"]
    if layer.mode == Mode.COLUMN:
        if v["sliding"]:
            again = columns * (v["chunks"] - 1)
            return rows * blocks * v["phases"] * (
                v["columns_first"] + (columns - 1) * v["columns_next"] + again)
        return rows * columns * blocks * v["phases"] * v["columns_next"]
    steps = -(-blocks // blocks_at_once(config, v)) * v["steps"]
    if layer.listed:
        steps = v["block_words"]
    if layer.patch:
        steps = max(steps, v["kernel_rows"] * v["chunks"])
    return rows * columns * steps


def _written_words(v: dict[str, int], config: AcceleratorConfig) -> int:
    """Words that COLUMN writes: a block's results lie alone, and may be in two words."""
    at = v["ofm_address"] + np.arange(v["ofm_columns"])[:, None] * v["ofm_pixel_pitch"] + (
        np.arange(v["blocks"]) * v["block_width"])
    count = np.full(v["blocks"], v["block_width"])
    count[-1] = v["last_width"]
    return v["ofm_rows"] * int(((at + count - 1) // config.write_bytes
                                - at // config.write_bytes + 1).sum())


@dataclass(frozen=True)
class Held:
    """Words that an instruction has in the weight ring, and in the parameter buffer, and the
    cycles for which it runs; by default one that is in nobody's way."""

    weights: int = 0
    parameters: int = 0
    cycles: int = NEVER

    @classmethod
    def of(cls, layer: ArrayLayer, tile: Tile, config: AcceleratorConfig, cycles: int) -> Held:
        """That of a tile; of weights that stream none stays."""
        layer, blocks = visited(layer, tile.visits, config), tile.blocks[1] - tile.blocks[0]
        return cls(0 if tile.weights_stream else tile_words(layer, tile.blocks, config),
                   blocks * parameter_words(layer, config), cycles)

    def share_ahead(self, weights: int, parameters: int, config: AcceleratorConfig) -> float:
        """The share of so many words of another one that fits beside, and so is read meanwhile.
        Parameters come before weights, so without room for them there is none."""
        if self.parameters + parameters > config.parameter_words or not weights:
            return 0
        return min(1, (config.ring_words - self.weights) / weights)


FREE = Held()


def _waits(layer: ArrayLayer, v: dict[str, int], weights: int, array: int, before: Held,
           config: AcceleratorConfig) -> int:
    """Cycles for which the array waits for ``weights`` that take so many.

    Records come first. All weights are needed at the first pixel, or the first row of COLUMN.
    """
    rows = v["ofm_rows"]
    channels = (v["blocks"] - 1) * v["block_width"] + v["last_width"]
    records = channels * RECORD_BYTES // config.read_bytes
    at_first = array // (rows if layer.mode == Mode.COLUMN else rows * v["ofm_columns"])
    share = before.share_ahead(pixel_words(v), v["blocks"] * parameter_words(layer, config), config)
    there = min(before.cycles, int(share * (records + weights)))
    return max(0, records + max(0, weights - at_first) - there)


def estimate(layer: ArrayLayer, tile: Tile, config: AcceleratorConfig, ahead: bool = False,
             before: Held = FREE) -> int:
    """Cycles of the busiest unit, and of what does not overlap with it.

    ``ahead``: weights that fit the ring are read while the layer before runs. ``before``: what the
    instruction before this one has in the buffers.
    """
    v = tile_fields(layer, tile, config)
    layer = visited(layer, tile.visits, config)
    v["mode"] = layer.mode
    pixels = v["ofm_rows"] * v["ofm_columns"]
    results = pixels * ((v["blocks"] - 1) * v["block_width"] + v["last_width"])
    array = _array_cycles(layer, v, config)
    repeat = pixels if tile.weights_stream else 1
    words = pixel_words(v) * repeat
    decoded = words * config.tile_bytes // config.decoded_bytes
    weights = words * config.tile_bytes * layer.weight_bits // (8 * config.read_bytes)
    load = v["ifm_rows"] * v["line_pitch"] // config.read_bytes
    operand = 0 if layer.add is None else results // config.requant_lanes
    store = results // min(config.write_bytes, config.requant_lanes)
    if layer.mode == Mode.COLUMN and v["ofm_pixel_pitch"] % config.lane_bytes:
        store = max(store, _written_words(v, config))
    post = int(results / config.requant_rate)
    if ahead and words <= config.ring_words * 3 // 4:
        weights = decoded = 0
    read = load + weights + operand
    if config.shared_channel:
        read += store
    if rows_held(v, ahead=True) * v["line_pitch"] > config.line_bytes:
        array += load      # rows cannot be loaded while the window is in work
    if not (tile.weights_stream or config.compact):
        array += _waits(layer, v, max(weights, decoded), array, before, config)
    busiest = max(array, read, decoded, store, post)
    return busiest + INSTRUCTION_CYCLES + ROW_CYCLES * v["ofm_rows"]
