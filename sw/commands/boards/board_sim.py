"""``kaniwa board-sim``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from kaniwa.commands.boards.until_ended import until_ended
from kaniwa.commands.options import (
    apply_options,
    board_option,
    board_target_option,
    cores_option,
    json_option,
)
from kaniwa.commands.progress import progress
from kaniwa.commands.values import FiniteRange
from kaniwa.errors import DeviceError
from kaniwa.extras import needed

__all__ = ["board_sim_command"]

fault_options = apply_options([
    click.option(name, type=FiniteRange(0, 1, max_open=True), default=0.0, metavar="P",
                 help=text) for name, text in (
        ("--bit-errors", "Chance a bit that it arrives wrong, in both directions as all the "
                         "others."),
        ("--drops", "Chance a byte that it is lost."),
        ("--duplicates", "Chance a byte that it arrives twice."),
        ("--insertions", "Chance a byte that another one comes behind it."),
        ("--stalls", "Chance a byte that the line stands still for 0.2 s of the board's time."),
        ("--disconnects", "Chance a byte that the cable is pulled, and plugged in again."))])


@click.command("board-sim", epilog="Example: kaniwa board-sim --board ulx3s_85f --link /tmp/ulx3s, "
                                   "and elsewhere: kaniwa run resnet8.tflite --device "
                                   "serial:/tmp/ulx3s --check")
@board_option
@board_target_option("A preset or a TOML file")
@cores_option
@click.option("--link", type=click.Path(path_type=Path), default=None, metavar="PATH",
              help="A symbolic link to keep to the pseudo-terminal.")
@fault_options
@click.option("--seed", type=int, default=0, metavar="N", help="Seed of these faults.")
@json_option
def board_sim_command(board: str, target: str | None, cores: int, link: Path | None,
                      bit_errors: float, drops: float, duplicates: float, insertions: float,
                      stalls: float, disconnects: float, seed: int, as_json: bool) -> None:
    """Simulate a board at its pins, for `--device serial:PATH`, until Ctrl-C.

    Prints the path of the pseudo-terminal, then waits for hosts; one after the other may use the
    board, which keeps its memory. At the end a line says what went over the link. With --json that
    line goes to standard error.
    """
    from kaniwa.config import load_target
    from kaniwa.sim.board.line_faults import Faults, FaultyTransport

    faults = Faults(bit_error=bit_errors, drop=drops, duplicate=duplicates, insertion=insertions,
                    stall=stalls, disconnect=disconnects)
    config = None if target is None else load_target(target)
    with until_ended():
        with (progress(f"starting {board}") as update,
              needed("a simulated board", "sim", DeviceError)):
            from kaniwa.sim.board.board_design import board_design
            from kaniwa.sim.board.pin_transport import PinTransport
            from kaniwa.sim.board.pseudo_terminal import PseudoTerminal, serve

            design = board_design(board, config, cores=cores)
            if design.board.reached_by != "uart":
                raise DeviceError(f"{board} is not reached by a UART, so it has no serial port "
                                  f"here: `kaniwa bridge sim:{board}` offers it over TCP")
            virtual = PinTransport(design, update)
        line = FaultyTransport(virtual, faults, seed)
        terminal = PseudoTerminal(link)

        def tell(path: str) -> None:
            device = f"serial:{link or path}"
            if as_json:
                click.echo(json.dumps({"board": board, "target": design.config.name,
                                       "device": device, "path": path, "pace": design.pace}))
            else:
                click.echo(f"virtual {board}, target {design.config.name}: --device {device}")

        try:
            tell(terminal.path)
            serve(virtual, line, terminal, tell)
        finally:
            terminal.close()
            _sum_up(virtual, line.counts, as_json)


def _sum_up(virtual: Any, counts: dict[str, int], as_json: bool) -> None:
    faults = ", ".join(f"{kind} {count:,}" for kind, count in sorted(counts.items()))
    click.echo(f"ended after {virtual.line_cycles:,} cycles, {virtual.bytes_taken:,} bytes to the "
               f"board and {virtual.bytes_given:,} from it; faults: {faults or 'none'}",
               err=as_json)
