"""Random sequences for the cell unit, and what golden's functions make of them."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from kaniwa.golden.numbers.fixedpoint16 import logistic, saturate, tanh
from kaniwa.golden.numbers.rounding import multiply_by_quantized_multiplier, rounding_divide_by_pot
from kaniwa.units.cell.isa import (
    DESCRIPTOR_BYTES,
    GATES,
    LEFT_SHIFT,
    MOST_CELLS,
    MOST_INPUTS,
    POWERS,
    encode,
)

__all__ = ["Sequence", "random_sequence", "telling_sequence", "weight_stream"]

Array = np.ndarray
QUIET = 100     # largest bias of a sequence whose sums are shifted far to the left


@dataclass(frozen=True, eq=False)
class Sequence:
    """A descriptor's ``values`` and what it points to: ``inputs`` [T, I], ``weights`` of the input
    [4, N, I] and the hidden state [4, N, N], ``bias`` [4, N], first states [N]. Without
    ``input_words`` rows of the input are sums."""

    values: dict[str, int]
    inputs: Array
    weights: tuple[Array, Array]
    bias: Array
    hidden: Array
    cell: Array

    def results(self, limited: Callable[[str, Array], None] = lambda name, value: None
                ) -> tuple[Array, Array]:
        """Hidden states of all steps [T, N], and the last cell state [N]; ``limited`` is told what
        is limited to 16 bits, or to the clip."""
        v, h, c = self.values, self.hidden.astype(np.int64), self.cell.astype(np.int64)
        rows = []
        for x in self.inputs.astype(np.int64):
            sums = self._sums(x)
            again = self.weights[1].astype(np.int64) @ (h - v["hidden_zero"])
            arguments = []
            for g, gate in enumerate(GATES):
                first = self._rescaled(sums[g], f"input_{gate}")
                limited("input", first)
                total = saturate(first) + self._rescaled(again[g], f"hidden_{gate}")
                limited("gate", total)
                arguments.append(saturate(total))
            forget, admit, update, output = arguments
            c = rounding_divide_by_pot(logistic(forget) * c, 15) + rounding_divide_by_pot(
                logistic(admit) * tanh(update, 3), v["admit_shift"])
            if v["clip"] < 32768:
                limited("clip", c * (32767 // v["clip"] + 1))
                c = np.clip(c, -v["clip"], v["clip"])
            else:
                limited("state", c)
            c = saturate(c)
            product = logistic(output) * tanh(c, v["admit_shift"] - 15)
            h = np.clip(self._rescaled(product, "output") + v["output_zero"], -128, 127)
            rows.append(h)
        return np.array(rows), c

    def _sums(self, x: Array) -> Array:
        return self.weights[0].astype(np.int64) @ (x - self.values["input_zero"]) + self.bias

    def _rescaled(self, total: Array, name: str) -> Array:
        return multiply_by_quantized_multiplier(
            total, self.values[f"multiplier_{name}"], -self.values[f"shift_{name}"])

    def write(self, memory: bytearray, base: int) -> None:
        """Put all that it reads into ``memory``, whose first byte has address ``base``."""
        v = self.values
        count = v["cells"]
        stream = weight_stream(self.weights, self.bias)
        if not v["input_words"]:
            stream = stream[-16 * count * -(-count // 4):]
        parts = [(v["weight_address"], stream),
                 (v["first_hidden"], self.hidden.astype("<i1").tobytes()),
                 (v["first_cell"], self.cell.astype("<i2").tobytes())]
        parts += [(v["input_address"] + t * v["input_pitch"], row.astype("<i1").tobytes())
                  if v["input_words"] else
                  (v["input_address"] + t * v["input_pitch"] & ~15,
                   self._sums(row.astype(np.int64)).T.astype("<i4").tobytes())
                  for t, row in enumerate(self.inputs)]
        assert len(self.hidden) == count
        for address, code in parts:
            memory[address - base:address - base + len(code)] = code


def weight_stream(weights: tuple[Array, Array], bias: Array) -> bytes:
    """The words of all cells: biases and weights of the input, then weights of the hidden state."""
    parts = []
    for matrix, biases in ((weights[0], bias), (weights[1], None)):
        gates, cells, depth = matrix.shape
        padded = np.zeros((gates, cells, -(-depth // 4) * 4), np.int8)
        padded[:, :, :depth] = matrix
        words = padded.reshape(gates, cells, -1, 4).transpose(1, 2, 0, 3)
        for cell in range(cells):
            if biases is not None:
                parts.append(biases[:, cell].astype("<i4").tobytes())
            parts.append(words[cell].tobytes())
    return b"".join(parts)


def random_sequence(rng: random.Random, base: int, room: int, cells: int | None = None,
                    inputs: int | None = None, steps: int | None = None,
                    summed: bool | None = None) -> Sequence:
    """One whose parts lie in ``room`` bytes from address ``base`` on, behind the descriptor's;
    ``summed``: its input's rows are sums."""
    draw = np.random.default_rng(rng.randrange(1 << 32))
    cells = cells or rng.choice((1, 2, 3, 4, 5, 8, 15, 16, 17, 20, 24, 33, rng.randrange(1, 65)))
    inputs = inputs or rng.choice((1, 3, 4, 13, 16, 28, 40, rng.randrange(1, 100)))
    steps = steps or rng.choice((1, 2, 3, 5, 9, 14))
    loud = rng.choice((1, 4, 40, 127))       # weights
    quarters = -(-inputs // 4)
    pitch = 4 * quarters + 4 * rng.randrange(4)
    if summed is None:
        summed = rng.random() < 0.3
    if summed:
        quarters, pitch = 0, 16 * cells + 4 * rng.randrange(8)
    out_pitch = cells + rng.randrange(9)
    place = base + DESCRIPTOR_BYTES

    def take(size: int, aligned: int) -> int:
        nonlocal place
        first = -(-place // aligned) * aligned + aligned * rng.randrange(3)
        place = first + size
        assert place + 16 <= base + room, "no room for the sequence"
        return first

    v = {"cells": cells, "steps": steps, "input_words": quarters,
         "weight_address": take(16 * cells * (1 + quarters - (-cells // 4)), 16),
         "input_address": take(steps * pitch + 12, 4) + 15 * summed & ~3, "input_pitch": pitch,
         "output_address": take(steps * out_pitch, 1), "output_pitch": out_pitch,
         "first_hidden": take(cells, 16), "first_cell": take(2 * cells, 16),
         "last_hidden": take(cells, 1), "last_cell": take(2 * cells, 2),
         "input_zero": rng.choice((0, -128, 127, rng.randrange(-128, 128))),
         "hidden_zero": rng.choice((0, -128, 127, rng.randrange(-128, 128))),
         "output_zero": rng.choice((0, -128, 127, rng.randrange(-128, 128))),
         "admit_shift": rng.randrange(POWERS[0], POWERS[1] + 1),
         "clip": rng.choice((32768, 32767, rng.randrange(1, 32768)))}
    if rng.random() < 0.5:      # states stay in their places
        v |= {"last_hidden": v["first_hidden"], "last_cell": v["first_cell"]}
    for what in ("input", "hidden"):
        most = QUIET + 256 * (inputs if what == "input" else cells)     # where weights are quiet
        reach = 1 + (128 * loud * (inputs if what == "input" else cells)) ** 0.9
        for gate in GATES:
            v[f"multiplier_{what}_{gate}"] = rng.choice((rng.randrange(1 << 30, 1 << 31),
                                                         rng.randrange(1 << 31), 0, (1 << 31) - 1))
            more = rng.choice((rng.randrange(-4, 6), 1, 2, 2, 3))     # else gates are 0 or 1
            v[f"shift_{what}_{gate}"] = max(-LEFT_SHIFT, min(31, int(reach).bit_length() - 15
                                                             + more))
            if loud == 1:
                v[f"shift_{what}_{gate}"] = -rng.randrange(32 - most.bit_length())
    bias = draw.integers(-(1 << 20), 1 << 20, (4, cells))
    if loud == 1:
        bias = draw.integers(-QUIET, QUIET, (4, cells))
    if rng.random() < 0.4:      # states that grow without a bound but that of their bits
        v |= {"clip": 32768, "multiplier_input_forget": (1 << 31) - 1, "shift_input_forget": 0}
        bias[GATES.index("forget")] = 1 << 26
    v["multiplier_output"] = rng.randrange(1 << 30, 1 << 31)
    v["shift_output"] = rng.randrange(20, 25)
    assert cells <= MOST_CELLS and inputs <= MOST_INPUTS
    encode(v)

    def int8(*shape: int, most: int = 128) -> Array:
        return draw.integers(-most, min(most, 127) + 1, shape)

    return Sequence(
        v, int8(steps, inputs), (int8(4, cells, inputs, most=loud), int8(4, cells, cells,
                                                                         most=loud)),
        bias, int8(cells),
        np.where(draw.random(cells) < 0.2, draw.choice((-32768, 32767), cells),
                 draw.integers(-32768, 32768, cells)))


def telling_sequence(rng: random.Random, base: int, room: int, shown: str) -> Sequence:
    """A step in which the last bits of sums, products and functions show: those behind the "cell"
    state in that, those behind the "hidden" state in hidden states that are not limited."""
    sequence = random_sequence(rng, base, room, rng.randrange(32, 41), rng.randrange(1, 9), 1)
    draw = np.random.default_rng(rng.randrange(1 << 32))
    v, cells = sequence.values, len(sequence.cell)
    bias = draw.integers(-(1 << 30), 1 << 30, (4, cells)) >> draw.integers(0, 20, (4, 1))
    sums = (sequence.weights[0] @ (sequence.inputs[0] - v["input_zero"]) + bias,
            sequence.weights[1] @ (sequence.hidden - v["hidden_zero"]))
    for what, total in zip(("input", "hidden"), sums, strict=True):
        for number, gate in enumerate(GATES):
            reach = int(np.abs(total[number]).max())     # to some 2^13, where functions are steep
            v[f"shift_{what}_{gate}"] = max(-LEFT_SHIFT, reach.bit_length() - 13)
            v[f"multiplier_{what}_{gate}"] = rng.randrange(1 << 30, 1 << 31)
    sign = draw.choice((-1, 1), cells)
    if shown == "cell":
        v |= {"clip": 32768, "admit_shift": 15}
        cell = sign * draw.integers(1 << 14, 1 << 15, cells)
    else:
        bits = rng.randrange(4, 16)
        v |= {"multiplier_input_cell": 0, "multiplier_hidden_cell": 0,
              "shift_output": 7 + min(15, bits + v["admit_shift"] - 15), "output_zero": 0}
        cell = sign * draw.integers(1 << bits - 1, 1 << bits, cells)
    return replace(sequence, bias=bias, cell=cell)
