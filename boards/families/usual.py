"""What FPGA families have in common: no strategy, change or floorplan of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kaniwa.boards.families.family import Step
from kaniwa.config import AcceleratorConfig
from kaniwa.hw.multiplier.plain import Multiplier, PlainMultiplier

__all__ = ["REDUCE", "as_it_is", "no_floorplan", "plain_multiplier"]

# What to make smaller, where memory is made of block RAM.
REDUCE: Mapping[str, str] = {
    "lut": "out_lanes, dot_width or requant_lanes",
    "ff": "out_lanes, dot_width or requant_lanes",
    "bram": "memory_bytes, ring_bytes, line_bytes or parameter_records",
    "dsp": "out_lanes, dot_width or requant_lanes",
}


def plain_multiplier(config: AcceleratorConfig) -> type[Multiplier]:
    """Product left to synthesis, which knows what the family makes it of."""
    return PlainMultiplier


def as_it_is(module: dict[str, Any], device: Sequence[str], config: AcceleratorConfig) -> None:
    """Leave the netlist as it is."""


def no_floorplan(device: Sequence[str], config: AcceleratorConfig, mhz: float,
                 rams: int) -> Step | None:
    """None: blocks find their sites in ``place``."""
    return None
