"""The C source and header of a compiled model, for ``driver/kaniwa.h``; the same text every time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import prod
from pathlib import Path

from kaniwa._version import __version__
from kaniwa.export.c_names import PREFIXED, comment_text, identifier, unique
from kaniwa.export.interface import Interface, Port, StateCopy
from kaniwa.export.sensor import is_fed_by_sensors
from kaniwa.graph import DTYPE_BYTES
from kaniwa.isa.table import OUTSIDE
from kaniwa.program.program import Program

__all__ = ["DRIVER_FILES", "driver_file", "header", "segments", "source"]

DRIVER_FILES = ("kaniwa.h", "kaniwa.c", "kaniwa_link.h", "kaniwa_link.c")
BYTES_A_LINE = 16
LIMITS = {"int8": "INT8", "uint8": "UINT8", "int16": "INT16", "int32": "INT32"}


def driver_file(name: str) -> bytes:
    """The text of one of DRIVER_FILES."""
    return (Path(__file__).parent / "driver" / name).read_bytes()


class _Names:
    """Names of a model's functions and of its tensors, in the order of inputs and outputs."""

    def __init__(self, face: Interface, stem: str) -> None:
        self.prefix = identifier(stem, "model")
        self.macro = self.prefix.upper()
        names = unique((port.name for port in (*face.inputs, *face.outputs)),
                       (f"{self.prefix}_{name}" for name in PREFIXED))
        self.inputs = list(zip(names, face.inputs, strict=False))
        self.outputs = list(zip(names[len(face.inputs):], face.outputs, strict=True))

    @property
    def run(self) -> str:
        """The head of the function that runs the model."""
        arguments = ["struct kaniwa *device",
                     *(f"const {port.c_type} {name}{_extent(port)}" for name, port in self.inputs),
                     *(f"{port.c_type} {name}{_extent(port)}" for name, port in self.outputs)]
        indent = ",\n" + " " * len(f"int {self.prefix}_run(")
        return f"int {self.prefix}_run({indent.join(arguments)})"

    @property
    def sensor(self) -> str:
        """The head of the function that has the sensor ports feed the model."""
        return (f"int {self.prefix}_sensor(struct kaniwa *device, const uint8_t *table, "
                "uint32_t control)")


def header(face: Interface, stem: str) -> str:
    """The text of ``STEM.h``."""
    names = _Names(face, stem)
    guard = f"{names.macro}_H"
    lines = [*_top(face), f"#ifndef {guard}", f"#define {guard}", "", '#include "kaniwa.h"', "",
             "#ifdef __cplusplus", 'extern "C" {', "#endif", ""]
    for name, port in (*names.inputs, *names.outputs):
        lines += [*_macros(f"{names.macro}_{name.upper()}", port), ""]
    lines += ["#ifdef KANIWA_FLOAT"]
    for name, port in names.inputs:
        lines += _quantize(f"{names.macro}_{name.upper()}", port)
    for name, port in names.outputs:
        lines += _dequantize(f"{names.macro}_{name.upper()}", port)
    lines += ["#endif", "", f"extern const struct kaniwa_model {names.prefix}_model;", "",
              "/* Load the model into an open device" + (
                  ", with its state as at first. */" if face.states else ". */"),
              f"int {names.prefix}_load(struct kaniwa *device);", ""]
    if face.states:
        lines += ["/* Give the state its first value. */",
                  f"int {names.prefix}_reset(struct kaniwa *device);", ""]
    lines += ["/* One inference; the outputs are there if the result is KANIWA_OK. */",
              f"{names.run};", ""]
    if is_fed_by_sensors(face):
        lines += ["#ifdef KANIWA_SENSOR",
                  "/* Have the loaded model fed by the sensor ports; see kaniwa_sensor_start. */",
                  f"{names.sensor};", "#endif", ""]
    lines += ["#ifdef __cplusplus", "}", "#endif", "", "#endif"]
    return "\n".join(lines) + "\n"


def source(face: Interface, stem: str) -> str:
    """The text of ``STEM.c``: the bytes that a session loads, and the functions of ``STEM.h``."""
    names, program = _Names(face, stem), face.program
    lines = [*_top(face), f'#include "{stem}.h"', ""]
    parts = segments(program)
    for number, (address, data) in enumerate(parts):
        place = f" KANIWA_IN_OUTSIDE({address - OUTSIDE:#x})" if address >= OUTSIDE else ""
        lines += _array(f"segment_{number}", data, place)
    for number, state in enumerate(face.states):
        lines += _array(f"initial_{number}", state.initial)
        if not state.resident:
            lines += [f"static uint8_t kept_{number}[{len(state.initial)}];", ""]
    lines += ["static const struct kaniwa_segment SEGMENTS[] = {",
              *(f"    {{{_hex(address)}, {len(data)}U, segment_{number}}},"
                for number, (address, data) in enumerate(parts)), "};", ""]
    if face.states:
        lines += ["static const struct kaniwa_state STATES[] = {",
                  *(_state(number, state) for number, state in enumerate(face.states)), "};", ""]
    lines += _tensors([*face.inputs, *face.outputs])
    number = int(program.config_hash, 16)
    lines += [f"const struct kaniwa_model {names.prefix}_model = {{",
              f"    {program.isa_version}U, {_hex(number & 0xFFFF_FFFF)}, {_hex(number >> 32)},",
              f"    {program.local_bytes}U, {program.outside_bytes}U, {_hex(face.address)},",
              f"    {len(parts)}U, {len(face.states)}U, SEGMENTS, "
              f"{'STATES' if face.states else 'NULL'},", "};", "",
              *_functions(face, names)]
    return "\n".join(lines) + "\n"


def segments(program: Program) -> list[tuple[int, bytes]]:
    """The program's images by device address; those that are one behind the other as one."""
    found: list[tuple[int, bytes]] = []
    for address, data in sorted(program.images):
        if found and sum((found[-1][0], len(found[-1][1]))) == address:
            found[-1] = (found[-1][0], found[-1][1] + data)
        else:
            found.append((address, data))
    return found


def _top(face: Interface) -> list[str]:
    program = face.program
    return ["/*", f" * {comment_text(program.name)}, compiled by kaniwa {__version__} for target "
            f"{comment_text(program.config.name)}.",
            f" * Config {program.config_hash}; SHA-256 of the model:",
            f" * {comment_text(program.source_sha256)}",
            " * Written by `kaniwa export`; do not edit.", " */"]


def _functions(face: Interface, names: _Names) -> Iterator[str]:
    prefix = names.prefix
    yield f"int {prefix}_load(struct kaniwa *device)"
    yield from ("{", f"    return kaniwa_load(device, &{prefix}_model);", "}", "")
    if face.states:
        yield f"int {prefix}_reset(struct kaniwa *device)"
        yield from ("{", f"    return kaniwa_reset(device, &{prefix}_model);", "}", "")
    yield names.run
    yield from ("{", "    int result;", "", f"    if (device->loaded != &{prefix}_model)",
                "        return KANIWA_NOT_LOADED;")
    for number, (name, _) in enumerate(names.inputs):
        yield f"    kaniwa_set(device, &TENSORS[{number}], {name});"
    yield f"    result = kaniwa_run(device, &{prefix}_model);"
    yield from ("    if (result != KANIWA_OK)", "        return result;")
    for number, (name, _) in enumerate(names.outputs, len(names.inputs)):
        yield f"    kaniwa_get(device, &TENSORS[{number}], {name});"
    yield from ("    return kaniwa_outcome(device);", "}")
    if is_fed_by_sensors(face):
        yield from ("", "#ifdef KANIWA_SENSOR", names.sensor, "{",
                    f"    return kaniwa_sensor_start(device, &{prefix}_model, &TENSORS[0], "
                    "&TENSORS[1],",
                    "                               table, control);", "}", "#endif")


def _state(number: int, state: StateCopy) -> str:
    following = "KANIWA_UNCHANGED" if state.following is None else _hex(state.following)
    kept = "NULL" if state.resident else f"kept_{number}"
    return (f"    {{{_hex(state.address)}, {following}, {len(state.initial)}U, initial_{number}, "
            f"{kept}}},")


def _tensors(ports: list[Port]) -> Iterator[str]:
    """TENSORS, in the order of inputs and outputs, and before it the axes of those whose bytes do
    not lie as the caller's do."""
    rows = []
    for number, port in enumerate(ports):
        tensor = port.tensor
        assert tensor.address is not None
        count, axes, found = 0, "NULL", port.axes
        if found is not None:
            count, axes = len(found), f"AXES_{number}"
            steps = ", ".join(f"{{{length}U, {step}U}}" for length, step in found)
            yield f"static const struct kaniwa_axis {axes}[] = {{{steps}}};"
            yield ""
        flip = "0x80U" if tensor.dtype == "uint8" else "0"
        size = prod(tensor.shape) * DTYPE_BYTES[tensor.dtype]
        rows.append(f"    {{{_hex(tensor.address)}, {size}U, {flip}, {count}, {axes}}},")
    yield "static const struct kaniwa_tensor TENSORS[] = {"
    yield from (*rows, "};", "")


def _macros(name: str, port: Port) -> Iterator[str]:
    tensor = port.tensor
    yield f"/* {comment_text(port.name)} */"
    yield f"#define {name}_ELEMENTS {prod(tensor.shape)}"
    yield f"#define {name}_RANK {len(port.shape) or 1}"
    yield f"#define {name}_SHAPE {{{', '.join(map(str, port.shape or (1,)))}}}"
    if tensor.scale is not None:
        yield f"#define {name}_SCALE {float(tensor.scale)!r}"
        yield f"#define {name}_ZERO_POINT ({tensor.zero_point})"


def _quantize(name: str, port: Port) -> Iterator[str]:
    if port.tensor.scale is not None and port.tensor.dtype in LIMITS:
        limit = LIMITS[port.tensor.dtype]
        low = "0" if limit.startswith("U") else f"{limit}_MIN"
        yield f"#define {name}_QUANTIZE(value) \\"
        yield f"    (({port.c_type})kaniwa_quantize((value), {name}_SCALE, \\"
        yield f"     {name}_ZERO_POINT, {low}, {limit}_MAX))"


def _dequantize(name: str, port: Port) -> Iterator[str]:
    if port.tensor.scale is not None:
        yield f"#define {name}_DEQUANTIZE(value) \\"
        yield f"    kaniwa_dequantize((value), {name}_SCALE, {name}_ZERO_POINT)"


def _array(name: str, data: bytes, place: str = "") -> Iterator[str]:
    yield f"static const uint8_t {name}[{len(data)}]{place} = {{"
    for start in range(0, len(data), BYTES_A_LINE):
        yield f"    {_bytes(data[start:start + BYTES_A_LINE])}"
    yield from ("};", "")


def _bytes(data: Iterable[int]) -> str:
    return " ".join(f"0x{value:02x}," for value in data)


def _hex(value: int) -> str:
    return f"0x{value:x}U"


def _extent(port: Port) -> str:
    return "".join(f"[{length}]" for length in port.shape or (1,))
