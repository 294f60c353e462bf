"""``kaniwa disasm`` and ``kaniwa asm``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from kaniwa.commands.values import OutputFile
from kaniwa.errors import ProgramError

__all__ = ["disasm_command", "asm_command"]


@click.command("disasm", epilog="Example: kaniwa disasm resnet8.kaniwa -o resnet8.txt")
@click.argument("program", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=OutputFile(), default=None,
              help="Text file to write (default: standard output).")
def disasm_command(program: Path, output: Path | None) -> None:
    """Print a program file as text that `kaniwa asm` turns into the same bytes."""
    from kaniwa.files import write_atomic
    from kaniwa.program.assembler import disassemble
    from kaniwa.program.file import load_program

    text = disassemble(load_program(program))
    if output is None:
        sys.stdout.write(text)
    else:
        write_atomic(output, text.encode())


@click.command("asm", epilog="Example: kaniwa disasm a.kaniwa | kaniwa asm - -o b.kaniwa")
@click.argument("text", type=click.Path(path_type=Path, allow_dash=True))
@click.option("-o", "--output", type=OutputFile(), required=True,
              help="Program file to write.")
def asm_command(text: Path, output: Path) -> None:
    """Assemble the text of `kaniwa disasm` into a program file."""
    from kaniwa.files import write_atomic
    from kaniwa.program.assembler import assemble

    try:
        source = sys.stdin.read() if str(text) == "-" else text.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise ProgramError(f"{text}: cannot be read ({reason})") from None
    write_atomic(output, assemble(source))
