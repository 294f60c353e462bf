"""One LAYER instruction of the emulator: decoded once, run for every inference.

Whole layers are computed in the order y, x, b of docs/architecture.md as one matrix product. The
order within a layer is not visible: ``emulator_hazards`` refuses programs in which it would be.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import as_strided

from kaniwa.config import AcceleratorConfig
from kaniwa.emulator.column import column_accumulators
from kaniwa.emulator.memory import EmulatedMemory, strided
from kaniwa.emulator.requantize import check_int32, requantize
from kaniwa.isa import Mode
from kaniwa.program.instruction import Values, pixels

__all__ = ["PreparedLayer"]

# Elements of the largest matrix of windows made at once: 64 MiB of float32.
CHUNK_ELEMENTS = 1 << 24
# OpenBLAS starts threads for a product of more than 2^18 multiplications. They cost a millisecond
# where other processes keep the cores busy, so smaller layers are cut into products without them.
SERIAL_PRODUCTS = 1 << 18
PARALLEL_PRODUCTS = 1 << 25


@dataclass(frozen=True, eq=False)
class PreparedLayer:
    """An instruction with everything that does not depend on the activations.

    ``weights``: [steps * N, channels] for DENSE (rows of the patch's useful bytes with patch),
    [taps, channels] for DEPTHWISE, of a float type in which every partial sum is exact;
    int64 [block_words, N, channels] for COLUMN; empty for MAX_POOL. ``bias``, ``multiplier``,
    ``shift``: int64 [channels]. ``table``, ``operand_table``: int64 [256] or None.
    """

    values: Values
    config: AcceleratorConfig
    channels: int
    weights: np.ndarray
    bias: np.ndarray
    multiplier: np.ndarray
    shift: np.ndarray
    table: np.ndarray | None
    operand_table: np.ndarray | None
    loaded_tables: frozenset[int]

    def run(self, memory: EmulatedMemory) -> None:
        """Read the input, compute, write the results. Raises Fault."""
        v = self.values
        result = self._requantize(self._accumulators(memory))
        if self.table is not None:
            result = self.table[result + 128]
        if self.operand_table is not None:
            operand = self._pixels(memory, "operand").view(np.int8)
            second = self.operand_table[operand.astype(np.int64) + 128]
            total = (result * second if v["multiply"]      # of FACTOR_BITS each
                     else check_int32(result + second, "a sum of ADD"))
            scaled = requantize(total, v["add_multiplier"], v["add_shift"], v["add_rounding"],
                                self.config.multiplier_bits)
            result = np.clip(scaled + v["add_zero_point"], v["add_min"], v["add_max"])
        self._pixels(memory, "ofm")[...] = result.astype(np.int8).view(np.uint8)

    def _input_rows(self, memory: EmulatedMemory) -> np.ndarray:
        """The input as it lies in memory: int8 [ifm_rows, ifm_row_bytes]."""
        v = self.values
        return strided(memory, v["ifm_address"], (v["ifm_rows"], v["ifm_row_bytes"]),
                       (v["ifm_pitch"], 1)).view(np.int8)

    def _padded_rows(self, memory: EmulatedMemory) -> np.ndarray:
        """Every row and byte that the loops can read, padding in place: int8 [rows, bytes]."""
        v = self.values
        rows, size = v["ifm_rows"], v["ifm_row_bytes"]
        source = self._input_rows(memory)
        height = ((v["ofm_rows"] - 1) * v["stride_rows"]
                  + (v["kernel_rows"] - 1) * v["dilation_rows"] + 1)
        read = self.channels
        if v["mode"] == Mode.DENSE:
            read = v["chunks"] * self.config.dot_width
        width = ((v["ofm_columns"] - 1) * v["pixel_step"]
                 + (v["segments"] - 1) * v["segment_step"] + read)
        padded = np.full((height, width), v["pad_value"], np.int8)
        inside = padded[v["pad_top"]:v["pad_top"] + rows,
                        v["pad_left_bytes"]:v["pad_left_bytes"] + size]
        inside[...] = source[:inside.shape[0], :inside.shape[1]]
        return padded

    def _accumulators(self, memory: EmulatedMemory) -> np.ndarray:
        """int64 [ofm_rows, ofm_columns, channels]."""
        mode = self.values["mode"]
        if mode == Mode.COLUMN:
            return column_accumulators(self._input_rows(memory), self.weights, self.values,
                                       self.config)
        padded = self._padded_rows(memory)
        if mode == Mode.DENSE:
            return self._dense(padded)
        taps = self._windows(padded if mode == Mode.MAX_POOL else padded.astype(self.weights.dtype),
                             self.channels)
        rows, columns = taps.shape[:2]
        ordered = [taps[:, :, ky, s] for ky in range(taps.shape[2]) for s in range(taps.shape[3])]
        if mode == Mode.MAX_POOL:
            result = ordered[0].copy()
            for tap in ordered[1:]:
                np.maximum(result, tap, out=result)
        else:
            result = np.zeros((rows, columns, self.channels), self.weights.dtype)
            for tap, weights in zip(ordered, self.weights, strict=True):
                result += tap * weights
        return result.astype(np.int64)

    def _dense(self, padded: np.ndarray) -> np.ndarray:
        v = self.values
        windows = self._windows(
            padded, v["segment_bytes"] if v["patch"] else v["chunks"] * self.config.dot_width)
        rows, columns = windows.shape[:2]
        depth = len(self.weights)
        result = np.empty((rows * columns, self.channels), np.int64)
        step = max(1, CHUNK_ELEMENTS // (columns * depth))
        for first in range(0, rows, step):
            matrix = windows[first:first + step].astype(self.weights.dtype).reshape(-1, depth)
            _multiply(matrix, self.weights, result[first * columns:])
        return result.reshape(rows, columns, self.channels)

    def _windows(self, padded: np.ndarray, size: int) -> np.ndarray:
        """``size`` bytes at each [y, x, ky, s], as a view."""
        v = self.values
        row, byte = padded.strides
        return as_strided(
            padded, (v["ofm_rows"], v["ofm_columns"], v["kernel_rows"], v["segments"], size),
            (v["stride_rows"] * row, v["pixel_step"] * byte, v["dilation_rows"] * row,
             v["segment_step"] * byte, byte), writeable=False)

    def _requantize(self, accumulators: np.ndarray) -> np.ndarray:
        v = self.values
        total = check_int32(accumulators + self.bias, "an accumulator")
        scaled = requantize(total, self.multiplier, self.shift, v["rounding"],
                            self.config.multiplier_bits)
        result = scaled + v["zero_point"]
        if v["act_min"] > v["act_max"]:      # the low 8 bits
            return (result + 128) % 256 - 128
        return np.clip(result, v["act_min"], v["act_max"])

    def _pixels(self, memory: EmulatedMemory, which: str) -> np.ndarray:
        """The ofm's or operand's bytes [rows, columns, channels] in memory, as a view."""
        return strided(memory, *pixels(self.values, which))


def _multiply(matrix: np.ndarray, weights: np.ndarray, result: np.ndarray) -> None:
    """The first rows of ``result`` become ``matrix @ weights``."""
    work = weights.size * len(matrix)
    step = max(1, SERIAL_PRODUCTS // weights.size) if work < PARALLEL_PRODUCTS else len(matrix)
    for first in range(0, len(matrix), step):
        part = matrix[first:first + step]
        result[first:first + len(part)] = part @ weights
