"""What a search found, for programs and for people: JSON, targets as TOML, rows of a table."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kaniwa.config import PRESETS, AcceleratorConfig
from kaniwa.errors import ConfigError
from kaniwa.explore.outcome import Outcome, front, is_better
from kaniwa.explore.search import Found

if TYPE_CHECKING:
    from kaniwa.boards.board import Board

__all__ = ["advice", "document", "file_names", "is_found", "pareto", "pll_mhz", "row",
           "target_toml", "verdict"]

# Behind the size of an array in a table: what else the core has.
LETTERS = {"S": "compact", "P": "packed_multipliers", "V": "vector_unit", "C": "cell_unit"}
STEPS_A_MHZ = 4


def pareto(found: Found) -> list[Outcome]:
    """The front of presets and found configs, the best of the objective first."""
    return front([*found.presets.values(), *found.outcomes], found.question.objective)


def is_found(found: Found) -> bool:
    """True where a config was found that is better than the target that it is compared with."""
    best, preset = found.best, found.presets[found.question.target]
    if best is None or best.target or best.figures is None:
        return False
    return preset.figures is None or is_better(best.figures, preset.figures,
                                               found.question.objective)


def verdict(found: Found) -> str:
    """One sentence on the best config beside the board's target."""
    question, best = found.question, found.best
    preset = found.presets[question.target]
    if best is None or best.figures is None:
        return f"no config was found that runs on {question.board.name}"
    if preset.figures is None:
        return f"{question.target} does not run it ({preset.why}); a config was found that does"
    if best.target:
        return f"the preset {best.target} is best"
    was, now = (getattr(one, question.objective) for one in (preset.figures, best.figures))
    if now < was:
        return f"{question.objective}: {1 - now / was:.1%} less than {question.target}"
    return f"{question.objective} as of {question.target}, with less of the rest"


def advice(found: Found, others: Sequence[str]) -> list[str]:
    """Lines on why nothing was found: what memory it takes, and ``others``, boards that could."""
    needed = [one.needed_bytes for one in found.outcomes if one.needed_bytes]
    lines = []
    if needed:
        most = max(one.config.memory_bytes for one in found.outcomes
                   if one.config and one.needed_bytes)
        lines.append(f"the least device memory that a config needed is {-(-min(needed) // 1024)} "
                     f"KiB; the most that was tried is {most // 1024} KiB")
    reasons = {one.kind: one.why for one in found.outcomes if one.kind}
    lines += [f"{kind}, for example: {why}" for kind, why in reasons.items()
              if kind in ("not compiled", "operators on the host")]
    lines.append("these can: " + "; ".join(others) if others else "no target of any board can")
    return lines


def target_toml(config: AcceleratorConfig, notes: Sequence[str]) -> str:
    """A config as a target file, ``notes`` as its first lines: what ``--target`` takes."""
    base = PRESETS["nano" if config.compact else "small"]
    lines = [f"# {note}" for note in notes] + [f'base = "{base.name}"']
    for one in dataclasses.fields(config):
        value = getattr(config, one.name)
        if one.name != "name" and value != getattr(base, one.name):
            lines.append(f"{one.name} = {_toml_value(value)}")
    return "\n".join(lines) + "\n"


def _toml_value(value: Any) -> str:
    """JSON's texts of what a config holds are TOML's, too."""
    return json.dumps(list(value) if isinstance(value, tuple) else value)


def pll_mhz(board: Board, mhz: float) -> float | None:
    """The highest clock not above ``mhz`` that the board's PLL makes, in quarters of a MHz; None
    where what knows the PLL is not installed (the extra ``bitstream``)."""
    try:
        from kaniwa.boards.families.family import load_family

        hertz = board.make_platform().default_clk_frequency
        family = load_family(board.family)
    except ImportError:
        return None
    for quarters in range(int(STEPS_A_MHZ * mhz), 0, -1):
        try:
            family.pll(hertz, quarters / STEPS_A_MHZ, board.device)
        except ConfigError:
            continue
        return quarters / STEPS_A_MHZ
    return None


def row(number: int, outcome: Outcome, board: Board) -> tuple[str, ...]:
    """A line of the table of the front, for its columns: number, size, costs, resources."""
    config, figures = outcome.config, outcome.figures
    assert config is not None and figures is not None
    letters = "".join(letter for letter, name in LETTERS.items() if getattr(config, name))
    memories = "/".join(f"{size // 1024}" for size in (
        config.memory_bytes, config.ring_bytes, config.line_bytes))
    used = [str(figures.used[kind]) for kind in ("lut", "bram", "dsp")]
    size = f"{config.out_lanes}x{config.dot_width} {letters}".strip()
    return (outcome.target or str(number), size, str(config.requant_rate), memories,
            f"{figures.latency:.3f}", f"{figures.area:.1f}", f"{figures.energy:.2f}",
            f"{figures.clock_mhz:.1f}", *used)


def file_names(found: Found) -> dict[str, str]:
    """The names of the files for the configs of the front, by the configs' hashes."""
    return {one.config.hash: f"explored-{number}.toml"
            for number, one in enumerate(pareto(found), 1) if one.config and not one.target}


def document(found: Found, names: Mapping[str, str], confirmed: Sequence[Mapping[str, Any]],
             built: Sequence[Mapping[str, Any]] = (),
             accuracy: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """Plain values of all that was found. ``names``: the file of a config, by its hash.
    ``confirmed``, ``built``: those of what was run and what was built of it. ``accuracy``: of each
    model, on any config."""
    question, best = found.question, found.best
    return {
        "board": question.board.name, "objective": question.objective,
        "models": [Path(path).name for path in question.models],
        "compared_with": question.target, "identity": question.identity,
        "interrupted": found.interrupted, "refused": dict(found.refused),
        "measured": sum(one.figures is not None for one in found.outcomes),
        "verdict": verdict(found), "better": is_found(found),
        "best": None if best is None else _plain(best, names),
        "presets": {name: _plain(one, names) for name, one in found.presets.items()},
        "front": [_plain(one, names) for one in pareto(found)],
        "confirmed": list(confirmed),
        "built": list(built),
        "accuracy": list(accuracy),
    }


def _plain(one: Outcome, names: Mapping[str, str]) -> dict[str, Any]:
    config = one.config
    return {"target": one.target, "hash": config.hash if config else "",
            "file": names.get(config.hash, "") if config and not one.target else "",
            "config": config.as_dict() if config else None,
            "figures": one.figures.as_dict() if one.figures else None,
            "kind": one.kind, "why": one.why, "needed_bytes": one.needed_bytes}
