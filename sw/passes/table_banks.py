"""Which bank of the post unit's tables an instruction uses, and what of it is to be loaded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Tables", "TableUse", "table_uses"]

Tables = Sequence[npt.NDArray[np.int32]]


@dataclass(frozen=True)
class TableUse:
    """The bank of an instruction, and the numbers of its tables that it has to load."""

    bank: int
    loads: tuple[int, ...] = ()


def table_uses(wanted: Sequence[Tables], banks: int) -> list[TableUse]:
    """For each of the instructions of a run the bank that its tables are in, or will be.

    A table that is there already stays: what counts is how many are to be loaded, then how often
    those that they replace are wanted later. Else it is another bank than before, for a table can
    be loaded while the instruction before uses its own, of which it replaces none.
    """
    contents = [{number: table.tobytes() for number, table in enumerate(tables)}
                for tables in wanted]
    later = Counter(entry for content in contents for entry in content.items())
    held: list[dict[int, bytes]] = [{} for _ in range(banks)]
    uses = [TableUse(banks - 1)]
    before: dict[int, bytes] = {}
    for content in contents:
        later.subtract(content.items())
        last = uses[-1].bank

        def missing(bank: int, content: dict[int, bytes] = content) -> tuple[int, ...]:
            return tuple(n for n in content if held[bank].get(n) != content[n])

        def cost(bank: int, last: int = last) -> tuple[int, int, bool]:
            loads = missing(bank)
            return (len(loads), sum(later[n, held[bank].get(n, b"")] for n in loads), bank == last)

        bank = last
        if content:
            bank = min((b for b in range(banks)
                        if b != last or banks == 1 or not set(missing(b)) & set(before)), key=cost)
        uses.append(TableUse(bank, missing(bank)))
        held[bank] |= content
        before = content
    return uses[1:]
