"""Builds bitstreams: gateware to RTLIL, synthesis, place and route for some seeds, packing.

Each step keeps what it made in the cache under a hash of all that went into it. A step's folder
appears whole or not at all. The same sources, tools and seeds give the same bitstream.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import re
import shutil
import statistics
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from amaranth import Elaboratable

from kaniwa.boards import block_sites, fanout, multiplier_sites, tools
from kaniwa.boards.board import Board
from kaniwa.boards.family import Family, Routable, Step, load_family
from kaniwa.boards.timing import Timing, read_timing
from kaniwa.boards.utilization import Netlist, mark_commands
from kaniwa.config import AcceleratorConfig
from kaniwa.errors import BuildError, ConfigError
from kaniwa.hw.unchecked_read import UNDEFINED
from kaniwa.sim.toolchain import cache_folder

__all__ = ["Bitstream", "Progress", "build", "design_files"]

TOP = "top"
# Placements that are begun for a seed, and what their own seeds differ by: more than users ask for.
STARTS, STRIDE = 3, 1000
START = "start"   # file with the one that was routed
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Bitstream:
    """A built bitstream. ``timings``: by seed. ``starts``: nextpnr's own seed for each, another one
    where placement was begun anew. ``counts``: what each block takes, by kind."""

    board: Board
    target: str
    config: AcceleratorConfig
    target_mhz: float
    timings: Mapping[int, Timing]
    starts: Mapping[int, int]
    best_seed: int
    counts: Mapping[str, Mapping[str, int]]
    totals: Mapping[str, int]
    path: Path
    rtlil_hash: str
    seconds: float

    @property
    def clock_mhz(self) -> dict[str, float]:
        """Worst, median and best clock of the seeds."""
        clocks = [timing.mhz for timing in self.timings.values()]
        return {"worst": round(min(clocks), 2), "median": round(statistics.median(clocks), 2),
                "best": round(max(clocks), 2)}

    @property
    def meets_timing(self) -> bool:
        """Whether every seed reaches the target's clock."""
        return min(timing.mhz for timing in self.timings.values()) >= self.target_mhz


def build(board: Board, target: str | None, seeds: int, output: Path, progress: Progress,
          clock_mhz: float | None = None) -> Bitstream:
    """Build for seeds 1 to ``seeds``; the bitstream of the fastest one is copied to ``output``.

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
    netlist = Netlist(json.loads((synthesized / f"{TOP}.json").read_text()), TOP)
    counts = netlist.counts(family.cells)
    _check_fit(board, family, target, counts)

    placed = _place_all(board, family, config, synthesized, files, mhz, seeds, progress)
    timings = {seed: read_timing(json.loads((folder / "report.json").read_text()), netlist.block)
               for seed, folder in placed.items()}
    starts = {seed: int((folder / START).read_text()) for seed, folder in placed.items()}
    best = max(timings, key=lambda seed: (timings[seed].mhz, -seed))
    packed = placed[best] / family.pack().output
    output.mkdir(parents=True, exist_ok=True)
    path = output / f"{board.name}-{Path(target).stem}{packed.suffix}"
    shutil.copyfile(packed, path)
    used = timings[best].used
    totals = {kind: used.get(family.bels.get(kind, ""),
                             sum(block.get(kind, 0) for block in counts.values()))
              for kind in board.capacity}
    return Bitstream(board, target, config, mhz, timings, starts, best, counts, totals, path,
                     _digest([files[f"{TOP}.il"]]), round(time.monotonic() - began, 1))


def design_files(board: Board, config: AcceleratorConfig, mhz: float,
                 **line: int) -> dict[str, str]:
    """RTLIL and constraints of the board's top, by file name; the same for the same sources.

    ``line``: baud and pace of ``BoardTop``, where they are not those of a bitstream.
    """
    from kaniwa.boards.top import BoardTop

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
                        *family.synthesis(TOP, config), f"write_json {TOP}.json"]) + "\n"

    def make(folder: Path) -> None:
        progress("synthesis")
        (folder / f"{TOP}.il").write_text(source)
        (folder / "synth.ys").write_text(script)
        _run("yosys", tools.yosys_command("synth.ys"), folder, f"{TOP}.json", lambda line: None)
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
                    *_texts(fanout, multiplier_sites, sys.modules[family.arrange.__module__])])


def _place_all(board: Board, family: Family, config: AcceleratorConfig, synthesized: Path,
               files: Mapping[str, str], mhz: float, seeds: int,
               progress: Progress) -> dict[int, Path]:
    """The folder of each seed, as many at a time as there are processors.

    Where one fails, or the caller is interrupted, the others end with the next line that they say.
    """
    stopped = threading.Event()
    netlist = _digest([(synthesized / f"{TOP}.json").read_text()])
    routable = family.routable(board.device)
    count = 1 if routable == Routable() else STARTS
    with ThreadPoolExecutor(min(seeds, len(os.sched_getaffinity(0)))) as pool:
        running = {}
        for seed in range(1, seeds + 1):
            starts = [(start, family.first_place(board.device, config, mhz, start),
                       family.place(board.device, mhz, start))
                      for start in range(seed, seed + count * STRIDE, STRIDE)]
            running[seed] = pool.submit(
                _place, family, synthesized, netlist, files, starts, routable,
                _Watch(seed, stopped, progress))
        try:
            wait(running.values(), return_when=FIRST_EXCEPTION)
            return {seed: future.result() for seed, future in running.items() if future.done()}
        except BaseException:
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _place(family: Family, synthesized: Path, netlist: str, files: Mapping[str, str],
           starts: Sequence[tuple[int, Step | None, Step]], routable: Routable,
           watch: _Watch) -> Path:
    """The folder with report, bitstream and START of a seed; ``netlist`` names what is placed.

    A placement that is not ``routable`` is begun anew from the next of ``starts``; the last one is
    routed whatever it is.
    """
    pack = family.pack()
    constraints = f"{TOP}.{family.constraints}"
    steps = [step for _, *both in starts for step in both if step] + [pack]
    commands = [(*step.arguments, tools.version(step.tool)) for step in steps]
    key = _digest([netlist, files[constraints], routable, [start for start, *_ in starts], commands,
                   *_texts(block_sites)])

    def run(step: Step, folder: Path) -> None:
        _run(step.tool, [*tools.command(step.tool), *step.arguments], folder, step.output, watch,
             advice=f"; {_advice(family, family.bels)}")

    def make(folder: Path) -> None:
        design = folder / f"{TOP}.json"
        (folder / constraints).write_text(files[constraints])
        for start, first, step in starts:
            os.link(synthesized / design.name, design)
            if first:
                watch.say("first placement, for the sites of blocks")
                run(first, folder)
                _keep_sites(design, folder / first.output, family)
            watch.say("place and route")
            watch.begin(Routable() if start == starts[-1][0] else routable)
            try:
                run(step, folder)
                (folder / START).write_text(str(start))
                break
            except _NotRoutable as error:
                watch.say(str(error))
            finally:
                design.unlink()
        watch.say("bitstream")
        _run(pack.tool, [*tools.command(pack.tool), *pack.arguments], folder, pack.output,
             lambda line: None)

    return _kept(f"placed-{key}", make)


def _keep_sites(design: Path, placed: Path, family: Family) -> None:
    """Fix blocks of a netlist where a placement of it has them; remove the placement."""
    netlist = json.loads(design.read_text())
    block_sites.keep_sites(
        netlist["modules"][TOP], json.loads(placed.read_text())["modules"][TOP],
        {cell for cell, taken in family.cells.items() if taken.keys() & {"bram", "dsp"}})
    design.unlink()   # it is a link to what synthesis made
    design.write_text(json.dumps(netlist))
    placed.unlink()


class _NotRoutable(Exception):
    """A placement is not worth routing."""


class _Watch:
    """Takes the lines of place-and-route and shows its stages.

    It ends the tool by raising BuildError when the build was stopped.
    """

    def __init__(self, seed: int, stopped: threading.Event, progress: Progress) -> None:
        self._seed, self._stopped, self._progress = seed, stopped, progress
        self.begin(Routable())

    def begin(self, routable: Routable) -> None:
        """A new placement, which ends with _NotRoutable if it is not ``routable``."""
        self._routable, self._wires, self._estimate = routable, 0, math.inf

    def say(self, text: str) -> None:
        """Show what is done for this seed now."""
        self._progress(f"seed {self._seed}: {text}")

    def __call__(self, line: str) -> None:
        if self._stopped.is_set():
            raise BuildError(f"seed {self._seed} was stopped")
        if length := re.search(r"wirelen = (\d+)", line):
            self._wires = int(length[1])
        if clock := re.match(r"Info: Max frequency for clock .*: ([\d.]+) MHz \(.* at ([\d.]+) MHz",
                             line):
            self._estimate = min(self._estimate, float(clock[1]) / float(clock[2]))
        if attempts := re.match(r"Info: +(\d+) \|", line):
            self._check_attempts(int(attempts[1]))
        stage = re.match(r"Info: (Packing|Placing|Routing|Running).*", line)
        if stage and stage[1] == "Routing":
            self._check()
        if stage:
            self.say(stage[0][6:].strip(". ").lower())

    def _check(self) -> None:
        """_NotRoutable if what was said of the placement is not."""
        longest, gain = self._routable.longest, self._routable.gain
        if self._wires > longest:
            raise _NotRoutable(f"wires of {self._wires:,}, more than {longest:,}: placed anew")
        if self._estimate * gain < 1:
            raise _NotRoutable(f"{self._estimate:.0%} of the clock by estimate, and routing "
                               f"reaches {gain:g} times it: placed anew")

    def _check_attempts(self, attempts: int) -> None:
        most = self._routable.attempts
        if attempts > most:
            raise _NotRoutable(f"not routed after {most:,} attempts: placed anew")


def _run(tool: str, command: Sequence[str], folder: Path, output: str,
         watch: Callable[[str], None], advice: str = "") -> None:
    """Run a tool that makes ``output``; BuildError with its last error if it does not."""
    log = folder / f"{tool}.log"
    status = tools.run(command, folder, log, watch)
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
    folder = cache_folder() / "bitstreams" / name
    if not folder.exists():
        with _building(folder.parent, name) as temporary:
            make(temporary)
            with contextlib.suppress(FileExistsError, OSError):   # another process made the same
                os.replace(temporary, folder)
        if not folder.exists():
            raise BuildError(f"{folder}: cannot be written; nothing was left half-written")
    return folder


@contextlib.contextmanager
def _building(parent: Path, name: str) -> Iterator[Path]:
    parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=parent))
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _texts(*modules: ModuleType) -> list[str]:
    """What is written in modules that change netlists: part of the key of what comes of it."""
    return [Path(str(module.__file__)).read_text() for module in modules]


def _digest(parts: Iterable[Any]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(str(part).encode())
        digest.update(b"\0")
    return digest.hexdigest()[:32]
