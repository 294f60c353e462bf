"""Gives every tensor, constant and instruction its place in device memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

from kaniwa.compiler.array.moves import GROWN
from kaniwa.compiler.plan.kinds import VECTOR_KINDS
from kaniwa.compiler.plan.layers import Layer
from kaniwa.compiler.plan.operands import room_of, stored_bytes
from kaniwa.compiler.plan.plan import Constants, MemoryMap, Plan, SecondPlaces
from kaniwa.compiler.plan.states import device_states
from kaniwa.compiler.rewrite.partition import MOVERS
from kaniwa.compiler.rewrite.refusal import (
    NeedsLessMemory,
    NeedsNoGaps,
    NeedsSparing,
    Refused,
)
from kaniwa.compiler.rewrite.rewriter import BROADCAST
from kaniwa.compiler.schedule.buffers import Buffer
from kaniwa.compiler.schedule.crossings import crossings
from kaniwa.compiler.schedule.double_buffer import (
    check_double_buffered,
    copied_blobs,
    with_second_places,
)
from kaniwa.compiler.schedule.row_passes import row_bytes
from kaniwa.errors import CompileError, MemoryTooSmallError
from kaniwa.isa import INSTRUCTION_BYTES, OUTSIDE

__all__ = ["allocate", "pack"]

KIB = 1024
# Kinds without multiplications by weights.
DISPENSABLE = (BROADCAST, "MEAN", "RESIZE", "RESIZE_BILINEAR", *MOVERS, *GROWN, *VECTOR_KINDS)


@dataclass(frozen=True)
class _OnChip:
    """The commands, the constants and the buffers of tensors that are on chip: True for each."""

    commands: bool
    blobs: list[bool]
    buffers: list[bool]


def allocate(plan: Plan) -> Plan:
    """Place everything on chip if it fits; else constants, then tensors, go to outside memory.

    What goes from one inference to the next has memory of its own, unless there is too little.
    Double-buffered, what the host moves has two places, and so has what names their addresses.
    Raises CompileError with needed and present sizes where the target and the caller give no
    room.
    """
    assert plan.constants is not None
    align = plan.align
    commands = _round(INSTRUCTION_BYTES * (len(plan.tiles) + len(plan.parts)), align)
    if plan.options.double_buffered:
        check_double_buffered(plan)
        commands *= 2
    peaks = []
    for in_place in (True, False):
        buffers = _buffers(plan, align, in_place)
        sizes = _sizes(plan, buffers)
        offsets, peak = pack(buffers, not plan.options.materialize)
        peaks.append(peak)
        if commands + sum(sizes) + peak <= plan.room:
            return _place(plan, buffers, offsets, sizes, commands,
                          _OnChip(True, [True] * len(sizes), [True] * len(buffers)))
    if plan.spaced and plan.options.outside is None:
        raise NeedsNoGaps(f"{plan.model.name}: no room for gaps in maps")
    if plan.spends and plan.options.outside is None:
        raise NeedsSparing(f"{plan.model.name}: no room for what saves cycles")
    if plan.options.outside is None:
        _complain(plan, _too_small(plan, commands, sum(sizes), min(peaks)))
    spread = _spread(plan, _buffers(plan, align, True), commands)
    if plan.spaced and plan.options.outside.bytes:
        plain = replace(plan, spaced={})
        plain = _spread(plain, _buffers(plain, align, True), commands)
        more = _outside_bytes(spread) - _outside_bytes(plain)
        if more > plan.saved_cycles * plan.options.outside.bytes:
            raise NeedsNoGaps(f"{plan.model.name}: gaps in maps take {more} bytes outside")
    return spread


def _sizes(plan: Plan, buffers: Sequence[Buffer]) -> list[int]:
    """Room for each constant, and behind these for each that has two places."""
    assert plan.constants is not None
    sizes = [_round(len(blob), plan.align) for blob in plan.constants.blobs]
    return sizes + [sizes[i] for i in copied_blobs(plan, buffers)]


def _too_small(plan: Plan, commands: int, weights: int, tensors: int) -> MemoryTooSmallError:
    """The error for a program of so many bytes, beside those that are to stay."""
    config, need = plan.config, commands + weights + tensors
    twice = "double-buffered " if plan.options.double_buffered else ""
    outside = "give it --outside sdram, or " if config.outside_limit else ""
    more = f"{outside}take a target with more memory"
    if not plan.options.behind:
        return MemoryTooSmallError(
            f"{plan.model.name}: {twice}needs {_kib(need)} KiB (commands {_kib(commands)}, weights "
            f"{_kib(weights)}, tensors {_kib(tensors)}), target '{config.name}' has "
            f"{_kib(config.memory_bytes)} KiB on chip; {more}", need)
    taken = ", ".join(f"{other.name} has {other.local[1] - other.local[0]:,}"
                      for other in plan.options.behind)
    return MemoryTooSmallError(
        f"{plan.model.name}: {twice}needs {need:,} bytes (commands {commands:,}, "
        f"weights {weights:,}, tensors {tensors:,}); of the "
        f"{config.memory_bytes:,} on chip of target '{config.name}' {taken}: {more}",
        plan.bases[0] + need)


def _outside_bytes(plan: Plan) -> int:
    """Bytes of tensors and constants that go from and to outside memory, commands aside."""
    assert plan.memory is not None and plan.constants is not None
    memory, constants = plan.memory, plan.constants
    total = sum(times * len(blob) for times, blob, address in zip(
        _reads(plan, constants), constants.blobs, memory.blobs, strict=True) if address & OUTSIDE)
    moved = (i for layer in plan.layers for i in (*layer.reads, *layer.makes)
             if i not in constants.tensors)
    return total + sum(plan.extent(i) for i in moved if memory.tensors[i] & OUTSIDE)


def _complain(plan: Plan, error: MemoryTooSmallError) -> NoReturn:
    """Raise NeedsLessMemory where cells can do with less, else what is wrong with the plan."""
    if plan.options.double_buffered:     # what the host would do makes more runs of one
        raise error
    before = plan.missing_memory
    if before is not None and before.needed_bytes <= error.needed_bytes:
        error = before
    cells = frozenset(position for layer in plan.layers if layer.time_multiplexes
                      for position in layer.positions) - plan.time_multiplexed
    if cells:
        raise NeedsLessMemory(cells, error)
    _leave_out(plan, error.needed_bytes)
    raise error


def _leave_out(plan: Plan, need: int) -> None:
    """Raise Refused for what the host may as well do, where there is some, so that the rest fits.
    """
    if plan.options.require_accelerator:
        return
    layers = _largest(plan, need - plan.config.memory_bytes) or [
        layer for layer in plan.layers if layer.op.split("+")[0] in DISPENSABLE]
    beside = ", with the programs beside it," if plan.options.behind else ""
    reason = (f"with it the model{beside} needs {_kib(need)} KiB, target '{plan.config.name}' has "
              f"{_kib(plan.config.memory_bytes)} KiB on chip")
    if layers:
        raise Refused({position: reason for layer in layers for position in layer.positions})


def _largest(plan: Plan, excess: int) -> list[Layer]:
    """Of recurrent cells, and of what ends sums of int16, those that take the most memory: one, or
    as many as have half of ``excess`` bytes, since others may fit without them."""
    layers = [layer for layer in plan.layers if layer.sheds_memory]

    def memory(layer: Layer) -> int:
        tensors = sum(stored_bytes(plan.graph.tensors[i]) for i in (*layer.reads, *layer.makes))
        return tensors + layer.own_bytes

    chosen = list[Layer]()
    for layer in sorted(layers, key=memory, reverse=True):
        if chosen and excess <= 0:
            break
        chosen.append(layer)
        excess -= 2 * memory(layer)      # what stands beside it may go as well
    return chosen


def _buffers(plan: Plan, align: int, in_place: bool) -> list[Buffer]:
    """The stored tensors by lifetime; the sum of an ADD takes its operand's memory if it may, and
    ``in_place`` what follows upon a state that of the state, for good.

    A layer takes a unit of time, and so does what the host writes before a part, and what it reads
    behind it.
    """
    tensors, constant = plan.graph.tensors, set(plan.constants.tensors if plan.constants else ())
    times = [number + 2 * layer.part for number, layer in enumerate(plan.layers)]
    ends = [sum(layer.part <= part for layer in plan.layers) + 2 * part
            for part in range(-1, len(plan.parts))]     # when the host reads; -2: before all
    last = {plan.storage[i]: ends[part] + 1 for part, values in enumerate(plan.parts)
            for i in values.uploads}
    first = dict(last)
    for time, layer in zip(times, plan.layers, strict=True):
        for i in layer.makes:      # several layers may make parts of it
            first.setdefault(i, time)
        last.update((i, time) for i in (*layer.reads, *layer.makes))
    for part, values in enumerate(plan.parts):
        read = {plan.storage[i] for i in values.downloads}.difference(constant)
        last.update((i, max(ends[part + 1], last[i])) for i in read)
    last.update((i, ends[-1]) for i in plan.kept if i in plan.graph.inputs)

    _let_stacks_live(plan, times, first, last)
    rooms = Counter[int]()      # a tensor may have names of other types
    for i, root in plan.storage.items():
        rooms[root] = max(rooms[root], plan.extent(root), room_of(tensors[i], plan.config))
    rooms.update(Counter({i: rows * row_bytes(plan, i) - rooms[i]
                          for i, (rows, _) in plan.banded.items()}))
    owner = {i: i for i in first}
    makers = Counter(i for layer in plan.layers for i in layer.makes)
    # What a stack reads or makes lives as long as it does, and may have to go outside.
    lasting = {i for low, high in plan.stacks for layer in plan.layers[low:high]
               for i in (*layer.reads, *layer.makes)}
    for time, layer in zip(times, plan.layers, strict=True):
        operand = layer.overwritten
        if plan.options.materialize or operand is None or lasting & {operand, layer.ofm}:
            continue
        if operand not in constant and last[operand] == time and makers[layer.ofm] == 1 and (
                plan.spaced.get(operand) == plan.spaced.get(layer.ofm)):
            owner[layer.ofm] = owner[operand]
    for now, following in _sharing(plan, first, last, owner) if in_place else ():
        owner[following], last[following] = now, ends[-1]
    groups: dict[int, list[int]] = {}
    for i in first:
        groups.setdefault(owner[i], []).append(i)
    buffers = [Buffer(tuple(ids), _round(max(rooms[i] for i in ids), align),
                      min(first[i] for i in ids), max(last[i] for i in ids),
                      ids[0] in plan.banded)
               for ids in groups.values()]
    return with_second_places(plan, buffers) if plan.options.double_buffered else buffers


def _let_stacks_live(plan: Plan, times: Sequence[int], first: dict[int, int],
                     last: dict[int, int]) -> None:
    """Tensors that a stack reads or writes live as long as it does, but for rows that no two bands
    have in common."""
    for low, high in plan.stacks:
        layers = plan.layers[low:high]
        for i in {i for layer in layers for i in (*layer.reads, *layer.makes)}:
            if i not in plan.banded or plan.banded[i][1]:
                if i in {made for layer in layers for made in layer.makes}:
                    first[i] = min(first[i], times[low])
                last[i] = max(last[i], times[high - 1])


def _sharing(plan: Plan, first: Mapping[int, int], last: Mapping[int, int],
             owner: Mapping[int, int]) -> Iterator[tuple[int, int]]:
    """Stored tensors of a state, and of what follows upon it, that can have the same memory: what
    reads the one is done when the other is made."""
    makers = {i: layer for layer in plan.layers for i in layer.makes}
    for _, now, following in device_states(plan):
        cell = (now, following) in makers[following].following_states
        sharing = {i for i in owner if owner[i] in (owner[now], owner[following])}
        sizes = {stored_bytes(plan.graph.tensors[i]) for i in (now, following)}
        if sharing == {now, following} and len(sizes) == 1 and (
                owner[following] == now or first[following] > last[now] or cell):
            yield now, following


def pack(buffers: Sequence[Buffer], reuse: bool = True) -> tuple[list[int], int]:
    """Offsets such that buffers that live at the same time do not overlap, and the peak."""
    orders: list[Callable[[int], tuple[int, ...]]] = [
        lambda i: (-buffers[i].size, buffers[i].first, i),
        lambda i: (buffers[i].first, -buffers[i].size, i),
        lambda i: (-buffers[i].size * (buffers[i].last - buffers[i].first + 1), i),
    ]
    packed = [_first_fit(buffers, sorted(range(len(buffers)), key=key), reuse) for key in orders]
    return min(packed, key=lambda result: result[1])


def _first_fit(buffers: Sequence[Buffer], order: Sequence[int],
               reuse: bool) -> tuple[list[int], int]:
    offsets, placed = [0] * len(buffers), list[int]()
    for i in order:
        mine = buffers[i]
        taken = sorted((offsets[j], offsets[j] + buffers[j].size) for j in placed
                       if not reuse or (buffers[j].first <= mine.last
                                        and mine.first <= buffers[j].last))
        position = 0
        for start, end in taken:
            if start - position >= mine.size:
                break
            position = max(position, end)
        offsets[i] = position
        placed.append(i)
    return offsets, max((offsets[i] + b.size for i, b in enumerate(buffers)), default=0)


def _spread(plan: Plan, buffers: list[Buffer], commands: int) -> Plan:
    """On chip: commands, then the tensors but the largest, then the constants most often read.

    Commands that take the room of tensors go outside, where the bytes that cross are fewer then by
    more than twice theirs: instructions of small layers wait for one another.

    In a compact core constants that come again for each pixel may be more than all else. So those
    that are read often come before the tensors there, where fewer accesses outside remain then.
    """
    if plan.stacks:      # commands of bands are many, and are read ahead like weights
        return _spread_from(plan, buffers, commands, False, None)
    fit = commands <= plan.room
    plain = _spread_from(plan, buffers, commands, fit, None)
    assert plan.options.outside is not None
    if not plan.config.compact:
        if not fit or not plan.options.outside.bytes:      # none, or as fast as what is on chip
            return plain
        far = _spread_from(plan, buffers, commands, False, None)
        saved = _outside_bytes(plain) - _outside_bytes(far)
        return far if saved > 2 * commands else plain
    assert plan.constants is not None
    often = sorted({*_reads(plan, plan.constants)} - {0, 1}, reverse=True)
    return min([plain, *(_spread_from(plan, buffers, commands, fit, least) for least in often)],
               key=crossings)


def _spread_from(plan: Plan, buffers: list[Buffer], commands: int, local_commands: bool,
                 least: int | None) -> Plan:
    """The same with the commands on chip or not, and with constants that are read ``least`` times
    or more before the tensors."""
    assert plan.constants is not None
    sizes, room = _sizes(plan, buffers), plan.room - commands * local_commands
    reads = _reads(plan, plan.constants)
    reads += [reads[i] for i in copied_blobs(plan, buffers)]
    near = [False] * len(sizes)
    order = sorted(range(len(sizes)), key=lambda i: (-reads[i], i))
    if least is not None:
        room = _take_near([i for i in order if reads[i] >= least], near, sizes, room)
    choose = _least_outside if plan.stacks else _largest_outside
    offsets, peak, local = choose(buffers, room, not plan.options.materialize)
    outside = [b for b, here in zip(buffers, local, strict=True) if not here]
    outside_offsets, _ = pack(outside, not plan.options.materialize)
    inner, outer = iter(offsets), iter(outside_offsets)
    merged = [next(inner if here else outer) for here in local]
    _take_near(order, near, sizes, room - peak)
    return _place(plan, buffers, merged, sizes, commands, _OnChip(local_commands, near, local))


def _take_near(order: Sequence[int], near: list[bool], sizes: Sequence[int], room: int) -> int:
    """Mark as ``near`` the constants that fit, in this order; the room that is left."""
    for i in order:
        if not near[i] and sizes[i] <= room:
            near[i] = True
            room -= sizes[i]
    return room


def _largest_outside(buffers: Sequence[Buffer], room: int,
                     reuse: bool) -> tuple[list[int], int, list[bool]]:
    """Offsets of the buffers on chip, their peak, and which they are: all but the largest."""
    local = [True] * len(buffers)
    for i in [-1, *sorted(range(len(buffers)), key=lambda i: (-buffers[i].size, i))]:
        if i >= 0:
            local[i] = False
        inside = [b for b, here in zip(buffers, local, strict=True) if here]
        offsets, peak = pack(inside, reuse)
        if peak <= room:
            break
    return offsets, peak, local


def _least_outside(buffers: Sequence[Buffer], room: int,
                   reuse: bool) -> tuple[list[int], int, list[bool]]:
    """The same, where some are pinned: where there are too many at a time, the largest of these
    goes. Raises CompileError where those that are pinned do not fit."""
    local = [True] * len(buffers)
    while True:
        inside = [b for b, here in zip(buffers, local, strict=True) if here]
        offsets, peak = pack(inside, reuse)
        if peak <= room:
            return offsets, peak, local
        loads = {time: sum(b.size for b in inside if b.first <= time <= b.last)
                 for b in inside for time in (b.first, b.last)}
        time = max(loads, key=lambda time: (loads[time], -time))
        if loads[time] <= room:      # the packing leaves gaps
            time = next(b.first for offset, b in zip(offsets, inside, strict=True)
                        if offset + b.size == peak)
        movable = [i for i, b in enumerate(buffers)
                   if local[i] and not b.pinned and b.first <= time <= b.last]
        if not movable:
            raise CompileError("the rows of a stack do not fit on chip")
        local[max(movable, key=lambda i: buffers[i].size)] = False


def _reads(plan: Plan, constants: Constants) -> list[int]:
    """Number of times that each constant is read in a run."""
    reads = [0] * len(constants.blobs)
    for tile, parameters, weights in zip(plan.tiles, constants.parameters, constants.weights,
                                         strict=True):
        pixels = (tile.rows[1] - tile.rows[0]) * (tile.columns[1] - tile.columns[0])
        for part, repeat in ((parameters, 1), (weights, pixels if tile.weights_stream else 1)):
            if part.blob is not None:
                reads[part.blob] += repeat
    return reads


def _place(plan: Plan, buffers: list[Buffer], offsets: list[int], sizes: list[int], commands: int,
           on_chip: _OnChip) -> Plan:
    """Commands, constants and tensors one after the other, on chip and outside."""
    assert plan.constants is not None
    starts = {True: plan.bases[0], False: plan.bases[1]}
    ends = dict(starts)

    def take(local: bool, size: int) -> int:
        address = ends[local]
        ends[local] += size
        return address if local else address | OUTSIDE

    streams = 1 + plan.options.double_buffered
    program_address, *second_address = [
        take(on_chip.commands, commands // streams) for _ in range(streams)]
    blobs = tuple(take(local, size) for local, size in zip(on_chip.blobs, sizes, strict=True))
    base = dict(ends)
    tensors = {i: blobs[blob] for i, blob in plan.constants.tensors.items()}
    second = dict[int, int]()
    for buffer, offset, local in zip(buffers, offsets, on_chip.buffers, strict=True):
        address = base[local] + offset
        ends[local] = max(ends[local], address + buffer.size)
        places = second if buffer.second else tensors
        places.update((i, address if local else address | OUTSIDE) for i in buffer.tensors)
    limit = plan.config.outside_limit
    if ends[False] > limit:
        more = "a target with more outside_bits or " if plan.config.compact else ""
        raise CompileError(f"{plan.model.name}: needs {_kib(ends[False])} KiB of outside memory, "
                           f"target '{plan.config.name}' addresses at most {_kib(limit)} KiB; "
                           f"use {more}a smaller model")
    part = plan.options.outside
    if part is not None and part.size is not None and ends[False] > part.size:
        raise CompileError(f"{plan.model.name}: needs {_kib(ends[False])} KiB of outside memory, "
                           f"{part.part} has {_kib(part.size)}; use a larger part or a smaller "
                           "model")
    used = {local: ends[local] > starts[local] for local in ends}
    own = len(plan.constants.blobs)
    return replace(plan, memory=MemoryMap(
        program_address, tensors, blobs[:own], ends[True] * used[True],
        ends[False] * used[False], starts[True] * used[True], starts[False] * used[False],
        SecondPlaces(second_address[0], second, dict(zip(
            copied_blobs(plan, buffers), blobs[own:], strict=True))) if second_address else None))


def _round(size: int, align: int) -> int:
    return -(-size // align) * align


def _kib(size: int) -> int:
    return -(-size // KIB)
