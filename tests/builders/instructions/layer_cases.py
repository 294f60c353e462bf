"""Random LAYER instructions with their memory, and what docs/architecture.md says they compute.

The model is written as loops over single bytes, straight from the text, to share nothing with the
emulator, which works on whole layers.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np

from builders.instructions.column_cases import (
    clear_stale,
    column_geometry,
    column_sums,
    patch_geometry,
    patch_sums,
)
from kaniwa import isa
from kaniwa.config import AcceleratorConfig
from kaniwa.isa import Mode, Rounding
from kaniwa.isa.weight_stream import (
    encode_parameters,
    encode_steps,
    encode_tables,
    encode_weights,
)

PROGRAM, PARAMETERS, WEIGHTS, IFM, OPERAND, OFM = (
    0x0000, 0x0800, 0x2000, 0x6000, 0x8000, 0xA000)
MEMORY_BYTES = 0x10000


@dataclass
class Case:
    """An instruction, its memory image by address, and the bytes it leaves by address."""

    values: dict[str, int]
    image: dict[int, bytes]
    expected: dict[int, int]

    def program(self) -> bytes:
        return isa.encode(self.values) + isa.encode({"opcode": isa.Opcode.END})


def random_case(seed: int, config: AcceleratorConfig, mode: Mode = Mode.DENSE, add: bool = False,
                table: bool = False, stream: bool = False,
                rounding: Rounding = Rounding.DOUBLE, in_place: bool = False,
                patch: bool = False, multiply: bool = False) -> Case:
    """A legal instruction of small random geometry for ``config`` with MEMORY_BYTES.

    ``multiply`` comes with ``add``.
    """
    rng, numbers = random.Random(seed), np.random.default_rng(seed)
    v = column_geometry(rng, config, IFM) if mode == Mode.COLUMN else _geometry(rng, config, mode)
    if patch:
        v = patch_geometry(v, config) or v
    blocks, width, last = v["blocks"], v["block_width"], v["last_width"]
    channels = (blocks - 1) * width + last
    words = numbers.integers(-128, 128, (blocks, v["block_words"], config.out_lanes,
                                         config.dot_width)).astype(np.int8)
    if mode == Mode.MAX_POOL:
        words = words[:, :0]
    if rng.random() < 0.5:
        words >>= rng.randrange(8)
    if mode == Mode.COLUMN:
        clear_stale(words, v, config)
    v["weight_zero_point"] = 0
    if mode == Mode.DENSE and not config.compact and rng.random() < 0.5:
        v["weight_zero_point"] = rng.choice((-128, 127, rng.randint(-128, 127)))
    if v.get("patch"):
        useful = v["kernel_rows"] * v["segment_bytes"]
        flat = words.transpose(0, 2, 1, 3).reshape(blocks, config.out_lanes, -1).copy()
        flat[..., useful:] = v["weight_zero_point"]
        words = np.ascontiguousarray(flat.reshape(
            blocks, config.out_lanes, -1, config.dot_width).transpose(0, 2, 1, 3))
    listed = config.step_entries > 0 and mode == Mode.DENSE and not v.get("patch")
    steps = _leave_out(words, v, numbers) if listed else None
    weight_stream = encode_weights(words if steps is None else words[steps], config)
    bits = config.multiplier_bits
    records = [(rng.randint(-5000, 5000), rng.randrange(1 << bits - 1, 1 << bits),
                rng.choice((bits + 7, bits + 8, bits + 9, bits, 3, 0))) for _ in range(channels)]
    if rounding == Rounding.EVEN:  # powers of two: exact ties are frequent
        records = [(bias, 1 << 20, 20 + rng.randrange(1, 12)) for bias, _, _ in records]
    limit = 1 << (8 if multiply else 20 if add else 7)
    tables = [numbers.integers(-limit, limit, 256) for _ in range(2)]
    bank = rng.randrange(2)
    used_tables = range(2 if add else int(table))
    parameter_stream = encode_tables({i: tables[i] for i in used_tables}, bank, config)
    if steps is not None:
        parameter_stream += encode_steps(steps.reshape(blocks, -1, v["chunks"]), config)
    parameter_stream += encode_parameters(*zip(*records, strict=True), width, blocks, config)
    act = sorted(rng.sample(range(-128, 128), 2))
    row_pitch = v["ofm_columns"] * (channels + rng.randrange(3)) + rng.randrange(4)
    pixel_pitch = channels + rng.randrange(3) if v["ofm_columns"] == 1 else (
        row_pitch // v["ofm_columns"])
    v |= {
        "opcode": isa.Opcode.LAYER, "mode": mode, "add": int(add), "table": int(table),
        "multiply": int(multiply), "weights_stream": int(stream), "table_bank": bank,
        "rounding": rounding, "add_rounding": rng.randrange(3), "store_in_order": 1,
        "tag": rng.randrange(1024),
        "parameter_address": PARAMETERS, "parameter_bytes": len(parameter_stream),
        "weight_address": WEIGHTS, "weight_bytes": len(weight_stream),
        "weight_repeat": v["ofm_rows"] * v["ofm_columns"] if stream else 1,
        "zero_point": rng.randint(-128, 127), "act_min": act[0], "act_max": act[1],
        "add_zero_point": rng.randint(-128, 127), "add_multiplier": rng.randrange(1 << bits),
        "add_shift": bits + (8 if multiply else 12), "add_min": -128,
        "add_max": rng.randint(0, 127),
        "ofm_address": OPERAND if in_place else OFM + rng.randrange(16),
        "ofm_row_pitch": row_pitch, "ofm_pixel_pitch": pixel_pitch,
        "operand_address": OPERAND, "operand_row_pitch": row_pitch,
        "operand_pixel_pitch": pixel_pitch}
    image = {PARAMETERS: parameter_stream, WEIGHTS: weight_stream,
             IFM: numbers.bytes(OPERAND - IFM), OPERAND: numbers.bytes(0x1000)}
    v = isa.decode(isa.encode(v))  # all fields, with those left out
    case = Case(v, image, {})
    case.image[PROGRAM] = case.program()
    case.expected = expected_bytes(config, v, image, words, records, tables)
    return case


def _leave_out(words: np.ndarray, v: dict[str, int],
               numbers: np.random.Generator) -> np.ndarray:
    """A list of steps for a DENSE instruction: bool [blocks, steps]. The ``words`` of others become
    those that stand for weights of 0."""
    steps = numbers.random(words.shape[:2]) < numbers.choice([0.2, 0.6, 0.9])
    by_segment = steps.reshape(-1, v["chunks"])
    by_segment[:, -1] |= ~by_segment.any(axis=1)
    words[~steps] = v["weight_zero_point"]
    v |= {"listed": 1, "block_words": int(steps.sum())}
    return steps


def _geometry(rng: random.Random, config: AcceleratorConfig, mode: Mode) -> dict[str, int]:
    n = config.dot_width
    kernel_rows, kernel_columns = rng.randint(1, 4), rng.randint(1, 4)
    dilation, stride = rng.randint(1, 2), rng.randint(1, 2)
    rows, columns = rng.randint(1, 4), rng.randint(1, 4)
    blocks = rng.randint(1, 3)
    lanes = config.out_lanes if mode == Mode.DENSE else config.depthwise_lanes
    width = rng.choice((lanes, max(1, lanes - 1)))
    last = rng.randint(1, width)
    if mode == Mode.DENSE:
        in_channels = rng.randint(1, 2 * n)
    else:
        in_channels = (blocks - 1) * width + last
    contiguous = mode == Mode.DENSE and rng.random() < 0.5
    segments = 1 if contiguous else kernel_columns
    segment_bytes = kernel_columns * in_channels if contiguous else in_channels
    chunks = -(-segment_bytes // n) if mode == Mode.DENSE else 1
    last_row = (rows - 1) * stride + (kernel_rows - 1) * dilation + 1
    pad_top = rng.randrange(min(last_row, kernel_rows + 1))
    used = last_row - pad_top
    ifm_rows = max(1, used - rng.randrange(kernel_rows))
    row_bytes = in_channels * rng.randint(1, 2 * columns)
    address, pitch = IFM + rng.randrange(32), row_bytes + rng.randrange(9)
    read = config.read_bytes
    mis = max((address + r * pitch) % read for r in range(ifm_rows))
    steps = kernel_rows * segments * chunks
    step = rng.choice((1, 2)) * in_channels
    return {
        "ifm_address": address, "ifm_pitch": pitch, "kernel_rows": kernel_rows,
        "ifm_rows": ifm_rows, "line_pitch": -(-(mis + row_bytes) // read) * read,
        "ifm_row_bytes": row_bytes, "segments": segments, "stride_rows": stride,
        "pad_top": pad_top, "dilation_rows": dilation, "pad_value": rng.randint(-128, 127),
        "chunks": chunks, "pixel_step": stride * in_channels,
        "pad_left_bytes": in_channels * rng.randrange(kernel_columns),
        "segment_step": 0 if contiguous else step,
        "window_span": max(1, (segments - 1) * step + segment_bytes),
        "ofm_rows": rows, "ofm_columns": columns, "blocks": blocks, "block_width": width,
        "last_width": last, "steps": steps,
        "block_words": {Mode.DENSE: steps, Mode.DEPTHWISE: -(-steps // n),
                        Mode.MAX_POOL: 0}[mode]}


def expected_bytes(config: AcceleratorConfig, v: dict[str, int], image: dict[int, bytes],
                   words: np.ndarray, records: list[tuple[int, int, int]],
                   tables: list[np.ndarray]) -> dict[int, int]:
    """The bytes that the instruction stores, by address."""
    stored = {}

    def read(iy: int, offset: int) -> int:
        return _byte(image, v["ifm_address"] + iy * v["ifm_pitch"] + offset)

    columns = {(y, b): column_sums(config, v, read, words[b], y, b)
               for y in range(v["ofm_rows"]) for b in range(v["blocks"])
               if v["mode"] == Mode.COLUMN}
    for y in range(v["ofm_rows"]):
        for x in range(v["ofm_columns"]):
            for b in range(v["blocks"]):
                width = v["last_width"] if b == v["blocks"] - 1 else v["block_width"]
                if v["mode"] == Mode.COLUMN:
                    block = columns[y, b][x]
                elif v["patch"]:
                    block = patch_sums(config, v, read, words[b], y, x)
                else:
                    block = _block(config, v, image, words[b], y, x, b)
                for m in range(width):
                    channel = b * v["block_width"] + m
                    operand = v["operand_address"] + y * v["operand_row_pitch"] + (
                        x * v["operand_pixel_pitch"]) + channel
                    result = _result(config, v, block[m], records[channel], tables,
                                     _byte(image, operand) if v["add"] else 0)
                    address = v["ofm_address"] + y * v["ofm_row_pitch"] + (
                        x * v["ofm_pixel_pitch"]) + channel
                    stored[address] = result & 255
    return stored


def _block(config: AcceleratorConfig, v: dict[str, int], image: dict[int, bytes],
           words: np.ndarray, y: int, x: int, b: int) -> list[int]:
    n, lanes = config.dot_width, config.out_lanes
    sums, largest, t = [0] * lanes, [-128] * lanes, 0
    for ky in range(v["kernel_rows"]):
        for s in range(v["segments"]):
            for c in range(v["chunks"]):
                iy = y * v["stride_rows"] + ky * v["dilation_rows"] - v["pad_top"]
                offset = (x * v["pixel_step"] - v["pad_left_bytes"] + s * v["segment_step"]
                          + c * n)
                if v["mode"] != Mode.DENSE:
                    offset += b * v["block_width"]
                read = [_byte(image, v["ifm_address"] + iy * v["ifm_pitch"] + offset + j)
                        if 0 <= iy < v["ifm_rows"] and 0 <= offset + j < v["ifm_row_bytes"]
                        else v["pad_value"] for j in range(n)]
                for m in range(lanes):
                    if v["mode"] == Mode.DENSE:
                        sums[m] += sum(a * (int(w) - v["weight_zero_point"])
                                       for a, w in zip(read, words[t][m], strict=True))
                    elif m < config.depthwise_lanes and v["mode"] == Mode.DEPTHWISE:
                        sums[m] += read[m] * int(words[t // n][m][t % n])
                    elif m < config.depthwise_lanes:
                        largest[m] = max(largest[m], read[m])
                t += 1
    return largest if v["mode"] == Mode.MAX_POOL else sums


def _result(config: AcceleratorConfig, v: dict[str, int], accumulator: int,
            record: tuple[int, int, int], tables: list[np.ndarray], operand: int) -> int:
    bias, multiplier, shift = record
    q = rescaled(accumulator + bias, multiplier, shift, v["rounding"], config.multiplier_bits)
    y = min(max(q + v["zero_point"], v["act_min"]), v["act_max"])
    if v["table"]:
        y = int(tables[0][y + 128])
    if v["add"]:
        a, b = int(tables[0][y + 128]), int(tables[1][operand + 128])
        total = a * b if v["multiply"] else a + b
        q = rescaled(total, v["add_multiplier"], v["add_shift"], v["add_rounding"],
                     config.multiplier_bits)
        y = min(max(q + v["add_zero_point"], v["add_min"]), v["add_max"])
    return y


def rescaled(v: int, m: int, s: int, rounding: int, multiplier_bits: int) -> int:
    """``(v * m + b) >> s`` in Python's integers."""
    if s == 0:
        return v * m
    b = 1 << s - 1
    if rounding == Rounding.DOUBLE and s > multiplier_bits:
        b += (1 if v >= 0 else -1) << multiplier_bits - 1
    if rounding == Rounding.AWAY and v < 0:
        b -= 1
    total = v * m + b
    if rounding == Rounding.EVEN and total % (1 << s) == 0:
        return total >> s & ~1
    return total >> s


def _byte(image: dict[int, bytes], address: int) -> int:
    for start, data in image.items():
        if start <= address < start + len(data):
            value = data[address - start]
            return value - 256 if value > 127 else value
    raise AssertionError(f"the case reads {address:#x}, which it does not define")
