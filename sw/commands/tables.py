"""Tables on a terminal: of anything, and of layers, which fit into 80 columns."""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["REMOVED", "show_table", "show_layers", "layer_labels", "layer_title", "shape_text"]

PIPED_WIDTH = 160     # of tables that no terminal wraps
LAYER_WIDTH = 80
GAP = 2
OPERATOR_WIDTH = 17   # DEPTHWISE_CONV_2D
LEAST_LABEL = 7
SHARED = "above 1: a layer's cycles begin where the one before ends, its work earlier"
REMOVED = "above 1: all of the model's multiplications count, also with dead channels"


def show_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table; numbers to the right."""
    _print(title, _table(columns, rows),
           None if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPED_WIDTH)


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


def layer_title(number: int, row: dict[str, Any], label: str) -> str:
    """A layer in a sentence: "layer 3, CONV_2D+ADD 3x3, 32x32x16, conv2d_2"."""
    parts = [f"layer {number}", f"{row['op']} {row['kernel']}".strip(), shape_text(row["shape"]),
             label]
    return ", ".join(filter(None, parts))


def shape_text(shape: Sequence[int]) -> str:
    """A tensor's shape without a leading 1, the batch: "32x32x16"."""
    return "x".join(map(str, shape[1:] if len(shape) > 1 and shape[0] == 1 else shape))


def layer_labels(names: Sequence[str], width: int = LAYER_WIDTH) -> list[str]:
    """For each name the part in which it differs from the others, in at most ``width`` letters.

    A label has the words of a name that the fewest other names have, as many as make it unlike
    all other labels. What is too long loses the beginning or end that most labels share, then the
    beginning.
    """
    words = [_words(name) for name in names]
    counts = Counter(word for own in words for word in dict.fromkeys(own))
    labels = [_label(own, words, counts) for own in words]
    long = {label for label in labels if len(label) > width}
    for shared in (_shared(long, r"(?=(_\D.*))"), _shared(long, r"(.*_)")):
        if any(len(label) > width for label in labels):
            labels = [_without(label, shared) if label in long else label for label in labels]
    return [label if len(label) <= width else "…" + label[1 - width:] for label in labels]


def _words(name: str) -> tuple[str, ...]:
    """The words of the path that is a layer's own.

    Where converters fuse operators they join the paths by ";". TensorFlow's puts the layer's own
    last; PyTorch's first, and a number or nothing behind all.
    """
    path = name.rsplit(";", 1)[-1]
    if not path.strip("0123456789") and ";" in name:
        path = name.split(";", 1)[0] + (f";{path}" if path else "")
    return tuple(word for word in re.split(r"[/.]", path) if word) or (name,)


def _without(label: str, part: str) -> str:
    """``label`` without ``part``, unless a bare number would be left."""
    rest = label.replace(part, "")
    return rest if re.search("[A-Za-z]", rest) else label


def _shared(labels: Iterable[str], pattern: str) -> str:
    """The part matching ``pattern`` that saves most letters, of those that several labels have."""
    parts = Counter(part for label in labels for part in re.findall(pattern, label))
    return max((part for part, count in parts.items() if count > 1),
               key=lambda part: len(part) * parts[part], default="")


def _label(own: tuple[str, ...], words: Sequence[tuple[str, ...]], counts: Counter[str]) -> str:
    others = [set(other) for other in words if other != own]
    chosen: set[str] = set()
    # Of equally rare words a layer's name is rather in the middle: a network's is first, and an
    # operator's last.
    for word in sorted(dict.fromkeys(own), key=lambda word: (
            counts[word], len(own) > 1 and word == own[0], word == own[-1])):
        left = [other for other in others if word in other]
        if not chosen or len(left) < len(others):
            chosen.add(word)
            others = left
        if not others:
            break
    return "/".join(word for word in dict.fromkeys(own) if word in chosen)


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
        table.add_column(column, justify="right" if numeric else "left", no_wrap=numeric)
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
