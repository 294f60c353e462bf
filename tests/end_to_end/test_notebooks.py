"""The notebooks run from the first cell to the last and print what is stored in them."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

NOTEBOOKS = ("anomaly_detection", "image_classification", "keyword", "lstm", "person_detection",
             "stall", "transformer")
NEED_TORCH = ("pytorch",)      # run by `make long`
TORCH = all(importlib.util.find_spec(name) for name in ("torch", "torchao", "onnxscript"))
MOST_BYTES = 300_000
LONGEST_SENTENCE = 25


def folder(root: Path) -> Path:
    return root / "examples" / "notebooks"


def cells(path: Path, kind: str) -> list[dict[str, Any]]:
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == kind]


@pytest.fixture(scope="module")
def make_notebooks(root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_notebooks",
                                                  root / "tools" / "make_notebooks.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pieces_of_what_is_printed_are_joined(make_notebooks: ModuleType) -> None:
    from nbformat.v4 import new_code_cell, new_notebook, new_output

    def notebook(*texts: str) -> Any:
        shown = new_output("display_data", {"text/plain": "a picture"})
        printed = [new_output("stream", name="stdout", text=text) for text in texts]
        return new_notebook(cells=[new_code_cell(outputs=[*printed, shown, *printed[:1]])])

    whole, pieces = (make_notebooks.written(notebook(*texts)) for texts in (
        ("one\ntwo\n",), ("one", "\ntwo", "\n")))
    assert whole == ["one", "two", "a picture", "one", "two"] and pieces[:3] == whole[:3]


def test_every_notebook_is_known(root: Path, make_notebooks: ModuleType) -> None:
    assert {path.stem for path in folder(root).glob("*.ipynb")} == {*NOTEBOOKS, *NEED_TORCH}
    assert set(make_notebooks.names()) == set(NOTEBOOKS)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*NOTEBOOKS, *(pytest.param(name, marks=pytest.mark.skipif(
    not TORCH, reason="needs PyTorch: make long")) for name in NEED_TORCH)])
def test_a_notebook_runs_and_prints_what_is_stored(name: str, root: Path) -> None:
    """Its own assertions hold, too: a cell that fails ends the run."""
    done = subprocess.run([sys.executable, root / "tools" / "make_notebooks.py", "--check", name],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", NOTEBOOKS + NEED_TORCH)
def test_a_stored_notebook_is_small_and_names_no_machine(
        name: str, root: Path, make_notebooks: ModuleType) -> None:
    path = folder(root) / f"{name}.ipynb"
    text = path.read_text()
    assert len(text) <= MOST_BYTES
    notebook = json.loads(text)
    assert notebook["metadata"] == make_notebooks.METADATA
    assert str(root) not in text and "/tmp/" not in text
    assert all(cell["metadata"] == {} for cell in notebook["cells"])


@pytest.mark.parametrize("name", NOTEBOOKS + NEED_TORCH)
def test_a_stored_notebook_holds_the_outputs_of_one_run_without_errors(
        name: str, root: Path) -> None:
    code = cells(folder(root) / f"{name}.ipynb", "code")
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error"
                or output.get("name") == "stderr"]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert any("assert " in "".join(cell["source"]) for cell in code)


@pytest.mark.parametrize("name", NOTEBOOKS + NEED_TORCH)
def test_the_prose_of_a_notebook_has_short_sentences(name: str, root: Path) -> None:
    for cell in cells(folder(root) / f"{name}.ipynb", "markdown"):
        text = re.sub(r"`[^`]*`", "code", "".join(cell["source"]))
        lines = [line for line in text.splitlines() if not line.startswith("|")]
        for sentence in re.split(r"(?<=[.!?:])\s+|\n", "\n".join(lines)):
            assert len(sentence.split()) <= LONGEST_SENTENCE, sentence


@pytest.mark.parametrize(("name", "lacking", "extra"), [
    ("stall", "matplotlib", "notebook"), ("stall", "kaniwa", "notebook"),
    ("pytorch", "torch", "torch")])
def test_a_notebook_without_its_extra_ends_in_one_line_that_names_it(
        name: str, lacking: str, extra: str, root: Path, tmp_path: Path) -> None:
    """The first cell alone, in a Python that has no ``lacking``."""
    first = "".join(cells(folder(root) / f"{name}.ipynb", "code")[0]["source"])
    script = tmp_path / "cell.py"
    script.write_text(f"""\
import sys
from IPython.core.interactiveshell import InteractiveShell
sys.modules[{lacking!r}] = None
sys.path.insert(0, {str(folder(root))!r})
done = InteractiveShell.instance().run_cell({first!r})
sys.exit(not done.success)
""")
    done = subprocess.run([sys.executable, script], cwd=folder(root), capture_output=True,
                          text=True)
    assert done.returncode == 1
    assert re.fullmatch(rf"This notebook needs {lacking}: %pip install .*\[{extra}\]'.*\n",
                        done.stdout + done.stderr)
