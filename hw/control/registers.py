"""Control and status registers; starts, watches and ends a run."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.signatures import counter_access
from kaniwa.isa import COUNTERS, ISA_VERSION, MAGIC, ErrorCode, Register

__all__ = ["Control"]

DRAIN_LIMIT = 4096   # longest wait for outstanding memory responses after an error


class Control(Component):
    """The registers of ``Register`` and the sequence of a run.

    A run begins with a reset of the datapath (``reset``), then a pulse of ``start``. It ends with
    ``done``, or with an error or an abort: then ``hold`` stops new memory requests until
    ``memory_idle`` (at most DRAIN_LIMIT cycles), the datapath is reset, and only then does STATUS
    report the end. ``csr_read_data`` belongs to the ``csr_address`` of two cycles before, without
    counters of the cycle before.
    ``progress``: any of its bits keeps the watchdog quiet.
    """

    def __init__(self, config: AcceleratorConfig, *, build_id: int = 0, clock_hz: int = 0):
        self._config = config
        self._build_id = build_id
        self._clock_hz = clock_hz
        super().__init__({
            "csr_address": In(8),
            "csr_write": In(1),
            "csr_write_data": In(32),
            "csr_read_data": Out(32),
            "busy": Out(1),         # from the run command to the end that STATUS reports
            "reset": Out(1, init=1),
            "start": Out(1),
            "running": Out(1),      # the cycles of the run proper
            "program_address": Out(32),
            "done": In(1),
            "error": In(1),
            "error_code": In(4),
            "error_instruction": In(16),
            "retired": In(16),
            "progress": In(6),
            "hold": Out(1),
            "memory_idle": In(1),
            "counters": Out(counter_access()),
        })

    def registers_of(self, core):
        """Statements that make the registers those of ``core`` (``core_ports``)."""
        return [
            self.csr_address.eq(core.csr_address),
            self.csr_write.eq(core.csr_write),
            self.csr_write_data.eq(core.csr_write_data),
            core.csr_read_data.eq(self.csr_read_data),
            core.busy.eq(self.busy),
        ]

    def watch(self, sequencer, memory):
        """Statements that start the sequencer, hold the memory and take in how a run ends."""
        return [
            sequencer.start.eq(self.start),
            memory.hold.eq(self.hold),
            self.done.eq(sequencer.done),
            self.error.eq(sequencer.error),
            self.error_code.eq(sequencer.error_code),
            self.error_instruction.eq(sequencer.error_instruction),
            self.memory_idle.eq(memory.idle),
        ]

    def elaborate(self, platform):
        m = Module()
        watchdog_limit = Signal(32)
        cycles = Signal(32)
        retired = Signal(16)
        busy = self.busy
        done = Signal()
        error_code = Signal(4)
        error_instruction = Signal(16)

        write = self.csr_write
        start = Signal()
        abort = Signal()
        commanded = write & (self.csr_address == Register.CONTROL)
        m.d.sync += [abort.eq(commanded & self.csr_write_data[1]),
                     start.eq(commanded & self.csr_write_data[0])]
        self._write(m, watchdog_limit)

        patience = Signal(32)   # cycles that the run may still go on without progress
        fed = Signal(init=1)   # no run, or one with progress in the cycle before
        bite = Signal()
        m.d.comb += bite.eq((watchdog_limit != 0) & (patience == 0))
        m.d.sync += [fed.eq(~self.running | self.progress.any()),
                     patience.eq(Mux(fed, watchdog_limit, patience - 1))]
        waited = Signal(range(DRAIN_LIMIT + 1))

        m.d.sync += self.reset.eq(0)   # a flip-flop, for it goes everywhere; 1 at first
        with m.FSM():
            with m.State("IDLE"):
                with m.If(abort):
                    m.d.sync += [busy.eq(1), done.eq(0), error_code.eq(ErrorCode.NONE),
                                 error_instruction.eq(0), waited.eq(0)]
                    m.next = "DRAIN"
                with m.Elif(start):
                    m.d.sync += [busy.eq(1), done.eq(0), error_code.eq(ErrorCode.NONE),
                                 error_instruction.eq(0), cycles.eq(0), retired.eq(0)]
                    m.next = "RESET"
            with m.State("RESET"):
                m.d.sync += self.reset.eq(1)
                m.next = "IS_RESET"
            with m.State("IS_RESET"):
                m.next = "START"
            with m.State("START"):
                m.d.comb += self.start.eq(1)
                m.d.sync += self.running.eq(1)   # a flip-flop, for all counters hang on it
                m.next = "RUN"
            with m.State("RUN"):
                m.d.sync += [cycles.eq(cycles + 1), retired.eq(self.retired),
                             waited.eq(0)]
                m.d.sync += self.running.eq(~(self.error | abort | bite | self.done))
                with m.If(self.error):
                    m.d.sync += [error_code.eq(self.error_code),
                                 error_instruction.eq(self.error_instruction)]
                    m.next = "DRAIN"
                with m.Elif(abort | bite):
                    m.d.sync += [error_code.eq(Mux(abort, ErrorCode.ABORTED, ErrorCode.WATCHDOG)),
                                 error_instruction.eq(self.retired)]
                    m.next = "DRAIN"
                with m.Elif(self.done):
                    m.next = "SETTLE"
            with m.State("SETTLE"):
                with m.If(self.counters.idle):
                    m.d.sync += [busy.eq(0), done.eq(1)]
                    m.next = "IDLE"
            with m.State("DRAIN"):
                # A flip-flop, for it goes into all ways to memory. A request of the cycle before
                # may not show in memory_idle yet.
                m.d.sync += [self.hold.eq(1), waited.eq(waited + 1)]
                with m.If((self.memory_idle & (waited >= 4)) | (waited == DRAIN_LIMIT)):
                    m.next = "CLEAR"
            with m.State("CLEAR"):
                m.d.sync += self.reset.eq(1)
                m.next = "IS_CLEAR"
            with m.State("IS_CLEAR"):
                m.d.sync += [self.hold.eq(0), busy.eq(0)]
                m.next = "IDLE"

        self._read(m, {
            Register.STATUS: Cat(busy, done, error_code != ErrorCode.NONE),
            Register.ERROR_CODE: error_code,
            Register.ERROR_INSTRUCTION: error_instruction,
            Register.PROGRAM_ADDRESS: self.program_address,
            Register.WATCHDOG: watchdog_limit,
            Register.CYCLES: cycles,
            Register.RETIRED: retired,
            Register.COUNTER_TAG: self.counters.tag,
        })
        return m

    def _write(self, m, watchdog_limit):
        """The registers that keep what is written to them."""
        # The low bits of an address within a word of device memory do not count.
        address_bits = (self._config.read_bytes - 1).bit_length()
        with m.If(self.csr_write):
            with m.Switch(self.csr_address):
                with m.Case(Register.PROGRAM_ADDRESS):
                    m.d.sync += self.program_address[address_bits:].eq(
                        self.csr_write_data[address_bits:])
                with m.Case(Register.WATCHDOG):
                    m.d.sync += watchdog_limit.eq(self.csr_write_data)
                with m.Case(Register.COUNTER_TAG):
                    m.d.sync += self.counters.tag.eq(self.csr_write_data)

    def _read(self, m, state):
        """Read-out of the registers: those of the config, of ``state``, and the counters."""
        config_hash = int(self._config.hash, 16)
        config = self._config
        words = {
            Register.MAGIC: MAGIC,
            Register.VERSION: ISA_VERSION,
            Register.CONFIG_HASH_LOW: config_hash & 0xFFFF_FFFF,
            Register.CONFIG_HASH_HIGH: config_hash >> 32,
            Register.BUILD_ID: self._build_id,
            Register.CLOCK_HZ: self._clock_hz,
            Register.SHAPE: (config.out_lanes | config.dot_width << 8
                             | config.requant_lanes << 16 | config.requant_cycles << 24),
            Register.MEMORY_BYTES: config.memory_bytes,
            Register.CONTROL: 0,
            **state,
        }
        word = Signal(32, reset_less=True)
        show_counter = Signal()
        with m.Switch(self.csr_address):
            for register, value in words.items():
                with m.Case(register):
                    m.d.sync += word.eq(value)
            with m.Default():
                m.d.sync += word.eq(0)
        m.d.comb += self.counters.index.eq(self.csr_address - Register.COUNTER_0)
        if self._config.counters:   # they come out of block RAM, which takes long
            m.d.sync += self.csr_read_data.eq(Mux(show_counter, self.counters.data, word))
        else:
            m.d.comb += self.csr_read_data.eq(Mux(show_counter, self.counters.data, word))
        m.d.sync += show_counter.eq(
            (self.csr_address >= Register.COUNTER_0)
            & (self.csr_address < Register.COUNTER_0 + len(COUNTERS)))
