"""The controller of an SDRAM chip."""

from math import ceil

from amaranth import *
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.interfaces import read_port, write_port
from kaniwa.hw.sdram.banks import Banks
from kaniwa.hw.sdram.data_pins import DataPins
from kaniwa.hw.sdram.merge import Merge
from kaniwa.hw.sdram.signatures import ALL_BANKS, pins_signature
from kaniwa.hw.sdram.start import ChipStart, mode_register
from kaniwa.sdram_parts import BANKS, ChipTiming, Part, bursts

__all__ = ["SdramController", "POWER_UP_US"]

POWER_UP_US = 200      # from a stable clock to the first command


class SdramController(Component):
    """One SDRAM chip as outside memory, at the clock of the core.

    ``mhz``: that clock. A request is ``read_bytes`` or ``write_bytes`` long, and one burst of the
    chip. Rows stay open until another row of their bank is wanted, or a refresh; the next request
    is taken in the cycle behind the column command of the one before, so its row is opened while
    words are on the bus. A write goes before the read of the same cycle.
    docs/decisions/0034-sdram-parts.md has the rules, ``kaniwa.cycles.sdram`` the cycles.

    ``masked``: the pins of the chip's data mask are wired. Without, a write that leaves bytes out
    is merged with the word in the chip, which is read first, with nothing in between. A write is
    then one column or ``read_bytes``, as the chip has no other bursts that end by themselves.

    Latency: with its row open, a word comes 2 + CAS latency + columns cycles after its request.
    Throughput: a column a cycle within a row. Requests wait until the chip has been started,
    POWER_UP_US after reset. Raises ConfigError where a request is no burst.
    """

    def __init__(self, config: AcceleratorConfig, part: Part, mhz: float, *,
                 masked: bool = True, power_up_us: float = POWER_UP_US):
        self._part, self._masked = part, masked
        self._timing = ChipTiming.of(part, mhz, 1)
        self._power_up = ceil(power_up_us * mhz)
        self._read_words, self._write_words = bursts(
            part, config.read_bytes, config.write_bytes, masked)
        super().__init__({
            "read": In(read_port(config)),
            "write": In(write_port(config)),
            "pins": Out(pins_signature(part, masked)),
        })

    def elaborate(self, platform):
        m = Module()
        timing = self._timing
        lengths = {"words_read": self._read_words, "words_written": self._write_words}
        m.submodules.start = start = ChipStart(timing, power_up=self._power_up, mode=mode_register(
            timing.cas, self._read_words, self._write_words))
        m.submodules.banks = banks = Banks(timing, seeks=2, **lengths)
        m.submodules.data_pins = pins = DataPins(width=timing.width, cas=timing.cas, **lengths)

        ends = Signal()       # the request in turn, by its column command
        begun = Signal()      # it has been looked at before: no refresh comes in between any more
        due = Signal()        # a refresh is
        reading, writing, address, merge = self._requests(m, start.done, banks, pins, ends)
        serve = (reading | writing) & (begun | ~due)
        closing = due & ~begun
        with m.If(ends):
            m.d.sync += begun.eq(0)
        with m.Elif(serve):
            m.d.sync += begun.eq(1)
        row_wanted = self._serve(m, banks, serve, writing, ends, merge)
        self._refresh(m, banks, start.done, closing, due)
        # The word that a write is merged with is of no request for a read.
        asked, answer = banks.read, pins.valid
        if merge is not None:
            asked, answer = asked & ~writing, answer & ~merge.comes
        m.d.comb += [
            ends.eq(asked | banks.write),
            pins.read.eq(banks.read),
            pins.write.eq(banks.write),
            self.read.response.valid.eq(answer),
            self.read.response.payload.eq(pins.word),
            pins.from_chip.eq(self.pins.from_chip),
            *(getattr(self.pins, name).eq(getattr(pins, name))
              for name in ("drive", "mask", "to_chip") if self._masked or name != "mask"),
        ]
        self._command(m, banks, start, closing, row_wanted, address)
        return m

    def _requests(self, m, started, banks, pins, ends):
        """A read and a write that wait here, the write for its turn first.

        Returns whether there is one of each, the address of the one in turn, and for a chip
        without a mask what is to be merged.
        """
        read, write = self.read.request, self.write.request
        free = Signal()   # both may be taken
        reading, writing = Signal(), Signal()
        reads, writes = Signal(), Signal()   # in the next cycle
        read_address = Signal(32, reset_less=True)
        waiting = Signal.like(write.payload, reset_less=True)
        next_read, next_write = Signal.like(read_address), Signal.like(waiting.address)
        m.d.comb += [
            read.ready.eq(free),
            write.ready.eq(free),
            reads.eq(Mux(free, read.valid, reading & ~(ends & ~writing))),
            writes.eq(Mux(free, write.valid, writing & ~ends)),
            next_read.eq(Mux(free, read.payload, read_address)),
            next_write.eq(Mux(free, write.payload.address, waiting.address)),
            banks.seek[0].eq(self._place(next_read)),
            banks.seek[1].eq(self._place(next_write)),
            pins.data.eq(waiting.data),
            pins.enables.eq(waiting.mask),
        ]
        m.d.sync += [reading.eq(reads), writing.eq(writes), free.eq(started & ~(reads | writes)),
                     read_address.eq(next_read)]
        with m.If(free):
            m.d.sync += waiting.eq(write.payload)
        merge = None if self._masked else self._merge(m, banks, pins, free, writing, waiting)
        return reading, writing, Mux(writing, waiting.address, read_address), merge

    def _merge(self, m, banks, pins, free, writing, waiting):
        """What a write leaves out is read: the first columns of the burst from its address on."""
        m.submodules.merge = merge = Merge(mask_bits=len(waiting.mask), cas=self._timing.cas,
                                           words_read=self._read_words)
        m.d.comb += [merge.taken.eq(free), merge.mask.eq(self.write.request.payload.mask),
                     merge.read.eq(banks.read & writing)]
        with m.If(merge.comes):
            for byte, own in enumerate(waiting.mask):
                with m.If(~own):
                    m.d.sync += waiting.data.word_select(byte, 8).eq(
                        pins.word.word_select(byte, 8))
        return merge

    def _place(self, address):
        """The bank and the row of an address, row's bits below those of the rows' pins."""
        low = exact_log2(self._timing.row_bytes)
        high = low + exact_log2(BANKS)
        return Cat(address[low:high], address[high:high + exact_log2(self._part.rows)])

    def _serve(self, m, banks, serve, writing, ends, merge):
        """The commands of the request in turn; returns whether it wants its row opened."""
        looked_up, is_open = Signal(init=1), Signal()   # as found at first, or as made since
        hit = Mux(looked_up, Mux(writing, banks.hit[1], banks.hit[0]), is_open)
        other = looked_up & Mux(writing, banks.conflict[1], banks.conflict[0])
        missing = ~hit & ~other
        reads, writes = ~writing, writing
        if merge is not None:
            reads, writes = reads | merge.fetch, writes & merge.whole
        m.d.comb += [
            banks.precharge.eq(serve & other & banks.may_precharge),
            banks.activate.eq(serve & missing & banks.may_activate),
            banks.read.eq(serve & hit & reads & banks.may_read),
            banks.write.eq(serve & hit & writes & banks.may_write),
        ]
        with m.If(banks.activate | banks.precharge):
            m.d.sync += [looked_up.eq(0), is_open.eq(banks.activate)]
        with m.If(ends):
            m.d.sync += looked_up.eq(1)
        return missing

    def _refresh(self, m, banks, started, closing, due):
        """A refresh every tREFI, before the next request; all rows are closed for it."""
        left = Signal(range(self._timing.refi), init=self._timing.refi - 1)
        m.d.comb += [
            banks.precharge_all.eq(closing & banks.any_open & banks.may_precharge_all),
            banks.refresh.eq(closing & ~banks.any_open & banks.may_refresh),
        ]
        with m.If(banks.refresh):
            m.d.sync += due.eq(0)
        with m.If(started):
            m.d.sync += left.eq(left - 1)
            with m.If(left == 0):
                m.d.sync += [left.eq(self._timing.refi - 1), due.eq(1)]

    def _command(self, m, banks, start, closing, row_wanted, address):
        """What goes to the chip's pins for commands."""
        place = self._place(address)
        column = address[exact_log2(self._part.width):exact_log2(self._timing.row_bytes)]
        close = banks.precharge | banks.precharge_all
        command = Cat(banks.activate | banks.refresh | close,
                      banks.read | banks.write | banks.refresh, banks.write | close)
        m.d.comb += [
            banks.place.eq(place),
            self.pins.command.eq(command | start.command),
            self.pins.bank.eq(Mux(start.done, banks.place.bank, 0)),
            self.pins.address.eq(start.address | Mux(start.done, Mux(
                row_wanted & ~closing, banks.place.row, column | closing << ALL_BANKS), 0)),
        ]
