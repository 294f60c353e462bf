"""Errors of the commands of ``python -m`` in one line, as those of ``kaniwa`` are."""

from __future__ import annotations

import sys

import click

from kaniwa.errors import Error

__all__ = ["one_line"]


def one_line(command: click.Command) -> None:
    """Run the command of this process. What a ``kaniwa.Error`` says is shown, with exit status 1.
    """
    try:
        command()
    except Error as error:
        sys.exit(f"kaniwa: {error}")
