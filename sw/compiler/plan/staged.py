"""Layers of several stages: passes of the array, and VECTORs that run the operator's program."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from kaniwa.compiler.plan.geometry import Pair, ScatteredOutput, Tile
from kaniwa.compiler.plan.layers import ArrayLayer, Stage, UnitProgram, of_both, whole_words
from kaniwa.compiler.plan.lookup import after
from kaniwa.config import AcceleratorConfig
from kaniwa.isa import Opcode
from kaniwa.units.vector.builder import Builder

__all__ = ["RecurrentLayer", "StagedLayer"]


@dataclass(frozen=True, eq=False)
class StagedLayer(UnitProgram):
    """An operator in ``stages``, which may write streams that later ones read as weights.

    The streams are constant tensors, ``filled`` those with bytes that are written in each run, and
    how many weights of each channel are; ``reads`` has all of them. ``between`` are tensors from
    one stage to the next, whose addresses the program has behind those of ``reads``. With ``steps``
    all stages come as often; the methods take a number that counts those of all steps.
    """

    opcode: ClassVar[Opcode] = Opcode.VECTOR

    stages: tuple[Stage, ...] = field(kw_only=True)
    filled: Mapping[int, int] = field(kw_only=True)
    between: tuple[int, ...] = field(kw_only=True)
    steps: int = 1

    @property
    def makes(self) -> tuple[int, ...]:
        """The tensors that it writes."""
        return (self.ofm, *self.between)

    @property
    def total(self) -> int:
        """Number of stages that come one after the other."""
        return self.steps * len(self.stages)

    @property
    def streams(self) -> Mapping[int, int]:
        """Constant tensors with bytes that each run writes, and their weights of each channel."""
        return self.filled

    @property
    def array_layers(self) -> tuple[ArrayLayer, ...]:
        """All passes of the array, once for all time steps."""
        return tuple(stage.layer for stage in self.stages if stage.layer is not None)

    @property
    def rescaled(self) -> ArrayLayer | None:
        """The last stage of a product, as the operator."""
        last = self.stages[-1].layer
        return replace(last, op=self.op, positions=self.positions) if last and self.macs else None

    def with_passes(self, view: Callable[[ArrayLayer], ArrayLayer | None]) -> StagedLayer | None:
        """The layer with its stages as ``view`` makes them, if all are of the array alone."""
        layers = [None if stage.layer is None else view(stage.layer) for stage in self.stages]
        if self.filled or self.steps > 1 or any(layer is None for layer in layers):
            return None
        read = dict.fromkeys(i for layer in layers if layer is not None for i in layer.reads)
        return replace(self, reads=tuple(i for i in read if i not in self.between), stages=tuple(
            replace(stage, layer=layer)
            for stage, layer in zip(self.stages, layers, strict=True)))

    def in_step(self, number: int) -> int:
        """Index of stage ``number`` in ``stages``."""
        return number % len(self.stages)

    def stage(self, number: int) -> Stage:
        """The stage with this number."""
        return self.stages[self.in_step(number)]

    def has_program(self, number: int) -> bool:
        """True for a VECTOR with the operator's program."""
        return self.stage(number).program

    def tiles(self, number: int, cut: Callable[[ArrayLayer], Iterator[Tile]]) -> Iterator[Tile]:
        """The instructions of layer ``number``, stage by stage."""
        program = Tile.of_program(number)
        stages = [[program] if stage.layer is None else list(cut(stage.layer))
                  for stage in self.stages]
        for step in range(self.total):
            own = [program] if self.stage(step).program else stages[self.in_step(step)]
            yield from (replace(tile, step=step) for tile in own)

    def program(self, number: int, config: AcceleratorConfig, tensors: Mapping[int, int],
                table: int) -> bytes:
        """The operator's program, or the one that does nothing but wait."""
        if self.has_program(number):
            return super().program(number, config, tensors, table)
        return whole_words(Builder(config).finish(), config)

    def settled(self, number: int) -> bool:
        """True where the operator's program has run before: behind it all tensors are there."""
        return any(stage.program for stage in self.stages[:number])

    def made(self, number: int) -> tuple[int, ...]:
        """The tensors that a stage writes; the program those that no other does."""
        stage = self.stage(number)
        if stage.layer is not None or not stage.program:
            return () if stage.layer is None else stage.layer.makes
        others = {i for other in self.stages if other.layer is not None
                  for i in other.layer.makes}
        return tuple(i for i in self.makes if i not in others)

    @property
    def passes_of_result(self) -> tuple[ArrayLayer, ...]:
        """All stages, if each is a pass that writes the result, which none of them reads."""
        passes = self.array_layers
        alone = len(passes) == self.total and not self.filled and self.makes == (self.ofm,)
        return passes if alone and all(
            own.ofm == self.ofm and self.ofm not in own.reads for own in passes) else ()

    def without(self, passes: Sequence[ArrayLayer]) -> StagedLayer | None:
        """The layer without some of its ``passes_of_result``; None where none is left."""
        left = tuple(stage for stage in self.stages
                     if all(stage.layer is not own for own in passes))
        read = {i for stage in left if stage.layer is not None for i in stage.layer.reads}
        return replace(self, stages=left, reads=tuple(
            i for i in self.reads if i in read)) if left else None

    def with_lookup(self, guest: ArrayLayer) -> StagedLayer | None:
        """The layer with a table behind each of its ``passes_of_result``."""
        table, passes = guest.table, self.passes_of_result
        if table is None or not passes or any(own.add is not None for own in passes):
            return None
        stages = tuple(replace(stage, layer=None if stage.layer is None else replace(
            stage.layer, ofm=guest.ofm, table=after(stage.layer.table, table)))
            for stage in self.stages)
        return replace(self, **of_both(self, guest), stages=stages)

    def side_by_side(self, guest: ArrayLayer, lanes: int) -> StagedLayer | None:
        """A product whose last stage writes its images where ``guest`` would move them."""
        last = self.stages[-1]
        if self.op != "BATCH_MATMUL" or last.layer is None or guest.places is None:
            return None      # a program has its place
        images, (_, rows, columns) = last.layer.geometry.batch, last.layer.geometry.ofm
        if (guest.geometry.batch, guest.geometry.ifm) != (1, (images, rows, columns)):
            return None
        moved = replace(last.layer, ofm=guest.ofm, lanes=lanes,
                        places=ScatteredOutput(0, columns, 0, images * columns, columns, 0))
        return replace(self, **of_both(self, guest), stages=(*self.stages[:-1], replace(
            last, layer=moved)))


@dataclass(frozen=True, eq=False)
class RecurrentLayer(StagedLayer):
    """A recurrent cell, whose program begins anew ``again`` in each step.

    The first VECTOR runs the program from its beginning to an END before ``again``, others go on
    with what it left in the store: those that are to wait run that END. Stages that take in the
    hidden state have in the first step that of tensor ``first``, then of ``carried``, what the step
    before has written there: of ``ofm`` its row. Where both are the same the first VECTOR comes
    before all steps, and writes it. The program writes ``rows``, which is ``ofm`` where no stage
    behind it makes that. One more VECTOR, from ``behind`` on, stores ``states``, if there are any,
    whose addresses come behind those of ``reads``.
    """

    time_multiplexes: ClassVar[bool] = True
    sheds_memory: ClassVar[bool] = True

    rows: int = field(kw_only=True)
    first: int = field(kw_only=True)
    carried: int = field(kw_only=True)
    again: int = field(kw_only=True)
    states: tuple[int, ...] = ()
    behind: int = 0

    @property
    def total(self) -> int:
        """Number of stages that come one after the other."""
        return super().total + self._before + bool(self.states)

    @property
    def makes(self) -> tuple[int, ...]:
        """The tensors that it writes."""
        return (self.ofm, *self.states, *self.between)

    @property
    def following_states(self) -> tuple[Pair, ...]:
        """States before and behind all steps: products and program have read them by then."""
        return tuple(zip(self.reads[1:], self.states, strict=False))

    def in_step(self, number: int) -> int:
        """Index of stage ``number`` in ``stages``."""
        return super().in_step(number - self._before)

    def stage(self, number: int) -> Stage:
        """The stage with this number, with the hidden state and the input of its step."""
        if number < self._before or self._is_behind(number):
            return Stage(program=True)
        stage, steps = super().stage(number), (number - self._before) // len(self.stages)
        layer = stage.layer
        if layer is None or not steps:
            return stage
        if stage.result_advance:
            assert layer.places is not None
            return replace(stage, layer=replace(layer, places=replace(
                layer.places, first=layer.places.first + steps * stage.result_advance)))
        if layer.ifm == self.first:
            layer, steps = replace(layer, ifm=self.carried), steps - 1
        if not stage.advance:
            return replace(stage, layer=layer)
        assert layer.source_at is not None
        first, image, row = layer.source_at
        return replace(stage, layer=replace(layer, source_at=(
            first + steps * stage.advance, image, row)))

    def has_program(self, number: int) -> bool:
        """All do."""
        return True

    def made(self, number: int) -> tuple[int, ...]:
        """The tensors that a stage writes."""
        if self._is_behind(number):
            return self.states
        if number < self._before:
            return (self.carried,)
        if not self.stage(number).program:
            return super().made(number)
        return (self.rows,) if self.carried == self.ofm else (self.rows, self.carried)

    def place(self, number: int) -> int:
        """Place where a VECTOR begins in the program that is there, 0 for the one that loads it."""
        if self._is_behind(number):
            return self.behind
        if number < self._before:
            return 0
        if self.stage(number).program:
            return self.again
        loaded = self._before or any(stage.layer is None for stage in self.stages[:number])
        return self.again - 1 if loaded else 0

    def settled(self, number: int) -> bool:
        """True where a VECTOR with the program has run before."""
        return number > 0 if self._before else super().settled(number)

    @property
    def _before(self) -> int:
        """Number of VECTORs that come before all steps."""
        return int(self.first == self.carried)

    def _is_behind(self, number: int) -> bool:
        """True for the VECTOR behind all steps."""
        return bool(self.states) and number == self.total - 1
