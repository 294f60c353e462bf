"""``kaniwa boot``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from kaniwa.commands.completion import complete_devices
from kaniwa.commands.options import json_option, show_json
from kaniwa.commands.progress import progress
from kaniwa.commands.values import FiniteRange
from kaniwa.errors import DeviceError
from kaniwa.standalone.boot import SECONDS, boot

if TYPE_CHECKING:
    from kaniwa.driver.transports import Transport
    from kaniwa.standalone.boot import SlotFacts

__all__ = ["boot_command"]

LINES = ("serial:", "tcp:", "udp:", "spi:", "sim:")


@click.command("boot", epilog="Example: kaniwa boot --device serial:/dev/ttyUSB1 1")
@click.argument("slot", type=click.IntRange(min=0))
@click.option("--device", required=True, metavar="D", shell_complete=complete_devices,
              help="serial:PORT[?baud=B], tcp:HOST:PORT, udp:HOST[:PORT], spi:PATH[?hz=N] or "
                   "sim:BOARD.")
@click.option("--seconds", type=FiniteRange(min=0, min_open=True), default=SECONDS,
              show_default=True, metavar="S",
              help="How long the board has to come back, each time that it starts.")
@json_option
def boot_command(slot: int, device: str, seconds: float, as_json: bool) -> None:
    """Have a board start from another SLOT of its flash: with another accelerator and model.

    kaniwa flash with several models fills the slots, numbered from 0. What the board was is told,
    and what it is then. An ECP5 starts the slot behind its own alone: it is told to until it is in
    the right one. At power-up all boards start slot 0.
    """
    def tell(text: str) -> None:
        if not as_json:
            click.echo(text)

    seen = boot(_line_to(device), slot, seconds, tell)
    if as_json:
        was, *others = map(_facts, seen)
        show_json({"device": device, "was": was, "between": others[:-1],
                   "is": others[-1] if others else was})
    elif len(seen) == 1:
        click.echo("it is there already: nothing was done")


def _line_to(device: str) -> Callable[[], Transport]:
    """Function that opens the line to ``device``; a simulated board is made at once."""
    from kaniwa.driver.devices import check_name, virtual_line
    from kaniwa.driver.transports import open_transport, parse_address

    if not device.startswith(LINES):
        raise DeviceError(f"device '{device}': boards have slots, which are serial:PORT[?baud=B], "
                          "tcp:HOST:PORT, udp:HOST[:PORT], spi:PATH[?hz=N] or sim:BOARD")
    check_name(device)
    if device.startswith("sim:"):
        with progress(f"starting {device}") as update:
            return virtual_line(device, None, update)
    address = parse_address(device)
    return lambda: open_transport(address)


def _facts(seen: SlotFacts) -> dict[str, Any]:
    return {"slot": seen.slot, "in_turn": seen.in_turn, "config": seen.config,
            "target": seen.target, "flash": seen.flash.name.lower()}
