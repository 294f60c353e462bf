"""Generated table of docs/third_party.md, from bench/results/third_party.json."""

from __future__ import annotations

import json
from pathlib import Path

__all__ = ["models"]

RESULTS = Path(__file__).resolve().parents[1] / "bench" / "results" / "third_party.json"


def models() -> str:
    """Markdown table: a row for each model of others that was run."""
    lines = ["| model | from | target | operators | million products | cycles | outside | host | "
             "segments in the middle | differences | mismatches |", "|---" * 11 + "|"]
    for row in json.loads(RESULTS.read_text())["models"]:
        name = f"| {row['title']} (`{row['file'].rpartition('/')[2]}`) | {row['package']} |"
        if "refused" in row:
            lines.append(f"{name} {row['refused']} |" + " |" * 8)
            continue
        lines.append(
            f"{name} `{row['target']}` | {row['operators']} | {row['macs'] / 1e6:,.1f} | "
            f"{row['cycles']:,} | {row['outside_bytes'] / 1024:,.0f} | "
            f"{', '.join(row['host']) or '-'} | {row['host_segments']} | {row['different']} | "
            f"{', '.join(f'{kind} {count}' for kind, count in row['mismatches'].items()) or 0} |")
    return "\n".join(lines)
