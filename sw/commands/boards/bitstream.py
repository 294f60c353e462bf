"""``kaniwa bitstream`` and ``kaniwa program``."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kaniwa.commands.options import (
    baud_option,
    board_option,
    board_target_option,
    cores_option,
    json_option,
    link_option,
    opened_workers,
    overlap_option,
    scheduler_option,
    show_json,
)
from kaniwa.commands.progress import progress
from kaniwa.commands.tables import show_table
from kaniwa.commands.values import FiniteRange
from kaniwa.errors import DeviceError, InputError
from kaniwa.extras import needed

if TYPE_CHECKING:
    from kaniwa.boards.board import Board
    from kaniwa.boards.flow.build import Bitstream
    from kaniwa.sim.netlist.check import Answers

__all__ = ["bitstream_command", "program_command"]


@click.command("bitstream", epilog="Example: kaniwa bitstream --board ulx3s_85f --seeds 4")
@board_option
@board_target_option("A preset or a TOML file")
@cores_option
@click.option("--standalone", is_flag=True,
              help="The board loads a program from its flash at power-up and shows classes at its "
                   "LEDs (kaniwa flash); for boards with a flash, and one core.")
@click.option("--slot", type=click.IntRange(min=0), default=None, metavar="K",
              help="With --standalone: one of several bitstreams in the flash, that of slot K from "
                   "0 on, which kaniwa boot starts.")
@click.option("--seeds", type=click.IntRange(min=1), default=1, show_default=True, metavar="N",
              help="Place and route with seeds 1 to N; the fastest one's bitstream is kept.")
@click.option("--clock-mhz", type=FiniteRange(min=0, min_open=True), default=None,
              metavar="F", help="Another clock than the board's for this target.")
@click.option("--address", default=None, metavar="A.B.C.D",
              help="The board's address of IPv4, for boards with Ethernet.")
@link_option
@baud_option
@overlap_option
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("build/boards"),
              show_default=True, metavar="FOLDER", help="Folder for bitstream and report.")
@click.option("--page", "page_path", type=click.Path(path_type=Path), default=None, metavar="FILE",
              help="The page with the floor (default: beside the bitstream, .html). A result that "
                   "was kept without the places of cells is routed again for it.")
@click.option("--check-netlist", is_flag=True,
              help="Simulate the synthesized and the routed netlist cell by cell, and compare what "
                   "they answer at their pins with the gateware; exit status 1 if it differs.")
@click.option("--check-memory", type=click.IntRange(min=1), default=None, metavar="BYTES",
              help="How much of memory that tests, around its middle (default: all of it).")
@click.option("--check-model", type=click.Path(path_type=Path), default=None, metavar="MODEL",
              help="In place of the self-test and a keyword inference, 512 bytes of memory and an "
                   "inference of MODEL on a recorded input: minutes where all takes hours.")
@scheduler_option
@json_option
@click.pass_context
def bitstream_command(ctx: click.Context, board: str, target: str | None, cores: int,
                      standalone: bool, slot: int | None, seeds: int, clock_mhz: float | None,
                      address: str | None, link: str, baud: int | None, overlap: bool, output: Path,
                      page_path: Path | None, check_netlist: bool, check_memory: int | None,
                      check_model: Path | None, scheduler: str | None, as_json: bool) -> None:
    """Build the bitstream of a board; exit status 1 if a seed does not meet the clock.

    The workers of a scheduler place and route a seed each; all else is done here.
    """
    from kaniwa.boards.board import check_standalone, load_board
    from kaniwa.boards.flow.tools import require

    if page_path is not None and not page_path.parent.is_dir():
        raise InputError(f"{page_path}: no such folder to write the page to")
    chosen = replace(load_board(board), overlap=overlap)
    # An unknown target, or cores that it cannot have, are told before all else.
    chosen.check_cores(target or chosen.target_for(cores), cores)
    if standalone:
        check_standalone(chosen, cores)
        chosen = chosen.with_slot(slot)
    elif slot is not None:
        raise click.UsageError("--slot: only with --standalone", ctx)
    if address is not None:
        chosen = chosen.with_address(address)
    chosen = chosen.with_link(link).with_baud(baud)
    require(board, chosen.family)
    if check_netlist:
        _require_check(chosen, clock_mhz, cores, standalone)
        if check_model is not None:
            from kaniwa.data.inputs import recorded_inputs

            recorded_inputs(check_model)
    from kaniwa.boards.floor.page import floor_page
    from kaniwa.boards.floor.placement import PLACEMENT
    from kaniwa.boards.flow.build import build
    from kaniwa.boards.flow.report import write_reports
    from kaniwa.boards.flow.routed import ROUTED

    with opened_workers(scheduler) as workers, progress(board) as update:
        built = build(chosen, target, seeds, output, update, clock_mhz, cores=cores,
                      standalone=standalone,
                      wanted=[PLACEMENT] * (page_path is not None) + [ROUTED] * check_netlist,
                      workers=workers if scheduler else None)
    with progress(board) as update:
        update("page")
        floor = floor_page(built)
        answers = _check(built, check_memory, check_model, update) if check_netlist else []
    values = write_reports(built, floor, page_path, **(
        {"netlists": [asdict(one) for one in answers]} if answers else {}))
    if as_json:
        show_json(values)
    else:
        kinds = list(built.board.capacity)
        show_table(f"{built.board.title}, {built.of_cores}", ("block", *kinds), [
            (name, *(counts.get(kind, 0) for kind in kinds))
            for name, counts in (*built.counts.items(), ("placed", built.totals),
                                 ("device", built.board.capacity))])
        clock = values["clock_mhz"]
        click.echo(f"clock {clock['worst']:.2f} MHz worst, {clock['median']:.2f} median, "
                   f"{clock['best']:.2f} best of {seeds} seeds, {built.target_mhz:g} MHz "
                   f"{'met' if built.meets_timing else 'NOT met'}")
        click.echo(f"critical path: {values['critical_path']}")
        if answers:
            _show_answers(answers)
        click.echo(f"wrote {built.path}, {values['report']} and {values['page']}")
    if not built.meets_timing or _differ(answers):
        ctx.exit(1)


def _require_check(board: Board, clock_mhz: float | None, cores: int, standalone: bool) -> None:
    """Raise a kaniwa.Error, before the build, where its netlist could not be checked."""
    with needed("--check-netlist", "sim", DeviceError):
        from kaniwa.sim.device.toolchain import require_compiler, verilator
        from kaniwa.sim.netlist.check import require_models

    if clock_mhz is not None:
        raise InputError("--check-netlist: the gateware beside it has the board's own clock; leave "
                         "out --clock-mhz")
    if cores > 1:
        raise InputError("--check-netlist: netlists of one core are checked; leave out --cores")
    if standalone:
        raise InputError("--check-netlist: netlists are checked without a flash; leave out "
                         "--standalone")
    if board.overlap:
        raise InputError("--check-netlist: netlists are checked without the host's memory during "
                         "runs; leave out --overlap")
    if board.reached_by != "uart":
        raise InputError("--check-netlist: netlists are checked at the pins of a UART, which "
                         f"{board.name} does not use")
    require_models(board)
    require_compiler()
    verilator()


def _check(built: Bitstream, memory_bytes: int | None, model: Path | None,
           update: Callable[..., None]) -> list[Answers]:
    """Answers of the gateware and of both netlists of a build."""
    from kaniwa.boards.flow.build import TOP
    from kaniwa.boards.flow.routed import ROUTED, load_routed
    from kaniwa.sim.netlist.check import check_netlists

    synthesized = json.loads(built.placed_from.read_text())["modules"][TOP]
    netlists = {"synthesized": synthesized, "routed": load_routed(built.folder / ROUTED, TOP)}
    return check_netlists(built.board, built.config, netlists, update, memory_bytes, model)


def _show_answers(answers: list[Answers]) -> None:
    first = answers[0]
    show_table("", ("netlist", "self-test", "values", "wrong", "cycles", "cycles at the pins",
                    "answers", "seconds"),
               [(one.name, one.verdict, one.checked, one.wrong, one.cycles, one.line_cycles,
                 "" if one is first else "as RTL" if one.digest == first.digest else "DIFFER",
                 round(one.seconds)) for one in answers])
    click.echo(f"netlists: {_differ(answers)} mismatches")


def _differ(answers: list[Answers]) -> int:
    if not answers:
        return 0
    from kaniwa.sim.netlist.check import mismatches

    return mismatches(answers)


@click.command("program", epilog="Example: kaniwa program --board icebreaker")
@board_option
@board_target_option("The target that was built")
@cores_option
@link_option
@baud_option
@overlap_option
@click.option("--bitstream", "path", type=click.Path(path_type=Path), default=None,
              metavar="FILE", help="Bitstream file (default: what kaniwa bitstream wrote).")
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("build/boards"),
              show_default=True, metavar="FOLDER", help="Folder of kaniwa bitstream.")
@json_option
def program_command(board: str, target: str | None, cores: int, link: str, baud: int | None,
                    overlap: bool, path: Path | None, output: Path, as_json: bool) -> None:
    """Load a bitstream into a connected board by openFPGALoader or the board's own tool.

    Where none was built, that of an unpacked release is taken (kaniwa unpack).
    """
    from kaniwa.boards.board import load_board
    from kaniwa.boards.flow.program import check_bitstream, find_bitstream, load_bitstream

    chosen = replace(load_board(board).with_link(link).with_baud(baud), overlap=overlap)
    path = path or find_bitstream(chosen, target, output, cores)
    check_bitstream(chosen, path)
    with progress(f"programming {board}") as update:
        tool = load_bitstream(chosen, path, update)
    if as_json:
        show_json({"board": board, "bitstream": str(path), "tool": tool})
    else:
        click.echo(f"loaded {path} with {tool}")
