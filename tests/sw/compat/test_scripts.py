"""Scripts for LiteRT and ONNX Runtime run with one changed import, and say the same.

Each line of a script that is changed tells in a comment what it was.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import interpreter as litert
from PIL import Image

CHANGED = re.compile(r"^\S.*  # was: (.*)$", re.MULTILINE)
SCRIPTS = ("lite_image_classification", "lite_keyword_spotting", "lite_signature",
           "onnx_image_classification", "onnx_evaluation", "onnx_session_options")


@pytest.fixture
def picture(models: Path, tmp_path: Path) -> Path:
    """The first of ResNet-8's ten test images."""
    with np.load(models / "inputs" / "resnet8_ten.npz") as data:
        pixels = data["input_1_int8"][0].astype(np.int16) + 128
    path = tmp_path / "picture.png"
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
         ) -> Callable[..., str]:
    """Run a script's text with arguments; gives what it prints."""
    def run(path: Path, text: str, *arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", [str(path), *arguments])
        exec(compile(text, path, "exec"), {"__name__": "__main__", "__file__": str(path)})
        return capsys.readouterr().out

    return run


def test_every_script_is_known(root: Path) -> None:
    folder = root / "examples" / "frameworks"
    assert {path.stem for path in folder.glob("*.py")} == set(SCRIPTS)


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_with_one_changed_import_says_the_same(
        script: str, root: Path, picture: Path, said: Callable[..., str],
        monkeypatch: pytest.MonkeyPatch) -> None:
    # kaniwa's answers are those of the reference kernels; the others may be a step away.
    monkeypatch.setattr(litert, "Interpreter", partial(
        litert.Interpreter, experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF))
    path = root / "examples" / "frameworks" / f"{script}.py"
    text = path.read_text()
    theirs, changes = CHANGED.subn(r"\1", text)
    assert changes == 1 and "kaniwa" not in theirs
    arguments = ["--image", str(picture)] if "image" in script else []
    expected = said(path, theirs, *arguments)
    assert said(path, text, *arguments) == expected
    assert expected.count("\n") >= 3


@pytest.mark.parametrize("script", ["lite_image_classification", "onnx_image_classification"])
def test_the_class_is_that_of_the_frameworks_usual_kernels(
        script: str, root: Path, picture: Path, said: Callable[..., str]) -> None:
    path = root / "examples" / "frameworks" / f"{script}.py"
    text = path.read_text()
    first = [said(path, each, "--image", str(picture)).splitlines()[0].split(": ")
             for each in (text, CHANGED.sub(r"\1", text))]
    assert first[0][1] == first[1][1] == "frog"
    assert abs(float(first[0][0]) - float(first[1][0])) <= 1 / 256
