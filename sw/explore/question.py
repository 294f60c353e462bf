"""What is searched for: models, a board, what is to be small, and the target to compare with."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kaniwa.compiler.added_memory import with_ample_memory
from kaniwa.config import AcceleratorConfig
from kaniwa.errors import CompileError, InputError, ModelError, UnsupportedError
from kaniwa.explore.outcome import OBJECTIVES, Outcome
from kaniwa.explore.points import points_digest
from kaniwa.explore.trial import Work, compiled, run_trial
from kaniwa.isa import ISA_VERSION
from kaniwa.program.host_segments import host_segments
from kaniwa.program.program import Program

if TYPE_CHECKING:
    from kaniwa.boards.board import Board

__all__ = ["Question", "elsewhere", "make_question", "outcome_of"]


@dataclass(frozen=True)
class Question:
    """Models and a board. ``target``: of the board, to compare with. ``host``: for each model, the
    operators that this target leaves to the host; a config may leave no others."""

    board: Board
    models: tuple[str, ...]
    objective: str
    target: str
    host: tuple[frozenset[str], ...]

    def work(self, config: AcceleratorConfig) -> Work:
        """The trial of a config."""
        return Work(config, self.board.name, self.models, self.host)

    @property
    def identity(self) -> dict[str, Any]:
        """What has to be the same for a study to go on."""
        return {"board": self.board.name, "objective": self.objective, "target": self.target,
                "models": [hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]
                           for path in self.models],
                "figures": f"{points_digest()}, instruction set {ISA_VERSION}"}


def make_question(models: Sequence[Path], board: Board, objective: str,
                  target: str | None = None) -> Question:
    """The question for ``models``. Without ``target`` it is compared with the target of the board
    that stops least often for the host, of equal ones the first.

    Raises InputError, also for a board with DDR3, ModelError, ConfigError for a bad target, and
    UnsupportedError where no target of the board can run a model in any memory.
    """
    if objective not in OBJECTIVES:
        raise InputError(f"objective: give one of {', '.join(OBJECTIVES)}, not '{objective}'")
    if target is not None and target not in board.targets:
        raise InputError(f"target: {board.name} is compared with one of its own, "
                         f"{', '.join(board.targets)}, not '{target}'")
    if board.ddr3 is not None:
        raise InputError(f"{board.name}: explore has no figures of designs with DDR3: take a board "
                         "without, or kaniwa estimate for targets of your own")
    for path in models:
        if path.suffix == ".kaniwa":
            raise InputError(f"{path}: is compiled for one target already; give the model")
        if not path.is_file():
            raise ModelError(f"{path}: no such file")
    paths = tuple(map(str, models))
    found: list[tuple[int, str, list[Program]]] = []
    refused = None
    for name in ([target] if target else board.targets):
        try:
            programs = [compiled(path, with_ample_memory(board.config(name))) for path in paths]
        except (CompileError, UnsupportedError) as error:
            refused = error
            continue
        found.append((sum(host_segments(one).count for one in programs), name, programs))
    if not found:
        raise UnsupportedError(f"{board.name}: no target can run it: {refused}")
    _, name, programs = min(found, key=lambda one: one[0])
    return Question(board, paths, objective, name, tuple(
        frozenset(op.name for op in program.host_ops) for program in programs))


def elsewhere(question: Question) -> list[str]:
    """Targets of all boards that can run the models, as "board, target"."""
    from kaniwa.boards.board import BOARDS, load_board

    found = []
    for board in map(load_board, BOARDS):
        for target in board.targets:
            programs = []
            try:
                programs = [compiled(path, board.config(target), board.outside(target))
                            for path in question.models]
            except (CompileError, UnsupportedError):
                continue
            if all({op.name for op in program.host_ops} <= allowed
                   for program, allowed in zip(programs, question.host, strict=True)):
                found.append(f"{board.name}, {target}")
    return found


def outcome_of(question: Question, target: str) -> Outcome:
    """The outcome of a target of the board."""
    found = run_trial(question.work(question.board.config(target)))
    return dataclasses.replace(found, target=target)
