"""The compiler: a model file to a program, one pass after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from os import PathLike
from pathlib import Path

from kaniwa.compiler.array.operand_tables import operand_tables
from kaniwa.compiler.int16.functions import keep_tables
from kaniwa.compiler.plan.plan import Options, Plan
from kaniwa.compiler.recurrent.directions import directions_apart
from kaniwa.compiler.recurrent.sequences import sequences_apart
from kaniwa.compiler.rewrite.dead_channels import dead_channels
from kaniwa.compiler.rewrite.legalize import legalize
from kaniwa.compiler.rewrite.lower import lower
from kaniwa.compiler.rewrite.partition import partition
from kaniwa.compiler.rewrite.refusal import NeedsLessMemory, Refused
from kaniwa.compiler.rewrite.uint8_to_int8 import uint8_to_int8
from kaniwa.compiler.rewrite.widen import widen
from kaniwa.compiler.schedule.allocate import allocate
from kaniwa.compiler.schedule.constants import constants
from kaniwa.compiler.schedule.emit import emit
from kaniwa.compiler.schedule.fuse import fuse, order
from kaniwa.compiler.schedule.mapping import choose_mapping
from kaniwa.compiler.schedule.tile import tile
from kaniwa.config import AcceleratorConfig, load_target
from kaniwa.errors import CompileError
from kaniwa.graph import Graph, check
from kaniwa.outside import parse_outside
from kaniwa.program.check import check as check_program
from kaniwa.program.program import Program

__all__ = ["compile", "PIPELINE", "plan_model"]

# ``compile`` makes cells of a sequence and a direction each before these passes, and emits the
# program behind them. A Refused or a NeedsLessMemory starts the list anew, with another plan.
PIPELINE: tuple[Callable[[Plan], Plan], ...] = (
    partition,        # what the target cannot take goes to the host
    uint8_to_int8,    # legacy uint8 as int8
    dead_channels,    # what no output depends on is removed
    legalize,         # to the operators that the accelerator has
    lower,            # to layers: zero points folded, scales proved
    fuse,             # an ADD, a MUL or a table into the layer before it
    operand_tables,   # of sums the same for all, which stays
    order,            # the skip branch first
    keep_tables,      # what a program looks up in int16 stays for the next
    widen,            # longer rows
    choose_mapping,   # depthwise by columns, shallow inputs by patches
    tile,             # to instructions
    constants,        # weights, parameters and tables encoded
    allocate,         # addresses
)


def compile(model: str | PathLike[str] | Graph,
            target: str | Path | AcceleratorConfig = "base", *,
            materialize: bool = False, keep_dead_channels: bool = False,
            require_accelerator: bool = False, outside: str | None = None,
            progress: Callable[[str], None] | None = None) -> Program:
    """Compile a model for a target; every result equals the model's, bit for bit.

    ``target``: a preset, a TOML file or a config. ``materialize`` stores every tensor of the
    model in full, without fusion or reuse of memory. ``keep_dead_channels`` computes also channels
    that are the same for every input or used by nobody. ``require_accelerator`` refuses operators
    for the host.
    ``outside``: None, "ideal" or "sdram[,bytes=4,latency=10]". ``progress`` is called with
    the name of each pass before it runs.

    Raises ModelError, UnsupportedError or ConfigError for what it is given, CompileError where
    the model does not fit the target or cannot be exact on it.
    """
    config = load_target(target)
    options = Options(materialize, require_accelerator, parse_outside(outside),
                      keep_dead_channels)
    if config.compact and options.outside is not None:
        raise CompileError(f"target '{config.name}' has no way to outside memory; leave --outside "
                           "out, or take a target whose core is not compact")
    if not isinstance(model, Graph):
        from kaniwa.importers import load_model

        model = load_model(Path(model))
    apart = check(directions_apart(sequences_apart(check(model), config), config))
    plan = plan_model(apart, config, options, progress)
    if progress is not None:
        progress(emit.__name__)
    return check_program(emit(plan), model.name)


def plan_model(graph: Graph, config: AcceleratorConfig, options: Options,
               progress: Callable[[str], None] | None = None) -> Plan:
    """Run all passes; the graph is checked after each.

    What a pass finds that the target cannot take goes to the host, and all is done anew; so it is
    where cells can do with less memory.
    """
    plan = Plan(graph, graph, config, options)
    while True:
        try:
            return _run_passes(plan, progress)
        except Refused as refused:
            plan = replace(plan, refused={**plan.refused, **refused.reasons})
        except NeedsLessMemory as needs:
            plan = replace(plan, time_multiplexed=plan.time_multiplexed | needs.positions,
                           missing_memory=needs.error)


def _run_passes(plan: Plan, progress: Callable[[str], None] | None) -> Plan:
    for run in PIPELINE:
        if progress is not None:
            progress(run.__name__)
        plan = run(plan)
        check(plan.graph)
    return plan
