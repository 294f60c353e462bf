"""Biases beside which a channel's products hardly count, made small enough for int32.

ONNX Runtime's quantiser makes the scale of a channel's weights just so large that its bias fits
int32. What the products add then goes beyond it. Their sums are real numbers in ONNX, so nothing
is lost there. The whole range of such a channel is less than a step of the result, and its results
are one or two neighbors: from ``T`` on the larger one. So any line does that has the same ``T``:

    round((acc - D) · m · 2^k)     with D such that acc = T becomes the first to reach the larger
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from kaniwa.compiler.plan.accumulators import INT32_MAX, extent
from kaniwa.compiler.plan.rescale import Int64, Rule, first_at_least

__all__ = ["with_small_biases"]

ROOM = 1 << 30        # what is left of int32 for a shifted bias and products
STEP = 0.75           # of the result, that the products of a channel may move it by


def with_small_biases(rule: Rule, weights: Int64, bias: Int64,
                      bounds: tuple[int, int]) -> tuple[Rule, Int64]:
    """The rule and the biases of channels, both of other sums where these may leave int32.

    ``bounds`` are the activation's, less the zero point. Channels that have more than two results
    stay as they are.
    """
    low, high = extent(weights, bias)
    channels = np.flatnonzero((low < -INT32_MAX) | (high > INT32_MAX))
    if not channels.size:
        return rule, bias
    slopes, less = rule.slopes.copy(), np.zeros_like(bias)
    for channel in channels:
        of_one = _of_channel(rule, int(channel))
        found = _line(of_one, int(low[channel]), int(high[channel]), bounds)
        if found is not None:
            less[channel], slopes[channel] = found

    def function(acc: Int64) -> Int64:
        return rule.function(acc + less[:, None])

    return replace(rule, function=function, slopes=slopes), bias - less


def _of_channel(rule: Rule, channel: int) -> Rule:
    """The rule of one channel alone."""
    def function(acc: Int64) -> Int64:
        every = np.broadcast_to(acc, (len(rule.slopes), acc.shape[-1]))
        return rule.function(every)[channel:channel + 1]

    return replace(rule, function=function, slopes=rule.slopes[channel:channel + 1])


def _line(rule: Rule, low: int, high: int, bounds: tuple[int, int]) -> tuple[int, float] | None:
    """How much sums from ``low`` to ``high`` are too large by, and the slope of what is left; None
    where there are more results than two, or no slope is small enough."""
    ends: npt.NDArray[np.int64] = np.array([[low, high]], np.int64)
    first, last = np.clip(rule.function(ends)[0], *bounds).tolist()
    slope = float(rule.slopes[0])
    if last - first > 1 or slope <= 0:
        return None
    # Where the larger result begins; with one result alone, in the middle.
    at = (low + high) // 2 if last == first else int(first_at_least(
        rule, np.array([last]), ends[:, :1] - 1, ends[:, 1:] + 1)[0, 0])
    reached = float(last) if last == first else last - 0.5
    while (high - low) * slope * 2 < STEP:
        slope *= 2
        place = int(np.ceil(reached / slope))
        if max(abs(low - at + place), abs(high - at + place)) < ROOM:
            return at - place, slope
    return None
