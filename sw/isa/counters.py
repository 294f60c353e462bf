"""Report of a device on one run of a program; the same for every device."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from kaniwa.isa import COUNTERS

__all__ = ["RunStatistics", "TagCounters", "in_turn"]


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

    ``cycles``: from the accepted run command to completion. ``retired``: instructions whose
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

    def per_layer(self, turns: Mapping[int, int]) -> list[TagCounters]:
        """Counters of each layer: those of its turns added up, in the order of the layers' tags.

        ``turns``: the layer's tag by each of its turns' tags, in the order of retirement.
        """
        layers: dict[int, TagCounters] = {}
        for turn in self.per_tag(turns):
            tag = turns[turn.tag]
            own = layers.get(tag, TagCounters(tag, 0, 0, {}))
            lost = Counter(own.lost)
            lost.update(turn.lost)
            layers[tag] = TagCounters(tag, own.cycles + turn.cycles, own.issued + turn.issued,
                                      {name: lost[name] for name in COUNTERS[2:] if lost[name]})
        order = dict.fromkeys(turns.values())
        return [layers[tag] for tag in order if tag in layers]


def in_turn(runs: Sequence[RunStatistics]) -> RunStatistics:
    """The counters of runs one after the other, as if they were one.

    Like ``per_tag``, gives the cycles behind a run's last retirement to its last layer.
    """
    if len(runs) == 1:
        return runs[0]
    snapshots: dict[int, dict[str, int]] = {}
    total = dict.fromkeys(COUNTERS, 0)
    for run in runs:
        last = max(run.snapshots, key=lambda tag: run.snapshots[tag]["cycles"], default=None)
        for tag, snapshot in run.snapshots.items():
            tail = run.cycles - snapshot["cycles"] if tag == last else 0
            snapshots[tag] = {name: total[name] + snapshot[name]
                              + (tail if name in ("cycles", "store") else 0) for name in COUNTERS}
        total = snapshots[last] if last is not None else {
            **total, "cycles": total["cycles"] + run.cycles}
    return RunStatistics(sum(run.cycles for run in runs), sum(run.retired for run in runs),
                         snapshots, sum(run.seconds for run in runs))
