"""The summary of a build, as values for machines and as a page of text, and the files of both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kaniwa.boards.flow.build import Bitstream
from kaniwa.files import write_atomic

__all__ = ["page", "summary", "write_reports"]


def write_reports(built: Bitstream, floor: str, page_path: Path | None = None,
                  **more: Any) -> dict[str, Any]:
    """Write report, page and summary beside the bitstream; the summary's values.

    ``floor``: the page with the floor, for ``page_path`` where it is not to lie beside the others.
    ``more``: values for the summary. Raises Error naming the path.
    """
    report, page_path = built.path.with_suffix(".txt"), page_path or built.path.with_suffix(".html")
    write_atomic(report, page(built).encode())
    write_atomic(page_path, floor.encode())
    values = summary(built) | {"report": str(report), "page": str(page_path)} | more
    write_atomic(built.path.with_suffix(".json"), json.dumps(values, indent=2).encode())
    return values


def summary(built: Bitstream) -> dict[str, Any]:
    """Output of ``kaniwa bitstream --json``."""
    path = built.timings[_worst_seed(built)].path
    return {
        "board": built.board.name, "target": built.target, "target_mhz": built.target_mhz,
        "clock_mhz": built.clock_mhz,
        "lut": built.totals["lut"], "ff": built.totals["ff"], "bram": built.totals["bram"],
        "dsp": built.totals.get("dsp", 0),     # GateMate has none
        "bitstream": str(built.path), "seconds": built.seconds,
        "meets_timing": built.meets_timing,
        "clock_of_seed": {str(seed): round(timing.mhz, 2)
                          for seed, timing in built.timings.items()},
        "seed": built.best_seed, "config": built.config.hash,
        "cores": built.cores, "overlap": built.board.overlap,
        "standalone": built.standalone, "slot": built.board.slot, "rtlil_hash": built.rtlil_hash,
        "capacity": dict(built.board.capacity), "totals": dict(built.totals),
        "blocks": {block: dict(counts) for block, counts in built.counts.items()},
        "critical_path": str(path) if path else None,
    }


def page(built: Bitstream) -> str:
    """The report file: clocks, resources of each block, and the critical path of each seed."""
    kinds = list(built.board.capacity)
    clock = built.clock_mhz
    lines = [
        f"{built.board.title}, {built.of_cores} (config {built.config.hash})",
        "",
        f"clock {clock['worst']:.2f} MHz worst, {clock['median']:.2f} median, "
        f"{clock['best']:.2f} best of {len(built.timings)} seeds; "
        f"{built.target_mhz:g} MHz {'met' if built.meets_timing else 'NOT met'}",
        "",
        "block".ljust(24) + "".join(kind.rjust(9) for kind in kinds),
    ]
    rows = [*built.counts.items(), ("all, by cells", {
        kind: sum(counts.get(kind, 0) for counts in built.counts.values()) for kind in kinds}),
        ("placed", built.totals), ("device", built.board.capacity)]
    lines += [name.ljust(24) + "".join(f"{counts.get(kind, 0):,}".rjust(9) for kind in kinds)
              for name, counts in rows]
    lines += ["", "critical paths"]
    lines += [f"seed {seed}: {timing.mhz:.2f} MHz, {timing.path or 'none'}"
              for seed, timing in built.timings.items()]
    return "\n".join(lines) + "\n"


def _worst_seed(built: Bitstream) -> int:
    return min(built.timings, key=lambda seed: (built.timings[seed].mhz, seed))
