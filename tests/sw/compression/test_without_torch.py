"""Without PyTorch the NumPy part works, and the other one says in one line what it needs."""

import subprocess
import sys

import pytest

HIDDEN = "import sys; sys.modules['torch'] = None\n"
MODULES = ("channels", "checkpoint", "export", "folding", "held", "layers", "measure", "recipe",
           "scan", "steps", "training")


def run(code):
    return subprocess.run([sys.executable, "-c", HIDDEN + code], capture_output=True, text=True)


def test_the_numpy_part_needs_no_torch():
    done = run("from kaniwa.compression import low_rank, masks, patterns, sharing")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("module", MODULES)
def test_the_pytorch_part_names_its_extra(module):
    done = run(f"import kaniwa.compression.pytorch\n"
               f"from kaniwa.errors import UnsupportedError\n"
               f"try:\n"
               f"    import kaniwa.compression.pytorch.{module}\n"
               f"except UnsupportedError as error:\n"
               f"    print(error)")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    assert " needs torch: pip install " in done.stdout and "[compress]" in done.stdout


def test_a_search_names_the_extra():
    done = run("sys.modules['optuna'] = None\n"
               "from kaniwa.compression.search import search\n"
               "from kaniwa.errors import UnsupportedError\n"
               "try:\n"
               "    search({'a': (1, 2)}, print, 1, least_accuracy=0.5)\n"
               "except UnsupportedError as error:\n"
               "    print(error)")
    assert done.stdout.startswith("a search needs optuna: pip install "), done.stderr
    assert done.stdout.count("\n") == 1 and "[compress]" in done.stdout


def test_every_module_is_tried(root):
    files = (root / "sw" / "compression" / "pytorch").glob("*.py")
    assert {file.stem for file in files} == {*MODULES, "__init__"}
