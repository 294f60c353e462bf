"""Ports for sensors and results: between a bus's slave and its window, and beside the core."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from kaniwa.config import AcceleratorConfig
from kaniwa.errors import ConfigError
from kaniwa.hw.bus.signatures import axi_stream
from kaniwa.hw.bus.window import access_layout, answer_layout
from kaniwa.hw.interfaces import read_port, write_port
from kaniwa.hw.parts.stream_buffer import StreamBuffer
from kaniwa.hw.sensor.fill import TensorFill
from kaniwa.hw.sensor.front import AccessFront
from kaniwa.hw.sensor.layouts import frame_word_layout
from kaniwa.hw.sensor.offer import ResultOutput
from kaniwa.hw.sensor.registers import SensorRegisters
from kaniwa.hw.sensor.samples import SampleInput
from kaniwa.hw.sensor.sequence import SensorSequence
from kaniwa.hw.sensor.share import MemoryShare
from kaniwa.isa.sensor import SensorControl, SensorEvent

__all__ = ["SensorPorts", "check_sensor"]


def check_sensor(config: AcceleratorConfig, buffer_bytes: int) -> None:
    """Raise ConfigError unless there are sensor ports of these parameters."""
    if not config.memory_bytes:
        raise ConfigError("sensor must be None where memory_bytes is 0: its tensors are on chip")
    if not 0 <= buffer_bytes <= config.memory_bytes:
        raise ConfigError(f"sensor must be None or 0..{config.memory_bytes} (memory_bytes), not "
                          f"{buffer_bytes}")


class SensorPorts(Component):
    """Fills a tensor with ``sample``, has the program run, and offers a tensor as ``result``.

    ``kaniwa.isa.sensor`` has the registers. ``host_access`` and ``host_answer`` are the slave's,
    ``access`` and ``answer`` the window's; ``others_read`` and ``others_write`` come from the
    ``HostPort``, ``read`` and ``write`` go to on-chip memory.
    ``buffer_bytes``: samples that are taken while memory is the run's, the next frame of as many
    bytes at most; with 0 three words. Raises ConfigError for what there are no ports of.
    """

    def __init__(self, config: AcceleratorConfig, buffer_bytes: int = 0):
        check_sensor(config, buffer_bytes)
        self._config = config
        self._buffer_bytes = buffer_bytes
        access = stream.Signature(access_layout(config))
        super().__init__({
            "sample": In(axi_stream(8)),
            "result": Out(axi_stream(8)),
            "host_access": In(access),
            "host_answer": Out(stream.Signature(answer_layout())),
            "access": Out(access),
            "answer": In(stream.Signature(answer_layout())),
            "busy": In(1),
            "irq": Out(1),
            "others_read": In(read_port(config)),
            "others_write": In(write_port(config)),
            "read": Out(read_port(config)),
            "write": Out(write_port(config)),
        })

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.registers = registers = SensorRegisters(config, self._buffer_bytes)
        m.submodules.front = front = AccessFront(config)
        m.submodules.sequence = sequence = SensorSequence()
        m.submodules.offer = offer = ResultOutput(config)
        m.submodules.share = share = MemoryShare(config)
        connect(m, flipped(self.host_access), front.host_access)
        connect(m, front.host_answer, flipped(self.host_answer))
        connect(m, front.access, flipped(self.access))
        connect(m, flipped(self.answer), front.answer)
        connect(m, sequence.access, front.sequence_access)
        connect(m, front.sequence_answer, sequence.answer)
        connect(m, flipped(self.others_read), share.others_read)
        connect(m, flipped(self.others_write), share.others_write)
        connect(m, share.read, flipped(self.read))
        connect(m, share.write, flipped(self.write))
        connect(m, offer.read, share.sensor_read)
        connect(m, offer.result, flipped(self.result))
        samples, fill = self._take_samples(m, registers)
        connect(m, fill.write, share.sensor_write)
        enabled = registers.control[0]
        m.d.comb += [
            registers.index.eq(front.index),
            registers.write.eq(front.write),
            registers.write_data.eq(front.write_data),
            front.word.eq(registers.word),
            front.writable.eq(registers.writable),
            front.may_run.eq(Mux(enabled, sequence.may_run, ~offer.reading)),
            registers.state.eq(sequence.state),
            registers.offering.eq(offer.reading),
            registers.busy.eq(self.busy),
            registers.dropped.eq(samples.dropped),
            registers.dropped_samples.eq(samples.dropped_samples),
            self.irq.eq(registers.irq),
            share.busy.eq(self.busy),
            sequence.busy.eq(self.busy),
            sequence.enable.eq(enabled),
            sequence.by_itself.eq(self._has(registers, SensorControl.RUN)),
            sequence.takes_samples.eq(registers.input_length != 0),
            sequence.has_results.eq(registers.output_length != 0),
            sequence.filled.eq(fill.filled),
            sequence.accepts.eq(offer.ready),
            sequence.offered.eq(offer.finished),
            sequence.failed_held.eq(registers.failed_held),
            fill.fill.eq(sequence.fill),
            offer.start.eq(sequence.offer),
            offer.address.eq(registers.output_address),
            offer.length.eq(registers.output_length),
        ]
        happens = {SensorEvent.FULL: sequence.full, SensorEvent.FAILED: sequence.failed,
                   SensorEvent.EARLY: samples.early, SensorEvent.LATE: samples.late,
                   SensorEvent.MISSED: samples.missed}
        m.d.comb += registers.happens.eq(Cat(happens[event] for event in SensorEvent))
        return m

    def _take_samples(self, m, registers):
        """The way of samples, which is empty again whenever the ports are not enabled."""
        config = self._config
        off = Signal(init=1)
        takes = Signal()
        m.d.sync += [off.eq(~registers.control[0]),
                     takes.eq(registers.control[0] & (registers.input_length != 0))]
        samples, fill = SampleInput(config), TensorFill(config)
        if self._buffer_bytes:
            words = -(-self._buffer_bytes // config.write_bytes) + 1   # one more where not aligned
            layout = frame_word_layout(config)
            queue = SyncFIFOBuffered(width=layout.size, depth=words)
            m.d.comb += [
                queue.w_data.eq(samples.words.payload),
                queue.w_en.eq(samples.words.valid),
                samples.words.ready.eq(queue.w_rdy),
                Value.cast(fill.words.payload).eq(queue.r_data),
                fill.words.valid.eq(queue.r_rdy),
                queue.r_en.eq(fill.words.ready),
            ]
        else:
            queue = StreamBuffer(frame_word_layout(config))
            connect(m, samples.words, queue.i)
            connect(m, queue.o, fill.words)
        for name, block in (("samples", samples), ("queue", queue), ("fill", fill)):
            m.submodules[name] = ResetInserter({"sync": off})(block)
        connect(m, flipped(self.sample), samples.sample)
        m.d.comb += [
            samples.open.eq(takes),
            samples.length.eq(registers.input_length),
            samples.first_lane.eq(registers.input_address),
            samples.use_table.eq(self._has(registers, SensorControl.TABLE)),
            samples.count.eq(self._has(registers, SensorControl.COUNT)),
            samples.skip.eq(self._has(registers, SensorControl.SKIP)),
            samples.table_write.eq(registers.table_write),
            Cat(samples.table_value, samples.table_index).eq(registers.write_data),
            fill.address.eq(registers.input_address),
            fill.length.eq(registers.input_length),
        ]
        return samples, fill

    @staticmethod
    def _has(registers, bit: SensorControl):
        """A bit of SENSOR_CONTROL."""
        return registers.control[bit.bit_length() - 1]
