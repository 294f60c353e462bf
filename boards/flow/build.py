"""Builds bitstreams: gateware to RTLIL, synthesis, place and route for some seeds, packing.

Each step keeps what it made in the cache under a hash of all that went into it. A step's folder
appears whole or not at all. The same sources, tools and seeds give the same bitstream.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
import re
import shutil
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from amaranth import Elaboratable

from kaniwa.boards.board import Board
from kaniwa.boards.families.family import Family, Step, load_family
from kaniwa.boards.floor.placement import PLACEMENT, keep_placement, written_netlist
from kaniwa.boards.flow import block_sites, fanout, multiplier_sites, output_registers, tools
from kaniwa.boards.flow.routed import ROUTED, keep_routed
from kaniwa.boards.flow.timing import Timing, load_report, read_timing
from kaniwa.boards.flow.utilization import Netlist, mark_commands
from kaniwa.boards.flow.watch import Stop, Watch, watch_synthesis
from kaniwa.cache_folder import building, cache_folder, kept_folder
from kaniwa.config import AcceleratorConfig
from kaniwa.errors import BuildError, ConfigError
from kaniwa.hw.parts.unchecked_read import UNDEFINED
from kaniwa.machine import cores
from kaniwa.stage import Stage

__all__ = ["REPORT", "TOP", "Bitstream", "Progress", "build", "count_cells", "design_files"]

TOP = "top"
REPORT = "report.json"   # of place-and-route, in the folder of a seed
Progress = Callable[[str], None]
T = TypeVar("T")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Bitstream:
    """A built bitstream. ``timings``: by seed. ``counts``: what each block takes, by kind.

    ``folder``: kept files of the best seed. ``netlist``: the synthesized one, with its blocks.
    ``placed_from``: the file with the netlist that was placed, as yosys' JSON.
    """

    board: Board
    target: str
    config: AcceleratorConfig
    target_mhz: float
    timings: Mapping[int, Timing]
    best_seed: int
    counts: Mapping[str, Mapping[str, int]]
    totals: Mapping[str, int]
    path: Path
    rtlil_hash: str
    seconds: float
    folder: Path
    placed_from: Path
    netlist: Netlist = dataclasses.field(compare=False, repr=False)

    @property
    def clock_mhz(self) -> dict[str, float]:
        """Worst, median and best clock of the seeds."""
        clocks = [timing.mhz for timing in self.timings.values()]
        return {"worst": round(min(clocks), 2), "median": round(statistics.median(clocks), 2),
                "best": round(max(clocks), 2)}

    @property
    def meets_timing(self) -> bool:
        """True where every seed reaches the target's clock."""
        return min(timing.mhz for timing in self.timings.values()) >= self.target_mhz


def build(board: Board, target: str | None, seeds: int, output: Path, progress: Progress,
          clock_mhz: float | None = None, *, wanted: Collection[str] = ()) -> Bitstream:
    """Build for seeds 1 to ``seeds``; the bitstream of the fastest one is copied to ``output``.

    ``wanted``: of PLACEMENT and ROUTED, those for which that one is placed and routed again where a
    result was kept without.

    Raises BuildError where a tool fails or the design does not fit, ConfigError for a bad target.
    A clock that is not met is not an error here.
    """
    began = time.monotonic()
    target = target or board.default_target
    config = board.config(target)
    mhz = clock_mhz or board.clock_mhz(target)
    family = load_family(board.family)
    progress("elaborating the gateware")
    files = design_files(board, config, mhz)
    synthesized = _synthesize(board, family, config, files, progress)
    netlist = _netlist(synthesized)
    counts = netlist.counts(family.cells)
    _check_fit(board, family, target, counts)

    planned = _plan(board, family, config, synthesized, files, mhz, progress)
    placed = _place_all(board, family, planned, files, mhz, seeds, progress)
    timings = {seed: read_timing(load_report(folder / REPORT), netlist.block)
               for seed, folder in placed.items()}
    best = max(timings, key=lambda seed: (timings[seed].mhz, -seed))
    if not all((placed[best] / name).exists() for name in wanted):
        watch = Watch(f"seed {best} again", Stop(), progress,
                      _advice(family, ["lut"]), beside=False)
        _place_again(family, planned, files, family.place(board.device, mhz, best), placed[best],
                     watch)
    packed = placed[best] / family.pack(board.device).output
    output.mkdir(parents=True, exist_ok=True)
    path = output / f"{board.name}-{Path(target).stem}{packed.suffix}"
    shutil.copyfile(packed, path)
    used = timings[best].used
    totals = {kind: used.get(family.bels.get(kind, ""),
                             sum(block.get(kind, 0) for block in counts.values()))
              for kind in board.capacity}
    return Bitstream(board, target, config, mhz, timings, best, counts, totals, path,
                     _digest([files[f"{TOP}.il"]]), round(time.monotonic() - began, 1),
                     placed[best], planned / f"{TOP}.json", netlist)


def count_cells(board: Board, target: str, progress: Progress) -> dict[str, int]:
    """Number of the design's cells of each kind (``lut``, ``ff``, ...) behind synthesis, in all."""
    family, config = load_family(board.family), board.config(target)
    files = design_files(board, config, board.clock_mhz(target))
    counts = _netlist(_synthesize(board, family, config, files, progress)).counts(family.cells)
    return {kind: sum(block.get(kind, 0) for block in counts.values()) for kind in board.capacity}


def _netlist(synthesized: Path) -> Netlist:
    return Netlist(json.loads((synthesized / f"{TOP}.json").read_text()), TOP)


def design_files(board: Board, config: AcceleratorConfig, mhz: float,
                 **line: int) -> dict[str, str]:
    """RTLIL and constraints of the board's top, by file name; the same for the same sources.

    ``line``: baud and pace of ``BoardTop``, where they are not those of a bitstream.
    """
    from kaniwa.boards.flow.top import BoardTop

    family = load_family(board.family)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")   # the toolchain's own, for example on its version
        top = BoardTop(board, config, mhz, **line)
        try:
            plan = board.make_platform().prepare(top, TOP, emit_src=False)
        except ConfigError:
            Elaboratable._MustUse__silence = True   # the blocks before the one that was refused
            raise
    return {name: plan.files[name] for name in (f"{TOP}.il", f"{TOP}.{family.constraints}")}


def _synthesize(board: Board, family: Family, config: AcceleratorConfig, files: Mapping[str, str],
                progress: Progress) -> Path:
    """The folder with the synthesized netlist."""
    source = files[f"{TOP}.il"]
    script = "\n".join([f"read_rtlil {TOP}.il", *mark_commands(source),
                        f"setattr -unset init a:{UNDEFINED}",
                        *family.synthesis(TOP, config, board.device),
                        f"write_json {TOP}.json"]) + "\n"

    def make(folder: Path) -> None:
        progress(Stage("synthesis"))
        (folder / f"{TOP}.il").write_text(source)
        (folder / "synth.ys").write_text(script)
        _run("yosys", tools.yosys_command("synth.ys"), folder, f"{TOP}.json",
             watch_synthesis(board.family, progress))
        netlist = json.loads((folder / f"{TOP}.json").read_text())
        _forget_sources(netlist)
        family.arrange(netlist["modules"][TOP], board.device, config)
        (folder / f"{TOP}.json").write_text(json.dumps(netlist))
        (folder / f"{TOP}.il").unlink()

    return _kept(f"synthesis-{_synthesis_key(board, family, source, script)}", make)


def _forget_sources(netlist: dict[str, Any]) -> None:
    """Take out where cells and nets come from: the same design is the same file in any folder."""
    for module in netlist["modules"].values():
        for item in (module, *module["cells"].values(), *module["netnames"].values()):
            item["attributes"].pop("src", None)


def _synthesis_key(board: Board, family: Family, source: str, script: str) -> str:
    return _digest([source, script, tools.version("yosys"), *board.device,
                    *_texts(fanout, multiplier_sites, output_registers,
                            sys.modules[family.arrange.__module__])])


def _plan(board: Board, family: Family, config: AcceleratorConfig, synthesized: Path,
          files: Mapping[str, str], mhz: float, progress: Progress) -> Path:
    """The folder with the netlist to place: the synthesized one, or that with sites for blocks.

    The same for all seeds. Of the family's floorplans it is the one with the shortest wires.
    """
    steps = dict(enumerate(family.floorplans(board.device, config, mhz), 1))
    if not steps:
        return synthesized
    design, constraints = f"{TOP}.json", f"{TOP}.{family.constraints}"
    commands = [(*step.arguments, tools.version(step.tool)) for step in steps.values()]
    key = _digest([(synthesized / design).read_text(), files[constraints], commands,
                   *_texts(block_sites)])

    def make(folder: Path) -> None:
        def place(number: int, stopped: Stop) -> int:
            own = folder / str(number)
            own.mkdir()
            (own / constraints).write_text(files[constraints])
            os.link(synthesized / design, own / design)
            watch = Watch(f"floorplan {number}", stopped, progress, _advice(family, ["lut"]),
                          len(steps) > 1)
            _run_for_board(steps[number], own, watch, family)
            watch.end()
            return watch.wires

        wires = _at_once(steps, place)
        best = min(wires, key=lambda number: (wires[number], number))
        progress(f"floorplan {best} is taken, with wires of {wires[best]:,}: "
                 "the shortest of " + ", ".join(f"{length:,}" for length in wires.values()))
        netlist = json.loads((synthesized / design).read_text())
        placed = json.loads((folder / str(best) / steps[best].output).read_text())
        block_sites.keep_sites(
            netlist["modules"][TOP], placed["modules"][TOP],
            {cell for cell, taken in family.cells.items() if taken.keys() & {"bram", "dsp"}})
        (folder / design).write_text(json.dumps(netlist))
        for number, step in steps.items():   # what is large, and of no use any more
            (folder / str(number) / step.output).unlink()
            (folder / str(number) / design).unlink()

    return _kept(f"floorplan-{key}", make)


def _place_all(board: Board, family: Family, planned: Path, files: Mapping[str, str], mhz: float,
               seeds: int, progress: Progress) -> dict[int, Path]:
    """The folder of each seed, with report and bitstream."""
    netlist = _digest([(planned / f"{TOP}.json").read_text()])
    pack = family.pack(board.device)
    placed: list[Path] = []

    def tell() -> None:
        if seeds > 1:
            progress(Stage("place and route", len(placed), seeds, "seeds", steady=False))

    def place(seed: int, stopped: Stop) -> Path:
        watch = Watch(f"seed {seed}", stopped, progress, _advice(family, ["lut"]), seeds > 1)
        step = family.place(board.device, mhz, seed)
        folder = _place(family, planned, netlist, files, step, pack, watch)
        placed.append(folder)
        watch.end()
        tell()
        return folder

    tell()
    return _at_once(range(1, seeds + 1), place)


def _at_once(numbers: Iterable[int], work: Callable[[int, Stop], T]) -> dict[int, T]:
    """Results that ``work`` makes of each number, as many at a time as there are processors.

    Where one fails, or the caller is interrupted, the others are told by the event to stop.
    """
    stopped = Stop()
    with ThreadPoolExecutor(cores()) as pool:
        running = {number: pool.submit(work, number, stopped) for number in numbers}
        try:
            wait(running.values(), return_when=FIRST_EXCEPTION)
            return {number: future.result() for number, future in running.items() if future.done()}
        except BaseException:
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _place(family: Family, planned: Path, netlist: str, files: Mapping[str, str], step: Step,
           pack: Step, watch: Watch) -> Path:
    """The folder with report, placement and bitstream of a seed; ``netlist`` names what is placed.
    """
    constraints = f"{TOP}.{family.constraints}"
    commands = [(*step.arguments, tools.version(step.tool)) for step in (step, pack)]

    def make(folder: Path) -> None:
        _route(family, planned, files, step, folder, watch)
        watch.say("bitstream")
        _run(pack.tool, [*tools.command(pack.tool), *pack.arguments], folder, pack.output,
             lambda line: None)

    return _kept(f"placed-{_digest([netlist, files[constraints], commands])}", make)


def _route(family: Family, planned: Path, files: Mapping[str, str], step: Step, folder: Path,
           watch: Watch) -> None:
    """Run place-and-route in ``folder``, and keep the place of each cell and the netlist.

    The placed netlist is asked for beside the family's own arguments: these name a result in the
    cache, and writing one file more does not change it.
    """
    design, constraints = folder / f"{TOP}.json", f"{TOP}.{family.constraints}"
    os.link(planned / design.name, design)
    (folder / constraints).write_text(files[constraints])
    watch.say("place and route")
    own = written_netlist(step.arguments)
    written = own or "placed.json"
    asked = () if own else ("--write", written)
    _run_for_board(dataclasses.replace(step, arguments=(*step.arguments, *asked)), folder, watch,
                   family)
    if (folder / written).exists():
        _keep_written(folder / written, folder)
    if own is None:
        (folder / written).unlink(missing_ok=True)
    design.unlink()


def _place_again(family: Family, planned: Path, files: Mapping[str, str], step: Step, kept: Path,
                 watch: Watch) -> None:
    """Add what a result lacks that was kept before the places of cells and its netlist were."""
    own = written_netlist(step.arguments)
    if own is not None:
        _keep_written(kept / own, kept)
        return
    with building(kept.with_name(f"again-{kept.name}")) as folder:
        _route(family, planned, files, step, folder, watch)
        if (folder / step.output).read_bytes() != (kept / step.output).read_bytes():
            raise BuildError(f"{kept}: place and route came to another result than the kept one; "
                             "remove the folder and build again")
        for name in (PLACEMENT, ROUTED):
            os.replace(folder / name, kept / name)


def _keep_written(written: Path, folder: Path) -> None:
    """Keep what the floor and a simulation need of the netlist that place-and-route wrote."""
    keep_placement(written, folder / PLACEMENT, TOP)
    keep_routed(written, folder / ROUTED, TOP)


def _run_for_board(step: Step, folder: Path, watch: Callable[[str], None], family: Family) -> None:
    """Run place-and-route, whose errors may be that the board has too little of something."""
    _run(step.tool, [*tools.command(step.tool), *step.arguments], folder, step.output, watch,
         advice=f"; {_advice(family, family.bels)}")


def _run(tool: str, command: Sequence[str], folder: Path, output: str,
         watch: Callable[[str], None], advice: str = "") -> None:
    """Run a tool that makes ``output``; BuildError with its last error if it does not."""
    log = folder / f"{tool}.log"
    begun = watch.begin if isinstance(watch, Watch) else lambda process: None
    status = tools.run(command, folder, log, watch, begun)
    if status or not (folder / output).exists():
        errors = [line for line in log.read_text().splitlines() if line.startswith("ERROR")]
        text = errors[-1] if errors else f"exit status {status}"
        no_room = re.search(r"no (?:BELs|bels|more)|unable to place|[Ff]ailed to (?:place|expand)",
                            text)
        raise BuildError(f"{tool} failed: {text}{advice if no_room else ''}")


def _check_fit(board: Board, family: Family, target: str,
               counts: Mapping[str, Mapping[str, int]]) -> None:
    """BuildError where a design needs more than the device has, naming what and what to reduce."""
    over = {}
    for kind, capacity in board.capacity.items():
        needed = sum(block.get(kind, 0) for block in counts.values())
        if needed > capacity:
            over[kind] = f"{needed:,} of {capacity:,} {kind}"
    if over:
        raise BuildError(f"{target} does not fit {board.name}: it needs {', '.join(over.values())}"
                         f"; {_advice(family, over)}")


def _advice(family: Family, kinds: Iterable[str]) -> str:
    return "; ".join(f"for {kind} reduce {family.reduce[kind]}" for kind in kinds)


def _kept(name: str, make: Callable[[Path], None]) -> Path:
    """The cached folder of that name, made if there is none yet."""
    return kept_folder(cache_folder() / "bitstreams" / name, make)


def _texts(*modules: ModuleType) -> list[str]:
    """Texts of modules that change netlists: part of the key of what comes of them."""
    return [Path(str(module.__file__)).read_text() for module in modules]


def _digest(parts: Iterable[Any]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(str(part).encode())
        digest.update(b"\0")
    return digest.hexdigest()[:32]
