"""A compiled model: the memory image, and what a driver must know to feed it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from os import PathLike
from typing import Any

import numpy as np

from kaniwa.config import AcceleratorConfig
from kaniwa.errors import ProgramError
from kaniwa.graph import Graph
from kaniwa.isa import FIELDS, INSTRUCTION_BYTES, OUTSIDE, Opcode, decode, illegal_field
from kaniwa.statistics import RunStatistics, TagCounters

__all__ = ["TensorInfo", "HostOp", "LayerInfo", "Program", "check"]

MAGIC = b"KANIWA\x1a\n"
VERSION_OFFSET = len(MAGIC)      # of the format version in a program file
FORMAT_VERSION = 1
KINDS = ("input", "output", "intermediate", "host")
DTYPES = {"int8": 1}
MAX_RANK = 8


@dataclass(frozen=True)
class TensorInfo:
    """A tensor of the model.

    ``address`` is where the device stores it (HWC, without gaps), None where the host makes it.
    Its bytes are complete once instruction ``ready`` has retired (-1: before the run), until
    instruction ``overwritten`` (None: to the end). ``id`` is its position in the imported graph,
    ``source`` its index in the model file. ``kind``: input, output, intermediate, or host.
    ``channels``: those of the model's that are left, where dead ones were removed; ``shape`` counts
    these only.
    """

    id: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | None
    zero_point: int | None
    address: int | None
    kind: str
    source: int | None
    ready: int
    overwritten: int | None
    channels: tuple[int, ...] | None = None

    def stored(self, value: np.ndarray) -> np.ndarray:
        """The part of the model's ``value`` that the device stores."""
        return value if self.channels is None else value[..., list(self.channels)]

    @property
    def bytes(self) -> int:
        """Size in device memory."""
        return prod(self.shape) * DTYPES[self.dtype]


@dataclass(frozen=True)
class HostOp:
    """An operator that the host runs after the device; tensors by id."""

    kind: str
    name: str
    input: int
    output: int
    attributes: Mapping[str, object]


@dataclass(frozen=True)
class LayerInfo:
    """A layer: the ``instructions`` (indexes) that compute it, and what they stand for.

    ``tag`` selects its counters. ``source`` are operator indexes in the model file, ``output`` is
    a tensor id (of the imported graph, or beyond it of the compiler's own). ``macs`` are the
    model's. ``removed``, where dead channels were: ``input_channels`` and ``output_channels``, each
    (before, after), and the ``macs`` that are not computed.
    """

    tag: int
    name: str
    op: str
    macs: int
    instructions: tuple[int, ...]
    source: tuple[int, ...]
    output: int
    removed: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Program:
    """A model compiled for one config. ``images`` are (address, bytes), addresses ascending.

    An address with bit 31 set is in outside memory, of which the program needs ``outside_bytes``
    of the kind ``outside``. ``weights`` is the number of weights of the model. ``graph`` is the
    model itself, there only where the program was compiled in this process; it is not saved.
    """

    config: AcceleratorConfig
    name: str
    source_sha256: str
    version: str
    isa_version: int
    program_address: int
    images: tuple[tuple[int, bytes], ...]
    tensors: tuple[TensorInfo, ...]
    input_ids: tuple[int, ...]
    output_ids: tuple[int, ...]
    host_ops: tuple[HostOp, ...]
    layers: tuple[LayerInfo, ...]
    local_bytes: int
    outside_bytes: int
    outside: str | None
    weights: int
    materialized: bool
    graph: Graph | None = field(default=None, compare=False, repr=False)

    @property
    def inputs(self) -> list[TensorInfo]:
        """The model's inputs, in its order."""
        return [self.tensor(i) for i in self.input_ids]

    @property
    def outputs(self) -> list[TensorInfo]:
        """The model's outputs, in its order; those of host operators have no address."""
        return [self.tensor(i) for i in self.output_ids]

    def tensor(self, tensor_id: int) -> TensorInfo:
        """The tensor with this id; KeyError if it is not in the table."""
        for tensor in self.tensors:
            if tensor.id == tensor_id:
                return tensor
        raise KeyError(tensor_id)

    @property
    def commands(self) -> bytes:
        """The instructions as stored, END last."""
        return next((data for address, data in self.images if address == self.program_address), b"")

    @property
    def instructions(self) -> list[dict[str, int]]:
        """The decoded instructions, END last."""
        data = self.commands
        return [decode(data[i:i + INSTRUCTION_BYTES])
                for i in range(0, len(data), INSTRUCTION_BYTES)]

    @property
    def config_hash(self) -> str:
        """Names the config that the program is for."""
        return self.config.hash

    @property
    def macs(self) -> int:
        """Multiplications of the source model, dense."""
        return sum(layer.macs for layer in self.layers)

    @property
    def removed_macs(self) -> int:
        """Multiplications of ``macs`` with dead channels, which are not done."""
        return sum(layer.removed["macs"] for layer in self.layers if layer.removed)

    @property
    def weight_bytes(self) -> int:
        """Bytes of weights, parameters and tables in device memory."""
        return sum(len(data) for address, data in self.images if address != self.program_address)

    def estimate(self) -> RunStatistics:
        """The counters of a run as the cycle model expects them."""
        from kaniwa.cycle_model import Timing, model_run

        return model_run(self.config, self.instructions[:-1], self._read,
                         Timing.of(self.outside), self.program_address)

    def _read(self, address: int, length: int) -> bytes:
        """What the images hold from ``address`` on."""
        for start, data in self.images:
            if start <= address < start + len(data):
                return data[address - start:address - start + length]
        return b""

    def summary(self) -> dict[str, Any]:
        """What ``kaniwa compile --json`` prints, as plain values; cycles are estimates."""
        statistics = self.estimate()
        order = list(dict.fromkeys(layer.tag for layer in self.layers))
        counters = {tag.tag: tag for tag in statistics.per_tag(order)}
        layers: list[dict[str, Any]] = []
        for layer in self.layers:
            own = counters.pop(layer.tag, TagCounters(layer.tag, 0, 0, {}))
            layers.append({"name": layer.name, "op": layer.op, "where": "device",
                           "macs": layer.macs, "cycles": own.cycles,
                           "utilization": self.utilization(layer.macs, own.cycles),
                           "lost": own.lost, "instructions": len(layer.instructions),
                           "removed": dict(layer.removed or {})})
        layers += [{"name": op.name, "op": op.kind, "where": "host", "macs": 0, "cycles": 0,
                    "utilization": 0.0, "lost": {}, "instructions": 0, "removed": {}}
                   for op in self.host_ops]
        return {
            "model": self.name, "target": self.config.name, "config_hash": self.config_hash,
            "cycles": statistics.cycles, "macs": self.macs, "removed_macs": self.removed_macs,
            "utilization": self.utilization(self.macs, statistics.cycles), "fits": True,
            "memory_bytes": self.local_bytes, "outside_bytes": self.outside_bytes,
            "outside": self.outside, "weight_bytes": self.weight_bytes,
            "bits_per_weight": 8 * self.weight_bytes / self.weights if self.weights else 0.0,
            "instructions": len(self.commands) // INSTRUCTION_BYTES, "layers": layers,
        }

    def utilization(self, macs: int, cycles: int) -> float:
        """Multiplications of the source model for each multiplier and cycle."""
        return macs / (cycles * self.config.multipliers) if cycles else 0.0

    def check_target(self, config: AcceleratorConfig) -> None:
        """Raise ProgramError unless the program is for ``config``."""
        if config != self.config:
            raise ProgramError(f"{self.name}: compiled for target '{self.config.name}' "
                               f"({self.config.hash}), the device is '{config.name}' "
                               f"({config.hash}); compile it for that target")

    def save(self, path: str | PathLike[str]) -> None:
        """Write the program file: all of it or, after a failure, none."""
        from kaniwa.program_file import save

        save(self, path)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Program:
        """Read and check a program file; raises ProgramError naming what is wrong."""
        from kaniwa.program_file import load

        return load(path)

    def to_bytes(self) -> bytes:
        """The content of the program file."""
        from kaniwa.program_file import to_bytes

        return to_bytes(self)

    @classmethod
    def from_bytes(cls, data: bytes, name: str = "program") -> Program:
        """The program in a file's content; ``name`` is for messages."""
        from kaniwa.program_file import from_bytes

        return from_bytes(data, name)


def check(program: Program, where: str) -> Program:
    """Return ``program`` if it is consistent, else raise ProgramError naming what is not."""
    for text in (_memory(program), _commands(program), _tensors(program), _operators(program)):
        if text is not None:
            raise ProgramError(f"{where}: {text}; compile the model again")
    return program


def _memory(program: Program) -> str | None:
    config = program.config
    if not 0 <= program.local_bytes <= config.memory_bytes:
        return (f"needs {program.local_bytes} bytes on chip, the target has "
                f"{config.memory_bytes}")
    if not 0 <= program.outside_bytes <= OUTSIDE:
        return f"needs {program.outside_bytes} bytes of outside memory"
    if (program.outside is None) != (program.outside_bytes == 0):
        return "the kind of outside memory does not fit its size"
    end = 0
    for address, data in program.images:
        if address < end or not _inside(program, address, len(data)):
            return f"the image at 0x{address:x} overlaps another or leaves memory"
        end = address + len(data)
    return None


def _inside(program: Program, address: int, size: int) -> bool:
    limit = program.outside_bytes if address & OUTSIDE else program.local_bytes
    return address >= 0 and size >= 0 and (address & ~OUTSIDE) + size <= limit


def _commands(program: Program) -> str | None:
    data = program.commands
    if not data or len(data) % INSTRUCTION_BYTES:
        return f"no whole instructions at 0x{program.program_address:x}"
    *layers, last = program.instructions
    if last["opcode"] != Opcode.END:
        return "the last instruction is not END"
    for index, values in enumerate(layers):
        if values["opcode"] != Opcode.LAYER:
            return f"instruction {index} is not a LAYER"
        name = illegal_field(values)
        if name is not None:
            return (f"instruction {index}: {name} is {values[name]}, must be "
                    f"{FIELDS[name].low}..{FIELDS[name].high}")
        for address, size in _accesses(values):
            if not _inside(program, address, size):
                return f"instruction {index} reaches beyond memory at 0x{address:x}"
        if max(values["ifm_wait"], values["operand_wait"]) > index:
            return f"instruction {index} waits for a later one"
    return None


def _accesses(values: Mapping[str, int]) -> list[tuple[int, int]]:
    """(address, bytes) of everything that an instruction reads and writes."""
    channels = (values["blocks"] - 1) * values["block_width"] + values["last_width"]

    def tensor(prefix: str) -> tuple[int, int]:
        size = ((values["ofm_rows"] - 1) * values[f"{prefix}_row_pitch"]
                + (values["ofm_columns"] - 1) * values[f"{prefix}_pixel_pitch"] + channels)
        return values[f"{prefix}_address"], size

    accesses = [
        (values["ifm_address"],
         (values["ifm_rows"] - 1) * values["ifm_pitch"] + values["ifm_row_bytes"]),
        (values["parameter_address"], values["parameter_bytes"]),
        (values["weight_address"], values["weight_bytes"]), tensor("ofm")]
    return accesses + [tensor("operand")] if values["add"] else accesses


def _tensors(program: Program) -> str | None:
    count = len(program.commands) // INSTRUCTION_BYTES
    for tensor in program.tensors:
        where = f"tensor '{tensor.name}'"
        if tensor.dtype not in DTYPES or tensor.kind not in KINDS:
            return f"{where}: unknown dtype '{tensor.dtype}' or kind '{tensor.kind}'"
        if len(tensor.shape) > MAX_RANK or min(tensor.shape, default=1) < 1:
            return f"{where}: no legal shape"
        if tensor.address is not None and not _inside(program, tensor.address, tensor.bytes):
            return f"{where}: leaves memory at 0x{tensor.address:x}"
        if not -1 <= tensor.ready < count or not -1 <= (tensor.overwritten or 0) < count:
            return f"{where}: refers to an instruction that is not there"
    ids = [tensor.id for tensor in program.tensors]
    if len(set(ids)) != len(ids):
        return "two tensors have the same id"
    missing = {*program.input_ids, *program.output_ids}.difference(ids)
    if missing:
        return f"input or output {min(missing)} is not in the tensor table"
    return None


def _operators(program: Program) -> str | None:
    known = {t.id for t in program.tensors if t.address is not None}
    if not known.issuperset(program.input_ids):
        return "an input has no address"
    for op in program.host_ops:
        if op.kind not in ("SOFTMAX", "RESHAPE") or op.input not in known:
            return f"host operator {op.kind} '{op.name}' is unknown or reads what is not there"
        known.add(op.output)
    if not known.issuperset(program.output_ids):
        return "an output is never computed"
    count = len(program.commands) // INSTRUCTION_BYTES - 1
    if sorted(i for layer in program.layers for i in layer.instructions) != list(range(count)):
        return "the layers do not name every instruction once"
    return None
