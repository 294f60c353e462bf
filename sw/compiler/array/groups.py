"""Grouped convolutions: dense ones, each of some groups side by side.

Output channels of a group see the input channels of that group alone. A dense convolution of k
groups has weights of 0 for what a group does not see. So few groups at once need the fewest
products, and many at once read the input less often.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from kaniwa.compiler.plan.operands import Pair
from kaniwa.config import AcceleratorConfig

__all__ = ["Weights", "at_once", "side_by_side"]

Weights = npt.NDArray[np.int8] | npt.NDArray[np.int16]

INSTRUCTION = 60     # cycles by which one more instruction is later, about


def side_by_side(weights: Weights, groups: int, count: int) -> Iterator[Weights]:
    """``weights`` [OC, KH, KW, IC of a group] of ``count`` groups after the other, each part as
    dense weights [OC / parts, KH, KW, IC of the part]."""
    outputs, inputs = len(weights) // groups, weights.shape[3]
    for first in range(0, groups, count):
        dense = np.zeros((count * outputs, *weights.shape[1:3], count * inputs), weights.dtype)
        for group in range(count):
            to = slice(group * outputs, (group + 1) * outputs)
            own = slice((first + group) * outputs, (first + group + 1) * outputs)
            dense[to, ..., group * inputs:(group + 1) * inputs] = weights[own]
        yield dense


def at_once(shape: tuple[int, ...], groups: int, results: Pair, stride: Pair, most: int,
            config: AcceleratorConfig) -> int:
    """How many groups a part has, such that all take the fewest cycles; ``most`` parts at most.

    ``shape``: of the weights [OC, KH, KW, IC of a group]. ``results``: rows and columns of them.
    """
    def cycles(count: int) -> float:
        outputs, inputs = count * shape[0] // groups, count * shape[3]
        whole, taps = count == groups, shape[2]
        chunks = (-(-taps * inputs // config.dot_width) if whole
                  else taps * -(-inputs // config.dot_width))
        array = results[1] * -(-outputs // config.out_lanes) * shape[1] * chunks
        load = stride[0] * results[1] * stride[1] * groups * shape[3] / config.read_bytes
        post = float(results[1] * outputs / config.requant_rate)
        return groups // count * (results[0] * max(array, load, post) + INSTRUCTION)

    return min((count for count in range(1, groups + 1)
                if groups % count == 0 and groups // count <= most), key=cycles)
