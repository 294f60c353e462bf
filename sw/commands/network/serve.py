"""``kaniwa serve``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kaniwa.commands.completion import complete_devices
from kaniwa.commands.network.signals import stopped_by_signals
from kaniwa.commands.options import (
    compile_options,
    json_option,
    open_program,
    shape_option,
    show_json,
    target_for,
)
from kaniwa.commands.progress import progress
from kaniwa.commands.values import FiniteRange
from kaniwa.errors import InputError
from kaniwa.extras import needed

if TYPE_CHECKING:
    from kaniwa.program.program import Program

__all__ = ["serve_command"]


@click.command("serve", epilog="Example: kaniwa serve kws.tflite --device "
                               "serial:/dev/ttyUSB0,serial:/dev/ttyUSB1")
@click.argument("models", nargs=-1, required=True, type=click.Path(path_type=Path))
@shape_option
@compile_options
@click.option("--device", default="emulator", show_default=True, metavar="D[,D...]",
              shell_complete=complete_devices,
              help="golden, emulator, sim, sim:BOARD, serial:PORT[?baud=B], tcp:HOST:PORT, "
                   "udp:HOST[:PORT] or spi:PATH[?hz=N]; several share out the inferences.")
@click.option("--host", default="127.0.0.1", show_default=True,
              help="Address to listen at; one that other machines reach needs a token.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True,
              help="Port to listen at; 0: a free one.")
@click.option("--grpc-port", type=click.IntRange(0, 65535), default=None, metavar="P",
              help="Port for the protocol over gRPC, too; 0: a free one.")
@click.option("--token-file", type=click.Path(path_type=Path), default=None, metavar="F",
              help="File with the token that every request must have.")
@click.option("--max-body", type=click.IntRange(min=1), default=8 << 20, show_default=True,
              metavar="BYTES", help="The longest body of a request.")
@click.option("--timeout", type=FiniteRange(min=0, min_open=True, max=86400), default=30.0,
              show_default=True, metavar="S",
              help="Seconds for a request to come in, and for its answer.")
@click.option("--queue", type=click.IntRange(min=1), default=64, show_default=True, metavar="N",
              help="Inferences that wait or run at a time; more are refused.")
@json_option
@click.pass_context
def serve_command(ctx: click.Context, models: tuple[Path, ...], target: str, device: str,
                  host: str, port: int, grpc_port: int | None, token_file: Path | None,
                  max_body: int, timeout: float, queue: int, as_json: bool, **options: Any) -> None:
    """Answer inference requests for MODELS over HTTP and gRPC, until Ctrl-C.

    The protocol is the Open Inference Protocol, version 2. A model's name is that of its file,
    without the ending. Prints the address once clients can connect.
    """
    from kaniwa.driver.devices import check_name

    with needed("kaniwa serve", "serve"):
        from kaniwa.serve.limits import Limits
        from kaniwa.serve.server import Server
    names = device.split(",")
    for name in names:
        check_name(name)
    token = None if token_file is None else _token(token_file)
    programs = _programs(ctx, models, target_for(ctx, target, *names), names, options)
    with progress(f"starting {len(names)} devices") as update:
        server = Server(programs, names, host=host, port=port, token=token, progress=update,
                        limits=Limits(max_body, timeout, queue))
    rpc = None if grpc_port is None else server.offer_grpc(grpc_port)

    def tell() -> None:
        if as_json:
            show_json({"url": server.url, "models": list(programs), "devices": names}
                      | ({"grpc": rpc} if rpc else {}))
        else:
            click.echo(f"{', '.join(programs)} on {', '.join(names)}: {server.url}/v2"
                       + (f" and gRPC at {rpc}" if rpc else ""))

    with stopped_by_signals(server.stop):
        server.run(tell)


def _token(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise InputError(f"{path}: the token cannot be read ({reason})") from None


def _programs(ctx: click.Context, models: tuple[Path, ...], target: str, devices: list[str],
              options: dict[str, Any]) -> dict[str, Program]:
    """The programs by the names of their files."""
    given = ctx.get_parameter_source("target") is not click.core.ParameterSource.DEFAULT
    programs: dict[str, Program] = {}
    for path in models:
        if path.stem in programs:
            raise InputError(f"{path}: there is a model '{path.stem}' already; rename one")
        with progress(f"compiling {path.name}") as update:
            programs[path.stem], _ = open_program(path, target, options, given, devices, update)
    return programs
