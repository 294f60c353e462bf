"""The packaging: what is imported, how fast, and that lists kept by hand agree with the tree."""

import ast
import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import kaniwa

FOLDERS = {"sw": "kaniwa", "hw": "kaniwa.hw", "sim": "kaniwa.sim", "boards": "kaniwa.boards"}
# Folders whose files go along: no packages, though setuptools has them among those.
OF_FILES = {"kaniwa.examples", "kaniwa.models"}
LEFT_OUT = ("torch", "compress", "spi")     # of the lock: gigabytes, or for some machines alone
HOST_MODULES = [
    "kaniwa", "kaniwa.driver.session", "kaniwa.compiler.pipeline", "kaniwa.emulator.core"]


@pytest.fixture(scope="module")
def project(root: Path) -> dict:
    return tomllib.loads((root / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def pins(root: Path) -> dict[str, str]:
    lines = (root / "requirements.lock").read_text().splitlines()
    pairs = (line.split("==") for line in lines if not line.startswith("#"))
    return {canonicalize_name(name): version for name, version in pairs}


def run_python(code: str) -> str:
    """Run ``code`` in a fresh interpreter, away from the root so that only the install counts."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd="/", capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_packages_are_the_folders_with_an_init_file(root: Path, project: dict) -> None:
    found = set()
    for folder, name in FOLDERS.items():
        for init in (root / folder).rglob("__init__.py"):
            found.add(".".join([name, *init.parent.relative_to(root / folder).parts]))
    assert set(project["tool"]["setuptools"]["packages"]) == found | OF_FILES


def test_every_module_is_in_a_package(root: Path) -> None:
    """A folder with modules and without __init__.py works here and is missing from the wheel."""
    lost = {
        str(path.relative_to(root))
        for folder in FOLDERS
        for path in (root / folder).rglob("*.py")
        if not (path.parent / "__init__.py").exists()
    }
    assert lost == set()


def test_the_root_is_not_a_package(root: Path) -> None:
    assert not (root / "__init__.py").exists()


def test_the_version_is_that_of_the_project(project: dict) -> None:
    assert kaniwa.__version__ == project["project"]["version"]


def test_every_requirement_is_pinned_within_its_range(project: dict, pins: dict) -> None:
    table = project["project"]
    extras = [text for name, extra in table["optional-dependencies"].items() if name not in LEFT_OUT
              for text in extra]
    for text in [*project["build-system"]["requires"], *table["dependencies"], *extras]:
        requirement = Requirement(text)
        version = pins.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} is not in requirements.lock"
        assert requirement.specifier.contains(version), f"{text}, but the lock has {version}"


@pytest.mark.parametrize("extra", LEFT_OUT)
def test_an_extra_that_the_lock_leaves_out_has_exact_versions(extra: str, project: dict,
                                                              pins: dict) -> None:
    for text in project["project"]["optional-dependencies"][extra]:
        requirement = Requirement(text)
        assert "==" in text or canonicalize_name(requirement.name) in pins, text


def test_every_direct_requirement_of_the_lock_is_pinned(root: Path, pins: dict) -> None:
    for line in (root / "requirements.in").read_text().splitlines():
        if line and not line.startswith("#"):
            requirement = Requirement(line)
            assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)])


def test_the_lock_holds_only_names_and_versions(root: Path) -> None:
    """An address or a path in the lock would bind it to one machine."""
    for line in (root / "requirements.lock").read_text().splitlines():
        assert line.startswith("#") or re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+]+", line)


def test_a_package_that_comes_as_source_gets_what_its_build_asks_for(root: Path) -> None:
    """cocotbext-wishbone comes as source and asks for setuptools-scm; without it, it calls itself
    version 0.0.0, and the set-up of a machine that had never built it ended there."""
    makefile = (root / "Makefile").read_text()
    assert "--no-build-isolation" not in makefile
    assert 'PIP_CONSTRAINT="$(CURDIR)/requirements.lock"' in makefile


def test_import_loads_no_third_party_package() -> None:
    code = "import sys; old = set(sys.modules); import kaniwa; print(*(set(sys.modules) - old))"
    # Names of the standard library and of kaniwa; nothing else.
    others = {
        name
        for name in run_python(code).split()
        if name.split(".")[0] not in {*sys.stdlib_module_names, "kaniwa"}
    }
    assert others == set()


def test_import_takes_at_most_100_milliseconds() -> None:
    code = "import time; t = time.perf_counter(); import kaniwa; print(time.perf_counter() - t)"
    # The best of three: the first may read from disk, and the machine may be busy.
    assert min(float(run_python(code)) for _ in range(3)) <= 0.1


def test_host_code_imports_no_amaranth() -> None:
    for name in HOST_MODULES:
        code = f"import sys, {name}; print([m for m in sys.modules if m.startswith('amaranth')])"
        assert run_python(code).strip() == "[]", name


def test_public_names_are_what_their_modules_define() -> None:
    for name in kaniwa.__all__:
        assert getattr(kaniwa, name) is not None
    assert set(kaniwa.__all__) <= set(dir(kaniwa))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"^module 'kaniwa' has no attribute 'nonsense'$"):
        kaniwa.nonsense  # noqa: B018


def test_every_error_is_public_and_a_kaniwa_error() -> None:
    import kaniwa.errors

    for name in kaniwa.errors.__all__:
        error = getattr(kaniwa, name)
        assert issubclass(error, kaniwa.Error)
        assert name in kaniwa.__all__


def imported_modules(path: Path) -> set[str]:
    """Modules that the file imports at its top level; imports inside functions are lazy."""
    names: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_host_modules_import_gateware_and_simulation_only_lazily(root: Path) -> None:
    for path in (root / "sw").rglob("*.py"):
        for name in imported_modules(path):
            foreign = name.startswith(("amaranth", "kaniwa.hw", "kaniwa.sim", "kaniwa.boards"))
            assert not foreign, f"{path.relative_to(root)} imports {name}"


def test_gateware_imports_of_the_host_only_tables_config_and_errors(root: Path) -> None:
    allowed = ("kaniwa.hw", "kaniwa.isa", "kaniwa.units.command", "kaniwa.driver.datagrams.format",
               "kaniwa.driver.frames", "kaniwa.config", "kaniwa.errors", "kaniwa.sdram_parts",
               "kaniwa.standalone.format")
    of_units = re.compile(r"kaniwa\.units\.\w+\.(isa|command)\b")
    for path in (root / "hw").rglob("*.py"):
        for name in imported_modules(path):
            if name.startswith("kaniwa.") and not name.startswith(allowed) and (
                    not of_units.match(name)):
                raise AssertionError(f"{path.relative_to(root)} imports {name}")


def test_the_console_script_exists(project: dict) -> None:
    module, _, _ = project["project"]["scripts"]["kaniwa"].partition(":")
    assert importlib.util.find_spec(module) is not None
