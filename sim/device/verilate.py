"""Builds the simulated core as a shared object, and keeps what it built.

The Verilog text is kept by config and gateware sources, the shared object by everything that goes
into it, so a second start neither elaborates nor compiles. Several processes may build at once:
the first one holds a lock, the others wait for its result. A result appears whole or not at all.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import hashlib
import importlib.metadata
import inspect
import logging
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import kaniwa.config
import kaniwa.hw
import kaniwa.report.states
from kaniwa.cache_folder import cache_folder
from kaniwa.config import AcceleratorConfig
from kaniwa.errors import DeviceError
from kaniwa.extras import needed
from kaniwa.release.kept import kept_simulator
from kaniwa.report.states import WORDS
from kaniwa.sim.device.toolchain import FAST_COMPILE, environment, require_compiler, verilator
from kaniwa.stage import Stage

__all__ = ["Progress", "core_library", "core_verilog", "gateware_sources", "kept_verilog",
           "observed_verilog", "source_texts", "sources_digest", "build_library"]

# Called with what is being done, a Stage, and the seconds since the build began.
Progress = Callable[[str, float], None]

logger = logging.getLogger(__name__)

SHIM = [Path(__file__).with_name(name) for name in ("shim.cpp", "memory_model.h",
                                                   "sdram_model.h")]
OBSERVED_SHIM = [*SHIM, Path(__file__).with_name("observer.h")]
# Each C++ file reads the headers anew: larger ones take less of the processor's time, smaller ones
# let more processors work. `small` took 23 s in files of 8,000, 15 s of 20,000, 11 s of 60,000.
VERILATOR_ARGUMENTS = [
    "--cc", "--exe", "--build", "-O3", "--x-assign", "0", "--x-initial", "0", "--output-split",
    "20000", "--top-module", "core", "--prefix", "Vcore", "-Wno-fatal", "-Wno-lint",
    "-Werror-USERFATAL",   # of models of primitives, on what they do not model
]
OPTIMIZATION = "OPT_FAST=-O1 OPT_SLOW=-O0 OPT_GLOBAL=-O1"
COMPILER_ARGUMENTS = ["-fPIC", "-fvisibility=hidden", FAST_COMPILE]
LINKER_ARGUMENTS = ["-shared"]

COMPILING = "compiling the simulated core"
COMPILED = re.compile(r" -c -o \S+\.o ")     # the compiler's command as make shows it
RUNTIME_FILES = 4      # of Verilator's own, beside those that it writes


def core_library(config: AcceleratorConfig, *, trace: bool = False, observed: bool = False,
                 progress: Progress | None = None) -> Path:
    """The shared object of the core for ``config``, built if there is none yet.

    One of an unpacked release of the same sources is taken as it is.

    ``observed`` asks for one that says what its units do, ``trace`` for one that can write
    waveforms as well, which is slower. Raises DeviceError where the tools are missing or the build
    fails.
    """
    if not trace and not observed:
        released = kept_simulator(config.hash, sources_digest)
        if released is not None:
            logger.info("the simulated core of %s is a release's: %s", config.name, released)
            return released
        return build_library(core_verilog(config, progress), config, progress=progress)
    return build_library(observed_verilog(config, progress), config, trace=trace,
                         progress=progress, sources=OBSERVED_SHIM, observed_words=WORDS)


def core_verilog(config: AcceleratorConfig, progress: Progress | None = None) -> str:
    """The core's Verilog, elaborated only if the gateware or the config are new."""
    def elaborate() -> str:
        from kaniwa.hw.verilog import generate

        return generate(config)

    return kept_verilog(
        config.plain_name, [config.hash, *gateware_sources(), *unit_sources(config)], elaborate,
        progress)


def observed_verilog(config: AcceleratorConfig, progress: Progress | None = None) -> str:
    """Verilog of the core with the output ``observed``, kept as that of the core alone."""
    def elaborate() -> str:
        from kaniwa.hw.verilog import to_verilog
        from kaniwa.sim.device.observed_core import observed_core

        return to_verilog(observed_core(config), "core")

    own = [Path(__file__).with_name("observed_core.py"), Path(kaniwa.report.states.__file__)]
    return kept_verilog(f"{config.plain_name}-observed", [
        config.hash, *gateware_sources(), *unit_sources(config), *source_texts(own)],
        elaborate, progress)


def kept_verilog(name: str, made_from: Sequence[str], elaborate: Callable[[], str],
                 progress: Progress | None = None) -> str:
    """Verilog that ``elaborate`` gave for ``made_from`` the first time, kept under ``name``."""
    with needed("the simulated core", "sim", DeviceError):
        key = _digest([*made_from, importlib.metadata.version("amaranth")])
    path = cache_folder() / "verilog" / f"{name}-{key}.v"
    with _reporting(path.parent), _locked(path, progress):
        if not path.exists():
            _tools()   # whoever lacks one learns it before the wait
            with (_stage("elaborating the gateware", progress),
                  needed("the simulated core", "sim", DeviceError)):
                text = elaborate()
            temporary = path.with_suffix(f".{os.getpid()}")
            try:
                temporary.write_text(text)
                os.replace(temporary, path)
            finally:
                temporary.unlink(missing_ok=True)
        else:
            logger.debug("Verilog of %s is in the cache: %s", name, path)
        return path.read_text()


def build_library(verilog: str, config: AcceleratorConfig, *, trace: bool = False,
                  progress: Progress | None = None, sources: Sequence[Path] = SHIM,
                  observed_words: int = 0) -> Path:
    """The shared object of a top module ``core`` and of C++ ``sources`` that drive it.

    Sources of C++ are compiled, the others are headers; by default those for the core's ports.
    ``observed_words``: of 32 bits in the port ``observed``, which a core with ``trace`` must have.
    """
    compiler, versions = _tools()
    arguments = [*VERILATOR_ARGUMENTS, "-MAKEFLAGS", f"{OPTIMIZATION} CXX={compiler}",
                 *(["--trace", "--trace-structs"] if trace else [])]
    defines = [f"-DREAD_BYTES={config.read_bytes}", f"-DWRITE_BYTES={config.write_bytes}",
               *([f"-DOBSERVED_WORDS={observed_words}"] if observed_words else []),
               *(["-DKANIWA_TRACE"] if trace else [])]
    for flag in [*COMPILER_ARGUMENTS, *defines]:
        arguments += ["-CFLAGS", flag]
    for flag in LINKER_ARGUMENTS:
        arguments += ["-LDFLAGS", flag]
    key = _digest([verilog, *(path.read_text() for path in sources), versions, *arguments])
    kind = "-trace" if trace else "-observed" if observed_words else ""
    path = cache_folder() / "cores" / f"{config.plain_name}{kind}-{key}.so"
    if path.exists():
        logger.info("the simulated core of %s is in the cache: %s", config.name, path)
        return path
    with _reporting(path.parent), _locked(path, progress):
        if not path.exists():
            with _stage(COMPILING, progress):
                _compile(verilog, arguments, sources, path, progress or (lambda what, at: None))
    return path


def _compile(verilog: str, arguments: list[str], sources: Sequence[Path], path: Path,
             progress: Progress) -> None:
    """Build in a folder beside ``path``, then move the shared object there."""
    began = time.monotonic()

    def compiled(count: int) -> None:
        total = max(count, len(list((folder / "objects").glob("*.cpp"))) + RUNTIME_FILES)
        progress(Stage(COMPILING, count, total, "files"), time.monotonic() - began)

    for left in path.parent.glob(f"{path.stem}.build-*"):   # of a build that was killed
        _end_processes(left)
        shutil.rmtree(left, ignore_errors=True)
    if any(character.isspace() for character in str(path.parent.absolute())):
        raise DeviceError(f"{path.parent}: GNU make cannot build in a folder with a space in its "
                          "name; set KANIWA_CACHE to another one")
    folder = Path(tempfile.mkdtemp(prefix=f"{path.stem}.build-", dir=path.parent))
    try:
        (folder / "core.v").write_text(verilog)
        for source in sources:
            shutil.copy(source, folder)
        command = [verilator(), *arguments, "-j", str(min(4, os.cpu_count() or 1)),
                   "--Mdir", "objects", "-CFLAGS", "-I..", "-o", "core.so", "core.v",
                   *(source.name for source in sources if source.suffix == ".cpp")]
        status, output = _run(command, folder, compiled)
        if status:
            raise _build_error(output)
        os.replace(folder / "objects" / "core.so", path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _end_processes(folder: Path) -> None:
    """End the compilers of a killed build: they go on without it, and write to its ``folder``."""
    while found := [process for process in Path("/proc").glob("[0-9]*")
                    if _works_in(process, folder)]:
        for process in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(int(process.name), signal.SIGKILL)
        time.sleep(0.01)


def _works_in(process: Path, folder: Path) -> bool:
    """Whether a process, as /proc has it, has its working directory in ``folder``."""
    try:
        return (process / "cwd").readlink().is_relative_to(folder)
    except OSError:     # it has ended, or belongs to another user
        return False


def _run(command: list[str], folder: Path, compiled: Callable[[int], None]) -> tuple[int, str]:
    """Run a build in its own process group, which ends with it even if it is interrupted.

    ``compiled`` is told how many files the compiler was given, each time it gets one.
    """
    process = subprocess.Popen(command, cwd=folder, env=environment(), text=True, errors="replace",
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               start_new_session=True)
    assert process.stdout is not None
    lines, count = [], 0
    try:
        for line in process.stdout:
            lines.append(line)
            if COMPILED.search(line):
                count += 1
                compiled(count)
        process.wait()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    finally:
        process.stdout.close()
    return process.returncode, "".join(lines)


def _build_error(output: str) -> DeviceError:
    if "No space left" in output:
        return _no_room(cache_folder(), os.strerror(errno.ENOSPC))
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if "rror" in line or "Killed" in line]
    reason = (telling or lines or ["no output"])[0]
    return DeviceError(f"the simulated core could not be built: {reason[:300]}")


def _no_room(folder: Path, reason: str) -> DeviceError:
    return DeviceError(f"cannot keep the simulated core in {folder}: {reason}; "
                       "make room there, or set KANIWA_CACHE to another folder")


@contextlib.contextmanager
def _reporting(folder: Path) -> Iterator[None]:
    """Make ``folder``, and turn what the file system refuses into a DeviceError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise _no_room(folder, error.strerror or str(error)) from None


@contextlib.contextmanager
def _locked(path: Path, progress: Progress | None) -> Iterator[None]:
    """Hold the lock that belongs to ``path``; the system drops it when the process ends."""
    with open(path.with_suffix(".lock"), "w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with _stage("waiting for another process that builds the same", progress):
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _stage(what: str, progress: Progress | None) -> Iterator[None]:
    """Report ``what`` as begun, and again with its seconds when it is done."""
    report = progress or (lambda _what, _seconds: None)
    began = time.monotonic()
    report(Stage(what), 0.0)
    yield
    seconds = time.monotonic() - began
    report(Stage(what), seconds)
    logger.info("%s took %.1f s", what, seconds)


def _digest(parts: list[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]


def gateware_sources() -> list[str]:
    """The texts that the Verilog is made from, besides the config."""
    host = Path(kaniwa.config.__file__).parent
    tables = [host / "config.py", host / "driver" / "frames.py",
              host / "driver" / "datagrams" / "format.py", *(host / "isa").glob("*.py"),
              *(host / "units").glob("**/isa.py"), *(host / "units").glob("**/command.py")]
    return source_texts([*Path(kaniwa.hw.__path__[0]).rglob("*.py"), *tables])


def sources_digest() -> str:
    """Of all that a simulated core is made from, besides its config and the tools.

    It is the same in a checkout and in an installed wheel, whose folders have another order.
    """
    return _digest(sorted([*gateware_sources(), *(path.read_text() for path in SHIM)]))


def unit_sources(config: AcceleratorConfig) -> list[str]:
    """The texts of units that the config names, which may be registered from anywhere."""
    if not config.units:
        return []
    from kaniwa.hw.units.register import plugs_of

    folders = {Path(inspect.getfile(plug.component)).parent for plug in plugs_of(config)}
    return source_texts(path for folder in folders for path in folder.glob("*.py"))


def source_texts(paths: Iterable[Path]) -> list[str]:
    """Names and texts of files."""
    return [f"{path.name}\n{path.read_text()}" for path in sorted(paths)]


@functools.cache
def _tools() -> tuple[str, str]:
    """The C++ compiler, and the versions of it and of Verilator."""
    require_compiler()
    env = environment()
    names = [env.get("CXX", ""), "c++", "g++", "clang++"]
    compiler = next(name for name in names if name and shutil.which(name, path=env["PATH"]))
    versions = [subprocess.run([tool, "--version"], env=env, capture_output=True, text=True).stdout
                for tool in (verilator(), compiler)]
    return compiler, "\n".join(versions)
