"""``kaniwa bench``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from kaniwa.commands.options import json_option, opened_workers, scheduler_option, show_json
from kaniwa.commands.progress import progress
from kaniwa.commands.tables import REMOVED, show_table
from kaniwa.commands.values import FiniteRange, OutputFile
from kaniwa.errors import InputError

__all__ = ["bench_command"]


@click.command("bench", epilog="Example: kaniwa bench --quick --device estimate")
@click.option("--device", type=click.Choice(["sim", "emulator", "estimate"]), default="sim",
              show_default=True, help="Only sim counts cycles; estimate runs nothing.")
@click.option("--models", default=None, metavar="A,B",
              help="resnet8, keywords, person-dense, person, wakeword, anomaly, speech, "
                   "resnet8-large (default: all).")
@click.option("--parts", default="models,dense,scaling", show_default=True, metavar="A,B",
              help="models, dense, scaling, layers, networks, or all.")
@click.option("--networks", default=None, metavar="A,B",
              help="Of the part networks only these, run on each of their targets, such as "
                   "mobilenet_v3 or vit_tiny (default: all).")
@click.option("--quick", is_flag=True, help="Models at target base only, one inference each.")
@click.option("--samples", type=click.IntRange(min=1), default=2, show_default=True, metavar="N",
              help="Inferences a model.")
@click.option("--clock-mhz", type=FiniteRange(min=0, min_open=True), default=100.0,
              show_default=True, metavar="F", help="Clock for inferences a second.")
@click.option("--folder", type=click.Path(path_type=Path), default=None,
              help="Folder of the models (default: that of the sources, else models/).")
@click.option("--from", "source", type=click.Path(path_type=Path), default=None,
              metavar="R.json", help="Show earlier results instead of measuring.")
@click.option("--markdown", type=OutputFile(), default=None, metavar="FILE",
              help="Write the results as a page.")
@scheduler_option
@json_option
@click.pass_context
def bench_command(ctx: click.Context, device: str, models: str | None, parts: str,
                  networks: str | None, quick: bool, samples: int, clock_mhz: float,
                  folder: Path | None, source: Path | None, markdown: Path | None,
                  scheduler: str | None, as_json: bool) -> None:
    """Cycles of the shipped models, beside those of others; dense layers; scaling.

    The workers of a scheduler count cycles and compare values. Seconds are measured here, before.
    """
    from kaniwa.benchmark.cases import models_folder, pick
    from kaniwa.benchmark.page import page
    from kaniwa.benchmark.suite import PARTS, mismatches, run_suite
    from kaniwa.files import write_atomic

    if source is not None and scheduler is not None:
        raise click.UsageError("--from measures nothing: leave out --scheduler", ctx)
    if source is not None:
        results = _load(source)
    else:
        chosen = list(PARTS) if parts == "all" else parts.split(",")
        for part in chosen:
            if part not in PARTS:
                raise click.UsageError(f"unknown part '{part}': give some of "
                                       f"{', '.join(PARTS)}, or all", ctx)
        cases = pick(models)
        if quick:
            chosen, samples = ["models"], 1
            cases = [case for case in cases if case.target == "base"]
        folder = models_folder(folder)
        with opened_workers(scheduler) as workers, progress("measuring") as update:
            results = run_suite(device, chosen, cases, folder, samples, clock_mhz, update,
                                networks, workers)
    if markdown is not None:
        write_atomic(markdown, page(results).encode())
    if as_json:
        show_json(results)
    else:
        _show(results)
    if mismatches(results):
        ctx.exit(1)


def _load(path: Path) -> dict[str, Any]:
    from kaniwa.benchmark.suite import RESULTS_VERSION

    try:
        results = json.loads(path.read_text())
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error})") from None
    if not isinstance(results, dict) or results.get("version") != RESULTS_VERSION:
        raise InputError(f"{path}: not results of this version of kaniwa bench")
    return results


def _show(results: dict[str, Any]) -> None:
    from kaniwa.benchmark.cells import compared, lost_text

    if results.get("models"):
        show_table(
            f"One inference; cycles by {results['device']}",
            ("model", "target", "cycles", "to reach", "utilization", "MAC/cycle", "MAC/DSP"),
            [(row["key"], row["target"], row["cycles"], _bar(row), row["utilization"],
              row["macs_per_cycle"], row["macs_per_dsp"]) for row in results["models"]])
        if any(row["utilization"] > 1 for row in results["models"]):
            click.echo(f"utilization {REMOVED}\n")
        show_table("Estimates, memory and lost cycles", (
            "model", "estimate", "error %", "mismatches", "memory", "lost"), [
            (row["key"], row["estimate"], _blank(row["estimate_error"]), compared(row),
             row["memory"], lost_text(row["lost"])) for row in results["models"]])
        show_table("Others", ("model", "on", "cycles", "MAC/DSP/cycle", "source"), [
            (file.removesuffix(".tflite"), peer["name"], _blank(peer["cycles"]),
             _blank(peer["macs_per_dsp"]), peer["source"])
            for file, peers in results["peers"]["models"].items() for peer in peers])
        version = results["peers"]["vela"]
        click.echo(f"Vela {version} was run here" if version else
                   "Vela is not installed: its recorded figures are shown")
    if "dense" in results:
        show_table(
            f"Dense layers on {results['dense']['target']}, {results['dense']['clock_mhz']:g} MHz",
            ("n", "estimate", "cycles", "utilization", "inferences/s", "mismatches"),
            [(row["size"], row["estimate"], _blank(row["cycles"]), row["utilization"],
              round(row["inferences_per_second"]), compared(row))
             for row in results["dense"]["rows"]])
    if "scaling" in results:
        show_table(
            f"ResNet-18 at {results['scaling']['size']}, by the cycle model",
            ("array", "multipliers", "cycles", "utilization", "speed-up", "to reach", "lost"),
            [(row["array"], row["multipliers"], row["cycles"], row["utilization"], row["speedup"],
              _blank(row["bar"]), lost_text(row["lost"])) for row in results["scaling"]["rows"]])
    if "layers" in results:
        show_table(
            f"Layers of ResNet-18 on {results['layers']['target']}",
            ("layer", "op", "cycles", "utilization", "lost"),
            [(row["name"], row["op"], row["cycles"], row["utilization"], lost_text(row["lost"]))
             for row in results["layers"]["rows"]])
        show_table("Their estimates", ("layer", "estimate", "error %", "mismatches"), [
            (row["name"], row["estimate"], _blank(row["estimate_error"]), compared(row))
            for row in results["layers"]["rows"]])
    if "networks" in results:
        _show_networks(results["networks"])
    for row in results["seconds"]:
        bar = f" (to reach: {row['bar']} s)" if row["bar"] else ""
        click.echo(f"{row['what']}: {row['seconds']} s{bar}")


def _show_networks(values: dict[str, Any]) -> None:
    from kaniwa.benchmark.cells import compared

    show_table("Networks, by the cycle model", (
        "network", "target", "cycles", "utilization", "bound", "cycles/bound", "host in the middle",
        "Vela", "Vela/cycles"), [
        (row["title"], row["target"], row["cycles"], row["utilization"], row["bound"],
         row["over_bound"], row["segments"]["count"],
         _blank(row["vela"] and row["vela"]["cycles"]), _blank(row["vela_ratio"]))
        for row in values["rows"] if not row["error"]])
    for row in values["rows"]:
        if row["error"]:
            click.echo(f"{row['title']} on {row['target']}: {row['error']}")
    if values["runs"]:
        show_table("Runs", ("network", "target", "device", "cycles", "estimate", "mismatches"), [
            (row["title"], row["target"], row["device"], row["cycles"], row["estimate"],
             compared(row)) for row in values["runs"]])


def _bar(row: dict[str, Any]) -> str:
    if row["bar"] is None:
        return ""
    return f"{row['bar']:,} {'yes' if row['reached'] else 'NO'}"


def _blank(value: float | None) -> float | str:
    return "" if value is None else value
