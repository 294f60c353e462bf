"""The self-test of a device: its parts one after the other, and the verdict."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kaniwa._version import __version__
from kaniwa.config import load_target
from kaniwa.driver.board_device import BoardDevice
from kaniwa.driver.devices import Device, GoldenDevice
from kaniwa.driver.session import forget_image
from kaniwa.errors import CompileError, DeviceError, InputError
from kaniwa.isa import OUTSIDE
from kaniwa.selftest.link_quality import describe_link, is_weak, measure_link
from kaniwa.selftest.march import march, march_passes
from kaniwa.selftest.stuck_bit import StuckBit
from kaniwa.selftest.vectors import describe_mismatch, run_layers, run_model
from kaniwa.stage import Stage
from kaniwa.standalone.format import FlashState

__all__ = ["DEPTHS", "MODEL", "PARTS", "Outcome", "Part", "Report", "outside_of", "run_part",
           "selftest"]

PARTS = ("link", "memory", "array", "model")
MODEL = "tflm_micro_speech.tflite"     # the smallest that is shipped: it fits every board
DEPTHS = ("auto", "full", "quick")     # of the memory test
FULL_SECONDS = 60                      # up to which it is full unless told otherwise
OUTSIDE_BYTES = 64 << 10               # tested of a memory whose size the device does not tell
DEFAULT_TARGET = "base"
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Part:
    """A part's ``result``, in a sentence and in ``values``.

    pass, weak (right but slow), fail, not run, or none where the device has no such part.
    """

    name: str
    result: str
    text: str
    seconds: float
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """Findings of a self-test. ``device`` describes the device, ``parts`` are in PARTS' order."""

    device: dict[str, Any]
    parts: list[Part]
    seconds: float

    @property
    def passed(self) -> bool:
        """True if no part failed. Parts that were not run do not fail: the verdict names them."""
        return not self._named("fail")

    @property
    def verdict(self) -> str:
        """One line: PASS or FAIL, and which parts."""
        failed, weak = self._named("fail"), self._named("weak")
        left_out = self._named("not run")
        if failed:
            return f"FAIL: {', '.join(failed)}"
        text = "PASS"
        if weak:
            text += f", but weak: {', '.join(weak)}"
        if left_out:
            text += f" (not run: {', '.join(left_out)})"
        return text

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as ``kaniwa selftest --json`` prints them."""
        return {**self.device, "passed": self.passed, "verdict": self.verdict,
                "parts": [{"part": p.name, "result": p.result, "text": p.text,
                           "seconds": p.seconds, **p.values} for p in self.parts],
                "seconds": self.seconds}

    def page(self) -> str:
        """The report file: everything that was found, as text."""
        lines = [f"kaniwa self-test: {self.verdict}", ""]
        lines += [f"{key.replace('_', ' ')}: {value}" for key, value in self.device.items()]
        for part in self.parts:
            lines += ["", f"{part.name}: {part.result} ({part.seconds:.1f} s)", f"  {part.text}"]
            for key, value in part.values.items():
                rows = value if isinstance(value, list) else [value]
                lines += [f"  {key}: {_plain(row)}" for row in rows]
        return "\n".join(lines) + "\n"

    def _named(self, result: str) -> list[str]:
        return [part.name for part in self.parts if part.result == result]


def selftest(device: Device, *, model: Path | None = None, memory: str = "auto", seed: int = 1,
             stuck_bit: tuple[int, int, int] | None = None, memory_bytes: int | None = None,
             progress: Progress | None = None) -> Report:
    """Test an open device; what its memory held is lost.

    A device without a target becomes one of `base`. ``model``: file with recorded vectors beside
    it; None leaves that part out. ``memory``: full moves 18 times its size, quick 4 times; auto is
    full where that takes no more than FULL_SECONDS.
    ``stuck_bit`` (address, bit, value) is planted in front of memory, to see it found.
    ``memory_bytes``: as much of memory is tested, around its middle, where every bit of the address
    changes; by default all of it.
    Raises DeviceError for golden, which has no memory; what a part raises makes it fail.
    """
    if isinstance(device, GoldenDevice):
        raise DeviceError("the golden device has no device memory to test: name the emulator, sim "
                          "or a board")
    began = time.monotonic()
    if device.config is None:
        device.load_target(load_target(DEFAULT_TARGET))
    forget_image(device)
    run = _Run(device, model, memory, seed, stuck_bit, progress or (lambda text: None),
               memory_bytes)
    parts: list[Part] = []
    for name, work in (("link", run.link), ("memory", run.memory), ("array", run.array),
                       ("model", run.model)):
        lost = [p.name for p in parts if p.result == "fail" and p.name in ("link", "memory")]
        parts.append(run_part(name, work, lost))
    return Report(_describe(device), parts, round(time.monotonic() - began, 3))


Outcome = tuple[str, str, dict[str, Any]]   # result, text, values


def run_part(name: str, work: Callable[[], Outcome], failed: Sequence[str]) -> Part:
    """The part that ``work`` does; it is not run where parts that it needs have ``failed``."""
    at = time.monotonic()
    try:
        result, text, values = (("not run", f"left out, for {failed[0]} failed", {}) if failed
                                else work())
    except DeviceError as error:
        result, text, values = "fail", str(error), {}
    return Part(name, result, text, round(time.monotonic() - at, 3), values)


def outside_of(device: Device) -> str | None:
    """Kind of outside memory that programs are compiled with, for a device without any other."""
    assert device.config is not None
    return None if device.config.memory_bytes else "ideal"


@dataclass
class _Run:
    """The parts. ``pace``: bytes a second between this machine and the device's memory."""

    device: Device
    model_path: Path | None
    depth: str
    seed: int
    stuck_bit: tuple[int, int, int] | None
    progress: Progress
    memory_bytes: int | None = None
    pace: float = math.inf

    def link(self) -> Outcome:
        if not isinstance(self.device, BoardDevice):
            return "none", "no line leads to the device", {}
        values = measure_link(self.device, *self._span, self._tell("link"))
        self.pace = values["host_bytes_per_second"]
        return ("weak" if is_weak(values) else "pass"), describe_link(values), values

    def memory(self) -> Outcome:
        start, size = self._span
        if self.memory_bytes is not None and self.memory_bytes < size:
            start, size = start + (size - self.memory_bytes) // 2, self.memory_bytes
        memory = (self.device if self.stuck_bit is None
                  else StuckBit(self.device, *self.stuck_bit))
        seconds = march_passes(quick=False) * size / self.pace
        quick = self.depth == "quick" or (self.depth == "auto" and seconds > FULL_SECONDS)
        passes = march_passes(quick)
        total = passes * size / self.pace
        found = march(memory, start, size, quick=quick, progress=lambda share: self.progress(
            Stage(f"memory: {100 * share:.0f} %, {total * (1 - share):.0f} s left",
                  size * passes * share, size * passes, "bytes", short="memory")))
        values = {"start": start, "bytes": size, "depth": "quick" if quick else "full",
                  "moved_bytes": found.moved, "faults": [fault.as_dict() for fault in found.faults]}
        text = str(found)
        if quick and self.depth == "auto":
            text += f" (quick: a full test takes {seconds / 60:.0f} minutes here)"
        return ("fail" if found.faults else "pass"), text, values

    def array(self) -> Outcome:
        rows, left_out = run_layers(self.device, outside_of(self.device), self.seed,
                                    self._tell("array"))
        values = {"layers": rows, "left_out": left_out}
        if not rows:
            return "not run", f"no layer fits: {left_out[0]}", values
        wrong = [row for row in rows if row["mismatches"]]
        if wrong:
            assert self.device.config is not None
            more = f"; and {len(wrong) - 1} layers more" if len(wrong) > 1 else ""
            return "fail", describe_mismatch(wrong[0], self.device.config) + more, values
        return "pass", (f"{len(rows)} layers, {sum(r['checked'] for r in rows):,} values equal to "
                        f"golden; {_cycles(rows)}"
                        + (f"; {len(left_out)} do not fit" if left_out else "")), values

    def model(self) -> Outcome:
        if self.model_path is None:
            return "not run", "no model: name one with --model", {}
        try:
            row = run_model(self.device, outside_of(self.device), self.model_path,
                            self._tell("model"))
        except (CompileError, InputError) as error:
            return "not run", str(error), {}
        assert self.device.config is not None
        if row["mismatches"]:
            return "fail", describe_mismatch(row, self.device.config), row
        return "pass", (f"{row['name']}, {row['inferences']} samples, {row['checked']} values "
                        f"equal to LiteRT's; {_cycles([row])}"), row

    def _tell(self, part: str) -> Progress:
        """A function that tells of a stage of the ``part``."""
        def tell(text: str) -> None:
            self.progress(Stage.of(text).behind(f"{part}: "))

        return tell

    @property
    def _span(self) -> tuple[int, int]:
        """Start and size of the memory to test."""
        assert self.device.config is not None
        size = self.device.config.memory_bytes
        return (0, size) if size else (OUTSIDE, OUTSIDE_BYTES)


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {inner}" for key, inner in value.items())
    return str(value)


def _cycles(rows: list[dict[str, Any]]) -> str:
    cycles = [row["cycles"] for row in rows]
    text = f"{sum(cycles):,} cycles"
    estimates = [row["estimate"] for row in rows]
    return text + (" as estimated" if cycles == estimates else f", estimated {sum(estimates):,}")


def _describe(device: Device) -> dict[str, Any]:
    """Description of the device. One whose line is gone cannot be asked any more."""
    assert device.config is not None
    values: dict[str, Any] = {"device": device.name, "target": device.config.name,
                              "config_hash": device.config.hash,
                              "kaniwa": __version__}
    capabilities = getattr(device, "capabilities", {})
    if "clock_hz" in capabilities:
        values["clock_mhz"] = capabilities["clock_hz"] / 1e6
    if isinstance(device, BoardDevice) and device.flash != FlashState.ABSENT:
        values["image_in_flash"] = device.flash.name.lower().replace("_", " ")
    return values
