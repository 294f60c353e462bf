"""``kaniwa unpack``."""

from __future__ import annotations

from pathlib import Path

import click

from kaniwa.commands.options import json_option, show_json
from kaniwa.commands.tables import show_table

__all__ = ["unpack_command"]


@click.command("unpack", epilog="Example: kaniwa unpack kaniwa-0.1.0-built.zip")
@click.argument("archive", type=click.Path(path_type=Path))
@json_option
def unpack_command(archive: Path, as_json: bool) -> None:
    """Keep the bitstreams and simulators of a release, so that nothing has to be built."""
    from dataclasses import asdict

    from kaniwa.release.archive import unpack
    from kaniwa.release.kept import release_folder
    from kaniwa.release.manifest import BITSTREAM, SIMULATOR, this_platform
    from kaniwa.sim.device.verilate import sources_digest

    release = unpack(archive)
    folder, fits = release_folder(release.sources), release.sources == sources_digest()
    if as_json:
        show_json(asdict(release) | {"folder": str(folder), "fits": fits,
                                     "runs_here": release.runs_here})
        return
    show_table(f"kaniwa {release.version}", ("file", "board", "target", "MHz", "seed", "MB"),
               [(one.file, one.board or "", one.target, one.facts.get("mhz", ""),
                 one.facts.get("seed", ""), f"{one.bytes / 1e6:.1f}")
                for one in release.artifacts if one.kind in (BITSTREAM, SIMULATOR)])
    if not fits:
        click.echo("made from other sources than this kaniwa has, which will not use them; take "
                   "the release of this version")
    elif not release.runs_here:
        click.echo(f"its simulators are for {release.platform}, this is {this_platform()}: they "
                   "are built here when they are needed")
    click.echo(f"kept in {folder}")
