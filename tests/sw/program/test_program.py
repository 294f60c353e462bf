"""The program file: same bytes, checked to the last, refused where it does not fit."""

import dataclasses
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from builders.files.malformed import damage

import kaniwa
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.errors import Error, ProgramError
from kaniwa.isa import FIELDS, INSTRUCTION_BYTES, ISA_VERSION
from kaniwa.program.file import from_bytes, load_program, save_program, to_bytes
from kaniwa.program.program import VERSION_OFFSET, Program
from kaniwa.program.summary import summary


@pytest.fixture(scope="module")
def program(models: Path) -> Program:
    return compile(models / "mlperf_ic_resnet8.tflite")


def test_saves_and_loads_the_same_program(program: Program, tmp_path: Path) -> None:
    path = tmp_path / "a.kaniwa"
    save_program(program, path)
    assert load_program(path) == program
    assert [p.name for p in tmp_path.iterdir()] == ["a.kaniwa"]


def test_same_model_gives_the_same_bytes(program: Program, models: Path) -> None:
    assert to_bytes(compile(models / "mlperf_ic_resnet8.tflite")) == to_bytes(program)


def test_names_what_the_model_names(program: Program) -> None:
    (x,), (y,) = program.inputs, program.outputs
    assert (x.name, x.shape, x.dtype, x.scale, x.zero_point) == (
        "input_1_int8", (1, 32, 32, 3), "int8", 1.0, -128)
    assert (y.name, y.shape, y.address) == ("Identity_int8", (1, 10), None)
    assert [op.kind for op in program.host_ops] == ["SOFTMAX"]
    assert program.macs == 12_501_632
    assert program.version == kaniwa.__version__


def test_summary_is_plain_and_complete(program: Program) -> None:
    values = json.loads(json.dumps(summary(program)))
    assert {"target", "cycles", "macs", "utilization", "fits", "memory_bytes", "weight_bytes",
            "bits_per_weight", "layers"} <= set(values)
    device = [layer for layer in values["layers"] if layer["where"] == "device"]
    assert sum(layer["cycles"] for layer in device) == values["cycles"]
    assert sum(layer["macs"] for layer in values["layers"]) == program.macs
    assert values["layers"][-1] | {"lost": {}} == {
        "name": values["layers"][-1]["name"], "op": "SOFTMAX", "where": "host",
        "why": values["layers"][-1]["why"], "runtime": "", "macs": 0, "cycles": 0,
        "utilization": 0.0, "shape": [1, 10], "kernel": "",
        "lost": {}, "instructions": 0, "steps": 1, "removed": {}, "rounding": []}


def test_other_target_is_refused(program: Program) -> None:
    program.check_target(PRESETS["base"])
    with pytest.raises(ProgramError, match="compiled for target 'base' .*the device is 'large'"):
        program.check_target(PRESETS["large"])


@pytest.mark.parametrize("cut", [0, 4, 8, 15, 60, 99, 500, -1])
def test_truncated_file_is_refused(program: Program, cut: int) -> None:
    with pytest.raises(ProgramError):
        from_bytes(to_bytes(program)[:cut])


def test_garbage_after_the_end_is_refused(program: Program) -> None:
    with pytest.raises(ProgramError, match="1 bytes of garbage after the end"):
        from_bytes(to_bytes(program) + b"\0")


def test_other_format_version_is_refused(program: Program) -> None:
    data = bytearray(to_bytes(program))
    data[VERSION_OFFSET] += 1
    with pytest.raises(ProgramError, match="file format 3, this kaniwa reads 2"):
        from_bytes(bytes(data))


def test_every_flipped_byte_is_noticed(program: Program) -> None:
    data = to_bytes(program)
    for at in np.random.default_rng(3).integers(0, len(data), 60):
        flipped = bytearray(data)
        flipped[at] ^= 0x10
        with pytest.raises(ProgramError):
            from_bytes(bytes(flipped))


def test_damaged_files_end_in_one_error(program: Program) -> None:
    data, rng = to_bytes(program), np.random.default_rng(4)
    for _ in range(100):
        damaged = damage(data, rng)
        if damaged != data:
            with pytest.raises(ProgramError) as error:
                from_bytes(damaged)
            assert "\n" not in str(error.value)


def _sections(data: bytes) -> list[bytes]:
    lengths = [struct.unpack_from("<8sQI", data, 16 + 20 * i)[1] for i in range(6)]
    starts = np.cumsum([16 + 120 + 4, *lengths])
    return [data[a:b] for a, b in zip(starts[:-1], starts[1:], strict=True)]


def _join(parts: list[bytes], original: bytes) -> bytes:
    """A file with these sections and right CRCs: only its content is wrong."""
    table = original[:16]
    for number, part in enumerate(parts):
        name = original[16 + 20 * number:24 + 20 * number]
        table += struct.pack("<8sQI", name, len(part), zlib.crc32(part))
    return b"".join([table, struct.pack("<I", zlib.crc32(table)), *parts])


@pytest.mark.parametrize(("section", "old", "new"), [
    (0, b'"out_lanes":8', b'"out_lanes":7'),
    (0, b'"out_lanes":8', b'"out_lanes":[]'),
    (0, b'"out_lanes":8', b'"out_lines":8'),
    (0, b'"config_hash":"', b'"config_hash":"0'),
    (0, f'"isa":{ISA_VERSION}'.encode(), f'"isa":{ISA_VERSION - 1}'.encode()),
    (0, b'"inputs":[0]', b'"inputs":[999]'),
    (0, b'"program_address":0', b'"program_address":64'),
    (0, b'"local_bytes":', b'"local_bytes":9'),
    (0, b'"local_bytes":', b'"local_bytes":-'),
    (0, b'"images":[[0,', b'"images":[[1,'),
    (0, b'"images":[[0,', b'"images":[[0,99999'),
    (0, b'"count":', b'"count":1'),
    (0, b'"count":1,', b'"count":2,'),
    (0, b'"where":"host"', b'"where":"moon"'),
    (0, b'"gives":[', b'"gives":[99,'),
    (3, b'"kind":"SOFTMAX"', b'"kind":"EXEC"'),
    (3, b'"beta":1.0', b'"beta":[[1,{}]]'),
    (3, b'"inputs":[', b'"inputs":[77,'),
    (3, b'"shape":[1,10]', b'"shape":[1,11]'),
    (3, b'"data":null', b'"data":10'),
    (3, b'"dtype":"int8"', b'"dtype":"O"'),
    (0, b'"materialized":false', b'"materialized":NaN'),
    (0, b'{', b'[' * 100000),
    (1, b'"dtype":"int8"', b'"dtype":"O"'),
    (1, b'"shape":[1,', b'"shape":[0,'),
    (1, b'"shape":[1,', b'"shape":[' + b"999999999," * 100000),
    (1, b'"shape":[1,', b'"shape":[99999999999,'),
    (1, b'"id":0', b'"id":1e0'),
    (1, b'"address":', b'"address":9999999'),
    (2, b'"instructions":[0]', b'"instructions":[1]'),
    (2, b'"macs":', b'"macs":"'),
])
def test_wrong_content_behind_right_crcs_is_refused(program: Program, section: int, old: bytes,
                                                    new: bytes) -> None:
    data = to_bytes(program)
    parts = _sections(data)
    assert _join(parts, data) == data
    assert old in parts[section]
    parts[section] = parts[section].replace(old, new, 1)
    with pytest.raises(ProgramError) as error:
        from_bytes(_join(parts, data), "x.kaniwa")
    assert str(error.value).startswith("x.kaniwa: ") and "\n" not in str(error.value)


@pytest.mark.parametrize(("index", "field", "value"), [
    (0, "opcode", 0), (-1, "opcode", 1), (0, "stride_rows", 0), (0, "ifm_wait", 1),
    (3, "ofm_address", 1 << 20), (3, "ofm_address", 1 << 31), (2, "weight_bytes", 1 << 20),
    (4, "operand_wait", 999), (1, "ifm_rows", 60000)])
def test_illegal_instructions_are_refused(program: Program, index: int, field: str,
                                          value: int) -> None:
    instructions = program.instructions
    instructions[index] |= {field: value}
    commands = b"".join(_pack(values) for values in instructions)
    images = ((program.program_address, commands), *program.images[1:])
    with pytest.raises(ProgramError, match="compile the model again"):
        from_bytes(to_bytes(dataclasses.replace(program, images=images)))


def _pack(values: dict[str, int]) -> bytes:
    """The instruction's bytes without any check."""
    number = sum((value & ((1 << FIELDS[name].width) - 1))
                 << (32 * FIELDS[name].word + FIELDS[name].lsb) for name, value in values.items())
    return number.to_bytes(INSTRUCTION_BYTES, "little")


def test_write_failure_leaves_nothing(program: Program, tmp_path: Path) -> None:
    with pytest.raises(Error, match="cannot be written"):
        save_program(program, tmp_path / "missing" / "a.kaniwa")
    (tmp_path / "folder").mkdir()
    with pytest.raises(Error, match="cannot be written"):
        save_program(program, tmp_path / "folder")
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]
    with pytest.raises(ProgramError, match="cannot be read"):
        load_program(tmp_path / "none.kaniwa")


def test_outside_memory_is_stated(models: Path) -> None:
    program = compile(models / "mlperf_ic_resnet8.tflite", "small", outside="sdram,bytes=2")
    assert program.outside == "sdram,bytes=2,latency=10"
    assert program.outside_bytes > 0 and program.local_bytes <= PRESETS["small"].memory_bytes
    assert from_bytes(to_bytes(program)) == program
    assert dataclasses.replace(program, outside=None) != program
