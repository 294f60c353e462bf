"""The document of a report: one JSON object, version 1, from which the page is drawn.

    {"format": "kaniwa.report", "version": 1, "kaniwa": version, "title": text, "runs": [RUN, ...]}

A RUN is a model on a target:

| key | value |
|---|---|
| model, target, label, before | names; ``label`` is unique; ``before``: read from a saved report |
| fits, why, outside_added | ``fits`` is false where it cannot be compiled: no layers then |
| config, multipliers, available_bytes, roofs | the target |
| clock | mhz, note, board (name and title, or null) |
| source | "estimate", or the device that counted the cycles |
| counted | null, or device, cycles, estimated, has_counters |
| totals | cycles, milliseconds, issued, macs, utilization, memory_bytes, host_segments, ... |
| cycles_by_cause | "issued" (cycles with a step) and lost cycles by cause; they add up to cycles |
| layers | in the order of execution, those of the host too; see below |
| edges | [from, to] positions in layers, -1 for the model's inputs |
| memory | rectangles: kind, name, address, bytes, outside, first and last layer (positions) |
| bits | weights (their number) and bytes by cause; the bytes add up to totals.weight_bytes |
| link | null without a board, else milliseconds and bytes on its line |
| events | null, or the event record (see ``kaniwa.cycles.record``) |
| accuracy | null, or device, inferences, correct, accuracy, classes of labelled data |
| verdict | fits, headline, waits, next (a list of advice) |

A layer has number, label, name, op, kernel, shape, where ("host", or units such as "array"), why
(the host's), runtime (the framework's, where that runs it on the host, else ""), macs,
removed_macs, first (cycle), cycles, issued, lost (by cause; with issued they add up to cycles),
utilization, steps, fused, instructions ([first, last, count]), bytes (moved, by kind, or null where
a unit's program moves them) and constants (bytes by cause, of its own).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from kaniwa._version import __version__
from kaniwa.errors import InputError
from kaniwa.report.verdict import verdict

__all__ = ["FORMAT", "VERSION", "document", "load_counted", "load_document"]

FORMAT, VERSION = "kaniwa.report", 1
MAX_FILE_BYTES = 1 << 28
OF_RUN = {"model": str, "target": str, "fits": bool, "layers": list, "totals": dict,
          "clock": dict, "config": dict, "edges": list, "memory": list, "verdict": dict}
OF_LAYER = {"number": int, "name": str, "label": str, "op": str, "where": str, "cycles": int,
            "lost": dict, "shape": list}
OF_COUNTED = {"device": str, "target": str, "cycles": int, "layers": list}
OF_COUNTED_LAYER = {"number": int, "cycles": int, "utilization": float, "lost": dict}


def document(runs: Iterable[dict[str, Any]], before: Iterable[dict[str, Any]] = ()) -> dict[
        str, Any]:
    """The document of ``runs``; those of ``before`` come first, as what they are compared with."""
    chosen = [{**run, "before": True} for run in before]
    chosen += [{**run, "verdict": verdict(run)} for run in runs]
    seen = Counter[str]()
    for run in chosen:
        label = f"{run['model']} on {run['target']}" + (", before" if run["before"] else "")
        seen[label] += 1
        run["label"] = label if seen[label] == 1 else f"{label} ({seen[label]})"
    models = list(dict.fromkeys(run["model"] for run in chosen))
    targets = list(dict.fromkeys(run["target"] for run in chosen))
    return {"format": FORMAT, "version": VERSION, "kaniwa": __version__,
            "title": f"{', '.join(models)} on {', '.join(targets)}", "runs": chosen}


def load_document(path: str | PathLike[str]) -> dict[str, Any]:
    """A document that ``kaniwa report --json`` wrote; raises InputError for anything else."""
    values = _load(path, "a report's JSON")
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise InputError(f"{path}: not a report's JSON; kaniwa report --json FILE writes one")
    if values.get("version") != VERSION:
        raise InputError(f"{path}: version {values.get('version')!s:.20} of a report, this kaniwa "
                         f"reads {VERSION}; make the report again")
    runs = values.get("runs")
    if not isinstance(runs, list) or not runs:
        raise InputError(f"{path}: a report without runs; make the report again")
    for run in runs:
        _check(path, run, OF_RUN)
        for layer in run["layers"]:
            _check(path, layer, OF_LAYER)
    return values


def load_counted(path: str | PathLike[str]) -> dict[str, Any]:
    """What ``kaniwa run --json`` printed; raises InputError for anything else."""
    values = _load(path, "the JSON of a run")
    _check(path, values, OF_COUNTED)
    for layer in values["layers"]:
        _check(path, layer, OF_COUNTED_LAYER)
    return dict(values)


def _load(path: str | PathLike[str], what: str) -> Any:
    try:
        if (size := Path(path).stat().st_size) > MAX_FILE_BYTES:
            raise InputError(f"{path}: {size} bytes are too many for {what}")
        return json.loads(Path(path).read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError):
        raise InputError(f"{path}: not {what}: it is no JSON") from None


def _check(path: str | PathLike[str], values: Any, kinds: Mapping[str, type]) -> None:
    """Raise InputError unless ``values`` is an object with values of these types."""
    for name, kind in kinds.items():
        value = values.get(name) if isinstance(values, dict) else None
        if not isinstance(value, (kind, int) if kind is float else kind):
            raise InputError(f"{path}: damaged: '{name}' is missing or of a wrong type; "
                             "make the file again")
