"""Options that several verbs share, and what they ask for."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from kaniwa.commands.completion import complete_boards, complete_devices, complete_targets
from kaniwa.commands.progress import NO_PROGRESS, hide_progress, progress
from kaniwa.commands.values import FiniteRange
from kaniwa.driver.frames import MOST_CORES
from kaniwa.errors import InputError, ProgramError

if TYPE_CHECKING:
    from kaniwa.config import AcceleratorConfig
    from kaniwa.data.inputs import Inputs
    from kaniwa.graph import Graph
    from kaniwa.parallel.workers import Workers
    from kaniwa.program.program import Program

__all__ = ["COMMON_OPTIONS", "SHOWN_JSON", "VERBOSITY", "apply_options", "board_option",
           "board_target_option", "compile_options", "cores_option", "baud_option", "json_option",
           "link_option", "overlap_option", "shape_option", "input_options", "random_option",
           "device_options",
           "scheduler_option", "opened_workers", "target_for", "open_program", "take_arrays",
           "show_json"]

Command = TypeVar("Command", bound=Callable[..., Any])
# Of click's context: the times that -v was given, and True once a JSON object was printed.
VERBOSITY, SHOWN_JSON = "kaniwa.verbosity", "kaniwa.json"


def apply_options(options: Sequence[Callable[[Any], Any]]) -> Callable[[Command], Command]:
    """A decorator that adds ``options`` to a command, in their order."""
    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate




def _take_verbose(ctx: click.Context, param: click.Parameter, count: int) -> None:
    """Show the log; -v before the verb and -v behind it add up."""
    if count:
        from kaniwa.terminal.log import show_log

        ctx.meta[VERBOSITY] = ctx.meta.get(VERBOSITY, 0) + count
        show_log(ctx.meta[VERBOSITY])


def _take_no_progress(ctx: click.Context, param: click.Parameter, given: bool) -> None:
    if given:
        hide_progress(ctx)


# Of every verb, and of kaniwa itself before the verb.
COMMON_OPTIONS = (
    click.option("-v", "--verbose", count=True, expose_value=False, callback=_take_verbose,
                 help="Log to standard error what is done; -vv in detail."),
    click.option("--no-progress", is_flag=True, expose_value=False, callback=_take_no_progress,
                 help=f"Show no progress bars; so does {NO_PROGRESS}=1."),
)

OUTSIDE_KINDS = (
    "none, ideal, sdram[,bytes=4,latency=10] or sdram,part=NAME [,clock=100,ratio=1,mask=1] or "
    "litedram,module=NAME[,phy=ecp5|s7,bytes=4,clock=50]")

compile_options = apply_options([
    click.option("--target", default="base", show_default=True, metavar="T",
                 shell_complete=complete_targets,
                 help="A preset (nano, small, base, base_vector, base_recurrent, large, xl) or a "
                      "TOML file."),
    click.option("--outside", default=None, metavar="KIND",
                 help=f"Outside memory: {OUTSIDE_KINDS} "
                      "(default: none; "
                      "golden, emulator and sim add what a program needs)."),
    click.option("--materialize", is_flag=True,
                 help="Store every tensor: no fusion, reuse in place or elimination."),
    click.option("--keep-dead-channels", is_flag=True, help="Compute constant channels too."),
    click.option("--require-accelerator", is_flag=True,
                 help="Fail if an operator would run on the host."),
    click.option("--moves-on-device", is_flag=True,
                 help="Have the device do what only moves data, also beside an operator of the "
                      "host, but for transpositions; export does so."),
])



def _take_shapes(ctx: click.Context, param: click.Parameter, texts: Sequence[str]) -> None:
    from kaniwa.importers.input_shapes import fixed_shapes, parse_shapes

    try:
        ctx.with_resource(fixed_shapes(parse_shapes(texts)))
    except InputError as error:
        raise click.UsageError(str(error), ctx) from None


shape_option = click.option(
    "--shape", multiple=True, metavar="NAME=1x49x40", expose_value=False, callback=_take_shapes,
    help="Fix the shape of an input that the model leaves open; may be given for each input.")

board_option = click.option(
    "--board", required=True, metavar="B", shell_complete=complete_boards,
    help="icebreaker, ulx3s_85f, ...: a name that is none lists them all.")


def board_target_option(text: str) -> Callable[[Command], Command]:
    """The ``--target`` of a verb for a board, which has a first one."""
    return click.option("--target", default=None, metavar="T", shell_complete=complete_targets,
                        help=f"{text} (default: the board's first target).")


cores_option = click.option(
    "--cores", type=click.IntRange(1, MOST_CORES), default=1, show_default=True, metavar="K",
    help="Cores of the target behind the link, each with its own memory and program.")

link_option = click.option(
    "--link", type=click.Choice(["own", "spi", "usb"]), default="own", show_default=True,
    help="spi: a host reaches the board at four pins, for microcontrollers; usb: at the FPGA's own "
         "USB socket; own: by the UART or Ethernet that the board has.")

baud_option = click.option(
    "--baud", type=click.IntRange(min=1), default=None, metavar="B",
    help="Another baud than the board's, for a UART whose adapter does it; at most a fifth of the "
         "clock.")

overlap_option = click.option(
    "--overlap", is_flag=True,
    help="The board serves its memory during runs, for programs compiled with --double-buffered.")

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")

input_options = apply_options([
    click.option("--uint8", is_flag=True, help="Take uint8 data for an int8 input as x - 128."),
    click.option("--limit", type=click.IntRange(min=1), default=None, metavar="N",
                 help="Use the first N inferences only."),
])

device_options = apply_options([
    click.option("--device", default="emulator", show_default=True, metavar="D",
                 shell_complete=complete_devices,
                 help="golden, emulator, sim, sim:BOARD, serial:PORT[?baud=B], tcp:HOST:PORT, "
                      "udp:HOST[:PORT], spi:PATH[?hz=N], uio:PATH or mem:ADDRESS[:SIZE] "
                      "(`kaniwa devices --help`)."),
    click.option("--stalls", type=FiniteRange(0, 0.95), default=0.0, metavar="P",
                 help="sim: chance that memory stalls in a cycle."),
    click.option("--seed", type=int, default=0, metavar="N", help="sim: seed of the stalls."),
])


def _take_scheduler(ctx: click.Context, param: click.Parameter, text: str | None) -> str | None:
    from kaniwa.parallel.option import check_option

    try:
        if text is not None:
            check_option(text)
    except InputError as error:
        raise click.BadParameter(str(error), ctx, param) from None
    return text


scheduler_option = click.option(
    "--scheduler", default=None, metavar="S", callback=_take_scheduler,
    help="Do it on the workers of a Dask scheduler: tcp://HOST:PORT, local (a process for each "
         "processor), or N local processes.")


@contextmanager
def opened_workers(option: str | None, jobs: int = 1) -> Iterator[Workers]:
    """The workers that ``--scheduler`` and ``--jobs`` ask for, told of where they take a while."""
    from kaniwa.parallel import scheduler

    with ExitStack() as stack:
        with progress(f"starting workers ({option})" if option else "starting"):
            workers = stack.enter_context(scheduler(option, jobs))
        if workers.dashboard is not None:
            print(f"dashboard: {workers.dashboard}", file=sys.stderr)
        yield workers


class _Seed(click.ParamType):
    """The seed of ``--random``, which may be left out."""

    name = "seed"

    def convert(self, value: Any, param: click.Parameter | None,
                ctx: click.Context | None) -> int:
        if isinstance(value, int) or str(value).isdecimal():
            return int(value)
        self.fail(f"expected a seed, found {value!r}: put the model before --random", param, ctx)


random_option = click.option(
    "--random", "random_seed", type=_Seed(), is_flag=False, flag_value="0", default=None,
    metavar="[SEED]", help="Seeded random inputs: one inference, or as many as --limit says "
                           "[seed 0].")


def target_for(ctx: click.Context, target: str, *devices: str) -> str:
    """``--target``; where it is not given, what one of ``devices`` has of its own."""
    from kaniwa.driver.devices import target_of

    if ctx.get_parameter_source("target") is not click.core.ParameterSource.DEFAULT:
        return target
    return next((own for device in devices if (own := target_of(device))), target)


def open_program(path: Path, target: str, options: dict[str, Any], target_given: bool,
                 devices: Sequence[str], progress: Callable[[str], None] | None = None
                 ) -> tuple[Program, Graph | None]:
    """The program in a ``.kaniwa`` file, or the one compiled from a model, and the model's graph.

    Where all ``devices`` are simulators, or virtual boards with SDRAM, a program that needs outside
    memory gets it unasked, and a line on standard error says so. Raises ProgramError where a
    program file is for another target than the one asked for. ``progress`` hears of the compiler's
    passes.
    """
    from kaniwa.driver.devices import added_outside

    def added(config: AcceleratorConfig) -> str | None:
        return added_outside(devices, config) if options["outside"] is None else None

    program, graph = _open_program(path, target, options | {"progress": progress}, target_given,
                                   added)
    if program.outside is not None and added(program.config) is not None:
        config = program.config
        # Not by click.echo, which writes into a bar that is shown.
        print(f"outside memory: {config.name} has {config.memory_bytes // 1024} KiB on chip; "
              f"{', '.join(dict.fromkeys(devices))} adds {-(-program.outside_bytes // 1024)} "
              f"KiB ({program.outside})", file=sys.stderr)
    return program, graph


def _open_program(path: Path, target: str, options: dict[str, Any], target_given: bool,
                  added: Callable[[AcceleratorConfig], str | None]
                  ) -> tuple[Program, Graph | None]:
    """``added``: the outside memory that a program of a config gets unasked, if any."""
    if path.suffix == ".kaniwa":
        from kaniwa.importers.input_shapes import chosen_shapes
        from kaniwa.program.file import load_program

        program = load_program(path)
        if target_given:
            from kaniwa.config import load_target

            program.check_target(load_target(target))
        if chosen_shapes() or any(
                options[name] for name in ("materialize", "keep_dead_channels",
                                           "moves_on_device")):
            raise ProgramError(f"{path}: is compiled already; give the model for compile options")
        return program, None
    from kaniwa.compiler.added_memory import compile_with_memory
    from kaniwa.config import load_target
    from kaniwa.importers import load_model

    graph, config = load_model(path), load_target(target)
    return compile_with_memory(graph, config, added(config), **options), graph


def take_arrays(model: Path, inputs: Sequence[Any], source: str, random_seed: int | None,
                limit: int | None, others: str, read: Callable[[str], Inputs]) -> Inputs:
    """The inferences that ``--input`` (``source``) and ``--random`` ask for, at most ``limit``.

    ``read`` takes the file that ``source`` names. ``others`` are more options for inputs, told
    where the model has none recorded.
    """
    from kaniwa.data.inputs import recorded_inputs, recorded_paths, seeded_inputs

    if random_seed is not None:
        return seeded_inputs(inputs, limit or 1, random_seed)
    if source != "recorded":
        return read(source)
    if not (path := recorded_paths(model)[0]).is_file():
        raise InputError(f"{model.name} has no recorded inputs (refs/{path.name} beside it): give "
                         f"--input X.npz{others} or --random")
    return recorded_inputs(model, inputs)[:limit]


def show_json(values: dict[str, Any]) -> None:
    """Print one JSON object on standard output."""
    if context := click.get_current_context(silent=True):
        context.meta[SHOWN_JSON] = True
    click.echo(json.dumps(values, indent=2, default=_plain))


def _plain(value: Any) -> Any:
    """NumPy scalars and the like as plain Python values."""
    return value.item() if hasattr(value, "item") else str(value)
