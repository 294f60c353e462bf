"""The device's end of the link: requests from the line to registers and device memory, and back."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.driver.frames import (
    CORE_BIT,
    FLASH_STATE,
    HAS_OUTSIDE,
    INDEX_CORE_BIT,
    OUTSIDE_WAITS,
    PAYLOAD_BYTES,
    SEQUENCES,
    SESSIONS,
    Operation,
    check_cores,
    link_registers,
)
from kaniwa.errors import ConfigError
from kaniwa.hw.interfaces import read_port, write_port
from kaniwa.hw.link.local import local_requests
from kaniwa.hw.link.receiver import LinkReceiver
from kaniwa.hw.link.transmitter import LinkTransmitter
from kaniwa.hw.memory.outside import Outside
from kaniwa.isa import Command, Register

__all__ = ["Link"]

SMALLEST_BUFFER = 512   # two bulk writes: one is done while the next one comes
CORE_BITS = 4           # of an address, for the core


class Link(wiring.Component):
    """Does the requests that come in at ``rx`` and answers at ``tx``; docs/link.md has the frames.

    Registers may be used at any time, device memory while ``busy`` is 0: a byte at a time, of any
    address. ``read`` and ``write`` go to the side that bit 31 of the address selects; with
    ``outside`` the device has that side, without it the bit does not matter.
    Throughput: a byte of ``rx`` in 9 cycles, and one of ``tx``, of a register or of on-chip memory;
    more than a line with a bit in 5 cycles brings. Latency: a reply begins some 20 cycles after the
    request. ``csr_read_data`` may be 1 or 2 cycles behind ``csr_address``.
    ``pace``: bytes a second of the line, for the host. All outputs but the request's ready are
    combinational from flip-flops.
    With several ``cores`` each has its bit of ``busy``. ``csr_core``, as old as ``csr_address``, is
    the one that the registers are of. Bits 24 to 27 of an address go to ``read`` and ``write`` as
    they are. A request for a core that is not there is left out, as one for a busy one's memory.
    With ``overlap`` memory is used at any time. What is left out for a busy core is REGISTER, where
    a run needs the register as it is, and where it would begin another.
    With ``outside`` as Outside.CALIBRATED it tells the host until outside memory is
    ``outside_ready``, and that it never will be once it has ``outside_failed``.
    With ``local`` the device itself asks, too, as ``kaniwa.hw.link.local`` has it. Such a request
    is done before one of the line, needs no session, and leaves no trace on the line. One core
    alone can have this.
    """

    def __init__(self, config: AcceleratorConfig, *, pace: int, outside: bool | Outside = False,
                 buffer_bytes: int = SMALLEST_BUFFER, cores: int = 1, local: bool = False,
                 overlap: bool = False):
        if not 0 < pace < 1 << 24:
            raise ConfigError(f"pace must be 1..{(1 << 24) - 1} bytes a second, not {pace}")
        if buffer_bytes < SMALLEST_BUFFER or buffer_bytes & (buffer_bytes - 1):
            raise ConfigError(f"buffer_bytes must be a power of two of at least {SMALLEST_BUFFER},"
                              f" not {buffer_bytes}")
        check_cores(cores, config.memory_bytes, outside)
        if local and cores > 1:
            raise ConfigError(f"{cores} cores have no requests of the device's own: a standalone "
                              "board has one core")
        if local and overlap:
            raise ConfigError("the device's own requests are done between runs: a standalone board "
                              "does not serve memory during one")
        self._config = config
        self._local = local
        self._overlap = overlap
        self._calibrated = outside == Outside.CALIBRATED
        self._cores = cores
        self._buffer_bytes = buffer_bytes
        self._constants = link_registers(PAYLOAD_BYTES, buffer_bytes, pace, bool(outside), cores,
                                         serves=overlap)
        # The registers' addresses go up to 0x400.
        self._counted_bits = 31 if outside else max(10, (config.memory_bytes - 1).bit_length())
        super().__init__({
            "rx": In(stream.Signature(8)),
            "tx": Out(stream.Signature(8)),
            "busy": In(cores),
            **({"csr_core": Out(CORE_BITS)} if cores > 1 else {}),
            "csr_address": Out(8),
            "csr_write": Out(1),
            "csr_write_data": Out(32),
            "csr_read_data": In(32),
            "read": Out(read_port(config)),
            "write": Out(write_port(config)),
            **({"local": In(local_requests())} if local else {}),
            **({"outside_ready": In(1), "outside_failed": In(1)} if self._calibrated else {}),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.receiver = receiver = LinkReceiver(self._buffer_bytes)
        wiring.connect(m, wiring.flipped(self.rx), receiver.i)
        byte, there, ready = receiver.o.payload, receiver.o.valid, receiver.o.ready
        ended, idle, local = receiver.empty, Signal(), Signal()
        if self._local:
            byte, there, ready, ended = self._choose_source(m, receiver, idle, local)

        # The request
        operation = Signal(Operation, reset_less=True)
        address = Signal(32, reset_less=True)   # or a register's value
        count = Signal(8, reset_less=True)      # or a register's index, or a session
        step = Signal(2)                        # byte of the word or the CRC
        doing = Signal()
        session, expected = Signal(range(SESSIONS)), Signal(range(SEQUENCES))

        # The reply
        answering, wanted = Signal(), Signal()
        gap, garbled, refused = Signal(), Signal(), Signal()
        with m.If(receiver.garbled):
            m.d.sync += [garbled.eq(1), wanted.eq(1)]

        registers = (address[30:] == 1)
        is_read, is_write = operation == Operation.READ, operation == Operation.WRITE
        # How far a request's number is ahead, a cycle after it has been read.
        ahead = Signal(range(SEQUENCES), reset_less=True)
        numbered = Signal()
        m.d.sync += numbered.eq(0)
        with m.If(numbered & (ahead != 0) & ~ahead[-1] & (operation != Operation.OPEN)):
            m.d.sync += gap.eq(1)

        # The address comes in byte by byte, goes round once to be sent, and counts.
        shift, advance, take_count, top = Signal(), Signal(), Signal(), Signal(8)
        bits = self._counted_bits
        m.d.comb += top.eq(address[:8])
        with m.If(shift | advance):
            m.d.sync += address[:bits].eq(Mux(shift, Cat(address[8:], top), address[:bits] + 1))
        with m.If(shift):
            m.d.sync += address[bits:].eq(Cat(address[8:], top)[bits:])
        with m.If(advance | take_count):
            m.d.sync += count.eq(Mux(take_count, byte, count - 1))

        low_read, low = exact_log2(self._config.read_bytes), exact_log2(self._config.write_bytes)
        is_kept = self._is_kept(operation, address, count) if self._overlap else (
            is_write | (is_read & ~registers))
        index, left_out = count, self.busy & is_kept
        if self._cores > 1:
            index, left_out = self._choose_core(m, operation, address, count, is_kept)
        constants = Array(C(byte, 8) for byte in self._constants)
        if self._local:
            constants[-1] = constants[-1] | self.local.state << FLASH_STATE
        if self._calibrated:
            constants[-1] = constants[-1] ^ self.outside_failed * HAS_OUTSIDE | (
                ~self.outside_ready << OUTSIDE_WAITS)
        own = Signal(8, reset_less=True)
        register = self.csr_read_data
        if self._local:
            register = register | self.local.csr_read_data
        m.d.sync += [
            self.csr_address.eq(Mux(is_read, address[2:10], index)),
            own.eq(register.word_select(address[:2], 8)),
        ]
        m.d.comb += [
            self.csr_write_data.eq(address),
            self.read.request.payload.eq(Cat(C(0, low_read), address[low_read:])),
            self.write.request.payload.address.eq(Cat(C(0, low), address[low:])),
            self.write.request.payload.data.eq(byte.replicate(self._config.write_bytes)),
            self.write.request.payload.mask.eq(1 << address[:low]),
        ]

        m.submodules.transmitter = transmitter = LinkTransmitter()
        wiring.connect(m, transmitter.o, wiring.flipped(self.tx))
        reply = transmitter.i
        sent = reply.valid & reply.ready
        if self._local:
            sent |= self.local.reply.valid & self.local.reply.ready
            m.d.comb += [self.local.reply.payload.byte.eq(reply.payload.byte),
                         self.local.reply.payload.last.eq(reply.payload.last),
                         self.local.owing.eq(wanted | answering),
                         *(getattr(self.local, name).eq(getattr(self, name))
                           for name in ("csr_address", "csr_write", "csr_write_data"))]
            m.d.sync += self.local.refused.eq(0)
        fetched = Signal(8, reset_less=True)
        word = self.read.response.payload
        part = self._part(m, word, address[:low_read])
        last_step = step == 3

        m.d.sync += self.csr_write.eq(0)   # but in the cycle after START: register and value stay
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += answering.eq(0)
                m.d.comb += ready.eq(1)
                if self._local:
                    m.d.comb += idle.eq(1)
                    m.d.sync += step.eq(0)    # a request of the device's own may end in its word
                with m.If(there):
                    m.d.sync += [operation.eq(byte[6:]), ahead.eq(byte - expected), numbered.eq(1)]
                    if self._local:
                        m.d.sync += numbered.eq(~local)
                    m.next = "WORD"
                with m.Elif(wanted):
                    m.next = "FLAGS"
            with m.State("WORD"):
                m.d.comb += ready.eq(1)
                with m.If(there):
                    m.d.comb += [shift.eq(1), top.eq(byte)]
                    m.d.sync += step.eq(step + 1)
                    with m.If(last_step):
                        m.next = "COUNT"
                with m.Elif(ended):
                    m.next = "IDLE"
            with m.State("COUNT"):
                m.d.comb += ready.eq(1)
                m.d.comb += take_count.eq(there)
                with m.If(there):
                    m.next = "START"
                with m.Elif(ended):
                    m.next = "IDLE"
            with m.State("START"):
                m.d.sync += [wanted.eq(1), step.eq(0)]
                m.next = "CRC"
                with m.If(is_write):
                    m.next = "DATA"
                with m.If(operation == Operation.OPEN):
                    m.d.sync += [session.eq(count), expected.eq(0)]
                with m.Elif((ahead == 0) & (session != 0)):
                    with m.If(left_out):
                        m.d.sync += [refused.eq(1), doing.eq(0)]
                    with m.Else():
                        m.d.sync += self.csr_write.eq(operation == Operation.REGISTER)
                        m.d.sync += [expected.eq(expected + ~is_read), answering.eq(is_read),
                                     doing.eq(1)]
                with m.Else():
                    m.d.sync += doing.eq(0)
                if self._local:
                    with m.If(local):   # what the line's requests change stays
                        m.d.sync += [
                            *(kept.eq(kept) for kept in (wanted, session, expected, refused)),
                            answering.eq(0), doing.eq(~left_out), self.local.refused.eq(left_out),
                            self.csr_write.eq(operation == Operation.REGISTER),
                        ]
                        m.next = "IDLE"
                        with m.If(is_write):
                            m.next = "DATA"
                        with m.If(is_read & ~left_out):
                            m.next = "FETCH"
            with m.State("DATA"):
                m.d.comb += [
                    self.write.request.valid.eq(there & doing),
                    ready.eq(~doing | self.write.request.ready),
                ]
                m.d.comb += advance.eq(there & ready)
                with m.If(advance):
                    with m.If(count == 1):
                        m.next = "CRC"
                        if self._local:
                            with m.If(local):
                                m.next = "IDLE"
                with m.Elif(ended):
                    m.next = "IDLE"
            with m.State("CRC"):
                m.d.comb += ready.eq(1)
                with m.If(there):
                    m.d.sync += step.eq(step + 1)
                    with m.If(last_step):
                        m.next = "IDLE"
                        with m.If(answering):
                            m.next = "FLAGS"
                with m.Elif(ended):
                    m.next = "IDLE"

            with m.State("FLAGS"):
                m.d.comb += [reply.valid.eq(1), reply.payload.byte.eq(
                    Cat(answering, gap, garbled, refused, session))]
                with m.If(sent):
                    # What is noticed in this very cycle goes into the next reply.
                    m.d.sync += [gap.eq(0), refused.eq(0), garbled.eq(receiver.garbled),
                                 wanted.eq(receiver.garbled)]
                    m.next = "EXPECTED"
            with m.State("EXPECTED"):
                m.d.comb += [reply.valid.eq(1), reply.payload.byte.eq(expected),
                             reply.payload.last.eq(~answering)]
                with m.If(sent):
                    m.next = "IDLE"
                    with m.If(answering):
                        m.next = "ADDRESS"
            with m.State("ADDRESS"):
                m.d.comb += [reply.valid.eq(1), reply.payload.byte.eq(address[:8])]
                with m.If(sent):
                    m.d.comb += shift.eq(1)
                    m.d.sync += step.eq(step + 1)
                    with m.If(last_step):
                        m.next = "FETCH"
            with m.State("FETCH"):
                m.d.comb += self.read.request.valid.eq(~registers)
                with m.If(registers):
                    m.next = "REGISTER"
                with m.Elif(self.read.request.ready):
                    m.next = "RESPONSE"
            with m.State("REGISTER"):   # a cycle to csr_address, two to csr_read_data, one to own
                m.d.sync += step.eq(step + 1)
                with m.If(last_step):
                    m.next = "REPLY"
            with m.State("RESPONSE"):
                m.d.sync += fetched.eq(part.word_select(address[:min(low_read, 3)], 8))
                with m.If(self.read.response.valid):
                    m.next = "REPLY" if part is word else "PART"
            if part is not word:
                with m.State("PART"):
                    m.d.sync += fetched.eq(part.word_select(address[:3], 8))
                    m.next = "REPLY"
            with m.State("REPLY"):
                m.d.comb += [
                    reply.valid.eq(1),
                    reply.payload.byte.eq(Mux(registers, Mux(
                        address[9], constants[address[:3]], own), fetched)),
                    reply.payload.last.eq(count == 1),
                ]
                if self._local:
                    m.d.comb += [reply.valid.eq(~local), self.local.reply.valid.eq(local)]
                m.d.comb += advance.eq(sent)
                with m.If(sent):
                    m.next = "FETCH"
                    with m.If(count == 1):
                        m.next = "IDLE"
        return m

    def _choose_source(self, m, receiver, idle, local):
        """The next byte of a request, whether it is there, the signal that takes it, and whether
        the request has no more: of the line, or of the device itself where ``local`` is 1."""
        first = idle & self.local.request.valid     # the line waits
        there, ready = Signal(), Signal()
        m.d.comb += [
            there.eq(Mux(local, self.local.request.valid, receiver.o.valid & ~first)),
            self.local.request.ready.eq(ready & local),
            receiver.o.ready.eq(ready & ~local & ~first),
        ]
        with m.If(idle & ~there):
            m.d.sync += local.eq(self.local.request.valid)
        return (Mux(local, self.local.request.payload, receiver.o.payload), there, ready,
                Mux(local, ~self.local.more, receiver.empty))

    def _is_kept(self, operation, address, count):
        """Whether a request would disturb a run: it begins another, or writes what one uses."""
        index = count[:INDEX_CORE_BIT] if self._cores > 1 else count
        begins = (index == Register.CONTROL) & (address & Command.RUN).any()
        return (operation == Operation.REGISTER) & (
            begins | (index == Register.PROGRAM_ADDRESS) | (index == Register.WATCHDOG))

    def _choose_core(self, m, operation, address, count, is_kept):
        """The index of a register of the core that the request is for, and whether the request is
        left out: it is kept from a run, or there is no such core."""
        core, absent = Signal(CORE_BITS), Signal()
        m.d.comb += [
            core.eq(Mux(operation == Operation.REGISTER, count[INDEX_CORE_BIT:],
                        address[CORE_BIT:CORE_BIT + CORE_BITS])),
            absent.eq(core >= self._cores),
        ]
        m.d.sync += self.csr_core.eq(core)
        return count[:INDEX_CORE_BIT], absent | (self.busy.bit_select(core, 1) & is_kept)

    def _part(self, m, word, offset):
        """The 8 bytes of a word that hold the byte at ``offset``, a cycle later; a word of no more
        than those is its own part. It comes from block RAM, which takes long."""
        if len(word) <= 64:
            return word
        part = Signal(64, reset_less=True)
        m.d.sync += part.eq(word.word_select(offset[3:], 64))
        return part
