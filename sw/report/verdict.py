"""The verdict of a run: does it fit, how long it takes, what it waits for, and what to try next.

All of it is derived from the run's figures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from kaniwa.config import PRESETS

__all__ = ["CAUSE_WORDS", "kib", "verdict"]

Values = Mapping[str, Any]

WORTH = 0.02         # share of the cycles from which a cause is worth advice
BUSY = 0.9           # share of the cycles with a step from which the array itself is the limit

# What the array waits for, in words that follow "waits".
CAUSE_WORDS = {
    "load": "for input rows", "dependency": "for earlier layers", "weights": "for weights",
    "requantize": "for the requantizer", "store": "for results to be stored",
    "fill": "while windows, starts and ends fill", "units": "while another unit works"}


def verdict(run: Values) -> dict[str, Any]:
    """``fits``, ``headline``, ``waits`` and ``next``, a list of advice, most useful first."""
    if not run["fits"]:
        needed = run["totals"]["memory_bytes"]
        return {"fits": False, "headline": f"Does not fit {run['target']}.",
                "waits": run["why"], "next": list(_for_room(run, needed))}
    return {"fits": True, "headline": _headline(run), "waits": _waits(run),
            "next": list(_advice(run)) or ["Nothing stands out: the array works "
                                           "in nearly every cycle."]}


def kib(size: int) -> str:
    """Bytes as KiB, rounded up, or as MiB with a decimal from ten on."""
    if size >= 10 << 20:
        return f"{size / (1 << 20):,.1f} MiB"
    return f"{-(-size // 1024):,} KiB"


def _headline(run: Values) -> str:
    totals = run["totals"]
    room = f"{kib(totals['memory_bytes'])} of {kib(run['available_bytes'])}"
    if totals["outside_bytes"]:
        fits = (f"Fits {run['target']} with {kib(totals['outside_bytes'])} of outside memory "
                f"({room} on chip).")
    else:
        fits = f"Fits {run['target']}: {room}."
    if not totals["cycles"]:
        return f"{fits} The accelerator has nothing to do: all operators run on the host."
    return fits


def _causes(run: Values) -> dict[str, int]:
    """Cycles by cause. The array's "fill" in layers of other units is "units": these work then."""
    causes = dict(run["cycles_by_cause"])
    units = sum(layer["lost"].get("fill", 0) for layer in run["layers"]
                if layer["where"] not in ("array", "host"))
    if units:
        causes |= {"fill": causes["fill"] - units, "units": units}
    return causes


def _waits(run: Values) -> str:
    cycles = run["totals"]["cycles"]
    if not cycles:
        return ""
    by_cause = _causes(run)
    lost = {cause: count for cause, count in by_cause.items() if cause != "issued"}
    works = f"The array works in {_percent(by_cause.get('issued', 0) / cycles)} of the cycles."
    if not lost:
        return works
    cause = max(lost, key=lambda name: lost[name])
    return (f"{works} Of the rest it waits most {CAUSE_WORDS[cause]}: "
            f"{_percent(lost[cause] / cycles)}.")


def _percent(share: float) -> str:
    text = f"{100 * share:.1f}"
    return "less than 0.1 %" if share and text == "0.0" else f"{text.removesuffix('.0')} %"


def _for_room(run: Values, needed: int | None) -> Iterator[str]:
    if needed is None:
        yield "Read the reason above: memory is not what is missing."
        return
    roomy = [name for name, config in PRESETS.items() if config.memory_bytes >= needed]
    if roomy:
        yield f"Take a target with more memory: --target {roomy[0]} has room for it."
    if not run["config"]["compact"] and run["clock"]["board"] is None:
        yield "Give it outside memory: --outside sdram."
    yield ("Make the model smaller: a narrower network, smaller inputs, or fewer "
           "channels in the widest layer.")


def _advice(run: Values) -> Iterator[str]:
    if run.get("outside_added"):
        roomy = [name for name, config in PRESETS.items()
                 if config.memory_bytes >= run["totals"]["outside_bytes"]
                 + run["totals"]["memory_bytes"]]
        yield (f"On chip alone it does not fit: {run['why']}. The figures are those with SDRAM "
               "outside" + (f"; --target {roomy[0]} has room on chip." if roomy else "."))
    host = list(_for_host(run))
    if run["totals"]["host_operators"] > 1:      # one alone is mostly the SOFTMAX at the end
        yield from host
        host = []
    link = run["link"]
    if link and link["milliseconds"] > run["totals"]["milliseconds"]:
        yield (f"The line to the host takes longer than computing ({link['milliseconds']:.1f} ms): "
               "send smaller inputs, or move what makes them to the board.")
    cycles = run["totals"]["cycles"]
    if not cycles:
        yield from host
        return
    by_cause = _causes(run)
    lost = sorted(((count, cause) for cause, count in by_cause.items()
                   if cause in CAUSE_ADVICE and count >= WORTH * cycles), reverse=True)
    for count, cause in lost[:3]:
        yield f"{_percent(count / cycles)} {CAUSE_ADVICE[cause](run)}"
    yield from _for_units(run)
    if by_cause.get("issued", 0) >= BUSY * cycles:
        faster = next((name for name, config in PRESETS.items()
                       if config.multipliers > run["multipliers"]), None)
        yield (f"The array is the limit, with {run['multipliers']} multipliers"
               + (f": --target {faster} has {PRESETS[faster].multipliers}." if faster else "."))
    yield from host


def _for_host(run: Values) -> Iterator[str]:
    """For each reason of the host's operators, how many there are, and what target takes them."""
    reasons: dict[str, list[str]] = {}
    by_runtime: dict[str, list[str]] = {}
    for layer in run["layers"]:
        if layer.get("runtime"):
            by_runtime.setdefault(layer["runtime"], []).append(layer["op"])
        elif layer["where"] == "host" and "stands beside" not in layer["why"]:
            reasons.setdefault(layer["why"], []).append(layer["op"])
    for runtime, ops in by_runtime.items():
        yield (f"The host runs {', '.join(dict.fromkeys(ops))} by {runtime}: golden has no kernel "
               "for it, and no claim of exactness holds behind it.")
    having = [name for name, config in PRESETS.items() if config.vector_unit]
    for why, ops in reasons.items():
        kinds = ", ".join(dict.fromkeys(ops))
        if "vector unit" in why:
            yield (f"The host runs {kinds}: this target has no vector unit. Targets that have one: "
                   f"{', '.join(having)}.")
        elif len(reasons) <= 3:
            yield f"The host runs {kinds}: {why}."


def _for_units(run: Values) -> Iterator[str]:
    cycles = run["totals"]["cycles"]
    own = sum(layer["cycles"] for layer in run["layers"]
              if layer["where"] not in ("array", "host"))
    if own >= 0.3 * cycles:
        yield (f"{_percent(own / cycles)} of the cycles are layers with programs of units beside "
               f"the array: more requant_lanes (now {run['config']['requant_lanes']}) widen the "
               "vector unit.")


def _for_weights(run: Values) -> str:
    config, totals = run["config"], run["totals"]
    near = ""
    if totals["outside_bytes"]:
        near = (" Part of the memory is outside, with "
                f"{run['roofs']['outside_bytes_per_cycle']} bytes a cycle: more memory_bytes keep "
                "more weights on chip.")
    return (f"of the cycles wait for weights: wider reads (read_bytes, now {config['read_bytes']}) "
            f"or a larger ring (ring_bytes, now {kib(config['ring_bytes'])}).{near}")


def _for_requantize(run: Values) -> str:
    config = run["config"]
    if config["requant_cycles"] > 1:
        return (f"of the cycles wait for the requantizer: fewer requant_cycles (now "
                f"{config['requant_cycles']}) a result.")
    return (f"of the cycles wait for the requantizer: more requant_lanes (now "
            f"{config['requant_lanes']}) or result_slots (now {config['result_slots']}).")


CAUSE_ADVICE: dict[str, Callable[[Values], str]] = {
    "weights": _for_weights,
    "requantize": _for_requantize,
    "load": lambda run: (
        f"of the cycles wait for input rows: wider reads (read_bytes, now "
        f"{run['config']['read_bytes']}) or a larger line buffer (line_bytes, now "
        f"{kib(run['config']['line_bytes'])})."),
    "store": lambda run: (
        f"of the cycles wait for stores: wider writes (write_bytes, now "
        f"{run['config']['write_bytes']})."),
    "dependency": lambda run: (
        "of the cycles wait for earlier layers: fewer, larger layers; a fused ADD or "
        "activation saves one."),
    "fill": lambda run: (
        "of the cycles fill windows, or begin and end layers: layers with more channels or pixels "
        "lose less."),
}
