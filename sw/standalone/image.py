"""The image of a program for a board's flash: made, read and checked, and put behind a bitstream.

What the gateware of a standalone board does with it is in ``kaniwa.hw.standalone``.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kaniwa.config import AcceleratorConfig
from kaniwa.driver.board_device import WATCHDOG_CYCLES
from kaniwa.driver.devices import Device
from kaniwa.driver.frames import PAYLOAD_BYTES, REQUEST_HEADER, WORD_BYTES, Operation, Request
from kaniwa.errors import InputError, ProgramError, UnsupportedError
from kaniwa.export.interface import Interface, Port, interface
from kaniwa.extras import needed
from kaniwa.isa import Register
from kaniwa.program.program import Program
from kaniwa.standalone.format import (
    CRC_BYTES,
    HEADER_BYTES,
    MAGIC,
    MOST_SCORES,
    FlashState,
    Header,
    config_digest,
)

if TYPE_CHECKING:
    from kaniwa.boards.board import Board, Flash
    from kaniwa.boards.families.family import Slots

__all__ = ["ClassOutput", "StandaloneImage", "bitstream_at", "check_slots", "class_output",
           "flash_image", "flash_of", "flash_slots", "make_image", "read_image", "slots_of",
           "standalone_interface"]

ERASED = 0xFF
SCORES = ("int8", "uint8")
# Behind the accelerator a host may have these: they do not change which score is the largest.
BEHIND = ("SOFTMAX",)


@dataclass(frozen=True)
class ClassOutput:
    """The scores whose largest a board shows, or, where there are none, ``why``."""

    port: Port | None
    why: str = ""

    @property
    def count(self) -> int:
        """Number of scores; 0 where no class is shown."""
        return 0 if self.port is None else self.port.tensor.bytes


@dataclass(frozen=True)
class StandaloneImage:
    """What an image holds. ``length``: its bytes, with header and CRC-32, which is ``crc``."""

    header: Header
    requests: tuple[Request, ...]
    crc: int

    @property
    def length(self) -> int:
        """Bytes of the image."""
        return HEADER_BYTES + self.header.length + CRC_BYTES

    @property
    def registers(self) -> dict[Register, int]:
        """The registers that it sets."""
        return {Register(request.count): request.word for request in self.requests
                if request.operation == Operation.REGISTER}

    def state_on(self, config: AcceleratorConfig) -> FlashState:
        """How far a device of ``config`` comes with it."""
        fits = self.header.digest == config_digest(config.hash)
        return FlashState.LOADED if fits else FlashState.OTHER_CONFIG

    def load(self, device: Device) -> None:
        """Write to ``device`` what a board writes to its memory at power-up."""
        for request in self.requests:
            if request.operation == Operation.WRITE:
                device.write(request.word, request.data)


def standalone_interface(program: Program) -> Interface:
    """What a client of a board that loaded ``program`` by itself writes and reads.

    Raises UnsupportedError where a host has more to do than float edges, orders of axes and a last
    softmax.
    """
    device = interface(program, "start from flash", BEHIND, transposed=True)
    if not all(state.resident for state in device.states):
        raise UnsupportedError(f"{program.name}: cannot start from flash: a host would write its "
                               "state before each run; compile it for a target on which the "
                               "state stays where it is")
    return device


def class_output(device: Interface) -> ClassOutput:
    """The scores of ``device`` whose largest the board shows."""
    if len(device.outputs) != 1:
        return ClassOutput(None, f"the model has {len(device.outputs)} outputs")
    (port,) = device.outputs
    tensor = port.tensor
    if tensor.dtype not in SCORES:
        return ClassOutput(None, f"the output is {tensor.dtype}, not {' or '.join(SCORES)}")
    if tensor.bytes != (tensor.shape or (0,))[-1]:
        return ClassOutput(None, "the output is not one row of scores, one behind the other")
    if tensor.bytes > MOST_SCORES:
        return ClassOutput(None, f"the output has {tensor.bytes} values, {MOST_SCORES} are the "
                                 "most")
    return ClassOutput(port)


def make_image(program: Program) -> bytes:
    """The image of ``program``: all that a load writes, its state as at first, and the registers
    that a run needs but for CONTROL.

    Raises what ``standalone_interface`` raises.
    """
    device = standalone_interface(program)
    scores = class_output(device)
    body = b"".join(_encoded(request) for request in _requests(device))
    address = 0 if scores.port is None else scores.port.tensor.address
    assert address is not None
    data = Header(config_digest(program.config.hash), len(body), address,
                  scores.count).to_bytes() + body
    return data + _crc(data)


def read_image(data: bytes, name: str = "image") -> StandaloneImage:
    """The image at the beginning of ``data``; what is behind it is not looked at.

    Raises ProgramError that begins with ``name`` where a device would not load it.
    """
    if data[:len(MAGIC) - 1] != MAGIC[:-1] or len(data) < HEADER_BYTES:
        raise ProgramError(f"{name}: not an image for flash (kaniwa flash writes one)")
    if data[len(MAGIC) - 1] != MAGIC[-1]:
        raise ProgramError(f"{name}: image format {data[len(MAGIC) - 1]}, this kaniwa has "
                           f"{MAGIC[-1]}: write it anew with kaniwa flash")
    length = HEADER_BYTES + int.from_bytes(data[16:20], "little")
    if len(data) < length + CRC_BYTES:
        raise ProgramError(f"{name}: cut off: {len(data)} bytes, of {length + CRC_BYTES}")
    if data[length:length + CRC_BYTES] != _crc(data[:length]):
        raise ProgramError(f"{name}: damaged (CRC): write it anew with kaniwa flash")
    try:
        header = Header.from_bytes(data)
        requests = tuple(_decoded(data[HEADER_BYTES:length]))
    except ValueError:
        raise ProgramError(f"{name}: not made by kaniwa flash: no legal requests") from None
    return StandaloneImage(header, requests,
                           int.from_bytes(data[length:length + CRC_BYTES], "little"))


def flash_of(board: Board) -> Flash:
    """The flash of ``board``; ConfigError that names the boards with one where it has none."""
    from kaniwa.boards.board import check_standalone

    check_standalone(board)
    assert board.flash is not None
    return board.flash


def flash_image(board: Board, bitstream: bytes, image: bytes) -> bytes:
    """Content of the flash of ``board`` from its first byte on: bitstream, erased bytes, image.

    Raises InputError where one of the two is too large for its place.
    """
    flash = flash_of(board)
    if len(bitstream) > flash.offset:
        raise InputError(f"the bitstream has {len(bitstream):,} bytes, and the image of "
                         f"{board.name} begins at {flash.offset:,}: is it a bitstream?")
    if flash.offset + len(image) > flash.bytes:
        raise InputError(f"the image has {len(image):,} bytes, and the flash of {board.name} "
                         f"{flash.bytes - flash.offset:,} for it: take a smaller model")
    return bitstream.ljust(flash.offset, bytes([ERASED])) + image


def check_slots(board: Board, count: int) -> None:
    """Raise InputError where the flash of ``board`` has not so many slots."""
    slots = flash_of(board).slots
    if count > slots:
        raise InputError(f"{count} models for {board.name}, whose flash has {slots} slots: leave "
                         "some out")


def slots_of(board: Board) -> Slots:
    """How the FPGA of ``board`` starts from one of several bitstreams."""
    with needed("a flash with several bitstreams", "bitstream"):
        from kaniwa.boards.families.family import load_family

        return load_family(board.family).slots


def bitstream_at(board: Board, slot: int) -> int:
    """Address of the bitstream of a slot."""
    return slot * flash_of(board).slot_bytes + slots_of(board).HEAD_BYTES


def flash_slots(board: Board, parts: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Content of the flash with several bitstreams, each with an image, in slots from 0 on.

    Raises InputError for more than there are slots, and where a part is too large for its place.
    """
    check_slots(board, len(parts))
    flash, slots = flash_of(board), slots_of(board)
    addresses = [bitstream_at(board, slot) for slot in range(len(parts))]
    content = bytearray(slots.head(addresses))
    for slot, (bitstream, image) in enumerate(parts):
        following = (slot + 1) % len(parts) * flash.slot_bytes
        for what, data, at, room in (
                ("bitstream", slots.chain(bitstream, following), addresses[slot],
                 flash.offset - slots.HEAD_BYTES),
                ("image", image, flash.image_at(slot), flash.slot_bytes - flash.offset)):
            if len(data) > room:
                raise InputError(f"the {what} of slot {slot} has {len(data):,} bytes, and "
                                 f"{board.name} has {room:,} for it: take another one")
            content = bytearray(content.ljust(at, bytes([ERASED])) + data)
    return bytes(content)


def _requests(device: Interface) -> Iterator[Request]:
    """What a load writes, and the state, in pieces; then the registers."""
    states = ((state.address, state.initial) for state in device.states)
    for address, data in (*device.program.images, *states):
        for at in range(0, len(data), PAYLOAD_BYTES):
            part = data[at:at + PAYLOAD_BYTES]
            yield Request(Operation.WRITE, address + at, len(part), part)
    yield Request(Operation.REGISTER, device.address, Register.PROGRAM_ADDRESS)
    yield Request(Operation.REGISTER, WATCHDOG_CYCLES, Register.WATCHDOG)


def _encoded(request: Request) -> bytes:
    return (bytes([request.operation << 6]) + request.word.to_bytes(WORD_BYTES, "little")
            + bytes([request.count]) + request.data)


def _decoded(body: bytes) -> Iterator[Request]:
    """The requests of ``body``; ValueError where one is not legal, or cut off."""
    at = 0
    while at < len(body):
        head = body[at:at + REQUEST_HEADER]
        operation = Operation(head[0] >> 6)
        if (len(head) < REQUEST_HEADER or head[0] % 64
                or operation not in (Operation.WRITE, Operation.REGISTER)):
            raise ValueError("no legal request")
        at += REQUEST_HEADER
        count = head[REQUEST_HEADER - 1]
        data = b""
        if operation == Operation.WRITE:
            data = body[at:at + count]
            if not 0 < count <= PAYLOAD_BYTES or len(data) < count:
                raise ValueError("no legal WRITE")
            at += count
        else:
            Register(count)
        yield Request(operation, int.from_bytes(head[1:1 + WORD_BYTES], "little"), count, data)


def _crc(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(CRC_BYTES, "little")
