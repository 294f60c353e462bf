"""The block diagram: blocks and wires as ``hw/core.py`` makes them, each in its place.

The wires are heard from ``Core`` itself, while it wires up the preset ``base``. A block or a wire
of the code that has no place here, or a place without a wire, is an error.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from amaranth import Elaboratable, Module

from kaniwa.config import PRESETS
from kaniwa.hw import core
from kaniwa.isa import UNITS
from pictures.svg import Picture

__all__ = ["block_diagram", "wires_of_core"]

Wire = tuple[str, str]
WIDTH, HEIGHT, TALL = 128, 46, 446
# Where each block stands: column and row.
PLACES = {
    "memory": (0, 0), "sequencer": (1, 0), "queues": (2, 0),
    "patch_buffer": (3, 1), "max_pool": (4, 1),
    "load": (1, 2), "line_buffer": (2, 2), "window": (3, 2), "mac_array": (4, 2),
    "result_buffer": (5, 2),
    "array": (2, 3), "parameter_buffer": (4, 3), "post": (5, 3),
    "weights": (1, 4), "weight_ring": (2, 4), "operand": (4, 4), "beat_buffer": (5, 4),
    "store": (5, 5),
}
FOLDERS = {"memory": "grey", "control": "yellow", "steps": "pink", "activations": "sky",
           "weights": "orange", "array": "green", "results": "red", "parts": "blue"}
WORDS = {"weights": "weight decoder", "array": "array control", "memory": "memory system",
         "load": "load", "store": "store", "operand": "operand"}


def _x(column: int) -> int:
    return 20 + 160 * column


def _y(row: int) -> int:
    return 44 + 80 * row


def _side(block: str, side: str, shift: float = 0) -> tuple[float, float]:
    """The middle of a side of a block (left, right, top, bottom), moved along it."""
    column, row = PLACES[block]
    x, y = _x(column), _y(row)
    if side in ("left", "right"):
        return x + (WIDTH if side == "right" else 0), y + HEIGHT / 2 + shift
    return x + WIDTH / 2 + shift, y + (HEIGHT if side == "bottom" else 0)


def _memory(row: int, shift: float = 0) -> tuple[float, float]:
    """A point on the right side of memory, which is as tall as the picture."""
    return _x(0) + WIDTH, _y(row) + HEIGHT / 2 + shift


def _elbow(start: tuple[float, float], end: tuple[float, float]) -> list[tuple[float, float]]:
    """Sideways first, then up or down."""
    return [start, (end[0], start[1]), end]


def _by_lane(start: tuple[float, float], lane: float, x: float,
             end: tuple[float, float]) -> list[tuple[float, float]]:
    """Down to a lane below the blocks, along it to ``x``, up, and in from the left."""
    return [start, (start[0], lane), (x, lane), (x, end[1]), end]


def _routes() -> dict[Wire, list[tuple[float, float]]]:
    """The way of each wire."""
    lane = _y(4) + HEIGHT
    tables, tile = _side("post", "left", 14), _side("parameter_buffer", "left")
    operand = _side("operand", "bottom")
    return {
        ("memory", "sequencer"): [_memory(0), _side("sequencer", "left")],
        ("sequencer", "queues"): [_side("sequencer", "right"), _side("queues", "left")],
        ("memory", "load"): [_memory(2), _side("load", "left")],
        ("load", "line_buffer"): [_side("load", "right"), _side("line_buffer", "left")],
        ("line_buffer", "window"): [_side("line_buffer", "right"), _side("window", "left")],
        ("window", "patch_buffer"): [_side("window", "top", -16),
                                     _side("patch_buffer", "bottom", -16)],
        ("patch_buffer", "window"): [_side("patch_buffer", "bottom", 16),
                                     _side("window", "top", 16)],
        ("window", "mac_array"): [_side("window", "right"), _side("mac_array", "left")],
        ("window", "max_pool"): [_side("window", "right", -14),
                                 (_x(4) - 16, _side("window", "right", -14)[1]),
                                 (_x(4) - 16, _side("max_pool", "left")[1]),
                                 _side("max_pool", "left")],
        ("max_pool", "result_buffer"): _elbow(_side("max_pool", "right"),
                                              _side("result_buffer", "top")),
        ("mac_array", "result_buffer"): [_side("mac_array", "right"),
                                         _side("result_buffer", "left")],
        ("array", "load"): _elbow(_side("array", "left"), _side("load", "bottom")),
        ("array", "line_buffer"): [_side("array", "top"), _side("line_buffer", "bottom")],
        ("array", "weight_ring"): [_side("array", "bottom"), _side("weight_ring", "top")],
        ("array", "window"): _elbow(_side("array", "right"), _side("window", "bottom", -20)),
        ("weight_ring", "window"): _elbow(_side("weight_ring", "right"),
                                          _side("window", "bottom", 20)),
        ("memory", "weights"): [_memory(4), _side("weights", "left")],
        ("weights", "weight_ring"): [_side("weights", "right"), _side("weight_ring", "left")],
        ("weights", "parameter_buffer"): _by_lane(_side("weights", "bottom", 20), lane + 8,
                                                  _x(4) - 16, tile),
        ("weights", "post"): _by_lane(_side("weights", "bottom"), lane + 17, _x(5) - 10, tables),
        ("memory", "operand"): [_memory(5, -31), (operand[0], _memory(5, -31)[1]), operand],
        ("operand", "post"): [_side("operand", "right"), (_x(5) - 20, _side("operand", "right")[1]),
                              (_x(5) - 20, _side("post", "left", 4)[1]), _side("post", "left", 4)],
        ("parameter_buffer", "post"): [_side("parameter_buffer", "right", -10),
                                       _side("post", "left", -10)],
        ("result_buffer", "post"): [_side("result_buffer", "bottom"), _side("post", "top")],
        ("post", "beat_buffer"): [_side("post", "bottom"), _side("beat_buffer", "top")],
        ("beat_buffer", "store"): [_side("beat_buffer", "bottom"), _side("store", "top")],
        ("store", "memory"): [_side("store", "left"), _memory(5)],
    }


def wires_of_core() -> tuple[dict[str, str], set[Wire]]:
    """The blocks of ``base`` with their folders in hw/, and which sends data to which.

    Queues count as one block, and what they give to the units is left out.
    """
    heard: list[tuple[Any, Any]] = []
    real = core.connect
    core.connect = lambda m, first, second: heard.append((first, second))
    try:
        design, datapath = core.Core(PRESETS["base"]), Module()
        design._add_blocks(datapath)
        design._wire_memory(datapath)
        design._wire_array(datapath)
        design._wire_results(datapath)
    finally:
        core.connect = real
        for created in (design, datapath,
                        *(block for block, *_ in datapath._named_submodules.values())):
            _silence(created)
    blocks = {name: datapath.submodules[name] for name in PLACES if name != "queues"}
    ports = {id(getattr(block, member)): name for name, block in blocks.items()
             for member in block.signature.members}
    ports |= {id(datapath.submodules[f"{unit}_queue"].i): "queues" for unit in UNITS}
    found = {(ports[id(a)], ports[id(b)]) for a, b in heard if id(a) in ports and id(b) in ports}
    return {name: type(block).__module__.split(".")[2] for name, block in blocks.items()}, {
        _towards(*wire) for wire in found} - {("post", "parameter_buffer")} | _assigned()


def _silence(block: Any) -> None:
    """Let a block that is looked at, and not elaborated, go without Amaranth's warning."""
    block._MustUse__silence = True
    for part in vars(block).values():
        if isinstance(part, Elaboratable) and not part._MustUse__silence:
            _silence(part)


def _towards(first: str, second: str) -> Wire:
    """The wire in the direction of its data: what asks memory gets it, but for the store unit."""
    return (second, first) if second == "memory" and first != "store" else (first, second)


def _assigned() -> set[Wire]:
    """Data that ``Core`` hands on by assignment: reads of buffers."""
    tree = ast.parse(Path(core.__file__).read_text())
    found = set()
    for call in ast.walk(tree):
        if (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)
                and call.func.attr == "eq" and "data" in ast.unparse(call)):
            sink, source = ast.unparse(call.func.value), ast.unparse(call.args[0])
            names = [part.removeprefix("blocks.").split(".")[0] for part in (sink, source)]
            reader, buffer = ({"lines": "line_buffer", "parameters": "parameter_buffer"}.get(n, n)
                              for n in names)
            if {reader, buffer} <= PLACES.keys():
                found.add((buffer, reader))
    return found


def block_diagram() -> str:
    """The picture as SVG."""
    folders, wires = wires_of_core()
    routes = _routes()
    if wires != routes.keys():
        raise ValueError(f"tools/pictures/blocks.py: wires of the code without a way: "
                         f"{sorted(wires - routes.keys())}; ways without a wire: "
                         f"{sorted(routes.keys() - wires)}")
    picture = Picture(970, 560, "Block diagram of the core: device memory, load, line buffer, "
                      "window, MAC array, result buffer, post unit and store")
    for way in routes.values():
        picture.wire(way)
    for name, (column, row) in PLACES.items():
        x, y = _x(column), _y(row)
        words = WORDS.get(name, name.replace("_", " "))
        if name == "queues":
            picture.box(x, y, _x(5) + WIDTH - x, HEIGHT, FOLDERS["parts"])
            words = "instruction queues: " + ", ".join(UNITS)
            picture.text((x + _x(5) + WIDTH) / 2, y + 28, words, name="on", anchor="middle")
            continue
        height = TALL if name == "memory" else HEIGHT
        picture.box(x, y, WIDTH, height, FOLDERS[folders[name]])
        mark = " ▾" if name in UNITS else ""
        picture.text(x + WIDTH / 2, y + 28, words.replace("mac", "MAC") + mark, name="on",
                     anchor="middle")
    picture.text(20, 26, "The core, as hw/core.py wires it", name="strong")
    picture.text(_x(5) + WIDTH, 26, "▾ takes instructions from its queue", name="small",
                 anchor="end")
    picture.legend(20, 540, [(f"hw/{folder}/", color) for folder, color in FOLDERS.items()])
    return picture.svg()
