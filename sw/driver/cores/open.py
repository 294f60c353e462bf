"""Every core of a board as a device of its own, all of them on one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kaniwa.driver.devices import (
    BOARDS,
    VIRTUAL,
    Device,
    Target,
    check_name,
    check_options,
    virtual_line,
)
from kaniwa.errors import DeviceError

if TYPE_CHECKING:
    from kaniwa.driver.board_device import BoardDevice

__all__ = ["has_cores", "open_cores"]


def has_cores(name: str) -> bool:
    """True for a name that leads to a board with one core or several, and names none of them."""
    options = name.partition("?")[2].split("&")
    return name.startswith((*BOARDS, VIRTUAL)) and not any(
        option.startswith("core=") for option in options)


def open_cores(name: str, target: Target | None = None, *,
               progress: Callable[[str], None] | None = None, **options: Any) -> list[Device]:
    """A device for each core of the board ``name``: ``serial:``, ``tcp:``, ``udp:``, ``spi:`` or
    ``sim:``.

    They are those of ``kaniwa.open``, with the same ``target`` and ``options``, and may be used
    from a thread each: while one core runs, data goes to and from the others. The line is closed
    with the last of them. An error of the line is one for all: each says so once, and opens the
    line anew in the call after that. Raises DeviceError for another name, and where one cannot be
    opened; then none is.
    """
    check_name(name)
    if not has_cores(name):
        raise DeviceError(f"device '{name}': open_cores takes a board without core=C: serial:PORT, "
                          "tcp:HOST:PORT, udp:HOST[:PORT], spi:PATH or sim:BOARD?cores=K")
    check_options(name, options, ("watchdog",))
    make = _maker(name, target, progress, options)
    devices = [make(0, name)]
    try:
        if devices[0].cores > 1:
            devices[0].name = _name_of(name, 0)
        devices += [make(core, _name_of(name, core)) for core in range(1, devices[0].cores)]
    except BaseException:
        for device in devices:
            device.close()
        raise
    return list(devices)


def _name_of(name: str, core: int) -> str:
    return f"{name}{'&' if '?' in name else '?'}core={core}"


def _maker(name: str, target: Target | None, progress: Callable[[str], None] | None,
           options: dict[str, Any]) -> Callable[[int, str], BoardDevice]:
    """Function that makes the device of a core, by number and name, all on one line."""
    from kaniwa.driver.board_device import BoardDevice
    from kaniwa.driver.cores.line import SharedLine
    from kaniwa.driver.transports import open_transport, parse_address

    if name.startswith(VIRTUAL):
        from kaniwa.sim.board.virtual_board import VirtualBoard

        connect = virtual_line(name, target, progress)
        line = SharedLine(connect)
        return lambda core, own: VirtualBoard(own, target, connect(), line=line, core=core,
                                              **options)
    address = parse_address(name)
    line = SharedLine(lambda: open_transport(address), address.pace)
    return lambda core, own: BoardDevice(own, target, line=line, core=core, **options)
