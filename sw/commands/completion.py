"""``kaniwa completion``, and what a shell completes options with."""

from __future__ import annotations

from collections.abc import Iterable

import click
from click.shell_completion import CompletionItem, get_completion_class

__all__ = ["completion_command", "complete_boards", "complete_buses", "complete_devices",
           "complete_examples", "complete_targets"]

SHELLS = ("bash", "zsh", "fish")
# bash takes words apart at colons, and so would give only the part behind `sim:`.
BASH_WORDS = 'COMP_WORDBREAKS="${COMP_WORDBREAKS//:}"\n'

@click.command("completion", epilog="Example: kaniwa completion fish | source")
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion_command(ctx: click.Context, shell: str) -> None:
    """Print what makes SHELL complete verbs, options, devices, targets and boards.

    \b
    To have it in every new shell, put a line into its start-up file:
      bash  eval "$(kaniwa completion bash)"       in ~/.bashrc
      zsh   eval "$(kaniwa completion zsh)"        in ~/.zshrc
      fish  kaniwa completion fish | source        in ~/.config/fish/config.fish
    """
    made = get_completion_class(shell)
    assert made is not None
    source = made(ctx.find_root().command, {}, "kaniwa", "_KANIWA_COMPLETE").source()
    click.echo((BASH_WORDS if shell == "bash" else "") + source)


def complete_boards(ctx: click.Context, parameter: click.Parameter,
                    incomplete: str) -> list[CompletionItem]:
    """The boards whose name begins with ``incomplete``."""
    from kaniwa.boards.board import BOARDS

    return _beginning(incomplete, BOARDS)


def complete_buses(ctx: click.Context, parameter: click.Parameter,
                   incomplete: str) -> list[CompletionItem]:
    """The buses that begin with ``incomplete``."""
    from kaniwa.generate.design import BUSES

    return _beginning(incomplete, BUSES)


def complete_targets(ctx: click.Context, parameter: click.Parameter,
                     incomplete: str) -> list[CompletionItem]:
    """The presets that begin with ``incomplete``, and TOML files."""
    from kaniwa.config import PRESETS

    return _beginning(incomplete, PRESETS) or [CompletionItem(incomplete, type="file")]


def complete_devices(ctx: click.Context, parameter: click.Parameter,
                     incomplete: str) -> list[CompletionItem]:
    """The devices that begin with ``incomplete``: simulators, boards, plugged-in ports.

    Behind a comma, as in ``--devices emulator,sim``, the last one is completed.
    """
    from kaniwa.boards.board import BOARDS
    from kaniwa.driver.transports import usb_ports

    *before, last = incomplete.split(",")
    names = ["golden", "emulator", "sim", *(f"sim:{board}" for board in BOARDS),
             *(f"serial:{port.device}" for port in usb_ports())]
    found = _beginning(last, names)
    return [CompletionItem(",".join([*before, item.value])) for item in found]


def complete_examples(ctx: click.Context, parameter: click.Parameter,
                      incomplete: str) -> list[CompletionItem]:
    """The examples whose name begins with ``incomplete``."""
    from kaniwa.data.examples import all_examples

    return _beginning(incomplete, all_examples())


def _beginning(incomplete: str, names: Iterable[str]) -> list[CompletionItem]:
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]
