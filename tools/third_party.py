"""Generated table of docs/third_party.md, from bench/results/third_party.json."""

from __future__ import annotations

import json
from pathlib import Path

__all__ = ["models"]

RESULTS = Path(__file__).resolve().parents[1] / "bench" / "results" / "third_party.json"


def models() -> str:
    """Markdown table: a row for each model of others that was run."""
    lines = ["| model | from | target | operators | million products | cycles | cycle model | "
             "outside | host | segments in the middle | differences | mismatches |",
             "|---" * 12 + "|"]
    for row in json.loads(RESULTS.read_text())["models"]:
        name = f"| {row['title']} (`{row['file'].rpartition('/')[2]}`) | {row['package']} |"
        if "refused" in row:
            lines.append(f"{name} {row['refused']} |" + " |" * 9)
            continue
        lines.append(
            f"{name} `{row['target']}` | {row['operators']} | {row['macs'] / 1e6:,.1f} | "
            f"{row['cycles']:,} | {row['estimate'] / row['cycles'] - 1:+.2%} | "
            f"{row['outside_bytes'] / 1024:,.0f} | {', '.join(row['host']) or '-'} | "
            f"{row['host_segments']} | {sum(row['different'].values())} | "
            f"{', '.join(f'{kind} {count}' for kind, count in row['mismatches'].items()) or 0} |")
    return "\n".join(lines)
