"""Programs that stay in device memory side by side: exact, not moved again, never over another."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders.graphs.graph_builder import GraphBuilder
from builders.graphs.sandwich import sandwich
from builders.graphs.streaming_convolution import streaming_convolution

from kaniwa import cli, golden
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.cycles.estimate import estimate
from kaniwa.data.inputs import recorded_inputs, seeded_inputs
from kaniwa.driver import devices
from kaniwa.driver.board_device import BoardDevice
from kaniwa.driver.devices import Device
from kaniwa.driver.session import Session
from kaniwa.errors import CompileError, DeviceError, MemoryTooSmallError, ProgramError
from kaniwa.graph import Graph
from kaniwa.importers import load_model
from kaniwa.isa import OUTSIDE
from kaniwa.program.assembler import assemble, disassemble
from kaniwa.program.file import from_bytes, load_program, to_bytes
from kaniwa.program.program import Program, Step
from kaniwa.sim.board.link_model import EmulatedCore, LinkModel
from kaniwa.sim.board.model_transport import ModelTransport
from kaniwa.sim.worlds.random_graphs import KINDS, random_graph, random_input

SPEECH, KEYWORDS = "tflm_micro_speech.tflite", "mlperf_kws_dscnn.tflite"
FRAMES = list(np.random.default_rng(1).integers(-128, 128, (8, 1, 2, 8)).astype(np.int8))


class Traffic:
    """Counts the bytes that are written to a device's memory, by address."""

    def __init__(self, device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
        self.written: dict[int, int] = {}
        write = device.write

        def counted(address: int, data: bytes) -> None:
            self.written[address] = self.written.get(address, 0) + len(data)
            write(address, data)

        monkeypatch.setattr(device, "write", counted)


def together(models: Sequence[Any], target: Any = "base", **options: Any) -> list[Program]:
    """Each behind all of those before it, as a file has it."""
    programs: list[Program] = []
    for model in models:
        made = compile(model, target, behind=programs, **options)
        programs.append(from_bytes(to_bytes(made)))
    return programs


def check_exact(session: Session, graph: Graph, inputs: dict[str, np.ndarray],
                state: dict[int, np.ndarray] | None = None) -> None:
    values = golden.run(graph, inputs, state=state)
    outputs = session.run(inputs)
    for i in graph.outputs:
        np.testing.assert_array_equal(outputs[graph.tensors[i].name], values[i])


def test_100_switches_on_a_board_move_inputs_only(models: Path,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    files = [models / SPEECH, models / KEYWORDS]
    graphs, programs = [load_model(file) for file in files], together(files)
    assert programs[0].local_base == 0 and programs[1].local_base == programs[0].local_bytes
    inputs = [recorded_inputs(file, program.inputs)[:2]
              for file, program in zip(files, programs, strict=True)]
    wanted = [[golden.run(graph, one) for one in mine]
              for graph, mine in zip(graphs, inputs, strict=True)]
    model = LinkModel(EmulatedCore(PRESETS["base"]))
    with BoardDevice("board", connect=lambda: ModelTransport(model)) as device:
        sessions = [Session(program, device) for program in programs]
        traffic = Traffic(device, monkeypatch)
        before = device.link_statistics.bytes_sent
        for turn in range(100):
            number, sample = turn % 2, turn // 2 % 2
            outputs = sessions[number].run(inputs[number][sample])
            for i in graphs[number].outputs:
                np.testing.assert_array_equal(outputs[graphs[number].tensors[i].name],
                                              wanted[number][sample][i])
        sent = device.link_statistics.bytes_sent - before
    assert model.core.runs == 100
    assert traffic.written == {program.inputs[0].address: 50 * program.inputs[0].bytes
                               for program in programs}
    images = sum(len(data) for program in programs for _, data in program.images)
    assert sent < 2 * sum(traffic.written.values()) < images * 100 // 4


def test_the_state_of_each_stays_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    graphs = [streaming_convolution() for _ in range(3)]
    programs = together(graphs)
    device = devices.open("emulator", "base")
    sessions = [Session(program, device) for program in programs]
    states: list[dict[int, np.ndarray]] = [{}, {}, {}]
    traffic, reads = Traffic(device, monkeypatch), device.read
    monkeypatch.setattr(device, "read", lambda address, count: taken.append(address) or reads(
        address, count))
    taken: list[int] = []
    rng = np.random.default_rng(2)
    for turn in range(60):
        number = int(rng.integers(3))
        name = graphs[number].tensors[graphs[number].inputs[0]].name
        check_exact(sessions[number], graphs[number], {name: FRAMES[turn % 8]}, states[number])
    assert len(programs[0].resident) == 1
    held = {program.tensor(i).address for program in programs for i in program.resident}
    assert not held.intersection(taken)     # a state is fetched where another needs its memory
    for program in programs:
        for i in program.resident:      # written once, cleared, with the first inference
            assert traffic.written[program.tensor(i).address] == program.tensor(i).bytes
    other = Session(compile(graphs[0]), device)     # over the first one, and over no other
    assert {programs[0].tensor(i).address for i in programs[0].resident} == held.intersection(taken)
    for session, graph, state in ((other, graphs[0], {}), *zip(sessions, graphs, states,
                                                              strict=True)):
        name = graph.tensors[graph.inputs[0]].name
        check_exact(session, graph, {name: FRAMES[3]}, state)


@pytest.mark.parametrize("target", list(PRESETS))
@pytest.mark.parametrize("kind", KINDS)
def test_a_program_writes_its_own_memory_only(target: str, kind: str) -> None:
    """Wherever it lies: same results, same cycles, and all else as it was."""
    config = PRESETS[target]
    outside = None if config.memory_bytes else "ideal"
    if outside is None:      # room for two
        config = dataclasses.replace(config, memory_bytes=512 << 10)
    for seed in range(3):
        graph = random_graph(seed, kind, macs=1 << 12)
        first = compile(random_graph(seed + 10, kind, macs=1 << 12), config, outside=outside)
        alone = compile(graph, config, outside=outside)
        moved = from_bytes(to_bytes(compile(graph, config, outside=outside, behind=[first])))
        if not alone.runs or not first.runs:      # all of it is the host's
            continue
        assert alone.overlaps(first) and not moved.overlaps(first)
        assert estimate(moved).cycles == estimate(alone).cycles
        assert moved.local_bytes - moved.local_base == alone.local_bytes
        assert moved.outside_bytes - moved.outside_base == alone.outside_bytes
        place, low, end = ((0, moved.local_base, moved.local_bytes) if outside is None else
                           (OUTSIDE, moved.outside_base, moved.outside_bytes))
        noise = np.random.default_rng(seed).bytes(end + 256)
        with devices.open("emulator", config, outside=outside) as device:
            device.write(place, noise)
            check_exact(Session(moved, device), graph, random_input(graph, seed))
            assert device.read(place, low) == noise[:low]
            assert device.read(place + end, 256) == noise[end:]


@pytest.mark.parametrize("model", ["tflm_mnist_lstm.tflite", "digits_gru_qdq.onnx"])
@pytest.mark.parametrize("target", ["base_vector", "base_recurrent"])
def test_programs_of_units_have_addresses_of_their_own(models: Path, model: str,
                                                       target: str) -> None:
    """What the units read of their programs and descriptors lies in memory, as constants."""
    graph = load_model(models / model)
    programs = together([graph, graph], target)
    device = devices.open("emulator", target)
    sessions = [Session(program, device) for program in programs]
    inputs = seeded_inputs(programs[0].inputs, 3, 1)
    states: list[dict[int, np.ndarray]] = [{}, {}]
    for one in inputs:
        for session, state in zip(sessions, states, strict=True):
            check_exact(session, graph, one, state)


def test_what_goes_outside_lies_apart_too(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a program that is on chip alone stays as outside memory is given to a simulator."""
    files = [models / SPEECH, models / KEYWORDS, models / "mlperf_ic_resnet8.tflite"]
    small = compile(files[0], "small")
    programs = [small]
    for file in files[1:]:
        programs.append(compile(file, "small", outside="sdram", behind=programs))
    assert [bool(program.outside_bytes) for program in programs] == [False, True, True]
    assert not any(one.overlaps(other) for one in programs for other in programs
                   if one is not other)
    device = devices.open("emulator", "small")
    sessions = [Session(program, device) for program in programs]
    inputs = [recorded_inputs(file, program.inputs)[0]
              for file, program in zip(files, programs, strict=True)]
    graphs = [load_model(file) for file in files]
    for session, graph, one in zip(sessions, graphs, inputs, strict=True):
        check_exact(session, graph, one)
    traffic = Traffic(device, monkeypatch)
    for session, graph, one in zip(sessions, graphs, inputs, strict=True):
        check_exact(session, graph, one)
    assert sum(traffic.written.values()) == sum(p.inputs[0].bytes for p in programs)


def test_a_program_over_another_has_it_loaded_again(models: Path,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    graph = load_model(models / SPEECH)
    programs = [*together([graph, graph]), compile(graph)]     # the third lies as the first does
    device = devices.open("emulator", "base")
    sessions = [Session(program, device) for program in programs]
    (one,) = recorded_inputs(models / SPEECH, programs[0].inputs)[:1]
    size = sum(len(data) for _, data in programs[0].images)
    traffic = Traffic(device, monkeypatch)
    for number, moved in ((1, 0), (2, 0), (0, size), (1, 0), (2, size)):
        traffic.written.clear()
        check_exact(sessions[number], graph, one)
        assert sum(traffic.written.values()) == moved + programs[0].inputs[0].bytes
    kept = programs[0].outputs[0]
    assert sessions[1].tensor(kept.name).shape == kept.shape
    stored = next(t for t in programs[0].tensors if t.kind == "intermediate" and t.address
                  is not None and t.overwritten is None)
    with pytest.raises(DeviceError, match="is no longer in device memory, which was given to "
                                          "another program or lost: run it again"):
        sessions[0].tensor(stored.name)
    assert sessions[2].tensor(stored.name).shape == stored.shape


def test_after_a_failure_no_session_believes_in_its_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """The device may have been reset: states are lost with notice, images are loaded again."""
    graphs = [streaming_convolution(), random_graph(3, "conv", macs=1 << 12)]
    programs = together(graphs)
    device = devices.open("emulator", "base")
    sessions = [Session(program, device) for program in programs]
    name = graphs[0].tensors[graphs[0].inputs[0]].name
    check_exact(sessions[0], graphs[0], {name: FRAMES[0]})
    with monkeypatch.context() as patch:
        def failing(*arguments: Any) -> Any:
            raise DeviceError("the line is cut")

        patch.setattr(device, "run", failing)
        with pytest.raises(DeviceError, match="the line is cut"):
            sessions[1].run(random_input(graphs[1], 1))
    device.write(0, bytes(programs[1].local_bytes))
    with pytest.raises(DeviceError, match="its state was in the device's memory and has been lost"):
        sessions[0].run({name: FRAMES[1]})
    sessions[0].reset()
    check_exact(sessions[0], graphs[0], {name: FRAMES[1]})
    check_exact(sessions[1], graphs[1], random_input(graphs[1], 2))


def test_inferences_in_the_background_share_the_device(models: Path) -> None:
    files = [models / SPEECH, models / KEYWORDS]
    for programs in (together(files), [compile(file) for file in files]):     # apart, and not
        device = devices.open("emulator", "base")
        sessions = [Session(program, device) for program in programs]
        samples = [recorded_inputs(file, program.inputs)[:3]
                   for file, program in zip(files, programs, strict=True)]
        futures = [(number, one, sessions[number].submit(one)) for sample in range(3)
                   for number in range(2) for one in (samples[number][sample],)]
        for number, one, future in futures:
            graph = load_model(files[number])
            values = golden.run(graph, one)
            for i in graph.outputs:
                np.testing.assert_array_equal(future.result()[graph.tensors[i].name], values[i])


@pytest.mark.parametrize("apart", [True, False])
def test_what_stays_between_two_runs_is_not_anothers(apart: bool) -> None:
    """While the host has its part of a model, another model runs on the device."""
    graph, other = sandwich(), random_graph(3, "conv", macs=1 << 12)
    programs = together([graph, other]) if apart else [compile(graph), compile(other)]
    assert any(step.holds for step in programs[0].steps)
    device = devices.open("emulator", "base")
    sessions = [Session(program, device) for program in programs]

    @contextlib.contextmanager
    def in_between(step: Step) -> Iterator[None]:
        if step.where == "host":
            check_exact(sessions[1], other, random_input(other, 2))
        yield

    sessions[0].watch = in_between
    if apart:
        check_exact(sessions[0], graph, random_input(graph, 1))
        return
    with pytest.raises(DeviceError, match="between two of its runs another program took the "
                                          "device's memory: run one behind the other, or compile "
                                          "one behind the other"):
        sessions[0].run(random_input(graph, 1))
    sessions[0].watch = lambda step: contextlib.nullcontext()
    check_exact(sessions[0], graph, random_input(graph, 1))


def test_programs_that_do_not_fit_are_told_with_their_bytes(models: Path) -> None:
    resnet = models / "mlperf_ic_resnet8.tflite"
    first = compile(resnet)
    assert first.local_bytes > PRESETS["base"].memory_bytes // 3
    second = compile(resnet, behind=[first])
    with pytest.raises(MemoryTooSmallError) as caught:
        compile(resnet, behind=[first, second])
    size = f"{first.local_bytes:,}"
    assert str(caught.value).startswith(f"{first.name}: needs {size} bytes (commands ")
    assert (f"of the 262,144 on chip of target 'base' {first.name} has {size}, {first.name} has "
            f"{size}: give it --outside sdram, or take a target with more memory"
            ) in str(caught.value)
    assert caught.value.needed_bytes == 3 * first.local_bytes
    assert compile(resnet, behind=[first, second], outside="sdram").outside_bytes


def test_programs_of_another_device_are_refused(models: Path) -> None:
    speech = models / SPEECH
    with pytest.raises(CompileError, match="compiled for target 'small' .*, so nothing for 'base' "
                                           ".* can be behind it: compile both for one target"):
        compile(speech, "base", behind=[compile(speech, "small")])
    other = compile(models / "mlperf_ic_resnet8.tflite", "small", outside="ideal")
    with pytest.raises(CompileError, match="compiled for outside memory 'ideal', so nothing for "
                                           "'sdram.*' can be behind it: give both the same"):
        compile(models / KEYWORDS, "small", outside="sdram", behind=[other])


def test_files_and_texts_have_the_place(models: Path) -> None:
    first, second = together([models / SPEECH, models / SPEECH])
    assert b"local_base" not in to_bytes(first) and "local_base" not in disassemble(first)
    assert second.local_base == from_bytes(to_bytes(second)).local_base > 0
    assert assemble(disassemble(second)) == to_bytes(second)
    for base in (-1, second.local_bytes + 1):
        wrong = dataclasses.replace(second, local_base=base)
        with pytest.raises(ProgramError, match="its memory ends before it begins"):
            from_bytes(to_bytes(wrong))
    with pytest.raises(ProgramError, match="overlaps another or leaves memory"):
        from_bytes(to_bytes(dataclasses.replace(second, local_base=second.local_base + 16)))


def reaching_below(program: Program) -> Program:
    """The same with an output that is the first program's memory."""
    tensors = tuple(dataclasses.replace(t, address=0) if t.kind == "output" else t
                    for t in program.tensors)
    return dataclasses.replace(program, tensors=tensors)


def test_a_program_that_reaches_below_its_memory_is_refused() -> None:
    b = GraphBuilder(1)
    x = b.tensor((1, 4, 4, 8))
    graph = b.graph((x,), (b.conv(x, 8),))
    _, second = together([graph, graph])
    with pytest.raises(ProgramError, match="leaves memory at 0x0"):
        from_bytes(to_bytes(reaching_below(second)))


def test_the_command_puts_programs_behind_others(models: Path, tmp_path: Path,
                                                 capsys: pytest.CaptureFixture[str]) -> None:
    files = [tmp_path / name for name in ("a.kaniwa", "b.kaniwa", "c.kaniwa")]
    for number, file in enumerate(files):
        behind = [word for other in files[:number] for word in ("--behind", str(other))]
        with pytest.raises(SystemExit) as stopped:
            cli.main(["compile", str(models / SPEECH), "-o", str(file), *behind])
        assert stopped.value.code == 0
    printed = capsys.readouterr().out
    programs = [load_program(file) for file in files]
    size = programs[0].local_bytes
    assert [program.local_base for program in programs] == [0, size, 2 * size]
    assert printed.count(f"device memory {size:,} bytes") == 3
    with pytest.raises(SystemExit) as stopped:
        cli.main(["compile", str(models / SPEECH), "-o", str(files[0]), "--behind",
                  str(tmp_path / "none.kaniwa")])
    assert stopped.value.code == 1
    assert capsys.readouterr().err.endswith("none.kaniwa: cannot be read (No such file or "
                                            "directory)\n")
