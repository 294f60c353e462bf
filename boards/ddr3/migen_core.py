"""LiteDRAM's parts put together in Migen: PHY, controller, and an AXI port."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from litedram.core import LiteDRAMCore
from litedram.frontend.axi import LiteDRAMAXI2Native, LiteDRAMAXIPort
from litedram.phy.dfi import Interface
from litedram.phy.ecp5ddrphy import ECP5DDRPHY
from litex.build.lattice.common import lattice_ecp5_special_overrides
from litex.gen import LiteXModule
from migen import Cat, ClockDomain, ClockSignal, Instance, Record, Signal
from migen.fhdl.verilog import convert

from kaniwa.boards.board import Ddr3
from kaniwa.hw.ddr3.signatures import ADDRESS_BITS, PHASES, Ddr3Shape, start_signature

__all__ = ["PADS", "MigenCore"]

# Pads by name as LiteDRAM knows them, with one bit each but for those of the shape.
PADS = ("a", "ba", "ras_n", "cas_n", "we_n", "cs_n", "cke", "odt", "reset_n", "clk_p", "dm",
        "dqs_p", "dq")
BOTH_WAYS = ("dqs_p", "dq")
SIMULATED_PHY = "DDR3_CHIPS"
# Bits of LiteDRAM's registers, lowest first.
COMMAND_FIELDS = ("cs", "we", "cas", "ras", "wren", "rden")
CONTROL_FIELDS = ("sel", "cke", "odt", "reset_n")
LEVELS = ("lane", "delay_reset", "delay_next", "slip_reset", "slip_next", "burst_clear",
          "burst_seen")
# Fields of AXI4 that LiteDRAM looks at, by channel: the name here, and there.
CHANNELS = {
    "aw": ("addr", "len", "size", "burst", "id"), "w": ("data", "strb", "last"),
    "b": ("resp", "id"), "ar": ("addr", "len", "size", "burst", "id"),
    "r": ("data", "resp", "id", "last"),
}


class SimulatedPhy(LiteXModule):
    """The cell ``DDR3_CHIPS``, which is chips and PHY, with the ``settings`` of a real PHY.

    ``levels``: as ``_levels_of`` has them.
    """

    def __init__(self, shape: Ddr3Shape, settings: Any, mhz: float) -> None:
        self.settings = settings
        self.dfi = dfi = Interface(shape.row_pins, shape.bank_pins, 1,
                                   shape.burst_bits // PHASES, PHASES)
        members = start_signature(shape).members
        self.levels = {name: Signal(members[name].shape) for name in LEVELS}
        fields = ("reset_n", "cke", "cs_n", "ras_n", "cas_n", "we_n", "bank", "address",
                  "wrdata_en", "wrdata", "wrdata_mask", "rddata_en")
        self.specials += Instance(
            SIMULATED_PHY,
            p_LANES=shape.lanes, p_ROW_PINS=shape.row_pins, p_BANK_PINS=shape.bank_pins,
            p_READ_LATENCY=settings.read_latency, p_WRITE_LATENCY=settings.write_latency,
            p_CL=settings.cl, p_CWL=settings.cwl, p_CHIP_KHZ=round(1000 * PHASES * mhz),
            i_clk=ClockSignal("sys"),
            **{f"i_{field}": Cat(getattr(phase, field) for phase in dfi.phases)
               for field in fields},
            o_rddata=Cat(phase.rddata for phase in dfi.phases),
            o_rddata_valid=Cat(phase.rddata_valid for phase in dfi.phases),
            **{f"{'o' if name == 'burst_seen' else 'i'}_{name}": signal
               for name, signal in self.levels.items()})


def _levels_of(phy: ECP5DDRPHY) -> dict[str, Signal]:
    """The registers of LiteDRAM's PHY, by the names of ``start_signature``."""
    return {
        "lane": phy._dly_sel.storage,
        "delay_reset": phy._rdly_dq_rst.re, "delay_next": phy._rdly_dq_inc.re,
        "slip_reset": phy._rdly_dq_bitslip_rst.re, "slip_next": phy._rdly_dq_bitslip.re,
        "burst_clear": phy._burstdet_clr.re, "burst_seen": phy._burstdet_seen.status,
    }


class MigenCore(LiteXModule):
    """``part`` is LiteDRAM's, ``settings`` are those of the PHY.

    Ports: clocks and resets ``sys``, ``sys2x`` and ``init``; ``stop`` and ``reset`` for the clocks'
    own cells; ``pad_*``, ``axi_*`` with AXI4's names, and ``start_*`` as ``start_signature``. Where
    the chip is simulated the pads do nothing, and only the clock ``sys`` is used.
    """

    def __init__(self, ddr3: Ddr3, part: Any, shape: Ddr3Shape, mhz: float) -> None:
        domains = [ClockDomain(name) for name in ("sys", "sys2x", "init")]
        self.cd_sys, self.cd_sys2x, self.cd_init = domains
        widths = {"a": shape.row_pins, "ba": shape.bank_pins, "dm": shape.lanes,
                  "dqs_p": shape.lanes, "dq": 8 * shape.lanes}
        pads = Record([(name, widths.get(name, 1)) for name in PADS], name="pad")
        masks = {lane: lane ^ 1 for lane in range(shape.lanes)} if ddr3.crossed_masks else None
        real = ECP5DDRPHY(pads, sys_clk_freq=mhz * 1e6, cmd_delay=ddr3.command_delay,
                          dm_remapping=masks)
        real.settings.rtt_nom = ddr3.termination
        self.settings = real.settings
        stop, reset = Signal(name="stop"), Signal(name="reset")
        if ddr3.simulated:
            self.phy = SimulatedPhy(shape, real.settings, mhz)
            levels = self.phy.levels
            self.comb += [stop.eq(0), reset.eq(0), *(
                getattr(pads, name).eq(0) for name in PADS if name not in BOTH_WAYS)]
        else:
            self.phy = real
            self.comb += [stop.eq(real.init.stop), reset.eq(real.init.reset)]
            levels = _levels_of(real)
        self.core = LiteDRAMCore(self.phy, part.geom_settings, part.timing_settings, mhz * 1e6)
        port = self.core.crossbar.get_port(data_width=shape.burst_bits)
        axi = LiteDRAMAXIPort(data_width=shape.burst_bits, address_width=ADDRESS_BITS, id_width=1)
        self.adapter = LiteDRAMAXI2Native(axi, port)
        self._ios = {*pads.flatten(), stop, reset, *self._axi(axi), *self._start(shape, levels)}
        for domain in domains:
            self._ios |= {domain.clk, domain.rst}

    def verilog(self, name: str) -> str:
        """The module's text."""
        return str(convert(self, ios=self._ios, name=name,
                           special_overrides=lattice_ecp5_special_overrides))

    def _axi(self, axi: Any) -> list[Signal]:
        """The port under AXI4's names."""
        signals = []
        for channel, fields in CHANNELS.items():
            endpoint, given = getattr(axi, channel), channel in ("b", "r")
            for field in (*fields, "valid", "ready"):
                theirs = getattr(endpoint, field)
                ours = Signal(len(theirs), name=f"axi_{channel}{field}")
                outwards = given != (field == "ready")
                self.comb += ours.eq(theirs) if outwards else theirs.eq(ours)
                signals.append(ours)
        return signals

    def _start(self, shape: Ddr3Shape, levels: Mapping[str, Signal]) -> list[Signal]:
        """The registers that software would set, as ports."""
        ours = {name: Signal(member.shape, name=f"start_{name}")
                for name, member in start_signature(shape).members.items()}
        injector = self.core.dfii
        bits = shape.burst_bits // PHASES
        for number in range(PHASES):
            phase = getattr(injector, f"pi{number}")
            self.comb += [
                phase._command_issue.re.eq(ours["issue"][number]),
                *(getattr(phase._command.fields, field).eq(ours["command"][bit])
                  for bit, field in enumerate(COMMAND_FIELDS)),
                phase._baddress.storage.eq(ours["bank"]),
                phase._address.storage.eq(ours["address"]),
                phase._wrdata.storage.eq(ours["written"][bits * number:bits * (number + 1)]),
                ours["read"][bits * number:bits * (number + 1)].eq(phase._rddata.status),
            ]
        self.comb += [getattr(injector._control.fields, field).eq(ours["control"][bit])
                      for bit, field in enumerate(CONTROL_FIELDS)]
        for name, signal in levels.items():
            self.comb += ours[name].eq(signal) if name == "burst_seen" else signal.eq(ours[name])
        return list(ours.values())
