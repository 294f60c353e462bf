"""Tables of a page, and their cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["compared", "count", "estimate_text", "lost_text", "share", "table"]


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown."""
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def count(value: int | None) -> str:
    """A whole number, nothing for None."""
    return "" if value is None else f"{value:,}"


def share(value: float | None) -> str:
    """A part of one in percent, nothing for None."""
    return "" if value is None else f"{100 * value:.1f} %"


def estimate_text(row: dict[str, Any]) -> str:
    """The estimate and, where cycles were counted, by how much it is off."""
    if row["estimate_error"] is None:
        return count(row["estimate"])
    return f"{row['estimate']:,} ({row['estimate_error']:+.2f} %)"


def lost_text(lost: dict[str, int]) -> str:
    """Causes of lost cycles, the largest first."""
    return ", ".join(f"{cause} {n:,}" for cause, n in sorted(lost.items(), key=lambda i: -i[1]))


def compared(row: dict[str, Any]) -> str:
    """Number of output elements that differ from golden, of how many."""
    return f"{row['mismatches']} of {row['checked']:,}" if row["checked"] else "not run"
