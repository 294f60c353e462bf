"""Bank of the post unit's tables that an instruction uses, and what of it is to be loaded."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter

import numpy as np
import numpy.typing as npt

__all__ = ["Tables", "TableUse", "table_uses"]

Tables = Sequence[npt.NDArray[np.int32]]


@dataclass(frozen=True)
class TableUse:
    """The bank of an instruction, and the numbers of its tables that have to be loaded.

    ``early``: behind the weights of the instruction before, whose own tables are others.
    """

    bank: int
    loads: tuple[int, ...] = ()
    early: bool = False


def table_uses(wanted: Sequence[Tables], banks: int, carries: Sequence[bool]) -> list[TableUse]:
    """For each of the instructions of a run the bank that its tables are in, or will be.

    A table that is there already stays: what counts is whether any is to be loaded, whether that
    can be early, how many, then how often those that they replace are wanted later. Else it is
    another bank than before, for a table can be loaded while the instruction before uses its own,
    of which it replaces none.

    ``carries``: of each instruction, whether it can bring tables of the next one. A table waits
    until the instruction two before the one that brings it is done, so an early one replaces none
    of the two instructions before its own.
    """
    contents = [{number: table.tobytes() for number, table in enumerate(tables)}
                for tables in wanted]
    later = Counter(entry for content in contents for entry in content.items())
    held: list[dict[int, bytes]] = [{} for _ in range(banks)]
    uses: list[TableUse] = []
    last = banks - 1        # the bank of the instruction before
    busy: deque[set[tuple[int, int]]] = deque([set(), set()], 2)   # the tables of the two before
    for index, content in enumerate(contents):
        later.subtract(content.items())
        carried = banks > 1 and index > 0 and carries[index - 1]
        choices = []
        for bank in range(banks):
            loads = tuple(n for n in content if held[bank].get(n) != content[n])
            replaced = {(bank, number) for number in loads}
            if banks == 1 or replaced.isdisjoint(busy[1]):
                early = carried and bool(loads) and replaced.isdisjoint(busy[0])
                lost = sum(later[n, held[bank].get(n, b"")] for n in loads)
                choices.append(((bool(loads) and not early, len(loads), lost, bank == last, bank),
                                TableUse(bank, loads, early)))
        use = min(choices, key=itemgetter(0))[1] if content else TableUse(last)
        uses.append(use)
        last = use.bank
        held[last] |= content
        busy.append({(last, number) for number in content})
    return uses
