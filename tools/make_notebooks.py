"""Run the notebooks of examples/notebooks and store what they show; --check only compares.

    .venv/bin/python tools/make_notebooks.py            # all but those that need PyTorch
    .venv/bin/python tools/make_notebooks.py --check stall

A stored notebook has no times, versions and paths of the machine that it ran on, so that a run
that shows the same leaves the same file.
"""

from __future__ import annotations

import argparse
import difflib
import sys
import tempfile
import time
from itertools import groupby
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "examples" / "notebooks"
METADATA = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"}}
LIMIT_SECONDS = 600     # of a cell
NEED_TORCH = ("pytorch",)


def names() -> list[str]:
    """The notebooks that run with the packages of the extra ``notebook``."""
    return sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb") if path.stem not in NEED_TORCH)


def run(path: Path) -> Any:
    """The notebook as a run of all its cells leaves it. Raises CellExecutionError."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    with tempfile.TemporaryDirectory() as sockets:
        kernel = AsyncKernelManager(kernel_name="python3", transport="ipc", ip=f"{sockets}/kernel")
        NotebookClient(notebook, kernel, timeout=LIMIT_SECONDS, record_timing=False,
                       extra_arguments=["--IPKernelApp.log_level=ERROR"],
                       resources={"metadata": {"path": str(path.parent)}}).execute()
    return plain(notebook)


def plain(notebook: Any) -> Any:
    """``notebook`` without what differs from one machine to the next."""
    notebook.metadata = nbformat.from_dict(METADATA)
    for number, cell in enumerate(notebook.cells, 1):
        cell.id, cell.metadata = f"cell-{number:02d}", nbformat.from_dict({})
        for output in cell.get("outputs", []):
            output.pop("metadata", None)
            if output.output_type in ("display_data", "execute_result"):
                output.metadata = nbformat.from_dict({})
    return notebook


def written(notebook: Any) -> list[str]:
    """The lines that a notebook's cells printed; pictures are left out.

    What is printed comes in pieces, which a busy machine cuts elsewhere, and also within a line.
    """
    lines = list[str]()
    for cell in notebook.cells:
        for is_printed, outputs in groupby(cell.get("outputs", []), lambda o: "text" in o):
            texts = [output["text"] if is_printed else output.get("data", {}).get("text/plain", "")
                     for output in outputs]
            for text in ["".join(texts)] if is_printed else texts:
                lines += text.splitlines()
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: " + ", ".join(names()))
    parser.add_argument("--check", action="store_true",
                        help="store nothing; fail if a notebook prints other lines than stored")
    options = parser.parse_args()
    failed = 0
    for name in options.names or names():
        path = NOTEBOOKS / f"{name}.ipynb"
        began = time.monotonic()
        try:
            made = run(path)
        except CellExecutionError as error:
            print(f"{name}: a cell failed\n{error}", file=sys.stderr)
            failed += 1
            continue
        print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)
        if options.check:
            stored = written(nbformat.read(path, as_version=4))
            different = list(difflib.unified_diff(stored, written(made), "stored", "now", n=1,
                                                  lineterm=""))
            print("\n".join(different), end="\n" if different else "")
            failed += bool(different)
        else:
            nbformat.write(made, path)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
