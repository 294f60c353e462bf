"""The core with its on-chip memory behind a bus: a peripheral of a system on chip."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from kaniwa.config import AcceleratorConfig
from kaniwa.errors import ConfigError
from kaniwa.hw.bus.axi_master import AxiMaster
from kaniwa.hw.bus.signatures import axi4, axi_lite, axi_stream, wishbone
from kaniwa.hw.bus.slaves import AxiLiteSlave, WishboneSlave
from kaniwa.hw.bus.window import BusWindow
from kaniwa.hw.bus.wishbone_master import WishboneMaster
from kaniwa.hw.core import make_core
from kaniwa.hw.memory.host_port import HostPort
from kaniwa.hw.memory.system import OnChipMemory
from kaniwa.hw.sensor.ports import SensorPorts, check_sensor
from kaniwa.isa.bus import window_bytes

__all__ = ["BusAccelerator", "BUSES"]

BUSES = ("axi4", "wishbone")
DATA_BITS = (32, 64, 128)
ADDRESS_BITS = (32, 64)   # fewest and most: device memory outside has 31 bits of its own


class BusAccelerator(Component):
    """The core with ``config.memory_bytes`` of memory, as slave and, with ``outside``, as master.

    Ports: ``control`` is a slave of 32 bits, AXI4-Lite or classic Wishbone, whose window
    ``kaniwa.isa.bus`` describes. ``memory``, with ``outside`` only, is an AXI4 or a Wishbone
    master. ``irq`` is 1 while an enabled interrupt is pending.
    ``address_bits``: of a byte address of the master. ``data_bits``: of the master, 32, 64 or 128
    and at most a word of ``read_bytes``; the widest by default. ``sensor``: bytes of the buffer
    behind the stream ``sample``, whose ``result`` is another one (``SensorPorts``); None: there are
    no such ports. Other keyword arguments go to ``make_core``.
    Raises ConfigError for what there is no bus accelerator of.
    """

    def __init__(self, config: AcceleratorConfig, bus: str = "axi4", outside: bool = False,
                 address_bits: int = 32, data_bits: int | None = None, sensor: int | None = None,
                 **options):
        if data_bits is None:
            data_bits = min(DATA_BITS[-1], 8 * config.read_bytes)
        _check(config, bus, outside, address_bits, data_bits)
        if sensor is not None:
            check_sensor(config, sensor)
        self.config, self.bus, self.outside = config, bus, outside
        self.address_bits, self.data_bits = address_bits, data_bits
        self.sensor = sensor
        self._options = options
        window_bits = (window_bytes(config.memory_bytes) - 1).bit_length()
        if bus == "axi4":
            control, memory = axi_lite(window_bits), axi4(address_bits, data_bits)
        else:
            control = wishbone(window_bits, 32)
            memory = wishbone(address_bits, data_bits, bursts=True)
        super().__init__({
            "control": In(control),
            "irq": Out(1),
            **({"memory": Out(memory)} if outside else {}),
            **({"sample": In(axi_stream(8)), "result": Out(axi_stream(8))}
               if sensor is not None else {}),
        })

    def elaborate(self, platform):
        m = Module()
        config = self.config
        m.submodules.core = core = make_core(config, outside=self.outside, **self._options)
        m.submodules.window = window = BusWindow(
            config, outside=self.outside, address_bits=self.address_bits)
        slave = AxiLiteSlave(config) if self.bus == "axi4" else WishboneSlave(config)
        m.submodules.slave = slave
        connect(m, flipped(self.control), slave.bus)
        ports = None
        if self.sensor is not None:
            ports = self._add_sensor(m, core, window, slave)
        if ports is None:
            connect(m, slave.access, window.access)
            connect(m, window.answer, slave.answer)
        m.d.comb += [
            core.csr_address.eq(window.csr_address),
            core.csr_write.eq(window.csr_write),
            core.csr_write_data.eq(window.csr_write_data),
            window.csr_read_data.eq(core.csr_read_data),
            window.busy.eq(core.busy),
            self.irq.eq(window.irq | ports.irq if ports else window.irq),
        ]
        if config.memory_bytes:
            m.submodules.memory = memory = OnChipMemory(config)
            m.submodules.local_port = port = HostPort(config)
            m.d.comb += port.busy.eq(core.busy)
            if ports:
                connect(m, port.read, ports.others_read)
                connect(m, port.write, ports.others_write)
            last = ports or port     # before memory
            connect(m, last.read, memory.read)
            connect(m, last.write, memory.write)
            connect(m, core.local_read, port.core_read)
            connect(m, core.local_write, port.core_write)
            connect(m, window.read, port.host_read)
            connect(m, window.write, port.host_write)
        if self.outside:
            self._add_master(m, core, window)
        return m

    def _add_sensor(self, m, core, window, slave):
        """The sensor ports, between slave and window; the way to memory is left to the caller."""
        m.submodules.sensor = ports = SensorPorts(self.config, self.sensor)
        connect(m, slave.access, ports.host_access)
        connect(m, ports.host_answer, slave.answer)
        connect(m, ports.access, window.access)
        connect(m, window.answer, ports.answer)
        connect(m, flipped(self.sample), ports.sample)
        connect(m, ports.result, flipped(self.result))
        m.d.comb += ports.busy.eq(core.busy)
        return ports

    def _add_master(self, m, core, window):
        """The way to outside memory, which the core alone uses."""
        kind = AxiMaster if self.bus == "axi4" else WishboneMaster
        m.submodules.master = master = kind(
            self.config, address_bits=self.address_bits, data_bits=self.data_bits)
        connect(m, core.outside_read, master.read)
        connect(m, core.outside_write, master.write)
        connect(m, master.bus, flipped(self.memory))
        connect(m, master.fault, window.fault)
        m.d.comb += [
            master.busy.eq(core.busy),
            master.base.eq(window.base),
            window.writing.eq(master.writing),
            window.quiet.eq(master.quiet),
        ]


def _check(config, bus, outside, address_bits, data_bits):
    """Raise ConfigError unless there is a bus accelerator of these parameters."""
    if bus not in BUSES:
        raise ConfigError(f"bus must be {' or '.join(BUSES)}, not {bus!r}")
    if outside and not config.outside_limit:
        raise ConfigError("outside must be false for a compact core without outside_bits, which "
                          "has no way there")
    if not outside and not config.memory_bytes:
        raise ConfigError("outside must be true where memory_bytes is 0: there is no other memory")
    low, high = ADDRESS_BITS
    if not low <= address_bits <= high:
        raise ConfigError(f"address_bits must be {low}..{high}, not {address_bits}")
    if data_bits not in DATA_BITS or data_bits > 8 * config.read_bytes:
        fitting = [str(bits) for bits in DATA_BITS if bits <= 8 * config.read_bytes]
        raise ConfigError(f"data_bits must be {', '.join(fitting)} with read_bytes "
                          f"{config.read_bytes}, not {data_bits}")
