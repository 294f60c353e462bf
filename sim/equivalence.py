"""Proves by yosys that a mutant behaves as the block without a fault."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

__all__ = ["proved_equal"]

# Registers of the same name are taken to be equal in a cycle, or in a few, and shown to be so in
# the next one. Blocks with memories are not proved, nor what only unreachable states tell apart.
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
equiv_make gold gate equal
hierarchy -top equal
opt_clean
equiv_simple -undef
equiv_induct -undef
equiv_status -assert
"""


def proved_equal(yosys: str, rtlil: str, mutant: int, limit: float = 600.0) -> bool:
    """Whether mutant ``mutant`` of the RTLIL text equals mutant 0 in all outputs and registers.

    False also if no proof was found within ``limit`` seconds.
    """
    with tempfile.TemporaryDirectory(prefix="kaniwa-equal-") as folder:
        Path(folder, "mutants.il").write_text(rtlil)
        Path(folder, "run.ys").write_text(SCRIPT.format(rtlil="mutants.il", mutant=mutant))
        try:
            done = subprocess.run([yosys, "-q", "run.ys"], cwd=folder, capture_output=True,
                                  timeout=limit)
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0
