"""Double-buffered programs: two places, two streams of commands, and inferences that overlap."""

import contextlib
import itertools
from dataclasses import replace

import numpy as np
import pytest
from builders.graphs.graph_builder import GraphBuilder
from builders.graphs.streaming_convolution import streaming_convolution

from kaniwa import Session, golden
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.driver import devices
from kaniwa.driver.board_device import BoardDevice
from kaniwa.errors import CompileError, DeviceError, MemoryTooSmallError, ProgramError
from kaniwa.importers import load_model
from kaniwa.isa import FIELDS, Register, Status, decode
from kaniwa.program.assembler import assemble, disassemble
from kaniwa.program.check import check
from kaniwa.program.file import from_bytes, to_bytes
from kaniwa.sim.board.line_faults import Faults, FaultyTransport
from kaniwa.sim.board.link_model import EmulatedCore, LinkModel
from kaniwa.sim.board.model_transport import ModelTransport
from kaniwa.sim.worlds.random_graphs import random_graph, random_input

CONFIG = PRESETS["small"]
GRAPH = random_graph(3, "conv", macs=1 << 14)
LOOKS = 3       # at the status of a run, until it has ended


class BusyCore(EmulatedCore):
    """A run goes on for some looks at its status. What it reads and writes must stay meanwhile, so
    it runs as it begins, and once more as it ends; ``used`` counts uses of memory in between."""

    used = 0
    _looks = 0

    def write_register(self, index, value):
        if index == Register.CONTROL and not self.busy:
            super().write_register(index, value)
            self.busy, self._looks = bool(value & 1), LOOKS
            return
        super().write_register(index, value)

    def read_register(self, index):
        if index == Register.STATUS and self.busy:
            self._looks -= 1
            if not self._looks:
                self.busy = False
                if self._registers[Register.STATUS] == Status.DONE:
                    EmulatedCore._run(self)
                    self.runs -= 1
        return super().read_register(index)

    def read(self, address):
        self.used += self.busy
        return super().read(address)

    def write(self, address, value):
        self.used += self.busy
        super().write(address, value)


@pytest.fixture(scope="module")
def program():
    return compile(GRAPH, CONFIG, double_buffered=True)


def board(model, faults=None, seed=0):
    seeds = itertools.count(seed)
    return BoardDevice("board", connect=lambda: FaultyTransport(
        ModelTransport(model), faults or Faults(), next(seeds)))


def inputs(count, graph=GRAPH):
    return [random_input(graph, seed) for seed in range(count)]


def assert_right(outputs, given, graph=GRAPH):
    for found, arrays in zip(outputs, given, strict=True):
        expected = golden.run(graph, arrays)
        for i in graph.outputs:
            np.testing.assert_array_equal(found[graph.tensors[i].name], expected[i])


@pytest.mark.parametrize(("model", "target"), [
    ("mlperf_ic_resnet8", "base"), ("tflm_micro_speech", "base_vector"),
    ("digits_transformer", "base_vector")])
def test_the_streams_differ_in_addresses_alone(model, target):
    graph = load_model(f"models/{model}.tflite")
    plain = compile(graph, target)
    program = compile(graph, target, double_buffered=True)
    assert program.double_buffered and not plain.double_buffered
    spans = [(place, place + program.tensor(i).bytes)
             for i, second in program.second_places for place in (
                 second, program.tensor(i).address)]
    assert {i for i, _ in program.second_places} == {
        i for run in program.runs for i in (*run.takes, *run.gives)}
    spans += [(address, address + len(data)) for address, data in program.images]
    for one, other in itertools.combinations(spans, 2):
        assert one[1] <= other[0] or other[1] <= one[0]
    size = len(program.commands)
    assert len(program.second_commands) == size == len(plain.commands)
    for at in range(0, size, 128):
        one, other, before = (decode(data[at:at + 128]) for data in (
            program.commands, program.second_commands, plain.commands))
        assert {name for name in FIELDS if one[name] != other[name]} <= {
            name for name in FIELDS if name.endswith("_address")}
        assert {name for name in FIELDS if one[name] != before[name]} <= {
            name for name in FIELDS if name.endswith("_address")}
    assert b'"second' not in to_bytes(plain)


def test_what_no_instruction_of_the_other_stream_uses():
    """Each stream uses its own places, and not the other's."""
    program = compile(GRAPH, CONFIG, double_buffered=True)
    places = [{program.place_of(i, place) for i, _ in program.second_places}
              for place in (0, 1)]
    for place, data in enumerate((program.commands, program.second_commands)):
        used = {values[name] for at in range(0, len(data), 128)
                for values in (decode(data[at:at + 128]),)
                for name in ("ifm_address", "ofm_address")}
        assert places[place] <= used and not places[1 - place] & used


def test_a_file_keeps_the_second_places(program):
    data = to_bytes(program)
    assert from_bytes(data) == program
    assert assemble(disassemble(program)) == data
    assert disassemble(program).count("code 0x") == 2


def test_a_damaged_second_stream_is_refused(program):
    (first, second), *others = program.second_places
    memory = program.tensor(first).address
    for changed, text in (
            (replace(program, second_places=((first, memory + 1), *others)), "overlap"),
            (replace(program, second_places=((first, 1 << 30), *others)), "leaves memory"),
            (replace(program, second_places=((999, second), *others)), "no first"),
            (replace(program, second_program=program.second_program + 8), "no whole"),
            (replace(program, second_places=()), "for no places")):
        with pytest.raises(ProgramError, match=text):
            check(changed, "it")
    images = [(a, bytes(128) + d[128:] if a == program.second_program else d)
              for a, d in program.images]
    with pytest.raises(ProgramError, match="another one for the second places"):
        check(replace(program, images=tuple(images)), "it")


def test_what_cannot_be_double_buffered_is_refused():
    b = GraphBuilder()
    x = b.tensor((1, 64, 64, 64))
    large = b.graph((x,), (b.conv(x, 64),))
    with pytest.raises(MemoryTooSmallError, match="double-buffered needs"):
        compile(large, "small", double_buffered=True)
    with pytest.raises(CompileError, match="--double-buffered: the model keeps a state"):
        compile(streaming_convolution(), "base", double_buffered=True)
    with pytest.raises(CompileError, match="--double-buffered: the host"):
        compile("models/digits_transformer.tflite", "small", double_buffered=True)


@pytest.mark.parametrize("outside", [None, "ideal"])
def test_20_inferences_on_the_emulator_use_both_places(outside):
    config = CONFIG if outside is None else replace(CONFIG, memory_bytes=2048)
    program = compile(GRAPH, config, double_buffered=True, outside=outside)
    given, started = inputs(20), []
    device = devices.open("emulator")
    session = Session(program, device)
    run = device.run
    device.run = lambda address, tags: started.append(address) or run(address, tags)
    assert_right(session.map(given), given)
    assert started == [program.program_address, program.second_program] * 10
    assert_right([session.run(x) for x in given[:3]], given[:3])
    assert_right([f.result() for f in [session.submit(x) for x in given]], given)


@pytest.mark.parametrize("serves", [False, True])
def test_inferences_overlap_on_a_line_where_the_device_serves(program, serves):
    core = BusyCore(CONFIG)
    given = inputs(8)
    with board(LinkModel(core, serves=serves)) as device:
        session = Session(program, device)
        assert_right(session.map(given), given)
        assert core.runs == 8
        assert (core.used > 0) == serves
        assert session.stats.layers      # of the last one, which nothing followed


def test_300_inferences_on_a_bad_line_are_all_right(program):
    core = BusyCore(CONFIG)
    faults = Faults(bit_error=1e-4, drop=1e-4, duplicate=1e-4, insertion=1e-4)
    given = inputs(300)
    with board(LinkModel(core, serves=True), faults, 5) as device:
        assert_right(Session(program, device).map(given), given)
        assert device.link_statistics.repeated > 50
    assert core.runs == 300 and core.used


def test_inferences_that_are_lost_with_the_line_are_no_others_answers(program):
    given, failed = inputs(200), 0
    with board(LinkModel(BusyCore(CONFIG), serves=True), Faults(disconnect=1e-4), 5) as device:
        session = Session(program, device)
        for arrays, future in [(x, session.submit(x)) for x in given]:
            try:
                assert_right([future.result()], [arrays])
            except DeviceError:
                failed += 1
        assert 0 < failed < 100


def test_an_error_of_a_run_is_its_own_inference_s(program):
    core = BusyCore(CONFIG)
    given, bad = inputs(6), 2
    with board(LinkModel(core, serves=True)) as device:
        session = Session(program, device)
        run = core._run

        def fails():
            run()
            if core.runs == bad + 1 and not core.busy:
                core._registers[Register.STATUS] = Status.ERROR

        core._run = fails
        futures = [session.submit(x) for x in given]
        for number, (arrays, future) in enumerate(zip(given, futures, strict=True)):
            if number == bad:
                with pytest.raises(DeviceError):
                    future.result()
            else:
                assert_right([future.result()], [arrays])


def test_a_stream_that_is_given_up_leaves_the_session_usable(program):
    core = BusyCore(CONFIG)
    given = inputs(5)
    with board(LinkModel(core, serves=True)) as device:
        session = Session(program, device)
        for count in (1, 2, 3):
            stream = session.map(given)
            assert_right(itertools.islice(stream, count), given[:count])
            with contextlib.suppress(AttributeError):
                stream.close()
            assert_right([session.run(given[4])], given[4:])


def test_two_sessions_take_turns(program):
    """The other one's program lies elsewhere, or in the same memory."""
    for behind in ((program,), ()):
        other = compile(GRAPH, CONFIG, behind=behind, double_buffered=True)
        given = inputs(6)
        with board(LinkModel(BusyCore(CONFIG), serves=True)) as device:
            one, two = Session(program, device), Session(other, device)
            for a, b, arrays in zip(one.map(given), two.map(given), given, strict=True):
                assert_right([a, b], [arrays, arrays])


def test_a_tensor_of_an_inference_that_is_past_is_no_longer_there(program):
    stored = next(t.name for t in program.outputs)
    given = inputs(3)
    with board(LinkModel(BusyCore(CONFIG), serves=True)) as device:
        session = Session(program, device)
        outputs = next(stream := session.map(given))
        np.testing.assert_array_equal(session.tensor(stored), outputs[stored])
        session._values = {}
        with pytest.raises(DeviceError, match="the next inference is there"):
            session.tensor(stored)
        *_, outputs = stream
        session._values = {}
        np.testing.assert_array_equal(session.tensor(stored), outputs[stored])
