"""The loops of DENSE with patch in plain Python, as the contract has them, and random ones."""

from __future__ import annotations

import random
from dataclasses import dataclass

from kaniwa.config import AcceleratorConfig
from kaniwa.isa import FIELDS, Mode
from kaniwa.sim.worlds.array_loops import Loops, random_instruction

__all__ = ["Gather", "PatchStep", "Patches", "random_patches", "long_patches"]

Byte = tuple[int, int, int, int, int]   # instruction, y, x, kernel row, byte of it


@dataclass
class Gather:
    """A read for a patch, with absolute positions: counted from reset, never wrapped."""

    instruction: int
    fields: dict[str, int]
    row: int                # input row, may lie outside
    row_first: bool         # first read of its output row
    offset: int
    row_start: int          # position of byte 0 of its row
    needs: int              # ``loaded`` has to be at least this
    bytes: list[Byte]       # those that count
    last_word: int          # word of the patch buffer that the last of them goes to
    complete: int           # words below this one are complete after it
    line_end: int           # past the last row of the instruction

    @property
    def row_valid(self) -> bool:
        """True where the row of the read lies in the input."""
        return 0 <= self.row < self.fields["ifm_rows"]

    @property
    def real(self) -> list[int]:
        """Positions of the bytes that count and lie in the row."""
        return [self.row_start + self.offset + j for j in range(len(self.bytes))
                if self.row_valid and 0 <= self.offset + j < self.fields["ifm_row_bytes"]]


@dataclass
class PatchStep:
    """A step of the array."""

    instruction: int
    fields: dict[str, int]
    bytes: list[Byte]       # what its word of the patch buffer has to begin with
    patch_word: int
    word: int               # ring word
    first: bool
    last: bool
    last_block: bool
    releases: int
    ends: bool = False      # last one of its instruction
    frees: int | None = None   # what the reads have given back by then, where it is the last one


class Patches:
    """Instructions one after the other; bases go on from one to the next."""

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        self.base = self.word = self.patch_word = self.count = 0
        self.reads: list[Gather] = []
        self.steps: list[PatchStep] = []
        self.load_positions: list[int] = []    # what ``loaded`` becomes, word by word

    def follow(self, loops: Loops, f: dict[str, int]) -> list[PatchStep]:
        """The steps of an instruction after those of other modes in ``loops``."""
        self.base, self.word, self.count = loops.base, loops.word, loops.count
        before = len(self.steps)
        self.add(f)
        loops.base, loops.word, loops.count = self.base, self.word, self.count
        return self.steps[before:]

    def add(self, f: dict[str, int]) -> None:
        """All reads and steps of an instruction."""
        self._load(f)
        line_end = self.base + f["ifm_rows"] * f["line_pitch"]
        first_word = self.word
        for y in range(f["ofm_rows"]):
            for x in range(f["ofm_columns"]):
                patch = self._gather(f, y, x, line_end)
                self._use(f, patch, first_word)
                if f["weights_stream"]:
                    first_word += f["blocks"] * f["steps"]
        self.steps[-1].ends, self.steps[-1].frees = True, line_end
        if not f["weights_stream"]:
            self.steps[-1].releases = f["blocks"] * f["steps"]
            first_word += f["blocks"] * f["steps"]
        self.word, self.base = first_word, line_end
        self.count += 1

    def _load(self, f: dict[str, int]) -> None:
        word = self.config.read_bytes
        for row in range(f["ifm_rows"]):
            start = self.base + row * f["line_pitch"]
            self.load_positions += [
                start + at for at in range(word, self._shift(f, row) + f["ifm_row_bytes"], word)]
            self.load_positions.append(start + f["line_pitch"])

    def _gather(self, f: dict[str, int], y: int, x: int, line_end: int) -> list[Byte]:
        patch: list[Byte] = []
        width = self.config.dot_width
        for ky in range(f["kernel_rows"]):
            row = y * f["stride_rows"] + ky * f["dilation_rows"] - f["pad_top"]
            start = self.base + row * f["line_pitch"] + self._shift(f, row)
            for c in range(f["chunks"]):
                pixel = x * f["pixel_step"] - f["pad_left_bytes"]
                end = pixel + f["window_span"]
                useful = [(self.count, y, x, ky, j) for j in range(
                    c * width, min((c + 1) * width, f["segment_bytes"]))]
                patch += useful
                needed = 0 <= row < f["ifm_rows"] and end >= 0
                ends = len(patch) == f["kernel_rows"] * f["segment_bytes"]
                self.reads.append(Gather(
                    self.count, f, row, ky == c == x == 0, pixel + c * width, start,
                    start + min(end, f["ifm_row_bytes"]) if needed else 0, useful,
                    self.patch_word + (len(patch) - 1) // width,
                    self.patch_word + (f["steps"] if ends else len(patch) // width), line_end))
        return patch

    def _use(self, f: dict[str, int], patch: list[Byte], first_word: int) -> None:
        width, steps = self.config.dot_width, f["steps"]
        for b in range(f["blocks"]):
            for t in range(steps):
                self.steps.append(PatchStep(
                    self.count, f, patch[t * width:(t + 1) * width], self.patch_word + t,
                    first_word + b * steps + t, t == 0, t == steps - 1, b == f["blocks"] - 1,
                    f["weights_stream"]))
        self.patch_word += steps

    def _shift(self, f: dict[str, int], row: int) -> int:
        return (f["ifm_address"] + row * f["ifm_pitch"]) % self.config.read_bytes


def random_patches(config: AcceleratorConfig, rng: random.Random,
                   most_steps: int) -> dict[str, int]:
    """A legal instruction with patch."""
    while True:
        f = random_instruction(config, rng, most_steps)
        size = f["window_span"]
        patch = f["kernel_rows"] * size
        if (f["mode"] == Mode.DENSE and not f["listed"] and f["segments"] == 1 and size < 256
                and patch <= config.patch_bytes // 2):
            return _packed(config, f)


def long_patches(config: AcceleratorConfig, rng: random.Random) -> dict[str, int]:
    """A legal instruction that counts far in one of its loops."""
    width, word = config.dot_width, config.read_bytes
    rows, columns, blocks, kernel_rows = rng.choice([
        (rng.randint(260, 600), 1, 1, 2), (1, rng.randint(260, 600), 1, 2),
        (1, 1, rng.randint(260, 600), 1), (2, 2, 2, rng.randint(9, config.patch_bytes // 2)),
        (rng.randint(2, 5), 3, 2, 2)])
    size = rng.randint(1, min(config.patch_bytes // 2 // kernel_rows, 255, 2 * word))
    step = rng.choice([0, 1, size]) if columns < 9 else rng.choice([0, 1]) if columns < 200 else 0
    stride, dilation = rng.randint(1, 15), rng.choice([1, rng.randint(1, 255)])
    # The last window of a row reaches into it, so that ``loaded`` keeps up with the rows.
    # Side padding and the bytes read beyond it stay within the line buffer, as offsets hold.
    pad_left = rng.choice([0, rng.randint(0, min((columns - 1) * step + size,
                                                 config.line_bytes))])
    row_bytes = rng.randint(1, 2 * word)
    pitch = -(-row_bytes // word) * word + word
    if rows > 9:
        stride = 1
    dilation = min(dilation, (config.line_bytes // pitch - 1) // max(kernel_rows - 1, 1))
    stride = min(stride, config.line_bytes // pitch)
    if kernel_rows > 9:     # more rows than fit the line buffer at once, if they were real
        pad_top = kernel_rows - rng.randint(1, 2)
        stride = dilation = 1
    else:
        pad_top = rng.choice([0, rng.randint(0, 255)]) if rows * stride > 255 else 0
    used = {y * stride + ky * dilation - pad_top for y in range(rows) for ky in range(kernel_rows)}
    ifm_rows = max(1, min(max(used) + 1, rng.choice([max(used) + 1, rng.randint(1, rows + 2)])))
    while ifm_rows > 1 and ifm_rows - 1 not in used:
        ifm_rows -= 1
    fields = {
        "mode": Mode.DENSE, "weights_stream": 1, "ifm_address": rng.getrandbits(32),
        "ifm_pitch": rng.getrandbits(24), "kernel_rows": kernel_rows, "ifm_rows": ifm_rows,
        "line_pitch": pitch, "ifm_row_bytes": row_bytes, "segments": 1, "stride_rows": stride,
        "pad_top": pad_top, "dilation_rows": dilation, "pad_value": rng.randint(-128, 127),
        "weight_zero_point": rng.randint(-128, 127),
        "chunks": -(-size // width), "pixel_step": step, "pad_left_bytes": pad_left,
        "segment_step": rng.getrandbits(16), "window_span": size, "ofm_rows": rows,
        "ofm_columns": columns, "blocks": blocks, "block_width": config.out_lanes}
    empty = {name: max(0, field.low) for name, field in FIELDS.items() if "array" in field.units}
    return _packed(config, empty | fields)


def _packed(config: AcceleratorConfig, f: dict[str, int]) -> dict[str, int]:
    """The instruction with its taps packed."""
    size = f["window_span"]
    steps = -(-f["kernel_rows"] * size // config.dot_width)
    return f | {"patch": 1, "segment_bytes": size, "steps": steps, "block_words": steps}
