"""The simulated core as a device: runs, errors, abort and reset, memories, and what it says."""

import dataclasses
import os
import random
import signal
import subprocess
import sys

import numpy as np
import pytest
from builders.graphs.graph_builder import GraphBuilder
from builders.instructions.layer_cases import IFM, OFM, PARAMETERS, PROGRAM, WEIGHTS, random_case

from kaniwa import golden, isa
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.driver.session import Session
from kaniwa.errors import CompileError, ConfigError, DeviceError
from kaniwa.isa import COUNTERS, OUTSIDE, Command, ErrorCode, Mode, Register, Rounding, Status
from kaniwa.sim.device.simulated_core import ABORT_CYCLES, SimDevice

pytestmark = pytest.mark.rtl
# Small enough to build in seconds, with every unit, and another shape than any preset.
CONFIG = dataclasses.replace(
    PRESETS["small"], line_bytes=2048, ring_bytes=2048, parameter_records=64,
    memory_bytes=64 * 1024, instruction_queue=2, name="tiny")
END = isa.encode({"opcode": isa.Opcode.END})


def load(device, case):
    for address, data in case.image.items():
        device.write(address, data)


def expect(device, case):
    """Run ``case`` and compare all of memory."""
    load(device, case)
    expected = bytearray(device.read(0, CONFIG.memory_bytes))
    for address, value in case.expected.items():
        expected[address] = value
    statistics = device.run(PROGRAM, [case.values["tag"]])
    assert device.read(0, CONFIG.memory_bytes) == bytes(expected)
    return statistics


def endless(device):
    """A program whose first input never comes."""
    case = random_case(1, CONFIG)
    load(device, case)
    device.write(PROGRAM, isa.encode({**case.values, "ifm_wait": 500}) + END)


@pytest.fixture(scope="module")
def shared():
    """One device for tests that leave it as usable as they found it."""
    with SimDevice(CONFIG, watchdog=2000) as device:
        yield device


@pytest.mark.parametrize("stalls", [0.0, 0.4])
@pytest.mark.parametrize("mode", list(Mode))
def test_layers_equal_the_contract(mode, stalls):
    rng = random.Random(int(mode))
    with SimDevice(CONFIG, stalls=stalls, seed=3) as device:
        for seed in range(8):
            add = rng.random() < 0.5
            case = random_case(
                seed, CONFIG, mode, add=add, table=not add and rng.random() < 0.4,
                stream=mode in (Mode.DENSE, Mode.DEPTHWISE) and rng.random() < 0.4,
                rounding=rng.choice(list(Rounding)), in_place=add and rng.random() < 0.5,
                multiply=add and rng.random() < 0.5)
            expect(device, case)


def test_functions_equal_golden_on_every_value(shared):
    """Behind a layer and on their own, in one pass."""
    b = GraphBuilder()
    x = b.tensor((1, 16, 8, 2), 0.05, 7)
    u = b.op("LEAKY_RELU", (x,), b.tensor((1, 16, 8, 2), 0.04, -9), alpha=0.3)
    v = b.op("LOGISTIC", (b.conv(u, 2, (1, 1)),), b.tensor((1, 16, 8, 2), 1 / 256, -128))
    graph = b.graph((x,), (u, v))
    sample = [np.arange(-128, 128).astype(np.int8).reshape(1, 16, 8, 2)]
    expected = golden.run(graph, sample)
    program = compile(graph, CONFIG)
    assert [layer.op for layer in program.layers] == ["LEAKY_RELU", "CONV_2D+LOGISTIC"]
    outputs = Session(program, shared).run(sample)
    for i in (u, v):
        np.testing.assert_array_equal(outputs[graph.tensors[i].name], expected[i])


def test_statistics_add_up(shared):
    case = random_case(5, CONFIG)
    tag = case.values["tag"]
    statistics = expect(shared, case)
    snapshot = statistics.snapshots[tag]
    blocks = case.values["ofm_rows"] * case.values["ofm_columns"] * case.values["blocks"]
    assert list(snapshot) == list(COUNTERS)
    assert sum(snapshot.values()) == 2 * snapshot["cycles"]
    assert snapshot["issued"] == blocks * case.values["steps"]
    assert snapshot["cycles"] <= statistics.cycles <= snapshot["cycles"] + 60
    assert statistics.retired == 1
    assert statistics == expect(shared, case)  # to the cycle


def test_stalls_are_drawn_from_the_seed():
    case = random_case(6, CONFIG)
    cycles = []
    for stalls, seed in ((0.0, 0), (0.5, 1), (0.5, 1), (0.5, 2)):
        with SimDevice(CONFIG, stalls=stalls, seed=seed) as device:
            cycles.append(expect(device, case).cycles)
    assert cycles[0] < cycles[1] == cycles[2] != cycles[3]


def test_devices_share_nothing(shared):
    with SimDevice(CONFIG, watchdog=2000) as other:
        other.write(IFM, b"other")
        shared.write(IFM, b"first")
        assert (other.read(IFM, 5), shared.read(IFM, 5)) == (b"other", b"first")
        endless(other)
        other._set(Register.CONTROL, Command.RUN)
        other._run_for(100)
        expect(shared, random_case(2, CONFIG))
        assert other._get(Register.STATUS) == 1


def refused(device, *instructions):
    """Run ``instructions``, which must fail; then a right run must succeed. The message."""
    load(device, random_case(3, CONFIG))
    device.write(PROGRAM, b"".join(instructions) + END)
    with pytest.raises(DeviceError) as caught:
        device.run(PROGRAM)
    expect(device, random_case(3, CONFIG))
    return str(caught.value).removeprefix("the device ended the run: ")


def layer(**fields):
    return isa.encode({**random_case(3, CONFIG).values, **fields})


def test_illegal_opcode_is_named(shared):
    illegal = bytes([layer()[0] & 0xF0 | 9]) + layer()[1:]
    assert refused(shared, layer(), layer(), illegal) == "ILLEGAL_OPCODE at instruction 2"


def test_illegal_field_is_named(shared):
    wrong = bytearray(layer())
    at = 4 * isa.FIELDS["steps"].word + isa.FIELDS["steps"].lsb // 8
    wrong[at:at + 2] = b"\0\0"
    assert refused(shared, layer(), bytes(wrong)) == (
        "ILLEGAL_FIELD at instruction 1, field steps")
    assert refused(shared, layer(block_width=CONFIG.out_lanes + 1, last_width=1)) == (
        "ILLEGAL_FIELD at instruction 0, field that this config lacks")


@pytest.mark.parametrize("field", ["ifm_address", "weight_address", "parameter_address",
                                   "operand_address", "ofm_address"])
def test_access_beyond_memory_is_named(shared, field):
    bad = layer(**{field: CONFIG.memory_bytes, "add": field == "operand_address"})
    assert refused(shared, layer(), bad) == "ADDRESS at instruction 1"


def test_unknown_weight_format_is_named(shared):
    shared.write(CONFIG.memory_bytes - 64, bytes([15]) + bytes(63))
    bad = layer(weight_address=CONFIG.memory_bytes - 64, weight_bytes=64)
    assert refused(shared, layer(), layer(), bad) == (
        f"BAD_FORMAT at instruction 2: at {CONFIG.memory_bytes - 64:#x}: weight stream: block at "
        "byte 0 has format 15, argument 0, count 0, unknown to this target")


def test_a_block_in_the_middle_is_named(shared):
    good = bytes([isa.Format.RAW]).ljust(CONFIG.read_bytes, b"\0")     # of no words
    wide = isa.formats.HEADER.encode({"format": isa.Format.PACKED, "count": 1, "multiplier": 9})
    stream = good * 2 + wide.ljust(CONFIG.read_bytes, b"\0")
    shared.write(CONFIG.memory_bytes - 64, stream.ljust(64, b"\0"))
    bad = layer(parameter_address=CONFIG.memory_bytes - 64, parameter_bytes=64)
    assert refused(shared, bad).startswith(
        f"BAD_FORMAT at instruction 0: at {CONFIG.memory_bytes - 64:#x}: weight stream: block at "
        f"byte {2 * CONFIG.read_bytes} has format 1, argument 0, widths 9, 0, ")


def test_program_without_end_runs_into_an_error(shared):
    shared.write(CONFIG.memory_bytes - isa.INSTRUCTION_BYTES, layer())
    with pytest.raises(DeviceError, match="ADDRESS at instruction 1"):
        shared.run(CONFIG.memory_bytes - isa.INSTRUCTION_BYTES)


def test_watchdog_ends_a_run_without_progress(shared):
    for _ in range(2):
        endless(shared)
        with pytest.raises(DeviceError, match="WATCHDOG at instruction 0"):
            shared.run(PROGRAM)
        assert 2000 <= shared._get(Register.CYCLES) <= 3000
        expect(shared, random_case(2, CONFIG))


def test_absent_memory_ends_in_the_watchdog(shared):
    assert refused(shared, layer(ifm_address=OUTSIDE | IFM)) == "WATCHDOG at instruction 0"


def test_cycle_limit_ends_a_run():
    with SimDevice(CONFIG, watchdog=0, cycle_limit=300_000) as device:
        endless(device)
        with pytest.raises(DeviceError, match="did not end within 300000 cycles"):
            device.run(PROGRAM)
        expect(device, random_case(2, CONFIG))


def test_interrupt_ends_a_run():
    with SimDevice(CONFIG, watchdog=0) as device:
        endless(device)
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        before = signal.signal(signal.SIGALRM, signal.default_int_handler)
        try:
            with pytest.raises(KeyboardInterrupt):
                device.run(PROGRAM)
        finally:
            signal.signal(signal.SIGALRM, before)
        expect(device, random_case(2, CONFIG))


@pytest.mark.parametrize("stalls", [0.0, 0.3])
@pytest.mark.parametrize("ending", ["abort", "reset"])
def test_abort_or_reset_at_any_cycle_then_a_right_run(ending, stalls):
    """Fifty cycles spread over a run of two instructions with weights, tables and an operand."""
    case = random_case(17, CONFIG, add=True)
    rng = random.Random(1)
    overtaken = 0   # aborts that a run ended before, in the cycle that a command takes to arrive
    with SimDevice(CONFIG, stalls=stalls, seed=5) as device:
        load(device, case)
        device.write(PROGRAM, isa.encode(case.values) * 2 + END)
        total = device.run(PROGRAM).cycles
        for point in range(50):
            load(device, case)
            device.write(PROGRAM, isa.encode(case.values) * 2 + END)
            device._set(Register.PROGRAM_ADDRESS, PROGRAM)
            device._set(Register.CONTROL, Command.RUN)
            device._run_for(1 + (total * point + rng.randrange(total)) // 50)
            if ending == "reset":
                device.reset()
                assert device._get(Register.STATUS) == 0
            else:
                running = device._get(Register.STATUS) & 1
                device.abort()
                status = device._get(Register.STATUS)
                overtaken += running and status == Status.DONE
                stopped = running and status != Status.DONE
                assert status == (Status.ERROR if stopped else Status.DONE if running else 0)
                assert device._get(Register.ERROR_CODE) == (ErrorCode.ABORTED if stopped else 0)
                if status == Status.DONE:
                    assert {a: device.read(a, 1)[0] for a in case.expected} == case.expected
            expect(device, case)
    assert overtaken <= 1


def test_outside_memory_is_added_where_it_was_not_said_what_there_is():
    for outside, there in ((None, True), ("none", False)):
        with SimDevice(CONFIG, outside=outside) as device:
            device.add_outside("sdram,bytes=4,latency=10")
            if there:
                device.write(OUTSIDE | 64, b"abc")
                assert device.read(OUTSIDE | 64, 3) == b"abc"
            else:
                with pytest.raises(DeviceError, match="is outside device memory"):
                    device.write(OUTSIDE | 64, b"abc")


def test_outside_memory_is_slower_by_its_timing_only():
    case = random_case(9, CONFIG)
    fields = {name: case.values[name] | OUTSIDE for name in (
        "ifm_address", "weight_address", "parameter_address", "ofm_address")}
    cycles = {}
    for outside in ("ideal", "sdram,bytes=8,latency=3", "sdram,bytes=4,latency=10",
                    "sdram,bytes=1,latency=40"):
        with SimDevice(CONFIG, outside=outside) as device:
            for address in (PARAMETERS, WEIGHTS, IFM):
                device.write(OUTSIDE | address, case.image[address])
            device.write(OUTSIDE | PROGRAM, isa.encode({**case.values, **fields}) + END)
            cycles[outside] = device.run(OUTSIDE | PROGRAM).cycles
            stored = {a: device.read(OUTSIDE | a, 1)[0] for a in case.expected}
            assert stored == case.expected
            assert device.read(OFM, 0x1000) == bytes(0x1000)
    slower = list(cycles.values())
    assert slower == sorted(slower) and slower[0] < slower[2] < slower[3]


def test_memory_bounds(shared):
    last = CONFIG.memory_bytes - 1
    shared.write(last, b"x")
    assert shared.read(last, 1) == b"x"
    assert shared.read(0, 0) == b""
    for address, size in ((last, 2), (OUTSIDE, 1), (0, CONFIG.memory_bytes + 1)):
        with pytest.raises(DeviceError, match=f"write of {size} bytes at {address:#x} is outside"):
            shared.write(address, bytes(size))
        with pytest.raises(DeviceError, match=f"read of {size} bytes at {address:#x} is outside"):
            shared.read(address, size)
    with SimDevice(CONFIG, outside="ideal") as device:
        device.write(OUTSIDE | 0x7FFF_FFF0, bytes(range(16)))
        assert device.read(OUTSIDE | 0x7FFF_FFF0, 16) == bytes(range(16))


def test_wrong_use_is_refused(shared):
    with pytest.raises(DeviceError, match="must start at a multiple of 8 bytes"):
        shared.run(4)
    with pytest.raises(ConfigError, match="stalls must be"):
        SimDevice(CONFIG, stalls=1.0)
    with pytest.raises(CompileError, match="outside memory must be"):
        SimDevice(CONFIG, outside="flash")
    with pytest.raises(DeviceError, match="cannot be written"):
        SimDevice(CONFIG, trace="/nowhere/wave.vcd")
    device = SimDevice(CONFIG)
    device.close()
    device.close()
    assert device.config is None
    for use in (lambda: device.read(0, 1), lambda: device.write(0, b""), lambda: device.run(0),
                device.reset, device.abort):
        with pytest.raises(DeviceError, match="closed or has no target"):
            use()


def test_target_may_come_later_and_stays(shared):
    device = SimDevice()
    assert device.config is None
    device.load_target(CONFIG)
    device.write(0, b"kept")
    device.load_target(CONFIG)
    assert device.read(0, 4) == b"kept"
    device.close()
    assert shared._get(Register.MEMORY_BYTES) == CONFIG.memory_bytes
    assert ABORT_CYCLES > 4096


def test_warm_start_needs_no_gateware():
    """The second start of a config imports no Amaranth and compiles nothing."""
    SimDevice(CONFIG).close()
    code = ("import sys, kaniwa.sim.device.simulated_core as d\n"
            "from test_device import CONFIG, IFM\n"
            "with d.SimDevice(CONFIG, progress=lambda what, s: sys.exit(what)) as device:\n"
            "    print(device.read(IFM, 1), 'amaranth' in sys.modules)")
    folder = os.path.dirname(__file__)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([folder, os.path.dirname(folder)])}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("b'\\x00' False\n", "")
