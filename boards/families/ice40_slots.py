"""Several bitstreams in the flash of an iCE40: jump vectors in front, and SB_WARMBOOT.

By Lattice's iCE40 Programming and Configuration Technical Note (TN1248), as IceStorm's ``icemulti``
has it: five vectors of 32 bytes at the beginning of the flash. The first one is for power-up, the
others for SB_WARMBOOT with its S1 and S0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth import *

from kaniwa.standalone.format import MOST_SLOTS

__all__ = ["HEAD_BYTES", "IN_TURN", "VECTOR_BYTES", "chain", "head", "restart"]

IN_TURN = False        # each slot can be started from each other one
VECTOR_BYTES = 32
HEAD_BYTES = 256       # in front of the bitstream of each slot; slot 0 has the vectors there


def head(addresses: Sequence[int]) -> bytes:
    """The jump vectors to bitstreams at ``addresses``; slots behind them are the first one."""
    targets = [*addresses, *[addresses[0]] * (MOST_SLOTS - len(addresses))]
    return b"".join(_vector(address) for address in (addresses[0], *targets))


def chain(bitstream: bytes, following: int) -> bytes:
    """The bitstream as it is: it names no other one."""
    return bitstream


def restart(leave: Value, slot: Value, pin: tuple[str, int] | None) -> Instance:
    """Configures the FPGA anew from ``slot`` once ``leave`` is 1; no pin is needed for it."""
    return Instance("SB_WARMBOOT", i_BOOT=leave, i_S0=slot[0], i_S1=slot[1])


def _vector(address: int) -> bytes:
    """Preamble, boot mode, address, bank 0, reboot."""
    vector: list[Any] = [0x7E, 0xAA, 0x99, 0x7E, 0x92, 0, 0, 0x44, 3, *address.to_bytes(3, "big"),
                         0x82, 0, 0, 0x01, 0x08]
    return bytes(vector).ljust(VECTOR_BYTES, b"\0")
