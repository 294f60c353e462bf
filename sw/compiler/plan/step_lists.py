"""Steps of a DENSE layer that its list has: those whose weights are not all 0."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from kaniwa.compiler.plan.layers import ArrayLayer
from kaniwa.config import AcceleratorConfig
from kaniwa.isa.step_lists import CHUNK_BITS, most_steps
from kaniwa.isa.weight_stream import dense_words

__all__ = ["can_be_listed", "layer_words", "listed_steps"]


def layer_words(layer: ArrayLayer, channels: tuple[int, int], segments: tuple[int, int],
                config: AcceleratorConfig) -> npt.NDArray[np.int8]:
    """Ring words [blocks, steps, M, N] of a DENSE layer's output ``channels`` [first, past the
    last); ``segments``: rows of the kernel, and segments of each."""
    assert layer.weights is not None
    part = layer.weights[channels[0]:channels[1]:layer.spread].astype(np.int8)
    return dense_words(np.ascontiguousarray(part).reshape(len(part), *segments, -1), config,
                       layer.weight_zero_point)


@lru_cache(maxsize=64)
def listed_steps(layer: ArrayLayer, segments: tuple[int, int],
                 config: AcceleratorConfig) -> npt.NDArray[np.bool_]:
    """For all blocks of a layer, segments of all kernel rows and chunks whether the list has the
    step: bool [blocks, segments, chunks]. A segment without weights has its first one."""
    words = layer_words(layer, (0, layer.geometry.ofm[2]), segments, config)
    used = (words != layer.weight_zero_point).any(axis=(2, 3))
    steps = used.reshape(len(words), segments[0] * segments[1], -1)
    steps[..., 0] |= ~steps.any(axis=2)
    steps.flags.writeable = False
    return steps


def can_be_listed(layer: ArrayLayer, segments: tuple[int, int], config: AcceleratorConfig) -> bool:
    """Whether a DENSE layer of whole blocks of the array leaves steps out with a list, and the
    device holds that of each block."""
    if (not config.step_entries or layer.weights is None or layer.weights.dtype != np.int8
            or layer.spread > 1):
        return False
    steps = listed_steps(layer, segments, config)
    return (not steps.all() and steps.shape[2] <= 1 << CHUNK_BITS
            and int(steps.sum(axis=(1, 2)).max()) <= most_steps(config))
