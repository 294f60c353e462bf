"""COLUMN mode of the emulator: a window filled column by column, as docs/architecture.md has it."""

from __future__ import annotations

import numpy as np

from kaniwa.config import AcceleratorConfig
from kaniwa.emulator.memory import Fault
from kaniwa.isa import ErrorCode
from kaniwa.program.instruction import Values, column_window, meets_corner

__all__ = ["column_accumulators", "check_stale_columns"]


def column_accumulators(rows: np.ndarray, weights: np.ndarray, values: Values,
                        config: AcceleratorConfig) -> np.ndarray:
    """int64 [ofm_rows, ofm_columns, channels] from the input ``rows`` int8 [ifm_rows, bytes].

    ``weights``: int64 [block_words, N, channels]. Every output row and channel has a window
    [rows, columns] of its own here; columns shift in from the right. With ``phase_windows`` it has
    two, twice as wide: a step sees a half, the right one first. In a corner the second phase's
    step sees the first row of its right half, in the next taps what is beside both halves, and
    zeros.
    """
    v, channels = values, weights.shape[2]
    height, width = column_window(config, v)
    own, corner = v["phase_windows"], meets_corner(config, v)
    result = np.zeros((v["ofm_rows"], v["ofm_columns"], channels), np.int64)
    windows = [np.full((v["ofm_rows"], height, width << own, channels), v["pad_value"], np.int64)
               for _ in range(1 + own)]
    for x in range(v["ofm_columns"]):
        word = 0
        for phase in range(v["phases"]):
            count = v["columns_next"] if x or not v["sliding"] else v["columns_first"]
            for j in range(count):
                if v["sliding"]:
                    number = j if x == 0 else v["columns_first"] + (x - 1) * count + j
                    offset = number * v["segment_step"] - own * v["pad_left_bytes"]
                else:
                    offset = x * v["pixel_step"] - v["pad_left_bytes"] + j * v["segment_step"]
                column = _column(rows, values, height, phase, offset, channels)
                window = windows[own * phase]
                window = np.concatenate([window[:, :, 1:], column[:, :, None]], axis=2)
                windows[own * phase] = window
                if j == count - 1 or (not v["sliding"] and j % width == width - 1):
                    for again in range(v["chunks"]):
                        half = window[:, :, :width] if again else window[:, :, -width:]
                        taps = half.reshape(v["ofm_rows"], height * width, channels)
                        if corner and phase == 1:
                            beside = np.concatenate(
                                [windows[0][:, :, -width - 1], window[:, :1, -width - 1]], axis=1)
                            taps = np.concatenate([half[:, 0], beside], axis=1)
                            taps = np.pad(taps, [(0, 0), (0, height * width - taps.shape[1]),
                                                 (0, 0)])
                        result[:, x] += (taps * weights[word]).sum(axis=1)
                        word += 1
    return result


def _column(rows: np.ndarray, v: Values, height: int, phase: int, offset: int,
            channels: int) -> np.ndarray:
    """The bytes [ofm_rows, height, channels] of a column; padding where there is no input."""
    column = np.full((v["ofm_rows"], height, channels), v["pad_value"], np.int64)
    if not 0 <= offset < v["ifm_row_bytes"]:
        return column
    y = np.arange(v["ofm_rows"])[:, None] * v["stride_rows"] - v["pad_top"]
    wanted = y + phase * height + np.arange(height)
    real = (wanted >= 0) & (wanted < v["ifm_rows"])
    bytes_ = rows[:, offset:offset + channels]
    column[real, :bytes_.shape[1]] = bytes_[wanted[real]]
    return column


def check_stale_columns(weights: np.ndarray, values: Values, config: AcceleratorConfig) -> None:
    """Raise Fault where a weight meets a column that is left over from another pixel."""
    height, width = column_window(config, values)
    if meets_corner(config, values):
        return
    if values["phase_windows"]:
        taps = weights.reshape(values["phases"], values["chunks"], height, width, -1)
        left = values["chunks"] * width - values["segments"]    # of both halves, in all
        if taps[:, -1, :, :left].any():
            raise Fault(ErrorCode.ILLEGAL_FIELD, "a weight meets a column of another row")
        return
    if values["sliding"]:
        return
    fresh = values["columns_next"] % width
    if fresh == 0:
        return
    groups = -(-values["columns_next"] // width)
    taps = weights.reshape(values["phases"], groups, height, width, -1)
    if taps[:, -1, :, :width - fresh].any():
        raise Fault(ErrorCode.ILLEGAL_FIELD, "a weight meets a column of another pixel")
