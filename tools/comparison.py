"""Generated tables of docs/comparison.md, from bench/results/performance.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kaniwa.boards.board import load_board
from kaniwa.config import PRESETS

__all__ = ["chips", "cycles"]

RESULTS = Path(__file__).resolve().parents[1] / "bench" / "results" / "performance.json"
BOARD = "ulx3s_85f"


def cycles() -> str:
    """Markdown table: cycles of the shipped models on kaniwa and on others."""
    results = json.loads(RESULTS.read_text())
    peers: dict[str, list[dict[str, Any]]] = results["peers"]["models"]
    lines = ["| model | on | cycles | source |", "|---|---|---|---|"]
    for file in dict.fromkeys(case["model"] for case in results["models"]):
        cases = [case for case in results["models"] if case["model"] == file]
        lines += [f"| {case['title']} | **kaniwa `{case['target']}`**, "
                  f"{case['multipliers']} multipliers | **{case['cycles']:,}** | simulated core |"
                  for case in cases]
        title = min((case["title"] for case in cases), key=len)
        lines += [f"| {title} | {peer['name']} | {peer['cycles']:,} | "
                  f"{peer['source']} |" for peer in peers.get(file, []) if peer["cycles"]]
    return "\n".join(lines)


def chips() -> str:
    """Markdown table: milliseconds of large networks on ``large`` at its board's clock."""
    runs = json.loads(RESULTS.read_text())["networks"]["runs"]
    target = "large"
    clock = load_board(BOARD).clock_mhz(target)
    peak = PRESETS[target].multipliers * clock * 2e-6
    lines = ["| kaniwa | figure | memory |", "|---|---|---|"]
    lines += [f"| `{target}` at {clock:g} MHz, simulated | {row['title']}, {row['size']} × "
              f"{row['size']}: {row['cycles'] / clock / 1e3:.1f} ms | ideal outside memory, "
              f"which no described board has |"
              for row in runs if row["device"] == "sim" and row["target"] == target]
    lines += [f"| `{target}` at {clock:g} MHz | {peak:.3f} TOPS peak | |"]
    return "\n".join(lines)
