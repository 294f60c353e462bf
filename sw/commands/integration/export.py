"""``kaniwa export``: a compiled model as C source."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from kaniwa.commands.options import (
    compile_options,
    json_option,
    open_program,
    shape_option,
    show_json,
)
from kaniwa.commands.progress import progress

__all__ = ["export_command"]


def _take_output(ctx: click.Context, param: click.Parameter, output: Path) -> Path:
    """A name that can be in ``#include``, and is not that of the driver or of C itself."""
    from kaniwa.export.c_names import HEADERS

    if not re.fullmatch(r"[A-Za-z0-9_.+-]+\.c", output.name) or (
            output.stem.lower() in HEADERS):
        raise click.BadParameter(f"'{output.name}' must end with .c, have letters, digits and "
                                 "'_.+-' only, and have no header of the driver or of C "
                                 "beside it", ctx, param)
    return output


@click.command("export", epilog="Example: kaniwa export micro_speech.tflite --target base_vector "
                                "-o speech.c --driver")
@click.argument("model", type=click.Path(path_type=Path))
@shape_option
@compile_options
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True,
              callback=_take_output,
              help="C file to write, and the header beside it; its functions have its name.")
@click.option("--driver", is_flag=True,
              help="Write the driver beside them: kaniwa.c and .h, and for a board on SPI "
                   "kaniwa_link.c and .h.")
@json_option
@click.pass_context
def export_command(ctx: click.Context, model: Path, target: str, output: Path, driver: bool,
                   as_json: bool, **options: Any) -> None:
    """Write MODEL (.kaniwa, .tflite, .onnx) as C source for a CPU with the accelerator on its bus,
    or on SPI.

    All operators must run on the accelerator: compile a .kaniwa with --moves-on-device. Float
    edges, and the order of axes, are left to the caller.
    """
    from kaniwa.export.c_source import DRIVER_FILES, driver_file, header, source
    from kaniwa.export.interface import interface
    from kaniwa.files import write_all

    given = ctx.get_parameter_source("target") is not click.core.ParameterSource.DEFAULT
    with progress("exporting") as update:
        if model.suffix != ".kaniwa":
            options["moves_on_device"] = True
        program, _ = open_program(model, target, options, given, ("bus",), update)
        face = interface(program, transposed=True)
        files = {output: source(face, output.stem).encode(),
                 output.with_suffix(".h"): header(face, output.stem).encode()}
        if driver:
            files |= {output.with_name(name): driver_file(name) for name in DRIVER_FILES}
        write_all(files)
    size = sum(len(data) for _, data in program.images)
    if as_json:
        show_json({"model": program.name, "target": program.config.name,
                   "config_hash": program.config_hash, "image_bytes": size,
                   "memory_bytes": program.local_bytes, "outside_bytes": program.outside_bytes,
                   "inputs": [port.name for port in face.inputs],
                   "outputs": [port.name for port in face.outputs], "state": bool(face.states),
                   "files": [str(path) for path in files]})
    else:
        click.echo(f"wrote {', '.join(str(path) for path in files)}: {size:,} bytes of program and "
                   f"weights for target '{program.config.name}' ({program.config_hash})")
