"""``kaniwa flash``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kaniwa.commands.completion import complete_targets
from kaniwa.commands.options import board_option, json_option, shape_option, show_json
from kaniwa.commands.progress import progress
from kaniwa.commands.tables import shape_text, show_table
from kaniwa.commands.values import OutputFile
from kaniwa.errors import InputError

if TYPE_CHECKING:
    from kaniwa.boards.board import Board
    from kaniwa.export.interface import Interface, Port
    from kaniwa.program.program import Program

__all__ = ["flash_command"]

FOLDER = Path("build/boards")
PARSED = (".bit", ".mcs")     # suffixes of files that programmers do not write as they are


@click.command("flash", epilog="Example: kaniwa flash keywords.tflite --board ulx3s_25f --write")
@click.argument("models", nargs=-1, required=True, type=click.Path(path_type=Path),
                metavar="MODEL_OR_PROGRAM ...")
@board_option
@click.option("--target", "targets", multiple=True, metavar="T", shell_complete=complete_targets,
              help="The target that was built, a preset or a TOML file (default: the board's first "
                   "target); of several models once for all, or for each in their order.")
@shape_option
@click.option("--bitstream", "bitstreams", multiple=True, type=click.Path(path_type=Path),
              metavar="FILE",
              help="Bitstream file, for each model in their order (default: what kaniwa bitstream "
                   f"--standalone wrote to {FOLDER}; of several models, that of --slot K).")
@click.option("-o", "--output", type=OutputFile(), default=None, metavar="FILE.bin",
              help=f"File for the flash (default: {FOLDER}/BOARD-TARGET-MODEL-flash.bin).")
@click.option("--image-only", type=OutputFile(), default=None, metavar="FILE.bin",
              help="Write the image of the one program alone, without a bitstream.")
@click.option("--write", is_flag=True, help="Write the connected board's flash, too.")
@json_option
@click.pass_context
def flash_command(ctx: click.Context, models: tuple[Path, ...], board: str,
                  targets: tuple[str, ...], bitstreams: tuple[Path, ...], output: Path | None,
                  image_only: Path | None, write: bool, as_json: bool) -> None:
    """Make the file for a board's flash from which it starts a model without a host.

    The file has the bitstream, and behind it program and weights, which the board loads at
    power-up. Then a client writes inputs, and the board shows the class on its LEDs.

    Of several models each has a slot, from 0 on, with a bitstream of its own. At power-up the board
    starts slot 0; kaniwa boot has it start another one.
    """
    from kaniwa.boards.board import load_board
    from kaniwa.boards.flow.program import write_flash
    from kaniwa.files import write_atomic
    from kaniwa.standalone.image import check_slots, flash_image, flash_slots

    if image_only is not None and (write or bitstreams or output is not None):
        raise click.UsageError("--image-only takes no --bitstream, --output or --write", ctx)
    if image_only is not None and len(models) > 1:
        raise click.UsageError("--image-only takes one model", ctx)
    if len(targets) not in (0, 1, len(models)):
        raise click.UsageError("--target: once, or once for each model", ctx)
    if len(bitstreams) not in (0, len(models)):
        raise click.UsageError("--bitstream: once for each model, or not at all", ctx)
    chosen = load_board(board)
    check_slots(chosen, len(models))
    targets = targets or (chosen.default_target,)
    several = len(models) > 1
    path = image_only or output or FOLDER / (
        f"{board}-{Path(targets[0]).stem}-{'-'.join(model.stem for model in models)}-flash.bin")
    if path.suffix in PARSED:
        raise InputError(f"{path}: programmers leave the head of a {path.suffix} file out, which "
                         "moves what is behind it: name it .bin")
    parts = [_Part(model, targets[k % len(targets)], chosen.with_slot(k) if several else chosen)
             for k, model in enumerate(models)]
    if image_only is None:
        for k, part in enumerate(parts):
            part.find_bitstream(bitstreams[k] if bitstreams else None)
    for part in parts:
        part.make()
    filled = [(part.content, part.image) for part in parts]
    data = (flash_slots(chosen, filled) if several
            else parts[0].image if image_only else flash_image(chosen, *filled[0]))
    if image_only is None and output is None:
        FOLDER.mkdir(parents=True, exist_ok=True)
    write_atomic(path, data)
    values = {"board": board, "file": str(path), "bytes": len(data), "tool": None}
    if write:
        with progress(f"writing the flash of {board}") as update:
            values["tool"] = write_flash(chosen, path, update)
    if as_json:
        show_json(values | ({"slots": [part.facts for part in parts]} if several
                            else parts[0].facts))
        return
    for k, part in enumerate(parts):
        click.echo("\n" * (k > 0), nl=False)
        _show(part)
    click.echo(f"wrote {path}, {len(data):,} bytes"
               + (f", and the flash with {values['tool']}" if values["tool"] else ""))


class _Part:
    """A model and what is of it in the flash. ``facts`` are there once it was made."""

    def __init__(self, model: Path, target: str, board: Board) -> None:
        self.model, self.target, self.board = model, target, board
        self.bitstream: Path | None = None
        self.content = self.image = b""
        self.facts: dict[str, Any] = {}

    def find_bitstream(self, given: Path | None) -> None:
        """Take the bitstream file ``given``, or the one that was built. DeviceError for none,
        InputError for one that its report tells to be of something else."""
        from kaniwa.boards.flow.program import check_bitstream, find_bitstream

        self.bitstream = given or find_bitstream(self.board, self.target, FOLDER, standalone=True)
        check_bitstream(self.board, self.bitstream, slot=self.board.slot, standalone=True,
                        config=self.board.config(self.target).hash)

    def make(self) -> None:
        """Compile the model, and read its bitstream."""
        from kaniwa.standalone.image import (
            bitstream_at,
            flash_of,
            make_image,
            standalone_interface,
        )

        with progress("compiling") as update:
            program = _program(self.model, self.board, self.target, update)
        device, self.image = standalone_interface(program), make_image(program)
        flash, slot = flash_of(self.board), self.board.slot
        self.facts = {"target": program.config.name, "model": program.name,
                      **_facts(device, self.image, flash.image_at(slot or 0))}
        if slot is not None:
            self.facts |= {"slot": slot, "bitstream_offset": bitstream_at(self.board, slot)}
        if self.bitstream is not None:
            self.content = self.bitstream.read_bytes()
            self.facts |= {"bitstream": str(self.bitstream), "bitstream_bytes": len(self.content)}


def _program(path: Path, board: Board, target: str, update: Callable[..., None]) -> Program:
    """The program in a file, or the model compiled for the board. Raises InputError for one that
    needs memory that the board has not."""
    from kaniwa.compiler.added_memory import compile_with_memory
    from kaniwa.importers import load_model
    from kaniwa.program.file import load_program

    config = board.config(target)
    if path.suffix != ".kaniwa":
        return compile_with_memory(load_model(path), config, board.outside(target),
                                   moves_on_device=True, progress=update)
    program = load_program(path)
    program.check_target(config)
    if program.outside is not None and not board.has_outside:
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
            "zero_point": tensor.zero_point, "model_shape": list(port.shape)}


def _shape(port: dict[str, Any]) -> str:
    """As it lies in memory, and that of the model where its axes are in another order."""
    stored, own = port["shape"], port["model_shape"]
    return shape_text(stored) + (f", of {shape_text(own)}" if stored != own else "")


def _show(part: _Part) -> None:
    values, board = part.facts, part.board
    rows = [("image of the program", f"{values['offset']:#x}", values["image_bytes"],
             f"CRC-32 {values['crc32']}")]
    if "bitstream" in values:
        rows = [("bitstream", f"{values.get('bitstream_offset', 0):#x}", values["bitstream_bytes"],
                 values["bitstream"]), *rows]
    of = f"slot {values['slot']} of the flash" if "slot" in values else "flash"
    show_table(f"{of} of {board.name}, target {values['target']}, {values['model']}",
               ("part", "at", "bytes", "what"), rows)
    show_table("device memory, once the board has loaded it",
               ("what", "name", "at", "bytes", "dtype", "shape"),
               [(what, port["name"], f"{port['address']:#x}", port["bytes"], port["dtype"],
                 _shape(port))
                for what in ("input", "output") for port in values[f"{what}s"]])
    click.echo(f"the board writes {values['memory_bytes']:,} bytes of its memory at power-up, in "
               f"{values['requests']} requests")
    if values["left_out"]:
        click.echo(f"left out, and a client's to do: {', '.join(values['left_out'])}")
    click.echo(_class_line(values, board))


def _class_line(values: dict[str, Any], board: Board) -> str:
    if values["no_class"]:
        return f"no class is shown: {values['no_class']}"
    bits = len(board.class_pins) - 1      # the last LED says whether there is a class
    line = f"class: the largest of {values['scores']} scores, on {bits} LED{'s' * (bits != 1)}"
    shown = 1 << bits
    return line + (f", which show{'s' * (bits == 1)} its number modulo {shown}"
                   if values["scores"] > shown else "")
