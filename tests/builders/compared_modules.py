"""Two forms of hardware side by side in Verilator: the first output in which they differ."""

from __future__ import annotations

import subprocess
from pathlib import Path

from kaniwa.sim.device.toolchain import environment, verilator

__all__ = ["compare"]

MAIN = """#include "Vbench.h"
int main() {
    VerilatedContext context;
    Vbench bench(&context);
    while (!context.gotFinish()) {
        bench.clock = !bench.clock;
        bench.eval();
    }
}
"""


def compare(verilog: str, pairs: list[tuple[str, str]], folder: Path, *sources: str,
            cycles: int = 20_000) -> str:
    """"same", or the first pair of wires that differ.

    ``verilog``: what the module ``bench`` is made of, from behind its head to before its end, where
    ``clock`` runs and inputs are to change at its falling edge. ``sources``: all other modules.
    Both wires of a pair are looked at before each edge of the clock.
    """
    checks = [f'    if ({one} !== {other}) begin $display("{one}"); $finish; end'
              for one, other in pairs]
    text = "\n".join([
        "`timescale 1ps / 1ps", *sources, "module bench(input clock);", "  reg [31:0] cycle = 0;",
        "  always @(negedge clock) cycle <= cycle + 1;", verilog, "  always @(posedge clock) begin",
        *checks, "  end", "  always @(negedge clock) begin", *checks,
        f'    if (cycle == {cycles}) begin $display("same"); $finish; end', "  end", "endmodule\n"])
    (folder / "bench.v").write_text(text)
    (folder / "main.cpp").write_text(MAIN)
    done = subprocess.run(
        [verilator(), "--cc", "--exe", "--build", "--no-timing", "-O3", "--x-initial", "0",
         "--x-assign", "0", "-Wno-fatal", "-Wno-lint", "-Werror-USERFATAL", "--top-module",
         "bench", "-DNO_INCLUDES", "-DNO_ICE40_DEFAULT_ASSIGNMENTS", "-Mdir", "made",
         "-MAKEFLAGS", "OPT_FAST=-O1 OPT_SLOW=-O0", "-o", "bench", "bench.v", "main.cpp"],
        cwd=folder, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    shown = subprocess.run([folder / "made" / "bench"], capture_output=True, text=True, check=True)
    return shown.stdout.splitlines()[0]
