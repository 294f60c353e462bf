"""The scripts of examples/ run from a clone, or say in one line what they need."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = ("camera", "compress_digits", "compress_keywords", "compress_lstm", "demo",
           "digits_gru_onnx", "digits_transformer", "digits_transformer_onnx",
           "keyword_transformer", "microphone", "pytorch_export")


def imported(tree: ast.Module) -> list[tuple[str, str]]:
    """The names that a script takes from parts/, with the file."""
    return [(node.module.removeprefix("parts."), name.name) for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("parts.")
            for name in node.names]


def test_every_script_is_known(root: Path) -> None:
    assert {path.stem for path in (root / "examples").glob("*.py")} == {*SCRIPTS, "_needs"}


@pytest.mark.parametrize("script", SCRIPTS)
def test_without_packages_a_script_says_what_to_install(script: str, root: Path,
                                                        tmp_path: Path) -> None:
    path = root / "examples" / f"{script}.py"
    done = subprocess.run([sys.executable, "-S", path], cwd=tmp_path, capture_output=True,
                          text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(rf"{re.escape(str(path))}: needs \w+: (pip install|make setup).*\n",
                        done.stderr)
    assert not list(tmp_path.iterdir())


def test_an_error_of_kaniwa_is_one_line_of_a_script(root: Path, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("import _needs\nimport kaniwa\nkaniwa.compile('none.tflite')\n")
    (tmp_path / "_needs.py").write_text((root / "examples" / "_needs.py").read_text())
    done = subprocess.run([sys.executable, "a.py"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith("a.py: ")
    assert done.stderr.count("\n") == 1 and "none.tflite" in done.stderr


def test_scripts_take_from_parts_what_is_there(root: Path) -> None:
    """No environment has all their packages, so a name that is gone would not be seen."""
    for path in (root / "examples").rglob("*.py"):
        for part, name in imported(ast.parse(path.read_text())):
            tree = ast.parse((root / "examples" / "parts" / f"{part}.py").read_text())
            names = {node.name for node in tree.body if hasattr(node, "name")}
            names |= {target.id for node in tree.body if isinstance(node, ast.Assign)
                      for target in node.targets if isinstance(target, ast.Name)}
            assert name in names, f"{path.name}: {part} has no {name}"
