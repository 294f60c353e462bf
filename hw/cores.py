"""Several cores of one config, each with its own on-chip memory, behind one link, for boards."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from kaniwa.config import AcceleratorConfig
from kaniwa.driver.frames import check_cores
from kaniwa.errors import ConfigError
from kaniwa.hw.core import make_core
from kaniwa.hw.link.core_router import CoreRouter
from kaniwa.hw.link.link import Link
from kaniwa.hw.memory.shared_port import make_port
from kaniwa.hw.memory.system import OnChipMemory

__all__ = ["Cores"]


class Cores(Component):
    """``cores`` cores with ``config.memory_bytes`` of memory each, behind a byte stream.

    Cores share nothing but the link: each runs by itself, in the cycles that it takes alone, and
    the host uses the memory of those that do not run; with ``overlap``, of all. One core is
    ``Accelerator``, whose parameters the others are. Raises ConfigError for a number of cores that
    a link cannot have.
    """

    def __init__(self, config: AcceleratorConfig, cores: int, *, pace: int, memory=OnChipMemory,
                 overlap: bool = False, **options):
        check_cores(cores, config.memory_bytes, False)
        if cores == 1:
            raise ConfigError("cores must be 2 or more here: one core is an Accelerator")
        self._config = config
        self._cores = cores
        self._memory = memory
        self._pace = pace
        self._overlap = overlap
        self._options = options
        super().__init__({
            "rx": In(stream.Signature(8)),
            "tx": Out(stream.Signature(8)),
        })

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.link = link = Link(config, pace=self._pace, cores=self._cores,
                                        overlap=self._overlap)
        m.submodules.router = router = CoreRouter(config, self._cores)
        connect(m, flipped(self.rx), link.rx)
        connect(m, link.tx, flipped(self.tx))
        connect(m, link.read, router.read)
        connect(m, link.write, router.write)
        words = []
        for number in range(self._cores):
            core = make_core(config, outside=False, **self._options)
            memory = self._memory(config)
            port = make_port(config, overlap=self._overlap, one_channel=config.shared_channel)
            m.submodules[f"core_{number}"] = core
            m.submodules[f"memory_{number}"] = memory
            m.submodules[f"port_{number}"] = port
            m.d.comb += [
                core.csr_address.eq(link.csr_address),
                core.csr_write.eq(link.csr_write & (link.csr_core == number)),
                core.csr_write_data.eq(link.csr_write_data),
                link.busy[number].eq(core.busy),
            ]
            if not self._overlap:
                m.d.comb += port.busy.eq(core.busy)
            words.append(core.csr_read_data)
            connect(m, core.local_read, port.core_read)
            connect(m, core.local_write, port.core_write)
            connect(m, router.reads[number], port.host_read)
            connect(m, router.writes[number], port.host_write)
            connect(m, port.read, memory.read)
            connect(m, port.write, memory.write)
        m.d.comb += link.csr_read_data.eq(Array(words)[link.csr_core])
        return m
