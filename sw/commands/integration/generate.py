"""``kaniwa generate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kaniwa.commands.completion import complete_buses, complete_targets
from kaniwa.commands.options import apply_options, json_option, show_json
from kaniwa.commands.progress import progress

__all__ = ["generate_command"]

design_options = apply_options([
    click.option("--target", default="base", show_default=True, metavar="T",
                 shell_complete=complete_targets, help="A preset or a TOML file."),
    click.option("--bus", required=True, metavar="B", shell_complete=complete_buses,
                 help="axi4, wishbone, or stream: the bytes of the link to a host."),
    click.option("--outside", is_flag=True,
                 help="A master port for memory outside the accelerator."),
    click.option("--data-bits", type=int, default=None, metavar="N",
                 help="Width of that port: 32, 64 or 128 (default: the widest that the target "
                      "fills)."),
    click.option("--sensor", is_flag=True,
                 help="Stream ports: samples into a tensor, and results out of one."),
    click.option("--sensor-buffer", type=int, default=0, metavar="N",
                 help="Bytes of the next samples that are taken during a run (default: 0)."),
    click.option("--clock-hz", type=int, default=0, metavar="N",
                 help="Clock that register CLOCK_HZ tells (default: 0, unknown)."),
    click.option("--name", default="kaniwa", show_default=True, metavar="NAME",
                 help="Name of the module and of the files."),
])


@click.command("generate",
               epilog="Example: kaniwa generate --target small --bus axi4 -o accelerator")
@design_options
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, metavar="DIR",
              help="Folder to write; it must not be there, or be empty.")
@click.option("--force", is_flag=True,
              help="Replace the files of an earlier call in DIR; a folder with others is refused.")
@json_option
def generate_command(target: str, output: Path, force: bool, as_json: bool,
                     **options: Any) -> None:
    """Write the accelerator as one Verilog file, with all that a design around it needs.

    DIR gets the module and its lint waivers, a C header, an SVD file, a FuseSoC core file, a page
    of ports and registers, and a testbench that runs with `make`.
    """
    from kaniwa.config import load_target
    from kaniwa.generate.design import Design
    from kaniwa.generate.files import BUILD_FOLDERS, file_names, generated_files
    from kaniwa.generate.folder import check_folder, write_folder

    design = Design(load_target(target), **options)
    check_folder(output, file_names(design), BUILD_FOLDERS, force)
    with progress(design.name) as update:
        files = generated_files(design, update)
    write_folder(output, files)
    if as_json:
        show_json({"folder": str(output), "name": design.name, "target": design.config.name,
                   "hash": design.config.hash, "bus": design.bus, "outside": design.outside,
                   "sensor": design.sensor,
                   "files": {name: len(data) for name, data in files.items()}})
        return
    for name, data in files.items():
        click.echo(f"{name:<{max(map(len, files))}}  {len(data):>10,} bytes")
    click.echo(f"wrote {output}: target {design.config.name}, {design.bus}; `make -C {output}/tb` "
               "runs the testbench")
