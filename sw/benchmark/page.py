"""docs/performance.md from the results of `kaniwa bench --json`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kaniwa.benchmark.cells import compared, count, estimate_text, lost_text, share, table
from kaniwa.benchmark.networks.page import networks_text

__all__ = ["page"]

Results = dict[str, Any]

INTRODUCTION = """\
# Performance

Made from `bench/results/performance.json`; don't edit. To measure again:

```sh
kaniwa bench --parts all --json > bench/results/performance.json
kaniwa bench --from bench/results/performance.json --markdown docs/performance.md
```

`kaniwa bench --quick --device estimate` gives the main table in seconds, without a simulation.
`python bench/tools.py` measures how long the tools themselves take on this machine.

## What the figures mean

- **cycles**: what the core's own counter reads at the end of one inference. It starts with the
  accepted run command, with the program, weights and inputs in device memory and nothing in the
  core, and stops when the last result is in memory. Nothing is taken off and runs repeat exactly.
  Of these models only the SOFTMAX at the end runs on the host.
- **utilization**: multiplications of the source model, dense, for each multiplier and cycle. Work
  that the compiler removes still counts as work of the model, so the figure may pass 1.
- **lost**: cycles in which the array takes no step, by what it waited for. *load*: input that is
  still being read. *weights*: a weight that is not in the ring yet. *requantize*, *store*:
  results before it that are not taken, by the post stage or by memory. *dependency*: an earlier
  layer's result. *fill*: windows, start and end. Cycles with a step and lost cycles add up to
  cycles.
- **estimate**: the cycle model's answer from the instructions alone, as `kaniwa estimate` gives
  it, and by how much it is off.
- **mismatches**: output elements of the device that differ from the golden model's, which equals
  LiteRT's reference kernels.
- **ideal** outside memory answers a read in each cycle, as wide as the core's port.
"""


def page(results: Results) -> str:
    """The whole page; sections of parts that were not run are left out."""
    sections: list[tuple[str, Callable[[Results], str]]] = [
        ("models", _models), ("peers", _peers), ("dense", _dense), ("scaling", _scaling),
        ("layers", _layers), ("networks", networks_text), ("seconds", _seconds)]
    parts = [INTRODUCTION, _how(results)]
    parts += [section(results) for key, section in sections if results.get(key)]
    return "\n".join(parts)


def _how(results: Results) -> str:
    counted = "counted by the Verilated core (RTL)" if results["device"] == "sim" else (
        "**estimated** by the cycle model")
    return f"Cycles below are {counted}; kaniwa {results['kaniwa']}.\n"


def _models(results: Results) -> str:
    rows = results["models"]
    text = "## Cycles of one inference\n\n" + table(
        ("model", "target", "MAC", "cycles", "to reach", "utilization", "MAC/cycle", "estimate",
         "memory", "mismatches"),
        [(row["title"], f"`{row['target']}`, {row['multipliers']}", count(row["macs"]),
          _range(row), _bar(row), share(row["utilization"]), f"{row['macs_per_cycle']:.1f}",
          estimate_text(row), row["memory"], compared(row)) for row in rows])
    text += "\nThe number behind a target is that of its multipliers.\n\n## Where cycles go\n\n"
    return text + table(
        ("model", "cycles", "with a step", "lost"),
        [(f"{row['title']} (`{row['target']}`)", count(row["cycles"]), count(row["issued"]),
          lost_text(row["lost"])) for row in rows])


def _peers(results: Results) -> str:
    rows = []
    for file, peers in results["peers"]["models"].items():
        for row in results["models"]:
            if row["model"] == file:
                rows.append((row["title"], f"**kaniwa `{row['target']}`**",
                             f"**{count(row['cycles'])}**", share(row["utilization"]),
                             count(row["dsps"]), f"{row['macs_per_dsp']:.3f}",
                             "simulated core" if results["device"] == "sim" else "cycle model"))
        for peer in peers:
            rows.append(("", peer["name"], count(peer["cycles"]), share(peer["utilization"]),
                         count(peer["dsps"]),
                         f"{peer['macs_per_dsp']:.3f}" if peer["macs_per_dsp"] else "",
                         peer["source"]))
    version = results["peers"]["vela"]
    text = "## Beside others\n\n" + table(
        ("model", "on", "cycles", "utilization", "DSPs", "MAC/DSP/cycle", "source"), rows)
    text += "\nCycles of hardware are its published latency times its clock, memory and host as "
    text += "its own rules have them. DSPs of kaniwa are blocks MULT18X18D of an ECP5, the "
    text += "requantizer's and MUL's included. Vela's are estimates of a compiler, not of a "
    text += "simulation"
    return text + (f"; they were made anew here with Vela {version}.\n" if version else
                   ", as recorded; they are made anew where `vela` is installed.\n")


def _dense(results: Results) -> str:
    values = results["dense"]
    text = (f"## Dense layers\n\nOne fully connected layer, 1 x n by n x n, on `{values['target']}`"
            f"; inferences a second at {values['clock_mhz']:g} MHz.\n\n")
    return text + table(
        ("n", "MAC", "cycles by the model", "cycles run", "utilization", "inferences/s", "memory",
         "mismatches"),
        [(row["size"], count(row["macs"]), count(row["estimate"]), count(row["cycles"]),
          share(row["utilization"]), count(round(row["inferences_per_second"])),
          row["outside"] or "on chip", compared(row)) for row in values["rows"]])


def _scaling(results: Results) -> str:
    values = results["scaling"]
    text = (f"## Scaling\n\nResNet-18 at {values['size']} x {values['size']} "
            f"({count(values['macs'])} MAC, seeded weights) by the cycle model, with ideal "
            "outside memory. R: results requantized a cycle.\n\n")
    return text + table(
        ("multipliers", "array", "R", "read / write bytes", "ring KiB", "on-chip KiB", "cycles",
         "utilization", "speed-up", "to reach", "lost"),
        [(count(row["multipliers"]), row["array"], row["requantized"],
          f"{row['read_bytes']} / {row['write_bytes']}", row["ring_bytes"] >> 10,
          row["memory_bytes"] >> 10, count(row["cycles"]), share(row["utilization"]),
          f"{row['speedup']:.2f}", row["bar"] or "", lost_text(row["lost"]))
         for row in values["rows"]])


def _layers(results: Results) -> str:
    values = results["layers"]
    text = (f"## Layers of ResNet-18\n\nEach distinct layer as a model of its own on "
            f"`{values['target']}`, run and compared with the estimate and with golden.\n\n")
    return text + table(
        ("layer", "input", "kernel, stride", "times", "MAC", "cycles", "utilization", "estimate",
         "memory", "mismatches", "lost"),
        [(row["op"], _shape(row["input"]), _kernel(row["kernel"]), row["times"],
          count(row["macs"]), count(row["cycles"]), share(row["utilization"]), estimate_text(row),
          row["outside"] or "on chip", compared(row), lost_text(row["lost"]))
         for row in values["rows"]])


def _seconds(results: Results) -> str:
    values = results["seconds"]
    text = "## Seconds\n\nOn the machine of this run, which did other things too.\n\n"
    return text + table(("what", "seconds", "to reach"), [
        (row["what"], f"{row['seconds']:.1f}", f"<= {row['bar']}" if row["bar"] else "")
        for row in values])


def _range(row: Results) -> str:
    most = row["cycles_max"]
    return count(row["cycles"]) + (f" .. {most:,}" if most != row["cycles"] else "")


def _bar(row: Results) -> str:
    if row["bar"] is None:
        return ""
    return f"<= {row['bar']:,}: {'yes' if row['reached'] else '**no**'}"


def _shape(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape[1:]))


def _kernel(kernel: Sequence[int]) -> str:
    return f"{kernel[0]} x {kernel[1]}, {kernel[2]}"
