"""DSP blocks that a config takes, beside those of other accelerators."""

from __future__ import annotations

from kaniwa.config import AcceleratorConfig
from kaniwa.units.register import units_of

__all__ = ["dsp_blocks"]


def dsp_blocks(config: AcceleratorConfig) -> int:
    """Blocks MULT18X18D of a core on an ECP5: array, requantizer, products of MUL and units.

    A block has two products of the array where ``packed_multipliers`` is set, and MUL's are in
    logic then. A requantizer lane takes two blocks, or none if it takes several cycles; a unit
    borrows these, and may have some of its own.
    """
    array = config.multipliers // (2 if config.packed_multipliers else 1)
    requantizer = 2 * config.requant_lanes if config.requant_cycles == 1 else 0
    products = config.elementwise_multiply and not config.packed_multipliers
    return array + requantizer + config.requant_lanes * products + sum(
        unit.multiplier_blocks(config) for unit in units_of(config))
