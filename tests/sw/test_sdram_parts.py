"""SDRAM parts: their names on the command line, their figures in clocks, and the chip's rules."""

import dataclasses

import pytest

from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.cycles.sdram import Sdram
from kaniwa.errors import CompileError
from kaniwa.outside import parse_outside
from kaniwa.sdram_parts import PARTS, ChipTiming
from kaniwa.sim.worlds.random_graphs import random_graph
from kaniwa.timing import Timing

MIB = 1 << 20
CHIP = ChipTiming.of(PARTS["IS42S16160G"], 100, 1)
ROW = CHIP.row_bytes                 # the next bank begins behind it
BANK_AGAIN = CHIP.banks * ROW        # another row of the same bank
WORD = 16
WORDS = WORD // CHIP.width           # clocks on the bus
READ = 1 + CHIP.cas + WORDS + 2      # from a request to its word, where the row is open
OPENED = READ + CHIP.rcd


@pytest.mark.parametrize("text, whole", [
    ("sdram,part=IS42S16160G", "sdram,part=IS42S16160G,clock=100,ratio=1"),
    ("sdram,ratio=2,part=M12L64322A", "sdram,part=M12L64322A,clock=100,ratio=2"),
    ("sdram,part=W9825G6KH,clock=166,ratio=4", "sdram,part=W9825G6KH,clock=166,ratio=4"),
    ("sdram,mask=1,part=EM638325", "sdram,part=EM638325,clock=100,ratio=1"),
    ("sdram,mask=0,part=EM638325,clock=80", "sdram,part=EM638325,clock=80,ratio=1,mask=0")])
def test_the_name_of_a_part_is_completed_and_read_again(text, whole):
    assert str(parse_outside(text)) == whole
    assert parse_outside(whole) == parse_outside(text)


@pytest.mark.parametrize("settings, says", [
    ("part=IS42S16161", "unknown part 'IS42S16161'; the parts are IS42S16160G, MT48LC16M16A2,"),
    ("part=", "unknown part ''; the parts are"),
    ("part=W9825G6KH,bytes=2", "a part has its own bus and latency; leave bytes out, or part"),
    ("latency=4,part=W9825G6KH", "leave latency out"),
    ("part=W9825G6KH,part=W9825G6KH", "once each, not 'part=W9825G6KH'"),
    ("part=W9825G6KH,speed=1", "takes part, clock, ratio, mask, once each, not 'speed=1'"),
    ("part=W9825G6KH,clock=167", "clock of W9825G6KH must be 10 to 166 MHz, not '167'"),
    ("part=W9825G6KH,clock=9", "must be 10 to 166 MHz"),
    ("part=W9825G6KH,clock=1e2", "must be 10 to 166 MHz"),
    ("part=W9825G6KH,ratio=3", "must be one of 1, 2, 4, not '3'"),
    ("part=EM638325,mask=2", "mask is 1 where the data mask of EM638325 is wired and 0 where it "
                             "is not, not '2'")])
def test_wrong_settings_end_in_one_line(settings, says):
    with pytest.raises(CompileError) as error:
        parse_outside(f"sdram,{settings}")
    assert says in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("settings", ["clock=100", "bytes=2,ratio=1"])
def test_a_clock_without_a_part_is_refused(settings):
    with pytest.raises(CompileError, match="outside memory must be none, ideal or sdram"):
        parse_outside(f"sdram,{settings}")


def test_sizes_and_sources_of_parts():
    sizes = {name: part.size // MIB for name, part in PARTS.items()}
    assert sizes == {"IS42S16160G": 32, "MT48LC16M16A2": 32, "AS4C16M16SA": 32,
                     "AS4C32M16SB": 64, "W9825G6KH": 32, "EM638325": 8,
                     "M12L64322A": 8}
    assert all(part.source and part.cl2_mhz <= part.cl3_mhz for part in PARTS.values())
    assert all(part.t_rc >= part.t_ras and part.t_ras >= part.t_rcd for part in PARTS.values())


def test_times_are_whole_clocks_that_are_long_enough():
    """100 MHz: 10 ns. 133 MHz: 7.52 ns, beyond the clock for a CAS latency of 2."""
    part = PARTS["MT48LC16M16A2"]
    assert ChipTiming.of(part, 100, 1) == ChipTiming(
        1, 2, 1024, 4, cas=2, rcd=2, rp=2, ras=5, rc=7, rfc=7, rrd=2, wr=2, refi=781)
    assert ChipTiming.of(part, 133, 2) == ChipTiming(
        2, 2, 1024, 4, cas=3, rcd=3, rp=3, ras=6, rc=9, rfc=9, rrd=2, wr=2, refi=1039)


def test_units_have_the_bus_of_a_part_and_the_latency_of_a_row_to_be_opened():
    timing = Timing.of(PRESETS["base"], "sdram,part=IS42S16160G,ratio=2")
    assert timing.bus_bytes == 4
    assert timing.latency == 3 + 2     # two clocks each for row and column


def test_words_of_an_open_row_follow_one_on_the_other():
    chip, free, there = Sdram(CHIP), 0, []
    for number in range(5):
        free, word = chip.access(free, number * WORD, WORD, write=False)
        there.append(word)
    assert there == [OPENED + number * WORDS for number in range(5)]


def test_the_row_of_another_bank_is_opened_meanwhile():
    chip = Sdram(CHIP)
    free, first = chip.access(0, 0, WORD, write=False)
    _, second = chip.access(free, ROW, WORD, write=False)
    assert second == first + WORDS


def test_another_row_of_the_bank_is_opened_behind_the_last_word_of_this_one():
    chip = Sdram(CHIP)
    free, first = chip.access(0, 0, WORD, write=False)
    _, second = chip.access(free, BANK_AGAIN, WORD, write=False)
    closed = 1 + CHIP.rcd + WORDS
    assert closed >= 1 + CHIP.ras
    assert second == closed + CHIP.rp + OPENED - 1


def test_a_row_is_open_at_least_for_its_time():
    chip = Sdram(CHIP)
    free, _ = chip.access(0, 0, 2, write=False)
    _, second = chip.access(free, BANK_AGAIN, 2, write=False)
    assert second == max(1 + CHIP.ras + CHIP.rp, 1 + CHIP.rc) + CHIP.rcd + CHIP.cas + 1 + 2


def test_a_write_waits_for_the_words_of_a_read_and_a_free_clock():
    chip = Sdram(CHIP)
    free, there = chip.access(0, 0, WORD, write=False)
    free, _ = chip.access(free, WORD, WORD, write=True)
    command = there - 2 + 1           # a write's comes with its first word
    assert free == command + 1
    _, after = chip.access(free, 2 * WORD, WORD, write=False)
    assert after == command + WORDS + CHIP.cas + WORDS + 2


def test_a_write_that_leaves_bytes_out_is_merged_in_one_turn_without_a_mask():
    """With the burst that is read first; a register behind its word, and one behind the merge."""
    chip = Sdram(CHIP)
    free, _ = chip.access(0, 0, WORD, write=True, fetched=WORD)
    read = 1 + CHIP.rcd
    command = read + CHIP.cas + WORDS + 2
    assert free == command + 1
    _, after = chip.access(free, WORD, WORD, write=False)
    assert after == command + WORDS + CHIP.cas + WORDS + 2


def test_a_row_is_closed_after_the_recovery_of_its_last_write():
    chip = Sdram(CHIP)
    free, _ = chip.access(0, 0, WORD, write=True)
    _, second = chip.access(free, BANK_AGAIN, WORD, write=False)
    command = free - 1
    assert second == (command + WORDS - 1 + CHIP.wr) + CHIP.rp + OPENED - 1


def test_a_refresh_closes_the_rows():
    chip = Sdram(CHIP)
    chip.access(0, 0, WORD, write=False)
    _, there = chip.access(CHIP.refi, 0, WORD, write=False)
    assert there == CHIP.refi + CHIP.rp + CHIP.rfc + OPENED - 1
    long_after = 10 * CHIP.refi + 100
    _, later = chip.access(long_after, 0, WORD, write=False)
    assert later == long_after + OPENED


def test_the_chip_at_twice_the_clock_of_the_core():
    chip = Sdram(dataclasses.replace(CHIP, ratio=2))
    free, there = chip.access(0, 0, WORD, write=False)
    assert there == -(-(2 + CHIP.rcd + CHIP.cas + WORDS) // 2) + 2
    _, after = chip.access(free, WORD, WORD, write=False)
    assert after == there + WORDS // 2


def test_a_model_larger_than_the_part_is_refused(monkeypatch):
    monkeypatch.setitem(PARTS, "TINY", PARTS["M12L64322A"]._replace(rows=1))
    config = dataclasses.replace(PRESETS["base"], memory_bytes=0)
    with pytest.raises(CompileError, match=r"KiB of outside memory, TINY has 4; use a larger part"):
        compile(random_graph(1, "conv", macs=1 << 17), config, outside="sdram,part=TINY")
