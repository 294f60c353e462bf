"""Gives the second operands of sums the same table in all layers, so that it is loaded once."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np

from kaniwa.compiler.plan.layers import ArrayLayer, Sum
from kaniwa.compiler.plan.plan import Plan
from kaniwa.compiler.plan.rescale import Int64, Rescale, affine, first_reaching, nearest_multiplier
from kaniwa.isa import Rounding

__all__ = ["operand_tables"]

# An operand's value counts 2^18: a fraction as fine as that leaves an entry of table 0 room on both
# sides in all but contrived sums, and its values may be 30 times those of table 1 within 32 bits.
FRACTION = 18
OPERAND = np.arange(256, dtype=np.int64) << FRACTION
LIMIT = 1 << 31


def operand_tables(plan: Plan) -> Plan:
    """ADD and SUB as a table of their own and one that all have, or its negative, where that gives
    the same result for all 65,536 pairs; others stay as they are."""
    def revised(layer: ArrayLayer) -> ArrayLayer:
        return layer if layer.add is None else replace(
            layer, add=_common(layer.add, plan.config.multiplier_bits))

    return replace(plan, layers=tuple(layer.revised(revised) for layer in plan.layers))


def _common(total: Sum, bits: int) -> Sum:
    """``total`` with the common table for its operand, if some multiplier and table 0 allow it."""
    first, second = total.tables.astype(np.int64)
    rise = (int(second[-1]) - int(second[0])) / 255
    if total.multiply or not rise:
        return total
    old = total.rescale
    slope = float(np.ldexp(float(old.multiplier[0]), -int(old.shift[0]))) * abs(rise)
    multiplier, shift = nearest_multiplier(slope / (1 << FRACTION), bits)
    results = affine(first[:, None] + second, old.multiplier, old.shift, old.rounding, bits).clip(
        old.act_min - old.zero_point, old.act_max - old.zero_point)
    operand = OPERAND if rise > 0 else -OPERAND
    nominal = np.rint((first + second[0]) * ((1 << FRACTION) / abs(rise))).astype(np.int64)
    # Where a sum lies just between two results, the sign of the multiplier's own error decides.
    for rounding, error in product(dict.fromkeys((old.rounding, Rounding.UP)), (0, 1, -1)):
        if not 0 < multiplier + error < 1 << bits:
            continue
        rescale = replace(old, multiplier=np.array([multiplier + error]),
                          shift=np.array([shift]), rounding=rounding, adjusted=int(error != 0))
        entries = _entries(results, operand, rescale, nominal, bits)
        if entries is not None:
            return replace(total, tables=np.stack([entries, operand]).astype(np.int32),
                           rescale=rescale)
    return total


def _entries(results: Int64, operand: Int64, rescale: Rescale, nominal: Int64,
             bits: int) -> Int64 | None:
    """Table 0 [256], next to ``nominal``, with which sums with ``operand`` are rescaled to
    ``results`` [256, 256], first operand first; None if there is none within int32.

    Results grow with the sum, so each of them bounds the entry of its row from both sides.
    """
    low, high = rescale.act_min - rescale.zero_point, rescale.act_max - rescale.zero_point
    multiplier, shift = int(rescale.multiplier[0]), int(rescale.shift[0])
    reached = [first_reaching(level, multiplier, shift, rescale.rounding, bits)
               for level in range(low + 1, high + 1)]
    lowest = np.array([-2 * LIMIT, *np.clip(reached, -2 * LIMIT, 2 * LIMIT)])
    highest = np.append(lowest[1:] - 1, 2 * LIMIT)
    bottom = (lowest[results - low] - operand).max(axis=1)
    top = (highest[results - low] - operand).min(axis=1)
    entries = np.clip(nominal, bottom, top)
    largest = max(np.abs(entries).max(), np.abs(entries[:, None] + operand).max())
    return entries if (bottom <= top).all() and largest < LIMIT else None
