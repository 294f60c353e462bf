"""Records Vela's figures of the networks: `python bench/vela.py`, where `vela` is installed.

Writes bench/results/vela.json, from which `kaniwa bench --parts networks` takes them elsewhere.
"""

from __future__ import annotations

import json
import sys

from kaniwa.benchmark.networks.table import NETWORKS
from kaniwa.benchmark.networks.vela import RECORDED, Figures
from kaniwa.files import write_atomic


def main() -> int:
    figures = Figures.found()
    if figures.recorded is not None:
        print("vela is not installed: pip install ethos-u-vela", file=sys.stderr)
        return 1
    networks = {}
    for entry in NETWORKS:
        networks[entry.key] = figures.of(entry.key, entry.build(size=entry.size))
        print(entry.key, networks[entry.key])
    values = {"version": figures.version, "options": figures.options, "networks": networks}
    write_atomic(RECORDED, (json.dumps(values, indent=2) + "\n").encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
