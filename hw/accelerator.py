"""The core with its on-chip memory and its link, for boards."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.core import make_core
from kaniwa.hw.interfaces import read_port, write_port
from kaniwa.hw.link.link import Link
from kaniwa.hw.link.local import local_requests
from kaniwa.hw.memory.host_router import HostRouter
from kaniwa.hw.memory.outside import Outside
from kaniwa.hw.memory.shared_port import make_port
from kaniwa.hw.memory.system import OnChipMemory

__all__ = ["Accelerator"]


class Accelerator(Component):
    """The core with ``config.memory_bytes`` of memory on its local side, behind a byte stream.

    ``pace``: bytes a second that the line to ``rx`` and ``tx`` carries. ``memory``: what that is
    made of, ``OnChipMemory`` or a class with its ports. ``outside``: there are ports for outside
    memory, which as Outside.CALIBRATED becomes ``outside_ready`` or has ``outside_failed``.
    ``local``: the link takes requests of the device's own, and ``busy`` tells of a run.
    ``overlap``: the host may use memory during runs; an access takes a cycle of the core's at most.
    Other keyword arguments go to ``make_core``.
    """

    def __init__(self, config: AcceleratorConfig, *, pace: int, memory=OnChipMemory,
                 outside: bool | Outside = False, local: bool = False, overlap: bool = False,
                 **options):
        self._config = config
        self._memory = memory
        self._pace = pace
        self._outside = Outside(outside)
        self._local = local
        self._overlap = overlap
        self._options = options
        super().__init__({
            "rx": In(stream.Signature(8)),
            "tx": Out(stream.Signature(8)),
            **({"outside_read": Out(read_port(config)),
                "outside_write": Out(write_port(config))} if outside else {}),
            **({"outside_ready": In(1), "outside_failed": In(1)}
               if self._outside == Outside.CALIBRATED else {}),
            **({"local": In(local_requests()), "busy": Out(1)} if local else {}),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.core = core = make_core(
            self._config, outside=bool(self._outside), **self._options)
        m.submodules.link = link = Link(
            self._config, pace=self._pace, outside=self._outside, local=self._local,
            overlap=self._overlap)
        if self._outside == Outside.CALIBRATED:
            m.d.comb += [link.outside_ready.eq(self.outside_ready),
                         link.outside_failed.eq(self.outside_failed)]
        if self._local:
            connect(m, flipped(self.local), link.local)
            m.d.comb += self.busy.eq(core.busy)
        connect(m, flipped(self.rx), link.rx)
        connect(m, link.tx, flipped(self.tx))
        m.d.comb += [
            core.csr_address.eq(link.csr_address),
            core.csr_write.eq(link.csr_write),
            core.csr_write_data.eq(link.csr_write_data),
            link.csr_read_data.eq(core.csr_read_data),
            link.busy.eq(core.busy),
        ]
        sides = []
        if self._config.memory_bytes:
            m.submodules.memory = memory = self._memory(self._config)
            m.submodules.local_port = port = make_port(
                self._config, overlap=self._overlap, one_channel=self._config.shared_channel)
            connect(m, port.read, memory.read)
            connect(m, port.write, memory.write)
            sides.append((port, core.local_read, core.local_write, 0))
        if self._outside:
            m.submodules.outside_port = port = make_port(self._config, overlap=self._overlap)
            connect(m, port.read, flipped(self.outside_read))
            connect(m, port.write, flipped(self.outside_write))
            sides.append((port, core.outside_read, core.outside_write, 1))
        m.submodules.router = router = HostRouter(
            self._config, tuple(side for *_, side in sides))
        connect(m, link.read, router.read)
        connect(m, link.write, router.write)
        for number, (port, core_read, core_write, _) in enumerate(sides):
            if not self._overlap:
                m.d.comb += port.busy.eq(core.busy)
            connect(m, core_read, port.core_read)
            connect(m, core_write, port.core_write)
            connect(m, router.reads[number], port.host_read)
            connect(m, router.writes[number], port.host_write)
        return m
