"""Board: what one FPGA board is, and the list of those that kaniwa builds for."""

from __future__ import annotations

import dataclasses
import importlib
import ipaddress
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kaniwa.config import AcceleratorConfig, load_target
from kaniwa.driver.datagrams.format import is_of_one_device
from kaniwa.driver.frames import check_cores
from kaniwa.driver.spi.format import highest_pace
from kaniwa.driver.transports import BITS_A_BYTE, DEFAULT_BAUD
from kaniwa.errors import ConfigError, InputError
from kaniwa.litedram_modules import MODULES, port_bytes
from kaniwa.sdram_parts import PARTS, bursts
from kaniwa.standalone.format import MOST_SLOTS

__all__ = ["BOARDS", "DDR3_BYTES", "PHY_HZ", "TARGETS", "USB_PACE", "Board", "Ddr3", "Ethernet",
           "Flash", "Sdram", "Spi", "Usb", "check_standalone", "file_stem", "load_board"]

PHY_HZ = 125_000_000   # of a gigabit line
# Bytes a second each way over USB of full speed: half of what packets of 64 bytes carry, as one
# goes after the other.
USB_PACE = 600_000
DDR3_BYTES = 2         # of a chip beside the FPGA
LINK_CYCLES = 9   # that the link's end in the core takes for a byte; the line is faster

# Each file beside this one is a board.
BOARDS = tuple(sorted(path.stem for path in Path(__file__).parent.glob("*.py")
                      if path.stem not in ("__init__", "board")))

TARGETS = Path(__file__).parent / "targets"   # those of boards that are not presets


@dataclass(frozen=True)
class Sdram:
    """An SDRAM chip of a board: ``resource`` of the platform, and ``part`` of
    ``kaniwa.sdram_parts``.

    Where boards carry one chip or another, the part is the one with the longest times. ``masked``:
    the pins of its data mask are wired to the FPGA.
    """

    part: str
    resource: str = "sdram"
    masked: bool = True


@dataclass(frozen=True)
class Ddr3:
    """A DDR3 chip of 16 bits of a board: ``resource`` of the platform, and ``module``, its name in
    LiteDRAM.

    ``bridge``: its pins are at two sides of the FPGA. ``supplies``: a resource of pins beside them
    that are held at their levels. ``crossed_masks``: the mask of each byte is at the other one's
    pin. ``command_delay``: of commands and clock, in steps of the FPGA's delay cell, 0 to 127.
    ``termination``: the chip's for data that are written, as LiteDRAM names it. ``simulated``: a
    model is in the place of PHY and chip.
    """

    module: str
    resource: str = "ddr3"
    bridge: bool = False
    supplies: str | None = None
    crossed_masks: bool = False
    command_delay: int = 0
    termination: str = "60ohm"
    simulated: bool = False


@dataclass(frozen=True)
class Ethernet:
    """A gigabit PHY with RGMII that the host reaches a board by: ``resource`` of the platform.

    ``receive_ns`` and ``send_ns``: delays of the pins, as ``kaniwa.boards.families.ecp5_rgmii`` has
    them. ``ring_bytes`` and ``bank_bytes`` are those of ``kaniwa.hw.ethernet.ethernet_link``: by
    default for 32 requests, and for a reply of the largest size.
    ``address``: the board's, of IPv4.
    """

    receive_ns: float
    send_ns: float
    ring_bytes: int = 8192
    bank_bytes: int = 2048
    resource: str = "eth_rgmii"
    address: str = "192.168.1.50"


@dataclass(frozen=True)
class Flash:
    """The SPI flash that a board's FPGA starts from: ``resource`` of the platform.

    From ``offset`` on it has the image of a program, of its ``bytes`` in all. With several
    bitstreams each has a slot of ``slot_bytes``, with an image at ``offset`` of the slot.
    ``program``: the resource of a pin that configures the FPGA anew, where its family needs one.
    """

    part: str
    bytes: int
    offset: int
    slot_bytes: int
    resource: str = "spi_flash"
    program: tuple[str, int] | None = None

    @property
    def slots(self) -> int:
        """How many there are."""
        return min(MOST_SLOTS, self.bytes // self.slot_bytes)

    def image_at(self, slot: int) -> int:
        """Address of the image of a slot."""
        return slot * self.slot_bytes + self.offset


@dataclass(frozen=True)
class Spi:
    """Pins that a microcontroller can reach a board by: names of the ``connector`` of the platform.

    ``labels``: what is printed at them on the board, or its papers call them, in the order of
    ``cs_n``, ``sck``, ``copi`` and ``cipo``. ``attributes``: of the pins in the constraints;
    ``pull_up``: those that keep ``cs_n`` high where nothing is connected.
    """

    connector: tuple[str, int]
    cs_n: str
    sck: str
    copi: str
    cipo: str
    labels: tuple[str, str, str, str]
    attributes: Mapping[str, str]
    pull_up: Mapping[str, str | int]


@dataclass(frozen=True)
class Usb:
    """D+ and D- at pins of the FPGA itself, and one that feeds the pull-up at D+: the ``resource``
    of the platform."""

    resource: str


@dataclass(frozen=True)
class Board:
    """An FPGA board. ``load_board`` gives the one of a name.

    ``platform``: class with the pins, as ``module:class``; imported only for a build.
    ``targets``: what it is built for, by name, with the clock in MHz; the first one is the default.
    ``files``: targets that are not presets, as TOML files in TARGETS.
    ``device``: the part as the place-and-route tool names it. ``capacity``: its resources, in the
    units of a build's report. ``link``: the UART that a host reaches it by, a resource of the
    platform; None where it has no adapter for one, and USB is its own way.
    ``several``: targets that it is built for with several cores, by name and number of cores, with
    the clock in MHz. ``baud``: the link's, one that the adapter of the board can do;
    ``other_baud``: it was chosen for this build.
    ``programmers``: commands that load a bitstream, the first whose tool is installed is used;
    ``{file}`` is the bitstream. ``sdram`` or ``ddr3``: the chip that is outside memory, if one is
    used.
    ``ethernet``: the PHY that a host reaches it by, instead of the UART. ``spi`` and ``usb``: pins
    that it can be built to be reached by instead; ``line``: the name of those that it is built for,
    or own. ``overlap``: it is built so that the host may use memory during runs. ``flash``: what it
    starts from without a host; ``slot``: which of several bitstreams there it is, None for the only
    one. ``class_pins`` are resources, one an LED, that show the class then: the last one is on
    while there is one, those before it are its number, lowest bit first.
    ``flash_programmers``: as ``programmers``, commands that write the flash from its first byte on.
    """

    name: str
    title: str
    family: str
    platform: str
    device: tuple[str, ...]
    targets: Mapping[str, float]
    capacity: Mapping[str, int]
    link: str | None
    memory: str
    programmers: tuple[tuple[str, ...], ...]
    files: Mapping[str, Path] = dataclasses.field(default_factory=dict)
    several: Mapping[tuple[str, int], float] = dataclasses.field(default_factory=dict)
    baud: int = DEFAULT_BAUD
    sdram: Sdram | None = None
    ddr3: Ddr3 | None = None
    ethernet: Ethernet | None = None
    flash: Flash | None = None
    class_pins: tuple[tuple[str, int], ...] = ()
    flash_programmers: tuple[tuple[str, ...], ...] = ()
    spi: Spi | None = None
    usb: Usb | None = None
    line: str = "own"
    slot: int | None = None
    overlap: bool = False
    other_baud: bool = False

    def target_for(self, cores: int) -> str:
        """Name of the target that is built with so many cores if none is asked for."""
        return next((target for target, several in self.several if several == cores),
                    self.default_target)

    @property
    def default_target(self) -> str:
        """Name of the target that is built if none is asked for."""
        return next(iter(self.targets))

    @property
    def pace(self) -> int:
        """Bytes a second that the link carries in each direction."""
        clock_hz = int(self.clock_mhz(self.default_target) * 1e6)
        if self.by_spi:
            return highest_pace(clock_hz)
        if self.by_usb:
            return USB_PACE
        if self.ethernet is not None:
            return clock_hz // LINK_CYCLES
        return self.baud // BITS_A_BYTE

    def config(self, target: str) -> AcceleratorConfig:
        """The config of a target of this board, a preset or a TOML file.

        ConfigError for one that has no way to the board's SDRAM.
        """
        config = load_target(self.files.get(target, target))
        self.check_memory(config)
        return config

    def check_memory(self, config: AcceleratorConfig) -> None:
        """Raise ConfigError where the board has SDRAM or DDR3, and a core of ``config`` no way
        there, or reads and writes that are no bursts of the chip."""
        if not self.has_outside:
            return
        if config.compact and not config.outside_bits:
            raise ConfigError(f"{config.name} is a compact core with outside_bits of 0, so it has "
                              f"no way to the {'DDR3' if self.ddr3 else 'SDRAM'} of {self.name}: "
                              f"set outside_bits in the target, or take one of "
                              f"{', '.join(self.targets)}")
        if self.ddr3 is not None:
            beat = port_bytes(MODULES[self.ddr3.module], DDR3_BYTES)
            if config.read_bytes != beat:
                raise ConfigError(f"{config.name} on {self.name}: read_bytes must be {beat}, a "
                                  f"burst of its DDR3, not {config.read_bytes}: take one of "
                                  f"{', '.join(self.targets)}")
            return
        assert self.sdram is not None
        try:
            bursts(PARTS[self.sdram.part], config.read_bytes, config.write_bytes,
                   self.sdram.masked)
        except ConfigError as error:
            raise ConfigError(f"{config.name} on {self.name}: {error}") from None

    def clock_mhz(self, target: str, cores: int = 1) -> float:
        """The clock for a target in MHz; that of the default target where it is not listed."""
        own = self.targets.get(target, self.targets[self.default_target])
        return self.several.get((target, cores), own)

    def outside(self, target: str) -> str | None:
        """Outside memory as ``compile`` takes it, at the clock of a target; None without any."""
        return self.outside_at(self.clock_mhz(target))

    @property
    def has_outside(self) -> bool:
        """True where it has memory beside the FPGA's own."""
        return self.sdram is not None or self.ddr3 is not None

    def with_simulated_memory(self) -> Board:
        """This board with a model in the place of what is no gateware of its memory."""
        if self.ddr3 is None:
            return self
        return dataclasses.replace(self, ddr3=dataclasses.replace(self.ddr3, simulated=True))

    def outside_at(self, mhz: float) -> str | None:
        """Outside memory at a clock, as ``compile`` takes it; None without any."""
        if self.ddr3 is not None:
            return (f"litedram,module={self.ddr3.module},phy={self.family},bytes={DDR3_BYTES},"
                    f"clock={math.ceil(mhz)}")
        if self.sdram is None:
            return None
        return (f"sdram,part={self.sdram.part},clock={math.ceil(mhz)}"
                + ",mask=0" * (not self.sdram.masked))

    def with_address(self, address: str) -> Board:
        """This board with another address of IPv4; ConfigError for one that no device can have."""
        if self.ethernet is None:
            raise ConfigError(f"{self.name} has no Ethernet, so it takes no address")
        try:
            value = ipaddress.IPv4Address(address)
        except ValueError:
            raise ConfigError(f"address '{address}': expected one of IPv4, like "
                              f"{self.ethernet.address}") from None
        if not is_of_one_device(int(value)):
            raise ConfigError(f"address '{address}' is not one of a single device")
        return dataclasses.replace(
            self, ethernet=dataclasses.replace(self.ethernet, address=str(value)))

    @property
    def reached_by(self) -> str:
        """What a host reaches it by as it is built: uart, ethernet, spi or usb."""
        if self.line != "own":
            return self.line
        if self.ethernet is not None:
            return "ethernet"
        return "usb" if self.link is None else "uart"

    @property
    def by_spi(self) -> bool:
        """Whether it is built for a host on SPI."""
        return self.reached_by == "spi"

    @property
    def by_usb(self) -> bool:
        """Whether it is built for a host on USB."""
        return self.reached_by == "usb"

    def with_link(self, link: str) -> Board:
        """This board for a host on ``link``: spi, usb, or own for UART, Ethernet or USB as it has
        it.

        InputError for a board without pins for it.
        """
        if link != "own" and getattr(self, link) is None:
            raise InputError(f"{self.name} has no pins for {link.upper()}: boards with some are "
                             f"{_boards_with(link)}")
        line = "own" if link == "usb" and self.link is None else link
        return dataclasses.replace(self, line=line)._checked()

    def with_baud(self, baud: int | None) -> Board:
        """This board with a UART of another baud, which its adapter must do; None for its own.

        ConfigError for a board that is reached in another way.
        """
        if baud is None:
            return self
        if self.reached_by != "uart":
            raise ConfigError(f"{self.name} is not reached by a UART here, so it takes no baud")
        return dataclasses.replace(self, baud=baud, other_baud=True)

    def with_slot(self, slot: int | None) -> Board:
        """This board as one of several bitstreams in its flash, or the only one.

        ConfigError for a slot that the flash has not, and for a board without flash.
        """
        check_standalone(self)
        assert self.flash is not None
        if slot is not None and not 0 <= slot < self.flash.slots:
            raise ConfigError(f"slot must be 0..{self.flash.slots - 1} on {self.name}, not {slot}")
        return dataclasses.replace(self, slot=slot)._checked()

    def _checked(self) -> Board:
        """This board; ConfigError for one of several bitstreams behind USB."""
        if self.by_usb and self.slot is not None:
            raise ConfigError("a bitstream of a slot ends its answers before another one starts, "
                              "which is not built for USB: leave out --slot or --link usb")
        return self

    def check_cores(self, target: str, cores: int) -> None:
        """Raise ConfigError unless the target is known, and so many cores of it can be built."""
        check_cores(cores, self.config(target).memory_bytes, self.has_outside)

    def make_platform(self) -> Any:
        """A new Amaranth platform, good for one build."""
        module, name = self.platform.split(":")
        return getattr(importlib.import_module(module), name)()


def file_stem(board: Board, target: str, cores: int = 1, standalone: bool = False) -> str:
    """Name of a build's files, without suffix."""
    several = f"-{cores}cores" if cores > 1 else ""
    return (f"{board.name}-{Path(target).stem}{several}"
            + f"-{board.line}" * (board.line != "own")
            + f"-{board.baud}baud" * board.other_baud
            + "-overlap" * board.overlap + "-standalone" * standalone
            + (f"-slot{board.slot}" if standalone and board.slot is not None else ""))


def check_standalone(board: Board, cores: int = 1) -> None:
    """Raise ConfigError unless the board can start from flash, with so many cores."""
    if board.flash is None:
        raise ConfigError(f"{board.name} has no flash that kaniwa starts it from: these have one: "
                          f"{_boards_with('flash')}")
    if board.overlap:
        raise ConfigError("a board that starts from flash does not serve memory during runs")
    if cores > 1:
        raise ConfigError(f"a board that starts from flash has one core, not {cores}")


def _boards_with(part: str) -> str:
    """The names of the boards that have that part, for a message."""
    return ", ".join(name for name in BOARDS if getattr(load_board(name), part) is not None)


def load_board(name: str) -> Board:
    """The board of that name; ConfigError listing the known ones if there is none."""
    if name not in BOARDS:
        raise ConfigError(f"unknown board '{name}': give one of {', '.join(BOARDS)}")
    board: Board = importlib.import_module(f"kaniwa.boards.{name}").BOARD
    return board
