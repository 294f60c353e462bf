"""Seeds of a design placed and routed by workers: what one needs is sent, what it makes comes back.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import tempfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from kaniwa.boards.flow import tools
from kaniwa.boards.flow.place import Design, Seed, kept, kept_path, make_placed
from kaniwa.boards.flow.watch import Stop, Watch
from kaniwa.errors import DeviceError
from kaniwa.parallel.place import scratch_folder
from kaniwa.parallel.workers import Work, Workers
from kaniwa.stage import Stage

__all__ = ["place_on_workers"]

Files = dict[str, bytes]     # of a seed's folder, by name


def place_on_workers(workers: Workers, design: Design, seeds: Sequence[Seed],
                     names: Mapping[int, str], progress: Callable[[str], None]) -> None:
    """Fill the cached folder, of these ``names``, of each seed that has none yet.

    A folder appears when the seed and those before it are done. Raises BuildError where a seed
    fails; the others are stopped then.
    """
    todo = [(names[seed.number], seed) for seed in seeds
            if not kept_path(names[seed.number]).exists()]
    if not todo:
        return
    versions = {step.tool: tools.version(step.tool)
                for step in (todo[0][1].step, todo[0][1].pack)}
    work = Work(Placer.files, partial(Placer, design, zlib.compress(design.netlist.read_bytes(), 1),
                                      versions), _name, "seeds")

    def tell(done: str) -> None:
        progress(Stage("place and route", len(seeds) - len(todo) + Stage.of(done).done, len(seeds),
                       "seeds", steady=False))

    tell("")
    with contextlib.closing(workers.map(work, todo, tell)) as results:
        for (name, _), files in zip(todo, results, strict=True):
            kept(name, partial(_write, files))


def _name(place: int, item: tuple[str, Seed]) -> str:
    return f"seed {item[1].number}"


def _write(files: Files, folder: Path) -> None:
    for name, content in files.items():
        (folder / name).write_bytes(content)


class Placer:
    """The side of a worker: a design, whose netlist lies in a folder of the worker's own.

    ``netlist`` is packed by zlib. ``versions`` are those of the command's tools. Raises DeviceError
    where a tool is not here, or in another version.
    """

    def __init__(self, design: Design, netlist: bytes, versions: Mapping[str, str]) -> None:
        for tool, wanted in versions.items():
            if (found := tools.version(tool)) != wanted:
                raise DeviceError(f"{tool} is {found}, that of this command is {wanted}: install "
                                  "the same on both")
        self._stopped = Stop()
        self._folder = tempfile.TemporaryDirectory(prefix="kaniwa-place-", dir=scratch_folder())
        self._design = dataclasses.replace(design, planned=Path(self._folder.name))
        self._design.netlist.write_bytes(zlib.decompress(netlist))

    def files(self, item: tuple[str, Seed]) -> Files:
        """All that place and route makes with a seed; kept here, too, under the item's name."""
        name, seed = item
        folder = kept_path(name)
        if not folder.exists():
            # Not in the cache: if this process is killed, nothing half-written is left there.
            with tempfile.TemporaryDirectory(dir=self._folder.name) as own:
                watch = Watch("the design", self._stopped, lambda text: None, self._design.advice,
                              beside=False)
                make_placed(self._design, seed, Path(own), watch)
                kept(name, lambda made: shutil.copytree(own, made, dirs_exist_ok=True))
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    def stop(self) -> None:
        """End the tools that run: nobody waits for them any more."""
        self._stopped.set()

    def close(self) -> None:
        """Remove the netlist."""
        self._folder.cleanup()
