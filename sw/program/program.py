"""A compiled model: the memory image, and what a driver must know to feed it."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from kaniwa.config import AcceleratorConfig
from kaniwa.errors import ProgramError
from kaniwa.graph import DTYPE_BYTES, Graph
from kaniwa.isa import INSTRUCTION_BYTES, decode
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

    ``address`` is where the device stores it (HWC), None where it does not. Its elements lie one
    behind the other, or, with gaps between them or in parts of the channels, as ``axes`` say: how
    many there are along each axis of a map, and the bytes from one to the next. Its bytes are
    complete once instruction ``ready`` has retired (-1: before the run), until
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
    axes: tuple[tuple[int, int], ...] | None = None

    def stored(self, value: np.ndarray) -> np.ndarray:
        """The part of the model's ``value`` that the device stores."""
        return value if self.channels is None else value[..., list(self.channels)]

    def to_device(self, value: np.ndarray) -> builtins.bytes:
        """``value`` as it lies in device memory, where uint8 is int8: less 128."""
        return (value ^ np.uint8(128) if self.dtype == "uint8" else value).tobytes()

    def from_device(self, data: builtins.bytes) -> np.ndarray:
        """The inverse: an array of the tensor's shape and dtype, not to be written to."""
        value = np.frombuffer(data, self.dtype)
        if self.axes is not None:
            counts, apart = zip(*self.axes, strict=True)
            value = as_strided(value, counts, apart, writeable=False)
        value = value.reshape(self.shape)
        return value ^ np.uint8(128) if self.dtype == "uint8" else value

    @property
    def bytes(self) -> int:
        """Size in device memory, gaps included."""
        if self.axes is not None:
            return 1 + sum((count - 1) * apart for count, apart in self.axes)
        return prod(self.shape) * DTYPE_BYTES[self.dtype]


@dataclass(frozen=True)
class Step:
    """Work that host or device does without the other: ``where`` is "host" or "device".

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

    An address with bit 31 set is in outside memory, of the kind ``outside``. Of the memory on chip
    the program has the bytes from ``local_base`` on, before ``local_bytes``, and of outside memory
    those from ``outside_base`` on, before ``outside_bytes``. ``steps`` say what device and host do
    in turn, ``state`` what goes from one inference to the next, by the host or (``resident``) where
    it is. ``weights`` is the number of weights that the device has of the model. ``graph`` is the
    model itself and ``rounding`` says of each layer, by its first instruction, how it is
    requantized (see ``kaniwa.compiler.rewrite.rounding``): there only where the program was
    compiled in this process. A double-buffered program has ``second_places``, pairs of a tensor
    that the host moves and of its second address, and from ``second_program`` on its commands for
    these.
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
    local_base: int = 0
    outside_base: int = 0
    second_program: int = 0
    second_places: tuple[tuple[int, int], ...] = ()
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

    def overlaps(self, other: Program) -> bool:
        """Tell whether the two use some of the same device memory: one of them can be there."""
        return any(max(own[0], others[0]) < min(own[1], others[1]) for own, others in (
            ((self.local_base, self.local_bytes), (other.local_base, other.local_bytes)),
            ((self.outside_base, self.outside_bytes), (other.outside_base, other.outside_bytes))))

    @property
    def runs(self) -> list[Step]:
        """The steps of the device."""
        return [step for step in self.steps if step.where == "device"]

    @property
    def double_buffered(self) -> bool:
        """True where what the host moves has two places, for runs in turn."""
        return bool(self.second_places)

    def address_of(self, run: Step, place: int = 0) -> int:
        """Address at which the device finds the first instruction of ``run`` for a ``place``, 0 or
        1, of what the host moves."""
        start = self.second_program if place else self.program_address
        return start + run.first * INSTRUCTION_BYTES

    def place_of(self, tensor_id: int, place: int = 0) -> int | None:
        """Address of a tensor in a ``place``, as of ``address_of``; None where it is not stored."""
        second = dict(self.second_places) if place else {}
        return second.get(tensor_id, self.tensor(tensor_id).address)

    def layers_of(self, run: Step) -> list[LayerInfo]:
        """The layers that ``run`` computes."""
        span = range(run.first, run.first + run.count)
        return [layer for layer in self.layers if layer.instructions[0] in span]

    def turns_of(self, run: Step) -> dict[int, int]:
        """The layer's tag by each tag of the instructions of ``run``, in the order in which they
        retire last. A layer has more than one where it takes turns with others."""
        layers = self.layers_of(run)
        if all(layer.instructions[-1] - layer.instructions[0] < len(layer.instructions)
               for layer in layers):
            return {layer.tag: layer.tag for layer in layers}
        instructions = self.instructions
        last = {instructions[index]["tag"]: (index, layer.tag)
                for layer in layers for index in layer.instructions}
        return {tag: layer for tag, (_, layer) in sorted(last.items(), key=lambda item: item[1])}

    @cached_property
    def turns(self) -> dict[int, int]:
        """The same of all runs."""
        return {tag: layer for run in self.runs for tag, layer in self.turns_of(run).items()}

    @property
    def commands(self) -> bytes:
        """The instructions as stored; an END is last, and behind those of each run."""
        return self._commands_at(self.program_address)

    @property
    def second_commands(self) -> bytes:
        """The instructions for the second places; nothing without these."""
        return self._commands_at(self.second_program) if self.double_buffered else b""

    def is_code(self, address: int) -> bool:
        """True for the address of an image of instructions."""
        return address == self.program_address or (
            self.double_buffered and address == self.second_program)

    def _commands_at(self, start: int) -> bytes:
        return next((data for address, data in self.images if address == start), b"")

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
        return sum(len(data) for address, data in self.images if not self.is_code(address))

    def read(self, address: int, length: int) -> bytes:
        """Bytes that the images hold from ``address`` on."""
        for start, data in self.images:
            if start <= address < start + len(data):
                return data[address - start:address - start + length]
        return b""

    def utilization(self, macs: int, cycles: int) -> float:
        """Multiplications of the source model for each multiplier and cycle."""
        return macs / (cycles * self.config.multipliers) if cycles else 0.0

    def check_target(self, config: AcceleratorConfig) -> None:
        """Raise ProgramError unless the program is for ``config``."""
        if config != self.config:
            raise ProgramError(f"{self.name}: compiled for target '{self.config.name}' "
                               f"({self.config.hash}), the device is '{config.name}' "
                               f"({config.hash}); compile it for that target")
