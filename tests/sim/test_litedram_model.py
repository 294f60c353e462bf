"""The cycle model's LiteDRAM beside LiteDRAM itself, which Migen simulates: beat by beat."""

from __future__ import annotations

import functools
import importlib.util
import random
from collections.abc import Generator, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from kaniwa.config import PRESETS
from kaniwa.cycles.compiled.place import source_of
from kaniwa.cycles.litedram import LiteDram
from kaniwa.litedram_modules import CLOCKS, MODULES, PHYS, LiteDramTiming
from kaniwa.timing import NEVER

pytestmark = pytest.mark.slow

LIMIT = 3_000       # cycles that all takes less than
WORDS = 40_000      # of the memory that is used


class Beat(NamedTuple):
    """A beat at the port: when it was taken, and when its word or its response came."""

    write: bool
    word: int
    taken: int
    answered: int


class Traffic(NamedTuple):
    """Reads (from when on, first word, words) and writes (from when on, word)."""

    reads: list[tuple[int, int, int]]
    writes: list[tuple[int, int]]


def made_up(seed: int) -> Traffic:
    """Bursts that go on in four places, with leaps; writes in another one."""
    rng = random.Random(seed)
    places = [rng.randrange(0, WORDS, 2) for _ in range(4)]
    gaps, reads, at = rng.choice([(0, 0, 0, 16, 30), (0, 8)]), [], 10
    for _ in range(20):
        index, words = rng.randrange(4), rng.choice([2, 4, 8, 16, 16])
        if places[index] // 1024 != (places[index] + words) // 1024:
            places[index] = (places[index] // 1024 + 1) * 1024      # no burst crosses a page
        reads.append((at, places[index], words))
        places[index] = rng.randrange(0, WORDS, 2) if rng.random() < 0.2 else places[index] + words
        at += rng.choice(gaps)
    writes, at, place = list[tuple[int, int]](), 10, rng.randrange(WORDS)
    for _ in range(20):
        writes.append((at, place))
        place = rng.randrange(WORDS) if rng.random() < 0.1 else place + 1
        at += rng.choice([0, 4, 8, 30, 60])
    return Traffic(reads, writes)


@functools.cache
def phy_of(mhz: int, phy: str) -> tuple[Any, str]:
    """Settings of LiteDRAM's own PHY, and the rate of its clock to that of the chips."""
    from litedram.common import PhySettings
    from litedram.phy.ecp5ddrphy import ECP5DDRPHY
    from litedram.phy.s7ddrphy import A7DDRPHY
    from migen import Record

    if not phy:
        cas = 2 if mhz <= 100 else 3
        return PhySettings(phytype="none", memtype="SDR", databits=32, dfi_databits=32, nphases=1,
                           rdphase=0, wrphase=0, cl=cas, read_latency=cas + 2,
                           write_latency=0), "1:1"
    pads = Record([("a", 16), ("ba", 3), ("ras_n", 1), ("cas_n", 1), ("we_n", 1), ("dq", 16),
                   ("dm", 2), ("dqs_p", 2), ("dqs_n", 2), ("clk_p", 1), ("clk_n", 1), ("cke", 1),
                   ("odt", 1), ("reset_n", 1)])
    if phy == "ecp5":
        return ECP5DDRPHY(pads, sys_clk_freq=mhz * 1e6).settings, "1:2"
    settings = A7DDRPHY(pads, sys_clk_freq=mhz * 1e6).settings
    settings.rdphase = settings.wrphase = 2      # a register of the SoC else
    return settings, "1:4"


def design(name: str, mhz: int, phy: str) -> Any:
    """LiteDRAM's controller with its crossbar, a port of the bus, and an AXI port."""
    from litedram import modules
    from litedram.core.controller import LiteDRAMController
    from litedram.core.crossbar import LiteDRAMCrossbar
    from litedram.frontend.axi import LiteDRAMAXI2Native, LiteDRAMAXIPort
    from migen import Module, Signal

    hz = mhz * 1e6
    settings, rate = phy_of(mhz, phy)
    module = getattr(modules, name)(hz, rate)
    dut = Module()
    dut.submodules.controller = LiteDRAMController(
        settings, module.geom_settings, module.timing_settings, hz)
    dut.submodules.crossbar = LiteDRAMCrossbar(dut.controller.interface)
    width = settings.dfi_databits * settings.nphases
    dut.crossbar.get_port(data_width=width)
    dut.port = dut.crossbar.get_port(data_width=width)
    dut.axi = LiteDRAMAXIPort(data_width=width, address_width=32)
    dut.submodules.adapter = LiteDRAMAXI2Native(dut.axi, dut.port)
    dut.now = Signal(32)
    dut.sync += dut.now.eq(dut.now + 1)
    return dut


def simulated(name: str, mhz: int, phy: str,
              traffic: Traffic) -> tuple[list[Beat], list[int], list[int]]:
    """The beats, and when bursts and writes were accepted."""
    from migen import run_simulation

    dut = design(name, mhz, phy)
    width = dut.axi.data_width // 8
    axi = dut.axi
    accepted = dict[str, list[int]](ar=[], aw=[])
    taken = list[tuple[bool, int, int]]()
    answered = dict[bool, list[int]]({False: [], True: []})
    beats_in_all = sum(words for *_, words in traffic.reads) + len(traffic.writes)

    def sends(channel: Any, items: list[tuple[int, dict[str, int]]]) -> Generator:
        for at, values in items:
            while (yield dut.now) < at:
                yield
            for field, value in values.items():
                yield getattr(channel, field).eq(value)
            yield channel.valid.eq(1)
            yield
            while not (yield channel.ready):
                yield
            yield channel.valid.eq(0)

    def listens() -> Generator:
        yield axi.r.ready.eq(1)
        yield axi.b.ready.eq(1)
        while sum(map(len, answered.values())) < beats_in_all and (yield dut.now) < LIMIT:
            now = yield dut.now
            for channel in ("ar", "aw"):
                if (yield getattr(axi, channel).valid) and (yield getattr(axi, channel).ready):
                    accepted[channel].append(now)
            if (yield dut.port.cmd.valid) and (yield dut.port.cmd.ready):
                taken.append((bool((yield dut.port.cmd.we)), (yield dut.port.cmd.addr), now))
            for write, channel in ((False, axi.r), (True, axi.b)):
                if (yield channel.valid):
                    answered[write].append(now)
            yield

    burst = {"size": width.bit_length() - 1, "burst": 1}
    run_simulation(dut, [
        sends(axi.ar, [(at, {"addr": width * word, "len": words - 1, **burst})
                       for at, word, words in traffic.reads]),
        sends(axi.aw, [(at, {"addr": width * word, **burst}) for at, word in traffic.writes]),
        sends(axi.w, [(at, {"last": 1, "strb": 2**width - 1}) for at, _ in traffic.writes]),
        listens()])
    answers: dict[bool, Iterator[int]] = {write: iter(all_) for write, all_ in answered.items()}
    beats = [Beat(write, word, at, next(answers[write])) for write, word, at in taken]
    return beats, accepted["ar"], accepted["aw"]


class Recorded:
    """LiteDRAM's controller, and the beats that it was given."""

    def __init__(self, timing: LiteDramTiming) -> None:
        self._dram = LiteDram(timing)
        self._width = timing.width
        self.beats = list[Beat]()

    @property
    def answered(self) -> int:
        return self._dram.answered

    def beat(self, at: int, address: int, write: bool) -> int:
        taken = self._dram.beat(at, address, write)
        self.beats.append(Beat(write, address // self._width, taken, self._dram.answered))
        return taken


def modelled(timing: LiteDramTiming, traffic: Traffic, bursts: list[int],
             writes: list[int]) -> list[Beat]:
    """The model's beats, with bursts and writes that are accepted when those simulated were."""
    # From its source, for a compiled class takes no methods of a test.
    spec = importlib.util.spec_from_file_location("port_model", source_of("litedram_port"))
    assert spec is not None and spec.loader is not None
    model = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(model)

    left, accepted = sum(words for *_, words in traffic.reads) // 2, dict[int, tuple[int, int]]()
    for (_, _, beats), at in zip(traffic.reads, bursts, strict=True):
        accepted[left] = beats // 2, at      # by the words that are left to read
        left -= beats // 2

    class FedPort(model.LiteDramPort):
        def _burst(self) -> tuple[int, int, int]:
            words, at = accepted[len(self._words)]
            return words, at, at

        def _sent_write(self) -> int:
            return writes[-len(self._writes)]

    width = timing.width
    config = replace(PRESETS["small"], read_bytes=2 * width, write_bytes=width)
    port = FedPort(config, timing)      # which reads two beats at a time, and writes one
    port._dram = recorded = Recorded(timing)
    for at, word, words in traffic.reads:
        for place in range(word, word + words, 2):
            port.ask(at, width * place)
    for at, word in traffic.writes:
        port.write(at, width * word)
    while port.due() < NEVER:
        port.go_on()
    return recorded.beats


# Migen takes a minute for some of them: one of each kind of chip is enough for each change.
@pytest.mark.parametrize("name, phy, mhz, seed", [
    ("MT48LC16M16", "", 100, 1), ("MT41K256M16", "ecp5", 75, 3),
    pytest.param("MT48LC4M16", "", 50, 0, marks=pytest.mark.long),
    pytest.param("AS4C4M16", "", 133, 2, marks=pytest.mark.long),
    pytest.param("MT41K64M16", "s7", 50, 6, marks=pytest.mark.long)])
def test_beats_are_taken_and_answered_as_by_litedram(name: str, phy: str, mhz: int,
                                                     seed: int) -> None:
    traffic = made_up(seed)
    beats, bursts, writes = simulated(name, mhz, phy, traffic)
    timing = LiteDramTiming.of(MODULES[name], mhz, 2 if phy else 4, phy)
    assert {beat.write for beat in beats} == {False, True}
    assert modelled(timing, traffic, bursts, writes) == beats


@pytest.mark.parametrize("name, phy, mhz", [("MT48LC4M16", "", 16), ("MT41K256M16", "ecp5", 16)])
def test_beats_behind_several_refreshes_are_those_of_litedram(name: str, phy: str,
                                                              mhz: int) -> None:
    """A refresh is due each 125 cycles, and for some hundreds nothing is asked for."""
    traffic = Traffic([(10, 0, 4), (450, 4, 2), (1300, 2048, 8)],
                      [(700, 64), (1000, 65), (1001, 66)])
    beats, bursts, writes = simulated(name, mhz, phy, traffic)
    timing = LiteDramTiming.of(MODULES[name], mhz, 2 if phy else 4, phy)
    assert timing.refi < 150
    assert modelled(timing, traffic, bursts, writes) == beats


@pytest.mark.parametrize("name", MODULES)
def test_the_figures_are_those_of_litedram(name: str) -> None:
    from litedram import modules

    for mhz in (CLOCKS[0], 50, 75, 100, CLOCKS[-1]):
        for phy in PHYS if MODULES[name].ddr3 else [""]:
            settings, rate = phy_of(mhz, phy)
            theirs = getattr(modules, name)(mhz * 1e6, rate)
            ours = LiteDramTiming.of(MODULES[name], mhz, settings.databits // 8, phy)
            timing = theirs.timing_settings
            assert (MODULES[name].rows, MODULES[name].columns, ours.banks) == (
                theirs.nrows, theirs.ncols, theirs.nbanks)
            assert (ours.rp, ours.rcd, ours.rfc, ours.refi) == (
                timing.tRP, timing.tRCD, timing.tRFC, timing.tREFI)
            assert (ours.ras, ours.rc, ours.rrd) == (
                timing.tRAS or 0, timing.tRC or 0, timing.tRRD or 0)
            assert (ours.ccd, ours.read_latency, ours.write_latency) == (
                timing.tCCD, settings.read_latency, settings.write_latency)
            assert ours.width == settings.dfi_databits * settings.nphases // 8
            written = -(-settings.cwl // settings.nphases)
            assert ours.wtp == written + timing.tWR + timing.tCCD
            assert ours.wtr == written + timing.tWTR + timing.tCCD
            # Four rows of other banks take longer to open than tFAW.
            assert (timing.tFAW or 0) <= 4 * (timing.tRCD + 2)
