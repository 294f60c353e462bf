"""``kaniwa devices``."""

from __future__ import annotations

from typing import Any

import click

from kaniwa.commands.options import json_option, show_json
from kaniwa.commands.tables import show_table

__all__ = ["devices_command"]

# USB vendor and product -> boards that carry this adapter (they have no ids of their own)
USB_BOARDS = {
    (0x0403, 0x6015): "ULX3S (FT231X)",
    (0x0403, 0x6010): "iCEBreaker, Tang Primer 20K or another board with an FT2232 (second port)",
    (0x1209, 0x6146): "OrangeCrab",
}
ALWAYS = {"golden": "reference kernels on this machine",
          "emulator": "the command stream on this machine",
          "sim": "the gateware, simulated"}


@click.command("devices", epilog="Example: kaniwa devices")
@json_option
def devices_command(as_json: bool) -> None:
    """List what programs can run on, with the serial ports that may lead to a board."""
    from kaniwa.boards.board import BOARDS, load_board

    always = ALWAYS | {f"sim:{name}": f"simulated at its pins: {load_board(name).title}"
                       for name in BOARDS}
    found = [{"device": name, "what": what, "serial_number": None}
             for name, what in always.items()] + _plugged_in()
    if as_json:
        show_json({"devices": found})
    else:
        show_table("", ("device", "what", "serial number"),
                   [(d["device"], d["what"], d["serial_number"] or "") for d in found])


def _plugged_in() -> list[dict[str, Any]]:
    """The serial ports of USB adapters, named as for ``--device``."""
    from kaniwa.driver.transports import usb_ports

    return [{"device": f"serial:{port.device}", "serial_number": port.serial_number,
             "what": USB_BOARDS.get((port.vid, port.pid), port.description)}
            for port in usb_ports()]
