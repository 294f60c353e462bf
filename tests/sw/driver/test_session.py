"""Sessions: golden and emulator agree to the bit at every tensor, and inputs are checked."""

import dataclasses
import random

import numpy as np
import pytest

from kaniwa import Session
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS, AcceleratorConfig
from kaniwa.data.inputs import recorded_inputs
from kaniwa.driver import devices
from kaniwa.errors import CompileError, DeviceError, InputError
from kaniwa.isa import FIELDS, INSTRUCTION_BYTES
from kaniwa.program.file import from_bytes, to_bytes
from kaniwa.sim.worlds.random_graphs import KINDS, random_config, random_graph, random_input
from kaniwa.verify.diff import diff

RESNET8, KEYWORDS = "mlperf_ic_resnet8.tflite", "mlperf_kws_dscnn.tflite"
ODD = AcceleratorConfig(out_lanes=6, dot_width=8, requant_lanes=3, read_bytes=16, write_bytes=8,
                        line_bytes=4096, ring_bytes=4096, parameter_records=128,
                        multiplier_bits=30, name="odd")


@pytest.fixture(scope="module")
def resnet8(models):
    return compile(models / RESNET8, target="base")


@pytest.fixture
def image(resnet8, models):
    with np.load(models / "inputs" / "resnet8_ten.npz") as file:
        return {resnet8.inputs[0].name: file["input_1_int8"][:1]}


@pytest.mark.parametrize("materialize", [False, True])
@pytest.mark.parametrize("target", [*PRESETS.values(), ODD], ids=lambda config: config.name)
@pytest.mark.parametrize("model", [RESNET8, KEYWORDS])
def test_golden_and_emulator_agree_at_every_stored_tensor(models, model, target, materialize):
    outside = "ideal"
    if target.compact:   # no outside memory, so all tensors have to fit on chip
        target, outside = dataclasses.replace(target, memory_bytes=512 * 1024), None
    program = compile(models / model, target=target, materialize=materialize, outside=outside)
    for inputs in recorded_inputs(models / model, program.inputs)[:2]:
        result = diff(program, ["golden", "emulator"], inputs)
        assert result["first_difference"] is None
        assert result["tensors"] >= (12 if materialize else 9)


def test_outputs_equal_the_recorded_ones(resnet8, models):
    with np.load(models / "inputs" / "resnet8_ten.npz") as file:
        images, expected = file["input_1_int8"], file["expected"]
    with devices.open("emulator") as device:
        session = Session(resnet8, device)
        got = [session.run([image[None]])[resnet8.outputs[0].name][0] for image in images]
    assert np.array_equal(got, expected)


def test_statistics_add_up(resnet8, image):
    with devices.open("emulator") as device:
        session = Session(resnet8, device)
        assert session.stats is None
        session.run(image)
    stats = session.stats
    assert stats.macs == 12_501_632
    assert sum(layer["cycles"] for layer in stats.layers) == stats.cycles
    assert sum(layer["macs"] for layer in stats.layers) == stats.macs
    assert stats.utilization == stats.macs / (stats.cycles * 128)
    assert [layer["name"] for layer in stats.layers] == [x.name for x in resnet8.layers]
    assert set(stats.layers[0]) == {"name", "op", "macs", "cycles", "utilization", "lost",
                                    "number", "removed", "shape", "kernel"}
    assert stats.seconds > 0


def test_layers_that_share_a_tag_are_shown_together(resnet8, image):
    last = resnet8.layers[8].tag
    layers = tuple(dataclasses.replace(layer, tag=min(layer.tag, last))
                   for layer in resnet8.layers)
    field = FIELDS["tag"]
    commands = bytearray(resnet8.commands)
    for layer in layers:
        for index in layer.instructions:
            place = slice(index * INSTRUCTION_BYTES + 4 * field.word,
                          index * INSTRUCTION_BYTES + 4 * field.word + 4)
            word = int.from_bytes(commands[place], "little")
            word = word & ~(1023 << field.lsb) | layer.tag << field.lsb
            commands[place] = word.to_bytes(4, "little")
    images = tuple((a, bytes(commands) if a == resnet8.program_address else data)
                   for a, data in resnet8.images)
    program = dataclasses.replace(resnet8, layers=layers, images=images)
    with devices.open("emulator") as device:
        session = Session(program, device)
        session.run(image)
    assert len(session.stats.layers) == 9
    assert " ... " in session.stats.layers[-1]["name"]
    assert sum(layer["cycles"] for layer in session.stats.layers) == session.stats.cycles


def test_repeated_runs_give_the_same(resnet8, image):
    with devices.open("emulator") as device:
        session = Session(resnet8, device)
        outputs = [session.run(image) for _ in range(3)]
    name = resnet8.outputs[0].name
    assert all(np.array_equal(outputs[0][name], other[name]) for other in outputs)


def test_two_sessions_take_turns_on_a_device(models, resnet8, image):
    other = compile(models / KEYWORDS, target="base")
    other_inputs = recorded_inputs(models / KEYWORDS, other.inputs)[0]
    with devices.open("emulator") as device:
        first, second = Session(resnet8, device), Session(other, device)
        a, b = first.run(image), second.run(other_inputs)
        c, d = first.run(image), second.run(other_inputs)
    for x, y in ((a, c), (b, d)):
        assert all(np.array_equal(x[name], y[name]) for name in x)


def test_submit_returns_a_future(resnet8, image):
    with devices.open("emulator") as device:
        session = Session(resnet8, device)
        futures = [session.submit(image) for _ in range(3)]
        expected = session.run(image)
        for future in futures:
            for name, value in future.result().items():
                assert np.array_equal(value, expected[name])


def test_submit_hands_on_errors(resnet8):
    with devices.open("emulator") as device:
        future = Session(resnet8, device).submit([])
        with pytest.raises(InputError, match="expected 1 inputs, found 0"):
            future.result()


def test_program_file_runs_as_the_program_does(resnet8, image):
    loaded = from_bytes(to_bytes(resnet8))
    with devices.open("emulator") as a, devices.open("emulator") as b:
        first, second = Session(resnet8, a).run(image), Session(loaded, b).run(image)
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_golden_needs_the_model(resnet8):
    loaded = from_bytes(to_bytes(resnet8))
    with pytest.raises(DeviceError, match="golden device runs the model itself"):
        Session(loaded, devices.open("golden"))


def test_golden_has_no_cycles(resnet8, image):
    session = Session(resnet8, devices.open("golden"))
    session.run(image)
    assert (session.stats.cycles, session.stats.utilization, session.stats.layers) == (0, 0.0, [])


def test_program_for_another_target_is_refused_with_both_named(resnet8):
    with pytest.raises(DeviceError, match="compiled for target 'base' .* is 'small'"):
        Session(resnet8, devices.open("emulator", target="small"))


def test_missing_outside_memory_is_named(models):
    program = compile(models / RESNET8, target="small", outside="sdram")
    with pytest.raises(DeviceError, match="needs outside memory: open the device with outside="):
        Session(program, devices.open("emulator", outside="none"))


def test_a_simulator_adds_the_outside_memory_that_a_program_needs(models):
    program = compile(models / RESNET8, target="small", outside="sdram")
    image = recorded_inputs(models / RESNET8)[0]
    with devices.open("emulator") as device, devices.open("emulator", outside="sdram") as told:
        session, expected = Session(program, device), Session(program, told)
        for name, value in expected.run(image).items():
            assert np.array_equal(session.run(image)[name], value)
        assert session.stats.cycles == expected.stats.cycles


@pytest.mark.parametrize("change, message", [
    (lambda x: x[0], r"expected int8\[1, 32, 32, 3\], found int8\[32, 32, 3\]"),
    (lambda x: x.astype(np.float32), r"expected int8\[1, 32, 32, 3\], found float32"),
    (lambda x: x.view(np.uint8), "found uint8"),
    (lambda x: x.tolist(), "found list"),
])
def test_wrong_input_is_refused(resnet8, image, change, message):
    name = resnet8.inputs[0].name
    session = Session(resnet8, devices.open("emulator"))
    with pytest.raises(InputError, match=f"input '{name}': .*{message}"):
        session.run({name: change(image[name])})


def test_wrong_names_are_refused(resnet8, image):
    session = Session(resnet8, devices.open("emulator"))
    with pytest.raises(InputError, match=r"expected inputs \['input_1_int8'\], found \['x'\]"):
        session.run({"x": image["input_1_int8"]})


def test_floats_are_quantized_and_outputs_dequantized_when_asked(resnet8, image):
    source, target = resnet8.inputs[0], resnet8.outputs[0]
    with devices.open("emulator") as device:
        session = Session(resnet8, device)
        expected = session.run(image)[target.name]
        real = (image[source.name].astype(np.float64) - source.zero_point) * source.scale
        got = session.run({source.name: real}, as_float=True)[target.name]
        assert got.dtype == np.float32
        assert np.array_equal(got, ((expected - np.float64(target.zero_point)) * target.scale)
                              .astype(np.float32))
        with pytest.raises(InputError, match="expected finite numbers"):
            session.run({source.name: real * np.nan}, as_float=True)


def test_floats_between_two_steps_are_rounded_away_from_zero(resnet8, image):
    source, target = resnet8.inputs[0], resnet8.outputs[0]
    even = 2 * np.random.default_rng(0).integers(0, 8, source.shape)
    with devices.open("golden") as device:
        session = Session(resnet8, device)
        lower, upper = (
            session.run({source.name: np.clip(q + source.zero_point, -128, 127).astype(np.int8)})
            for q in (even, even + 1))
        assert not np.array_equal(lower[target.name], upper[target.name])
        got = session.run({source.name: (even + 0.5) * source.scale}, as_float=True)
        real = (upper[target.name] - np.float64(target.zero_point)) * target.scale
        assert np.array_equal(got[target.name], real.astype(np.float32))


def test_intermediate_tensors_can_be_read(models, image):
    program = compile(models / RESNET8, target="base", materialize=True)
    with devices.open("emulator") as device, devices.open("golden") as golden:
        sessions = Session(program, device), Session(program, golden)
        for session in sessions:
            session.run(image)
        for tensor in program.tensors:
            if tensor.address is not None:
                a, b = (session.tensor(tensor.name) for session in sessions)
                assert np.array_equal(a, b)


def test_tensors_that_are_gone_are_named(resnet8, image):
    session = Session(resnet8, devices.open("emulator"))
    session.run(image)
    gone = next(t for t in resnet8.tensors
                if t.overwritten is not None and t.kind == "intermediate")
    with pytest.raises(DeviceError, match="compile with --materialize to keep all"):
        session.tensor(gone.name)
    with pytest.raises(DeviceError, match="stores no tensor 'nothing'"):
        session.tensor("nothing")


@pytest.mark.parametrize("seed", range(40))
def test_random_layers_on_random_configs_agree(seed):
    rng = random.Random(seed)
    graph = random_graph(seed, list(KINDS)[seed % len(KINDS)], macs=1 << 17)
    options = {"materialize": rng.random() < 0.3, "outside": "ideal", "require_accelerator": True}
    try:
        program = compile(graph, target=random_config(rng, largest=256), **options)
    except CompileError:  # names a limit of the config, or what it lacks
        program = compile(graph, target="base", **options)
    assert diff(program, ["golden", "emulator"], random_input(graph, seed))[
        "first_difference"] is None
