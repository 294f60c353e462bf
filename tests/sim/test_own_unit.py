"""A unit that is not in the tree, on every way that VECTOR and CELL go: one folder, and one line in
each of the two registers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from builders.own_unit.plug import PLUG
from builders.own_unit.unit import Copy

from kaniwa import isa
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS, AcceleratorConfig
from kaniwa.cycles.estimate import estimate
from kaniwa.documents.isa_page import isa_page
from kaniwa.emulator.core import Emulator
from kaniwa.errors import ConfigError, DeviceError, ProgramError
from kaniwa.hw.units import register as gateware
from kaniwa.hw.units.plug import BLOCKS
from kaniwa.isa import Opcode, encode
from kaniwa.program.assembler import assemble, disassemble
from kaniwa.program.file import from_bytes, to_bytes
from kaniwa.program.program import LayerInfo, Program
from kaniwa.sim.device.simulated_core import SimDevice
from kaniwa.sim.worlds.random_graphs import random_graph
from kaniwa.units import register
from kaniwa.units.command import UnitCommand
from kaniwa.units.vector.builder import Builder
from kaniwa.units.vector.isa import Width

ALONE = replace(PRESETS["small"], write_bytes=8, units=("copy",), name="copy")
BESIDE = replace(ALONE, vector_unit=True, name="copy_vector")
COPY = Copy.command.opcode
COPY_TAG, VECTOR_TAG = 1000, 1001
SCRATCH = 256      # bytes of each of the places that copies go to


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The two lines."""
    monkeypatch.setattr(register, "UNITS", (*register.UNITS, Copy()))
    monkeypatch.setattr(gateware, "PLUGS", (*gateware.PLUGS, PLUG))
    yield


def copy(source: int, to: int, size: int = SCRATCH, tag: int = COPY_TAG) -> dict[str, int]:
    """The fields of a COPY."""
    return {"opcode": COPY, "tag": tag, "parameter_address": source, "parameter_bytes": size,
            "ofm_address": to}


def vector(config: AcceleratorConfig, code_at: int, to: int) -> tuple[dict[str, int], bytes]:
    """The fields of a VECTOR that stores 77 to the first bytes at ``to``, and its program."""
    k = Builder(config)
    value, place = k.vector(), k.pointer(to)
    k.length(8)
    k.constant(value, 77)
    k.store(value, place, Width.INT8)
    code = k.finish()
    code += bytes(-len(code) % max(8, config.read_bytes))
    return {"opcode": Opcode.VECTOR, "tag": VECTOR_TAG, "parameter_address": code_at,
            "parameter_bytes": len(code)}, code


def with_copies(config: AcceleratorConfig) -> Program:
    """A compiled network with copies of its input and output around its LAYERs; with a vector unit
    a VECTOR behind that changes the first bytes of a copy, and a copy of that."""
    graph = random_graph(5, "conv", 1 << 13)
    old = compile(graph, config, outside=None, require_accelerator=True)
    *layers, _ = old.instructions
    assert len(old.runs) == 1
    unit = config.read_bytes
    place = -(-old.local_bytes // unit) * unit
    given, made = (tensor.address for tensor in (old.inputs[0], old.outputs[0]))
    assert given is not None and made is not None
    to = [place + number * SCRATCH for number in range(1, 5)]    # apart from what is copied
    later = [{**v, **{name: v[name] + (v[name] > 0) for name in ("ifm_wait", "operand_wait")}}
             for v in layers]
    code = [copy(given // unit * unit, to[0]), *later, copy(made // unit * unit, to[1])]
    images = [image for image in old.images if image[0] != old.program_address]
    if config.vector_unit:
        values, vector_code = vector(config, to[3], to[1])
        images.append((to[3], vector_code))
        code += [values, copy(to[1], to[2])]
    start = place + 5 * SCRATCH
    images.append((start, b"".join(encode(v) for v in code) + encode({"opcode": Opcode.END})))

    def moved(index: int | None) -> int | None:
        return index if index is None or index < 0 else index + 1

    added = [index for index, values in enumerate(code) if values["opcode"] != Opcode.LAYER]
    return replace(
        old, images=tuple(images), program_address=start,
        local_bytes=start + len(images[-1][1]),
        tensors=tuple(replace(t, ready=moved(t.ready), overwritten=moved(t.overwritten))
                      for t in old.tensors),
        layers=(*(replace(layer, instructions=tuple(i + 1 for i in layer.instructions))
                  for layer in old.layers),
                LayerInfo(COPY_TAG, "copies", "COPY", 0, tuple(added), (), old.output_ids[0])),
        steps=tuple(replace(step, count=len(code) + 1) for step in old.steps))


def loaded(device: Any, program: Program) -> Any:
    """The device with the program and a random input in its memory."""
    content = bytearray(np.random.default_rng(1).bytes(program.config.memory_bytes))
    for address, image in program.images:
        content[address:address + len(image)] = image
    device.write(0, bytes(content))
    return device


@pytest.mark.parametrize("config", [ALONE, BESIDE], ids=lambda config: config.name)
def test_a_core_with_the_unit_runs_as_the_emulator_and_the_cycle_model(
        config: AcceleratorConfig) -> None:
    text = disassemble(with_copies(config))
    program = from_bytes(assemble(text))
    assert text.count("    COPY\n") == 2 + config.vector_unit
    tags = list(dict.fromkeys(v["tag"] for v in program.instructions[:-1]))
    emulator = loaded(Emulator(config), program)
    with SimDevice(config) as device:
        loaded(device, program)
        before = device.read(0, config.memory_bytes)
        for _ in range(2):
            got = device.run(program.program_address, tags)
            expected = emulator.run(program.program_address)
            assert device.read(0, config.memory_bytes) == emulator.read(0, config.memory_bytes)
            assert got.cycles == expected.cycles
            assert got.retired == expected.retired == len(program.instructions) - 1
            for tag in tags:
                assert got.snapshots[tag] == expected.snapshots[tag], tag
        after = device.read(0, config.memory_bytes)
    assert estimate(program).cycles == got.cycles
    for values in program.instructions[:-1]:
        if values["opcode"] == COPY:
            to, size = values["ofm_address"], values["parameter_bytes"]
            assert before[to:to + size] != after[to:to + size]
    if config.vector_unit:
        assert after[to:to + 8] == bytes([77] * 8)


@pytest.mark.parametrize("stalls", [0.3, 0.6])
def test_the_unit_waits_for_memory(stalls: float) -> None:
    program = with_copies(BESIDE)
    emulator = loaded(Emulator(BESIDE), program)
    emulator.run(program.program_address)
    with SimDevice(BESIDE, stalls=stalls, seed=4) as device:
        loaded(device, program).run(program.program_address)
        assert device.read(0, BESIDE.memory_bytes) == emulator.read(0, BESIDE.memory_bytes)


REFUSED = [
    (copy(512, 1024, 0), "VECTOR at instruction 1"),
    (copy(513, 1024), "ILLEGAL_FIELD at instruction 1"),
    (copy(512, 1028), "ILLEGAL_FIELD at instruction 1"),
    (copy(512, ALONE.memory_bytes), "ADDRESS at instruction 1"),
    (copy(ALONE.memory_bytes, 512), "ADDRESS at instruction 1"),
    (copy(512, 1024) | {"opcode": Opcode.VECTOR}, "ILLEGAL_OPCODE at instruction 1"),
    (copy(512, 1024) | {"opcode": Opcode.CELL}, "ILLEGAL_OPCODE at instruction 1"),
    (copy(512, 1024) | {"opcode": COPY + 1}, "ILLEGAL_OPCODE at instruction 1")]


def test_core_and_emulator_refuse_the_same() -> None:
    emulator = Emulator(ALONE)
    with SimDevice(ALONE) as device:
        for values, message in REFUSED:
            code = encode(copy(512, 768, 8)) + encode(values) + encode({"opcode": Opcode.END})
            for each in (device, emulator):
                each.write(0, code)
                with pytest.raises(DeviceError, match=message):
                    each.run(0)
        code = encode(copy(512, 768, 8)) + encode({"opcode": Opcode.END})
        for each in (device, emulator):
            each.write(0, code)
            each.run(0)


def test_a_copy_over_the_program_is_refused() -> None:
    emulator = Emulator(ALONE)
    emulator.write(0, encode(copy(512, 0, 8)) + encode({"opcode": Opcode.END}))
    with pytest.raises(DeviceError, match="byte 0x0 is written by a unit and belongs to the pro"):
        emulator.run(0)


def test_a_program_file_with_an_illegal_copy_is_refused() -> None:
    program = with_copies(ALONE)
    at = program.program_address
    for change, message in (({"ofm_address": program.local_bytes // 8 * 8 + 8}, "reaches beyond"),
                            ({"ofm_address": 4}, "ofm_address of COPY must be a multiple of 8")):
        values = program.instructions[0] | change
        images = tuple((a, encode(values) + data[isa.INSTRUCTION_BYTES:] if a == at else data)
                       for a, data in program.images)
        with pytest.raises(ProgramError, match=message):
            from_bytes(to_bytes(replace(program, images=images)))


def test_a_config_keeps_its_units_in_a_program_file() -> None:
    program = with_copies(BESIDE)
    assert from_bytes(to_bytes(program)).config == BESIDE
    assert ALONE.hash != PRESETS["small"].hash


def test_the_page_describes_the_unit() -> None:
    assert "## Copies\n" in isa_page()


def test_a_name_that_is_not_registered_is_an_error() -> None:
    config = replace(ALONE, units=("fold",))
    with pytest.raises(ConfigError, match="'fold' is not registered .*; registered are copy"):
        register.units_of(config)
    with pytest.raises(ConfigError, match="'fold' is not registered"):
        gateware.plugs_of(config)


@pytest.mark.parametrize(("units", "says"), [
    (("copy", "copy"), "units must be names, each once"),
    ((3,), r"units must be a list of names, not \(3,\)")])
def test_a_config_names_each_unit_once(units: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        replace(ALONE, units=units)


def test_a_compact_core_has_no_units() -> None:
    with pytest.raises(ConfigError, match="units must be"):
        replace(PRESETS["nano"], units=("copy",))


@pytest.mark.parametrize("opcode", [Opcode.LAYER, 16])
def test_an_opcode_is_one_that_the_field_holds(opcode: int) -> None:
    with pytest.raises(ConfigError, match=r"the opcode of unit FOLD must be 2\.\.15"):
        UnitCommand("FOLD", opcode, ())


def test_a_command_is_of_fields_of_an_instruction() -> None:
    with pytest.raises(ConfigError, match="unit FOLD: no instruction has a field 'twice'"):
        UnitCommand("FOLD", 5, ("twice",))


def test_a_unit_that_borrows_products_needs_a_vector_unit(
        monkeypatch: pytest.MonkeyPatch) -> None:
    borrower = replace(PLUG, borrows=(*PLUG.borrows, BLOCKS))
    monkeypatch.setattr(gateware, "PLUGS", (*gateware.PLUGS[:-1], borrower))
    assert borrower in gateware.plugs_of(BESIDE)
    with pytest.raises(ConfigError, match="COPY borrows .* needs vector_unit = true"):
        gateware.plugs_of(ALONE)


def test_two_units_of_a_config_have_different_opcodes(monkeypatch: pytest.MonkeyPatch) -> None:
    class Fold(Copy):
        command = UnitCommand("FOLD", COPY, ())

    monkeypatch.setattr(register, "UNITS", (*register.UNITS, Fold()))
    monkeypatch.setattr(gateware, "PLUGS", (*gateware.PLUGS, replace(PLUG, command=Fold.command)))
    config = replace(ALONE, units=("copy", "fold"))
    with pytest.raises(ConfigError, match="COPY and FOLD have the same opcode, 4"):
        register.unit_of(config, {"opcode": COPY})
    with pytest.raises(ConfigError, match="COPY, FOLD: two of them have the same opcode"):
        gateware.plugs_of(config)
