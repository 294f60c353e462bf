"""The networks' part of docs/performance.md."""

from __future__ import annotations

from typing import Any

from kaniwa.benchmark.cells import compared, count, estimate_text, lost_text, share, table
from kaniwa.benchmark.networks.table import CLASSES

__all__ = ["networks_text"]

Results = dict[str, Any]

CLOSE = 1.10   # times the bound that a network should stay below

NOTES = """\
`kaniwa bench --parts networks --device estimate` writes each network as a TFLite file with seeded
weights, compiles it and asks the cycle model. With `--networks A,B` and another device it also runs
these. Weights and tensors beyond the on-chip memory lie in ideal outside memory. Docstrings in
`sw/benchmark/networks/` name the papers; `size` is the side of the image or the length of the
sequence. Vela's figures are in `bench/results/vela.json`; `python bench/vela.py` makes them anew.

- **bound**: the sum over the layers of the largest of three: products by multipliers, results by
  requantizer lanes, and bytes by those of the read port (inputs and weights of 8 bits) or of the
  write port. Operators that the compiler computes together are one layer. Time for dependencies,
  state and padding to whole blocks is not in it. More than 1.10 times the bound is bold.
- **host**: segments of the host in the middle, for which the device stops. Cycles do not contain
  them.
- **Vela**: its estimate of the same file for an Ethos-U55 of as many multipliers, everything in
  SRAM; **Vela / kaniwa** below 1, in bold, means that Vela needs fewer. A number in brackets is
  that of operators that Vela leaves to the processor; their cycles are not in the estimate.
  Three quarters of the estimate of ViT-tiny are its BATCH_MATMUL.
"""


def networks_text(results: Results) -> str:
    """The section; parts without rows are left out."""
    values = results["networks"]
    text = f"## Networks\n\n{NOTES}\n" + _rows(values) + _source(values["vela"])
    text += _refused(values["rows"]) + _classes(values["classes"]) + _worst(values["rows"])
    text += _host(values["rows"])
    return text + (_runs(values["runs"]) if values["runs"] else "")


def _rows(values: Results) -> str:
    return table(
        ("network", "size", "target", "MAC", "cycles", "utilization", "bound", "cycles / bound",
         "host", "Vela", "Vela / kaniwa"),
        [(row["title"], row["size"], f"`{row['target']}`", count(row["macs"]),
          count(row["cycles"]), share(row["utilization"]), count(row["bound"]),
          _over(row["over_bound"]), row["segments"]["count"], _vela(row["vela"]),
          _times(row["vela_ratio"])) for row in values["rows"] if not row["error"]])


def _over(ratio: float) -> str:
    return f"**{ratio:.2f}**" if ratio > CLOSE else f"{ratio:.2f}"


def _vela(vela: Results | None) -> str:
    if not vela:
        return ""
    left = f" ({vela['cpu_operators']})" if vela["cpu_operators"] else ""
    return count(vela["cycles"]) + left


def _times(ratio: float | None) -> str:
    if ratio is None:
        return ""
    return f"{ratio:.2f}" if ratio >= 1 else f"**{ratio:.2f}**"


def _source(vela: Results) -> str:
    if vela["version"] is None:
        return "\nVela is not installed, and no figures of it are recorded.\n"
    return (f"\nVela {vela['version']}, `{vela['options']}`, with `ethos-u55-128` beside 128 "
            "multipliers and `ethos-u55-256` beside 256.\n")


def _refused(rows: list[Results]) -> str:
    lines = [f"- {row['title']} on `{row['target']}`: {row['error']}"
             for row in rows if row["error"]]
    return "\nRefused:\n\n" + "\n".join(lines) + "\n" if lines else ""


def _classes(classes: list[Results]) -> str:
    text = ("\n### Geometric means\n\nVela's are over the networks that it takes without the "
            "processor. **Vela / bound** is what Vela / kaniwa would be at the bounds.\n\n")
    return text + table(
        ("class", "target", "networks", "utilization", "cycles / bound", "beside Vela",
         "Vela / kaniwa", "Vela / bound"),
        [(CLASSES[row["class"]], f"`{row['target']}`", row["networks"], share(row["utilization"]),
          f"{row['over_bound']:.2f}", row["beside_vela"], _times(row["vela_ratio"]),
          _times(row["vela_over_bound"])) for row in classes])


def _worst(rows: list[Results]) -> str:
    """What the networks above ``CLOSE`` lose, by operator and by layer."""
    far = [row for row in rows if not row["error"] and row["over_bound"] > CLOSE]
    text = (f"\n### Where cycles above the bound go\n\nOf the networks above {CLOSE:.2f} times "
            "their bound: cycles above the bounds of layers, by the first operator of a layer.\n\n")
    text += table(("network", "target", "above the bound"), [
        (row["title"], f"`{row['target']}`", ", ".join(
            f"{kind} {cycles:,}" for kind, cycles in [*row["excess"].items()][:4] if cycles > 0))
        for row in far])
    text += ("\nThe two kinds of layers of each network that lose the most follow. **full**: "
             "multiplications by those that cycles with a step of the array have room for. Other "
             "cycles are lost; those of the units beside the array count as *fill*.\n\n")
    return text + table(
        ("network", "target", "layer", "result", "times", "cycles", "bound, by", "full", "lost"),
        [(row["title"], f"`{row['target']}`", f"{layer['op']} {layer['kernel']}".strip(),
          " x ".join(map(str, layer["shape"])), layer["times"], count(layer["cycles"]),
          f"{layer['bound']:,} {layer['by']}", share(_full(row, layer)), lost_text(layer["lost"]))
         for row in far for layer in row["worst"][:2]])


def _full(row: Results, layer: Results) -> float | None:
    room = row["multipliers"] * layer["issued"]
    return layer["macs"] / room if room and layer["macs"] else None


def _host(rows: list[Results]) -> str:
    found = [(row["title"], f"`{row['target']}`", f"{each['count']} {each['op']}", each["why"])
             for row in rows if not row["error"] for each in row["host"]]
    if not found:
        return "\nNo operator of these networks runs on the host.\n"
    return "\n### Operators of the host\n\n" + table(
        ("network", "target", "operators", "reason"), found)


def _runs(runs: list[Results]) -> str:
    text = ("\n### Networks that were run\n\nOne inference each, compared with golden; the "
            "emulator's cycles are the cycle model's.\n\n")
    return text + table(
        ("network", "target", "device", "MAC", "weight bytes", "cycles", "utilization", "estimate",
         "mismatches", "lost"),
        [(row["title"], f"`{row['target']}`", row["device"], count(row["macs"]),
          count(row["weight_bytes"]), count(row["cycles"]), share(row["utilization"]),
          estimate_text(row), compared(row), lost_text(row["lost"])) for row in runs])
