"""One step of the array, as its benches expect it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Step"]


@dataclass
class Step:
    """One step, with absolute positions and ring words (counted from reset, never wrapped)."""

    instruction: int
    fields: dict[str, int]      # of its instruction
    row_valid: bool
    offset: int
    row_start: int              # position of byte 0 of its row
    needs: int                  # ``loaded`` has to be at least this
    window_end: int             # offset past the last byte that counts
    first: bool
    last: bool
    column: int
    word: int | None            # ring word, None for MAX_POOL
    releases: int = 0           # ring words given back with it
    frees: int | None = None    # ``freed`` after it, where it moves
    ends: bool = False          # last step of the instruction
    compute: bool = True        # else COLUMN only moves its window
    preset: bool = False        # first column of a block of COLUMN
    again: bool = False         # a step of COLUMN with the window as it is
    pair: bool = False          # a step of MAX_POOL for two blocks
    phase: int = 0              # of COLUMN, modulo 2
    rows: int = 0               # real rows of a column, and where the rows begin
    positions: list[int] | None = None

    @property
    def real(self) -> list[int]:
        """Positions read by the step that hold bytes of the window."""
        if self.positions is not None:
            width = self.fields["block_width"]
            return [first + at for row, first in enumerate(self.positions) if self.rows >> row & 1
                    for at in range(width)]
        first = max(self.offset, 0)
        end = min(self.window_end, self.fields["ifm_row_bytes"])
        return [self.row_start + at for at in range(first, end)] if self.row_valid else []
