"""Operators that take several instructions of both units: layers of the array, and VECTORs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from kaniwa.compiler.plan.layer import Layer, Pair, Tile, VectorLayer

__all__ = ["RecurrentLayer", "Stage", "StagedLayer", "Stream"]


@dataclass(frozen=True)
class Stream:
    """A constant tensor with a stream for each image: the ``first`` byte of one, bytes from one
    ``image`` to the next, and from one ``block`` of channels, which has its own header, to the
    next."""

    tensor: int
    first: int
    image: int
    block: int

    def part(self, tile: Tile) -> Pair:
        """Offset and length of what a tile reads."""
        first, last = tile.blocks
        return (self.first + tile.image * self.image + first * self.block,
                (last - first) * self.block)


@dataclass(frozen=True, eq=False)
class Stage:
    """A part of a ``StagedLayer``: a ``layer``, or a VECTOR, for which all before it is complete.

    ``weights`` and ``parameters`` are streams; None: they are those of ``layer``. A VECTOR has the
    operator's ``program``, or one that does nothing. What the layer of a recurrent step takes in
    lies ``advance`` bytes behind that of the step before, if that is not 0, and its results
    ``result_advance`` bytes.
    """

    layer: Layer | None = None
    weights: Stream | None = None
    parameters: Stream | None = None
    program: bool = False
    advance: int = 0
    result_advance: int = 0


@dataclass(frozen=True, eq=False)
class StagedLayer(VectorLayer):
    """An operator in ``stages``, which may write streams that later ones read as weights.

    The streams are constant tensors, ``filled`` those with bytes that are written in each run, and
    how many weights of each channel are; ``reads`` has all of them. ``between`` are tensors from
    one stage to the next, whose addresses the program has behind those of ``reads``. With ``steps``
    all stages come as often; the methods take a number that counts those of all steps.
    """

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
        """How many stages come one after the other."""
        return self.steps * len(self.stages)

    def in_step(self, number: int) -> int:
        """Which of ``stages`` it is."""
        return number % len(self.stages)

    def stage(self, number: int) -> Stage:
        """What is done then."""
        return self.stages[self.in_step(number)]

    def has_program(self, number: int) -> bool:
        """Whether a VECTOR has the operator's program."""
        return self.stage(number).program

    def settled(self, number: int) -> bool:
        """Whether the operator's program has run before: behind that all is there."""
        return any(stage.program for stage in self.stages[:number])

    def made(self, number: int) -> tuple[int, ...]:
        """The tensors that a stage writes; the program those that no other does."""
        stage = self.stage(number)
        if stage.layer is not None or not stage.program:
            return () if stage.layer is None else stage.layer.makes
        others = {i for other in self.stages if other.layer is not None
                  for i in other.layer.makes}
        return tuple(i for i in self.makes if i not in others)


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

    rows: int = field(kw_only=True)
    first: int = field(kw_only=True)
    carried: int = field(kw_only=True)
    again: int = field(kw_only=True)
    states: tuple[int, ...] = ()
    behind: int = 0

    @property
    def total(self) -> int:
        """How many stages come one after the other."""
        return super().total + self._before + bool(self.states)

    @property
    def makes(self) -> tuple[int, ...]:
        """The tensors that it writes."""
        return (self.ofm, *self.states, *self.between)

    def in_step(self, number: int) -> int:
        """Which of ``stages`` it is."""
        return super().in_step(number - self._before)

    def stage(self, number: int) -> Stage:
        """What is done then, with the hidden state and the input of that step."""
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
        """Where a VECTOR begins in the program that is there, 0 for the one that loads it."""
        if self._is_behind(number):
            return self.behind
        if number < self._before:
            return 0
        if self.stage(number).program:
            return self.again
        loaded = self._before or any(stage.layer is None for stage in self.stages[:number])
        return self.again - 1 if loaded else 0

    def settled(self, number: int) -> bool:
        """Whether a VECTOR with the program has run before."""
        return number > 0 if self._before else super().settled(number)

    @property
    def _before(self) -> int:
        """How many VECTORs come before all steps."""
        return int(self.first == self.carried)

    def _is_behind(self, number: int) -> bool:
        """Whether it is the VECTOR behind all steps."""
        return bool(self.states) and number == self.total - 1
