"""Random geometry of COLUMN and patch instructions, and the contract's loops over a window."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np

from kaniwa.config import AcceleratorConfig

Geometry = dict[str, int]
Read = Callable[[int, int], int]     # (row, offset) -> the byte there, or padding


def column_geometry(rng: random.Random, config: AcceleratorConfig, address: int) -> Geometry:
    """A legal COLUMN instruction: sliding or not, over one row or several, also by phases."""
    lane, rb = config.lane_bytes, config.read_bytes
    single = config.column_window[0] == 1 or rng.random() < 0.4
    window_rows, window_columns = (1, config.dot_width) if single else config.column_window
    kernel_rows = rng.randint(1, 2 if single else 7)
    kernel_columns = rng.randint(1, window_columns + 3)
    if not single and rng.random() < 0.1:
        kernel_rows, kernel_columns = window_rows + 1, window_columns + 1
    own = (config.phase_windows and not single and kernel_rows <= 2 * window_rows
           and kernel_columns <= 2 * window_columns and rng.random() < 0.5)
    sliding = not own and kernel_rows <= window_rows and kernel_columns <= window_columns
    rows, columns, stride_rows, stride = (rng.randint(1, 3), rng.randint(1, 4),
                                          rng.randint(1, 2), rng.randint(1, 2))
    blocks, width = rng.randint(1, 3), config.column_lanes
    if width < lane:
        blocks = 1
    last = rng.randint(1, width)
    channels = -(-((blocks - 1) * width + last) // lane) * lane
    pad_left = rng.randrange(kernel_columns)
    pad_top = rng.randrange(kernel_rows)
    last_row = (rows - 1) * stride_rows + kernel_rows
    ifm_rows = max(1, last_row - pad_top - rng.randrange(kernel_rows))
    row_bytes = channels * rng.randint(1, 2 * columns + kernel_columns)
    phases = -(-kernel_rows // window_rows)
    groups = -(-kernel_columns // window_columns)
    misalignment = lane * rng.randrange(rb // lane)
    chunks = groups if own else rng.randint(1, 2) if sliding else 1
    steps = phases * groups * (chunks if sliding else 1)
    if own and (kernel_rows, kernel_columns) == (window_rows + 1, window_columns + 1) and (
            rng.random() < 0.7):
        chunks, steps = 1, 2    # the second phase takes all that the first one leaves
    return {
        "ifm_address": address + misalignment, "ifm_pitch": -(-row_bytes // rb) * rb,
        "kernel_rows": kernel_rows,
        "ifm_rows": ifm_rows, "line_pitch": -(-(row_bytes + misalignment) // rb) * rb | lane,
        "ifm_row_bytes": row_bytes, "segments": kernel_columns, "stride_rows": stride_rows,
        "pad_top": pad_top, "dilation_rows": 1, "pad_value": rng.randint(-128, 127),
        "chunks": chunks,
        "pixel_step": stride * channels, "pad_left_bytes": pad_left * channels,
        "segment_step": channels,
        "window_span": (kernel_columns - 1) * channels + (blocks - 1) * width + last,
        "ofm_rows": rows, "ofm_columns": columns, "blocks": blocks, "block_width": width,
        "last_width": last, "steps": steps, "block_words": steps,
        "single_row": int(single), "sliding": int(sliding or own), "phases": phases,
        "columns_first": kernel_columns - pad_left if sliding else kernel_columns,
        "columns_next": stride if sliding or own else kernel_columns, "phase_windows": int(own)}


def clear_stale(words: np.ndarray, v: Geometry, config: AcceleratorConfig) -> None:
    """Zero the weights that would meet rows below the kernel or columns of another pixel."""
    rows, columns = (1, config.dot_width) if v["single_row"] else config.column_window
    if _meets_corner(v, columns):
        return
    below = v["phases"] * rows - v["kernel_rows"]
    if below:
        last = v["block_words"] // v["phases"]
        taps = words[:, -last:].reshape(*words[:, -last:].shape[:-1], rows, columns)
        taps[..., rows - below:, :] = 0
        words[:, -last:] = taps.reshape(words[:, -last:].shape)
    if v["phase_windows"]:
        left = v["chunks"] * columns - v["segments"]
        for word in range(v["chunks"] - 1, v["block_words"], v["chunks"]):
            words[:, word].reshape(len(words), -1, rows, columns)[..., :left] = 0
    fresh = v["columns_next"] % columns
    if v["sliding"] or not fresh:
        return
    groups = -(-v["columns_next"] // columns)
    for word in range(groups - 1, v["block_words"], groups):
        taps = words[:, word].reshape(len(words), -1, rows, columns)
        taps[..., :columns - fresh] = 0


def _meets_corner(v: Geometry, columns: int) -> bool:
    """Whether the second phase's step sees what the first one's leaves of the kernel."""
    return bool(v["phase_windows"]) and v["segments"] > v["chunks"] * columns


def column_sums(config: AcceleratorConfig, v: Geometry, read: Read, words: np.ndarray, y: int,
                b: int) -> list[list[int]]:
    """Accumulators [pixel][lane] of an output row and block, column by column."""
    rows, columns = (1, config.dot_width) if v["single_row"] else config.column_window
    lanes = config.column_lanes
    own, wide = v["phase_windows"], columns << v["phase_windows"]
    windows = [[[[v["pad_value"]] * wide for _ in range(rows)] for _ in range(lanes)]
               for _ in range(1 + own)]
    sums, position = [], 0
    for x in range(v["ofm_columns"]):
        totals, word = [0] * lanes, 0
        begin = position
        for phase in range(v["phases"]):
            window, position = windows[own * phase], begin
            count = v["columns_first"] if v["sliding"] and x == 0 else v["columns_next"]
            for j in range(count):
                offset = position * v["segment_step"] if v["sliding"] else (
                    x * v["pixel_step"] + j * v["segment_step"])
                if own or not v["sliding"]:
                    offset -= v["pad_left_bytes"]
                position += 1
                for m in range(lanes):
                    for r in range(rows):
                        iy = y * v["stride_rows"] - v["pad_top"] + phase * rows + r
                        inside = 0 <= offset < v["ifm_row_bytes"] and 0 <= iy < v["ifm_rows"]
                        window[m][r] = window[m][r][1:] + [
                            read(iy, offset + b * v["block_width"] + m) if inside
                            else v["pad_value"]]
                if j == count - 1 or (not v["sliding"] and j % columns == columns - 1):
                    for again in range(v["chunks"]):
                        half = slice(0, columns) if again else slice(wide - columns, wide)
                        for m in range(lanes):
                            taps = [tap for row in window[m] for tap in row[half]]
                            if phase == 1 and _meets_corner(v, columns):
                                beside = [*(row[columns - 1] for row in windows[0][m]),
                                          window[m][0][columns - 1]]
                                taps = taps[:columns] + beside + [0] * (
                                    len(taps) - columns - len(beside))
                            totals[m] += sum(a * int(w) for a, w in zip(taps, words[word][m],
                                                                        strict=True))
                        word += 1
        sums.append(totals)
    return sums


def patch_geometry(v: Geometry, config: AcceleratorConfig) -> Geometry | None:
    """The same DENSE instruction with its taps packed, or None where it has no patch."""
    size = v["window_span"]
    if v["segments"] > 1 or v["kernel_rows"] * size > config.patch_bytes // 2:
        return None
    steps = -(-v["kernel_rows"] * size // config.dot_width)
    return v | {"patch": 1, "segment_bytes": size, "steps": steps, "block_words": steps}


def patch_sums(config: AcceleratorConfig, v: Geometry, read: Read, words: np.ndarray, y: int,
               x: int) -> list[int]:
    """Accumulators of a pixel and block: the useful bytes of each kernel row, one after another."""
    patch = []
    for ky in range(v["kernel_rows"]):
        iy = y * v["stride_rows"] + ky * v["dilation_rows"] - v["pad_top"]
        for j in range(v["segment_bytes"]):
            offset = x * v["pixel_step"] - v["pad_left_bytes"] + j
            inside = 0 <= iy < v["ifm_rows"] and 0 <= offset < v["ifm_row_bytes"]
            patch.append(read(iy, offset) if inside else v["pad_value"])
    flat = words.transpose(1, 0, 2).reshape(config.out_lanes, -1).astype(int)
    flat -= v["weight_zero_point"]
    return [sum(a * int(w) for a, w in zip(patch, row, strict=False)) for row in flat]
