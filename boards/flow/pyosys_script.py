"""Runs the yosys script that is the argument, one command a line, in the pyosys library.

A program of its own, for the library writes to standard output and ends the process on an error.
"""

import sys
from pathlib import Path

from pyosys import libyosys


def main(script: str) -> None:
    design = libyosys.Design()
    for line in Path(script).read_text().splitlines():
        libyosys.run_pass(line, design)


if __name__ == "__main__":
    main(sys.argv[1])
