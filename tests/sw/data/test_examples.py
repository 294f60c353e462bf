"""Examples are listed and copied with all that they read, and never over other files."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kaniwa import cli
from kaniwa.data import examples
from kaniwa.data.examples import all_examples
from kaniwa.errors import Error


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of ``kaniwa examples``."""
    with pytest.raises(SystemExit) as stopped:
        cli.main(["examples", *map(str, arguments)])
    captured = capsys.readouterr()
    return int(stopped.value.code or 0), captured.out, captured.err


def test_every_script_and_notebook_is_listed(root: Path) -> None:
    folder = root / "examples"
    patterns = ("*.py", "frameworks/*.py", "notebooks/*.ipynb")
    files = {path.relative_to(root) for pattern in patterns for path in folder.glob(pattern)
             if not path.name.startswith("_")}
    assert {example.file for example in all_examples().values()} == files


@pytest.mark.parametrize("name", list(all_examples()))
def test_an_example_reads_the_models_that_its_entry_names(name: str, root: Path) -> None:
    example = all_examples()[name]
    text = (root / example.file).read_text()
    for model in example.models:
        assert model.name in text or model.parent.name in text, model
    shipped = [path for path in (root / "models").rglob("*")
               if path.suffix in (".tflite", ".onnx", ".npz", ".wav")]
    if example.kind == "notebook":
        quoted = {path.relative_to(root) for path in shipped
                  if path.parent.name != "refs" and f'\\"{path.name}\\"' in text}
        assert quoted <= set(example.models)


def test_a_list_names_each_example_with_a_line(capsys: pytest.CaptureFixture[str],
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)     # processes of pytest-xdist have it
    status, printed, _ = run(capsys)
    assert status == 0
    for name, example in all_examples().items():
        assert f"{name} " in printed and example.about in printed


def test_json_has_what_an_example_needs(capsys: pytest.CaptureFixture[str]) -> None:
    _, printed, _ = run(capsys, "--json")
    rows = {row["name"]: row for row in json.loads(printed)["examples"]}
    assert rows["pytorch"]["extras"] == ["notebook", "torch"]
    assert rows["keyword"]["models"] == ["models/mlperf_kws_dscnn.tflite",
                                         "models/inputs/six_words.wav"]
    assert rows["stall"]["missing"] == []


def test_a_copied_script_runs_where_it_was_copied_to(tmp_path: Path,
                                                     capsys: pytest.CaptureFixture[str]) -> None:
    status, printed, _ = run(capsys, "copy", "demo", "--to", tmp_path)
    assert status == 0 and "needs pip install" in printed
    code = f"import sys; sys.path.insert(0, {str(tmp_path / 'examples')!r}); import demo; " \
        "from kaniwa.importers import load_model; " \
        "load_model(demo.MODELS / 'mlperf_ic_resnet8.tflite'); print(demo.MODELS)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(tmp_path / "models")


def test_copying_all_copies_every_file_once(tmp_path: Path, root: Path,
                                            capsys: pytest.CaptureFixture[str]) -> None:
    status, printed, _ = run(capsys, "copy", "--all", "--to", tmp_path, "--json")
    written = json.loads(printed)["written"]
    assert status == 0 and len(written) == len(set(written))
    for path in written:
        copied = Path(path)
        assert copied.read_bytes() == (root / copied.relative_to(tmp_path)).read_bytes()


def test_copying_again_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "copy", "stall", "--to", tmp_path)
    status, printed, _ = run(capsys, "copy", "stall", "--to", tmp_path)
    assert status == 0 and "0 files written" in printed


def test_a_changed_file_is_replaced_only_by_force(tmp_path: Path,
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "copy", "stall", "--to", tmp_path)
    notebook = tmp_path / "examples" / "notebooks" / "stall.ipynb"
    (tmp_path / "models" / "mlperf_ad_fc_ae.tflite").unlink()
    notebook.write_text("mine")
    status, printed, error = run(capsys, "copy", "stall", "--to", tmp_path)
    assert (status, printed) == (1, "") and error.count("\n") == 1
    assert str(notebook) in error and "--force" in error
    assert not (tmp_path / "models" / "mlperf_ad_fc_ae.tflite").exists()
    assert notebook.read_text() == "mine"
    assert run(capsys, "copy", "stall", "--to", tmp_path, "--force")[0] == 0
    assert notebook.read_text() != "mine"


@pytest.mark.parametrize(("arguments", "expected"), [
    (["copy", "nonsense"], "no example 'nonsense': there are image_classification, "),
    (["copy"], "give names of examples, or --all"),
    (["copy", "--all", "stall"], "give names of examples, or --all"),
    (["nonsense"], "No such command 'nonsense'")])
def test_a_wrong_call_is_one_line(arguments: list[str], expected: str, tmp_path: Path,
                                  capsys: pytest.CaptureFixture[str],
                                  monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    status, printed, error = run(capsys, *arguments)
    assert status in (1, 2) and printed == "" and error.count("\n") == 1 and expected in error
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path,
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    status, _, error = run(capsys, "copy", "stall", "--to", tmp_path / "file" / "below")
    assert status == 1 and error.count("\n") == 1 and "cannot be made" in error


def test_an_installation_without_examples_is_told_in_one_line(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examples.kaniwa, "__file__", str(tmp_path / "kaniwa" / "__init__.py"))
    with pytest.raises(Error, match="no examples are in this installation"):
        all_examples()


@pytest.mark.slow
def test_a_wheel_holds_the_examples_that_its_terms_allow(root: Path, tmp_path: Path) -> None:
    """Of CIFAR-10 and MNIST nothing, neither images nor notebooks that show them."""
    listed = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True,
                            check=True)
    for file in listed.stdout.split("\n")[:-1]:
        if not file.startswith(("tests/", "docs/", "bench/")):
            (tmp_path / "tree" / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / file, tmp_path / "tree" / file)
    subprocess.run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps",
                    "--no-build-isolation", "-w", tmp_path, tmp_path / "tree"], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.stat().st_size < 10_000_000
    shutil.unpack_archive(wheel, tmp_path / "installed", "zip")
    code = "import json; from kaniwa.data.examples import all_examples; " \
        "print(json.dumps({n: [str(p) for p in e.missing] for n, e in all_examples().items()}))"
    done = subprocess.run([sys.executable, "-S", "-c", code], cwd=tmp_path / "installed",
                          capture_output=True, text=True, check=True,
                          env={"PYTHONPATH": f"{tmp_path / 'installed'}:{_packages()}"})
    missing = json.loads(done.stdout)
    assert {name for name, files in missing.items() if files} == {
        "demo", "image_classification", "lite_image_classification", "lstm",
        "onnx_image_classification"}
    assert missing["lstm"] == ["examples/notebooks/lstm.ipynb", "models/tflm_mnist_lstm.tflite",
                               "models/inputs/mnist_1000.npz"]


def _packages() -> str:
    """The folder of NumPy, which the wheel needs."""
    import numpy

    return str(Path(numpy.__file__).parents[1])
