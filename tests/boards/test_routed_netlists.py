"""A small design, built for a board: synthesized and routed netlist beside its gateware."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from amaranth import Cat, Elaboratable, Module, Mux, Signal
from amaranth.lib.memory import Memory
from builders.blinky import clock_and_link
from builders.compared_modules import compare

from kaniwa.boards.board import load_board
from kaniwa.boards.flow.build import TOP, Bitstream, build, design_files
from kaniwa.boards.flow.routed import ROUTED, load_routed
from kaniwa.config import AcceleratorConfig
from kaniwa.hw.verilog import from_rtlil
from kaniwa.sim.netlist.verilog import netlist_verilog

pytestmark = [pytest.mark.slow, pytest.mark.rtl]


class Mixture(Elaboratable):
    """Sums, a block RAM with a register behind it, a small RAM and a choice of many, all of which
    the input's last bits drive; the output is the parity of all of them."""

    def __init__(self, board: Any, config: AcceleratorConfig, mhz: float,
                 cores: int = 1, standalone: bool = False) -> None:
        self._board, self._mhz = board, mhz
        self.verilog: dict[str, str] = {}

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        uart = clock_and_link(m, platform, self._board, self._mhz)
        last, total, parity = Signal(64), Signal(16, init=7), Signal()
        m.d.sync += last.eq(Cat(uart.rx.i, last))
        with m.If(last[20]):
            m.d.sync += total.eq(total + last[:16] - Mux(last[17], last[30:45], 3))
        m.submodules.block = block = Memory(shape=18, depth=512, init=range(5, 1000, 3))
        write, read = block.write_port(), block.read_port()
        behind = Signal(18)
        m.d.comb += [write.addr.eq(last[:9]), write.data.eq(last[9:27]), write.en.eq(last[30]),
                     read.addr.eq(Cat(~last[0], last[33:41])), read.en.eq(last[50])]
        m.d.sync += behind.eq(read.data)
        m.submodules.little = little = Memory(shape=8, depth=16, init=[])
        put, get = little.write_port(), little.read_port(domain="comb")
        m.d.comb += [put.addr.eq(last[3:7]), put.data.eq(last[8:16]), put.en.eq(last[60]),
                     get.addr.eq(last[17:21])]
        chosen = last.bit_select(Cat(total[:3], last[61:64]), 1)
        m.d.sync += parity.eq(Cat(total, behind, get.data, chosen).xor())
        m.d.comb += uart.tx.o.eq(parity)
        return m


@pytest.fixture(scope="module", params=["icebreaker", "ulx3s_25f"])
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bitstream:
    folder = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kaniwa.boards.flow.top.BoardTop", Mixture)
        patch.setenv("KANIWA_CACHE", str(folder / "cache"))
        return build(load_board(request.param), None, 1, folder, lambda text: None, wanted=[ROUTED])


def netlists(built: Bitstream) -> dict[str, dict[str, Any]]:
    return {"synthesized": json.loads(built.placed_from.read_text())["modules"][TOP],
            "routed": load_routed(built.folder / ROUTED, TOP)}


def beside_gateware(built: Bitstream, module: dict[str, Any], folder: Path) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kaniwa.boards.flow.top.BoardTop", Mixture)
        source = from_rtlil(design_files(built.board, built.config, built.target_mhz)[f"{TOP}.il"])
    clock = next(port for port in module["ports"] if port.startswith("clk"))
    pins = f".{clock}(clock), .uart_0__rx__io(rx_pin)"
    lines = f"""
  reg rx = 1;
  always @(negedge clock) rx <= $urandom;
  wire rx_pin = rx, tx_source, tx_netlist;
  {TOP} one ({pins}, .uart_0__tx__io(tx_source));
  netlist other ({pins}, .uart_0__tx__io(tx_netlist));
"""
    return compare(lines, [("tx_netlist", "tx_source")], folder, source,
                   netlist_verilog(module, "netlist"))


@pytest.mark.parametrize("stage", ["synthesized", "routed"])
def test_a_netlist_is_its_gateware(built: Bitstream, stage: str, tmp_path: Path) -> None:
    module = netlists(built)[stage]
    types = {cell["type"] for cell in module["cells"].values()}
    assert types & ({"DP16KD", "SB_RAM40_4K", "ICESTORM_RAM"})
    assert beside_gateware(built, module, tmp_path) == "same"


def test_a_flipped_bit_of_a_routed_table_is_found(built: Bitstream, tmp_path: Path) -> None:
    module = copy.deepcopy(netlists(built)["routed"])
    cell = next(cell for name, cell in module["cells"].items()
                if "parity" in name and cell["type"] in ("ICESTORM_LC", "TRELLIS_COMB"))
    table = "LUT_INIT" if cell["type"] == "ICESTORM_LC" else "INITVAL"
    cell["parameters"][table] = "".join("10"[int(bit)] for bit in cell["parameters"][table])
    assert beside_gateware(built, module, tmp_path) == "tx_netlist"
