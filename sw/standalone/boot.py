"""Has a board start from another slot of its flash, and finds out what it is then."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from kaniwa.driver.frames import REGISTERS, Operation, Request
from kaniwa.driver.identity import CAPABILITIES, known_targets
from kaniwa.driver.link import Link
from kaniwa.driver.transports import Transport
from kaniwa.errors import DeviceError, InputError
from kaniwa.isa import MAGIC, Register
from kaniwa.standalone.format import (
    BOOT,
    BOOT_ABLE,
    BOOT_IN_TURN,
    BOOT_KEY,
    BOOT_KEY_BIT,
    MOST_SLOTS,
    FlashState,
)

__all__ = ["SECONDS", "SlotFacts", "boot"]

SECONDS = 30.0      # a large ECP5 takes 6 s for a bitstream, and then loads its image
PAUSE = 0.1         # for the last bytes of a reply, and until the board is gone


@dataclass(frozen=True)
class SlotFacts:
    """What a board tells of the slot it started from; ``config`` is a hash, ``target`` its name."""

    slot: int
    in_turn: bool
    config: str
    target: str | None
    flash: FlashState

    def __str__(self) -> str:
        of = self.target or "unknown"
        return (f"slot {self.slot}, config {of} ({self.config}), image "
                f"{self.flash.name.lower().replace('_', ' ')}")


def boot(connect: Callable[[], Transport], slot: int, seconds: float = SECONDS,
         tell: Callable[[str], None] = lambda text: None) -> list[SlotFacts]:
    """Have the board behind ``connect`` start from ``slot``; gives all slots that it was in.

    The last one is ``slot``. With slots in turn there may be others between, of each of which
    ``tell`` hears. Raises DeviceError where the board has no slots, does not come back within
    ``seconds`` each time, or comes back in another one.
    """
    if not 0 <= slot < MOST_SLOTS:
        raise InputError(f"slot must be 0..{MOST_SLOTS - 1}, not {slot}")
    seen: list[SlotFacts] = []

    def leads_on(here: SlotFacts) -> bool:
        been = {one.slot for one in seen}
        return here.slot != slot and (not seen or (here.in_turn and here.slot not in been))

    transport = connect()
    seen.append(_look(transport, slot, leads_on))
    tell(f"was {seen[0]}")
    while seen[-1].slot != slot:
        here = _come_back(connect, slot, leads_on, seconds)
        if here.slot != slot and not leads_on(here):
            raise DeviceError(f"{transport.name}: slot {slot} is empty, or the board did not leave:"
                              f" it is in slot {here.slot}; kaniwa flash fills slots")
        seen.append(here)
        tell(f"is {here}")
    return seen


def _look(transport: Transport, slot: int, leave: Callable[[SlotFacts], bool]) -> SlotFacts:
    """What the board is; where ``leave`` says so, it is told to start ``slot``, too."""
    link = Link(transport)
    try:
        link.open()
        words = _registers(link, Register.MAGIC, len(CAPABILITIES))
        (told,) = _registers(link, BOOT, 1)
        if words[Register.MAGIC] != MAGIC:
            raise DeviceError(f"{transport.name}: not a kaniwa device (its first register is "
                              f"{words[Register.MAGIC]:#x})")
        if not told & BOOT_ABLE:
            raise DeviceError(f"{transport.name}: its bitstream is the only one, and starts no "
                              "other: kaniwa bitstream --standalone --slot makes one of several")
        config = f"{words[Register.CONFIG_HASH_HIGH]:08x}{words[Register.CONFIG_HASH_LOW]:08x}"
        known = known_targets().get(config)
        facts = SlotFacts(told % MOST_SLOTS, bool(told & BOOT_IN_TURN), config,
                          known.name if known else None, link.flash)
        if leave(facts):
            # If the answer is lost, whether it was done shows as the board comes back.
            with contextlib.suppress(DeviceError):
                link.exchange([Request(Operation.REGISTER, BOOT_KEY << BOOT_KEY_BIT | slot,
                                       BOOT)])
                link.pause(PAUSE)
        return facts
    finally:
        link.close()


def _registers(link: Link, first: int, count: int) -> list[int]:
    (data,) = link.exchange([Request(Operation.READ, REGISTERS + 4 * first, 4 * count)])
    assert data is not None     # nothing numbered follows the only READ
    return [int.from_bytes(data[at:at + 4], "little") for at in range(0, len(data), 4)]


def _come_back(connect: Callable[[], Transport], slot: int, leave: Callable[[SlotFacts], bool],
               seconds: float) -> SlotFacts:
    """As ``_look``, once the board answers again."""
    end = time.monotonic() + seconds
    while True:
        try:
            return _look(connect(), slot, leave)
        except DeviceError as error:
            if time.monotonic() > end:
                raise DeviceError(f"{error}; it was told to start slot {slot}, and did not come "
                                  f"back within {seconds:g} s: at power-up it starts slot 0"
                                  ) from None
        time.sleep(PAUSE)
