"""Parts of builds that are an FPGA family's own: clock, synthesis, and the tools after it."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from amaranth import *

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.multiplier.plain import Multiplier

__all__ = ["Family", "Pll", "Sites", "Slots", "Step", "load_family"]

# By type of cell, the names of all sites that one may have.
Sites = Mapping[str, Sequence[str]]


class Pll(Protocol):
    """A clock generator: drives ``clock`` from the board's oscillator.

    ``add`` puts it into a module and returns the signal that is 1 once the clock is stable.
    ``late``: a second clock to drive, behind by the part of a cycle that ``SdramPins`` names; only
    where a board of the family has SDRAM.
    """

    hz: int   # of the clock it makes
    source: Value   # the oscillator, once added; only where a board of the family has USB

    def add(self, m: Module, platform: Any, clock: Signal,
            late: Signal | None = None) -> Value: ...


@dataclass(frozen=True)
class Step:
    """A tool to run in the build's folder, and the file that it makes there."""

    tool: str
    arguments: tuple[str, ...]
    output: str


class Slots(Protocol):
    """How an FPGA starts from one of several bitstreams in its flash.

    ``IN_TURN``: from the slot behind the own one alone. ``HEAD_BYTES``: in front of the bitstream
    of each slot. ``head``: what is there in the first one, by the addresses of all bitstreams.
    ``chain``: a bitstream that goes to the slot at ``following``. ``restart`` is what configures
    the FPGA anew from ``slot``, once ``leave`` is 1; ``pin`` is a resource, that of the flash.
    """

    IN_TURN: bool
    HEAD_BYTES: int

    def head(self, addresses: Sequence[int]) -> bytes: ...

    def chain(self, bitstream: bytes, following: int) -> bytes: ...

    def restart(self, leave: Value, slot: Value, pin: tuple[str, int] | None) -> Any: ...


class Family(Protocol):
    """A module of an FPGA family (``kaniwa.boards.families.ecp5``, ...) has these.

    ``cells``: for each type of cell that synthesis may leave, what it takes of the device, by kind.
    ``reduce``: what to make smaller, by kind. ``constraints``: suffix of the file with the pins.
    ``multiplier``: the strategy that makes the products of a config. ``arrange``: changes to the
    synthesized netlist (a module of yosys' JSON) before place-and-route.
    """

    cells: Mapping[str, Mapping[str, int]]
    bels: Mapping[str, str]   # what place-and-route calls the places of a kind
    reduce: Mapping[str, str]
    constraints: str
    memory: Any   # what on-chip device memory is made of
    usb_pll: Any  # what makes the clocks of USB; only where a board of the family has its pins
    ddr3_clocks: Any  # what makes the clocks of DDR3; only where a board of the family has some
    rgmii: Any    # the pins of an Ethernet PHY; only where a board of the family has one
    flash_clock: Any    # what drives the clock of the flash; only where that is no pin
    sites: Sites        # of what changes places; only where there is a floorplan
    slots: Slots        # only where a board of the family has a flash with several bitstreams

    def multiplier(self, config: AcceleratorConfig) -> type[Multiplier]: ...

    def pll(self, input_hz: float, output_mhz: float, device: Sequence[str]) -> Pll: ...

    def synthesis(self, top: str, config: AcceleratorConfig,
                  device: Sequence[str]) -> Sequence[str]: ...

    def arrange(self, module: dict[str, Any], device: Sequence[str],
                config: AcceleratorConfig) -> None: ...

    def floorplan(self, device: Sequence[str], config: AcceleratorConfig, mhz: float,
                  rams: int) -> Step | None:
        """A placement before ``place``, from which the blocks get their sites; None where ``place``
        finds these itself. Its file is the placed netlist as nextpnr writes it. ``rams``: how many
        block RAMs the netlist has."""
        ...

    def place(self, device: Sequence[str], mhz: float, seed: int) -> Step: ...

    def pack(self, device: Sequence[str]) -> Step: ...


def load_family(name: str) -> Family:
    """The module of a family."""
    family: Any = importlib.import_module(f"kaniwa.boards.families.{name}")
    return family
