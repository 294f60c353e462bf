"""``kaniwa bridge``."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

import click

from kaniwa.commands.boards.until_ended import until_ended
from kaniwa.commands.completion import complete_devices
from kaniwa.commands.options import json_option
from kaniwa.commands.progress import progress
from kaniwa.driver.bridge_line import Line
from kaniwa.errors import DeviceError

__all__ = ["bridge_command"]


@click.command("bridge", epilog="Example: kaniwa bridge serial:/dev/ttyUSB1, and elsewhere on this "
                                "machine: kaniwa run resnet8.tflite --device tcp:127.0.0.1:7413")
@click.argument("device", shell_complete=complete_devices)
@click.option("--host", default="127.0.0.1", show_default=True, metavar="H",
              help="Address to listen at; one that others can reach needs --token-file.")
@click.option("--port", type=click.IntRange(0, 65535), default=7413, show_default=True,
              metavar="P", help="TCP port to listen at; 0: any free one.")
@click.option("--token-file", type=click.Path(path_type=Path), default=None, metavar="F",
              help="A file with the token that clients must know, at least 16 bytes.")
@json_option
def bridge_command(device: str, host: str, port: int, token_file: Path | None,
                   as_json: bool) -> None:
    """Offer the line to DEVICE over TCP, for `--device tcp:HOST:PORT`, until Ctrl-C.

    DEVICE is serial:PORT[?baud=B], udp:HOST[:PORT] or sim:BOARD. One client at a time has it;
    others are told who has. Clients know the token by the environment's KANIWA_TOKEN, or a
    device's name with ?token-file=F; it never goes over the line, but all else is plain text. A
    device that is unplugged is waited for. With --json what happens is told on standard error.
    """
    from kaniwa.driver.bridge import Bridge
    from kaniwa.driver.bridge_protocol import read_token

    def tell(text: str) -> None:
        click.echo(text, err=as_json)

    token = None if token_file is None else read_token(token_file)
    with until_ended():
        connect = _line_to(device)
        with contextlib.closing(Bridge(connect, host, port, token, tell=tell)) as bridge:
            connect().close()      # what is wrong with the device is told before a client comes
            name = f"tcp:{bridge.place}"
            if as_json:
                click.echo(json.dumps({"offered": device, "device": name,
                                       "token": token is not None}))
            else:
                click.echo(f"{device} is offered{' with a token' if token else ''}: "
                           f"--device {name}")
            bridge.serve()


def _line_to(device: str) -> Callable[[], Line]:
    """Function that opens the line to ``device``; a simulated board is made at once."""
    from kaniwa.driver.bridge_line import SimulatedLine
    from kaniwa.driver.datagrams.transport import UdpTransport
    from kaniwa.driver.devices import virtual_line
    from kaniwa.driver.transports import SerialTransport, parse_address

    if device.startswith("sim:"):
        with progress(f"starting {device}") as update:
            board = virtual_line(device, None, update)
        return lambda: SimulatedLine(board())
    if not device.startswith(("serial:", "udp:")):
        raise DeviceError(f"device '{device}': a bridge offers serial:PORT[?baud=B], "
                          "udp:HOST[:PORT] or sim:BOARD")
    address = parse_address(device)
    if address.kind == "serial":
        return lambda: SerialTransport(address.place, address.baud)
    return lambda: UdpTransport(*address.host_and_port)
