"""The array's loops in plain Python, as the contract has them, and random instructions."""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from kaniwa.config import AcceleratorConfig
from kaniwa.isa import FIELDS, Mode
from kaniwa.isa.step_lists import most_steps
from kaniwa.program.instruction import blocks_at_once, pixel_words
from kaniwa.sim.worlds.array_step import Step
from kaniwa.sim.worlds.column_loops import column_steps, draw_columns

__all__ = ["Loops", "drawn_steps", "random_instruction"]


class Loops:
    """Runs instructions one after the other; ``base`` and ``word`` go on from one to the next."""

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        self.base = self.word = self.count = 0
        self.steps: npt.NDArray[np.bool_] | None = None   # of the list of the instruction in work

    def load_positions(self, fields: dict[str, int]) -> list[int]:
        """Values that ``loaded`` takes, word by word, for the instruction about to run."""
        positions, word = [], self.config.read_bytes
        for row in range(fields["ifm_rows"]):
            start = self.base + row * fields["line_pitch"]
            end = self._shift(fields, row) + fields["ifm_row_bytes"]
            positions += [start + at for at in range(word, end, word)]
            positions.append(start + fields["line_pitch"])
        return positions

    def run(self, fields: dict[str, int]) -> list[Step]:
        """All steps of an instruction."""
        f = fields
        steps: list[Step] = []
        first_word = self.word
        words = pixel_words(f)
        self.steps = drawn_steps(f) if f["listed"] else None
        pixels = f["ofm_rows"] * f["ofm_columns"]
        for y in range(f["ofm_rows"]):
            if f["mode"] == Mode.COLUMN:
                steps += column_steps(self.config, f, self.count, self.base, first_word, y)
            for x in range(f["ofm_columns"] if f["mode"] != Mode.COLUMN else 0):
                streamed = words * (y * f["ofm_columns"] + x) if f["weights_stream"] else 0
                at_once = blocks_at_once(self.config, f)
                for b in range(0, f["blocks"], at_once):
                    steps += self._block(f, y, x, b, first_word + streamed,
                                         at_once > 1 and b + 1 < f["blocks"])
            top = (y + 1) * f["stride_rows"] - f["pad_top"]
            steps[-1].frees = self.base + min(max(top, 0), f["ifm_rows"]) * f["line_pitch"]
        self.base += f["ifm_rows"] * f["line_pitch"]
        self.word += words * (pixels if f["weights_stream"] else 1)
        steps[-1].frees, steps[-1].ends = self.base, True
        if not f["weights_stream"]:
            steps[-1].releases = words
        self.count += 1
        return steps

    def _block(self, f: dict[str, int], y: int, x: int, b: int, first_word: int,
               pair: bool) -> Iterator[Step]:
        width, dense = self.config.dot_width, f["mode"] == Mode.DENSE
        pixel = x * f["pixel_step"] - f["pad_left_bytes"]
        taps = [(ky, s, c) for ky in range(f["kernel_rows"]) for s in range(f["segments"])
                for c in range(f["chunks"])]
        before = b * len(taps)
        if self.steps is not None:
            before = int(self.steps[:b].sum())
            taps = [tap for tap, used in zip(taps, self.steps[b].flat, strict=True) if used]
        for t, (ky, s, c) in enumerate(taps):
            row = y * f["stride_rows"] + ky * f["dilation_rows"] - f["pad_top"]
            offset = pixel + s * f["segment_step"] + c * width
            word: int | None = first_word + b * f["block_words"] + t // width
            if dense:
                word = first_word + before + t
            else:
                offset += b * f["block_width"]
            if f["mode"] == Mode.MAX_POOL:
                word = None
            start = self.base + row * f["line_pitch"] + self._shift(f, row)
            end = pixel + f["window_span"]
            valid = 0 <= row < f["ifm_rows"]
            used_up = dense or t % width == width - 1 or t == len(taps) - 1
            yield Step(
                self.count, f, valid, offset, start,
                needs=start + min(end, f["ifm_row_bytes"]) if valid and end >= 0 else 0,
                window_end=end, first=t == 0, last=t == len(taps) - 1, column=t % width, word=word,
                pair=pair,
                releases=int(word is not None and f["weights_stream"] and used_up))

    def _shift(self, f: dict[str, int], row: int) -> int:
        return (f["ifm_address"] + row * f["ifm_pitch"]) % self.config.read_bytes


def random_instruction(config: AcceleratorConfig, rng: random.Random, most_steps: int = 600,
                       columns: float = 0.0, lists: float = 0.4) -> dict[str, int]:
    """A legal LAYER instruction that fits the config's buffers, at most ``most_steps`` steps.

    ``columns``: probability of COLUMN, where the config has it; ``lists``: of a list, in DENSE.
    """
    while True:
        draw = draw_columns if config.depthwise and rng.random() < columns else _draw
        fields = draw(config, rng)
        f = {name: fields.get(name, max(0, field.low)) for name, field in FIELDS.items()
             if "array" in field.units}
        if f["mode"] == Mode.DENSE and rng.random() < lists:
            _leave_out(f, config, rng)
        total = f["ofm_rows"] * f["ofm_columns"] * f["blocks"] * f["steps"]
        span = (f["kernel_rows"] - 1) * f["dilation_rows"] + 1
        rows = max(span, f["stride_rows"]) * f["line_pitch"]
        fits = f["weights_stream"] or pixel_words(f) <= config.ring_words
        if total <= most_steps and rows <= config.line_bytes and fits:
            return f


def drawn_steps(f: dict[str, int]) -> npt.NDArray[np.bool_]:
    """The list of a random instruction: bool [blocks, segments of all kernel rows, chunks]."""
    rng = np.random.default_rng(f["pad_value"] & 255)
    steps = rng.random((f["blocks"], f["kernel_rows"] * f["segments"], f["chunks"])) < (
        rng.choice([0.1, 0.5, 0.9]))
    steps[..., 0] |= ~steps.any(axis=2)
    return steps


def _leave_out(f: dict[str, int], config: AcceleratorConfig, rng: random.Random) -> None:
    """Give a DENSE instruction a list of its steps, where the config holds it."""
    count = int(drawn_steps(f).sum())
    if count <= most_steps(config):
        f |= {"listed": 1, "block_words": count}


def _draw(config: AcceleratorConfig, rng: random.Random) -> dict[str, int]:
    """A convolution or pooling of random shape; it may be too large."""
    mode = rng.choice([Mode.DENSE, Mode.DENSE, Mode.DEPTHWISE]
                      + ([Mode.MAX_POOL] if config.max_pool else []))
    width, lanes = config.dot_width, config.depthwise_lanes
    size = rng.choice([1, 1, 2, 3, 3, 5, 7])
    kernel_rows, kernel_columns = (size, size) if rng.random() < 0.5 else (
        rng.randint(1, 7), rng.randint(1, 7))
    if mode == Mode.MAX_POOL and rng.random() < 0.2:
        lanes = max(lanes - 1, 1)    # such blocks are no pairs
    elif mode == Mode.MAX_POOL and rng.random() < 0.6:
        kernel_rows, kernel_columns = rng.choice([(1, 1), (1, 2), (2, 1), (3, 3)])
    dilation_rows, dilation = rng.choice([1, 1, 1, 2, 3]), rng.choice([1, 1, 1, 2])
    stride_rows, stride = rng.choice([1, 1, 2, 3]), rng.choice([1, 1, 2])
    channels = rng.choice([1, 2, 3, lanes, width, rng.randint(1, 3 * width)])
    reach_rows = (kernel_rows - 1) * dilation_rows + 1
    reach = (kernel_columns - 1) * dilation + 1
    padding = rng.choice([0, 0, 1])
    pad_top, pad_bottom = (rng.randint(0, padding * (reach_rows - 1)) for _ in range(2))
    pad_left, pad_right = (rng.randint(0, padding * (reach - 1)) for _ in range(2))
    if rng.random() < 0.1:    # windows wholly in the padding
        pad_top, pad_bottom, pad_left = pad_top + 2, pad_bottom + 3 * stride_rows, pad_left + 9
    pad_left = min(pad_left, config.line_bytes // channels)     # what offsets hold
    height, columns = rng.randint(1, 9), rng.choice([1, rng.randint(1, 9), rng.randint(1, 16)])
    ofm_rows = (height + pad_top + pad_bottom - reach_rows) // stride_rows + 1
    ofm_columns = (columns + pad_left + pad_right - reach) // stride + 1
    used = {y * stride_rows + ky * dilation_rows - pad_top
            for y in range(ofm_rows) for ky in range(kernel_rows)} & set(range(height))
    contiguous = mode == Mode.DENSE and dilation == 1
    segments = 1 if contiguous else kernel_columns
    chunks = 1
    if mode == Mode.DENSE:
        chunks = -(-(kernel_columns * channels if contiguous else channels) // width)
    steps = kernel_rows * segments * chunks
    row_bytes, word = columns * channels, config.read_bytes
    if ofm_rows < 1 or ofm_columns < 1 or not used:
        return {"line_pitch": 2 * config.line_bytes}   # no such layer: never fits
    return {
        "mode": mode, "weights_stream": rng.getrandbits(1),
        "ifm_address": rng.getrandbits(32), "ifm_pitch": rng.getrandbits(24),
        "kernel_rows": kernel_rows, "ifm_rows": max(used) + 1,
        "line_pitch": (word * -(-(row_bytes + word - 1) // word)
                       + rng.choice([0, 0, word, config.lane_bytes * rng.randrange(4)])),
        "ifm_row_bytes": row_bytes, "segments": segments, "stride_rows": stride_rows,
        "pad_top": pad_top, "dilation_rows": dilation_rows, "pad_value": rng.randint(-128, 127),
        "chunks": chunks, "pixel_step": stride * channels, "pad_left_bytes": pad_left * channels,
        "segment_step": dilation * channels, "window_span": reach * channels,
        "ofm_rows": ofm_rows, "ofm_columns": ofm_columns,
        "weight_zero_point": rng.randint(-128, 127),
        "blocks": rng.randint(1, 4) if mode == Mode.DENSE else -(-channels // lanes),
        "block_width": config.out_lanes if mode == Mode.DENSE else lanes,
        "steps": steps,
        "block_words": {Mode.DENSE: steps, Mode.DEPTHWISE: -(-steps // width),
                        Mode.MAX_POOL: 0}[mode],
    }
