"""Bank of the post unit's tables that an instruction uses, and what of it is to be loaded."""

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
    uses: list[TableUse] = []
    last, before = banks - 1, set[int]()      # the bank of the instruction before, and its tables
    for content in contents:
        later.subtract(content.items())
        loads = [tuple(n for n in content if tables.get(n) != content[n]) for tables in held]
        free = [bank for bank in range(banks)
                if banks == 1 or bank != last or before.isdisjoint(loads[bank])]
        if content:
            *_, last = min((len(loads[bank]), sum(later[n, held[bank].get(n, b"")]
                                                  for n in loads[bank]), bank == last, bank)
                           for bank in free)
        uses.append(TableUse(last, loads[last]))
        held[last] |= content
        before = set(content)
    return uses
