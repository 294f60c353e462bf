"""Requests of the device's own to its link."""

from amaranth.lib import stream
from amaranth.lib.wiring import In, Out, Signature

from kaniwa.hw.link.transmitter import body_layout

__all__ = ["local_requests"]


def local_requests() -> Signature:
    """From where the requests are made.

    ``request``: bytes of WRITE, READ and REGISTER as on the line, without sequence number, stuffing
    and CRC. ``more`` is 1 until a request's last byte has been taken; one that is not whole by then
    is dropped. ``reply``: the data of a READ, ``last`` with the last one. ``refused`` is 1 for a
    cycle where a READ or a WRITE is left out, as the memory belongs to a run. ``state``: a
    FlashState, told as the link's own.

    ``csr_address``, ``csr_write`` and ``csr_write_data`` are those of the core's registers.
    ``csr_read_data`` is that of registers beside them, as late as the core's, and 0 of all others.
    ``owing``: a reply to the line is due, or not all of it is with the transmitter yet.
    """
    return Signature({
        "request": Out(stream.Signature(8)),
        "more": Out(1),
        "reply": In(stream.Signature(body_layout())),
        "refused": In(1),
        "state": Out(3),
        "csr_address": In(8),
        "csr_write": In(1),
        "csr_write_data": In(32),
        "csr_read_data": Out(32),
        "owing": In(1),
    })
