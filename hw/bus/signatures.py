"""Ports of the buses, seen from the master, and the names that tools know them by.

Sources: Arm IHI 0022 (AXI4 and AXI4-Lite, chapters A2 and B1), Arm IHI 0051 (AXI4-Stream, chapter
2), and "WISHBONE System-on-Chip Interconnection Architecture", revision B4, chapters 2 and 4.
"""

from amaranth.lib.wiring import In, Out, Signature

from kaniwa.hw.verilog import ports

__all__ = ["axi_lite", "axi4", "axi_stream", "wishbone", "bus_ports"]

# Normal memory, not cached and not buffered on the way: a write's response means that the word is
# where all other masters read it (Arm IHI 0022, A4.4).
IN_MEMORY = 0b0010


def axi_lite(address_bits: int) -> Signature:
    """AXI4-Lite with data of 32 bits."""
    return Signature({
        "awaddr": Out(address_bits), "awprot": Out(3), "awvalid": Out(1), "awready": In(1),
        "wdata": Out(32), "wstrb": Out(4), "wvalid": Out(1), "wready": In(1),
        "bresp": In(2), "bvalid": In(1), "bready": Out(1),
        "araddr": Out(address_bits), "arprot": Out(3), "arvalid": Out(1), "arready": In(1),
        "rdata": In(32), "rresp": In(2), "rvalid": In(1), "rready": Out(1),
    })


def axi4(address_bits: int, data_bits: int) -> Signature:
    """AXI4 with one ID, 0, so that all responses come in order."""
    def address(prefix):
        return {f"{prefix}{name}": Out(shape, init=init) for name, shape, init in (
            ("id", 1, 0), ("addr", address_bits, 0), ("len", 8, 0), ("size", 3, 0),
            ("burst", 2, 1), ("lock", 1, 0), ("cache", 4, IN_MEMORY), ("prot", 3, 0),
            ("qos", 4, 0), ("valid", 1, 0))} | {f"{prefix}ready": In(1)}

    return Signature({
        **address("aw"),
        "wdata": Out(data_bits), "wstrb": Out(data_bits // 8), "wlast": Out(1),
        "wvalid": Out(1), "wready": In(1),
        "bid": In(1), "bresp": In(2), "bvalid": In(1), "bready": Out(1, init=1),
        **address("ar"),
        "rid": In(1), "rdata": In(data_bits), "rresp": In(2), "rlast": In(1),
        "rvalid": In(1), "rready": Out(1, init=1),
    })


def axi_stream(data_bits: int) -> Signature:
    """AXI4-Stream with whole bytes and the end of a packet, seen from the transmitter."""
    return Signature({"tdata": Out(data_bits), "tlast": Out(1), "tvalid": Out(1), "tready": In(1)})


def wishbone(address_bits: int, data_bits: int, *, bursts: bool = False) -> Signature:
    """Wishbone with bytes selected by ``sel``; ``adr`` counts words of ``data_bits``.

    ``address_bits``: of a byte address. ``bursts``: with the tags of registered feedback.
    """
    size = (data_bits // 8 - 1).bit_length()
    return Signature({
        "cyc": Out(1), "stb": Out(1), "we": Out(1), "adr": Out(address_bits - size),
        "dat_w": Out(data_bits), "sel": Out(data_bits // 8), "dat_r": In(data_bits),
        "ack": In(1), "err": In(1),
        **({"cti": Out(3), "bte": Out(2)} if bursts else {}),
    })


_PREFIXES = {"axi4": {"control": "s_axi_", "memory": "m_axi_"},
             "wishbone": {"control": "s_wb_", "memory": "m_wb_"}}
_STREAMS = {"sample": "s_axis_sample_", "result": "m_axis_result_"}


def bus_ports(component) -> dict:
    """The ports of a ``BusAccelerator`` for Amaranth's back ends, with the names of the field.

    Those of ``control`` begin with ``s_axi_`` or ``s_wb_``, those of ``memory`` with ``m_axi_`` or
    ``m_wb_``, those of sensors with ``s_axis_sample_`` and ``m_axis_result_``; ``irq`` is itself.
    The back end adds ``clk`` and ``rst``.
    """
    prefixes = _PREFIXES[component.bus] | _STREAMS
    named = {}
    for name, port in ports(component).items():
        side, _, member = name.partition("__")
        named[prefixes[side] + member if member else name] = port
    return named
