"""Lets layers take turns, a band of rows each, where whole maps would cross to outside memory."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod

from kaniwa.compiler.plan.fields import block_width
from kaniwa.compiler.plan.geometry import Pair, Tile
from kaniwa.compiler.plan.layers import ArrayLayer
from kaniwa.compiler.plan.plan import Plan
from kaniwa.compiler.schedule.allocate import allocate
from kaniwa.compiler.schedule.bands import Stack, stack_of
from kaniwa.compiler.schedule.constants import constants
from kaniwa.compiler.schedule.estimate import estimate
from kaniwa.compiler.schedule.tile import tiles_of
from kaniwa.errors import CompileError
from kaniwa.isa import OUTSIDE, Mode

__all__ = ["depth_first"]

logger = logging.getLogger(__name__)
LONGEST = 7            # layers of a stack
SUBS = (1, 2, 3, 4, 6, 8, 12, 16, 28)
LAPS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 28)
SMALL = 8              # a tensor of less than such a part of on-chip memory is taken to be there
RESERVE = 6            # part of on-chip memory that is left to other tensors and to constants
LAPS_TRIED = 3         # of those that fit
FEW_WEIGHTS = 32       # a layer's weights of less than such a part are taken to be there
SECOND = 64            # the array's cycles count so little where the bus is the limit
TURN = 100             # cycles from an instruction's results to the next one's first step


@dataclass(frozen=True)
class _Choice:
    """A stack from layer ``first`` on, None: a layer as it is. ``cycles`` as estimated."""

    first: int
    last: int
    cycles: float
    stack: Stack | None = None


def depth_first(plan: Plan) -> Plan:
    """Order the bands of layers such that what crosses to outside memory takes least time."""
    outside = plan.options.outside
    if (outside is None or not outside.bytes or plan.options.materialize
            or not plan.config.memory_bytes or plan.memory is None
            or not any(address >= OUTSIDE for address in plan.memory.tensors.values())):
        return plan
    chooser = _Chooser(plan)
    choices = [choice for first, last in chooser.chains() for choice in chooser.best(first, last)
               if choice.stack is not None]
    if not choices:
        return plan
    try:
        return allocate(constants(_arranged(plan, choices, chooser)))
    except CompileError as error:
        logger.debug("layers stay one after the other: %s", error)
        return plan


class _Chooser:
    """Chooses stacks by estimated cycles of the array and of the bus."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._room = plan.room * (RESERVE - 1) // RESERVE
        assert plan.options.outside is not None
        self._bus = plan.options.outside.bytes
        self.layers = {number: in_rows(plan, own) for number, layer in enumerate(plan.layers)
                       if (own := layer.on_array) is not None}
        self.tiles = {number: tiles_of(number, layer, plan.config)
                      for number, layer in self.layers.items()}
        self._readers = Counter(i for layer in plan.layers for i in layer.reads)
        self._readers.update(plan.kept)
        self._readers.update(i for part in plan.parts for i in part.downloads)
        self._cycles = {number: sum(
            estimate(layer, tile, plan.config, ahead=True) for tile in self.tiles[number])
            for number, layer in self.layers.items()}

    def chains(self) -> Iterator[Pair]:
        """Layers [first, past the last) of which each is the only one to read the one before."""
        first = 0
        while first < len(self._plan.layers):
            last = first + 1
            if self._bands(first):
                while last < len(self._plan.layers) and self._follows(last):
                    last += 1
                yield first, last
            first = last

    def _bands(self, number: int) -> bool:
        """True for a layer that may be cut into bands of rows."""
        layer = self.layers.get(number)
        if layer is None or layer.places or layer.source_at or layer.has_gaps or (
                layer.add is not None and layer.add.spaced is not None):
            return False
        g = layer.geometry
        return g.batch == 1 and g.ofm[0] > 1 and all(
            tile.rows == (0, g.ofm[0]) and not tile.weights_stream and tile.visits == 1
            for tile in self.tiles[number])

    def _follows(self, number: int) -> bool:
        return self._bands(number) and self.layers[number - 1].part == self.layers[number].part

    def _joined(self, number: int) -> bool:
        """True where the layer may be in a stack with the one before it."""
        before, layer = self.layers[number - 1], self.layers[number]
        shape = self._plan.graph.tensors[before.ofm].shape
        return (layer.ifm == before.ofm and self._readers[before.ofm] == 1
                and layer.geometry.ifm == before.geometry.ofm
                and len(shape) == 4 and shape[1:] == before.geometry.ofm)

    def best(self, first: int, last: int) -> list[_Choice]:
        """The stacks and layers with the least cycles."""
        best: dict[int, tuple[float, list[_Choice]]] = {first: (0.0, [])}
        for number in range(first, last):
            cycles, before = best[number]
            for end in range(number + 1, min(last, number + LONGEST) + 1):
                if end > number + 1 and not self._joined(end - 1):
                    break
                choice = self._choice(number, end)
                if choice is not None and (end not in best
                                           or cycles + choice.cycles < best[end][0]):
                    best[end] = cycles + choice.cycles, [*before, choice]
        return best[last][1]

    def _size(self, tensor: int) -> int:
        return prod(self._plan.graph.tensors[tensor].shape)

    def _crosses(self, tensor: int, crowded: bool) -> bool:
        """True for a tensor that is outside where layers come one after the other, or that finds no
        room beside the rows of a stack (``crowded``)."""
        assert self._plan.memory is not None
        large = self._size(tensor) * SMALL >= self._plan.config.memory_bytes
        return self._plan.memory.tensors[tensor] >= OUTSIDE or (crowded and large)

    def _bus_cycles(self, layers: Sequence[ArrayLayer], crowded: bool) -> tuple[float, float]:
        """Cycles for which the whole tensors of a stack or layer have the bus: reads, writes."""
        head, tail = layers[0], layers[-1]
        read = [head.ifm, *(layer.add.operand for layer in layers if layer.add)]
        parts = 1.0 if tail.mode == Mode.DENSE else max(
            1.0, self._plan.config.write_bytes / block_width(tail, self._plan.config))
        return (sum(self._size(i) for i in read if self._crosses(i, crowded)) / self._bus,
                parts * self._size(tail.ofm) * self._crosses(tail.ofm, crowded) / self._bus)

    def _streamed(self, layer: ArrayLayer) -> int:
        """Bytes of the layer's weights and parameters that each of its bands reads from outside
        memory."""
        size = (0 if layer.weights is None else layer.weights.nbytes) + 12 * layer.geometry.ofm[2]
        return size if size * FEW_WEIGHTS > self._plan.config.memory_bytes else 0

    def _choice(self, first: int, last: int) -> _Choice | None:
        layers = [self.layers[number] for number in range(first, last)]
        if len(layers) == 1:
            array = self._cycles[first]
            bus = sum(self._bus_cycles(layers, False)) + self._streamed(layers[0]) / self._bus
            return _Choice(first, last, max(array, bus) + array / SECOND)
        choices = [_Choice(first, last, self._stack_cycles(first, layers, stack), stack)
                   for stack in self._stacks(layers)]
        return min(choices, key=lambda choice: choice.cycles, default=None)

    def _held(self, layers: Sequence[ArrayLayer], stack: Stack) -> int:
        """Bytes of the rows that a stack has on chip."""
        return sum(rows * prod(layer.geometry.ofm[1:])
                   for rows, layer in zip(stack.held, layers[:-1], strict=True))

    def _stacks(self, layers: Sequence[ArrayLayer]) -> Iterator[Stack]:
        """Stacks of the layers whose rows fit on chip, for the longest laps that there are."""
        height, found = layers[-1].geometry.ofm[0], 0
        for parts in LAPS:
            lap, fits = -(-height // parts), False
            for sub in SUBS:
                if sub > lap:
                    break
                stack = stack_of([layer.geometry for layer in layers], lap, sub)
                if self._held(layers, stack) <= self._room:
                    fits = True
                    yield stack
            found += fits
            if found == LAPS_TRIED:
                return

    def _stack_cycles(self, first: int, layers: Sequence[ArrayLayer], stack: Stack) -> float:
        """Cycles of the array, with what it waits for the bus, or those of the bus if more."""
        head, tail = layers[0], layers[-1]
        whole = sum(self._size(i) for i in {head.ifm, tail.ofm, *(
            layer.add.operand for layer in layers if layer.add)})
        read, written = self._bus_cycles(layers, self._held(layers, stack) + whole > self._room)
        array = [self._cycles[first + place] * stack.computed(place) / layer.geometry.ofm[0]
                 + TURN * stack.count(place) for place, layer in enumerate(layers)]
        weights = sum(self._streamed(layer) * stack.count(place)
                      for place, layer in enumerate(layers)) / self._bus
        # Writes wait in the bands that write, where reads of the next ones are already.
        waits = max(0.0, read + written - array[-1]) if written else max(0.0, read - array[0])
        return max(sum(array) + waits, read + written + weights) + sum(array) / SECOND


def in_rows(plan: Plan, layer: ArrayLayer) -> ArrayLayer:
    """The layer with the rows of its maps, where pixels that are alike were put into longer ones.
    """
    g = layer.geometry
    shapes = [plan.graph.tensors[i].shape for i in (layer.ifm, layer.ofm)]
    if layer.has_gaps or (g.kernel, g.stride, g.batch) != ((1, 1), (1, 1), 1) or any(
            g.padding) or any(len(shape) != 4 or shape[0] != 1 for shape in shapes):
        return layer
    (_, *ifm), (_, *ofm) = shapes
    if ifm[:2] != ofm[:2] or (ifm[2], ofm[2]) != (g.ifm[2], g.ofm[2]):
        return layer
    return replace(layer, geometry=replace(g, ifm=(ifm[0], ifm[1], ifm[2]),
                                           ofm=(ofm[0], ofm[1], ofm[2])))


def _arranged(plan: Plan, choices: Sequence[_Choice], chooser: _Chooser) -> Plan:
    """The plan with the tiles of stacks in bands."""
    tiles: dict[int, list[Tile]] = {}
    for tile in plan.tiles:
        tiles.setdefault(tile.layer, []).append(tile)
    starts = {choice.first: choice for choice in choices}
    arranged: list[Tile] = []
    layers = list(plan.layers)
    banded: dict[int, Pair] = {}
    number = 0
    while number < len(plan.layers):
        choice = starts.get(number)
        if choice is None or choice.stack is None:
            arranged += tiles[number]
            number += 1
            continue
        for band in choice.stack.bands:
            arranged += [replace(tile, rows=band.rows, ifm_base=band.ifm_base,
                                 ofm_base=band.ofm_base)
                         for tile in chooser.tiles[number + band.place]]
        for place, (rows, kept) in enumerate(zip(choice.stack.held, choice.stack.kept,
                                                 strict=True)):
            banded[chooser.layers[number + place].ofm] = rows, int(kept)
        layers[number:choice.last] = [chooser.layers[i] for i in range(number, choice.last)]
        number = choice.last
    return replace(plan, layers=tuple(layers), tiles=tuple(arranged), banded=banded,
                   stacks=tuple((choice.first, choice.last) for choice in choices))
