"""What a design has beside its core and the UART, as far as its board decides it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from kaniwa.boards.board import Board

__all__ = ["ALONE", "Beside", "beside"]


class Beside(NamedTuple):
    """``sdram``: a controller, and the core's way to it. ``ethernet``: a link by Ethernet in the
    UART's place, by the bytes of its two memories; none without one. ``usb``: one by USB there.
    """

    sdram: bool = False
    ethernet: tuple[int, ...] = ()
    usb: bool = False


ALONE = Beside()


def beside(board: Board) -> Beside:
    """What designs for a board have beside their cores."""
    own = board.ethernet
    return Beside(board.sdram is not None, (own.ring_bytes, 2 * own.bank_bytes) if own else (),
                  board.by_usb)
