"""Kernels of the vector unit equal the golden kernels, to the bit, in the emulator."""

from __future__ import annotations

import numpy as np
import pytest

from kaniwa.config import PRESETS
from kaniwa.errors import ProgramError
from kaniwa.golden.numbers import libm
from kaniwa.golden.numbers.fixedpoint16 import logistic, tanh
from kaniwa.golden.numbers.roots import FRACTION_BITS, rsqrt_int8, rsqrt_multiplier
from kaniwa.golden.numbers.rounding import (
    multiply_by_quantized_multiplier,
    quantize_multiplier,
    rounding_divide_by_pot,
)
from kaniwa.golden.numbers.tables import int16_table, look_up_int16
from kaniwa.golden.tflite import arithmetic, functions
from kaniwa.golden.tflite.reduction import mean_multiplier
from kaniwa.golden.tflite.sigmoid import input_rescale, logistic_int16, sigmoid_table, tanh_int16
from kaniwa.golden.tflite.softmax import exponential_table, softmax as golden_softmax
from kaniwa.units.vector.emulator import VectorEmulator
from kaniwa.units.vector.isa import Width
from kaniwa.units.vector.kernels import elementary as kernels, softmax as kernels_softmax
from kaniwa.units.vector.kernels.elementary import Place, Rescaling
from kaniwa.units.vector.kernels.recurrent import (
    LstmCell,
    LstmPlaces,
    gate_pitch,
    lstm_program,
    lstm_table,
)
from kaniwa.units.vector.kernels.softmax_forms import LitertForm
from kaniwa.units.vector.kernels.tiles import Tiles

TARGETS = ["base", "small"]   # eight lanes and two
WIDTHS = {"int8": Width.INT8, "int16": Width.INT16}
INPUT, SECOND, OUTPUT, TABLE = 0, 1 << 18, 2 << 18, 3 << 18


class Machine:
    """An emulated unit with inputs in its memory."""

    def __init__(self, target: str) -> None:
        self.config = PRESETS[target]
        self.memory = np.full(1 << 20, 0xA5, np.uint8)

    def put(self, address: int, values: np.ndarray | bytes) -> None:
        data = values if isinstance(values, bytes) else values.tobytes()
        self.memory[address:address + len(data)] = np.frombuffer(data, np.uint8)

    def run(self, program: bytes, count: int, dtype: str) -> np.ndarray:
        """The output; what lies behind it must be untouched."""
        VectorEmulator(self.config, self.memory).run(program)
        size = count * np.dtype(dtype).itemsize
        assert (self.memory[OUTPUT + size:OUTPUT + size + 64] == 0xA5).all()
        return np.frombuffer(self.memory[OUTPUT:OUTPUT + size].tobytes(), dtype)


def everything(dtype: str, target: str) -> np.ndarray:
    """All values of a type; of int16, a part of them on a target of few lanes."""
    limits = np.iinfo(dtype)
    values = np.arange(limits.min, limits.max + 1).astype(dtype)
    if target == "base" or dtype == "int8":
        return values
    some = np.random.default_rng(1).choice(values, 1500)
    return np.concatenate([values[:150], some, values[32700:32850], values[-150:]])


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("kind", ["int8", "int16"])
@pytest.mark.parametrize("real", [0.0039, 0.5, 0.77, 1.0, 3.2, 200.0])
def test_requantize(target: str, kind: str, real: float) -> None:
    machine, x, pair = Machine(target), everything(kind, target), quantize_multiplier(real)
    zero_in, zero_out = (-7, 13) if kind == "int8" else (0, 0)
    machine.put(INPUT, x)
    program = kernels.requantize(machine.config, len(x), Place(INPUT, WIDTHS[kind]),
                                 Place(OUTPUT, WIDTHS[kind]), zero_in,
                                 Rescaling(pair, zero_out))
    limits = np.iinfo(kind)
    wanted = np.clip(multiply_by_quantized_multiplier(x.astype(np.int64) - zero_in, *pair)
                     + zero_out, limits.min, limits.max)
    np.testing.assert_array_equal(machine.run(program, len(x), kind), wanted)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("kind", ["add", "subtract", "mul"])
@pytest.mark.parametrize("dtype", ["int8", "int16"])
@pytest.mark.parametrize("count", [1, 77, 1029])
def test_arithmetic(target: str, kind: str, dtype: str, count: int) -> None:
    rng, machine = np.random.default_rng(count), Machine(target)
    limits = np.iinfo(dtype)
    a, b = (rng.integers(limits.min, limits.max + 1, count).astype(dtype) for _ in range(2))
    a[0], b[0] = limits.min, limits.min
    for scales in ((0.02, 0.031, 0.04), (0.1, 0.003, 0.05), (1.0, 1.0, 0.001)):
        zeros = (3, -11, -128) if dtype == "int8" else (0, 0, 0)
        bounds = (limits.min, limits.max) if scales[0] != 0.1 else (-5, 100)
        machine.put(INPUT, a)
        machine.put(SECOND, b)
        width = WIDTHS[dtype]
        places = [Place(at, width) for at in (INPUT, SECOND, OUTPUT)]
        if kind == "mul":
            pair = quantize_multiplier(arithmetic.mul_multiplier(*scales))
            program = kernels.multiply(machine.config, count, *places, zeros[:2],
                                       Rescaling(pair, zeros[2], *bounds))
        else:
            first, second, last = (
                quantize_multiplier(m) for m in arithmetic.add_multipliers(*scales, dtype))
            program = kernels.add(machine.config, count, *places, arithmetic.LEFT_SHIFT[dtype],
                                  zeros[:2], (first, second), Rescaling(last, zeros[2], *bounds),
                                  kind == "subtract")
        wanted = getattr(arithmetic, kind)(a, b, scales=scales, zero_points=zeros, bounds=bounds)
        np.testing.assert_array_equal(machine.run(program, count, dtype), wanted)


@pytest.mark.parametrize("target", TARGETS)
def test_functions_of_int8_by_table(target: str) -> None:
    machine, x = Machine(target), everything("int8", target)
    for kind in ("GELU", "LOGISTIC", "TANH"):
        entries = functions.table(kind, {"approximate": False}, "int8", (0.05, 0.007), (3, -20))
        machine.put(INPUT, x)
        machine.put(TABLE, kernels.table_words(np.roll(entries.astype(np.int64), -128)))
        program = kernels.byte_table(machine.config, len(x), Place(INPUT, Width.INT8),
                                     Place(OUTPUT, Width.INT8), TABLE)
        np.testing.assert_array_equal(machine.run(program, len(x), "int8"), entries)


@pytest.mark.parametrize("target", TARGETS)
def test_interpolated_functions_of_int16(target: str) -> None:
    machine, x = Machine(target), everything("int16", target)
    for function, scales in ((libm.tanh, (3e-4, 1 / 32768)), (libm.exp, (1e-4, 9e-4))):
        table = int16_table(function, scales=scales, zero_points=(0, 0)).astype(np.int64)
        slopes = np.diff(table).astype(np.int16).astype(np.int64) + 32768
        machine.put(INPUT, x)
        machine.put(TABLE, kernels.pair_words(np.roll(table[:-1], 256), np.roll(slopes, 256)))
        program = kernels.int16_table(machine.config, len(x), Place(INPUT, Width.INT16),
                                      Place(OUTPUT, Width.INT16), TABLE)
        wanted = look_up_int16(table.astype(np.int16), x)
        np.testing.assert_array_equal(machine.run(program, len(x), "int16"), wanted)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("is_tanh", [False, True])
@pytest.mark.parametrize("scale", [2.0**-12, 2.0**-11, 1e-4, 0.0123])
def test_logistic_and_tanh_of_int16(target: str, is_tanh: bool, scale: float) -> None:
    machine, x = Machine(target), everything("int16", target)
    entries = sigmoid_table()
    steps = np.append(np.diff(entries[:256]), 0)
    machine.put(INPUT, x)
    machine.put(TABLE, kernels.pair_words(steps, entries[:256]))
    program = kernels.sigmoid_int16(
        machine.config, len(x), Place(INPUT, Width.INT16), Place(OUTPUT, Width.INT16), TABLE,
        input_rescale(scale, (0, 1) if is_tanh else (0,)), is_tanh)
    wanted = (tanh_int16 if is_tanh else logistic_int16)(x, scale=scale)
    np.testing.assert_array_equal(machine.run(program, len(x), "int16"), wanted)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("bits", [None, *range(7)])
def test_gates_of_int16(target: str, bits: int | None) -> None:
    """logistic of Q3.12, and tanh for each number of integer bits."""
    machine, x = Machine(target), everything("int16", target)
    machine.put(INPUT, x)
    places = Place(INPUT, Width.INT16), Place(OUTPUT, Width.INT16)
    wide = x.astype(np.int64)
    if bits is None:
        program, wanted = kernels.gate_logistic(machine.config, len(x), *places), logistic(wide)
    else:
        program = kernels.gate_tanh(machine.config, len(x), *places, bits)
        wanted = tanh(wide, bits)
    np.testing.assert_array_equal(machine.run(program, len(x), "int16"), wanted)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("columns", [1, 2, 10, 49, 64, 65, 511])
@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_softmax(target: str, columns: int, dtype: str) -> None:
    rng, machine = np.random.default_rng(columns), Machine(target)
    rows, pitch = 8, 512
    for beta, scale in ((1.0, 0.1), (0.5, 0.7), (1.0, 0.004), (2.0, 1.0)):
        x = rng.integers(-128, 128, (rows, columns)).astype(np.int8)
        x[:3] = np.array([-128, 127, 5])[:, None]
        x[3, 0] = 127
        held = np.zeros((rows, pitch), np.int8)
        held[:, :columns] = x
        machine.put(INPUT, held)
        table = exponential_table(beta=beta, scale=scale)
        machine.put(TABLE, kernels.table_words(np.roll(table, 1)))
        wanted = golden_softmax(x, beta=beta, scale=scale, dtype=dtype)
        for row in range(rows):
            program = kernels_softmax.softmax(
                machine.config, columns, Place(INPUT + row * pitch, Width.INT8),
                Place(OUTPUT, WIDTHS[dtype]), TABLE, LitertForm(8 << WIDTHS[dtype]))
            np.testing.assert_array_equal(machine.run(program, columns, dtype), wanted[row])
            machine.memory[OUTPUT:OUTPUT + 1024] = 0xA5


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("channels", [3, 16, 300])
def test_mean(target: str, channels: int) -> None:
    rng, machine = np.random.default_rng(channels), Machine(target)
    for count, real, zeros in ((1, 1.0, (0, 0)), (49, 0.7, (-5, 3)), (1000, 1.9, (127, -128))):
        pitch = -(-channels // 8) * 8
        x = rng.integers(-128, 128, (count, pitch)).astype(np.int8)
        machine.put(INPUT, x)
        pair = mean_multiplier(real, count)
        program = kernels.mean(machine.config, count, channels, pitch, Place(INPUT, Width.INT8),
                               Place(OUTPUT, Width.INT8), zeros[0], Rescaling(pair, zeros[1]))
        total = x[:, :channels].sum(axis=0, dtype=np.int64) - count * zeros[0]
        wanted = np.clip(multiply_by_quantized_multiplier(total, *pair) + zeros[1], -128, 127)
        np.testing.assert_array_equal(machine.run(program, channels, "int8"), wanted)
        machine.memory[OUTPUT:OUTPUT + 1024] = 0xA5


@pytest.mark.parametrize("target", TARGETS)
def test_rsqrt(target: str) -> None:
    machine = Machine(target)
    for scales, zeros in (((0.1, 0.02), (-128, -128)), ((1.0, 1 / 128), (-3, 0)),
                          ((0.004, 0.3), (5, 100))):
        x = np.arange(zeros[0], 128).astype(np.int8)
        machine.put(INPUT, x)
        multiplier, shift = quantize_multiplier(rsqrt_multiplier(scales))
        program = kernels.rsqrt(machine.config, len(x), Place(INPUT, Width.INT8),
                                Place(OUTPUT, Width.INT8), zeros[0],
                                Rescaling((multiplier, shift - FRACTION_BITS), zeros[1]))
        machine.memory[OUTPUT:OUTPUT + 1024] = 0xA5
        wanted = rsqrt_int8(x, scales=scales, zero_points=zeros)
        np.testing.assert_array_equal(machine.run(program, len(x), "int8"), wanted)


def test_a_row_too_long_is_refused() -> None:
    with pytest.raises(ProgramError, match="a row of 961 is longer than 15 registers of 64"):
        kernels_softmax.softmax(PRESETS["small"], 961, Place(0, Width.INT8), Place(0, Width.INT8),
                                0, LitertForm())
    with pytest.raises(ProgramError, match="a row of 512 is longer than 511"):
        kernels_softmax.softmax_rows(PRESETS["small"], Tiles(2, 2, 512), 0, 0, 0, LitertForm())


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("rows", "columns"), [
    (1, 8), (8, 8), (7, 24), (96, 24), (97, 24), (47, 64), (64, 64), (20, 200), (12, 504),
    (33, 40), (9, 352), (9, 320), *((24, columns) for columns in (1, 31, 32, 33, 100, 480, 511)),
    (16, 70), (23, 33), (40, 33), (56, 180), (104, 9), (33, 197)])
def test_softmax_of_rows(target: str, rows: int, columns: int) -> None:
    """Rows of one register, and of several, of one length or of two, with and without gaps; tiles
    one by one, some at once, with and without a rest, and a last one of fewer rows, behind whose
    results nothing is written."""
    rng, machine = np.random.default_rng(columns), Machine(target)
    tiles = Tiles(machine.config.requant_lanes, rows, columns)
    for beta, scale in ((1.0, 0.05), (1.0, 0.1), (0.5, 0.7)):
        x = rng.integers(-128, 128, (rows, columns)).astype(np.int8)
        x[0] = -128
        machine.put(INPUT, np.pad(x, ((0, 0), (0, tiles.gap)), constant_values=0x5A))
        table = exponential_table(beta=beta, scale=scale)
        machine.put(TABLE, kernels.table_words(np.roll(table, 1)))
        size = rows * tiles.pitch
        machine.memory[OUTPUT:OUTPUT + size + 64] = 0xA5
        program = kernels_softmax.softmax_rows(machine.config, tiles, INPUT, OUTPUT, TABLE,
                                               LitertForm())
        got = machine.run(program, size, "int8").reshape(rows, tiles.pitch)
        np.testing.assert_array_equal(got[:, :columns], golden_softmax(
            x, beta=beta, scale=scale, dtype="int8"))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("count, power, clip", [(1, -11, 0), (16, -11, 0), (14, -15, 3000),
                                                (13, -10, 0), (40, -12, 0), (61, -10, 900)])
@pytest.mark.parametrize("names", [("input", "forget", "output", "cell"),
                                   ("forget", "output", "cell")])
@pytest.mark.parametrize("peepholes", [False, True])
def test_lstm_steps(target: str, count: int, power: int, clip: int, names: tuple[str, ...],
                    peepholes: bool) -> None:
    """What follows the products, from sums of any size on; the state stays in the unit."""
    rng, machine, steps, gates = np.random.default_rng(count), Machine(target), 12, len(names)
    pitch, row = gate_pitch(machine.config, count, gates), kernels.row_pitch(
        machine.config, count)
    scalings = [
        [quantize_multiplier(float(real)) for real in rng.choice((0.004, 0.3, 1.0, 3.7), gates)]
        for _ in range(2)]
    pair = quantize_multiplier(float(np.float32(2.0**-15 / 0.0078125 * 2.0**-15)))
    held = {name: (rng.integers(-32768, 32768, count), quantize_multiplier(real)) for name, real in
            zip(names[:-1], (3e-5, 0.0003, 1.3), strict=False)} if peepholes else {}
    cell = LstmCell(count, *scalings, power, Rescaling(pair, 7), clip, 0,
                    [(values.tolist(), scaling) for values, scaling in held.values()])
    sums = (rng.integers(-30000, 30000, (2, steps, gates, pitch))
            << rng.integers(0, 9, (2, steps, gates, 1)))
    c = rng.integers(-32768, 32768, count).astype(np.int64)
    machine.put(INPUT, sums[0].astype(np.int32))
    machine.put(TABLE, lstm_table(machine.config, cell))
    machine.put(SECOND, c.astype(np.int16))
    recurrent, room, after, rows = (SECOND + number * 8192 for number in range(1, 5))
    program, again, behind = lstm_program(machine.config, cell, LstmPlaces(
        INPUT, recurrent, TABLE, room, SECOND, after, OUTPUT, rows))
    unit = VectorEmulator(machine.config, machine.memory)
    unit.run(program, 0)
    for step in range(steps):
        machine.put(recurrent, sums[1, step].astype(np.int32))
        unit.run((), again)
        unit.run((), behind)

        total = {}
        for gate, name in enumerate(names):
            of_inputs, of_state = (multiply_by_quantized_multiplier(
                part[step, gate, :count], *scaling[gate])
                for part, scaling in zip(sums, scalings, strict=True))
            total[name] = np.clip(np.clip(of_inputs, -32768, 32767) + of_state, -32768, 32767)

        def argument(name: str, state: np.ndarray, total: dict[str, np.ndarray] = total,
                     ) -> np.ndarray:
            if name not in held:
                return total[name]
            values, scaling = held[name]
            return np.clip(total[name] + multiply_by_quantized_multiplier(
                values * state, *scaling), -32768, 32767)

        forget, update = logistic(argument("forget", c)), tanh(total["cell"], 3)
        admitted = logistic(argument("input", c)) if "input" in names else 32767 - forget
        c = np.clip(rounding_divide_by_pot(forget * c, 15)
                    + rounding_divide_by_pot(admitted * update, 30 + power), -32768, 32767)
        if clip:
            c = np.clip(c, -clip, clip)
        product = logistic(argument("output", c)) * tanh(c, 15 + power)
        wanted = np.clip(multiply_by_quantized_multiplier(product, *pair) + 7, -128, 127)
        for start, expected in ((OUTPUT, wanted.astype(np.int8)), (after, c.astype(np.int16)),
                                (rows + step * row, wanted.astype(np.int8))):
            stored = machine.memory[start:start + expected.nbytes].tobytes()
            np.testing.assert_array_equal(np.frombuffer(stored, expected.dtype), expected)


def test_an_lstm_that_does_not_fit_is_refused() -> None:
    scaling, places = (1 << 30, 0), LstmPlaces(*(0,) * 8)
    for message, count, shift, power in (
            ("65 cells are more than the 64 elements of a register", 65, 0, -11),
            ("a cell state of scale 2\\^-8; 2\\^-15 to 2\\^-9 are supported", 8, 0, -8),
            ("a rescaling by 2\\^31; 2\\^-31 to 2\\^30 are supported", 8, 31, -11)):
        cell = LstmCell(count, [scaling] * 4, [(1 << 30, shift)] * 4, power, Rescaling(scaling))
        with pytest.raises(ProgramError, match=message):
            lstm_program(PRESETS["small"], cell, places)
