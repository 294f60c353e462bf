"""The gateware of COPY, on a config with words of one size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from amaranth import Cat, Module, Signal, Value, unsigned
from amaranth.lib.wiring import Component
from amaranth.utils import exact_log2

from builders.own_unit.command import COMMAND
from kaniwa.config import AcceleratorConfig
from kaniwa.hw.units.plug import READ, WRITE, Plug, plug_ports

__all__ = ["PLUG"]

BORROWS = (READ, WRITE)


class Copy(Component):
    """Reads a word, writes it, and goes on with the next one."""

    def __init__(self, config: AcceleratorConfig, _product: Any) -> None:
        self._size = config.read_bytes
        super().__init__(plug_ports(config, COMMAND, BORROWS))

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        command, write = self.i.payload, self.write.request
        source, to = Signal(32), Signal(32)
        left = Signal(unsigned(24))
        word = Signal(8 * self._size)
        m.d.comb += [self.read.request.payload.eq(source), write.payload.address.eq(to),
                     write.payload.data.eq(word), write.payload.mask.eq(~0)]
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [self.i.ready.eq(1), self.idle.eq(1)]
                with m.If(self.i.valid):
                    m.d.sync += [
                        source.eq(command.parameter_address), left.eq(command.parameter_bytes),
                        to.eq(command.ofm_address), self.error.eq(command.parameter_bytes == 0)]
                    with m.If(command.parameter_bytes != 0):
                        m.next = "READ"
            with m.State("READ"):
                m.d.comb += self.read.request.valid.eq(1)
                with m.If(self.read.request.ready):
                    m.next = "WAIT"
            with m.State("WAIT"):
                m.d.sync += word.eq(self.read.response.payload)
                with m.If(self.read.response.valid):
                    m.next = "WRITE"
            with m.State("WRITE"):
                m.d.comb += write.valid.eq(1)
                with m.If(write.ready):
                    m.d.sync += [source.eq(source + self._size), to.eq(to + self._size),
                                 left.eq(left - self._size)]
                    m.next = "READ"
                    with m.If(left == self._size):
                        m.next = "IDLE"
        return m


def _illegal(config: AcceleratorConfig, fields: Mapping[str, Value]) -> Value:
    low = exact_log2(config.read_bytes)
    return Cat(fields[name][:low] for name in COMMAND.fields).any()


PLUG = Plug(COMMAND, Copy, BORROWS, _illegal)
