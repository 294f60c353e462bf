"""The page and the CSV of a report, from its document."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from kaniwa.report.verdict import kib

__all__ = ["embedded", "to_csv", "to_html"]

FOLDER = Path(__file__).parent / "page"
# Scripts of the page, in the order in which they are run.
SCRIPTS = ("basics.js", "table.js", "bars.js", "roofline.js", "spans.js", "timeline.js",
           "memory.js", "graph.js", "constants.js", "compare.js", "main.js")
CSV_COLUMNS = ("run", "model", "target", "number", "name", "op", "kernel", "shape", "where", "macs",
               "cycles", "issued", "utilization", "bytes_read", "bytes_written", "constant_bytes")


def to_html(document: dict[str, Any]) -> str:
    """One self-contained page: no other file, and no network."""
    environment = Environment(loader=FileSystemLoader(FOLDER), autoescape=True, trim_blocks=True,
                              lstrip_blocks=True, undefined=StrictUndefined)
    environment.filters.update(kib=kib, figure=_figure)
    return environment.get_template("report.html").render(
        document=document, data=embedded(document), style=Markup(_text("report.css")),
        script=Markup("\n".join(_text(name) for name in SCRIPTS)))


def embedded(document: dict[str, Any]) -> Markup:
    """The document as JSON that may stand in a script element: no "<", ">" or "&" is in it."""
    text = json.dumps(document, separators=(",", ":"), allow_nan=False)
    for letter in "<>&":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)


def to_csv(document: dict[str, Any]) -> str:
    """A row for each layer of each run, with the lost cycles of each cause."""
    causes = list(dict.fromkeys(c for run in document["runs"] for c in run["causes"]))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*CSV_COLUMNS, *(f"lost_{cause}" for cause in causes)])
    for run in document["runs"]:
        for layer in run["layers"]:
            moved = layer["bytes"] or {}
            written = moved.get("output", 0)
            writer.writerow([
                run["label"], run["model"], run["target"], layer["number"], _cell(layer["name"]),
                layer["op"], layer["kernel"], "x".join(map(str, layer["shape"])), layer["where"],
                layer["macs"], layer["cycles"], layer["issued"], f"{layer['utilization']:.6f}",
                sum(moved.values()) - written if layer["bytes"] is not None else "",
                written if layer["bytes"] is not None else "", sum(layer["constants"].values()),
                *(layer["lost"].get(cause, 0) for cause in causes)])
    return text.getvalue()


def _cell(name: str) -> str:
    """A name that a spreadsheet takes as text, whatever letter is first."""
    return f"'{name}" if name[:1] in ("=", "+", "-", "@") else name


def _text(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _figure(value: float) -> str:
    """A number of at least three digits that mean something, with commas."""
    if value == 0 or value >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if value >= 1 else f"{value:.3g}"
