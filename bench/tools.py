"""Seconds that kaniwa's own tools take on this machine: `python bench/tools.py`.

Reported, never asserted: they depend on the machine and on what else it does. Each is the best of
some repetitions. ``--build`` also builds the simulated core of ``base`` in an empty cache.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

MODELS = Path(__file__).resolve().parent.parent / "models"
MODEL = MODELS / "mlperf_ic_resnet8.tflite"


def seconds(work: Callable[[], object], times: int) -> float:
    """The shortest of ``times`` runs."""
    best = float("inf")
    for _ in range(times):
        began = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - began)
    return best


def python(code: str, **environment: str) -> None:
    """Run ``code`` in a fresh interpreter."""
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | environment)


def build(cache: str) -> float:
    """Seconds to build the simulated core of ``base`` with ``cache`` as its cache."""
    return seconds(lambda: python("import kaniwa; kaniwa.open('sim', target='base').close()",
                                  KANIWA_CACHE=cache), 1)


def rows(with_build: bool, times: int) -> list[tuple[str, float, str]]:
    """What was measured, its seconds, and those to reach."""
    import kaniwa
    from kaniwa import golden
    from kaniwa.data.inputs import recorded_inputs
    from kaniwa.importers import load_model

    # The interpreter's own start is not kaniwa's.
    start = seconds(lambda: python("pass"), times)
    found = [("import kaniwa", seconds(lambda: python("import kaniwa"), times) - start, "0.3")]
    found.append(("compile ResNet-8", seconds(lambda: kaniwa.compile(MODEL), times), "3"))
    graph = load_model(MODEL)
    image = recorded_inputs(MODEL)[0]
    golden_seconds = seconds(lambda: golden.run(graph, image), times)
    found.append(("golden, ResNet-8, an image", golden_seconds, "0.3"))
    program = kaniwa.compile(graph)
    for device, bar in (("emulator", "1"), ("sim", "3")):
        opening = time.perf_counter()
        with kaniwa.open(device, target="base") as opened:
            session = kaniwa.Session(program, opened)
            if device == "sim":
                found.append(("sim, open (built now or cached)", time.perf_counter() - opening, ""))
            run = seconds(lambda session=session: session.run(image), times)
            found.append((f"{device}, ResNet-8, an inference", run, bar))
    if with_build:
        with tempfile.TemporaryDirectory() as cache:
            found.append(("sim, first build of base", build(cache), "90"))
            found.append(("sim, open with that cache", build(cache), ""))
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", action="store_true", help="also build in an empty cache")
    parser.add_argument("--times", type=int, default=3, help="repetitions (default: 3)")
    options = parser.parse_args()
    print(f"{'what':36}{'seconds':>9}{'to reach':>10}")
    for what, taken, bar in rows(options.build, options.times):
        print(f"{what:36}{taken:9.2f}{'<= ' + bar if bar else '':>10}")


if __name__ == "__main__":
    main()
