"""Place and route of a netlist with a seed, and packing: the folder with all that comes of it."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kaniwa.boards.families.family import Family, Step, load_family
from kaniwa.boards.floor.placement import PLACEMENT, keep_placement, written_netlist
from kaniwa.boards.flow import tools
from kaniwa.boards.flow.routed import ROUTED, keep_routed
from kaniwa.boards.flow.watch import Watch
from kaniwa.cache_folder import building, cache_folder, kept_folder
from kaniwa.errors import BuildError

__all__ = ["REPORT", "TOP", "Design", "Seed", "advice", "digest", "kept", "kept_path",
           "make_placed", "place_again", "run_for_board", "run_tool"]

TOP = "top"
REPORT = "report.json"   # of place-and-route, in the folder of a seed


@dataclass(frozen=True)
class Design:
    """What is placed, for a ``family`` by its name: ``planned`` is the folder with the netlist,
    ``constraints`` the text of the file with the pins."""

    family: str
    planned: Path
    constraints: str

    @property
    def netlist(self) -> Path:
        """The file with the netlist, as yosys' JSON."""
        return self.planned / f"{TOP}.json"

    @property
    def advice(self) -> str:
        """What to do where routing does not end."""
        return advice(load_family(self.family), ["lut"])


@dataclass(frozen=True)
class Seed:
    """How a design is placed and routed with a seed of this ``number``, and packed."""

    number: int
    step: Step
    pack: Step

    def name(self, design: Design, netlist: str) -> str:
        """The name of the cached folder of the result; ``netlist`` is the netlist's digest."""
        commands = [(*step.arguments, tools.version(step.tool)) for step in (self.step, self.pack)]
        return f"placed-{digest([netlist, design.constraints, commands])}"


def make_placed(design: Design, seed: Seed, folder: Path, watch: Watch) -> None:
    """Fill ``folder`` with report, placement and bitstream of a seed."""
    _route(design, seed.step, folder, watch)
    watch.say("bitstream")
    pack = seed.pack
    run_tool(pack.tool, [*tools.command(pack.tool), *pack.arguments], folder, pack.output,
             lambda line: None)


def _route(design: Design, step: Step, folder: Path, watch: Watch) -> None:
    """Run place-and-route in ``folder``, and keep the place of each cell and the netlist.

    The placed netlist is asked for beside the family's own arguments: these name a result in the
    cache, and writing one file more does not change it.
    """
    family, netlist = load_family(design.family), folder / design.netlist.name
    os.link(design.netlist, netlist)
    (folder / f"{TOP}.{family.constraints}").write_text(design.constraints)
    watch.say("place and route")
    own = written_netlist(step.arguments)
    written = own or "placed.json"
    asked = () if own else ("--write", written)
    run_for_board(dataclasses.replace(step, arguments=(*step.arguments, *asked)), folder, watch,
                  family)
    if (folder / written).exists():
        _keep_written(folder / written, folder)
    if own is None:
        (folder / written).unlink(missing_ok=True)
    netlist.unlink()


def place_again(design: Design, step: Step, kept: Path, watch: Watch) -> None:
    """Add what a result lacks that was kept before the places of cells and its netlist were."""
    own = written_netlist(step.arguments)
    if own is not None:
        _keep_written(kept / own, kept)
        return
    with building(kept.with_name(f"again-{kept.name}")) as folder:
        _route(design, step, folder, watch)
        if (folder / step.output).read_bytes() != (kept / step.output).read_bytes():
            raise BuildError(f"{kept}: place and route came to another result than the kept one; "
                             "remove the folder and build again")
        for name in (PLACEMENT, ROUTED):
            os.replace(folder / name, kept / name)


def _keep_written(written: Path, folder: Path) -> None:
    """Keep what the floor and a simulation need of the netlist that place-and-route wrote."""
    keep_placement(written, folder / PLACEMENT, TOP)
    keep_routed(written, folder / ROUTED, TOP)


def run_for_board(step: Step, folder: Path, watch: Callable[[str], None], family: Family) -> None:
    """Run place-and-route, whose errors may be that the board has too little of something."""
    run_tool(step.tool, [*tools.command(step.tool), *step.arguments], folder, step.output, watch,
             hint=f"; {advice(family, family.bels)}")


def run_tool(tool: str, command: Sequence[str], folder: Path, output: str,
             watch: Callable[[str], None], hint: str = "") -> None:
    """Run a tool that makes ``output``; BuildError with its last error if it does not.

    ``hint`` is said where there is no room.
    """
    log = folder / f"{tool}.log"
    begun = watch.begin if isinstance(watch, Watch) else lambda process: None
    status = tools.run(command, folder, log, watch, begun)
    if status or not (folder / output).exists():
        errors = [line for line in log.read_text().splitlines() if line.startswith("ERROR")]
        text = errors[-1] if errors else f"exit status {status}"
        no_room = re.search(r"no (?:BELs|bels|more)|unable to place|[Ff]ailed to (?:place|expand)",
                            text)
        raise BuildError(f"{tool} failed: {text}{hint if no_room else ''}")


def advice(family: Family, kinds: Iterable[str]) -> str:
    """What to reduce where there is too little of ``kinds``."""
    return "; ".join(f"for {kind} reduce {family.reduce[kind]}" for kind in kinds)


def kept(name: str, make: Callable[[Path], None]) -> Path:
    """The cached folder of that name, made if there is none yet."""
    return kept_folder(kept_path(name), make)


def kept_path(name: str) -> Path:
    """Where the cached folder of that name is."""
    return cache_folder() / "bitstreams" / name


def digest(parts: Iterable[Any]) -> str:
    """A name for ``parts``, by their texts."""
    found = hashlib.sha256()
    for part in parts:
        found.update(str(part).encode())
        found.update(b"\0")
    return found.hexdigest()[:32]
