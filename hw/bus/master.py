"""Ports of a bus master to outside memory, of either bus."""

from amaranth.lib.wiring import In, Out, Signature

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.bus.registers import fault
from kaniwa.hw.interfaces import read_port, write_port

__all__ = ["BURST_WORDS", "READS", "master_ports"]

BURST_WORDS = 8   # most words of a burst, unless told otherwise
READS = 32         # words on their way, as many as the core asks for


def master_ports(config: AcceleratorConfig, bus: Signature, address_bits: int) -> dict:
    """Ports between the core, while it is ``busy``, and outside memory on ``bus``.

    ``base``: bus address of device address 0x8000_0000; it stays while ``quiet`` is 0. ``fault``:
    an error response. ``writing``: a write is on its way, or was in the cycle before.
    """
    return {
        "busy": In(1),
        "base": In(address_bits),
        "read": In(read_port(config)),
        "write": In(write_port(config)),
        "writing": Out(1),
        "quiet": Out(1),
        "fault": Out(fault()),
        "bus": Out(bus),
    }
