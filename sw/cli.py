"""The command line: ``kaniwa VERB``. Each verb lives in ``kaniwa.commands`` and loads when used."""

from __future__ import annotations

import contextlib
import functools
import importlib
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import click
from click.shell_completion import CompletionItem

from kaniwa import __version__
from kaniwa.commands.options import COMMON_OPTIONS, SHOWN_JSON, VERBOSITY, apply_options
from kaniwa.commands.values import with_checked_outputs
from kaniwa.errors import Error
from kaniwa.terminal.log import hide_log, show_warnings

__all__ = ["main"]

# verb -> (module of kaniwa.commands, one line of help)
VERBS = {
    "quantize": ("quantize", "Quantise a float model, and say what it costs by layer."),
    "compile": ("build", "Compile a model into a program file."),
    "export": ("integration.export", "A model as C source, for a CPU with the core on its bus."),
    "run": ("run", "Run a program or model on a device."),
    "evaluate": ("evaluate", "Accuracy over labelled data."),
    "serve": ("network.serve", "Answer inference requests over HTTP and gRPC, on devices."),
    "estimate": ("estimate", "Cycles, memory and utilization without simulating."),
    "report": ("report", "A page that shows where a model's cycles, memory and bytes go."),
    "verify": ("verify", "Compare golden with the source framework."),
    "diff": ("diff", "Name the first stored value that differs between two devices."),
    "disasm": ("listing", "Program file to text."),
    "asm": ("listing", "Text back to the same program file."),
    "info": ("inspect", "What a model or program file holds."),
    "describe": ("inspect", "The parameters of a target and their legal ranges."),
    "operators": ("inspect", "Supported operators, where they run, and their limits."),
    "devices": ("inspect", "What programs can run on, and the boards that are plugged in."),
    "selftest": ("selftest", "Test a device: link, memory, array, a model's answers."),
    "hil": ("boards.hil", "Try a board with all there is, in a report to compare."),
    "board-sim": ("boards.board_sim", "Offer a simulated board as a pseudo-terminal."),
    "bridge": ("boards.bridge", "Offer a device's line over TCP."),
    "doctor": ("doctor", "Check what this machine has, and what works with it."),
    "bench": ("bench", "Cycles of the shipped models beside those of others; scaling."),
    "mlperf-tiny": ("boards.mlperf_tiny", "MLPerf Tiny's benchmarks on a device, by its protocol."),
    "bitstream": ("boards.bitstream", "Build the bitstream of a board."),
    "flash": ("boards.flash", "Models for a board that starts from its flash without a host."),
    "boot": ("boards.boot", "Have a board start from another slot of its flash."),
    "program": ("boards.bitstream", "Load a bitstream into a connected board."),
    "unpack": ("boards.unpack", "Keep a release's bitstreams and simulators for use."),
    "generate": ("integration.generate", "Write the accelerator as Verilog for your own design."),
    "explore": ("integration.explore", "Search for the best config for models on a board."),
    "examples": ("doctor", "List examples, scripts and notebooks, or copy some."),
    "cache": ("doctor", "Show or clear the cache of builds."),
    "completion": ("completion", "Completion of verbs, devices, targets and boards in a shell."),
}

INTERRUPTED = "interrupted; nothing was left half-written, run the command again"
AGAIN = 0.01                 # seconds to an interrupt that came where none can be
INTERRUPTED_STATUS = 130     # as a shell has it: 128 + SIGINT


class _Interrupted(Exception):
    """Ctrl-C, in a form that click passes on."""


class _Verbs(click.Group):
    """Loads a verb's module only when the verb is used or its help is shown."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return _verb(cmd_name) if cmd_name in VERBS else None

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The verbs that begin with ``incomplete``; click's own would load all their modules."""
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return [CompletionItem(verb, help=text) for verb, (_, text) in VERBS.items()
                if verb.startswith(incomplete)]

    def invoke(self, ctx: click.Context) -> Any:
        """As click's, but an interrupt is one line of ours, without the empty one of click's."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise _Interrupted from None
        finally:
            ctx.obj.update(ctx.meta)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(verb, text) for verb, (_, text) in VERBS.items()])


@functools.cache
def _verb(name: str) -> click.Command:
    """The command of a verb, with the options that all have."""
    module = importlib.import_module(f"kaniwa.commands.{VERBS[name][0]}")
    command: click.Command = getattr(module, f"{name.replace('-', '_')}_command")
    for option in COMMON_OPTIONS:
        option(command)
    if command.callback is not None:
        command.callback = with_checked_outputs(command.callback)
    return command


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]},
             invoke_without_command=True,
             epilog="Example: kaniwa run model.tflite --random. Completion in the shell: kaniwa "
                    "completion --help.")
@click.version_option(__version__, prog_name="kaniwa")
@apply_options(COMMON_OPTIONS)
@click.pass_context
def verbs(ctx: click.Context) -> None:
    """Compile quantised neural networks and run them on a generated accelerator."""
    if ctx.invoked_subcommand is None:     # a script that lost its verb must not go on
        click.echo(ctx.get_help(), err=True)
        ctx.exit(2)


@dataclass
class _Failure:
    """What failed, in one line, and what is more to tell a program that asked for JSON."""

    kind: str
    message: str
    status: int
    where: str | None = None
    more: dict[str, Any] = field(default_factory=dict)


@contextlib.contextmanager
def _interrupts_kept() -> Iterator[None]:
    """Ctrl-C where Python can raise nothing, as in a callback of its imports, comes once more."""
    before = sys.unraisablehook

    def again(lost: sys.UnraisableHookArgs) -> None:
        if lost.exc_type is KeyboardInterrupt:     # a moment later: nothing can be raised here
            threading.Timer(AGAIN, os.kill, (os.getpid(), signal.SIGINT)).start()
        else:
            before(lost)

    sys.unraisablehook = again
    try:
        yield
    finally:
        sys.unraisablehook = before


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exit status 0, 1 (failed), 2 (usage) or 130 (Ctrl-C).

    Errors are one line on standard error; with --json also an object on standard output. Without a
    verb the help is printed, on standard error, with status 2.
    """
    # Python has none where the shell closed it (>&-), and what is printed is wanted nowhere then.
    sys.stdout = sys.stdout or open(os.devnull, "w")
    sys.stderr = sys.stderr or open(os.devnull, "w")
    given = sys.argv[1:] if arguments is None else arguments
    facts: dict[str, Any] = {}     # what the command's context knew at its end
    show_warnings()
    try:
        with _interrupts_kept():
            status = verbs.main(given, prog_name="kaniwa", standalone_mode=False, obj=facts)
        sys.stdout.flush()
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except BrokenPipeError:
        _forget_output()
        sys.exit(1)
    except (Exception, KeyboardInterrupt) as error:
        if facts.get(VERBOSITY, 0) > 1 and not isinstance(error, click.ClickException):
            traceback.print_exc()
        _fail(_failure(error), _asks_for_json(given) and SHOWN_JSON not in facts)
    finally:
        hide_log()
    sys.exit(status if isinstance(status, int) else 0)


def _asks_for_json(arguments: Sequence[str]) -> bool:
    """True for --json among the options; it is not known by then which verb was meant."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return "--json" in arguments[:end]


def _failure(error: BaseException) -> _Failure:
    kind = type(error).__name__
    if isinstance(error, click.ClickException):
        return _usage(error)
    if isinstance(error, _Interrupted | KeyboardInterrupt | click.Abort):
        return _Failure("Interrupted", INTERRUPTED, INTERRUPTED_STATUS)
    if isinstance(error, Error):
        return _Failure(kind, str(error), 1, more=vars(error))
    if isinstance(error, OSError):
        where = None if error.filename is None else str(error.filename)
        text = f"{error.strerror or error}; nothing was left half-written"
        return _Failure(kind, f"{where}: {text}" if where else text, 1, where)
    if isinstance(error, MemoryError):
        return _Failure(kind, "out of memory; close other programs or use a smaller model", 1)
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{os.path.basename(last.filename)}:{last.lineno}"
    return _Failure(kind, f"internal error, {kind} at {where}: {error}; -vv shows the traceback, "
                          "which makes a good report", 1, where)


def _usage(error: click.ClickException) -> _Failure:
    ctx = getattr(error, "ctx", None)
    hint = f" (see {ctx.command_path} --help)" if ctx else ""
    parameter = getattr(error, "param", None)
    where = getattr(error, "option_name", None) or (
        parameter.opts[0] if parameter is not None and parameter.opts else None)
    return _Failure("UsageError", error.format_message() + hint, 2, where)


def _fail(failure: _Failure, as_json: bool) -> NoReturn:
    """Tell in one line on standard error, and to a program as JSON; then exit."""
    message = " ".join(failure.message.split())
    print(f"kaniwa: {message}", file=sys.stderr)
    if as_json:
        text = json.dumps({"error": {"type": failure.kind, "message": message,
                                     "where": failure.where, "exit_status": failure.status,
                                     **failure.more}}, indent=2, default=str)
        try:
            print(text, flush=True)
        except OSError:        # standard error has the line
            _forget_output()
    sys.exit(failure.status)


def _forget_output() -> None:
    """Take standard output to nowhere: Python writes what is left there when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
