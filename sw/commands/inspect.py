"""``kaniwa info``, ``kaniwa describe``, ``kaniwa operators`` and ``kaniwa devices``."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from kaniwa.commands.completion import complete_targets
from kaniwa.commands.options import json_option, shape_option, show_json
from kaniwa.commands.tables import show_table
from kaniwa.runtimes import NAMES as RUNTIMES

__all__ = ["info_command", "describe_command", "operators_command", "devices_command"]

FORMATS = "encodings of weights that the decoder knows; raw is always one"
UNITS = "units beside the array that are registered, but have no field of their own"
# What follows from a config's fields.
DERIVED = {
    "multipliers": "products a cycle: out_lanes * dot_width",
    "requant_rate": "R, results requantized a cycle: requant_lanes / requant_cycles",
    "ring_words": "words of the weight ring, each with a weight for each multiplier",
    "parameter_words": "words of the parameter buffer, each of requant_lanes records",
}
# USB vendor and product -> boards that carry this adapter (they have no ids of their own)
USB_BOARDS = {
    (0x0403, 0x6015): "ULX3S (FT231X)",
    (0x0403, 0x6010): "iCEBreaker, Tang Primer 20K or another board with an FT2232 (second port)",
}
ALWAYS = {"golden": "reference kernels on this machine",
          "emulator": "the command stream on this machine",
          "sim": "the gateware, simulated"}


@click.command("info", epilog="Example: kaniwa info resnet8.tflite")
@click.argument("file", type=click.Path(path_type=Path))
@shape_option
@json_option
def info_command(file: Path, as_json: bool) -> None:
    """What a model or program file holds."""
    values = _program_info(file) if file.suffix == ".kaniwa" else _model_info(file)
    if as_json:
        show_json(values)
        return
    show_table(str(file), ("what", "value"),
               [(k, v) for k, v in values.items() if not isinstance(v, list)])
    for side in ("inputs", "outputs"):
        show_table(side, ("name", "shape", "dtype", "scale", "zero point"),
                   [(t["name"], t["shape"], t["dtype"], str(t["scale"]), t["zero_point"])
                    for t in values[side]])


def _model_info(path: Path) -> dict[str, Any]:
    from kaniwa.importers import load_model

    graph = load_model(path)

    def tensors(ids: tuple[int, ...]) -> list[dict[str, Any]]:
        items = [graph.tensors[i] for i in ids]
        return [{"name": t.name, "shape": list(t.shape), "dtype": t.dtype,
                 "scale": t.quantization.scale if t.quantization else None,
                 "zero_point": t.quantization.zero_point if t.quantization else None}
                for t in items]

    kinds = Counter(op.kind for op in graph.ops)
    return {"kind": "model", "sha256": graph.source_sha256, "operators": len(graph.ops),
            "operator_counts": ", ".join(f"{n} {k}" for k, n in kinds.items()),
            "constants_bytes": sum(t.data.nbytes for t in graph.tensors if t.data is not None),
            "inputs": tensors(graph.inputs), "outputs": tensors(graph.outputs)}


def _program_info(path: Path) -> dict[str, Any]:
    from kaniwa.program.file import load_program
    from kaniwa.program.summary import summary

    program = load_program(path)

    def items(tensors: Any) -> list[dict[str, Any]]:
        return [{"name": t.name, "shape": list(t.shape), "dtype": t.dtype, "scale": t.scale,
                 "zero_point": t.zero_point} for t in tensors]

    values = summary(program)
    return {"kind": "program", "target": values["target"], "config_hash": program.config.hash,
            "model": values["model"], "source_sha256": program.source_sha256,
            "instructions": len(program.instructions),
            "runs": len(program.runs), "host_operators": ", ".join(
                f"{n} {k}" for k, n in Counter(op.kind for op in program.host_ops).items()),
            "memory_bytes": values["memory_bytes"],
            "weight_bytes": values["weight_bytes"], "outside": program.outside or "none",
            "inputs": items(program.inputs), "outputs": items(program.outputs)}


@click.command("describe", epilog="Example: kaniwa describe nano")
@click.argument("target", shell_complete=complete_targets)
@json_option
def describe_command(target: str, as_json: bool) -> None:
    """The parameters of TARGET (a preset or a TOML file) and their legal ranges."""
    from kaniwa.config import LEGAL_RANGES, SWITCHES, WEIGHT_FORMATS, load_target

    config = load_target(target)
    derived = {name: str(value) if name == "requant_rate" else value for name in DERIVED
               for value in [getattr(config, name)]}
    if as_json:
        ranges = {name: {"low": low, "high": high, "power_of_two": power, "meaning": meaning}
                  for name, (low, high, power, meaning) in LEGAL_RANGES.items()}
        meanings = {**{name: row[3] for name, row in LEGAL_RANGES.items()}, **SWITCHES, **DERIVED,
                    "weight_formats": FORMATS, "units": UNITS}
        show_json({"target": config.name, "hash": config.hash, **config.as_dict(), **derived,
                   "legal": ranges, "meaning": meanings})
        return
    legal = {name: (f"{low}..{high}{', 2^n' if power else ''}", meaning)
             for name, (low, high, power, meaning) in LEGAL_RANGES.items()}
    legal |= {name: ("true or false", meaning) for name, meaning in SWITCHES.items()}
    legal["weight_formats"] = _plain(tuple(WEIGHT_FORMATS)), FORMATS
    legal["units"] = "names of the register", UNITS
    values = {name: value for name, value in asdict(config).items() if name != "name"}
    show_table(f"{config.name}, hash {config.hash}", ("parameter", "value", "legal", "meaning"),
               [(name, _plain(value), *legal[name]) for name, value in values.items()])
    show_table("what follows", ("name", "value", "meaning"),
               [(name, str(derived[name]), meaning) for name, meaning in DERIVED.items()])


def _plain(value: Any) -> str:
    """As in a TOML file, but a name a line: the meanings need the width."""
    if isinstance(value, bool):
        return str(value).lower()
    return ",\n".join(value) if isinstance(value, tuple) else str(value)


@click.command("operators", epilog="Example: kaniwa operators --json")
@json_option
def operators_command(as_json: bool) -> None:
    """Supported operators: where each runs, by which rule, and its limits."""
    from kaniwa.documents.operators import operator_table
    from kaniwa.documents.operators_onnx import onnx_operator_table

    rows = operator_table() + onnx_operator_table()
    if as_json:
        show_json({"operators": rows})
        return
    show_table("", ("operator", "where", "reference", "limits"),
               [(r["operator"], r["where"], r["rule"], "; ".join(r["limits"])) for r in rows])
    click.echo(f"what golden lacks, {' or '.join(RUNTIMES.values())} does on the host, with the "
               "extra host: docs/operators.md")


@click.command("devices", epilog="Example: kaniwa devices")
@json_option
def devices_command(as_json: bool) -> None:
    """List what programs can run on, with the serial ports that may lead to a board.

    A board on the network is not looked for: name it udp:HOST[:PORT], or tcp:HOST:PORT behind a
    bridge. Neither is one on SPI: name it spi:PATH[?hz=N] (spi:/dev/spidev0.0?hz=1000000). Nor is
    a core on this machine's bus: name it uio:PATH (uio:/dev/uio0), or
    mem:ADDRESS[:SIZE] in hexadecimal for /dev/mem. Behind either, ?outside=udmabuf0 names a buffer
    of u-dma-buf as its outside memory.
    """
    from kaniwa.boards.board import BOARDS, load_board

    always = ALWAYS | {f"sim:{name}": f"simulated at its pins: {load_board(name).title}"
                       for name in BOARDS}
    found = [{"device": name, "what": what, "serial_number": None}
             for name, what in always.items()] + _plugged_in()
    if as_json:
        show_json({"devices": found})
    else:
        show_table("", ("device", "what", "serial number"),
                   [(d["device"], d["what"], d["serial_number"] or "") for d in found])


def _plugged_in() -> list[dict[str, Any]]:
    """The serial ports of USB adapters, named as for ``--device``."""
    from kaniwa.driver.transports import usb_ports

    return [{"device": f"serial:{port.device}", "serial_number": port.serial_number,
             "what": USB_BOARDS.get((port.vid, port.pid), port.description)}
            for port in usb_ports()]
