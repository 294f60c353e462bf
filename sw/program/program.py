"""A compiled model: the memory image, and what a driver must know to feed it."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from os import PathLike
from typing import Any

import numpy as np

from kaniwa.config import AcceleratorConfig
from kaniwa.errors import ProgramError
from kaniwa.graph import DTYPE_BYTES, Graph
from kaniwa.isa import INSTRUCTION_BYTES, Opcode, decode
from kaniwa.isa.counters import RunStatistics, TagCounters, in_turn
from kaniwa.program.host_part import HostOp, HostState, HostTensor

__all__ = ["TensorInfo", "Step", "LayerInfo", "Program"]

MAGIC = b"KANIWA\x1a\n"
VERSION_OFFSET = len(MAGIC)      # of the format version in a program file
FORMAT_VERSION = 2
TENSOR_KINDS = ("input", "output", "intermediate", "host")
MAX_RANK = 8


@dataclass(frozen=True)
class TensorInfo:
    """A tensor of the model.

    ``address`` is where the device stores it (HWC, without gaps), None where it does not. Its
    bytes are complete once instruction ``ready`` has retired (-1: before the run), until
    instruction ``overwritten`` (None: to the end); what the host writes between two runs is there
    after the END of the first. ``id`` is its position in the imported graph,
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

    def to_device(self, value: np.ndarray) -> builtins.bytes:
        """``value`` as it lies in device memory, where uint8 is int8: less 128."""
        return (value ^ np.uint8(128) if self.dtype == "uint8" else value).tobytes()

    def from_device(self, data: builtins.bytes) -> np.ndarray:
        """The inverse: an array of the tensor's shape and dtype, not to be written to."""
        value = np.frombuffer(data, self.dtype).reshape(self.shape)
        return value ^ np.uint8(128) if self.dtype == "uint8" else value

    @property
    def bytes(self) -> int:
        """Size in device memory."""
        return prod(self.shape) * DTYPE_BYTES[self.dtype]


@dataclass(frozen=True)
class Step:
    """What host or device do without the other: ``where`` is "host" or "device".

    Of the program's instructions, the END of the run with them, or of its host operators it does
    ``count`` from ``first`` on. A run of the device needs the tensors ``takes`` written to device
    memory before, and ``gives`` read behind it; ``holds`` it finds there from earlier runs. The
    host's operators read ``takes``, and others read ``gives`` of what they make.
    """

    where: str
    first: int
    count: int
    takes: tuple[int, ...]
    gives: tuple[int, ...]
    holds: tuple[int, ...] = ()


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
    of the kind ``outside``. ``steps`` say what device and host do in turn, ``state`` what
    goes from one inference to the next, by the host or (``resident``) where it is. ``weights`` is
    the number of weights that the device has of the model. ``graph`` is the model itself and
    ``rounding`` says of each layer, by output, how it is requantized (see
    ``kaniwa.compiler.rewrite.rounding``): there only where the program was compiled in this
    process.
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
    steps: tuple[Step, ...]
    host_ops: tuple[HostOp, ...]
    host_tensors: tuple[HostTensor, ...]
    state: tuple[HostState, ...]
    layers: tuple[LayerInfo, ...]
    local_bytes: int
    outside_bytes: int
    outside: str | None
    weights: int
    materialized: bool
    graph: Graph | None = field(default=None, compare=False, repr=False)
    rounding: Mapping[int, list[dict[str, Any]]] = field(
        default_factory=dict, compare=False, repr=False)

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

    @cached_property
    def resident(self) -> frozenset[int]:
        """The tensors of ``state`` that have the next value where they are behind an inference."""
        table = {tensor.id: tensor for tensor in self.tensors}
        # What the host gets or has anyway does not depend on what memory holds behind a run.
        known = {*self.input_ids, *(s.tensor for s in self.state),
                 *(i for step in self.steps for i in step.gives)}
        return frozenset(
            s.tensor for s in self.state
            if s.following not in known and s.tensor in table and s.following in table
            and table[s.tensor].address is not None
            and table[s.tensor].address == table[s.following].address)

    @property
    def runs(self) -> list[Step]:
        """The steps of the device."""
        return [step for step in self.steps if step.where == "device"]

    def address_of(self, run: Step) -> int:
        """Where the device finds the first instruction of ``run``."""
        return self.program_address + run.first * INSTRUCTION_BYTES

    def layers_of(self, run: Step) -> list[LayerInfo]:
        """The layers that ``run`` computes."""
        span = range(run.first, run.first + run.count)
        return [layer for layer in self.layers if layer.instructions[0] in span]

    @property
    def commands(self) -> bytes:
        """The instructions as stored; an END is last, and behind those of each run."""
        return next((data for address, data in self.images if address == self.program_address), b"")

    @property
    def instructions(self) -> list[dict[str, int]]:
        """The decoded instructions; an END is last, and behind those of each run."""
        data = self.commands
        return [decode(data[i:i + INSTRUCTION_BYTES])
                for i in range(0, len(data), INSTRUCTION_BYTES)]

    @property
    def config_hash(self) -> str:
        """Names the config that the program is for."""
        return self.config.hash

    @property
    def macs(self) -> int:
        """Multiplications of the source model, dense, without those that the host does."""
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
        """The counters of an inference, all runs of it, as the cycle model expects them."""
        from kaniwa.cycles.model import Timing, model_run

        instructions, timing = self.instructions, Timing.of(self.config, self.outside)
        return in_turn([
            model_run(self.config, instructions[run.first:run.first + run.count - 1], self._read,
                      timing, self.address_of(run)) for run in self.runs])

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
        rows = [row for step in self.steps for row in (
            self._device_rows(step, counters) if step.where == "device" else self._host_rows(step))]
        return {
            "model": self.name, "target": self.config.name, "config_hash": self.config_hash,
            "cycles": statistics.cycles, "macs": self.macs, "removed_macs": self.removed_macs,
            "utilization": self.utilization(self.macs, statistics.cycles), "fits": True,
            "memory_bytes": self.local_bytes, "outside_bytes": self.outside_bytes,
            "outside": self.outside, "weight_bytes": self.weight_bytes,
            "bits_per_weight": 8 * self.weight_bytes / self.weights if self.weights else 0.0,
            "instructions": len(self.commands) // INSTRUCTION_BYTES, "layers": rows,
            "steps": [self._crossing(step) for step in self.steps],
        }

    def _device_rows(self, run: Step, counters: dict[int, TagCounters]) -> list[dict[str, Any]]:
        rows, instructions = [], self.instructions
        for layer in self.layers_of(run):
            own_instructions = [instructions[i] for i in layer.instructions]
            own = counters.pop(layer.tag, TagCounters(layer.tag, 0, 0, {}))
            rows.append({"name": layer.name, "op": layer.op, "where": "device", "why": "",
                         "macs": layer.macs, "cycles": own.cycles,
                         "utilization": self.utilization(layer.macs, own.cycles),
                         "lost": own.lost, "instructions": len(layer.instructions),
                         "steps": self._recurrent_steps(own_instructions),
                         "removed": dict(layer.removed or {}),
                         "rounding": self.rounding.get(layer.output, [])})
        return rows

    def _recurrent_steps(self, instructions: list[dict[str, int]]) -> int:
        """Steps of a recurrent layer, 1 of others."""
        cells = [v for v in instructions if v["opcode"] == Opcode.CELL]
        if cells:
            from kaniwa.units.cell.isa import decode

            return sum(decode(self._read(v["parameter_address"], v["parameter_bytes"]))["steps"]
                       for v in cells)
        # A step has two VECTORs; only the first of all loads the program, and one more may come
        # behind them.
        later = sum(v["opcode"] == Opcode.VECTOR and not v["parameter_bytes"]
                    for v in instructions)
        return max(1, later // 2)

    def _host_rows(self, step: Step) -> list[dict[str, Any]]:
        return [{"name": op.name, "op": op.kind, "where": "host", "why": op.why, "macs": 0,
                 "cycles": 0, "utilization": 0.0, "lost": {}, "instructions": 0, "steps": 1,
                 "removed": {}, "rounding": []}
                for op in self.host_ops[step.first:step.first + step.count]]

    def _crossing(self, step: Step) -> dict[str, Any]:
        """What a step does, and the bytes that go to the device before it and from it behind."""
        device = step.where == "device"
        names = ([layer.name for layer in self.layers_of(step)] if device else
                 [op.name for op in self.host_ops[step.first:step.first + step.count]])
        sizes = [sum(self.tensor(i).bytes for i in ids) if device else 0
                 for ids in (step.takes, step.gives)]
        return {"where": step.where, "does": names, "bytes_to_device": sizes[0],
                "bytes_from_device": sizes[1]}

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
        from kaniwa.program.file import save

        save(self, path)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Program:
        """Read and check a program file; raises ProgramError naming what is wrong."""
        from kaniwa.program.file import load

        return load(path)

    def to_bytes(self) -> bytes:
        """The content of the program file."""
        from kaniwa.program.file import to_bytes

        return to_bytes(self)

    @classmethod
    def from_bytes(cls, data: bytes, name: str = "program") -> Program:
        """The program in a file's content; ``name`` is for messages."""
        from kaniwa.program.file import from_bytes

        return from_bytes(data, name)
