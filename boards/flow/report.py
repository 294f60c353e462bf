"""The summary of a build, as values for machines and as a page of text."""

from __future__ import annotations

from typing import Any

from kaniwa.boards.flow.build import Bitstream

__all__ = ["page", "summary"]


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
        "cores": built.cores, "overlap": built.board.overlap, "rtlil_hash": built.rtlil_hash,
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
