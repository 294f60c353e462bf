"""The public API has types: a user's script that names all of it is strictly checked."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import kaniwa
from kaniwa import lite

# What a checker must refuse, with a word of its message: types that it does not see are Any.
WRONG = {
    'a: str = kaniwa.evaluate("m", ()).accuracy': "assignment",
    'kaniwa.evaluate("m", (), colour=3)': "call-arg",
    'lite.Interpreter("m", device=3)': "arg-type",
    'lite.Interpreter("m").get_input_details()[0]["size"]': "typeddict-item",
    'kaniwa.InferenceSession("m").run("y", {})[0].nothing': "attr-defined",
    'kaniwa.SessionOptions().threads = 2': "attr-defined",
    'kaniwa.open("sim").nothing': "attr-defined",
    'kaniwa.compile("m", rows=3)': "call-arg",
    'kaniwa.nothing': "attr-defined",
}


def checked(script: Path, root: Path, tmp_path: Path) -> list[str]:
    """What mypy, strict, says of a script; the types of kaniwa's modules are taken as they are."""
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--follow-imports=silent",
         "--no-error-summary", "--cache-dir", tmp_path / "cache", script],
        cwd=root, env=os.environ | {"MYPYPATH": str(root / ".dev")}, capture_output=True,
        text=True)
    assert done.returncode < 2, done.stderr
    return done.stdout.splitlines()


def test_a_users_script_passes_a_strict_check_and_wrong_lines_do_not(
        root: Path, tmp_path: Path) -> None:
    good = root / "tests" / "builders" / "files" / "typed_user.py"
    assert checked(good, root, tmp_path) == []
    bad = tmp_path / "wrong.py"
    bad.write_text("import kaniwa\nfrom kaniwa import lite\n" + "\n".join(WRONG) + "\n")
    told = checked(bad, root, tmp_path)
    for line, word in enumerate(WRONG.values(), 3):
        assert any(text.split(":")[1] == str(line) and f"[{word}]" in text for text in told), (
            line, told)


def test_the_users_script_names_all_of_the_public_api(root: Path) -> None:
    tree = ast.parse((root / "tests" / "builders" / "files" / "typed_user.py").read_text())
    named = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    named |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
              for alias in node.names}
    assert set(kaniwa.__all__) <= named
    assert set(lite.__all__) - {"QuantizationParameters", "load_delegate"} <= named


def test_every_public_name_is_there() -> None:
    for module in (kaniwa, lite):
        assert all(hasattr(module, name) for name in module.__all__)
        assert list(module.__all__) == sorted(module.__all__)
