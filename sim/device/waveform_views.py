"""Save files that show a core's waveform in GTKWave and in Surfer: by block, with words."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kaniwa.files import write_atomic

__all__ = ["view_paths", "write_views"]

TEXTS = "kaniwa"    # the scope of the texts
LAYER = ("layer", "operator", "mode")
CORE = "core.core"  # that of the core
# The blocks and what of them is shown: ports, where they have them.
BLOCKS = (
    ("run", "control", ("running", "busy", "done", "error", "error_code", "retired", "cycles")),
    ("commands", "datapath.sequencer", ("memory", "o_load", "o_weights", "o_array", "o_post",
                                        "o_operand", "o_store", "o_unit", "begin", "retired")),
    ("load", "datapath.load", ("i_instruction", "memory", "o", "write", "dependency",
                               "level__loaded", "level__freed", "idle")),
    ("weights", "datapath.weights", ("i_instruction", "memory", "o_weights", "o_parameters",
                                     "o_table", "chunk_valid", "chunk_ready", "record_valid",
                                     "error", "idle")),
    ("array", "datapath.array", ("i_instruction", "events__issued", "events__stall_load",
                                 "events__stall_weights", "events__stall_result", "o_step",
                                 "issue", "slots", "idle")),
    ("post", "datapath.post", ("i_instruction", "i_results", "i_operand", "o", "done", "write",
                               "waiting_for_store", "idle")),
    ("operand", "datapath.operand", ("i_instruction", "memory", "o", "dependency", "idle")),
    ("store", "datapath.store", ("i_instruction", "i", "memory", "progress__retire", "retire_tag",
                                 "progress__watermark", "idle")),
    ("memory", "", ("local_read", "local_write", "outside_read", "outside_write")),
)
HANDSHAKE = re.compile(r"(__(request|response))?__(valid|ready)")
# GTKWave's flags of a trace: address, number, bit, text, and of a group's begin and end.
HEX, DECIMAL, BIT, TEXT, BEGIN, END = "22", "24", "28", "820", "800200", "1000200"
SIZE = (1600, 1000)
SHOWN = 5000         # of the waveform's time at first, so that words are readable
ZOOMED = 5           # times 2 ** -zoom: the time that fits into its 1000 pixels
TAIL = 1 << 22       # bytes at a waveform's end, in which a time stands


@dataclass(frozen=True)
class Variable:
    """A signal of the waveform: its path with dots, and its bits as GTKWave writes them."""

    path: str
    bits: str
    kind: str

    @property
    def flags(self) -> str:
        """GTKWave's way to show it."""
        if self.kind == "string":
            return TEXT
        if not self.bits:
            return BIT
        return HEX if self.path.endswith(("watermark", "address")) else DECIMAL


def view_paths(waveform: Path) -> tuple[Path, Path]:
    """The files of GTKWave and of Surfer beside ``waveform``."""
    return waveform.with_suffix(".gtkw"), waveform.with_suffix(".sucl")


def write_views(waveform: Path) -> None:
    """Write the save files of ``waveform``, a core's with texts."""
    variables = _read_header(waveform)
    groups = list(_groups(variables))
    gtkwave, surfer = view_paths(waveform)
    write_atomic(gtkwave, _gtkwave(waveform, groups).encode())
    write_atomic(surfer, _surfer(groups).encode())


def _read_header(waveform: Path) -> dict[str, dict[str, Variable]]:
    """The variables by scope and name, of those that are one signal in a scope the first."""
    scopes: dict[str, dict[str, Variable]] = {}
    path: list[str] = []
    seen: set[tuple[str, str]] = set()
    with open(waveform, errors="replace") as file:
        for line in file:
            words = line.split()
            if words[:1] == ["$enddefinitions"]:
                break
            if words[:1] == ["$scope"]:
                path.append(words[2])
            elif words[:1] == ["$upscope"]:
                path.pop()
            elif words[:1] == ["$var"]:
                scope, (kind, _, code, name) = ".".join(path), words[1:5]
                bits = words[5] if words[5] != "$end" else ""
                if (scope, code) not in seen:
                    seen.add((scope, code))
                    scopes.setdefault(scope, {})[name] = Variable(f"{scope}.{name}", bits, kind)
    return scopes


def _groups(scopes: dict[str, dict[str, Variable]]) -> Iterator[tuple[str, list[Variable]]]:
    """The signals that are shown, by block: the block's words first."""
    texts = scopes.get(TEXTS, {})
    layer = [texts[name] for name in LAYER if name in texts]
    units = [text for name, text in texts.items()
             if name not in LAYER and not name.endswith("_layer")]
    for name, shown_texts in (("layer", layer), ("units", units)):
        if shown_texts:
            yield name, shown_texts
    for block, scope, shown in BLOCKS:
        known = scopes.get(f"{CORE}.{scope}" if scope else CORE, {})
        words = [texts[name] for name in (f"{block}_layer",) if name in texts]
        signals = [variable for port in shown for name, variable in known.items()
                   if name == port or (name.startswith(port)
                                       and HANDSHAKE.fullmatch(name, len(port)))]
        if signals:
            yield block, words + signals


def _gtkwave(waveform: Path, groups: list[tuple[str, list[Variable]]]) -> str:
    zoom = -math.log2(min(SHOWN, max(1, _end(waveform))) / ZOOMED)
    lines = [f'[dumpfile] "{waveform.absolute()}"', "[timestart] 0",
             f"[size] {SIZE[0]} {SIZE[1]}", "[pos] -1 -1", f"*{zoom:.6f} 0" + " -1" * 27,
             "[sst_width] 200", "[signals_width] 300", "[sst_expanded] 0"]
    for name, variables in groups:
        lines += [f"@{BEGIN}", f"-{name}"]
        flags = ""
        for variable in variables:
            if variable.flags != flags:
                flags = variable.flags
                lines.append(f"@{flags}")
            lines.append(variable.path + variable.bits)
        lines += [f"@{END}", f"-{name}"]
    return "\n".join(lines) + "\n"


def _end(waveform: Path) -> int:
    """The last time in a waveform."""
    with open(waveform, "rb") as file:
        file.seek(max(0, waveform.stat().st_size - TAIL))
        times = re.findall(rb"^#(\d+)", file.read(), re.MULTILINE)
    return int(times[-1]) if times else 0


def _surfer(groups: list[tuple[str, list[Variable]]]) -> str:
    lines = []
    for name, variables in groups:
        lines.append(f"divider_add {name}")
        lines += [f"variable_add {variable.path}" for variable in variables]
    return "\n".join([*lines, "zoom_fit"]) + "\n"
