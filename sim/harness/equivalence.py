"""Proves by yosys that a mutant behaves as the block without a fault."""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

from kaniwa.parallel.child import bound
from kaniwa.parallel.place import scratch_folder

__all__ = ["cut_state", "proved_equal"]

# What goes into registers and memories is compared, with the same in all of them: what only
# unreachable states tell apart is not proved. Names of other nets are hidden, or those would be
# compared as well. First with bits of 0 and 1, then with unknown ones, for the block may not care.
SCRIPT = """
read_rtlil {rtlil}
delete -port dut/w:mutsel
copy dut gold
rename dut gate
cd gold
connect -set mutsel 16'd0
cd gate
connect -set mutsel 16'd{mutant}
cd ..
opt -full
rename -hide
equiv_make gold gate equal
hierarchy -top equal
opt_clean
equiv_struct
equiv_simple
equiv_simple -undef
equiv_status -assert
"""
STATE = re.compile(r"^  cell \$(dff|memrd|memwr|meminit)(?:_v2)? .*?^  end\n",
                   re.MULTILINE | re.DOTALL)
# Of each kind the ports, with the parameter that is their width, if it is not 1.
PORTS: dict[str, dict[str, str | None]] = {
    "dff": {"CLK": None, "D": "WIDTH", "Q": "WIDTH"}, "meminit": {},
    "memrd": {"CLK": None, "EN": None, "SRST": None, "ARST": None, "ADDR": "ABITS",
              "DATA": "WIDTH"},
    "memwr": {"CLK": None, "ADDR": "ABITS", "DATA": "WIDTH", "EN": "WIDTH"}}
HELD = {("dff", "Q"), ("memrd", "DATA")}     # where the state comes out


def cut_state(rtlil: str) -> str:
    """RTLIL text of a block whose registers are plain ($dff), with what goes into each of them and
    into each port of a memory as an output, and what comes out as an input.

    States that begin the same and always get the same are the same.
    """
    ports = 1000       # numbers beyond those of the block's own ports

    def cut(cell: re.Match[str]) -> str:
        nonlocal ports
        parameters = dict(re.findall(r"parameter \\(ABITS|WIDTH) (\d+)", cell[0]))
        signals = dict(re.findall(r"connect \\(\w+) (.*)", cell[0]))
        lines = []
        for port, width in PORTS[cell[1]].items():
            ports += 1
            wire, signal = f"\\cut_{ports}", signals[port]
            held = (cell[1], port) in HELD
            lines += [f"  wire width {parameters[width] if width else 1} "
                      f"{'input' if held else 'output'} {ports} {wire}\n",
                      f"  connect {signal} {wire}\n" if held else f"  connect {wire} {signal}\n"]
        return "".join(lines)

    return re.sub(r"^  memory .*\n", "", STATE.sub(cut, rtlil), flags=re.MULTILINE)


def proved_equal(yosys: str, rtlil: str, mutant: int, limit: float = 600.0) -> bool:
    """True where mutant ``mutant`` of the RTLIL text (see ``cut_state``) equals mutant 0 in all
    outputs, registers and memories.

    False also if no proof was found within ``limit`` seconds.
    """
    with tempfile.TemporaryDirectory(prefix="kaniwa-equal-", dir=scratch_folder()) as folder:
        Path(folder, "mutants.il").write_text(cut_state(rtlil))
        Path(folder, "run.ys").write_text(SCRIPT.format(rtlil="mutants.il", mutant=mutant))
        try:
            done = subprocess.run(bound([yosys, "-q", "run.ys"]), cwd=folder, capture_output=True,
                                  timeout=limit)
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0
