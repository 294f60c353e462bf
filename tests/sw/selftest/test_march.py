"""The march test of memory: what kinds of fault it finds, and how it names them."""

import random

import pytest

from kaniwa.errors import InputError
from kaniwa.selftest.march import BLOCK_BYTES, march
from kaniwa.selftest.stuck_bit import StuckBit, parse_stuck_bit

SIZE = 6 * BLOCK_BYTES + 40


class Ram:
    """Sound memory; ``moved`` counts the bytes in both directions."""

    def __init__(self, size=SIZE):
        self.data = bytearray(size)
        self.moved = 0

    def write(self, address, data):
        self.moved += len(data)
        self.data[address:address + len(data)] = data

    def read(self, address, count):
        self.moved += count
        assert address + count <= len(self.data)
        return bytes(self.data[address:address + count])


class Lanes(Ram):
    """Bit ``bit`` of each byte ``first`` modulo ``step`` reads ``value``."""

    def __init__(self, first, step, bit, value):
        super().__init__()
        self.fault = first, step, bit, value

    def read(self, address, count):
        first, step, bit, value = self.fault
        data = bytearray(super().read(address, count))
        for at in range((first - address) % step, count, step):
            data[at] = data[at] & ~(1 << bit) | value << bit
        return bytes(data)


class DeadAddressLine(Ram):
    """Bit ``line`` of the address does nothing."""

    def __init__(self, line):
        super().__init__()
        self.mask = ~(1 << line)

    def write(self, address, data):
        for i, value in enumerate(data):
            self.data[(address + i) & self.mask] = value

    def read(self, address, count):
        return bytes(self.data[(address + i) & self.mask] for i in range(count))


class Transition(Ram):
    """Bit 2 of byte ``at`` does not change to ``value`` once it has the other."""

    def __init__(self, at, value):
        super().__init__()
        self.at, self.value = at, value

    def write(self, address, data):
        was = self.data[self.at] >> 2 & 1
        super().write(address, data)
        if was != self.value:
            self.data[self.at] = self.data[self.at] & ~4 | was << 2


class Coupled(Ram):
    """When bit 0 of byte ``cause`` changes to ``value``, bit 7 of ``victim`` turns over."""

    def __init__(self, cause, victim, value):
        super().__init__()
        self.cause, self.victim, self.value = cause, victim, value

    def write(self, address, data):
        was = self.data[self.cause] & 1
        super().write(address, data)
        now = self.data[self.cause] & 1
        if was != now == self.value:
            self.data[self.victim] ^= 128


@pytest.mark.parametrize("quick, passes", [(False, 18), (True, 4)])
def test_sound_memory_passes_with_the_traffic_that_is_stated(quick, passes):
    ram = Ram()
    told = []
    result = march(ram, 0, SIZE, quick=quick, progress=told.append)
    assert result.faults == () and result.moved == ram.moved == passes * SIZE
    assert str(result) == "24 KiB from 0x0, each bit with both values"
    assert told == sorted(told) and told[-1] == 1


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("bit", range(8))
@pytest.mark.parametrize("value", [0, 1])
def test_every_stuck_bit_is_named(quick, bit, value):
    address = random.Random(bit).randrange(SIZE)
    result = march(StuckBit(Ram(), address, bit, value), 0, SIZE, quick=quick)
    assert str(result) == f"{address:#x}: bit {bit} stuck at {value}"


@pytest.mark.parametrize("address", [0, BLOCK_BYTES - 1, BLOCK_BYTES, SIZE - 1])
def test_faults_at_the_ends_of_blocks_are_named(address):
    (fault,) = march(StuckBit(Ram(), address, 3, 1), 0, SIZE).faults
    assert (fault.first, fault.last, fault.high, fault.low) == (address, address, 8, 0)


def test_only_the_given_part_is_tested():
    ram = Ram()
    ram.data[:] = bytes([7]) * SIZE
    broken = StuckBit(ram, 99, 0, 0)
    assert not march(broken, 100, 1000).faults
    assert ram.data[:100] == bytes([7]) * 100 and ram.data[1100:] == bytes([7]) * (SIZE - 1100)


def test_a_broken_lane_of_the_memory_word_is_one_range():
    result = march(Lanes(5, 16, 2, 0), 0, SIZE)
    last = 5 + (SIZE - 6) // 16 * 16
    assert str(result) == f"0x5..{last:#x} (each 16 bytes): bit 2 stuck at 0"
    assert result.faults[0].count == (SIZE - 6) // 16 + 1


def test_a_broken_block_is_one_range_of_all_bits():
    class Gone(Ram):
        def read(self, address, count):
            data = bytearray(super().read(address, count))
            for i in range(count):
                if 0x2000 <= address + i < 0x3000:
                    data[i] = 255
            return bytes(data)

    assert str(march(Gone(), 0, SIZE)) == "0x2000..0x2fff: all bits stuck at 1"


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("line", range(15))
def test_a_dead_address_line_is_found(line, quick):
    """Within a block as well as between blocks."""
    assert march(DeadAddressLine(line), 0, 4 * BLOCK_BYTES if line < 14 else SIZE,
                 quick=quick).faults


@pytest.mark.parametrize("value", [0, 1])
def test_a_bit_that_does_not_change_one_way_is_found(value):
    (fault,) = march(Transition(5000, value), 0, SIZE).faults
    assert (fault.first, fault.last) == (5000, 5000)
    assert (fault.high, fault.low) == ((0, 4) if value else (4, 0))


@pytest.mark.parametrize("value", [0, 1])
@pytest.mark.parametrize("cause, victim", [(100, 9000), (9000, 100), (20_000, 4096)])
def test_a_bit_that_disturbs_one_of_another_block_is_found(cause, victim, value):
    faults = march(Coupled(cause, victim, value), 0, SIZE).faults
    assert [(f.first, f.last) for f in faults] == [(victim, victim)]
    assert faults[0].high | faults[0].low == 128


def test_many_ranges_are_counted_and_four_are_shown():
    result = march(Lanes(0, 1000, 1, 1), 0, SIZE)
    assert len(result.faults) == 25
    assert str(result).startswith("0x0: bit 1 stuck at 1; 0x3e8: bit 1 stuck at 1; ")
    assert str(result).endswith("; and 21 ranges more")


def test_irregular_faults_close_together_are_one_range():
    ram = StuckBit(StuckBit(StuckBit(Ram(), 10, 0, 1), 13, 0, 1), 90, 4, 0)
    assert str(march(ram, 0, SIZE)) == (
        "0xa..0x5a (3 bytes in it): bit 0 stuck at 1, bit 4 stuck at 0")


@pytest.mark.parametrize("text, values", [("0x1234:5=1", (0x1234, 5, 1)), ("99:0=0", (99, 0, 0))])
def test_stuck_bits_are_written_as_address_bit_and_value(text, values):
    assert parse_stuck_bit(text) == values


@pytest.mark.parametrize("text", ["", "5", "5:8=1", "5:1=2", "-5:1=1", "5:1", "0x:1=1"])
def test_other_forms_of_stuck_bits_are_refused(text):
    with pytest.raises(InputError, match="expected ADDRESS:BIT=VALUE"):
        parse_stuck_bit(text)
