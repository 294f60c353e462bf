"""On-chip memory of the single-port RAM blocks of iCE40 UltraPlus."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.errors import ConfigError
from kaniwa.hw.interfaces import read_port, write_port

__all__ = ["SpramMemory"]

BLOCK_BYTES = 2          # a word of a block
BLOCK_WORDS = 1 << 14


class SpramMemory(wiring.Component):
    """As ``OnChipMemory`` with a shared channel: the same ports, latency and contents but at start.

    A row of SB_SPRAM256KA blocks as wide as a read: ``memory_bytes`` up to 16384 words of
    read_bytes. Raises ConfigError for other sizes, and where reads and writes have a channel each.
    """

    def __init__(self, config: AcceleratorConfig):
        size = config.read_bytes * BLOCK_WORDS
        if not config.shared_channel:
            raise ConfigError("shared_channel must be true with SPRAM, not false")
        if not 0 < config.memory_bytes <= size:
            raise ConfigError(f"memory_bytes must be at most {size} with SPRAM of "
                              f"{config.read_bytes} bytes, not {config.memory_bytes}")
        if config.write_bytes > config.read_bytes:
            raise ConfigError(f"write_bytes must be at most read_bytes ({config.read_bytes}) with "
                              f"SPRAM, not {config.write_bytes}")
        self._config = config
        super().__init__({
            "read": In(read_port(config)),
            "write": In(write_port(config)),
        })

    def elaborate(self, platform):
        m = Module()
        width, part_bytes = self._config.read_bytes, self._config.write_bytes
        low = exact_log2(width)
        request, write = self.read.request, self.write.request
        word = Signal(14)
        part = write.payload.address[exact_log2(part_bytes):low]
        mask = Cat(Mux(part == number, write.payload.mask, 0)
                   for number in range(width // part_bytes))
        data = write.payload.data.replicate(width // part_bytes)
        m.d.comb += [
            request.ready.eq(1),
            write.ready.eq(1),
            word.eq(Mux(write.valid, write.payload.address[low:], request.payload[low:])),
        ]
        m.d.sync += self.read.response.valid.eq(request.valid)
        for block in range(width // BLOCK_BYTES):
            first = block * BLOCK_BYTES
            m.submodules[f"block_{block}"] = Instance(
                "SB_SPRAM256KA",
                i_CLOCK=ClockSignal(),
                i_ADDRESS=word,
                i_DATAIN=data[8 * first:8 * (first + BLOCK_BYTES)],
                # A mask bit for 4 data bits.
                i_MASKWREN=Cat(mask[first + byte].replicate(2) for byte in range(BLOCK_BYTES)),
                i_WREN=write.valid,
                i_CHIPSELECT=write.valid | request.valid,
                i_STANDBY=Const(0), i_SLEEP=Const(0), i_POWEROFF=Const(1),
                o_DATAOUT=self.read.response.payload[8 * first:8 * (first + BLOCK_BYTES)],
            )
        return m
