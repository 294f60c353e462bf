"""A file of trace events, read strictly."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

__all__ = ["TraceFile"]

ALLOWED = {"X": {"name", "ph", "pid", "tid", "ts", "dur", "args"},
           "C": {"name", "ph", "pid", "ts", "args"},
           "M": {"name", "ph", "pid", "tid", "args"}}


class TraceFile:
    """Events of a file that keeps the format's rules; AssertionError where it does not.

    They are in the order of time, durations are positive, and on a thread spans nest.
    """

    def __init__(self, data: bytes) -> None:
        self.content = json.loads(data)
        assert self.content["displayTimeUnit"] in ("ms", "ns")
        self.events: list[dict[str, Any]] = self.content["traceEvents"]
        time = 0
        open_spans: dict[tuple[int, int], list[int]] = {}
        for event in self.events:
            assert set(event) == ALLOWED[event["ph"]], event
            if event["ph"] == "M":
                assert time == 0
                continue
            assert isinstance(event["ts"], int) and event["ts"] >= time, event
            time = event["ts"]
            if event["ph"] == "X":
                assert isinstance(event["dur"], int) and event["dur"] > 0, event
                ends = open_spans.setdefault((event["pid"], event["tid"]), [])
                while ends and ends[-1] <= time:
                    ends.pop()
                assert not ends or time + event["dur"] <= ends[-1], event
                ends.append(time + event["dur"])
        self.threads = {(event["pid"], event["tid"]): event["args"]["name"]
                        for event in self.events if event["name"] == "thread_name"}
        assert {(e["pid"], e["tid"]) for e in self.events if e["ph"] == "X"} <= set(self.threads)

    def spans(self, thread: str) -> list[dict[str, Any]]:
        """The spans of the thread of this name."""
        return [event for event in self.events
                if event["ph"] == "X" and self.threads[event["pid"], event["tid"]] == thread]

    def by_instruction(self, unit: str) -> dict[int, Counter[str]]:
        """Of a unit the cycles by state in each instruction, as the inner spans have them.

        They must be those that the instruction's own span tells.
        """
        found: dict[int, Counter[str]] = {}
        told: dict[int, Counter[str]] = {}
        instruction = -1
        for event in self.spans(unit):
            args = event["args"]
            if "instruction" in args:
                instruction = args["instruction"]
                told.setdefault(instruction, Counter()).update(args["cycles"])
                continue
            cycles = args.get("cycles", {event["name"].removeprefix("wait: "): event["dur"]})
            assert sum(cycles.values()) <= event["dur"]
            found.setdefault(instruction, Counter()).update(cycles)
        assert found == told
        return found
