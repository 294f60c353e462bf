"""Second places of a run's inputs and outputs, which the host moves while another run goes on."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from kaniwa.compiler.plan.plan import Plan
from kaniwa.compiler.schedule.buffers import Buffer
from kaniwa.errors import CompileError

__all__ = ["check_double_buffered", "copied_blobs", "second_plan", "with_second_places"]


def check_double_buffered(plan: Plan) -> None:
    """Raise CompileError where the two streams would need more than other addresses."""
    name = plan.model.name
    if plan.model.state:
        raise CompileError(f"{name}: --double-buffered: the model keeps a state, so each inference "
                           "waits for the one before; leave the option out")
    if len(plan.parts) != 1:
        found = ("the host runs all of the model" if not plan.parts else
                 "the host computes between runs of the device")
        raise CompileError(f"{name}: --double-buffered: {found}, where one run is wanted; leave "
                           "the option out")


def with_second_places(plan: Plan, buffers: Sequence[Buffer]) -> list[Buffer]:
    """``buffers``, where those of the host's tensors live from the first time to the last, and
    have another of their size."""
    assert plan.constants is not None
    (part,) = plan.parts
    moved = {plan.storage[i] for i in (*part.uploads, *part.downloads)}
    moved.difference_update(plan.constants.tensors)
    first, last = min(b.first for b in buffers), max(b.last for b in buffers)
    apart = [replace(b, first=first, last=last) if moved.intersection(b.tensors) else b
             for b in buffers]
    return apart + [replace(b, second=True) for b in apart if moved.intersection(b.tensors)]


def copied_blobs(plan: Plan, buffers: Collection[Buffer]) -> tuple[int, ...]:
    """The constants that have the address of a tensor with two places: programs of units."""
    assert plan.constants is not None
    twice = {i for buffer in buffers if buffer.second for i in buffer.tensors}
    found = set[int]()
    for tile, room in zip(plan.tiles, plan.constants.parameters, strict=True):
        layer = plan.layers[tile.layer]
        if tile.runs_program and room.blob is not None and (
                twice.intersection((*layer.reads, *layer.makes))):
            found.add(room.blob)
    return tuple(sorted(found))


def second_plan(plan: Plan) -> Plan:
    """The plan with the second place of all that has two, for the second stream of commands."""
    assert plan.memory is not None and plan.memory.second is not None
    memory, second = plan.memory, plan.memory.second
    blobs = [second.blobs.get(number, address) for number, address in enumerate(memory.blobs)]
    return replace(plan, memory=replace(
        memory, program_address=second.program_address,
        tensors={**memory.tensors, **second.tensors}, blobs=tuple(blobs)))
