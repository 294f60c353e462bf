"""Fill the generated parts of the documentation from the tables and runs they describe.

``python tools/make_docs.py`` writes the pages of ``PARTS``, docs/isa.md and the pictures;
``--check`` only says whether they are up to date (the demo's output is compared without its times).
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import importlib.util
import io
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kaniwa.benchmark.cases import CASES
from kaniwa.boards.flow.estimate import estimate_board, every_target
from kaniwa.compiler.operators.record import sentence
from kaniwa.compiler.operators.rewriting import as_table
from kaniwa.compiler.operators.table import OPERATORS
from kaniwa.compiler.plan.kinds import WIDE
from kaniwa.compiler.rewrite.rewriter import missing_unit
from kaniwa.config import PRESETS
from kaniwa.documents.isa_page import isa_page
from kaniwa.documents.operators import operator_table
from kaniwa.explore.held_back import held_back
from kaniwa.explore.points import known_points
from kaniwa.importers import load_model
from kaniwa.units.register import units_of

CELLS = ("UNIDIRECTIONAL_SEQUENCE_LSTM", "LSTM", "GRU")
ROOT = Path(__file__).resolve().parent.parent


def presets() -> str:
    """Markdown table of the presets."""
    rows = {
        "M × N": lambda c: f"{c.out_lanes} × {c.dot_width}",
        "R": lambda c: str(c.requant_rate),
        "read / write bytes": lambda c: (f"{c.read_bytes}{' shared' if c.shared_channel else ''}"
                                         f" / {c.write_bytes}"),
        "weight ring": lambda c: f"{c.ring_bytes >> 10} KiB",
        "line buffer": lambda c: f"{c.line_bytes >> 10} KiB",
        "MUL of two tensors": lambda c: "yes" if c.elementwise_multiply else "no",
        "units beside the array": lambda c: ", ".join(
            unit.command.name.lower() for unit in units_of(c)) or "none",
        "device memory on chip": lambda c: f"{c.memory_bytes >> 10} KiB" if c.memory_bytes
        else "none",
    }
    lines = ["| | " + " | ".join(f"`{name}`" for name in PRESETS) + " |",
             "|---" * (len(PRESETS) + 1) + "|"]
    lines += [f"| {title} | " + " | ".join(cell(c) for c in PRESETS.values()) + " |"
              for title, cell in rows.items()]
    return "\n".join(lines)


def operators() -> str:
    """Markdown table of what the accelerator takes; `kaniwa operators` prints all, with limits."""
    lines = ["| operator | where | how | rounding rule |", "|---|---|---|---|"]
    lines += [f"| {row['operator']} | {row['where']} | {row['mapping']} | `{row['rule']}` |"
              for row in operator_table() if row["where"] != "host"]
    return "\n".join(lines)


def limits() -> str:
    """Markdown table of the accelerator's limits, operators with the same ones in one row."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for dtype in ("8 bits", "int16"):
        for kind, operator in OPERATORS.items():
            limits = operator.limits if dtype == "8 bits" else operator.int16_limits
            if not limits:
                continue
            unit = WIDE if dtype == "int16" else "LSTM" if kind in CELLS else (
                "TABLE" if operator.rewrite is as_table else kind)
            able = [name for name, config in PRESETS.items() if missing_unit(unit, config) is None]
            targets = "all" if len(able) == len(PRESETS) else " ".join(map("`{}`".format, able))
            text = " ".join(sentence(limit) for limit in limits)
            groups.setdefault((dtype, targets, text), []).append(kind)
    lines = ["| operators | dtype | targets | limits of the accelerator | else |",
             "|---|---|---|---|---|"]
    lines += [f"| {', '.join(sorted(kinds))} | {dtype} | {targets} | {text} | host |"
              for (dtype, targets, text), kinds in groups.items()]
    return "\n".join(lines)


def folders() -> str:
    """Markdown table of the packages, with the first sentence of each; benches mirror hw/."""
    lines = ["| folder | holds |", "|---|---|"]
    for root in ("hw", "sw", "sim", "boards"):
        for file in sorted((ROOT / root).rglob("__init__.py")):
            folder = file.parent.relative_to(ROOT)
            if folder.parts[:2] == ("sim", "benches") and len(folder.parts) > 2:
                continue
            summary = (ast.get_docstring(ast.parse(file.read_text())) or "").partition("\n\n")[0]
            text = " ".join(summary.replace("``", "`").split())
            lines.append(f"| `{folder}/` | {text} |")
    return "\n".join(lines)


def decisions() -> str:
    """Markdown list of the decisions, by their numbers and titles."""
    return "\n".join(f"- [{file.stem[:4]}]({file.name}): {file.read_text().split(chr(10))[0][2:]}"
                     for file in sorted((ROOT / "docs" / "decisions").glob("0*.md")))


def of_results(module: str, name: str) -> Callable[[], str]:
    """The table of this name that a module of tools/ makes from recorded runs."""
    def table() -> str:
        sys.path.insert(0, str(ROOT / "tools"))
        return str(getattr(importlib.import_module(module), name)())
    return table


def estimates() -> str:
    """Markdown table of `kaniwa estimate --all-boards` for the shipped models, without builds."""
    chosen = every_target()
    models = {case.file: case.title for case in CASES if not case.keep_dead_channels}
    graphs = [load_model(ROOT / "models" / file) for file in models]
    lines = ["| | " + " | ".join(models.values()) + " |", "|---" * (len(models) + 1) + "|"]
    for board, target in chosen:
        name = f"`{board.name}`, `{target}`" if len(board.targets) > 1 else f"`{board.name}`"
        rows = [estimate_board(graph, board, target) for graph in graphs]
        lines.append(f"| {name} | " + " | ".join(_estimate_cell(row) for row in rows) + " |")
    return "\n".join(lines)


def errors() -> str:
    """Markdown table of the points of ``kaniwa explore``, each held back from the models."""
    lines = ["| board | array | core | LUTs, synthesized | flip-flops | LUTs, placed | clock |",
             "|---|---|---|---|---|---|---|"]
    for row in held_back(known_points()):
        config, point = row.point.accelerator, row.point
        parts = [name for name, has in (
            ("compact", config.compact), ("packed", config.packed_multipliers),
            ("vector unit", config.vector_unit), ("cell unit", config.cell_unit),
            (f"codebooks of {config.codebook_entries}", bool(config.codebook_entries)),
            ("step lists", bool(config.step_entries)),
            ("SDRAM", point.neighbors.sdram), ("Ethernet", bool(point.neighbors.ethernet)),
            ("USB", point.neighbors.usb),
            ("earlier netlist", bool(point.source)),
            (f"no error: beyond the others in `{row.beyond}`", row.beyond is not None)) if has]
        found = ((point.counts.get("lut"), row.lut), (point.counts.get("ff"), row.ff),
                 (point.placed.get("lut"), row.placed), (point.clock_mhz, row.clock))
        lines.append(f"| `{point.board}` | {config.out_lanes} x {config.dot_width}, R "
                     f"{config.requant_rate} | {', '.join(parts)} | "
                     + " | ".join(_error_cell(*one) for one in found) + " |")
    return "\n".join(lines)


def _error_cell(value: float | None, error: float | None) -> str:
    """A value, with the model's error where there is one."""
    if value is None:
        return ""
    return f"{value:,}" + ("" if error is None else f" ({100 * error:+.1f} %)")


def _estimate_cell(row: dict[str, Any]) -> str:
    if not row["fits"]:
        return row["why"]
    return (f"{row['milliseconds']:.2f} + {row['link_milliseconds']:.1f} ms, "
            f"{row['inferences_per_second']:.0f}/s, {row['bottleneck']}")


def demo() -> str:
    """The output of the demo, run here."""
    sys.path.insert(0, str(ROOT / "examples"))
    spec = importlib.util.spec_from_file_location("demo", ROOT / "examples" / "demo.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        module.main()
    text = "\n".join(line.rstrip() for line in output.getvalue().splitlines())
    return f"```\n{text}\n```"


def timeless(text: str) -> str:
    """The text without seconds, which differ from run to run."""
    return re.sub(r"\d+\.\d+ s\b", "- s", text)


def fill(text: str, name: str, content: str) -> str:
    """The text with the part between the markers of ``name`` replaced."""
    pattern = rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
    return re.sub(pattern, lambda m: f"{m[1]}{content}\n{m[2]}", text, flags=re.DOTALL)


# page -> marker -> what stands between the markers
PARTS: dict[str, dict[str, Callable[[], str]]] = {
    "README.md": {"presets": presets, "demo": demo},
    "CONTRIBUTING.md": {"folders": folders},
    "docs/operators.md": {"operators": operators},
    "docs/limits.md": {"limits": limits},
    "docs/boards/README.md": {"estimates": estimates},
    "docs/howto/explore.md": {"errors": errors},
    "docs/comparison.md": {"cycles": of_results("comparison", "cycles"),
                           "chips": of_results("comparison", "chips")},
    "docs/third_party.md": {"models": of_results("third_party", "models")},
    "docs/decisions/README.md": {"decisions": decisions},
}


def pictures() -> dict[Path, str]:
    """Every picture that is drawn from the code, from the cycle model or from recorded runs."""
    sys.path.insert(0, str(ROOT / "tools"))
    from pictures.blocks import block_diagram
    from pictures.cycles import cycles_by_layer, cycles_by_model
    from pictures.lines import line_buffer

    drawn = (block_diagram, cycles_by_layer, cycles_by_model, line_buffer)
    return {ROOT / "docs" / "pictures" / f"{draw.__name__}.svg": draw() for draw in drawn}


def pages() -> dict[Path, str]:
    """Every page that has generated parts, as it should be, and the pictures."""
    made = {ROOT / "docs" / "isa.md": isa_page(), **pictures()}
    for name, parts in PARTS.items():
        text = (ROOT / name).read_text()
        for marker, content in parts.items():
            text = fill(text, marker, content())
        made[ROOT / name] = text
    return made


def main() -> int:
    """Write the pages, or say which are out of date."""
    made = pages()
    stale = [path for path, text in made.items()
             if not path.exists() or timeless(path.read_text()) != timeless(text)]
    if "--check" in sys.argv:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is out of date: run make docs")
        return 1 if stale else 0
    for path in stale:
        path.write_text(made[path])
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
