"""Layers: what an operator is on the device, and the instructions that each kind of layer has.

| kind of layer | instructions |
|---|---|
| ``ArrayLayer`` | LAYERs, as many as ``tile`` cuts it into |
| ``VectorProgram`` | one VECTOR: a program of the vector unit |
| ``CellSequence`` (``recurrent/cell_unit.py``) | one CELL |
| ``StagedLayer`` (``plan/staged.py``) | LAYERs and VECTORs, stage by stage |

All kinds answer the same questions, so that no pass asks of which kind a layer is. ``OneStage``
has the questions and the answers that most kinds give.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from kaniwa.compiler.plan.geometry import Geometry, ScatteredOutput, SpacedMap, Stream, Tile
from kaniwa.compiler.plan.operands import Pair
from kaniwa.compiler.plan.rescale import Int64, Rescale
from kaniwa.config import AcceleratorConfig
from kaniwa.isa import INSTRUCTION_BYTES, Mode, Opcode

__all__ = ["ArrayLayer", "Code", "Layer", "OneStage", "Stage", "Sum", "UnitProgram",
           "VectorProgram", "of_both", "whole_words"]

Code = Callable[[tuple[int, ...], int, int], bytes]


@dataclass(frozen=True, eq=False)
class Sum:
    """An ADD behind the requantizer: ``tables[0][result] + tables[1][operand]``, rescaled.

    With ``multiply`` it is a MUL: the product in place of the sum. With ``repeated`` the operand is
    one pixel, and the same for all. ``spaced``: the operand's map, where it has gaps.
    """

    operand: int
    tables: npt.NDArray[np.int32]      # [2, 256], index = value + 128
    rescale: Rescale
    multiply: bool = False
    repeated: bool = False
    spaced: SpacedMap | None = None


class OneStage:
    """The questions that passes ask of a layer, with the answers of a layer of one stage.

    Numbers of stages count all instructions of the units: those of every time step.
    """

    opcode: ClassVar[Opcode]
    keeps_registers: ClassVar[bool] = False
    time_multiplexes: ClassVar[bool] = False
    sheds_memory: ClassVar[bool] = False

    @property
    def makes(self) -> tuple[int, ...]:
        """The tensors that the layer writes."""
        raise NotImplementedError

    @property
    def total(self) -> int:
        """The number of stages."""
        return 1

    @property
    def streams(self) -> Mapping[int, int]:
        """Constant tensors with bytes that each run writes, and their weights of each channel."""
        return {}

    @property
    def looked_up(self) -> bytes:
        """The words that a program looks up."""
        return b""

    @property
    def own_bytes(self) -> int:
        """Memory of the layer's instructions and of the words that its program looks up."""
        return 0

    @property
    def on_array(self) -> ArrayLayer | None:
        """The layer itself where the array computes it in one pass."""
        return None

    @property
    def array_layers(self) -> tuple[ArrayLayer, ...]:
        """All passes of the array."""
        return ()

    @property
    def rescaled(self) -> ArrayLayer | None:
        """The pass of the array that makes the result by a rescaling."""
        return None

    @property
    def overwritten(self) -> int | None:
        """The tensor that is read before the result is written over it."""
        return None

    @property
    def following_states(self) -> tuple[Pair, ...]:
        """Tensors of states, each with the one behind it, that may be written over the first."""
        return ()

    def in_step(self, number: int) -> int:
        """Index of stage ``number`` among the stages of a time step."""
        return 0

    def has_program(self, number: int) -> bool:
        """True for an instruction with the operator's own program."""
        return True

    def place(self, number: int) -> int:
        """Place where an instruction begins in the program that is there, 0 to load the program."""
        return 0

    def settled(self, number: int) -> bool:
        """True where the operator's program has run before: behind it all tensors are there."""
        return False

    def made(self, number: int) -> tuple[int, ...]:
        """The tensors that stage ``number`` writes."""
        return self.makes

    def program(self, number: int, config: AcceleratorConfig, tensors: Mapping[int, int],
                table: int) -> bytes:
        """The program of stage ``number`` for addresses of tensors and of the words looked up."""
        return b""

    def with_passes(self, view: Callable[[ArrayLayer], ArrayLayer | None]) -> Layer | None:
        """The layer with each of several passes as ``view`` makes it; None where that refuses one,
        or where the layer is more than passes of the array."""
        return None

    @property
    def passes_of_result(self) -> tuple[ArrayLayer, ...]:
        """Passes of the array, and nothing else, each of which makes a part of the result; () for
        a layer of one pass."""
        return ()

    def without(self, passes: Sequence[ArrayLayer]) -> Layer | None:
        """The layer without some of its ``passes_of_result``; None where none is left."""
        raise NotImplementedError

    def with_lookup(self, guest: ArrayLayer) -> Layer | None:
        """The layer with the table of ``guest`` behind each of its ``passes_of_result``, in the
        guest's place; None where one of them has no room for it."""
        return None

    def side_by_side(self, guest: ArrayLayer, lanes: int) -> Layer | None:
        """The layer with its images written side by side, as the transposition ``guest`` behind it
        moves them, in blocks of ``lanes``; None where that is not all that ``guest`` does."""
        return None


@dataclass(frozen=True, eq=False)
class ArrayLayer(OneStage):
    """One pass over a tensor. ``ifm``, ``ofm`` and ``add.operand`` are ids of stored tensors.

    | field | contents |
    |---|---|
    | ``weights`` | DENSE [OC, KH, KW, IC], DEPTHWISE and COLUMN [KH, KW, C], MAX_POOL None |
    | ``bias`` | of each output channel, with the input's zero point |
    | ``macs`` | the model's multiplications |
    | ``source`` | operator indexes in the model file |
    | ``identity`` | the result before ``add`` or ``table`` is the input itself, byte by byte |
    | ``table`` | a map of the int8 result, index = value + 128; not with ``add`` |
    | ``removed`` | what of ``macs`` is not computed (see LayerInfo) |
    | ``patch`` | DENSE with the taps of a pixel packed |
    | ``listed`` | DENSE with a list of the steps that have weights |
    | ``part`` | the run of the device that the layer belongs to |
    | ``positions`` | the operators in the model, the one that shapes the layer first |
    | ``visits`` | how often a pixel's bytes, or its window in COLUMN, meet weights: other ones |
    | ``weight_zero_point`` | DENSE: what the array takes off ``weights`` |
    | ``lanes`` | channels of a block, 0: as many as the mode has |
    | ``spread`` | DENSE: channels of a lane, which have the same weights |
    | ``places`` | where results lie that are not a map without gaps |
    | ``has_gaps`` | a map that is read or written is a SpacedMap |
    | ``source_at`` | where ``ifm`` is no whole rows: its first byte, bytes to the next image, row |

    Weights are int16 if some do not fit int8 (see ``plan/visits.py``). Only what ``visited`` makes
    of a layer has ``visits``, and ``lanes`` without ``places``. An instruction with ``places`` has
    a run of blocks at most, and needs ``lanes``, unless these are gaps in a map. Where pixels of
    ``ifm`` have gaps behind them, the channels of ``geometry.ifm`` count these too.
    """

    opcode: ClassVar[Opcode] = Opcode.LAYER
    keeps_registers: ClassVar[bool] = True

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
    source: tuple[int, ...]
    add: Sum | None = None
    identity: bool = False
    table: npt.NDArray[np.int8] | None = None
    removed: Mapping[str, Any] | None = None
    patch: bool = False
    listed: bool = False
    part: int = 0
    positions: tuple[int, ...] = ()
    visits: int = 1
    weight_zero_point: int = 0
    lanes: int = 0
    spread: int = 1
    places: ScatteredOutput | None = None
    source_at: tuple[int, int, int] | None = None
    has_gaps: bool = False

    @property
    def tables(self) -> tuple[npt.NDArray[np.int32], ...]:
        """The tables that the post unit needs, number 0 first."""
        if self.add is not None:
            return tuple(self.add.tables)
        return () if self.table is None else (self.table.astype(np.int32),)

    @cached_property
    def weight_bits(self) -> int:
        """Bits that all weights fit in two's complement, 0 where there are none but zeros."""
        if self.weights is None or not self.weights.any():
            return 0
        low, high = int(self.weights.min()), int(self.weights.max())
        return min(8, max(high, -low - 1).bit_length() + 1)

    @property
    def reads(self) -> tuple[int, ...]:
        """The tensors that the layer reads."""
        return (self.ifm,) if self.add is None else (self.ifm, self.add.operand)

    @property
    def operand_places(self) -> ScatteredOutput:
        """Where the values of the operand lie, by the results that they are added to."""
        if self.add is not None and self.add.spaced is not None:
            return self.add.spaced.output
        return self.places if self.places and not self.has_gaps else self.geometry.output

    @property
    def makes(self) -> tuple[int, ...]:
        """The tensors that the layer writes."""
        return (self.ofm,)

    @property
    def on_array(self) -> ArrayLayer:
        """The layer itself."""
        return self

    @property
    def array_layers(self) -> tuple[ArrayLayer, ...]:
        """The layer itself."""
        return (self,)

    @property
    def rescaled(self) -> ArrayLayer:
        """The layer itself."""
        return self

    @property
    def overwritten(self) -> int | None:
        """The operand, whose words are read before the sums are written; the input's are not."""
        return None if self.add is None or self.add.operand == self.ifm else self.add.operand

    def revised(self, view: Callable[[ArrayLayer], ArrayLayer]) -> ArrayLayer:
        """The layer as ``view`` makes it of a pass of the array; other kinds of layers stay."""
        return view(self)

    def without_table(self) -> ArrayLayer:
        """The layer as it is."""
        return self

    def stage(self, number: int) -> Stage:
        """The only stage."""
        return Stage(self)

    def tiles(self, number: int, cut: Callable[[ArrayLayer], Iterator[Tile]]) -> Iterator[Tile]:
        """The instructions of layer ``number``, those of the array as ``cut`` has them."""
        return cut(self)


@dataclass(frozen=True, eq=False)
class Stage:
    """A part of a layer: a pass of the array, or a program, for which all before it is complete.

    ``weights`` and ``parameters`` are streams; None: they are those of ``layer``. A stage without
    ``layer`` has the operator's ``program``, or one that does nothing. What the layer of a
    recurrent step takes in lies ``advance`` bytes behind that of the step before, if that is not 0,
    and its results ``result_advance`` bytes.
    """

    layer: ArrayLayer | None = None
    weights: Stream | None = None
    parameters: Stream | None = None
    program: bool = False
    advance: int = 0
    result_advance: int = 0


@dataclass(frozen=True, eq=False)
class UnitProgram(OneStage, ABC):
    """A layer that runs a unit's program. ``reads`` and ``ofm`` are stored tensors.

    ``code`` gives the program for their addresses and the one of ``table``, the words that the
    program looks up. Its length does not depend on the addresses. The rest is as in ``ArrayLayer``.
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
    @abstractmethod
    def makes(self) -> tuple[int, ...]:
        """The tensors that the layer writes, ``ofm`` first."""

    @property
    def looked_up(self) -> bytes:
        """The words that the program looks up."""
        return self.table

    @property
    def own_bytes(self) -> int:
        """Memory of the layer's instructions and of the words that its program looks up."""
        return self.total * INSTRUCTION_BYTES + len(self.table)

    def revised(self, view: Callable[[ArrayLayer], ArrayLayer]) -> UnitProgram:
        """The layer as it is."""
        return self

    def without_table(self) -> UnitProgram:
        """The layer for a unit that has the words of ``table`` in its registers already."""
        return self

    def stage(self, number: int) -> Stage:
        """The program."""
        return Stage(program=True)

    def tiles(self, number: int, cut: Callable[[ArrayLayer], Iterator[Tile]]) -> Iterator[Tile]:
        """The instructions of layer ``number``, those of the array as ``cut`` has them."""
        yield Tile.of_program(number)

    def program(self, number: int, config: AcceleratorConfig, tensors: Mapping[int, int],
                table: int) -> bytes:
        """The program for addresses of tensors and of ``table``, in whole words of memory.

        Behind the addresses of ``reads`` come those of what the layer makes besides ``ofm``.
        """
        reads = tuple(tensors[i] for i in (*self.reads, *self.makes[1:]))
        return whole_words(self.code(reads, tensors[self.ofm], table), config)


@dataclass(frozen=True, eq=False)
class VectorProgram(UnitProgram):
    """One VECTOR instruction."""

    opcode: ClassVar[Opcode] = Opcode.VECTOR

    @property
    def makes(self) -> tuple[int, ...]:
        """The tensors that the layer writes."""
        return (self.ofm,)


Layer = ArrayLayer | UnitProgram


def whole_words(code: bytes, config: AcceleratorConfig) -> bytes:
    """``code`` with zeros behind it, up to the end of a word of memory."""
    return code + bytes(-len(code) % config.read_bytes)


def of_both(host: Layer, guest: ArrayLayer) -> dict[str, Any]:
    """The fields of ``host`` that change with any ``guest`` behind it: result, name and origin."""
    if host.op.split("+")[-1] == guest.op and host.positions[-1:] == guest.positions:
        return {"ofm": guest.ofm}      # both are of one operator
    return {"ofm": guest.ofm, "op": f"{host.op}+{guest.op}", "source": host.source + guest.source,
            "positions": host.positions + guest.positions}
