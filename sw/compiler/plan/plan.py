"""The plan: what the compiler knows of a program, completed pass by pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from kaniwa.compiler.plan.geometry import Pair, PartedMap, SpacedMap, Tile
from kaniwa.compiler.plan.layers import Layer
from kaniwa.compiler.plan.operands import stored_bytes
from kaniwa.config import AcceleratorConfig
from kaniwa.errors import MemoryTooSmallError
from kaniwa.graph import DTYPE_BYTES, Graph, Op
from kaniwa.outside import Outside

__all__ = ["Constants", "DevicePart", "HostPart", "MemoryMap", "Neighbor", "Options", "Plan",
           "SecondPlaces", "Slice"]


@dataclass(frozen=True)
class Neighbor:
    """A program that is to stay in device memory; where what it uses of it begins and ends."""

    name: str
    local: tuple[int, int]
    outside: tuple[int, int]


@dataclass(frozen=True)
class Options:
    """Options of the caller."""

    materialize: bool = False
    require_accelerator: bool = False
    outside: Outside | None = None
    keep_dead_channels: bool = False
    behind: tuple[Neighbor, ...] = ()
    double_buffered: bool = False
    moves_on_device: bool = False


@dataclass(frozen=True)
class Slice:
    """``length`` bytes from ``offset`` on of a blob, ``repeat`` times; no blob where there is
    nothing."""

    blob: int | None
    offset: int
    length: int
    repeat: int = 1


@dataclass(frozen=True, eq=False)
class Constants:
    """Streams and tables that instructions read besides activations.

    ``parameters``, ``weights`` and ``banks`` (of tables) have an entry for each tile. A tile that
    runs a unit's program has the room for that program in ``parameters`` and the words that the
    program looks up in ``weights``. ``tensors`` maps constant tensors to their blobs.
    """

    blobs: tuple[bytes, ...]
    parameters: tuple[Slice, ...]
    weights: tuple[Slice, ...]
    banks: tuple[int, ...]
    tensors: Mapping[int, int]


@dataclass(frozen=True, eq=False)
class SecondPlaces:
    """Addresses of what is there twice: commands, and stored tensors and constants by number."""

    program_address: int
    tensors: Mapping[int, int]
    blobs: Mapping[int, int]


@dataclass(frozen=True, eq=False)
class MemoryMap:
    """Places of everything in device memory (byte addresses, bit 31 = outside).

    ``tensors`` maps stored tensors, ``blobs`` has the address of each constant. The sizes are the
    ends of what is used on chip and outside, the bases its beginnings; 0 where nothing is used.
    ``second`` is there where inputs and outputs have two places.
    """

    program_address: int
    tensors: Mapping[int, int]
    blobs: tuple[int, ...]
    local_bytes: int
    outside_bytes: int
    local_base: int = 0
    outside_base: int = 0
    second: SecondPlaces | None = None


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

    The host writes ``uploads`` to device memory before the run, and reads ``downloads`` behind it.
    The run also reads ``residents``, which earlier parts left or uploaded.
    """

    uploads: tuple[int, ...]
    downloads: tuple[int, ...]
    residents: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Plan:
    """The compiler's knowledge of a program; each pass returns a more complete one.

    | field | filled by | contents |
    |---|---|---|
    | ``model`` | the caller | the graph as imported |
    | ``config``, ``options`` | the caller | the target, and what is asked for |
    | ``refused`` | a Refused | why the host runs an operator, by position in the model |
    | ``time_multiplexed`` | a NeedsLessMemory | cells with the inputs' products in each step |
    | ``in_blocks`` | a Refused | averages of more than the line buffer holds, in the model |
    | ``missing_memory`` | a NeedsLessMemory | the error before cells were time-multiplexed |
    | ``without_gaps`` | a NeedsNoGaps | memory has no room for gaps in maps |
    | ``sparing`` | a NeedsSparing | memory has no room for what saves cycles |
    | ``parts``, ``host_parts`` | partition | runs of the device, and the host's between them |
    | ``part_of`` | partition | the part of each position in the model |
    | ``graph`` | partition to lower | the operators of the device |
    | ``channels`` | dead_channels | channels that are left of a tensor that lost some |
    | ``storage`` | lower | by tensor, the tensor whose memory it is (RESHAPE moves no data) |
    | ``layers`` | lower to depth_first | the layers in the order of their execution |
    | ``spaced`` | space_out | the stored tensors that are maps with gaps |
    | ``in_parts`` | channel_parts | the stored tensors that are maps in parts of their channels |
    | ``spends`` | separate_pools, join | takes memory to save cycles |
    | ``saved_cycles`` | space_out | estimated cycles that gaps save |
    | ``tiles`` | tile | the instructions |
    | ``constants`` | constants | weights, parameters and tables |
    | ``memory`` | allocate | addresses |
    | ``stacks`` | depth_first | layers [first, past the last) that take turns, band by band |
    | ``banded`` | depth_first | of tensors that are never whole: rows held, and whether some stay |

    In ``graph`` the results of the host's operators are inputs. ``time_multiplexed`` has positions
    in the model, too; see ``kaniwa.compiler.recurrent.recurrent`` for what such cells do.
    """

    model: Graph
    graph: Graph
    config: AcceleratorConfig
    options: Options
    refused: Mapping[int, str] = field(default_factory=dict)
    time_multiplexed: frozenset[int] = frozenset()
    in_blocks: frozenset[int] = frozenset()
    missing_memory: MemoryTooSmallError | None = None
    without_gaps: bool = False
    sparing: bool = False
    parts: tuple[DevicePart, ...] = ()
    part_of: Mapping[int, int] = field(default_factory=dict)
    host_parts: tuple[HostPart, ...] = ()
    storage: Mapping[int, int] = field(default_factory=dict)
    channels: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    layers: tuple[Layer, ...] = ()
    spaced: Mapping[int, SpacedMap] = field(default_factory=dict)
    in_parts: Mapping[int, PartedMap] = field(default_factory=dict)
    spends: bool = False
    saved_cycles: float = 0
    tiles: tuple[Tile, ...] = ()
    constants: Constants | None = None
    memory: MemoryMap | None = None
    stacks: tuple[Pair, ...] = ()
    banded: Mapping[int, Pair] = field(default_factory=dict)

    @property
    def host_ops(self) -> tuple[Op, ...]:
        """The host's operators in the order of their execution."""
        return tuple(self.model.ops[i] for part in self.host_parts for i in part.positions)

    @property
    def align(self) -> int:
        """What each place in device memory is a multiple of: a word read or written, in bytes."""
        return max(self.config.read_bytes, self.config.write_bytes)

    @property
    def bases(self) -> tuple[int, int]:
        """Offsets of the first bytes on chip and outside, behind the programs that are to stay."""
        ends = [(0, 0), *((other.local[1], other.outside[1]) for other in self.options.behind)]
        local, outside = (-(-max(end) // self.align) * self.align
                          for end in zip(*ends, strict=True))
        return local, outside

    @property
    def room(self) -> int:
        """Bytes on chip that the programs that are to stay leave."""
        return max(0, self.config.memory_bytes - self.bases[0])

    def extent(self, stored: int) -> int:
        """The bytes from the first to the last of a stored tensor, gaps included."""
        spaced = self.spaced.get(stored)
        return stored_bytes(self.graph.tensors[stored]) if spaced is None else spaced.bytes

    def is_internal(self, stored: int) -> bool:
        """True for bytes that a layer makes, and that the host never moves."""
        graph = self.graph
        return (stored not in self.kept and stored not in graph.inputs
                and graph.tensors[stored].data is None
                and all(DTYPE_BYTES[graph.tensors[i].dtype] == 1
                        for i, root in self.storage.items() if root == stored))

    def readers(self) -> Counter[int]:
        """How many layers read each stored tensor, or take it out of the device."""
        readers = Counter(i for layer in self.layers for i in layer.reads)
        readers.update(self.kept)
        return readers

    @property
    def may_spend(self) -> bool:
        """True where layers may take memory to save cycles.

        Slow outside memory has its own order of layers (``depth_first``), which counts on whole
        maps.
        """
        outside = self.options.outside
        slow = outside is not None and outside.bytes > 0
        return not (slow or self.options.materialize or self.sparing)

    @property
    def kept(self) -> tuple[int, ...]:
        """The stored tensors that must be there at the end."""
        return tuple(dict.fromkeys(self.storage[i] for i in self.graph.outputs))
