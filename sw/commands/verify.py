"""``kaniwa verify``."""

from __future__ import annotations

from pathlib import Path

import click

from kaniwa.commands.options import (
    json_option,
    opened_workers,
    random_option,
    scheduler_option,
    shape_option,
    show_json,
)
from kaniwa.commands.progress import progress
from kaniwa.commands.tables import show_behind

__all__ = ["verify_command"]


@click.command("verify", epilog="Example: kaniwa verify resnet8.tflite --against litert --layers")
@click.argument("model", type=click.Path(path_type=Path))
@shape_option
@click.option("--against", type=click.Choice([
    "litert", "onnxruntime", "recorded", "litert-optimized", "onnxruntime-optimized"]),
              default="recorded", show_default=True,
              help="The reference; the optimised ones show how far those drift.")
@click.option("--inputs", default=None, metavar="X.npz",
              help="Inputs; by default the recorded vectors, else 16 seeded ones.")
@random_option
@click.option("--layers", is_flag=True, help="Compare every tensor, not only the outputs.")
@click.option("--uint8", is_flag=True, help="Take uint8 data for an int8 input as x - 128.")
@click.option("--limit", type=click.IntRange(min=1), default=None, metavar="N",
              help="Use the first N inferences only.")
@scheduler_option
@json_option
@click.pass_context
def verify_command(ctx: click.Context, model: Path, against: str, inputs: str | None,
                   random_seed: int | None, layers: bool, uint8: bool, limit: int | None,
                   scheduler: str | None, as_json: bool) -> None:
    """Compare the golden model with the framework that MODEL comes from.

    The workers of a scheduler share out the inferences.
    """
    from kaniwa.verify.litert import verify

    if inputs is not None and random_seed is not None:
        raise click.UsageError("give --inputs or --random, not both", ctx)
    chosen = inputs if random_seed is None else random_seed
    with opened_workers(scheduler) as workers, progress("comparing") as update:
        values = verify(model, against=against, inputs=chosen, layers=layers, uint8=uint8,
                        limit=limit, progress=update, workers=workers)
    if as_json:
        show_json(values)
    else:
        click.echo(f"reference: {values['reference']}")
        click.echo(f"inputs: {values['inputs']}")
        click.echo(f"{values['inferences']} inferences, {values['tensors']} tensors compared, "
                   f"mismatches: {values['mismatches']}")
        if "near_ties" in values:
            drift = values["end_to_end"]
            click.echo(f"differences of one step next to a tie, allowed: {values['near_ties']}")
            click.echo(f"outputs end to end: {drift['differ']} of {drift['elements']} differ, by "
                       f"{drift['largest']:.3g} at most")
        if "behind" in values:
            apart = values["behind"]
            show_behind(apart, f"{apart['mismatches']} in {apart['tensors']} tensors")
        if (first := values["first_mismatch"]) is not None:
            kinds = values["mismatches_by_operator"]
            click.echo("mismatches by operator: " + ", ".join(
                f"{kind} {count:,}" for kind, count in kinds.items()))
            click.echo(f"first mismatch: inference {first['inference']}, {first['op'] or 'input'}, "
                       f"tensor '{first['tensor']}', index {first['index']}: golden has "
                       f"{first['golden']}, the reference {first['reference']}")
    wrong = values["mismatches"] or values.get("behind", {}).get("mismatches")
    if wrong and not against.endswith("-optimized"):
        ctx.exit(1)
