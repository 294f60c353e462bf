"""Tables on a terminal: of anything, and of layers, which fit into 80 columns."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from kaniwa.program.layer_labels import layer_labels

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["REMOVED", "show_behind", "show_table", "show_layers", "layer_title", "shape_text"]

PIPED_WIDTH = 160     # of tables that no terminal wraps
LEAST_WIDTH = 40
LAYER_WIDTH = 80
GAP = 2
OPERATOR_WIDTH = 17   # DEPTHWISE_CONV_2D
LEAST_LABEL = 7
SHARED = "above 1: a layer's cycles begin where the one before ends, its work earlier"
REMOVED = "above 1: all of the model's multiplications count, also with dead channels"


def show_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table; numbers to the right."""
    _print(title, _table(columns, rows), _width())


def show_layers(title: str, rows: Sequence[dict[str, Any]]) -> None:
    """Print a row a layer, as ``Program.summary`` and ``Statistics`` have them, in 80 columns.

    A layer is its number, operator and kernel, shape of the result, and the part of its name in
    which it differs from the others. A utilization above 1 is explained below the table.
    """
    if not rows:
        click.echo(f"{title}\n")
        return
    columns: dict[str, list[str]] = {
        "#": [_text(row.get("number", number)) for number, row in enumerate(rows, 1)],
        "layer": [_folded(f"{row['op']} {row['kernel']}") for row in rows],
        "shape": [shape_text(row["shape"]) + _of_channels(row) for row in rows], "name": [],
        "cycles": ["host" if _on_host(row) else _text(row["cycles"]) for row in rows],
        "util.": [_utilization(row) for row in rows], "lost to": [_lost(row) for row in rows]}
    taken = sum(GAP + max(len(line) for cell in [name, *cells] for line in cell.split("\n"))
                for name, cells in columns.items())
    columns["name"] = layer_labels([row["name"] for row in rows],
                                   max(LAYER_WIDTH - taken + len("name"), LEAST_LABEL))
    table = _table(list(columns), list(zip(*columns.values(), strict=True)))
    for column in table.columns:
        column.no_wrap = True
        if column.header in ("#", "cycles", "util."):
            column.justify = "right"
    above = [row for row in rows if _utilization(row).endswith("*")]
    _print(title, table, LAYER_WIDTH, [
        *([f"* {SHARED}"] if any(not row.get("removed") for row in above) else []),
        *([f"* {REMOVED}"] if any(row.get("removed") for row in above) else [])])


def show_behind(values: dict[str, Any], mismatches: str) -> None:
    """Print the ``mismatches`` of what depends on a framework's own runtime: it is compared with
    the same runtime, so they claim nothing."""
    count = values["operators"]
    click.echo(f"behind {count} operator{'s' * (count != 1)} of {values['runtime']}: mismatches: "
               f"{mismatches}, compared with the same runtime: no claim of exactness")


def layer_title(number: int, row: dict[str, Any], label: str) -> str:
    """A layer in a sentence: "layer 3, CONV_2D+ADD 3x3, 32x32x16, conv2d_2"."""
    parts = [f"layer {number}", f"{row['op']} {row['kernel']}".strip(), shape_text(row["shape"]),
             label]
    return ", ".join(filter(None, parts))


def shape_text(shape: Sequence[int]) -> str:
    """A tensor's shape without a leading 1, the batch: "32x32x16"."""
    return "x".join(map(str, shape[1:] if len(shape) > 1 and shape[0] == 1 else shape))


def _width() -> int:
    """Of a table: the terminal's, as wide as COLUMNS says, or one that nothing wraps."""
    if sys.stdout.isatty() or "COLUMNS" in os.environ:
        return max(shutil.get_terminal_size().columns, LEAST_WIDTH)
    return PIPED_WIDTH


def _folded(text: str) -> str:
    """``text`` in lines of OPERATOR_WIDTH, broken behind "+", "_" and spaces."""
    lines = [""]
    for piece in re.findall(r"[^+_ ]*[+_ ]?", text.strip()):
        if len(lines[-1] + piece.strip()) > OPERATOR_WIDTH:
            lines.append("")
        lines[-1] += piece
    return "\n".join(line.strip() for line in lines)


def _on_host(row: dict[str, Any]) -> bool:
    return row.get("where") == "host"


def _utilization(row: dict[str, Any]) -> str:
    """With a star where it is above 1."""
    if _on_host(row):
        return ""
    used = row["utilization"]
    return f"{used:.1f}*" if used >= 10 else f"{used:.3f}{'*' if round(used, 3) > 1 else ''}"


def _lost(row: dict[str, Any]) -> str:
    """The largest cause of lost cycles, with its share, if that is 1 % or more."""
    cause, lost = max(row["lost"].items(), key=lambda item: item[1], default=("", 0))
    share = round(100 * lost / row["cycles"]) if row["cycles"] else 0
    return f"{cause} {share}%" if share else ""


def _of_channels(row: dict[str, Any]) -> str:
    """Behind a shape, the channels that the model has there: " of 128", where some are dead."""
    before, after = (row.get("removed") or {}).get("output_channels", (0, 0))
    return f" of {before}" if before != after else ""


def _table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    rows = [list(row) for row in rows]
    table = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for index, column in enumerate(columns):
        numeric = all(isinstance(row[index], int | float) for row in rows) if rows else False
        # Nothing is cut off: texts are folded, and numbers have the room that they take.
        widest = max((len(_text(row[index])) for row in rows), default=0) if numeric else None
        table.add_column(column, justify="right" if numeric else "left", no_wrap=numeric,
                         overflow="fold", min_width=widest)
    for row in rows:
        table.add_row(*(Text(_text(cell)) for cell in row))
    return table


def _print(title: str, table: Table, width: int | None, notes: Sequence[str] = ()) -> None:
    from rich.console import Console

    console = Console(width=width)
    with console.capture() as capture:
        console.print(table)
    lines = [line.rstrip() for line in capture.get().splitlines()]
    click.echo("\n".join([*([title] if title else []), *lines, *notes, ""]))


def _text(cell: Any) -> str:
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        return str(cell)
    return f"{cell:,}" if isinstance(cell, int) else f"{cell:.3f}"
