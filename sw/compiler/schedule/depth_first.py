"""Lets layers take turns, a band of rows each, where whole maps would cross to outside memory."""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from math import prod

from kaniwa.compiler.plan.fields import block_width
from kaniwa.compiler.plan.geometry import Pair, Tile
from kaniwa.compiler.plan.layers import ArrayLayer, Layer
from kaniwa.compiler.plan.plan import Plan
from kaniwa.compiler.schedule.allocate import allocate
from kaniwa.compiler.schedule.bands import Band, Member, Stack, stack_of
from kaniwa.compiler.schedule.constants import constants
from kaniwa.compiler.schedule.estimate import estimate
from kaniwa.compiler.schedule.row_passes import (
    in_rows,
    passes_of,
    pixels_moved,
    row_bytes,
    rows_moved,
)
from kaniwa.compiler.schedule.tile import tiles_of
from kaniwa.config import AcceleratorConfig
from kaniwa.errors import CompileError
from kaniwa.isa import OUTSIDE, Mode

__all__ = ["depth_first"]

logger = logging.getLogger(__name__)
LONGEST = 16           # layers of a stack
SUBS = (28, 16, 12, 8, 6, 4, 3, 2, 1)
LAPS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 28)
SMALL = 8              # a tensor of less than such a part of on-chip memory is taken to be there
RESERVES = (6, 4, 3, 2)    # parts of on-chip memory that are left to other tensors and constants
LAPS_TRIED = 3         # of those that fit
SUBS_TRIED = 2         # the same
FEW_WEIGHTS = 32       # a layer's weights of less than such a part are taken to be there
SECOND = 64            # the array's cycles count so little where the bus is the limit
TURNS = 256            # of a stack: each has a tag, of which there are not so many
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
    for reserve in RESERVES:
        chooser = _Chooser(plan, plan.room * (reserve - 1) // reserve)
        choices = [choice for first, last in chooser.runs() for choice in chooser.best(first, last)
                   if choice.stack is not None]
        if not choices:
            break
        try:
            return allocate(constants(_arranged(plan, choices, chooser)))
        except CompileError as error:
            logger.debug("stacks with a %dth of the memory left: %s", reserve, error)
    return plan


class _Chooser:
    """Chooses stacks by estimated cycles of the array and of the bus."""

    def __init__(self, plan: Plan, room: int) -> None:
        self._plan = plan
        self._room = room
        assert plan.options.outside is not None
        self._bus = plan.options.outside.bytes
        self.layers = {number: own for number, layer in enumerate(plan.layers)
                       if passes_of(plan, own := in_rows(plan, layer), {}) is not None}
        self.tiles = {number: list(layer.tiles(number, partial(_cut, number, plan.config)))
                      for number, layer in self.layers.items()}
        self._made = {layer.ofm: number for number, layer in self.layers.items()}
        self._readers = Counter(i for layer in plan.layers for i in layer.reads)
        self._readers.update(plan.kept)
        self._readers.update(i for part in plan.parts for i in part.downloads)
        self._cycles = {number: sum(
            estimate(own, tile, plan.config, ahead=True)
            for tile, own in self._instructions(number)) for number in self.layers}

    def _instructions(self, number: int) -> Iterator[tuple[Tile, ArrayLayer]]:
        """The tiles of a layer, each with the pass that it is of."""
        for tile in self.tiles[number]:
            own = self.layers[number].stage(tile.step).layer
            assert own is not None
            yield tile, own

    def runs(self) -> Iterator[Pair]:
        """Runs of layers [first, past the last) that may be cut into bands."""
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
        return number in self.layers and self.height(number) > 1 and all(
            tile.rows == (0, own.geometry.ofm[0]) and not tile.weights_stream and tile.visits == 1
            for tile, own in self._instructions(number))

    def _follows(self, number: int) -> bool:
        return self._bands(number) and self.layers[number - 1].part == self.layers[number].part

    def height(self, number: int) -> int:
        """Rows of a layer's result."""
        return self._plan.graph.tensors[self.layers[number].ofm].shape[1]

    def _joins(self, first: int, number: int) -> bool:
        """True where the layer may be in a stack with those from ``first`` on."""
        return passes_of(self._plan, self.layers[number], self._places(first, number)) is not None

    def _places(self, first: int, last: int) -> dict[int, int]:
        """By tensor, the places in a stack of the layers [first, last) that make them."""
        return {self.layers[number].ofm: number - first for number in range(first, last)}

    def _members(self, first: int, last: int) -> list[Member] | None:
        """The layers [first, last) as those of a stack; None where a result but the last one's is
        read by none of them."""
        layers, places = self._of(first, last), self._places(first, last)
        inside = Counter(i for layer in layers for i in layer.reads)
        passes = [passes_of(self._plan, layer, places) for layer in layers]
        if not all(inside[layer.ofm] for layer in layers[:-1]) or len(places) < len(layers):
            return None
        return [Member(self.height(number), own,
                       layer is layers[-1] or inside[layer.ofm] < self._readers[layer.ofm])
                for number, layer, own in zip(range(first, last), layers, passes, strict=True)
                if own is not None]

    def _of(self, first: int, last: int) -> list[Layer]:
        return [self.layers[number] for number in range(first, last)]

    def best(self, first: int, last: int) -> list[_Choice]:
        """The stacks and layers with the least cycles."""
        best: dict[int, tuple[float, list[_Choice]]] = {first: (0.0, [])}
        for number in range(first, last):
            cycles, before = best[number]
            for end in range(number + 1, min(last, number + LONGEST) + 1):
                if not self._joins(number, end - 1):
                    break
                most = best[end][0] - cycles if end in best else float("inf")
                choice = self._choice(number, end, most)
                if choice is not None and choice.cycles < most:
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

    def _written(self, layer: Layer) -> float:
        """Cycles for which a layer's result has the bus, where it is outside."""
        config = self._plan.config
        parts = max(1.0 if own.mode == Mode.DENSE else
                    max(1.0, config.write_bytes / block_width(own, config))
                    for own in layer.array_layers)
        return parts * self._size(layer.ofm) / self._bus

    def _streamed(self, layer: Layer) -> int:
        """Bytes of the layer's weights and parameters that each of its bands reads from outside
        memory."""
        size = sum((0 if own.weights is None else own.weights.nbytes) + 12 * own.geometry.ofm[2]
                   for own in layer.array_layers)
        return size if size * FEW_WEIGHTS > self._plan.config.memory_bytes else 0

    def _choice(self, first: int, last: int, most: float) -> _Choice | None:
        """The best stack of the layers, or the one layer as it is; None where there is none of less
        than ``most`` cycles."""
        layers = self._of(first, last)
        if len(layers) == 1:
            array, layer = self._cycles[first], layers[0]
            bus = (sum(self._size(i) for i in layer.reads if self._crosses(i, False))
                   + self._streamed(layer)) / self._bus
            if self._crosses(layer.ofm, False):
                bus += self._written(layer)
            return _Choice(first, last, max(array, bus) + array / SECOND)
        if sum(self._cycles[number] for number in range(first, last)) >= most:
            return None
        members = self._members(first, last)
        if members is None or not any(self._crosses(layer.ofm, False) and not member.whole
                                      for layer, member in zip(layers, members, strict=True)):
            return None
        choices = [_Choice(first, last, self._stack_cycles(first, members, stack), stack)
                   for stack in self._stacks(layers, members)]
        return min(choices, key=lambda choice: choice.cycles, default=None)

    def _held(self, layers: Sequence[Layer], stack: Stack) -> int:
        """Bytes of the rows that a stack has on chip at the fullest time of a turn."""
        last = {i: place for place, layer in enumerate(layers) for i in layer.reads}
        sizes = [rows * row_bytes(self._plan, layer.ofm)
                 for rows, layer in zip(stack.held, layers, strict=True)]
        now = most = sum(size for size, kept in zip(sizes, stack.kept, strict=True) if kept)
        leaving = Counter[int]()
        for place, (layer, size, kept) in enumerate(zip(layers, sizes, stack.kept, strict=True)):
            if not kept:
                now += size
                leaving[last.get(layer.ofm, place)] += size
            most = max(most, now)
            now -= leaving[place]
        return most

    def _fits(self, layers: Sequence[Layer], stack: Stack) -> bool:
        return self._held(layers, stack) <= self._room

    def _fits_at_first(self, layers: Sequence[Layer], first_lap: Callable[[int], Stack],
                       sub: int) -> bool:
        return self._fits(layers, first_lap(sub))

    def _stacks(self, layers: Sequence[Layer], members: Sequence[Member]) -> Iterator[Stack]:
        """Stacks of the layers whose rows fit on chip, for the longest laps that there are, and the
        largest bands."""
        height, found = members[-1].height, 0
        for parts in LAPS:
            lap = -(-height // parts)
            subs = [sub for sub in SUBS
                    if sub <= lap and -(-height // sub) * len(layers) <= TURNS]
            # What one lap holds is no more than all do, and less with smaller bands.
            first_lap = partial(stack_of, members, lap, most=1)
            largest = bisect_left(subs, True, key=partial(self._fits_at_first, layers, first_lap))
            stacks = (stack_of(members, lap, sub) for sub in subs[largest:])
            fitting = list(islice((s for s in stacks if self._fits(layers, s)), SUBS_TRIED))
            yield from fitting
            found += bool(fitting)
            if found == LAPS_TRIED:
                return

    def _stack_cycles(self, first: int, members: Sequence[Member], stack: Stack) -> float:
        """Cycles of the array, with what it waits for the bus, or those of the bus if more."""
        layers = self._of(first, first + len(members))
        banded = {layer.ofm for layer, rows in zip(layers, stack.held, strict=True) if rows}
        whole = sum(self._size(i) for i in {
            i for layer in layers for i in (*layer.reads, layer.ofm)} - banded)
        crowded = self._held(layers, stack) + whole > self._room
        outside = {i for layer in layers for i in (*layer.reads, layer.ofm)
                   if i not in banded and self._crosses(i, crowded)}
        array, total, waits = [0.0] * len(layers), 0.0, 0.0
        for band in stack.bands:
            place, rows = band.place, band.rows[1] - band.rows[0]
            if band.moved is not None:
                array[place] += TURN + rows * pixels_moved(
                    row_bytes(self._plan, layers[place].ofm), self._plan.config)
                continue
            own = TURN + self._cycles[first + place] * rows / self.height(first + place)
            # Each one begins with all rows of its window, and with all weights.
            loaded = self._streamed(layers[place]) + sum(
                size for i, size in members[place].loads(band.rows) if i in outside)
            array[place] += own
            total += loaded / self._bus
            waits += max(0.0, loaded / self._bus - own)
        writing = [place for place, layer in enumerate(layers) if layer.ofm in outside]
        total += sum(self._written(layers[place]) for place in writing)
        if writing:     # waits in the bands that write, where reads of the next ones are already
            waits = max(waits, total - sum(array[place] for place in writing))
        return max(sum(array) + waits, total) + sum(array) / SECOND

    def mover(self, number: int) -> ArrayLayer:
        """The layer that moves rows of a layer's result within their memory."""
        layer = self.layers[number]
        size = row_bytes(self._plan, layer.ofm)
        return rows_moved(layer, (self.height(number), size), self._plan.config)

    def tiles_of_bands(self, first: int, stack: Stack) -> Iterator[tuple[Band, Tile]]:
        """The instructions of a stack from layer ``first`` on, each with its band."""
        last = first + len(stack.held)
        places, members = self._places(first, last), self._members(first, last)
        assert members is not None
        movers = {place: tiles_of(first + place, self.mover(first + place), self._plan.config)
                  for place in places.values() if stack.moved(place)}
        sizes = {tensor: row_bytes(self._plan, tensor) for tensor in places}
        for band in stack.bands:
            def skip(tensor: int, bases: tuple[int, ...] = band.bases) -> int:
                return bases[places[tensor]] * sizes[tensor] if tensor in places else 0

            if band.moved is not None:
                size = sizes[self.layers[first + band.place].ofm]
                yield from ((band, replace(tile, rows=band.rows, ifm_skip=band.moved * size,
                                           ofm_skip=band.rows[0] * size))
                            for tile in movers[band.place] if not tile.rows[0])
                continue
            for tile, own in self._instructions(first + band.place):
                low, high = members[band.place].passes[tile.step].part(band.rows)
                if high > low:
                    yield band, replace(
                        tile, rows=(low, high), ifm_skip=skip(own.ifm), ofm_skip=skip(own.ofm),
                        operand_skip=0 if own.add is None else skip(own.add.operand))


def _cut(number: int, config: AcceleratorConfig, own: ArrayLayer) -> Iterator[Tile]:
    """The tiles of a pass of layer ``number``."""
    return iter(tiles_of(number, own, config))


def _arranged(plan: Plan, choices: Sequence[_Choice], chooser: _Chooser) -> Plan:
    """The plan with the tiles of stacks in bands. Behind a layer of which rows are moved stands the
    one that moves them."""
    tiles: dict[int, list[Tile]] = {}
    for tile in plan.tiles:
        tiles.setdefault(tile.layer, []).append(tile)
    starts = {choice.first: choice for choice in choices}
    layers, arranged, stacks, banded = list[Layer](), list[Tile](), list[Pair](), dict[int, Pair]()
    number = 0
    while number < len(plan.layers):
        choice = starts.get(number)
        if choice is None or choice.stack is None:
            arranged += (replace(tile, layer=len(layers)) for tile in tiles[number])
            layers.append(plan.layers[number])
            number += 1
            continue
        stack, begin, numbers = choice.stack, len(layers), list[int]()
        for place, (rows, kept) in enumerate(zip(stack.held, stack.kept, strict=True)):
            layer = chooser.layers[number + place]
            numbers.append(len(layers))
            layers.append(layer)
            if rows:
                banded[layer.ofm] = rows, int(kept)
            if stack.moved(place):
                layers.append(chooser.mover(number + place))
        arranged += (replace(tile, layer=numbers[band.place] + (band.moved is not None))
                     for band, tile in chooser.tiles_of_bands(number, stack))
        stacks.append((begin, len(layers)))
        number = choice.last
    return replace(plan, layers=tuple(layers), tiles=tuple(arranged), banded=banded,
                   stacks=tuple(stacks))
