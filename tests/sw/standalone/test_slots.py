"""Several bitstreams in one file for a flash: where each part lies, and what leads to it."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from kaniwa.boards.board import load_board
from kaniwa.boards.families import ecp5, ecp5_slots, ice40_slots
from kaniwa.boards.flow import tools
from kaniwa.errors import BuildError, ConfigError, InputError
from kaniwa.standalone.format import MOST_SLOTS
from kaniwa.standalone.image import flash_slots

SLOT = 4 << 20
BITS = [b"first" * 9, b"second" * 99, b"third", b"fourth" * 5]
IMAGES = [b"image" * 7, b"another", b"one" * 50, b"last"]
PARTS = list(zip(BITS, IMAGES, strict=True))

# The head that icemulti writes for images at these addresses: TN1248, "Cold Boot and Warm Boot".
# Preamble, boot mode, boot address, bank offset, reboot.
VECTOR = "7eaa997e 920000 4403 {address} 820000 0108"


def vector(address: int) -> bytes:
    return bytes.fromhex(VECTOR.format(address=f"{address:06x}")).ljust(32, b"\0")


@pytest.fixture
def no_tools(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What stands for a bitstream of an ECP5 is none; gives the addresses that it would name."""
    named: list[int] = []

    def chain(bitstream: bytes, following: int) -> bytes:
        named.append(following)
        return bitstream

    monkeypatch.setattr(ecp5_slots, "chain", chain)
    return named


@pytest.mark.parametrize("count", range(1, MOST_SLOTS + 1))
def test_an_ice40_has_vectors_in_front_and_each_bitstream_where_one_leads(count: int) -> None:
    board = load_board("icebreaker")
    flash = flash_slots(board, PARTS[:count])
    at = [slot * SLOT + 256 for slot in range(MOST_SLOTS)]
    # Power-up, then SB_WARMBOOT with S1 and S0 of 0 to 3; what is not filled is the first one.
    assert flash[:160] == vector(256) + b"".join(
        vector(at[slot if slot < count else 0]) for slot in range(MOST_SLOTS))
    assert set(flash[160:256]) == {0xFF}
    check_parts(flash, at[:count], 1 << 20)


@pytest.mark.parametrize("count", range(1, MOST_SLOTS + 1))
def test_bitstreams_of_an_ecp5_begin_where_the_one_before_says(count: int,
                                                               no_tools: list[int]) -> None:
    flash = flash_slots(load_board("ulx3s_85f"), PARTS[:count])
    at = [slot * SLOT for slot in range(count)]
    assert no_tools == [*at[1:], 0]     # a ring
    assert not any(address % (64 << 10) for address in no_tools)
    assert set(flash[:256]) == {0xFF}
    check_parts(flash, [address + 256 for address in at], 2 << 20)


def check_parts(flash: bytes, addresses: list[int], offset: int) -> None:
    """Bitstreams at ``addresses``, images ``offset`` into each slot, erased bytes between."""
    placed = [(0, b"")]
    for slot, address in enumerate(addresses):
        placed += [(address, BITS[slot]), (slot * SLOT + offset, IMAGES[slot])]
    for (before, data), (at, part) in pairwise(placed):
        assert flash[at:at + len(part)] == part
        if before:
            assert set(flash[before + len(data):at]) <= {0xFF}
    assert len(flash) == placed[-1][0] + len(placed[-1][1])


def test_limits_are_named() -> None:
    board = load_board("icebreaker")
    with pytest.raises(InputError, match="5 models for icebreaker, whose flash has 4 slots: leave "
                                         "some out"):
        flash_slots(board, [*PARTS, PARTS[0]])
    room, rest = (1 << 20) - 256, 3 << 20
    assert len(flash_slots(board, [(bytes(room), bytes(rest)), PARTS[0]])) > SLOT
    with pytest.raises(InputError, match="the bitstream of slot 1 has 1,048,321 bytes, and "
                                         "icebreaker has 1,048,320 for it"):
        flash_slots(board, [PARTS[0], (bytes(room + 1), b"")])
    with pytest.raises(InputError, match="the image of slot 1 has 6,291,456 bytes, and icebreaker "
                                         "has 3,145,728 for it"):
        flash_slots(board, [PARTS[0], (b"", bytes(2 * rest))])


@pytest.mark.parametrize("slot", [-1, 4, 9])
def test_a_slot_that_is_none_is_named(slot: int) -> None:
    with pytest.raises(ConfigError, match=f"slot must be 0..3 on ulx3s_25f, not {slot}"):
        load_board("ulx3s_25f").with_slot(slot)
    with pytest.raises(ConfigError, match="ecpix5_85f has no flash"):
        load_board("ecpix5_85f").with_slot(slot)


@pytest.mark.parametrize("name", ["icebreaker", "ulx3s_25f", "ulx3s_85f", "ulx3s_85f_sdram"])
def test_slots_fill_the_flash_of_each_board(name: str) -> None:
    flash = load_board(name).flash
    assert flash is not None
    assert flash.slots == MOST_SLOTS and flash.slots * flash.slot_bytes == flash.bytes
    assert flash.slot_bytes % (64 << 10) == 0      # the step of an ECP5's addresses
    assert [flash.image_at(slot) for slot in (0, 3)] == [flash.offset, 3 * SLOT + flash.offset]
    assert ice40_slots.HEAD_BYTES >= 5 * ice40_slots.VECTOR_BYTES


@pytest.fixture(scope="module")
def empty_bitstream(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """That of an ECP5 without a design, packed as a build does it."""
    folder = tmp_path_factory.mktemp("empty")
    (folder / "top.config").write_text(".device LFE5U-25F\n\n")
    packed = ecp5.pack(())
    assert not tools.run([*tools.command(packed.tool), *packed.arguments], folder, folder / "log")
    return (folder / packed.output).read_bytes()


def unpacked(bitstream: bytes, folder: Path) -> list[str]:
    (folder / "a.bit").write_bytes(bitstream)
    assert not tools.run([*tools.command("ecpunpack"), "--input", "a.bit", "--textcfg", "a.config"],
                         folder, folder / "log")
    return (folder / "a.config").read_text().splitlines()


@pytest.mark.slow
def test_an_ecp5_bitstream_gets_an_address_and_stays_what_it_is(empty_bitstream: bytes,
                                                                tmp_path: Path) -> None:
    """The address is its bits 23 to 16; the bit of control register 0 has it obeyed."""
    before = unpacked(empty_bitstream, tmp_path)
    chained = ecp5_slots.chain(empty_bitstream, 0x40_0000)
    assert [line for line in unpacked(chained, tmp_path) if line not in before] == [
        "word: BOOTADDR 01000000"]
    last = ecp5_slots.chain(empty_bitstream, 0)
    assert set(before) - {"word: BOOTADDR 00000000"} == (
        set(unpacked(last, tmp_path)) - {"word: BOOTADDR 00000000"})
    control = bytes.fromhex("22 000000 40000000")
    multiboot = bytes.fromhex("22 000000 40100000")
    assert control in empty_bitstream and multiboot not in empty_bitstream
    assert all(multiboot in bits and control not in bits for bits in (chained, last))


@pytest.mark.slow
def test_what_is_no_ecp5_bitstream_is_one_line() -> None:
    with pytest.raises(BuildError, match="ecpunpack does not take the bitstream .*: build it anew"):
        ecp5_slots.chain(b"no bitstream", 0)
