"""Device memory: the clients' way to on-chip and outside memory, and the on-chip memory itself."""

from amaranth import *
from amaranth.lib import data, fifo, memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.interfaces import read_port, write_port
from kaniwa.hw.parts.unchecked_read import UncheckedRead

__all__ = ["MemorySystem", "ReadArbiter", "OnChipMemory", "READERS", "READS_IN_FLIGHT"]

READERS = ("commands", "operand", "activations", "weights")
READS_IN_FLIGHT = 32  # on each side; enough for a burst of outside memory and its latency


class ReadArbiter(wiring.Component):
    """The reads of one memory side: choose a client, remember it, and route the response back.

    Latency: 1 cycle to the memory, 1 cycle back. Throughput: one read a cycle.
    ``requests`` are the clients (in the order of READERS) that ask now; ``granted`` is the one
    whose request is taken in this cycle; one ``beyond`` memory is not sent. ``blocked`` keeps a
    request from the memory in this cycle, except one it has already seen (``stuck``). Addresses
    here count words, in ``word_bits`` bits.
    """

    def __init__(self, config: AcceleratorConfig, word_bits: int):
        self._config = config
        self._word_bits = word_bits
        clients = len(READERS)
        super().__init__({
            "requests": In(clients),
            "beyond": In(clients),
            "words": In(data.ArrayLayout(unsigned(word_bits), clients)),
            "granted": Out(clients),
            "hold": In(1),
            "blocked": In(1),
            "stuck": Out(1),
            "memory": Out(read_port(config)),
            "responses": Out(clients),
            "response": Out(8 * config.read_bytes),
            "idle": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        clients = len(READERS)
        number = range(clients)

        # A client's number waits here from the cycle after the grant of its request until its word
        # arrives: two cycles after the grant at the earliest.
        m.submodules.in_flight = in_flight = fifo.SyncFIFO(
            width=Shape.cast(number).width, depth=READS_IN_FLIGHT)
        reads = in_flight.level + in_flight.w_en
        full = Signal()      # reads == READS_IN_FLIGHT, a cycle ahead

        valid = Signal()
        word = Signal(self._word_bits, reset_less=True)
        accepted = self.memory.request.valid & self.memory.request.ready
        m.d.comb += [
            self.memory.request.valid.eq(valid & (~self.blocked | self.stuck)),
            self.memory.request.payload.eq(
                Cat(C(0, exact_log2(self._config.read_bytes)), word)),
        ]
        m.d.sync += self.stuck.eq(self.memory.request.valid & ~self.memory.request.ready)

        commands, operand, activations, weights = self.requests
        weights_first = Signal()
        chosen = Signal(number)
        with m.If(commands):
            m.d.comb += chosen.eq(0)
        with m.Elif(operand):
            m.d.comb += chosen.eq(1)
        with m.Elif(activations & ~(weights & weights_first)):
            m.d.comb += chosen.eq(2)
        with m.Else():
            m.d.comb += chosen.eq(3)

        room = Signal()
        grant = self.requests.any() & room
        sends = ~self.beyond.bit_select(chosen, 1)   # not in the way of ``granted``
        m.d.comb += [
            room.eq((~valid | accepted) & ~full & ~self.hold),
            self.granted.eq(Mux(grant, 1 << chosen, 0)),
        ]
        m.d.sync += [
            in_flight.w_data.eq(chosen),
            in_flight.w_en.eq(grant & sends),
            full.eq(~in_flight.r_en & ((reads == READS_IN_FLIGHT)
                                       | ((reads == READS_IN_FLIGHT - 1) & grant & sends))),
        ]
        with m.If(grant):
            m.d.sync += [valid.eq(sends), word.eq(self.words[chosen])]
            with m.If(chosen >= 2):
                m.d.sync += weights_first.eq(chosen == 2)
        with m.Elif(accepted):
            m.d.sync += valid.eq(0)

        m.d.comb += [
            in_flight.r_en.eq(self.memory.response.valid),
            self.idle.eq((reads == 0) & ~self.responses.any()),
        ]
        m.d.sync += [
            self.responses.eq(Mux(self.memory.response.valid, 1 << in_flight.r_data, 0)),
            self.response.eq(self.memory.response.payload),
        ]
        return m


class MemorySystem(wiring.Component):
    """Four readers and one writer on two memory sides, on-chip (local) and outside.

    Throughput: one read and one write a cycle on each side (with ``shared_channel`` one of the two
    on the local side). Latency: a read reaches the memory one cycle after the client gave it, and
    its word the client one cycle after the memory gave it; writes pass through, so that an accepted
    one is seen by every later read.
    Addresses are aligned. A local access at or past ``memory_bytes`` is taken, not sent, and
    reported: ``error`` for a cycle, with the client in ``error_client`` (the readers' number in
    READERS, or 4 for the writer); a dropped read gets no response. ``hold`` keeps new requests
    out; those the memory has seen are completed, then ``idle`` is 1.
    Without ``outside`` there is no such side: its ports are idle, its addresses errors.
    """

    def __init__(self, config: AcceleratorConfig, *, outside: bool = True):
        self._config = config
        self._outside = outside
        super().__init__({
            **{name: In(read_port(config)) for name in READERS},
            "results": In(write_port(config)),
            "local_read": Out(read_port(config)),
            "local_write": Out(write_port(config)),
            "outside_read": Out(read_port(config)),
            "outside_write": Out(write_port(config)),
            "hold": In(1),
            "idle": Out(1),
            "error": Out(1),
            "error_client": Out(3),
        })

    def _beyond(self, address, size: int):
        """True where an access of ``size`` bytes at ``address`` is for no memory there is."""
        low = exact_log2(size)
        words = self._config.memory_bytes >> low
        if not self._outside:
            return address[low:] >= words
        return ~address[31] & (address[low:31] >= words)

    def elaborate(self, platform):
        m = Module()

        read_bytes = self._config.read_bytes
        low = exact_log2(read_bytes)
        local_words = self._config.memory_bytes // read_bytes
        m.submodules.local = local = ReadArbiter(
            self._config, max(local_words - 1, 1).bit_length())
        wiring.connect(m, local.memory, wiring.flipped(self.local_read))
        sides = [local]
        if self._outside:
            m.submodules.outside = outside = ReadArbiter(self._config, 31 - low)
            wiring.connect(m, outside.memory, wiring.flipped(self.outside_read))
            sides.append(outside)
        m.d.comb += [side.hold.eq(self.hold) for side in sides]

        dropped = Signal(len(READERS) + 1)
        for number, name in enumerate(READERS):
            port = getattr(self, name)
            address = port.request.payload
            beyond = self._beyond(address, read_bytes)
            granted = Signal(name=f"{name}_granted")
            m.d.comb += [
                *(side.words[number].eq(address[low:31]) for side in sides),
                local.beyond[number].eq(beyond),
                granted.eq(Cat(side.granted[number] for side in sides).any()),
                dropped[number].eq(granted & beyond),
                port.request.ready.eq(granted),
                port.response.valid.eq(Cat(side.responses[number] for side in sides).any()),
                port.response.payload.eq(local.response),
            ]
            if not self._outside:
                m.d.comb += local.requests[number].eq(port.request.valid)
                continue
            # A client has reads in flight on one side only, so its words come in order.
            waiting = Signal(range(READS_IN_FLIGHT + 1), name=f"{name}_waiting")
            on_outside = Signal(reset_less=True, name=f"{name}_on_outside")
            m.d.comb += [
                side.requests[number].eq(
                    port.request.valid & (address[31] == bit)
                    & ((waiting == 0) | (on_outside == bit)))
                for bit, side in enumerate(sides)]
            with m.If(outside.responses[number]):
                m.d.comb += port.response.payload.eq(outside.response)
            m.d.sync += waiting.eq(waiting + (granted & ~beyond) - port.response.valid)
            with m.If(granted):
                m.d.sync += on_outside.eq(address[31])

        write = self.results.request
        to_outside = write.payload.address[31] if self._outside else Const(0, 1)
        started = Signal()  # the memory has seen this write, so it may not be taken back
        may_start = Signal(init=1)   # a flip-flop: a write may begin a cycle after ``hold`` came
        allowed = write.valid & may_start
        beyond = self._beyond(write.payload.address, self._config.write_bytes)
        local_write = allowed & ~to_outside & ~beyond
        local_ready = self.local_write.request.ready if self._config.memory_bytes else Const(1)
        if self._config.shared_channel:
            m.d.comb += local.blocked.eq(local_write)
            local_write, local_ready = local_write & ~local.stuck, local_ready & ~local.stuck
        m.d.comb += [
            # One to be dropped is taken as any other: to know it takes too long for ``ready``.
            write.ready.eq(allowed & Mux(
                to_outside, self.outside_write.request.ready, local_ready)),
            dropped[-1].eq(write.ready & beyond),
            self.local_write.request.valid.eq(local_write),
            self.outside_write.request.valid.eq(allowed & to_outside),
        ]
        for port in (self.local_write, self.outside_write):
            m.d.comb += [
                port.request.payload.eq(write.payload),
                port.request.payload.address.eq(write.payload.address[:31]),
            ]
        begun = (self.local_write.request.valid | self.outside_write.request.valid) & ~write.ready
        m.d.sync += [started.eq(begun), may_start.eq(~self.hold | begun)]

        m.d.comb += self.idle.eq(Cat(side.idle for side in sides).all() & ~started)
        reported = Signal.like(dropped)
        m.d.sync += reported.eq(dropped)
        m.d.comb += self.error.eq(reported.any())
        for number in reversed(range(len(READERS) + 1)):
            with m.If(reported[number]):
                m.d.comb += self.error_client.eq(number)
        return m


class OnChipMemory(wiring.Component):
    """``memory_bytes`` of block RAM, one read and one write a cycle, always ready.

    Latency: ``config.memory_latency`` = 3 cycles from a request to its word. The blocks lie all
    over a device, so a request, a write and the word that comes wait for a cycle in registers. A
    read sees the writes accepted in the cycles before its request, none accepted later. Of bytes
    accepted in the cycle of its request it gives either value, for readers use only what was in
    memory before (*dependencies*), and block RAM that promises more takes logic.
    With ``shared_channel`` reads and writes share one address and must not come in the same cycle;
    nothing waits then, and the latency is 1.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            "read": In(read_port(config)),
            "write": In(write_port(config)),
        })

    def elaborate(self, platform):
        m = Module()
        read_bytes, write_bytes = self._config.read_bytes, self._config.write_bytes
        width = max(read_bytes, write_bytes)
        depth = self._config.memory_bytes // width
        line_bits = (depth - 1).bit_length()
        line = slice(exact_log2(width), exact_log2(width) + line_bits)

        request, write = self.read.request, self.write.request
        shared = self._config.shared_channel
        domain = m.d.comb if shared else m.d.sync
        asked = Signal()
        address = Signal.like(request.payload, reset_less=True)
        domain += [asked.eq(request.valid), address.eq(request.payload)]
        read_line, write_line = address[line], write.payload.address[line]
        if shared:
            read_line = write_line = Mux(write.valid, write_line, read_line)
        part = write.payload.address[exact_log2(write_bytes):exact_log2(width)]
        written = Signal(8 * write_bytes, reset_less=True)
        written_line = Signal(line_bits, reset_less=True)
        domain += [written.eq(write.payload.data), written_line.eq(write_line)]

        # A depth that is no power of two would be made of blocks of several, chosen from by gates
        # behind them: here they are banks, each with its word in a register.
        bank_bits = line_bits if depth == 1 << line_bits else max(0, line_bits - 2)
        words = []
        for bank, first in enumerate(range(0, depth, 1 << bank_bits)):
            m.submodules[f"bank_{bank}"] = storage = memory.Memory(
                shape=unsigned(8 * width), depth=min(1 << bank_bits, depth - first), init=[],
                attrs={"no_rw_check": 1})
            write_side = storage.write_port(granularity=8)
            read_side = UncheckedRead.of(m, storage)
            enables = Cat(Mux(write.valid & (part == number) & (write_line[bank_bits:] == bank),
                              write.payload.mask, 0)
                          for number in range(width // write_bytes))
            domain += write_side.en.eq(enables)
            m.d.comb += [
                write_side.addr.eq(written_line),
                write_side.data.eq(written.replicate(width // write_bytes)),
                read_side.addr.eq(read_line),
                read_side.en.eq(1),   # what comes without a request nobody looks at
            ]
            word = Signal(8 * width, name=f"word_{bank}", reset_less=True)
            domain += word.eq(read_side.data)
            words.append(word)

        came = Signal()
        came_bank = Signal(range(len(words)), reset_less=True)
        came_part = Signal(range(width // read_bytes), reset_less=True)
        word_bank, word_part = Signal.like(came_bank), Signal.like(came_part)
        m.d.sync += [
            came.eq(asked),
            came_bank.eq(address[line][bank_bits:]),
            came_part.eq(address[exact_log2(read_bytes):exact_log2(width)]),
        ]
        domain += [
            self.read.response.valid.eq(came),
            word_bank.eq(came_bank),
            word_part.eq(came_part),
        ]
        m.d.comb += [
            request.ready.eq(1),
            write.ready.eq(1),
            self.read.response.payload.eq(
                Array(words)[word_bank].word_select(word_part, 8 * read_bytes)),
        ]
        return m
