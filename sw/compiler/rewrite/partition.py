"""Splits the model: parts that the device runs, and what the host does around them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from kaniwa.compiler.array.moves import BLOCKS, CUTS, GROWN, JOINS, VIEWS
from kaniwa.compiler.operators.table import is_wide
from kaniwa.compiler.plan.kinds import SUMMED
from kaniwa.compiler.plan.operands import describe
from kaniwa.compiler.plan.plan import DevicePart, HostPart, Plan
from kaniwa.compiler.rewrite.refusal import why_not
from kaniwa.errors import CompileError, UnsupportedError
from kaniwa.golden.registry import kernel_of
from kaniwa.graph import Graph, Op
from kaniwa.program.check import ON_DEVICE

__all__ = ["partition"]

MOVERS = ("TRANSPOSE", "GATHER", *CUTS, *JOINS, *BLOCKS)
BESIDE_HOST = {**dict.fromkeys(VIEWS, "moves no data, and stands beside an operator of the host"),
               **dict.fromkeys(MOVERS, "only moves data, and stands beside an operator of the "
                                       "host")}
BESIDE_HOST_WIDE = "is of int16, and stands beside an operator of the host that is so, too"
Reasons = dict[int, str]      # of the host's operators, by position in the model


def partition(plan: Plan) -> Plan:
    """Give every operator that the target can take to the device, in as few parts as can be.

    Raises CompileError where the caller wants everything on the accelerator, naming the first
    operator that it cannot take, and UnsupportedError where the host cannot take it either.
    """
    model = plan.model
    why = {position: reason for position in range(len(model.ops))
           if (reason := why_not(plan, position)) is not None}
    if plan.options.require_accelerator and why:
        position, reason = next(iter(why.items()))
        raise CompileError(f"{describe(model, model.ops[position])}: {reason}; or compile without "
                           f"--require-accelerator: the host runs it then")
    for position, reason in why.items():
        op = model.ops[position]
        if kernel_of(op) is None:
            raise UnsupportedError(f"{describe(model, op)}: {reason}; the host has no kernel for "
                                   f"it either")
    _leave_wide(model, why)
    movers = ("TRANSPOSE",) if plan.options.moves_on_device else MOVERS
    why |= {position: BESIDE_HOST[model.ops[position].kind]
            for position in _beside_host(model, why, movers)}
    levels = _levels(model, why)
    device = sorted((i for i in range(len(model.ops)) if i not in why), key=levels.__getitem__)
    count = 1 + max((levels[i] for i in device), default=-1)
    host_parts = tuple(
        HostPart(behind, positions, tuple(why[i] for i in positions))
        for behind in range(-1, count)
        if (positions := tuple(i for i in sorted(why) if levels[i] == behind)))
    part_of = {i: levels[i] for i in device}
    takes, outputs = _takes(model, why, part_of, count), _outputs(model, host_parts, part_of)
    made = {i: part_of[position] for position in device for i in model.ops[position].outputs}
    there = made | {i: number for number, ids in enumerate(takes) for i in ids}
    parts = tuple(DevicePart(
        takes[number], tuple(sorted(i for i in outputs if made.get(i) == number)),
        tuple(sorted({i for position in device if levels[position] == number
                      for i in model.ops[position].inputs if there.get(i, number) < number})))
        for number in range(count))
    graph = replace(
        model, state=(), inputs=tuple(i for ids in takes for i in ids),
        outputs=outputs if count else (),
        ops=tuple(_on_device(model, i) for i in device))
    return replace(plan, graph=graph, parts=parts, part_of=part_of, host_parts=host_parts)


def _on_device(model: Graph, position: int) -> Op:
    """An operator with its position in the model; those of VIEWS all are RESHAPEs from here on."""
    op = model.ops[position]
    attributes = {**op.attributes, "position": position}
    if op.kind not in VIEWS:
        return replace(op, attributes=attributes)
    return replace(op, kind="RESHAPE", inputs=op.inputs[:1], attributes={
        **attributes, "shape": model.tensors[op.outputs[0]].shape})


def _leave_wide(model: Graph, why: Reasons) -> None:
    """Give the host what is of int16 where it has an operator at either end, but for what sums:
    that is worth a way to the device and back."""
    users: dict[int, list[int]] = {}      # of tensors of int16
    for position, op in enumerate(model.ops):
        if op.kind in (*VIEWS, *MOVERS, *GROWN) or is_wide(model, op) and op.kind not in SUMMED:
            for i in _wide_tensors(model, op):
                users.setdefault(i, []).append(position)
    left = [i for position in why for i in _wide_tensors(model, model.ops[position])]
    while left:
        for position in users.pop(left.pop(), ()):
            if position not in why:
                why[position] = BESIDE_HOST_WIDE
                left += _wide_tensors(model, model.ops[position])


def _wide_tensors(model: Graph, op: Op) -> list[int]:
    return [i for i in (*op.inputs, *op.outputs)
            if i != -1 and model.tensors[i].dtype == "int16"]


def _beside_host(model: Graph, why: Mapping[int, str], movers: Sequence[str]) -> Iterator[int]:
    """VIEWS that would only carry bytes to the device and back, and ``movers`` that the host may do
    as it reads or writes them."""
    by_host = {i for position in why for i in model.ops[position].outputs}
    by_device: set[int] = set()
    for position, op in enumerate(model.ops):
        if position in why:
            continue
        movable = op.kind in movers or (
            op.kind in VIEWS and op.inputs[0] not in by_device)
        if movable and (by_host.intersection(op.inputs) or _read_by_host(model, op, why)):
            by_host.update(op.outputs)
            yield position
        else:
            by_device.update(op.outputs)


def _read_by_host(model: Graph, mover: Op, why: Mapping[int, str]) -> bool:
    """True where the host reads what ``mover`` makes, by this or another name."""
    names = set(mover.outputs)
    for position, op in enumerate(model.ops):
        if names.intersection(op.inputs):
            if position in why:
                return True
            if op.kind in VIEWS:
                names.update(op.outputs)
    return False


def _levels(model: Graph, why: Mapping[int, str]) -> list[int]:
    """For each operator the number of the device's part that it is in, or, on the host, behind.

    What the host does first has -1. The numbers are the least possible, and so is that of the
    parts.
    """
    on_device: dict[int, int] = {}
    on_host: dict[int, int] = {}
    levels = []
    for position, op in enumerate(model.ops):
        if position in why:
            level = max((made[i] for made in (on_device, on_host) for i in op.inputs if i in made),
                        default=-1)
            on_host.update(dict.fromkeys(op.outputs, level))
        else:
            level = max((made[i] + later for made, later in ((on_device, 0), (on_host, 1))
                         for i in op.inputs if i in made), default=0)
            on_device.update(dict.fromkeys(op.outputs, level))
        levels.append(level)
    return levels


def _takes(model: Graph, why: Mapping[int, str], part_of: Mapping[int, int],
           count: int) -> list[tuple[int, ...]]:
    """The tensors that the host writes before each part, which is the first to read them."""
    by_host = dict.fromkeys(i for position in sorted(why) for i in model.ops[position].outputs)
    first: dict[int, int] = {}
    for position, part in part_of.items():
        for i in model.ops[position].inputs:
            first[i] = min(part, first.get(i, part))
    read_by_host = {i for position in why for i in model.ops[position].inputs}
    # An input that nobody reads is written all the same, if device memory has its kind.
    first = dict.fromkeys((i for i in model.inputs if i not in read_by_host
                           and model.tensors[i].dtype in ON_DEVICE), 0) | first
    given = (*model.inputs, *(state.tensor for state in model.state), *by_host)
    return [tuple(i for i in given if first.get(i) == number)
            for number in range(count)]


def _outputs(model: Graph, host_parts: tuple[HostPart, ...],
             part_of: Mapping[int, int]) -> tuple[int, ...]:
    """Tensors that the device keeps: outputs, next values of states, operands of the host."""
    hosts = [model.ops[position] for part in host_parts for position in part.positions]
    by_host = {i for op in hosts for i in op.outputs}
    made = {i for position in part_of for i in model.ops[position].outputs}
    wanted = [i for i in model.outputs if i not in by_host]
    wanted += [state.following for state in model.state if state.following in made]
    wanted += [i for op in hosts for i in op.inputs if i in made]
    return tuple(dict.fromkeys(wanted))
