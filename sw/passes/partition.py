"""Splits the model: the device's part, and what the host does with its results."""

from __future__ import annotations

from dataclasses import replace

from kaniwa.errors import CompileError, UnsupportedError
from kaniwa.graph import Op
from kaniwa.layer import Plan, describe
from kaniwa.passes.accept import why_not

__all__ = ["partition", "HOST_KINDS"]

HOST_KINDS = ("SOFTMAX",)


def partition(plan: Plan) -> Plan:
    """Move a final SOFTMAX, and RESHAPEs behind it, to ``host_ops``.

    Raises UnsupportedError where the accelerator does not take an operator or the device would
    need the host's result, and CompileError where the caller wants everything on the accelerator.
    """
    graph = plan.graph
    device: list[Op] = []
    host: list[Op] = []
    made_by_host: set[int] = set()
    for op in graph.ops:
        behind = made_by_host.intersection(op.inputs)
        where = describe(graph, op)
        if op.kind not in HOST_KINDS and not behind:
            reason = why_not(graph, op)
            if reason is not None:
                raise UnsupportedError(f"{where}: {reason}")
            device.append(op)
            continue
        if behind and op.kind != "RESHAPE":
            raise UnsupportedError(f"{where}: reads the result of SOFTMAX, which runs on the host; "
                                   f"end the model at the SOFTMAX")
        if plan.options.require_accelerator and op.kind in HOST_KINDS:
            raise CompileError(f"{where}: runs on the host; compile without --require-accelerator, "
                               f"or remove it from the model")
        host.append(op)
        made_by_host.update(op.outputs)
    wanted = [i for i in graph.outputs if i not in made_by_host]
    wanted += [op.inputs[0] for op in host if op.inputs[0] not in made_by_host]
    rest = replace(graph, ops=tuple(device), outputs=tuple(dict.fromkeys(wanted)))
    return replace(plan, graph=rest, host_ops=tuple(host))
