"""The emulator computes what docs/architecture.md says, and refuses what the core could not do."""

import dataclasses

import numpy as np
import pytest
from builders.instructions import layer_cases
from builders.instructions.layer_cases import IFM, MEMORY_BYTES, OFM, PARAMETERS, random_case
from hypothesis import given, settings, strategies as st

from kaniwa import isa
from kaniwa.config import PRESETS, AcceleratorConfig
from kaniwa.emulator.core import Emulator
from kaniwa.emulator.requantize import requantize
from kaniwa.isa import OUTSIDE, Mode, Rounding
from kaniwa.isa.weight_stream import dense_words, encode_parameters, encode_weights
from kaniwa.sim.worlds.serial_config import SERIAL

ODD = AcceleratorConfig(out_lanes=6, dot_width=4, requant_lanes=3, read_bytes=8, write_bytes=4,
                        multiplier_bits=29)
TALL = AcceleratorConfig(out_lanes=12, dot_width=8, requant_lanes=4, read_bytes=32, write_bytes=4,
                         weight_formats=("raw",))
LISTED = dataclasses.replace(PRESETS["base"], step_entries=256)
CONFIGS = [dataclasses.replace(config, memory_bytes=MEMORY_BYTES)
           for config in (SERIAL, PRESETS["base"], ODD, TALL, LISTED)]
END = isa.encode({"opcode": isa.Opcode.END})
configs = st.sampled_from(CONFIGS)
seeds = st.integers(0, 2**32 - 1)


def load(config, case):
    emulator = Emulator(config)
    for address, data in case.image.items():
        emulator.write(address, data)
    return emulator


def check(config, case):
    emulator = load(config, case)
    before = emulator.read(0, config.memory_bytes)
    emulator.run(0)
    expected = bytearray(before)
    for address, value in case.expected.items():
        expected[address] = value
    got = np.frombuffer(emulator.read(0, config.memory_bytes), np.uint8)
    different = np.flatnonzero(got != np.frombuffer(expected, np.uint8))
    assert not len(different), f"{len(different)} bytes differ from {different[0]:#x} on"


@given(configs, seeds, st.sampled_from(Mode), st.sampled_from(Rounding))
@settings(max_examples=60)
def test_layer_equals_the_loops_of_the_contract(config, seed, mode, rounding):
    check(config, random_case(seed, config, mode, rounding=rounding))


@given(configs, seeds, st.sampled_from(Mode), st.booleans())
@settings(max_examples=30)
def test_add_reads_the_operand_before_it_overwrites_it(config, seed, mode, in_place):
    check(config, random_case(seed, config, mode, add=True, in_place=in_place))


@given(configs.filter(lambda config: config.elementwise_multiply), seeds, st.sampled_from(Mode),
       st.booleans())
@settings(max_examples=30)
def test_multiply_reads_the_operand_before_it_overwrites_it(config, seed, mode, in_place):
    check(config, random_case(seed, config, mode, add=True, multiply=True, in_place=in_place))


@given(configs, seeds, st.booleans())
@settings(max_examples=60)
def test_taps_of_a_pixel_are_packed_into_a_patch(config, seed, add):
    check(config, random_case(seed, config, Mode.DENSE, patch=True, add=add))


@given(configs, seeds)
@settings(max_examples=20)
def test_table_maps_the_result(config, seed):
    check(config, random_case(seed, config, table=True))


@given(configs, seeds, st.sampled_from([Mode.DENSE, Mode.DEPTHWISE]))
@settings(max_examples=20)
def test_streamed_weights_come_again_for_every_pixel(config, seed, mode):
    check(config, random_case(seed, config, mode, stream=True))


@pytest.mark.parametrize("rounding", Rounding)
def test_requantization_is_exact_at_the_edges_of_its_operands(rounding):
    values = [-2**31, -2**31 + 1, -3, -2, -1, 0, 1, 2, 3, 2**31 - 1]
    for m in (0, 1, 2**30, 2**31 - 1):
        for s in (0, 1, 2, 30, 31, 32, 62, 63):
            got = requantize(np.array(values, np.int64), m, s, rounding, 31)
            assert list(got) == [layer_cases.rescaled(v, m, s, rounding, 31) for v in values]


def test_sums_beyond_the_integers_of_float32_are_exact():
    config, size, place = PRESETS["base"], 4095, 0x20000
    weights = np.full((1, 1, 1, size), -128, np.int8)
    weights[..., 0] = 1
    x = np.full(size, -128, np.int8)
    x[0] = 1
    exact = 128 * 128 * (size - 1) + 1
    assert exact > 1 << 24 and exact % 2
    parameters = encode_parameters([-exact], 1, 0, config.out_lanes, 1, config)
    stream = encode_weights(dense_words(weights, config), config)
    steps = -(-size // config.dot_width)
    values = {
        "opcode": isa.Opcode.LAYER, "ifm_address": IFM, "ifm_pitch": size, "ifm_row_bytes": size,
        "line_pitch": -(-size // 16) * 16, "chunks": steps, "steps": steps, "block_words": steps,
        "window_span": size, "block_width": config.out_lanes, "act_min": -128, "act_max": 127,
        "parameter_address": PARAMETERS, "parameter_bytes": len(parameters),
        "weight_address": place, "weight_bytes": len(stream), "ofm_address": OFM}
    emulator = Emulator(config)
    for address, data in ((0, isa.encode(values) + END), (PARAMETERS, parameters),
                          (place, stream), (IFM, x.tobytes()), (OFM, b"\x55")):
        emulator.write(address, data)
    emulator.run(0)
    assert emulator.read(OFM, 1) == b"\0"


def test_new_weights_and_inputs_take_effect_in_the_next_run():
    config, case = CONFIGS[1], random_case(5, CONFIGS[1])
    emulator = load(config, case)
    emulator.run(0)
    other = random_case(6, config)
    for address, data in other.image.items():
        emulator.write(address, data)
    emulator.run(0)
    assert all(emulator.read(address, 1)[0] == value for address, value in other.expected.items())


def test_outside_memory_holds_a_program_too():
    config, case = CONFIGS[1], random_case(7, CONFIGS[1])
    names = ("parameter_address", "weight_address", "ifm_address", "operand_address",
             "ofm_address")
    emulator = Emulator(config, outside="sdram,bytes=4")
    for address, data in case.image.items():
        emulator.write(OUTSIDE + address, data)
    values = case.values | {name: OUTSIDE + case.values[name] for name in names}
    emulator.write(OUTSIDE, isa.encode(values) + END)
    emulator.run(OUTSIDE)
    assert all(emulator.read(OUTSIDE + address, 1)[0] == value
               for address, value in case.expected.items())


def test_run_counts_instructions_and_cycles():
    statistics = load(CONFIGS[1], random_case(8, CONFIGS[1])).run(0)
    assert statistics.retired == 1
    assert statistics.cycles > 0
