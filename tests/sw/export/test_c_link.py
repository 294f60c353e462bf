"""The C driver of a board on SPI against the model of the device, on lines good and bad."""

import ctypes
import dataclasses
import random
import re

import numpy as np
import pytest
from builders.c_driver import RISCV, Result, bytes_on_rv32, compile_strictly, write_model
from builders.c_link import LinkedDriver, build_linked

import kaniwa
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.driver import frames
from kaniwa.export.c_source import driver_file
from kaniwa.isa import OUTSIDE, Register
from kaniwa.sim.board.line_faults import Faults
from kaniwa.sim.board.link_model import EmulatedCore, LinkModel, MemoryCore
from kaniwa.sim.board.spi_model import SpiModel
from kaniwa.sim.worlds.random_graphs import random_graph, random_input

CONFIG = PRESETS["small"]
GRAPH = random_graph(3, "conv", macs=1 << 14)
LARGEST = 8192     # bytes of code on RV32
SOURCES = ["kaniwa.c", "kaniwa_link.c"]
FAULTS = {"none": {}, "changed": {"bit_error": 1e-4}, "lost": {"drop": 5e-4},
          "all": dict(bit_error=5e-5, drop=2e-4, duplicate=2e-4, insertion=2e-4, swap=2e-4)}
CHUNK = 32


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """The driver alone."""
    return build_linked(tmp_path_factory.mktemp("linked"))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A network of one layer as a program, and the library of driver and model."""
    folder = tmp_path_factory.mktemp("tiny")
    program = compile(GRAPH, target=CONFIG)
    return program, build_linked(folder, [write_model(folder, program)])


def device(library, core=None, faults=None, seed=0, **options):
    """A driver, and the model of its device."""
    model = SpiModel(LinkModel(core or EmulatedCore(CONFIG), **options),
                     Faults(**(faults or {})), seed)
    return LinkedDriver(library, model.exchange), model


def wrong(driver, program, seed):
    """How many values of an inference are not golden's."""
    inputs = random_input(GRAPH, seed)
    values = kaniwa.Session(program, kaniwa.open("golden")).run(inputs)
    answers = [np.full(t.shape, 99, np.int8) for t in program.outputs]
    given = [np.ascontiguousarray(inputs[GRAPH.tensors[i].name]) for i in GRAPH.inputs]
    assert driver.call("model_run", *given, *answers) == Result.OK
    return sum(int((answer != values[t.name]).sum())
               for answer, t in zip(answers, program.outputs, strict=True))


@pytest.mark.parametrize("case", FAULTS)
def test_200_inferences_on_a_bad_line_are_all_right(case, tiny):
    program, library = tiny
    driver, model = device(library, faults=FAULTS[case], seed=3)
    assert driver.call("kaniwa_open") == driver.call("model_load") == Result.OK
    assert sum(wrong(driver, program, seed) for seed in range(200)) == 0
    assert model.link.core.runs == 200
    assert bool(model.counts) == (case != "none")
    assert (driver.link.repeated > 20) == (case != "none"), driver.link.repeated
    assert (driver.link.damaged > 0) == (case != "none")
    assert driver.cycles() == kaniwa.estimate(program).cycles
    assert max(driver.sizes) <= CHUNK


def test_keyword_spotting_is_golden(models, tmp_path):
    program = kaniwa.compile(models / "mlperf_kws_dscnn.tflite", target="base_vector")
    library = build_linked(tmp_path, [write_model(tmp_path, program)])
    driver, _ = device(library, EmulatedCore(program.config), FAULTS["all"], seed=1)
    assert driver.call("kaniwa_open") == driver.call("model_load") == Result.OK
    session = kaniwa.Session(program, kaniwa.open("golden"))
    for recording in np.load(models / "inputs" / "kws01_1000.npz")["x"][:3]:
        answer = np.full((1, 12), 99, np.int8)
        assert driver.call("model_run", np.ascontiguousarray(recording[None]),
                           answer) == Result.OK
        (wanted,) = session.run([recording[None]]).values()
        np.testing.assert_array_equal(answer, wanted)
    assert driver.link.repeated > 0


@pytest.mark.parametrize("faults", [{}, FAULTS["all"]])
def test_memory_of_every_size_and_content(library, faults):
    driver, model = device(library, MemoryCore(1 << 16), faults, seed=9)
    assert driver.on_link("kaniwa_link_open") == Result.OK
    rng = random.Random(1)
    for size in (0, 1, 2, 3, 8, 243, 244, 245, 600, *(rng.randrange(1, 900) for _ in range(40))):
        data = rng.choice([rng.randbytes(size), bytes(size), b"\xff" * size, b"\x80" * size])
        address, flip = rng.randrange(1 << 15), rng.choice([0, 0x80])
        assert driver.on_link("kaniwa_link_write", address, data, size, flip) == Result.OK
        stored = bytes(value ^ flip for value in data)
        assert bytes(model.link.core.memory[address:address + size]) == stored
        back = (ctypes.c_uint8 * (size + 1))(*[7] * (size + 1))
        assert driver.on_link("kaniwa_link_read", address, back, size, flip) == Result.OK
        assert bytes(back) == data + b"\7"


def test_a_register_is_written_once_whatever_happens(library):
    """A run is started this way: it must not start twice."""
    driver, model = device(library, MemoryCore(), dict(drop=0.004, bit_error=4e-4), seed=2)
    assert driver.on_link("kaniwa_link_open") == Result.OK
    for value in range(400):
        assert driver.on_link("kaniwa_link_set", Register.CONTROL, value) == Result.OK
    assert model.link.core.log == [(Register.CONTROL, value) for value in range(400)]
    assert driver.link.repeated > 40


def test_what_a_transfer_costs(library):
    """Bytes on the line for each byte of data; a request waits for its reply."""
    driver, model = device(library, MemoryCore())
    assert driver.on_link("kaniwa_link_open") == Result.OK
    data = bytes(range(1, 245)) * 10
    before = model.bytes
    assert driver.on_link("kaniwa_link_write", 0, data, len(data), 0) == Result.OK
    middle = model.bytes
    back = (ctypes.c_uint8 * len(data))()
    assert driver.on_link("kaniwa_link_read", 0, back, len(data), 0) == Result.OK
    assert bytes(back) == data
    assert (middle - before) / len(data) == pytest.approx(1.18, abs=0.02)
    assert (model.bytes - middle) / len(data) == pytest.approx(1.10, abs=0.02)


def test_what_an_earlier_host_left_is_not_taken(library):
    """Replies to it are read, and its sessions have the same numbers."""
    driver, model = device(library, MemoryCore(), pace=1_000_000)
    first, second = (frames.Request(frames.Operation.OPEN, 0, number) for number in (1, 2))
    old = b"".join(frames.encode_request(request, 0) for request in (
        first, first, second, second, frames.Request(frames.Operation.READ, 64, 200)))
    model.waiting += model.link.receive(b"\0" + old)
    assert driver.on_link("kaniwa_link_open") == Result.OK
    assert driver.link.repeated == 0 and driver.link.session == 2
    assert driver.on_link("kaniwa_link_open") == Result.OK
    assert driver.link.session == 4


@pytest.mark.parametrize("kept, change", [
    ("another address", lambda reply: dataclasses.replace(reply, address=reply.address + 64)),
    ("earlier", lambda reply: dataclasses.replace(reply, expected=reply.expected - 1)),
    ("another size", lambda reply: dataclasses.replace(reply, data=b"\7" * 5)),
    ("an acknowledgement", lambda reply: frames.Reply(frames.Flag(0), reply.expected - 1,
                                                      reply.session)),
])
def test_a_reply_to_another_request_is_not_taken(kept, change, library):
    """Such a reply comes before the right one, as behind a request that was sent twice."""
    driver, model = device(library, MemoryCore())
    assert driver.on_link("kaniwa_link_open") == Result.OK
    assert driver.on_link("kaniwa_link_set", 8, 1) == Result.OK
    model.link.core.memory[100:104] = b"good"
    right = frames.Reply(frames.Flag.DATA, 1, driver.link.session, 100, b"evil")
    # With zeros behind it, the right one does not come in the same exchange and put it right.
    model.waiting += frames.encode_reply(change(right)) + bytes(64)
    back = (ctypes.c_uint8 * 4)()
    assert driver.on_link("kaniwa_link_read", 100, back, 4, 0) == Result.OK, kept
    assert bytes(back) == b"good" and driver.link.repeated == 0


@pytest.fixture
def loaded(tiny):
    """A driver with the model loaded, and the model of its device."""
    driver, model = device(tiny[1])
    assert driver.call("kaniwa_open") == driver.call("model_load") == Result.OK
    return driver, model


def failure(driver, program):
    """The result of an inference that does not end well."""
    inputs = random_input(GRAPH, 1)
    answers = [np.zeros(t.shape, np.int8) for t in program.outputs]
    return driver.call("model_run", *(np.ascontiguousarray(inputs[GRAPH.tensors[i].name])
                                      for i in GRAPH.inputs), *answers)


def open_by_another(model):
    """Another host has opened the device; its reply is through."""
    model.link.receive(frames.encode_request(frames.Request(frames.Operation.OPEN, 0, 9), 0))


@pytest.mark.parametrize("harm, result", [
    (lambda model: setattr(model, "exchange", lambda data: None), Result.LINE_FAILED),
    (lambda model: setattr(model, "exchange", lambda data: bytes(len(data))), Result.NO_ANSWER),
    (lambda model: setattr(model, "exchange", lambda data: b"\xff" * len(data)), Result.NO_ANSWER),
    (lambda model: model.link.reset(), Result.WAS_RESET),
    (open_by_another, Result.OTHER_HOST),
    (lambda model: setattr(model.link.core, "busy", True), Result.BUSY),
])
def test_a_line_that_fails_is_told_and_opened_anew(harm, result, loaded, tiny):
    driver, model = loaded
    whole = model.exchange
    driver._exchange = lambda data: model.exchange(data)
    harm(model)
    assert failure(driver, tiny[0]) == result
    assert driver.call("kaniwa_outcome") == result
    calls = len(driver.sizes)
    assert failure(driver, tiny[0]) == Result.NOT_LOADED
    assert driver.call("model_load") == result and len(driver.sizes) == calls
    model.exchange = whole
    model.link.core = EmulatedCore(CONFIG)
    assert driver.call("kaniwa_open") == driver.call("model_load") == Result.OK
    assert wrong(driver, tiny[0], 2) == 0


def test_a_line_that_fails_while_outputs_are_read_is_told(loaded, tiny):
    """The run itself was right, and then there are no outputs."""
    driver, model = loaded
    runs = model.link.core.runs
    driver._exchange = _fail_behind_run(model, runs)
    assert failure(driver, tiny[0]) == Result.LINE_FAILED
    assert model.link.core.runs == runs + 1
    assert failure(driver, tiny[0]) == Result.NOT_LOADED


def _fail_behind_run(model, runs):
    """An exchange that fails once the device is asked for memory behind a run."""
    core = model.link.core
    state = {"gone": False}
    read = core.read

    def note(address):
        state["gone"] = core.runs > runs
        return read(address)

    core.read = note
    return lambda data: None if state["gone"] else model.exchange(data)


@pytest.mark.parametrize("register, value, function, result", [
    (Register.MAGIC, 5, "kaniwa_open", Result.NO_CORE),
    (Register.VERSION, 99, "model_load", Result.OTHER_VERSION),
    (Register.CONFIG_HASH_LOW, 1, "model_load", Result.OTHER_CONFIG),
    (Register.MEMORY_BYTES, 1024, "model_load", Result.MEMORY),
])
def test_a_device_of_another_kind_is_told(register, value, function, result, tiny):
    driver, model = device(tiny[1])
    model.link.core._registers[register] = value
    if function == "model_load":
        assert driver.call("kaniwa_open") == Result.OK
    assert driver.call(function) == result


def test_another_version_of_the_link_is_told(library, monkeypatch):
    monkeypatch.setattr(frames, "LINK_VERSION", frames.LINK_VERSION + 1)
    driver, _ = device(library)
    assert driver.call("kaniwa_open") == Result.OTHER_BUS


def test_a_run_that_hangs_is_given_up(loaded, tiny):
    driver, model = loaded
    model.link.core.hangs = True
    driver.device.limit = 50
    assert failure(driver, tiny[0]) == Result.NO_END
    assert not model.link.core.busy     # it was aborted
    model.link.core.hangs = False
    assert driver.call("model_load") == Result.OK
    assert wrong(driver, tiny[0], 2) == 0


def test_outside_memory_of_a_board(models, tmp_path):
    path = tmp_path / "outside_only.toml"
    path.write_text('base = "base_vector"\nmemory_bytes = 0\n')
    program = kaniwa.compile(models / "mlperf_kws_dscnn.tflite", outside="ideal", target=path)
    library = build_linked(tmp_path, [write_model(tmp_path, program)])
    core = EmulatedCore(program.config, "ideal")
    driver, _ = device(library, core)
    assert driver.call("kaniwa_open") == Result.OK
    assert driver.call("model_load") == Result.NO_OUTSIDE     # the link tells that there is none
    driver, _ = device(library, core, outside=True)
    assert driver.call("kaniwa_open") == driver.call("model_load") == Result.OK
    recording = np.load(models / "inputs" / "kws01_1000.npz")["x"][:1]
    answer = np.full((1, 12), 99, np.int8)
    assert driver.call("model_run", np.ascontiguousarray(recording), answer) == Result.OK
    (wanted,) = kaniwa.Session(program, kaniwa.open("golden")).run([recording]).values()
    np.testing.assert_array_equal(answer, wanted)
    assert core.read(OUTSIDE) == program.images[0][1][0]


def test_numbers_of_the_link_are_those_of_the_host():
    text = driver_file("kaniwa_link.c").decode() + driver_file("kaniwa_link.h").decode()
    found = {name: int(value, 0) for name, value in re.findall(
        r"^#define (\w+) (?:UINT32_C\()?(\w+?)U?\)?(?: .*)?$", text, re.MULTILINE)
        if re.fullmatch(r"0x[0-9a-f]+|\d+", value)}
    wanted = {"LINK_VERSION": frames.LINK_VERSION, "SEQUENCES": frames.SEQUENCES,
              "SESSIONS": frames.SESSIONS, "HEADER": frames.REQUEST_HEADER,
              "CRC_BYTES": frames.CRC_BYTES, "REPLY_HEADER": frames.REPLY_HEADER,
              "WORD_BYTES": frames.WORD_BYTES, "MOST_PAYLOAD": frames.PAYLOAD_BYTES,
              "MOST_BODY": frames.FRAME_BYTES, "REGISTERS": frames.REGISTERS,
              "KANIWA_LINK_FRAME": frames.FRAME_BYTES + 2}
    assert {name: found[name] for name in wanted} == wanted
    assert frames.LINK_REGISTERS == frames.REGISTERS + 0x200


@pytest.mark.parametrize("flags", [(), ("-DKANIWA_LINK",), ("-DKANIWA_LINK", "-DKANIWA_NO_TEXT")])
def test_driver_compiles_as_c99_and_in_cpp(tmp_path, flags):
    compile_strictly(tmp_path, SOURCES, flags)


@pytest.mark.skipif(RISCV is None, reason="no riscv64-unknown-elf-gcc on this machine")
def test_driver_is_small_on_rv32_and_needs_no_library(tmp_path):
    assert bytes_on_rv32(tmp_path, SOURCES, ["-DKANIWA_LINK"]) <= LARGEST
