"""Requantization parameters as data, proved exact over every accumulator value that can occur.

A framework's rule and the hardware's form are both monotone step functions of the accumulator, so
they are equal on a range exactly if they agree at both sides of each step of the rule. The rules
are written here from their definitions and share no code with ``kaniwa.golden``: the one checks
the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kaniwa.compiler.plan.bounds import INT8
from kaniwa.errors import CompileError
from kaniwa.isa import Rounding
from kaniwa.isa.formats import SHORT_RECORD

__all__ = ["Int64", "Rule", "Rescale", "double_rounding", "float_half_away",
           "float_half_even", "float_half_up", "listed", "average_pool", "average_pool_half_up",
           "mean", "mean_multiplier", "first_at_least", "exact", "affine", "prove", "prove_values",
           "nearest_multiplier", "first_reaching", "quantize_multiplier",
           "tied"]

Int64 = npt.NDArray[np.int64]
MAX_SHIFT = 62        # (acc * m + b) with |acc| <= 2^31, m < 2^31, b < 1.5 * 2^61 fits int64
INT32_MAX = (1 << 31) - 1


@dataclass(frozen=True, eq=False)
class Rule:
    """A framework's rule: a monotone function of accumulators, one row for each channel.

    ``function`` maps int64 [channels, any] to int64 results before zero point and clamp.
    ``slopes`` are about result / accumulator; ``rounding`` is the hardware form to try first. With
    ``odd`` no accumulator is even.
    """

    function: Callable[[Int64], Int64]
    slopes: npt.NDArray[np.float64]
    rounding: Rounding
    odd: bool = False


@dataclass(frozen=True, eq=False)
class Rescale:
    """The requantizer's settings in a layer; one ``multiplier`` and ``shift`` a channel.

    ``thresholds`` are the steps of the rule that were compared, ``adjusted`` the channels whose
    multiplier is not the one next to the rule's own number.
    """

    multiplier: Int64
    shift: Int64
    rounding: Rounding
    zero_point: int
    act_min: int
    act_max: int
    thresholds: int = 0
    adjusted: int = 0


@dataclass(frozen=True, eq=False)
class _Steps:
    """The steps of a rule: its result is >= ``levels`` at ``reached``, and below at ``short``.

    Rows are channels, columns levels (results before the zero point). The masks tell where
    ``reached`` and ``short`` can occur at all.
    """

    levels: Int64
    reached: Int64
    short: Int64
    has_reached: npt.NDArray[np.bool_]
    has_short: npt.NDArray[np.bool_]

    @property
    def count(self) -> int:
        """The steps that can occur."""
        return int((self.has_reached | self.has_short).sum())


def quantize_multiplier(real: float) -> tuple[int, int]:
    """LiteRT's ``QuantizeMultiplier``: real = m * 2^(shift - 31) with m in [2^30, 2^31), or 0."""
    if real == 0.0:
        return 0, 0
    fraction, shift = math.frexp(real)
    multiplier = int(math.floor(fraction * 2.0**31 + 0.5))
    if multiplier == 1 << 31:
        multiplier, shift = 1 << 30, shift + 1
    return (0, 0) if shift < -31 else (multiplier, shift)


def double_rounding(reals: npt.ArrayLike) -> Rule:
    """LiteRT's ``MultiplyByQuantizedMultiplier``, rounded twice; one real number a channel.

    A left shift that leaves int32 saturates (undefined in C++).
    """
    return _double_rounding([quantize_multiplier(float(real))
                             for real in np.atleast_1d(np.asarray(reals))])


def mean(real: float, count: int, channels: int) -> Rule:
    """LiteRT's MEAN: the sum of ``count`` values times ``real``, by a multiplier that is divided
    by ``count`` with as many more bits as ``count`` has, and as are left."""
    return _double_rounding([mean_multiplier(real, count)] * channels)


def mean_multiplier(real: float, count: int) -> tuple[int, int]:
    """Its multiplier and left shift."""
    multiplier, shift = quantize_multiplier(real)
    bits = min(count.bit_length() - 1, 32, 31 + shift)
    return (multiplier << bits) // count, shift - bits


def _double_rounding(pairs: Sequence[tuple[int, int]]) -> Rule:
    """By multipliers and left shifts."""
    multiplier = np.array([m for m, _ in pairs], np.int64)[:, None]
    shift = np.array([s for _, s in pairs], np.int64)[:, None]
    left, right = np.clip(shift, 0, 31), np.maximum(-shift, 0)
    # Half away from zero after the first rounding: a half, one less where the value is negative.
    half = np.where(right > 0, np.int64(1) << np.maximum(right - 1, 0), 0)

    def function(acc: Int64) -> Int64:
        shifted = np.clip(acc << left, -INT32_MAX - 1, INT32_MAX)
        high = (shifted * multiplier + (1 << 30)) >> 31
        return (high + half - ((high < 0) & (right > 0))) >> right

    slopes = np.ldexp(multiplier[:, 0].astype(np.float64), shift[:, 0].astype(np.int32) - 31)
    return Rule(function, slopes, Rounding.DOUBLE)


def float_half_away(reals: npt.ArrayLike) -> Rule:
    """The float64 product rounded to the nearest integer, ties away from zero."""
    slopes = np.atleast_1d(np.asarray(reals, np.float64))

    def function(acc: Int64) -> Int64:
        with np.errstate(over="ignore"):
            product = np.clip(acc.astype(np.float64) * slopes[:, None], -2.0**31, 2.0**31 - 1)
        whole = np.trunc(product)
        away = np.abs(product - whole) >= 0.5      # exact, unlike a sum with one half
        return (whole + np.where(away, np.sign(product), 0.0)).astype(np.int64)

    return Rule(function, slopes, Rounding.AWAY)


def float_half_even(reals: npt.ArrayLike) -> Rule:
    """The float64 product rounded to the nearest integer, ties to even: rule ``qdq``."""
    slopes = np.atleast_1d(np.asarray(reals, np.float64))

    def function(acc: Int64) -> Int64:
        with np.errstate(over="ignore"):
            product = np.clip(acc.astype(np.float64) * slopes[:, None], -2.0**31, 2.0**31 - 1)
        whole = np.floor(product)
        above = product - whole      # exact
        odd = np.mod(whole, 2.0) == 1.0
        return (whole + ((above > 0.5) | ((above == 0.5) & odd))).astype(np.int64)

    return Rule(function, slopes, Rounding.EVEN)


def quotient_half_even(step: float, fraction: int, result: float, channels: int) -> Rule:
    """Accumulators of so many fractional bits and of one ``step``, over the ``result``'s: rule
    ``qdq`` where numbers are weighed first, and float64 holds their sum."""
    def function(acc: Int64) -> Int64:
        real = np.ldexp(acc.astype(np.float64) * step, -fraction) / result
        return np.rint(np.clip(real, -2.0**31, 2.0**31 - 1)).astype(np.int64)

    return Rule(function, np.full(channels, np.ldexp(step / result, -fraction)), Rounding.EVEN)


def float_half_up(reals: npt.ArrayLike) -> Rule:
    """The float64 product rounded to the nearest integer, ties up."""
    slopes = np.atleast_1d(np.asarray(reals, np.float64))
    return Rule(lambda acc: np.floor(acc * slopes[:, None] + 0.5).astype(np.int64), slopes,
                Rounding.UP)


def bytes_kept(channels: int, bits: int, where: str) -> Rescale:
    """Parameters of a layer whose results are its sums: bytes as they are."""
    every = np.zeros(channels, np.int64)
    return prove(exact(channels), every + INT8[0], every + INT8[1], 0, INT8, bits, where)


def listed(values: Int64, results: Int64, slope: float, rounding: Rounding) -> Rule:
    """A function given by its ``results`` at the sorted ``values``, which are all that occur."""
    def function(acc: Int64) -> Int64:
        return results[np.searchsorted(values, acc)]

    return Rule(function, np.array([slope]), rounding)


def average_pool(count: int, channels: int) -> Rule:
    """A sum of ``count`` values to their mean, as C's integers have it: ties away from zero."""
    def function(acc: Int64) -> Int64:
        magnitude = (np.abs(acc) + count // 2) // count
        return np.where(acc < 0, -magnitude, magnitude)

    return Rule(function, np.full(channels, 1 / count), Rounding.AWAY)


def average_pool_half_up(count: int, channels: int) -> Rule:
    """The same of unsigned values, whose mean has no sign: ties go up. Accumulators of counts that
    are ``tied`` are twice the sum and 1, so that there are none."""
    if tied(count):
        return Rule(lambda acc: (acc + count) // (2 * count), np.full(channels, 0.5 / count),
                    Rounding.UP, odd=True)
    return Rule(lambda acc: (acc + count // 2) // count, np.full(channels, 1 / count), Rounding.UP)


def quotient(count: int, channels: int, *, away: bool) -> Rule:
    """Accumulators over ``count``: ties go ``away`` from zero, or towards it.

    Where it is not one of these, a multiplier next to 1 / count does so by itself. Half of the sum
    of both is a tie where they differ: so half to even of that is half to even of the quotient.
    """
    def function(acc: Int64) -> Int64:
        return np.sign(acc) * ((2 * np.abs(acc) + count - (not away)) // (2 * count))

    return Rule(function, np.full(channels, 1 / count), Rounding.AWAY if away else Rounding.UP)


def tied(count: int) -> bool:
    """True where means of ``count`` values end in halves that no multiplier has exactly."""
    return count % 2 == 0 and count & (count - 1) != 0


def exact(channels: int) -> Rule:
    """The accumulator itself."""
    return Rule(lambda acc: acc, np.ones(channels), Rounding.UP)


def affine(acc: Int64, multiplier: npt.ArrayLike, shift: npt.ArrayLike, rounding: Rounding,
           bits: int) -> Int64:
    """The hardware's form, before zero point and clamp; ``bits`` is the config's multiplier_bits.

    ``acc`` must be within int32, ``multiplier`` below 2^31 and ``shift`` at most 62.
    """
    s = np.asarray(shift, np.int64)
    half = np.where(s > 0, np.int64(1) << np.maximum(s - 1, 0), 0)
    product = acc * np.asarray(multiplier, np.int64)
    if rounding == Rounding.DOUBLE:
        extra = np.where(s > bits, np.int64(1) << (bits - 1), 0)
        return (product + half + np.where(acc < 0, -extra, extra)) >> s
    if rounding == Rounding.AWAY:
        return (product + half - ((acc < 0) & (s > 0))) >> s
    result = (product + half) >> s
    if rounding == Rounding.EVEN:
        tie = (product + half) & ((np.int64(1) << s) - 1) == 0
        return np.where(tie & (s > 0), result & ~np.int64(1), result)
    return result


def first_reaching(level: int, multiplier: int, shift: int, rounding: Rounding,
                   bits: int) -> int:
    """The smallest accumulator whose result by ``affine`` is at least ``level``.

    In Python's integers, since level * 2^shift may exceed 64 bits; ``multiplier`` must not be 0.
    """
    need = level << shift
    first = -((_offset(True, shift, rounding, bits) - need) // multiplier)
    if first >= 0:
        first = max(0, -((_offset(False, shift, rounding, bits) - need) // multiplier))
    tie = shift > 0 and first * multiplier + (1 << shift - 1) == need
    return first + (rounding == Rounding.EVEN and tie and level % 2 == 1)


def prove(rule: Rule, low: Int64, high: Int64, zero_point: int, bounds: tuple[int, int],
          bits: int, where: str) -> Rescale:
    """Parameters that equal ``rule`` for all accumulators ``low .. high`` of each channel.

    ``bounds`` are the activation's (act_min, act_max). Raises CompileError naming the channel.
    """
    levels = np.arange(bounds[0] + 1, bounds[1] + 1, dtype=np.int64) - zero_point
    below, above = low[:, None] - 1, high[:, None] + 1
    reached = first_at_least(rule, levels, below, above)
    if rule.odd:
        reached |= 1
    short = reached - (2 if rule.odd else 1)
    steps = _Steps(levels, reached, short, reached < above, short > below)
    multiplier, shift, rounding, adjusted = _fit(steps, rule, bits, where)
    return Rescale(multiplier, shift, rounding, zero_point, *bounds, steps.count, adjusted)


def prove_values(rule: Rule, values: Int64, zero_point: int, bounds: tuple[int, int], bits: int,
                 where: str) -> Rescale:
    """The same for one channel and the sorted accumulators ``values``, which are all that occur."""
    levels = np.arange(bounds[0] + 1, bounds[1] + 1, dtype=np.int64) - zero_point
    index = np.searchsorted(rule.function(values[None])[0], levels)[None]
    steps = _Steps(levels, values[np.minimum(index, len(values) - 1)],
                   values[np.maximum(index - 1, 0)], index < len(values), index > 0)
    multiplier, shift, rounding, adjusted = _fit(steps, rule, bits, where)
    return Rescale(multiplier, shift, rounding, zero_point, *bounds, steps.count, adjusted)


def first_at_least(rule: Rule, levels: Int64, below: Int64, above: Int64) -> Int64:
    """The smallest accumulator whose result is >= each level: [channels, levels], or ``above``;
    all are between ``below`` and ``above``, [channels, 1]."""
    def reaches(acc: Int64) -> npt.NDArray[np.bool_]:
        inside = rule.function(np.clip(acc, below + 1, above - 1)) >= levels
        return (acc >= above) | ((acc > below) & inside)

    with np.errstate(divide="ignore", over="ignore"):
        guess = (levels - 0.5) / rule.slopes[:, None]
    start = np.ceil(np.clip(guess, below, above)).astype(np.int64)
    left, right, width = np.maximum(start - 2, below), np.minimum(start + 1, above), 4
    while True:
        too_high, too_low = reaches(left), ~reaches(right)
        if not (too_high.any() or too_low.any()):
            break
        left = np.where(too_high, np.maximum(left - width, below), left)
        right = np.where(too_low, np.minimum(right + width, above), right)
        width *= 4
    while (right - left > 1).any():
        middle = (left + right) >> 1
        up = reaches(middle)
        left, right = np.where(up, left, middle), np.where(up, middle, right)
    return right


def _fit(steps: _Steps, rule: Rule, bits: int,
         where: str) -> tuple[Int64, Int64, Rounding, int]:
    """Multipliers, shifts and the one rounding that meet all steps; how many were searched."""
    derived = [nearest_multiplier(float(slope), bits) for slope in rule.slopes]
    shift = np.array([s for _, s in derived], np.int64)
    failed: int | None = None
    order = [rule.rounding, *(r for r in (Rounding.UP, Rounding.AWAY, Rounding.DOUBLE)
                              if r != rule.rounding)]
    for rounding in order:
        multiplier = np.array([m for m, _ in derived], np.int64)
        chosen = shift.copy()
        wrong = np.flatnonzero(~_meets(steps, multiplier, chosen, rounding, bits))
        for channel in wrong:
            found = _search(steps, int(channel), *derived[channel], rounding, bits)
            if found is None:
                failed = int(channel) if failed is None else failed
                break
            multiplier[channel], chosen[channel] = found
        else:
            if not _meets(steps, multiplier, chosen, rounding, bits).all():
                raise AssertionError("the search returned parameters that are not exact")
            return (_shortened(steps, multiplier, chosen, rounding, bits), chosen, rounding,
                    len(wrong))
    raise CompileError(f"{where}: channel {failed}: no {bits}-bit multiplier reproduces its "
                       f"rounding exactly; use a target with larger multiplier_bits")


def _shortened(steps: _Steps, multiplier: Int64, shift: Int64, rounding: Rounding,
               bits: int) -> Int64:
    """The multipliers with their lowest bits 0, as short records need it, where that is as exact.

    Channels that all have one multiplier store it once anyway.
    """
    if (multiplier == multiplier[0]).all() and (shift == shift[0]).all():
        return multiplier
    dropped = SHORT_RECORD.dropped
    shortened = multiplier.copy()
    for step in (1, 0, -1):
        short = (multiplier + (1 << dropped >> 1) >> dropped) + step << dropped
        found = ((short >= 0) & (short < 1 << bits)
                 & _meets(steps, np.clip(short, 0, (1 << bits) - 1), shift, rounding, bits))
        shortened = np.where(found, short, shortened)
    return shortened


def nearest_multiplier(slope: float, bits: int) -> tuple[int, int]:
    """The normalized (multiplier, shift) next to ``slope``, within what the hardware holds."""
    if slope == 0.0:
        return 0, 1
    fraction, exponent = math.frexp(slope)
    multiplier, shift = int(math.floor(fraction * 2.0**bits + 0.5)), bits - exponent
    if multiplier == 1 << bits:
        multiplier, shift = multiplier >> 1, shift - 1
    if shift > MAX_SHIFT:
        multiplier, shift = multiplier >> min(shift - MAX_SHIFT, 32), MAX_SHIFT
    if shift < 0:
        multiplier, shift = (1 << bits) - 1, 0
    return multiplier, shift


def _meets(steps: _Steps, multiplier: Int64, shift: Int64, rounding: Rounding,
           bits: int) -> npt.NDArray[np.bool_]:
    """For each channel whether the hardware's form agrees with every step."""
    m, s = multiplier[:, None], shift[:, None]
    reached = affine(steps.reached, m, s, rounding, bits) >= steps.levels
    short = affine(steps.short, m, s, rounding, bits) < steps.levels
    every = (reached | ~steps.has_reached) & (short | ~steps.has_short)
    return np.asarray(every.all(axis=1))


def _search(steps: _Steps, channel: int, multiplier: int, shift: int, rounding: Rounding,
            bits: int) -> tuple[int, int] | None:
    """The multiplier next to ``multiplier`` that meets the channel's steps, with its shift.

    For a given shift every step bounds the multiplier from one side; Python's integers, since
    level * 2^shift exceeds 64 bits.
    """
    for s in range(shift, max(shift - 4, -1), -1):
        low, high = 0, (1 << bits) - 1
        for level, reached, short, has_reached, has_short in zip(
                steps.levels.tolist(), steps.reached[channel].tolist(),
                steps.short[channel].tolist(), steps.has_reached[channel].tolist(),
                steps.has_short[channel].tolist(), strict=True):
            if has_reached:      # reached * m >= need
                need = (level << s) - _offset(reached < 0, s, rounding, bits)
                low, high = _bound(reached, need, low, high)
            if has_short:        # short * m < need, that is -short * m >= 1 - need
                need = (level << s) - _offset(short < 0, s, rounding, bits)
                low, high = _bound(-short, 1 - need, low, high)
        if low <= high:
            return min(max(multiplier >> (shift - s), low), high), s
    return None


def _bound(factor: int, need: int, low: int, high: int) -> tuple[int, int]:
    """The part of low .. high where factor * m >= need (empty: low > high)."""
    if factor > 0:
        return max(low, -(-need // factor)), high
    if factor < 0:
        return low, min(high, need // factor)
    return (low, high) if need <= 0 else (1, 0)


def _offset(negative: bool, shift: int, rounding: Rounding, bits: int) -> int:
    """The offset b of the hardware's form."""
    if shift == 0:
        return 0
    half = 1 << (shift - 1)
    if rounding == Rounding.DOUBLE and shift > bits:
        return half - (1 << (bits - 1)) if negative else half + (1 << (bits - 1))
    if rounding == Rounding.AWAY and negative:
        return half - 1
    return half
