"""The program file: a table of sections with their CRCs, JSON for tables, bytes for the image.

    magic 8 | format version 4 | number of sections 4 | (name 8, length 8, CRC-32 4) each |
    CRC-32 of all before 4 | the sections, one after the other

Numbers are little-endian. A file is untrusted: everything is checked before it is believed.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import struct
import zlib
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any

from kaniwa._version import __version__
from kaniwa.config import AcceleratorConfig
from kaniwa.data.arguments import expect, file_path
from kaniwa.errors import ConfigError, ProgramError
from kaniwa.files import write_atomic
from kaniwa.isa import ISA_VERSION
from kaniwa.program.check import check
from kaniwa.program.host_part import HostOp, HostState, HostTensor
from kaniwa.program.program import FORMAT_VERSION, MAGIC, LayerInfo, Program, Step, TensorInfo

__all__ = ["OPTIONAL", "save_program", "load_program", "to_bytes", "from_bytes"]

SECTIONS = ("program", "tensors", "layers", "host", "image", "constant")
# There only where they are not 0 or empty.
OPTIONAL = ("local_base", "outside_base", "second_program", "second_places")
_HEAD = struct.Struct("<8sII")
_ENTRY = struct.Struct("<8sQI")
_CRC = struct.Struct("<I")
MAX_FILE_BYTES = 1 << 32
NUMBER_LIMIT = 1 << 62


def save_program(program: Program, path: str | PathLike[str]) -> None:
    """Write the file, whole or not at all."""
    expect("program", program, Program)
    write_atomic(file_path("program file", path), to_bytes(program))


def load_program(path: str | PathLike[str]) -> Program:
    """Read and check a program file."""
    path = file_path("program file", path)
    try:
        size = os.stat(path).st_size
        if size > MAX_FILE_BYTES:
            raise ProgramError(f"{path}: {size} bytes is too large for a program file")
        data = Path(path).read_bytes()
    except OSError as error:
        raise ProgramError(f"{path}: cannot be read ({error.strerror})") from None
    return from_bytes(data, str(path))


def to_bytes(program: Program) -> bytes:
    """The file's content; the same program gives the same bytes."""
    header = {
        "kaniwa": program.version, "isa": program.isa_version, "config": program.config.as_dict(),
        "config_hash": program.config_hash, "target": program.config.name, "model": program.name,
        "source_sha256": program.source_sha256, "program_address": program.program_address,
        "images": [[address, len(data)] for address, data in program.images],
        "inputs": list(program.input_ids), "outputs": list(program.output_ids),
        "steps": [dataclasses.asdict(step) for step in program.steps],
        "local_bytes": program.local_bytes, "outside_bytes": program.outside_bytes,
        "outside": program.outside, "weights": program.weights,
        "materialized": program.materialized,
        **{name: value for name in OPTIONAL if (value := getattr(program, name))},
    }
    parts = [_to_json(header), _to_json([_tensor_values(t) for t in program.tensors]),
             _to_json([dataclasses.asdict(layer) for layer in program.layers]),
             _to_json({"ops": [dataclasses.asdict(op) for op in program.host_ops],
                       "tensors": [_without_data(t) for t in program.host_tensors],
                       "state": [dataclasses.asdict(s) | {"initial": len(s.initial)}
                                 for s in program.state]}),
             b"".join(data for _, data in program.images),
             b"".join([*(t.data or b"" for t in program.host_tensors),
                       *(s.initial for s in program.state)])]
    table = _HEAD.pack(MAGIC, FORMAT_VERSION, len(SECTIONS))
    for name, part in zip(SECTIONS, parts, strict=True):
        table += _ENTRY.pack(name.encode(), len(part), zlib.crc32(part))
    return b"".join([table, _CRC.pack(zlib.crc32(table)), *parts])


def _tensor_values(tensor: TensorInfo) -> dict[str, Any]:
    """The tensor's table entry; few tensors have ``axes``."""
    values = dataclasses.asdict(tensor)
    if tensor.axes is None:
        del values["axes"]
    return values


def _without_data(tensor: HostTensor) -> dict[str, Any]:
    """The tensor's table entry, with the size of its constant in place of the bytes."""
    return dataclasses.asdict(tensor) | {
        "data": None if tensor.data is None else len(tensor.data)}


def _to_json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def from_bytes(data: bytes, name: str = "program") -> Program:
    """The program in a file's content; raises ProgramError naming what is wrong with it."""
    sections = _sections(data, name)
    try:
        header, tensors, layers, host = (json.loads(sections[s]) for s in SECTIONS[:4])
        return check(_Reader(name).program(header, tensors, layers, host, sections["image"],
                                           sections["constant"]), name)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        if isinstance(error, ConfigError):
            raise ProgramError(f"{name}: its config is not legal: {error}") from None
        raise ProgramError(f"{name}: damaged tables ({type(error).__name__}); compile the model "
                           f"again") from None


def _sections(data: bytes, name: str) -> dict[str, bytes]:
    if len(data) < _HEAD.size or not data.startswith(MAGIC):
        raise ProgramError(f"{name}: not a kaniwa program file")
    _, version, count = _HEAD.unpack_from(data)
    if version != FORMAT_VERSION:
        raise ProgramError(f"{name}: file format {version}, this kaniwa reads {FORMAT_VERSION}; "
                           f"compile the model again")
    end = _HEAD.size + len(SECTIONS) * _ENTRY.size
    if count != len(SECTIONS) or len(data) < end + _CRC.size:
        raise ProgramError(f"{name}: truncated, or its section table is damaged")
    if _CRC.unpack_from(data, end)[0] != zlib.crc32(data[:end]):
        raise ProgramError(f"{name}: the section table is damaged (CRC)")
    position, sections = end + _CRC.size, {}
    for number, expected in enumerate(SECTIONS):
        label, length, crc = _ENTRY.unpack_from(data, _HEAD.size + number * _ENTRY.size)
        if label.rstrip(b"\0") != expected.encode():
            raise ProgramError(f"{name}: section {number} is not '{expected}'")
        if length > len(data) - position:
            raise ProgramError(f"{name}: truncated in section '{expected}'")
        sections[expected] = data[position:position + length]
        if zlib.crc32(sections[expected]) != crc:
            raise ProgramError(f"{name}: section '{expected}' is damaged (CRC)")
        position += length
    if position != len(data):
        raise ProgramError(f"{name}: {len(data) - position} bytes of garbage after the end")
    return sections


class _Reader:
    """Plain values to objects; a wrong type or key raises ValueError, KeyError or TypeError."""

    def __init__(self, name: str) -> None:
        self.name = name

    def program(self, header: Any, tensors: Any, layers: Any, host: Any, image: bytes,
                constant: bytes) -> Program:
        if _text(header["kaniwa"]) != __version__ or _number(header["isa"]) != ISA_VERSION:
            raise ProgramError(
                f"{self.name}: made by kaniwa {header['kaniwa']!s:.20} (ISA {header['isa']}), this "
                f"is {__version__} (ISA {ISA_VERSION}); compile the model again")
        config = AcceleratorConfig(**header["config"], name=_text(header["target"]))
        if config.hash != header["config_hash"]:
            raise ProgramError(f"{self.name}: its config does not match its hash "
                               f"{header['config_hash']!s:.20}; compile the model again")
        outside = header["outside"]
        return Program(
            config=config, name=_text(header["model"]), version=header["kaniwa"],
            isa_version=header["isa"], source_sha256=_text(header["source_sha256"]),
            program_address=_number(header["program_address"]),
            images=_images(header["images"], image),
            tensors=tuple(_tensor(values) for values in _list(tensors)),
            input_ids=_numbers(header["inputs"]), output_ids=_numbers(header["outputs"]),
            steps=tuple(_step(values) for values in _list(header["steps"])),
            host_ops=tuple(_host_op(values) for values in _list(host["ops"])),
            **_constants(host, constant),
            layers=tuple(_layer(values) for values in _list(layers)),
            local_bytes=_number(header["local_bytes"]),
            outside_bytes=_number(header["outside_bytes"]),
            outside=None if outside is None else _text(outside),
            weights=_number(header["weights"]), materialized=_boolean(header["materialized"]),
            local_base=_number(header.get("local_base", 0)),
            outside_base=_number(header.get("outside_base", 0)),
            second_program=_number(header.get("second_program", 0)),
            second_places=_pairs(header.get("second_places", [])))


def _images(values: Any, image: bytes) -> tuple[tuple[int, bytes], ...]:
    images, position = [], 0
    for address, length in (_numbers(pair) for pair in _list(values)):
        if not 0 <= length <= len(image) - position:
            raise ValueError("image lengths")
        images.append((address, image[position:position + length]))
        position += length
    if position != len(image):
        raise ValueError("image lengths")
    return tuple(images)


def _tensor(values: Any) -> TensorInfo:
    optional = {"axes": _pairs} if isinstance(values, dict) and "axes" in values else {}
    return TensorInfo(**_record(values, TensorInfo, {**optional,
        "id": _number, "name": _text, "shape": _numbers, "dtype": _text, "scale": _optional(_real),
        "zero_point": _optional(_number), "address": _optional(_number), "kind": _text,
        "source": _optional(_number), "ready": _number, "overwritten": _optional(_number),
        "channels": _optional(_numbers)}))


def _layer(values: Any) -> LayerInfo:
    return LayerInfo(**_record(values, LayerInfo, {
        "tag": _number, "name": _text, "op": _text, "macs": _number, "instructions": _numbers,
        "source": _numbers, "output": _number, "removed": _optional(_removed)}))


def _removed(values: Any) -> dict[str, Any]:
    """Record of dead channels in LayerInfo."""
    readers: dict[str, Callable[[Any], Any]] = {
        "input_channels": _pair, "output_channels": _pair, "macs": _number}
    if not isinstance(values, dict) or set(values) != set(readers):
        raise ValueError("removed")
    return {key: readers[key](value) for key, value in values.items()}


def _pairs(value: Any) -> tuple[tuple[int, int], ...]:
    return tuple(_pair(item) for item in _list(value))


def _pair(value: Any) -> tuple[int, int]:
    before, after = _numbers(value)
    return before, after


def _host_op(values: Any) -> HostOp:
    return HostOp(**_record(values, HostOp, {
        "kind": _text, "name": _text, "inputs": _numbers, "outputs": _numbers,
        "attributes": _attributes, "rule": _text, "source": _optional(_number), "why": _text}))


def _step(values: Any) -> Step:
    return Step(**_record(values, Step, {
        "where": _text, "first": _number, "count": _number, "takes": _numbers, "gives": _numbers,
        "holds": _numbers}))


def _constants(host: Any, constant: bytes) -> dict[str, Any]:
    """Tensors and state of the host, with their bytes in the section of its constants."""
    position = 0

    def take(value: Any) -> bytes:
        nonlocal position
        size, start = _number(value), position
        position += size
        if size < 0 or position > len(constant):
            raise ValueError("constant lengths")
        return constant[start:position]

    tensors = tuple(HostTensor(**_record(item, HostTensor, {
        "id": _number, "name": _text, "shape": _numbers, "dtype": _text,
        "scales": lambda v: tuple(_real(s) for s in _list(v)), "zero_points": _numbers,
        "axis": _optional(_number), "data": _optional(take)})) for item in _list(host["tensors"]))
    state = tuple(HostState(**_record(item, HostState, {
        "tensor": _number, "following": _number, "initial": take}))
        for item in _list(host["state"]))
    if position != len(constant):
        raise ValueError("constant lengths")
    return {"host_tensors": tensors, "state": state}


def _record(values: Any, kind: type, readers: dict[str, Callable[[Any], Any]]) -> dict[str, Any]:
    if not isinstance(values, dict) or set(values) != set(readers):
        raise ValueError(f"not a {kind.__name__}")
    return {key: readers[key](value) for key, value in values.items()}


def _attributes(value: Any) -> dict[str, object]:
    """Attributes of host operators: numbers, strings, truth values, None, and tuples of such."""
    if not isinstance(value, dict):
        raise ValueError("attributes")
    return {_text(key): _attribute(item) for key, item in value.items()}


def _attribute(value: Any) -> object:
    if isinstance(value, list):
        return tuple(_attribute(item) for item in value)
    return value if value is None or isinstance(value, (str, bool)) else _real(value)


def _optional(reader: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else reader(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("not a string")
    return value


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("not a boolean")
    return value


def _number(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > NUMBER_LIMIT:
        raise ValueError("not an integer")
    return value


def _real(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError("not a number")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("not a list")
    return value


def _numbers(value: Any) -> tuple[int, ...]:
    return tuple(_number(item) for item in _list(value))
