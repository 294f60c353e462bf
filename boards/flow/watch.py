"""What the tools of a build tell in their lines: stages, how far each is, whether it will end."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Callable

from kaniwa.errors import BuildError
from kaniwa.stage import Stage

__all__ = ["Stop", "Watch", "watch_synthesis"]

# Passes of yosys' ``synth`` for a family; of the others about as many.
SYNTHESIS_PASSES = {"ice40": 51, "ecp5": 52}
PASS = re.compile(r"\d+\.(\d+)\. Executing")

# Attempts at connections for each one before routing is given up: ``base`` took 2.3 to 3.4 of them,
# ``large`` 3.3 to 3.7, ``base_vector`` 3.4 to 4.1.
ATTEMPTS = 5

# What a line of nextpnr begins with -> the stage that begins there.
STAGES = {
    "Packing": "packing",
    "Placing": "packing",      # of what has one place only
    "Creating initial analytic placement": "placing",
    "Running Static placer": "placing",
    "Running simulated annealing placer": "refining the placement",
    "Routing": "routing",
}
STEPS = re.compile(r"Info: +(?:at iteration #|iter=)(\d+)")
ATTEMPT = re.compile(r"Info: +(\d+) \|.*\| +(\d+)\|")     # a row of the router: made, arcs left


def watch_synthesis(family: str, progress: Callable[[str], None]) -> Callable[[str], None]:
    """A function that takes yosys' lines and tells how many passes of synthesis are done."""
    total = SYNTHESIS_PASSES.get(family, max(SYNTHESIS_PASSES.values()))

    def take(line: str) -> None:
        if begun := PASS.match(line):
            progress(Stage("synthesis", min(int(begun[1]) - 1, total), total, "passes",
                           steady=False))

    return take


class Stop(threading.Event):
    """An event that ends the tools that run, at once: one may be silent for minutes."""

    def __init__(self) -> None:
        super().__init__()
        self._tools: list[subprocess.Popen[str]] = []

    def add(self, tool: subprocess.Popen[str]) -> None:
        """End ``tool`` too when this is set, or now."""
        self._tools.append(tool)
        if self.is_set():
            tool.kill()

    def set(self) -> None:
        """End the tools; those that come are ended as they begin."""
        super().set()
        for tool in self._tools:
            tool.kill()


class Watch:
    """Takes the lines of place-and-route, tells ``progress`` its stages, and keeps how long the
    ``wires`` of the placement are, in its units.

    ``name``: of this run. ``beside``: others run at the same time. ``advice``: what to do where
    routing does not end. It ends the tool by raising BuildError then, or when ``stopped`` is set.
    """

    def __init__(self, name: str, stopped: Stop, progress: Callable[[str], None],
                 advice: str, beside: bool) -> None:
        self._name, self._stopped, self._progress = name, stopped, progress
        self._advice, self._task = advice, name if beside else ""
        self.wires, self._connections = 0, 0
        self._stage = ""

    def say(self, text: str, done: float = 0, total: float = 0) -> None:
        """Tell what is done now, and how far it is."""
        self._progress(Stage(f"{self._task}: {text}" if self._task else text, done, total,
                             "connections" if total else "", task=self._task))

    def begin(self, tool: subprocess.Popen[str]) -> None:
        """Take the tool that was started, to end it where the build is stopped."""
        self._stopped.add(tool)

    def end(self) -> None:
        """Tell that this run is through."""
        if self._task:
            self._progress(Stage("", task=self._task))

    def __call__(self, line: str) -> None:
        if self._stopped.is_set():
            raise BuildError(f"{self._name} was stopped")
        if length := re.search(r"wirelen = (\d+)", line):
            self.wires = int(length[1])
        if connections := re.match(r"Info: Routing (\d+) arcs", line):
            self._connections = int(connections[1])
        if attempts := ATTEMPT.match(line):
            self._route(int(attempts[1]), int(attempts[2]))
        elif step := STEPS.match(line):
            self.say(f"{self._stage or 'placing'}, step {step[1]}")
        elif begun := next((stage for start, stage in STAGES.items()
                            if line.startswith(f"Info: {start}")), None):
            self._stage = begun
            self.say(begun)

    def _route(self, attempts: int, left: int) -> None:
        total = self._connections
        if attempts > ATTEMPTS * total:
            raise BuildError(
                f"{self._name} cannot be routed: after {attempts:,} attempts {left:,} of "
                f"{total:,} connections are open; {self._advice}")
        self.say("routing", total - left, total)
