"""The registers of the sensor ports."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.bus.registers import is_one_of
from kaniwa.hw.sensor.layouts import size_bits
from kaniwa.isa.sensor import (
    OFFERING,
    SENSOR_REGISTERS,
    SENSOR_VERSION,
    SensorControl,
    SensorEvent,
    SensorRegister,
    SensorState,
)

__all__ = ["SensorRegisters"]

COUNTED = {SensorRegister.SENSOR_EARLY: SensorEvent.EARLY,
           SensorRegister.SENSOR_LATE: SensorEvent.LATE,
           SensorRegister.SENSOR_MISSED: SensorEvent.MISSED}
SIZES = (SensorRegister.SENSOR_INPUT_ADDRESS, SensorRegister.SENSOR_INPUT_LENGTH,
         SensorRegister.SENSOR_OUTPUT_ADDRESS, SensorRegister.SENSOR_OUTPUT_LENGTH)


class SensorRegisters(Component):
    """The registers ``SensorRegister``; ``index`` counts from SENSOR_REGISTERS.

    ``word`` is what a register reads as, a cycle later. ``writable``: a ``write`` of ``write_data``
    would be heeded; it follows what was written before by 2 cycles.
    ``control`` has the bits of SensorControl. ``happens``: events of this cycle, by their bits.
    ``dropped`` adds ``dropped_samples``. ``table_write``: the entry in ``write_data`` is written.
    ``irq`` is 2 cycles behind its cause.
    """

    def __init__(self, config: AcceleratorConfig, buffer_bytes: int):
        self._config = config
        self._buffer_bytes = buffer_bytes
        bits = size_bits(config)
        super().__init__({
            "index": In(4),
            "write": In(1),
            "write_data": In(32),
            "word": Out(32),
            "writable": Out(1),
            "control": Out(len(SensorControl)),
            "input_address": Out(bits),
            "input_length": Out(bits),
            "output_address": Out(bits),
            "output_length": Out(bits),
            "table_write": Out(1),
            "busy": In(1),
            "state": In(SensorState),
            "offering": In(1),
            "happens": In(len(SensorEvent)),
            "dropped": In(1),
            "dropped_samples": In(bits),
            "failed_held": Out(1),
            "irq": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        of = SensorRegister
        enabled = self.control[0]
        sizes = (self.input_address, self.input_length, self.output_address, self.output_length)
        for register, value in zip(SIZES, sizes, strict=True):
            with m.If(self._writes(register)):
                m.d.sync += value.eq(self.write_data)
        with m.If(self._writes(of.SENSOR_CONTROL)):
            m.d.sync += self.control.eq(self.write_data)
        m.d.comb += self.table_write.eq(self._writes(of.SENSOR_TABLE))
        fits = Signal()      # both tensors are in on-chip memory
        m.d.sync += fits.eq(
            (self.input_address + self.input_length <= self._config.memory_bytes)
            & (self.output_address + self.output_length <= self._config.memory_bytes))
        always = is_one_of(self._register, (
            of.SENSOR_EVENTS, of.SENSOR_IRQ_ENABLE, of.SENSOR_TABLE))
        size_is = is_one_of(self._register, SIZES) & (
            self.write_data[len(self.input_address):] == 0)
        enables = self.write_data[0]
        m.d.comb += self.writable.eq(
            always | (size_is & ~enabled)
            | ((self._register == of.SENSOR_CONTROL) & (
                ~enables | (fits & ~enabled & ~self.busy))))

        words = {
            of.SENSOR_VERSION: SENSOR_VERSION,
            of.SENSOR_CONTROL: self.control,
            of.SENSOR_STATE: Cat(self.state, C(0, OFFERING - len(Value.cast(self.state))),
                                 self.offering),
            **dict(zip(SIZES, sizes, strict=True)),
            of.SENSOR_BUFFER_BYTES: self._buffer_bytes,
            **self._events(m),
            **self._counters(m),
        }
        m.d.sync += self.word.eq(0)
        with m.Switch(self._register):
            for register, word in words.items():
                with m.Case(register):
                    m.d.sync += self.word.eq(word)
        return m

    @property
    def _register(self):
        """The index in the window."""
        return Cat(self.index, C(SENSOR_REGISTERS >> len(self.index), 8 - len(self.index)))

    def _writes(self, register):
        return self.write & (self._register == register)

    def _events(self, m):
        """Events are kept until they are cleared; what their two registers read as."""
        events, enable = Signal(len(SensorEvent)), Signal(len(SensorEvent))
        clear = Signal.like(events)
        with m.If(self._writes(SensorRegister.SENSOR_EVENTS)):
            m.d.comb += clear.eq(self.write_data)
        with m.If(self._writes(SensorRegister.SENSOR_IRQ_ENABLE)):
            m.d.sync += enable.eq(self.write_data)
        m.d.sync += [events.eq(events & ~clear | self.happens),
                     self.irq.eq((events & enable).any())]
        failed = self._number(SensorEvent.FAILED)
        m.d.comb += self.failed_held.eq(events[failed] | self.happens[failed])
        return {SensorRegister.SENSOR_EVENTS: events, SensorRegister.SENSOR_IRQ_ENABLE: enable}

    def _counters(self, m):
        """Counters of frames and samples, 0 again when the ports are enabled."""
        frames, dropped = Signal(32), Signal(32)
        counts = {register: Signal(16, name=register.name.lower()) for register in COUNTED}
        with m.If(self.happens[self._number(SensorEvent.FULL)]):
            m.d.sync += frames.eq(frames + 1)
        with m.If(self.dropped):
            m.d.sync += dropped.eq(dropped + self.dropped_samples)
        for register, event in COUNTED.items():
            with m.If(self.happens[self._number(event)]):
                m.d.sync += counts[register].eq(counts[register] + 1)
        with m.If(self._writes(SensorRegister.SENSOR_CONTROL) & self.write_data[0]):
            m.d.sync += [count.eq(0) for count in (frames, dropped, *counts.values())]
        return {SensorRegister.SENSOR_FRAMES: frames, SensorRegister.SENSOR_DROPPED: dropped,
                **counts}

    @staticmethod
    def _number(event: SensorEvent) -> int:
        """Of an event's bit."""
        return event.bit_length() - 1
