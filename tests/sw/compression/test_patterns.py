"""What the patterns promise is what the compiler's bytes and the cycle model's cycles show."""

import json
from dataclasses import replace

import numpy as np
import pytest

import kaniwa
from kaniwa.benchmark.networks.tflite_file import ModelBuilder
from kaniwa.compression.masks import block_mask, magnitude_mask, n_of_m_mask
from kaniwa.compression.patterns import ALWAYS, NEVER, OUTSIDE, WAITING, pattern, patterns
from kaniwa.compression.sharing import share_weights
from kaniwa.config import PRESETS
from kaniwa.errors import InputError

LAYER = (64, 128)     # outputs, inputs: whole blocks on every target below
TARGETS = ("nano", "small", "base")


@pytest.fixture
def measure(tmp_path):
    def dense(weights, target, outside=None):
        """Bytes of constants, and cycles, of one dense layer."""
        outputs, inputs = weights.shape
        b = ModelBuilder()
        x = b.tensor("x", (1, inputs), scale=0.1, zero_point=0)
        y = b.tensor("y", (1, outputs), scale=2.0, zero_point=0)
        kernel = b.tensor("w", weights.shape, scale=0.01, zero_point=0, data=weights)
        bias = b.tensor("b", (outputs,), "int32", scale=0.001, zero_point=0,
                        data=np.arange(outputs, dtype=np.int32))
        b.op("FULLY_CONNECTED", (x, kernel, bias), (y,))
        path = tmp_path / "dense.tflite"
        path.write_bytes(b.build((x,), (y,)))
        program = kaniwa.compile(path, target, outside=outside, keep_dead_channels=True)
        return program.weight_bytes, kaniwa.estimate(program).cycles

    return dense


@pytest.fixture
def full():
    values = np.random.default_rng(0).integers(64, 128, LAYER)
    return np.where(np.random.default_rng(1).random(LAYER) < 0.5, values, -values).astype(np.int8)


@pytest.mark.parametrize("target", ["small", "base"])
def test_step_lists_save_cycles_of_convolutions_and_dense_layers(target, full, measure):
    config = replace(PRESETS[target], step_entries=1024)
    row = pattern(config, "zero_words")
    assert row.saves_cycles == ALWAYS and "no step of the array" in row.condition
    size, cycles = measure(full, config)
    mask = block_mask(full, 0.5, config)
    less_size, less_cycles = measure(np.where(mask, full, 0).astype(np.int8), config)
    assert less_cycles < 0.65 * cycles
    saved = blocks(row) // 2 * row.bytes_each
    lists = blocks(row) // 2 * 2 + 8 * config.read_bytes
    assert saved - lists <= size - less_size <= saved


def blocks(row, shape=LAYER):
    return shape[0] // row.outputs * (shape[1] // row.inputs)


@pytest.mark.parametrize("target", TARGETS)
def test_removed_channels_save_bytes_and_cycles(target, full, measure):
    config = PRESETS[target]
    size, cycles = measure(full, target)
    for name, less in (("output_channels", full[:32]), ("input_channels", full[:, :64])):
        row = pattern(config, name)
        less_size, less_cycles = measure(np.ascontiguousarray(less), target)
        assert row.saves_bytes and row.saves_cycles == ALWAYS
        assert size - less_size >= blocks(row) // 2 * row.bytes_each
        assert less_cycles < 0.6 * cycles


@pytest.mark.parametrize("target", TARGETS)
def test_packed_words_save_bytes_and_cycles_of_a_decoder_faster_than_memory(target, full, measure):
    config = PRESETS[target]
    size, cycles = measure(full, target)
    zeros, few = pattern(config, "zero_words"), pattern(config, "few_bits")
    for row, saved, less in ((zeros, blocks(zeros) // 2 * zeros.bytes_each,
                              np.where(block_mask(full, 0.5, config), full, 0)),
                             (few, 4 * blocks(few) * few.bytes_each, full >> 4)):
        less_size, less_cycles = measure(less.astype(np.int8), target)
        assert row.saves_bytes == (target != "nano")
        waiting = WAITING if row is zeros or config.weight_chunks > 1 else OUTSIDE
        assert row.saves_cycles == (waiting if row.saves_bytes else NEVER)
        # Of zeros, each run has a header, or there is one for each 64 words.
        runs = blocks(row) * config.read_bytes if row is zeros and row.saves_bytes else 0
        assert saved - runs <= size - less_size <= saved
        if row.saves_cycles == WAITING:
            assert less_cycles < 0.85 * cycles
        else:
            assert abs(less_cycles - cycles) < 0.1 * cycles


def test_packed_words_save_cycles_in_outside_memory(measure):
    full = np.random.default_rng(0).integers(-127, 128, (1024, 640)).astype(np.int8)
    zeros = np.where(block_mask(full, 0.5, PRESETS["base"]), full, 0).astype(np.int8)
    _, cycles = measure(full, "base", "sdram,bytes=2")
    for less in (full >> 4, zeros):
        size, less_cycles = measure(less, "base", "sdram,bytes=2")
        assert size > PRESETS["base"].memory_bytes and less_cycles < 0.6 * cycles


@pytest.mark.parametrize("target", TARGETS)
def test_other_zeros_save_nothing(target, full, measure):
    config = PRESETS[target]
    size, cycles = measure(full, target)
    for name, mask in (("n_of_m", n_of_m_mask(full, 2, 4)),
                       ("single_weights", magnitude_mask(full, 0.5))):
        row = pattern(config, name)
        assert not row.saves_bytes and row.saves_cycles == NEVER
        less_size, less_cycles = measure(np.where(mask, full, 0).astype(np.int8), target)
        assert (less_size, less_cycles) == (size, cycles)


def test_shared_weights_save_bytes_and_cycles_on_a_target_with_codebooks(full, measure):
    shared = np.random.default_rng(0).choice(np.arange(-128, 128, 17), LAYER).astype(np.int8)
    few = share_weights(full.astype(np.float64), 16).weights.round().astype(np.int8)
    for entries, weights, bits in ((16, shared, 4), (16, few, 4), (64, shared, 4)):
        config = replace(PRESETS["base"], codebook_entries=entries)
        row = pattern(config, "shared_weights")
        assert row.saves_bytes and row.saves_cycles == WAITING
        size, cycles = measure(weights, PRESETS["base"])
        less_size, less_cycles = measure(weights, config)
        saved = blocks(row) * row.inputs * (8 - bits) // 8
        assert size - less_size >= saved - entries - config.read_bytes
        assert less_cycles < cycles
        assert entries > 16 or saved == blocks(row) * row.bytes_each
    assert pattern(PRESETS["base"], "shared_weights").saves_cycles == NEVER


@pytest.mark.parametrize("target", PRESETS)
def test_rows_are_plain_values_and_name_functions_that_exist(target, root):
    import importlib

    rows = patterns(PRESETS[target])
    assert len({row.name for row in rows}) == len(rows)
    assert json.loads(json.dumps([row.facts() for row in rows]))[0]["name"] == rows[0].name
    for row in rows:
        module, function = row.made_by.rsplit(".", 1)
        if module.startswith("pytorch."):     # torch need not be there
            text = (root / "sw" / "compression" / "pytorch" / "steps.py").read_text()
            assert f"class {function}(" in text
        else:
            assert hasattr(importlib.import_module(f"kaniwa.compression.{module}"), function)
        assert row.saves_bytes == bool(row.bytes_each)


def test_wrong_arguments_are_one_line():
    with pytest.raises(InputError, match="config: expected an AcceleratorConfig, found str: kan"):
        patterns("base")
    with pytest.raises(InputError, match="pattern: expected one of output_channels, .*'x'"):
        pattern(PRESETS["base"], "x")
