"""Asks a board's gateware, its synthesized and its routed netlist the same, and compares."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kaniwa
from kaniwa import golden
from kaniwa.benchmark.cases import models_folder
from kaniwa.boards.board import Board
from kaniwa.cache_folder import cache_folder
from kaniwa.compiler.pipeline import compile
from kaniwa.config import AcceleratorConfig
from kaniwa.data.inputs import recorded_inputs
from kaniwa.driver.board_device import BoardDevice
from kaniwa.driver.session import Session
from kaniwa.errors import BuildError
from kaniwa.files import write_atomic
from kaniwa.importers import load_model
from kaniwa.selftest.suite import selftest
from kaniwa.sim.board.board_design import BoardDesign, board_design
from kaniwa.sim.board.pin_transport import PinTransport
from kaniwa.sim.device.verilate import source_texts
from kaniwa.sim.netlist.design import NetlistDesign

__all__ = ["FAMILIES", "MODEL", "Answers", "check_netlists", "mismatches", "require_models"]

FAMILIES = ("ecp5", "ice40")   # whose cells all have models
MODEL = "mlperf_kws_dscnn.tflite"
SESSION = 1
ECHO_BYTES = 512
Progress = Callable[[str], None]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answers:
    """What a design answered at its UART pins.

    ``verdict``: of the quick self-test without a model, or of memory alone. ``wrong``: values of
    its layers and of the inference that are not golden's. ``checked``: how many there were.
    ``cycles``: of the inference in the accelerator. ``line_cycles``: of everything, at the pins.
    ``digest``: of all bytes that came from the board, and of the cycle in which each piece of them
    ended. ``seconds``: of asking, without the build of a simulator.
    """

    name: str
    verdict: str
    wrong: int
    checked: int
    cycles: int
    line_cycles: int
    digest: str
    seconds: float


def check_netlists(board: Board, config: AcceleratorConfig,
                   netlists: Mapping[str, Mapping[str, Any]], progress: Progress,
                   memory_bytes: int | None = None, model: Path | None = None) -> list[Answers]:
    """Answers of the gateware, and of each netlist by its name.

    ``netlists``: modules of yosys' or nextpnr's JSON, of a bitstream of the board.
    ``memory_bytes``: as much of memory is tested, by default all. With ``model`` there is no
    self-test, but ECHO_BYTES of memory and an inference of that model. What a design answers is
    kept in the cache, so a check that was ended goes on with the design that was asked. Raises
    BuildError where a cell has no model.
    """
    require_models(board)
    design = board_design(board.name, config, board.baud)
    values = {field.name: getattr(design, field.name) for field in dataclasses.fields(design)}
    designs: dict[str, BoardDesign] = {"RTL": design} | {
        name: NetlistDesign(**values, netlist=netlist) for name, netlist in netlists.items()}
    answers = []
    for name, one in designs.items():
        answers.append(_kept(name, one, memory_bytes, model, progress))
        logger.info("%s", answers[-1])     # the next one may take an hour
    return answers


def require_models(board: Board) -> None:
    """Raise BuildError where the cells of the board's family have no models."""
    if board.family not in FAMILIES:
        raise BuildError(f"the cells of {board.family} have no models to check a netlist with: "
                         f"choose a board of {' or '.join(FAMILIES)}")


def mismatches(answers: list[Answers]) -> int:
    """Wrong values, failed self-tests, and netlists that answered otherwise than the first one."""
    first = answers[0]
    return sum(one.wrong + (not one.verdict.startswith("PASS")) + (one.digest != first.digest)
               for one in answers)


class _Heard(PinTransport):
    """Keeps the digest of what the board says, with the cycles in which it does."""

    def __init__(self, design: BoardDesign, progress: Progress) -> None:
        self.digest = hashlib.sha256()
        super().__init__(design, lambda text, seconds: progress(text))

    def read(self, seconds: float) -> bytes:
        data = super().read(seconds)
        if data:
            self.digest.update(json.dumps([self.line_cycles, data.hex()]).encode())
        return data


@contextlib.contextmanager
def _same_session() -> Iterator[None]:
    """The host draws the number of its session, which the answers bear: here always the same."""
    state = random.getstate()
    random.seed(SESSION)
    try:
        yield
    finally:
        random.setstate(state)


def _kept(name: str, design: BoardDesign, memory_bytes: int | None, model: Path | None,
          progress: Progress) -> Answers:
    """What ``_ask`` returns, from the cache where the same was asked by the same host."""
    def tell(text: str) -> None:
        progress(f"{name}: {text}")

    line = _Heard(design, tell)
    asked = [str(memory_bytes), "" if model is None else model.read_bytes().hex(),
             str(design.pace), str(design.bit_cycles)]
    key = hashlib.sha256("\0".join([
        line.library.name, *asked, *_host_sources()]).encode()).hexdigest()[:32]
    path = cache_folder() / "netlist-answers" / f"{key}.json"
    with contextlib.suppress(OSError, ValueError, TypeError):    # none there, or no such answers
        answers = Answers(**json.loads(path.read_text()) | {"name": name})
        logger.info("what %s answers is in the cache: %s", name, path)
        return answers
    answers = _ask(name, line, design.config, memory_bytes, model, tell)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps(dataclasses.asdict(answers)).encode())
    return answers


@functools.cache
def _host_sources() -> list[str]:
    """The texts that what the host says hangs on."""
    return source_texts(Path(kaniwa.__file__).parent.rglob("*.py"))


def _ask(name: str, line: _Heard, config: AcceleratorConfig, memory_bytes: int | None,
         model: Path | None, tell: Progress) -> Answers:
    began = time.monotonic()
    with _same_session(), BoardDevice(name, target=config, connect=lambda: line) as device:
        layers: list[dict[str, Any]] = []
        if model is None:
            found = selftest(device, memory="quick", memory_bytes=memory_bytes, progress=tell)
            verdict = found.verdict
            layers = next((part.values.get("layers", []) for part in found.parts
                           if part.name == "array"), [])
        else:
            verdict = _echo(device, config)
        run = _infer(device, config, model or models_folder() / MODEL, tell)
    return Answers(name, verdict, sum(row["mismatches"] for row in layers) + run.wrong,
                   sum(row["checked"] for row in layers) + run.checked, run.cycles,
                   line.line_cycles, line.digest.hexdigest()[:16],
                   round(time.monotonic() - began, 1))


def _echo(device: BoardDevice, config: AcceleratorConfig) -> str:
    """A verdict on memory that gives back what was written into its middle."""
    data = random.Random(SESSION).randbytes(ECHO_BYTES)
    address = config.memory_bytes // 2
    device.write(address, data)
    return "PASS (memory alone)" if device.read(address, ECHO_BYTES) == data else "FAIL: memory"


@dataclass(frozen=True)
class _Inference:
    wrong: int
    checked: int
    cycles: int


def _infer(device: BoardDevice, config: AcceleratorConfig, model: Path,
           tell: Progress) -> _Inference:
    """One inference of ``model`` on its first recorded input, beside golden."""
    tell(f"inference of {model.stem}")
    graph = load_model(model)
    program = compile(graph, target=config)
    item = recorded_inputs(model, program.inputs)[0]
    session = Session(program, device)
    outputs, expected = session.run(item), golden.run(graph, item)
    assert session.stats is not None
    return _Inference(
        sum(int((outputs[tensor.name] != expected[tensor.id]).sum())
            for tensor in program.outputs),
        sum(expected[tensor.id].size for tensor in program.outputs), session.stats.cycles)
