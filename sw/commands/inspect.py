"""``kaniwa info``, ``kaniwa describe`` and ``kaniwa operators``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import click

from kaniwa.commands.options import json_option, show_json, show_table

__all__ = ["info_command", "describe_command", "operators_command"]


@click.command("info", epilog="Example: kaniwa info resnet8.tflite")
@click.argument("file", type=click.Path(path_type=Path))
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
@click.argument("target")
@json_option
def describe_command(target: str, as_json: bool) -> None:
    """The parameters of TARGET (a preset or a TOML file) and their legal ranges."""
    from kaniwa.config import LEGAL_RANGES, load_target

    config = load_target(target)
    derived = {"multipliers": config.multipliers, "requant_rate": str(config.requant_rate),
               "ring_words": config.ring_words, "parameter_words": config.parameter_words}
    values: dict[str, Any] = {"target": config.name, "hash": config.hash, **config.as_dict(),
                              **derived}
    if as_json:
        ranges = {name: {"low": low, "high": high, "power_of_two": power, "meaning": meaning}
                  for name, (low, high, power, meaning) in LEGAL_RANGES.items()}
        show_json(values | {"legal": ranges})
        return
    rows = []
    for name, value in config.as_dict().items():
        low, high, power, meaning = LEGAL_RANGES.get(name, (None, None, False, ""))
        legal = f"{low}..{high}{', power of two' if power else ''}" if low is not None else ""
        rows.append((name, str(value), legal, meaning))
    show_table(f"{config.name}, hash {config.hash}", ("parameter", "value", "legal", "meaning"),
               rows)
    click.echo(", ".join(f"{name} {value}" for name, value in derived.items()))


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
