"""What is asked for of `kaniwa generate`: target, bus and name, checked where they enter."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kaniwa.config import AcceleratorConfig
from kaniwa.errors import ConfigError

__all__ = ["BUSES", "DATA_BITS", "Design"]

# bus -> what it is, in a few words
BUSES = {
    "axi4": "an AXI4-Lite slave of 32 bits",
    "wishbone": "a Wishbone slave of 32 bits",
    "stream": "two AXI4-Stream ports of 8 bits",
}
DATA_BITS = (32, 64, 128)     # of the port for memory outside, and at most what is read at once
LONGEST_NAME = 64

# Words that Verilog, SystemVerilog, VHDL or C take for themselves, of those that a name may be.
RESERVED = frozenset("""
    always and assert assign assume automatic begin bind bins bit break buf byte case cell chandle
    class clocking config const constraint context continue cover cross deassign default defparam
    design disable dist do edge else end endcase endclass endmodule endpackage endtask enum event
    expect export extends extern final for force foreach forever fork function generate genvar if
    iff import include initial inout input inside instance int integer interface intersect join
    large library local logic longint macromodule matches medium modport module nand negedge new
    nor not null or output package packed parameter posedge primitive priority program property
    protected pulldown pullup pure rand randc real realtime ref reg release repeat return scalared
    sequence shortint shortreal signed small solve specify static string strong0 strong1 struct
    super supply0 supply1 table tagged task this time tran tri type typedef union unique unsigned
    use uwire var vectored virtual void wait wand weak0 weak1 while wire with within wor xnor xor
    abs access after alias all architecture array attribute block body buffer bus component
    configuration constant disconnect downto elsif entity exit file generic group guarded impure
    in inertial is label linkage literal loop map mod next nor null of on open others out port
    postponed procedure process pure range record register reject rem report return rol ror select
    severity shared signal sla sll sra srl subtype then to transport type unaffected units until
    when
    auto char double float goto inline long restrict short sizeof switch volatile
    """.split())


@dataclass(frozen=True)
class Design:
    """An accelerator of ``config`` behind a ``bus`` (of BUSES), as the Verilog module ``name``.

    ``outside``: a master port for memory outside, ``data_bits`` wide. ``clock_hz``: what register
    CLOCK_HZ tells; 0 is unknown. ``sensor``: stream ports for samples and results, with a buffer of
    ``sensor_buffer`` bytes. Raises ConfigError naming the bad value.
    """

    config: AcceleratorConfig
    bus: str
    name: str = "kaniwa"
    outside: bool = False
    data_bits: int | None = None
    clock_hz: int = 0
    sensor: bool = False
    sensor_buffer: int = 0

    def __post_init__(self) -> None:
        if self.bus not in BUSES:
            raise ConfigError(f"unknown bus '{self.bus}': give one of {', '.join(BUSES)}")
        if not re.fullmatch(r"[A-Za-z]\w*", self.name, re.ASCII) or (
                len(self.name) > LONGEST_NAME or self.name.lower() in RESERVED):
            raise ConfigError(f"name '{self.name}' is no module name for Verilog, VHDL and C: give "
                              f"a letter, then up to {LONGEST_NAME - 1} letters, digits or _, and "
                              "no keyword")
        if not 0 <= self.clock_hz < 1 << 32:
            raise ConfigError(f"clock_hz must be 0..{(1 << 32) - 1}, not {self.clock_hz}")
        self._check_outside()
        self._check_sensor()

    @property
    def target(self) -> str:
        """Name of the target, fit for comments and strings of any language."""
        return self.config.plain_name

    def _check_outside(self) -> None:
        target = f"target '{self.config.name}'"
        if self.outside and self.bus == "stream":
            raise ConfigError("bus 'stream' has no port for outside memory: take axi4 or wishbone, "
                              "or leave --outside out")
        if self.outside and not self.config.outside_limit:
            raise ConfigError(f"{target} has no way to outside memory: leave --outside out, or "
                              "take a target with outside_bits, or one whose core is not compact")
        if not self.outside and not self.config.memory_bytes:
            raise ConfigError(f"{target} has no memory on chip: give --outside, with axi4 or "
                              "wishbone")
        if self.data_bits is None:
            return
        if not self.outside:
            raise ConfigError("data_bits is the width of the port for outside memory: give "
                              "--outside too")
        fitting = [bits for bits in DATA_BITS if bits <= 8 * self.config.read_bytes]
        if self.data_bits not in fitting:
            raise ConfigError(f"data_bits must be {', '.join(map(str, fitting))} for {target}, not "
                              f"{self.data_bits}")

    def _check_sensor(self) -> None:
        if self.sensor and self.bus == "stream":
            raise ConfigError("bus 'stream' has no ports for sensors: take axi4 or wishbone, or "
                              "leave --sensor out")
        if self.sensor and not self.config.memory_bytes:
            raise ConfigError(f"target '{self.config.name}' has no memory on chip, where the "
                              "tensors of sensors are: leave --sensor out")
        if self.sensor_buffer and not self.sensor:
            raise ConfigError("sensor_buffer is of the ports for sensors: give --sensor too")
        if not 0 <= self.sensor_buffer <= self.config.memory_bytes:
            raise ConfigError(f"sensor_buffer must be 0..{self.config.memory_bytes} for target "
                              f"'{self.config.name}', not {self.sensor_buffer}")
