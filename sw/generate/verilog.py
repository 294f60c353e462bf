"""The one Verilog file: a module with the names that tools know, around the gateware."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kaniwa.errors import BuildError
from kaniwa.extras import needed
from kaniwa.generate.design import Design
from kaniwa.generate.template import render

__all__ = ["Port", "LINE_PACE", "design_verilog"]

# Bytes a second that a stream's line is said to carry; hosts wait by it, and may be told another.
LINE_PACE = 100_000
STREAM_PORTS = {"rx__payload": "s_axis_tdata", "rx__valid": "s_axis_tvalid",
                "rx__ready": "s_axis_tready", "tx__payload": "m_axis_tdata",
                "tx__valid": "m_axis_tvalid", "tx__ready": "m_axis_tready"}
# Interfaces of Vivado's IP integrator, which has no Wishbone
INTERFACES = {"s_axi": "aximm", "m_axi": "aximm", "s_axis": "axis", "m_axis": "axis",
              "s_axis_sample": "axis", "m_axis_result": "axis"}
SIDES = (*INTERFACES, "s_wb", "m_wb")


@dataclass(frozen=True)
class Port:
    """A port of the module. ``interface``: attribute that has Vivado group ports, or empty."""

    name: str
    width: int
    output: bool
    interface: str = ""

    @property
    def side(self) -> str:
        """The bus port that it is of, such as s_axi, or empty."""
        of = [side for side in SIDES if self.name.startswith(f"{side}_")]
        return max(of, key=len, default="")

    @property
    def declaration(self) -> str:
        """Direction, type and name, as in the header of a module."""
        bits = f"[{self.width - 1}:0] " if self.width > 1 else ""
        return f"{'output' if self.output else 'input'} wire {bits}{self.name}"


def design_verilog(design: Design) -> tuple[str, list[Port], int]:
    """The file's text, the ports of its module ``design.name``, and the first line of gateware.

    All other modules of the file have names that begin with ``design.name``. The same design gives
    the same bytes. Raises ConfigError for what there is no gateware of, and BuildError without the
    extra ``sim``.
    """
    inner = f"{design.name}_gateware"
    with needed("generated Verilog", "sim", BuildError):
        text, named = _gateware(design, inner)
    ports = [_port(name, value, output) for name, (value, output) in named.items()]
    buses = sorted({port.side for port in ports if port.side})
    wrapper = render("top.v", design=design, inner=inner, buses=buses, ports=[
        Port("clk", 1, False), Port("rst", 1, False), *ports])
    text = text.replace("(* top =  1  *)\n", "", 1)     # the wrapper is
    return wrapper + text, ports, wrapper.count("\n") + 1


def _gateware(design: Design, inner: str) -> tuple[str, dict[str, tuple[Any, bool]]]:
    """Text of the gateware with its top module ``inner``; its signals, True for an output."""
    from amaranth.hdl._ir import PortDirection

    from kaniwa.hw.accelerator import Accelerator
    from kaniwa.hw.bus.bus_accelerator import BusAccelerator
    from kaniwa.hw.bus.signatures import bus_ports
    from kaniwa.hw.verilog import ports, to_verilog

    def stream_ports(component: Any) -> dict[str, Any]:
        found = ports(component)
        return {name: found[own] for own, name in STREAM_PORTS.items()}

    if design.bus == "stream":
        component = Accelerator(design.config, pace=LINE_PACE, clock_hz=design.clock_hz)
        named = stream_ports
    else:
        component = BusAccelerator(
            design.config, bus=design.bus, outside=design.outside, data_bits=design.data_bits,
            clock_hz=design.clock_hz, sensor=design.sensor_buffer if design.sensor else None)
        named = bus_ports
    signals = {name: (signal, direction is PortDirection.Output)
               for name, (signal, direction) in named(component).items()}
    return to_verilog(component, inner, named), signals


def _port(name: str, signal: Any, output: bool) -> Port:
    prefix, _, member = name.rpartition("_")
    kind = INTERFACES.get(prefix)
    interface = f"xilinx.com:interface:{kind}:1.0 {prefix} {member.upper()}" if kind else ""
    if name == "irq":
        interface = "xilinx.com:signal:interrupt:1.0 irq INTERRUPT"
    return Port(name, len(signal), output, interface)

