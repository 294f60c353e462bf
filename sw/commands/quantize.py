"""``kaniwa quantize``."""

from __future__ import annotations

import math
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kaniwa.commands.options import json_option, show_json
from kaniwa.commands.progress import progress
from kaniwa.commands.tables import show_table
from kaniwa.commands.values import OutputFile
from kaniwa.errors import Error, InputError
from kaniwa.quantization.recipe import ACTIVATIONS, METHODS, WEIGHTS, Recipe

if TYPE_CHECKING:
    from kaniwa.quantization.errors_by_layer import Outcome

__all__ = ["quantize_command"]


@click.command("quantize", epilog="Example: kaniwa quantize float.onnx --calibration data.npz "
                                  "-o model.onnx")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--calibration", required=True, type=click.Path(path_type=Path), metavar="X.npz",
              help="Samples of each input: [n, ...] by the input's name.")
@click.option("-o", "--output", type=OutputFile(), default=None,
              help="Model to write (default: the model's name with _quantized).")
@click.option("--method", type=click.Choice(METHODS),
              default="minmax", show_default=True, help="How ranges of activations are found.")
@click.option("--percentile", type=float, default=99.99, show_default=True, metavar="P",
              help="Share of values within the range, for --method percentile.")
@click.option("--weights", type=click.Choice(WEIGHTS), default="int8", show_default=True)
@click.option("--activations", type=click.Choice(ACTIVATIONS),
              default="int8", show_default=True)
@click.option("--by", type=click.Choice(["channel", "tensor"]), default="channel",
              show_default=True, help="One scale of weights for each channel, or for a tensor.")
@click.option("--symmetric", is_flag=True, help="Activations with a zero point of 0.")
@click.option("--asymmetric-weights", is_flag=True,
              help="ONNX, --by tensor: weights with a zero point.")
@click.option("--in-float", multiple=True, metavar="PATTERN",
              help="Leave operators in float32 in whose name, or result's name, this regular "
                   "expression is found; may be given several times.")
@click.option("--limit", type=click.IntRange(min=1), default=None, metavar="N",
              help="Calibrate with the first N samples only.")
@click.option("--compare", type=click.IntRange(min=1), default=16, show_default=True, metavar="N",
              help="Samples that errors are measured over.")
@json_option
def quantize_command(model: Path, calibration: Path, output: Path | None, as_json: bool,
                     compare: int, limit: int | None, **options: Any) -> None:
    """Quantise a float MODEL (.onnx, .tflite) with the quantiser of its framework.

    ONNX Runtime's is for ONNX, ai-edge-quantizer for TFLite. The table says what it costs by layer:
    levels in use, and signal to noise beside the float model.
    """
    from kaniwa.files import write_atomic
    from kaniwa.importers import load_model
    from kaniwa.quantization.quantize import quantize

    output = output or Path(f"{model.stem}_quantized{model.suffix}")
    if output.suffix != model.suffix:
        raise InputError(f"{output}: the result has the suffix of the model, {model.suffix}")
    with progress("quantising") as update:
        outcome = quantize(model, calibration, _recipe(options), limit, compare, update)
        write_atomic(output, outcome.data)
        update("reading the result")
        try:
            load_model(output, outcome.shapes)
            unread = None
        except Error as error:
            unread = str(error)
    if as_json:
        show_json({"model": str(output), "cannot_run": unread} | outcome.facts())
        return
    _show(outcome)
    click.echo(f"wrote {output} ({len(outcome.data):,} bytes)")
    shapes = "".join(f" --shape {shlex.quote(name)}={'x'.join(map(str, shape))}"
                     for name, shape in outcome.shapes.items())
    click.echo(f"kaniwa cannot run it: {unread}" if unread
               else f"next: kaniwa compile {output}{shapes}")


def _recipe(options: dict[str, Any]) -> Recipe:
    return Recipe(options["method"], options["percentile"], options["weights"],
                  options["activations"], options["by"] == "channel",
                  not options["asymmetric_weights"], options["symmetric"],
                  tuple(options["in_float"]))


def _show(outcome: Outcome) -> None:
    show_table("weights", ("tensor", "shape", "bits", "scales", "levels", "SNR, dB"), [
        (row.name, "x".join(map(str, row.shape)), row.bits, row.scales,
         f"{row.levels} of {row.of_levels}", _decibels(row.signal_to_noise_db))
        for row in outcome.weights])
    show_table("activations, beside the float model", ("tensor", "least", "greatest", "SNR, dB"), [
        (row.name, f"{row.low:.4g}", f"{row.high:.4g}", _decibels(row.signal_to_noise_db))
        for row in outcome.activations])
    click.echo(f"{outcome.samples} samples; weights {outcome.ratio:.2f} times smaller than in "
               "float32")


def _decibels(value: float) -> str:
    return "exact" if value == math.inf else f"{value:.1f}"
