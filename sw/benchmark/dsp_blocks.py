"""DSP blocks that a config takes, beside those of other accelerators."""

from __future__ import annotations

from kaniwa.config import AcceleratorConfig

__all__ = ["dsp_blocks"]


def dsp_blocks(config: AcceleratorConfig) -> int:
    """Blocks MULT18X18D of a core on an ECP5: array, requantizer, products of MUL and cell unit.

    A block has two products of the array where ``packed_multipliers`` is set, and MUL's are in
    logic then. A requantizer lane takes two blocks, or none if it takes several cycles; a cell unit
    has three, and the requantizer's.
    """
    array = config.multipliers // (2 if config.packed_multipliers else 1)
    requantizer = 2 * config.requant_lanes if config.requant_cycles == 1 else 0
    products = config.elementwise_multiply and not config.packed_multipliers
    return array + requantizer + config.requant_lanes * products + 3 * config.cell_unit
