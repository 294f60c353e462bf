"""What a device says about one run of a program; the same for every device."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from kaniwa.isa import COUNTERS

__all__ = ["RunStatistics", "TagCounters"]


@dataclass(frozen=True)
class TagCounters:
    """The cycles of one tag (layer) and what each was spent on; ``issued + lost = cycles``."""

    tag: int
    cycles: int
    issued: int
    lost: dict[str, int]


@dataclass(frozen=True)
class RunStatistics:
    """Counters of one run, as the core's registers give them.

    ``cycles``: from the accepted run command to completion. ``retired``: LAYER instructions whose
    results are all in memory. ``snapshots``: for each tag the COUNTERS, cumulative from the start
    of the run, as they stood when the tag last retired. ``seconds``: time taken on the host.
    """

    cycles: int
    retired: int
    snapshots: Mapping[int, Mapping[str, int]]
    seconds: float = field(default=0.0, compare=False)

    def per_tag(self, order: Iterable[int]) -> list[TagCounters]:
        """Counters of each tag of ``order`` (order of retirement) as differences.

        A layer lasts from the last retirement of the one before to its own. The cycles after the
        last retirement, until completion is reported, go to the last layer as *store*. Tags
        without a snapshot are left out. The cycles add up to ``cycles``.
        """
        present = [tag for tag in order if tag in self.snapshots]
        before = dict.fromkeys(COUNTERS, 0)
        layers = []
        for tag in present:
            snapshot = self.snapshots[tag]
            counts = {name: snapshot[name] - before[name] for name in COUNTERS}
            before = {name: snapshot[name] for name in COUNTERS}
            if tag == present[-1]:
                tail = self.cycles - snapshot["cycles"]
                counts["cycles"] += tail
                counts["store"] += tail
            lost = {name: counts[name] for name in COUNTERS[2:] if counts[name]}
            layers.append(TagCounters(tag, counts["cycles"], counts["issued"], lost))
        return layers
