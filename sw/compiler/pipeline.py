"""The compiler: a model file to a program, one pass after the other."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TypeVar

from kaniwa.compiler.int16.functions import keep_tables
from kaniwa.compiler.merge.cuts import cuts_read_in_place
from kaniwa.compiler.merge.fuse import fuse
from kaniwa.compiler.merge.join import join
from kaniwa.compiler.merge.lookups import functions_of_one, looked_up_by_readers
from kaniwa.compiler.merge.operand_tables import operand_tables
from kaniwa.compiler.merge.order import order
from kaniwa.compiler.merge.permute import permute
from kaniwa.compiler.operators.reduction import fits_in_blocks
from kaniwa.compiler.plan.plan import Neighbor, Options, Plan
from kaniwa.compiler.recurrent.directions import directions_apart
from kaniwa.compiler.recurrent.sequences import sequences_apart
from kaniwa.compiler.rewrite.dead_channels import dead_channels
from kaniwa.compiler.rewrite.dilated import dilations_folded
from kaniwa.compiler.rewrite.float_functions import float_functions_folded
from kaniwa.compiler.rewrite.float_moves import moves_on_bytes
from kaniwa.compiler.rewrite.float_slopes import float_slopes_folded
from kaniwa.compiler.rewrite.fold_padding import fold_padding
from kaniwa.compiler.rewrite.join_transpositions import join_transpositions
from kaniwa.compiler.rewrite.legalize import legalize
from kaniwa.compiler.rewrite.lower import lower
from kaniwa.compiler.rewrite.partition import partition
from kaniwa.compiler.rewrite.refusal import (
    NeedsLessMemory,
    NeedsNoGaps,
    NeedsSparing,
    Refused,
)
from kaniwa.compiler.rewrite.uint8_to_int8 import uint8_to_int8
from kaniwa.compiler.rewrite.widen import widen
from kaniwa.compiler.schedule.allocate import allocate
from kaniwa.compiler.schedule.channel_parts import channel_parts
from kaniwa.compiler.schedule.constants import constants
from kaniwa.compiler.schedule.depth_first import depth_first
from kaniwa.compiler.schedule.emit import emit
from kaniwa.compiler.schedule.mapping import choose_mapping
from kaniwa.compiler.schedule.separate_pools import separate_pools
from kaniwa.compiler.schedule.space_out import space_out
from kaniwa.compiler.schedule.tile import tile
from kaniwa.config import AcceleratorConfig, load_target
from kaniwa.data.arguments import expect_each, expect_function, file_path
from kaniwa.errors import CompileError
from kaniwa.graph import Graph, check
from kaniwa.isa import INSTRUCTION_BYTES
from kaniwa.outside import Outside, parse_outside
from kaniwa.program.check import check as check_program
from kaniwa.program.program import Program
from kaniwa.stage import Stage

__all__ = ["compile", "PIPELINE", "plan_model"]

logger = logging.getLogger(__name__)
Result = TypeVar("Result")

# Before these passes ``compile`` folds dilations, and functions in float32 into tables, and makes
# cells of a sequence and a direction each; behind them it emits the program. A Refused, a
# NeedsLessMemory, a NeedsNoGaps or a NeedsSparing starts the list anew, with another plan.
PIPELINE: tuple[Callable[[Plan], Plan], ...] = (
    partition,        # what the target cannot take goes to the host
    uint8_to_int8,    # legacy uint8 as int8
    join_transpositions,   # two that follow each other as one
    fold_padding,     # a PAD into the windows behind it
    dead_channels,    # what no output depends on is removed
    legalize,         # to the operators that the accelerator has
    lower,            # to layers: zero points folded, scales proved
    permute,          # channels in the order that a TRANSPOSE gives them
    cuts_read_in_place,   # a slice of channels where it lies
    functions_of_one,   # two operands that hang on one tensor as a table of it
    fuse,             # an ADD, a MUL or a table into the layer before it
    looked_up_by_readers,   # a table that several read, in the tables that they have
    operand_tables,   # of sums the same for all, which stays
    order,            # the skip branch first
    separate_pools,   # maxima along rows, then along columns
    keep_tables,      # what a program looks up in int16 stays for the next
    space_out,        # gaps in maps, for depthwise by columns
    channel_parts,    # wide maps in parts, whose rows depthwise layers then read whole
    join,             # results written where a CONCATENATION would copy them
    widen,            # longer rows
    choose_mapping,   # depthwise by columns, shallow inputs by patches
    tile,             # to instructions
    constants,        # weights, parameters and tables encoded
    allocate,         # addresses
    depth_first,      # bands of rows by turns, if whole maps would go to slow memory
)


def compile(model: str | PathLike[str] | Graph,
            target: str | Path | AcceleratorConfig = "base", *,
            materialize: bool = False, keep_dead_channels: bool = False,
            require_accelerator: bool = False, outside: str | None = None,
            behind: Sequence[Program] = (), double_buffered: bool = False,
            moves_on_device: bool = False,
            progress: Callable[[str], None] | None = None) -> Program:
    """Compile a model for a target; every result equals the model's, bit for bit.

    ``target``: a preset, a TOML file or a config. ``materialize`` stores every tensor of the
    model in full, without fusion or reuse of memory. ``keep_dead_channels`` computes also channels
    that are the same for every input or used by nobody. ``require_accelerator`` refuses operators
    for the host.
    ``outside``: None, "ideal", "sdram[,bytes=4,latency=10]" or
    "sdram,part=NAME[,clock=100,ratio=1,mask=1]". ``behind``: programs for the same target whose
    memory this one leaves alone, so that a device can hold them all at once. ``double_buffered``
    gives inputs and outputs two places each, so that a device that serves memory during runs moves
    the one while it computes with the other. ``moves_on_device``: what only moves data runs there
    also beside an operator of the host, but for transpositions. ``progress`` is called with the
    name of each pass before it runs, a Stage.

    Raises ModelError, UnsupportedError or ConfigError for what it is given, CompileError where
    the model does not fit the target or cannot be exact on it.
    """
    began = time.monotonic()
    config = load_target(target)
    expect_function("progress", progress)
    options = Options(materialize, require_accelerator, parse_outside(outside),
                      keep_dead_channels, _neighbors(behind, config, parse_outside(outside)),
                      double_buffered, moves_on_device)
    if options.outside is not None and not config.outside_limit:
        raise CompileError(f"target '{config.name}' has no way to outside memory; leave --outside "
                           "out, or take a target with outside_bits, or one whose core is not "
                           "compact")
    if options.outside is not None and options.outside.module and (
            config.compact or options.outside.port_bytes > config.read_bytes):
        raise CompileError(
            f"target '{config.name}' is not estimated with {options.outside}: LiteDRAM's model is "
            "for cores that are not compact, and its port is at most what the core reads at a "
            f"time, here {config.read_bytes} of {options.outside.port_bytes} bytes; take "
            "sdram,part=NAME, or fewer bytes")
    if not isinstance(model, Graph):
        from kaniwa.importers import load_model

        model = load_model(file_path("model", model))
    on_bytes = float_slopes_folded(float_functions_folded(moves_on_bytes(check(model))))
    folded = dilations_folded(check(on_bytes))
    apart = check(directions_apart(sequences_apart(folded, config), config))
    plan = plan_model(apart, config, options, progress)
    program = check_program(_timed(emit, plan, len(PIPELINE), progress), model.name)
    logger.info("%s compiled for %s in %.2f s: %d instructions, %d layers", model.name, config.name,
                time.monotonic() - began, len(program.commands) // INSTRUCTION_BYTES,
                len(program.layers))
    return program


def _neighbors(programs: Sequence[Program], config: AcceleratorConfig,
               outside: Outside | None) -> tuple[Neighbor, ...]:
    """Places of ``programs``. Raises CompileError for those of another device."""
    for program in expect_each("behind", programs, Program):
        if program.config != config:
            raise CompileError(f"{program.name}: compiled for target '{program.config.name}' "
                               f"({program.config.hash}), so nothing for '{config.name}' "
                               f"({config.hash}) can be behind it: compile both for one target")
        if outside is not None and program.outside not in (None, str(outside)):
            raise CompileError(f"{program.name}: compiled for outside memory '{program.outside}', "
                               f"so nothing for '{outside}' can be behind it: give both the same")
    return tuple(Neighbor(program.name, (program.local_base, program.local_bytes),
                          (program.outside_base, program.outside_bytes)) for program in programs)


def plan_model(graph: Graph, config: AcceleratorConfig, options: Options,
               progress: Callable[[str], None] | None = None) -> Plan:
    """Run all passes; the graph is checked after each.

    What a pass finds that the target cannot take goes to the host, and all is done anew; so it is
    where cells can do with less memory, or averages with less of the line buffer.
    """
    plan = Plan(graph, graph, config, options)
    while True:
        try:
            return _run_passes(plan, progress)
        except Refused as refused:
            logger.debug("once more, %d operators refused: %s", len(refused.reasons), refused)
            blocks = {position for position in refused.reasons if position not in plan.in_blocks
                      and fits_in_blocks(graph, graph.ops[position], config)}
            plan = replace(plan, in_blocks=plan.in_blocks | blocks, refused={
                **plan.refused, **{position: why for position, why in refused.reasons.items()
                                   if position not in blocks}})
        except NeedsNoGaps as error:
            logger.debug("once more: %s", error)
            plan = replace(plan, without_gaps=True)
        except NeedsSparing as error:
            logger.debug("once more: %s", error)
            plan = replace(plan, sparing=True)
        except NeedsLessMemory as needs:
            plan = replace(plan, time_multiplexed=plan.time_multiplexed | needs.positions,
                           missing_memory=needs.error)


def _run_passes(plan: Plan, progress: Callable[[str], None] | None) -> Plan:
    for number, run in enumerate(PIPELINE):
        plan = _timed(run, plan, number, progress)
        check(plan.graph)
    return plan


def _timed(run: Callable[[Plan], Result], plan: Plan, number: int,
           progress: Callable[[str], None] | None) -> Result:
    """What the pass ``run`` makes of ``plan``; ``number`` passes were before."""
    if progress is not None:
        progress(Stage(run.__name__, number, len(PIPELINE) + 1, "passes", steady=False))
    began = time.monotonic()
    result = run(plan)
    logger.debug("pass %s: %.3f s", run.__name__, time.monotonic() - began)
    return result
