"""The loops of COLUMN in plain Python, as the contract has them, and random instructions."""

from __future__ import annotations

import random
from collections.abc import Iterator

from kaniwa.config import AcceleratorConfig
from kaniwa.isa import Mode
from kaniwa.sim.worlds.array_step import Step

__all__ = ["column_steps", "draw_columns", "column_window", "meets_corner"]


def column_window(config: AcceleratorConfig, f: dict[str, int]) -> tuple[int, int]:
    """Rows and columns of the instruction's window."""
    return (1, config.dot_width) if f["single_row"] else config.column_window


def meets_corner(config: AcceleratorConfig, f: dict[str, int]) -> bool:
    """Whether a kernel has a column that no half of a window of phases is met with."""
    return bool(f["phase_windows"]) and f["chunks"] * column_window(config, f)[1] < f["segments"]


def column_steps(config: AcceleratorConfig, f: dict[str, int], number: int, base: int,
                 first_word: int, y: int) -> Iterator[Step]:
    """All columns of an output row; the instruction's first input row is at position ``base``."""
    rows, width = column_window(config, f)
    for b in range(f["blocks"]):
        read = 0   # columns of a window that slides
        for x in range(f["ofm_columns"]):
            step = 0
            for p in range(f["phases"]):
                count = f["columns_next"] if x else f["columns_first"]
                for j in range(count):
                    offset = (read * f["segment_step"]
                              if f["sliding"] and not f["phase_windows"] else
                              x * f["pixel_step"] - f["pad_left_bytes"] + j * f["segment_step"])
                    if f["phase_windows"] and x:
                        offset += (f["segments"] - count) * f["segment_step"]
                    read += 1
                    end = j == count - 1
                    column = _column(config, f, number, base, y, b, p * rows, offset)
                    column.compute = end or (not f["sliding"] and j % width == width - 1)
                    column.first = step == 0
                    column.last = end and p == f["phases"] - 1 and f["chunks"] == 1
                    column.phase = p % 2
                    column.preset = x == p == j == 0
                    if column.compute:
                        column.word = first_word + b * f["block_words"] + step
                        step += 1
                    yield column
                if f["chunks"] == 2:
                    yield _again(f, number, column, first_word + b * f["block_words"] + step,
                                 p == f["phases"] - 1)
                    step += 1
            assert step == f["block_words"]


def _again(f: dict[str, int], number: int, before: Step, word: int, last: bool) -> Step:
    """Another step with the window of the column ``before``."""
    offset = before.offset + f["segment_step"]
    return Step(
        number, f, row_valid=False, offset=offset, row_start=before.row_start, needs=0,
        window_end=offset + f["block_width"], first=False, last=last, column=0, word=word,
        again=True, phase=before.phase, positions=before.positions)


def _column(config: AcceleratorConfig, f: dict[str, int], number: int, base: int, y: int, b: int,
            first_row: int, offset: int) -> Step:
    """The column at ``offset`` of the rows from ``first_row`` of the kernel on."""
    rows = column_window(config, f)[0]
    base += f["ifm_address"] % config.read_bytes
    top = y * f["stride_rows"] - f["pad_top"] + first_row
    real = [0 <= top + r < f["ifm_rows"] and first_row + r < f["kernel_rows"]
            and 0 <= offset < f["ifm_row_bytes"] for r in range(rows)]
    at = offset + b * f["block_width"]
    positions = [base + (top + r) * f["line_pitch"] + at for r in range(rows)]
    # A lane that has been loaded in part is complete at the row's end: rows are of whole lanes.
    return Step(
        number, f, row_valid=real[0], offset=at, row_start=base + top * f["line_pitch"],
        needs=max([p + config.lane_bytes for p, valid in zip(positions, real, strict=True)
                   if valid], default=0),
        window_end=at + f["block_width"], first=False, last=False, column=0, word=None,
        rows=sum(valid << r for r, valid in enumerate(real)), positions=positions)


def draw_columns(config: AcceleratorConfig, rng: random.Random) -> dict[str, int]:
    """A depthwise layer of random shape; it may be too large."""
    lane = config.lane_bytes
    single_row = rng.random() < 0.4
    kernel_rows = 1 if single_row else rng.choice([1, 2, 3, 3, 3, 4, 5, 7, 9])
    kernel_columns = rng.choice([1, 2, 3, 3, 3, 4, 5, 7, config.dot_width + 1])
    rows, width = column_window(config, {"single_row": single_row})
    if config.phase_windows and not single_row and rng.random() < 0.15:    # may meet the corner
        kernel_rows, kernel_columns = rows + 1, width + 1
    stride_rows, stride = rng.choice([1, 1, 2, 3]), rng.choice([1, 1, 2, 3])
    blocks = rng.choice([1, 1, 2, 3]) if config.column_lanes == lane else 1
    channels = blocks * lane
    pad_left, pad_top = (rng.choice([0, 0, size // 2, size - 1])
                         for size in (kernel_columns, kernel_rows))
    pad_bottom = rng.choice([0, 0, kernel_rows - 1, kernel_rows + stride_rows])
    pad_right = rng.choice([0, 0, kernel_columns - 1])
    if rng.random() < 0.1:
        pad_top += 2 * stride_rows
    height, columns = rng.randint(1, 7), rng.choice([1, rng.randint(1, 7), rng.randint(1, 9)])
    ofm_rows = (height + pad_top + pad_bottom - kernel_rows) // stride_rows + 1
    ofm_columns = (columns + pad_left + pad_right - kernel_columns) // stride + 1
    used = {y * stride_rows + ky - pad_top
            for y in range(ofm_rows) for ky in range(kernel_rows)} & set(range(height))
    words = -(-columns * channels // config.read_bytes) * config.read_bytes + config.read_bytes
    pitch = words + lane * rng.randrange(4)
    lanes = {row * pitch // lane % (config.line_width // lane) for row in range(rows)}
    if ofm_rows < 1 or ofm_columns < 1 or not used or len(lanes) < rows:
        return {"line_pitch": 2 * config.line_bytes}   # no such layer: never fits
    phases = -(-kernel_rows // rows)
    sliding = phases == 1 and kernel_columns <= width and rng.random() < 0.8
    own = (config.phase_windows and not single_row and phases <= 2
           and kernel_columns <= 2 * width and rng.random() < (0.2 if sliding else 0.8))
    groups = -(-kernel_columns // width)
    chunks = groups if own else rng.choice([1, 1, 2]) if sliding else 1
    if own and (kernel_rows, kernel_columns) == (rows + 1, width + 1) and rng.random() < 0.7:
        chunks = 1    # the second phase's step takes all that the first one's leaves
    steps = phases * (chunks if own or sliding else groups)
    misalignment = lane * rng.randrange(config.read_bytes // lane)
    return {
        "mode": Mode.COLUMN, "sliding": sliding or own, "phase_windows": own,
        "single_row": single_row,
        "ifm_address": rng.getrandbits(20) * config.read_bytes + misalignment, "chunks": chunks,
        "ifm_pitch": rng.getrandbits(10) * config.read_bytes,
        "kernel_rows": kernel_rows, "ifm_rows": max(used) + 1, "line_pitch": pitch,
        "ifm_row_bytes": columns * channels, "segments": kernel_columns,
        "stride_rows": stride_rows, "pad_top": pad_top, "pad_value": rng.randint(-128, 127),
        "pixel_step": stride * channels, "pad_left_bytes": pad_left * channels,
        "segment_step": channels, "window_span": kernel_columns * channels,
        "ofm_rows": ofm_rows, "ofm_columns": ofm_columns, "blocks": blocks,
        "block_width": config.column_lanes, "steps": steps, "block_words": steps,
        "columns_first": kernel_columns - pad_left if sliding and not own else kernel_columns,
        "columns_next": stride if sliding or own else kernel_columns, "phases": phases,
    }
