"""Compiled programs on the emulator equal the model, tensor by tensor, and are legal."""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders.graphs.graph_builder import GraphBuilder

from kaniwa import golden
from kaniwa.compiler.pipeline import PIPELINE, compile
from kaniwa.config import PRESETS, AcceleratorConfig, load_target
from kaniwa.data.inputs import recorded_inputs
from kaniwa.emulator.core import Emulator
from kaniwa.errors import CompileError, ConfigError, ModelError
from kaniwa.graph import Graph
from kaniwa.importers import load_model
from kaniwa.program.program import Program
from kaniwa.sim.worlds.random_graphs import KINDS, random_config, random_graph, random_input
from kaniwa.sim.worlds.serial_config import SERIAL

ODD = AcceleratorConfig(out_lanes=12, dot_width=8, requant_lanes=4, read_bytes=8, write_bytes=8,
                        name="odd")
CONFIGS = {**PRESETS, "odd": ODD, "serial": SERIAL}
TARGETS = {"serial": None, "small": "ideal", "base": None, "large": None, "xl": "ideal",
           "odd": None}


def config_of(target: str) -> AcceleratorConfig:
    return CONFIGS[target]


def mismatches(program: Program, graph: Graph, inputs: dict[str, np.ndarray]) -> list[str]:
    """The stored tensors that differ from golden at the end of a run; at least outputs are."""
    expected = golden.run(graph, inputs)
    emulator = Emulator(program.config, program.outside)
    for address, data in program.images:
        emulator.write(address, data)
    for tensor in program.inputs:
        assert tensor.address is not None
        emulator.write(tensor.address, tensor.to_device(inputs[tensor.name]))
    emulator.run(program.program_address)
    wrong, compared = [], 0
    for tensor in program.tensors:
        if tensor.address is None or tensor.overwritten is not None:
            continue
        got = tensor.from_device(emulator.read(tensor.address, tensor.bytes))
        compared += 1
        if not np.array_equal(got, tensor.stored(expected[tensor.id])):
            wrong.append(tensor.name)
    assert compared >= len(program.host_ops or program.output_ids)
    return wrong


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("materialize", [False, True])
def test_resnet_is_exact(target: str, materialize: bool, models: Path) -> None:
    graph = load_model(models / "mlperf_ic_resnet8.tflite")
    outside = "ideal" if materialize else TARGETS[target]
    program = compile(graph, config_of(target), materialize=materialize, outside=outside)
    if materialize:
        stored = {t.id for t in program.tensors if t.address is not None}
        assert stored.issuperset(op.outputs[0] for op in graph.ops[:-1])
        assert all(t.overwritten is None for t in program.tensors)
    assert mismatches(program, graph, random_input(graph, 1)) == []


@pytest.mark.parametrize("target", ["serial", "base", "odd"])
@pytest.mark.parametrize("name", ["mlperf_kws_dscnn", "mlperf_sww_1d", "mlperf_ad_fc_ae",
                                  "mlperf_vww_mbv1_96", "tflm_micro_speech"])
def test_other_models_are_exact(name: str, target: str, models: Path) -> None:
    graph = load_model(models / f"{name}.tflite")
    program = compile(graph, config_of(target), outside="ideal")
    assert mismatches(program, graph, random_input(graph, 2)) == []


@pytest.mark.parametrize("option", [{}, {"keep_dead_channels": True}, {"materialize": True}])
def test_mobilenet_v2_is_exact(option: dict[str, bool], models: Path) -> None:
    graph = load_model(models / "cfu_mbv2_160_035.tflite")
    program = compile(graph, "base", outside="sdram,bytes=4,latency=10", **option)
    assert program.outside == "sdram,bytes=4,latency=10"
    if not option:
        assert program.layers[0].op == "MUL+SUB" and program.instructions[0]["table"] == 1
    (sample, *_) = recorded_inputs(models / "cfu_mbv2_160_035.tflite", program.inputs)
    assert mismatches(program, graph, sample) == []


@pytest.mark.parametrize("name", ["mlperf_ic_resnet8", "mlperf_kws_dscnn", "mlperf_sww_1d",
                                  "mlperf_vww_mbv1_96", "tflm_micro_speech"])
def test_models_that_fit_nano_are_exact_there(name: str, models: Path) -> None:
    graph = load_model(models / f"{name}.tflite")
    program = compile(graph, "nano")
    assert program.local_bytes <= 128 * 1024 and program.outside is None
    assert mismatches(program, graph, random_input(graph, 2)) == []


def test_compact_core_has_no_way_to_outside_memory(models: Path) -> None:
    with pytest.raises(CompileError, match="target 'nano' has no way to outside memory; leave"):
        compile(models / "mlperf_kws_dscnn.tflite", "nano", outside="ideal")
    with pytest.raises(CompileError, match="nano' has 128 KiB on chip; take a target with more"):
        compile(models / "mlperf_ad_fc_ae.tflite", "nano")


def test_resnet_fits_nano_with_the_sums_in_place(models: Path) -> None:
    program = compile(models / "mlperf_ic_resnet8.tflite", "nano")
    assert program.local_bytes <= 128 * 1024 and program.outside is None
    sums = [i for i in program.instructions if i["add"]]
    assert sums and all(i["operand_address"] == i["ofm_address"] for i in sums)


@pytest.mark.parametrize("kind", KINDS)
def test_random_layers_on_random_configs_are_exact(kind: str) -> None:
    done = 0
    for seed in range(12):
        rng = random.Random(f"{kind}{seed}")
        config = random_config(rng, rng.choice((16, 64, 256)))
        graph = random_graph(1000 * seed + len(kind), kind, 1 << 17)
        inputs = random_input(graph, seed)
        try:
            program = compile(graph, config, materialize=seed % 4 == 0, outside="ideal",
                              require_accelerator=True)
        except CompileError as error:
            assert "\n" not in str(error)
            continue
        assert mismatches(program, graph, inputs) == [], f"{kind} {seed} {config}"
        done += 1
    assert done >= 8


def everything() -> Graph:
    """All operators in one graph, with batches, constants and two outputs."""
    b = GraphBuilder(3)
    x = b.tensor((2, 9, 7, 3), 0.5, -20)
    u = b.conv(x, 8, dilation=(1, 2), activation="RELU")
    v = b.relu(b.conv(u, 16, depthwise=2), "RELU6")
    w = b.add(b.conv(v, 16, (1, 1)), v, "RELU_N1_TO_1")
    c = b.tensor((16,), 0.2, 4, b.rng.integers(-128, 128, 16, np.int8))
    m = b.add(b.pool(w, "MAX_POOL_2D", (2, 3), (2, 2)), c)
    a = b.pool(b.conv(m, 5, stride=(2, 1)), "AVERAGE_POOL_2D", (2, 3))
    y = b.softmax(b.fully_connected(b.reshape(a, (1, 1, 1, b.size(a))), 6))
    return b.graph((x,), (y, w))


@pytest.mark.parametrize("target", ["serial", "base", "xl"])
@pytest.mark.parametrize("materialize", [False, True])
def test_all_operators_together_are_exact(target: str, materialize: bool) -> None:
    graph = everything()
    program = compile(graph, config_of(target), materialize=materialize, outside="ideal")
    assert mismatches(program, graph, random_input(graph, 3)) == []


def test_equal_blocks_of_weights_are_stored_once() -> None:
    b = GraphBuilder(5)
    x = b.tensor((1, 25, 5, 64))
    y = b.pool(x, "AVERAGE_POOL_2D", (25, 5))
    graph = b.graph((x,), (y,))
    program = compile(graph, "base")
    (v,) = program.instructions[:-1]
    # 125 taps in 7 * 2 windows of 4 * 4, 8 lanes a word of 16 weights, 2 bits each, one header.
    assert (v["blocks"], v["weight_repeat"]) == (8, 8)
    assert v["weight_bytes"] == 14 * 128 * 2 // 8 + 16
    assert mismatches(program, graph, random_input(graph, 7)) == []


def test_constant_and_alias_outputs_are_there() -> None:
    b = GraphBuilder()
    x = b.tensor((1, 4, 4, 2))
    y = b.reshape(x, (2, 16))
    graph = b.graph((x,), (y, x))
    program = compile(graph, "base")
    assert len(program.instructions) == 1
    assert program.outputs[0].address == program.outputs[1].address
    assert mismatches(program, graph, random_input(graph, 4)) == []


def test_instructions_keep_the_contract(models: Path) -> None:
    for name, outside in (("nano", None), ("serial", "ideal"), ("base", "ideal")):
        config = config_of(name)
        program = compile(models / "mlperf_vww_mbv1_96.tflite", config, outside=outside)
        complete: dict[int, int] = {}
        for index, v in enumerate(program.instructions[:-1]):
            extent = (v["kernel_rows"] - 1) * v["dilation_rows"] + 1
            assert extent * v["line_pitch"] <= config.line_bytes
            assert v["stride_rows"] * v["line_pitch"] <= config.line_bytes
            assert v["line_pitch"] % config.lane_bytes == 0
            if not v["weights_stream"]:
                assert v["blocks"] * v["block_words"] <= config.ring_words
            words = -(-v["block_width"] // config.requant_lanes)
            assert v["blocks"] * words <= config.parameter_words
            assert v["ifm_wait"] <= index
            for field in ("parameter_address", "weight_address", "weight_bytes"):
                assert v[field] % config.read_bytes == 0
            complete[v["tag"]] = index + 1
        for v in program.instructions[:-1]:
            assert v["ifm_wait"] in (0, *complete.values())


def test_progress_names_every_pass() -> None:
    b = GraphBuilder()
    x = b.tensor((1, 4, 4, 2))
    names: list[str] = []
    compile(b.graph((x,), (b.conv(x, 2),)), progress=names.append)
    assert names == [run.__name__ for run in PIPELINE] + ["emit"]


def test_compiles_from_a_path_and_refuses_what_is_no_model(models: Path, tmp_path: Path) -> None:
    program = compile(str(models / "tflm_micro_speech.tflite"))
    assert program.source_sha256 == load_model(models / "tflm_micro_speech.tflite").source_sha256
    (tmp_path / "x.tflite").write_bytes(b"nothing")
    with pytest.raises(ModelError):
        compile(tmp_path / "x.tflite")


def test_macs_are_the_models(models: Path) -> None:
    import json

    manifest = json.loads((models / "MANIFEST.json").read_text())
    for entry in manifest["models"]:
        program = compile(models / entry["file"], outside="ideal")
        if {op.kind for op in program.host_ops} <= {"SOFTMAX", "QUANTIZE", "DEQUANTIZE", "RESHAPE"}:
            assert program.macs == entry["macs"]
        else:   # what the host multiplies is not the accelerator's work
            assert program.macs < entry["macs"]


def test_legacy_rules_are_refused_by_name() -> None:
    b = GraphBuilder()
    x = b.tensor((1, 4, 4, 2))
    y = b.conv(x, 2)
    b.ops[0] = replace(b.ops[0], rule="some_rule")
    with pytest.raises(CompileError, match="unknown rounding rule 'some_rule'"):
        compile(b.graph((x,), (y,)), require_accelerator=True)


@pytest.mark.parametrize(("base", "field", "value", "message"), [
    ("nano", "max_pool", True, "max_pool must be False in a compact core, not True"),
    ("nano", "dot_width", 8, "dot_width must be 4 in a compact core, not 8"),
    ("nano", "requant_cycles", 4, "requant_cycles must be 8, 16 or 32 in a compact core, not 4"),
    ("nano", "memory_bytes", 0, "memory_bytes must be 8..8388608 in a compact core, not 0"),
    ("small", "instruction_queue", 0,
     "instruction_queue must be at least 1 unless the core is compact, not 0"),
    ("small", "count_bits", 11, "count_bits must be 16 unless the core is compact, not 11"),
])
def test_compact_core_names_what_it_cannot_have(base: str, field: str, value: object,
                                                message: str) -> None:
    with pytest.raises(ConfigError) as error:
        replace(PRESETS[base], **{field: value})
    assert str(error.value) == message


@pytest.mark.parametrize(("changes", "formats"), [
    ({}, ("raw", "packed", "modes")), ({"weight_chunks": 1}, ("raw", "packed")),
    ({"read_bytes": 8, "requant_lanes": 4}, ("raw", "packed")),
    ({"read_bytes": 32, "weight_chunks": 1}, ("raw", "packed", "modes"))])
def test_modes_are_for_32_weights_a_cycle(changes: dict[str, object],
                                          formats: tuple[str, ...]) -> None:
    assert replace(PRESETS["base"], **changes).weight_formats == formats


@pytest.mark.parametrize(("field", "value", "message"), [
    ("name", 5, "name must be a text, not 5"),
    ("weight_formats", "raw", "weight_formats must be a list of names, not 'raw'"),
    ("weight_formats", 3, "weight_formats must be a list of names, not 3"),
    ("units", "abc", "units must be a list of names, not 'abc'")])
def test_names_are_texts(field: str, value: object, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        replace(PRESETS["base"], **{field: value})
    assert str(error.value) == message


def test_the_same_formats_are_one_config() -> None:
    base = PRESETS["base"]
    other = replace(base, weight_formats=("modes", "raw", "packed", "raw"))
    assert other == base and other.hash == base.hash


@pytest.mark.parametrize("text", ['base = ["base"]', "[base]", "base = 3"])
def test_a_base_that_is_no_name_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.toml").write_text(text)
    with pytest.raises(ConfigError, match="t.toml: base must be one of nano, "):
        load_target(tmp_path / "t.toml")


@pytest.mark.parametrize("name", ["", " ", "a\\nb"])
def test_a_name_in_a_file_is_a_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "t.toml").write_text(f'base = "small"\nname = "{name}"\n')
    with pytest.raises(ConfigError, match="t.toml: name must be a text of one line, not "):
        load_target(tmp_path / "t.toml")


def test_modes_need_packed_weights() -> None:
    with pytest.raises(ConfigError) as error:
        replace(PRESETS["base"], weight_formats=("raw", "modes"))
    assert str(error.value) == "weight_formats must contain 'packed' where it contains 'modes'"


def test_a_ring_of_less_than_a_word_is_refused() -> None:
    with pytest.raises(ConfigError, match="ring_bytes must hold 2 words of 1024 bytes, not 512"):
        AcceleratorConfig(out_lanes=64, requant_lanes=8, ring_bytes=512)
