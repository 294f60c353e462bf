"""The devices that run programs, under one protocol: golden, emulator, simulated core, boards."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

import numpy as np

from kaniwa import golden
from kaniwa.config import AcceleratorConfig, load_target
from kaniwa.data.arguments import expect
from kaniwa.emulator.core import Emulator
from kaniwa.errors import CompileError, ConfigError, DeviceError
from kaniwa.extras import needed
from kaniwa.graph import Graph
from kaniwa.isa.counters import RunStatistics
from kaniwa.outside import ADDED_OUTSIDE, parse_outside
from kaniwa.program.run_names import InstructionName

if TYPE_CHECKING:
    from kaniwa.boards.board import Board

__all__ = ["SIMULATORS", "added_outside", "check_name", "target_of", "Device",
           "EmulatorDevice", "GoldenDevice", "NamesInstructions", "ServesDuringRuns",
           "SimulatedMemory", "VirtualName", "check_options", "open", "parse_virtual",
           "virtual_line"]

SIMULATORS = ("golden", "emulator", "sim")
CHOICES = (*SIMULATORS, "sim:BOARD", "serial:PORT", "tcp:HOST:PORT", "udp:HOST", "spi:PATH",
           "uio:PATH", "mem:ADDRESS")
BOARDS = ("serial:", "tcp:", "udp:", "spi:")
MAPPED = ("uio:", "mem:")
VIRTUAL = "sim:"
Target = str | Path | AcceleratorConfig

logger = logging.getLogger(__name__)


@runtime_checkable
class Device(Protocol):
    """Interface that a Session needs of a device; addresses are device memory's (bit 31: outside).

    ``config`` is None until a target is loaded.
    """

    name: str
    config: AcceleratorConfig | None

    def load_target(self, config: AcceleratorConfig) -> None:
        """Become a device of ``config`` with empty memory; nothing if it is one already."""

    def write(self, address: int, data: bytes) -> None:
        """Copy ``data`` into device memory."""

    def read(self, address: int, count: int) -> bytes:
        """``count`` bytes of device memory."""

    def run(self, program_address: int, tags: Iterable[int] = ()) -> RunStatistics:
        """Run the program to its END; counters of ``tags``. Raises DeviceError if it fails."""

    def close(self) -> None:
        """Give the device up; a second call does nothing."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


@runtime_checkable
class SimulatedMemory(Protocol):
    """A device that gives a program the outside memory that it needs."""

    def add_outside(self, kind: str) -> None:
        """Get outside memory of ``kind``, unless it was said what there is; memory is then empty.
        """


@runtime_checkable
class NamesInstructions(Protocol):
    """A device that shows the names of what it runs."""

    def name_instructions(self, named: Callable[[], Sequence[InstructionName]]) -> None:
        """Take the names of the next run's instructions, if it shows them."""


@runtime_checkable
class ServesDuringRuns(Protocol):
    """A device whose memory the host may use while a program runs, if it ``serves``.

    A run is begun with ``start`` and ended with ``finish``; ``under_way`` is an object that stands
    for it meanwhile, else None.
    """

    @property
    def serves(self) -> bool: ...

    @property
    def under_way(self) -> object | None: ...

    def start(self, program_address: int, spans: Sequence[tuple[int, int]] = ()) -> list[bytes]:
        """Begin a run; gives what is at ``spans``, (address, bytes), as it goes on."""

    def finish(self, tags: Iterable[int] = (),
               images: Sequence[tuple[int, bytes]] = ()) -> RunStatistics:
        """Write ``images``, (address, data), meanwhile, and wait for the end, as ``Device.run``."""


class EmulatorDevice:
    """The emulator as a device. ``outside`` is by default ideal where there is no on-chip memory,
    else none, until a program needs some. ``progress`` may be set to what is to hear of long runs.
    """

    name = "emulator"

    def __init__(self, target: Target | None = None, outside: str | None = None) -> None:
        try:
            parse_outside(outside)
        except CompileError as error:
            raise ConfigError(str(error)) from None
        self.config: AcceleratorConfig | None = None
        self._outside = outside
        self._added: str | None = None
        self.progress: Callable[[str], None] = lambda text: None
        self._emulator: Emulator | None = None
        if target is not None:
            self.load_target(load_target(target))

    def load_target(self, config: AcceleratorConfig) -> None:
        """Become a device of ``config`` with empty memory; nothing if it is one already."""
        if self.config == config:
            return
        default = self._added or (None if config.memory_bytes else "ideal")
        self._emulator = Emulator(config, self._outside or default)
        logger.info("the emulator is open for %s, outside memory %s", config.name,
                    self._outside or default or "none")
        self.config = config

    def add_outside(self, kind: str) -> None:
        """Get outside memory of ``kind``, unless it was said what there is; memory is then empty.
        """
        if self._outside is None and self._added != kind and self.config is not None:
            config, self._added, self.config = self.config, kind, None
            self.load_target(config)

    def write(self, address: int, data: bytes) -> None:
        """Copy ``data`` into device memory."""
        self._require().write(address, data)

    def read(self, address: int, count: int) -> bytes:
        """``count`` bytes of device memory."""
        return self._require().read(address, count)

    def run(self, program_address: int, tags: Iterable[int] = ()) -> RunStatistics:
        """Run the program to its END; the cycles are estimates, there for all tags."""
        return self._require().run(program_address, self.progress)

    def close(self) -> None:
        """Give up the memory; a second call does nothing."""
        self.config = self._emulator = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _require(self) -> Emulator:
        if self._emulator is None:
            raise DeviceError("the emulator is closed or has no target yet")
        return self._emulator


class GoldenDevice:
    """The reference kernels. They run the model, not the program, so there is no device memory."""

    name = "golden"

    def __init__(self, target: Target | None = None, outside: str | None = None) -> None:
        self.config = None if target is None else load_target(target)

    def load_target(self, config: AcceleratorConfig) -> None:
        """The reference kernels are the same for every target."""
        self.config = config

    def run_graph(self, graph: Graph, inputs: dict[str, np.ndarray],
                  state: dict[int, np.ndarray] | None = None) -> dict[int, np.ndarray]:
        """The value of every tensor, by id; ``state`` as for ``golden.run``."""
        return golden.run(graph, inputs, state=state)

    def write(self, address: int, data: bytes) -> None:
        raise self._no_memory()

    def read(self, address: int, count: int) -> bytes:
        raise self._no_memory()

    def run(self, program_address: int, tags: Iterable[int] = ()) -> RunStatistics:
        raise self._no_memory()

    def close(self) -> None:
        """Nothing to give up."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @staticmethod
    def _no_memory() -> DeviceError:
        return DeviceError("the golden device has no device memory: use the emulator or sim")


def check_name(name: str) -> None:
    """Raise DeviceError unless ``name`` is of a form that names a device."""
    expect("device", name, str)
    if name.startswith(BOARDS):
        from kaniwa.driver.transports import parse_address

        parse_address(name)
    elif name.startswith(MAPPED):
        from kaniwa.driver.mapping import parse_mapping

        parse_mapping(name)
    elif name.startswith(VIRTUAL):
        parse_virtual(name)
    elif name not in CHOICES:
        raise DeviceError(f"unknown device '{name}': give one of {', '.join(CHOICES)}")


def target_of(name: str) -> str | None:
    """The target that the device ``name`` has unless another one is asked for, if it has one."""
    if not name.startswith(VIRTUAL):
        return None
    virtual = parse_virtual(name)
    target = virtual.board.target_for(virtual.cores)
    return str(virtual.board.files.get(target, target))


def added_outside(names: Collection[str], config: AcceleratorConfig) -> str | None:
    """The outside memory that a program of ``config`` gets unasked on devices of these ``names``.

    Simulators have what it needs, a virtual board what is on the board. None where one of them has
    none that is known, and where they differ.
    """
    if set(names) <= {*SIMULATORS}:
        return ADDED_OUTSIDE
    if not all(name.startswith(VIRTUAL) for name in names):
        return None
    kinds = {parse_virtual(name).board.outside(config.name) for name in names}
    return kinds.pop() if len(kinds) == 1 else None


@dataclass(frozen=True)
class VirtualName:
    """``sim:BOARD?baud=B&cores=K&core=C&overlap=1`` taken apart."""

    board: Board
    baud: int | None = None
    cores: int = 1
    core: int = 0
    overlap: int = 0     # 1: it serves memory during runs


def parse_virtual(name: str) -> VirtualName:
    """Raises DeviceError for a name of the wrong form, a core that is not there among them."""
    from kaniwa.boards.board import BOARDS as boards, load_board
    from kaniwa.driver.frames import MOST_CORES

    found = re.fullmatch(r"sim:([^?]*)((?:[?&](?:baud|cores|core|overlap)=[0-9]{1,9})*)", name)
    given = re.findall(r"([?&])(\w+)=(\d+)", found[2]) if found else []
    numbers = {key: int(value) for _, key, value in given}
    if found is None or found[1] not in boards or len(numbers) < len(given) or (
            "".join(mark for mark, *_ in given) != "?&&&"[:len(given)]) or (
            numbers.get("baud") == 0) or numbers.get("overlap", 0) > 1:
        raise DeviceError(f"device '{name}': expected sim:BOARD[?baud=B&cores=K&core=C&overlap=1], "
                          f"BOARD one of {', '.join(boards)}")
    virtual = VirtualName(load_board(found[1]), **numbers)
    if not 1 <= virtual.cores <= MOST_CORES or virtual.core >= virtual.cores:
        raise DeviceError(f"device '{name}': cores must be 1..{MOST_CORES}, and core one of them, "
                          "numbered from 0")
    return virtual


def virtual_line(name: str, target: Target | None,
                 progress: Callable[[str], None] | None) -> Callable[[], Any]:
    """Power a virtual board up; gives what plugs its cable in."""
    virtual = parse_virtual(name)
    config = None if target is None else load_target(target)
    with needed("a simulated board", "sim", DeviceError):
        from kaniwa.sim.board.board_design import board_design
        from kaniwa.sim.board.virtual_line import power_up

        board = replace(virtual.board, overlap=bool(virtual.overlap))
        design = board_design(board, config, virtual.baud, virtual.cores)
        transport = power_up(design, _report(progress))
    return lambda: transport


def open(name: str, target: Target | None = None, outside: str | None = None,
         progress: Callable[[str], None] | None = None, **options: Any) -> Device:
    """Open the device ``name``: "golden", "emulator", "sim",
    "sim:BOARD[?baud=B&cores=K&overlap=1]", "serial:PORT[?baud=B]",
    "tcp:HOST:PORT[?token-file=F]", "udp:HOST[:PORT]",
    "spi:PATH[?hz=N]", "uio:PATH" or "mem:ADDRESS[:SIZE]"; behind the last two "?outside=NAME" names
    a buffer of u-dma-buf. Of a board with several cores "core=C" names one, by default 0;
    ``open_cores`` opens them all.

    ``target`` is a preset, a TOML file or a config; without it, the device takes the target of its
    first program; a board has its own, which must be ``target``, and a virtual board is made for
    ``target``, by default the board's first one. A core on this machine's bus is like a board.
    ``outside``: as for ``compile``; a board must have some. ``progress`` is told what takes long.
    ``options`` of sim: stalls, seed, trace, observer, watchdog, cycle_limit; of a board: watchdog.
    Raises DeviceError for an unknown device or option.
    """
    check_name(name)
    if name == "sim":
        return _open_sim(target, outside, progress, options)
    if name.startswith((*BOARDS, VIRTUAL)):
        return _open_board(name, target, outside, progress, options)
    if name.startswith(MAPPED):
        return _open_mapped(name, target, outside, options)
    check_options(name, options, ())
    return (GoldenDevice if name == "golden" else EmulatorDevice)(target, outside)


def _open_board(name: str, target: Target | None, outside: str | None,
                progress: Callable[[str], None] | None, options: dict[str, Any]) -> Device:
    from kaniwa.driver.board_device import BoardDevice

    check_options(name, options, ("watchdog",))
    if name.startswith(VIRTUAL):
        from kaniwa.sim.board.virtual_board import VirtualBoard

        device: BoardDevice = VirtualBoard(
            name, target, virtual_line(name, target, progress)(),
            core=parse_virtual(name).core, **options)
    else:
        device = BoardDevice(name, target, **options)
    if outside not in (None, "none") and not device.outside:
        device.close()
        raise DeviceError(f"{name}: the board has no outside memory ({outside} is wanted): compile "
                          "for on-chip memory only")
    return device


def _open_mapped(name: str, target: Target | None, outside: str | None,
                 options: dict[str, Any]) -> Device:
    from kaniwa.driver.mapped_device import MappedDevice

    check_options(name, options, ("watchdog",))
    device = MappedDevice(name, target, **options)
    if outside not in (None, "none") and not device.outside:
        device.close()
        raise DeviceError(f"{name}: outside memory is wanted ({outside}): name a buffer of "
                          f"u-dma-buf, as in {name}?outside=udmabuf0")
    return device


def _open_sim(target: Target | None, outside: str | None,
              progress: Callable[[str], None] | None, options: dict[str, Any]) -> Device:
    from kaniwa.sim.device.simulated_core import SimDevice

    check_options("sim", options, (
        "stalls", "seed", "trace", "observer", "watchdog", "cycle_limit"))
    return SimDevice(target, outside=outside, progress=_report(progress), **options)


def _report(progress: Callable[[str], None] | None) -> Callable[[str, float], None]:
    """Function that hears of a build."""
    if progress is None:
        return lambda what, seconds: None
    return lambda what, seconds: progress(what)


def check_options(name: str, options: dict[str, Any], known: tuple[str, ...]) -> None:
    """Raise DeviceError for an option that the device ``name`` has not."""
    for option in options:
        if option not in known:
            has = f": it has {', '.join(known)}" if known else ""
            raise DeviceError(f"the device {name} has no option '{option}'{has}")
