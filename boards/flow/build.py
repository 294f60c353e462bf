"""Builds bitstreams: gateware to RTLIL, synthesis, place and route for some seeds, packing.

Each step keeps what it made in the cache under a hash of all that went into it. A step's folder
appears whole or not at all. The same sources, tools and seeds give the same bitstream.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from amaranth import Elaboratable

from kaniwa.boards.board import Board, file_stem
from kaniwa.boards.families.family import Family, Step, load_family
from kaniwa.boards.flow import block_sites, fanout, output_registers, tools
from kaniwa.boards.flow.place import (
    REPORT,
    TOP,
    Design,
    Seed,
    advice,
    digest,
    kept,
    kept_path,
    make_placed,
    place_again,
    run_for_board,
    run_tool,
)
from kaniwa.boards.flow.timing import Timing, load_report, read_timing
from kaniwa.boards.flow.utilization import Netlist, mark_commands
from kaniwa.boards.flow.watch import Stop, Watch, watch_synthesis
from kaniwa.config import AcceleratorConfig
from kaniwa.driver.frames import check_cores
from kaniwa.errors import BuildError, ConfigError
from kaniwa.files import write_atomic
from kaniwa.hw.parts.unchecked_read import UNDEFINED
from kaniwa.machine import cores
from kaniwa.parallel.workers import Workers
from kaniwa.stage import Stage

__all__ = ["REPORT", "TOP", "Bitstream", "Progress", "build", "count_cells", "design_files"]

Progress = Callable[[str], None]
T = TypeVar("T")


@dataclass(frozen=True)
class Bitstream:
    """A built bitstream. ``timings``: by seed. ``counts``: what each block takes, by kind.
    ``cores``: how many cores of ``config`` it has.

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
    cores: int = 1
    standalone: bool = False

    @property
    def of_cores(self) -> str:
        """Target and number of cores, for people."""
        return (f"target {self.target}" + (f", {self.cores} cores" if self.cores > 1 else "")
                + ", serves memory during runs" * self.board.overlap
                + ", starts from flash" * self.standalone
                + (f", slot {self.board.slot}" if self.board.slot is not None else ""))

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
          clock_mhz: float | None = None, *, cores: int = 1, standalone: bool = False,
          wanted: Collection[str] = (), workers: Workers | None = None) -> Bitstream:
    """Build for seeds 1 to ``seeds``; the bitstream of the fastest one is copied to ``output``.

    ``cores``: how many, each with its own memory. ``standalone``: the board starts from its flash.
    ``wanted``: of PLACEMENT and ROUTED, those for which that one is placed and routed again where a
    result was kept without. ``workers`` (``kaniwa.parallel.scheduler``) place and route the seeds;
    else the processors of this machine do.

    Raises BuildError where a tool fails or the design does not fit, ConfigError for a bad target
    and for cores that the link or the board cannot have.
    A clock that is not met is not an error here.
    """
    began = time.monotonic()
    target = target or board.target_for(cores)
    config = board.config(target)
    mhz = clock_mhz or board.clock_mhz(target, cores)
    family = load_family(board.family)
    progress("elaborating the gateware")
    files = design_files(board, config, mhz, cores=cores, standalone=standalone)
    synthesized = _synthesize(board, family, config, files, progress)
    netlist = _netlist(synthesized)
    counts = netlist.counts(family.cells)
    _check_fit(board, family, target if cores == 1 else f"{cores} cores of {target}", counts)

    step = family.floorplan(board.device, config, mhz, _sum(counts, "bram"))
    planned = synthesized if step is None else _plan(
        family, step, synthesized, files[f"{TOP}.{family.constraints}"], progress)
    design = Design(board.family, planned, files[f"{TOP}.{family.constraints}"])
    placed = _place_all(board, design, mhz, seeds, progress, workers)
    timings = {seed: read_timing(load_report(folder / REPORT), netlist.block, mhz)
               for seed, folder in placed.items()}
    best = max(timings, key=lambda seed: (timings[seed].mhz, -seed))
    if not all((placed[best] / name).exists() for name in wanted):
        watch = Watch(f"seed {best} again", Stop(), progress, design.advice, beside=False)
        place_again(design, family.place(board.device, mhz, best), placed[best], watch)
    packed = placed[best] / family.pack(board.device).output
    output.mkdir(parents=True, exist_ok=True)
    path = output / f"{file_stem(board, target, cores, standalone)}{packed.suffix}"
    write_atomic(path, packed.read_bytes())
    used = timings[best].used
    totals = {kind: used.get(family.bels.get(kind, ""),
                             _sum(counts, kind))
              for kind in board.capacity}
    return Bitstream(board, target, config, mhz, timings, best, counts, totals, path,
                     digest([files[f"{TOP}.il"]]), round(time.monotonic() - began, 1),
                     placed[best], design.netlist, netlist, cores, standalone)


def count_cells(board: Board, target: str, progress: Progress) -> dict[str, int]:
    """Number of the design's cells of each kind (``lut``, ``ff``, ...) behind synthesis, in all."""
    family, config = load_family(board.family), board.config(target)
    files = design_files(board, config, board.clock_mhz(target))
    counts = _netlist(_synthesize(board, family, config, files, progress)).counts(family.cells)
    return {kind: _sum(counts, kind) for kind in board.capacity}


def _netlist(synthesized: Path) -> Netlist:
    return Netlist(json.loads((synthesized / f"{TOP}.json").read_text()), TOP)


def design_files(board: Board, config: AcceleratorConfig, mhz: float,
                 **line: int) -> dict[str, str]:
    """RTLIL, constraints, and Verilog of what is in the board's top, by file name.

    The same for the same sources.

    ``line``: baud, pace, cores and standalone of ``BoardTop``, where they are not those of a usual
    bitstream.
    Raises ConfigError for cores that the link or the board cannot have, and for one that has no way
    to the board's SDRAM.
    """
    check_cores(line.get("cores", 1), config.memory_bytes, board.has_outside)
    board.check_memory(config)
    from kaniwa.boards.flow.top import BoardTop
    from kaniwa.hw.verilog import elaborating

    family = load_family(board.family)
    with elaborating():
        top = BoardTop(board, config, mhz, **line)
        try:
            plan = board.make_platform().prepare(top, TOP, emit_src=False)
        except (BuildError, ConfigError):
            Elaboratable._MustUse__silence = True   # the blocks before the one that was refused
            raise
    files = {name: plan.files[name] for name in (f"{TOP}.il", f"{TOP}.{family.constraints}")}
    return files | top.verilog


def _synthesize(board: Board, family: Family, config: AcceleratorConfig, files: Mapping[str, str],
                progress: Progress) -> Path:
    """The folder with the synthesized netlist."""
    source = files[f"{TOP}.il"]
    verilog = {name: text for name, text in files.items() if name.endswith(".v")}
    script = "\n".join([f"read_rtlil {TOP}.il", *mark_commands(source),
                        *(f"read_verilog {name}" for name in verilog),
                        f"setattr -unset init a:{UNDEFINED}",
                        *family.synthesis(TOP, config, board.device),
                        f"write_json {TOP}.json"]) + "\n"

    def make(folder: Path) -> None:
        progress(Stage("synthesis"))
        (folder / f"{TOP}.il").write_text(source)
        for name, text in verilog.items():
            (folder / name).write_text(text)
        (folder / "synth.ys").write_text(script)
        run_tool("yosys", tools.yosys_command("synth.ys"), folder, f"{TOP}.json",
                 watch_synthesis(board.family, progress))
        netlist = json.loads((folder / f"{TOP}.json").read_text())
        _forget_sources(netlist)
        family.arrange(netlist["modules"][TOP], board.device, config)
        (folder / f"{TOP}.json").write_text(json.dumps(netlist))
        (folder / f"{TOP}.il").unlink()

    key = _synthesis_key(board, family, [source, script, *verilog.values()])
    return kept(f"synthesis-{key}", make)


def _forget_sources(netlist: dict[str, Any]) -> None:
    """Take out where cells and nets come from: the same design is the same file in any folder."""
    for module in netlist["modules"].values():
        for item in (module, *module["cells"].values(), *module["netnames"].values()):
            item["attributes"].pop("src", None)


def _synthesis_key(board: Board, family: Family, texts: Sequence[str]) -> str:
    return digest([*texts, tools.version("yosys"), *board.device,
                   *_texts(fanout, output_registers,
                           sys.modules[family.arrange.__module__])])


def _sum(counts: Mapping[str, Mapping[str, int]], kind: str) -> int:
    """What all blocks take of ``kind``."""
    return sum(block.get(kind, 0) for block in counts.values())


def _plan(family: Family, step: Step, synthesized: Path, constraints: str,
          progress: Progress) -> Path:
    """The folder with the synthesized netlist, with sites for its blocks: the same for all seeds.
    """
    design = f"{TOP}.json"
    key = digest([(synthesized / design).read_text(), constraints, step.arguments,
                  tools.version(step.tool), *_texts(block_sites)])

    def make(folder: Path) -> None:
        (folder / f"{TOP}.{family.constraints}").write_text(constraints)
        shutil.copy(synthesized / design, folder / design)
        watch = Watch("floorplan", Stop(), progress, advice(family, ["lut"]), beside=False)
        run_for_board(step, folder, watch, family)
        progress(Stage("exchanging sites"))
        placed = json.loads((folder / step.output).read_text())
        sites, gained = block_sites.exchange(placed["modules"][TOP], family.sites)
        progress(f"block RAMs and multipliers changed places: wires of {watch.wires:,} units are "
                 f"shorter by {gained:,}")
        netlist = json.loads((folder / design).read_text())
        block_sites.keep_sites(netlist["modules"][TOP], sites)
        (folder / design).write_text(json.dumps(netlist))
        (folder / step.output).unlink()   # it is large, and of no use any more

    return kept(f"floorplan-{key}", make)


def _place_all(board: Board, design: Design, mhz: float, seeds: int, progress: Progress,
               workers: Workers | None = None) -> dict[int, Path]:
    """The folder of each seed, with report and bitstream."""
    family, netlist = load_family(board.family), digest([design.netlist.read_text()])
    todo = [Seed(number, family.place(board.device, mhz, number), family.pack(board.device))
            for number in range(1, seeds + 1)]
    names = {seed.number: seed.name(design, netlist) for seed in todo}
    if workers is not None:
        from kaniwa.boards.flow.seeds import place_on_workers

        place_on_workers(workers, design, todo, names, progress)
        return {number: kept_path(name) for number, name in names.items()}
    placed: list[Path] = []

    def tell() -> None:
        if seeds > 1:
            progress(Stage("place and route", len(placed), seeds, "seeds", steady=False))

    def place(number: int, stopped: Stop) -> Path:
        watch = Watch(f"seed {number}", stopped, progress, design.advice, seeds > 1)
        folder = kept(names[number], lambda made: make_placed(design, todo[number - 1], made,
                                                              watch))
        placed.append(folder)
        watch.end()
        tell()
        return folder

    tell()
    return _at_once(names, place)


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


def _check_fit(board: Board, family: Family, target: str,
               counts: Mapping[str, Mapping[str, int]]) -> None:
    """BuildError where a design needs more than the device has, naming what and what to reduce."""
    over = {}
    for kind, capacity in board.capacity.items():
        needed = _sum(counts, kind)
        if needed > capacity:
            over[kind] = f"{needed:,} of {capacity:,} {kind}"
    if over:
        raise BuildError(f"{target} does not fit {board.name}: it needs {', '.join(over.values())}"
                         f"; {advice(family, over)}")


def _texts(*modules: ModuleType) -> list[str]:
    """Texts of modules that change netlists: part of the key of what comes of them."""
    return [Path(str(module.__file__)).read_text() for module in modules]
