"""The command line: ``kaniwa VERB``. Each verb lives in ``kaniwa.commands`` and loads when used."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import click
from click.shell_completion import CompletionItem

from kaniwa import __version__
from kaniwa.errors import Error

__all__ = ["main"]

# verb -> (module of kaniwa.commands, one line of help)
VERBS = {
    "compile": ("build", "Compile a model into a program file."),
    "run": ("run", "Run a program or model on a device."),
    "evaluate": ("evaluate", "Accuracy over labelled data."),
    "estimate": ("estimate", "Cycles, memory and utilization without simulating."),
    "verify": ("verify", "Compare golden with the source framework."),
    "diff": ("diff", "Name the first stored value that differs between two devices."),
    "disasm": ("listing", "Program file to text."),
    "asm": ("listing", "Text back to the same program file."),
    "info": ("inspect", "What a model or program file holds."),
    "describe": ("inspect", "The parameters of a target and their legal ranges."),
    "operators": ("inspect", "Supported operators, where they run, and their limits."),
    "devices": ("devices", "What programs can run on, and the boards that are plugged in."),
    "selftest": ("selftest", "Test a device: link, memory, array, a model's answers."),
    "board-sim": ("board_sim", "Offer a simulated board as a pseudo-terminal."),
    "doctor": ("doctor", "Check what this machine has, and what works with it."),
    "bench": ("bench", "Cycles of the shipped models beside those of others; scaling."),
    "bitstream": ("bitstream", "Build the bitstream of a board."),
    "program": ("bitstream", "Load a bitstream into a connected board."),
    "cache": ("doctor", "Show or clear the cache of builds."),
    "completion": ("completion", "Completion of verbs, devices, targets and boards in a shell."),
}

INTERRUPTED = "interrupted; nothing was left half-written, run the command again"
INTERRUPTED_STATUS = 130     # as a shell has it: 128 + SIGINT


class _Interrupted(Exception):
    """Ctrl-C, in a form that click passes on."""


class _Verbs(click.Group):
    """Loads a verb's module only when the verb is used or its help is shown."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"kaniwa.commands.{VERBS[cmd_name][0]}")
        command: click.Command = getattr(module, f"{cmd_name.replace('-', '_')}_command")
        return command

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

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(verb, text) for verb, (_, text) in VERBS.items()])


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]},
             invoke_without_command=True,
             epilog="Example: kaniwa run model.tflite --random. Completion in the shell: kaniwa "
                    "completion --help.")
@click.version_option(__version__, prog_name="kaniwa")
@click.pass_context
def verbs(ctx: click.Context) -> None:
    """Compile quantised neural networks and run them on a generated accelerator."""
    if ctx.invoked_subcommand is None:     # a script that lost its verb must not go on
        click.echo(ctx.get_help(), err=True)
        ctx.exit(2)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exit status 0, 1 (failed), 2 (usage) or 130 (Ctrl-C).

    Errors are one line. Without a verb the help is printed, on standard error, with status 2.
    """
    try:
        status = verbs.main(arguments, prog_name="kaniwa", standalone_mode=False)
        sys.stdout.flush()
    except click.UsageError as error:
        hint = f" (see {error.ctx.command_path} --help)" if error.ctx else ""
        _fail(error.format_message() + hint, 2)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except (_Interrupted, KeyboardInterrupt, click.Abort):
        _fail(INTERRUPTED, INTERRUPTED_STATUS)
    except Error as error:
        _fail(str(error), 1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _fail(f"{where}{error.strerror or error}; nothing was left half-written", 1)
    except MemoryError:
        _fail("out of memory; close other programs or use a smaller model", 1)
    sys.exit(status if isinstance(status, int) else 0)


def _fail(message: str, status: int) -> None:
    """Print one line on standard error and exit."""
    print(f"kaniwa: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    main()
