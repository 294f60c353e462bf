"""Why the accelerator cannot take an operator: the passes' own checks, asked in one place."""

from __future__ import annotations

from collections.abc import Mapping

from kaniwa.compiler.plan.operands import describe
from kaniwa.compiler.plan.plan import Plan
from kaniwa.compiler.rewrite.legalize import rewritten
from kaniwa.errors import CompileError, MemoryTooSmallError, UnsupportedError
from kaniwa.runtimes import NAMES as RUNTIMES

__all__ = ["NeedsLessMemory", "NeedsNoGaps", "NeedsSparing", "Refused", "why_not"]


class Refused(CompileError):
    """A pass that cannot map operators: ``reasons`` by position in the model, at least one.

    The compiler gives these to the host and begins again.
    """

    def __init__(self, reasons: Mapping[int, str]) -> None:
        super().__init__(next(iter(reasons.values())))
        self.reasons = dict(reasons)


class NeedsLessMemory(CompileError):
    """A plan that memory has no room for, ``error``, with recurrent cells, at ``positions`` in
    the model, that can do with less.

    The compiler has them do so and begins again.
    """

    def __init__(self, positions: frozenset[int], error: MemoryTooSmallError) -> None:
        super().__init__(str(error))
        self.positions, self.error = positions, error


class NeedsNoGaps(CompileError):
    """A plan that memory has no room for, because of the gaps in its maps.

    The compiler begins again, without such maps.
    """


class NeedsSparing(CompileError):
    """A plan that memory has no room for, perhaps because of what ``spends`` some to save cycles.

    The compiler begins again, without that.
    """


def why_not(plan: Plan, position: int) -> str | None:
    """Why the target cannot take the operator at ``position`` of the model, and the way out.

    None where it can, as far as is known: ``legalize`` is asked here, ``lower`` and ``tile`` speak
    up later, by ``Refused``, since what they check depends on what becomes of the whole model.
    """
    op = plan.model.ops[position]
    if op.rule in RUNTIMES:
        limit = op.attributes.get("limit")
        return f"golden has no kernel for it: {limit}" if limit else "golden has no kernel for it"
    where = f"{describe(plan.model, op)}: "
    if position in plan.refused:
        return plan.refused[position].removeprefix(where)
    try:
        rewritten(plan.model, op, plan.config)
    except UnsupportedError as error:
        return str(error).removeprefix(where)
    return None
