"""The schedule's representation: layers, their tiles (instructions), and the plan of all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from kaniwa.compiler.plan.rescale import Int64, Rescale
from kaniwa.config import AcceleratorConfig
from kaniwa.errors import MemoryTooSmallError
from kaniwa.graph import Graph, Op, Quantization, Tensor
from kaniwa.isa import Mode
from kaniwa.outside import Outside

__all__ = ["Code", "Geometry", "Map", "ScatteredOutput", "Sum", "Layer", "VectorLayer",
           "Tile", "Options", "Slice", "Constants", "MemoryMap", "HostPart",
           "DevicePart", "Plan", "describe", "quantization", "pair", "paddings", "room_of",
           "source_of", "stored_bytes"]

Pair = tuple[int, int]
Map = tuple[int, int, int]      # rows, columns, channels
Code = Callable[[tuple[int, ...], int, int], bytes]


@dataclass(frozen=True)
class Geometry:
    """The loops of a layer. Maps are HWC, one after the other for each image of the batch.

    ``padding`` is (top, left); bottom and right follow from the sizes.
    """

    batch: int
    ifm: Map
    ofm: Map
    kernel: Pair
    stride: Pair
    dilation: Pair
    padding: Pair

    @property
    def extent(self) -> Pair:
        """Input rows and columns that a window spans."""
        return ((self.kernel[0] - 1) * self.dilation[0] + 1,
                (self.kernel[1] - 1) * self.dilation[1] + 1)


@dataclass(frozen=True)
class ScatteredOutput:
    """Where results lie that are not a map: from byte ``first`` on; bytes from one ``image``,
    ``row`` and ``pixel`` to the next, and ``of_run`` from one run of ``run`` channels, which are
    neighbors, to the next."""

    first: int
    image: int
    row: int
    pixel: int
    run: int
    of_run: int

    def ascending(self, shape: Map) -> bool:
        """Whether a map of results is written in the order of addresses."""
        rows, columns, _ = shape
        return (columns < 2 or self.pixel >= self.run) and (
            rows < 2 or self.row >= (columns - 1) * self.pixel + self.run)


@dataclass(frozen=True, eq=False)
class Sum:
    """An ADD behind the requantizer: ``tables[0][result] + tables[1][operand]``, rescaled.

    With ``multiply`` it is a MUL: the product in place of the sum. With ``repeated`` the operand is
    one pixel, and the same for all.
    """

    operand: int
    tables: npt.NDArray[np.int32]      # [2, 256], index = value + 128
    rescale: Rescale
    multiply: bool = False
    repeated: bool = False


@dataclass(frozen=True, eq=False)
class Layer:
    """One pass over a tensor. ``ifm``, ``ofm`` and ``add.operand`` are ids of stored tensors.

    ``weights``: DENSE [OC, KH, KW, IC], DEPTHWISE and COLUMN [KH, KW, C], MAX_POOL None; int16 if
    some do not fit int8 (see ``visits``). ``bias`` contains the input's zero point. ``identity``:
    the result before ``add`` or ``table`` is the input itself, byte by byte. ``table`` maps the
    int8 result, index = value + 128; not with ``add``. ``patch``: DENSE with the taps of a pixel
    packed. ``macs`` are the model's; ``removed`` says what of them is not computed (see LayerInfo).
    ``part``: the run of the device that it belongs to. ``positions``: its operators' in the model,
    the one that shapes it first. ``visits``: DENSE, how often a pixel's bytes are read, each time
    with other weights, ``lanes``: channels of a block, 0: as many as the mode has; both only in
    what ``visited`` makes of a layer, or with ``places``, where an instruction has a run of them at
    most. ``source_at``: first byte of ``ifm``, and bytes to its next image and row, where it is not
    a map.
    """

    name: str
    op: str
    mode: Mode
    ifm: int
    ofm: int
    geometry: Geometry
    weights: npt.NDArray[np.int8] | npt.NDArray[np.int16] | None
    bias: Int64
    pad_value: int
    rescale: Rescale
    macs: int
    source: tuple[int, ...]      # operator indexes in the model file
    add: Sum | None = None
    identity: bool = False
    table: npt.NDArray[np.int8] | None = None
    removed: Mapping[str, Any] | None = None
    patch: bool = False
    part: int = 0
    positions: tuple[int, ...] = ()
    visits: int = 1
    lanes: int = 0
    places: ScatteredOutput | None = None
    source_at: tuple[int, int, int] | None = None

    @property
    def tables(self) -> tuple[npt.NDArray[np.int32], ...]:
        """The tables that the post unit needs, number 0 first."""
        if self.add is not None:
            return tuple(self.add.tables)
        return () if self.table is None else (self.table.astype(np.int32),)

    @property
    def reads(self) -> tuple[int, ...]:
        """The tensors that the layer reads."""
        return (self.ifm,) if self.add is None else (self.ifm, self.add.operand)

    @property
    def makes(self) -> tuple[int, ...]:
        """The tensors that it writes."""
        return (self.ofm,)


@dataclass(frozen=True, eq=False)
class VectorLayer:
    """A VECTOR instruction: a program of the vector unit. ``reads`` and ``ofm`` are stored tensors.

    ``code`` gives the program for their addresses and the one of ``table``, the words that it looks
    up; its length does not depend on them. The rest is as in ``Layer``.
    """

    name: str
    op: str
    reads: tuple[int, ...]
    ofm: int
    code: Code
    table: bytes
    source: tuple[int, ...]
    macs: int = 0
    part: int = 0
    positions: tuple[int, ...] = ()
    removed: Mapping[str, Any] | None = None

    @property
    def makes(self) -> tuple[int, ...]:
        """The tensors that it writes."""
        return (self.ofm,)

    @property
    def addressed(self) -> tuple[int, ...]:
        """What ``code`` takes the addresses of as ``reads``."""
        return (*self.reads, *self.makes[1:])


def stored_bytes(tensor: Tensor) -> int:
    """What a tensor takes of device memory."""
    return prod(tensor.shape) * np.dtype(tensor.dtype).itemsize


def room_of(tensor: Tensor, config: AcceleratorConfig) -> int:
    """What a tensor takes with what the vector unit reads behind it, whole groups of lanes; one of
    bytes is within a word."""
    size = np.dtype(tensor.dtype).itemsize
    group = size * config.requant_lanes if size > 1 else 1
    return -(-stored_bytes(tensor) // group) * group


@dataclass(frozen=True)
class Tile:
    """One instruction: a part of a layer's output, ranges are [first, past the last), or
    (``vector``) a program of the vector unit, whose ranges mean nothing. A ``VectorLayer`` has one
    such tile, a ``StagedLayer`` the tiles of its stages, whose number is ``step``.

    ``visits``: how many int8 addends its weights need, see ``kaniwa.compiler.plan.visits``.
    """

    layer: int
    image: int
    rows: Pair
    columns: Pair
    blocks: Pair
    weights_stream: bool
    visits: int = 1
    step: int = 0
    vector: bool = False


@dataclass(frozen=True)
class Options:
    """What the caller asked for."""

    materialize: bool = False
    require_accelerator: bool = False
    outside: Outside | None = None
    keep_dead_channels: bool = False


@dataclass(frozen=True)
class Slice:
    """``length`` bytes from ``offset`` on of a blob; no blob where there is nothing."""

    blob: int | None
    offset: int
    length: int


@dataclass(frozen=True, eq=False)
class Constants:
    """What instructions read besides activations.

    ``parameters``, ``weights`` and ``banks`` (of tables) have an entry for each tile. That of a
    ``VectorLayer`` has in ``parameters`` where its program will be, in ``weights`` its table.
    ``tensors`` maps constant tensors to their blobs.
    """

    blobs: tuple[bytes, ...]
    parameters: tuple[Slice, ...]
    weights: tuple[Slice, ...]
    banks: tuple[int, ...]
    tensors: Mapping[int, int]


@dataclass(frozen=True, eq=False)
class MemoryMap:
    """Where everything is in device memory (byte addresses, bit 31 = outside).

    ``tensors`` maps stored tensors, ``blobs`` has the address of each constant. The sizes are the
    ends of what is used on chip and outside.
    """

    program_address: int
    tensors: Mapping[int, int]
    blobs: tuple[int, ...]
    local_bytes: int
    outside_bytes: int


@dataclass(frozen=True)
class HostPart:
    """Operators that the host runs one after the other, by their positions in the model.

    They come behind the device's part ``behind``, -1: before the first. ``why`` has the reason for
    each.
    """

    behind: int
    positions: tuple[int, ...]
    why: tuple[str, ...]


@dataclass(frozen=True)
class DevicePart:
    """A run of the device; ids of tensors.

    The host writes ``takes`` to device memory before the run, and reads ``gives`` behind it. The
    run reads ``holds``, too, which earlier parts left or took.
    """

    takes: tuple[int, ...]
    gives: tuple[int, ...]
    holds: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Plan:
    """What the compiler knows so far; each pass returns a more complete one.

    ``model`` is the graph as imported, ``graph`` has what the device does of it, in ``parts``:
    ``part_of`` maps the position of an operator in the model to the number of its part. What the
    host makes is an input of ``graph``. ``host_parts`` come between the parts. ``refused`` are
    reasons, by position, that a pass found against an operator (see ``refusal``); ``stepwise`` are
    positions of recurrent cells that have to do with less memory (see ``recurrent``) than was
    ``lacking`` before.
    ``storage`` maps the id of each tensor on the device to the tensor whose memory it
    is (RESHAPE moves no data). ``channels`` has those that are left of a tensor of the model
    that lost some.
    """

    model: Graph
    graph: Graph
    config: AcceleratorConfig
    options: Options
    refused: Mapping[int, str] = field(default_factory=dict)
    stepwise: frozenset[int] = frozenset()
    lacking: MemoryTooSmallError | None = None
    parts: tuple[DevicePart, ...] = ()
    part_of: Mapping[int, int] = field(default_factory=dict)
    host_parts: tuple[HostPart, ...] = ()
    storage: Mapping[int, int] = field(default_factory=dict)
    channels: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    layers: tuple[Layer | VectorLayer, ...] = ()
    tiles: tuple[Tile, ...] = ()
    constants: Constants | None = None
    memory: MemoryMap | None = None

    @property
    def host_ops(self) -> tuple[Op, ...]:
        """The host's operators in the order of their execution."""
        return tuple(self.model.ops[i] for part in self.host_parts for i in part.positions)

    @property
    def kept(self) -> tuple[int, ...]:
        """The stored tensors that must be there at the end."""
        return tuple(dict.fromkeys(self.storage[i] for i in self.graph.outputs))


def source_of(op: Op) -> tuple[int, ...]:
    """The operator's index in the model file, where it has one, as layers have it."""
    return () if op.source_index is None else (op.source_index,)


def describe(graph: Graph, op: Op) -> str:
    """How messages name an operator."""
    return f"{graph.name}: op {op.source_index} {op.kind} '{op.name}'"


def quantization(tensor: Tensor) -> Quantization:
    """The tensor's quantization, which the importers guarantee for int8 activations."""
    if tensor.quantization is None:
        raise AssertionError(f"tensor '{tensor.name}' is not quantized")
    return tensor.quantization


def pair(op: Op, name: str, default: Pair | None = None) -> Pair:
    """An attribute that is (rows, columns)."""
    value: Any = op.attributes.get(name, default)
    return int(value[0]), int(value[1])


def paddings(op: Op) -> tuple[Pair, Pair]:
    """The padding attribute: ((top, bottom), (left, right))."""
    value: Any = op.attributes["padding"]
    return (int(value[0][0]), int(value[0][1])), (int(value[1][0]), int(value[1][1]))
