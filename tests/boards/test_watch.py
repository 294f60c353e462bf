"""Stages that the lines of synthesis and of place-and-route tell."""

import subprocess
from pathlib import Path

import pytest

from kaniwa.boards.flow import tools
from kaniwa.boards.flow.watch import Stop, Watch, watch_synthesis
from kaniwa.errors import BuildError
from kaniwa.stage import Stage

# Of builds of iCEBreaker and ULX3S; lines of which nothing is told are among them.
SYNTHESIS = """\
2. Executing SYNTH_ICE40 pass.
2.1. Executing Verilog-2005 frontend: cells_sim.v
2.11. Executing OPT pass (performing simple optimizations).
2.11.1. Executing OPT_EXPR pass (perform const folding).
2.51. Executing CHECK pass (checking for obvious problems).
3. Executing JSON backend.
"""
STATIC = """\
Info: Packing LUT-FFs..
Info: Device utilisation:
Info: Running Static placer...
Info: iter=120 steplen=1.309 a=1.0 penalty=[0.00, 0.00]
Info: overlap: COMB=99.4%, RAM=88.5%
Info: Running simulated annealing placer for refinement.
Info:   at iteration #5: temp = 0.000000, timing cost = 952, wirelen = 29109
"""
HEAP = """\
Info: Creating initial analytic placement for 33927 cells, random placement wirelen = 4538764.
Info:     at initial placer iter 3, wirelen = 16802
Info: Running main analytical placer, max placement attempts per cell = 58219588.
Info:     at iteration #22, type ALL: wirelen solved = 221861, spread = 543783, legal = 625622
"""
ROUTER = """\
Info: Routing..
Info: Setting up routing queue.
Info: Routing 16280 arcs.
Info:            |   (re-)routed arcs  |   delta    | remaining|       time spent     |
Info:       1000 |       53        946 |   53   946 |     15368|       2.74       2.74|
Info:      44112 |    17746      25294 |   57    56 |         0|       0.11      71.18|
"""


def told(lines: str, name: str = "seed 1", beside: bool = False) -> list[Stage]:
    """The stages that a watch tells of ``lines``."""
    heard: list[str] = []
    watch = Watch(name, Stop(), heard.append, "reduce it", beside)
    for line in lines.splitlines(keepends=True):
        watch(line)
    watch.end()
    return [Stage.of(text) for text in heard]


def test_synthesis_tells_its_passes() -> None:
    heard: list[str] = []
    for family, passes in (("ice40", 51), ("gowin", 52)):
        take = watch_synthesis(family, heard.append)
        for line in SYNTHESIS.splitlines():
            take(line)
        assert [(str(s), s.done, s.total) for s in map(Stage.of, heard)] == [
            ("synthesis", done, passes) for done in (0, 10, 50)]
        heard.clear()


@pytest.mark.parametrize(("lines", "stages"), [
    (STATIC, ["packing", "placing", "placing, step 120", "refining the placement",
              "refining the placement, step 5"]),
    (HEAP, ["placing", "placing, step 22"])])
def test_placement_tells_its_steps(lines: str, stages: list[str]) -> None:
    assert told(lines) == stages


def test_routing_has_a_bar_of_connections() -> None:
    heard = told(ROUTER)
    assert heard == ["routing"] * 4
    assert [(stage.done, stage.total) for stage in heard if stage.total] == [
        (912, 16280), (16280, 16280)]


def test_runs_beside_others_are_named_and_end() -> None:
    heard = told(STATIC, "seed 3", beside=True)
    assert {stage.task for stage in heard} == {"seed 3"}
    assert heard[0] == "seed 3: packing" and heard[-1] == ""


def test_a_watch_that_is_stopped_ends_the_tool() -> None:
    stopped = Stop()
    watch = Watch("seed 1", stopped, lambda text: None, "", False)
    stopped.set()
    with pytest.raises(BuildError, match="^seed 1 was stopped$"):
        watch("Info: Routing..\n")


def test_a_tool_that_is_silent_is_ended_at_once(tmp_path: Path) -> None:
    stopped = Stop()
    watch = Watch("seed 1", stopped, lambda text: None, "", False)

    def begun(tool: subprocess.Popen[str]) -> None:
        watch.begin(tool)
        stopped.set()

    assert tools.run(["sleep", "600"], tmp_path, tmp_path / "log", watch, begun) == -9
