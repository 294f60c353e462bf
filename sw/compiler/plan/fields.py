"""The instruction fields that follow from a layer's geometry and its tile."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np
import numpy.typing as npt

from kaniwa.compiler.plan.geometry import Pair, Tile
from kaniwa.compiler.plan.layers import ArrayLayer
from kaniwa.compiler.plan.step_lists import can_be_listed, listed_steps
from kaniwa.config import AcceleratorConfig
from kaniwa.isa import FIELDS, Mode

__all__ = ["block_width", "block_words", "layer_blocks", "may_list", "tile_channels",
           "tile_fields", "tile_steps", "tile_words", "visited", "column_window", "slides",
           "phase_windows", "meets_corner", "parameter_words", "weight_zero_point"]

INT8 = (-128, 127)


def block_width(layer: ArrayLayer, config: AcceleratorConfig) -> int:
    """Output channels of a block."""
    if layer.lanes:
        return layer.lanes
    if layer.mode == Mode.DENSE:
        return layer.spread * config.out_lanes
    return config.column_lanes if layer.mode == Mode.COLUMN else config.depthwise_lanes


def visited(layer: ArrayLayer, visits: int, config: AcceleratorConfig) -> ArrayLayer:
    """The layer as an instruction of so many ``visits`` computes it, blocks being the same.

    COLUMN meets its windows twice. Others become DENSE with each row of the kernel whole: read
    once where one zero point brings all weights into int8, else again from where it begins. The
    weights are those of the layer still.
    """
    if visits == 1:
        return layer
    if layer.mode == Mode.COLUMN and visits == 2 and slides(layer, config):
        return replace(layer, visits=visits)
    g = layer.geometry
    zero_point = weight_zero_point(layer.weights, config)
    return replace(layer, mode=Mode.DENSE, patch=False, listed=False,
                   visits=1 if zero_point else visits,
                   weight_zero_point=zero_point, lanes=block_width(layer, config),
                   geometry=replace(g, kernel=(g.kernel[0], g.extent[1]),
                                    dilation=(g.dilation[0], 1)))


def weight_zero_point(weights: npt.NDArray[np.integer] | None, config: AcceleratorConfig) -> int:
    """The zero point that all ``weights`` (zeros beside them) need to be int8, 0 where there is
    none or none that the target has."""
    if weights is None or weights.dtype == np.int8 or config.compact:
        return 0
    low, high = min(int(weights.min(initial=0)), 0), max(int(weights.max(initial=0)), 0)
    field = FIELDS["weight_zero_point"]
    needed = INT8[1] - high if high > INT8[1] else INT8[0] - low
    fits = INT8[0] <= low + needed and high + needed <= INT8[1]
    return needed if fits and field.low <= needed <= (field.high or 0) else 0


def column_window(layer: ArrayLayer, config: AcceleratorConfig) -> Pair:
    """Rows and columns of a COLUMN layer's window."""
    return (1, config.dot_width) if layer.geometry.kernel[0] == 1 else config.column_window


def slides(layer: ArrayLayer, config: AcceleratorConfig) -> bool:
    """True where the window of a COLUMN layer holds the kernel, so that pixels share columns."""
    rows, columns = column_window(layer, config)
    return layer.geometry.kernel[0] <= rows and layer.geometry.kernel[1] <= columns


def phase_windows(layer: ArrayLayer, config: AcceleratorConfig) -> bool:
    """True where a COLUMN layer has windows of each phase, in which more than one window's taps
    slide, and reads less so."""
    if not config.phase_windows or slides(layer, config) or layer.visits > 1:
        return False
    (rows, columns), (kernel_rows, kernel_columns) = config.column_window, layer.geometry.kernel
    pixels, stride = layer.geometry.ofm[1], layer.geometry.stride[1]
    again = 0 if _is_one_larger(layer, config) else -(-kernel_columns // columns) - 1
    sliding = kernel_columns + (pixels - 1) * stride + pixels * again
    return (1 < kernel_rows <= 2 * rows and kernel_columns <= 2 * columns
            and sliding < pixels * kernel_columns)


def meets_corner(layer: ArrayLayer, config: AcceleratorConfig) -> bool:
    """True for a COLUMN layer with windows of phases whose second phase takes in one step what the
    first one leaves of the kernel."""
    return (layer.mode == Mode.COLUMN and _is_one_larger(layer, config)
            and phase_windows(layer, config))


def _is_one_larger(layer: ArrayLayer, config: AcceleratorConfig) -> bool:
    """True where the kernel has a row and a column more than the window."""
    rows, columns = config.column_window
    return layer.geometry.kernel == (rows + 1, columns + 1)


def _steps(layer: ArrayLayer, config: AcceleratorConfig) -> int:
    """Array steps of a block and pixel."""
    kernel_rows, segments, _, chunks, segment_bytes = _reduction(layer, config)
    if layer.patch:
        return -(-kernel_rows * segment_bytes // config.dot_width)
    if meets_corner(layer, config):
        return 2
    if layer.mode == Mode.COLUMN:
        rows, columns = column_window(layer, config)
        return layer.visits * -(-kernel_rows // rows) * -(-segments // columns)
    return kernel_rows * segments * chunks


def layer_blocks(layer: ArrayLayer, config: AcceleratorConfig) -> int:
    """Blocks of all output channels."""
    return -(-layer.geometry.ofm[2] // block_width(layer, config))


def parameter_words(layer: ArrayLayer, config: AcceleratorConfig) -> int:
    """Words of the parameter buffer that a block takes."""
    return -(-block_width(layer, config) // config.requant_lanes)


def block_words(layer: ArrayLayer, config: AcceleratorConfig) -> int:
    """Ring words of a block, or of the one with the most."""
    if layer.listed:
        return int(_listed(layer, config).sum(axis=(1, 2)).max())
    steps = _steps(layer, config)
    if layer.mode in (Mode.DENSE, Mode.COLUMN):
        return steps
    return 0 if layer.mode == Mode.MAX_POOL else -(-steps // config.dot_width)


def tile_words(layer: ArrayLayer, blocks: Pair, config: AcceleratorConfig) -> int:
    """Ring words of the ``blocks`` [first, past the last) of a layer."""
    if layer.listed:
        return int(tile_steps(layer, blocks, config).sum())
    return (blocks[1] - blocks[0]) * block_words(layer, config)


def tile_steps(layer: ArrayLayer, blocks: Pair,
               config: AcceleratorConfig) -> npt.NDArray[np.bool_]:
    """The steps of the list of a listed layer's ``blocks``: bool [blocks, segments, chunks]."""
    return _listed(layer, config)[blocks[0]:blocks[1]]


def may_list(layer: ArrayLayer, config: AcceleratorConfig) -> bool:
    """Whether the layer may have a list of its steps."""
    return (layer.mode == Mode.DENSE and not layer.patch
            and block_width(layer, config) == config.out_lanes
            and can_be_listed(layer, _reduction(layer, config)[:2], config))


def _listed(layer: ArrayLayer, config: AcceleratorConfig) -> npt.NDArray[np.bool_]:
    return listed_steps(layer, _reduction(layer, config)[:2], config)


def tile_channels(layer: ArrayLayer, tile: Tile, config: AcceleratorConfig) -> Pair:
    """The tile's output channels [first, past the last)."""
    width = block_width(layer, config)
    return tile.blocks[0] * width, min(tile.blocks[1] * width, layer.geometry.ofm[2])


def _reduction(layer: ArrayLayer, config: AcceleratorConfig) -> tuple[int, int, int, int, int]:
    """kernel_rows, segments, segment_step, chunks, bytes of a segment."""
    g = layer.geometry
    channels, (rows, columns) = g.ifm[2], g.kernel
    if layer.mode != Mode.DENSE:
        return rows, columns, g.dilation[1] * channels, layer.visits, channels
    if columns == 1 or g.dilation[1] == 1:     # the taps of a row are neighbors in memory
        return rows, layer.visits, 0, -(-columns * channels // config.dot_width), columns * channels
    return rows, columns, g.dilation[1] * channels, -(-channels // config.dot_width), channels


def _span(first: int, count: int, stride: int, extent: int, size: int) -> tuple[int, int, int]:
    """Of ``count`` windows from position ``first`` on: first input, inputs, padding before it."""
    start = max(first, 0)
    end = min(first + (count - 1) * stride + extent, size)
    return start, max(end - start, 1), start - first


def tile_fields(layer: ArrayLayer, tile: Tile, config: AcceleratorConfig) -> dict[str, int]:
    """All fields of geometry; addresses are relative to their tensors (aligned to read_bytes)."""
    layer = visited(layer, tile.visits, config)
    g = layer.geometry
    _, width, channels = g.ifm
    kernel_rows, segments, segment_step, chunks, segment_bytes = _reduction(layer, config)
    rows, columns = tile.rows[1] - tile.rows[0], tile.columns[1] - tile.columns[0]
    first_channel, last_channel = tile_channels(layer, tile, config)
    blocks = tile.blocks[1] - tile.blocks[0]
    dense = layer.mode == Mode.DENSE

    top, ifm_rows, pad_top = _span(tile.rows[0] * g.stride[0] - g.padding[0], rows, g.stride[0],
                                   g.extent[0], g.ifm[0])
    left, ifm_columns, pad_left = _span(tile.columns[0] * g.stride[1] - g.padding[1], columns,
                                        g.stride[1], g.extent[1], width)
    stride_rows, dilation_rows = g.stride[0], g.dilation[0]
    # Modes but DENSE read only the tile's channels: the row begins and ends with them.
    skipped, used = (0, channels) if dense else (first_channel, last_channel - first_channel)
    if layer.mode == Mode.COLUMN:      # whole lanes
        used = -(-used // config.lane_bytes) * config.lane_bytes
    row_bytes = (ifm_columns - 1) * channels + used
    start, image, ifm_pitch = layer.source_at or (0, prod(g.ifm), width * channels)
    address = (start + tile.image * image + top * ifm_pitch + left * channels
               + skipped - tile.ifm_skip)
    if kernel_rows == 1:     # rows between those that are used need not be loaded
        ifm_pitch, ifm_rows = ifm_pitch * stride_rows, rows
        stride_rows = dilation_rows = 1
    if rows == 1:
        stride_rows = 1
    to = layer.places or g.output
    ofm = (to.first + tile.image * to.image + tile.rows[0] * to.row
           - tile.ofm_skip + tile.columns[0] * to.pixel
           + first_channel // to.run * to.of_run + first_channel % to.run)
    line_pitch = _line_pitch(address, ifm_pitch, ifm_rows, row_bytes, config.read_bytes)
    special: dict[str, int] = {}
    if layer.mode == Mode.COLUMN:
        if ifm_rows == 1:
            ifm_pitch = -(-ifm_pitch // config.read_bytes) * config.read_bytes
        line_pitch |= config.lane_bytes     # an odd number: rows of a window in different lanes
        special = _column_fields(layer, config, pad_left)
    elif layer.patch:
        special = {"patch": 1, "segment_bytes": segment_bytes}
    return {
        "ifm_address": address, "ifm_pitch": ifm_pitch, "ifm_rows": ifm_rows,
        "ifm_row_bytes": row_bytes,
        "line_pitch": line_pitch,
        "kernel_rows": kernel_rows, "segments": segments, "chunks": chunks,
        "segment_step": segment_step, "weight_zero_point": layer.weight_zero_point,
        "stride_rows": stride_rows, "pad_top": pad_top,
        "dilation_rows": dilation_rows,
        "pixel_step": g.stride[1] * channels if columns > 1 or special else 0,
        "pad_left_bytes": pad_left * channels,
        "window_span": (segments - 1) * segment_step + (segment_bytes if dense else used),
        "ofm_rows": rows, "ofm_columns": columns, "blocks": blocks,
        "block_width": block_width(layer, config),
        "last_width": last_channel - first_channel - (blocks - 1) * block_width(layer, config),
        "steps": _steps(layer, config), "listed": int(layer.listed),
        "block_words": (tile_words(layer, tile.blocks, config) if layer.listed
                        else block_words(layer, config)),
        "ofm_address": ofm, "ofm_row_pitch": to.row, "ofm_pixel_pitch": to.pixel,
        **special,
    }


def _column_fields(layer: ArrayLayer, config: AcceleratorConfig, pad_left: int) -> dict[str, int]:
    """The fields of COLUMN mode; a window that slides starts with its left padding in place, but
    those of the phases read it."""
    kernel_rows, kernel_columns = layer.geometry.kernel
    rows, columns = column_window(layer, config)
    sliding, own = slides(layer, config), phase_windows(layer, config)
    return {
        "single_row": int(kernel_rows == 1), "sliding": int(sliding or own),
        "phases": -(-kernel_rows // rows),
        "columns_first": kernel_columns - pad_left if sliding else kernel_columns,
        "columns_next": layer.geometry.stride[1] if sliding or own else kernel_columns,
        **({"phase_windows": 1, "chunks": (
            1 if meets_corner(layer, config) else -(-kernel_columns // columns))} if own else {}),
    }


def _line_pitch(address: int, pitch: int, rows: int, row_bytes: int, align: int) -> int:
    """Bytes of the aligned words that cover any of the rows."""
    misalignment = max((address + row * pitch) % align for row in range(min(rows, align)))
    return -(-(row_bytes + misalignment) // align) * align

