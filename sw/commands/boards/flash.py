"""``kaniwa flash``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kaniwa.commands.options import (
    board_option,
    board_target_option,
    json_option,
    shape_option,
    show_json,
)
from kaniwa.commands.progress import progress
from kaniwa.commands.tables import shape_text, show_table
from kaniwa.errors import InputError

if TYPE_CHECKING:
    from kaniwa.boards.board import Board
    from kaniwa.export.interface import Interface, Port
    from kaniwa.program.program import Program

__all__ = ["flash_command"]

FOLDER = Path("build/boards")
PARSED = (".bit", ".mcs")     # suffixes of files that programmers do not write as they are


@click.command("flash", epilog="Example: kaniwa flash keywords.tflite --board ulx3s_25f --write")
@click.argument("model", type=click.Path(path_type=Path), metavar="MODEL_OR_PROGRAM")
@board_option
@board_target_option("The target that was built, a preset or a TOML file")
@shape_option
@click.option("--bitstream", type=click.Path(path_type=Path), default=None, metavar="FILE",
              help="Bitstream file (default: what kaniwa bitstream --standalone wrote to "
                   f"{FOLDER}).")
@click.option("-o", "--output", type=click.Path(path_type=Path), default=None, metavar="FILE.bin",
              help=f"File for the flash (default: {FOLDER}/BOARD-TARGET-MODEL-flash.bin).")
@click.option("--image-only", type=click.Path(path_type=Path), default=None, metavar="FILE.bin",
              help="Write the image of the program alone, without a bitstream.")
@click.option("--write", is_flag=True, help="Write the connected board's flash, too.")
@json_option
@click.pass_context
def flash_command(ctx: click.Context, model: Path, board: str, target: str | None,
                  bitstream: Path | None, output: Path | None, image_only: Path | None,
                  write: bool, as_json: bool) -> None:
    """Make the file for a board's flash from which it starts a model without a host.

    The file has the bitstream, and behind it program and weights, which the board loads at
    power-up. Then a client writes inputs, and the board shows the class on its LEDs.
    """
    from kaniwa.boards.board import load_board
    from kaniwa.boards.flow.program import find_bitstream, write_flash
    from kaniwa.files import write_atomic
    from kaniwa.standalone.image import flash_image, flash_of, make_image, standalone_interface

    if image_only is not None and (write or bitstream is not None or output is not None):
        raise click.UsageError("--image-only takes no --bitstream, --output or --write", ctx)
    chosen = load_board(board)
    offset = flash_of(chosen).offset
    target = target or chosen.default_target
    path = image_only or output or FOLDER / f"{board}-{Path(target).stem}-{model.stem}-flash.bin"
    if path.suffix in PARSED:
        raise InputError(f"{path}: programmers leave the head of a {path.suffix} file out, which "
                         "moves what is behind it: name it .bin")
    if image_only is None:
        bitstream = bitstream or find_bitstream(chosen, target, FOLDER, standalone=True)
    with progress("compiling") as update:
        program = _program(model, chosen, target, update)
    device, data = standalone_interface(program), make_image(program)
    values = {"board": board, "target": program.config.name, "model": program.name,
              "file": str(path), **_facts(device, data, offset)}
    if bitstream is not None:
        content = bitstream.read_bytes()
        data = flash_image(chosen, content, data)
        values |= {"bitstream": str(bitstream), "bitstream_bytes": len(content)}
    if image_only is None and output is None:
        FOLDER.mkdir(parents=True, exist_ok=True)
    write_atomic(path, data)
    values |= {"bytes": len(data), "tool": None}
    if write:
        with progress(f"writing the flash of {board}") as update:
            values["tool"] = write_flash(chosen, path, update)
    if as_json:
        show_json(values)
    else:
        _show(values, chosen)


def _program(path: Path, board: Board, target: str, update: Callable[..., None]) -> Program:
    """The program in a file, or the model compiled for the board. Raises InputError for one that
    needs memory that the board has not."""
    from kaniwa.compiler.added_memory import compile_with_memory
    from kaniwa.importers import load_model
    from kaniwa.program.file import load_program

    config = board.config(target)
    if path.suffix != ".kaniwa":
        return compile_with_memory(load_model(path), config, board.outside(target),
                                   progress=update)
    program = load_program(path)
    program.check_target(config)
    if program.outside is not None and board.sdram is None:
        raise InputError(f"{path}: needs outside memory, which {board.name} has not: compile it "
                         "without")
    return program


def _facts(device: Interface, data: bytes, offset: int) -> dict[str, Any]:
    """What there is to tell of an image ``data`` at ``offset`` of the flash."""
    from kaniwa.driver.frames import Operation
    from kaniwa.standalone.image import class_output, read_image

    image, scores = read_image(data), class_output(device)
    writes = [request for request in image.requests if request.operation == Operation.WRITE]
    return {
        "offset": offset, "image_bytes": image.length, "crc32": f"{image.crc:08x}",
        "memory_bytes": sum(request.count for request in writes), "requests": len(image.requests),
        "registers": {register.name.lower(): value for register, value in image.registers.items()},
        "scores": scores.count, "no_class": scores.why or None,
        "inputs": [_port(port) for port in device.inputs],
        "outputs": [_port(port) for port in device.outputs],
        "left_out": [op.kind for op in device.program.host_ops]}


def _port(port: Port) -> dict[str, Any]:
    tensor = port.tensor
    return {"name": port.name, "address": tensor.address, "bytes": tensor.bytes,
            "dtype": tensor.dtype, "shape": list(tensor.shape), "scale": tensor.scale,
            "zero_point": tensor.zero_point}


def _show(values: dict[str, Any], board: Board) -> None:
    rows = [("image of the program", f"{values['offset']:#x}", values["image_bytes"],
             f"CRC-32 {values['crc32']}")]
    if "bitstream" in values:
        rows = [("bitstream", "0x0", values["bitstream_bytes"], values["bitstream"]), *rows]
    show_table(f"flash of {values['board']}, target {values['target']}, {values['model']}",
               ("part", "at", "bytes", "what"), rows)
    show_table("device memory, once the board has loaded it",
               ("what", "name", "at", "bytes", "dtype", "shape"),
               [(what, port["name"], f"{port['address']:#x}", port["bytes"], port["dtype"],
                 shape_text(port["shape"]))
                for what in ("input", "output") for port in values[f"{what}s"]])
    click.echo(f"the board writes {values['memory_bytes']:,} bytes of its memory at power-up, in "
               f"{values['requests']} requests")
    if values["left_out"]:
        click.echo(f"left out, and a client's to do: {', '.join(values['left_out'])}")
    click.echo(_class_line(values, board))
    click.echo(f"wrote {values['file']}, {values['bytes']:,} bytes"
               + (f", and the flash with {values['tool']}" if values["tool"] else ""))


def _class_line(values: dict[str, Any], board: Board) -> str:
    if values["no_class"]:
        return f"no class is shown: {values['no_class']}"
    bits = len(board.class_pins) - 1      # the last LED says whether there is a class
    line = f"class: the largest of {values['scores']} scores, on {bits} LED{'s' * (bits != 1)}"
    shown = 1 << bits
    return line + (f", which show{'s' * (bits == 1)} its number modulo {shown}"
                   if values["scores"] > shown else "")
