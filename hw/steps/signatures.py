"""Signatures of the array's controllers, and of what they share."""

from amaranth import *
from amaranth.lib.wiring import In, Out, Signature

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.interfaces import (
    line_lane_bits,
    line_position_bits,
    products_layout,
    ring_use_layout,
    step_layout,
    unit_layout,
)

__all__ = ["array_controller_signature", "pool_pairs", "step_issue"]


def step_issue() -> Signature:
    """The right to issue steps and what becomes of it, seen from a controller of the array.

    ``turn`` becomes 1 when all steps of the instructions before have been issued, and stays until
    another controller has been started and ``pending`` is 0. ``pending``: steps of this controller
    are still to be issued. In a cycle one of ``issue`` and the stalls is 1, or none if there is no
    step; none may be without ``turn``. ``slot_ok``: a result slot is free for a step in this cycle
    (those taken up to the cycle before are counted); ``take_slot`` (only with ``issue``) takes it.
    """
    return Signature({
        "turn": In(1),
        "slot_ok": In(1),
        "pending": Out(1),
        "issue": Out(1),
        "take_slot": Out(1),
        "stall_load": Out(1),
        "stall_weights": Out(1),
        "stall_result": Out(1),
    })


def pool_pairs(config: AcceleratorConfig) -> dict[str, In]:
    """What a controller of MAX_POOL is told of blocks that a step has two of, beside ``fields``.

    ``pairs``: each of ``fields.blocks`` is two blocks, and ``fields.block_width`` the channels of
    both; ``odd``: but for the last one. Nothing where ``config.pool_blocks`` is 1.
    """
    return {"pairs": In(1), "odd": In(1)} if config.pool_blocks > 1 else {}


def array_controller_signature(config: AcceleratorConfig) -> Signature:
    """One of the array's controllers, seen from it; ``ArraySwitch`` has the other end.

    Instruction: in the cycle of ``start`` the controller begins one; from then on ``fields`` are
    there, up to the cycle of ``leaving``. ``products``, ``ring_base`` (index of its first ring
    word) and ``line_base`` (lane of its first input row) are there in the cycle of ``start``; from
    the next one on ``line_base`` is the lane past its last row, until the next ``start``.
    ``leaving`` (may be combinational) is 1 for a cycle: after it the controller looks at none of
    these any more; ``ring_end`` is then the index past its last ring word. The next ``start``, for
    any controller, may be in the next cycle, so what is needed later goes along with the steps.

    Steps: a controller may fill its pipeline up to the step to issue, but reads the line buffer and
    issues only while it has the turn (``issuing``, a ``step_issue``). ``pending`` counts from the
    cycle after ``leaving`` on.

    All outputs below are combinational from flip-flops; the switch registers them, so that step,
    line read and counters come out one cycle later and ``ring`` 3 cycles later. ``step``, ``ring``
    belong to ``issue``, which counts as a step of the array where ``step.compute`` is 1; without it
    a stall may be 1 too. ``line_read`` is free of the steps: its bytes are at the window as those
    of a step issued in the same cycle. ``free``: input rows below lane ``free_lane`` are used up.
    """
    lane = line_position_bits(config) - line_lane_bits(config)
    return Signature({
        "start": In(1),
        "fields": In(unit_layout("array", config)),
        "products": In(products_layout(config)),
        "line_base": In(lane),
        "ring_base": In(range(2 * config.ring_words)),
        "leaving": Out(1),
        "ring_end": Out(range(2 * config.ring_words)),
        "loaded": In(line_position_bits(config)),
        "ring_written": In(range(2 * config.ring_words)),
        "issuing": Out(step_issue()),
        "step": Out(step_layout(config)),
        "ring": Out(ring_use_layout(config)),
        "line_read": Out(1),
        "line_position": Out(line_position_bits(config)),
        "free": Out(1),
        "free_lane": Out(lane),
    })
